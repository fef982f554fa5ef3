//! Files that stand where results are to be put: are they ours, and of which run?

use crate::input::RESULT_COLUMNS;
use crate::report::{ExistingFile, existing_file_at, run_id};

/// Looks at what a file holds.
pub(super) fn results(data: &[u8]) {
    for columns in [&RESULT_COLUMNS[..], &["row", "run_id"]] {
        let ExistingFile::Ours { last_cell: Some(cell) } = existing_file_at(data, columns) else { continue };
        if let Some(run) = run_id(cell) {
            assert!(!run.is_empty() && !run.contains(['/', '\\', '.', '\0']), "{run:?} is a part of a name");
        }
    }
}
