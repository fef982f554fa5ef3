//! The loop of a run: waits for something to happen, has it decided upon, and carries out what was decided.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::bulk::BulkCalls;
use super::dispatcher::Dispatcher;
use super::error::DispatchError;
use super::events::{EndReason, Event, Observer, Progress};
use super::lane::{KINDS, Lane, WorkRead, limit_of};
use super::lanes::Lanes;
use super::settings::{DispatchSettings, StopRequest};
use super::step::{Action, Answer, Input, Moment, Next, Question};
use crate::api::Transport;
use crate::call::{CallEnd, CallId, CallReport, Caller, Reports};
use crate::clock::{SharedClock, sleep_until};
use crate::store::{AccountKey, RunKey, Store, StoreError};

/// Reports that may wait to be heard.
const REPORT_QUEUE_LENGTH: usize = 1024;

struct Engine<'a, T> {
    store: Store,
    clock: SharedClock,
    account: AccountKey,
    run: RunKey,
    caller: Arc<Caller<T>>,
    drain: watch::Sender<bool>,
    observer: &'a mut dyn Observer,
    tasks: JoinSet<(CallId, Result<CallEnd, StoreError>)>,
    /// For the calls.
    sender: Reports,
    reports: mpsc::Receiver<CallReport>,
}

/// Carries out what a run still has to send. Returns why it ended, and its final numbers.
///
/// # Errors
/// [`DispatchError`] when the engine itself fails; what was stored until then holds.
pub(crate) async fn dispatch<T: Transport>(
    transport: Arc<T>,
    store: &Store,
    clock: SharedClock,
    run: RunKey,
    settings: DispatchSettings,
    observer: &mut dyn Observer,
    stop_requests: &mut mpsc::Receiver<StopRequest>,
) -> Result<(EndReason, Progress), DispatchError> {
    let (drain, draining) = watch::channel(false);
    let gate = settings.gate.clone();
    let account = gate.account;
    let caller = Arc::new(Caller::new(transport, store.clone(), clock.clone(), gate, settings.seed, draining));
    let (sender, reports) = mpsc::channel(REPORT_QUEUE_LENGTH);
    let (store, sender) = (store.clone(), Reports::new(sender));
    let tasks = JoinSet::new();
    let mut engine = Engine { store, clock, account, run, caller, drain, observer, tasks, sender, reports };
    let begun = engine.moment();
    let bulk = BulkCalls::new(settings.bulk);
    let lanes = engine.lanes(bulk.limit()).await?;
    let mut dispatcher = Dispatcher::new(settings.clone(), run, lanes, bulk, begun);
    let outcome = engine.go_on(&mut dispatcher, &settings, stop_requests).await;
    engine.tasks.shutdown().await;
    outcome?;
    while let Ok(report) = engine.reports.try_recv() {
        let step = dispatcher.handle(Input::Reported(report), engine.moment());
        engine.carry_out(step.actions)?;
    }
    engine.conclude(dispatcher).await
}

impl<T: Transport> Engine<'_, T> {
    /// Everything that is to be sent, for calls of at most `limit` machines.
    async fn lanes(&self, limit: usize) -> Result<Lanes, StoreError> {
        let swaps = self.store.swaps(self.run).await?;
        let mut lanes = Vec::with_capacity(KINDS.len());
        for kind in KINDS {
            let limit = u32::try_from(limit_of(kind, limit)).unwrap_or(u32::MAX);
            let work = self.store.count_work(self.run, kind, limit).await?;
            lanes.push(Lane::new(kind, work, self.store.sent_before(self.run, kind).await?));
        }
        Ok(Lanes::new(lanes, swaps))
    }

    fn moment(&self) -> Moment {
        let service_accepted = self.caller.service_accepted();
        let (now, wall_now) = (self.clock.boot_time(), self.clock.wall_time());
        let (absence, state_silent_for) = (self.store.absence(), self.store.silent_for());
        Moment { now, wall_now, service_accepted, absence, state_silent_for }
    }

    /// Goes on until there is nothing more to wait for.
    async fn go_on(
        &mut self,
        dispatcher: &mut Dispatcher,
        settings: &DispatchSettings,
        stop_requests: &mut mpsc::Receiver<StopRequest>,
    ) -> Result<(), DispatchError> {
        let mut tick = tokio::time::interval(settings.tick);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (deadline, clock) = (settings.gate.deadline, self.clock.clone());
        let deadline_comes = async move {
            match deadline {
                Some(deadline) => sleep_until(clock.as_ref(), deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(deadline_comes);
        let mut is_past = false;
        let mut input = Input::Started;
        loop {
            let step = dispatcher.handle(input, self.moment());
            self.carry_out(step.actions)?;
            input = match step.next {
                Next::End => return Ok(()),
                Next::Ask(question) => Box::pin(self.ask(question, dispatcher, settings.tick, stop_requests)).await?,
                Next::Await => tokio::select! {
                    biased;
                    Some(request) = stop_requests.recv() => Input::StopRequested(request),
                    Some(report) = self.reports.recv() => Input::Reported(report),
                    Some(joined) = self.tasks.join_next() => {
                        let (call, end) = joined.map_err(DispatchError::Task)?;
                        Input::Ended(call, end)
                    }
                    () = &mut deadline_comes, if !is_past => {
                        is_past = true;
                        Input::DeadlineCame
                    }
                    _ = tick.tick() => Input::Ticked,
                },
            };
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) -> Result<(), DispatchError> {
        for action in actions {
            match action {
                Action::Tell(event, progress) => {
                    self.observer.observe(&event, &progress).map_err(DispatchError::Observer)?;
                }
                Action::Begin(call, not_before) => {
                    let (caller, reports) = (Arc::clone(&self.caller), self.sender.clone());
                    self.tasks.spawn(async move { (call.id, caller.perform_after(&call, not_before, &reports).await) });
                }
                Action::Drain => {
                    let _before = self.drain.send_replace(true);
                }
                Action::Close(bucket) => self.caller.close(bucket),
                Action::NoteStragglers(bucket) => self.caller.note_stragglers(bucket),
            }
        }
        Ok(())
    }

    /// Asks the store. Where that does not answer, the run is shown all the same, and may be stopped.
    async fn ask(
        &mut self,
        question: Question,
        dispatcher: &mut Dispatcher,
        tick: Duration,
        stop_requests: &mut mpsc::Receiver<StopRequest>,
    ) -> Result<Input, DispatchError> {
        let asking = answer(self.store.clone(), self.account, self.run, question);
        tokio::pin!(asking);
        loop {
            let is_away = self.moment().is_without_state();
            let look_at = self.clock.boot_time().plus(tick);
            tokio::select! {
                biased;
                answer = &mut asking => return Ok(Input::Answered(answer)),
                // When it stops, nothing of what was asked for is begun.
                Some(request) = stop_requests.recv(), if is_away => return Ok(Input::StopRequested(request)),
                () = sleep_until(self.clock.as_ref(), look_at) => {
                    let actions = dispatcher.look(self.moment());
                    self.carry_out(actions)?;
                }
            }
        }
    }

    /// Stores what the end of the run has shown, and tells it.
    async fn conclude(self, dispatcher: Dispatcher) -> Result<(EndReason, Progress), DispatchError> {
        let (mut reason, progress, believed) = dispatcher.conclude(self.moment());
        if !believed.is_empty() {
            self.store.believe_refusals(self.run, believed).await?;
        }
        // Whoever stops at once may do so because nothing can be stored.
        if matches!(reason, EndReason::Halted)
            && let Err(error) = self.store.abandon_open_attempts(self.run).await
        {
            reason = EndReason::StoreFailed(error);
        }
        self.observer.observe(&Event::Ended, &progress).map_err(DispatchError::Observer)?;
        Ok((reason, progress))
    }
}

/// Looks up in the store what was asked.
async fn answer(store: Store, account: AccountKey, run: RunKey, question: Question) -> Result<Answer, StoreError> {
    Ok(match question {
        Question::Work(kind, read) => {
            let items = match read {
                WorkRead::Spread { all, count } => store.spread_work(run, kind, all, count).await?,
                WorkRead::Page { after, limit } => store.next_work(run, kind, after, limit).await?,
            };
            Answer::Work(kind, read, items)
        }
        Question::RemovesWithoutAdds(kinds, doubt) => {
            let mut removes = Vec::with_capacity(kinds.len());
            for kind in kinds {
                removes.push((kind, store.leave_out_removes_without_adds(run, kind.unlisted, doubt).await?));
            }
            Answer::RemovesWithoutAdds(removes, doubt)
        }
        Question::UnknownOperations => Answer::UnknownOperations(store.unknown_operations(run).await?),
        Question::LatestEnds { groups, count } => {
            let mut ends = Vec::with_capacity(groups.len());
            for buckets in groups {
                ends.push(store.latest_ends(account, buckets.to_vec(), count).await?);
            }
            Answer::LatestEnds(ends)
        }
    })
}
