//! What decides in a run: takes what has happened, and says what is to be done about it. Pure, and without waiting.
//!
//! What surprises: until the service has accepted a first call only a few are in flight, so that a missing permission costs a
//! handful of calls and not a concurrency's worth.

use std::mem;

use super::books::Books;
use super::bulk::BulkCalls;
use super::events::{EndReason, Event, ExpectedEnd, Progress};
use super::forecast;
use super::lanes::{Lanes, Room};
use super::sending::{Due, Ended, Sending, WriteConsequence};
use super::settings::{DispatchSettings, StopRequest};
use super::settling::{ReadBack, Reading};
use super::step::{Action, Answer, Input, Moment, Next, Question, Step};
use super::stopping::Stopping;
use crate::api::CallKind;
use crate::call::{Call, CallEnd, CallId, CallReport, Notice, Phase, Proof};
use crate::clock::BootTime;
use crate::model::{AnswerFacts, Bucket, OperationId, Outcome, Status};
use crate::quota::{QuotaScope, relieves};
use crate::store::{AddsInDoubt, RunKey};

/// Calls in flight until the service has accepted one.
const SCOUTS: usize = 4;
/// The same when one was refused with 403.
const SCOUTS_OF_THE_FORBIDDEN: usize = 2;
/// Calls that may wait to be made again, beyond those that are active.
const MAXIMUM_RETRYING: usize = 256;
/// The same until the service has accepted a call.
const MAXIMUM_RETRYING_SCOUTS: usize = 16;

/// The state of a run under way.
#[derive(Debug)]
pub(super) struct Dispatcher {
    settings: DispatchSettings,
    sending: Sending,
    read_back: ReadBack,
    books: Books,
    stopping: Stopping,
    /// Whether there are so many tag calls that bulk calls relieve single ones, where they count apart.
    relieves: bool,
    /// When that happened which is being handled.
    at: Moment,
    /// What is to be done about it.
    actions: Vec<Action>,
}

impl Dispatcher {
    /// A run that begins now and has this to send.
    pub(super) fn new(settings: DispatchSettings, run: RunKey, lanes: Lanes, bulk: BulkCalls, at: Moment) -> Self {
        Self {
            books: Books::new(lanes.left(|_| true), at.now),
            relieves: relieves(&settings.gate.quota, lanes.calls_ahead(|bucket| bucket == Bucket::Tags)),
            sending: Sending::new(run, lanes, bulk),
            read_back: ReadBack::default(),
            stopping: Stopping::new(settings.maximum_errors),
            at,
            actions: Vec::new(),
            settings,
        }
    }

    /// Decides what is to be done about something that has happened.
    pub(super) fn handle(&mut self, input: Input, at: Moment) -> Step {
        self.note_moment(at);
        if self.settings.gate.scope.counts_bulk_apart() && !self.sending.makes_bulk_calls() {
            self.settings.gate.scope = QuotaScope::Api;
        }
        let next = self.take(input).unwrap_or_else(|| self.advance());
        Step { actions: mem::take(&mut self.actions), next }
    }

    /// Says how the run stands while an answer of the store is awaited, if that does not come; decides nothing.
    pub(super) fn look(&mut self, at: Moment) -> Vec<Action> {
        self.note_moment(at);
        if at.is_without_state() {
            self.tell_tick(None);
        }
        mem::take(&mut self.actions)
    }

    fn note_moment(&mut self, at: Moment) {
        self.at = at;
        self.books.call_times.note_state(at.state_silent_for, at.now);
    }

    /// Takes an input into the state; says what comes next, unless that is to go on as usual.
    fn take(&mut self, input: Input) -> Option<Next> {
        match input {
            Input::Started => self.tell(Event::Started),
            Input::StopRequested(StopRequest::Drain) if !self.stopping.is_stopping() => {
                self.stop(EndReason::Interrupted);
            }
            Input::StopRequested(_) => return Some(self.end_at_once(EndReason::Halted)),
            Input::Reported(report) => self.note(&report),
            Input::Ended(call, end) => {
                self.books.call_times.end(call, self.at.now);
                match end {
                    Ok(end) => self.take_end(call, end),
                    Err(error) => return Some(self.end_at_once(EndReason::StoreFailed(error))),
                }
            }
            Input::DeadlineCame => self.stop(EndReason::Deadline),
            Input::Ticked => return self.tick().map(Next::Ask),
            Input::Answered(Ok(answer)) => self.take_answer(answer),
            Input::Answered(Err(error)) => return Some(self.end_at_once(EndReason::StoreFailed(error))),
        }
        None
    }

    /// Starts what may begin, and says what comes after that.
    fn advance(&mut self) -> Next {
        if let Some(question) = self.fill() {
            return Next::Ask(question);
        }
        self.actions.extend(self.sending.lanes.new_stragglers().into_iter().map(Action::NoteStragglers));
        if let Some(question) = self.settle_unknown() {
            return Next::Ask(question);
        }
        if self.books.call_times.count() > 0 {
            return Next::Await;
        }
        self.release_what_was_proven().map_or(Next::End, Next::Ask)
    }

    /// Starts calls while there is work and room.
    fn fill(&mut self) -> Option<Question> {
        while !self.stopping.is_stopping() {
            let with_room: Vec<Bucket> = Bucket::ALL.into_iter().filter(|bucket| self.has_room(*bucket)).collect();
            let bulk_calls = self.books.call_times.active_bulk_calls();
            let relief = self.settings.gate.scope.counts_bulk_apart().then_some(self.relieves);
            let room = Room { closed: &self.stopping.closed(), open: &with_room, may_begin_bulk: true, relief };
            match self.sending.next(bulk_calls, room)? {
                Due::Call(call) => self.begin(call, None),
                Due::Ask(question) => return Some(question),
            }
        }
        None
    }

    fn has_room(&self, bucket: Bucket) -> bool {
        let concurrency = self.settings.gate.concurrency;
        let call_times = &self.books.call_times;
        if self.at.service_accepted {
            let apart = self.settings.gate.scope.counts_bulk_apart();
            let together = if apart { QuotaScope::Auto } else { QuotaScope::Api }.together_with(bucket);
            let active: usize = together.iter().map(|bucket| call_times.active(*bucket)).sum();
            return active < concurrency && call_times.count() < 2 * concurrency + MAXIMUM_RETRYING;
        }
        let scouts = if self.stopping.bounds.has_forbidden() { SCOUTS_OF_THE_FORBIDDEN } else { SCOUTS };
        let active: usize = Bucket::ALL.into_iter().map(|bucket| call_times.active(bucket)).sum();
        active < concurrency.min(scouts) && call_times.count() < concurrency + MAXIMUM_RETRYING_SCOUTS
    }

    fn begin(&mut self, call: Call, not_before: Option<BootTime>) {
        let is_bulk = call.request.kind() == CallKind::Bulk;
        self.books.call_times.begin(call.id, call.request.counted_in(), is_bulk, self.at.now);
        self.actions.push(Action::Begin(Box::new(call), not_before));
    }

    /// Starts the reads that settle unknown outcomes, once everything else is over.
    fn settle_unknown(&mut self) -> Option<Question> {
        if self.stopping.is_stopping() || !self.sending.is_quiet() {
            return None;
        }
        if !self.read_back.has_begun() {
            return Some(Question::UnknownOperations);
        }
        while self.books.call_times.count() < self.settings.gate.concurrency {
            let Reading { request, questions, not_before } = self.read_back.next()?;
            let call = self.sending.read(request, questions);
            self.begin(call, not_before);
        }
        None
    }

    /// Lets the removes go whose adds were read back, and leaves out the others that were held back.
    fn release_what_was_proven(&self) -> Option<Question> {
        // What a bucket cannot do any more is for whoever resumes the run.
        let held_back = self.sending.lanes.held_back(&self.stopping.closed());
        let is_due = !self.stopping.is_stopping() && !held_back.is_empty();
        is_due.then_some(Question::RemovesWithoutAdds(held_back, AddsInDoubt::Stays))
    }

    fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Work(kind, read, items) => self.sending.take_work(kind, read, items),
            Answer::RemovesWithoutAdds(removes, doubt) => {
                for (kind, removes) in removes {
                    self.books.count(Status::NotAttempted, u64::from(removes.left_out));
                    self.sending.lanes.take_removes(kind, removes);
                }
                if doubt == AddsInDoubt::Stays {
                    self.read_back.end();
                }
            }
            Answer::UnknownOperations(unknown) => self.read_back.begin(unknown, self.at),
            Answer::LatestEnds(ends) => {
                let (gate, lanes) = (&self.settings.gate, &self.sending.lanes);
                let end = forecast::end_by_quota(gate, lanes, &self.stopping.closed(), &ends, self.at.now);
                self.tell_tick(Some(end));
            }
        }
    }

    fn note(&mut self, report: &CallReport) {
        self.books.note_phase(report.call, &report.phase, self.at.now);
        if let Phase::Notice(notice) = report.phase {
            if notice == Notice::TagCallsCountTogether {
                self.settings.gate.scope = QuotaScope::Api;
            }
            self.notice(notice);
        }
    }

    fn take_end(&mut self, call: CallId, end: CallEnd) {
        let Some(flight) = self.sending.take_down(call) else {
            let proofs = self.read_back.take(end);
            return proofs.into_iter().for_each(|proof| self.take_proof(proof));
        };
        let Some(ended) = self.sending.take_end(flight, end) else { return };
        let Ended { bucket, notice, outcomes, named, bulk_was_refused, sequel } = ended;
        if let Some(notice) = notice {
            self.notice(notice);
        }
        // The reason comes before the outcomes that it has: many of them would be one of their own.
        match sequel {
            WriteConsequence::GoOn => {}
            WriteConsequence::Late => self.stopping.note_late_call(),
            WriteConsequence::Close(reason) => self.close(bucket, reason),
            WriteConsequence::Stop(reason) => self.stop(reason),
        }
        for (operation, outcome) in outcomes {
            let succeeded = outcome.status == Status::Succeeded;
            self.take_outcome(operation, outcome, named, bulk_was_refused && succeeded);
        }
    }

    /// Takes an operation's outcome into the books; `named` when the refusal of a bulk call named its machine.
    fn take_outcome(&mut self, operation: OperationId, outcome: Outcome, named: bool, shows_bulk_forbidden: bool) {
        self.books.count(outcome.status, 1);
        let settled = self.books.settled();
        let (refused_before, accepted) = (self.sending.lanes.refused_before(operation), self.at.service_accepted);
        let reason = self.stopping.bounds.take(operation, &outcome, named, refused_before, settled, accepted);
        self.tell(Event::Settled(outcome));
        if shows_bulk_forbidden {
            self.notice(Notice::BulkForbidden);
        }
        if let Some(reason) = reason {
            self.stop(reason);
        }
    }

    fn take_proof(&mut self, proof: Proof) {
        self.books.count_proven();
        self.tell(Event::Settled(Outcome {
            status: Status::Succeeded,
            send_again: false,
            is_refusal: false,
            answer: AnswerFacts::default(),
            after: proof.after,
        }));
    }

    /// Makes no new calls in this bucket. The run stops if there is nothing to do in any other.
    fn close(&mut self, bucket: Bucket, reason: EndReason) {
        let closed = self.stopping.closed();
        if closed.contains(&bucket) {
            return;
        }
        if self.sending.lanes.left(|other| other != bucket && !closed.contains(&other)) == 0 {
            return self.stop(reason);
        }
        tracing::info!(bucket = bucket.as_str(), ?reason, "no new calls in this bucket");
        self.actions.push(Action::Close(bucket));
        self.stopping.close(bucket, reason);
    }

    /// Makes no new calls; the first reason counts.
    fn stop(&mut self, reason: EndReason) {
        // Then every operation has its outcome, and what cannot be read back any more stays unknown.
        let is_done = self.read_back.has_begun() && self.sending.lanes.held_back(&[]).is_empty();
        if is_done && !matches!(reason, EndReason::Interrupted) {
            self.read_back.give_up();
        } else if self.stopping.is_stopping() {
            return;
        } else {
            tracing::info!(?reason, "no new calls");
            self.books.note_stop(self.at);
            self.stopping.stop(reason.clone());
        }
        self.actions.push(Action::Drain);
        self.tell(Event::Stopping(reason));
    }

    fn end_at_once(&mut self, reason: EndReason) -> Next {
        self.stopping.stop(reason);
        Next::End
    }

    /// Says how far the run is; what is to be known before, if anything is. Of a run that stops nobody knows its end.
    fn tick(&mut self) -> Option<Question> {
        let asks_nothing = self.stopping.is_stopping() || self.at.state_silent_for.is_some();
        let question = if asks_nothing { None } else { forecast::question(&self.settings.gate) };
        if question.is_none() {
            let end = forecast::end_by_pace(&self.books, self.at.now).filter(|_| !self.stopping.is_stopping());
            self.tell_tick(end);
        }
        question
    }

    /// Says that what is left would be done by `end`, but for a deadline that comes first.
    fn tell_tick(&mut self, end: Option<BootTime>) {
        let Moment { now, wall_now, .. } = self.at;
        let expected = end.and_then(|end| {
            let deadline = self.settings.gate.deadline.filter(|deadline| *deadline < end);
            let is_complete = deadline.is_none() && self.stopping.closed().is_empty();
            let at = wall_now.checked_add(deadline.unwrap_or(end).since(now)).ok();
            at.map(|at| ExpectedEnd { at, is_complete })
        });
        self.books.expect(expected);
        self.tell(Event::Tick);
    }

    fn notice(&mut self, notice: Notice) {
        if self.books.is_news(notice) {
            self.tell(Event::Notice(notice));
        }
    }

    fn tell(&mut self, event: Event) {
        let progress = self.books.at(self.at, self.stopping.is_stopping());
        self.actions.push(Action::Tell(event, Box::new(progress.clone())));
    }

    /// Why the run ended, its final numbers, and the operations whose refusal is believed after all.
    pub(super) fn conclude(mut self, at: Moment) -> (EndReason, Progress, Vec<OperationId>) {
        let progress = self.books.at(at, false).clone();
        let (reason, believed) = self.stopping.conclude(at.service_accepted);
        (reason, progress, believed)
    }
}
