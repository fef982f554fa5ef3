//! Slots that a run has changed, each held once: there may be a million of them.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::model::Slot;
use crate::store::slot_write::RunSlot;

/// What a run made of slots, found by the slot.
#[derive(Default)]
pub(super) struct SlotTable {
    slots: Vec<RunSlot>,
    /// Where each slot is in the list.
    places: HashTable<u32>,
    state: RandomState,
}

impl SlotTable {
    /// What was made of this slot.
    pub(super) fn get_mut(&mut self, slot: &Slot) -> Option<&mut RunSlot> {
        let is_it = |place: &u32| self.slots.get(*place as usize).is_some_and(|known| known.slot == *slot);
        let place = self.places.find(self.state.hash_one(slot), is_it)?;
        self.slots.get_mut(*place as usize)
    }

    /// What was made of the slot of this one, which is put there if it is the first.
    pub(super) fn or_insert(&mut self, first: RunSlot) -> Option<&mut RunSlot> {
        let Self { slots, places, state } = self;
        let hash_of = |place: &u32| slots.get(*place as usize).map_or(0, |known| state.hash_one(&known.slot));
        let is_it = |place: &u32| slots.get(*place as usize).is_some_and(|known| known.slot == first.slot);
        let place = match places.entry(state.hash_one(&first.slot), is_it, hash_of) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let place = u32::try_from(slots.len()).ok()?;
                free.insert(place);
                slots.push(first);
                place
            }
        };
        slots.get_mut(place as usize)
    }

    /// Each of them, to be changed but for its slot.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut RunSlot> {
        self.slots.iter_mut()
    }

    /// All of them, sorted by slot.
    pub(super) fn into_sorted(self) -> Vec<RunSlot> {
        let Self { mut slots, .. } = self;
        slots.sort_unstable_by(|one, other| one.slot.cmp(&other.slot));
        slots
    }
}
