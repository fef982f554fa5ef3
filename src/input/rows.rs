//! Reads and checks every row.

use std::io::{self, Read};

use super::check::{self, Asked, AskedTag, Field, NamedCells};
use super::columns::{Column, Columns};
use super::dialect::Opening;
use super::error::InputError;
use super::intern::{Mentions, Tags};
use super::problem::{Problem, ProblemKind, TagWarning};
use super::request::{ChangeCode, POSITIONS_MAXIMUM, Request, RequestedChange};
use super::scan::Cells;
use super::sheet::{ChunkPlaces, Sheet, TAG_WARNINGS_MAXIMUM};
use super::text::{RecordPlace, Text};
use crate::model::{RowNumber, Tag};

/// Reads all rows after the opening.
pub(super) fn read<R: Read>(mut text: Text<R>, opening: Opening) -> Result<Sheet, InputError> {
    let Opening { dialect, header, columns } = opening;
    let mut cells = Cells::new(dialect.delimiter, columns.count);
    let mut checker = Checker::new(columns).map_err(InputError::Thread)?;
    let mut chunks = ChunkPlaces::default();
    let mut row_count = 0;
    while let Some(place) = text.next_record(&mut cells)? {
        if row_count == POSITIONS_MAXIMUM {
            return Err(InputError::TooManyRows);
        }
        row_count += 1;
        chunks.add(RowNumber(row_count), &place);
        checker.check(RowNumber(row_count), &place, &cells, text.window());
    }
    let Checker { mentions, tags, mut requests, problems, warnings, further_warnings, .. } = checker;
    let (machines, positions) = mentions.finish();
    for request in &mut requests {
        request.machine = positions.get(request.machine as usize).copied().unwrap_or_default();
    }
    let (tags, spool) = (tags.into_items(), text.into_spool());
    Ok(Sheet {
        dialect,
        header,
        row_count,
        machines,
        tags,
        requests,
        problems,
        warnings,
        further_warnings,
        chunks,
        spool,
    })
}

/// Without white space at both ends. Nearly every cell has none, and begins and ends with ASCII.
fn trim(cell: &str) -> &str {
    match cell.as_bytes() {
        [] => cell,
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => cell,
        _ => cell.trim(),
    }
}

/// What has been found in the rows so far.
struct Checker {
    columns: Columns,
    mentions: Mentions,
    tags: Tags,
    requests: Vec<Request>,
    problems: Vec<Problem>,
    warnings: Vec<TagWarning>,
    further_warnings: u32,
    /// The faults of the row at hand; kept for its memory.
    faults: Vec<(Field, ProblemKind)>,
}

impl Checker {
    fn new(columns: Columns) -> io::Result<Self> {
        Ok(Self {
            columns,
            mentions: Mentions::new()?,
            tags: Tags::new(),
            requests: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            further_warnings: 0,
            faults: Vec::new(),
        })
    }

    fn check(&mut self, row: RowNumber, place: &RecordPlace, cells: &Cells, text: &str) {
        let cell = |column: &Column| trim(cells.get(text, column.position));
        let cell_if_any = |column: &Option<Column>| column.as_ref().map_or("", cell);
        let named = NamedCells {
            machine: cell(&self.columns.machine),
            action: cell_if_any(&self.columns.action),
            tag: cell_if_any(&self.columns.tag),
            value: cell_if_any(&self.columns.value),
            has_action_column: self.columns.action.is_some(),
        };
        let (found, expected) = (cells.count(), self.columns.count);
        let may_be_empty = found <= expected && named.machine.is_empty();
        let asked = if may_be_empty && cells.iter(text).all(|cell| cell.trim().is_empty()) {
            self.faults.push((Field::Row, ProblemKind::EmptyRow));
            None
        } else if found != expected {
            let last_line = (place.last_line > place.first_line).then_some(place.last_line);
            self.faults.push((Field::Row, ProblemKind::RaggedRow { found, expected, last_line }));
            None
        } else {
            check::check(&named, |tag| self.tags.find(tag), &mut self.faults)
        };
        match asked {
            Some(asked) => self.take(row, place.first_line, asked),
            None => self.report(row, place.first_line),
        }
    }

    fn take(&mut self, row: RowNumber, line: u32, asked: Asked) {
        let machine = self.mentions.add(asked.machine);
        let tag = asked.tag.map(|(action, tag)| {
            let tag = match tag {
                AskedTag::Known(position) => position,
                AskedTag::New(tag) => self.take_new_tag(row, line, tag),
            };
            RequestedChange::Tag { action, tag }
        });
        let value = asked.value.map(RequestedChange::DeviceValue);
        for change in tag.into_iter().chain(value) {
            self.requests.push(Request { row, line, machine, change: ChangeCode::new(change) });
        }
    }

    fn take_new_tag(&mut self, row: RowNumber, line: u32, tag: Tag) -> u32 {
        if tag.breaks_portal_filter() {
            if self.warnings.len() < TAG_WARNINGS_MAXIMUM {
                self.warnings.push(TagWarning { row, line, tag: tag.clone() });
            } else {
                self.further_warnings = self.further_warnings.saturating_add(1);
            }
        }
        self.tags.add(tag)
    }

    fn report(&mut self, row: RowNumber, line: u32) {
        for (field, kind) in self.faults.drain(..) {
            let column = match field {
                Field::Row => None,
                Field::Machine => Some(&self.columns.machine),
                Field::Action => self.columns.action.as_ref(),
                Field::Tag => self.columns.tag.as_ref(),
                Field::Value => self.columns.value.as_ref(),
            };
            self.problems.push(Problem { row, line, column: column.map(|column| column.name.clone()), kind });
        }
    }
}
