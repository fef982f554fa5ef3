//! An input that was read: what its rows ask for, what is wrong with them, and their text once more.

use std::sync::Arc;

use super::dialect::Dialect;
use super::error::InputError;
use super::finding::{Finding, findings};
use super::note::{Note, TagWarning};
use super::problem::Problem;
use super::spool::Spool;
use crate::model::{Requests, RowNumber};

/// A whole input, checked, or rows that were made.
pub struct Sheet {
    /// How the file is written.
    pub dialect: Dialect,
    /// The header's cells, exactly as decoded; without the columns that tagfleet added to an earlier results file.
    pub header: Vec<String>,
    /// How many rows there are, those in error included. What is no row: the header, wherever it stands again, and rows of
    /// nothing but delimiters and blanks.
    pub row_count: u32,
    /// What rows ask for: one or more requests for each row without problems (one for each of its tags and one for its value),
    /// none for the others.
    pub requests: Arc<Requests>,
    /// What is wrong with rows, in the order of rows: one or more for each row that has no request.
    pub problems: Vec<Problem>,
    /// What was undressed or skipped, and what was allowed; one for each kind.
    pub notes: Vec<Note>,
    /// At most one for each tag; the first hundred.
    pub warnings: Vec<TagWarning>,
    /// How many warnings there would have been beyond those.
    pub further_warnings: u32,
    pub(super) chunks: ChunkPlaces,
    pub(super) spool: Spool,
}

impl Sheet {
    /// Whether something is wrong with the structure of the file, so that none of its rows can be trusted.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.problems.iter().any(|problem| problem.kind.is_structural())
    }

    /// The problems in the order of lines, those of one kind together where there are many.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding<'_>> {
        findings(&self.problems)
    }

    /// Goes through the rows' text once more, from the first to the last row; calling it again begins again.
    pub fn chunks(&mut self) -> Chunks<'_> {
        Chunks { places: self.chunks.0.iter(), spool: &mut self.spool }
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
    /// The first of the rows.
    pub first_row: RowNumber,
    /// How many rows there are, at most 1,000.
    pub row_count: u32,
    /// Their text, about 64 KiB at the most unless a single record is longer; [`records`](super::records()) reads it.
    pub text: String,
}

/// The chunks of a [`Sheet`], read from its temporary file one at a time.
pub struct Chunks<'s> {
    places: std::slice::Iter<'s, ChunkPlace>,
    spool: &'s mut Spool,
}

impl Iterator for Chunks<'_> {
    type Item = Result<Chunk, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.places.next()?;
        Some(self.spool.read(place.start, place.bytes).map(|text| Chunk {
            first_row: place.first_row,
            row_count: place.row_count,
            text,
        }))
    }
}

/// Where the chunks are in the text.
#[derive(Default)]
pub(super) struct ChunkPlaces(Vec<ChunkPlace>);

struct ChunkPlace {
    start: u64,
    bytes: usize,
    first_row: RowNumber,
    row_count: u32,
}

impl ChunkPlaces {
    const ROWS: u32 = 1000;
    const BYTES: u64 = 64 * 1024;

    /// Adds the next row to the last chunk, or to a new one when that is full; its text is there in the spool.
    pub(super) fn add(&mut self, row: RowNumber, start: u64, end: u64) {
        let bytes_from = |start: u64| usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        match self.0.last_mut() {
            Some(last) if last.row_count < Self::ROWS && end - last.start <= Self::BYTES => {
                last.row_count += 1;
                last.bytes = bytes_from(last.start);
            }
            _ => {
                // A row follows a line break.
                let start = start.saturating_sub(1);
                self.0.push(ChunkPlace { start, bytes: bytes_from(start), first_row: row, row_count: 1 });
            }
        }
    }
}
