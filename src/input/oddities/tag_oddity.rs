//! What makes a tag odd: it could be meant, but mostly it is a mishap, and a tag that is created by mistake stays on
//! machines until somebody looks for it.

use std::fmt;

use super::placeholders::{is_spreadsheet_error, stands_for_nothing};
use super::unicode::{is_invisible, is_line_break};
use crate::model::is_never_added;

/// Why a tag is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagOddity {
    /// A character that nobody sees.
    Invisible(char),
    /// A character that means something to a device, a tab for example: no tag to add may hold one, whatever is allowed.
    Control(char),
    /// A space other than the usual one.
    Space(char),
    /// A character that stands for one that a conversion lost.
    Lost,
    SpreadsheetError,
    /// What programs write for nothing.
    Nothing,
    /// Brackets around it, or one that is never closed.
    Brackets,
    /// Quotation marks around it, or one in front.
    Quotes,
    /// A separator, or a line break, and more behind it.
    List(char),
}

impl TagOddity {
    /// What is odd about a tag, if anything is.
    pub fn of(tag: &str) -> Option<Self> {
        // Nearly every tag is of such characters only.
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'_' | b'.' | b':' | b'/');
        if tag.bytes().all(is_plain) {
            return stands_for_nothing(tag).then_some(Self::Nothing);
        }
        let strange = tag.chars().find_map(|it| match it {
            _ if is_invisible(it) => Some(Self::Invisible(it)),
            _ if is_never_added(it) => Some(Self::Control(it)),
            _ if is_line_break(it) => Some(Self::List('\n')),
            _ if it.is_whitespace() && it != ' ' => Some(Self::Space(it)),
            char::REPLACEMENT_CHARACTER => Some(Self::Lost),
            _ => None,
        });
        if strange.is_some() {
            return strange;
        }
        if is_spreadsheet_error(tag) {
            return Some(Self::SpreadsheetError);
        }
        if stands_for_nothing(tag) {
            return Some(Self::Nothing);
        }
        if is_bracketed(tag) {
            return Some(Self::Brackets);
        }
        if tag.starts_with("=\"") || tag.starts_with(['"', '\'', '“', '”', '„', '‘', '’', '«', '»', '`']) {
            return Some(Self::Quotes);
        }
        separator(tag).map(Self::List)
    }

    /// What is odd, to be read after "the tag … ".
    pub fn words(self) -> String {
        match self {
            Self::Invisible(it) => format!("holds the invisible character U+{:04X}", u32::from(it)),
            Self::Control(it) => format!("holds the control character U+{:04X}", u32::from(it)),
            Self::Space(it) => format!("holds U+{:04X}, a space other than the usual one", u32::from(it)),
            Self::Lost => "holds U+FFFD, which stands for a character that a conversion lost".to_owned(),
            Self::SpreadsheetError => "is a spreadsheet's error".to_owned(),
            Self::Nothing => "is what programs write for nothing".to_owned(),
            Self::Brackets => "has brackets around it and looks like a list".to_owned(),
            Self::Quotes => "has quotation marks around it or in front".to_owned(),
            Self::List('\n') => "holds a line break and looks like a list".to_owned(),
            Self::List(separator) => format!("holds \"{separator}\" and looks like a list"),
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::Invisible(_) | Self::Space(_) | Self::Lost => "type it again",
            Self::SpreadsheetError => "fix the formula behind it",
            Self::Nothing => "empty the cell, or fill in a tag",
            Self::Brackets => "write one tag per row, without brackets",
            Self::Quotes => "remove them",
            Self::Control(_) => "remove it",
            Self::List(';') => "write one tag per row, read such cells as lists with --tag-separator \";\"",
            Self::List('|') => "write one tag per row, read such cells as lists with --tag-separator \"|\"",
            Self::List(',') => "write one tag per row, read such cells as lists with --tag-separator \",\"",
            Self::List(_) => "write one tag per row, read such cells as lists with --tag-separator \"\\n\"",
        }
    }
}

/// Whether brackets stand around the whole tag, or one of a list's opens or closes it alone: a piece of a list.
fn is_bracketed(tag: &str) -> bool {
    const LIST: [(char, char); 2] = [('[', ']'), ('{', '}')];
    let is_closed = |(open, close): (char, char)| {
        let inner = tag.strip_prefix(open);
        inner.is_some_and(|inner| inner.find(close).is_some_and(|position| position + 1 == inner.len()))
    };
    let is_piece = |(open, close): (char, char)| {
        (tag.starts_with(open) && !tag.contains(close)) || (tag.ends_with(close) && !tag.contains(open))
    };
    // Whatever stands in it, a bracket before a quotation mark begins a list.
    let is_written =
        |(open, _): (char, char)| tag.strip_prefix(open).is_some_and(|inner| inner.starts_with(['"', '\'']));
    LIST.into_iter().chain([('(', ')'), ('<', '>')]).any(is_closed)
        || LIST.into_iter().any(is_piece)
        || LIST.into_iter().any(is_written)
}

/// The separator that makes a tag look like a list. A comma at the very end is no list.
fn separator(tag: &str) -> Option<char> {
    let has_more = |(position, separator): &(usize, char)| {
        *separator != ',' || tag.get(position + 1..).is_some_and(|rest| !rest.trim().is_empty())
    };
    tag.char_indices().filter(|(_, it)| matches!(it, ';' | '|' | ',')).find(has_more).map(|(_, separator)| separator)
}

impl fmt::Display for TagOddity {
    /// What is odd, and what to do.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; {}", self.words(), self.advice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_odd_for_one_reason() {
        use TagOddity::{Brackets, Control, Invisible, List, Lost, Nothing, Quotes, Space, SpreadsheetError};
        let table = [
            ("Wave\u{200b}3", Some(Invisible('\u{200b}'))),
            ("\u{feff}Wave 3", Some(Invisible('\u{feff}'))),
            ("Wa\u{ad}ve", Some(Invisible('\u{ad}'))),
            ("Ring\u{a0}A", Some(Space('\u{a0}'))),
            ("Ring\u{3000}A", Some(Space('\u{3000}'))),
            ("Ring\tA", Some(Control('\t'))),
            ("Ring\u{85}A", Some(Control('\u{85}'))),
            ("Gr\u{fffd}n", Some(Lost)),
            ("#REF!", Some(SpreadsheetError)),
            ("#N/A", Some(SpreadsheetError)),
            ("=\"Ring A\"", Some(Quotes)),
            ("=cmd", None),
            ("NULL", Some(Nothing)),
            ("nan", Some(Nothing)),
            ("None", Some(Nothing)),
            ("N/A", Some(Nothing)),
            ("[\"Ring A\",\"PCI\"]", Some(Brackets)),
            ("[\"Ring A\"", Some(Brackets)),
            ("\"PCI\"]", Some(Brackets)),
            ("[\"Ring [A]\"]", Some(Brackets)),
            ("['Ring A'] old", Some(Brackets)),
            ("{\"ring\":{}}", Some(Brackets)),
            ("{Ring A}", Some(Brackets)),
            ("(old)", Some(Brackets)),
            ("“Ring A”", Some(Quotes)),
            ("\"Ring A\"", Some(Quotes)),
            ("'Ring A", Some(Quotes)),
            ("Ring A;PCI", Some(List(';'))),
            ("Ring A|PCI", Some(List('|'))),
            ("Ring A, PCI", Some(List(','))),
            ("Ring A\nPCI", Some(List('\n'))),
            ("Ring A,", None),
            ("Ring A (old)", None),
            ("[1] of [2]", None),
            ("Phase b)", None),
            ("Ring \"A\"", None),
            ("19\" rack", None),
            ("C#", None),
            ("#1", None),
            ("Größe", None),
            ("Tier 0 / EU", None),
            ("O'Brien", None),
            ("A & B", None),
            ("NA", None),
            ("漢字", None),
            ("a=b", None),
        ];
        for (tag, expected) in table {
            assert_eq!(TagOddity::of(tag), expected, "{tag:?}");
        }
    }
}
