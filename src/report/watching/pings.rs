//! What is said to a service that watches whether a job runs, in the words of each service; and whether it was heard.
//!
//! Counts only: no machine, tag, tenant or file is named. What surprises: Healthchecks answers 200 for an address that it
//! does not know and for pings that are too many, and says so in the body only. Uptime Kuma knows no beginning of a job,
//! since its push monitors wait for the next sign of life, and refuses a duration of more than a day.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;

use super::live_status::StatusSnapshot;
use crate::api::{Ping, PingAnswer, PingLoss};
use crate::model::Status;

/// Uptime Kuma takes no longer time than this.
const KUMA_LONGEST: Duration = Duration::from_hours(24);

/// What Uptime Kuma answers.
#[derive(Deserialize)]
struct KumaAnswer {
    ok: bool,
}

/// Whose address is pinged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PingStyle {
    /// Healthchecks, hosted or one's own.
    #[default]
    Healthchecks,
    /// Cronitor's telemetry of jobs.
    Cronitor,
    /// A push monitor of Uptime Kuma.
    UptimeKuma,
}

/// What a ping is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PingOccasion {
    /// The command begins.
    Start,
    /// It has gone on for another hour.
    Underway,
    /// It has ended.
    End {
        /// With this exit status.
        exit_status: u8,
        /// Which counts as a success, or not.
        is_success: bool,
    },
}

/// Why a ping counts as not heard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PingFailure {
    /// Nobody answered.
    #[error(transparent)]
    Lost(#[from] PingLoss),
    /// The answer is another one than that of success.
    #[error("HTTP {0}")]
    Status(u16),
    /// The service does not know the address.
    #[error("the service does not know the address")]
    UnknownAddress,
    /// The service has heard too many.
    #[error("the service takes no more pings for a while")]
    TooMany,
    /// Somebody else has answered.
    #[error("the answer is not the service's")]
    NotUnderstood,
}

impl PingFailure {
    /// Whether it may be heard another time.
    pub(crate) const fn is_transient(&self) -> bool {
        match self {
            Self::Lost(loss) => loss.is_transient(),
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::UnknownAddress | Self::TooMany | Self::NotUnderstood => false,
        }
    }
}

/// A command that is reported on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PingSubject<'a> {
    /// What it is called on the command line.
    pub command: &'a str,
    /// The mark that its pings have in common.
    pub run: &'a str,
    /// How long it has been going on.
    pub elapsed: Duration,
    /// Where it stands.
    pub standing: &'a StatusSnapshot,
}

impl PingStyle {
    /// What to say; nothing where the service has no word for it.
    pub(crate) fn ping(self, occasion: PingOccasion, subject: &PingSubject<'_>) -> Option<Ping> {
        match self {
            Self::Healthchecks => Some(healthchecks(occasion, subject)),
            Self::Cronitor => cronitor(occasion, subject),
            Self::UptimeKuma => uptime_kuma(occasion, subject),
        }
    }

    /// Whether the service has heard a ping.
    ///
    /// # Errors
    /// [`PingFailure`] when it has not.
    pub(crate) fn judge(self, answer: &PingAnswer) -> Result<(), PingFailure> {
        if !(200..300).contains(&answer.status) {
            return Err(match answer.status {
                404 => PingFailure::UnknownAddress,
                status => PingFailure::Status(status),
            });
        }
        match self {
            Self::Healthchecks => match answer.body.trim() {
                "OK" => Ok(()),
                "OK (not found)" => Err(PingFailure::UnknownAddress),
                "OK (rate limited)" => Err(PingFailure::TooMany),
                _ => Err(PingFailure::NotUnderstood),
            },
            // What stands in its answers is not documented.
            Self::Cronitor => Ok(()),
            Self::UptimeKuma => match serde_json::from_str(&answer.body) {
                Ok(KumaAnswer { ok: true }) => Ok(()),
                Ok(KumaAnswer { ok: false }) => Err(PingFailure::UnknownAddress),
                Err(_other) => Err(PingFailure::NotUnderstood),
            },
        }
    }
}

fn healthchecks(occasion: PingOccasion, subject: &PingSubject<'_>) -> Ping {
    let step = match occasion {
        PingOccasion::Start => "start".to_owned(),
        PingOccasion::Underway => "log".to_owned(),
        PingOccasion::End { is_success: true, .. } => "0".to_owned(),
        // Somebody may have said that even this is none.
        PingOccasion::End { exit_status: 0, .. } => "fail".to_owned(),
        PingOccasion::End { exit_status, .. } => exit_status.to_string(),
    };
    let query = vec![("rid", subject.run.to_owned())];
    Ping { step: Some(step), query, body: Some(lines(occasion, subject).join("\n")) }
}

fn cronitor(occasion: PingOccasion, subject: &PingSubject<'_>) -> Option<Ping> {
    let state = match occasion {
        PingOccasion::Start => "run",
        PingOccasion::Underway => return None,
        PingOccasion::End { is_success: true, .. } => "complete",
        PingOccasion::End { .. } => "fail",
    };
    let mut query = vec![("state", state.to_owned()), ("series", subject.run.to_owned())];
    if let PingOccasion::End { exit_status, .. } = occasion {
        query.push(("status_code", exit_status.to_string()));
        query.push(("message", lines(occasion, subject).join("; ")));
        if let Some(rows) = &subject.standing.rows {
            let failed = failed_rows(rows.iter().map(|(status, rows)| (*status, *rows)));
            query.push(("metric", format!("count:{}", rows.values().sum::<u64>())));
            query.push(("metric", format!("error_count:{failed}")));
        }
    }
    Some(Ping { step: None, query, body: None })
}

fn uptime_kuma(occasion: PingOccasion, subject: &PingSubject<'_>) -> Option<Ping> {
    let PingOccasion::End { is_success, .. } = occasion else { return None };
    let status = if is_success { "up" } else { "down" };
    let mut query = vec![("status", status.to_owned()), ("msg", lines(occasion, subject).join("; "))];
    let elapsed = (subject.elapsed <= KUMA_LONGEST).then(|| subject.elapsed.as_millis().to_string());
    query.push(("ping", elapsed.unwrap_or_default()));
    Some(Ping { step: None, query, body: None })
}

fn failed_rows(rows: impl Iterator<Item = (Status, u64)>) -> u64 {
    rows.filter(|(status, _)| matches!(status, Status::Failed | Status::Unknown | Status::Invalid))
        .map(|(_, rows)| rows)
        .sum()
}

/// Where the command stands, in a few lines.
fn lines(occasion: PingOccasion, subject: &PingSubject<'_>) -> Vec<String> {
    let PingSubject { command, elapsed, standing, .. } = subject;
    let seconds = elapsed.as_secs();
    let mut lines = vec![match occasion {
        PingOccasion::Start => format!("tagfleet {} {command} began", env!("CARGO_PKG_VERSION")),
        PingOccasion::Underway => format!("{command} has been running for {seconds} s"),
        PingOccasion::End { exit_status, .. } => {
            format!("{command} ended with exit status {exit_status} after {seconds} s")
        }
    }];
    let progress = &standing.progress;
    if let Some(rows) = &standing.rows {
        lines.push(counts("rows", rows.values().sum(), rows.iter().map(|(status, rows)| (status.as_str(), *rows))));
    } else if progress.operations > 0 {
        let settled = progress.outcomes.iter().map(|(status, count)| (status.as_str(), *count));
        lines.push(counts("operations", progress.operations, settled));
    }
    if let Some(drift) = &standing.drift {
        let found = drift.findings.iter().map(|(finding, rows)| (finding.as_str(), *rows));
        let rows = drift.findings.values().sum::<u64>() + drift.invalid;
        lines.push(counts("rows", rows, found.chain([("invalid", drift.invalid)])));
        if drift.undecided_machines > 0 {
            lines.push(format!("undecided machines: {}", drift.undecided_machines));
        }
    }
    let calls: u64 = standing.calls.iter().map(|tally| u64::from(tally.calls)).sum();
    if calls > 0 {
        let throttled = standing.calls.iter().filter(|tally| tally.http_status == Some(429));
        lines.push(counts(
            "calls",
            calls,
            [("throttled", throttled.map(|tally| u64::from(tally.calls)).sum())].into_iter(),
        ));
    }
    lines
}

/// `rows: 40 (30 succeeded, 10 failed)`.
fn counts<'a>(what: &str, all: u64, parts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let parts: Vec<String> =
        parts.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    let mut text = format!("{what}: {all}");
    if !parts.is_empty() {
        // Writing into a string cannot fail.
        let _written = write!(text, " ({})", parts.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Progress;
    use crate::plan::verification::Finding;
    use crate::report::VerificationTotals;
    use crate::store::CallTally;

    const OCCASIONS: [PingOccasion; 5] = [
        PingOccasion::Start,
        PingOccasion::Underway,
        PingOccasion::End { exit_status: 0, is_success: true },
        PingOccasion::End { exit_status: 5, is_success: true },
        PingOccasion::End { exit_status: 1, is_success: false },
    ];

    fn standing(count: u32) -> StatusSnapshot {
        let tally = |http_status| CallTally { kind: "tags".to_owned(), http_status, calls: count };
        StatusSnapshot {
            progress: Progress { operations: count.into(), ..Progress::default() },
            rows: Some(Status::ALL.map(|status| (status, count.into())).into()),
            drift: None,
            calls: vec![tally(Some(200)), tally(Some(429))],
            quota: Vec::new(),
        }
    }

    fn said(style: PingStyle, occasion: PingOccasion, standing: &StatusSnapshot, elapsed: Duration) -> String {
        let subject = PingSubject { command: "apply", run: "RID", elapsed, standing };
        let Some(ping) = style.ping(occasion, &subject) else { return "-".to_owned() };
        let query: Vec<String> = ping.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let body = ping.body.map(|body| format!("\n    {}", body.replace('\n', "\n    "))).unwrap_or_default();
        format!("{} {}{body}", ping.step.unwrap_or_default(), query.join(" & "))
    }

    #[test]
    fn each_service_is_told_in_its_own_words() {
        let mut all = String::new();
        for style in [PingStyle::Healthchecks, PingStyle::Cronitor, PingStyle::UptimeKuma] {
            for occasion in OCCASIONS {
                let said = said(style, occasion, &standing(2), Duration::from_secs(75));
                let _written = writeln!(all, "{style:?} {said}");
            }
        }
        let mut settings = insta::Settings::clone_current();
        // With all else that people see.
        settings.set_snapshot_path("../../../tests/program/shown");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("pings", all));
    }

    #[test]
    fn nothing_said_is_longer_than_what_is_kept_of_it() {
        for style in [PingStyle::Healthchecks, PingStyle::Cronitor, PingStyle::UptimeKuma] {
            for occasion in OCCASIONS {
                let said = said(style, occasion, &standing(u32::MAX), Duration::from_secs(u64::MAX / 2));
                // Cronitor keeps 2,000 characters of a message, Healthchecks 10 kB of a body.
                assert!(said.len() < 1000, "{said}");
            }
        }
        let day = |longer| said(PingStyle::UptimeKuma, OCCASIONS[2], &standing(1), KUMA_LONGEST + longer);
        assert!(day(Duration::ZERO).ends_with("ping=86400000"));
        assert!(day(Duration::from_millis(1)).ends_with("ping="), "it would refuse the ping");
    }

    #[test]
    fn a_verification_says_what_it_found_and_a_success_that_is_none_is_a_failure() {
        let drift = VerificationTotals {
            findings: [(Finding::Holds, 5), (Finding::Differs, 2)].into(),
            invalid: 1,
            undecided_machines: 3,
        };
        let standing = StatusSnapshot { drift: Some(drift), ..StatusSnapshot::default() };
        let end = PingOccasion::End { exit_status: 0, is_success: false };
        let said = said(PingStyle::Healthchecks, end, &standing, Duration::ZERO);
        assert!(said.starts_with("fail rid=RID\n"), "{said}");
        assert!(said.contains("rows: 8 (5 holds, 2 differs, 1 invalid)\n    undecided machines: 3"), "{said}");
    }

    #[test]
    fn a_service_has_heard_what_it_says_that_it_has_heard() {
        use PingFailure::{NotUnderstood, Status, TooMany, UnknownAddress};
        use PingStyle::{Cronitor, Healthchecks, UptimeKuma};
        let page = "<html>Please sign in</html>";
        for (style, status, body, expected) in [
            (Healthchecks, 200, "OK", Ok(())),
            (Healthchecks, 200, "OK\n", Ok(())),
            (Healthchecks, 200, "OK (not found)", Err(UnknownAddress)),
            (Healthchecks, 200, "OK (rate limited)", Err(TooMany)),
            (Healthchecks, 200, page, Err(NotUnderstood)),
            (Healthchecks, 200, "", Err(NotUnderstood)),
            (Healthchecks, 404, "not found", Err(UnknownAddress)),
            (Healthchecks, 301, "", Err(Status(301))),
            (Healthchecks, 503, "", Err(Status(503))),
            (Cronitor, 200, "", Ok(())),
            (Cronitor, 403, "", Err(Status(403))),
            (UptimeKuma, 200, r#"{"ok":true}"#, Ok(())),
            (UptimeKuma, 200, r#"{"ok":false,"msg":"Monitor not found or not active."}"#, Err(UnknownAddress)),
            (UptimeKuma, 200, page, Err(NotUnderstood)),
            (UptimeKuma, 200, "[1]", Err(NotUnderstood)),
        ] {
            assert_eq!(style.judge(&PingAnswer { status, body: body.to_owned() }), expected, "{style:?} {body}");
        }
        assert!(Status(503).is_transient() && Status(429).is_transient());
        assert!(!Status(301).is_transient() && !UnknownAddress.is_transient());
    }
}
