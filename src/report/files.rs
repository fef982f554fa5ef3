//! Files that appear complete or not at all.

use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

/// Whether the target is there and no ordinary file: a pipe or `/dev/null`, which nothing may be renamed over.
pub(super) fn is_device(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
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
