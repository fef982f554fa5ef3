//! Texts that many machines share, each kept once: tags, device groups, platforms.

use std::collections::HashMap;
use std::sync::Arc;

/// The number of a text in its [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NameNumber(u32);

impl NameNumber {
    /// The number itself, from 0.
    pub(super) const fn get(self) -> u32 {
        self.0
    }
}

/// Texts by number and numbers by text. Nothing is ever forgotten.
#[derive(Debug, Default)]
pub(super) struct Names {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, NameNumber>,
}

impl Names {
    /// The number of this text, a new one if need be.
    ///
    /// Past four thousand million texts all share the last number; memory ends long before.
    pub(super) fn number(&mut self, text: &str) -> NameNumber {
        if let Some(number) = self.find(text) {
            return number;
        }
        let number = NameNumber(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }

    /// How many texts there are.
    pub(super) const fn len(&self) -> usize {
        self.texts.len()
    }

    /// The number of this text, if it has one.
    pub(super) fn find(&self, text: &str) -> Option<NameNumber> {
        self.numbers.get(text).copied()
    }

    /// The text with this number.
    pub(super) fn text(&self, number: NameNumber) -> &str {
        usize::try_from(number.0).ok().and_then(|place| self.texts.get(place)).map_or("", |text| text)
    }
}
