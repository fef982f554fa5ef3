//! What an answer means: a pure, total function from request, answer and history to a [`Verdict`].
//!
//! Success is only ever the service's own well-formed answer. The texts of errors are the service's, cut; nothing is
//! decided by them but how long to wait. What surprises: a 404 is believed only when it repeats, since the service
//! sometimes gives one for a living machine; and an answer that shows the machine without the change is asked for once
//! more before it is believed.

mod bulk;
mod read;

use std::time::Duration;

use jiff::Timestamp;

pub use read::ReadAnswer;

use super::{EarlierTrouble, retry_after};
use crate::api::{Answer, ApiRequest, LossKind, MachineDocument, Response};
use crate::model::{AnswerFacts, TagAction};

/// How often a machine must be answered as not found before that is believed, where nothing else speaks against it.
pub const NOT_FOUND_BELIEVED_AFTER: u32 = 3;
/// How often an answer must show the machine without the change before that is believed.
pub(in crate::call) const NOT_APPLIED_BELIEVED_AFTER: u32 = 2;
/// What is said of an answer that somebody else gave.
const PROXY_PAGE: &str = "the answer is a page of HTML, as a proxy sends it, and not the service's";
/// What is said of an answer that shows the machine as it was.
pub(in crate::call) const NOT_APPLIED: &str = "the service accepted the call, but its answer shows the machine without the change; \
                                      an asset rule or a tag set in the registry may stand against it";

/// The service's code for what an asset rule or a policy stands against.
const DISALLOWED_CODE: &str = "DisallowedOperation";
/// The most characters kept of a service's message.
const MESSAGE_MAXIMUM_CHARACTERS: usize = 500;

/// What earlier answers to the same call said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Times the machine was not found.
    pub not_found: u32,
    /// Times an answer showed the machine without the change.
    pub not_applied: u32,
    /// Times a bulk call's answer showed others and not this machine.
    pub omitted: u32,
    /// Whether a refused bulk call named the machine.
    pub named: bool,
    /// Whether the inventory lacks the machine.
    pub unlisted: bool,
    /// The trouble that the service had with the machine, or with others and it together.
    pub trouble: Option<EarlierTrouble>,
}

/// What to do about an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is so now; the service said so.
    Done {
        /// What the answer said of itself.
        facts: AnswerFacts,
        /// `present`, `absent` or the value.
        after: &'static str,
        /// Whether the tag stands there in another case than asked for.
        case_differs: bool,
    },
    /// A read has its answer.
    Read {
        /// What it has found.
        answer: ReadAnswer,
        /// What the answer said of itself.
        facts: AnswerFacts,
    },
    /// Ask again after a while.
    Retry {
        /// Why.
        why: RetryReason,
        /// What the answer said of itself.
        facts: AnswerFacts,
    },
    /// The quota is used up: nobody calls until then.
    Throttled {
        /// How long the service asked to wait, as far as it said.
        wait: Option<Duration>,
        /// What the answer said of itself.
        facts: AnswerFacts,
    },
    /// A bulk call was accepted.
    Answered {
        /// What the answer said of itself.
        facts: AnswerFacts,
        /// What it says of each machine, in the order of the call.
        machines: Vec<MachineVerdict>,
        /// Whether it shows no machine at all, which is the service's acceptance all the same.
        shows_none: bool,
    },
    /// A bulk call was refused as a whole; nothing in it was done.
    Split {
        /// Why.
        why: SplitReason,
        /// What the answer said of itself.
        facts: AnswerFacts,
    },
    /// Refused for good.
    Fail {
        /// Why.
        why: FailReason,
        /// What the answer said of itself.
        facts: AnswerFacts,
    },
    /// Nothing sent after this can succeed.
    Abort {
        /// Why.
        why: AbortReason,
        /// What the answer said of itself.
        facts: AnswerFacts,
    },
}

/// What the accepted answer to a bulk call says of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineVerdict {
    /// It is so now.
    Done {
        /// Whether the tag stands there in another case than asked for.
        case_differs: bool,
    },
    /// The answer shows the machine without the change.
    NotApplied,
    /// The answer shows others, and not this one.
    Omitted,
}

/// Why a bulk call was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitReason {
    /// Some machines in it are unknown or inactive, as far as can be told.
    BadMachines {
        /// For each machine of the call whether the answer names it.
        named: Vec<bool>,
    },
    /// It holds more machines than allowed.
    TooMany {
        /// The allowed number, as far as named.
        allowed: Option<usize>,
    },
    /// The service does not allow it on some machine in it, or does not allow this call at all: which, the answer does not
    /// say.
    Disallowed {
        /// For each machine of the call whether the answer names it.
        named: Vec<bool>,
    },
    /// The service does not allow this call, or does not know it.
    Forbidden,
}

/// Why a call is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryReason {
    /// The token was not accepted; another one may be.
    TokenRefused,
    /// The machine was not found, which is not believed yet.
    NotFound,
    /// The answer shows the machine without the change, which is not believed yet.
    NotApplied,
    /// The service failed, or asked to try again.
    ServiceFailed,
    /// No connection came about.
    NotConnected,
    /// No answer in time.
    TimedOut,
    /// The connection ended without an answer.
    ConnectionLost,
    /// The answer was cut off or too long.
    Truncated,
    /// The answer is not the service's: HTML, or no JSON.
    NotUnderstood,
    /// The answer is about another machine.
    OtherMachine,
}

impl RetryReason {
    /// Whether the call may have taken effect although no answer says so.
    #[must_use]
    pub const fn is_ambiguous(self) -> bool {
        match self {
            Self::TimedOut | Self::ConnectionLost | Self::Truncated | Self::NotUnderstood | Self::OtherMachine => true,
            Self::TokenRefused | Self::NotFound | Self::NotApplied | Self::ServiceFailed | Self::NotConnected => false,
        }
    }

    /// Whether a single machine may be why: the same call without it might be answered.
    #[must_use]
    pub const fn may_lie_in_a_machine(self) -> bool {
        match self {
            Self::ServiceFailed
            | Self::TimedOut
            | Self::ConnectionLost
            | Self::Truncated
            | Self::NotUnderstood
            | Self::OtherMachine => true,
            Self::TokenRefused | Self::NotFound | Self::NotApplied | Self::NotConnected => false,
        }
    }

    /// Whether the attempt counts against the limit of attempts. What surely never left does not.
    #[must_use]
    pub const fn counts_as_attempt(self) -> bool {
        !matches!(self, Self::NotConnected)
    }

    /// The code in results, where the service gave none.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TokenRefused => "token_refused",
            Self::NotFound => "not_found",
            Self::NotApplied => "not_applied",
            Self::ServiceFailed => "service_failed",
            Self::NotConnected => "not_connected",
            Self::TimedOut => "timed_out",
            Self::ConnectionLost => "connection_lost",
            Self::Truncated => "truncated_answer",
            Self::NotUnderstood => "answer_not_understood",
            Self::OtherMachine => "answer_for_other_machine",
        }
    }
}

/// Why a call is refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailReason {
    /// The service does not know the machine; it said so repeatedly.
    NotFound,
    /// The service does not allow it to this app, as far as can be told.
    Forbidden,
    /// The service does not allow it on this machine: an asset rule or a policy stands against it.
    Disallowed,
    /// The answers show the machine without the change.
    NotApplied,
    /// The service finds the request wrong.
    Rejected,
}

/// Why a run stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbortReason {
    /// The base URL leads elsewhere; the token goes nowhere else.
    Redirected {
        /// The HTTP status.
        status: u16,
        /// The host that it leads to, if named.
        location: Option<String>,
    },
    /// A proxy on the way wants to know who is asking.
    ProxyAuthentication,
}

/// Judges an answer. `wall_now` is what a `Retry-After` date counts from if the answer has no `Date`.
#[must_use]
pub fn judge(request: &ApiRequest, answer: &Answer, history: History, wall_now: Timestamp) -> Verdict {
    match answer {
        Answer::Lost(loss) => {
            let why = match loss.kind {
                LossKind::NotConnected => RetryReason::NotConnected,
                LossKind::TimedOut => RetryReason::TimedOut,
                LossKind::ConnectionLost => RetryReason::ConnectionLost,
                LossKind::Truncated | LossKind::TooLong => RetryReason::Truncated,
            };
            retry(why, AnswerFacts { error_message: Some(cut(&loss.description)), ..AnswerFacts::default() })
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
        403 if is_disallowed(&facts) => fail(FailReason::Disallowed, facts),
        403 => fail(FailReason::Forbidden, facts),
        404 if history.not_found + 1 >= NOT_FOUND_BELIEVED_AFTER => fail(FailReason::NotFound, facts),
        404 => retry(RetryReason::NotFound, facts),
        408 | 409 | 421 | 423 | 425 => retry(RetryReason::ServiceFailed, facts),
        400..=499 => fail(FailReason::Rejected, facts),
        _ => retry(RetryReason::ServiceFailed, facts),
    }
}

fn judge_success(request: &ApiRequest, response: &Response, history: History, mut facts: AnswerFacts) -> Verdict {
    let Some(machine) = response.machine() else {
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
    match shows(request, &machine) {
        Shown::AsAsked { case_differs } => {
            facts.error_code = None;
            facts.error_message = None;
            Verdict::Done { facts, after: after(request), case_differs }
        }
        Shown::Otherwise => {
            facts.error_message = Some(NOT_APPLIED.into());
            if history.not_applied + 1 >= NOT_APPLIED_BELIEVED_AFTER {
                fail(FailReason::NotApplied, facts)
            } else {
                retry(RetryReason::NotApplied, facts)
            }
        }
    }
}

enum Shown {
    AsAsked { case_differs: bool },
    Otherwise,
}

/// Compares the machine in an answer with what was asked for. What the answer does not show speaks against nothing.
fn shows(request: &ApiRequest, machine: &MachineDocument) -> Shown {
    let (as_asked, case_differs) = match request {
        ApiRequest::ChangeTag { action, tag, .. } | ApiRequest::ChangeTagOnMachines { action, tag, .. } => {
            let Some(tags) = &machine.machine_tags else { return Shown::AsAsked { case_differs: false } };
            let exactly = tags.iter().any(|shown| shown == tag.as_str());
            let in_another_case =
                !exactly && tags.iter().any(|shown| shown.to_lowercase() == tag.as_str().to_lowercase());
            match action {
                TagAction::Add => (exactly || in_another_case, in_another_case),
                TagAction::Remove => (!exactly, in_another_case),
            }
        }
        ApiRequest::SetDeviceValue { value, .. } => {
            let Some(shown) = &machine.device_value else { return Shown::AsAsked { case_differs: false } };
            (shown.eq_ignore_ascii_case(value.as_str()), false)
        }
        // Judged elsewhere; a read asks for no change.
        ApiRequest::ListMachines { .. } | ApiRequest::GetMachine { .. } => (true, false),
    };
    if as_asked { Shown::AsAsked { case_differs } } else { Shown::Otherwise }
}

/// What holds once the request has taken effect.
pub(in crate::call) const fn after(request: &ApiRequest) -> &'static str {
    match request {
        ApiRequest::ChangeTag { action, .. } | ApiRequest::ChangeTagOnMachines { action, .. } => match action {
            TagAction::Add => "present",
            TagAction::Remove => "absent",
        },
        ApiRequest::SetDeviceValue { value, .. } => value.as_str(),
        ApiRequest::ListMachines { .. } | ApiRequest::GetMachine { .. } => "",
    }
}

/// Whether a 403 is about a machine and not about the app.
fn is_disallowed(facts: &AnswerFacts) -> bool {
    facts.error_code.as_deref().is_some_and(|code| code.eq_ignore_ascii_case(DISALLOWED_CODE))
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
        error_code: text(&error.code),
        error_message: text(&error.message).or_else(|| ours().as_deref().map(cut)),
        request_id: error.target.as_deref().or(response.request_id.as_deref()).and_then(text),
    }
}

/// A text of the service on one line, without control characters, cut.
fn cut(text: &str) -> Box<str> {
    let mut line: String = text
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(MESSAGE_MAXIMUM_CHARACTERS + 1)
        .collect();
    if line.chars().count() > MESSAGE_MAXIMUM_CHARACTERS {
        line.pop();
        line.push('…');
    }
    line.trim().into()
}

#[cfg(test)]
mod tests;
