//! The machines and tags of slots, each held once: there may be a million slots, and a handful of tags.

use std::cmp::Ordering;
use std::num::NonZeroU32;

use foldhash::fast::RandomState;
use indexmap::IndexSet;

use crate::model::{MachineId, Slot, Tag};

/// A slot, by the places of its machine and of its tag in [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotNumber {
    machine: u32,
    /// The place behind that of the tag; none of a device value.
    tag: Option<NonZeroU32>,
}

/// What slots are numbered by.
#[derive(Debug, Default)]
pub(super) struct Names {
    machines: IndexSet<MachineId, RandomState>,
    tags: IndexSet<Tag, RandomState>,
}

impl Names {
    pub(super) fn add(&mut self, slot: Slot) -> SlotNumber {
        let number = |place| u32::try_from(place).unwrap_or(u32::MAX);
        let machine = number(self.machines.insert_full(slot.machine).0);
        let tag = slot.tag.map(|tag| NonZeroU32::MIN.saturating_add(number(self.tags.insert_full(tag).0)));
        SlotNumber { machine, tag }
    }

    fn machine(&self, slot: SlotNumber) -> Option<&MachineId> {
        self.machines.get_index(slot.machine as usize)
    }

    fn tag(&self, slot: SlotNumber) -> Option<&Tag> {
        self.tags.get_index(slot.tag?.get() as usize - 1)
    }

    pub(super) fn slot(&self, slot: SlotNumber) -> Option<Slot> {
        Some(Slot { machine: self.machine(slot)?.clone(), tag: self.tag(slot).cloned() })
    }

    /// In which order two slots come.
    pub(super) fn compare(&self, one: SlotNumber, other: SlotNumber) -> Ordering {
        if one == other {
            return Ordering::Equal;
        }
        self.compare_to(one, self.machine(other), self.tag(other))
    }

    pub(super) fn compare_to(&self, one: SlotNumber, machine: Option<&MachineId>, tag: Option<&Tag>) -> Ordering {
        self.machine(one).cmp(&machine).then_with(|| self.tag(one).cmp(&tag))
    }
}
