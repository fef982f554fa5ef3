//! The names in a filter, and what the caller says of them.

use std::borrow::Cow;
use std::fmt;

use super::lists::ListForm;
use crate::outside::shown;

/// The longest name for which the nearest one is looked for; comparing takes time.
const COMPARED_BYTES: usize = 64;
/// The most characters of what a filter holds that stand in a message's sentence.
const SHOWN_CHARACTERS: usize = 60;

/// A column's name as it is written: `NAME`, or `machine.NAME` and the like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ColumnName {
    /// What stands before the dot.
    pub qualifier: Option<String>,
    /// The name itself, without the brackets of `['NAME']`.
    pub name: String,
}

impl ColumnName {
    /// As one writes it in a filter.
    pub fn written(&self) -> String {
        let piece = |name: &str| if is_word(name) { name.to_owned() } else { format!("['{}']", shown(name)) };
        match &self.qualifier {
            Some(qualifier) => format!("{}.{}", piece(qualifier), piece(&self.name)),
            None => piece(&self.name),
        }
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", shortened(&self.written()))
    }
}

/// As much of a text as a sentence has room for.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

/// Whether a name can stand without brackets.
fn is_word(name: &str) -> bool {
    name.starts_with(is_word_start) && name.chars().all(is_word_part)
}

/// Whether a word may begin with this.
pub(super) fn is_word_start(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

/// Whether a word may go on with this.
pub(super) fn is_word_part(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// What a column's cells hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// One text.
    Text,
    /// A list of texts.
    List(ListForm),
}

/// A column that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// What [`Row::cell`](super::Row::cell) is asked for.
    pub position: usize,
    /// What its cells hold.
    pub kind: ColumnKind,
}

/// What came of looking for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// There is one.
    Found(Column),
    /// There is none.
    Unknown,
    /// There are several, of these names.
    Ambiguous(Vec<String>),
}

/// Finds the columns that a filter names.
pub trait Columns {
    /// Looks for a name.
    fn find(&self, name: &ColumnName) -> Lookup;

    /// The names that could be meant behind this qualifier, as one writes them; for messages.
    fn known(&self, qualifier: Option<&str>) -> Vec<String>;

    /// The names that only a qualifier finds; for messages.
    fn elsewhere(&self) -> Vec<ColumnName> {
        Vec::new()
    }

    /// What is to be said where nothing is called as this qualifier is: what is wrong, and what to do.
    fn unknown_qualifier(&self, _qualifier: &str) -> Option<(String, String)> {
        None
    }
}

/// Brackets and blanks are not what makes a name another.
fn bare(name: &str) -> String {
    name.to_lowercase().replace(['[', ']', '\'', ' '], "")
}

/// The one of these names that is the same but for case, blanks and brackets.
pub(super) fn same<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let word = bare(word);
    names.into_iter().find(|name| bare(name) == word)
}

/// The only one of these names that ends with a word, as `currentDeviceValue` does with `deviceValue`.
pub(super) fn only_ending<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let word = bare(word);
    let mut ending = names.into_iter().filter(|name| !word.is_empty() && bare(name).ends_with(&word));
    ending.next().filter(|_| ending.next().is_none())
}

/// The one of these names that a word was probably meant for.
pub(crate) fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if word.len() > COMPARED_BYTES {
        return None;
    }
    let word = bare(word);
    let distance = |name: &str| strsim::osa_distance(&word, &bare(name));
    let compared = names.into_iter().filter(|name| name.len() <= COMPARED_BYTES);
    let (distance, nearest) = compared.map(|name| (distance(name), name)).min_by_key(|(distance, _)| *distance)?;
    // One letter of a short word, a third of a long one.
    (distance <= (word.chars().count() / 3).max(1)).then_some(nearest)
}
