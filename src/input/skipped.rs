//! Records that are no rows, whatever the file is about: they are skipped, and said once.

use std::io::Read;

use super::columns::{repeats, repeats_name};
use super::note::SkippedRows;
use super::record::Record;

/// What was skipped so far.
#[derive(Default)]
pub(super) struct SkippedRecords {
    /// Nothing but delimiters and blanks.
    pub(super) blank: SkippedRows,
    /// The header once more, as in files that were joined.
    pub(super) repeated: SkippedRows,
}

impl SkippedRecords {
    /// Whether a record is to be skipped, by the cell of its machine's column and that column's name; then it is counted.
    pub(super) fn takes<R: Read>(
        &mut self,
        record: &Record<'_, R>,
        machine: &str,
        column: &str,
        header: &[String],
    ) -> bool {
        let line = record.place.first_line;
        if record.cells.stray_quote().is_some() {
            return false;
        }
        if machine.is_empty() && record.cells().all(|cell| cell.trim().is_empty()) {
            self.blank.add(line);
            return true;
        }
        let is_repeated = repeats_name(machine, column) && repeats(header, record.cells());
        if is_repeated {
            self.repeated.add(line);
        }
        is_repeated
    }
}
