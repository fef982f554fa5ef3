//! Rows that stand in no file: those that take a run back, for example.

use std::path::Path;
use std::sync::Arc;

use encoding_rs::UTF_8;
use foldhash::fast::RandomState;
use indexmap::IndexSet;

use super::mentions::Mentions;
use super::spool::SpoolWriter;
use super::{ChunkPlaces, Sheet};
use crate::input::findings::error::InputError;
use crate::input::structure::dialect::Dialect;
use crate::input::structure::record::next_row;
use crate::model::{Change, MachineReference, Request, Requests, RowNumber, Tag, TagNumber};

const DELIMITER: u8 = b',';

/// Makes a sheet row by row. Each row brings the cells that results repeat, and then what it asks for; nothing of it is
/// checked, since whoever makes rows knows what they mean.
pub(crate) struct SheetWriter {
    header: Vec<String>,
    row_count: u32,
    spool: SpoolWriter,
    chunks: ChunkPlaces,
    mentions: Mentions,
    tags: IndexSet<Tag, RandomState>,
    requests: Vec<Request>,
    exchanges: Vec<u32>,
}

impl SheetWriter {
    /// A sheet of these columns. What is larger than 1 MiB of its rows is kept in a temporary file, in this directory or the
    /// system's.
    pub(crate) fn new(header: &[&str], spool_directory: Option<&Path>) -> Self {
        Self {
            header: header.iter().map(|name| (*name).to_owned()).collect(),
            row_count: 0,
            spool: SpoolWriter::new(spool_directory),
            chunks: ChunkPlaces::default(),
            mentions: Mentions::default(),
            tags: IndexSet::default(),
            requests: Vec::new(),
            exchanges: Vec::new(),
        }
    }

    /// Begins the next row, of which results repeat these cells.
    ///
    /// # Errors
    /// [`InputError`] when there is no room for it.
    pub(crate) fn begin_row(&mut self, cells: &[&str]) -> Result<(), InputError> {
        self.row_count = next_row(self.row_count)?.0;
        let start = self.spool.write(&record(cells))?;
        self.chunks.add(RowNumber(self.row_count), start, self.spool.end());
        Ok(())
    }

    /// Lets the last row ask for a change; for as many as it likes.
    pub(crate) fn ask(&mut self, machine: MachineReference, change: &Change) {
        let change = match change {
            Change::Tag(action, tag) => Change::Tag(*action, self.tag_number(tag)),
            Change::DeviceValue(value) => Change::DeviceValue(*value),
        };
        let (row, machine) = (RowNumber(self.row_count), self.mentions.add_unless_last(machine));
        // As in a file: the header stands on the first line.
        self.requests.push(Request { row, line: self.row_count + 1, machine, change });
    }

    /// The same of a tag that goes only to make room for another: no guard counts it as removed.
    pub(crate) fn ask_in_exchange(&mut self, machine: MachineReference, change: &Change) {
        self.exchanges.push(u32::try_from(self.requests.len()).unwrap_or(u32::MAX));
        self.ask(machine, change);
    }

    fn tag_number(&mut self, tag: &Tag) -> TagNumber {
        let position = self.tags.get_index_of(tag).unwrap_or_else(|| self.tags.insert_full(tag.clone()).0);
        TagNumber(u32::try_from(position).unwrap_or(u32::MAX))
    }

    /// The sheet.
    ///
    /// # Errors
    /// [`InputError`] when its rows cannot be kept.
    pub(crate) fn finish(mut self) -> Result<Sheet, InputError> {
        let spool = self.spool.finish()?;
        let machines = self.mentions.finish(&mut self.requests);
        let tags = self.tags.into_iter().collect();
        Ok(Sheet {
            dialect: Dialect { encoding: UTF_8, byte_order_mark: false, delimiter: DELIMITER, separator_line: false },
            header: self.header,
            row_count: self.row_count,
            selected_from: None,
            requests: Arc::new(Requests {
                machines,
                tags,
                all: self.requests,
                unmade_adds: Vec::new(),
                exchanges: self.exchanges,
            }),
            problems: Vec::new(),
            notes: Vec::new(),
            warnings: Vec::new(),
            further_warnings: 0,
            machine_columns: Vec::new(),
            chunks: self.chunks,
            spool,
        })
    }
}

/// A record as CSV has it (RFC 4180). One that would be nothing is quoted, or it would be a blank line.
fn record(cells: &[&str]) -> String {
    let mut record = String::new();
    let is_blank = cells.iter().all(|cell| cell.is_empty());
    for (position, cell) in cells.iter().enumerate() {
        if position > 0 {
            record.push(char::from(DELIMITER));
        }
        if is_blank || cell.contains([char::from(DELIMITER), '"', '\n', '\r']) {
            record.push('"');
            record.push_str(&cell.replace('"', "\"\""));
            record.push('"');
        } else {
            record.push_str(cell);
        }
    }
    record.push('\n');
    record
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::input::records;
    use crate::model::{DeviceValue, MachineId, ReferenceNumber, TagAction};

    #[test]
    fn what_rows_ask_for_is_held_once_each_in_the_order_of_rows() {
        let machine = |name: &str| MachineReference::Id(MachineId::from_service(name));
        let add = |tag: &str| Change::Tag(TagAction::Add, Tag::new(tag).expect("a tag"));
        let mut writer = SheetWriter::new(&["machineId"], None);
        for (name, changes) in [
            ("a", vec![add("x"), Change::DeviceValue(DeviceValue::Low)]),
            ("b", vec![]),
            ("a", vec![add("y"), add("x")]),
        ] {
            writer.begin_row(&[name]).expect("room");
            for change in &changes {
                writer.ask(machine(name), change);
            }
        }
        let sheet = writer.finish().expect("a sheet");
        let Requests { machines, tags, all, .. } = &*sheet.requests;
        assert_eq!((machines.as_slice(), sheet.row_count), (&[machine("a")][..], 3));
        assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["x", "y"]);
        let tag = |number| Change::Tag(TagAction::Add, TagNumber(number));
        let expected = [(1, tag(0)), (1, Change::DeviceValue(DeviceValue::Low)), (3, tag(1)), (3, tag(0))];
        let found: Vec<_> = all.iter().map(|request| (request.row.0, request.change)).collect();
        assert_eq!(found, expected);
        assert!(all.iter().all(|request| request.machine == ReferenceNumber(0) && request.line == request.row.0 + 1));
    }

    #[test]
    fn a_row_of_nothing_is_no_blank_line() {
        assert_eq!([record(&[""]), record(&["", "a"])], ["\"\"\n", ",a\n"]);
    }

    proptest! {
        #[test]
        fn results_repeat_whatever_cells_a_row_has(
            rows in proptest::collection::vec(proptest::collection::vec("[ab,\"\n\r\u{feff}; é]{0,6}", 3), 1..40),
        ) {
            let mut writer = SheetWriter::new(&["one", "two", "three"], None);
            for cells in &rows {
                writer.begin_row(&cells.iter().map(String::as_str).collect::<Vec<_>>()).expect("room");
            }
            let mut sheet = writer.finish().expect("a sheet");
            let mut found = Vec::new();
            for chunk in sheet.chunks() {
                let chunk = chunk.expect("a chunk");
                let text = |cell: &[u8]| String::from_utf8(cell.to_vec()).expect("UTF-8");
                found.extend(records(DELIMITER, chunk.text.as_bytes()).map(|row| row.iter().map(text).collect::<Vec<_>>()));
            }
            prop_assert_eq!(found, rows);
        }
    }
}
