//! What a run made of slots, in little room: there may be a million of them, and a handful of tags.
//!
//! Writes come as the database holds them, and are put into their order here: it would hold all of their texts to do that.

use std::collections::BTreeMap;

use super::names::{Names, SlotNumber};
use crate::model::{Held, MayHold, Slot};
use crate::store::engine::sql::SqlError;
use crate::store::forms::attempt::AttemptKey;
use crate::store::forms::slot_write::{RunSlot, SlotWrite};

/// No attempt: before all of them.
pub(super) const NO_ATTEMPT: i64 = i64::MIN;

/// A write, and when they have been put together, what all writes to its slot have made of it.
#[derive(Clone, Copy)]
struct Entry {
    slot: SlotNumber,
    /// The last attempt that has written there, or [`NO_ATTEMPT`].
    attempt: i64,
    finished_at: i64,
    /// The order in which they were noted.
    number: u32,
    source: Source,
    before: Held,
    /// What it leaves.
    left: MayHold,
    surely: bool,
}

/// Where an entry is from. Of those of a slot they come in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// Several writes, put together.
    Made,
    /// A write that was heard of.
    Heard,
    /// One that is in flight.
    InFlight,
}

/// What a run has written, in any order.
#[derive(Default)]
pub(super) struct RunWrites {
    names: Names,
    entries: Vec<Entry>,
}

impl RunWrites {
    /// Notes what earlier versions of the run's input made of a slot, before all of its writes.
    pub(super) fn note_history(&mut self, RunSlot { slot, before, after, last_attempt, .. }: RunSlot) {
        self.push(slot, Source::Made, last_attempt, i64::MIN, (before, after, true));
    }

    /// Notes a write that was heard of, with when that was.
    pub(super) fn note(&mut self, write: SlotWrite, finished_at: Option<i64>) {
        let made = (write.before, MayHold::only(write.wrote), write.surely);
        self.push(write.slot, Source::Heard, write.attempt, finished_at.unwrap_or(i64::MIN), made);
    }

    /// Notes a write that is in flight.
    pub(super) fn note_in_flight(&mut self, write: SlotWrite) {
        let made = (write.before, MayHold::only(write.wrote), write.surely);
        self.push(write.slot, Source::InFlight, write.attempt, i64::MIN, made);
    }

    fn push(
        &mut self,
        slot: Slot,
        source: Source,
        attempt: Option<AttemptKey>,
        finished_at: i64,
        (before, left, surely): (Held, MayHold, bool),
    ) {
        let (slot, attempt) = (self.names.add(slot), attempt.map_or(NO_ATTEMPT, |attempt| attempt.0));
        let number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { slot, attempt, finished_at, number, source, before, left, surely });
    }

    /// What they made of each slot. `is_over_before` tells whether nothing of an attempt could arrive any more when another
    /// was let through.
    pub(super) fn finish(
        self,
        mut is_over_before: impl FnMut(Option<AttemptKey>, Option<AttemptKey>) -> Result<bool, SqlError>,
    ) -> Result<SlotTable, SqlError> {
        let Self { names, mut entries } = self;
        entries.sort_unstable_by(|one, other| {
            names.compare(one.slot, other.slot).then_with(|| one.turn().cmp(&other.turn()))
        });
        let mut failed = None;
        // In the same memory: it is as long as all writes.
        entries.dedup_by(|write, made| {
            if write.slot != made.slot {
                return false;
            }
            made.begin();
            failed = failed.take().or_else(|| made.take(write, &mut is_over_before).err());
            true
        });
        entries.iter_mut().for_each(Entry::begin);
        failed.map_or(Ok(SlotTable { names, slots: entries, later: BTreeMap::new() }), Err)
    }
}

impl Entry {
    fn attempt(&self) -> Option<AttemptKey> {
        Some(self.attempt).filter(|attempt| *attempt != NO_ATTEMPT).map(AttemptKey)
    }

    /// When a write of a run came, against its others: those without an attempt first.
    const fn turn(&self) -> (Source, i64, i64, u32) {
        (self.source, self.attempt, self.finished_at, self.number)
    }

    /// Makes of the first write to a slot what it made of it.
    fn begin(&mut self) {
        if self.source != Source::Made && !self.surely {
            self.left = MayHold::only(self.before).or(self.left);
        }
        self.source = Source::Made;
    }

    /// Adds the next write to the slot.
    fn take(
        &mut self,
        write: &Self,
        is_over_before: &mut impl FnMut(Option<AttemptKey>, Option<AttemptKey>) -> Result<bool, SqlError>,
    ) -> Result<(), SqlError> {
        // What is in doubt may arrive later than what was surely done after it was given up.
        let is_last_word = write.surely
            && (self.attempt == NO_ATTEMPT
                || self.left.known() != Held::Unknown
                || is_over_before(self.attempt(), write.attempt())?);
        self.left = if is_last_word { write.left } else { self.left.or(write.left) };
        self.attempt = self.attempt.max(write.attempt);
        Ok(())
    }
}

/// What a run made of slots, sorted by slot.
pub(super) struct SlotTable {
    names: Names,
    slots: Vec<Entry>,
    /// What other runs changed since, by the place of the slot.
    later: BTreeMap<usize, Vec<SlotWrite>>,
}

impl SlotTable {
    /// Notes what another run changed later, if this one has written there.
    pub(super) fn note_later(&mut self, write: SlotWrite) {
        let Self { names, slots, later } = self;
        let (machine, tag) = (Some(&write.slot.machine), write.slot.tag.as_ref());
        let place = slots.binary_search_by(|made| names.compare_to(made.slot, machine, tag));
        let Some((place, made)) = place.ok().and_then(|place| Some((place, slots.get(place)?))) else { return };
        if write.may_change() && write.attempt > made.attempt() {
            later.entry(place).or_default().push(write);
        }
    }

    /// Leaves of them what still stands.
    pub(super) fn keep_standing(&mut self, mut standing: impl FnMut(MayHold, Vec<SlotWrite>) -> Vec<SlotWrite>) {
        for (place, later) in &mut self.later {
            let Some(made) = self.slots.get(*place) else { continue };
            *later = standing(made.left, std::mem::take(later));
        }
    }

    pub(super) fn into_slots(self) -> RunSlots {
        let Self { names, slots, later } = self;
        RunSlots { names, slots: slots.into_iter().enumerate(), later }
    }
}

/// Every slot that a run has changed or may have changed, sorted; each is put together as it is asked for.
pub(crate) struct RunSlots {
    names: Names,
    slots: std::iter::Enumerate<std::vec::IntoIter<Entry>>,
    later: BTreeMap<usize, Vec<SlotWrite>>,
}

impl Iterator for RunSlots {
    type Item = RunSlot;

    fn next(&mut self) -> Option<RunSlot> {
        let (place, made) = self.slots.next()?;
        let (slot, later) = (self.names.slot(made.slot)?, self.later.remove(&place).unwrap_or_default());
        Some(RunSlot { slot, before: made.before, after: made.left, last_attempt: made.attempt(), later })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Age, DeviceValue, MachineId};
    use crate::store::forms::run::RunKey;

    #[test]
    fn a_million_slots_take_thirty_two_megabytes() {
        assert_eq!(size_of::<Entry>(), 32);
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
