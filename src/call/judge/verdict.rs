//! What can be said of an answer, and what is remembered of earlier ones.
//!
//! Each reason knows whether the attempt may have taken effect all the same. What surprises: a [`History`] never forgets
//! that, whatever is answered later, for a refusal says nothing of the attempts before it.

use std::time::Duration;

use crate::api::{CertificateProblem, LossKind, MachinePage, UnreadableList};
use crate::call::EarlierTrouble;
use crate::model::AnswerFacts;
use crate::model::MachineRecord;

/// What earlier answers to the same call said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Times the machine was not found.
    pub not_found: u32,
    /// Times an answer showed the machine without the change, or the tag in another case only.
    pub not_applied: u32,
    /// Times the service put the call off.
    pub busy: u32,
    /// Times a bulk call's answer showed others and not this machine.
    pub omitted: u32,
    /// Times an answer held more than is read.
    pub too_much: u32,
    /// Whether a refused bulk call named the machine.
    pub named: bool,
    /// Whether the inventory lacks the machine.
    pub unlisted: bool,
    /// Whether an earlier attempt may have taken effect without an answer that says so. No refusal takes that back.
    pub may_hold: bool,
    /// The trouble that the service had with the machine, or with others and it together.
    pub trouble: Option<EarlierTrouble>,
}

impl History {
    /// The same after an attempt that is made again for this reason.
    pub(crate) const fn and(mut self, why: RetryReason) -> Self {
        match why {
            RetryReason::NotFound => self.not_found += 1,
            RetryReason::NotApplied | RetryReason::OtherCase => self.not_applied += 1,
            RetryReason::Busy => self.busy += 1,
            RetryReason::TooMuch(_) => {
                self.too_much += 1;
                self.may_hold = true;
            }
            _ => self.may_hold |= why.is_ambiguous(),
        }
        self
    }

    /// An operation's history, with that of the call that carries it.
    pub(crate) const fn also(self, call: Self) -> Self {
        Self { may_hold: self.may_hold || call.may_hold, ..self }
    }

    /// Whether the operation may have been done all the same when it is refused for this reason: by an attempt whose
    /// answer nobody has, or that was accepted without showing the change.
    pub(crate) const fn may_be_done_although(self, refused: FailReason) -> bool {
        self.may_hold || (self.not_applied > 0 && !matches!(refused, FailReason::NotApplied))
    }
}

/// What to do about an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
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
        why: SplitReason,
        /// What the answer said of itself.
        facts: AnswerFacts,
    },
    /// Refused for good.
    Fail {
        why: FailReason,
        /// What the answer said of itself.
        facts: AnswerFacts,
    },
    /// Nothing sent after this can succeed.
    Abort {
        why: AbortReason,
        /// What the answer said of itself.
        facts: AnswerFacts,
    },
}

impl Verdict {
    /// Whether the answer shows that the quota let the call through.
    pub(crate) const fn passed_quota(&self) -> bool {
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

pub(super) const fn retry(why: RetryReason, facts: AnswerFacts) -> Verdict {
    Verdict::Retry { why, facts }
}

pub(super) const fn fail(why: FailReason, facts: AnswerFacts) -> Verdict {
    Verdict::Fail { why, facts }
}

/// What a read has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadAnswer {
    /// A page of the list of machines.
    Page(MachinePage),
    /// The machine that was asked for.
    Machine(Box<MachineRecord>),
    /// No machine: the list has no more, or does not have the one that was asked for.
    NotFound,
}

/// What the accepted answer to a bulk call says of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MachineVerdict {
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
pub(crate) enum SplitReason {
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
pub(crate) enum RetryReason {
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
    /// The answer holds more than any true one, and was not read.
    TooMuch(Excess),
    /// The answer is about another machine.
    OtherMachine,
}

/// What an answer holds more of than any true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Excess {
    Machines,
    /// Tags of a machine.
    Tags,
    /// Whatever its machines show.
    Fields,
    Bytes,
}

impl Excess {
    /// What is too much of an answer that is not read, if that is why.
    pub(crate) const fn of(unreadable: UnreadableList) -> Option<Self> {
        match unreadable {
            UnreadableList::Other => None,
            UnreadableList::TooManyMachines { .. } => Some(Self::Machines),
            UnreadableList::TooManyTags { .. } => Some(Self::Tags),
            UnreadableList::TooLarge { .. } => Some(Self::Fields),
        }
    }
}

/// Why no connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ConnectionTrouble {
    /// The host's name could not be looked up.
    UnknownHost,
    /// Nobody listens there.
    Refused,
    /// The proxy on the way cannot be reached, or does not connect, and answers with this status if it answers.
    Proxy(Option<u16>),
    /// Whoever listens there does not speak TLS.
    NotTls,
    Other,
}

impl ConnectionTrouble {
    /// Why a connection did not come about that was lost so.
    pub(crate) const fn of(loss: LossKind) -> Self {
        match loss {
            LossKind::UnknownHost => Self::UnknownHost,
            LossKind::ConnectionRefused => Self::Refused,
            LossKind::Proxy(status) => Self::Proxy(status),
            LossKind::NotTls => Self::NotTls,
            _ => Self::Other,
        }
    }
}

impl RetryReason {
    /// Whether the attempt may have taken effect although no answer says so.
    pub(crate) const fn is_ambiguous(self) -> bool {
        match self {
            Self::NotApplied
            | Self::OtherCase
            | Self::ServiceFailed
            | Self::TimedOut
            | Self::ConnectionLost
            | Self::Truncated
            | Self::NotUnderstood
            | Self::TooMuch(_)
            | Self::OtherMachine => true,
            Self::TokenRefused | Self::NotFound | Self::Busy | Self::NotConnected(_) => false,
        }
    }

    /// Whether a single machine may be why: the same call without it might be answered.
    pub(crate) const fn may_lie_in_a_machine(self) -> bool {
        match self {
            Self::ServiceFailed
            | Self::Busy
            | Self::TimedOut
            | Self::ConnectionLost
            | Self::Truncated
            | Self::NotUnderstood
            | Self::TooMuch(_)
            | Self::OtherMachine => true,
            Self::TokenRefused | Self::NotFound | Self::NotApplied | Self::OtherCase | Self::NotConnected(_) => false,
        }
    }

    /// Whether the attempt counts against the limit of attempts. What surely never left does not.
    pub(crate) const fn counts_as_attempt(self) -> bool {
        !matches!(self, Self::NotConnected(_))
    }

    /// The code in results, where the service gave none.
    pub(crate) const fn code(self) -> &'static str {
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
            Self::NotUnderstood | Self::TooMuch(_) => "answer_not_understood",
            Self::OtherMachine => "answer_for_other_machine",
        }
    }
}

/// Why a call is refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FailReason {
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
pub(crate) enum AbortReason {
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
    pub(crate) const fn is_ambiguous(&self) -> bool {
        match self {
            Self::Redirected { status, .. } => !matches!(status, 307 | 308),
            Self::ProxyAuthentication | Self::Untrusted { .. } => false,
        }
    }
}
