//! When no call may start any more: what `--deadline` means at a moment, in a zone. Pure.
//!
//! A time of day is the next moment at which local clocks show it. What surprises: one that has just passed is refused,
//! since whoever starts a job at 06:10 that was to end at 06:00 does not mean tomorrow; a time that clocks show twice, in
//! the night when they go back, is met the next time they show it; and one that they never show, in the night when they
//! go forward, is the moment at which they do.

use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::AmbiguousOffset;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use crate::cli::DeadlineArgument;

/// A time of day that passed less than this ago is not meant for the day after.
const JUST_PASSED: SignedDuration = SignedDuration::from_hours(6);

/// A moment after which no call starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// The moment, in the zone of local clocks.
    pub moment: Zoned,
    /// How far away it is.
    pub left: Duration,
}

impl Deadline {
    /// The moment for people, with its zone.
    pub(crate) fn text(&self) -> String {
        self.moment.strftime("%Y-%m-%d %H:%M %Z").to_string()
    }
}

/// Why a deadline is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeadlineError {
    /// The time of day has just passed.
    #[error("--deadline {time} passed {ago} ago, at {passed}", time = .time.strftime("%H:%M"))]
    JustPassed {
        /// As typed.
        time: Time,
        /// When it was, with the zone.
        passed: String,
        /// How long ago, in words.
        ago: String,
    },
    /// The calendar ends before it.
    #[error("--deadline lies beyond the calendar")]
    BeyondCalendar,
}

impl DeadlineError {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::JustPassed { time, .. } => Some(format!(
                "write --deadline \"tomorrow {}\" if that is meant, or a duration such as 8h",
                time.strftime("%H:%M")
            )),
            Self::BeyondCalendar => None,
        }
    }
}

/// The moment that a deadline means for a process that starts now.
///
/// # Errors
/// [`DeadlineError`] when the time of day has just passed.
pub(crate) fn deadline(argument: DeadlineArgument, now: &Zoned) -> Result<Deadline, DeadlineError> {
    let moment = match argument {
        DeadlineArgument::After(duration) => {
            let beyond = |_error| DeadlineError::BeyondCalendar;
            now.timestamp().checked_add(SignedDuration::try_from(duration).map_err(beyond)?).map_err(beyond)?
        }
        DeadlineArgument::At(time) => next_moment(time, now)?,
        DeadlineArgument::Tomorrow(time) => {
            let tomorrow = now.date().tomorrow().map_err(|_end| DeadlineError::BeyondCalendar)?;
            *moments(tomorrow, time, now).first().ok_or(DeadlineError::BeyondCalendar)?
        }
    };
    let left = Duration::try_from(moment.duration_since(now.timestamp())).unwrap_or_default();
    Ok(Deadline { moment: moment.to_zoned(now.time_zone().clone()), left })
}

/// The next moment at which local clocks show this time.
fn next_moment(time: Time, now: &Zoned) -> Result<Timestamp, DeadlineError> {
    // A zone may have skipped a day, so the next one is not always today or tomorrow.
    let days = (-1..=2).filter_map(|days| now.date().checked_add(days.days()).ok());
    let moments: Vec<Timestamp> = days.flat_map(|day| moments(day, time, now)).collect();
    let next = moments.iter().copied().find(|moment| *moment > now.timestamp()).ok_or(DeadlineError::BeyondCalendar)?;
    let passed = moments.into_iter().rfind(|moment| *moment <= now.timestamp());
    if let Some(passed) = passed {
        let ago = now.timestamp().duration_since(passed);
        let is_shown_twice = next.to_zoned(now.time_zone().clone()).date() == date_of(passed, now);
        if ago < JUST_PASSED && !is_shown_twice {
            let passed = passed.to_zoned(now.time_zone().clone()).strftime("%H:%M %Z").to_string();
            return Err(DeadlineError::JustPassed { time, passed, ago: in_words(ago) });
        }
    }
    Ok(next)
}

fn date_of(moment: Timestamp, now: &Zoned) -> Date {
    moment.to_zoned(now.time_zone().clone()).date()
}

/// The moments of a day at which local clocks show this time: one as a rule, two in the night when they go back. Where
/// they go forward over it, it is the moment at which they do.
fn moments(day: Date, time: Time, now: &Zoned) -> Vec<Timestamp> {
    let zone = now.time_zone();
    let shown = day.to_datetime(time);
    let at = |offset: jiff::tz::Offset| offset.to_timestamp(shown).ok();
    match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => at(offset).into_iter().collect(),
        AmbiguousOffset::Fold { before, after } => [at(before), at(after)].into_iter().flatten().collect(),
        AmbiguousOffset::Gap { after, .. } => {
            // By the clocks of afterwards it would have been shortly before they were changed.
            let change = at(after).and_then(|moment| zone.following(moment).next());
            change.map(|change| change.timestamp()).into_iter().collect()
        }
    }
}

/// A time of less than a day.
fn in_words(duration: SignedDuration) -> String {
    let minutes = duration.as_mins();
    match (minutes / 60, minutes % 60) {
        (0, 0) => "less than a minute".to_owned(),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a deadline typed at this moment means, or why it is none.
    fn meant(typed: &str, now: &str) -> String {
        let now: Zoned = now.parse().expect("a time");
        match deadline(typed.parse().expect("a deadline"), &now) {
            Ok(deadline) => {
                let left = SignedDuration::try_from(deadline.left).expect("short");
                assert_eq!(now.timestamp() + left, deadline.moment.timestamp());
                format!("{} in {}", deadline.text(), in_words(left))
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_deadline_is_the_next_moment_that_is_meant() {
        let table = [
            // As typed, now, what is meant.
            ("8h", "2026-03-01T22:30[UTC]", "2026-03-02 06:30 UTC in 8 h"),
            ("23:00", "2026-03-01T22:30[UTC]", "2026-03-01 23:00 UTC in 30 min"),
            ("06:00", "2026-03-01T22:30[UTC]", "2026-03-02 06:00 UTC in 7 h 30 min"),
            ("6:00", "2026-03-01T05:59[America/New_York]", "2026-03-01 06:00 EST in 1 min"),
            ("06:00", "2026-03-01T12:00[Asia/Kolkata]", "2026-03-02 06:00 IST in 18 h"),
            // Just passed.
            ("06:00", "2026-03-01T06:00[Asia/Kolkata]", "--deadline 06:00 passed less than a minute ago, at 06:00 IST"),
            ("06:00", "2026-03-01T06:10[UTC]", "--deadline 06:00 passed 10 min ago, at 06:00 UTC"),
            ("06:00", "2026-03-01T11:59[UTC]", "--deadline 06:00 passed 5 h 59 min ago, at 06:00 UTC"),
            ("23:30", "2026-03-01T01:00[UTC]", "--deadline 23:30 passed 1 h 30 min ago, at 23:30 UTC"),
            ("tomorrow 06:00", "2026-03-01T06:10[UTC]", "2026-03-02 06:00 UTC in 23 h 50 min"),
            ("tomorrow 06:00", "2026-03-01T01:00[UTC]", "2026-03-02 06:00 UTC in 29 h"),
            // The night when clocks go forward, over the deadline and over times that they never show.
            ("06:00", "2026-03-28T22:00[Europe/Berlin]", "2026-03-29 06:00 CEST in 7 h"),
            ("02:30", "2026-03-28T22:00[Europe/Berlin]", "2026-03-29 03:00 CEST in 4 h"),
            ("02:30", "2026-03-29T01:59[Europe/Berlin]", "2026-03-29 03:00 CEST in 1 min"),
            ("02:30", "2026-03-29T03:10[Europe/Berlin]", "--deadline 02:30 passed 10 min ago, at 03:00 CEST"),
            ("tomorrow 02:30", "2026-03-28T02:40[Europe/Berlin]", "2026-03-29 03:00 CEST in 23 h 20 min"),
            ("02:15", "2026-10-04T01:00[Australia/Lord_Howe]", "2026-10-04 02:30 +11 in 1 h"),
            // The night when clocks go back: the next of two.
            ("06:00", "2026-10-24T22:00[Europe/Berlin]", "2026-10-25 06:00 CET in 9 h"),
            ("02:30", "2026-10-24T22:00[Europe/Berlin]", "2026-10-25 02:30 CEST in 4 h 30 min"),
            ("02:30", "2026-10-25T02:45+02:00[Europe/Berlin]", "2026-10-25 02:30 CET in 45 min"),
            ("02:30", "2026-10-25T02:45+01:00[Europe/Berlin]", "--deadline 02:30 passed 15 min ago, at 02:30 CET"),
            ("01:30", "2026-11-01T01:40-04:00[America/New_York]", "2026-11-01 01:30 EST in 50 min"),
            ("tomorrow 01:30", "2026-10-31T12:00[America/New_York]", "2026-11-01 01:30 EDT in 13 h 30 min"),
            // A zone that went over the date line never had a 30 December 2011.
            ("06:00", "2011-12-29T12:30[Pacific/Apia]", "2011-12-31 00:00 +14 in 11 h 30 min"),
        ];
        for (typed, now, expected) in table {
            assert_eq!(meant(typed, now), expected, "{typed} at {now}");
        }
    }

    #[test]
    fn what_just_passed_is_refused_with_what_to_write_instead() {
        let now: Zoned = "2026-03-01T06:10[UTC]".parse().expect("a time");
        let error = deadline("06:00".parse().expect("a deadline"), &now).expect_err("it passed");
        let hint = "write --deadline \"tomorrow 06:00\" if that is meant, or a duration such as 8h";
        assert_eq!(error.hint().as_deref(), Some(hint));
    }
}
