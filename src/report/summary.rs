//! The end of a run: numbers that add up to the number of rows, the errors in groups with what to do about them, where
//! the time went, and the next command. As text for people, as one JSON object for scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::json;

use super::progress::{clock_time, elapsed_text, trouble_text};
use super::results::{ErrorKey, ResultsTarget, Totals};
use super::screen::{Screen, Style};
use crate::api::CallKind;
use crate::call::{AbortCause, AbortReason};
use crate::dispatch::{EndReason, Progress, Spent};
use crate::model::Status;
use crate::quota;

/// The version of the JSON object; fields may be added under it, never changed.
pub(super) const SCHEMA_VERSION: u32 = 1;
/// How many groups of errors the text shows.
const SHOWN_ERROR_GROUPS: usize = 8;

/// A run that is over.
#[derive(Debug)]
pub struct RunSummary<'a> {
    /// The run's name.
    pub run_id: &'a str,
    /// Why it ended.
    pub reason: &'a EndReason,
    /// What the engine counted.
    pub progress: &'a Progress,
    /// What the results hold.
    pub totals: &'a Totals,
    /// Where the results are.
    pub target: &'a ResultsTarget,
    /// Operations that a resumed run would send.
    pub open: u32,
    /// The state directory, if it was named on the command line: the next command must name it, too.
    pub named_state_directory: Option<&'a Path>,
    /// Whether it was a rehearsal.
    pub sandbox: bool,
    /// The exit status of the process.
    pub exit_status: u8,
}

/// How a run ended whose results cannot be written, from what the engine counted.
#[must_use]
pub fn describe_end(run_id: &str, reason: &EndReason, progress: &Progress) -> String {
    let ended = match reason {
        EndReason::Finished => "is finished".to_owned(),
        reason => format!("stopped early, {}", reason_text(reason)),
    };
    let left = progress.operations.saturating_sub(progress.settled());
    let counts = Status::ALL.into_iter().map(|status| (progress.count(status), status_text(status)));
    let counts: Vec<String> = counts
        .chain([(left, "left to be sent")])
        .filter(|(count, _)| *count > 0)
        .map(|(count, text)| format!("{} {text}", group_digits(count)))
        .collect();
    let hint = reason_hint(reason).map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    format!("Run {run_id} {ended}. Its operations: {}.{hint}", counts.join(", "))
}

impl RunSummary<'_> {
    /// The object for `--json`.
    #[must_use]
    pub fn json(&self) -> String {
        let calls = calls_object(|kind| self.progress.calls.get(&kind).copied().unwrap_or(0));
        let statuses: BTreeMap<&str, u64> =
            Status::ALL.into_iter().map(|status| (status.as_str(), self.totals.count(status))).collect();
        let (results, failed) = match self.target {
            ResultsTarget::StandardOutput => (None, None),
            ResultsTarget::File { results, failed } => (
                Some(results.display().to_string()),
                (self.totals.failed_rows > 0).then(|| failed.display().to_string()),
            ),
        };
        let object = json!({
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "rows": self.totals.rows,
            "status": statuses,
            "calls": calls,
            "throttled": self.progress.throttled,
            "retried": self.progress.retried,
            "elapsed_seconds": rounded_seconds(self.progress.elapsed),
            "waited_seconds": rounded_seconds(self.progress.waited()),
            "ended": reason_code(self.reason),
            "results": results,
            "failed": failed,
            "open": self.open,
            "exit_status": self.exit_status,
        });
        format!("{object}\n")
    }

    /// The text for people.
    #[must_use]
    pub fn text(&self, screen: &Screen) -> String {
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

    fn headline(&self, screen: &Screen) -> String {
        let rows = format!("{} rows", group_digits(self.totals.rows));
        let run = screen.paint(Style::Strong, self.run_id);
        let ended = match self.reason {
            EndReason::Finished => format!("Run {run} is finished: {rows}."),
            reason => format!("Run {run} stopped early, {}: {rows}.", reason_text(reason)),
        };
        match reason_hint(self.reason) {
            Some(hint) => format!("{ended}\n  {} {hint}", screen.paint(Style::Strong, "hint:")),
            None => ended,
        }
    }

    fn write_errors(&self, text: &mut String, screen: &Screen) {
        let mut groups: Vec<_> = self.totals.errors.iter().collect();
        if groups.is_empty() {
            return;
        }
        // What was never tried is no cause; it comes last, however often it is there.
        groups.sort_by_key(|(key, group)| {
            (key.status == Status::NotAttempted, std::cmp::Reverse(group.rows), group.example_row)
        });
        let _written = writeln!(text, "{}", screen.paint(Style::Strong, "What went wrong:"));
        for (key, group) in groups.iter().take(SHOWN_ERROR_GROUPS) {
            let http = key.http_status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
            let _written = writeln!(
                text,
                "  {} × {}{http}, first in row {}: {}",
                group_digits(group.rows),
                printable(&key.code),
                group.example_row,
                printable(&group.message),
            );
            if let Some(hint) = error_hint(key) {
                let _written = writeln!(text, "      {hint}");
            }
        }
        let rest: u64 = groups.iter().skip(SHOWN_ERROR_GROUPS).map(|(_, group)| group.rows).sum();
        if rest > 0 {
            let _written = writeln!(text, "  {} × for other reasons; see the results", group_digits(rest));
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
        if by_kind.len() > 1 {
            let _written = write!(text, " ({})", by_kind.join(", "));
        }
        for (count, what) in [(progress.throttled, "refused for quota"), (progress.retried, "had to be repeated")] {
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
        let mut feed_back = None;
        if let ResultsTarget::File { results, failed } = self.target {
            let _written = writeln!(text, "Results: {}", results.display());
            if self.totals.failed_rows > 0 {
                let rows = group_digits(self.totals.failed_rows);
                let _written = writeln!(text, "Rows to feed back: {} ({rows})", failed.display());
                feed_back = Some(failed);
            }
        }
        if self.open > 0 {
            let state = self.named_state_directory.map(|path| format!(" --state-dir {}", shell_word(path)));
            let _written = writeln!(text, "Next: tagfleet resume {}{}", self.run_id, state.unwrap_or_default());
        } else if let Some(failed) = feed_back {
            let sandbox = if self.sandbox { " --sandbox" } else { "" };
            let _written = writeln!(text, "Next: tagfleet apply {}{sandbox}", shell_word(failed));
        }
    }
}

/// How many calls of each kind, under the names that JSON has for them.
pub(super) fn calls_object(count: impl Fn(CallKind) -> u64) -> BTreeMap<&'static str, u64> {
    CallKind::ALL.into_iter().map(|kind| (kind.as_str(), count(kind))).collect()
}

/// Seconds with three digits after the point.
fn rounded_seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A count with a comma after every three digits.
#[must_use]
pub fn group_digits(count: u64) -> String {
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

/// A duration for people: `0.3 s`, `1 min 5 s`, `2 h 14 min`.
#[must_use]
pub fn describe_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// An error with its causes, on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = printable(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing into a string cannot fail.
        let _written = write!(text, ": {}", printable(&error.to_string()));
        cause = error.source();
    }
    text
}

/// A text from outside on one line, without anything that a terminal obeys.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// A path as a word that can be pasted into a shell.
pub(super) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |character: char| character.is_alphanumeric() || "/._-+:\\".contains(character);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

const fn status_text(status: Status) -> &'static str {
    match status {
        Status::Succeeded => "succeeded",
        Status::Unchanged => "unchanged (so already)",
        Status::Failed => "failed",
        Status::Unknown => "unknown (sent, never answered)",
        Status::NotAttempted => "not attempted",
        Status::Invalid => "invalid (not sent)",
    }
}

/// So many calls of a kind, in words; of a kind that is not known any more, where there is none.
pub(super) fn calls_text(kind: Option<CallKind>, count: u64) -> String {
    let (one, many) = match kind {
        Some(CallKind::List) => ("page of machines", "pages of machines"),
        Some(CallKind::Get) => ("single machine", "single machines"),
        Some(CallKind::Bulk) => ("bulk call", "bulk calls"),
        Some(CallKind::Tags) => ("tag", "tags"),
        Some(CallKind::Value) => ("device value", "device values"),
        None => ("other", "others"),
    };
    counted(count, one, many)
}

/// A count with what is counted.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {many}", group_digits(count)) }
}

fn spent_text(part: Spent) -> String {
    match part {
        Spent::Calls => "in calls".to_owned(),
        Spent::Quota(None) => "spreading calls".to_owned(),
        Spent::Quota(Some(limit)) => {
            format!("waiting for the quota of {} per {}", limit.calls, quota::describe(limit.window))
        }
        Spent::Throttled => "waiting because the service asked to".to_owned(),
        Spent::Retries => "waiting to try again".to_owned(),
        Spent::Machines => "reading the tenant's machines".to_owned(),
        Spent::ListLag => "waiting for the service's list to show the latest writes".to_owned(),
        Spent::Outage => "waiting for the service to come back".to_owned(),
        Spent::Own => "in the program itself".to_owned(),
    }
}

/// Why a run ended, for JSON.
const fn reason_code(reason: &EndReason) -> &'static str {
    match reason {
        EndReason::Finished => "finished",
        EndReason::Interrupted | EndReason::Halted => "interrupted",
        EndReason::Deadline => "deadline",
        EndReason::TooManyErrors => "too_many_errors",
        EndReason::Outage { .. } => "outage",
        EndReason::Forbidden { .. } => "forbidden",
        EndReason::NoInventory { .. } => "inventory_not_read",
        EndReason::Aborted(AbortCause::SignIn(_)) => "sign_in_failed",
        EndReason::Aborted(AbortCause::TokenRefused) => "token_refused",
        EndReason::Aborted(AbortCause::Refused(_)) => "refused",
        EndReason::Aborted(AbortCause::Unreachable { .. }) => "unreachable",
        EndReason::Aborted(AbortCause::ThrottledForGood) => "throttled",
        EndReason::StoreFailed(_) => "storage_failed",
    }
}

/// Why a run ended, for people, as the rest of a sentence.
pub(super) fn reason_text(reason: &EndReason) -> String {
    match reason {
        EndReason::Finished => "at its end".to_owned(),
        EndReason::Interrupted | EndReason::Halted => "interrupted".to_owned(),
        EndReason::Deadline => "at its deadline".to_owned(),
        EndReason::TooManyErrors => "because too many rows failed".to_owned(),
        EndReason::Outage { since, trouble } => {
            let since = clock_time(*since, &TimeZone::system());
            format!("because the service has been in trouble since {since} ({})", trouble_text(*trouble))
        }
        EndReason::Forbidden { message } => {
            let words = message.as_deref().map(|message| format!(": {}", printable(message))).unwrap_or_default();
            format!("because the service refuses this app (403){words}")
        }
        EndReason::NoInventory { description, .. } => format!("because {}", printable(description)),
        EndReason::Aborted(AbortCause::SignIn(error)) => {
            format!("because signing in failed: {}", causes(error))
        }
        EndReason::Aborted(AbortCause::TokenRefused) => "because the service refuses every token (401)".to_owned(),
        EndReason::Aborted(AbortCause::Refused(AbortReason::Redirected { status, location })) => format!(
            "because the base URL leads elsewhere (HTTP {status}{})",
            location.as_deref().map(|host| format!(" to {}", printable(host))).unwrap_or_default()
        ),
        EndReason::Aborted(AbortCause::Refused(AbortReason::ProxyAuthentication)) => {
            "because the proxy wants to know who is asking (407)".to_owned()
        }
        EndReason::Aborted(AbortCause::Refused(AbortReason::Untrusted { description, .. })) => {
            format!("because {}", printable(description))
        }
        EndReason::Aborted(AbortCause::Unreachable { description }) => {
            format!("because the service was never reached: {}", printable(description))
        }
        EndReason::Aborted(AbortCause::ThrottledForGood) => {
            "because the service refuses every call for quota (429)".to_owned()
        }
        EndReason::StoreFailed(error) => format!("because outcomes can no longer be stored: {}", causes(error)),
    }
}

/// What to do about the end of a run.
pub(super) fn reason_hint(reason: &EndReason) -> Option<String> {
    Some(match reason {
        EndReason::Finished => return None,
        EndReason::Interrupted | EndReason::Halted | EndReason::Deadline => {
            "the same command goes on where this run stopped, and so does the one below".to_owned()
        }
        EndReason::Outage { .. } => {
            "run the same command again when the service is back; --max-outage sets how long a run waits for that"
                .to_owned()
        }
        EndReason::TooManyErrors => "see the errors below; --max-errors sets how many are allowed".to_owned(),
        EndReason::Forbidden { .. } => {
            "give the app the application permission Machine.ReadWrite.All for WindowsDefenderATP, with an \
             administrator's consent (a person needs Machine.ReadWrite and the role 'Manage security setting'), and \
             check --cloud: a token for another cloud is refused as well"
                .to_owned()
        }
        EndReason::NoInventory { hint, .. } => (*hint).to_owned(),
        EndReason::Aborted(AbortCause::SignIn(error)) => return error.hint(),
        EndReason::Aborted(AbortCause::TokenRefused) => {
            "check --cloud and the permission Machine.ReadWrite.All; a token for another cloud or API is refused so"
                .to_owned()
        }
        EndReason::Aborted(AbortCause::Refused(AbortReason::Redirected { .. })) => {
            "check --base-url and --cloud; a proxy that wants a sign-in redirects, too. The token was sent nowhere else"
                .to_owned()
        }
        EndReason::Aborted(AbortCause::Refused(AbortReason::ProxyAuthentication)) => {
            "put the proxy's user name and password into HTTPS_PROXY, or ask for a way past it".to_owned()
        }
        EndReason::Aborted(AbortCause::Refused(AbortReason::Untrusted { problem, .. })) => problem.hint().to_owned(),
        EndReason::Aborted(AbortCause::Unreachable { .. }) => {
            "most likely the address is wrong: check --base-url and --cloud, then the network, HTTPS_PROXY and the firewall; \
             then run the same command again"
                .to_owned()
        }
        EndReason::Aborted(AbortCause::ThrottledForGood) => {
            "find out what else uses the quota of this app, and run the rows that are left later".to_owned()
        }
        EndReason::StoreFailed(error) => return error.hint(),
    })
}

/// What to do about a group of errors.
fn error_hint(key: &ErrorKey) -> Option<&'static str> {
    Some(match (key.status, key.http_status, key.code.as_str()) {
        (Status::NotAttempted, None, _) => return None,
        (Status::Unknown, ..) => "feed these rows back: repeating a tag or a value that is set does no harm",
        (Status::Invalid, ..) => "mend these rows and feed them back",
        (_, Some(404), _) => {
            "the tenant does not have these machines (any more): the id may be damaged, of another tenant, or older than \
             the retention period"
        }
        (_, Some(403), _) => {
            "the app may not change these machines: check Machine.ReadWrite.All and the machine groups of its role"
        }
        (_, _, "not_applied") => {
            "look for an asset rule, or a tag set in the device's registry, that stands against it"
        }
        (_, Some(408 | 500..), _) => "the service was in trouble; feed these rows back later",
        (_, Some(400), _) => "the service finds the request wrong; its message says why",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
