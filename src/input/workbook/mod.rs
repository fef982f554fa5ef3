//! A workbook's sheet as the text that the one reader reads: every row of the sheet a record, in commas.
//!
//! What a cell holds is written as a person sees it, as far as that is certain: a number with its zeros, an error as the
//! error. A date is written in ISO form, and a number of which a format makes something else (a share, money) as the number;
//! of which cells that is so is known, so that none of them is taken for the text that it looks like. Rows that
//! the sheet does not have are empty lines, so that every record and every empty line is a row of the sheet, and is counted
//! as one.
//!
//! What surprises: a workbook is a packed file, and a small one can hold terabytes. So everything in it that is held in
//! memory is unpacked and measured before it is believed, cells are read one by one, never as a table, and what is written
//! is bounded.

mod cells;
mod error;
mod formats;
mod look;
mod measure;
mod package;
mod sheet_rows;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use calamine::{Reader as _, SheetType, SheetVisible, Xlsx, XlsxError};
use tempfile::SpooledTempFile;

use self::cells::{csv_cell, shown_value};
use self::formats::Shows;

pub(crate) use self::error::WorkbookError;
pub(super) use self::sheet_rows::SheetRows;
use self::sheet_rows::{COLUMNS_MAXIMUM, ROWS_MAXIMUM};

/// Text up to this size stays in memory; beyond it, all of it is in a file.
pub(super) const MEMORY_BYTES: usize = 1024 * 1024;
/// The most bytes of a packed file.
pub(super) const PACKED_MAXIMUM_BYTES: u64 = 1024 * 1024 * 1024;
/// The most text that a sheet may become. A million rows of an export take 400 MB.
const TEXT_MAXIMUM_BYTES: u64 = 1024 * 1024 * 1024;
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
        let source = RefCell::new(source);
        let mut workbook = Xlsx::new(Shared(&source)).map_err(damaged)?;
        let (sheet, other_sheets) = choose(&workbook, sheet)?;
        let mut rows = look::look(Shared(&source), &sheet)?;
        let spool = match spool_directory {
            Some(directory) => SpooledTempFile::new_in(MEMORY_BYTES, directory),
            None => SpooledTempFile::new(MEMORY_BYTES),
        };
        let mut records = Records::new(BufWriter::new(spool));
        write_cells(&mut workbook, &sheet, &mut rows, &mut records)?;
        let text = records.finish()?;
        Ok(Self { text, sheet, other_sheets, rows })
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

/// A source that one reader after the other reads.
struct Shared<'s, S>(&'s RefCell<S>);

impl<S: Read> Read for Shared<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl<S: Seek> Seek for Shared<'_, S> {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        self.0.borrow_mut().seek(place)
    }
}

/// Writes the cells of a sheet, and notes which of them show something else.
fn write_cells<R: Read + Seek>(
    workbook: &mut Xlsx<R>,
    sheet: &str,
    rows: &mut SheetRows,
    records: &mut Records,
) -> Result<(), WorkbookError> {
    let mut cells = workbook.worksheet_cells_reader(sheet).map_err(damaged)?;
    let styles: Vec<Shows> = cells.styles().iter().map(Shows::of).collect();
    let mut errors = std::mem::take(&mut rows.errors).into_iter();
    let mut last = None;
    loop {
        let (row, column) = match cells.next_cell_with_style_id() {
            Ok(None) => return Ok(()),
            Ok(Some((cell, style))) => {
                let (row, column) = cell.get_position();
                let shows = styles.get(style).copied().unwrap_or(Shows::GENERAL);
                let (text, is_shown) = shown_value(cell.get_value(), shows);
                // A row in which nothing is computed yet is a row all the same.
                let is_there = !text.is_empty() || rows.is_uncomputed(row + 1, column as usize);
                let is_there = is_there && !rows.is_merged(row + 1, column as usize);
                records.add(row, column, is_there.then_some(&text))?;
                if is_there && !is_shown && !text.is_empty() {
                    rows.shown_otherwise.add(row + 1, column)?;
                }
                (row, column)
            }
            // The reader knows the errors of the oldest spreadsheets, and does not say where others stand.
            Err(XlsxError::CellError(text)) => {
                let (row, column) = errors.find(|place| Some(*place) > last).ok_or(WorkbookError::Damaged(None))?;
                let is_there = !rows.is_merged(row + 1, column as usize);
                records.add(row, column, is_there.then_some(&text))?;
                (row, column)
            }
            Err(error) => return Err(damaged(error)),
        };
        last = Some((row, column));
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
}

impl Records {
    const fn new(file: BufWriter<SpooledTempFile>) -> Self {
        Self { file, rows: 0, cells: 0, bytes: 0 }
    }

    /// Adds the cell at a place, both from 0; nothing is written of one that is not there.
    fn add(&mut self, row: u32, column: u32, text: Option<&str>) -> Result<(), WorkbookError> {
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
        let Some(text) = text else { return Ok(()) };
        let missing = (column - self.cells) + u32::from(self.cells > 0);
        for _ in 0..missing {
            self.write(b",")?;
        }
        self.cells = column + 1;
        let cell = csv_cell(text);
        self.write(if text.is_empty() { b"\"\"" } else { cell.as_bytes() })
    }

    fn end_row(&mut self) -> Result<(), WorkbookError> {
        self.write(b"\n")?;
        self.rows += 1;
        self.cells = 0;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), WorkbookError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > TEXT_MAXIMUM_BYTES {
            return Err(WorkbookError::TooLarge);
        }
        self.file.write_all(bytes).map_err(WorkbookError::Spool)
    }

    fn finish(mut self) -> Result<SpooledTempFile, WorkbookError> {
        self.end_row()?;
        let mut file = self.file.into_inner().map_err(|error| WorkbookError::Spool(error.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(WorkbookError::Spool)?;
        Ok(file)
    }
}
