//! What is to be known of a sheet's rows and columns beside their text.

use super::error::WorkbookError;

/// The most rows and columns of a sheet, by its format.
pub(super) const ROWS_MAXIMUM: u32 = 1_048_576;
pub(super) const COLUMNS_MAXIMUM: u32 = 16_384;

/// The most stretches of cells that are held, each of eight bytes. A million rows that each have some are few of them.
const STRETCHES_MAXIMUM: usize = 8 * 1024 * 1024;

/// What is to be known of a sheet's rows and columns beside their text. Rows count from 1, columns from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::input) struct SheetRows {
    /// The rows that a spreadsheet does not show, in ascending order.
    pub(super) hidden: Vec<u32>,
    /// The columns that it does not show, from the first to the last of each stretch.
    pub(super) hidden_columns: Vec<(u32, u32)>,
    /// The cells that show something other than their text.
    pub(super) shown_otherwise: Cells,
    /// The cells with a formula whose value was never computed.
    pub(super) uncomputed: Cells,
    /// The cells of merged areas, but for the first of each, which is what the area shows.
    pub(super) merged: Cells,
    /// The cells that hold the error of a formula and say where they stand, by row and column from 0, in the order of the
    /// sheet; until its cells are read.
    pub(super) errors: Vec<(u32, u32)>,
}

impl SheetRows {
    /// Adds a cell that holds the error of a formula.
    pub(super) fn add_error(&mut self, (row, column): (u32, u32)) -> Result<(), WorkbookError> {
        if self.errors.len() >= STRETCHES_MAXIMUM {
            return Err(WorkbookError::TooLarge);
        }
        self.errors.push((row, column));
        Ok(())
    }

    /// Whether a spreadsheet does not show a row.
    pub(in crate::input) fn hides(&self, row: u32) -> bool {
        self.hidden.binary_search(&row).is_ok()
    }

    /// Whether it does not show a column.
    pub(in crate::input) fn hides_column(&self, column: usize) -> bool {
        self.hidden_columns.iter().any(|(first, last)| (*first as usize..=*last as usize).contains(&column))
    }

    /// Whether a cell shows something other than its text.
    pub(in crate::input) fn shows_otherwise(&self, row: u32, column: usize) -> bool {
        self.shown_otherwise.has(row, column)
    }

    /// Whether a cell holds a formula that shows something once it is computed, and nobody knows what.
    pub(in crate::input) fn is_uncomputed(&self, row: u32, column: usize) -> bool {
        self.uncomputed.has(row, column)
    }

    /// Whether one of a row's cells holds such a formula.
    pub(in crate::input) fn has_uncomputed(&self, row: u32) -> bool {
        (0..self.uncomputed.columns.len()).any(|column| self.is_uncomputed(row, column))
    }

    /// Whether a merged area covers a cell, which shows what the area's first cell holds.
    pub(in crate::input) fn is_merged(&self, row: u32, column: usize) -> bool {
        self.merged.has(row, column)
    }
}

/// Some cells of a sheet: of each column the rows, from the first to the last of each stretch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cells {
    columns: Vec<Vec<(u32, u32)>>,
    count: usize,
}

impl Cells {
    fn has(&self, row: u32, column: usize) -> bool {
        let stretches = self.columns.get(column).map(Vec::as_slice).unwrap_or_default();
        let position = stretches.partition_point(|(_, last)| *last < row);
        stretches.get(position).is_some_and(|(first, _)| *first <= row)
    }

    /// Adds a cell; rows come in their order.
    pub(super) fn add(&mut self, row: u32, column: u32) -> Result<(), WorkbookError> {
        self.add_stretch((row, row), column)
    }

    /// Adds a stretch of a column. Such as do not come in their order must be [put into it](Self::sort).
    pub(super) fn add_stretch(&mut self, (first, last): (u32, u32), column: u32) -> Result<(), WorkbookError> {
        if last > ROWS_MAXIMUM || column >= COLUMNS_MAXIMUM {
            return Err(WorkbookError::Damaged(None));
        }
        let column = column as usize;
        if self.columns.len() <= column {
            self.columns.resize_with(column + 1, Vec::new);
        }
        let Some(stretches) = self.columns.get_mut(column) else { return Ok(()) };
        match stretches.last_mut() {
            Some((_, end)) if *end + 1 == first => *end = last,
            _ => {
                self.count += 1;
                if self.count > STRETCHES_MAXIMUM {
                    return Err(WorkbookError::TooLarge);
                }
                stretches.push((first, last));
            }
        }
        Ok(())
    }

    /// Puts stretches into their order, those that overlap as one.
    pub(super) fn sort(&mut self) {
        for stretches in &mut self.columns {
            stretches.sort_unstable();
            stretches.dedup_by(|next, known| {
                let overlaps = next.0 <= known.1;
                known.1 = known.1.max(if overlaps { next.1 } else { 0 });
                overlaps
            });
        }
    }
}
