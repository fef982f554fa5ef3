//! Files that appear complete or not at all.
//!
//! A file that is being written has a name of its own beside its target, and a lock for as long as somebody writes it. So
//! what a process left that was killed is told from what another one is about to finish, and whoever comes next sweeps it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::reserved::MOST_LINKS;
use crate::outside::shown;

/// How the names of files begin and end that are being written.
const PREFIX: &str = ".tagfleet-";
const SUFFIX: &str = ".csv";

/// How long it is waited for whoever puts files in place in the same folder, and how often that is looked at.
const LONGEST_WAIT_FOR_FOLDER: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Whether the target is there and no ordinary file: a pipe or `/dev/null`, which nothing may be renamed over.
pub(in crate::report) fn is_device(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Whether a target is no file that could have another beside it: a device, or a name of an open stream.
pub(crate) fn is_stream(path: &Path) -> bool {
    is_device(path) || names_a_stream(path)
}

/// Opens a target that is no ordinary file. A named pipe that nobody reads would keep whoever opens it for ever, so it is
/// refused; where somebody reads, a slow reader gets all the time that he needs.
#[cfg(unix)]
pub(in crate::report) fn open_device(path: &Path) -> io::Result<File> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use std::os::unix::fs::OpenOptionsExt;
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let opened = File::options().write(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NXIO) => io::Error::new(io::ErrorKind::NotConnected, "no process reads this pipe"),
        _ => error,
    })?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(not(unix))]
pub(super) fn open_device(path: &Path) -> io::Result<File> {
    File::options().write(true).open(path)
}

/// Finds out whether a target that is no ordinary file can be written. It stays open until the process ends, or the reader
/// of a pipe would take the end of this look for the end of what is to be written.
pub(in crate::report) fn check_device(path: &Path) -> io::Result<()> {
    open_device(path).map(std::mem::forget)
}

/// A new file in the target's directory that only its owner can read; it goes with its handle.
pub(in crate::report) fn new_file_beside(target: &Path) -> io::Result<NamedTempFile> {
    let directory = folder_of(target);
    if !directory.is_dir() {
        let (kind, what) = match directory.symlink_metadata() {
            Ok(_) => (io::ErrorKind::NotADirectory, "is no folder"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (error.kind(), "does not exist"),
            Err(error) => (error.kind(), "cannot be reached"),
        };
        return Err(io::Error::new(kind, format!("the folder {} {what}", shown(directory))));
    }
    refuse_place_of_stream(target)?;
    sweep(directory);
    loop {
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(SUFFIX)
            .tempfile_in(directory)
            // The kind says enough; the library's message would name the temporary file.
            .map_err(|source| io::Error::from(source.kind()))?;
        // Where nothing can be locked, nothing is swept. Somebody who sweeps may have come before the lock.
        if file.as_file().try_lock().is_err() || file.path().exists() {
            return Ok(file);
        }
    }
}

/// Refuses to make a file in the place of a stream.
///
/// # Errors
/// An error that names the target.
pub(crate) fn refuse_place_of_stream(target: &Path) -> io::Result<()> {
    if names_a_stream(target) {
        let message = format!("no file can be put in the place of {}", shown(target));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

/// Whether a target is a name of an open stream, such as `/dev/stdout`, or stands among those, also by way of links. What leads
/// to an ordinary file there is no less one: to put a file in its place would take the name from everybody on the computer.
fn names_a_stream(target: &Path) -> bool {
    let mut path = target.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(folder) = folder_of(&path).canonicalize() else { return false };
        if folder.starts_with("/proc") || folder == Path::new("/dev") {
            return true;
        }
        let Ok(leads_to) = path.read_link() else { return false };
        path = folder.join(leads_to);
    }
    false
}

/// Removes what dead processes left in a directory. What cannot be removed is in nobody's way.
fn sweep(directory: &Path) {
    let Ok(entries) = directory.read_dir() else { return };
    let is_ours = |name: &str| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
    for entry in entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_ours)) {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if let Some(left) = is_file.then(|| File::open(entry.path()).ok()).flatten()
            && left.try_lock().is_ok()
        {
            let _gone = std::fs::remove_file(entry.path());
        }
    }
}

/// Nobody else puts files in place in the target's folder for as long as this is there. Where that cannot be had, because the
/// file system knows no such locks or somebody is too slow, nobody waits any longer: everything is put in place all the same.
pub(in crate::report) struct FolderLock(Option<File>);

impl FolderLock {
    /// Waits a while for whoever has it.
    pub(in crate::report) fn take(target: &Path) -> Self {
        let Ok(folder) = File::open(folder_of(target)) else { return Self(None) };
        let began = Instant::now();
        loop {
            match folder.try_lock() {
                Ok(()) => return Self(Some(folder)),
                Err(TryLockError::WouldBlock) if began.elapsed() < LONGEST_WAIT_FOR_FOLDER => {
                    std::thread::sleep(BETWEEN_LOOKS);
                }
                Err(_no_lock) => return Self(None),
            }
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Whoever else has the handle, such as a child that has just been started, would keep it.
        if let Some(Err(error)) = self.0.as_ref().map(File::unlock) {
            tracing::debug!(%error, "a folder stays locked until this process ends");
        }
    }
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Puts a file that is complete in the target's place, once it is on the disk.
pub(in crate::report) fn put_in_place(file: NamedTempFile, target: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(target).map(|_file| ()).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_swept_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        for name in [".tagfleet-left.csv", ".tagfleet-mine.txt", "tagfleet-mine.csv"] {
            std::fs::write(at(name), "x").expect("a file");
        }
        let under_way = new_file_beside(&at("x.csv")).expect("a file");
        let other = new_file_beside(&at("y.csv")).expect("a file");
        assert!(under_way.path().exists() && other.path().exists(), "neither sweeps the other's");
        drop((under_way, other));
        let mut left: Vec<_> = directory.path().read_dir().expect("a directory").flatten().collect();
        left.sort_by_key(std::fs::DirEntry::file_name);
        let left: Vec<_> = left.iter().map(std::fs::DirEntry::file_name).collect();
        assert_eq!(left, [".tagfleet-mine.txt", "tagfleet-mine.csv"]);
    }

    #[test]
    fn one_at_a_time_puts_files_in_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let target = directory.path().join("x.csv");
        let at_work = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _lock = FolderLock::take(&target);
                    assert_eq!(
                        at_work.fetch_add(1, std::sync::atomic::Ordering::SeqCst),
                        0,
                        "somebody else is at work"
                    );
                    std::thread::yield_now();
                    at_work.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                });
            }
        });
        // A folder that is not there keeps nobody waiting.
        drop(FolderLock::take(Path::new("nowhere/x.csv")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_is_put_in_the_place_of_a_stream_also_where_it_leads_to_a_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, link) = (directory.path().join("file"), directory.path().join("stdout"));
        let stream = File::create(&file).expect("a file");
        let number = std::os::fd::AsRawFd::as_raw_fd(&stream);
        let ours = directory.path().join("ours.csv");
        std::os::unix::fs::symlink(format!("/proc/self/fd/{number}"), &link).expect("a link");
        std::os::unix::fs::symlink("stdout", &ours).expect("a link");
        let of_system = [format!("/dev/fd/{number}"), "/dev/nowhere-to-be-seen".to_owned()];
        for target in of_system.map(std::path::PathBuf::from).into_iter().chain([link.clone(), ours]) {
            let error = new_file_beside(&target).expect_err("it is no place for a file");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}: {error}", target.display());
        }
        assert!(link.symlink_metadata().expect("a link").is_symlink());
        let ordinary = directory.path().join("link");
        std::os::unix::fs::symlink(&file, &ordinary).expect("a link");
        new_file_beside(&ordinary).expect("room for a file");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = new_file_beside(Path::new("nowhere/x.csv")).expect_err("no folder");
        assert_eq!(error.to_string(), "the folder nowhere does not exist");
    }
}
