//! Files that appear complete or not at all, and cells that no spreadsheet runs.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

/// Whether the target is there and no ordinary file: a pipe or `/dev/null`, which nothing may be renamed over.
pub(super) fn is_device(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Opens a target that is no ordinary file. A named pipe that nobody reads would keep whoever opens it for ever, so it is
/// refused; where somebody reads, a slow reader gets all the time that he needs.
#[cfg(unix)]
pub(super) fn open_device(path: &Path) -> io::Result<File> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use std::os::unix::fs::OpenOptionsExt;
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let opened = File::options().write(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NXIO) => io::Error::new(io::ErrorKind::NotConnected, "nobody reads this pipe"),
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
pub(super) fn check_device(path: &Path) -> io::Result<()> {
    open_device(path).map(std::mem::forget)
}

/// A new file in the target's directory that only its owner can read; it goes with its handle.
pub(super) fn new_file_beside(target: &Path) -> io::Result<NamedTempFile> {
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".tagfleet-")
        .suffix(".csv")
        .tempfile_in(directory)
        // The kind says enough; the library's message would name the temporary file.
        .map_err(|source| source.kind().into())
}

/// Puts a file that is complete in the target's place, once it is on the disk.
pub(super) fn put_in_place(file: NamedTempFile, target: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(target).map(|_file| ()).map_err(|error| error.error)
}

/// A text that a spreadsheet would take for a formula gets an apostrophe in front.
pub(super) fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{cell}").into() } else { cell.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_made_harmless() {
        for (cell, written) in
            [("=1+1", "'=1+1"), ("-", "'-"), ("@a", "'@a"), ("\tx", "'\tx"), ("a=b", "a=b"), ("", "")]
        {
            assert_eq!(harmless(cell), written);
        }
    }
}
