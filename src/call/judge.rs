//! What an answer means: a pure, total function from request, answer and history to a [`Verdict`].
//!
//! Success is only ever the service's own well-formed answer that shows the change; one that shows nothing of it is an
//! acceptance, which a read has to settle. The texts of errors are the service's, cut; nothing is decided by them but how
//! long to wait. What surprises: a 404 is believed only when it repeats, since the service sometimes gives one for a
//! living machine; an answer that shows the machine without the change, or the tag in another case only, is asked for
//! once more before it is believed; and a service that fails may have done its work before (`is_ambiguous`).

mod bulk;
mod read;

use std::time::Duration;

use jiff::Timestamp;

pub use read::ReadAnswer;

use super::retry_after;
use crate::api::{Answer, ApiRequest, CertificateProblem, LossKind, MachineRecord, Response};
use crate::model::{AnswerFacts, TagAction};

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

/// What earlier answers to the same call said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Times the machine was not found.
    pub not_found: u32,
    /// Times an answer showed the machine without the change, or the tag in another case only.
    pub not_applied: u32,
    /// Times the service put the call off.
    pub busy: u32,
    /// Times a bulk call's answer showed others and not this machine.
    pub omitted: u32,
    /// Whether a refused bulk call named the machine.
    pub named: bool,
    /// Whether the inventory lacks the machine.
    pub unlisted: bool,
    /// Whether an earlier attempt may have taken effect without an answer that says so. No refusal takes that back.
    pub may_hold: bool,
}

impl History {
    /// The same after an attempt that is made again for this reason.
    #[must_use]
    pub const fn and(mut self, why: RetryReason) -> Self {
        match why {
            RetryReason::NotFound => self.not_found += 1,
            RetryReason::NotApplied | RetryReason::OtherCase => self.not_applied += 1,
            RetryReason::Busy => self.busy += 1,
            _ => self.may_hold |= why.is_ambiguous(),
        }
        self
    }

    /// An operation's history, with that of the call that carries it.
    #[must_use]
    pub const fn also(self, call: Self) -> Self {
        Self { may_hold: self.may_hold || call.may_hold, ..self }
    }

    /// Whether the operation may have been done all the same when it is refused for this reason: by an attempt whose
    /// answer nobody has, or that was accepted without showing the change.
    #[must_use]
    pub const fn may_be_done_although(self, refused: FailReason) -> bool {
        self.may_hold || (self.not_applied > 0 && !matches!(refused, FailReason::NotApplied))
    }
}

/// What to do about an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is so now; the service said so.
    Done {
        /// What the answer said of itself.
        facts: AnswerFacts,
        /// Whether the tag stands there in another case than asked for.
        case_differs: bool,
    },
    /// The service accepted the call and shows nothing of the change.
    Accepted {
        /// What the answer said of itself.
        facts: AnswerFacts,
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

impl Verdict {
    /// Whether the answer shows that the quota let the call through.
    #[must_use]
    pub const fn passed_quota(&self) -> bool {
        match self {
            Self::Done { .. }
            | Self::Accepted { .. }
            | Self::Read { .. }
            | Self::Answered { .. }
            | Self::Split { .. }
            | Self::Fail { .. } => true,
            Self::Retry { why, .. } => {
                matches!(why, RetryReason::NotFound | RetryReason::NotApplied | RetryReason::OtherCase)
            }
            Self::Throttled { .. } | Self::Abort { .. } => false,
        }
    }
}

/// What the accepted answer to a bulk call says of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineVerdict {
    /// It is so now.
    Done {
        /// Whether the tag stands there in another case than asked for.
        case_differs: bool,
    },
    /// The answer shows the tag that was to be added in another case only.
    OtherCase,
    /// The answer shows the machine without the change.
    NotApplied,
    /// The answer shows nothing of the change.
    Accepted,
    /// The answer shows others, and not this one.
    Omitted,
}

/// Why a bulk call was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitReason {
    /// Some machines in it are unknown, inactive or out of bounds, as far as can be told.
    BadMachines {
        /// For each machine of the call whether the answer names it.
        named: Vec<bool>,
    },
    /// It holds more machines than allowed.
    TooMany {
        /// The allowed number, as far as named.
        allowed: Option<usize>,
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
    /// The answer shows the tag in another case only, which is not believed yet.
    OtherCase,
    /// The service failed, or somebody on the way to it did.
    ServiceFailed,
    /// The service did nothing and asked to try again.
    Busy,
    /// No connection came about.
    NotConnected(ConnectionTrouble),
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

/// Why no connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionTrouble {
    /// The host's name could not be looked up.
    UnknownHost,
    /// Nobody listens there.
    Refused,
    /// The proxy on the way cannot be reached, or does not connect.
    Proxy,
    /// Another reason.
    Other,
}

impl RetryReason {
    /// Whether the attempt may have taken effect although no answer says so.
    #[must_use]
    pub const fn is_ambiguous(self) -> bool {
        match self {
            Self::NotApplied
            | Self::OtherCase
            | Self::ServiceFailed
            | Self::TimedOut
            | Self::ConnectionLost
            | Self::Truncated
            | Self::NotUnderstood
            | Self::OtherMachine => true,
            Self::TokenRefused | Self::NotFound | Self::Busy | Self::NotConnected(_) => false,
        }
    }

    /// Whether the attempt counts against the limit of attempts. What surely never left does not.
    #[must_use]
    pub const fn counts_as_attempt(self) -> bool {
        !matches!(self, Self::NotConnected(_))
    }

    /// The code in results, where the service gave none.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TokenRefused => "token_refused",
            Self::NotFound => "not_found",
            Self::NotApplied => "not_applied",
            Self::OtherCase => "other_case",
            Self::ServiceFailed | Self::Busy => "service_failed",
            Self::NotConnected(_) => "not_connected",
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
    /// The service does not allow it.
    Forbidden,
    /// The service allows it elsewhere, and not on this machine.
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
    /// The server's certificate is not accepted, so nothing was sent.
    Untrusted {
        /// What is wrong with it.
        problem: CertificateProblem,
        /// The same in words, with the host.
        description: String,
    },
}

impl AbortReason {
    /// Whether the attempt may have taken effect: only some redirects say that the call is still to be made.
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        match self {
            Self::Redirected { status, .. } => !matches!(status, 307 | 308),
            Self::ProxyAuthentication | Self::Untrusted { .. } => false,
        }
    }
}

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
                LossKind::Proxy => RetryReason::NotConnected(ConnectionTrouble::Proxy),
                LossKind::UnknownHost => RetryReason::NotConnected(ConnectionTrouble::UnknownHost),
                LossKind::ConnectionRefused => RetryReason::NotConnected(ConnectionTrouble::Refused),
                LossKind::NotConnected => RetryReason::NotConnected(ConnectionTrouble::Other),
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
        403 if request.machine().is_some() && is_disallowed(&facts) => fail(FailReason::Disallowed, facts),
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

/// What holds once the request has taken effect; `None` where the tag stands there in another case, since nobody can tell
/// whether that is the same tag to the service.
pub(in crate::call) const fn after(request: &ApiRequest, case_differs: bool) -> Option<&'static str> {
    match request {
        _ if case_differs => None,
        ApiRequest::ChangeTag { action, .. } | ApiRequest::ChangeTagOnMachines { action, .. } => Some(match action {
            TagAction::Add => "present",
            TagAction::Remove => "absent",
        }),
        ApiRequest::SetDeviceValue { value, .. } => Some(value.as_str()),
        ApiRequest::ListMachines { .. } | ApiRequest::GetMachine { .. } => None,
    }
}

fn is_disallowed(facts: &AnswerFacts) -> bool {
    facts.error_code.as_deref() == Some(DISALLOWED_CODE)
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
