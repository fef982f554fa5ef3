//! The second pass: stored rows back to cells, by the same scanner that checked them.

use csv::ByteRecord;

use crate::input::text::scan::{Cells, line_break_bytes};

/// Reads the cells of a [`Chunk`](crate::input::Chunk) again, one record a row, in order; no header.
///
/// Records of every length come through, and cells as they were decoded, not trimmed. Bytes that are no UTF-8, which no
/// chunk holds, end the records.
pub(crate) fn records(delimiter: u8, text: &[u8]) -> Records<'_> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    Records { text, position: 0, cells: Cells::new(delimiter) }
}

/// What the cells of a record say.
pub(crate) type RecordCells = Vec<Box<[u8]>>;

/// The records of a text.
pub(crate) struct Records<'t> {
    text: &'t str,
    position: usize,
    cells: Cells,
}

impl Records<'_> {
    /// Reads the next record into `record`, which is empty when there is none; says whether there is one.
    pub(crate) fn read(&mut self, record: &mut ByteRecord) -> bool {
        record.clear();
        while let Ok(bytes @ 1..) = line_break_bytes(self.text, self.position, true) {
            self.position += bytes;
        }
        if self.position >= self.text.len() {
            return false;
        }
        let Ok(scanned) = self.cells.scan(self.text, self.position, true) else { return false };
        self.position = scanned.end;
        self.cells.iter(self.text).for_each(|cell| record.push_field(cell.as_bytes()));
        true
    }

    /// The records by what their cells say.
    pub(crate) fn cells(self) -> impl Iterator<Item = RecordCells> {
        self.map(|record| record.iter().map(Box::from).collect())
    }
}

impl Iterator for Records<'_> {
    type Item = ByteRecord;

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = ByteRecord::new();
        self.read(&mut record).then_some(record)
    }
}
