//! The metrics of a command, in the text format of Prometheus.
//!
//! A page is of one job. While a run is in progress, what only its end will tell stands as the run before left it, so that
//! no alert goes away because the next run has begun. That, and when the job last succeeded, is read back from the page
//! that stands there; the state knows runs, but neither jobs nor exit statuses, nothing of verifications and nothing of
//! files that were refused, and it forgets. Only where there is no page is it asked when the input was last done.

use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use jiff::Timestamp;

use super::live_status::{QuotaUse, StatusSnapshot};
use crate::api::CallKind;
use crate::dispatch::{Progress, Spent};
use crate::model::{Bucket, Status};
use crate::outside::shown;
use crate::plan::verification::Finding;
use crate::store::CallTally;

/// How the first line of a page begins, by which one of ours is known.
pub(super) const FIRST_LINE: &str = "# HELP tagfleet_build_info ";

/// What a row of a verification is called that was never compared.
const INVALID: &str = "invalid";
/// What is said of the machines about which the rules of a verification are undecided.
const UNDECIDED: &str = "undecided";

/// What an attempt can come to.
const CALL_RESULTS: [&str; 5] = ["ok", "throttled", "refused", "failed", "lost"];

/// For what everybody can wait.
const WAIT_REASONS: [&str; 7] = ["pacing", "quota", "throttled", "retries", "outage", "list_lag", "state"];

/// The values of a page that was written before, by their names with all labels.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct Earlier(HashMap<String, f64>);

impl Earlier {
    /// Reads a page; of what is no page of ours, nothing is found later.
    pub(super) fn of(page: &str) -> Self {
        let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let value = value.parse().ok().filter(|value: &f64| value.is_finite())?;
            Some((series.to_owned(), value))
        });
        Self(samples.collect())
    }
}

/// What a page is about.
#[derive(Clone, Debug)]
pub(in crate::report) struct Job {
    /// Its name, as a label has it.
    name: String,
}

impl Job {
    pub(super) fn new(name: &str) -> Self {
        Self { name: escaped(&shown(name)) }
    }

    /// When it last succeeded, as the page says that was written before; a time to come, of a clock that was wrong, would
    /// keep every alert silent.
    pub(super) fn last_success(&self, earlier: &Earlier, now: Timestamp) -> Option<f64> {
        let told = earlier.0.get(&self.series("run_last_success_timestamp_seconds", &[])).copied();
        told.filter(|time| *time > 0.0 && *time <= now.as_duration().as_secs_f64())
    }

    fn series(&self, name: &str, labels: &[(&str, &str)]) -> String {
        let mut series = format!("tagfleet_{name}{{job=\"{}\"", self.name);
        for (label, value) in labels {
            // Writing into a string cannot fail.
            let _written = write!(series, ",{label}=\"{}\"", escaped(value));
        }
        series + "}"
    }
}

/// The value of a label, as the format has it.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// A command at one moment.
pub(in crate::report) struct Moment<'a> {
    pub(super) job: &'a Job,
    pub(super) earlier: &'a Earlier,
    /// When the job last succeeded, in seconds since 1970.
    pub(super) last_success: Option<f64>,
    pub(super) started_at: Timestamp,
    pub(super) now: Timestamp,
    pub(super) elapsed: Duration,
    /// How it has ended, if it has.
    pub(super) exit_status: Option<u8>,
    pub(super) standing: &'a StatusSnapshot,
}

impl Moment<'_> {
    pub(super) fn page(&self) -> String {
        let (job, earlier, text) = (self.job, self.earlier, String::new());
        let mut page = Page { job, earlier, text, name: "", help: None };
        let ended = self.exit_status.is_some();
        page.gauge("build_info", "The version of tagfleet that wrote this.");
        page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.gauge("run_in_progress", "1 while a run is in progress, 0 once it has ended.");
        page.sample(&[], u8::from(!ended));
        page.gauge("run_last_start_timestamp_seconds", "When the last run began.");
        page.sample(&[], seconds(self.started_at));
        page.gauge("run_last_end_timestamp_seconds", "When the last completed run ended.");
        page.sample_or_earlier(&[], ended.then(|| seconds(self.now)));
        page.gauge("run_last_success_timestamp_seconds", "When a run last ended with exit status 0.");
        let is_success = self.exit_status == Some(0);
        if let Some(time) = is_success.then(|| seconds(self.now)).or(self.last_success) {
            page.sample(&[], time);
        }
        page.gauge("run_last_exit_status", "The exit status of the last completed run.");
        page.sample_or_earlier(&[], self.exit_status);
        page.gauge("run_duration_seconds", "How long the last run took, or has taken so far.");
        page.sample(&[], format!("{:.3}", self.elapsed.as_secs_f64()));
        self.write_rows(&mut page);
        write_calls(&mut page, &self.standing.calls);
        write_waits(&mut page, &self.standing.progress);
        write_quota(&mut page, &self.standing.quota);
        self.write_drift(&mut page);
        page.text
    }

    fn write_rows(&self, page: &mut Page<'_>) {
        page.gauge("run_rows", "Rows of the last run by status; absent if the run was refused.");
        for status in Status::ALL {
            let rows = self.standing.rows.as_ref().map(|rows| rows.get(&status).copied().unwrap_or(0));
            self.end_result(page, &[("status", status.as_str())], rows);
        }
    }

    fn write_drift(&self, page: &mut Page<'_>) {
        page.gauge("drift", "Rows of the last verification, by what was found; of undecided, machines.");
        for finding in Finding::ALL {
            let rows = self.standing.drift.as_ref().map(|drift| drift.count(finding));
            self.end_result(page, &[("result", finding.as_str())], rows);
        }
        let drift = self.standing.drift.as_ref();
        self.end_result(page, &[("result", INVALID)], drift.map(|drift| drift.invalid));
        self.end_result(page, &[("result", UNDECIDED)], drift.map(|drift| drift.undecided_machines));
    }

    /// What only the end of a run tells: until then it stands as the run before left it. A run that ended without it leaves
    /// nothing of an earlier one.
    fn end_result(&self, page: &mut Page<'_>, labels: &[(&str, &str)], value: Option<u64>) {
        match value {
            Some(value) => page.sample(labels, value),
            None if self.exit_status.is_none() => page.sample_or_earlier(labels, None::<u64>),
            None => {}
        }
    }
}

fn write_calls(page: &mut Page<'_>, calls: &[CallTally]) {
    page.gauge("run_calls", "Calls of the last run that are over, by kind and by what became of them.");
    let count = |suits: &dyn Fn(&CallTally) -> bool| -> u64 {
        calls.iter().filter(|tally| suits(tally)).map(|tally| u64::from(tally.calls)).sum()
    };
    for kind in CallKind::ALL.map(CallKind::as_str) {
        for result in CALL_RESULTS {
            let calls = count(&|tally| tally.kind == kind && call_result(tally.http_status) == result);
            page.sample(&[("kind", kind), ("result", result)], calls);
        }
    }
    page.gauge("run_throttled", "Calls of the last run that the service refused for quota (429).");
    page.sample(&[], count(&|tally| call_result(tally.http_status) == "throttled"));
}

const fn call_result(http_status: Option<u16>) -> &'static str {
    match http_status {
        Some(200..=299) => "ok",
        Some(429) => "throttled",
        Some(400..=499) => "refused",
        Some(_) => "failed",
        None => "lost",
    }
}

fn write_waits(page: &mut Page<'_>, progress: &Progress) {
    page.gauge("run_wait_seconds", "How long the last run had no request on its way, by what it waited for.");
    for reason in WAIT_REASONS {
        let waits = progress.spent.iter().filter(|(part, _)| wait_reason(*part) == Some(reason));
        let waited: Duration = waits.map(|(_, time)| *time).sum();
        page.sample(&[("reason", reason)], format!("{:.3}", waited.as_secs_f64()));
    }
}

/// What a part of the time was waited for; `None` for a part in which something was done.
const fn wait_reason(part: Spent) -> Option<&'static str> {
    Some(match part {
        Spent::Quota(None) => "pacing",
        Spent::Quota(Some(_)) => "quota",
        Spent::Throttled => "throttled",
        Spent::Retries => "retries",
        Spent::Outage => "outage",
        Spent::ListLag => "list_lag",
        Spent::State => "state",
        Spent::Calls
        | Spent::Input
        | Spent::Machines
        | Spent::SignIn
        | Spent::Question
        | Spent::OtherRun
        | Spent::Results
        | Spent::Own => return None,
    })
}

fn write_quota(page: &mut Page<'_>, uses: &[QuotaUse]) {
    let help = "Calls that count in the window, of every process that shares the state.";
    for (name, help, is_limit) in
        [("quota_used", help, false), ("quota_limit", "Calls that may count in the window.", true)]
    {
        page.gauge(name, help);
        for one in uses {
            let bucket = match one.bucket {
                Some(Bucket::Machines) => "machines",
                Some(Bucket::Tags) => "tags",
                Some(Bucket::Value) => "value",
                Some(Bucket::BulkTags) => "bulk_tags",
                None => "all",
            };
            let window = format!("{}s", one.limit.window.as_secs_f64());
            let figure = if is_limit { one.limit.calls.get() } else { one.used };
            page.sample(&[("bucket", bucket), ("window", &window)], figure);
        }
    }
}

/// A moment in seconds since 1970.
pub(super) fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

/// A page that is being written. What a metric is about stands before its first sample, and not without one.
struct Page<'a> {
    job: &'a Job,
    earlier: &'a Earlier,
    text: String,
    name: &'static str,
    help: Option<&'static str>,
}

impl Page<'_> {
    /// From now on it is about this metric.
    fn gauge(&mut self, name: &'static str, help: &'static str) {
        (self.name, self.help) = (name, Some(help));
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let name = self.name;
        // Writing into a string cannot fail.
        if let Some(help) = self.help.take() {
            let _written = writeln!(self.text, "# HELP tagfleet_{name} {help}\n# TYPE tagfleet_{name} gauge");
        }
        let _written = writeln!(self.text, "{} {value}", self.job.series(name, labels));
    }

    /// The value, or the one of the page before; none where that has none either.
    fn sample_or_earlier(&mut self, labels: &[(&str, &str)], value: Option<impl Display>) {
        match value {
            Some(value) => self.sample(labels, value),
            None => {
                if let Some(value) = self.earlier.0.get(&self.job.series(self.name, labels)).copied() {
                    self.sample(labels, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
