//! A results file, by the names of its columns.

use std::ops::Index;

/// The columns that results add to those of the input.
pub(crate) const ADDED_COLUMNS: [&str; 11] = [
    "row",
    "status",
    "http_status",
    "error_code",
    "error_message",
    "attempts",
    "request_id",
    "before",
    "after",
    "finished_at",
    "run_id",
];

/// A CSV file that was read.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The names of the columns.
    pub(crate) header: Vec<String>,
    /// The cells, row by row.
    pub(crate) rows: Vec<Row>,
}

/// A row of a [`Table`]; its cells are found by the names of their columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row(Vec<(String, String)>);

impl Table {
    /// Reads a file that must be UTF-8; a byte order mark becomes part of the first name.
    #[track_caller]
    pub(crate) fn read(bytes: &[u8], delimiter: char) -> Self {
        let delimiter = u8::try_from(delimiter).expect("ASCII");
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(bytes);
        let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
        let rows = reader.records().map(|record| {
            let record = record.expect("a record of as many cells as the header has");
            Row(header.iter().cloned().zip(record.iter().map(str::to_owned)).collect())
        });
        Self { rows: rows.collect(), header: header.clone() }
    }

    /// All cells of one column.
    #[track_caller]
    pub(crate) fn column(&self, name: &str) -> Vec<&str> {
        self.rows.iter().map(|row| &row[name]).collect()
    }
}

impl Index<&str> for Row {
    type Output = str;

    #[track_caller]
    fn index(&self, name: &str) -> &str {
        match self.0.iter().find(|(column, _)| column == name) {
            Some((_, cell)) => cell,
            None => panic!("there is no column {name:?} in {:?}", self.0),
        }
    }
}
