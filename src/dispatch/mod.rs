//! The one loop that owns a run: it chooses what to send, starts calls, takes their ends, and stops.
//!
//! Calls run as tasks and tell what they do; only the loop changes the run's state, and it prints and writes nothing:
//! [`Event`]s go to an [`Observer`]. Work is read from the store a few hundred operations at a time, so memory does not
//! grow with the run. What surprises: until the service has accepted a first call only a few are in flight, so that a
//! missing permission costs a handful of calls and not a concurrency's worth.

mod bounds;
mod bulk;
mod clockwork;
#[cfg(test)]
mod crash;
mod ends;
mod events;
#[cfg(test)]
mod fewest_calls;
#[cfg(test)]
mod fixtures;
mod forecast;
mod lane;
mod releasing;
mod settling;
#[cfg(test)]
mod simulation;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use crate::api::{ApiRequest, Transport};
use crate::call::{
    Call, CallEnd, CallId, CallReport, Caller, GateSettings, Notice, Phase, Questions, Reports, WaitCause,
};
use crate::clock::{BootTime, SharedClock, sleep_until};
use crate::model::{Bucket, Change, OperationId};
use crate::store::{Guards, RunKey, Store, StoreError};

use bounds::Bounds;
pub use bounds::MaximumErrors;
use bulk::BulkCalls;
use clockwork::{Clockwork, Doing};
pub use events::{EndReason, Event, ExpectedEnd, Observer, Progress, Spent};
use lane::{Errand, Lane};
use settling::Settling;

/// Calls in flight until the service has accepted one.
const SCOUTS: usize = 4;
/// The same when one was refused with 403.
const SCOUTS_OF_THE_FORBIDDEN: usize = 2;
/// Calls that may wait to be made again, beyond those that are active.
const MAXIMUM_RETRYING: usize = 256;
/// The same until the service has accepted a call.
const MAXIMUM_RETRYING_SCOUTS: usize = 16;
/// So many operations of a bucket are few.
const MAXIMUM_STRAGGLERS: u64 = 32;
/// Reports that may wait to be heard.
const REPORT_QUEUE_LENGTH: usize = 1024;

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
    bulk: BulkCalls,
    /// Which removes wait for adds.
    guards: Guards,
    reports: Reports,
    clockwork: Clockwork,
    progress: Progress,
    notices: BTreeSet<Notice>,
    started: BootTime,
    next_call: u64,
    /// Whether the removes that wait may begin: of listed machines, and of others.
    released: [bool; 2],
    bounds: Bounds,
    /// Reads that settle what was never answered, once they have begun.
    settling: Option<Settling>,
    /// Operations that were settled by such reads, or could not be.
    read_back: HashSet<OperationId>,
    ending: Option<EndReason>,
    /// Buckets in which no more calls are made while others go on, and why.
    closed: Vec<(Bucket, EndReason)>,
    /// Buckets of which only a few operations are left.
    stragglers: BTreeSet<Bucket>,
    /// Whether a call was to be made again at a moment beyond the deadline.
    has_late_calls: bool,
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
    let bulk = BulkCalls::new(settings.bulk);
    let guards = store.guards(run).await?;
    let lanes = Lane::all(store, run, bulk.limit(), guards).await?;
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
        bulk,
        guards,
        reports: Reports::new(sender),
        clockwork: Clockwork::new(now),
        progress: Progress { operations, ..Progress::default() },
        notices: BTreeSet::new(),
        started: now,
        next_call: 0,
        released: [false; 2],
        bounds: Bounds::new(settings.maximum_errors),
        settling: None,
        read_back: HashSet::new(),
        ending: None,
        closed: Vec::new(),
        stragglers: BTreeSet::new(),
        has_late_calls: false,
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
            self.note_stragglers();
            self.settle_unknown().await?;
            if self.tasks.is_empty() {
                if self.release_what_was_proven().await? {
                    continue;
                }
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
        let mut blocked: BTreeSet<Bucket> = self.closed.iter().map(|(bucket, _)| *bucket).collect();
        for index in 0..self.lanes.len() {
            let Some(bucket) = self.lanes.get(index).map(|lane| lane.bucket) else { continue };
            if self.ending.is_some() || blocked.contains(&bucket) {
                continue;
            }
            if !self.is_released(index).await? {
                blocked.insert(bucket);
                continue;
            }
            while self.ending.is_none() && self.has_room(bucket) {
                let is_searching = self.lanes.iter().any(Lane::is_searching);
                let may_begin_bulk = self.bulk.may_begin(self.clockwork.active_bulk_calls(), is_searching);
                let Some(lane) = self.lanes.get_mut(index) else { break };
                let next = lane.next(&self.store, self.run, self.bulk.limit(), may_begin_bulk);
                let Some(errand) = next.await? else { break };
                self.start(index, errand);
            }
            if self.lanes.get(index).is_some_and(|lane| !lane.is_exhausted()) {
                blocked.insert(bucket);
            }
        }
        Ok(())
    }

    /// Says of which buckets only a few operations are left.
    fn note_stragglers(&mut self) {
        for bucket in Bucket::ALL {
            let left = self.lanes.iter().filter(|lane| lane.bucket == bucket).map(|lane| lane.left).sum::<u64>();
            if (1..=MAXIMUM_STRAGGLERS).contains(&left) && self.stragglers.insert(bucket) {
                self.caller.note_stragglers(bucket);
            }
        }
    }

    /// Notes that so many operations of this lane have an outcome.
    fn take_off(&mut self, index: usize, count: u64) {
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.left = lane.left.saturating_sub(count);
        }
    }

    fn has_room(&self, bucket: Bucket) -> bool {
        let concurrency = self.settings.gate.concurrency;
        if self.caller.service_accepted() {
            return self.clockwork.active(bucket) < concurrency
                && self.clockwork.count() < 2 * concurrency + MAXIMUM_RETRYING;
        }
        let scouts = if self.bounds.has_forbidden() { SCOUTS_OF_THE_FORBIDDEN } else { SCOUTS };
        let active: usize = Bucket::ALL.into_iter().map(|bucket| self.clockwork.active(bucket)).sum();
        active < concurrency.min(scouts) && self.clockwork.count() < concurrency + MAXIMUM_RETRYING_SCOUTS
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
        self.clockwork.begin(call.id, call.request.bucket(), call.operations.len() > 1, self.clock.boot_time());
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
            Phase::Sending { kind, is_repeat } => {
                *self.progress.calls.entry(*kind).or_default() += 1;
                self.progress.retried += u64::from(*is_repeat);
                self.clockwork.change(report.call, Doing::Sending(*kind), now);
            }
            Phase::Answered { retry, throttled } => {
                self.progress.throttled += u64::from(*throttled);
                if retry.is_none() && !throttled {
                    self.clockwork.note_answer();
                }
                self.clockwork.change(report.call, Doing::Own, now);
            }
            Phase::Notice(notice) => self.notice(*notice)?,
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), DispatchError> {
        self.progress.expected_end = self.expected_end().await?;
        self.tell(&Event::Tick)
    }

    fn tell(&mut self, event: &Event) -> Result<(), DispatchError> {
        let now = self.clock.boot_time();
        self.progress.elapsed = now.since(self.started);
        let wall_now = self.clock.wall_time();
        let at = |moment: BootTime| wall_now.checked_add(moment.since(now)).ok();
        let in_the_way = self.clockwork.in_the_way();
        // What everybody met last is still true of those that are on their way again.
        let met = in_the_way.filter(|(cause, _)| matches!(cause, WaitCause::Retry(_))).map(|(cause, _)| (cause, None));
        let unanswered = || self.unanswered().map(|cause| (cause, None));
        let waiting = match self.ending {
            None => self.clockwork.outage().or_else(|| self.clockwork.waiting()).or(met).or_else(unanswered),
            // Nothing is tried again.
            Some(_) => unanswered(),
        };
        self.progress.waiting = waiting.map(|(cause, until)| (cause, until.and_then(at)));
        self.progress.in_the_way = in_the_way
            .map(|(cause, until)| (cause, until.and_then(at)))
            .or_else(|| self.unanswered().map(|cause| (cause, None)));
        let (awaited, awaited_until) = self.clockwork.awaited();
        (self.progress.awaited, self.progress.awaited_until) = (awaited as u64, awaited_until.and_then(at));
        self.progress.spent = self.clockwork.spent(now).to_vec();
        self.observer.observe(event, &self.progress).map_err(DispatchError::Observer)
    }

    /// What is said of requests that have been on their way for long.
    fn unanswered(&self) -> Option<WaitCause> {
        let now = self.clock.boot_time();
        let since = self.clock.wall_time().checked_sub(now.since(self.clockwork.unanswered_since(now)?)).ok()?;
        Some(WaitCause::Answer { since })
    }

    async fn finish(mut self) -> Result<(EndReason, Progress), DispatchError> {
        let accepted = self.caller.service_accepted();
        let closed = self.closed.first().map(|(_, reason)| reason.clone());
        let late = self.has_late_calls.then_some(EndReason::Deadline);
        let forbidden = (self.bounds.has_forbidden() && !accepted).then(|| self.bounds.forbidden_reason());
        let reason = self.ending.take().or(closed).or(late).or(forbidden).unwrap_or(EndReason::Finished);
        if accepted && self.bounds.has_forbidden() && !matches!(reason, EndReason::StoreFailed(_)) {
            self.store.believe_refusals(self.run, self.bounds.forbidden().to_vec()).await?;
        }
        if matches!(reason, EndReason::Halted) {
            self.store.abandon_open_attempts(self.run).await?;
        }
        self.tell(&Event::Ended(reason.clone()))?;
        Ok((reason, self.progress))
    }
}
