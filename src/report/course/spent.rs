//! Where the time of a run went, in words: as it stands in the books, and for people.

use std::time::Duration;

use crate::dispatch::Spent;
use crate::quota;
use crate::words::group_digits;

/// What begins the name of a wait for a limit of the quota, before its calls and the microseconds of its window.
const QUOTA_PREFIX: &str = "quota:";

/// The name in the books.
pub(super) fn spent_name(part: Spent) -> String {
    let name = match part {
        Spent::Calls => "calls",
        Spent::Quota(None) => "pacing",
        Spent::Quota(Some(limit)) => {
            return format!("{QUOTA_PREFIX}{}/{}", limit.calls, limit.window.as_micros());
        }
        Spent::Throttled => "throttled",
        Spent::Retries => "retries",
        Spent::Input => "input",
        Spent::Machines => "reading",
        Spent::ListLag => "list_lag",
        Spent::Outage => "outage",
        Spent::SignIn => "sign_in",
        Spent::Question => "question",
        Spent::OtherRun => "other_run",
        Spent::State => "state",
        Spent::Results => "results",
        Spent::Own => "own",
    };
    name.to_owned()
}

/// The same for the rest of a sentence.
pub(super) fn spent_text(part: Spent) -> String {
    named_text(&spent_name(part))
}

/// What a name in the books means, for the rest of a sentence.
pub(in crate::report) fn named_text(name: &str) -> String {
    let text = match name {
        "calls" => "in calls",
        "pacing" => "spreading calls",
        "throttled" => "waiting because the service asked to",
        "retries" => "waiting to try again",
        "input" => "reading the input",
        "reading" => "reading the tenant's machines",
        "list_lag" => "waiting for the service's list to show the latest writes",
        "outage" => "waiting for the service to come back",
        "sign_in" => "signing in",
        "question" => "waiting for an answer to its question",
        "other_run" => "waiting for another run",
        "state" => "waiting for the state's database",
        "results" => "writing the results",
        "own" => "in the program itself",
        other => return limit_text(other).unwrap_or_else(|| "for another reason".to_owned()),
    };
    text.to_owned()
}

/// Whether a name in the books is that of a wait for a limit of the quota.
pub(in crate::report) fn is_window(name: &str) -> bool {
    name.starts_with(QUOTA_PREFIX)
}

fn limit_text(name: &str) -> Option<String> {
    let (calls, window) = name.strip_prefix(QUOTA_PREFIX)?.split_once('/')?;
    let window = quota::describe(Duration::from_micros(window.parse().ok()?));
    Some(format!("waiting for the quota of {} per {window}", group_digits(calls.parse().ok()?)))
}
