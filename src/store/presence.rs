//! Whether the files that this process writes are still those that others find.
//!
//! A file that was moved, deleted or replaced while it is open can be written as before, and nobody will ever read it: two
//! processes would then keep two ledgers of one quota. A shared memory that was cut kills whoever touches it. So before each
//! transaction that writes the files are looked at by their paths, which costs some microseconds. They are never opened for
//! that: to close a file gives up all locks of this process on it.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::soundness::{beside, journal_of};

/// The files of an open database as they were when it was opened.
#[derive(Debug)]
pub(super) struct Presence {
    directory: PathBuf,
    files: [(PathBuf, Option<Mark>); 3],
}

/// What a file is known by, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    identity: (u64, u64),
    length: u64,
}

impl Presence {
    /// Remembers the files of this database. To be called after its first transaction, when all of them are there.
    pub(super) fn of(directory: &Path, database: &Path) -> Self {
        let files = [database.to_owned(), journal_of(database), beside(database, "-shm")];
        Self { directory: directory.to_owned(), files: files.map(|path| (path.clone(), Mark::of(&path))) }
    }

    /// Looks whether they are still where they were.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when they are not, or when nobody could write beside them any more.
    pub(super) fn look(&self) -> Result<(), StoreError> {
        let is_writable = self.directory.metadata().is_ok_and(|metadata| !metadata.permissions().readonly());
        let is_there = |(path, known): &(PathBuf, Option<Mark>)| match (known, Mark::of(path)) {
            (Some(known), Some(found)) => {
                // A database and its journal become shorter at times, shared memory never does.
                let is_shared_memory = path.extension().is_some_and(|name| name.to_string_lossy().ends_with("-shm"));
                known.identity == found.identity && (!is_shared_memory || known.length <= found.length)
            }
            (known, _) => known.is_none(),
        };
        if is_writable && self.files.iter().all(is_there) {
            return Ok(());
        }
        Err(StoreError::Moved { path: self.directory.clone() })
    }
}

impl Mark {
    fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        Some(Self { identity: identity(&metadata), length: metadata.len() })
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

// A file that is open can be neither removed nor moved there.
#[cfg(not(unix))]
const fn identity(_metadata: &Metadata) -> (u64, u64) {
    (0, 0)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn whatever_happens_to_a_file_or_its_directory_is_seen() {
        type Harm = fn(&Path, &Path);
        let harms: [(&str, Harm); 8] = [
            ("the directory was moved", |directory, _| {
                fs::rename(directory, directory.with_extension("old")).expect("our own");
            }),
            ("the directory was deleted", |directory, _| fs::remove_dir_all(directory).expect("our own")),
            ("the directory is another's to write", |directory, _| {
                fs::set_permissions(directory, fs::Permissions::from_mode(0o500)).expect("our own");
            }),
            ("the database was deleted", |_, database| fs::remove_file(database).expect("our own")),
            ("the database was replaced", |directory, database| {
                fs::write(directory.join("copy"), "x").expect("our own");
                fs::rename(directory.join("copy"), database).expect("our own");
            }),
            ("the journal was deleted", |_, database| fs::remove_file(journal_of(database)).expect("our own")),
            ("the shared memory was deleted", |_, database| {
                fs::remove_file(beside(database, "-shm")).expect("our own");
            }),
            ("the shared memory was cut", |_, database| {
                let file = File::options().write(true).open(beside(database, "-shm")).expect("our own");
                file.set_len(10).expect("our own");
            }),
        ];
        for (what, harm) in harms {
            let place = tempfile::tempdir().expect("a directory");
            let directory = place.path().join("state");
            fs::create_dir(&directory).expect("our own");
            let database = directory.join("db.sqlite3");
            for path in [database.clone(), journal_of(&database), beside(&database, "-shm")] {
                fs::write(path, [1; 100]).expect("our own");
            }
            let presence = Presence::of(&directory, &database);
            fs::write(&database, "shorter").expect("our own");
            fs::write(journal_of(&database), "").expect("our own");
            assert!(presence.look().is_ok(), "they may become shorter");
            harm(&directory, &database);
            assert!(matches!(presence.look(), Err(StoreError::Moved { .. })), "{what}");
        }
    }
}
