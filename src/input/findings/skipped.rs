//! Records that are no rows, whatever the file is about: they are skipped, and said once.

use std::fmt;

use crate::words::listed;

/// What was skipped so far.
#[derive(Default)]
pub(in crate::input) struct SkippedRecords {
    /// Nothing but delimiters and blanks.
    pub(in crate::input) blank: SkippedRows,
    /// The header once more, as in files that were joined.
    pub(in crate::input) repeated: SkippedRows,
}

/// Records that are no rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedRows {
    /// How many.
    pub count: u64,
    /// The physical lines on which the first of them begin, from 1.
    pub first_lines: Vec<u32>,
}

impl SkippedRows {
    pub(in crate::input) const SHOWN: usize = 5;

    pub(in crate::input) fn add(&mut self, line: u32) {
        self.count += 1;
        if self.first_lines.len() < Self::SHOWN {
            self.first_lines.push(line);
        }
    }
}

impl fmt::Display for SkippedRows {
    /// The lines, to be read after "on ".
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.first_lines.iter().map(ToString::to_string).collect();
        let more = self.count.saturating_sub(shown.len() as u64);
        formatter.write_str(if self.count == 1 { "line " } else { "lines " })?;
        formatter.write_str(&listed(&shown, more))
    }
}
