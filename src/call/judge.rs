//! What an answer means: a pure, total function from request, answer and history to a [`Verdict`].
//!
//! Success is only ever the service's own well-formed answer that shows the change; one that shows nothing of it is an
//! acceptance, which a read has to settle. The texts of errors are the service's, masked and cut when everything is
//! decided; nothing is decided by them but how long to wait. What surprises: a 404 is believed only when it repeats, since the service sometimes gives one for a
//! living machine; an answer that shows the machine without the change, or the tag in another case only, is asked for
//! once more before it is believed; and a service that fails may have done its work before (`is_ambiguous`).

mod belief;
mod bulk;
mod facts;
mod read;
mod shown;
mod verdict;

use jiff::Timestamp;

pub(crate) use belief::NOT_FOUND_BELIEVED_AFTER;
pub(in crate::call) use belief::{NOT_APPLIED_BELIEVED_AFTER, TOO_MUCH_BELIEVED_AFTER};
pub(crate) use facts::{asks_for_patience, is_disallowed_code, shows_outage};
pub(crate) use verdict::{
    AbortReason, ConnectionTrouble, Excess, FailReason, History, MachineVerdict, ReadAnswer, RetryReason, SplitReason,
    Verdict,
};

use facts::{PROXY_PAGE, cut, facts, head_facts, is_disallowed};
use shown::{Shown, shows};
use verdict::{fail, retry};

use super::retry_after;
use crate::api::{Answer, ApiRequest, LossKind, Response};
use crate::model::{AnswerFacts, Held};

/// What is said of an answer that shows the machine as it was.
pub(in crate::call) const NOT_APPLIED: &str = "the service accepted the call, but its answer shows the machine without the change; \
                                      an asset rule or a tag set in the registry may stand against it";

/// What is said of an answer that shows nothing of the change.
pub(in crate::call) const NOT_SHOWN: &str =
    "the service accepted the call, but its answer does not show the change, and no read has shown it";

/// Judges an answer. `wall_now` is what a `Retry-After` date counts from if the answer has no `Date`.
pub(crate) fn judge(request: &ApiRequest, answer: &Answer, history: History, wall_now: Timestamp) -> Verdict {
    match answer {
        Answer::Lost(loss) => {
            let facts = AnswerFacts { error_message: Some(cut(&loss.description)), ..AnswerFacts::default() };
            let why = match loss.kind {
                LossKind::Untrusted(problem) => {
                    let why = AbortReason::Untrusted { problem, description: cut(&loss.description).into() };
                    return Verdict::Abort { why, facts };
                }
                LossKind::ProxyAuthentication => {
                    return Verdict::Abort { why: AbortReason::ProxyAuthentication, facts };
                }
                LossKind::Proxy(_)
                | LossKind::UnknownHost
                | LossKind::ConnectionRefused
                | LossKind::NotTls
                | LossKind::NotConnected => RetryReason::NotConnected(ConnectionTrouble::of(loss.kind)),
                LossKind::TimedOut => RetryReason::TimedOut,
                LossKind::ConnectionLost => RetryReason::ConnectionLost,
                LossKind::TooLong if request.is_read() => return read::too_much(Excess::Bytes, facts, history),
                LossKind::Truncated | LossKind::TooLong => RetryReason::Truncated,
            };
            retry(why, facts)
        }
        Answer::Response(response) => judge_response(request, response, history, wall_now),
    }
}

fn judge_response(request: &ApiRequest, response: &Response, history: History, wall_now: Timestamp) -> Verdict {
    if request.is_read()
        && let Some(verdict) = read::judge_read(request, response, history)
    {
        return verdict;
    }
    if let 200..=299 = response.status {
        return match request {
            ApiRequest::ChangeTagOnMachines { machines, .. } => bulk::judge_accepted(request, machines, response),
            _ => judge_accepted(request, response, history),
        };
    }
    let facts = facts(response);
    if let ApiRequest::ChangeTagOnMachines { machines, .. } = request
        && let Some(verdict) = bulk::judge_refused(machines, response, history, &facts)
    {
        return verdict;
    }
    match response.status {
        300..=399 => Verdict::Abort {
            why: AbortReason::Redirected { status: response.status, location: response.location.clone() },
            facts,
        },
        401 => retry(RetryReason::TokenRefused, facts),
        407 => Verdict::Abort { why: AbortReason::ProxyAuthentication, facts },
        429 => Verdict::Throttled { wait: retry_after::named_wait(response, wall_now), facts },
        // A proxy's page is nobody's verdict about a machine.
        400..=499 if response.looks_like_html() => retry(RetryReason::NotUnderstood, facts),
        403 if request.machine().is_some() && is_disallowed(response) => fail(FailReason::Disallowed, facts),
        403 => fail(FailReason::Forbidden, facts),
        404 if history.not_found + 1 >= NOT_FOUND_BELIEVED_AFTER => fail(FailReason::NotFound, facts),
        404 => retry(RetryReason::NotFound, facts),
        421 | 423 | 425 => retry(RetryReason::Busy, facts),
        status if asks_for_patience(status) => retry(RetryReason::ServiceFailed, facts),
        // A status that nobody knows counts as 400: so the standard has it.
        400..=499 => fail(FailReason::Rejected, facts),
        _ => retry(RetryReason::ServiceFailed, facts),
    }
}

fn judge_accepted(request: &ApiRequest, response: &Response, history: History) -> Verdict {
    if response.is_empty() {
        return Verdict::Accepted { facts: head_facts(response) };
    }
    let Some(machine) = response.machine_record() else {
        let mut facts = facts(response);
        if response.machine_excess().is_some() {
            // It is the service's word about a machine, which no second answer makes shorter; a read has to settle it.
            return Verdict::Accepted { facts };
        }
        facts.error_message = Some(if response.looks_like_html() {
            PROXY_PAGE.into()
        } else {
            "the answer is not a machine as the service sends it".into()
        });
        return retry(RetryReason::NotUnderstood, facts);
    };
    let mut facts = head_facts(response);
    if request.machine().is_none_or(|asked| !asked.is_written(&machine.id)) {
        facts.error_message = Some(cut(&format!("the answer is about the machine {}", machine.id)));
        return retry(RetryReason::OtherMachine, facts);
    }
    let is_believed = history.not_applied + 1 >= NOT_APPLIED_BELIEVED_AFTER;
    match shows(request, &machine) {
        Shown::AsAsked { case_differs } => Verdict::Done { facts, case_differs },
        Shown::OtherCase if is_believed => Verdict::Done { facts, case_differs: true },
        Shown::OtherCase => retry(RetryReason::OtherCase, facts),
        Shown::Nothing => Verdict::Accepted { facts },
        Shown::Otherwise => {
            facts.error_message = Some(NOT_APPLIED.into());
            if is_believed { fail(FailReason::NotApplied, facts) } else { retry(RetryReason::NotApplied, facts) }
        }
    }
}

/// What holds once the request has taken effect; nothing is known where the tag stands there in another case, since nobody can
/// tell whether that is the same tag to the service.
pub(in crate::call) const fn after(request: &ApiRequest, case_differs: bool) -> Held {
    match request {
        _ if case_differs => Held::Unknown,
        ApiRequest::ChangeTag { action, .. } | ApiRequest::ChangeTagOnMachines { action, .. } => action.leaves(),
        ApiRequest::SetDeviceValue { value, .. } => Held::Value(*value),
        ApiRequest::ListMachines { .. } | ApiRequest::GetMachine { .. } => Held::Unknown,
    }
}

#[cfg(test)]
mod tests;
