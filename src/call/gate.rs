//! The gate in front of every attempt: queue, pacer, ledger, place in flight.
//!
//! Each bucket has a queue of its own, so that none waits for another; whoever stands first takes a place from the pacer
//! and then asks the ledger until it agrees. A place in flight is held only from admission to settlement, never while
//! somebody sleeps. With the quota off there is no queue, only the ledger's record and its pauses. What surprises: after
//! a 429 that the ledger cannot explain there is one queue for all buckets, and its pacer spreads calls evenly.

mod counting;
mod pass;
mod turn;

use std::sync::{Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, Semaphore, watch};

use super::outage::{Outages, Pause};
use super::{Call, CallReport, Notice, Phase, Reports, StopReason, WaitCause, backoff};
use crate::api::ApiRequest;
use crate::clock::{BootTime, SharedClock, sleep_until};
use crate::model::Bucket;
use crate::quota::{Pacer, Quota, QuotaScope, ages};
use crate::store::{AccountKey, Admission, AttemptRequest, AttemptTicket, Refusal, Settlement, Store, StoreError};

/// How long to wait for an answer that makes room before looking again: another process may have had one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long to wait at the most for what other hosts have a part in: what they have called may be older than is known, and they
/// may be back.
const LOOK_AGAIN_BESIDE_HOSTS: Duration = Duration::from_secs(1);
/// How often to look for dead processes whose calls still count as in flight.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What the gate needs to know.
#[derive(Clone, Debug)]
pub(crate) struct GateSettings {
    /// Whose quota is used.
    pub account: AccountKey,
    /// The limits of each bucket.
    pub quota: Quota,
    /// Which calls count together.
    pub scope: QuotaScope,
    /// Calls in flight at the most.
    pub concurrency: usize,
    /// No attempt starts after this moment.
    pub deadline: Option<BootTime>,
    /// How long the service may be in trouble until the run is stopped.
    pub maximum_outage: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Throttling {
    /// When the last pause was set, and until when it lasts.
    set_and_until: Option<(BootTime, BootTime)>,
    /// Episodes in a row without a call between that was let through.
    streak: u32,
    /// When the first of them was.
    since: Option<BootTime>,
}

struct Queue {
    pacer: Option<Pacer>,
    evenly: bool,
}

use counting::Counting;
pub(super) use counting::Place;
pub(super) use pass::{Pass, Turn};

/// The gates of all buckets.
pub(super) struct Gate {
    settings: GateSettings,
    store: Store,
    clock: SharedClock,
    drain: watch::Receiver<bool>,
    /// Buckets in which no further call is made, while others go on.
    closed: watch::Sender<[bool; Bucket::ALL.len()]>,
    places: std::sync::Arc<Semaphore>,
    queues: [Mutex<Queue>; Bucket::ALL.len()],
    counting: Counting,
    throttling: SyncMutex<[Throttling; Bucket::ALL.len()]>,
    settled: Notify,
    last_sweep: SyncMutex<BootTime>,
    outages: watch::Sender<Outages>,
    /// Whoever holds a bucket's lock tries whether the service is back.
    probes: [std::sync::Arc<Mutex<()>>; Bucket::ALL.len()],
}

impl Gate {
    pub(super) fn new(settings: GateSettings, store: Store, clock: SharedClock, drain: watch::Receiver<bool>) -> Self {
        let queue = || Mutex::new(Queue { pacer: Pacer::new(&settings.quota, clock.clone()), evenly: false });
        let last_sweep = SyncMutex::new(clock.boot_time());
        Self {
            places: std::sync::Arc::new(Semaphore::new(settings.concurrency)),
            queues: [(); Bucket::ALL.len()].map(|()| queue()),
            counting: Counting::new(settings.scope),
            throttling: SyncMutex::default(),
            settled: Notify::new(),
            last_sweep,
            outages: watch::Sender::new(Outages::new(settings.maximum_outage)),
            probes: Default::default(),
            closed: watch::Sender::default(),
            settings,
            store,
            clock,
            drain,
        }
    }

    /// What the future gives, or `None` as soon as the run drains, or the bucket is closed.
    pub(super) async fn unless_draining<Output>(
        &self,
        bucket: Bucket,
        future: impl Future<Output = Output>,
    ) -> Option<Output> {
        let mut drain = self.drain.clone();
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = drain.wait_for(|draining| *draining) => None,
            _ = closed.wait_for(|closed| is_closed(*closed, bucket)) => None,
            output = future => Some(output),
        }
    }

    /// What a request that is on its way gives, or `None` for a read as soon as the run drains: nothing can be lost by it.
    /// A write is awaited, since it may be done.
    pub(super) async fn unless_given_up<Output>(
        &self,
        request: &ApiRequest,
        sending: impl Future<Output = Output>,
    ) -> Option<Output> {
        if request.is_read() { self.unless_draining(request.bucket(), sending).await } else { Some(sending.await) }
    }

    /// Makes no further calls of this bucket; those in flight are awaited.
    pub(super) fn close(&self, bucket: Bucket) {
        self.closed.send_modify(|closed| {
            if let Some(closed) = closed.get_mut(bucket.position()) {
                *closed = true;
            }
        });
    }

    /// Whose quota is used.
    pub(super) const fn account(&self) -> AccountKey {
        self.settings.account
    }

    /// Waits until the call may be sent, and announces it in the ledger.
    pub(super) async fn pass(&self, call: &Call, turn: &Turn, reports: &Reports) -> Result<Pass, StoreError> {
        loop {
            if self.is_closed_to(call, turn) {
                return Ok(Pass::Paused);
            }
            let scope = self.counting.scope();
            let attempt = if self.settings.quota.is_off() {
                self.ask_ledger(call, turn, scope, reports).await?
            } else {
                self.queue_up(call, turn, scope, reports).await?
            };
            match attempt {
                Some(Pass::Admitted(ticket, place)) => {
                    if self.is_still_good(ticket, call) && !self.is_closed_to(call, turn) {
                        return Ok(Pass::Admitted(ticket, place));
                    }
                    self.store.settle(Settlement::never_sent(ticket.attempt)).await?;
                }
                Some(stopped) => return Ok(stopped),
                None => {}
            }
        }
    }

    /// Stands in the bucket's queue, takes a place from the pacer, asks the ledger. `None`: the queues have been merged
    /// meanwhile, or the bucket pauses; begin again.
    async fn queue_up(
        &self,
        call: &Call,
        turn: &Turn,
        scope: QuotaScope,
        reports: &Reports,
    ) -> Result<Option<Pass>, StoreError> {
        let together = scope.together_with(call.request.counted_in());
        let Some(queue) = together.first().and_then(|first| self.queues.get(first.position())) else { return Ok(None) };
        let mut queue = match queue.try_lock() {
            Ok(queue) => queue,
            Err(_others_stand_there) => {
                // What it told last would be taken for what holds everybody up.
                reports.send(CallReport { call: call.id, phase: Phase::InLine }).await;
                match self.unless_draining(call.request.bucket(), queue.lock()).await {
                    Some(queue) => queue,
                    None => return Ok(Some(Pass::Stopped(StopReason::Draining))),
                }
            }
        };
        if self.counting.scope() != scope || self.is_closed_to(call, turn) {
            return Ok(None);
        }
        if scope == QuotaScope::App && !queue.evenly && self.settings.scope != QuotaScope::App {
            queue.pacer = Pacer::evenly(&self.settings.quota, self.clock.clone());
            queue.evenly = true;
        }
        while let Some(Err(until)) = queue.pacer.as_ref().map(Pacer::check) {
            if let Some(stopped) = self.wait_until(call, WaitCause::Pacing, until, reports).await {
                return Ok(Some(stopped));
            }
        }
        self.ask_ledger(call, turn, scope, reports).await
    }

    async fn ask_ledger(
        &self,
        call: &Call,
        turn: &Turn,
        scope: QuotaScope,
        reports: &Reports,
    ) -> Result<Option<Pass>, StoreError> {
        let mut trial = None;
        loop {
            if let Some(stopped) = self.stopped(call.request.bucket()) {
                return Ok(Some(stopped));
            }
            let place = self.unless_draining(call.request.bucket(), self.places.clone().acquire_owned());
            let Some(place) = place.await else {
                return Ok(Some(Pass::Stopped(StopReason::Draining)));
            };
            let place = place.map_err(|_closed| StoreError::Closed)?;
            if self.is_closed_to(call, turn) {
                return Ok(None);
            }
            let is_sure = trial.is_some() || !self.counting.is_in_doubt(call.request.bucket());
            let counted_as = if is_sure { scope } else { QuotaScope::Api };
            let admission = tokio::select! {
                biased;
                admission = self.store.admit(self.request(call, counted_as)) => admission?,
                () = self.drain_without_state() => return Ok(Some(Pass::Stopped(StopReason::Draining))),
            };
            match admission {
                Admission::Granted(ticket) => {
                    return Ok(Some(Pass::Admitted(ticket, Place::new(place, trial))));
                }
                Admission::Refused(Refusal::Window { .. } | Refusal::InFlight { .. }) if !is_sure => {
                    drop(place);
                    let turn = self.unless_draining(call.request.bucket(), self.counting.try_alone());
                    let Some(alone) = turn.await else { return Ok(Some(Pass::Stopped(StopReason::Draining))) };
                    trial = Some(alone).filter(|_| self.counting.is_in_doubt(call.request.bucket()));
                }
                Admission::Refused(refusal) => {
                    // Others may have room to try.
                    drop((place, trial.take()));
                    if let Some(stopped) = self.wait_out(call, refusal, reports).await? {
                        return Ok(Some(stopped));
                    }
                }
            }
            if self.counting.scope() != scope {
                return Ok(None);
            }
        }
    }

    /// Waits until the run drains while the state is away: what is asked of it then nobody needs any more.
    async fn drain_without_state(&self) {
        let mut absences = self.store.absences();
        let mut drain = self.drain.clone();
        // Whoever could say so is gone only when the run is.
        if drain.wait_for(|draining| *draining).await.is_err() || absences.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn request(&self, call: &Call, scope: QuotaScope) -> AttemptRequest {
        let bucket = call.request.counted_in();
        AttemptRequest {
            account: self.settings.account,
            bucket,
            counted_buckets: scope.together_with(bucket).to_vec(),
            quota: self.settings.quota.clone(),
            run: call.run,
            call_kind: call.request.kind().as_str(),
            operations: call.operations.iter().map(|operation| operation.id).collect(),
            time_out: call.request.time_out(),
        }
    }

    async fn wait_out(&self, call: &Call, refusal: Refusal, reports: &Reports) -> Result<Option<Pass>, StoreError> {
        let (cause, look_again) = match refusal {
            Refusal::Window { until, limit } => {
                return Ok(self.wait_until(call, WaitCause::Window(limit), until, reports).await);
            }
            Refusal::Paused { until } => return Ok(self.wait_until(call, WaitCause::Throttled, until, reports).await),
            Refusal::InFlight { limit } => (WaitCause::Window(limit), LOOK_AGAIN),
            Refusal::AwaitsOthers => (WaitCause::OtherHosts, LOOK_AGAIN_BESIDE_HOSTS),
        };
        self.sweep_now_and_then().await?;
        reports.send(CallReport { call: call.id, phase: Phase::Waiting { cause, until: None } }).await;
        let mut drain = self.drain.clone();
        tokio::select! {
            biased;
            _ = drain.wait_for(|draining| *draining) => {}
            () = self.settled.notified() => {}
            () = tokio::time::sleep(look_again) => {}
        }
        Ok(None)
    }

    /// Sleeps, unless the run drains or the moment lies beyond the deadline. Either way it is told what was to be awaited.
    pub(super) async fn wait_until(
        &self,
        call: &Call,
        cause: WaitCause,
        until: BootTime,
        reports: &Reports,
    ) -> Option<Pass> {
        reports.send(CallReport { call: call.id, phase: Phase::Waiting { cause, until: Some(until) } }).await;
        if self.settings.deadline.is_some_and(|deadline| until > deadline) {
            return Some(Pass::Stopped(StopReason::Deadline));
        }
        let is_known = !(self.store.is_on_server() && matches!(cause, WaitCause::Window(_)));
        let again = self.clock.boot_time().plus(LOOK_AGAIN_BESIDE_HOSTS);
        let look = if is_known { until } else { until.min(again) };
        match self.unless_draining(call.request.bucket(), sleep_until(self.clock.as_ref(), look)).await {
            Some(()) => None,
            None => Some(Pass::Stopped(StopReason::Draining)),
        }
    }

    fn stopped(&self, bucket: Bucket) -> Option<Pass> {
        if *self.drain.borrow() || is_closed(*self.closed.borrow(), bucket) {
            return Some(Pass::Stopped(StopReason::Draining));
        }
        let past = self.settings.deadline.is_some_and(|deadline| self.clock.boot_time() > deadline);
        past.then_some(Pass::Stopped(StopReason::Deadline))
    }

    /// Whether an admission may still be used: it is fresh, and nobody was refused since.
    fn is_still_good(&self, ticket: AttemptTicket, call: &Call) -> bool {
        let now = self.clock.boot_time();
        ages::may_still_be_sent(ticket.started, now)
            && self.paused_until(&call.request).is_none_or(|until| until <= now)
    }

    /// Whether the call's bucket pauses and the turn to try is not the call's.
    fn is_closed_to(&self, call: &Call, turn: &Turn) -> bool {
        !turn.is_probe() && self.pause(call.request.bucket()).is_some()
    }

    /// The pause of a bucket, if there is one.
    fn pause(&self, bucket: Bucket) -> Option<Pause> {
        self.outages.borrow().pause(bucket)
    }

    fn paused_until(&self, request: &ApiRequest) -> Option<BootTime> {
        let together = self.counting.scope().together_with(request.counted_in());
        let throttling = self.throttling.lock().unwrap_or_else(PoisonError::into_inner);
        let pauses = together.iter().filter_map(|bucket| throttling.get(bucket.position())?.set_and_until);
        pauses.map(|(_, until)| until).max()
    }

    /// The bucket in whose name a call is refused or accepted.
    fn refused_as(&self, request: &ApiRequest) -> Bucket {
        if self.counting.scope().counts_bulk_apart() { request.counted_in() } else { request.bucket() }
    }

    /// Notes a 429 and says until when the bucket is closed, in this process from now on.
    pub(super) fn throttle(
        &self,
        request: &ApiRequest,
        ticket: AttemptTicket,
        named: Option<Duration>,
        fraction: f64,
    ) -> BootTime {
        let now = self.clock.boot_time();
        let bucket = self.refused_as(request);
        let mut throttling = self.throttling.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = throttling.get_mut(bucket.position()) else { return now };
        // Calls that left before the last pause was set belong to the same episode.
        let same_episode = state.set_and_until.is_some_and(|(set, _)| ticket.started <= set);
        state.streak = state.streak.saturating_add(u32::from(!same_episode));
        let refused_for = now.since(*state.since.get_or_insert(now));
        let left = self.settings.maximum_outage.saturating_sub(refused_for);
        let own = now.plus(backoff::after_throttling(named, state.streak, left, fraction));
        let until = match state.set_and_until {
            Some((_, earlier)) if same_episode && named.is_none() => earlier,
            Some((_, earlier)) => earlier.max(own),
            None => own,
        };
        state.set_and_until =
            Some((if same_episode { state.set_and_until.map_or(now, |(set, _)| set) } else { now }, until));
        until
    }

    /// How long an outage may last.
    pub(super) const fn maximum_outage(&self) -> Duration {
        self.settings.maximum_outage
    }

    /// Whether this bucket has been refused for quota at least so many times in a row, and for longer than an outage may
    /// last.
    pub(super) fn is_throttled_for_good(&self, request: &ApiRequest, streak: u32) -> bool {
        let (now, bucket) = (self.clock.boot_time(), self.refused_as(request));
        let throttling = self.throttling.lock().unwrap_or_else(PoisonError::into_inner);
        throttling.get(bucket.position()).is_some_and(|state| {
            let lasts = state.since.is_some_and(|since| now.since(since) >= self.settings.maximum_outage);
            lasts && state.streak >= streak
        })
    }

    /// Ends a row of refusals: the quota let a call through.
    pub(super) fn accepted(&self, request: &ApiRequest, place: &Place) {
        if place.is_trial() {
            self.counting.note_apart();
        }
        let bucket = self.refused_as(request);
        let mut throttling = self.throttling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = throttling.get_mut(bucket.position()) {
            (state.streak, state.since) = (0, None);
        }
    }

    /// A 429 came although the ledger had room: from now on more counts together. Says what, if that is news.
    pub(super) fn merge(&self, request: &ApiRequest, ticket: AttemptTicket) -> Option<Notice> {
        if self.settings.quota.is_off() {
            return None;
        }
        self.counting.merge(request.bucket(), ticket.started, self.clock.boot_time())
    }

    /// Tells waiting calls that an attempt has ended.
    pub(super) fn settled(&self) {
        self.settled.notify_waiters();
    }

    async fn sweep_now_and_then(&self) -> Result<(), StoreError> {
        let now = self.clock.boot_time();
        {
            let mut last = self.last_sweep.lock().unwrap_or_else(PoisonError::into_inner);
            if now.since(*last) < SWEEP_EVERY {
                return Ok(());
            }
            *last = now;
        }
        self.store.sweep_dead_processes().await.map(|_ended| ())
    }
}

fn is_closed(closed: [bool; Bucket::ALL.len()], bucket: Bucket) -> bool {
    closed.get(bucket.position()).is_some_and(|closed| *closed)
}
