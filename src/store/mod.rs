//! The state database: runs, their operations, and every attempt with its times. The attempts table *is* the quota ledger.
//!
//! `SQLite` in write-ahead mode with full synchronisation, shared by every process of one state directory. Whatever is
//! shown has been committed here before; whatever is sent was announced here before. This room alone holds SQL, and it
//! knows nothing of HTTP. What surprises: a process counts as dead when the lock on its own file is free, never by its
//! process id, and all SQL goes through one connection whose transactions many callers share ([`writer`]).

mod directory;
mod forms;
mod ledger;
mod process;
mod rows;
mod runs;
mod schema;
mod work;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

pub use directory::default_directory;
pub use forms::{
    AccountKey, ChangeKind, InputChunk, NewChange, NewOperation, NewRun, OperationState, RecentWrite, RunKey, RunState,
    SettledOperation, StoredChunk, StoredOperation, StoredRun, WorkCount, WorkItem, WorkKind, WorkPlace,
};
pub use ledger::{
    Admission, AttemptEnd, AttemptKey, AttemptRequest, AttemptTicket, OperationEffect, Refusal, Settlement,
};

use crate::clock::SharedClock;

/// The name of the database in the state directory.
const DATABASE_NAME: &str = "tagfleet.sqlite3";
/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the state cannot be read or written. Clones share the cause.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No state directory is named and the platform tells none.
    #[error("there is no home directory to keep the state in")]
    NoDirectory,
    /// The directory or a file in it cannot be used.
    #[error("cannot use {path}")]
    Io {
        /// What was to be used.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Somebody else may write into the directory.
    #[error("others can write to the state directory {path}")]
    WritableByOthers {
        /// The directory.
        path: PathBuf,
    },
    /// File locks and synchronisation cannot be trusted there.
    #[error("the state directory {path} is on a network filesystem ({filesystem})")]
    NetworkFilesystem {
        /// The directory.
        path: PathBuf,
        /// The filesystem's name.
        filesystem: &'static str,
    },
    /// The file is some other program's.
    #[error("{path} is not a database of this program")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer program.
    #[error("{path} was written by a newer tagfleet (its version is {found}, this program knows {known})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: i32,
        /// The newest version that this program knows.
        known: i32,
    },
    /// `SQLite` refused.
    #[error("the state database failed")]
    Database(#[source] Arc<rusqlite::Error>),
    /// There is no run of this name.
    #[error("there is no run {0}")]
    NoSuchRun(String),
    /// The store was closed while somebody waited for it.
    #[error("the state database is closed")]
    Closed,
}

impl StoreError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoDirectory => "name one with --state-dir or TAGFLEET_STATE_DIR".to_owned(),
            Self::Io { .. } => "check the path, its permissions and the room on the disk, or name another directory \
                                with --state-dir"
                .to_owned(),
            Self::WritableByOthers { path } => {
                format!("take their permission away (chmod go-w {}) or name another with --state-dir", path.display())
            }
            Self::NetworkFilesystem { .. } => "name a directory on a local disk with --state-dir".to_owned(),
            Self::Foreign { .. } => "name another directory with --state-dir".to_owned(),
            Self::Newer { .. } => "use that newer tagfleet, or another --state-dir".to_owned(),
            Self::Database(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => "make room on the disk that holds the state directory, then run the \
                                              same command again"
                    .to_owned(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    "the file is damaged: move it away together with its -wal and -shm files and start again; what the \
                     tenant holds is not affected, and the quota counts as unknown for an hour"
                        .to_owned()
                }
                Some(ErrorCode::DatabaseBusy) => {
                    "another process holds the database for too long; look for a stuck tagfleet or a backup tool"
                        .to_owned()
                }
                _ => "check the disk that holds the state directory".to_owned(),
            },
            Self::NoSuchRun(_) | Self::Closed => return None,
        })
    }
}

/// The state of one directory, open. Clones share it; it is closed when the last one is gone.
#[derive(Clone)]
pub struct Store {
    writer: writer::Writer,
    clock: SharedClock,
    identity: Arc<process::ProcessIdentity>,
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
        let (connection, identity) = tokio::task::spawn_blocking(move || open_blocking(&path, &opening_clock))
            .await
            .map_err(|_stopped| StoreError::Closed)??;
        let store = Self { writer: writer::Writer::start(connection), clock, identity: Arc::new(identity) };
        store.sweep_dead_processes().await?;
        Ok(store)
    }

    /// A store that is gone with its last handle, for simulations. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StoreError::Database`] when `SQLite` has no memory for it.
    pub fn in_memory(clock: SharedClock) -> Result<Self, StoreError> {
        let mut connection = Connection::open_in_memory().map_err(|error| StoreError::Database(Arc::new(error)))?;
        let path = Path::new(":memory:");
        prepare(&mut connection, path)?;
        let identity = process::ProcessIdentity::enter(&mut connection, None, clock.as_ref())?;
        Ok(Self { writer: writer::Writer::start(connection), clock, identity: Arc::new(identity) })
    }
}

fn open_blocking(path: &Path, clock: &SharedClock) -> Result<(Connection, process::ProcessIdentity), StoreError> {
    directory::secure(path)?;
    let file = path.join(DATABASE_NAME);
    directory::create_private_file(&file)?;
    let mut connection = Connection::open(&file).map_err(|error| StoreError::Database(Arc::new(error)))?;
    wait_patiently(&connection).map_err(|error| StoreError::Database(Arc::new(error)))?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(|error| StoreError::Database(Arc::new(error)))?;
    prepare(&mut connection, &file)?;
    let identity = process::ProcessIdentity::enter(&mut connection, Some(path), clock.as_ref())?;
    Ok((connection, identity))
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    schema::prepare(connection).map_err(|problem| match problem {
        schema::SchemaProblem::Foreign => StoreError::Foreign { path: path.to_owned() },
        schema::SchemaProblem::Newer(found) => {
            StoreError::Newer { path: path.to_owned(), found, known: schema::SCHEMA_VERSION }
        }
        schema::SchemaProblem::Database(error) => StoreError::Database(Arc::new(error)),
    })
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
