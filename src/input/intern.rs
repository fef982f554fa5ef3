//! Machines and tags, held once each however many rows name them.
//!
//! What surprises: machines have a thread of their own. A table of a million machines is larger than the processor's
//! caches, so that looking things up in it is mostly waiting for memory, and rows can be read meanwhile.

use std::hash::{BuildHasher, Hasher as _};
use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::model::{MachineReference, Tag};

/// How many mentions travel together.
const BATCH_MENTIONS: usize = 4096;

/// How many batches may wait for the thread.
const WAITING_BATCHES: usize = 8;

/// The machines that rows mention. Names are the same whatever the case of their ASCII letters; the first spelling stays.
pub(super) struct Mentions {
    batch: Vec<MachineReference>,
    count: u32,
    sender: SyncSender<Vec<MachineReference>>,
    thread: JoinHandle<Machines>,
}

impl Mentions {
    pub(super) fn new() -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_BATCHES);
        let thread = Builder::new().name("machines".to_owned()).spawn(|| Machines::collect(receiver))?;
        Ok(Self { batch: Vec::with_capacity(BATCH_MENTIONS), count: 0, sender, thread })
    }

    /// Takes another machine, and gives the number of this mention, from 0.
    pub(super) fn add(&mut self, machine: MachineReference) -> u32 {
        self.batch.push(machine);
        if self.batch.len() == BATCH_MENTIONS {
            let full = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH_MENTIONS));
            // It fails when the thread has panicked, which `finish` finds out.
            let _ = self.sender.send(full);
        }
        let mention = self.count;
        self.count += 1;
        mention
    }

    /// The machines, each once, in the order of their first mention, and for every mention the position of its machine.
    pub(super) fn finish(self) -> (Vec<MachineReference>, Vec<u32>) {
        let _ = self.sender.send(self.batch);
        drop(self.sender);
        match self.thread.join() {
            Ok(machines) => (machines.items, machines.positions),
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// What the thread holds.
struct Machines {
    items: Vec<MachineReference>,
    /// Where each machine is among the items.
    table: HashTable<Place>,
    state: RandomState,
    /// For every mention the position of its machine.
    positions: Vec<u32>,
}

/// Half of the hash beside the position: the table can grow, and pass over others, without a look at the items, each of
/// which would be another wait for memory.
#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    position: u32,
}

impl Place {
    /// The table goes by both ends of the 64 bits.
    const fn table_hash(hash: u32) -> u64 {
        (hash as u64) << 32 | hash as u64
    }
}

impl Machines {
    fn collect(receiver: Receiver<Vec<MachineReference>>) -> Self {
        let mut machines =
            Self { items: Vec::new(), table: HashTable::new(), state: RandomState::default(), positions: Vec::new() };
        let mut hashes = Vec::new();
        for batch in receiver {
            machines.settle(batch, &mut hashes);
        }
        machines
    }

    /// Finds the position of every machine in the batch, which is new for those that were not there.
    fn settle(&mut self, mut batch: Vec<MachineReference>, hashes: &mut Vec<u32>) {
        let Self { items, table, state, positions } = self;
        let settled = items.len();
        hashes.clear();
        hashes.extend(batch.iter().map(|machine| hash_machine(state, machine)));

        // First for all of them whether they are known: the waits of looks that follow each other directly overlap.
        let known = positions.len();
        positions.extend(batch.iter().zip(hashes.iter()).map(|(machine, hash)| {
            let is_found = |place: &Place| place.hash == *hash && is_item(items, place.position, machine);
            table.find(Place::table_hash(*hash), is_found).map_or(UNKNOWN, |place| place.position)
        }));

        // Then the others, each behind those that are kept of the batch.
        items.append(&mut batch);
        let mut kept = settled;
        let found = positions.get_mut(known..).unwrap_or_default();
        for ((mention, hash), position) in (settled..).zip(hashes.iter()).zip(found) {
            if *position != UNKNOWN {
                continue;
            }
            let is_found = |place: &Place| {
                place.hash == *hash && items.get(mention).is_some_and(|machine| is_item(items, place.position, machine))
            };
            let hash_of = |place: &Place| Place::table_hash(place.hash);
            match table.entry(Place::table_hash(*hash), is_found, hash_of) {
                Entry::Occupied(occupied) => *position = occupied.get().position,
                Entry::Vacant(vacant) => {
                    *position = u32::try_from(kept).unwrap_or(UNKNOWN);
                    vacant.insert(Place { hash: *hash, position: *position });
                    items.swap(kept, mention);
                    kept += 1;
                }
            }
        }
        items.truncate(kept);
    }
}

/// No machine has this position: the limit on rows is lower.
const UNKNOWN: u32 = u32::MAX;

fn is_item(items: &[MachineReference], position: u32, machine: &MachineReference) -> bool {
    match (items.get(position as usize), machine) {
        (Some(MachineReference::Id(one)), MachineReference::Id(other)) => one == other,
        (Some(MachineReference::Entra(one)), MachineReference::Entra(other)) => one == other,
        (Some(MachineReference::Name(one)), MachineReference::Name(other)) => one.eq_ignore_ascii_case(other),
        _ => false,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of the hash is what is wanted")]
fn hash_machine(state: &RandomState, machine: &MachineReference) -> u32 {
    let hash = match machine {
        MachineReference::Id(id) => state.hash_one(id),
        MachineReference::Entra(id) => state.hash_one(id),
        MachineReference::Name(name) => {
            let mut hasher = state.build_hasher();
            name.bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
            hasher.finish()
        }
    };
    hash as u32
}

/// The tags that rows name. They are compared exactly.
pub(super) struct Tags {
    items: Vec<Tag>,
    table: HashTable<u32>,
    state: RandomState,
}

impl Tags {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), table: HashTable::new(), state: RandomState::default() }
    }

    /// The position of a tag that came before. Its text need not be checked again.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let is_found = |position: &u32| self.items.get(*position as usize).is_some_and(|tag| tag.as_str() == text);
        self.table.find(self.state.hash_one(text), is_found).copied()
    }

    /// Takes a tag that did not come before, and gives it the next position.
    pub(super) fn add(&mut self, tag: Tag) -> u32 {
        let Self { items, table, state } = self;
        let hash_of = |tag: &Tag| state.hash_one(tag.as_str());
        // Saturates beyond what the limit on rows lets happen.
        let position = u32::try_from(items.len()).unwrap_or(u32::MAX);
        table.insert_unique(hash_of(&tag), position, |other| items.get(*other as usize).map_or(0, hash_of));
        items.push(tag);
        position
    }

    /// The text of a tag; empty where there is none.
    pub(super) fn text(&self, position: u32) -> &str {
        self.items.get(position as usize).map_or("", Tag::as_str)
    }

    pub(super) fn into_items(self) -> Vec<Tag> {
        self.items
    }
}
