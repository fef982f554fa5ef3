//! The end of a run: what was sent and never answered is settled by reading.
//!
//! A few machines are read one by one; for more of them the list is read once, when it has had the time to show the
//! latest writes. A read may prove that a write took effect, and never that it did not, so what is not proven stays
//! unknown. What surprises: nothing that goes wrong here changes how the run ends, for every operation has its outcome
//! already, but for removes that wait for adds which are read back.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::{DispatchError, Dispatcher, Event};
use crate::api::{ApiRequest, Transport};
use crate::call::{Call, CallEnd, CallId, History, Proof, Questions, ReadAnswer};
use crate::clock::BootTime;
use crate::inventory::{PageLimits, PageSummary, PageWalk, WalkStep};
use crate::model::{AnswerFacts, MachineId, OperationId, Outcome, Status};
use crate::plan::recent::LIST_LAG;

/// The most machines that are read one by one.
const MAXIMUM_SINGLE_READS: usize = 50;

/// What is read to settle a run's unknown outcomes.
#[derive(Default)]
pub(super) struct Settling {
    questions: Questions,
    machines: VecDeque<MachineId>,
    list: Option<ListWalk>,
    proven: HashSet<OperationId>,
    asked: Vec<OperationId>,
}

/// A walk through the list of machines.
struct ListWalk {
    walk: PageWalk,
    /// When the list shows the latest writes.
    not_before: BootTime,
    /// Whether the next page is to be asked for.
    is_due: bool,
    /// Machines that have come, as numbers made of their ids: a million of them take a few megabytes.
    seen: HashSet<u64>,
}

impl Settling {
    /// Questions that are to be put when the list shows what was written before `last_write`.
    pub(super) fn new(questions: Questions, asked: Vec<OperationId>, last_write: BootTime) -> Self {
        let machines: VecDeque<MachineId> = questions.machines().cloned().collect();
        let settling = Self { questions, asked, ..Self::default() };
        if machines.len() <= MAXIMUM_SINGLE_READS {
            return Self { machines, ..settling };
        }
        let walk = PageWalk::new(PageLimits::default());
        let not_before = last_write.plus(LIST_LAG);
        Self { list: Some(ListWalk { walk, not_before, is_due: true, seen: HashSet::new() }), ..settling }
    }

    /// The next read, and the moment before which it makes no sense.
    fn next(&mut self) -> Option<(ApiRequest, Option<BootTime>)> {
        if let Some(machine) = self.machines.pop_front() {
            return Some((ApiRequest::GetMachine { machine }, None));
        }
        let list = self.list.as_mut().filter(|list| list.is_due)?;
        list.is_due = false;
        Some((list.walk.request(), Some(list.not_before)))
    }

    /// Takes an answer: gives what it proves for the first time.
    fn take(&mut self, answer: &ReadAnswer) -> Vec<Proof> {
        let mut proofs = self.questions.proven_by(answer);
        proofs.retain(|proof| self.proven.insert(proof.operation));
        let is_over = self.proven.len() >= self.asked.len();
        match (&mut self.list, answer) {
            (Some(list), ReadAnswer::Page(page)) if !is_over => {
                let items = page.item_count();
                let hasher = FixedState::default();
                let ids = page.machines.iter().map(|machine| hasher.hash_one(&machine.id));
                let new_machines = ids.filter(|id| list.seen.insert(*id)).count() as u64;
                let summary = PageSummary { items, new_machines, has_next_link: page.has_next_link };
                // A list without an end proves no more.
                list.is_due = matches!(list.walk.take(summary), Ok(WalkStep::GoOn));
            }
            _ => {}
        }
        proofs
    }

    /// The operations that it is about.
    pub(super) fn asked(self) -> Vec<OperationId> {
        self.asked
    }

    /// Asks nothing more.
    pub(super) fn give_up(&mut self) {
        self.machines.clear();
        self.list = None;
    }
}

impl<T: Transport> Dispatcher<'_, T> {
    /// Starts the reads that settle unknown outcomes, once everything else is over.
    pub(super) async fn settle_unknown(&mut self) -> Result<(), DispatchError> {
        if self.ending.is_some() || !self.flights.is_empty() {
            return Ok(());
        }
        if self.settling.is_none() {
            let unknown = self.store.unknown_operations(self.run).await?;
            let (now, wall_now) = (self.clock.boot_time(), self.clock.wall_time());
            let age = unknown.latest.map_or(jiff::SignedDuration::ZERO, |latest| wall_now.duration_since(latest));
            let last_write = now.minus(age.try_into().unwrap_or_default());
            let mut operations = unknown.operations;
            operations.retain(|(id, _)| !self.read_back.contains(id));
            let asked = operations.iter().map(|(id, _)| *id).collect();
            let asks = operations.into_iter().map(|(id, operation)| (id, operation.machine, operation.change));
            self.settling = Some(Settling::new(Questions::new(asks), asked, last_write));
        }
        while self.tasks.len() < self.settings.gate.concurrency {
            let Some(settling) = &mut self.settling else { break };
            let Some((request, not_before)) = settling.next() else { break };
            let questions = settling.questions.clone();
            self.start_read(request, questions, not_before);
        }
        Ok(())
    }

    fn start_read(&mut self, request: ApiRequest, questions: Questions, not_before: Option<BootTime>) {
        let call = Call {
            id: CallId(self.next_call),
            request,
            run: Some(self.run),
            operations: Vec::new(),
            history: History::default(),
            questions,
        };
        self.next_call += 1;
        self.clockwork.begin(call.id, call.request.bucket(), false, self.clock.boot_time());
        let caller = std::sync::Arc::clone(&self.caller);
        let reports = self.reports.clone();
        self.tasks.spawn(async move { (call.id, caller.perform_after(&call, not_before, &reports).await) });
    }

    /// Takes the end of such a read into the books.
    pub(super) fn take_read(&mut self, end: CallEnd) -> Result<(), DispatchError> {
        let Some(settling) = &mut self.settling else { return Ok(()) };
        match end {
            CallEnd::Read(answer) => {
                for proof in settling.take(&answer) {
                    self.take_proof(proof)?;
                }
            }
            // One machine that cannot be read says nothing of the others, unless nobody may read.
            CallEnd::ReadFailed(outcome) if !outcome.send_again && settling.list.is_none() => {}
            _ => settling.give_up(),
        }
        Ok(())
    }

    fn take_proof(&mut self, proof: Proof) -> Result<(), DispatchError> {
        // An earlier process may have left it unknown; then it is not in these books.
        if let Some(unknown) = self.progress.outcomes.get_mut(&Status::Unknown).filter(|unknown| **unknown > 0) {
            *unknown -= 1;
            *self.progress.outcomes.entry(Status::Succeeded).or_default() += 1;
        }
        let outcome = Outcome {
            status: Status::Succeeded,
            send_again: false,
            is_refusal: false,
            answer: AnswerFacts::default(),
            after: proof.after,
        };
        self.tell(&Event::Settled(outcome))
    }
}
