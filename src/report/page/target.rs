//! Where a page goes, and whether it may: it takes the place of nothing but a page.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::html::MARK;
use crate::outside::shown;
use crate::report::files::atomic::{self, check_device, is_device, new_file_beside, open_device};
use crate::report::files::earlier::{holds_something, is_read_only};
use crate::report::files::reserved::{Reserved, ReservedError};
use crate::report::output::screen::Screen;
use crate::report::results::target::ResultsError;

/// Why a page could not be made or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// The file cannot be made or written.
    #[error("cannot write the report to {}", shown(path))]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The target has another purpose.
    #[error(transparent)]
    Reserved(#[from] ReservedError),
    /// The target is there, and is no page of ours, or not to be changed.
    #[error("{} already exists, and {why}", shown(path))]
    Occupied { path: PathBuf, why: &'static str },
    /// The run cannot be read.
    #[error("cannot make the report")]
    Run(#[from] ResultsError),
}

/// Where a page goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageTarget(PathBuf);

impl PageTarget {
    /// A file, or something else that has a name.
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Checks that a page can be written there.
    ///
    /// # Errors
    /// [`PageError`] when the target is a directory or has another purpose, or no file can be made beside it.
    pub(crate) fn check(&self, reserved: &Reserved) -> Result<(), PageError> {
        let path = self.0.as_path();
        let unusable = |source| PageError::File { path: path.to_owned(), source };
        if path.is_dir() {
            return Err(unusable(io::ErrorKind::IsADirectory.into()));
        }
        reserved.refuse("the report", path)?;
        if is_device(path) {
            return check_device(path).map_err(unusable);
        }
        self.check_existing_file()?;
        // Nothing of it stays: the file has gone when this returns.
        new_file_beside(path).map(drop).map_err(unusable)
    }

    /// Writes a page. What came into its place since that was looked at stays.
    ///
    /// # Errors
    /// [`PageError`] when it cannot be written; what was there is there then.
    pub(crate) fn write(&self, page: &str, screen: &Screen) -> Result<(), PageError> {
        let path = self.0.as_path();
        let failed = |source| PageError::File { path: path.to_owned(), source };
        if is_device(path) {
            let device = open_device(path).map_err(failed)?;
            let mut buffered = BufWriter::new(screen.stream_to(device));
            return buffered.write_all(page.as_bytes()).and_then(|()| buffered.flush()).map_err(failed);
        }
        self.check_existing_file()?;
        let mut file = new_file_beside(path).map_err(failed)?;
        // By itself it would name the file that is renamed in the end.
        file.as_file_mut().write_all(page.as_bytes()).map_err(failed)?;
        atomic::put_in_place(file, path).map_err(failed)
    }

    fn check_existing_file(&self) -> Result<(), PageError> {
        let path = self.0.as_path();
        let occupied = |why| PageError::Occupied { path: path.to_owned(), why };
        if is_read_only(path) {
            return Err(occupied("is read-only"));
        }
        if holds_something(path)
            && !is_page(path).map_err(|source| PageError::File { path: path.to_owned(), source })?
        {
            return Err(occupied("is not a report that tagfleet wrote"));
        }
        Ok(())
    }
}

impl fmt::Display for PageTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&shown(&self.0))
    }
}

/// Whether a file begins as a page of ours does.
fn is_page(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(MARK.len() as u64).read_to_end(&mut start)?;
    Ok(start == MARK.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::ColorChoice;

    #[test]
    fn a_page_takes_the_place_of_a_page_and_of_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let screen = Screen::new(ColorChoice::Never, true);
        let page = format!("{MARK}<title>x</title>");
        for (name, text) in [("notes.html", "<!DOCTYPE html><p>mine"), ("input.csv", "machineId\n")] {
            std::fs::write(at(name), text).expect("a file");
            let target = PageTarget::new(at(name));
            assert!(matches!(target.check(&Reserved::default()), Err(PageError::Occupied { .. })), "{name}");
            assert!(target.write(&page, &screen).is_err(), "{name}");
            assert_eq!(std::fs::read_to_string(at(name)).expect("a file"), text);
        }
        let target = PageTarget::new(at("run.report.html"));
        for _ in 0..2 {
            target.check(&Reserved::default()).expect("room for a page");
            target.write(&page, &screen).expect("room for a page");
        }
        assert_eq!(std::fs::read_to_string(at("run.report.html")).expect("a page"), page);
        let reserved = Reserved::default().with("the log", at("run.report.html"));
        assert!(matches!(target.check(&reserved), Err(PageError::Reserved(_))));
        assert!(PageTarget::new(at("no/where.html")).check(&Reserved::default()).is_err());
        assert!(PageTarget::new(directory.path().to_owned()).check(&Reserved::default()).is_err());
    }
}
