//! What the engine tells: events, and the state of the run that goes with each.
//!
//! The engine knows no bar, file or terminal. Whoever shows a run implements [`Observer`]; one that fails stops the run
//! in order.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::CallKind;
use crate::call::{AbortCause, Notice, ServiceTrouble, WaitCause};
use crate::model::{Outcome, Status};
use crate::quota::QuotaLimit;
use crate::store::StoreError;

/// Something that happened in a run.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Calls are about to be made.
    Started,
    /// An operation has its outcome, and that is stored. One that was never answered may come again, when a read has
    /// shown that it took effect.
    Settled(#[cfg_attr(not(test), expect(dead_code, reason = "observers count by the progress"))] Outcome),
    /// Something that people should know; each comes once.
    Notice(Notice),
    /// No new calls are made; those in flight are awaited.
    Stopping(EndReason),
    /// Some time has passed.
    Tick,
    /// The run is over.
    Ended,
}

/// Why a run ended.
#[derive(Clone, Debug)]
pub(crate) enum EndReason {
    /// Every operation has its outcome.
    Finished,
    /// Somebody interrupted it once; the calls in flight were awaited.
    Interrupted,
    /// Somebody interrupted it twice; the calls in flight were abandoned.
    Halted,
    /// The deadline has come, or the next call would lie beyond it.
    Deadline,
    /// The service was in trouble for too long.
    Outage {
        since: Timestamp,
        /// What was met last.
        trouble: ServiceTrouble,
    },
    /// More operations failed than allowed.
    TooManyErrors,
    /// The service refuses the app: it answered 403 and never accepted a call.
    Forbidden {
        /// The service's own words, which name what is missing.
        message: Option<Box<str>>,
    },
    /// The tenant's machines could not be read, so nothing was sent.
    NoInventory {
        /// What was in the way.
        description: String,
        /// What the user can do about it.
        hint: &'static str,
        /// Whether the service refused it for good, so that asking again later has no point.
        is_refusal: bool,
    },
    /// Nothing sent after this can succeed.
    Aborted(AbortCause),
    /// The state could not be kept, so calls were stopped at once.
    StoreFailed(StoreError),
}

/// Where the time of a run went. The parts add up to its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Spent {
    /// At least one request was on its way.
    Calls,
    /// Everybody waited for this limit of the quota, or for its pacing.
    Quota(Option<QuotaLimit>),
    /// Everybody waited because the service had refused a call for quota.
    Throttled,
    /// Everybody waited to try again.
    Retries,
    /// The input was read and checked; that of a pipe comes when its writer has it ready.
    Input,
    /// The tenant's machines were read, before the run's own calls.
    Machines,
    /// Everybody waited because the service was failing.
    Outage,
    /// The list of machines was given the time to show the latest writes.
    ListLag,
    /// Everybody waited for a token.
    SignIn,
    /// Somebody was asked whether it may begin.
    Question,
    /// Another run was in its way.
    OtherRun,
    /// The state's database did not answer, whatever else was awaited.
    State,
    /// The results were written; into a pipe as fast as its reader takes them.
    Results,
    /// Our own work: planning and storing.
    Own,
}

/// When a run will be over, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedEnd {
    /// The moment.
    pub at: Timestamp,
    /// Whether everything will have been done by then: not where a deadline comes first, or a bucket is closed.
    pub is_complete: bool,
}

/// The state of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Operations that the run set out to do.
    pub operations: u64,
    /// How many have which outcome.
    pub outcomes: BTreeMap<Status, u64>,
    /// Requests made, by kind.
    pub calls: BTreeMap<CallKind, u64>,
    /// Requests refused for quota.
    pub throttled: u64,
    /// Requests that were made again after a failure.
    pub retried: u64,
    /// Writes on their way now, which are awaited though the run stops.
    pub awaited: u64,
    /// Until when at the latest.
    pub awaited_until: Option<Timestamp>,
    /// What everybody waits for now, and until when.
    pub waiting: Option<(WaitCause, Option<Timestamp>)>,
    /// What stands in the way of every call, and until when, if that is known: the latest wait, unless a call was answered
    /// as it should be since.
    pub in_the_way: Option<(WaitCause, Option<Timestamp>)>,
    /// When the run will be over, as far as can be told.
    pub expected_end: Option<ExpectedEnd>,
    /// How long it has been going on: its calls, and the whole command once that is over.
    pub elapsed: Duration,
    /// Where that time went.
    pub spent: Vec<(Spent, Duration)>,
}

impl Progress {
    /// Operations that have an outcome.
    pub(crate) fn settled(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Operations with this outcome.
    pub(crate) fn count(&self, status: Status) -> u64 {
        self.outcomes.get(&status).copied().unwrap_or(0)
    }

    /// Counts time as spent so.
    pub(crate) fn spend(&mut self, part: Spent, time: Duration) {
        match self.spent.iter_mut().find(|(known, _)| *known == part) {
            Some((_, spent)) => *spent += time,
            None => self.spent.push((part, time)),
        }
    }

    /// Everything is over, and took so long from the start of the command: what nothing else took was our own work.
    pub(crate) fn end(&mut self, elapsed: Duration) {
        let known: Duration = self.spent.iter().map(|(_, time)| *time).sum();
        self.spend(Spent::Own, elapsed.saturating_sub(known));
        self.elapsed = elapsed;
    }

    /// The time in which nothing was on its way, for the quota's sake or the service's.
    pub(crate) fn waited(&self) -> Duration {
        let is_waiting =
            |part: &Spent| matches!(part, Spent::Quota(_) | Spent::Throttled | Spent::Retries | Spent::Outage);
        self.spent.iter().filter(|(part, _)| is_waiting(part)).map(|(_, time)| *time).sum()
    }
}

/// Shows a run.
pub(crate) trait Observer: Send {
    /// Takes notice of an event. Events come in order.
    ///
    /// # Errors
    /// When it can no longer show anything; the run is stopped in order then.
    fn observe(&mut self, event: &Event, progress: &Progress) -> io::Result<()>;
}
