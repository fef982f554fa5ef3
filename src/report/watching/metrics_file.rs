//! The file that the metrics of a job go into, for the textfile collector of the node exporter.
//!
//! It is replaced whole, so that nobody reads half a page, and everybody may read it. A file that cannot be written costs
//! one warning and nothing else; one that somebody else has written is never replaced.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::live_status::StatusSnapshot;
use super::metrics::{Earlier, FIRST_LINE, Job, Moment, seconds};
use crate::outside::shown;
use crate::report::files::atomic::{is_device, new_file_beside, put_in_place};

/// So much of a page is read: ours has a tenth of that.
const PAGE_MAXIMUM_BYTES: u64 = 64 * 1024;

/// A file that must not be replaced.
#[derive(Debug, thiserror::Error)]
#[error("{} already exists, and holds no metrics that tagfleet wrote", shown(path))]
pub(crate) struct ForeignFile {
    path: PathBuf,
}

/// The metrics of one command, and where they go.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    path: PathBuf,
    job: Job,
    earlier: Earlier,
    last_success: Option<f64>,
    started_at: Timestamp,
    started: Instant,
    /// The number of the page that was put there last.
    written: Mutex<u64>,
}

/// Reads what is there already.
///
/// # Errors
/// [`ForeignFile`] when it is somebody else's; as the inner error, why it cannot be read.
fn read_earlier(path: &Path) -> Result<io::Result<Earlier>, ForeignFile> {
    let foreign = || ForeignFile { path: path.to_owned() };
    if is_device(path) {
        return Err(foreign());
    }
    let mut page = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PAGE_MAXIMUM_BYTES).read_to_end(&mut page));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(Earlier::default())),
        Err(error) => return Ok(Err(error)),
        Ok(_length) => {}
    }
    let page = String::from_utf8_lossy(&page);
    if page.is_empty() || page.starts_with(FIRST_LINE) { Ok(Ok(Earlier::of(&page))) } else { Err(foreign()) }
}

impl MetricsFile {
    /// The file for a job of this name, whose command begins now. Nothing is written yet.
    ///
    /// # Errors
    /// [`ForeignFile`] when somebody else's file stands there; as the inner error, why what stands there cannot be read.
    pub(crate) fn new(path: &Path, job: &str, started_at: Timestamp) -> Result<io::Result<Self>, ForeignFile> {
        let job = Job::new(job);
        Ok(read_earlier(path)?.map(|earlier| Self {
            path: path.to_owned(),
            last_success: job.last_success(&earlier, started_at),
            job,
            earlier,
            started_at,
            started: Instant::now(),
            written: Mutex::default(),
        }))
    }

    /// Whether it is known when the job last succeeded.
    pub(crate) const fn knows_last_success(&self) -> bool {
        self.last_success.is_some()
    }

    /// The job last succeeded then, as far as somebody else knows.
    pub(crate) fn note_last_success(&mut self, time: Timestamp) {
        self.last_success = Some(seconds(time));
    }

    /// The page of this moment; with the exit status once the command has ended.
    pub(crate) fn page(&self, standing: &StatusSnapshot, exit_status: Option<u8>, now: Timestamp) -> String {
        Moment {
            job: &self.job,
            earlier: &self.earlier,
            last_success: self.last_success,
            started_at: self.started_at,
            now,
            elapsed: self.started.elapsed(),
            exit_status,
            standing,
        }
        .page()
    }

    /// Puts a page there, unless a later one is there already. May block.
    ///
    /// # Errors
    /// When it cannot be written, or somebody else has put a file there meanwhile; the file is as it was then.
    pub(crate) fn write(&self, page: &str, number: u64) -> io::Result<()> {
        use std::io::Write as _;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written > number {
            return Ok(());
        }
        // What cannot be read is told by what cannot be written.
        let _readable = read_earlier(&self.path).map_err(io::Error::other)?;
        let file = new_file_beside(&self.path)?;
        file.as_file().write_all(page.as_bytes())?;
        let_everybody_read(file.as_file())?;
        put_in_place(file, &self.path)?;
        *written = number;
        Ok(())
    }
}

/// The exporter runs as another user.
#[cfg(unix)]
fn let_everybody_read(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "there are no such permissions here")]
fn let_everybody_read(_file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &Path) -> MetricsFile {
        let now = "2026-11-26T03:00:00Z".parse().expect("a time");
        MetricsFile::new(path, "retag.csv", now).expect("ours").expect("readable")
    }

    #[test]
    fn a_page_replaces_only_what_we_wrote_before_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tagfleet.prom");
        let (one, now) = (file(&path), Timestamp::UNIX_EPOCH);
        one.write(&one.page(&StatusSnapshot::default(), None, now), 2).expect("a directory");
        one.write("an older page", 1).expect("a directory");
        let page = std::fs::read_to_string(&path).expect("a page");
        assert!(page.contains("tagfleet_run_in_progress{job=\"retag.csv\"} 1\n"), "{page}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o644);
        }
        assert_eq!(directory.path().read_dir().expect("a directory").count(), 1, "nothing else is left");
        std::fs::write(&path, "").expect("a file");
        assert!(!file(&path).knows_last_success());
        let mine = std::fs::write(&path, "mine\n");
        assert!(mine.is_ok() && one.write("a later page", 3).is_err(), "it is somebody else's by now");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "mine\n");
        for other in ["machineId,tag\n", "# HELP node_x y\nnode_x 1\n", "PK\u{3}\u{4}"] {
            std::fs::write(&path, other).expect("a file");
            let error = MetricsFile::new(&path, "retag.csv", now).expect_err("somebody else's");
            assert!(error.to_string().ends_with("holds no metrics that tagfleet wrote"), "{error}");
        }
    }
}
