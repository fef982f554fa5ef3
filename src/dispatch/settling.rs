//! The end of a run: what was sent and never answered is settled by reading.
//!
//! A few machines are read one by one; for more of them the list is read once, when it has had the time to show the
//! latest writes. A read may prove that a write took effect, and never that it did not, so what is not proven stays
//! unknown. What surprises: nothing that goes wrong here changes how the run ends, for every operation has its outcome
//! already, but for removes that wait for adds which are read back. Pure.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use jiff::SignedDuration;

use super::step::Moment;
use crate::api::ApiRequest;
use crate::call::{CallEnd, Proof, Questions, ReadAnswer};
use crate::clock::BootTime;
use crate::listing::{PageLimits, PageSummary, PageWalk, WalkStep};
use crate::model::{MachineId, OperationId};
use crate::plan::recent::LIST_LAG;
use crate::store::UnknownOperations;

/// The most machines that are read one by one.
const MAXIMUM_SINGLE_READS: usize = 50;

/// The reads that settle a run's unknown outcomes: none until they are begun, and anew once they are over.
#[derive(Debug, Default)]
pub(super) struct ReadBack {
    settling: Option<Settling>,
    /// Operations that were settled by earlier reads, or could not be.
    done: HashSet<OperationId>,
}

/// What is read to settle unknown outcomes.
#[derive(Debug, Default)]
struct Settling {
    questions: Questions,
    machines: VecDeque<MachineId>,
    list: Option<ListWalk>,
    proven: HashSet<OperationId>,
    asked: Vec<OperationId>,
}

#[derive(Debug)]
pub(super) struct Reading {
    pub(super) request: ApiRequest,
    pub(super) questions: Questions,
    /// Before this moment it makes no sense.
    pub(super) not_before: Option<BootTime>,
}

/// A walk through the list of machines.
#[derive(Debug)]
struct ListWalk {
    walk: PageWalk,
    /// When the list shows the latest writes.
    not_before: BootTime,
    /// Whether the next page is to be asked for.
    is_due: bool,
    /// Machines that have come, as numbers made of their ids: a million of them take a few megabytes.
    seen: HashSet<u64>,
}

impl ReadBack {
    /// Whether the reads have begun.
    pub(super) const fn has_begun(&self) -> bool {
        self.settling.is_some()
    }

    /// Begins to read what was never answered.
    pub(super) fn begin(&mut self, unknown: UnknownOperations, at: Moment) {
        let age = unknown.latest.map_or(SignedDuration::ZERO, |latest| at.wall_now.duration_since(latest));
        let last_write = at.now.minus(age.try_into().unwrap_or_default());
        let mut operations = unknown.operations;
        operations.retain(|(id, _)| !self.done.contains(id));
        let asked = operations.iter().map(|(id, _)| *id).collect();
        let asks = operations.into_iter().map(|(id, operation)| (id, operation.machine, operation.change));
        self.settling = Some(Settling::new(Questions::new(asks), asked, last_write));
    }

    /// The next read, if there is one now.
    pub(super) fn next(&mut self) -> Option<Reading> {
        self.settling.as_mut()?.next()
    }

    /// Takes the end of a read: gives what it proves for the first time.
    pub(super) fn take(&mut self, end: CallEnd) -> Vec<Proof> {
        let Some(settling) = &mut self.settling else { return Vec::new() };
        match end {
            CallEnd::Read(answer) => return settling.take(&answer),
            // One machine that cannot be read says nothing of the others, unless nobody may read.
            CallEnd::ReadFailed(outcome) if !outcome.send_again && settling.list.is_none() => {}
            _ => settling.give_up(),
        }
        Vec::new()
    }

    /// Asks nothing more; what was not read stays unknown.
    pub(super) fn give_up(&mut self) {
        self.settling.iter_mut().for_each(Settling::give_up);
    }

    /// The reads are over, and others may begin.
    pub(super) fn end(&mut self) {
        self.done.extend(self.settling.take().into_iter().flat_map(|settling| settling.asked));
    }
}

impl Settling {
    /// Questions that are to be put when the list shows what was written before `last_write`.
    fn new(questions: Questions, asked: Vec<OperationId>, last_write: BootTime) -> Self {
        let machines: VecDeque<MachineId> = questions.machines().cloned().collect();
        let settling = Self { questions, asked, ..Self::default() };
        if machines.len() <= MAXIMUM_SINGLE_READS {
            return Self { machines, ..settling };
        }
        let walk = PageWalk::new(PageLimits::default());
        let not_before = last_write.plus(LIST_LAG);
        Self { list: Some(ListWalk { walk, not_before, is_due: true, seen: HashSet::new() }), ..settling }
    }

    fn next(&mut self) -> Option<Reading> {
        let questions = self.questions.clone();
        if let Some(machine) = self.machines.pop_front() {
            return Some(Reading { request: ApiRequest::GetMachine { machine }, questions, not_before: None });
        }
        let list = self.list.as_mut().filter(|list| list.is_due)?;
        list.is_due = false;
        Some(Reading { request: list.walk.request(), questions, not_before: Some(list.not_before) })
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

    fn give_up(&mut self) {
        self.machines.clear();
        self.list = None;
    }
}
