//! What a preflight asks of a tenant: one call, and what of the quota is left.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::context::RunContext;
use super::tenant::Tenant;
use crate::api::{ApiRequest, Transport};
use crate::call::{
    Call, CallEnd, CallId, History, Questions, ReadAnswer, Repeat, RepeatCause, Reports, RetryReason, Unanswered,
    WaitCause,
};
use crate::clock::BootTime;
use crate::exit::{CommandError, ExitStatus};
use crate::listing::{ReadError, WalkError};
use crate::model::Bucket;
use crate::quota::QuotaLimit;
use crate::quota::window::counted_for;
use crate::report::hindrance_problem;
use crate::words::describe_duration;

/// What of the quota is left for the calls that count together.
#[derive(Clone, Debug)]
pub(crate) struct BucketLeft {
    /// The bucket; `None` where all calls count together.
    pub(crate) bucket: Option<Bucket>,
    /// Of each limit; none where no quota is kept.
    pub(crate) limits: Vec<QuotaLeft>,
    /// Until when the service wants none of them, if it has said so by a 429.
    pub(crate) paused_until: Option<Timestamp>,
}

impl BucketLeft {
    /// When the first call may be made where none may now, and whether that is as the service asked: all that stands
    /// against it has to be over.
    pub(crate) fn next_at(&self) -> Option<(Timestamp, bool)> {
        let used_up = self.limits.iter().filter(|left| left.calls == 0).filter_map(|left| left.next_at).max();
        used_up.map(|until| (until, false)).max(self.paused_until.map(|until| (until, true)))
    }
}

/// What of one limit is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuotaLeft {
    pub(crate) limit: QuotaLimit,
    /// Calls that may start now.
    pub(crate) calls: u32,
    /// When one may start, if none may now.
    pub(crate) next_at: Option<Timestamp>,
    /// When all of it is there again, if it is not now.
    pub(crate) whole_at: Option<Timestamp>,
}

impl<T: Transport> Tenant<T> {
    /// Asks for the first machine of the list, once: counted, and waited for where it must be, but not made again.
    pub(crate) async fn ask_for_one_machine(&self, context: &mut RunContext) -> Result<(), CommandError> {
        self.refuse_unknown()?;
        let (_going_on, draining) = watch::channel(false);
        let caller = self.caller(draining, context);
        // Its phases are not told.
        let reports = Reports::new(mpsc::channel(1).0);
        let call = Call {
            id: CallId(0),
            request: ApiRequest::ListMachines { top: 1, skip: 0 },
            run: None,
            operations: Vec::new(),
            history: History::default(),
            questions: Questions::default(),
        };
        let since = self.clock.wall_time();
        let asking = caller.perform_once(&call, &reports);
        let asked = context.look(self.clock.as_ref(), self.gate.deadline, asking).await?.transpose()?;
        let in_vain = Err(Unanswered { cause: WaitCause::Answer { since }, asked_to_wait: None });
        let end = match asked.unwrap_or(in_vain) {
            Ok(end) => end,
            Err(unanswered) => return Err(self.unanswered(unanswered).await?),
        };
        let error = match end {
            CallEnd::Read(ReadAnswer::Page(page)) if !page.machines.is_empty() => return Ok(()),
            CallEnd::Read(_) | CallEnd::Settled(_) | CallEnd::Refused(..) => ReadError::Walk(WalkError::Nobody),
            CallEnd::ReadFailed(outcome) if outcome.send_again => ReadError::Forbidden { facts: outcome.answer },
            CallEnd::ReadFailed(outcome) => ReadError::Failed { facts: outcome.answer },
            CallEnd::Stopped(reason) => ReadError::Stopped(reason),
            CallEnd::Aborted(cause, _) => ReadError::Aborted(cause),
        };
        Err(error.into())
    }

    /// The one call has come to no end. What a run would believe when it repeats is all that there is here.
    async fn unanswered(&self, unanswered: Unanswered) -> Result<CommandError, CommandError> {
        const WHAT: &str = "the service does not list its machines";
        let Unanswered { cause, asked_to_wait } = unanswered;
        if matches!(cause, WaitCause::Retry(Repeat { why: RepeatCause::Answer(RetryReason::NotFound, _), .. })) {
            return Ok(ReadError::Walk(WalkError::Nobody).into());
        }
        let throttled = matches!(cause, WaitCause::Throttled);
        let next = if throttled { self.paused_until(&[Bucket::Machines]).await? } else { None };
        let what = asked_to_wait.map_or_else(
            || WHAT.to_owned(),
            |wait| format!("{WHAT}, and asks to be left alone for {}", describe_duration(wait)),
        );
        Ok(CommandError::of(ExitStatus::StoppedEarly, hindrance_problem(&what, cause, next)))
    }

    async fn paused_until(&self, buckets: &[Bucket]) -> Result<Option<Timestamp>, CommandError> {
        let until = self.store.paused_until(self.account, buckets.to_vec()).await?;
        let now = self.clock.boot_time();
        Ok(until.and_then(|until| self.clock.wall_time().checked_add(until.since(now)).ok()))
    }

    /// What of the quota is left now, of each limit in each bucket.
    pub(crate) async fn quota_left(&self) -> Result<Vec<BucketLeft>, CommandError> {
        let quota = &self.gate.quota;
        let most = quota.limits().iter().map(|limit| limit.calls.get()).max().unwrap_or(0);
        let mut left = Vec::new();
        for counted in self.gate.scope.groups() {
            // A group of several is named by its first, and that of all has no name.
            let bucket = counted.first().copied().filter(|_| counted.len() < Bucket::ALL.len());
            let paused_until = self.paused_until(counted).await?;
            let ends = self.store.latest_ends(self.account, counted.to_vec(), most).await?;
            let now = self.clock.boot_time();
            let in_time = |wait: Duration| self.clock.wall_time().checked_add(wait).ok();
            let limits = quota.limits().iter().map(|limit| {
                // Newest first. A call counts until its window has passed.
                let counts_for = |end: &BootTime| end.plus(counted_for(limit.window)).since(now);
                let waits: Vec<Duration> = ends.iter().map(counts_for).filter(|wait| !wait.is_zero()).collect();
                let used = u32::try_from(waits.len()).unwrap_or(u32::MAX).min(limit.calls.get());
                let in_the_way = waits.get(limit.calls.get() as usize - 1).copied();
                QuotaLeft {
                    limit: *limit,
                    calls: limit.calls.get() - used,
                    next_at: in_the_way.and_then(in_time),
                    whole_at: waits.first().copied().and_then(in_time),
                }
            });
            left.push(BucketLeft { bucket, limits: limits.collect(), paused_until });
        }
        Ok(left)
    }
}
