//! One record of the file, and what can be said of it without knowing its columns.

use std::io::Read;

use super::columns::{repeats, repeats_name};
use crate::input::cells::check::is_action;
use crate::input::cells::machine::holds_id;
use crate::input::findings::error::InputError;
use crate::input::findings::skipped::SkippedRecords;
use crate::input::text::scan::{Cells, QuotedPlace};
use crate::input::text::{RecordPlace, Text};
use crate::input::workbook::SheetRows;
use crate::model::RowNumber;

/// The most rows that an input or a list can have: whatever is counted of them fits into 32 bits.
pub(in crate::input) const ROWS_MAXIMUM: u32 = 1 << 30;

/// The number of the row after so many.
pub(in crate::input) fn next_row(rows: u32) -> Result<RowNumber, InputError> {
    if rows >= ROWS_MAXIMUM { Err(InputError::TooManyRows) } else { Ok(RowNumber(rows + 1)) }
}

/// A record with the text that it stands in.
pub(in crate::input) struct Record<'t, R> {
    pub(in crate::input) place: RecordPlace,
    pub(in crate::input) cells: &'t Cells,
    pub(in crate::input) text: &'t Text<R>,
    /// What a workbook shows beside it.
    pub(in crate::input) sheet: Option<&'t SheetRows>,
}

impl<R: Read> Record<'_, R> {
    /// Whether it is to be skipped, by the cell of its machine's column and that column's name; then it is counted.
    pub(in crate::input) fn is_skipped(
        &self,
        machine: &str,
        column: &str,
        header: &[String],
        skipped: &mut SkippedRecords,
    ) -> bool {
        let line = self.place.first_line;
        if self.cells.stray_quote().is_some() {
            return false;
        }
        let is_blank = machine.is_empty() && self.cells().all(|cell| cell.trim().is_empty());
        if is_blank && !self.sheet.is_some_and(|sheet| sheet.has_uncomputed(line)) {
            skipped.blank.add(line);
            return true;
        }
        let is_repeated = repeats_name(machine, column) && repeats(header, self.cells());
        if is_repeated {
            skipped.repeated.add(line);
        }
        is_repeated
    }

    #[inline]
    pub(in crate::input) fn cell(&self, position: usize) -> &str {
        self.cells.get(self.text.window(), position)
    }

    pub(in crate::input) fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.iter(self.text.window())
    }

    /// As it is written, with its line break.
    pub(in crate::input) fn raw(&self) -> &str {
        self.text.window().get(self.place.start..self.place.end).unwrap_or_default()
    }

    pub(super) fn quoted(&self, quoted: QuotedPlace) -> &str {
        self.text.window().get(quoted.opened + 1..quoted.closed).unwrap_or_default()
    }

    pub(super) fn lines_of(&self, quoted: QuotedPlace) -> (u32, u32) {
        let line = |position| self.text.line_within(&self.place, position);
        (line(quoted.opened), line(quoted.closed))
    }

    /// Whether a cell begins with blanks and then a quotation mark, which means nothing there.
    pub(super) fn has_late_quote(&self, position: usize) -> bool {
        let cell = self.cell(position);
        cell.starts_with(char::is_whitespace)
            && cell.trim_start().starts_with('"')
            && self.cells.is_bare(self.text.window(), position)
    }
}

/// Without white space at both ends. Nearly every cell has none, and begins and ends with ASCII.
#[inline]
pub(in crate::input) fn trim(cell: &str) -> &str {
    match cell.as_bytes() {
        [] => cell,
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => cell,
        _ => cell.trim(),
    }
}

/// Whether a cell may begin with a blank: one of ASCII, or whatever lies beyond.
pub(in crate::input) fn may_begin_blank(cell: &str) -> bool {
    cell.as_bytes().first().is_some_and(|byte| !byte.is_ascii_graphic())
}

/// Whether a record of several lines is the halves of two rows: one mark in the middle of each, and the first and the last
/// line both have as many delimiters as the header.
pub(super) fn joins_rows(record: &str, delimiter: char, columns: usize) -> bool {
    let mut lines = record.trim_end_matches(['\n', '\r']).split(['\n', '\r']);
    let is_row = |line: &str| line.matches(delimiter).count() + 1 == columns;
    columns > 1 && lines.next().is_some_and(is_row) && lines.next_back().is_some_and(is_row)
}

/// Whether a line of a quoted cell looks like a row: it holds an id, as many delimiters as the header, or an action.
pub(super) fn swallows_row(quoted: &str, delimiter: char, columns: usize) -> bool {
    let looks_like_row = |line: &str| {
        let delimiters = line.matches(delimiter).count();
        let has_action =
            || delimiters > 0 && line.split(delimiter).any(|cell| is_action(cell.trim().trim_matches('"')));
        (columns > 1 && delimiters + 1 >= columns) || holds_id(line) || has_action()
    };
    quoted.split(['\n', '\r']).any(looks_like_row)
}
