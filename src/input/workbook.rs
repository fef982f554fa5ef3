//! A workbook's sheet as the text that the one reader reads: every row of the sheet a record, in commas.
//!
//! What a cell holds is written as a person sees it: a date as a date, in ISO form, and an error as the error. Rows that
//! the sheet does not have are empty lines, so that lines are the sheet's rows; where a cell holds line breaks,
//! [`SheetRows`] knows by how much the lines below are off.
//!
//! What surprises: a workbook is a packed file, and a small one can hold terabytes. So everything in it that is held in
//! memory is unpacked and measured before it is believed, cells are read one by one, never as a table, and what is written
//! is bounded.

mod cells;
mod error;
mod hidden;
mod measure;

#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use calamine::{Reader as _, SheetType, SheetVisible, Xlsx, XlsxError};
use tempfile::SpooledTempFile;

use self::cells::{csv_cell, shown_value};

pub(crate) use self::error::WorkbookError;

/// Text up to this size stays in memory; beyond it, all of it is in a file.
pub(super) const MEMORY_BYTES: usize = 1024 * 1024;
/// The most bytes of a packed file.
pub(super) const PACKED_MAXIMUM_BYTES: u64 = 1024 * 1024 * 1024;
/// The most text that a sheet may become. A million rows of an export take 400 MB.
const TEXT_MAXIMUM_BYTES: u64 = 1024 * 1024 * 1024;
/// The most rows and columns of a sheet, by its format.
const ROWS_MAXIMUM: u32 = 1_048_576;
const COLUMNS_MAXIMUM: u32 = 16_384;
/// How the compound file format begins, which holds old workbooks and those with a password.
const COMPOUND_FILE: [u8; 8] = *b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";

/// Whether a file begins as a workbook does, of any format.
pub(crate) fn is_workbook(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(&COMPOUND_FILE)
}

/// A sheet as text. Reading it gives the records.
pub(crate) struct Workbook {
    text: SpooledTempFile,
    sheet: String,
    other_sheets: Vec<String>,
    rows: SheetRows,
}

/// Which rows of a sheet the lines of its text are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SheetRows {
    /// Lines that a record begins on, each with how many lines more than rows there are up to it.
    shifts: Vec<(u64, u64)>,
    /// The rows that a spreadsheet does not show, in ascending order.
    hidden: Vec<u32>,
}

impl SheetRows {
    /// Whether they have the same numbers.
    pub(super) const fn are_lines(&self) -> bool {
        self.shifts.is_empty()
    }

    /// Whether a spreadsheet does not show the row that begins on a line, from 1.
    pub(super) fn is_hidden(&self, line: u32) -> bool {
        let row = || u32::try_from(self.row(u64::from(line))).unwrap_or(line);
        !self.hidden.is_empty() && self.hidden.binary_search(&row()).is_ok()
    }

    /// The row whose record holds a line; both from 1.
    pub(super) fn row(&self, line: u64) -> u64 {
        let position = self.shifts.partition_point(|(first_line, _)| *first_line <= line);
        let before = position.checked_sub(1).and_then(|last| self.shifts.get(last));
        // Lines within a record belong to the row that it begins with.
        let (first_line, shift) = before.copied().unwrap_or((0, 0));
        let next = self.shifts.get(position).map(|(next_line, next_shift)| next_line - next_shift);
        let row = line - shift;
        if first_line == line { row } else { next.map_or(row, |next| row.min(next - 1)) }
    }
}

impl Workbook {
    /// Reads a sheet: the one of this name, or the first that can be seen. It blocks. What is larger than 1 MiB is kept
    /// in the directory, as the reader of inputs keeps it.
    ///
    /// # Errors
    /// [`WorkbookError`] when the file is no workbook, is damaged or too large, or has no such sheet.
    pub(crate) fn open(
        mut source: impl Read + Seek,
        sheet: Option<&str>,
        spool_directory: Option<&Path>,
    ) -> Result<Self, WorkbookError> {
        let mut start = Vec::new();
        source.by_ref().take(COMPOUND_FILE.len() as u64).read_to_end(&mut start).map_err(WorkbookError::Read)?;
        if start == COMPOUND_FILE {
            return Err(WorkbookError::OldFormat);
        }
        measure::measure(&mut source, measure::HELD_MAXIMUM_BYTES, measure::SHEET_MAXIMUM_BYTES)?;
        source.seek(SeekFrom::Start(0)).map_err(WorkbookError::Read)?;
        let mut workbook = Xlsx::new(&mut source).map_err(damaged)?;
        let (sheet, other_sheets) = choose(&workbook, sheet)?;
        let spool = match spool_directory {
            Some(directory) => SpooledTempFile::new_in(MEMORY_BYTES, directory),
            None => SpooledTempFile::new(MEMORY_BYTES),
        };
        let mut records = Records::new(BufWriter::new(spool));
        {
            let mut cells = workbook.worksheet_cells_reader(&sheet).map_err(damaged)?;
            while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(damaged)? {
                let (row, column) = cell.get_position();
                let style = cells.styles().get(style);
                records.add(row, column, &shown_value(cell.get_value(), style))?;
            }
        }
        let (text, shifts) = records.finish()?;
        drop(workbook);
        let hidden = hidden::hidden_rows(source, &sheet)?;
        Ok(Self { text, sheet, other_sheets, rows: SheetRows { shifts, hidden } })
    }

    /// The name of the sheet.
    pub(crate) fn sheet(&self) -> &str {
        &self.sheet
    }

    /// The names of the other worksheets that can be seen.
    pub(crate) fn other_sheets(&self) -> &[String] {
        &self.other_sheets
    }

    /// The same for whoever reads its text.
    pub(super) fn rows(&self) -> SheetRows {
        self.rows.clone()
    }
}

impl Read for Workbook {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.text.read(buffer)
    }
}

fn damaged(error: XlsxError) -> WorkbookError {
    match error {
        XlsxError::Io(error) => WorkbookError::Read(error),
        XlsxError::Password => WorkbookError::OldFormat,
        error => WorkbookError::Damaged(Some(Box::new(error))),
    }
}

/// The name of the sheet that is meant, and those of the others. Names are the same in either case, as in spreadsheets.
fn choose<R: Read + Seek>(workbook: &Xlsx<R>, wanted: Option<&str>) -> Result<(String, Vec<String>), WorkbookError> {
    let sheets = workbook.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let is_meant = |name: &str| wanted.is_some_and(|wanted| name.to_lowercase() == wanted.trim().to_lowercase());
    // Who names a hidden sheet means it.
    let sheets = sheets.filter(|sheet| sheet.visible == SheetVisible::Visible || is_meant(&sheet.name));
    let mut names: Vec<String> = sheets.map(|sheet| sheet.name.clone()).collect();
    if names.is_empty() {
        return Err(WorkbookError::NoWorksheet);
    }
    match names.iter().position(|name| wanted.is_none() || is_meant(name)) {
        Some(position) => Ok((names.remove(position), names)),
        None => Err(WorkbookError::UnknownSheet { wanted: wanted.unwrap_or_default().to_owned(), names }),
    }
}

/// Writes cells as records, in the order of the sheet.
struct Records {
    file: BufWriter<SpooledTempFile>,
    /// How many rows are over.
    rows: u32,
    /// How many cells of the row at hand are begun.
    cells: u32,
    bytes: u64,
    extra_lines: u64,
    shifts: Vec<(u64, u64)>,
}

impl Records {
    const fn new(file: BufWriter<SpooledTempFile>) -> Self {
        Self { file, rows: 0, cells: 0, bytes: 0, extra_lines: 0, shifts: Vec::new() }
    }

    /// Adds the cell at a place, both from 0.
    fn add(&mut self, row: u32, column: u32, text: &str) -> Result<(), WorkbookError> {
        if row >= ROWS_MAXIMUM || column >= COLUMNS_MAXIMUM || row < self.rows {
            return Err(WorkbookError::Damaged(None));
        }
        while self.rows < row {
            self.end_row()?;
        }
        if column < self.cells {
            return Err(WorkbookError::Damaged(None));
        }
        // An empty cell is written when another one follows.
        if text.is_empty() {
            return Ok(());
        }
        let missing = (column - self.cells) + u32::from(self.cells > 0);
        for _ in 0..missing {
            self.write(b",")?;
        }
        self.cells = column + 1;
        self.write(csv_cell(text).as_bytes())?;
        self.extra_lines += super::scan::count_line_breaks(text.as_bytes());
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), WorkbookError> {
        self.write(b"\n")?;
        self.rows += 1;
        self.cells = 0;
        let known = self.shifts.last().map_or(0, |(_, shift)| *shift);
        if self.extra_lines > known {
            self.shifts.push((u64::from(self.rows) + self.extra_lines + 1, self.extra_lines));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), WorkbookError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > TEXT_MAXIMUM_BYTES {
            return Err(WorkbookError::TooLarge);
        }
        self.file.write_all(bytes).map_err(WorkbookError::Spool)
    }

    fn finish(mut self) -> Result<(SpooledTempFile, Vec<(u64, u64)>), WorkbookError> {
        self.end_row()?;
        let mut file = self.file.into_inner().map_err(|error| WorkbookError::Spool(error.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(WorkbookError::Spool)?;
        Ok((file, self.shifts))
    }
}
