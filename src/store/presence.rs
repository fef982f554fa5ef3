//! Whether the files that this process writes are still those that others find, and hold what they held.
//!
//! A file that was moved, deleted or replaced while it is open can be written as before, and nobody will ever read it: two
//! processes would then keep two ledgers of one quota. So before each transaction that writes the files are looked at by
//! their paths, which costs some microseconds. They are never opened for that: to close a file gives up all locks of this
//! process on it.
//!
//! A file that is cut or overwritten in place is still there, so it is also looked whether the database has changed although
//! nobody has brought anything into it, and whether the [journal](super::journal) is as it was.
//!
//! Shared memory that was cut kills whoever touches what is missing, so its length is looked at before each transaction,
//! also before one that only reads. It must not be given its length back: whoever is in the middle of a transaction would
//! go on with an index that has holes, and take old pages for new ones. The next process makes it anew from the journal. What
//! is cut in the middle of a transaction stops the thread that touches it, for good: the system tells the process so
//! ([`lose_shared_memory`]), and from then on nobody waits for an answer from a database on a disk.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::SetOnce;

use super::journal::{Found, Journal};
use super::soundness::{beside, journal_of};
use super::{StoreError, custody, reader, soundness};

/// How often a file is looked at before it is believed to be harmed, and after what time: another process may be writing.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Whether a thread of this process has touched memory that is no more.
static LOST_MEMORY: SetOnce<()> = SetOnce::const_new();

/// Says that a thread of this process has touched shared memory that was cut, and will not come back from there.
pub fn lose_shared_memory() {
    let _known_already = LOST_MEMORY.set(());
}

/// The outcome of work on this database, which never comes from a thread that has lost its memory.
pub(super) async fn unless_lost<Answer>(
    database: &Path,
    work: impl Future<Output = Result<Answer, StoreError>>,
) -> Result<Answer, StoreError> {
    tokio::select! {
        biased;
        &() = LOST_MEMORY.wait() => Err(StoreError::Harmed { path: beside(database, "-shm") }),
        done = work => done,
    }
}

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
    /// [`StoreError::Harmed`] when somebody has cut it: then the database must not be touched.
    pub(super) fn look(&mut self) -> Result<(), StoreError> {
        let (Some(known), Some(found)) = (&mut self.known, Mark::of(&self.path)) else { return Ok(()) };
        if known.identity == found.identity && found.length < known.length {
            return Err(StoreError::Harmed { path: self.path.clone() });
        }
        known.length = known.length.max(found.length);
        Ok(())
    }
}

/// What the files hold, as far as that can be compared at each commit.
#[derive(Debug)]
pub(super) struct Contents {
    database: PathBuf,
    /// The length of the database, and when it was written last. Only what is brought in from the journal changes that.
    written: Option<(u64, SystemTime)>,
    journal: Journal,
}

impl Contents {
    /// Remembers what they hold. To be called after the first transaction.
    pub(super) fn of(database: &Path) -> Result<Self, StoreError> {
        let path = journal_of(database);
        let journal = Journal::open(&path).map_err(|source| StoreError::Io { path, source: Arc::new(source) })?;
        Ok(Self { database: database.to_owned(), written: written(database), journal })
    }

    /// Looks whether they hold what they held when there were so many commits.
    ///
    /// # Errors
    /// [`StoreError::Harmed`] when somebody has cut one of them or written into it.
    pub(super) fn look(&mut self, commits: i64) -> Result<(), StoreError> {
        let written = written(&self.database);
        if written != self.written {
            // Another process has brought its commits in, or somebody has done harm.
            self.patiently(|this| Ok(this.is_readable() && this.is_sound()))?;
            self.written = written;
        }
        self.patiently(|this| match this.journal.look()? {
            Found::Whole => Ok(true),
            Found::Harmed => Ok(false),
            Found::Anew => this.began_anew_after(commits),
        })
    }

    /// Looks whether a commit of ours, which was one of so many, is there.
    ///
    /// # Errors
    /// The same.
    pub(super) fn look_for_commit(&mut self, commits: i64) -> Result<(), StoreError> {
        self.patiently(|this| match this.journal.look()? {
            Found::Whole => Ok(this.journal.follow()? > 0 || this.began_anew_after(commits)?),
            Found::Harmed => Ok(false),
            Found::Anew => this.began_anew_after(commits),
        })?;
        let written = written(&self.database);
        if written != self.written {
            // A part of the journal was brought in with this commit.
            self.patiently(|this| Ok(this.is_readable()))?;
            self.written = written;
        }
        Ok(())
    }

    /// Whether a journal that was emptied or begun anew had been brought into the database: all commits are there then but
    /// those in the new one.
    fn began_anew_after(&mut self, commits: i64) -> io::Result<bool> {
        let in_journal = i64::from(self.journal.begin_anew()?);
        let in_file = custody::commits_in_file(&self.database);
        Ok(in_file.is_some_and(|in_file| in_file > 0 && in_file.saturating_add(in_journal) >= commits))
    }

    /// Whether the database can be read without its journal, as it could when it was made.
    fn is_readable(&self) -> bool {
        custody::commits_in_file(&self.database).is_some_and(|commits| commits > 0)
    }

    /// Whether no damage is found by somebody who has kept nothing of it in memory.
    fn is_sound(&self) -> bool {
        reader::connect(&self.database).is_ok_and(|connection| soundness::check(&connection, &self.database).is_ok())
    }

    fn patiently(&mut self, is_well: impl Fn(&mut Self) -> io::Result<bool>) -> Result<(), StoreError> {
        for look in 1.. {
            match is_well(self) {
                Ok(true) => return Ok(()),
                Ok(false) if look < LOOKS => std::thread::sleep(BETWEEN_LOOKS),
                Ok(false) | Err(_) => break,
            }
        }
        Err(StoreError::Harmed { path: self.database.clone() })
    }
}

fn written(database: &Path) -> Option<(u64, SystemTime)> {
    let metadata = database.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
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
            assert!(matches!(memory.look(), Err(StoreError::Harmed { .. })), "{length}");
        }
        fs::remove_file(&file).expect("our own");
        assert!(memory.look().is_ok());
    }
}
