//! Whether the files that this process writes are still those that others find.
//!
//! A file that was moved, deleted or replaced while it is open can be written as before, and nobody will ever read it: two
//! processes would then keep two ledgers of one quota. So before each transaction that writes the files are looked at by
//! their paths, which costs some microseconds. They are never opened for that: to close a file gives up all locks of this
//! process on it.
//!
//! Shared memory that was cut kills whoever touches what is missing, so its length is looked at before each transaction,
//! also before one that only reads. It must not be given its length back: whoever is in the middle of a transaction would
//! go on with an index that has holes, and take old pages for new ones. The next process makes it anew from the journal.

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
            (Some(known), Some(found)) => known.identity == found.identity,
            (known, _) => known.is_none(),
        };
        if is_writable && self.files.iter().all(is_there) {
            return Ok(());
        }
        Err(StoreError::Moved { path: self.directory.clone() })
    }
}

/// The memory that the processes of a database share, which is a file that each of them has mapped.
#[derive(Debug)]
pub(super) struct SharedMemory {
    path: PathBuf,
    known: Option<Mark>,
}

impl SharedMemory {
    /// That of this database. To be called after a first transaction, when it is there.
    pub(super) fn of(database: &Path) -> Self {
        let path = beside(database, "-shm");
        Self { known: Mark::of(&path), path }
    }

    /// Looks whether all of it is there. One that was moved or deleted is, as long as it is mapped.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when somebody has cut it: then the database must not be touched.
    pub(super) fn look(&mut self) -> Result<(), StoreError> {
        let (Some(known), Some(found)) = (&mut self.known, Mark::of(&self.path)) else { return Ok(()) };
        if known.identity == found.identity && found.length < known.length {
            let directory = self.path.parent().unwrap_or(&self.path);
            return Err(StoreError::Moved { path: directory.to_owned() });
        }
        known.length = known.length.max(found.length);
        Ok(())
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
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn whatever_happens_to_a_file_or_its_directory_is_seen() {
        type Harm = fn(&Path, &Path);
        let harms: [(&str, Harm); 7] = [
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

    #[test]
    fn shared_memory_that_was_cut_is_not_touched_and_one_that_is_gone_is_still_mapped() {
        let place = tempfile::tempdir().expect("a directory");
        let database = place.path().join("db");
        let file = beside(&database, "-shm");
        fs::write(&file, [0; 200]).expect("our own");
        let mut memory = SharedMemory::of(&database);
        assert!(memory.look().is_ok());
        fs::write(&file, [0; 300]).expect("our own");
        assert!(memory.look().is_ok(), "it grows");
        for length in [0, 299] {
            fs::write(&file, vec![0; length]).expect("our own");
            assert!(matches!(memory.look(), Err(StoreError::Moved { .. })), "{length}");
        }
        fs::remove_file(&file).expect("our own");
        assert!(memory.look().is_ok());
    }
}
