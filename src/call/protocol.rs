//! What a run and its calls say to each other: the call to be made, the phases that it reports, how it ends.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::judge::{AbortReason, ConnectionTrouble, History, ReadAnswer, RetryReason};
use super::{CallId, Questions};
use crate::api::sign_in::{SignInError, Trouble};
use crate::api::{ApiRequest, CallKind};
use crate::clock::BootTime;
use crate::model::{OperationId, Outcome};
use crate::quota::QuotaLimit;
use crate::store::RunKey;

/// A call to be made.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub id: CallId,
    /// What to send.
    pub request: ApiRequest,
    /// The run that it belongs to.
    pub run: Option<RunKey>,
    /// The operations that it carries out; of a bulk call in the order of its machines.
    pub operations: Vec<CallOperation>,
    /// What is known of the call as a whole from before: of a bulk call only.
    pub history: History,
    /// What a read may settle; of other calls nothing.
    pub questions: Questions,
}

impl Call {
    /// Whether it carries several operations.
    pub(super) const fn is_bulk(&self) -> bool {
        self.operations.len() > 1
    }

    /// What is known from before: of the call as a whole, or of the only machine of a single call.
    pub(super) fn known(&self) -> History {
        match (self.request.machine(), self.operations.as_slice()) {
            (Some(_), [only]) => only.history,
            _ => self.history,
        }
    }

    /// The end of a call whose operations all have the same outcome.
    pub(super) fn ended_alike(&self, outcome: Outcome) -> CallEnd {
        if self.request.is_read() {
            CallEnd::ReadFailed(outcome)
        } else {
            CallEnd::Settled(vec![OperationEnd::Outcome(outcome); self.operations.len()])
        }
    }

    /// Whether it is a single write that has not been put off before.
    pub(super) fn may_be_put_off(&self) -> bool {
        let known = self.known().trouble;
        self.operations.len() == 1 && !self.request.is_read() && known.is_none_or(|trouble| trouble.attempts == 0)
    }
}

/// An operation in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallOperation {
    pub id: OperationId,
    /// What earlier calls, and the inventory, said of its machine.
    pub history: History,
}

/// What a call is doing, told to the run that made it.
#[derive(Clone, Debug)]
pub(crate) struct CallReport {
    pub call: CallId,
    /// What it does now.
    pub phase: Phase,
}

/// The phases of a call.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// It waits.
    Waiting {
        cause: WaitCause,
        /// Until when, if that is known.
        until: Option<BootTime>,
    },
    /// It waits for a token, as briefly as that may be; a wait that is worth a word is told once more, as one.
    SigningIn,
    /// Whatever it waited for is over; others may stand before it in line.
    InLine,
    /// A request is on its way.
    Sending {
        /// What it is: what a call asks on the way is of a kind of its own.
        kind: CallKind,
        /// Whether it was sent before, and had no answer that ends the call.
        is_repeat: bool,
    },
    /// That request never left: its token was refused to another call in the meantime.
    NotSent { kind: CallKind, is_repeat: bool },
    /// The attempt is over, and its effect is stored.
    Answered {
        /// Why it has to be made again, if so.
        retry: Option<RetryReason>,
        /// Whether it was refused for quota.
        throttled: bool,
    },
    /// Something that people should know once.
    Notice(Notice),
}

/// What people should know, once a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Notice {
    /// A 429 came although the ledger had room; from now on all calls count together and are spread evenly.
    UnexplainedThrottling,
    /// A 429 came although single tag calls had room, and bulk ones: from now on they count together.
    TagCallsCountTogether,
    /// The service shows a tag that was added in another case than was asked for.
    TagCaseDiffers,
    /// The service shows a tag that was removed in another case.
    OtherCaseStays,
    /// The service accepts bulk calls without showing what was changed.
    BulkAnswersShowNothing,
    /// The service does not allow bulk calls; single calls are made instead.
    BulkForbidden,
    /// The service allows fewer machines in a bulk call than documented: so many.
    BulkLimitLowered(usize),
}

/// What stands in the way of a call that is not made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unanswered {
    /// What it would wait for.
    pub cause: WaitCause,
    /// How long the service asked to wait, as far as it said.
    pub asked_to_wait: Option<Duration>,
}

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WaitCause {
    /// The calls of a window are spread a little.
    Pacing,
    /// The quota's window is full.
    Window(QuotaLimit),
    /// The service refused a call for quota and is left alone for a while.
    Throttled,
    /// An attempt failed and is made again after a while.
    Retry(Repeat),
    /// A request is on its way and has no answer yet.
    Answer { since: Timestamp },
    /// The sign-in service was asked for a token and has not answered yet.
    Token { since: Timestamp },
    /// The list of machines does not show the latest writes yet.
    ListLag,
    /// The service does not answer, or only with failures; one call at a time tries whether it is back.
    Outage {
        since: Timestamp,
        /// What was met last.
        trouble: ServiceTrouble,
    },
    /// The state's database does not answer, so that nothing can be counted or stored.
    State { since: Timestamp },
    /// Another server of the state has taken over, and not everybody has been back who may have called before.
    OtherHosts,
}

impl WaitCause {
    /// Whether it says that something is wrong, or the quota used up, so that it may be why a run comes to no end.
    pub(crate) const fn is_in_the_way(self) -> bool {
        match self {
            Self::Window(_)
            | Self::Throttled
            | Self::Retry(_)
            | Self::Answer { .. }
            | Self::Token { .. }
            | Self::State { .. }
            | Self::OtherHosts
            | Self::Outage { .. } => true,
            Self::Pacing | Self::ListLag => false,
        }
    }
}

/// An attempt that is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Repeat {
    pub why: RepeatCause,
    /// Which attempt of its call the next one is.
    pub number: u32,
    /// How many there are at the most, where that is so.
    pub most: Option<u32>,
}

/// Why an attempt is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RepeatCause {
    /// Its answer, with the HTTP status if there was one, or the lack of it.
    Answer(RetryReason, Option<u16>),
    /// There was no token to be had.
    SignIn(SignInTrouble),
}

/// Why there is no token to be had for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SignInTrouble {
    /// No connection to the sign-in service comes about.
    NotConnected(ConnectionTrouble),
    /// It does not answer, or with no token.
    Other(Trouble),
}

impl SignInTrouble {
    /// What a sign-in met that failed.
    pub(super) fn of(error: &SignInError) -> Self {
        match error.trouble() {
            Some((Trouble::NoConnection, loss)) => {
                Self::NotConnected(loss.map_or(ConnectionTrouble::Other, ConnectionTrouble::of))
            }
            Some((trouble, _)) => Self::Other(trouble),
            None => Self::NotConnected(ConnectionTrouble::Other),
        }
    }
}

/// How a service shows that it is in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServiceTrouble {
    /// No connection comes about.
    NotConnected(ConnectionTrouble),
    /// No answer in time.
    TimedOut,
    /// Connections end without an answer.
    ConnectionLost,
    /// It answers with this HTTP status.
    Status(u16),
    /// There is no token to be had, since whoever gives them does not answer as they should.
    SignIn(SignInTrouble),
}

impl ServiceTrouble {
    /// Whether it lies on the way to the host, which all calls have in common.
    pub(crate) const fn is_without_connection(self) -> bool {
        matches!(self, Self::NotConnected(_) | Self::SignIn(_))
    }

    /// Whether the machines of a few calls may be why, while the service answers others. A gateway that finds nobody behind
    /// it, and connections that end, are everybody's, even where they befall writes alone.
    pub(crate) const fn may_lie_in_a_machine(self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Status(status) => !matches!(status, 502 | 503),
            Self::NotConnected(_) | Self::ConnectionLost | Self::SignIn(_) => false,
        }
    }
}

/// How a call ends.
#[derive(Clone, Debug)]
pub(crate) enum CallEnd {
    /// It has an answer, or is given up: what became of each operation, in the order of the call.
    Settled(Vec<OperationEnd>),
    /// The bulk call was refused as a whole: why, and what became of each operation, in the order of the call. Those
    /// that have no outcome are to be sent again in other company.
    Refused(BulkRefusal, Vec<OperationEnd>),
    /// It was a read, and this is what it has found.
    Read(ReadAnswer),
    /// It was a read, and it was refused or given up.
    ReadFailed(Outcome),
    /// It was not made, or not made again, because the run stops.
    Stopped(StopReason),
    /// Nothing sent after this can succeed. The outcome is that of each of its operations, if they were answered.
    Aborted(AbortCause, Option<Outcome>),
}

/// Why a call is not made any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The run drains.
    Draining,
    /// The next moment at which it could start lies beyond the deadline, and so it does for every call of its bucket.
    Deadline,
    /// It failed, and the moment at which it is to be made again lies beyond the deadline.
    RepeatBeyondDeadline,
    /// The service has been in trouble for too long.
    Outage {
        since: Timestamp,
        /// What was met last.
        trouble: ServiceTrouble,
    },
}

/// Why a bulk call was refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BulkRefusal {
    /// Machines in it are bad; those that are believed to be named say so in their history.
    BadMachines,
    /// It holds more machines than allowed.
    TooMany {
        /// The allowed number, as far as named.
        allowed: Option<usize>,
    },
    /// The service does not allow this call, or not on some machine in it, or does not know it.
    Forbidden,
    /// The service fails at this call, and answers others.
    Trouble,
}

/// What became of one operation of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OperationEnd {
    /// It has its outcome.
    Outcome(Outcome),
    /// The answer left it open: it is to be sent once more.
    Again(History),
}

/// Why nothing sent after this can succeed.
#[derive(Clone, Debug)]
pub(crate) enum AbortCause {
    /// The service, or somebody on the way, refuses every call.
    Refused(AbortReason),
    /// There is no token to be had.
    SignIn(SignInError),
    /// Every new token is refused.
    TokenRefused,
    /// No connection comes about.
    Unreachable {
        /// What the HTTP client says.
        description: String,
    },
    /// The service refuses every call for quota, whatever the wait.
    ThrottledForGood,
}

/// Where calls report their phases; what nobody hears is lost.
#[derive(Clone, Debug)]
pub(crate) struct Reports(mpsc::Sender<CallReport>);

impl Reports {
    /// Reports go into this queue.
    pub(crate) const fn new(queue: mpsc::Sender<CallReport>) -> Self {
        Self(queue)
    }

    pub(super) async fn send(&self, report: CallReport) {
        // Nobody listens any more when the run is being torn down; the effects are in the store all the same.
        let _gone = self.0.send(report).await;
    }
}
