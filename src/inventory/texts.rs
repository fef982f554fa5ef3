//! Texts that many machines share, each held once.

use std::hash::BuildHasher;
use std::num::NonZeroU32;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// The number of a text. It is never nought, so that a record can do without one at no cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextNumber(NonZeroU32);

impl TextNumber {
    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Texts by their numbers, and numbers by their texts.
#[derive(Default)]
pub(super) struct Texts {
    items: Vec<Box<str>>,
    table: HashTable<TextNumber>,
    state: RandomState,
    /// In all of them.
    text_bytes: usize,
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
        let number = TextNumber(u32::try_from(self.items.len() + 1).ok().and_then(NonZeroU32::new)?);
        self.items.push(text.into());
        self.text_bytes += text.len();
        let Self { items, table, state, .. } = self;
        let hash = |number: &TextNumber| state.hash_one(items.get(number.index()).map_or("", |text| text));
        table.insert_unique(state.hash_one(text), number, hash);
        Some(number)
    }

    /// The text with this number.
    pub(super) fn text(&self, number: TextNumber) -> &str {
        self.items.get(number.index()).map_or("", |text| text)
    }

    /// Gives back memory that was kept for more.
    pub(super) fn shrink(&mut self) {
        self.items.shrink_to_fit();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.items.capacity() * size_of::<Box<str>>() + self.text_bytes + self.table.allocation_size()
    }
}
