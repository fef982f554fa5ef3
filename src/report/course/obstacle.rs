//! What stood in the way of a run, or a reading, that had to end: named in its last line and in its JSON object.
//!
//! A deadline is when a run ends and not why nothing moved. Whoever reads the mail of a night has this line only.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::progress::{clock_time, met_text, sign_in_text, state_text, trouble_text};
use crate::api::sign_in::Trouble;
use crate::call::{ConnectionTrouble, Repeat, RepeatCause, RetryReason, ServiceTrouble, SignInTrouble, WaitCause};
use crate::report::output::problem::Problem;

/// What to check on the way to the sign-in service.
const SIGN_IN_WAY: &str =
    "check the network, the proxy settings (HTTPS_PROXY, NO_PROXY), --cloud and AZURE_AUTHORITY_HOST";

/// What stood in the way, and when it was to be tried again.
pub(in crate::report) type Obstacle = (WaitCause, Option<Timestamp>);

/// What there is to do once it is out of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Afterwards {
    /// There is a run to resume.
    Resume,
    /// Nothing was begun that could be resumed.
    TryAgain,
}

impl Afterwards {
    /// By whether a resumed run would send anything.
    pub(super) const fn of(is_open: bool) -> Self {
        if is_open { Self::Resume } else { Self::TryAgain }
    }
}

/// What stood in the way, in a few words.
pub(in crate::report) fn obstacle_text((cause, until): Obstacle, time_zone: &TimeZone) -> String {
    let what = match cause {
        WaitCause::Retry(Repeat { why: RepeatCause::SignIn(trouble), .. }) => sign_in_text(trouble),
        WaitCause::Retry(Repeat { why: RepeatCause::Answer(why, http_status), .. }) => met_text(why, http_status),
        WaitCause::Throttled => Cow::Borrowed("429 from the service"),
        WaitCause::Window(limit) => Cow::Owned(format!("the quota of {limit} is used up")),
        WaitCause::Answer { since } => Cow::Owned(format!("no answer since {}", clock_time(since, time_zone))),
        WaitCause::Token { since } => {
            Cow::Owned(format!("no answer from the sign-in service since {}", clock_time(since, time_zone)))
        }
        WaitCause::Outage { since, trouble } => {
            Cow::Owned(format!("no service since {}, {}", clock_time(since, time_zone), trouble_text(trouble)))
        }
        WaitCause::State { since } => Cow::Owned(state_text(since, time_zone)),
        WaitCause::OtherHosts => Cow::Borrowed(
            "the state's database failed over, and not every process that was using it has reported since",
        ),
        WaitCause::Pacing | WaitCause::ListLag => Cow::Borrowed("calls had to wait"),
    };
    let next = until.map(|until| format!(", next call {}", clock_time(until, time_zone))).unwrap_or_default();
    format!("{what}{next}")
}

/// What cannot be had, since this stands in the way of a call that is not made again.
pub(crate) fn hindrance_problem(what: &str, in_the_way: WaitCause, next: Option<Timestamp>) -> Problem {
    let obstacle = (in_the_way, next);
    Problem {
        error: format!("{what}: {}", obstacle_text(obstacle, &TimeZone::system())).into(),
        hint: obstacle_hint(obstacle, Afterwards::TryAgain).map(str::to_owned),
    }
}

/// What to do about it.
pub(in crate::report) const fn obstacle_hint((cause, _): Obstacle, afterwards: Afterwards) -> Option<&'static str> {
    Some(match cause {
        WaitCause::Retry(Repeat { why: RepeatCause::SignIn(trouble), .. })
        | WaitCause::Outage { trouble: ServiceTrouble::SignIn(trouble), .. } => sign_in_hint(trouble, afterwards),
        WaitCause::Retry(Repeat { why: RepeatCause::Answer(RetryReason::NotConnected(trouble), _), .. })
        | WaitCause::Outage { trouble: ServiceTrouble::NotConnected(trouble), .. } => connection_hint(trouble),
        WaitCause::Token { .. } => SIGN_IN_WAY,
        WaitCause::State { .. } => {
            "see what keeps the database busy (tagfleet state names who is at work), and whether its server is there"
        }
        WaitCause::OtherHosts => {
            "tagfleet state names the processes; one that does not come back is given up by itself"
        }
        WaitCause::Throttled => match afterwards {
            Afterwards::Resume => "find out what else uses the quota of this app, or resume when the service allows it",
            Afterwards::TryAgain => {
                "find out what else uses the quota of this app, or try again when the service allows it"
            }
        },
        // It may need no longer than ever.
        WaitCause::Answer { .. } => {
            "allow more time (--deadline), or see whether the service, or a proxy on the way, is slow (tagfleet check)"
        }
        WaitCause::Retry(_) | WaitCause::Outage { .. } => match afterwards {
            Afterwards::Resume => "the service, or a proxy on the way, is failing; resume when it is back",
            Afterwards::TryAgain => "the service, or a proxy on the way, is failing; try again when it is back",
        },
        WaitCause::Window(_) | WaitCause::Pacing | WaitCause::ListLag => return None,
    })
}

const fn connection_hint(trouble: ConnectionTrouble) -> &'static str {
    match trouble {
        ConnectionTrouble::NotTls => "an https address leads to a port that does not speak TLS: check --base-url",
        ConnectionTrouble::Proxy(_) => "check HTTPS_PROXY and NO_PROXY, and whether the proxy lets this host through",
        ConnectionTrouble::UnknownHost | ConnectionTrouble::Refused | ConnectionTrouble::Other => {
            "check --base-url and --cloud, then the network, HTTPS_PROXY and the firewall"
        }
    }
}

const fn sign_in_hint(trouble: SignInTrouble, afterwards: Afterwards) -> &'static str {
    match (trouble, afterwards) {
        (SignInTrouble::Other(Trouble::Status(_)), Afterwards::Resume) => {
            "the sign-in service is busy or down; resume later"
        }
        (SignInTrouble::Other(Trouble::Status(_)), Afterwards::TryAgain) => {
            "the sign-in service is busy or down; try again later"
        }
        (SignInTrouble::NotConnected(_) | SignInTrouble::Other(_), _) => SIGN_IN_WAY,
    }
}

/// It as a cause in the JSON object, of so many rows.
pub(super) fn obstacle_cause(obstacle: Obstacle, rows: u64, afterwards: Afterwards) -> Value {
    let (code, http_status) = match obstacle.0 {
        WaitCause::Retry(Repeat { why: RepeatCause::SignIn(trouble), .. })
        | WaitCause::Outage { trouble: ServiceTrouble::SignIn(trouble), .. } => {
            let status = match trouble {
                SignInTrouble::Other(Trouble::Status(status)) => Some(status),
                _ => None,
            };
            ("sign_in_failed", status)
        }
        WaitCause::Retry(Repeat { why: RepeatCause::Answer(why, http_status), .. }) => (why.code(), http_status),
        WaitCause::Outage { trouble: ServiceTrouble::Status(status), .. } => ("outage", Some(status)),
        WaitCause::Outage { .. } => ("outage", None),
        WaitCause::Throttled => ("throttled", Some(429)),
        WaitCause::Answer { .. } => ("timed_out", None),
        WaitCause::Token { .. } => ("sign_in_failed", None),
        WaitCause::State { .. } => ("state_silent", None),
        WaitCause::OtherHosts => ("state_taken_over", None),
        WaitCause::Window(_) | WaitCause::Pacing | WaitCause::ListLag => ("quota", None),
    };
    json!({
        "code": code,
        "status": "not_attempted",
        "http_status": http_status,
        "message": obstacle_text(obstacle, &TimeZone::system()),
        "count": rows,
        "first_row": null,
        "hint": obstacle_hint(obstacle, afterwards),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stood_in_the_way_is_named_with_the_moment_of_the_next_call_and_what_to_do() {
        let next: Timestamp = "2020-05-01T14:05:10Z".parse().expect("a time");
        let retry = |why| WaitCause::Retry(Repeat { why, number: 3, most: None });
        let answer = |why, status| retry(RepeatCause::Answer(why, status));
        let not_connected = |trouble| answer(RetryReason::NotConnected(trouble), None);
        let sign_in = |trouble| retry(RepeatCause::SignIn(trouble));
        let quota: crate::quota::Quota = "100/1m".parse().expect("a quota");
        let all = [
            (not_connected(ConnectionTrouble::Refused), None),
            (not_connected(ConnectionTrouble::UnknownHost), None),
            (not_connected(ConnectionTrouble::Proxy(Some(502))), None),
            (not_connected(ConnectionTrouble::NotTls), None),
            (answer(RetryReason::ServiceFailed, Some(503)), Some(next)),
            (answer(RetryReason::TimedOut, None), None),
            (WaitCause::Throttled, Some(next)),
            (sign_in(SignInTrouble::Other(Trouble::Status(429))), Some(next)),
            (sign_in(SignInTrouble::NotConnected(ConnectionTrouble::Refused)), None),
            (WaitCause::Answer { since: next }, None),
            (WaitCause::Outage { since: next, trouble: ServiceTrouble::Status(503) }, Some(next)),
            (WaitCause::Window(quota.limits()[0]), Some(next)),
            (WaitCause::OtherHosts, None),
        ];
        let lines = all.map(|obstacle| {
            let cause = obstacle_cause(obstacle, 7, Afterwards::Resume);
            let hint = obstacle_hint(obstacle, Afterwards::Resume).unwrap_or("-");
            let again = obstacle_hint(obstacle, Afterwards::TryAgain).unwrap_or_default();
            assert!(!again.contains("resume") && again.is_empty() == (hint == "-"), "{again}");
            let text = obstacle_text(obstacle, &TimeZone::UTC);
            format!("{text} | {} {} | {hint}", cause["code"], cause["http_status"])
        });
        insta::assert_snapshot!(lines.join("\n"), @r#"
        connection refused | "not_connected" null | check --base-url and --cloud, then the network, HTTPS_PROXY and the firewall
        no host of that name found | "not_connected" null | check --base-url and --cloud, then the network, HTTPS_PROXY and the firewall
        the proxy does not connect: it answers 502 | "not_connected" null | check HTTPS_PROXY and NO_PROXY, and whether the proxy lets this host through
        the port does not speak TLS | "not_connected" null | an https address leads to a port that does not speak TLS: check --base-url
        503 from the service, next call 2020-05-01 14:05 UTC | "service_failed" 503 | the service, or a proxy on the way, is failing; resume when it is back
        no answer in time | "timed_out" null | the service, or a proxy on the way, is failing; resume when it is back
        429 from the service, next call 2020-05-01 14:05 UTC | "throttled" 429 | find out what else uses the quota of this app, or resume when the service allows it
        429 from the sign-in service, next call 2020-05-01 14:05 UTC | "sign_in_failed" 429 | the sign-in service is busy or down; resume later
        cannot reach the sign-in service (connection refused) | "sign_in_failed" null | check the network, the proxy settings (HTTPS_PROXY, NO_PROXY), --cloud and AZURE_AUTHORITY_HOST
        no answer since 2020-05-01 14:05 UTC | "timed_out" null | allow more time (--deadline), or see whether the service, or a proxy on the way, is slow (tagfleet check)
        no service since 2020-05-01 14:05 UTC, HTTP 503, next call 2020-05-01 14:05 UTC | "outage" 503 | the service, or a proxy on the way, is failing; resume when it is back
        the quota of 100 calls in 60 s is used up, next call 2020-05-01 14:05 UTC | "quota" null | -
        the state's database failed over, and not every process that was using it has reported since | "state_taken_over" null | tagfleet state names the processes; one that does not come back is given up by itself
        "#);
    }
}
