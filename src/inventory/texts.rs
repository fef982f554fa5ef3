//! Texts that many machines share, each held once.

use std::hash::BuildHasher;
use std::num::NonZeroU32;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// The number of a text. It is never nought, so that a record can do without one at no cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextNumber(NonZeroU32);

impl TextNumber {
    /// Its place among the texts, from 0.
    pub(super) const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Texts by their numbers, and numbers by their texts. They stand one behind the other in one text: a tenant may have millions
/// of tags, each of a few bytes.
#[derive(Default)]
pub(super) struct Texts {
    joined: String,
    /// Where each text ends in it.
    ends: Vec<u32>,
    table: HashTable<TextNumber>,
    state: RandomState,
}

impl Texts {
    /// The number of a text that is held.
    pub(super) fn find(&self, text: &str) -> Option<TextNumber> {
        let is_found = |number: &TextNumber| self.text(*number) == text;
        self.table.find(self.state.hash_one(text), is_found).copied()
    }

    /// The number of a text, which is held from now on; `None` when there are too many.
    pub(super) fn number(&mut self, text: &str) -> Option<TextNumber> {
        if let Some(known) = self.find(text) {
            return Some(known);
        }
        let number = TextNumber(u32::try_from(self.ends.len() + 1).ok().and_then(NonZeroU32::new)?);
        self.ends.push(u32::try_from(self.joined.len() + text.len()).ok()?);
        self.joined.push_str(text);
        let Self { joined, ends, table, state } = self;
        let hash = |number: &TextNumber| state.hash_one(text_at(joined, ends, number.index()));
        table.insert_unique(state.hash_one(text), number, hash);
        Some(number)
    }

    /// The text with this number.
    pub(super) fn text(&self, number: TextNumber) -> &str {
        text_at(&self.joined, &self.ends, number.index())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All of them, by their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|place| text_at(&self.joined, &self.ends, place))
    }

    /// Gives back memory that was kept for more.
    pub(super) fn shrink(&mut self) {
        self.joined.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.joined.len() + self.ends.capacity() * size_of::<u32>() + self.table.allocation_size()
    }
}

/// The text at a place among those that end there, from 0.
fn text_at<'t>(joined: &'t str, ends: &[u32], place: usize) -> &'t str {
    let end_of = |place: usize| ends.get(place).map(|end| *end as usize);
    let start = place.checked_sub(1).and_then(end_of).unwrap_or(0);
    end_of(place).and_then(|end| joined.get(start..end)).unwrap_or_default()
}
