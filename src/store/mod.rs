//! The state database: runs, their operations, and every attempt with its times. The attempts table *is* the quota ledger.
//!
//! `SQLite` in write-ahead mode with full synchronisation, shared by every process of one state directory. Whatever is
//! shown has been committed here before; whatever is sent was announced here before. This room alone holds SQL, and it
//! knows nothing of HTTP. What surprises: a process counts as dead when the lock on its own file is free, never by its
//! process id, and all writing goes through one connection whose transactions many callers share ([`connection`]). Whoever
//! only reads has a [`Reader`] on a connection of its own: it takes no lock, notes no process, makes nothing that is not
//! there, and can still read when nothing can be written any more.

mod connection;
#[cfg(test)]
mod crashes;
mod directory;
mod error;
mod forms;
mod ledger;
mod listing;
mod liveness;
mod locks;
mod process;
mod prune;
mod reader;
mod resumption;
mod rows;
mod runs;
mod schema;
mod slots;
mod soundness;
mod timelines;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

pub use directory::{default_directory, state_files};
pub use error::{DatabaseFailure, StoreError};
pub use forms::{
    AccountKey, ChangeKind, Doubt, Guards, InputChunk, NewChange, NewOperation, NewRun, OperationState,
    RemovesWithoutAdds, RunKey, RunKind, RunSlot, RunState, SettledOperation, SlotWrite, StoredChunk, StoredOperation,
    StoredRun, UnknownOperations, WorkCount, WorkItem, WorkKind, WorkPlace,
};
pub use ledger::{
    Admission, AttemptEnd, AttemptKey, AttemptRequest, AttemptTicket, OperationEffect, Refusal, Settlement,
};
pub use listing::{RunCondition, RunDetails, RunEntry, RunProcess};

pub use locks::{Claim, Holder, Overlap};
pub use reader::Reader;
pub use resumption::{CarriedOperation, DecidedAnew, KnownOperation, UnfinishedRun};

use crate::clock::SharedClock;

/// The name of the database in the state directory.
const DATABASE_NAME: &str = "tagfleet.sqlite3";
/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The state of one directory, open for writing. Clones share it; it is closed when the last one is gone. Whatever a
/// [`Reader`] can tell, a store can, too.
#[derive(Clone)]
pub struct Store {
    reader: Reader,
    writer: connection::SharedConnection,
    clock: SharedClock,
    identity: Arc<process::ProcessIdentity>,
}

impl std::ops::Deref for Store {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or makes the database in this directory, notes this process, and closes the books of dead ones. Must be
    /// called within a runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the directory is not safe or the database cannot be used.
    pub async fn open(directory: &Path, clock: SharedClock) -> Result<Self, StoreError> {
        let path = directory.to_owned();
        let opening_clock = Arc::clone(&clock);
        let opening = tokio::task::spawn_blocking(move || open_blocking(&path, &opening_clock));
        let (writing, reading, identity) = opening.await.map_err(|_stopped| StoreError::Closed)??;
        let file = directory.join(DATABASE_NAME);
        let writer = connection::SharedConnection::start(writing, &file, TransactionBehavior::Immediate);
        let reader = Reader::start(reading, directory);
        let store = Self { reader, writer, clock, identity: Arc::new(identity) };
        store.sweep_dead_processes().await?;
        Ok(store)
    }

    /// A store that is gone with its last handle, for simulations. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StoreError::Database`] when `SQLite` has no memory for it.
    pub fn in_memory(clock: SharedClock) -> Result<Self, StoreError> {
        let path = Path::new(":memory:");
        let mut connection = Connection::open_in_memory().map_err(|error| StoreError::database(path, error))?;
        prepare(&mut connection, path)?;
        let identity = process::ProcessIdentity::enter(&mut connection, path, None, clock.as_ref())?;
        let writer = connection::SharedConnection::start(connection, path, TransactionBehavior::Immediate);
        Ok(Self { reader: Reader::in_memory(writer.clone()), writer, clock, identity: Arc::new(identity) })
    }
}

#[cfg(test)]
impl Store {
    /// A store on a directory that several processes of a simulation share: it neither waits for the disk nor leaves the
    /// runtime's thread, so that all of them do everything in the same order each time.
    pub(crate) async fn open_for_simulation(directory: &Path, clock: SharedClock) -> Result<Self, StoreError> {
        let (writing, reading, identity) = open_blocking(directory, &clock)?;
        let file = directory.join(DATABASE_NAME);
        for connection in [&writing, &reading] {
            let relaxed = connection.pragma_update(None, "synchronous", "OFF");
            relaxed.map_err(|error| StoreError::database(&file, error))?;
        }
        let writer = connection::SharedConnection::start(writing, &file, TransactionBehavior::Immediate);
        let store = Self { reader: Reader::start(reading, directory), writer, clock, identity: Arc::new(identity) };
        store.sweep_dead_processes().await?;
        Ok(store)
    }

    /// Lets so many further commits succeed and no more, and counts them: a disk that fails at the worst moment.
    pub(crate) async fn count_commits(
        &self,
        limit: usize,
        count: Arc<std::sync::atomic::AtomicUsize>,
    ) -> Result<(), StoreError> {
        let mut is_this_one = true;
        self.writer
            .run(move |transaction| {
                transaction.commit_hook(Some(move || {
                    !std::mem::take(&mut is_this_one)
                        && count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= limit
                }))
            })
            .await
    }
}

/// Opens the database for writing and for reading, and notes this process.
fn open_blocking(
    path: &Path,
    clock: &SharedClock,
) -> Result<(Connection, Connection, process::ProcessIdentity), StoreError> {
    directory::secure(path)?;
    let file = path.join(DATABASE_NAME);
    directory::refuse_emptied(&file)?;
    directory::create_private_file(&file)?;
    let failed = |error| StoreError::database(&file, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&file, flags).map_err(failed)?;
    // Until the file is known to be sound, nothing of its journal is brought into it, not even when we give up.
    let journal_stays = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(journal_stays, true).map_err(failed)?;
    wait_patiently(&connection).map_err(failed)?;
    prepare(&mut connection, &file)?;
    soundness::check(&connection, &file).map_err(failed)?;
    let identity = process::ProcessIdentity::enter(&mut connection, &file, Some(path), clock.as_ref())?;
    connection.set_db_config(journal_stays, false).map_err(failed)?;
    Ok((connection, reader::connect(&file)?, identity))
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    schema::prepare(connection).map_err(|problem| schema_error(problem, path))
}

fn schema_error(problem: schema::SchemaProblem, path: &Path) -> StoreError {
    match problem {
        schema::SchemaProblem::Foreign => StoreError::Foreign { path: path.to_owned() },
        schema::SchemaProblem::Newer(found) => {
            StoreError::Newer { path: path.to_owned(), found, known: schema::SCHEMA_VERSION }
        }
        schema::SchemaProblem::Database(error) => StoreError::database(path, error),
    }
}

/// Other processes hold the database for a few milliseconds at a time. `SQLite`'s own waiting grows to 100 ms a step,
/// which would starve a process beside a busy one.
fn wait_patiently(connection: &Connection) -> Result<(), rusqlite::Error> {
    const STEP: Duration = Duration::from_millis(1);
    connection.busy_handler(Some(|tries| {
        std::thread::sleep(STEP);
        u128::try_from(tries).unwrap_or(0) < BUSY_TIMEOUT.as_millis() / STEP.as_millis()
    }))
}
