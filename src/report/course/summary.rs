//! The end of a run: numbers that add up to the number of rows, the errors in groups with what to do about them, where
//! the time went, and the next command. As text for people, as one JSON object for scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::advice::{Advice, AdviceInput};
use super::counts::{calls_text, operations_text};
use super::obstacle::{Afterwards, obstacle_cause};
use super::progress::elapsed_text;
use super::reasons::{end_hint, end_text, obstacle, reason_code};
use super::spent::{spent_name, spent_text};
use crate::api::CallKind;
use crate::call::{asks_for_patience, is_disallowed_code, shows_outage};
use crate::dispatch::{EndReason, Progress};
use crate::model::Status;
use crate::model::row_code::WITHHELD;
use crate::outside::{Outside, shown};
use crate::report::output::frame::{Ending, joined};
use crate::report::output::screen::Screen;
use crate::report::output::style::Style;
use crate::report::results::target::ResultsTarget;
use crate::report::results::writing::{ErrorGroup, ErrorKey, Totals};
use crate::store::{RunCondition, RunEntry, RunSessionEnd};
use crate::words::{counted, describe_duration, group_digits, selected_rows};

/// How many groups of errors the text shows.
const SHOWN_ERROR_GROUPS: usize = 8;

/// How a run has ended that went to its end and does not know all of what it did.
pub(in crate::report) const UNFINISHED: &str = "unfinished";
/// Why a run that nothing stopped is not finished.
const SOME_ARE_UNKNOWN: &str = "some outcomes are unknown";

/// A run that is over.
#[derive(Debug)]
pub(crate) struct RunSummary<'a> {
    /// The run's name.
    pub run_id: &'a str,
    pub reason: &'a EndReason,
    /// What the engine counted.
    pub progress: &'a Progress,
    /// What the results hold.
    pub totals: &'a Totals,
    /// Where the results are.
    pub target: &'a ResultsTarget,
    /// Operations that a resumed run would send.
    pub open: u32,
    /// Options that the next command must repeat; each with a blank before it.
    pub repeated_options: &'a str,
    /// Options that the command must repeat which feeds rows back; each with a blank before it.
    pub reading_options: &'a str,
    /// What the one must repeat that resumes the run.
    pub resuming_options: &'a str,
    /// Whether it was a rehearsal.
    pub sandbox: bool,
    /// The exit status of the process.
    pub exit_status: u8,
    /// Where the rows came from.
    pub input: &'a str,
    /// How many rows that has, where a filter selected among them and it is known.
    pub selected_from: Option<u32>,
}

/// How a run ended whose results cannot be written: what the books say of its operations, or where those cannot be read
/// what the engine counted.
pub(crate) fn describe_end(run_id: &str, reason: &EndReason, stored: Option<&RunEntry>, progress: &Progress) -> String {
    let ended = match reason {
        EndReason::Finished => "is finished".to_owned(),
        reason => format!("stopped early, {}", end_text(reason, progress)),
    };
    let afterwards = Afterwards::of(stored.is_some_and(|entry| entry.condition == RunCondition::Unfinished));
    let hint = end_hint(reason, progress, afterwards).map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    let operations = stored.map_or_else(|| counted_text(progress), |entry| operations_text(&entry.operations));
    format!("Run {run_id} {ended}. Its operations: {operations}.{hint}")
}

/// The operations that the engine counted.
fn counted_text(progress: &Progress) -> String {
    let left = progress.operations.saturating_sub(progress.settled());
    let counts = Status::ALL.into_iter().map(|status| (progress.count(status), status_text(status)));
    let counts = counts.chain([(left, "left to be sent")]).filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, text)| format!("{} {text}", group_digits(count))).collect();
    if counts.is_empty() { "none to be sent".to_owned() } else { counts.join(", ") }
}

impl RunSummary<'_> {
    /// What the object for `--json` says of the run.
    pub(crate) fn json(&self) -> Value {
        let more = json!({
            "calls": calls_object(|kind| self.progress.calls.get(&kind).copied().unwrap_or(0)),
            "throttled": self.progress.throttled,
            "retried": self.progress.retried,
            "elapsed_seconds": rounded_seconds(self.progress.elapsed),
            "waited_seconds": rounded_seconds(self.progress.waited()),
            "missing_machines": self.totals.tolerated,
            "open": self.open,
            "next": self.next().map(|advice| advice.command),
        });
        joined(results_json(self.run_id, self.input, self.totals, self.target), more)
    }

    const fn afterwards(&self) -> Afterwards {
        Afterwards::of(self.open > 0)
    }

    fn hint(&self) -> Option<String> {
        end_hint(self.reason, self.progress, self.afterwards())
    }

    /// How it ended, for the object.
    pub(crate) fn ending(&self) -> Ending {
        let left = self.totals.count(Status::NotAttempted);
        let obstacle = obstacle(self.reason, self.progress).filter(|_| left > 0);
        let obstacle = obstacle.map(|obstacle| obstacle_cause(obstacle, left, self.afterwards()));
        Ending {
            exit_status: self.exit_status,
            ended: if self.is_unfinished() { UNFINISHED } else { reason_code(self.reason) },
            reason: self
                .stopped()
                .map(|reason| end_text(reason, self.progress))
                .or_else(|| self.is_unfinished().then(|| SOME_ARE_UNKNOWN.to_owned())),
            hint: self.hint(),
            causes: obstacle.into_iter().chain(self.causes().into_iter().map(cause_object)).collect(),
        }
    }

    /// How it ended, for the books.
    pub(crate) fn session_end(&self) -> RunSessionEnd {
        let Ending { exit_status, ended, reason, hint, .. } = self.ending();
        let spent = self.progress.spent.iter().map(|(part, time)| (spent_name(*part), *time)).collect();
        let next = self.next().map(|advice| advice.stored());
        RunSessionEnd { ended: ended.to_owned(), reason, hint, next, exit_status, spent }
    }

    /// The text for people.
    pub(crate) fn text(&self, screen: &Screen) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _written = writeln!(text, "{}", self.headline(screen));
        for status in Status::ALL {
            let count = self.totals.count(status);
            if count > 0 {
                let style = match status {
                    Status::Succeeded | Status::Unchanged => Style::Good,
                    Status::Failed | Status::Invalid => Style::Bad,
                    Status::Unknown | Status::NotAttempted => Style::Doubtful,
                };
                let _written =
                    writeln!(text, "  {:>11} {}", group_digits(count), screen.paint(style, status_text(status)));
            }
        }
        self.write_errors(&mut text, screen);
        self.write_time(&mut text);
        self.write_files(&mut text);
        text
    }

    /// Whether nothing stopped the run, and it is not known of all that it sent what became of it.
    fn is_unfinished(&self) -> bool {
        matches!(self.reason, EndReason::Finished) && self.open > 0
    }

    /// Why the run stopped; `None` when it did not.
    fn stopped(&self) -> Option<&EndReason> {
        Some(self.reason).filter(|reason| !matches!(reason, EndReason::Finished))
    }

    /// What to do next.
    fn next(&self) -> Option<Advice> {
        let Self { run_id, totals, target, open, sandbox, .. } = *self;
        let Self { repeated_options, reading_options, resuming_options, .. } = *self;
        AdviceInput { run_id, totals, target, open, repeated_options, reading_options, resuming_options, sandbox }
            .advice()
    }

    /// The errors, the most frequent first. What was never tried is no cause; it comes last, however often it is there.
    fn causes(&self) -> Vec<(&ErrorKey, &ErrorGroup)> {
        let mut causes: Vec<_> = self.totals.errors.iter().collect();
        causes.sort_by_key(|(key, group)| {
            (key.status == Status::NotAttempted, std::cmp::Reverse(group.rows), group.example_row)
        });
        causes
    }

    fn headline(&self, screen: &Screen) -> String {
        let rows = selected_rows(self.totals.rows, self.selected_from);
        let run = screen.paint(Style::Strong, self.run_id);
        let ended = match self.reason {
            _ if self.is_unfinished() => format!("Run {run} is unfinished, since {SOME_ARE_UNKNOWN}: {rows}."),
            EndReason::Finished => format!("Run {run} is finished: {rows}."),
            reason => {
                let why = end_text(reason, self.progress);
                format!("Run {run} of {rows} stopped early, {}.", why.trim_end_matches('.'))
            }
        };
        match self.hint() {
            Some(hint) => format!("{ended}\n  {} {hint}", screen.paint(Style::Strong, "hint:")),
            None => ended,
        }
    }

    fn write_errors(&self, text: &mut String, screen: &Screen) {
        let causes = self.causes();
        let (left_out, wrong): (Vec<_>, Vec<_>) =
            causes.into_iter().take(SHOWN_ERROR_GROUPS).partition(|(key, _)| key.status == Status::NotAttempted);
        for (heading, groups) in [("What went wrong:", wrong), ("What was not attempted:", left_out)] {
            if !groups.is_empty() {
                let _written = writeln!(text, "{}", screen.paint(Style::Strong, heading));
            }
            for (key, group) in groups {
                write_group(text, key, group);
            }
        }
        let rest: u64 = self.causes().iter().skip(SHOWN_ERROR_GROUPS).map(|(_, group)| group.rows).sum();
        if rest > 0 {
            let _written = writeln!(text, "  {} × for other reasons; see the results", group_digits(rest));
        }
        if self.totals.tolerated > 0 {
            let rows = counted(self.totals.tolerated, "row", "rows");
            let _written = writeln!(text, "Tolerated: {rows} whose machine is gone (--skip-missing-machines)");
        }
        if self.totals.left_to_others > 0 {
            let rows = counted(self.totals.left_to_others, "row", "rows");
            let _written =
                writeln!(text, "Left alone: {rows}, changed by a later run or from outside tagfleet (changed_since)");
        }
        if self.totals.without_before > 0 {
            let rows = counted(self.totals.without_before, "row", "rows");
            let _written =
                writeln!(text, "Left alone: {rows}, since what was there before is not known (unknown_before)");
        }
    }

    fn write_time(&self, text: &mut String) {
        let progress = self.progress;
        let calls: u64 = progress.calls.values().sum();
        let by_kind: Vec<String> = progress
            .calls
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(kind, count)| calls_text(Some(*kind), *count))
            .collect();
        let _written = write!(text, "Calls: {}", group_digits(calls));
        if !by_kind.is_empty() {
            let _written = write!(text, " ({})", by_kind.join(", "));
        }
        for (count, what) in [(progress.throttled, "refused for quota"), (progress.retried, "repeated")] {
            if count > 0 {
                let _written = write!(text, ", {} {what}", group_digits(count));
            }
        }
        let _written = write!(text, ". Time: {}", elapsed_text(progress));
        let mut spent: Vec<_> = progress.spent.iter().filter(|(_, time)| *time >= Duration::from_millis(50)).collect();
        spent.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        let parts: Vec<String> =
            spent.iter().map(|(part, time)| format!("{} {}", describe_duration(*time), spent_text(*part))).collect();
        let _written = if parts.is_empty() { writeln!(text, ".") } else { writeln!(text, " ({}).", parts.join(", ")) };
    }

    fn write_files(&self, text: &mut String) {
        if let Some(results) = self.target.results() {
            let _written = writeln!(text, "Results: {}", shown(results));
            if !self.totals.kept.is_empty() {
                let _written = writeln!(text, "{}", kept_text(&self.totals.kept));
            }
            if let Some(failed) = self.target.failed().filter(|_| self.totals.failed_rows > 0) {
                let (failed, rows) = (shown(failed), group_digits(self.totals.failed_rows));
                let but = if self.totals.has_withheld() { "; do not feed back what was withheld" } else { "" };
                let _written = writeln!(text, "Rows not done: {failed} ({rows}{but})");
            }
        }
        if self.totals.unsaid > 0 {
            let rows = counted(self.totals.unsaid, "row that was not done is", "rows that were not done are");
            let why = "its tag begins or ends with a blank, which no file can say; run the same command again";
            let _written = writeln!(text, "{rows} in no file: {why}");
        }
        if let Some(advice) = self.next() {
            let _written = writeln!(text, "{}", advice.text());
        }
    }
}

/// What the object for `--json` says of results that were written.
pub(crate) fn results_json(run_id: &str, input: &str, totals: &Totals, target: &ResultsTarget) -> Value {
    let statuses: BTreeMap<&str, u64> =
        Status::ALL.into_iter().map(|status| (status.as_str(), totals.count(status))).collect();
    let path = |path: &Path| path.to_string_lossy().into_owned();
    json!({
        "run_id": run_id,
        "input": input,
        "rows": totals.rows,
        "status": statuses,
        "results": target.results().map(path),
        "failed": target.failed().filter(|_| totals.failed_rows > 0).map(path),
        "kept": totals.kept.iter().map(|kept| path(kept)).collect::<Vec<_>>(),
    })
}

/// Says where the results of an earlier run are now.
pub(crate) fn kept_text(kept: &[PathBuf]) -> String {
    let paths: Vec<String> = kept.iter().map(shown).collect();
    format!("Kept: {} (results of an earlier run)", paths.join(", "))
}

fn write_group(text: &mut String, key: &ErrorKey, group: &ErrorGroup) {
    let http = key.http_status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
    let (code, message) = (Outside::new(&key.code).line(), Outside::new(&group.message).line());
    let rows = group_digits(group.rows);
    let first = if group.rows == 1 { "in row" } else { "first in row" };
    // Writing into a string cannot fail.
    let _written = writeln!(text, "  {rows} × {code}{http}, {first} {}: {message}", group.example_row);
    // What to do about rows in error is what comes next, and is said there, once.
    if let Some(hint) = error_hint(key).filter(|_| key.status != Status::Invalid) {
        let _written = writeln!(text, "      {hint}");
    }
}

/// Why rows are not done, for scripts.
pub(in crate::report) fn cause_object((key, group): (&ErrorKey, &ErrorGroup)) -> Value {
    json!({
        "code": Outside::new(&key.code).json(),
        "status": key.status.as_str(),
        "http_status": key.http_status,
        "message": Outside::new(&group.message).json(),
        "count": group.rows,
        "first_row": group.example_row,
        "hint": error_hint(key),
    })
}

/// How many calls of each kind, under the names that JSON has for them.
pub(in crate::report) fn calls_object(count: impl Fn(CallKind) -> u64) -> BTreeMap<&'static str, u64> {
    CallKind::ALL.into_iter().map(|kind| (kind.as_str(), count(kind))).collect()
}

/// Seconds with three digits after the point.
fn rounded_seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

pub(in crate::report) const fn status_text(status: Status) -> &'static str {
    match status {
        Status::Succeeded => "succeeded",
        Status::Unchanged => "unchanged (already set)",
        Status::Failed => "failed",
        Status::Unknown => "unknown (sent, and may have been done)",
        Status::NotAttempted => "not attempted",
        Status::Invalid => "invalid (not sent)",
    }
}

/// What to do about a group of errors.
pub(in crate::report) fn error_hint(key: &ErrorKey) -> Option<&'static str> {
    Some(match (key.status, key.http_status, key.code.as_str()) {
        (Status::NotAttempted, None, WITHHELD) => {
            "look at them with tagfleet plan; to let them go, run the same command again with --allow-removals and their number"
        }
        (Status::NotAttempted, None, _) => return None,
        (Status::Invalid, ..) => "fix these rows in the file of rows to feed back",
        (Status::Unknown, ..) => {
            "resume the run, which finds out what became of them; sending a tag or a value again does no harm"
        }
        (_, Some(404), _) => {
            "check the ids: they may be damaged, of another tenant, or older than the retention period"
        }
        (_, Some(403), code) if is_disallowed_code(code) => {
            "look at asset rules, policies and device groups: the service allows no change of these machines by hand"
        }
        (_, Some(403), _) => "check that the app has Machine.ReadWrite.All, and the machine groups of its role",
        (_, _, "not_applied") => {
            "look for an asset rule, or a tag set in the device's registry, that stands against it"
        }
        (_, Some(status), _) if asks_for_patience(status) || shows_outage(status) => {
            "repeat these rows when the service works again (tagfleet check)"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
