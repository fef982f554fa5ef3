//! Where results go, and whether they can: found out before the first call.
//!
//! What surprises: the rows to feed back have the input's own columns and nothing else. Where their file is left without
//! its results, it is known as one of an earlier run by having just the columns that ours would have.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::input::RESULT_COLUMNS;
use crate::outside::{shell_path, shown};
use crate::report::files::atomic::{self, check_device, is_device};
use crate::report::files::earlier::{self, ExistingFile};
use crate::report::files::reserved::{Reserved, ReservedError};
use crate::store::{Reader, StoreError, StoredRun};

/// What a run is called that is not in the books any more.
const UNKNOWN_RUN: &str = "earlier";

/// Why results could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResultsError {
    /// The file cannot be made or written.
    #[error("cannot write the results to {}", shown(path))]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The target has another purpose.
    #[error(transparent)]
    Reserved(#[from] ReservedError),
    /// The target is there, and not by us.
    #[error("{} already exists, and nothing in it shows that tagfleet wrote it", shown(path))]
    NotOurs { path: PathBuf },
    /// The target is there, and is not to be changed.
    #[error("{} already exists and is read-only", shown(path))]
    ReadOnly { path: PathBuf },
    #[error("cannot read the run back")]
    Store(#[from] StoreError),
}

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResultsTarget {
    StandardOutput,
    /// Something that is there and no ordinary file, such as a pipe or `/dev/null`; nothing can stand beside it.
    Device(PathBuf),
    /// A file, and the one for rows that are worth feeding back.
    File {
        /// All rows.
        results: PathBuf,
        /// Failed, unknown, invalid rows, and those not attempted.
        failed: PathBuf,
    },
}

impl ResultsTarget {
    /// A file, with the other one's name made from it: `x.results.csv` and `x.failed.csv`.
    pub(crate) fn file(results: PathBuf) -> Self {
        if is_device(&results) {
            return Self::Device(results);
        }
        let without = |path: &Path, extension: &str| {
            path.extension().is_some_and(|own| own == extension).then(|| path.with_extension(""))
        };
        let stem = without(&results, "csv").map(|stem| without(&stem, "results").unwrap_or(stem));
        // The name need not be text.
        let mut failed = stem.unwrap_or_else(|| results.clone()).into_os_string();
        failed.push(".failed.csv");
        Self::File { results, failed: failed.into() }
    }

    /// Where all rows go, if that has a name.
    pub(crate) fn results(&self) -> Option<&Path> {
        match self {
            Self::StandardOutput => None,
            Self::Device(results) | Self::File { results, .. } => Some(results),
        }
    }

    /// Where the rows go that are worth feeding back, if anywhere.
    pub(crate) fn failed(&self) -> Option<&Path> {
        match self {
            Self::StandardOutput | Self::Device(_) => None,
            Self::File { failed, .. } => Some(failed),
        }
    }

    /// Every file that is written there.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.results().into_iter().chain(self.failed())
    }

    /// Where all rows go as a path that means the same in any directory; `None` for standard output.
    pub(crate) fn absolute_path(&self) -> Option<String> {
        Some(std::path::absolute(self.results()?).ok()?.to_string_lossy().into_owned())
    }

    /// The command that writes the results of a run again: to this target, or to a file if nobody reads the output. It
    /// repeats these options.
    pub(crate) fn command_to_write_again(&self, run_id: &str, repeated_options: &str) -> String {
        let target = self.results().map(|results| format!(" -o {}", shell_path(results))).unwrap_or_default();
        format!("tagfleet results {run_id}{target}{repeated_options}")
    }

    /// Checks before the first call that the results of an input with this header can be written, and that they take the
    /// place of nothing but results.
    ///
    /// # Errors
    /// [`ResultsError`] when the target is a directory or a file that has another purpose, or no file can be made beside it.
    pub(crate) fn check(&self, reserved: &Reserved, header: &[String]) -> Result<(), ResultsError> {
        let earlier = self.check_place(reserved)?;
        let Self::File { failed, .. } = self else { return Ok(()) };
        let unreadable = |source| ResultsError::File { path: failed.clone(), source };
        if earlier.is_none() && earlier::holds_something(failed) {
            let is_ours = earlier::has_header(failed, header).map_err(unreadable)?;
            is_ours.then_some(()).ok_or_else(|| ResultsError::NotOurs { path: failed.clone() })?;
        }
        Ok(())
    }

    /// The same of any input, as far as it can be told; gives the run whose results are there already.
    ///
    /// # Errors
    /// As with [`Self::check`].
    pub(crate) fn check_place(&self, reserved: &Reserved) -> Result<Option<String>, ResultsError> {
        for target in self.files() {
            check_target(target, reserved)?;
        }
        match self {
            Self::StandardOutput => Ok(None),
            Self::Device(device) => match check_device(device) {
                Ok(()) => Ok(None),
                Err(source) => Err(ResultsError::File { path: device.clone(), source }),
            },
            Self::File { results, .. } => {
                let earlier = earlier_run(results)?;
                // Nothing of it stays: the file has gone when this returns.
                new_file_beside(results).map(|_file| earlier)
            }
        }
    }
}

/// What keeps any target from being written: it is a directory, or read-only, or has another purpose.
fn check_target(target: &Path, reserved: &Reserved) -> Result<(), ResultsError> {
    if target.is_dir() {
        let source = io::ErrorKind::IsADirectory.into();
        return Err(ResultsError::File { path: target.to_owned(), source });
    }
    reserved.refuse("the results", target)?;
    if !is_device(target) && earlier::is_read_only(target) {
        return Err(ResultsError::ReadOnly { path: target.to_owned() });
    }
    Ok(())
}

/// What keeps a sheet that has these columns at its end, and belongs to no run, from being written.
pub(super) fn check_sheet(target: &Path, reserved: &Reserved, columns: &[&str]) -> Result<(), ResultsError> {
    check_target(target, reserved)?;
    let unreadable = |source| ResultsError::File { path: target.to_owned(), source };
    if is_device(target) {
        return check_device(target).map_err(unreadable);
    }
    if earlier::existing_file(target, columns).map_err(unreadable)? == ExistingFile::Other {
        return Err(ResultsError::NotOurs { path: target.to_owned() });
    }
    new_file_beside(target).map(|_file| ())
}

/// The run whose results are there already; `None` where there are none.
fn earlier_run(results: &Path) -> Result<Option<String>, ResultsError> {
    let not_ours = || Err(ResultsError::NotOurs { path: results.to_owned() });
    let unreadable = |source| ResultsError::File { path: results.to_owned(), source };
    match earlier::existing_file(results, &RESULT_COLUMNS).map_err(unreadable)? {
        ExistingFile::Nothing | ExistingFile::Ours { last_cell: None } => Ok(None),
        ExistingFile::Ours { last_cell: Some(cell) } => match earlier::run_id(cell) {
            Some(run_id) => Ok(Some(run_id)),
            None => not_ours(),
        },
        ExistingFile::Other => not_ours(),
    }
}

/// Moves what another run left aside. What this one left is to be replaced.
pub(super) async fn keep_earlier_run(
    store: &Reader,
    run: &StoredRun,
    results: &Path,
    failed: &Path,
) -> Result<Vec<PathBuf>, ResultsError> {
    let keep = |path: &Path, earlier: &str| match earlier::move_aside(path, earlier) {
        // Somebody else has kept it, where nobody could be waited for.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        kept => kept.map(Some).map_err(|source| ResultsError::File { path: path.to_owned(), source }),
    };
    match earlier_run(results)? {
        Some(earlier) if earlier == run.description.run_id => Ok(Vec::new()),
        Some(earlier) => {
            let failed = if failed.is_file() { keep(failed, &earlier)? } else { None };
            Ok(keep(results, &earlier)?.into_iter().chain(failed).collect())
        }
        None if earlier::holds_something(failed) && earlier::is_older(failed, run.created_at) => {
            let earlier = store.earlier_run_into(run).await?;
            Ok(keep(failed, earlier.as_deref().unwrap_or(UNKNOWN_RUN))?.into_iter().collect())
        }
        None => Ok(Vec::new()),
    }
}

pub(super) fn new_file_beside(target: &Path) -> Result<NamedTempFile, ResultsError> {
    atomic::new_file_beside(target).map_err(|source| ResultsError::File { path: target.to_owned(), source })
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
        let reserved = Reserved::default().with("the input", &input);
        let check = |target: &Path| {
            ResultsTarget::file(target.to_owned()).check(&reserved, &[]).map_err(|error| error.to_string())
        };
        assert_eq!(check(&directory.path().join("out.csv")), Ok(()));
        assert!(check(directory.path()).is_err_and(|text| text.starts_with("cannot write")));
        assert!(check(&input).is_err_and(|text| text.contains("must not be written into the input")));
        assert!(check(&directory.path().join("missing/out.csv")).is_err());
        let left: Vec<_> = std::fs::read_dir(directory.path()).expect("a directory").collect();
        assert_eq!(left.len(), 1, "only the input is left: {left:?}");
    }

    #[test]
    fn what_somebody_else_wrote_is_no_target() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let ours = format!("machineId,{}\na,{}R\n", RESULT_COLUMNS.join(","), ",".repeat(10));
        let header = ["machineId".to_owned()];
        let check = |name: &str| {
            ResultsTarget::file(at(name)).check(&Reserved::default(), &header).map_err(|error| error.to_string())
        };
        for (results, failed, is_refused) in [
            (None, None, false),
            (Some(ours.as_str()), None, false),
            (Some(&ours), Some("machineId\na\n"), false),
            (Some(""), Some(""), false),
            (Some("machineId\na\n"), None, true),
            // What an earlier run left whose results are gone, and what it cannot have left.
            (None, Some("machineId\na\n"), false),
            (None, Some("machineId,remark\na,mine\n"), true),
            (Some("x"), Some("machineId\na\n"), true),
            (Some(&ours.replace('R', "../R")), None, true),
        ] {
            for (name, text) in [("x.results.csv", results), ("x.failed.csv", failed)] {
                match text {
                    Some(text) => std::fs::write(at(name), text).expect("a file"),
                    None => drop(std::fs::remove_file(at(name))),
                }
            }
            let said = check("x.results.csv");
            assert_eq!(
                said.is_err_and(|text| text.contains("already exists, and nothing in it shows")),
                is_refused,
                "{results:?}"
            );
        }
    }
}
