//! The one loop that owns a run: it chooses what to send, starts calls, takes their ends, and stops.
//!
//! Calls run as tasks and tell what they do; only the loop changes the run's state, and it prints and writes nothing:
//! [`Event`]s go to an [`Observer`]. Work is read from the store a few hundred operations at a time, so memory does not
//! grow with the run. What surprises: until the service has accepted a first call only a few are in flight, so that a
//! missing permission costs a handful of calls and not a concurrency's worth.

mod clockwork;
#[cfg(test)]
mod crash;
mod events;
#[cfg(test)]
mod fewest_calls;
mod lane;
mod settling;
#[cfg(test)]
mod simulation;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use crate::api::{ApiRequest, BULK_MAXIMUM_MACHINES, Transport};
use crate::call::{
    BulkRefusal, Call, CallEnd, CallId, CallReport, Caller, GateSettings, Notice, OperationEnd, Phase, Questions,
    Reports, StopReason,
};
use crate::clock::{BootTime, SharedClock, sleep_until};
use crate::model::{Bucket, Change, Outcome, Status};
use crate::plan::schedule::Schedule;
use crate::quota::QuotaScope;
use crate::store::{ChangeKind, RunKey, Store, StoreError};

use clockwork::{Clockwork, Doing};
pub use events::{EndReason, Event, Observer, Progress, Spent};
use lane::{Errand, Lane};
use settling::Settling;

/// Calls in flight until the service has accepted one.
const SCOUTS: usize = 4;
/// Refusals with 403 before any accepted call that stop the run.
const FORBIDDEN_STOPS_AT: u64 = 3;
/// Bulk calls refused with 403 in a row after which no more are made, although there were others that were accepted.
const FORBIDDEN_BULK_CALLS_BELIEVED: u32 = 3;
/// Calls that may wait to be made again, beyond those that are active.
const MAXIMUM_RETRYING: usize = 256;
/// Reports that may wait to be heard.
const REPORT_QUEUE_LENGTH: usize = 1024;
/// How long a call takes, for estimates of the end.
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(200);
/// Failures below which a share of failures does not stop a run.
const MINIMUM_ERRORS_FOR_SHARE: u64 = 20;
/// The code of a machine that the service did not find, when the service named none: somebody else answered.
const UNNAMED_NOT_FOUND: &str = "not_found";

/// When a run has failed often enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaximumErrors {
    /// More than so many operations.
    Count(u64),
    /// More than this share, in percent, of those that have an outcome, and at least 20.
    Percent(u8),
}

/// What a run is made with.
#[derive(Clone, Debug)]
pub struct DispatchSettings {
    /// Account, quota, concurrency and deadline.
    pub gate: GateSettings,
    /// Whether one tag is changed on many machines in one call.
    pub bulk: bool,
    /// When to stop because of failures.
    pub maximum_errors: MaximumErrors,
    /// How often to send [`Event::Tick`].
    pub tick: Duration,
    /// For jitter.
    pub seed: u64,
}

/// What somebody asks of a run that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRequest {
    /// Make no new calls, await those in flight.
    Drain,
    /// Stop at once.
    Halt,
}

/// Why the engine itself failed.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The state could not be kept; calls were stopped at once.
    #[error("calls were stopped, since their outcomes cannot be stored")]
    Store(#[from] StoreError),
    /// Whoever shows the run cannot go on; the run was stopped in order.
    #[error("the run cannot be shown any longer")]
    Observer(#[source] io::Error),
    /// A task of the program ended in a way that it never should.
    #[error("a call ended in a way that it never should")]
    Task(#[source] JoinError),
}

/// A run under way.
struct Dispatcher<'a, T> {
    settings: DispatchSettings,
    store: Store,
    clock: SharedClock,
    run: RunKey,
    caller: Arc<Caller<T>>,
    drain: watch::Sender<bool>,
    observer: &'a mut dyn Observer,
    lanes: Vec<Lane>,
    /// The calls under way, each with the position of its lane.
    flights: HashMap<CallId, (usize, Errand)>,
    tasks: JoinSet<(CallId, Result<CallEnd, StoreError>)>,
    /// Machines in a bulk call at the most; with one there are only single calls.
    batch_limit: usize,
    bulk_accepted: bool,
    bulk_forbidden: bool,
    /// Bulk calls refused with 403 since one was accepted.
    forbidden_bulk_calls: u32,
    /// Whether removes wait for adds at all.
    has_guards: bool,
    reports: Reports,
    clockwork: Clockwork,
    progress: Progress,
    notices: BTreeSet<Notice>,
    started: BootTime,
    next_call: u64,
    /// Whether the removes that wait may begin: of listed machines, and of others.
    released: [bool; 2],
    forbidden: u64,
    /// The service's words about the latest of them.
    forbidden_message: Option<Box<str>>,
    counted_errors: u64,
    /// Reads that settle what was never answered, once they have begun.
    settling: Option<Settling>,
    ending: Option<EndReason>,
}

/// Carries out what a run still has to send. Returns why it ended, and its final numbers.
///
/// # Errors
/// [`DispatchError`] when the engine itself fails; what was stored until then holds.
pub async fn dispatch<T: Transport>(
    transport: Arc<T>,
    store: &Store,
    clock: SharedClock,
    run: RunKey,
    settings: DispatchSettings,
    observer: &mut dyn Observer,
    stop_requests: &mut mpsc::Receiver<StopRequest>,
) -> Result<(EndReason, Progress), DispatchError> {
    let (drain, draining) = watch::channel(false);
    let caller =
        Arc::new(Caller::new(transport, store.clone(), clock.clone(), settings.gate.clone(), settings.seed, draining));
    let (sender, mut reports) = mpsc::channel(REPORT_QUEUE_LENGTH);
    let now = clock.boot_time();
    let batch_limit = if settings.bulk { BULK_MAXIMUM_MACHINES } else { 1 };
    let lanes = Lane::all(store, run, batch_limit).await?;
    let operations = lanes.iter().map(|lane| lane.left).sum();
    let mut dispatcher = Dispatcher {
        store: store.clone(),
        run,
        caller,
        drain,
        observer,
        lanes,
        flights: HashMap::new(),
        tasks: JoinSet::new(),
        batch_limit,
        bulk_accepted: false,
        bulk_forbidden: false,
        forbidden_bulk_calls: 0,
        has_guards: store.has_guards(run).await?,
        reports: Reports::new(sender),
        clockwork: Clockwork::new(now),
        progress: Progress { operations, ..Progress::default() },
        notices: BTreeSet::new(),
        started: now,
        next_call: 0,
        released: [false; 2],
        forbidden: 0,
        forbidden_message: None,
        counted_errors: 0,
        settling: None,
        ending: None,
        settings,
        clock,
    };
    dispatcher.tell(&Event::Started)?;
    let outcome = dispatcher.go_on(&mut reports, stop_requests).await;
    dispatcher.tasks.shutdown().await;
    match outcome {
        Ok(()) => {}
        Err(DispatchError::Store(error)) => dispatcher.ending = Some(EndReason::StoreFailed(error)),
        Err(error) => return Err(error),
    }
    while let Ok(report) = reports.try_recv() {
        dispatcher.note(&report)?;
    }
    dispatcher.finish().await
}

impl<T: Transport> Dispatcher<'_, T> {
    async fn go_on(
        &mut self,
        reports: &mut mpsc::Receiver<CallReport>,
        stop_requests: &mut mpsc::Receiver<StopRequest>,
    ) -> Result<(), DispatchError> {
        let mut tick = tokio::time::interval(self.settings.tick);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let deadline = self.settings.gate.deadline;
        let clock = self.clock.clone();
        let deadline_passes = async move {
            match deadline {
                Some(deadline) => sleep_until(clock.as_ref(), deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(deadline_passes);
        let mut is_past = false;
        loop {
            self.fill().await?;
            self.settle_unknown().await?;
            if self.tasks.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                Some(request) = stop_requests.recv() => match request {
                    StopRequest::Drain if self.ending.is_none() => self.stop(EndReason::Interrupted)?,
                    StopRequest::Drain | StopRequest::Halt => {
                        self.ending = Some(EndReason::Halted);
                        return Ok(());
                    }
                },
                Some(report) = reports.recv() => self.note(&report)?,
                Some(joined) = self.tasks.join_next() => {
                    let (call, end) = joined.map_err(DispatchError::Task)?;
                    self.clockwork.end(call, self.clock.boot_time());
                    self.take_end(call, end?)?;
                }
                () = &mut deadline_passes, if !is_past => {
                    is_past = true;
                    self.stop(EndReason::Deadline)?;
                }
                _ = tick.tick() => self.tick().await?,
            }
        }
    }

    /// Starts calls while there is work and room. A lane begins when those before it in its bucket have nothing more to
    /// begin with.
    async fn fill(&mut self) -> Result<(), DispatchError> {
        let mut blocked = BTreeSet::new();
        for index in 0..self.lanes.len() {
            let Some(bucket) = self.lanes.get(index).map(|lane| lane.bucket) else { continue };
            if blocked.contains(&bucket) {
                continue;
            }
            if !self.is_released(index).await? {
                blocked.insert(bucket);
                continue;
            }
            while self.ending.is_none() && self.has_room(bucket) {
                let Some(lane) = self.lanes.get_mut(index) else { break };
                let Some(errand) = lane.next(&self.store, self.run, self.batch_limit).await? else { break };
                self.start(index, errand);
            }
            if self.lanes.get(index).is_some_and(|lane| !lane.is_exhausted()) {
                blocked.insert(bucket);
            }
        }
        Ok(())
    }

    /// Whether calls of this lane may begin. Where machines get tags and lose others, removes begin when all adds are
    /// settled; those whose adds did not succeed are left out then.
    async fn is_released(&mut self, index: usize) -> Result<bool, DispatchError> {
        let Some(kind) = self.lanes.get(index).map(|lane| lane.kind) else { return Ok(false) };
        let released = self.released.get(usize::from(kind.unlisted)).is_some_and(|released| *released);
        if kind.change != ChangeKind::Remove || !self.has_guards || released {
            return Ok(true);
        }
        let adds_wait = |lane: &Lane| {
            lane.kind.change == ChangeKind::Add && lane.kind.unlisted == kind.unlisted && !lane.is_settled()
        };
        if self.lanes.iter().any(adds_wait) {
            return Ok(false);
        }
        let left_out = u64::from(self.store.leave_out_removes_without_adds(self.run, kind.unlisted).await?);
        if let Some(released) = self.released.get_mut(usize::from(kind.unlisted)) {
            *released = true;
        }
        if left_out > 0 {
            *self.progress.outcomes.entry(Status::NotAttempted).or_default() += left_out;
            self.take_off(index, left_out);
        }
        Ok(true)
    }

    /// Notes that so many operations of this lane have an outcome.
    fn take_off(&mut self, index: usize, count: u64) {
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.left = lane.left.saturating_sub(count);
        }
    }

    fn has_room(&self, bucket: Bucket) -> bool {
        let concurrency = self.settings.gate.concurrency;
        let (limit, active) = if self.caller.service_accepted() {
            (concurrency, self.clockwork.active(bucket))
        } else {
            (concurrency.min(SCOUTS), self.clockwork.count())
        };
        active < limit && self.clockwork.count() < 2 * concurrency + MAXIMUM_RETRYING
    }

    fn start(&mut self, lane: usize, errand: Errand) {
        let request = match (errand.single(), errand.change()) {
            (Some(operation), _) => ApiRequest::for_operation(operation),
            (None, Change::Tag(action, tag)) => {
                ApiRequest::ChangeTagOnMachines { machines: errand.machines(), action: *action, tag: tag.clone() }
            }
            // Device values have no bulk call; their lane packs one by one.
            (None, Change::DeviceValue(_)) => return,
        };
        let call = Call {
            id: CallId(self.next_call),
            request,
            run: Some(self.run),
            operations: errand.operations(),
            history: errand.history(),
            questions: Questions::default(),
        };
        self.next_call += 1;
        self.clockwork.begin(call.id, call.request.bucket(), self.clock.boot_time());
        self.flights.insert(call.id, (lane, errand));
        let caller = Arc::clone(&self.caller);
        let reports = self.reports.clone();
        self.tasks.spawn(async move { (call.id, caller.perform(&call, &reports).await) });
    }

    /// Takes a call's report into the books.
    fn note(&mut self, report: &CallReport) -> Result<(), DispatchError> {
        let now = self.clock.boot_time();
        match &report.phase {
            Phase::Waiting { cause, until } => {
                self.clockwork.change(report.call, Doing::Waiting(*cause, *until), now);
            }
            Phase::Sending(kind) => {
                *self.progress.calls.entry(*kind).or_default() += 1;
                self.clockwork.change(report.call, Doing::Sending, now);
            }
            Phase::Answered { retry, throttled } => {
                self.progress.retried += u64::from(retry.is_some());
                self.progress.throttled += u64::from(*throttled);
                self.clockwork.change(report.call, Doing::Own, now);
            }
            Phase::Notice(notice) => self.notice(*notice)?,
        }
        Ok(())
    }

    fn take_end(&mut self, call: CallId, end: CallEnd) -> Result<(), DispatchError> {
        let Some((index, errand)) = self.flights.remove(&call) else { return self.take_read(end) };
        match end {
            CallEnd::Settled(ends) => {
                if errand.len() > 1 {
                    self.bulk_accepted = true;
                    self.forbidden_bulk_calls = 0;
                }
                let limit = self.batch_limit;
                if let Some(lane) = self.lanes.get_mut(index) {
                    lane.take_answers(errand, &ends, limit);
                }
                self.take_outcomes(index, ends, false)
            }
            CallEnd::Refused(refusal, ends) => self.take_refusal(index, errand, refusal, ends),
            // Errands are writes.
            CallEnd::Read(_) | CallEnd::ReadFailed(_) => {
                self.abandon(index, errand);
                Ok(())
            }
            CallEnd::Stopped(reason) => {
                self.abandon(index, errand);
                match reason {
                    StopReason::Draining => Ok(()),
                    StopReason::Deadline => self.stop(EndReason::Deadline),
                    StopReason::Outage { since, trouble } => self.stop(EndReason::Outage { since, trouble }),
                }
            }
            CallEnd::Aborted(cause, outcome) => {
                if let Some(outcome) = outcome {
                    for _operation in 0..errand.len() {
                        self.take_outcome(index, outcome.clone(), false)?;
                    }
                }
                self.abandon(index, errand);
                self.stop(EndReason::Aborted(cause))
            }
        }
    }

    fn abandon(&mut self, index: usize, errand: Errand) {
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.abandon(errand);
        }
    }

    fn take_outcomes(&mut self, index: usize, ends: Vec<OperationEnd>, named: bool) -> Result<(), DispatchError> {
        for end in ends {
            if let OperationEnd::Outcome(outcome) = end {
                self.take_outcome(index, outcome, named)?;
            }
        }
        Ok(())
    }

    /// Takes a bulk call that was refused as a whole, and learns from it for the rest of the run.
    fn take_refusal(
        &mut self,
        index: usize,
        errand: Errand,
        refusal: BulkRefusal,
        ends: Vec<OperationEnd>,
    ) -> Result<(), DispatchError> {
        let refusal = match refusal {
            // Where others were accepted, it is most likely a machine in this one that is out of bounds.
            BulkRefusal::Forbidden
                if (self.bulk_accepted || errand.is_trial())
                    && self.forbidden_bulk_calls < FORBIDDEN_BULK_CALLS_BELIEVED =>
            {
                self.forbidden_bulk_calls += 1;
                BulkRefusal::BadMachines
            }
            BulkRefusal::Forbidden => {
                self.bulk_forbidden = true;
                self.batch_limit = 1;
                refusal
            }
            BulkRefusal::TooMany { allowed } => {
                let smaller = allowed.filter(|allowed| *allowed < errand.len()).unwrap_or(errand.len() / 2).max(1);
                if smaller < self.batch_limit {
                    self.batch_limit = smaller;
                    self.notice(Notice::BulkLimitLowered(smaller))?;
                }
                refusal
            }
            BulkRefusal::BadMachines => refusal,
        };
        let limit = self.batch_limit;
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.take_refusal(errand, refusal, &ends, limit);
        }
        self.take_outcomes(index, ends, true)
    }

    fn notice(&mut self, notice: Notice) -> Result<(), DispatchError> {
        if self.notices.insert(notice) {
            self.tell(&Event::Notice(notice))?;
        }
        Ok(())
    }

    /// Takes an operation's outcome into the books; `named` when the refusal of a bulk call named its machine.
    fn take_outcome(&mut self, index: usize, outcome: Outcome, named: bool) -> Result<(), DispatchError> {
        self.take_off(index, 1);
        *self.progress.outcomes.entry(outcome.status).or_default() += 1;
        let status = outcome.status;
        let refused_outright = outcome.send_again && outcome.answer.http_status == Some(403);
        if refused_outright {
            self.forbidden_message.clone_from(&outcome.answer.error_message);
        }
        let not_found =
            outcome.answer.http_status == Some(404) && outcome.answer.error_code.as_deref() != Some(UNNAMED_NOT_FOUND);
        self.tell(&Event::Settled(outcome))?;
        if status == Status::Succeeded && self.bulk_forbidden {
            self.notice(Notice::BulkForbidden)?;
        }
        if refused_outright {
            self.forbidden += 1;
            if self.forbidden >= FORBIDDEN_STOPS_AT && !self.caller.service_accepted() {
                return self.stop(EndReason::Forbidden { message: self.forbidden_message.clone() });
            }
        } else if status == Status::Failed && !not_found && !named {
            self.counted_errors += 1;
            if self.has_too_many_errors() {
                return self.stop(EndReason::TooManyErrors);
            }
        }
        Ok(())
    }

    fn has_too_many_errors(&self) -> bool {
        match self.settings.maximum_errors {
            MaximumErrors::Count(count) => self.counted_errors > count,
            MaximumErrors::Percent(percent) => {
                self.counted_errors >= MINIMUM_ERRORS_FOR_SHARE
                    && self.counted_errors * 100 > u64::from(percent) * self.progress.settled()
            }
        }
    }

    /// Makes no new calls; the first reason counts.
    fn stop(&mut self, reason: EndReason) -> Result<(), DispatchError> {
        if let Some(settling) = &mut self.settling
            && !matches!(reason, EndReason::Interrupted)
        {
            // Every operation has its outcome; what cannot be read back any more stays unknown.
            settling.give_up();
            let _before = self.drain.send_replace(true);
        } else if self.ending.is_none() {
            tracing::info!(?reason, "no new calls");
            self.ending = Some(reason.clone());
            let _before = self.drain.send_replace(true);
            self.tell(&Event::Stopping(reason))?;
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), DispatchError> {
        self.progress.expected_end = self.expected_end().await?;
        self.tell(&Event::Tick)
    }

    /// When the run will be over: by the quota's schedule, or by the pace so far where there is no quota.
    async fn expected_end(&self) -> Result<Option<jiff::Timestamp>, StoreError> {
        let settled = self.progress.settled();
        let left = self.progress.operations.saturating_sub(settled);
        let now = self.clock.boot_time();
        let elapsed = now.since(self.started);
        let gate = &self.settings.gate;
        let in_seconds = if gate.quota.is_off() {
            if settled == 0 {
                return Ok(None);
            }
            elapsed.div_f64(approximately(settled)).mul_f64(approximately(left))
        } else {
            let longest = gate.quota.limits().iter().map(|limit| limit.calls.get()).max().unwrap_or(0);
            let groups: &[&[Bucket]] = match gate.scope {
                QuotaScope::Api => &[&[Bucket::Tags], &[Bucket::Value]],
                QuotaScope::App => &[&Bucket::ALL],
            };
            let mut end = now;
            for buckets in groups {
                let in_group = |lane: &&Lane| buckets.contains(&lane.bucket);
                let calls = self.lanes.iter().filter(in_group).map(Lane::calls_ahead).sum();
                let latest_ends = self.store.latest_ends(gate.account, buckets.to_vec(), longest).await?;
                let schedule = Schedule {
                    quota: &gate.quota,
                    latest_ends: &latest_ends,
                    round_trip: ASSUMED_ROUND_TRIP,
                    spacing: Duration::ZERO,
                };
                end = end.max(schedule.end(now, calls));
            }
            end.since(now)
        };
        Ok(self.clock.wall_time().checked_add(in_seconds).ok())
    }

    fn tell(&mut self, event: &Event) -> Result<(), DispatchError> {
        let now = self.clock.boot_time();
        self.progress.elapsed = now.since(self.started);
        self.progress.in_flight = self.clockwork.in_flight() as u64;
        self.progress.waiting = self.clockwork.outage().or_else(|| self.clockwork.waiting()).map(|(cause, until)| {
            let at = until.and_then(|until| self.clock.wall_time().checked_add(until.since(now)).ok());
            (cause, at)
        });
        self.progress.spent = self.clockwork.spent(now).to_vec();
        self.observer.observe(event, &self.progress).map_err(DispatchError::Observer)
    }

    async fn finish(mut self) -> Result<(EndReason, Progress), DispatchError> {
        let nobody_accepted = self.forbidden > 0 && !self.caller.service_accepted();
        let reason = match self.ending.take() {
            None if nobody_accepted => EndReason::Forbidden { message: self.forbidden_message.clone() },
            None => EndReason::Finished,
            Some(reason) => reason,
        };
        if matches!(reason, EndReason::Halted) {
            self.store.abandon_open_attempts(self.run).await?;
        }
        self.tell(&Event::Ended(reason.clone()))?;
        Ok((reason, self.progress))
    }
}

/// A count for an estimate; beyond 2^52 it is inexact, which no run reaches.
#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
const fn approximately(count: u64) -> f64 {
    count as f64
}
