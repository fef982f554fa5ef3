//! What a run still has to send, lane by lane: packing it into calls, and taking refused bulk calls apart. Pure: what is to be
//! read from the store, a lane asks for.
//!
//! A lane holds operations of one kind. Each call takes up to a limit of operations with the same change; what comes back
//! from a refused one goes through an [`Isolation`], one trial at a time beside the other calls. What surprises: machines
//! that a refusal named, or that an answer left out, travel once more together when everything else of the lane is done;
//! what fails goes last, and so does what was sent by an earlier process, and after that what was refused then, one by one;
//! and single calls leave in an order that has nothing to do with the input's, the first of them from all over it, since bad
//! machines stand together there.

mod choosing;
mod lane_call;
mod openings;
mod reading;
mod set_aside;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::call::{History, OperationEnd};
use crate::model::{Bucket, Change, ChangeKind, OperationId, Status};
use crate::plan::isolation::{Isolation, Trial, TrialEnd};
use crate::store::{SentBefore, WorkCount, WorkItem, WorkKind, WorkPlace};

use super::bulk::Handling;
pub(super) use lane_call::LaneCall;
use lane_call::{Member, Purpose};
pub(super) use openings::{ApartOpenings, BulkOpening, CallsAhead, Openings};
use reading::Reading;
use set_aside::SetAside;

/// Operations read from the store at a time.
const WORK_PAGE: u32 = 1000;
/// Single calls that are taken from all over the input before the others.
const SCOUTS_SPREAD: u32 = 8;
/// How often a bulk call may leave a machine out before it gets a call of its own.
const MAXIMUM_OMISSIONS: u32 = 6;

/// The lanes in the order in which calls of one bucket are made: what the inventory lacks comes last.
pub(super) const KINDS: [WorkKind; 6] = [
    WorkKind { change: ChangeKind::Add, unlisted: false },
    WorkKind { change: ChangeKind::Remove, unlisted: false },
    WorkKind { change: ChangeKind::Add, unlisted: true },
    WorkKind { change: ChangeKind::Remove, unlisted: true },
    WorkKind { change: ChangeKind::DeviceValue, unlisted: false },
    WorkKind { change: ChangeKind::DeviceValue, unlisted: true },
];

/// The bucket in which calls of a lane are made.
pub(super) const fn bucket_of(kind: WorkKind) -> Bucket {
    match kind.change {
        ChangeKind::Add | ChangeKind::Remove => Bucket::Tags,
        ChangeKind::DeviceValue => Bucket::Value,
    }
}

/// The most machines in a call of a lane: device values have no bulk call.
pub(super) const fn limit_of(kind: WorkKind, limit: usize) -> usize {
    match kind.change {
        ChangeKind::Add | ChangeKind::Remove => limit,
        ChangeKind::DeviceValue => 1,
    }
}

/// Operations to be read from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkRead {
    /// So many of all these, from all over the input.
    Spread { all: u64, count: u32 },
    /// So many that come after this one.
    Page { after: Option<WorkPlace>, limit: u32 },
}

/// What a lane has for whoever wants to make a call.
#[derive(Debug)]
pub(super) enum Due {
    LaneCall(LaneCall),
    /// Operations are to be read from the store first.
    Read(WorkRead),
    Nothing,
}

/// Operations of one kind that are still to be sent.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) kind: WorkKind,
    /// Operations without an outcome.
    left: u64,
    /// Calls of the first round that were not started yet, as far as foreseen.
    fresh_calls: u64,
    /// Those of them that hold a single machine.
    fresh_alone: u64,
    /// Calls that were packed and have no room yet.
    set_aside: SetAside,
    buffer: VecDeque<(Change, Member)>,
    last_read: Option<WorkPlace>,
    reading: Reading,
    /// Operations that earlier processes sent; they are read in further passes, when all others were.
    sent_before: SentBefore,
    /// The pass in which those in the buffer were read.
    buffered_in: Reading,
    /// Operations that wait for others to be settled, in order.
    held_back: Vec<OperationId>,
    /// Operations that went before the others.
    scouts: Vec<OperationId>,
    /// Whether they are still to be chosen.
    lacks_scouts: bool,
    ready: VecDeque<LaneCall>,
    in_flight: usize,
    searches: HashMap<u64, (Change, Isolation<Member>)>,
    next_search: u64,
    second_trips: BTreeMap<Change, Vec<Member>>,
    /// Operations that kept failing alone.
    put_off: VecDeque<(Change, Member)>,
    /// Whether operations were left as they are, because the run stops.
    has_abandoned: bool,
    /// Whether a search has shown that the service refuses every bulk call.
    shows_bulk_refused: bool,
}

impl Lane {
    /// A lane of so much work, of which earlier processes sent these operations.
    pub(super) fn new(kind: WorkKind, work: WorkCount, sent_before: SentBefore) -> Self {
        Self {
            kind,
            left: work.operations,
            fresh_calls: work.calls,
            fresh_alone: work.alone,
            set_aside: SetAside::default(),
            buffer: VecDeque::new(),
            last_read: None,
            reading: if work.operations == 0 { Reading::Over } else { Reading::FirstPass },
            sent_before,
            buffered_in: Reading::FirstPass,
            held_back: Vec::new(),
            scouts: Vec::new(),
            lacks_scouts: true,
            ready: VecDeque::new(),
            in_flight: 0,
            searches: HashMap::new(),
            next_search: 0,
            second_trips: BTreeMap::new(),
            put_off: VecDeque::new(),
            has_abandoned: false,
            shows_bulk_refused: false,
        }
    }

    /// Operations without an outcome.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }

    /// So many operations have an outcome.
    pub(super) const fn take_off(&mut self, operations: u64) {
        self.left = self.left.saturating_sub(operations);
    }

    /// Whether every operation that the store had for it is on its way or done.
    pub(super) fn is_exhausted(&self) -> bool {
        self.reading == Reading::Over && self.buffer.is_empty() && self.set_aside.is_empty()
    }

    /// Whether nothing of it is on its way any more either, and everything has its outcome.
    pub(super) fn is_settled(&self) -> bool {
        self.is_exhausted()
            && self.ready.is_empty()
            && self.in_flight == 0
            && self.second_trips.is_empty()
            && self.put_off.is_empty()
            && !self.has_abandoned
    }

    /// Keeps these operations from being sent, in the order of their numbers, and reads those anew that were until now. To be
    /// called when nothing of the lane is on its way.
    pub(super) fn hold_back(&mut self, operations: Vec<OperationId>) {
        if self.holds_back() {
            (self.reading, self.last_read) = (Reading::FirstPass, None);
            self.lacks_scouts = self.scouts.is_empty();
        }
        self.held_back = operations;
    }

    /// Whether operations are kept from being sent.
    pub(super) const fn holds_back(&self) -> bool {
        !self.held_back.is_empty()
    }

    /// Whether an earlier process was refused this operation itself.
    pub(super) fn refused_before(&self, operation: OperationId) -> bool {
        Reading::of(operation, &self.sent_before) == Reading::ThirdPass
    }

    /// Whether bad machines of a refused bulk call are being looked for.
    pub(super) fn is_searching(&self) -> bool {
        !self.searches.is_empty()
    }

    /// Whether a search has shown, since this was asked last, that the service refuses every bulk call.
    pub(super) const fn has_shown_bulk_refused(&mut self) -> bool {
        std::mem::replace(&mut self.shows_bulk_refused, false)
    }

    /// Calls that it will take, as far as can be told.
    pub(super) fn calls_ahead(&self) -> u64 {
        let begun = self.ready.len() + self.in_flight + self.second_trips.len() + self.put_off.len();
        self.fresh_calls + (begun + self.set_aside.len()) as u64
    }

    /// Whether calls of it are on their way, or ready to be made.
    fn is_busy(&self) -> bool {
        self.in_flight > 0 || !self.ready.is_empty() || !self.set_aside.is_empty() || !self.searches.is_empty()
    }

    /// What is to be read before a call of at most `limit` machines can be packed.
    fn next_read(&self, limit: usize) -> Option<WorkRead> {
        let has_begun = self.last_read.is_some() || self.reading != Reading::FirstPass || !self.buffer.is_empty();
        if limit == 1 && !has_begun && self.lacks_scouts && self.left > u64::from(SCOUTS_SPREAD) {
            return Some(WorkRead::Spread { all: self.left, count: SCOUTS_SPREAD });
        }
        // No two passes share a call.
        let is_between = self.reading != Reading::FirstPass && self.last_read.is_none() && !self.buffer.is_empty();
        // What failed goes last: not even beside a search among the others.
        let is_early = self.reading == Reading::ThirdPass && self.is_busy();
        let is_enough = self.buffer.len() >= limit || self.reading == Reading::Over || is_between || is_early;
        (!is_enough).then_some(WorkRead::Page { after: self.last_read, limit: WORK_PAGE })
    }

    /// Takes what was read, for calls of at most `limit` machines.
    pub(super) fn take_work(&mut self, read: WorkRead, items: Vec<WorkItem>, limit: usize) {
        let limit = limit_of(self.kind, limit);
        let is_last = items.len() < WORK_PAGE as usize;
        let last = items.last().map(|item| item.place);
        self.take_page(items, limit);
        match read {
            WorkRead::Spread { .. } => {
                self.scouts = self.buffer.iter().map(|(_, member)| member.id).collect();
                self.lacks_scouts = false;
            }
            WorkRead::Page { .. } if is_last => {
                self.reading = self.reading.next(&self.sent_before);
                self.last_read = None;
            }
            WorkRead::Page { .. } => self.last_read = last.or(self.last_read),
        }
    }

    /// A call of those that were read and are alike.
    fn pack(&mut self, limit: usize) -> Option<LaneCall> {
        // A bulk call that they were in would be refused for each of them again.
        let limit = if self.buffered_in == Reading::ThirdPass { 1 } else { limit };
        let (change, first) = self.buffer.pop_front()?;
        let mut members = vec![first];
        while members.len() < limit && self.buffer.front().is_some_and(|(next, _)| *next == change) {
            members.extend(self.buffer.pop_front().map(|(_, member)| member));
        }
        self.fresh_calls = self.fresh_calls.saturating_sub(1);
        self.fresh_alone = self.fresh_alone.saturating_sub(u64::from(members.len() == 1));
        Some(LaneCall { change, members, purpose: Purpose::Fresh })
    }

    /// Takes those of a page whose turn it is.
    fn take_page(&mut self, page: Vec<WorkItem>, limit: usize) {
        let is_due = |item: &WorkItem| {
            Reading::of(item.id, &self.sent_before) == self.reading
                && !self.scouts.contains(&item.id)
                && self.held_back.binary_search(&item.id).is_err()
        };
        let unlisted = self.kind.unlisted;
        self.buffered_in = self.reading;
        let mut due: Vec<_> = page.into_iter().filter(is_due).map(|item| member(item, unlisted)).collect();
        if limit == 1 {
            mix(&mut due, |(_, member)| member);
        }
        self.buffer.extend(due);
    }

    /// A call that kept failing, when all others have been begun.
    fn next_put_off(&mut self) -> Option<LaneCall> {
        if !self.is_exhausted() {
            return None;
        }
        let (change, member) = self.put_off.pop_front()?;
        Some(LaneCall { change, members: vec![member], purpose: Purpose::PutOff })
    }

    /// Cuts a call that was packed under a higher limit.
    fn fitted(&mut self, mut lane_call: LaneCall, limit: usize) -> Option<LaneCall> {
        if lane_call.members.len() <= limit {
            return Some(lane_call);
        }
        if let Purpose::Trial { search, .. } = lane_call.purpose {
            self.go_on(search, TrialEnd::Named(lane_call.members), limit);
            return self.ready.pop_back();
        }
        let rest = lane_call.members.split_off(limit);
        self.ready.push_front(LaneCall { change: lane_call.change.clone(), members: rest, purpose: lane_call.purpose });
        Some(lane_call)
    }

    /// Those that were named or left out travel together; whoever is alone, alone.
    fn begin_second_trips(&mut self, limit: usize) {
        for (change, mut members) in std::mem::take(&mut self.second_trips) {
            while !members.is_empty() {
                let rest = members.split_off(limit.min(members.len()));
                self.ready.push_back(LaneCall { change: change.clone(), members, purpose: Purpose::SecondTrip });
                members = rest;
            }
        }
    }

    /// Takes a call back that ended without an answer to it, because the run stops.
    pub(super) const fn abandon(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.has_abandoned = true;
    }

    /// Takes the answers to a call that was accepted, or given up.
    pub(super) fn take_answers(&mut self, lane_call: LaneCall, ends: &[OperationEnd], limit: usize) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let statuses: Vec<Option<Status>> = ends.iter().map(status).collect();
        let was_alone = lane_call.members.len() == 1;
        let is_bad = |end: &OperationEnd| matches!(end, OperationEnd::Outcome(outcome) if outcome.is_refusal);
        let is_bad = was_alone && ends.iter().any(is_bad);
        // It failed in a pause, which is held against nobody, and makes way for others.
        let makes_way = |end: &OperationEnd| matches!(end, OperationEnd::Again(history) if history.trouble.is_some_and(|trouble| trouble.attempts == 0));
        let makes_way = was_alone && ends.iter().any(makes_way);
        for (member, end) in lane_call.members.into_iter().zip(ends) {
            let OperationEnd::Again(history) = end else { continue };
            let member = Member { history: *history, ..member };
            if was_alone {
                self.put_off.push_back((lane_call.change.clone(), member));
            } else if history.omitted >= MAXIMUM_OMISSIONS {
                let change = lane_call.change.clone();
                self.ready.push_back(LaneCall { change, members: vec![member], purpose: Purpose::SecondTrip });
            } else {
                self.second_trips.entry(lane_call.change.clone()).or_default().push(member);
            }
        }
        if let Purpose::Trial { search, .. } = lane_call.purpose {
            let end = match statuses.as_slice() {
                _ if is_bad => TrialEnd::Bad,
                _ if makes_way => TrialEnd::Unanswered,
                [Some(Status::Failed) | None] if was_alone => TrialEnd::Bad,
                statuses if statuses.contains(&Some(Status::Unknown)) => TrialEnd::Unanswered,
                [Some(Status::Failed), ..] => TrialEnd::Unanswered,
                _ => TrialEnd::Accepted,
            };
            self.go_on(search, end, limit);
        }
    }

    /// Takes a bulk call back that was refused as a whole.
    pub(super) fn take_refusal(
        &mut self,
        lane_call: LaneCall,
        handling: Handling,
        ends: &[OperationEnd],
        limit: usize,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let LaneCall { change, members, purpose } = lane_call;
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
        match (handling, purpose) {
            (Handling::Search { in_doubt }, Purpose::Trial { search, .. }) => {
                if let Some((_, isolation)) = self.searches.get_mut(&search).filter(|_| in_doubt) {
                    isolation.doubt();
                }
                let end = if named { TrialEnd::Named(others) } else { TrialEnd::Refused(others) };
                self.go_on(search, end, limit);
            }
            (Handling::Search { in_doubt }, _) => {
                mix(&mut others, |member| member);
                let isolation = if named { Isolation::of_rest(others) } else { Isolation::new(others) };
                self.search(change, if in_doubt { isolation.in_doubt() } else { isolation }, limit);
            }
            (Handling::Repack, Purpose::Trial { search, .. }) => self.go_on(search, TrialEnd::Named(others), limit),
            // Packed anew, together with what was not read yet.
            (Handling::Repack, Purpose::Fresh | Purpose::Relief) => {
                for member in others.into_iter().rev() {
                    self.buffer.push_front((change.clone(), member));
                }
            }
            (Handling::Repack, Purpose::SecondTrip | Purpose::PutOff) => {
                self.ready.push_back(LaneCall { change, members: others, purpose });
            }
        }
    }

    fn search(&mut self, change: Change, isolation: Isolation<Member>, limit: usize) {
        let search = self.next_search;
        self.next_search += 1;
        self.searches.insert(search, (change, isolation));
        self.send_next_trial(search, limit);
    }

    fn go_on(&mut self, search: u64, end: TrialEnd<Member>, limit: usize) {
        if let Some((_, isolation)) = self.searches.get_mut(&search) {
            isolation.take(end);
            self.shows_bulk_refused |= isolation.shows_bulk_refused();
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
            let purpose = Purpose::Trial { search, is_suspected: isolation.is_of_refused() };
            self.ready.push_back(LaneCall { change: change.clone(), members, purpose });
        }
        if isolation.is_done() {
            self.searches.remove(&search);
        }
    }
}

fn member(item: WorkItem, unlisted: bool) -> (Change, Member) {
    let history = History { unlisted, may_hold: item.may_hold, ..History::default() };
    (item.operation.change, Member { id: item.id, machine: item.operation.machine, history })
}

/// In an order that has nothing to do with the input's: bad ids may stand together there.
fn mix<Item>(items: &mut [Item], member: impl Fn(&Item) -> &Member) {
    let hasher = FixedState::default();
    items.sort_by_cached_key(|item| hasher.hash_one(&member(item).machine));
}

const fn status(end: &OperationEnd) -> Option<Status> {
    match end {
        OperationEnd::Outcome(outcome) => Some(outcome.status),
        OperationEnd::Again(_) => None,
    }
}
