//! Why a run ended: as a word for scripts, as the rest of a sentence for people, and with what to do about it.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::obstacle::{Afterwards, Obstacle, obstacle_hint, obstacle_text};
use super::progress::{clock_time, trouble_text};
use crate::call::{AbortCause, AbortReason};
use crate::dispatch::{EndReason, Progress};
use crate::outside::{Outside, shown};

/// Why a run ended, for JSON.
pub(super) const fn reason_code(reason: &EndReason) -> &'static str {
    match reason {
        EndReason::Finished => "finished",
        EndReason::Interrupted | EndReason::Halted => "interrupted",
        EndReason::Deadline => "deadline",
        EndReason::TooManyErrors => "too_many_errors",
        EndReason::Outage { .. } => "outage",
        EndReason::Forbidden { .. } => "forbidden",
        EndReason::NoInventory { .. } => "inventory_not_read",
        EndReason::Aborted(cause) => abort_code(cause),
        EndReason::StoreFailed(_) => "storage_failed",
    }
}

/// Why nothing sent can succeed any more, for JSON.
pub(in crate::report) const fn abort_code(cause: &AbortCause) -> &'static str {
    match cause {
        AbortCause::SignIn(_) => "sign_in_failed",
        AbortCause::TokenRefused => "token_refused",
        AbortCause::Refused(_) => "refused",
        AbortCause::Unreachable { .. } => "unreachable",
        AbortCause::ThrottledForGood => "throttled",
    }
}

/// What stood in the way of a run that its deadline ended.
pub(super) fn obstacle(reason: &EndReason, progress: &Progress) -> Option<Obstacle> {
    progress.in_the_way.filter(|_| matches!(reason, EndReason::Deadline))
}

/// Why a run ended, and what stood in its way, for people, as the rest of a sentence.
pub(super) fn end_text(reason: &EndReason, progress: &Progress) -> String {
    let met = obstacle(reason, progress).map(|met| format!(" ({})", obstacle_text(met, &TimeZone::system())));
    format!("{}{}", reason_text(reason), met.unwrap_or_default())
}

/// What to do about the end of a run.
pub(super) fn end_hint(reason: &EndReason, progress: &Progress, afterwards: Afterwards) -> Option<String> {
    let met = || obstacle(reason, progress).and_then(|met| obstacle_hint(met, afterwards));
    reason_hint(reason).or_else(|| met().map(str::to_owned))
}

/// Why a run ended, for people, as the rest of a sentence.
pub(in crate::report) fn reason_text(reason: &EndReason) -> String {
    match reason {
        EndReason::Finished => "at its end".to_owned(),
        EndReason::Interrupted | EndReason::Halted => "interrupted".to_owned(),
        EndReason::Deadline => "at its deadline".to_owned(),
        EndReason::TooManyErrors => "because too many rows failed".to_owned(),
        EndReason::Outage { since, trouble } => {
            let since = clock_time(*since, &TimeZone::system());
            format!("because the service has been failing since {since} ({})", trouble_text(*trouble))
        }
        EndReason::Forbidden { message } => {
            let words = message.as_deref().map(|words| format!(": {}", Outside::new(words).line())).unwrap_or_default();
            format!("because the service refuses this app (403){words}")
        }
        EndReason::NoInventory { description, .. } => format!("because {}", shown(description)),
        EndReason::Aborted(AbortCause::SignIn(error)) => {
            format!("because signing in failed: {}", causes(error))
        }
        EndReason::Aborted(AbortCause::TokenRefused) => "because the service refuses every token (401)".to_owned(),
        EndReason::Aborted(AbortCause::Refused(AbortReason::Redirected { status, location })) => format!(
            "because the base URL leads elsewhere (HTTP {status}{})",
            location.as_deref().map(|host| format!(" to {}", Outside::new(host).line())).unwrap_or_default()
        ),
        EndReason::Aborted(AbortCause::Refused(AbortReason::ProxyAuthentication)) => {
            "because the proxy requires a sign-in (407)".to_owned()
        }
        EndReason::Aborted(AbortCause::Refused(AbortReason::Untrusted { description, .. })) => {
            format!("because {}", shown(description))
        }
        EndReason::Aborted(AbortCause::Unreachable { description }) => {
            format!("because the service was never reached: {}", shown(description))
        }
        EndReason::Aborted(AbortCause::ThrottledForGood) => {
            "because the service refuses every call for quota (429)".to_owned()
        }
        EndReason::StoreFailed(error) => format!("because outcomes can no longer be stored: {}", causes(error)),
    }
}

/// What to do about the end of a run.
pub(in crate::report) fn reason_hint(reason: &EndReason) -> Option<String> {
    Some(match reason {
        EndReason::Finished | EndReason::Interrupted | EndReason::Halted | EndReason::Deadline => return None,
        EndReason::Outage { .. } => {
            "--max-outage sets how long a run waits for the service to come back".to_owned()
        }
        EndReason::TooManyErrors => "--max-errors sets how many rows may fail".to_owned(),
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
            "check --base-url and --cloud; a proxy that requires a sign-in redirects, too. The token was sent nowhere else"
                .to_owned()
        }
        EndReason::Aborted(AbortCause::Refused(AbortReason::ProxyAuthentication)) => {
            "put the proxy's user name and password into HTTPS_PROXY, or ask for a way past it".to_owned()
        }
        EndReason::Aborted(AbortCause::Refused(AbortReason::Untrusted { problem, .. })) => problem.hint().to_owned(),
        EndReason::Aborted(AbortCause::Unreachable { .. }) => {
            "most likely the address is wrong: check --base-url and --cloud, then the network, HTTPS_PROXY and the firewall"
                .to_owned()
        }
        EndReason::Aborted(AbortCause::ThrottledForGood) => {
            "find out what else uses the quota of this app".to_owned()
        }
        EndReason::StoreFailed(error) => return error.hint(),
    })
}

/// An error with its causes, on one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = shown(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing into a string cannot fail.
        let _written = write!(text, ": {}", shown(&error.to_string()));
        cause = error.source();
    }
    text
}
