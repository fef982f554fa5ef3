//! What a run made of slots, in little room: there may be a million of them, and a handful of tags.
//!
//! Writes come as the database holds them, and are put into their order here: it would hold all of their texts to do that.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;
use indexmap::IndexSet;

use crate::model::{Held, MachineId, MayHold, Slot, Tag};
use crate::store::attempt::AttemptKey;
use crate::store::slot_write::{RunSlot, SlotWrite};
use crate::store::sql::SqlError;

/// A slot, by the places of its machine and of its tag in [`Names`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SlotNumber {
    machine: u32,
    tag: Option<u32>,
}

/// The machines and tags of slots, each held once.
#[derive(Default)]
struct Names {
    machines: IndexSet<MachineId, RandomState>,
    tags: IndexSet<Tag, RandomState>,
}

impl Names {
    fn add(&mut self, slot: Slot) -> SlotNumber {
        let number = |place| u32::try_from(place).unwrap_or(u32::MAX);
        let machine = number(self.machines.insert_full(slot.machine).0);
        SlotNumber { machine, tag: slot.tag.map(|tag| number(self.tags.insert_full(tag).0)) }
    }

    fn machine(&self, slot: SlotNumber) -> Option<&MachineId> {
        self.machines.get_index(slot.machine as usize)
    }

    fn tag(&self, slot: SlotNumber) -> Option<&Tag> {
        self.tags.get_index(slot.tag? as usize)
    }

    fn slot(&self, slot: SlotNumber) -> Option<Slot> {
        Some(Slot { machine: self.machine(slot)?.clone(), tag: self.tag(slot).cloned() })
    }

    /// In which order two slots come.
    fn compare(&self, one: SlotNumber, other: SlotNumber) -> Ordering {
        if one == other {
            return Ordering::Equal;
        }
        self.compare_to(one, self.machine(other), self.tag(other))
    }

    fn compare_to(&self, one: SlotNumber, machine: Option<&MachineId>, tag: Option<&Tag>) -> Ordering {
        self.machine(one).cmp(&machine).then_with(|| self.tag(one).cmp(&tag))
    }
}

/// When a write of a run came, against its others: those without an attempt first, and those in flight last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    is_in_flight: bool,
    attempt: Option<AttemptKey>,
    finished_at: i64,
    /// The order in which they were noted.
    number: u32,
}

struct NotedWrite {
    slot: SlotNumber,
    turn: Turn,
    before: Held,
    wrote: Held,
    surely: bool,
}

/// What the writes to a slot made of it.
#[derive(Clone, Copy)]
struct Made {
    before: Held,
    after: MayHold,
    last_attempt: Option<AttemptKey>,
}

/// What a run has written, in any order.
#[derive(Default)]
pub(super) struct RunWrites {
    names: Names,
    history: HashMap<SlotNumber, Made, RandomState>,
    writes: Vec<NotedWrite>,
}

impl RunWrites {
    /// Notes what earlier versions of the run's input made of a slot, before all of its writes.
    pub(super) fn note_history(&mut self, RunSlot { slot, before, after, last_attempt, .. }: RunSlot) {
        self.history.entry(self.names.add(slot)).or_insert(Made { before, after, last_attempt });
    }

    /// Notes a write that was heard of, with when that was.
    pub(super) fn note(&mut self, write: SlotWrite, finished_at: Option<i64>) {
        self.push(write, false, finished_at.unwrap_or(i64::MIN));
    }

    /// Notes a write that is in flight.
    pub(super) fn note_in_flight(&mut self, write: SlotWrite) {
        self.push(write, true, i64::MIN);
    }

    fn push(&mut self, write: SlotWrite, is_in_flight: bool, finished_at: i64) {
        let SlotWrite { slot, before, wrote, surely, attempt, .. } = write;
        let number = u32::try_from(self.writes.len()).unwrap_or(u32::MAX);
        let turn = Turn { is_in_flight, attempt, finished_at, number };
        self.writes.push(NotedWrite { slot: self.names.add(slot), turn, before, wrote, surely });
    }

    /// What they made of each slot. `is_over_before` tells whether nothing of an attempt could arrive any more when another
    /// was let through.
    pub(super) fn finish(
        self,
        mut is_over_before: impl FnMut(Option<AttemptKey>, Option<AttemptKey>) -> Result<bool, SqlError>,
    ) -> Result<SlotTable, SqlError> {
        let Self { names, mut history, mut writes } = self;
        writes
            .sort_unstable_by(|one, other| names.compare(one.slot, other.slot).then_with(|| one.turn.cmp(&other.turn)));
        let mut slots = Vec::with_capacity(writes.len());
        for of_slot in writes.chunk_by(|one, other| one.slot == other.slot) {
            let [first, ..] = of_slot else { continue };
            let untouched = Made { before: first.before, after: MayHold::only(first.before), last_attempt: None };
            let mut made = history.remove(&first.slot).unwrap_or(untouched);
            for write in of_slot {
                made.note(write, &mut is_over_before)?;
            }
            slots.push((first.slot, made));
        }
        slots.extend(history);
        slots.sort_unstable_by(|(one, _), (other, _)| names.compare(*one, *other));
        Ok(SlotTable { names, slots, later: BTreeMap::new() })
    }
}

impl Made {
    fn note(
        &mut self,
        write: &NotedWrite,
        is_over_before: &mut impl FnMut(Option<AttemptKey>, Option<AttemptKey>) -> Result<bool, SqlError>,
    ) -> Result<(), SqlError> {
        let (left, attempt) = (MayHold::only(write.wrote), write.turn.attempt);
        // What is in doubt may arrive later than what was surely done after it was given up.
        let is_last_word = write.surely
            && (self.last_attempt.is_none()
                || self.after.known() != Held::Unknown
                || is_over_before(self.last_attempt, attempt)?);
        self.after = if is_last_word { left } else { self.after.or(left) };
        self.last_attempt = self.last_attempt.max(attempt);
        Ok(())
    }
}

/// What a run made of slots, sorted by slot.
pub(super) struct SlotTable {
    names: Names,
    slots: Vec<(SlotNumber, Made)>,
    /// What other runs changed since, by the place of the slot.
    later: BTreeMap<usize, Vec<SlotWrite>>,
}

impl SlotTable {
    /// Notes what another run changed later, if this one has written there.
    pub(super) fn note_later(&mut self, write: SlotWrite) {
        let Self { names, slots, later } = self;
        let (machine, tag) = (Some(&write.slot.machine), write.slot.tag.as_ref());
        let place = slots.binary_search_by(|(slot, _)| names.compare_to(*slot, machine, tag));
        let Some((place, (_, made))) = place.ok().and_then(|place| Some((place, slots.get(place)?))) else { return };
        if write.may_change() && write.attempt > made.last_attempt {
            later.entry(place).or_default().push(write);
        }
    }

    /// Leaves of them what still stands.
    pub(super) fn keep_standing(&mut self, mut standing: impl FnMut(MayHold, Vec<SlotWrite>) -> Vec<SlotWrite>) {
        for (place, later) in &mut self.later {
            let Some((_, made)) = self.slots.get(*place) else { continue };
            *later = standing(made.after, std::mem::take(later));
        }
    }

    pub(super) fn into_slots(self) -> RunSlots {
        let Self { names, slots, later } = self;
        RunSlots { names, slots: slots.into_iter().enumerate(), later }
    }
}

/// Every slot that a run has changed or may have changed, sorted; each is put together as it is asked for.
pub struct RunSlots {
    names: Names,
    slots: std::iter::Enumerate<std::vec::IntoIter<(SlotNumber, Made)>>,
    later: BTreeMap<usize, Vec<SlotWrite>>,
}

impl Iterator for RunSlots {
    type Item = RunSlot;

    fn next(&mut self) -> Option<RunSlot> {
        let (place, (slot, Made { before, after, last_attempt })) = self.slots.next()?;
        let later = self.later.remove(&place).unwrap_or_default();
        Some(RunSlot { slot: self.names.slot(slot)?, before, after, last_attempt, later })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Age, DeviceValue};
    use crate::store::forms::RunKey;

    #[test]
    fn a_million_slots_take_less_than_ninety_megabytes() {
        let of_a_slot = size_of::<NotedWrite>() + size_of::<(SlotNumber, Made)>();
        assert!(of_a_slot <= 90, "{of_a_slot} bytes");
    }

    #[test]
    fn writes_count_in_the_order_in_which_they_were_made_whatever_the_one_in_which_they_are_read() {
        let write = |attempt: Option<i64>, before, wrote| SlotWrite {
            run: RunKey(1),
            slot: Slot { machine: MachineId::from_service("m"), tag: None },
            before: Held::Value(before),
            found: MayHold::NOTHING,
            wrote: Held::Value(wrote),
            surely: true,
            answered: true,
            attempt: attempt.map(AttemptKey),
            age: Age::Young,
        };
        let (low, normal, high) = (DeviceValue::Low, DeviceValue::Normal, DeviceValue::High);
        let mut writes = RunWrites::default();
        writes.note(write(Some(3), normal, low), Some(1));
        writes.note_in_flight(write(Some(2), low, high));
        writes.note(write(None, high, normal), None);
        writes.note(write(Some(3), low, normal), Some(2));
        let table = writes.finish(|_, _| Ok(true)).expect("no trouble");
        let slots: Vec<RunSlot> = table.into_slots().collect();
        let [slot] = slots.as_slice() else { panic!("{slots:?}") };
        let expected = (Held::Value(high), MayHold::only(Held::Value(high)), Some(AttemptKey(3)));
        assert_eq!((slot.before, slot.after, slot.last_attempt), expected);
    }
}
