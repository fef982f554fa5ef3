//! An input that was read: what its rows ask for, what is wrong with them, and their text once more.
//!
//! The text waits in a [`spool`] for the second pass, which finds its cells again ([`records`]). Machines are held once each
//! ([`mentions`]); which column names them may be decided late ([`rivals`]). A [`writer`] makes a sheet of rows that stand
//! in no file. Long lists take room by steps of their own ([`growing`]).

pub(super) mod growing;
pub(super) mod mentions;
pub(super) mod records;
pub(super) mod rivals;
pub(super) mod spool;
pub(super) mod writer;

use std::sync::Arc;

use self::growing::make_room;
use self::spool::Spool;
use crate::input::findings::error::InputError;
use crate::input::findings::finding::{Finding, findings};
use crate::input::findings::note::{Note, TagWarning};
use crate::input::findings::problem::Problem;
use crate::input::structure::columns::Column;
use crate::input::structure::dialect::Dialect;
use crate::model::{Requests, RowNumber};

/// A whole input, checked, or rows that were made.
pub struct Sheet {
    /// How the file is written.
    pub dialect: Dialect,
    /// The header's cells, exactly as decoded; without the columns that tagfleet added to an earlier results file.
    pub header: Vec<String>,
    /// How many rows there are, those in error included. What is no row: the header, wherever it stands again, rows of
    /// nothing but delimiters and blanks, and what a filter does not select.
    pub row_count: u32,
    /// How many rows the file has, where a filter selects among them.
    pub selected_from: Option<u32>,
    /// What rows ask for: one or more requests for each row without problems (one for each of its tags and one for its value),
    /// none for the others.
    pub requests: Arc<Requests>,
    /// What is wrong with rows, in the order of rows: one or more for each row that has no request.
    pub problems: Vec<Problem>,
    /// What was stripped or skipped, and what was allowed; one for each kind.
    pub notes: Vec<Note>,
    /// At most one for each tag; the first hundred.
    pub warnings: Vec<TagWarning>,
    /// How many warnings there would have been beyond those.
    pub further_warnings: u32,
    /// Where the machines' column holds GUIDs, it and the other columns of ids, by rank; none otherwise.
    pub(super) machine_columns: Vec<Column>,
    pub(super) chunks: ChunkPlaces,
    pub(in crate::input) spool: Spool,
}

impl Sheet {
    /// Whether something is wrong with the structure of the file, so that none of its rows can be trusted.
    pub fn is_refused(&self) -> bool {
        self.problems.iter().any(|problem| problem.kind.is_structural())
    }

    /// The problems in the order of lines, those of one kind together where there are many.
    pub fn findings(&self) -> Vec<Finding<'_>> {
        findings(&self.problems)
    }

    /// The numbers that the rows have in the file, in their order.
    pub fn row_numbers(&self) -> impl Iterator<Item = RowNumber> {
        (1..=self.row_count)
            .map(|place| self.chunks.numbers.get(place as usize - 1).copied().unwrap_or(RowNumber(place)))
    }

    /// The place of a row among those that there are, from 1.
    pub fn place(&self, row: RowNumber) -> u32 {
        match self.chunks.numbers.partition_point(|number| *number <= row) {
            _ if self.chunks.numbers.is_empty() => row.0,
            place => u32::try_from(place).unwrap_or(u32::MAX),
        }
    }

    /// Goes through the rows' text once more, from the first to the last row; calling it again begins again.
    pub fn chunks(&mut self) -> Chunks<'_> {
        let ChunkPlaces { places, numbers } = &self.chunks;
        Chunks { places: places.iter(), numbers, spool: &mut self.spool }
    }
}

impl std::fmt::Debug for Sheet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sheet")
            .field("dialect", &self.dialect)
            .field("header", &self.header)
            .field("row_count", &self.row_count)
            .field("requests", &self.requests)
            .field("problems", &self.problems.len())
            .finish_non_exhaustive()
    }
}

/// Some rows as they were written: whole records in the file's delimiter, decoded.
///
/// The text begins with the last byte of the line break before its first record. Without it the `csv` crate would take a
/// first cell that begins with U+FEFF for one with a byte order mark, and drop the character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The place of the first of the rows, from 1: their number, unless [`numbers`](Self::numbers) has others.
    pub first_row: RowNumber,
    /// How many rows there are, at most 1,000.
    pub row_count: u32,
    /// The numbers that they have in the file, where a filter selects among its rows; none otherwise.
    pub numbers: Vec<u32>,
    /// Their text, about 64 KiB at the most unless a single record is longer; [`records`](crate::input::records()) reads it.
    pub text: String,
}

/// The chunks of a [`Sheet`], read from its temporary file one at a time.
pub struct Chunks<'s> {
    places: std::slice::Iter<'s, ChunkPlace>,
    numbers: &'s [RowNumber],
    spool: &'s mut Spool,
}

impl Iterator for Chunks<'_> {
    type Item = Result<Chunk, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.places.next()?;
        let numbers = self.numbers.get(place.first_row.0 as usize - 1..).unwrap_or_default();
        let numbers = numbers.iter().take(place.row_count as usize).map(|number| number.0).collect();
        Some(self.spool.read(place.start, place.bytes).map(|text| Chunk {
            first_row: place.first_row,
            row_count: place.row_count,
            numbers,
            text,
        }))
    }
}

/// Where the chunks are in the text.
#[derive(Default)]
pub(super) struct ChunkPlaces {
    places: Vec<ChunkPlace>,
    /// For each row its number in the file, where a filter selects among them.
    numbers: Vec<RowNumber>,
}

struct ChunkPlace {
    start: u64,
    bytes: usize,
    first_row: RowNumber,
    row_count: u32,
}

impl ChunkPlaces {
    const ROWS: u32 = 1000;
    const BYTES: u64 = 64 * 1024;

    /// Adds a row that a filter selects, with its number in the file.
    pub(super) fn add_selected(&mut self, row: RowNumber, start: u64, end: u64) {
        make_room(&mut self.numbers);
        self.numbers.push(row);
        self.add(RowNumber(u32::try_from(self.numbers.len()).unwrap_or(u32::MAX)), start, end);
    }

    /// Adds the next row to the last chunk, or to a new one when that is full; its text is there in the spool.
    pub(super) fn add(&mut self, row: RowNumber, start: u64, end: u64) {
        let bytes_from = |start: u64| usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        match self.places.last_mut() {
            Some(last) if last.row_count < Self::ROWS && end - last.start <= Self::BYTES => {
                last.row_count += 1;
                last.bytes = bytes_from(last.start);
            }
            _ => {
                // A row follows a line break.
                let start = start.saturating_sub(1);
                self.places.push(ChunkPlace { start, bytes: bytes_from(start), first_row: row, row_count: 1 });
            }
        }
    }
}
