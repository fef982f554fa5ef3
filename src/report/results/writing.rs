//! The results of a run as CSV: every input row once, in its order, with what became of it; and beside it the rows that
//! are worth feeding back.
//!
//! Written from the store alone, so the results of any run can be written again. A file is written beside its target
//! under a random name and renamed when it is complete and on the disk, so nobody ever reads half of one.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use csv::ByteRecord;
use tempfile::NamedTempFile;

use super::row::{AddedCell, RowAnswer, answer_row};
use super::target::{ResultsError, ResultsTarget, keep_earlier_run, new_file_beside};
use crate::input::{RESULT_COLUMNS, added_names, records};
use crate::model::row_code::WITHHELD;
use crate::model::{AnswerFacts, RETAGGING_PREFIX, Status};
use crate::outside::Outside;
use crate::report::files::atomic::{self, is_device, open_device};
use crate::report::output::screen::Screen;
use crate::store::{Reader, RunKind, StoreError, StoredChunk, StoredRun};

/// What a UTF-8 file may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Kinds of error that are told apart in a summary; there are hardly more codes than that.
const MAXIMUM_ERROR_GROUPS: usize = 1000;

/// How many rows ended how, and the errors in groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// Rows written.
    pub rows: u64,
    /// Rows for each status.
    pub statuses: BTreeMap<Status, u64>,
    /// Errors that have the same status, HTTP status and code.
    pub errors: BTreeMap<ErrorKey, ErrorGroup>,
    /// Rows in the file of those worth feeding back.
    pub failed_rows: u64,
    /// Rows worth feeding back that are not in it, since a file cannot say what they ask for.
    pub unsaid: u64,
    /// Whether the rows themselves do not say what was to be done, so that another run of them must be told again.
    pub lacks_orders: bool,
    /// Rows that were left alone because somebody else has changed what they are about.
    pub left_to_others: u64,
    /// Rows that were left alone, since nobody knows what was there before.
    pub without_before: u64,
    /// Failed rows whose machine is gone, where such rows are tolerated.
    pub tolerated: u64,
    /// Where the results of another run are now that stood in the way, and its rows to feed back.
    pub kept: Vec<PathBuf>,
}

/// What errors are grouped by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ErrorKey {
    /// How the rows ended.
    pub status: Status,
    /// The HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// The service's code, or ours.
    pub code: String,
}

/// Rows that ended in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorGroup {
    pub rows: u64,
    /// The first of them.
    pub example_row: u32,
    pub message: String,
}

/// Writes the results of a run, and the rows worth feeding back, among which those of machines that are gone are not
/// where they are tolerated; the file of the latter is removed when there are none.
///
/// # Errors
/// [`ResultsError`] when a file cannot be written or the store cannot be read; the targets are as they were then.
pub(crate) async fn write_results(
    store: &Reader,
    run: &StoredRun,
    target: &ResultsTarget,
    tolerates_missing: bool,
    screen: &Screen,
) -> Result<Totals, ResultsError> {
    match target {
        ResultsTarget::StandardOutput => {
            let path = Path::new("standard output");
            let mut writer = Sheets::new(run, screen.data_stream(), io::sink(), path, tolerates_missing)?;
            let totals = writer.write_all_rows(store).await?;
            writer.flush()?;
            Ok(totals)
        }
        ResultsTarget::Device(results) => {
            let device = open_device(results).map_err(|source| ResultsError::File { path: results.clone(), source })?;
            let mut writer = Sheets::new(run, screen.stream_to(device), io::sink(), results, tolerates_missing)?;
            let totals = writer.write_all_rows(store).await?;
            writer.flush()?;
            Ok(totals)
        }
        ResultsTarget::File { results, failed } => write_files(store, run, results, failed, tolerates_missing).await,
    }
}

/// Counts the rows of a run as its results have them, where rows whose machine is gone are tolerated or not.
pub(crate) async fn tally(store: &Reader, run: &StoredRun, tolerates_missing: bool) -> Result<Totals, ResultsError> {
    let mut totals = Totals::default();
    each_chunk(store, run, |chunk| {
        for (place, operations) in (chunk.input.first_row..).zip(&chunk.input.operations) {
            let answer = answer_row(place, operations, chunk);
            let tolerated = tolerates_missing && answer.is_about_missing_machine();
            totals.take(chunk.input.number(place), &answer, tolerated, false);
        }
        Ok(())
    })
    .await?;
    Ok(totals)
}

/// Takes the pieces of a run one after the other; what was sent and never settled is in doubt there.
async fn each_chunk(
    store: &Reader,
    run: &StoredRun,
    mut take: impl FnMut(&StoredChunk) -> Result<(), ResultsError>,
) -> Result<(), ResultsError> {
    let mut next_row = 1;
    let unsettled = store.unsettled_operations(run.key).await?;
    while let Some(mut chunk) = store.chunk(run.key, next_row).await? {
        for (id, operation) in &mut chunk.operations {
            if operation.state.is_open() && unsettled.contains(id) {
                // What an earlier call was answered says nothing of the one that was on its way.
                operation.ambiguous = true;
                operation.answer = AnswerFacts::default();
            }
        }
        let rows = u32::try_from(chunk.input.operations.len()).unwrap_or(u32::MAX);
        take(&chunk)?;
        next_row = next_row.saturating_add(rows.max(1));
    }
    Ok(())
}

async fn write_files(
    store: &Reader,
    run: &StoredRun,
    results: &Path,
    failed: &Path,
    tolerates_missing: bool,
) -> Result<Totals, ResultsError> {
    let results_file = new_file_beside(results)?;
    let failed_file = new_file_beside(failed)?;
    let mut writer = Sheets::new(run, results_file.as_file(), failed_file.as_file(), results, tolerates_missing)?;
    let mut totals = writer.write_all_rows(store).await?;
    writer.flush()?;
    drop(writer);
    for (file, target) in [(&results_file, results), (&failed_file, failed)] {
        // A disk that is full shows it here, while everything stands where it stood.
        file.as_file().sync_all().map_err(|source| ResultsError::File { path: target.to_owned(), source })?;
    }
    // Of several that end at once, each finds what the one before it has put there.
    let folder = results.to_owned();
    let locked = tokio::task::spawn_blocking(move || atomic::FolderLock::take(&folder)).await;
    totals.kept = keep_earlier_run(store, run, results, failed).await?;
    put_in_place(results_file, results)?;
    if totals.failed_rows > 0 {
        put_in_place(failed_file, failed)?;
    } else if failed.is_file() {
        // Left from an earlier part of this run, it would look like what is left now.
        std::fs::remove_file(failed).map_err(|source| ResultsError::File { path: failed.to_owned(), source })?;
    }
    drop(locked);
    Ok(totals)
}

/// Writes a file beside its target and renames it when it is complete.
pub(super) fn write_file(
    target: &Path,
    screen: &Screen,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ResultsError> {
    let failed = |source| ResultsError::File { path: target.to_owned(), source };
    if is_device(target) {
        let device = open_device(target).map_err(failed)?;
        let mut buffered = BufWriter::new(screen.stream_to(device));
        return write(&mut buffered).and_then(|()| buffered.flush()).map_err(failed);
    }
    let file = new_file_beside(target)?;
    let mut buffered = BufWriter::with_capacity(1 << 16, file.as_file());
    write(&mut buffered).and_then(|()| buffered.flush()).map_err(failed)?;
    drop(buffered);
    put_in_place(file, target)
}

fn put_in_place(file: NamedTempFile, target: &Path) -> Result<(), ResultsError> {
    atomic::put_in_place(file, target).map_err(|source| ResultsError::File { path: target.to_owned(), source })
}

/// The two sheets of a run, being written.
struct Sheets<'a, Results: Write, Failed: Write> {
    run: &'a StoredRun,
    path: &'a Path,
    /// Whether rows whose machine is gone are not worth feeding back.
    tolerates_missing: bool,
    /// Where tags stand that no file was read for.
    made_tags: Option<usize>,
    results: csv::Writer<BufWriter<Results>>,
    failed: csv::Writer<BufWriter<Failed>>,
    /// What was shown last in each added column: the rows of a call say the same.
    latest: [Latest; RESULT_COLUMNS.len()],
}

/// A text from outside, and how it is shown.
#[derive(Default)]
struct Latest {
    text: String,
    cell: String,
}

impl Latest {
    fn shown(&mut self, text: &str) -> &str {
        if self.text != text {
            *self = Self { text: text.to_owned(), cell: Outside::new(text).cell() };
        }
        &self.cell
    }
}

impl<'a, Results: Write, Failed: Write> Sheets<'a, Results, Failed> {
    fn new(
        run: &'a StoredRun,
        results: Results,
        failed: Failed,
        path: &'a Path,
        tolerates_missing: bool,
    ) -> Result<Self, ResultsError> {
        let input = &run.description;
        let is_made = input.kind == RunKind::Undo || input.input_path.starts_with(RETAGGING_PREFIX);
        let mut results = BufWriter::with_capacity(1 << 16, results);
        let mut failed = BufWriter::with_capacity(1 << 16, failed);
        let failure = |source| ResultsError::File { path: path.to_owned(), source };
        if input.byte_order_mark {
            results.write_all(BYTE_ORDER_MARK).map_err(failure)?;
            failed.write_all(BYTE_ORDER_MARK).map_err(failure)?;
        }
        let mut sheets = Self {
            run,
            path,
            tolerates_missing,
            made_tags: is_made.then(|| input.header.iter().position(|name| name == "tag")).flatten(),
            results: csv::WriterBuilder::new().delimiter(input.delimiter).from_writer(results),
            failed: csv::WriterBuilder::new().delimiter(input.delimiter).flexible(true).from_writer(failed),
            latest: Default::default(),
        };
        let added = added_names(&input.header, &RESULT_COLUMNS);
        sheets.results.write_record(input.header.iter().chain(&added)).map_err(|error| sheets.failure(error))?;
        sheets.failed.write_record(&input.header).map_err(|error| sheets.failure(error))?;
        Ok(sheets)
    }

    async fn write_all_rows(&mut self, store: &Reader) -> Result<Totals, ResultsError> {
        let mut totals = Totals::default();
        each_chunk(store, self.run, |chunk| self.write_chunk(chunk, &mut totals)).await?;
        Ok(totals)
    }

    fn write_chunk(&mut self, chunk: &StoredChunk, totals: &mut Totals) -> Result<(), ResultsError> {
        let mut reader = records(self.run.description.delimiter, &chunk.input.records);
        let mut cells = ByteRecord::new();
        for (place, operations) in (chunk.input.first_row..).zip(&chunk.input.operations) {
            if !reader.read(&mut cells) {
                let (run, rows) = (&self.run.description, u64::from(self.run.description.row_count));
                let (run, found) = (run.run_id.clone(), u64::from(place - 1));
                return Err(StoreError::Incomplete { run, rows, found }.into());
            }
            let (row, answer) = (chunk.input.number(place), answer_row(place, operations, chunk));
            let tolerated = self.tolerates_missing && answer.is_about_missing_machine();
            let is_unsaid = self.is_unsaid(&cells);
            let is_fed_back = answer.is_worth_feeding_back() && !tolerated && !is_unsaid;
            self.write_row(&cells, row, &answer, is_fed_back).map_err(|error| self.failure(error))?;
            totals.take(row, &answer, tolerated, is_unsaid);
        }
        Ok(())
    }

    fn write_row(
        &mut self,
        cells: &ByteRecord,
        row: u32,
        answer: &RowAnswer,
        is_fed_back: bool,
    ) -> Result<(), csv::Error> {
        let width = self.run.description.header.len();
        for position in 0..width {
            self.results.write_field(cells.get(position).unwrap_or_default())?;
        }
        for (cell, latest) in answer.cells(row, &self.run.description.run_id).into_iter().zip(&mut self.latest) {
            match cell {
                AddedCell::Ours(text) => self.results.write_field(&*text)?,
                AddedCell::Outside(text) => self.results.write_field(latest.shown(text))?,
            }
        }
        self.results.write_record(None::<&[u8]>)?;
        if is_fed_back {
            self.failed.write_byte_record(cells)?;
        }
        Ok(())
    }

    /// Whether a file would say something else: the blanks around a tag count in what the tenant has, and not in a cell.
    fn is_unsaid(&self, cells: &ByteRecord) -> bool {
        let tag = self.made_tags.and_then(|column| std::str::from_utf8(cells.get(column)?).ok());
        tag.is_some_and(|tag| tag.trim() != tag)
    }

    fn flush(&mut self) -> Result<(), ResultsError> {
        self.results.flush().map_err(|source| self.io_failure(source))?;
        self.failed.flush().map_err(|source| self.io_failure(source))
    }

    fn failure(&self, error: csv::Error) -> ResultsError {
        let source = match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            other => io::Error::other(format!("{other:?}")),
        };
        self.io_failure(source)
    }

    fn io_failure(&self, source: io::Error) -> ResultsError {
        ResultsError::File { path: self.path.to_owned(), source }
    }
}

impl Totals {
    /// Rows with this status.
    pub(crate) fn count(&self, status: Status) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// Whether the guard has withheld rows.
    pub(crate) fn has_withheld(&self) -> bool {
        self.errors.keys().any(|key| key.code == WITHHELD && key.status == Status::NotAttempted)
    }

    fn take(&mut self, row: u32, answer: &RowAnswer, tolerated: bool, is_unsaid: bool) {
        self.rows += 1;
        *self.statuses.entry(answer.status).or_default() += 1;
        if tolerated {
            self.tolerated += 1;
            return;
        }
        self.left_to_others += u64::from(answer.is_left_to_others());
        self.without_before += u64::from(answer.is_without_before());
        if !answer.is_worth_feeding_back() {
            return;
        }
        *(if is_unsaid { &mut self.unsaid } else { &mut self.failed_rows }) += 1;
        let key = ErrorKey { status: answer.status, http_status: answer.http_status, code: answer.error_code.clone() };
        if let Some(group) = self.errors.get_mut(&key) {
            group.rows += 1;
        } else if self.errors.len() < MAXIMUM_ERROR_GROUPS {
            let message = answer.error_message.clone();
            self.errors.insert(key, ErrorGroup { rows: 1, example_row: row, message });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_is_shown_harmless_however_often_it_is_repeated() {
        let mut latest = Latest::default();
        for (text, cell) in [("", ""), ("=a\u{1b}", "'=a\\u{1b}"), ("=a\u{1b}", "'=a\\u{1b}"), ("b", "b"), ("", "")] {
            assert_eq!(latest.shown(text), cell);
        }
    }
}
