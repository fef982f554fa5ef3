//! How numbers, durations and times are written for people, in one place, so that they look the same wherever they stand.
#![doc = include_str!("words/messages.md")]

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A longer cell of a table stands out of its column. (The standard library ends the program where a width passes 65,535.)
pub(crate) const WIDEST_CELL_CHARACTERS: usize = 48;

/// A count with a comma after every three digits.
pub(crate) fn group_digits(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// So many rows, of those that the input has where a filter selects among them.
pub(crate) fn selected_rows(rows: u64, selected_from: Option<u32>) -> String {
    match selected_from {
        None => counted(rows, "row", "rows"),
        Some(all) => format!("{} of {} selected", group_digits(rows), counted(u64::from(all), "row", "rows")),
    }
}

/// A count with what is counted: `1 row`, `2,000 rows`. What differs with the number beside the noun belongs to it, such
/// as `operation is left` and `operations are left`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {many}", group_digits(count)) }
}

/// `1, 2 and 3`, or `1, 2, 3 and 7 more`.
pub(crate) fn listed(shown: &[String], more: u64) -> String {
    match (shown, more) {
        (_, 1..) => format!("{} and {} more", shown.join(", "), group_digits(more)),
        ([many @ .., one, last], 0) if !many.is_empty() => format!("{}, {one} and {last}", many.join(", ")),
        _ => shown.join(" and "),
    }
}

/// A duration: `0.3 s`, `1 min 5 s`, `2 h 14 min`.
pub(crate) fn describe_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A date and time to the minute, with its zone.
pub(crate) fn minute(time: Timestamp, time_zone: &TimeZone) -> String {
    time.to_zoned(time_zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// A date and time to the second, with its zone.
pub(crate) fn second(time: Timestamp, time_zone: &TimeZone) -> String {
    time.to_zoned(time_zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// A time of day with its zone, and with the date where that is not today's.
pub(crate) fn clock_time(time: Timestamp, now: Timestamp, time_zone: &TimeZone) -> String {
    let (zoned, today) = (time.to_zoned(time_zone.clone()), now.to_zoned(time_zone.clone()).date());
    if zoned.date() == today { zoned.strftime("%H:%M:%S %Z").to_string() } else { minute(time, time_zone) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_english_and_easy_to_read() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(group_digits(count), text);
        }
        for (count, text) in [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1000, "1,000 rows")] {
            assert_eq!(counted(count, "row", "rows"), text);
        }
    }

    #[test]
    fn durations_are_as_exact_as_people_want_them() {
        for (milliseconds, text) in
            [(0, "0.0 s"), (9_940, "9.9 s"), (59_999, "59 s"), (65_000, "1 min 5 s"), (8_040_000, "2 h 14 min")]
        {
            assert_eq!(describe_duration(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn times_say_their_zone() {
        let time: Timestamp = "2026-07-01T14:05:10Z".parse().expect("a time");
        let next_day: Timestamp = "2026-07-02T00:05:10Z".parse().expect("a time");
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        for (zone, now, expected) in [
            (&TimeZone::UTC, time, "14:05:10 UTC"),
            (&TimeZone::UTC, next_day, "2026-07-01 14:05 UTC"),
            (&berlin, time, "16:05:10 CEST"),
        ] {
            assert_eq!(clock_time(time, now, zone), expected);
        }
        assert_eq!(
            (minute(time, &berlin), second(time, &berlin)),
            ("2026-07-01 16:05 CEST".into(), "2026-07-01 16:05:10 CEST".into())
        );
    }
}
