//! Looking machines up by their names, whatever the case of ASCII letters.
//!
//! Two sorted lists of hashes with positions: one by the whole name, one by the part before the first dot. A list costs
//! eight bytes a machine, and a name that very many machines bear (`localhost`) makes it no slower, as it would a hash
//! table.

use std::hash::{BuildHasher, Hasher as _};

use foldhash::fast::RandomState;

/// The positions of machines by their names.
#[derive(Default)]
pub(super) struct NameIndex {
    state: RandomState,
    by_full_name: Vec<Entry>,
    by_first_label: Vec<Entry>,
}

/// Sorted by hash first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    hash: u32,
    position: u32,
}

impl NameIndex {
    /// The index of these names by their positions.
    pub(super) fn new<'a>(names: impl Iterator<Item = (u32, &'a str)>) -> Self {
        let mut index = Self::default();
        for (position, name) in names {
            let name = without_final_dot(name);
            index.by_full_name.push(Entry { hash: hash(&index.state, name), position });
            index.by_first_label.push(Entry { hash: hash(&index.state, first_label(name)), position });
        }
        for list in [&mut index.by_full_name, &mut index.by_first_label] {
            list.sort_unstable();
            list.shrink_to_fit();
        }
        index
    }

    /// The positions of the machines with this whole name, in ascending order.
    pub(super) fn with_full_name<'a>(&self, name: &str, name_at: impl Fn(u32) -> Option<&'a str>) -> Vec<u32> {
        let bears = |own: &str| without_final_dot(own).eq_ignore_ascii_case(name);
        matching(&self.by_full_name, hash(&self.state, name), |position| name_at(position).is_some_and(bears))
    }

    /// The positions of the machines whose names have this first label, in ascending order.
    pub(super) fn with_first_label<'a>(&self, label: &str, name_at: impl Fn(u32) -> Option<&'a str>) -> Vec<u32> {
        let bears = |own: &str| first_label(own).eq_ignore_ascii_case(label);
        matching(&self.by_first_label, hash(&self.state, label), |position| name_at(position).is_some_and(bears))
    }

    pub(super) const fn memory_bytes(&self) -> usize {
        (self.by_full_name.capacity() + self.by_first_label.capacity()) * size_of::<Entry>()
    }
}

fn matching(list: &[Entry], hash: u32, is_meant: impl Fn(u32) -> bool) -> Vec<u32> {
    let start = list.partition_point(|entry| entry.hash < hash);
    let same_hash = list.get(start..).unwrap_or_default().iter().take_while(|entry| entry.hash == hash);
    same_hash.map(|entry| entry.position).filter(|position| is_meant(*position)).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "half of the hash is what is wanted")]
fn hash(state: &RandomState, name: &str) -> u32 {
    let mut hasher = state.build_hasher();
    name.bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
    hasher.finish() as u32
}

/// The part of a name before its first dot.
pub(super) fn first_label(name: &str) -> &str {
    name.split_once('.').map_or(name, |(label, _domain)| label)
}

/// A name without the dot that may end a full one.
pub(super) fn without_final_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}
