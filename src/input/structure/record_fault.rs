//! What is wrong with a record as such, whatever its cells say.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use super::columns::{Column, Columns};
use super::dialect::DELIMITERS;
use super::record::{Record, joins_rows, swallows_row};
use crate::input::cells::check::Field;
use crate::input::findings::accept::{Accepted, Doubt};
use crate::input::findings::delimiter_name::DelimiterName;
use crate::input::findings::excerpt::Excerpt;
use crate::input::findings::note::Note;
use crate::input::findings::problem::ProblemKind;
use crate::input::oddities::placeholders::is_spreadsheet_error;
use crate::input::text::scan::QuotedPlace;
use crate::input::workbook::SheetRows;

/// What a record of the file is measured by.
pub(in crate::input) struct Expected<'c> {
    pub(in crate::input) columns: &'c Columns,
    pub(in crate::input) delimiter: char,
    pub(in crate::input) accepted: Accepted,
}

impl Expected<'_> {
    /// What is wrong with the record as such, so that its cells cannot be believed.
    /// What is wrong and allowed is counted.
    pub(in crate::input) fn fault_of<R: Read>(
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
        if let Some(other) = self.other_delimiter(record) {
            return Some((Field::Row, other));
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
            let kind = match record.sheet {
                Some(_) => ProblemKind::SurplusCells { found, expected },
                None => ProblemKind::RaggedRow { found, expected, last_line },
            };
            (Field::Row, kind)
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

    /// A row that is one cell by the header's delimiter, and by another one as many as the header.
    fn other_delimiter<R: Read>(&self, record: &Record<'_, R>) -> Option<ProblemKind> {
        if record.cells.count() > 1 || self.columns.count < 2 || !record.cells.is_bare(record.text.window(), 0) {
            return None;
        }
        let cells = |delimiter: char| record.cell(0).split(delimiter).count();
        let others = DELIMITERS.iter().map(|delimiter| char::from(*delimiter)).filter(|it| *it != self.delimiter);
        let found = others.into_iter().find(|delimiter| cells(*delimiter) == self.columns.count)?;
        Some(ProblemKind::OtherDelimiter { header: DelimiterName(self.delimiter), found: DelimiterName(found) })
    }

    /// What is wrong with a record of a workbook beside its text: with a cell that is read, or since it is hidden. What is
    /// wrong and allowed is counted, with the cells of the `further` columns, which are read, too.
    pub(in crate::input) fn sheet_fault<R: Read>(
        &self,
        record: &Record<'_, R>,
        further: &[usize],
        allowed: &mut HashMap<Doubt, u64>,
    ) -> Option<(Field, ProblemKind)> {
        let (sheet, line) = (record.sheet?, record.place.first_line);
        let read = || (0..self.columns.count).filter_map(|position| Some((field(self.columns, position)?, position)));
        let fault = read().find_map(|(field, position)| Some((field, self.cell_fault(record, position)?)));
        let is_hidden = sheet.hides(line);
        if fault.is_some() || (is_hidden && !self.accepted.allows(Doubt::HiddenRows)) {
            return fault.or(Some((Field::Row, ProblemKind::HiddenRow)));
        }
        let mut positions = read().map(|(_, position)| position).chain(further.iter().copied());
        let is_merged = positions.any(|position| sheet.is_merged(line, position));
        for (doubt, is_used) in [(Doubt::HiddenRows, is_hidden), (Doubt::MergedCells, is_merged)] {
            if is_used {
                *allowed.entry(doubt).or_default() += 1;
            }
        }
        None
    }

    /// What is wrong with the cells of a record of a workbook by which it is selected or not.
    pub(in crate::input) fn selecting_fault<R: Read>(
        &self,
        record: &Record<'_, R>,
        selecting: &[usize],
    ) -> Option<(Field, ProblemKind)> {
        let error = |position: usize| {
            let cell = record.cell(position).trim();
            let is_error = record.sheet.is_some() && is_spreadsheet_error(cell);
            is_error.then(|| ProblemKind::ErrorCell { found: Excerpt::new(cell) })
        };
        let fault = |position: usize| self.cell_fault(record, position).or_else(|| error(position));
        selecting.iter().find_map(|position| Some((Field::Beside(*position), fault(*position)?)))
    }

    /// Why a cell of a workbook is not empty, although it has no text.
    pub(super) fn cell_fault<R: Read>(&self, record: &Record<'_, R>, position: usize) -> Option<ProblemKind> {
        let (sheet, line) = (record.sheet?, record.place.first_line);
        if sheet.is_merged(line, position) {
            return (!self.accepted.allows(Doubt::MergedCells)).then_some(ProblemKind::MergedCell);
        }
        sheet.is_uncomputed(line, position).then_some(ProblemKind::Uncomputed)
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

/// What is read from a column, if anything is.
fn field(columns: &Columns, position: usize) -> Option<Field> {
    let is = |column: Option<&Column>| column.is_some_and(|column| column.position == position);
    match () {
        () if is(Some(&columns.machine)) => Some(Field::Machine),
        () if is(columns.action.as_ref()) => Some(Field::Action),
        () if is(columns.tag.as_ref()) => Some(Field::Tag),
        () if is(columns.value.as_ref()) => Some(Field::Value),
        () => columns.all_are_read.then_some(Field::Beside(position)),
    }
}

/// The name of a field's column; none for the row as a whole.
pub(in crate::input) fn column_name(field: Field, columns: &Columns, header: &[String]) -> Option<Arc<str>> {
    let of = |column: Option<&Column>| column.map(|column| Arc::clone(&column.name));
    match field {
        Field::Row => None,
        Field::Machine => of(Some(&columns.machine)),
        Field::Action => of(columns.action.as_ref()),
        Field::Tag => of(columns.tag.as_ref()),
        Field::Value => of(columns.value.as_ref()),
        Field::Beside(position) => header.get(position).map(|name| name.trim().into()),
    }
}

/// The names of the columns that are read and that a workbook hides; with the `further` ones of the header, which are read,
/// too.
pub(in crate::input) fn hidden_columns(
    sheet: Option<&SheetRows>,
    columns: &Columns,
    header: &[String],
    further: &[usize],
) -> Option<Note> {
    let read = [Some(&columns.machine), columns.tag.as_ref(), columns.action.as_ref(), columns.value.as_ref()];
    let read = read.into_iter().flatten().map(|column| column.position);
    let mut hidden: Vec<usize> = Vec::new();
    for position in read.chain(further.iter().copied()) {
        if sheet.is_some_and(|sheet| sheet.hides_column(position)) && !hidden.contains(&position) {
            hidden.push(position);
        }
    }
    let names = hidden.into_iter().filter_map(|position| header.get(position));
    let names: Vec<Excerpt> = names.map(|name| Excerpt::new(name.trim())).collect();
    (!names.is_empty()).then_some(Note::HiddenColumns(names))
}

/// A cell that the workbook shows otherwise than as the text that is read of it. An empty one means nothing.
pub(in crate::input) fn shown_otherwise(
    sheet: &SheetRows,
    line: u32,
    position: usize,
    cell: &str,
) -> Option<ProblemKind> {
    let is_other = !cell.trim().is_empty() && sheet.shows_otherwise(line, position);
    is_other.then(|| ProblemKind::ShownOtherwise { held: Excerpt::new(cell.trim()) })
}
