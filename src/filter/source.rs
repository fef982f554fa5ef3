//! Places in a filter's text, and how they are shown.

use std::fmt::Write as _;
use std::ops::Range;

use crate::outside::Outside;

/// The widest piece of a line that is shown around a place.
const SHOWN_COLUMNS: usize = 72;
/// How much of the line before the place stays in sight.
const SHOWN_BEFORE_COLUMNS: usize = 40;
/// More than any secret or token takes, so that none is cut where it could be seen.
const LOOKED_AT_BYTES: usize = 16 * 1024;

/// A piece of a filter's text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    /// From the beginning of this one to the end of the other.
    pub(super) const fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }
}

impl From<Range<usize>> for Span {
    fn from(Range { start, end }: Range<usize>) -> Self {
        Self { start, end }
    }
}

/// Where a piece of the text stands, and its line with a caret under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    /// The line, cut around the place if it is long, with a line of carets below.
    pub(super) excerpt: String,
}

impl Place {
    pub(super) fn of(source: &str, span: Span) -> Self {
        let before = source.get(..span.start).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |position| position + 1);
        let rest = source.get(line_start..).unwrap_or_default();
        let line = rest.split(['\n', '\r']).next().unwrap_or_default();
        // A place at the very end may lie behind a line's last character.
        let at = (span.start - line_start).min(line.len());
        let until = (span.end.max(span.start) - line_start).min(line.len());
        let (left, right) = line.split_at_checked(at).unwrap_or((line, ""));
        let (marked, after) = right.split_at_checked(until - at).unwrap_or((right, ""));
        Self {
            line: before.matches('\n').count() + 1,
            column: left.chars().count() + 1,
            excerpt: excerpt(left, marked, after),
        }
    }
}

fn excerpt(left: &str, marked: &str, after: &str) -> String {
    let (left, cut_left) = last_columns(&shown(end_of(left)), SHOWN_BEFORE_COLUMNS);
    let (marked, cut_marked) = first_columns(&shown(beginning_of(marked)), SHOWN_COLUMNS - SHOWN_BEFORE_COLUMNS);
    let room = SHOWN_COLUMNS.saturating_sub(width(&left) + width(&marked));
    let (after, cut_after) =
        if cut_marked { (String::new(), true) } else { first_columns(&shown(beginning_of(after)), room) };
    let sign = |is_cut: bool| if is_cut { "…" } else { "" };
    let (first, last) = (sign(cut_left), sign(cut_after));
    let mut excerpt = format!("{first}{left}{marked}{after}{last}\n");
    let (blanks, carets) = (width(first) + width(&left), width(&marked).max(1));
    let _infallible = write!(excerpt, "{:blanks$}{}", "", "^".repeat(carets));
    excerpt
}

/// Without tabs, secrets, and what a terminal obeys.
fn shown(text: &str) -> String {
    Outside::new(text.replace('\t', " ")).line()
}

/// So much of the end of a text as can be of use: no more of a long one is looked at.
fn end_of(text: &str) -> &str {
    text.get(text.ceil_char_boundary(text.len().saturating_sub(LOOKED_AT_BYTES))..).unwrap_or_default()
}

/// The same of its beginning.
fn beginning_of(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LOOKED_AT_BYTES)).unwrap_or_default()
}

/// How many columns of a terminal a text takes.
fn width(text: &str) -> usize {
    textwrap::core::display_width(text)
}

/// The beginning of a text that fits into so many columns, and whether something was cut.
fn first_columns(text: &str, columns: usize) -> (String, bool) {
    let mut kept = 0;
    let mut taken = 0;
    for (position, character) in text.char_indices() {
        taken += width(character.encode_utf8(&mut [0; 4]));
        if taken > columns {
            return (text.get(..kept).unwrap_or_default().to_owned(), true);
        }
        kept = position + character.len_utf8();
    }
    (text.to_owned(), false)
}

/// The end of a text that fits into so many columns, and whether something was cut.
fn last_columns(text: &str, columns: usize) -> (String, bool) {
    let mut kept = text.len();
    let mut taken = 0;
    for (position, character) in text.char_indices().rev() {
        taken += width(character.encode_utf8(&mut [0; 4]));
        if taken > columns {
            return (text.get(kept..).unwrap_or_default().to_owned(), true);
        }
        kept = position;
    }
    (text.to_owned(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_where_the_terminal_shows_the_place() {
        let long = format!("{} here {}", "x".repeat(100), "y".repeat(100));
        let table = [
            ("a == b", 5..6, (1, 6, "a == b\n     ^")),
            ("a ==", 4..4, (1, 5, "a ==\n    ^")),
            ("漢字 == x", 10..11, (1, 7, "漢字 == x\n        ^")),
            ("e\u{301} == x", 7..8, (1, 7, "e\u{301} == x\n     ^")),
            ("a == 'x'\n  and b ?? 'y'", 17..19, (2, 9, "  and b ?? 'y'\n        ^^")),
            ("a\r\nb", 3..4, (2, 1, "b\n^")),
            ("\ta\u{1b}", 2..3, (1, 3, " a\\u{1b}\n  ^^^^^^")),
            ("a 'b\nc'", 2..7, (1, 3, "a 'b\n  ^^")),
            ("", 0..0, (1, 1, "\n^")),
        ];
        for (source, span, (line, column, excerpt)) in table {
            let expected = Place { line, column, excerpt: excerpt.to_owned() };
            assert_eq!(Place::of(source, span.into()), expected, "{source:?}");
        }
        let Place { column, excerpt, .. } = Place::of(&long, (101..105).into());
        let expected = format!("…{} here {}…\n{}^^^^", "x".repeat(39), "y".repeat(27), " ".repeat(41));
        assert_eq!((column, excerpt), (102, expected));
    }
}
