//! The results of a run as CSV: every input row once, in its order, with what became of it; and beside it the rows that
//! are worth feeding back.
//!
//! Written from the store alone, so the results of any run can be written again. A file is written beside its target
//! under a random name and renamed when it is complete and on the disk, so nobody ever reads half of one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use csv::ByteRecord;
use tempfile::NamedTempFile;

use super::files::{self, harmless, is_device};
use super::row::{RowAnswer, answer_row};
use super::screen::Screen;
use super::summary::shell_word;
use crate::input::records;
use crate::model::Status;
use crate::store::{Reader, StoreError, StoredChunk, StoredRun};

/// The columns that are added to those of the input.
const ADDED_COLUMNS: [&str; 11] = [
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
/// What a UTF-8 file may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Kinds of error that are told apart in a summary; there are hardly more codes than that.
const MAXIMUM_ERROR_GROUPS: usize = 1000;

/// Why results could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file cannot be made or written.
    #[error("cannot write the results to {path}")]
    File {
        /// The target.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The target is the input.
    #[error("the results must not replace the input {path}")]
    IsInput {
        /// The target.
        path: PathBuf,
    },
    /// The store failed.
    #[error("cannot read the run back")]
    Store(#[from] StoreError),
}

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultsTarget {
    /// Standard output.
    StandardOutput,
    /// A file, and the one for rows that are worth feeding back.
    File {
        /// All rows.
        results: PathBuf,
        /// Failed, unknown, invalid rows, and those not attempted.
        failed: PathBuf,
    },
}

/// How many rows ended how, and the errors in groups.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Rows written.
    pub rows: u64,
    /// Rows for each status.
    pub statuses: BTreeMap<Status, u64>,
    /// Errors that have the same status, HTTP status and code.
    pub errors: BTreeMap<ErrorKey, ErrorGroup>,
    /// Rows in the file of those worth feeding back.
    pub failed_rows: u64,
}

/// What errors are grouped by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrorKey {
    /// How the rows ended.
    pub status: Status,
    /// The HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// The service's code, or ours.
    pub code: String,
}

/// Rows that ended in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorGroup {
    /// How many.
    pub rows: u64,
    /// The first of them.
    pub example_row: u32,
    /// Its message.
    pub message: String,
}

impl ResultsTarget {
    /// A file, with the other one's name made from it: `x.results.csv` and `x.failed.csv`.
    #[must_use]
    pub fn file(results: PathBuf) -> Self {
        let name = results.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let stem = name.strip_suffix(".results.csv").or_else(|| name.strip_suffix(".csv")).unwrap_or(&name);
        let failed = results.with_file_name(format!("{stem}.failed.csv"));
        Self::File { results, failed }
    }

    /// The file with all rows as a path that means the same in any directory; `None` for standard output.
    #[must_use]
    pub fn absolute_path(&self) -> Option<String> {
        match self {
            Self::StandardOutput => None,
            Self::File { results, .. } => Some(std::path::absolute(results).ok()?.display().to_string()),
        }
    }

    /// The command that writes the results of a run again: to this target, or to a file if nobody reads the output. It
    /// must name the state directory if that was named on the command line.
    #[must_use]
    pub fn command_to_write_again(&self, run_id: &str, state_directory: Option<&Path>) -> String {
        let target = match self {
            Self::StandardOutput => String::new(),
            Self::File { results, .. } => format!(" -o {}", shell_word(results)),
        };
        let state = state_directory.map(|path| format!(" --state-dir {}", shell_word(path))).unwrap_or_default();
        format!("tagfleet results {run_id}{target}{state}")
    }

    /// Checks before the first call that the results can be written.
    ///
    /// # Errors
    /// [`ResultsError`] when the target is a directory or the input, or no file can be made beside it.
    pub fn check(&self, input: Option<&Path>) -> Result<(), ResultsError> {
        let Self::File { results, failed } = self else { return Ok(()) };
        for target in [results, failed] {
            if target.is_dir() {
                let source = io::ErrorKind::IsADirectory.into();
                return Err(ResultsError::File { path: target.clone(), source });
            }
            if input.is_some_and(|input| is_same_file(input, target)) {
                return Err(ResultsError::IsInput { path: target.clone() });
            }
        }
        if is_device(results) {
            return Ok(());
        }
        // Nothing of it stays: the file has gone when this returns.
        new_file_beside(results).map(|_file| ())
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn new_file_beside(target: &Path) -> Result<NamedTempFile, ResultsError> {
    files::new_file_beside(target).map_err(|source| ResultsError::File { path: target.to_owned(), source })
}

/// Writes the results of a run, and the rows worth feeding back; the file of the latter is removed when there are none.
///
/// # Errors
/// [`ResultsError`] when a file cannot be written or the store cannot be read; the targets are as they were then.
pub async fn write_results(
    store: &Reader,
    run: &StoredRun,
    target: &ResultsTarget,
    screen: &Screen,
) -> Result<Totals, ResultsError> {
    match target {
        ResultsTarget::StandardOutput => {
            let path = Path::new("standard output");
            let mut writer = Sheets::new(run, screen.data_stream(), io::sink(), path)?;
            let totals = writer.write_all_rows(store).await?;
            writer.flush()?;
            Ok(totals)
        }
        ResultsTarget::File { results, .. } if is_device(results) => {
            let device = File::options()
                .write(true)
                .open(results)
                .map_err(|source| ResultsError::File { path: results.clone(), source })?;
            let mut writer = Sheets::new(run, device, io::sink(), results)?;
            let totals = writer.write_all_rows(store).await?;
            writer.flush()?;
            Ok(totals)
        }
        ResultsTarget::File { results, failed } => write_files(store, run, results, failed).await,
    }
}

async fn write_files(store: &Reader, run: &StoredRun, results: &Path, failed: &Path) -> Result<Totals, ResultsError> {
    let results_file = new_file_beside(results)?;
    let failed_file = new_file_beside(failed)?;
    let mut writer = Sheets::new(run, results_file.as_file(), failed_file.as_file(), results)?;
    let totals = writer.write_all_rows(store).await?;
    writer.flush()?;
    drop(writer);
    put_in_place(results_file, results)?;
    if totals.failed_rows > 0 {
        put_in_place(failed_file, failed)?;
    } else if failed.is_file() {
        // Left from an earlier run, it would look like this one's.
        std::fs::remove_file(failed).map_err(|source| ResultsError::File { path: failed.to_owned(), source })?;
    }
    Ok(totals)
}

/// Writes a file beside its target and renames it when it is complete.
pub(super) fn write_file(
    target: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), ResultsError> {
    let failed = |source| ResultsError::File { path: target.to_owned(), source };
    if is_device(target) {
        let device = File::options().write(true).open(target).map_err(failed)?;
        let mut buffered = BufWriter::new(&device);
        return write(&mut buffered).and_then(|()| buffered.flush()).map_err(failed);
    }
    let file = new_file_beside(target)?;
    let mut buffered = BufWriter::with_capacity(1 << 16, file.as_file());
    write(&mut buffered).and_then(|()| buffered.flush()).map_err(failed)?;
    drop(buffered);
    put_in_place(file, target)
}

fn put_in_place(file: NamedTempFile, target: &Path) -> Result<(), ResultsError> {
    files::put_in_place(file, target).map_err(|source| ResultsError::File { path: target.to_owned(), source })
}

/// The two sheets of a run, being written.
struct Sheets<'a, Results: Write, Failed: Write> {
    run: &'a StoredRun,
    path: &'a Path,
    results: csv::Writer<BufWriter<Results>>,
    failed: csv::Writer<BufWriter<Failed>>,
}

impl<'a, Results: Write, Failed: Write> Sheets<'a, Results, Failed> {
    fn new(run: &'a StoredRun, results: Results, failed: Failed, path: &'a Path) -> Result<Self, ResultsError> {
        let input = &run.description;
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
            results: csv::WriterBuilder::new().delimiter(input.delimiter).from_writer(results),
            failed: csv::WriterBuilder::new().delimiter(input.delimiter).flexible(true).from_writer(failed),
        };
        let header: Vec<&str> = input.header.iter().map(String::as_str).chain(ADDED_COLUMNS).collect();
        sheets.results.write_record(header).map_err(|error| sheets.failure(error))?;
        sheets.failed.write_record(&input.header).map_err(|error| sheets.failure(error))?;
        Ok(sheets)
    }

    async fn write_all_rows(&mut self, store: &Reader) -> Result<Totals, ResultsError> {
        let mut totals = Totals::default();
        let mut next_row = 1;
        let unsettled = store.unsettled_operations(self.run.key).await?;
        while let Some(mut chunk) = store.chunk(self.run.key, next_row).await? {
            for (id, operation) in &mut chunk.operations {
                operation.ambiguous |= unsettled.contains(id);
            }
            let rows = u32::try_from(chunk.input.operations.len()).unwrap_or(u32::MAX);
            self.write_chunk(&chunk, &mut totals)?;
            next_row = next_row.saturating_add(rows.max(1));
        }
        Ok(totals)
    }

    fn write_chunk(&mut self, chunk: &StoredChunk, totals: &mut Totals) -> Result<(), ResultsError> {
        let mut reader = records(self.run.description.delimiter, &chunk.input.records);
        let mut cells = ByteRecord::new();
        for (row, operations) in (chunk.input.first_row..).zip(&chunk.input.operations) {
            cells.clear();
            let _more = reader.read_byte_record(&mut cells).map_err(|error| self.failure(error))?;
            let answer = answer_row(row, operations, chunk);
            self.write_row(&cells, row, &answer).map_err(|error| self.failure(error))?;
            totals.take(row, &answer);
        }
        Ok(())
    }

    fn write_row(&mut self, cells: &ByteRecord, row: u32, answer: &RowAnswer) -> Result<(), csv::Error> {
        let width = self.run.description.header.len();
        for position in 0..width {
            self.results.write_field(cells.get(position).unwrap_or_default())?;
        }
        for cell in answer.cells(row, &self.run.description.run_id) {
            self.results.write_field(harmless(&cell).as_bytes())?;
        }
        self.results.write_record(None::<&[u8]>)?;
        if answer.is_worth_feeding_back() {
            self.failed.write_byte_record(cells)?;
        }
        Ok(())
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
    #[must_use]
    pub fn count(&self, status: Status) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    fn take(&mut self, row: u32, answer: &RowAnswer) {
        self.rows += 1;
        *self.statuses.entry(answer.status).or_default() += 1;
        if !answer.is_worth_feeding_back() {
            return;
        }
        self.failed_rows += 1;
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
    fn the_file_of_rows_to_feed_back_stands_beside_the_results() {
        for (results, failed) in [
            ("dir/x.results.csv", "dir/x.failed.csv"),
            ("dir/out.csv", "dir/out.failed.csv"),
            ("x.sandbox.results.csv", "x.sandbox.failed.csv"),
            ("out", "out.failed.csv"),
        ] {
            let expected = ResultsTarget::File { results: results.into(), failed: failed.into() };
            assert_eq!(ResultsTarget::file(results.into()), expected);
        }
    }

    #[test]
    fn a_target_that_cannot_take_results_is_found_before_the_first_call() {
        let directory = tempfile::tempdir().expect("a directory");
        let input = directory.path().join("in.csv");
        std::fs::write(&input, "x").expect("a file");
        let check = |target: &Path| {
            ResultsTarget::file(target.to_owned()).check(Some(&input)).map_err(|error| error.to_string())
        };
        assert_eq!(check(&directory.path().join("out.csv")), Ok(()));
        assert!(check(directory.path()).is_err_and(|text| text.starts_with("cannot write")));
        assert!(check(&input).is_err_and(|text| text.contains("must not replace the input")));
        assert!(check(&directory.path().join("missing/out.csv")).is_err());
        let left: Vec<_> = std::fs::read_dir(directory.path()).expect("a directory").collect();
        assert_eq!(left.len(), 1, "only the input is left: {left:?}");
    }
}
