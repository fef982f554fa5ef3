//! Machines in memory, found by id, by name and by device.

use std::fmt;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use jiff::Timestamp;

use super::names::{self, NameIndex};
use super::texts::{TextNumber, Texts};
use crate::model::{DeviceValue, EntraDeviceId, MachineId};

/// The place of a machine in an [`Inventory`], from 0 in the service's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachinePosition(u32);

impl MachinePosition {
    /// The position as a number, from 0, for tables beside the inventory.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// All machines of a tenant that the service listed, each id once.
pub struct Inventory {
    pub(super) records: Vec<Record>,
    /// Where each id is among the records.
    pub(super) by_id: HashTable<u32>,
    pub(super) names: Box<str>,
    pub(super) by_name: NameIndex,
    /// The positions of the machines that have an Entra device id, sorted by that.
    pub(super) by_entra: Vec<u32>,
    pub(super) tags: Vec<TextNumber>,
    pub(super) texts: Texts,
    pub(super) state: RandomState,
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
}

/// A machine in a fixed number of bytes.
pub(super) struct Record {
    pub(super) id: MachineId,
    /// Microseconds since 1970, or [`NEVER`].
    pub(super) last_seen: i64,
    /// Where the name begins in the names; in bytes.
    pub(super) name_start: u32,
    /// Where the tags begin in the tags.
    pub(super) tags_start: u32,
    /// How many tags there are, or [`UNKNOWN`].
    pub(super) tag_count: u32,
    pub(super) os_platform: Option<TextNumber>,
    pub(super) group: Option<TextNumber>,
    pub(super) health: Option<TextNumber>,
    pub(super) device_value: Option<TextNumber>,
    /// In bytes; 0 for no name.
    pub(super) name_length: u16,
    pub(super) entra: Option<EntraDeviceId>,
}

/// No moment: the service did not say.
pub(super) const NEVER: i64 = i64::MIN;
/// No count: the service did not say.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// The machines that bear a name, or an Entra device id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameMatch {
    None,
    /// There is exactly one.
    One(MachinePosition),
    /// There are several records, the one that was seen last first.
    Several(Vec<MachinePosition>),
}

impl NameMatch {
    /// All of them.
    #[must_use]
    pub fn positions(&self) -> &[MachinePosition] {
        match self {
            Self::None => &[],
            Self::One(position) => std::slice::from_ref(position),
            Self::Several(positions) => positions,
        }
    }
}

impl Inventory {
    /// How many machines there are.
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether the tenant has no machine at all.
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// When its reading began, by the wall clock: what changed in the tenant since then may not be in it.
    pub const fn began(&self) -> Timestamp {
        self.began
    }

    /// When its reading ended, by the wall clock. The quota can make a reading last long.
    pub const fn ended(&self) -> Timestamp {
        self.ended
    }

    /// The machine with this id.
    pub fn find(&self, id: &MachineId) -> Option<MachinePosition> {
        let is_found = |position: &u32| self.record(*position).is_some_and(|record| record.id == *id);
        self.by_id.find(self.state.hash_one(id), is_found).copied().map(MachinePosition)
    }

    /// The machines that bear this computer DNS name, whatever the case of its ASCII letters: a name with a dot is the
    /// whole name, one without is the part before the first dot of any. A dot at the end says nothing.
    ///
    /// A short name that is also somebody's whole name is still everybody's who begins with it: which of them is meant,
    /// nobody can tell, and the wrong machine tagged is worse than none.
    pub fn find_name(&self, name: &str) -> NameMatch {
        let name = names::without_final_dot(name);
        let found = if name.contains('.') {
            self.by_name.with_full_name(name, |position| self.name(position))
        } else {
            self.by_name.with_first_label(name, |position| self.name(position))
        };
        self.matched(&found)
    }

    fn matched(&self, found: &[u32]) -> NameMatch {
        match found {
            [] => NameMatch::None,
            [only] => NameMatch::One(MachinePosition(*only)),
            _ => NameMatch::Several(self.latest_first(found)),
        }
    }

    /// The machines that bear this Entra device id: several where a device was onboarded anew.
    pub fn find_entra(&self, device: EntraDeviceId) -> NameMatch {
        let device_at = |position: &u32| self.record(*position).and_then(|record| record.entra);
        let start = self.by_entra.partition_point(|position| device_at(position) < Some(device));
        let rest = self.by_entra.get(start..).unwrap_or_default();
        let found: Vec<u32> = rest.iter().copied().take_while(|position| device_at(position) == Some(device)).collect();
        self.matched(&found)
    }

    /// How many machines have each tag.
    pub fn tag_counts(&self) -> TagCounts<'_> {
        let mut counts = vec![(0, 0); self.texts.len()];
        for (machine, place) in self.machines().zip(1..) {
            for number in machine.tag_numbers().unwrap_or_default() {
                // What a machine shows twice it has once.
                if let Some((machines, last)) = counts.get_mut(number.index()).filter(|(_, last)| *last != place) {
                    (*machines, *last) = (*machines + 1, place);
                }
            }
        }
        TagCounts { texts: &self.texts, counts }
    }

    /// The machines whose names begin with the same part before the first dot, the one that was seen last first: what to
    /// show to somebody whose full name nobody bears.
    pub fn similar_names(&self, name: &str) -> Vec<MachinePosition> {
        let label = names::first_label(names::without_final_dot(name));
        self.latest_first(&self.by_name.with_first_label(label, |position| self.name(position)))
    }

    /// What the inventory knows of the machine at this place. A position of another inventory gives `None` where this one
    /// has no such place, and another machine where it has.
    pub fn machine(&self, position: MachinePosition) -> Option<ListedMachine<'_>> {
        self.record(position.0).map(|record| ListedMachine { inventory: self, record, position })
    }

    /// What the inventory knows of the machine with this id.
    pub fn look_up(&self, id: &MachineId) -> Option<ListedMachine<'_>> {
        self.find(id).and_then(|position| self.machine(position))
    }

    /// Whether the service showed the tags of all machines.
    pub fn shows_all_tags(&self) -> bool {
        self.records.iter().all(|record| record.tag_count != UNKNOWN)
    }

    /// All machines, in the service's order.
    pub fn machines(&self) -> impl Iterator<Item = ListedMachine<'_>> {
        let positions = (0_u32..).map(MachinePosition);
        self.records.iter().zip(positions).map(|(record, position)| ListedMachine { inventory: self, record, position })
    }

    /// How many bytes of memory it takes, those of the allocator's own books not counted.
    pub fn memory_bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record>()
            + self.by_id.allocation_size()
            + self.names.len()
            + self.by_name.memory_bytes()
            + self.by_entra.capacity() * size_of::<u32>()
            + self.tags.capacity() * size_of::<TextNumber>()
            + self.texts.memory_bytes()
    }

    fn record(&self, position: u32) -> Option<&Record> {
        self.records.get(position as usize)
    }

    fn name(&self, position: u32) -> Option<&str> {
        self.record(position).and_then(|record| record.name(&self.names))
    }

    fn latest_first(&self, positions: &[u32]) -> Vec<MachinePosition> {
        let mut sorted = positions.to_vec();
        let last_seen = |position: u32| self.record(position).map_or(NEVER, |record| record.last_seen);
        sorted.sort_by_key(|position| (std::cmp::Reverse(last_seen(*position)), *position));
        sorted.into_iter().map(MachinePosition).collect()
    }
}

/// How many machines have each tag of a tenant. A tenant may have millions of tags, so it takes some bytes for each.
pub struct TagCounts<'a> {
    texts: &'a Texts,
    /// By the numbers of the texts: how many machines, and the last of them, counted from 1.
    counts: Vec<(u32, u32)>,
}

impl<'a> TagCounts<'a> {
    /// How many machines have a tag.
    pub fn of(&self, tag: &str) -> u64 {
        let count = self.texts.find(tag).and_then(|number| self.counts.get(number.index()));
        count.map_or(0, |(machines, _)| u64::from(*machines))
    }

    /// Each tag that a machine has.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, u64)> {
        let texts = self.texts.iter().zip(&self.counts);
        texts.filter(|(_, (machines, _))| *machines > 0).map(|(tag, (machines, _))| (tag, u64::from(*machines)))
    }
}

impl fmt::Debug for Inventory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Inventory");
        shown.field("machines", &self.len()).field("began", &self.began).finish_non_exhaustive()
    }
}

impl Record {
    pub(super) fn name<'a>(&self, names: &'a str) -> Option<&'a str> {
        let start = self.name_start as usize;
        names.get(start..start + usize::from(self.name_length)).filter(|name| !name.is_empty())
    }
}

/// What the inventory knows of a machine.
#[derive(Clone, Copy)]
pub struct ListedMachine<'a> {
    inventory: &'a Inventory,
    record: &'a Record,
    position: MachinePosition,
}

impl<'a> ListedMachine<'a> {
    /// Its place in the inventory.
    pub const fn position(&self) -> MachinePosition {
        self.position
    }

    pub const fn id(&self) -> &'a MachineId {
        &self.record.id
    }

    /// Its computer DNS name, as the service wrote it.
    pub fn name(&self) -> Option<&'a str> {
        self.record.name(&self.inventory.names)
    }

    /// When its last full report came.
    pub fn last_seen(&self) -> Option<Timestamp> {
        (self.record.last_seen != NEVER).then(|| Timestamp::from_microsecond(self.record.last_seen).ok()).flatten()
    }

    /// Its operating system, `Windows11` for example.
    pub fn os_platform(&self) -> Option<&'a str> {
        self.text(self.record.os_platform)
    }

    /// Its machine group.
    pub fn group(&self) -> Option<&'a str> {
        self.text(self.record.group)
    }

    /// `Active`, `Inactive` and others.
    pub fn health(&self) -> Option<&'a str> {
        self.text(self.record.health)
    }

    /// Its tags, in the service's order; none when the service did not show them.
    pub fn tags(&self) -> impl Iterator<Item = &'a str> {
        let texts = &self.inventory.texts;
        self.tag_numbers().unwrap_or_default().iter().map(|number| texts.text(*number))
    }

    /// Whether the service showed its tags.
    pub fn shows_tags(&self) -> bool {
        self.record.tag_count != UNKNOWN
    }

    /// Whether it has exactly this tag; `None` when the service did not show its tags.
    pub fn has_tag(&self, tag: &str) -> Option<bool> {
        let tags = self.tag_numbers()?;
        Some(self.inventory.texts.find(tag).is_some_and(|number| tags.contains(&number)))
    }

    /// Its device value; `None` when the service did not show one, or one that is unheard of.
    pub fn device_value(&self) -> Option<DeviceValue> {
        self.device_value_text().and_then(DeviceValue::parse)
    }

    /// Its device value, as the service wrote it.
    pub fn device_value_text(&self) -> Option<&'a str> {
        self.text(self.record.device_value)
    }

    fn tag_numbers(&self) -> Option<&'a [TextNumber]> {
        let start = self.record.tags_start as usize;
        let count = (self.record.tag_count != UNKNOWN).then_some(self.record.tag_count as usize)?;
        self.inventory.tags.get(start..start + count)
    }

    fn text(&self, number: Option<TextNumber>) -> Option<&'a str> {
        number.map(|number| self.inventory.texts.text(number))
    }
}

impl fmt::Debug for ListedMachine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("ListedMachine");
        shown.field("id", self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}
