//! What an answer means: a pure, total function from request, answer and history to a [`Verdict`].
//!
//! Success is only ever the service's own well-formed answer that shows the change; one that shows nothing of it is an
//! acceptance, which a read has to settle. The texts of errors are the service's, masked and cut when everything is
//! decided; nothing is decided by them but how long to wait. What surprises: a 404 is believed only when it repeats, since the service sometimes gives one for a
//! living machine; an answer that shows the machine without the change, or the tag in another case only, is asked for
//! once more before it is believed; and a service that fails may have done its work before (`is_ambiguous`).

mod bulk;
mod read;
mod verdict;

use jiff::Timestamp;

pub use read::ReadAnswer;
pub use verdict::{
    AbortReason, ConnectionTrouble, FailReason, History, MachineVerdict, RetryReason, SplitReason, Verdict,
};

use super::retry_after;
use crate::api::{Answer, ApiRequest, LossKind, MachineRecord, Response};
use crate::model::{AnswerFacts, Held, TagAction};
use crate::outside::Outside;

/// How often a machine must be answered as not found before that is believed, where nothing else speaks against it.
pub const NOT_FOUND_BELIEVED_AFTER: u32 = 3;
/// How often an answer must show the machine without the change before that is believed.
pub(in crate::call) const NOT_APPLIED_BELIEVED_AFTER: u32 = 2;
/// How often a bulk call must be put off before that is taken for a refusal of the group.
const BUSY_BELIEVED_AFTER: u32 = 3;
/// What is said of an answer that somebody else gave.
const PROXY_PAGE: &str = "the answer is a page of HTML, as a proxy sends it, and not the service's";
/// What is said of an answer that shows the machine as it was.
pub(in crate::call) const NOT_APPLIED: &str = "the service accepted the call, but its answer shows the machine without the change; \
                                      an asset rule or a tag set in the registry may stand against it";

/// What is said of an answer that shows nothing of the change.
pub(in crate::call) const NOT_SHOWN: &str =
    "the service accepted the call, but its answer does not show the change, and no read has shown it";
/// The service's code for a machine, or a change of it, that is out of bounds while the app is not.
const DISALLOWED_CODE: &str = "DisallowedOperation";

/// The most characters kept of a service's message.
const MESSAGE_MAXIMUM_CHARACTERS: usize = 500;

/// Judges an answer. `wall_now` is what a `Retry-After` date counts from if the answer has no `Date`.
#[must_use]
pub fn judge(request: &ApiRequest, answer: &Answer, history: History, wall_now: Timestamp) -> Verdict {
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
                LossKind::Proxy
                | LossKind::UnknownHost
                | LossKind::ConnectionRefused
                | LossKind::NotTls
                | LossKind::NotConnected => RetryReason::NotConnected(ConnectionTrouble::of(loss.kind)),
                LossKind::TimedOut => RetryReason::TimedOut,
                LossKind::ConnectionLost => RetryReason::ConnectionLost,
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
    let facts = facts(response);
    if let ApiRequest::ChangeTagOnMachines { machines, .. } = request
        && let Some(verdict) = bulk::judge(request, machines, response, history, &facts)
    {
        return verdict;
    }
    match response.status {
        200..=299 => judge_success(request, response, history, facts),
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
        // A change that is under way may stand against a second one; and 460 and 499 are a gateway's words for a caller
        // that went away before the answer.
        408 | 409 | 460 | 499 => retry(RetryReason::ServiceFailed, facts),
        // A status that nobody knows counts as 400: so the standard has it.
        400..=499 => fail(FailReason::Rejected, facts),
        _ => retry(RetryReason::ServiceFailed, facts),
    }
}

fn judge_success(request: &ApiRequest, response: &Response, history: History, mut facts: AnswerFacts) -> Verdict {
    if response.is_empty() {
        return Verdict::Accepted { facts };
    }
    let Some(machine) = response.machine_record() else {
        facts.error_message = Some(if response.looks_like_html() {
            PROXY_PAGE.into()
        } else {
            "the answer is not a machine as the service sends it".into()
        });
        return retry(RetryReason::NotUnderstood, facts);
    };
    if request.machine().is_none_or(|asked| !asked.is_written(&machine.id)) {
        facts.error_message = Some(cut(&format!("the answer is about the machine {}", machine.id)));
        return retry(RetryReason::OtherMachine, facts);
    }
    facts.error_code = None;
    facts.error_message = None;
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

/// What an answer shows of a change, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    AsAsked {
        /// Whether the tag, removed, stands there in another case.
        case_differs: bool,
    },
    /// A tag that was to be added stands there in another case only, which may be the same tag to the service.
    OtherCase,
    /// The answer leaves out what was to be changed.
    Nothing,
    Otherwise,
}

/// Compares the machine in an answer with what was asked for.
fn shows(request: &ApiRequest, machine: &MachineRecord) -> Shown {
    match request {
        ApiRequest::ChangeTag { action, tag, .. } | ApiRequest::ChangeTagOnMachines { action, tag, .. } => {
            let Some(tags) = &machine.machine_tags else { return Shown::Nothing };
            let exactly = tags.iter().any(|shown| **shown == *tag.as_str());
            let lower_case = tag.as_str().to_lowercase();
            let case_differs = !exactly && tags.iter().any(|shown| shown.to_lowercase() == lower_case);
            match action {
                TagAction::Add if exactly => Shown::AsAsked { case_differs: false },
                TagAction::Add if case_differs => Shown::OtherCase,
                TagAction::Remove if !exactly => Shown::AsAsked { case_differs },
                _ => Shown::Otherwise,
            }
        }
        ApiRequest::SetDeviceValue { value, .. } => match &machine.device_value {
            None => Shown::Nothing,
            Some(shown) if shown.eq_ignore_ascii_case(value.as_str()) => Shown::AsAsked { case_differs: false },
            Some(_) => Shown::Otherwise,
        },
        // Judged elsewhere; a read asks for no change.
        ApiRequest::ListMachines { .. } | ApiRequest::GetMachine { .. } => Shown::Nothing,
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

/// Whether a 403 is about a machine and not about the app.
fn is_disallowed(response: &Response) -> bool {
    response.service_error().is_some_and(|error| is_disallowed_code(error.code.exact()))
}

/// Whether this code of a 403 is about a machine, or a change of it, and not about the app.
#[must_use]
pub fn is_disallowed_code(code: &str) -> bool {
    code.eq_ignore_ascii_case(DISALLOWED_CODE)
}

const fn retry(why: RetryReason, facts: AnswerFacts) -> Verdict {
    Verdict::Retry { why, facts }
}

const fn fail(why: FailReason, facts: AnswerFacts) -> Verdict {
    Verdict::Fail { why, facts }
}

fn facts(response: &Response) -> AnswerFacts {
    let error = response.service_error().unwrap_or_default();
    let text = |text: &str| if text.is_empty() { None } else { Some(cut(text)) };
    let ours = || {
        Some(match response.status {
            200..=299 => return None,
            300..=399 => format!(
                "the answer leads elsewhere{} and was not followed",
                response.location.as_ref().map(|host| format!(", to {host},")).unwrap_or_default()
            ),
            _ if response.looks_like_html() => PROXY_PAGE.to_owned(),
            status => format!("the answer has the status {status} and gives no reason"),
        })
    };
    AnswerFacts {
        http_status: Some(response.status),
        error_code: text(error.code.exact()),
        error_message: text(error.message.exact()).or_else(|| ours().as_deref().map(cut)),
        request_id: error.target.as_ref().map(Outside::exact).or(response.request_id.as_deref()).and_then(text),
    }
}

/// A text of the service as people are to read it.
fn cut(text: &str) -> Box<str> {
    Outside::new(text).kept(MESSAGE_MAXIMUM_CHARACTERS)
}

#[cfg(test)]
mod tests;
