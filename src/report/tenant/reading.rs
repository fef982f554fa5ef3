//! The reading of the tenant's machines as people and scripts see it: progress, what went wrong, the numbers at the end.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::machines::MachinesTarget;
use crate::api::CallKind;
use crate::call::StopReason;
use crate::dispatch::EndReason;
use crate::listing::{ListingEvent, ListingObserver, ReadError, ReadProgress};
use crate::outside::shown;
use crate::report::course::obstacle::{Afterwards, obstacle_hint, obstacle_text};
use crate::report::course::pace::LinePace;
use crate::report::course::progress::{notice_text, waiting_text};
use crate::report::course::reasons::{abort_code, reason_hint, reason_text};
use crate::report::course::summary::calls_object;
use crate::report::output::problem::Problem;
use crate::report::output::screen::Screen;
use crate::words::{counted, group_digits};

/// How often the sign turns that shows that the program lives.
const TURN: Duration = Duration::from_millis(120);

/// Shows a reading on the screen, and keeps where it stands.
pub(crate) struct ReadingReport {
    screen: Screen,
    quiet: bool,
    time_zone: TimeZone,
    bar: Option<ProgressBar>,
    pace: LinePace,
    progress: ReadProgress,
}

impl ReadingReport {
    /// A report on this screen; a quiet one shows only what needs attention.
    pub(crate) fn new(screen: Screen, quiet: bool) -> Self {
        let (time_zone, progress) = (TimeZone::system(), ReadProgress::default());
        Self { screen, quiet, time_zone, bar: None, pace: LinePace::default(), progress }
    }

    /// Where the reading stood when it was last heard of.
    pub(crate) const fn progress(&self) -> &ReadProgress {
        &self.progress
    }

    fn start_bar(&mut self) {
        if self.quiet || !self.screen.is_animated() {
            return;
        }
        let bar = ProgressBar::new_spinner();
        // The template is ours; should the library refuse it, its own look will do.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        let bar = self.screen.add_bar(bar);
        bar.enable_steady_tick(TURN);
        self.bar = Some(bar);
    }

    fn update(&mut self) {
        let progress = &self.progress;
        if let Some(bar) = &self.bar {
            // What turns before it takes two columns.
            let lines = Screen::fitted_to_bar(format!("  {}", status_line(progress, &self.time_zone)));
            bar.set_message(lines.trim_start().to_owned());
        } else if !self.quiet && self.pace.is_due(progress.elapsed, progress.waiting) {
            self.screen.remark(&status_line(progress, &self.time_zone));
        }
    }
}

impl ListingObserver for ReadingReport {
    fn observe(&mut self, event: ListingEvent, progress: &ReadProgress) {
        self.progress.clone_from(progress);
        match event {
            ListingEvent::Started => {
                self.start_bar();
                self.update();
            }
            ListingEvent::Progress => self.update(),
            ListingEvent::Notice(notice) => self.screen.warning(&notice_text(notice)),
            ListingEvent::Ended => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                if progress.skipped > 0 {
                    let left_out = counted(
                        progress.skipped,
                        "entry of the service's list is left out: it could not be read as a machine with an id",
                        "entries of the service's list are left out: they could not be read as machines with an id",
                    );
                    self.screen.warning(&left_out);
                }
            }
        }
    }
}

impl Drop for ReadingReport {
    /// A reading that was given up leaves no bar behind.
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// One line about where the reading stands.
fn status_line(progress: &ReadProgress, time_zone: &TimeZone) -> String {
    let line = format!(
        "reading the tenant's machines: {} so far, {}",
        group_digits(progress.machines),
        counted(progress.calls, "call", "calls")
    );
    match progress.waiting {
        Some((cause, until)) => format!("{}; {line}", waiting_text(cause, until, time_zone)),
        None => line,
    }
}

/// What the object for `--json` says of an export; no target when nothing was written.
pub(crate) fn reading_json(progress: &ReadProgress, target: Option<&MachinesTarget>) -> Value {
    json!({
        "machines": progress.machines,
        "pages": progress.pages,
        "calls": calls_object(|kind| if kind == CallKind::List { progress.calls } else { 0 }),
        "throttled": progress.throttled,
        "retried": progress.retried,
        "skipped": progress.skipped,
        "output": target.map(|target| target.path().to_string_lossy().into_owned()),
    })
}

/// Why the machines could not be read, in a word for scripts.
pub(crate) const fn reading_code(error: &ReadError) -> &'static str {
    match error {
        ReadError::Aborted(cause) => abort_code(cause),
        ReadError::Stopped(StopReason::Draining) => "interrupted",
        ReadError::Stopped(StopReason::Deadline | StopReason::RepeatBeyondDeadline) | ReadError::TimeIsUp { .. } => {
            "deadline"
        }
        ReadError::Stopped(StopReason::Outage { .. }) => "outage",
        ReadError::Forbidden { .. } => "forbidden",
        ReadError::Store(_) | ReadError::Sink(_) => "storage_failed",
        ReadError::Walk(_) | ReadError::TooLarge { .. } | ReadError::Failed { .. } => "inventory_not_read",
    }
}

/// What to show when the machines could not be read.
pub(crate) fn reading_problem(error: ReadError) -> Problem {
    let ended = |reason: EndReason| Problem {
        error: format!("the list of machines was not read to its end, {}", reason_text(&reason)).into(),
        hint: match reason {
            EndReason::Interrupted | EndReason::Deadline => None,
            EndReason::Outage { .. } => Some("run the same command again when the service is back".to_owned()),
            reason => reason_hint(&reason),
        },
    };
    match error {
        ReadError::Aborted(cause) => ended(EndReason::Aborted(cause)),
        ReadError::Stopped(StopReason::Draining) => ended(EndReason::Interrupted),
        ReadError::Stopped(StopReason::Deadline | StopReason::RepeatBeyondDeadline) => ended(EndReason::Deadline),
        ReadError::TimeIsUp { in_the_way } => {
            let met = in_the_way.map(|met| format!(": {}", obstacle_text(met, &TimeZone::system())));
            Problem {
                error: format!(
                    "the list of machines was not read to its end, at its deadline{}",
                    met.unwrap_or_default()
                )
                .into(),
                hint: in_the_way.and_then(|met| obstacle_hint(met, Afterwards::TryAgain)).map(str::to_owned),
            }
        }
        ReadError::Stopped(StopReason::Outage { since, trouble }) => ended(EndReason::Outage { since, trouble }),
        ReadError::Store(error) => {
            let hint = error.hint();
            Problem { error: Box::new(ReadError::Store(error)), hint }
        }
        ReadError::Sink(_) => Problem { hint: error.hint().map(str::to_owned), error: Box::new(error) },
        ReadError::Walk(_) | ReadError::TooLarge { .. } | ReadError::Forbidden { .. } | ReadError::Failed { .. } => {
            Problem { hint: error.hint().map(str::to_owned), error: shown(&error.to_string()).into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::call::WaitCause;
    use crate::quota::Quota;

    #[test]
    fn a_line_says_how_many_were_read_and_what_is_awaited() {
        let mut progress = ReadProgress { machines: 1_490_000, calls: 150, ..ReadProgress::default() };
        let line = |progress: &ReadProgress| status_line(progress, &TimeZone::UTC);
        insta::assert_snapshot!(line(&progress), @"reading the tenant's machines: 1,490,000 so far, 150 calls");
        let quota: Quota = "100/1m,1500/1h".parse().expect("a quota");
        let far: Timestamp = "2020-05-01T14:05:10Z".parse().expect("a time");
        progress.waiting = Some((WaitCause::Window(quota.limits()[0]), Some(far)));
        insta::assert_snapshot!(line(&progress), @"next call 2020-05-01 14:05 UTC, waiting for the quota of 100 calls in 60 s; reading the tenant's machines: 1,490,000 so far, 150 calls");
    }
}
