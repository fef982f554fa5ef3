//! Building an inventory, machine by machine.

use std::hash::BuildHasher;
use std::io;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::machines::{Inventory, NEVER, Record, UNKNOWN};
use super::names::NameIndex;
use super::texts::{TextNumber, Texts};
use crate::model::{EntraDeviceId, MachineId, MachineRecord};

/// The longest name that is kept, in bytes: no row can name a machine by a longer one, and DNS allows 253.
const NAME_MAXIMUM_BYTES: usize = 1000;

/// The most memory that an inventory takes, whatever the service lists. A million machines with ten tags each take about
/// 230 MB.
pub(super) const MEMORY_MAXIMUM_BYTES: usize = 288 * 1024 * 1024;
/// What the indexes take that are made of each machine in the end: two of names, one of devices and what that is made from.
const INDEX_BYTES: usize = 2 * size_of::<u64>() + size_of::<u32>() + size_of::<(EntraDeviceId, u32)>();

/// What a command takes for each text that counts tags and lists them: how many machines have it, and where it stands.
const COUNTED_BYTES: usize = 2 * size_of::<u32>() + size_of::<&str>() + size_of::<u64>();

/// Takes machines as they are read.
pub(crate) trait MachineSink: Send + 'static {
    /// Takes a machine; says no if one with its id came before. May block.
    ///
    /// # Errors
    /// When no more can be taken; the reading ends then. [`io::ErrorKind::OutOfMemory`] is for more than it may hold.
    fn take(&mut self, machine: &MachineRecord) -> io::Result<bool>;
}

/// An inventory that is being read.
pub(crate) struct InventoryBuilder {
    records: Vec<Record>,
    by_id: HashTable<u32>,
    names: String,
    tags: Vec<TextNumber>,
    texts: Texts,
    state: RandomState,
    /// In ids that do not stand in their records.
    id_bytes: usize,
    memory_maximum_bytes: usize,
}

impl Default for InventoryBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for InventoryBuilder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("InventoryBuilder").field("machines", &self.records.len()).finish_non_exhaustive()
    }
}

impl InventoryBuilder {
    /// An inventory of no machines yet.
    pub(crate) fn new() -> Self {
        Self::within(MEMORY_MAXIMUM_BYTES)
    }

    /// An inventory of no machines yet that may take so much memory.
    pub(super) fn within(memory_maximum_bytes: usize) -> Self {
        Self {
            records: Vec::new(),
            by_id: HashTable::new(),
            names: String::new(),
            tags: Vec::new(),
            texts: Texts::default(),
            state: RandomState::default(),
            id_bytes: 0,
            memory_maximum_bytes,
        }
    }

    /// Whether it takes as much memory as an inventory may.
    pub(super) fn is_full(&self) -> bool {
        self.memory_bytes() >= self.memory_maximum_bytes
    }

    /// How many bytes of memory it takes, those of its indexes to come included.
    pub(super) fn memory_bytes(&self) -> usize {
        let records = self.records.len() * (size_of::<Record>() + INDEX_BYTES);
        let tags = self.tags.len() * size_of::<TextNumber>();
        let texts = self.texts.memory_bytes() + self.texts.len() * COUNTED_BYTES;
        let shared = texts + self.by_id.allocation_size() + self.id_bytes;
        records + tags + shared + self.names.len()
    }

    /// Adds a machine; says no if one with its id is there already. What that holds, the later showing knows better: pages
    /// overlap, and may be read far apart.
    pub(crate) fn add(&mut self, machine: &MachineRecord) -> bool {
        let Ok(position) = u32::try_from(self.records.len()) else { return false };
        let id = MachineId::from_service(&machine.id);
        if MachineId::from_hexadecimal(&machine.id).is_none() {
            self.id_bytes += machine.id.len();
        }
        let Self { records, by_id, state, .. } = self;
        let is_found = |other: &u32| records.get(*other as usize).is_some_and(|record| record.id == id);
        let hash_of = |other: &u32| records.get(*other as usize).map_or(0, |record| state.hash_one(&record.id));
        match by_id.entry(state.hash_one(&id), is_found, hash_of) {
            Entry::Occupied(known) => {
                let known = *known.get();
                self.hold(known, machine);
                return false;
            }
            Entry::Vacant(vacant) => {
                vacant.insert(position);
            }
        }
        let (name_start, name_length) = self.keep_name(machine.computer_dns_name.as_deref());
        let (tags_start, tag_count) = self.keep_tags(machine.machine_tags.as_deref());
        let record = Record {
            id,
            last_seen: machine.last_seen.as_deref().and_then(moment).unwrap_or(NEVER),
            name_start,
            tags_start,
            tag_count,
            os_platform: self.keep_text(machine.os_platform.as_deref()),
            group: self.keep_text(machine.rbac_group_name.as_deref()),
            health: self.keep_text(machine.health_status.as_deref()),
            device_value: self.keep_text(machine.device_value.as_deref()),
            name_length,
            entra: machine.aad_device_id.as_deref().and_then(EntraDeviceId::parse).filter(|device| !device.is_nil()),
        };
        self.records.push(record);
        true
    }

    /// The place of the machine with this id, from 0, in the order in which they came.
    pub(crate) fn place(&self, id: &MachineId) -> Option<usize> {
        let is_found = |other: &u32| self.records.get(*other as usize).is_some_and(|record| record.id == *id);
        self.by_id.find(self.state.hash_one(id), is_found).map(|place| *place as usize)
    }

    /// Puts what a machine holds now into the place of what it held.
    fn hold(&mut self, position: u32, machine: &MachineRecord) {
        let before = self.tags.len();
        let (mut tags_start, tag_count) = self.keep_tags(machine.machine_tags.as_deref());
        // As a rule it holds what it held, which is there already.
        if let Some(record) = self.records.get(position as usize)
            && record.tag_count == tag_count
            && let Some(held) = self.tags.get(record.tags_start as usize..)
            && held.get(..tag_count as usize) == self.tags.get(before..)
        {
            self.tags.truncate(before);
            tags_start = record.tags_start;
        }
        let device_value = self.keep_text(machine.device_value.as_deref());
        if let Some(record) = self.records.get_mut(position as usize) {
            (record.tags_start, record.tag_count, record.device_value) = (tags_start, tag_count, device_value);
        }
    }

    /// The inventory; `began` and `ended` say when it was read, by the wall clock.
    pub(crate) fn finish(mut self, began: Timestamp, ended: Timestamp) -> Inventory {
        self.records.shrink_to_fit();
        self.tags.shrink_to_fit();
        self.texts.shrink();
        let names = self.names.into_boxed_str();
        let by_position =
            (0..).zip(&self.records).filter_map(|(position, record)| Some((position, record.name(&names)?)));
        let by_name = NameIndex::new(by_position);
        let with_device = (0..).zip(&self.records).filter_map(|(position, record)| Some((record.entra?, position)));
        let mut by_device: Vec<(EntraDeviceId, u32)> = with_device.collect();
        by_device.sort_unstable();
        let by_entra = by_device.into_iter().map(|(_, position)| position).collect();
        let Self { records, by_id, tags, texts, state, .. } = self;
        Inventory { records, by_id, names, by_name, by_entra, tags, texts, state, began, ended }
    }

    /// A name that cannot be kept is as good as none.
    fn keep_name(&mut self, name: Option<&str>) -> (u32, u16) {
        let name = name.filter(|name| name.len() <= NAME_MAXIMUM_BYTES).unwrap_or_default();
        match (u32::try_from(self.names.len()), u16::try_from(name.len())) {
            (Ok(start), Ok(length)) => {
                self.names.push_str(name);
                (start, length)
            }
            _ => (0, 0),
        }
    }

    /// Tags that cannot all be kept are as good as not shown.
    fn keep_tags(&mut self, tags: Option<&[Box<str>]>) -> (u32, u32) {
        let Some(tags) = tags else { return (0, UNKNOWN) };
        let before = self.tags.len();
        for tag in tags {
            match self.texts.number(tag) {
                Some(number) => self.tags.push(number),
                None => break,
            }
        }
        match (u32::try_from(before), u32::try_from(tags.len())) {
            (Ok(start), Ok(count)) if self.tags.len() - before == tags.len() => (start, count),
            _ => (0, UNKNOWN),
        }
    }

    fn keep_text(&mut self, text: Option<&str>) -> Option<TextNumber> {
        text.and_then(|text| self.texts.number(text))
    }
}

impl Inventory {
    /// An inventory of these machines, as if they had been read at this time; for tests and simulations. Of machines with
    /// the same id there is one, which holds what the last of them says.
    pub fn from_machines(read_at: Timestamp, machines: impl IntoIterator<Item = MachineRecord>) -> Self {
        let mut builder = InventoryBuilder::new();
        for machine in machines {
            let _is_new = builder.add(&machine);
        }
        builder.finish(read_at, read_at)
    }
}

/// A moment as the service writes it, in microseconds since 1970; without an offset it is in UTC.
fn moment(text: &str) -> Option<i64> {
    let moment = text.parse::<Timestamp>().or_else(|_none| {
        let local: DateTime = text.parse()?;
        local.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp())
    });
    moment.ok().map(Timestamp::as_microsecond)
}

impl MachineSink for InventoryBuilder {
    fn take(&mut self, machine: &MachineRecord) -> io::Result<bool> {
        if self.is_full() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(self.add(machine))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_the_service_writes_them() {
        assert_eq!(moment("2018-08-02T14:55:03.7791856Z"), Some(1_533_221_703_779_185));
        assert_eq!(moment("2018-08-02T14:55:03Z"), Some(1_533_221_703_000_000));
        assert_eq!(moment("2018-08-02T16:55:03+02:00"), Some(1_533_221_703_000_000));
        assert_eq!(moment("2018-08-02T14:55:03"), Some(1_533_221_703_000_000));
        for text in ["", "yesterday", "2018-08-02T25:00:00Z"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
