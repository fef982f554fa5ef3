//! What a run still has to send, lane by lane: reading it from the store, packing it into calls, and taking refused bulk
//! calls apart.
//!
//! A lane holds operations of one kind. Each call takes up to a limit of operations with the same change; what comes back
//! from a refused one goes through an [`Isolation`], one trial at a time beside the other calls. What surprises: machines
//! that a refusal named, or that an answer left out, travel once more together when everything else of the lane is done.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::call::{BulkRefusal, CallOperation, History, NOT_FOUND_BELIEVED_AFTER, OperationEnd};
use crate::model::{Bucket, Change, MachineId, Operation, OperationId, Status};
use crate::plan::isolation::{Isolation, Trial, TrialEnd};
use crate::store::{ChangeKind, RunKey, Store, StoreError, WorkItem, WorkKind, WorkPlace};

/// Operations read from the store at a time.
const WORK_PAGE: u32 = 1000;
/// How often a bulk call may leave a machine out before it gets a call of its own.
const MAXIMUM_OMISSIONS: u32 = 6;

/// The lanes in the order in which calls of one bucket are made: what the inventory lacks comes last.
const LANES: [(ChangeKind, bool, Bucket); 6] = [
    (ChangeKind::Add, false, Bucket::Tags),
    (ChangeKind::Remove, false, Bucket::Tags),
    (ChangeKind::Add, true, Bucket::Tags),
    (ChangeKind::Remove, true, Bucket::Tags),
    (ChangeKind::DeviceValue, false, Bucket::Value),
    (ChangeKind::DeviceValue, true, Bucket::Value),
];

/// An operation on its way through a lane.
#[derive(Clone, Debug)]
pub(super) struct Member {
    id: OperationId,
    machine: MachineId,
    history: History,
}

/// One call to be made.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    change: Change,
    members: Vec<Member>,
    purpose: Purpose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// It is sent for the first time.
    Fresh,
    /// It is part of a search for bad ids.
    Trial(u64),
    /// It is sent once more, in the company of others that are.
    SecondTrip,
}

/// Operations of one kind that are still to be sent.
pub(super) struct Lane {
    pub(super) kind: WorkKind,
    pub(super) bucket: Bucket,
    /// Operations without an outcome.
    pub(super) left: u64,
    /// Calls of the first round that were not started yet, as far as foreseen.
    fresh_calls: u64,
    buffer: VecDeque<(Change, Member)>,
    last_read: Option<WorkPlace>,
    read_all: bool,
    ready: VecDeque<Errand>,
    in_flight: usize,
    searches: HashMap<u64, (Change, Isolation<Member>)>,
    next_search: u64,
    second_trips: BTreeMap<Change, Vec<Member>>,
}

impl Lane {
    /// All lanes of a run, for calls of at most `batch_limit` machines.
    pub(super) async fn all(store: &Store, run: RunKey, batch_limit: usize) -> Result<Vec<Self>, StoreError> {
        let mut lanes = Vec::with_capacity(LANES.len());
        for (change, unlisted, bucket) in LANES {
            let kind = WorkKind { change, unlisted };
            let limit = if bucket == Bucket::Value { 1 } else { u32::try_from(batch_limit).unwrap_or(u32::MAX) };
            let work = store.count_work(run, kind, limit).await?;
            lanes.push(Self {
                kind,
                bucket,
                left: work.operations,
                fresh_calls: work.calls,
                buffer: VecDeque::new(),
                last_read: None,
                read_all: work.operations == 0,
                ready: VecDeque::new(),
                in_flight: 0,
                searches: HashMap::new(),
                next_search: 0,
                second_trips: BTreeMap::new(),
            });
        }
        Ok(lanes)
    }

    /// Whether every operation that the store had for it is on its way or done.
    pub(super) fn is_exhausted(&self) -> bool {
        self.read_all && self.buffer.is_empty()
    }

    /// Whether nothing of it is on its way any more either.
    pub(super) fn is_settled(&self) -> bool {
        self.is_exhausted() && self.ready.is_empty() && self.in_flight == 0 && self.second_trips.is_empty()
    }

    /// Calls that it will take, as far as can be told.
    pub(super) fn calls_ahead(&self) -> u64 {
        self.fresh_calls + (self.ready.len() + self.in_flight + self.second_trips.len()) as u64
    }

    /// The next call to be made, of at most `limit` machines; `None` when there is none now.
    pub(super) async fn next(
        &mut self,
        store: &Store,
        run: RunKey,
        limit: usize,
    ) -> Result<Option<Errand>, StoreError> {
        let limit = if self.bucket == Bucket::Value { 1 } else { limit };
        if self.ready.is_empty() && self.is_exhausted() && self.in_flight == 0 {
            self.begin_second_trips(limit);
        }
        let errand = match self.ready.pop_front() {
            Some(errand) => self.fitted(errand, limit),
            None => self.next_fresh(store, run, limit).await?,
        };
        self.in_flight += usize::from(errand.is_some());
        Ok(errand)
    }

    async fn next_fresh(&mut self, store: &Store, run: RunKey, limit: usize) -> Result<Option<Errand>, StoreError> {
        while self.buffer.len() < limit && !self.read_all {
            let page = store.next_work(run, self.kind, self.last_read, WORK_PAGE).await?;
            self.read_all = page.len() < WORK_PAGE as usize;
            self.last_read = page.last().map_or(self.last_read, |item| Some(item.place));
            let unlisted = self.kind.unlisted;
            self.buffer.extend(page.into_iter().map(|item| member(item, unlisted)));
        }
        let Some((change, first)) = self.buffer.pop_front() else { return Ok(None) };
        let mut members = vec![first];
        while members.len() < limit && self.buffer.front().is_some_and(|(next, _)| *next == change) {
            members.extend(self.buffer.pop_front().map(|(_, member)| member));
        }
        self.fresh_calls = self.fresh_calls.saturating_sub(1);
        Ok(Some(Errand { change, members, purpose: Purpose::Fresh }))
    }

    /// Cuts a call that was packed under a higher limit.
    fn fitted(&mut self, mut errand: Errand, limit: usize) -> Option<Errand> {
        if errand.members.len() <= limit {
            return Some(errand);
        }
        if let Purpose::Trial(search) = errand.purpose {
            self.go_on(search, TrialEnd::Named(errand.members), limit);
            return self.ready.pop_back();
        }
        let rest = errand.members.split_off(limit);
        self.ready.push_front(Errand { change: errand.change.clone(), members: rest, purpose: errand.purpose });
        Some(errand)
    }

    /// Those that were named or left out travel together; whoever is alone, alone.
    fn begin_second_trips(&mut self, limit: usize) {
        for (change, mut members) in std::mem::take(&mut self.second_trips) {
            while !members.is_empty() {
                let rest = members.split_off(limit.min(members.len()));
                self.ready.push_back(Errand { change: change.clone(), members, purpose: Purpose::SecondTrip });
                members = rest;
            }
        }
    }

    /// Takes a call back that ended without an answer to it, because the run stops.
    pub(super) fn abandon(&mut self, _errand: Errand) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Takes the answers to a call that was accepted, or given up.
    pub(super) fn take_answers(&mut self, errand: Errand, ends: &[OperationEnd], limit: usize) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let statuses: Vec<Option<Status>> = ends.iter().map(status).collect();
        let was_alone = errand.members.len() == 1;
        let is_bad = |end: &OperationEnd| matches!(end, OperationEnd::Outcome(outcome) if outcome.is_refusal);
        let is_bad = was_alone && ends.iter().any(is_bad);
        for (member, end) in errand.members.into_iter().zip(ends) {
            let OperationEnd::Again(history) = end else { continue };
            let member = Member { history: *history, ..member };
            if history.omitted >= MAXIMUM_OMISSIONS {
                let change = errand.change.clone();
                self.ready.push_back(Errand { change, members: vec![member], purpose: Purpose::SecondTrip });
            } else {
                self.second_trips.entry(errand.change.clone()).or_default().push(member);
            }
        }
        if let Purpose::Trial(search) = errand.purpose {
            let end = match statuses.as_slice() {
                _ if is_bad => TrialEnd::Bad,
                [Some(Status::Failed)] if was_alone => TrialEnd::Bad,
                statuses if statuses.contains(&Some(Status::Unknown)) => TrialEnd::Unanswered,
                [Some(Status::Failed), ..] => TrialEnd::Unanswered,
                _ => TrialEnd::Accepted,
            };
            self.go_on(search, end, limit);
        }
    }

    /// Takes a bulk call back that was refused as a whole.
    pub(super) fn take_refusal(&mut self, errand: Errand, refusal: BulkRefusal, ends: &[OperationEnd], limit: usize) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Errand { change, members, purpose } = errand;
        let count = members.len();
        let mut others = Vec::new();
        for (member, end) in members.into_iter().zip(ends) {
            let OperationEnd::Again(history) = end else { continue };
            if history.named && !member.history.named {
                let named = Member { history: *history, ..member };
                self.second_trips.entry(change.clone()).or_default().push(named);
            } else {
                others.push(Member { history: *history, ..member });
            }
        }
        let named = others.len() < count;
        match (refusal, purpose) {
            (BulkRefusal::BadMachines, Purpose::Trial(search)) => {
                let end = if named { TrialEnd::Named(others) } else { TrialEnd::Refused(others) };
                self.go_on(search, end, limit);
            }
            (BulkRefusal::BadMachines, _) => self.search(change, mixed(others), named, limit),
            (_, Purpose::Trial(search)) => self.go_on(search, TrialEnd::Named(others), limit),
            // Packed anew, together with what was not read yet.
            (_, Purpose::Fresh) => {
                for member in others.into_iter().rev() {
                    self.buffer.push_front((change.clone(), member));
                }
            }
            (_, Purpose::SecondTrip) => self.ready.push_back(Errand { change, members: others, purpose }),
        }
    }

    fn search(&mut self, change: Change, members: Vec<Member>, named: bool, limit: usize) {
        let isolation = if named { Isolation::of_rest(members) } else { Isolation::new(members) };
        let search = self.next_search;
        self.next_search += 1;
        self.searches.insert(search, (change, isolation));
        self.send_next_trial(search, limit);
    }

    fn go_on(&mut self, search: u64, end: TrialEnd<Member>, limit: usize) {
        if let Some((_, isolation)) = self.searches.get_mut(&search) {
            isolation.take(end);
        }
        self.send_next_trial(search, limit);
    }

    fn send_next_trial(&mut self, search: u64, limit: usize) {
        let Some((change, isolation)) = self.searches.get_mut(&search) else { return };
        while let Some(trial) = isolation.next(limit) {
            let members = match trial {
                Trial::Together(members) => members,
                Trial::Alone(member) => vec![member],
            };
            self.ready.push_back(Errand { change: change.clone(), members, purpose: Purpose::Trial(search) });
        }
        if isolation.is_done() {
            self.searches.remove(&search);
        }
    }
}

impl Errand {
    /// What the call makes of its machines.
    pub(super) const fn change(&self) -> &Change {
        &self.change
    }

    /// How many operations it carries.
    pub(super) const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it is part of a search for bad ids.
    pub(super) const fn is_trial(&self) -> bool {
        matches!(self.purpose, Purpose::Trial(_))
    }

    /// The operation of a single call; `None` for a bulk call.
    pub(super) fn single(&self) -> Option<Operation> {
        match self.members.as_slice() {
            [only] => Some(Operation { machine: only.machine.clone(), change: self.change.clone() }),
            _ => None,
        }
    }

    /// Its machines, in order.
    pub(super) fn machines(&self) -> Vec<MachineId> {
        self.members.iter().map(|member| member.machine.clone()).collect()
    }

    /// Its operations, each with what speaks against its machine: where something does, fewer 404s are believed.
    pub(super) fn operations(&self) -> Vec<CallOperation> {
        let operation = |member: &Member| {
            let known = if member.history.named || member.history.unlisted {
                NOT_FOUND_BELIEVED_AFTER - 1
            } else {
                u32::from(self.is_trial())
            };
            let not_found = member.history.not_found.max(known);
            CallOperation { id: member.id, history: History { not_found, ..member.history } }
        };
        self.members.iter().map(operation).collect()
    }

    /// What is known of the call as a whole: the refusal of a trial needs no second look.
    pub(super) fn history(&self) -> History {
        let believed_at_once = self.purpose != Purpose::Fresh || self.members.iter().all(|one| one.history.unlisted);
        History { not_found: u32::from(believed_at_once), ..History::default() }
    }
}

fn member(item: WorkItem, unlisted: bool) -> (Change, Member) {
    let history = History { unlisted, may_hold: item.may_hold, ..History::default() };
    (item.operation.change, Member { id: item.id, machine: item.operation.machine, history })
}

/// In an order that has nothing to do with the input's: bad ids may stand together there.
fn mixed(mut members: Vec<Member>) -> Vec<Member> {
    let hasher = FixedState::default();
    members.sort_by_cached_key(|member| hasher.hash_one(&member.machine));
    members
}

const fn status(end: &OperationEnd) -> Option<Status> {
    match end {
        OperationEnd::Outcome(outcome) => Some(outcome.status),
        OperationEnd::Again(_) => None,
    }
}
