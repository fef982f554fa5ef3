//! What is asked of the ledger for an attempt, what it answers, and what the attempt ended with.

use std::time::Duration;

use super::run::{AccountKey, OperationState, RunKey};
use crate::clock::BootTime;
use crate::model::{AnswerFacts, Bucket, Held, OperationId};
use crate::quota::{Quota, QuotaLimit};

/// The number of an attempt: the later one has the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AttemptKey(pub(in crate::store) i64);

#[cfg(test)]
impl AttemptKey {
    pub(crate) const fn numbered(number: i64) -> Self {
        Self(number)
    }
}

/// A call that asks to be let through.
#[derive(Clone, Debug)]
pub(crate) struct AttemptRequest {
    /// Whose quota it uses.
    pub account: AccountKey,
    /// The bucket that it counts in.
    pub bucket: Bucket,
    /// The buckets whose calls count against it: its own, or all of them.
    pub counted_buckets: Vec<Bucket>,
    /// The limits to keep; with none it is only written down.
    pub quota: Quota,
    /// The run that it belongs to.
    pub run: Option<RunKey>,
    /// The kind of call, for people who read the database.
    pub call_kind: &'static str,
    /// The operations that it carries.
    pub operations: Vec<OperationId>,
    /// How long its answer is awaited before it is given up.
    pub time_out: Duration,
}

/// An attempt that may be sent, and was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttemptTicket {
    /// To close it with.
    pub attempt: AttemptKey,
    /// When it was let through.
    pub started: BootTime,
}

/// The ledger's answer to a call that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may be sent at once.
    Granted(AttemptTicket),
    /// Not now; nothing was written.
    Refused(Refusal),
}

/// Why a call must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A window is full until then.
    Window {
        /// The earliest start.
        until: BootTime,
        /// The limit that is reached.
        limit: QuotaLimit,
    },
    /// The window is full of calls in flight, ours or another process's.
    InFlight {
        /// The limit that is reached.
        limit: QuotaLimit,
    },
    /// Another server of the state has taken over, and not everybody has been back who may have called before.
    AwaitsOthers,
    /// The service refused a call of this bucket and named a time, or we chose one.
    Paused {
        /// When it is over.
        until: BootTime,
    },
}

/// When an attempt counts as ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    /// Its whole answer is here, or it surely never left: now.
    Now,
    /// It was given up without a complete answer and may still arrive: thirty seconds from now.
    GivenUp,
    /// It was let through but not sent; it is struck out.
    NeverSent,
}

/// What an attempt did to one of its operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperationEffect {
    pub operation: OperationId,
    /// Its state from now on; `None` leaves it to be sent again.
    pub state: Option<OperationState>,
    /// Whether the attempt may have taken effect without an answer that says so.
    pub ambiguous: bool,
    /// What the answer said of itself.
    pub answer: AnswerFacts,
    /// What holds now, as far as the answer showed it.
    pub after: Held,
}

/// The end of an attempt, to be written in one transaction with what it did.
#[derive(Clone, Debug)]
pub(crate) struct Settlement {
    pub attempt: AttemptKey,
    /// When it counts as ended.
    pub end: AttemptEnd,
    /// What was decided about it, for people who read the database.
    pub verdict: &'static str,
    /// The HTTP status of the answer.
    pub http_status: Option<u16>,
    /// The service's correlation id.
    pub request_id: Option<Box<str>>,
    /// Whether it counts as an attempt of its operations; a refusal for quota does not.
    pub counts_as_attempt: bool,
    /// What it did to its operations.
    pub effects: Vec<OperationEffect>,
    /// A pause of its bucket for every process, and until when.
    pub pause: Option<(AccountKey, Bucket, BootTime)>,
}

impl Settlement {
    /// Strikes an admission out that was not used.
    pub(crate) fn never_sent(attempt: AttemptKey) -> Self {
        Self {
            attempt,
            end: AttemptEnd::NeverSent,
            verdict: "never_sent",
            http_status: None,
            request_id: None,
            counts_as_attempt: false,
            effects: Vec::new(),
            pause: None,
        }
    }
}

#[cfg(any(test, fuzzing))]
impl Settlement {
    /// One for tests: that of an attempt which ended so, and did this.
    pub(in crate::store) fn of(attempt: AttemptKey, end: AttemptEnd, effects: Vec<OperationEffect>) -> Self {
        Self {
            attempt,
            http_status: (end == AttemptEnd::Now).then_some(200),
            end,
            verdict: "test",
            request_id: None,
            counts_as_attempt: true,
            effects,
            pause: None,
        }
    }
}
