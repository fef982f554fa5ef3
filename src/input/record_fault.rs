//! What is wrong with a record as such, whatever its cells say.

use std::collections::HashMap;
use std::io::Read;

use super::accept::{Accepted, Doubt};
use super::check::Field;
use super::columns::Columns;
use super::excerpt::Excerpt;
use super::placeholders::is_spreadsheet_error;
use super::problem::ProblemKind;
use super::record::{Record, joins_rows, swallows_row};
use super::scan::QuotedPlace;
use super::workbook::SheetRows;

/// What a record of the file is measured by.
pub(super) struct Expected<'c> {
    pub(super) columns: &'c Columns,
    pub(super) delimiter: char,
    pub(super) accepted: Accepted,
}

impl Expected<'_> {
    /// What is wrong with the record as such, so that its cells cannot be believed.
    /// What is wrong and allowed is counted.
    pub(super) fn fault_of<R: Read>(
        &self,
        record: &Record<'_, R>,
        machine: &str,
        has_blanks: bool,
        allowed: &mut HashMap<Doubt, u64>,
    ) -> Option<(Field, ProblemKind)> {
        if let Some(stray) = record.cells.stray_quote() {
            let (opened, closed) = record.lines_of(stray);
            return Some((Field::Row, ProblemKind::TextAfterQuote { opened, closed }));
        }
        let swallows =
            |quoted: &&QuotedPlace| swallows_row(record.quoted(**quoted), self.delimiter, self.columns.count);
        let broken = record.cells.broken();
        let halved = broken.first().filter(|_| joins_rows(record.raw(), self.delimiter, self.columns.count));
        if let Some(quoted) = broken.iter().find(swallows).or(halved) {
            if !self.accepted.allows(Doubt::LineBreaks) {
                let (opened, closed) = record.lines_of(*quoted);
                return Some((Field::Row, ProblemKind::LineBreaks { opened, closed }));
            }
            *allowed.entry(Doubt::LineBreaks).or_default() += 1;
        }
        let (found, expected) = (record.cells.count(), self.columns.count);
        if self.is_quoted_row(record) {
            return Some((Field::Row, ProblemKind::QuotedRow));
        }
        if self.is_comment(record, machine) {
            return Some((Field::Row, ProblemKind::CommentRow));
        }
        let is_ragged = found > expected && (expected..found).any(|position| !record.cell(position).trim().is_empty());
        if (has_blanks || is_ragged)
            && let Some(late) = self.late_quote(record, is_ragged)
        {
            return Some(late);
        }
        is_ragged.then(|| {
            let place = record.place;
            let last_line = (place.last_line > place.first_line).then_some(place.last_line);
            (Field::Row, ProblemKind::RaggedRow { found, expected, last_line })
        })
    }

    /// Whether the first cell is quoted and holds a whole row, and nothing stands beside it.
    fn is_quoted_row<R: Read>(&self, record: &Record<'_, R>) -> bool {
        let first = record.cell(0);
        !record.cells.is_bare(record.text.window(), 0)
            && first.contains(self.delimiter)
            && record.cells().skip(1).all(|cell| cell.trim().is_empty())
            && swallows_row(first, self.delimiter, self.columns.count)
    }

    /// Whether the row is a remark: a mark of a comment where its machine should be, or in front and no machine at all.
    fn is_comment<R: Read>(&self, record: &Record<'_, R>, machine: &str) -> bool {
        (machine.starts_with('#') && !is_spreadsheet_error(machine))
            || (machine.is_empty() && self.columns.machine.position > 0 && record.cell(0).trim_start().starts_with('#'))
    }

    /// A quotation mark behind a blank, in a column that is read, or wherever it can be why there are too many cells.
    fn late_quote<R: Read>(&self, record: &Record<'_, R>, is_ragged: bool) -> Option<(Field, ProblemKind)> {
        let read = [
            (Field::Machine, Some(&self.columns.machine)),
            (Field::Tag, self.columns.tag.as_ref()),
            (Field::Action, self.columns.action.as_ref()),
            (Field::Value, self.columns.value.as_ref()),
        ];
        let of_column =
            read.into_iter().find(|(_, column)| column.is_some_and(|it| record.has_late_quote(it.position)));
        let is_anywhere = is_ragged || self.columns.all_are_read;
        let anywhere = || is_anywhere && (0..record.cells.count()).any(|position| record.has_late_quote(position));
        of_column
            .map(|(field, _)| field)
            .or_else(|| anywhere().then_some(Field::Row))
            .map(|field| (field, ProblemKind::BlankBeforeQuote))
    }
}

/// A row that the workbook does not show: its author may believe it gone. Allowed ones are counted.
pub(super) fn hidden_fault(
    sheet: Option<&SheetRows>,
    line: u32,
    accepted: Accepted,
    allowed: &mut HashMap<Doubt, u64>,
) -> Option<(Field, ProblemKind)> {
    if !sheet.is_some_and(|sheet| sheet.hides(line)) {
        return None;
    }
    if accepted.allows(Doubt::HiddenRows) {
        *allowed.entry(Doubt::HiddenRows).or_default() += 1;
        return None;
    }
    Some((Field::Row, ProblemKind::HiddenRow))
}

/// A cell that the workbook shows otherwise than as the text that is read of it. An empty one means nothing.
pub(super) fn shown_otherwise(sheet: &SheetRows, line: u32, position: usize, cell: &str) -> Option<ProblemKind> {
    let is_other = !cell.trim().is_empty() && sheet.shows_otherwise(line, position);
    is_other.then(|| ProblemKind::ShownOtherwise { held: Excerpt::new(cell.trim()) })
}
