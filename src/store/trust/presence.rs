//! Whether the files that this process writes are still those that others find, and hold what they held.
//!
//! A file that was moved, deleted or replaced while it is open can be written as before, and nobody will ever read it: two
//! processes would then keep two ledgers of one quota. So before each transaction that writes the files are looked at by
//! their paths, which costs some microseconds. They are never opened for that: to close a file gives up all locks of this
//! process on it.
//!
//! A file that is cut or overwritten in place is still there. `SQLite` trusts its index of the journal, which is in memory, and
//! notices nothing until it reads a page that is gone. So the length of both files, the times when they were written, and the
//! head of the journal are compared at each commit. Those of the database change rarely: when the journal is brought into it.
//! Whenever they have, or the journal has begun anew, somebody who keeps nothing in memory has to find all commits. The
//! journal is written by everybody who commits; so where its time is another, or may be the same by chance, it is read by its
//! checksums ([`CommitEnd`]), as often as that takes a small part of the time, and always before it is brought into the database.
//!
//! Shared memory that was cut kills whoever touches what is missing, so its length is looked at before each transaction,
//! also before one that only reads. It must not be given its length back: whoever is in the middle of a transaction would
//! go on with an index that has holes, and take old pages for new ones. The next process makes it anew from the journal. What
//! is cut in the middle of a transaction stops the thread that touches it, for good: the system tells the process so
//! ([`lose_shared_memory`]), and from then on nobody waits for an answer from a database on a disk.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::SetOnce;

use super::journal::CommitEnd;
use super::soundness;
use super::witness::WitnessRecord;
use crate::store::StoreError;
use crate::store::engine::commits;
use crate::store::engine::file_names::{beside, journal_of};
use crate::store::files::database::connect;

/// How often a database is read before it is believed to be harmed, and after what time: another process may be at it.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// What part of the time may go into reading the journal: where somebody else has written into it, and where nobody seems to
/// have, as two writes in one tick of the filesystem's clock have one time.
const SHARE_IF_WRITTEN: u32 = 10;
const SHARE_IF_QUIET: u32 = 50;

/// Whether a thread of this process has touched memory that is no more.
static LOST_MEMORY: SetOnce<()> = SetOnce::const_new();

/// Says that a thread of this process has touched shared memory that was cut, and will not come back from there.
pub(crate) fn lose_shared_memory() {
    let _known_already = LOST_MEMORY.set(());
}

/// The outcome of work on this database, which never comes from a thread that has lost its memory.
pub(in crate::store) async fn unless_lost<Answer>(
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
pub(in crate::store) struct Presence {
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
    pub(in crate::store) fn of(directory: &Path, database: &Path) -> Self {
        let files = [database.to_owned(), journal_of(database), beside(database, "-shm")];
        Self { directory: directory.to_owned(), files: files.map(|path| (path.clone(), Mark::of(&path))) }
    }

    /// Looks whether they are still where they were.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when they are not, or when nobody could write beside them any more.
    pub(in crate::store) fn look(&self) -> Result<Found, StoreError> {
        let is_writable = self.directory.metadata().is_ok_and(|metadata| !metadata.permissions().readonly());
        let found = self.files.each_ref().map(|(path, _)| path.metadata().ok());
        let is_there = |((_, known), found): (&(PathBuf, Option<Mark>), &Option<Metadata>)| match (known, found) {
            (Some(known), Some(found)) => known.identity == identity(found),
            (known, _) => known.is_none(),
        };
        if !is_writable || !self.files.iter().zip(&found).all(is_there) {
            return Err(StoreError::Moved { path: self.directory.clone() });
        }
        let [database, journal, _] = found;
        Ok(Found { database, journal })
    }
}

/// The files as they were found, so that none is looked at twice.
pub(in crate::store) struct Found {
    database: Option<Metadata>,
    journal: Option<Metadata>,
}

/// The memory that the processes of a database share, which is a file that each of them has mapped.
#[derive(Debug)]
pub(in crate::store) struct SharedMemory {
    path: PathBuf,
    known: Option<Mark>,
}

impl SharedMemory {
    /// That of this database. To be called after a first transaction, when it is there.
    pub(in crate::store) fn of(database: &Path) -> Self {
        let path = beside(database, "-shm");
        Self { known: Mark::of(&path), path }
    }

    /// Looks whether all of it is there. One that was moved or deleted is, as long as it is mapped.
    ///
    /// # Errors
    /// [`StoreError::Harmed`] when somebody has cut it: then the database must not be touched.
    pub(in crate::store) fn look(&mut self) -> Result<(), StoreError> {
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
pub(in crate::store) struct Contents {
    database: PathBuf,
    journal: File,
    known: Traits,
    /// Where our last commit ended in the journal.
    end: Option<CommitEnd>,
    proof: Proof,
}

/// When the journal was read by its checksums, and how long that took.
#[derive(Clone, Copy, Debug)]
struct Proof {
    at: Instant,
    took: Duration,
    /// Whether somebody has written into it since.
    is_due: bool,
}

impl Proof {
    /// Whether another may be had by now.
    fn may_be_had(&self) -> bool {
        let share = if self.is_due { SHARE_IF_WRITTEN } else { SHARE_IF_QUIET };
        self.at.elapsed() >= self.took.saturating_mul(share)
    }
}

/// What changes when a file is cut or overwritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Traits {
    database_length: u64,
    /// When the database was written last.
    written: Option<SystemTime>,
    journal_length: u64,
    /// When the journal was written last, by whomever.
    journal_written: Option<SystemTime>,
    /// The beginning of the journal: a mark, the length of a page, and words that are others whenever it begins anew
    /// (<https://sqlite.org/walformat.html>). All zero when it is empty.
    journal_head: [u8; 32],
}

impl Traits {
    /// How a journal begins, apart from the last bit, which says how words are read for checksums.
    const MARK: u32 = 0x377F_0682;

    /// Whether a file is shorter, or the journal no journal any more: nothing that this program does looks like that but a
    /// journal that was emptied.
    fn look_harmed_beside(&self, known: &Self) -> bool {
        let mark = self.journal_head.first_chunk().map_or(0, |mark| u32::from_be_bytes(*mark));
        let is_journal = self.journal_length == 0 || mark & !1 == Self::MARK;
        self.database_length < known.database_length || self.journal_length < known.journal_length || !is_journal
    }

    fn differ_from(&self, known: &Self) -> bool {
        let of_others = |traits: &Self| Self { journal_length: 0, journal_written: None, ..*traits };
        of_others(self) != of_others(known) || self.look_harmed_beside(known)
    }
}

impl Contents {
    /// Remembers what they hold. To be called after the first transaction, which has made the journal so many frames long.
    pub(in crate::store) fn of(database: &Path, frames: Option<u32>) -> Result<Self, StoreError> {
        let path = journal_of(database);
        // No process has a lock on this file, so it may be opened and closed.
        let journal = File::open(&path).map_err(|source| StoreError::Io { path, source: Arc::new(source) })?;
        let proof = Proof { at: Instant::now(), took: Duration::ZERO, is_due: false };
        let mut contents = Self { database: database.to_owned(), journal, known: Traits::default(), end: None, proof };
        contents.known = contents.traits().unwrap_or_default();
        contents.remember_end(frames);
        Ok(contents)
    }

    /// Looks whether they hold what they held when there were so many commits, from what was just found of them.
    ///
    /// # Errors
    /// [`StoreError::Harmed`] when somebody has cut one of them or written into it.
    pub(in crate::store) fn look(&mut self, commits: i64, found: &Found) -> Result<(), StoreError> {
        let traits = match found {
            Found { database: Some(database), journal: Some(journal) } => self.traits_of(database, journal),
            _ => self.traits(),
        };
        // Another process has changed them, or somebody has done harm.
        self.proof.is_due |= !matches!(&traits, Ok(found) if found.journal_written == self.known.journal_written);
        if self.proof.may_be_had() {
            self.prove()?;
        }
        self.compare(traits, commits, true)
    }

    /// The same right after a commit of ours, which changes them itself now and then and has made the journal so many frames
    /// long.
    ///
    /// # Errors
    /// The same.
    pub(in crate::store) fn look_after_commit(&mut self, commits: i64, frames: Option<u32>) -> Result<(), StoreError> {
        self.remember_end(frames);
        self.look_anew(commits, false)
    }

    fn remember_end(&mut self, frames: Option<u32>) {
        if let Some(frames) = frames {
            // A frame that is not there is found to be missing when something else is compared.
            self.end = CommitEnd::read(&self.journal, frames).unwrap_or_default();
        }
    }

    /// Reads the journal up to where our last commit ended, unless it has begun anew since.
    ///
    /// # Errors
    /// [`StoreError::Harmed`] when it does not hold what was written into it.
    pub(in crate::store) fn prove(&mut self) -> Result<(), StoreError> {
        let Some(end) = self.end else { return Ok(()) };
        let at = Instant::now();
        if !again_and_again(|| end.holds(&self.journal).unwrap_or(false)) {
            return Err(StoreError::Harmed { path: journal_of(&self.database) });
        }
        self.proof = Proof { at: Instant::now(), took: at.elapsed(), is_due: false };
        Ok(())
    }

    /// Looks through all of it, as whoever opens it does, before the journal is brought into the database.
    ///
    /// # Errors
    /// The damage that is found.
    pub(in crate::store) fn look_through(&mut self) -> Result<(), StoreError> {
        self.prove()?;
        let connection = connect(&self.database)?;
        soundness::check(&connection, &self.database, None)
    }

    fn look_anew(&mut self, commits: i64, is_of_others: bool) -> Result<(), StoreError> {
        let traits = self.traits();
        self.compare(traits, commits, is_of_others)
    }

    fn compare(&mut self, found: io::Result<Traits>, commits: i64, is_of_others: bool) -> Result<(), StoreError> {
        let harmed = || StoreError::Harmed { path: self.database.clone() };
        // Somebody else may have emptied the journal between the look at its length and that at its head.
        let mut found = found;
        if found.is_err() && again_and_again(|| self.traits().is_ok()) {
            found = self.traits();
        }
        let found = found.map_err(|_unreadable| harmed())?;
        // Whoever opens a database without a page throws its journal away, so nobody must.
        if found.database_length == 0 && self.known.database_length > 0 {
            return Err(harmed());
        }
        if found.differ_from(&self.known) {
            let is_doubtful = is_of_others || found.look_harmed_beside(&self.known);
            if !again_and_again(|| self.holds(commits, is_doubtful).unwrap_or(false)) {
                return Err(harmed());
            }
        }
        self.known = found;
        Ok(())
    }

    fn traits(&self) -> io::Result<Traits> {
        self.traits_of(&self.database.metadata()?, &self.journal.metadata()?)
    }

    fn traits_of(&self, database: &Metadata, journal: &Metadata) -> io::Result<Traits> {
        let (journal_length, journal_written) = (journal.len(), Some(journal.modified()?));
        let mut journal_head = [0; 32];
        if journal_length > 0 {
            let mut journal = &self.journal;
            journal.seek(SeekFrom::Start(0))?;
            journal.read_exact(&mut journal_head)?;
        }
        let written = Some(database.modified()?);
        Ok(Traits { database_length: database.len(), written, journal_length, journal_written, journal_head })
    }

    /// Whether somebody who has kept nothing in memory finds so many commits of the state that the witness knows, and no damage
    /// if that is looked for.
    fn holds(&self, commits: i64, looks_for_damage: bool) -> Result<bool, StoreError> {
        let directory = self.database.parent().unwrap_or(&self.database);
        let testimony = WitnessRecord::read(directory)?;
        let connection = connect(&self.database)?;
        let failed = |error| StoreError::database(&self.database, error);
        let found = commits::tally(&connection).map_err(failed)?;
        let in_file = commits::tally_in_file(&self.database).map_or(found.state, |in_file| in_file.state);
        if looks_for_damage {
            soundness::check(&connection, &self.database, None)?;
        }
        let is_ours = testimony.knows(found.state) && testimony.has_seen_change(in_file, found.state);
        Ok(found.commits >= commits && is_ours)
    }
}

/// Whether this is so, now or in a moment: another process may be at it.
fn again_and_again(is_so: impl Fn() -> bool) -> bool {
    (0..LOOKS).any(|look| {
        if look > 0 {
            std::thread::sleep(BETWEEN_LOOKS);
        }
        is_so()
    })
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

#[cfg(test)]
mod tests;
