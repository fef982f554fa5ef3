//! Another list than one of orders: machines, each with one row, and any columns beside. It is read as files of orders are,
//! by the same reader of records and of machines, and whole or not at all.

use std::collections::HashMap;
use std::io::Read;

use encoding_rs::Encoding;

use crate::filter::ListForm;
use crate::input::cells::check::Field;
use crate::input::cells::machine;
use crate::input::findings::accept::{Accepted, Doubt};
use crate::input::findings::error::InputError;
use crate::input::findings::excerpt::Excerpt;
use crate::input::findings::finding::{Finding, findings};
use crate::input::findings::note::{self, DecorationCounts, Note};
use crate::input::findings::problem::{KeyKind, Problem, ProblemKind};
use crate::input::findings::skipped::{SkippedRecords, SkippedRows};
use crate::input::structure::columns::{Columns, Needed};
use crate::input::structure::header::list_form;
use crate::input::structure::opening::Opening;
use crate::input::structure::record::{Record, may_begin_blank, next_row, trim};
use crate::input::structure::record_fault::{Expected, column_name, hidden_columns, shown_otherwise};
use crate::input::text::Text;
use crate::input::text::scan::Cells;
use crate::input::text::source::Source;
use crate::input::workbook::SheetRows;
use crate::model::{MachineReference, RowNumber};

/// The most text that a list holds in memory.
const LIST_MAXIMUM_BYTES: usize = 512 * 1024 * 1024;

/// How a list is to be read.
#[derive(Clone, Debug)]
pub(crate) struct ListOptions<'o> {
    /// The names that the column of keys may have; the first that is there counts.
    pub key_columns: &'o [&'o str],
    /// What it holds.
    pub key: KeyKind,
    /// Whether columns of machines' tags are read as lists.
    pub has_tags: bool,
    /// The worksheet that is meant of a workbook; `None` is the first that can be seen.
    pub sheet: Option<&'o str>,
    /// The encoding that the user named.
    pub encoding: Option<&'static Encoding>,
    /// What the user allows although it is doubtful.
    pub accepted: Accepted,
}

#[cfg(test)]
impl ListOptions<'static> {
    /// Of lists with the machines' names in the column `Name`.
    pub(in crate::input) const OF_NAMES: Self = Self {
        key_columns: &["Name"],
        key: KeyKind::Machine,
        has_tags: false,
        sheet: None,
        encoding: None,
        accepted: Accepted::NONE,
    };
}

/// Why a list cannot be used. The caller adds the file's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(InputError),
    /// There is no record at all.
    #[error("it is empty; its first line must be a header that has the column {wanted}")]
    Empty {
        /// The column.
        wanted: Excerpt,
    },
    /// Rows that are wrong, or doubtful and not allowed.
    #[error("{}", joined(&findings(.0)))]
    Rows(Vec<Problem>),
    /// More than is held in memory.
    #[error("it holds more than 512 MiB of text")]
    TooLarge,
}

/// What says how a list is to be read that cannot be read otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListRemedy {
    /// The name of its encoding.
    Encoding,
    /// That a doubt is allowed.
    Accept(Doubt),
}

impl ListError {
    /// What is wrong with its rows, many of one kind as one.
    #[must_use]
    pub(crate) fn findings(&self) -> Vec<Finding<'_>> {
        if let Self::Rows(problems) = self { findings(problems) } else { Vec::new() }
    }

    /// What would help, beside another file.
    #[must_use]
    pub(crate) fn remedy(&self) -> Option<ListRemedy> {
        match self {
            Self::Unreadable(
                InputError::Undecodable { is_marked: false, .. } | InputError::Utf16WithoutMark { .. },
            ) => Some(ListRemedy::Encoding),
            Self::Unreadable(error) => error.doubt().map(ListRemedy::Accept),
            // Each finding says so itself.
            Self::Rows(_) | Self::Empty { .. } | Self::TooLarge => None,
        }
    }
}

fn joined(findings: &[Finding<'_>]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A list, held in memory.
#[derive(Clone, Debug)]
pub(crate) struct List {
    header: Vec<String>,
    rows: Vec<ListRow>,
    row_count: u64,
    notes: Vec<Note>,
    /// Of a workbook, what it shows otherwise.
    sheet: Option<SheetRows>,
}

/// A row of a list.
#[derive(Clone, Debug)]
pub(crate) struct ListRow {
    /// The physical line on which it begins, from 1.
    pub line: u32,
    /// Whose it is; a name is in lower case.
    pub machine: MachineReference,
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
    /// Reads a list: a text, or a worksheet of a workbook. It blocks.
    ///
    /// # Errors
    /// [`ListError`] when it cannot be read whole, or a row of it is wrong.
    pub(crate) fn read(source: impl Read, options: &ListOptions<'_>) -> Result<Self, ListError> {
        let unreadable = |error: InputError| match error {
            InputError::Empty => {
                ListError::Empty { wanted: Excerpt::new(options.key_columns.first().copied().unwrap_or_default()) }
            }
            error => ListError::Unreadable(error),
        };
        let source = Source::open(source, options.sheet, None).map_err(unreadable)?;
        let (of_workbook, sheet) = source.workbook().map(|workbook| (Note::sheet(workbook), workbook.rows())).unzip();
        let encoding = options.encoding.filter(|_| sheet.is_none());
        let lines = source.lines();
        let mut text = Text::open(source, encoding, lines).map_err(unreadable)?;
        let needed = Needed::Key(options.key_columns);
        let opening = Opening::read(&mut text, options.accepted, needed).map_err(unreadable)?;
        let mut cells = Cells::new(opening.dialect.delimiter);
        let mut rows = ListReading::new(opening, options);
        rows.notes.extend(hidden_columns(sheet.as_ref(), &rows.columns, &rows.header, &[]));
        loop {
            match text.next_record(&mut cells) {
                Ok(Some(place)) => rows.take(&Record { place, cells: &cells, text: &text, sheet: sheet.as_ref() })?,
                Ok(None) => break,
                Err(InputError::UnclosedQuote { line: opened }) => {
                    rows.take_open_end(text.line(), opened)?;
                    break;
                }
                Err(error) => return Err(unreadable(error)),
            }
        }
        let mut list = rows.finish()?;
        list.notes.extend(of_workbook.flatten());
        list.sheet = sheet;
        Ok(list)
    }

    /// What is wrong with the first cell of a column that a workbook shows otherwise than as the text that is read of it.
    pub(crate) fn shown_otherwise(&self, column: usize) -> Option<String> {
        let sheet = self.sheet.as_ref()?;
        let name = Excerpt::new(self.header.get(column)?);
        self.rows.iter().find_map(|row| {
            let kind = shown_otherwise(sheet, row.line, column, row.cell(column))?;
            Some(format!("line {}, column \"{name}\": {kind}", row.line))
        })
    }

    /// The names of its columns.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// Its rows, but for those that name no machine.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &ListRow> {
        self.rows.iter()
    }

    /// The row at this place among them, from 0.
    pub(crate) fn row(&self, place: usize) -> Option<&ListRow> {
        self.rows.get(place)
    }

    /// How many rows the file has, with those that name no machine.
    #[must_use]
    pub(crate) const fn row_count(&self) -> u64 {
        self.row_count
    }

    /// What was skipped, or read without what stood around it.
    #[must_use]
    pub(crate) fn notes(&self) -> &[Note] {
        &self.notes
    }
}

/// What has been found so far.
struct ListReading<'o> {
    options: &'o ListOptions<'o>,
    header: Vec<String>,
    delimiter: u8,
    columns: Columns,
    /// The columns whose cells are to be lists in JSON.
    lists: Vec<usize>,
    notes: Vec<Note>,
    kept: Vec<ListRow>,
    problems: Vec<Problem>,
    row_count: u32,
    bytes: usize,
    skipped: SkippedRecords,
    keyless: SkippedRows,
    decoration_counts: DecorationCounts,
    allowed: HashMap<Doubt, u64>,
    /// The line of every key.
    keys: HashMap<MachineReference, u32>,
}

impl<'o> ListReading<'o> {
    fn new(opening: Opening, options: &'o ListOptions<'o>) -> Self {
        let Opening { dialect, header, columns, notes } = opening;
        let is_list = |name: &String| options.has_tags && list_form(name) == Some(ListForm::Json);
        Self {
            options,
            lists: header.iter().enumerate().filter(|(_, name)| is_list(name)).map(|(position, _)| position).collect(),
            header,
            delimiter: dialect.delimiter,
            columns,
            notes,
            kept: Vec::new(),
            problems: Vec::new(),
            row_count: 0,
            bytes: 0,
            skipped: SkippedRecords::default(),
            keyless: SkippedRows::default(),
            decoration_counts: DecorationCounts::default(),
            allowed: HashMap::new(),
            keys: HashMap::new(),
        }
    }

    fn take<R: Read>(&mut self, record: &Record<'_, R>) -> Result<(), ListError> {
        let cell = record.cell(self.columns.machine.position).trim_ascii();
        if record.is_skipped(trim(cell), &self.columns.machine.name, &self.header, &mut self.skipped) {
            return Ok(());
        }
        self.row_count = next_row(self.row_count).map_err(ListError::Unreadable)?.0;
        let line = record.place.first_line;
        let faults_before = self.problems.len();
        let is_readable = self.check_record(record, cell, line);
        let other = record.sheet.and_then(|it| shown_otherwise(it, line, self.columns.machine.position, cell));
        let machine = match other {
            _ if !is_readable => None,
            Some(kind) => {
                self.report(line, Field::Machine, kind);
                None
            }
            None => self.key(cell, line),
        };
        if is_readable {
            self.check_lists(record, line);
        }
        match machine {
            Some(machine) if self.problems.len() == faults_before => self.keep(record, line, machine),
            _ => Ok(()),
        }
    }

    /// The rest of the file is one cell: a row that nobody can read.
    fn take_open_end(&mut self, line: u64, opened: u64) -> Result<(), ListError> {
        let number = |line: u64| u32::try_from(line).unwrap_or(u32::MAX);
        self.row_count = next_row(self.row_count).map_err(ListError::Unreadable)?.0;
        self.report(number(line), Field::Row, ProblemKind::UnclosedQuote { opened: number(opened) });
        Ok(())
    }

    /// Whether the record's cells can be believed. What is wrong with it as such is reported.
    fn check_record<R: Read>(&mut self, record: &Record<'_, R>, cell: &str, line: u32) -> bool {
        let has_blanks = record.cells().any(may_begin_blank);
        let expected =
            Expected { columns: &self.columns, delimiter: char::from(self.delimiter), accepted: self.options.accepted };
        let fault = expected.fault_of(record, cell, has_blanks, &mut self.allowed);
        let fault = fault.or_else(|| expected.sheet_fault(record, &[], &mut self.allowed));
        let Some((field, kind)) = fault else { return true };
        // A row that may be meant so leaves its cells what they say.
        let is_readable = field == Field::Row && kind.doubt().is_some();
        self.report(line, field, kind);
        is_readable
    }

    /// Whose a row is; of one that is nobody's, or not a machine's, it is counted or said.
    fn key(&mut self, cell: &str, line: u32) -> Option<MachineReference> {
        let wanted = self.options.key;
        let (machine, decorations) = match machine::read(cell) {
            Ok(read) => read,
            Err(kind) if self.is_keyless(&kind) => {
                self.keyless.add(line);
                return None;
            }
            Err(ProblemKind::MachineAddress { found }) => {
                self.report(line, Field::Machine, ProblemKind::OtherKey { found, wanted });
                return None;
            }
            Err(kind) => {
                self.report(line, Field::Machine, kind);
                return None;
            }
        };
        let machine = match (wanted, machine) {
            (KeyKind::Machine, MachineReference::Name(name)) => {
                MachineReference::Name(name.to_ascii_lowercase().into())
            }
            (KeyKind::Machine, machine)
            | (KeyKind::Id, machine @ MachineReference::Id(_))
            | (KeyKind::EntraDevice, machine @ MachineReference::Entra(_)) => machine,
            _ => {
                self.report(line, Field::Machine, ProblemKind::OtherKey { found: Excerpt::new(cell), wanted });
                return None;
            }
        };
        if !decorations.is_empty() {
            self.decoration_counts.add(!matches!(machine, MachineReference::Name(_)), decorations);
        }
        if let Some(earlier) = self.keys.get(&machine) {
            let kind = ProblemKind::RepeatedKey { found: Excerpt::new(cell), line: *earlier };
            self.report(line, Field::Machine, kind);
            return None;
        }
        self.keys.insert(machine.clone(), line);
        Some(machine)
    }

    /// Whether a cell says that a row is no machine's. Lists of assets hold more than machines, and addresses for names.
    fn is_keyless(&self, kind: &ProblemKind) -> bool {
        let is_of_names = self.options.key == KeyKind::Machine;
        match kind {
            ProblemKind::MissingMachine | ProblemKind::MachinePlaceholder { .. } => true,
            ProblemKind::MachineAddress { .. } => is_of_names,
            _ => false,
        }
    }

    /// Reports cells that are to be lists of tags and are none. JSON's `null` shows no list, as an empty cell does.
    fn check_lists<R: Read>(&mut self, record: &Record<'_, R>, line: u32) {
        for position in &self.lists {
            let cell = record.cell(*position).trim();
            if cell != "null" && ListForm::Json.visit(cell, |_tag| {}).is_none() {
                let column = self.header.get(*position).map(|name| name.trim().into());
                let kind = ProblemKind::NoTagList { found: Excerpt::new(cell) };
                self.problems.push(Problem { row: RowNumber(self.row_count), line, column, kind });
            }
        }
    }

    fn report(&mut self, line: u32, field: Field, kind: ProblemKind) {
        let column = column_name(field, &self.columns, &self.header);
        self.problems.push(Problem { row: RowNumber(self.row_count), line, column, kind });
    }

    fn keep<R: Read>(&mut self, record: &Record<'_, R>, line: u32, machine: MachineReference) -> Result<(), ListError> {
        let expected = self.header.len();
        let (mut text, mut ends) = (String::new(), Vec::with_capacity(expected));
        for cell in record.cells().take(expected) {
            text.push_str(cell);
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        // What is missing at the end is empty.
        ends.resize(expected, ends.last().copied().unwrap_or_default());
        self.bytes += text.len() + ends.len() * size_of::<u32>() + size_of::<ListRow>();
        if self.bytes > LIST_MAXIMUM_BYTES {
            return Err(ListError::TooLarge);
        }
        self.kept.push(ListRow { line, machine, text: text.into(), ends: ends.into() });
        Ok(())
    }

    fn finish(self) -> Result<List, ListError> {
        if !self.problems.is_empty() {
            return Err(ListError::Rows(self.problems));
        }
        let Self { columns, header, skipped, decoration_counts, allowed, keyless, .. } = self;
        let mut notes = note::all(self.notes, &columns.own, &header, skipped, &decoration_counts, &allowed);
        if keyless.count > 0 {
            notes.push(Note::KeylessRows { column: Excerpt::new(&columns.machine.name), rows: keyless });
        }
        let header = header.into_iter().map(|cell| cell.trim().to_owned()).collect();
        Ok(List { header, rows: self.kept, row_count: self.row_count.into(), notes, sheet: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::structure::record::ROWS_MAXIMUM;
    use crate::input::text::Lines;

    #[test]
    fn a_list_has_no_more_rows_than_a_file_of_orders() {
        let options = ListOptions::OF_NAMES;
        for (rows_before, is_taken) in [(ROWS_MAXIMUM - 1, true), (ROWS_MAXIMUM, false)] {
            let mut text = Text::open(&b"Name\nweb01\n"[..], None, Lines::Physical).expect("text");
            let opening = Opening::read(&mut text, options.accepted, Needed::Key(&["Name"])).expect("a header");
            let mut cells = Cells::new(b',');
            let mut rows = ListReading { row_count: rows_before, ..ListReading::new(opening, &options) };
            let place = text.next_record(&mut cells).expect("text").expect("a record");
            let taken = rows.take(&Record { place, cells: &cells, text: &text, sheet: None });
            assert_eq!(taken.is_ok(), is_taken);
            assert!(rows.take_open_end(3, 3).is_err(), "the last row is taken");
        }
    }
}
