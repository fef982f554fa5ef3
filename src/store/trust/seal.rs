//! The seal: a small file beside the database that says what the whole of it was like when a process last left it in order.
//!
//! `SQLite` notices damage where it breaks the structure of a page. A bit that changes within a text or a number is read as if it
//! had been stored so, and a run that is resumed would send it. So whoever leaves the database in one file writes down
//! how many commits that holds, its length and a checksum; whoever opens it next, and finds as many commits and no journal,
//! compares them. What surprises: the file is read by the engine's own handle, since whoever closes another one gives up all
//! locks of this process on it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use crc32fast::Hasher;
use rusqlite::{Connection, ffi};

use crate::store::StoreError;
use crate::store::engine::commits::{Tally, tally};
use crate::store::engine::file_names::{journal_of, seal_of};
use crate::store::files::directory;

/// How much is read at once.
const PIECE_BYTES: i32 = 1 << 18;
/// More than a seal has.
const LONGEST: u64 = 256;

/// What a seal says of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seal {
    /// How many commits it held.
    commits: i64,
    /// Which state it was, by its number; 0 for one that had none.
    state: i64,
    contents: Sum,
}

/// What tells the bytes of a file from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    length: i64,
    crc: u32,
}

impl Sum {
    /// Reads the whole file of an open database, without what is in its journal.
    #[expect(unsafe_code, reason = "nothing else tells the handle of the engine's file")]
    fn of(connection: &Connection) -> Option<Self> {
        let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
        let (mut length, mut piece) = (0, vec![0_u8; PIECE_BYTES as usize]);
        let mut hasher = Hasher::new();
        // SAFETY: the connection is borrowed, so it is open and nobody else uses it, and the engine keeps the handle of its
        // file as long as it is (<https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html>). What is read fits into `piece`.
        unsafe {
            let answer: *mut *mut ffi::sqlite3_file = &raw mut file;
            let asked = ffi::SQLITE_FCNTL_FILE_POINTER;
            let told = ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), asked, answer.cast());
            let methods = (told == ffi::SQLITE_OK).then_some(file.as_ref()).flatten()?.pMethods.as_ref()?;
            let (read, length_of) = (methods.xRead?, methods.xFileSize?);
            if length_of(file, &raw mut length) != ffi::SQLITE_OK {
                return None;
            }
            let mut position = 0;
            while position < length {
                let count = i32::try_from(length - position).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                if read(file, piece.as_mut_ptr().cast(), count, position) != ffi::SQLITE_OK {
                    return None;
                }
                hasher.update(piece.get(..usize::try_from(count).ok()?)?);
                position += i64::from(count);
            }
        }
        Some(Self { length, crc: hasher.finalize() })
    }
}

impl Seal {
    fn new(tally: Tally, contents: Sum) -> Self {
        Self { commits: tally.commits, state: tally.state.map_or(0, |state| state.0), contents }
    }

    fn text(self) -> String {
        let Self { commits, state, contents: Sum { length, crc } } = self;
        let text = format!("{commits} {state:016x} {length} {crc:08x}");
        format!("{text} {:08x}\n", crc32fast::hash(text.as_bytes()))
    }

    /// The seal in a directory; `None` without a whole one.
    fn read(directory: &Path) -> Option<Self> {
        let mut text = String::new();
        File::open(seal_of(directory)).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [commits, state, length, crc, _] = words.try_into().ok()?;
        let contents = Sum { length: length.parse().ok()?, crc: u32::from_str_radix(crc, 16).ok()? };
        let seal = Self { commits: commits.parse().ok()?, state: i64::from_str_radix(state, 16).ok()?, contents };
        (seal.text() == text).then_some(seal)
    }
}

/// What a look at a database found that somebody has left in order.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Look {
    seal: Seal,
    found: Sum,
}

impl Look {
    /// Reads a database that was just opened, and its seal. `None` when there is nothing to compare: without a seal, or with a
    /// journal.
    pub(in crate::store) fn at(connection: &Connection, database: &Path) -> Option<Self> {
        let seal = Seal::read(database.parent()?)?;
        let found = has_no_journal(database).then(|| Sum::of(connection)).flatten()?;
        Some(Self { seal, found })
    }

    /// Judges what was found by what the open database says now, which may have grown since. Says whether it is as it was left.
    ///
    /// # Errors
    /// It holds as many commits as when it was left, and something else.
    pub(in crate::store) fn judge(self, connection: &Connection, database: &Path) -> Result<bool, StoreError> {
        let now = tally(connection).map_err(|error| StoreError::database(database, error))?;
        if Seal::new(now, self.seal.contents) != self.seal || !has_no_journal(database) {
            return Ok(false);
        }
        if self.found == self.seal.contents {
            return Ok(true);
        }
        Err(StoreError::Changed { path: database.to_owned() })
    }
}

/// Seals a database whose journal was brought into it. Where that cannot be done, the seal of an earlier state stays, which says
/// nothing about this one.
pub(in crate::store) fn write(connection: &Connection, database: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::database(database, error);
    // Nobody writes into journal or file meanwhile.
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let written = write_alone(connection, database);
    connection.execute_batch("ROLLBACK").map_err(failed)?;
    written
}

/// Takes the seal off a database that is about to be changed by something that is not counted as a commit.
pub(in crate::store) fn take_off(directory: &Path) -> Result<(), StoreError> {
    let path = seal_of(directory);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Io { path, source: Arc::new(source) })
        }
        _ => Ok(()),
    }
}

fn write_alone(connection: &Connection, database: &Path) -> Result<(), StoreError> {
    let (Some(directory), true) = (database.parent(), has_no_journal(database)) else { return Ok(()) };
    let tally = tally(connection).map_err(|error| StoreError::database(database, error))?;
    let path = seal_of(directory);
    let Some(contents) = Sum::of(connection) else { return Ok(()) };
    let text = Seal::new(tally, contents).text();
    let written = directory::create_private_file(&path).and_then(|mut file| {
        let written = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|source| StoreError::Io { path, source: Arc::new(source) })
    });
    if let Err(error) = written {
        tracing::info!(%error, "the state is left without a seal");
    }
    Ok(())
}

fn has_no_journal(database: &Path) -> bool {
    journal_of(database).metadata().map_or(true, |metadata| metadata.len() == 0)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::clock::SystemClock;
    use crate::store::engine::file_names::DATABASE_NAME;
    use crate::store::files::database::connect;
    use crate::store::{Reader, Store};

    /// A store of this state, with an account in it.
    async fn open(state: &Path) -> Store {
        let clock = Arc::new(SystemClock::new().expect("clocks"));
        let store = Store::open(state, clock).await.expect("a store");
        store.account("tenant", "app").await.expect("an account");
        store
    }

    /// A state that a process has left in order: its place, its directory and its database.
    async fn sealed() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let state = directory.path().join("state");
        crate::store::server::tests::cluster::keep_in_files(&state);
        assert!(open(&state).await.put_in_order().await.is_none());
        let database = state.join(DATABASE_NAME);
        (directory, state, database)
    }

    fn look(database: &Path) -> Option<Result<bool, String>> {
        let connection = connect(database).expect("a database");
        let judged = Look::at(&connection, database)?.judge(&connection, database);
        Some(judged.map_err(|error| error.to_string()))
    }

    #[tokio::test]
    async fn a_bit_that_has_changed_since_a_process_left_is_noticed_wherever_it_is() {
        let (_directory, state, database) = sealed().await;
        assert_eq!(look(&database), Some(Ok(true)));
        let whole = std::fs::read(&database).expect("our own file");
        // In the middle of each page, and where most of them are empty: nothing else would notice.
        for position in (2_000..whole.len()).step_by(4_096) {
            let mut bytes = whole.clone();
            bytes[position] ^= 1;
            std::fs::write(&database, &bytes).expect("our own file");
            let found = look(&database);
            assert!(matches!(&found, Some(Err(said)) if said.contains("is damaged")), "{position}: {found:?}");
            assert!(Reader::open(&state).await.is_err(), "{position}");
        }
        std::fs::write(&database, &whole).expect("our own file");
        assert_eq!(look(&database), Some(Ok(true)));
        Reader::open(&state).await.expect("a database").expect("a state");
    }

    #[tokio::test]
    async fn a_seal_says_nothing_of_what_was_stored_after_it_or_when_it_is_damaged() {
        let (_directory, state, database) = sealed().await;
        let seal = std::fs::read(seal_of(&state)).expect("our own file");
        let store = open(&state).await;
        store.account("another tenant", "app").await.expect("an account");
        assert_eq!(look(&database), None, "there is a journal");
        assert!(store.put_in_order().await.is_none());
        assert_eq!(look(&database), Some(Ok(true)), "it was sealed anew");
        std::fs::write(seal_of(&state), &seal).expect("our own file");
        assert_eq!(look(&database), Some(Ok(false)), "it is of another moment");
        for damaged in [&seal[..seal.len() - 1], b"", b"1 2 3 4 5\n", b"\xff"] {
            std::fs::write(seal_of(&state), damaged).expect("our own file");
            assert_eq!(look(&database), None, "{damaged:?}");
        }
        std::fs::remove_file(seal_of(&state)).expect("our own file");
        assert_eq!(look(&database), None);
        // Nothing hangs on a seal that cannot be written.
        std::fs::create_dir(seal_of(&state)).expect("our own directory");
        write(&Connection::open(&database).expect("a database"), &database).expect("no error");
    }

    #[tokio::test]
    async fn what_is_brought_up_to_date_is_compared_before_and_has_not_changed_afterwards() {
        let (_directory, state, database) = sealed().await;
        let connection = Connection::open(&database).expect("a database");
        let older = "ALTER TABLE sitting DROP COLUMN reading_options; ALTER TABLE run DROP COLUMN asked_after;
             PRAGMA user_version = 9; PRAGMA wal_checkpoint(TRUNCATE)";
        connection.execute_batch(older).expect("our own database");
        write(&connection, &database).expect("a seal");
        drop(connection);
        assert_eq!(look(&database), Some(Ok(true)), "as an older program left it");
        let older = std::fs::read(&database).expect("our own file");
        let (mut changed, last) = (older.clone(), older.len() - 2_000);
        changed[last] ^= 1;
        std::fs::write(&database, &changed).expect("our own file");
        let clock = Arc::new(SystemClock::new().expect("clocks"));
        assert!(matches!(Store::open(&state, clock).await, Err(StoreError::Changed { .. })));
        assert!(matches!(Reader::open(&state).await, Err(StoreError::Changed { .. })));
        std::fs::write(&database, &older).expect("our own file");
        for _ in 0..2 {
            Reader::open(&state).await.expect("a database").expect("a state");
        }
    }
}
