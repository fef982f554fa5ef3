//! Another list than one of orders: any columns, of which one holds the keys of its rows. It is read whole or not at all.

use std::io::{Cursor, Read};

use super::columns::bare_name;
use super::dialect::{DELIMITERS, SeparatorLine};
use super::error::InputError;
use super::excerpt::Excerpt;
use super::note::Note;
use super::scan::Cells;
use super::source::Source;
use super::text::Text;
use super::workbook::{SheetRows, is_workbook};
use crate::words::counted;

/// How much of the beginning must hold the header.
const HEADER_MAXIMUM_BYTES: usize = 256 * 1024;
/// What tells a workbook.
const SIGNATURE_BYTES: u64 = 8;
/// The most text that a list holds in memory.
const LIST_MAXIMUM_BYTES: usize = 512 * 1024 * 1024;

/// Why a list cannot be used. The caller adds the file's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] InputError),
    /// There is no record at all.
    #[error("it is empty; its first line must be a header that has the column {wanted}")]
    Empty {
        /// The column.
        wanted: Excerpt,
    },
    /// A spreadsheet's own format.
    #[error("it is a workbook, and only a list of text can be read here; save it as \"CSV UTF-8\", and name that file")]
    Workbook,
    /// It lacks the column of keys, or has it twice.
    #[error("its header has {} column {wanted}", if *is_twice { "more than one" } else { "no" })]
    KeyColumn {
        /// The column.
        wanted: Excerpt,
        /// Whether it is there twice.
        is_twice: bool,
    },
    /// A row with more or fewer cells than the header.
    #[error("line {line} has {}, and the header has {expected}", counted(*cells as u64, "cell", "cells"))]
    Ragged {
        /// The physical line, from 1.
        line: u64,
        cells: usize,
        /// Those of the header.
        expected: usize,
    },
    /// A quotation mark in the middle of a cell.
    #[error("on line {line}, text follows a closing quotation mark")]
    StrayQuote {
        /// The physical line, from 1.
        line: u64,
    },
    /// More than is held in memory.
    #[error("it holds more than 512 MiB of text")]
    TooLarge,
}

/// A list, held in memory.
#[derive(Clone, Debug)]
pub(crate) struct List {
    header: Vec<String>,
    key: usize,
    rows: Vec<ListRow>,
}

/// A row of a list.
#[derive(Clone, Debug)]
pub(crate) struct ListRow {
    /// The physical line on which it begins, from 1.
    pub line: u64,
    /// The cells, one behind the other.
    text: Box<str>,
    /// Where each of them ends.
    ends: Box<[u32]>,
}

impl ListRow {
    /// A cell as it was decoded.
    pub(crate) fn cell(&self, column: usize) -> &str {
        let start = column.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.ends.get(column).and_then(|end| self.text.get(start..*end as usize)).unwrap_or_default()
    }
}

impl List {
    /// Reads a list whose keys stand in the column of one of these names; the first that is there counts. It blocks.
    ///
    /// # Errors
    /// [`ListError`] when it cannot be read whole.
    pub(crate) fn read(mut source: impl Read, key_columns: &[&str]) -> Result<Self, ListError> {
        let mut start = Vec::new();
        source.by_ref().take(SIGNATURE_BYTES).read_to_end(&mut start).map_err(InputError::Read)?;
        if is_workbook(&start) {
            return Err(ListError::Workbook);
        }
        Self::of_text(Text::open(Cursor::new(start).chain(source), None)?, key_columns, None)
    }

    /// The same of a file that may be a workbook: then it is the worksheet of this name, or the first that can be seen. Which
    /// one it is of several is a note.
    ///
    /// # Errors
    /// As with [`Self::read`], and when there is no such worksheet.
    pub(crate) fn read_of_any_form(
        source: impl Read,
        sheet: Option<&str>,
        key_columns: &[&str],
    ) -> Result<(Self, Option<Note>), ListError> {
        let source = Source::open(source, sheet, None)?;
        let (note, rows) = source.workbook().map(|workbook| (Note::sheet(workbook), workbook.rows())).unzip();
        let list = Self::of_text(Text::open(source, None)?, key_columns, rows.as_ref())?;
        Ok((list, note.flatten()))
    }

    /// The same of a text, of which the lines are these rows where it was a worksheet.
    fn of_text(mut text: Text<impl Read>, key_columns: &[&str], rows: Option<&SheetRows>) -> Result<Self, ListError> {
        let separator_line = SeparatorLine::find(text.look_ahead(HEADER_MAXIMUM_BYTES)?.text)?;
        let named = separator_line.map(|line| {
            text.skip(line.bytes, 1);
            line.delimiter
        });
        text.skip_empty_lines()?;
        let ahead = text.look_ahead(HEADER_MAXIMUM_BYTES)?;
        let first = || Excerpt::new(key_columns.first().copied().unwrap_or_default());
        if ahead.text.is_empty() {
            return Err(ListError::Empty { wanted: first() });
        }
        let keys = |delimiter: u8, wanted: &str| {
            let mut cells = Cells::new(delimiter);
            let scanned = cells.scan(ahead.text, 0, ahead.is_whole);
            let columns =
                scanned.is_ok().then(|| cells.iter(ahead.text).filter(|cell| bare_name(cell) == wanted).count());
            columns.unwrap_or_default()
        };
        let delimiters = named.map_or(DELIMITERS.to_vec(), |named| vec![named]);
        let found = key_columns.iter().find_map(|name| {
            let wanted = bare_name(name);
            let columns = delimiters.iter().map(|delimiter| (*delimiter, keys(*delimiter, &wanted)));
            let (delimiter, count) = columns.filter(|(_, count)| *count > 0).min_by_key(|(_, count)| *count)?;
            Some((name, wanted, delimiter, count))
        });
        let (wanted, delimiter) = match found {
            Some((_, wanted, delimiter, 1)) => (wanted, delimiter),
            Some((name, ..)) => return Err(ListError::KeyColumn { wanted: Excerpt::new(name), is_twice: true }),
            None => return Err(ListError::KeyColumn { wanted: first(), is_twice: false }),
        };
        let mut cells = Cells::new(delimiter);
        text.next_record(&mut cells)?;
        let header: Vec<String> = cells.iter(text.window()).map(|cell| cell.trim().to_owned()).collect();
        let key = header.iter().position(|cell| bare_name(cell) == wanted).unwrap_or_default();
        let mut list = Self { header, key, rows: Vec::new() };
        list.read_rows(&mut text, &mut cells, rows)?;
        Ok(list)
    }

    fn read_rows<R: Read>(
        &mut self,
        text: &mut Text<R>,
        cells: &mut Cells,
        rows: Option<&SheetRows>,
    ) -> Result<(), ListError> {
        let mut bytes = 0;
        while let Some(place) = text.next_record(cells)? {
            let line = u64::from(place.first_line);
            let line = rows.map_or(line, |rows| rows.row(line));
            if cells.stray_quote().is_some() {
                return Err(ListError::StrayQuote { line });
            }
            let expected = self.header.len();
            // A worksheet does not hold the empty cells at the end of a row.
            if cells.count() > expected || (rows.is_none() && cells.count() < expected) {
                return Err(ListError::Ragged { line, cells: cells.count(), expected });
            }
            let (mut row, mut ends) = (String::new(), Vec::with_capacity(expected));
            for cell in cells.iter(text.window()) {
                row.push_str(cell);
                ends.push(u32::try_from(row.len()).unwrap_or(u32::MAX));
            }
            ends.resize(expected, ends.last().copied().unwrap_or_default());
            bytes += row.len() + ends.len() * size_of::<u32>() + size_of::<ListRow>();
            if bytes > LIST_MAXIMUM_BYTES {
                return Err(ListError::TooLarge);
            }
            self.rows.push(ListRow { line, text: row.into(), ends: ends.into() });
        }
        Ok(())
    }

    /// The names of its columns.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// Which column holds the keys.
    pub(crate) const fn key(&self) -> usize {
        self.key
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &ListRow> {
        self.rows.iter()
    }

    /// The row at this place, from 0.
    pub(crate) fn row(&self, place: usize) -> Option<&ListRow> {
        self.rows.get(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<List, String> {
        List::read(text.as_bytes(), &["Name", "Host"]).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_is_read_whole_in_any_dialect() {
        for text in [
            "Owner,Name,Dept\nx,ber-1,Sales\ny,ber-2,\"a, b\"\n",
            "sep=;\r\nOwner;name;Dept\r\nx;ber-1;Sales\r\ny;ber-2;a, b",
            "\u{feff}Owner\tN A M E\tDept\nx\tber-1\tSales\n\ny\tber-2\ta, b\n",
        ] {
            let list = list(text).expect(text);
            let rows: Vec<_> = list.rows().map(|row| (row.cell(list.key()), row.cell(2), row.cell(3))).collect();
            assert_eq!(rows, [("ber-1", "Sales", ""), ("ber-2", "a, b", "")], "{text}");
        }
        assert_eq!(list("Name\n").expect("no row").rows().count(), 0);
        for (text, key) in [("Host;Name\n", 1), ("Owner;Host\n", 1), ("host,Owner\n", 0), ("Host,Host,name\n", 2)] {
            assert_eq!(list(text).expect(text).key(), key, "{text}");
        }
    }

    #[test]
    fn a_list_that_is_not_whole_is_none() {
        let told = [
            "",
            "\n\n",
            "PK\u{3}\u{4}xl",
            "Owner,Dept\nx,y\n",
            "Name,name\na,b\n",
            "Host,HOST\na,b\n",
            "Name,Dept\na,b\nc\n",
            "Name,Dept\na,b,c\n",
            "Name,Dept\n\"a,b\n",
        ]
        .map(|text| list(text).expect_err(text));
        insta::assert_snapshot!(told.join("\n"), @r#"
        it is empty; its first line must be a header that has the column Name
        it is empty; its first line must be a header that has the column Name
        it is a workbook, and only a list of text can be read here; save it as "CSV UTF-8", and name that file
        its header has no column Name
        its header has more than one column Name
        its header has more than one column Host
        line 3 has 1 cell, and the header has 2
        line 2 has 3 cells, and the header has 2
        the quotation mark opened on line 2 is never closed, which makes the rest of the input one cell; close it, or write it twice inside a quoted cell
        "#);
    }
}
