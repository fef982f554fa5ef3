//! The one loop that owns a run: it chooses what to send, starts calls, takes their ends, and stops.
//!
//! Calls run as tasks and tell what they do; only the loop changes the run's state, and it prints and writes nothing:
//! [`Event`]s go to an [`Observer`]. Work is read from the store a few hundred operations at a time, so memory does not
//! grow with the run. What surprises: until the service has accepted a first call only a few are in flight, so that a
//! missing permission costs a handful of calls and not a concurrency's worth.

mod clockwork;
mod events;
#[cfg(test)]
mod simulation;
mod supply;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use crate::api::{ApiRequest, Transport};
use crate::call::{Call, CallEnd, CallId, CallReport, Caller, GateSettings, Notice, Phase, Reports, StopReason};
use crate::clock::{BootTime, SharedClock, sleep_until};
use crate::model::{Bucket, Outcome, Status};
use crate::plan::schedule::Schedule;
use crate::quota::QuotaScope;
use crate::store::{RunKey, Store, StoreError, WorkItem, WorkKind};

use clockwork::{Clockwork, Doing};
pub use events::{EndReason, Event, Observer, Progress, Spent};
use supply::Supply;

/// Calls in flight until the service has accepted one.
const SCOUTS: usize = 4;
/// Refusals with 403 before any accepted call that stop the run.
const FORBIDDEN_STOPS_AT: u64 = 3;
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
    /// When to stop because of failures.
    pub maximum_errors: MaximumErrors,
    /// How often to send [`Event::Tick`].
    pub tick: Duration,
    /// For jitter.
    pub seed: u64,
    /// Whether somebody has interrupted the run before it began: then it ends without a call.
    pub interrupted: bool,
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
    supplies: Vec<Supply>,
    tasks: JoinSet<(CallId, WorkKind, Result<CallEnd, StoreError>)>,
    reports: Reports,
    clockwork: Clockwork,
    progress: Progress,
    notices: BTreeSet<Notice>,
    started: BootTime,
    next_call: u64,
    adds_are_settled: bool,
    forbidden: u64,
    counted_errors: u64,
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
    let supplies = Supply::all(store, run).await?;
    let operations = supplies.iter().map(|supply| supply.left).sum();
    let mut dispatcher = Dispatcher {
        store: store.clone(),
        run,
        caller,
        drain,
        observer,
        supplies,
        tasks: JoinSet::new(),
        reports: Reports::new(sender),
        clockwork: Clockwork::new(now),
        progress: Progress { operations, ..Progress::default() },
        notices: BTreeSet::new(),
        started: now,
        next_call: 0,
        adds_are_settled: false,
        forbidden: 0,
        counted_errors: 0,
        ending: None,
        settings,
        clock,
    };
    dispatcher.tell(&Event::Started)?;
    if dispatcher.settings.interrupted {
        dispatcher.stop(EndReason::Interrupted)?;
    }
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
                    let (call, kind, end) = joined.map_err(DispatchError::Task)?;
                    self.clockwork.end(call, self.clock.boot_time());
                    self.take_end(kind, end?)?;
                }
                () = &mut deadline_passes, if !is_past => {
                    is_past = true;
                    self.stop(EndReason::Deadline)?;
                }
                _ = tick.tick() => self.tick().await?,
            }
        }
    }

    /// Starts calls while there is work and room.
    async fn fill(&mut self) -> Result<(), DispatchError> {
        for index in 0..self.supplies.len() {
            while self.ending.is_none() && self.has_room(index) {
                if !self.is_released(index).await? {
                    break;
                }
                let Some(supply) = self.supplies.get_mut(index) else { break };
                let kind = supply.kind;
                let Some(item) = supply.next(&self.store, self.run).await? else { break };
                self.start(kind, item);
            }
        }
        Ok(())
    }

    /// Whether work of this kind may begin. Removes that wait for adds begin when all adds are settled; those whose
    /// adds did not succeed are left out then.
    async fn is_released(&mut self, index: usize) -> Result<bool, DispatchError> {
        let waits = self.supplies.get(index).is_some_and(|supply| supply.kind == WorkKind::RemovesAfterAdds);
        if !waits || self.adds_are_settled {
            return Ok(true);
        }
        if self.supplies.iter().any(|supply| supply.kind == WorkKind::Adds && supply.left > 0) {
            return Ok(false);
        }
        let left_out = u64::from(self.store.leave_out_removes_without_adds(self.run).await?);
        self.adds_are_settled = true;
        if left_out > 0 {
            *self.progress.outcomes.entry(Status::NotAttempted).or_default() += left_out;
            self.take_off(WorkKind::RemovesAfterAdds, left_out);
        }
        Ok(true)
    }

    /// Notes that so many operations of this kind have an outcome.
    fn take_off(&mut self, kind: WorkKind, count: u64) {
        if let Some(supply) = self.supplies.iter_mut().find(|supply| supply.kind == kind) {
            supply.left = supply.left.saturating_sub(count);
        }
    }

    fn has_room(&self, index: usize) -> bool {
        let Some(supply) = self.supplies.get(index) else { return false };
        let concurrency = self.settings.gate.concurrency;
        let (limit, active) = if self.caller.service_accepted() {
            (concurrency, self.clockwork.active(supply.bucket))
        } else {
            (concurrency.min(SCOUTS), self.clockwork.count())
        };
        !supply.exhausted && active < limit && self.clockwork.count() < 2 * concurrency + MAXIMUM_RETRYING
    }

    fn start(&mut self, kind: WorkKind, item: WorkItem) {
        let call = Call {
            id: CallId(self.next_call),
            request: ApiRequest::for_operation(item.operation),
            run: Some(self.run),
            operations: vec![item.id],
        };
        self.next_call += 1;
        self.clockwork.begin(call.id, call.request.bucket(), self.clock.boot_time());
        let caller = Arc::clone(&self.caller);
        let reports = self.reports.clone();
        self.tasks.spawn(async move { (call.id, kind, caller.perform(&call, &reports).await) });
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
            Phase::Notice(notice) => {
                if self.notices.insert(*notice) {
                    self.tell(&Event::Notice(*notice))?;
                }
            }
        }
        Ok(())
    }

    fn take_end(&mut self, kind: WorkKind, end: CallEnd) -> Result<(), DispatchError> {
        match end {
            CallEnd::Settled(outcome) => self.take_outcome(kind, outcome),
            CallEnd::Stopped(StopReason::Draining) => Ok(()),
            CallEnd::Stopped(StopReason::Deadline) => self.stop(EndReason::Deadline),
            CallEnd::Aborted(cause, outcome) => {
                if let Some(outcome) = outcome {
                    self.take_outcome(kind, outcome)?;
                }
                self.stop(EndReason::Aborted(cause))
            }
        }
    }

    fn take_outcome(&mut self, kind: WorkKind, outcome: Outcome) -> Result<(), DispatchError> {
        self.take_off(kind, 1);
        *self.progress.outcomes.entry(outcome.status).or_default() += 1;
        let status = outcome.status;
        let refused_outright = outcome.send_again && outcome.answer.http_status == Some(403);
        let machine_unknown =
            outcome.answer.http_status == Some(404) && outcome.answer.error_code.as_deref() != Some(UNNAMED_NOT_FOUND);
        self.tell(&Event::Settled(outcome))?;
        if refused_outright {
            self.forbidden += 1;
            if self.forbidden >= FORBIDDEN_STOPS_AT && !self.caller.service_accepted() {
                return self.stop(EndReason::Forbidden);
            }
        } else if status == Status::Failed && !machine_unknown {
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
        if self.ending.is_none() {
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
                let in_group = |supply: &&Supply| buckets.contains(&supply.bucket);
                let calls = self.supplies.iter().filter(in_group).map(|supply| supply.left).sum();
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
        self.progress.waiting = self.clockwork.waiting().map(|(cause, until)| {
            let at = until.and_then(|until| self.clock.wall_time().checked_add(until.since(now)).ok());
            (cause, at)
        });
        self.progress.spent = self.clockwork.spent(now).to_vec();
        self.observer.observe(event, &self.progress).map_err(DispatchError::Observer)
    }

    async fn finish(mut self) -> Result<(EndReason, Progress), DispatchError> {
        let nobody_accepted = self.forbidden > 0 && !self.caller.service_accepted();
        let reason = match self.ending.take() {
            None if nobody_accepted => EndReason::Forbidden,
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
