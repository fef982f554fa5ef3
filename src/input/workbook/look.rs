//! What a sheet's part says beside its cells' values: which rows and columns a spreadsheet does not show, which cells a merged
//! area covers, and which formulas were never computed (ECMA-376, part 1, 18.3.1.4, 18.3.1.13, 18.3.1.55, 18.3.1.73).
//!
//! The reader of cells says nothing of these, so the part is looked through once more, and before it.
//!
//! What surprises: `zeroHeight` of a sheet hides the rows that the part does not write, and only those. Rows without data
//! are hidden so, and every row that holds a cell is written.

use std::io::{Read, Seek};

use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;

use super::error::WorkbookError;
use super::package::{DAMAGED, attribute, each_event, part_of};
use super::sheet_rows::{COLUMNS_MAXIMUM, SheetRows};

/// Looks through the part of this sheet.
pub(super) fn look(source: impl Read + Seek, sheet: &str) -> Result<SheetRows, WorkbookError> {
    let mut archive = ZipArchive::new(source).map_err(|_| DAMAGED)?;
    let part = part_of(&mut archive, sheet)?;
    let mut look = Look::default();
    each_event(&mut archive, &part, |event| look.see(event))?;
    look.rows.hidden.sort_unstable();
    look.rows.merged.sort();
    Ok(look.rows)
}

#[derive(Default)]
struct Look {
    rows: SheetRows,
    /// The row at hand, from 1.
    row: u32,
    /// How many columns of it are over.
    column: u32,
    cell: Option<Cell>,
}

/// The cell at hand, and what is known of it so far.
struct Cell {
    /// Its row, from 1, and its column, from 0.
    place: (u32, u32),
    has_formula: bool,
    value: Value,
}

/// What is known of a cell's value.
#[derive(PartialEq)]
enum Value {
    None,
    /// It may be a text of no characters, once it begins.
    NoText,
    /// It has begun, and nothing of it was seen yet.
    Begun,
    Known,
}

impl Look {
    fn see(&mut self, event: &Event<'_>) -> Result<(), WorkbookError> {
        match event {
            Event::Start(element) => return self.begin(element),
            Event::End(element) => return self.end(element.local_name().as_ref()),
            Event::Text(text) if text.trim().is_empty() => {}
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                if let Some(cell) = self.cell.as_mut().filter(|cell| cell.value == Value::Begun) {
                    cell.value = Value::Known;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, element: &BytesStart<'_>) -> Result<(), WorkbookError> {
        match (element.local_name().as_ref(), &mut self.cell) {
            ("row", _) => {
                // One without a number of its own is the next.
                self.row = match attribute(element, "r") {
                    Some(number) => number.parse().map_err(|_| DAMAGED)?,
                    None => self.row.checked_add(1).ok_or(DAMAGED)?,
                };
                self.column = 0;
                if is_set(element, "hidden") || is_zero(element, "ht") {
                    self.rows.hidden.push(self.row);
                }
            }
            ("c", _) => {
                let name = attribute(element, "r");
                let place = match &name {
                    Some(name) => place(name).ok_or(DAMAGED)?,
                    None => (self.row, self.column),
                };
                self.column = place.1.saturating_add(1);
                let kind = attribute(element, "t");
                // After one that does not say where it stands, the reader of cells would take the next for it.
                if name.is_some() && kind.as_deref() == Some("e") {
                    self.rows.add_error((place.0.saturating_sub(1), place.1))?;
                }
                let value = if kind.as_deref() == Some("str") { Value::NoText } else { Value::None };
                self.cell = Some(Cell { place, has_formula: false, value });
            }
            ("f", Some(cell)) => cell.has_formula = true,
            ("v", Some(cell)) if cell.value == Value::None => cell.value = Value::Begun,
            ("v" | "is", Some(cell)) => cell.value = Value::Known,
            ("col", _) => self.add_column(element)?,
            ("mergeCell", _) => self.add_merged(element)?,
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), WorkbookError> {
        match (name, &mut self.cell) {
            ("v", Some(cell)) if cell.value == Value::Begun => cell.value = Value::None,
            ("c", Some(cell)) => {
                if cell.has_formula && cell.value != Value::Known {
                    let (row, column) = cell.place;
                    self.rows.uncomputed.add(row, column)?;
                }
                self.cell = None;
            }
            _ => {}
        }
        Ok(())
    }

    /// Columns that are hidden, or as wide as nothing.
    fn add_column(&mut self, element: &BytesStart<'_>) -> Result<(), WorkbookError> {
        let number = |name: &str| attribute(element, name).and_then(|number| number.parse::<u32>().ok());
        let (Some(first), Some(last)) = (number("min"), number("max")) else { return Ok(()) };
        if is_set(element, "hidden") || is_zero(element, "width") {
            if self.rows.hidden_columns.len() >= COLUMNS_MAXIMUM as usize {
                return Err(DAMAGED);
            }
            self.rows.hidden_columns.push((first.saturating_sub(1), last.saturating_sub(1)));
        }
        Ok(())
    }

    /// The cells of a merged area but for its first.
    fn add_merged(&mut self, element: &BytesStart<'_>) -> Result<(), WorkbookError> {
        let area = attribute(element, "ref").ok_or(DAMAGED)?;
        let (first, last) = area.split_once(':').unwrap_or((&area, &area));
        let ((top, left), (bottom, right)) = place(first).zip(place(last)).ok_or(DAMAGED)?;
        let ((top, bottom), (left, right)) = ((top.min(bottom), top.max(bottom)), (left.min(right), left.max(right)));
        for column in left..=right.min(COLUMNS_MAXIMUM) {
            let first = top + u32::from(column == left);
            if first <= bottom {
                self.rows.merged.add_stretch((first, bottom), column)?;
            }
        }
        Ok(())
    }
}

fn is_set(element: &BytesStart<'_>, name: &str) -> bool {
    attribute(element, name).is_some_and(|value| matches!(value.as_str(), "1" | "true"))
}

fn is_zero(element: &BytesStart<'_>, name: &str) -> bool {
    attribute(element, name).and_then(|value| value.trim().parse().ok()).is_some_and(|value: f64| value <= 0.0)
}

/// The row, from 1, and the column, from 0, of a cell's name, as in `B7`.
fn place(name: &str) -> Option<(u32, u32)> {
    let (letters, digits) = name.split_at(name.find(|it: char| !it.is_ascii_alphabetic())?);
    let column = letters.bytes().try_fold(0_u32, |column, letter| {
        column.checked_mul(26)?.checked_add(u32::from(letter.to_ascii_uppercase() - b'A') + 1)
    })?;
    let row = digits.parse().ok().filter(|row| (1..u32::MAX).contains(row))?;
    Some((row, column.checked_sub(1)?))
}
