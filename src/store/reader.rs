//! The state as those see it who only read: no lock, no process in the books, no file that was not there before.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::connection::SharedConnection;
use super::liveness::LOCK_DIRECTORY;
use super::{DATABASE_NAME, StoreError, directory, schema, schema_error, wait_patiently};

/// The state of one directory, open for reading. Clones share it. It waits for nobody and keeps nobody waiting.
#[derive(Clone)]
pub struct Reader {
    pub(super) connection: SharedConnection,
    /// Where the locks of processes are; in memory there are none.
    pub(super) lock_directory: Option<PathBuf>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reader").field("lock_directory", &self.lock_directory).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens the database in this directory; `None` when there is no directory, or nothing in it yet. Must be called
    /// within a runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the directory is not safe or the database cannot be used.
    pub async fn open(directory: &Path) -> Result<Option<Self>, StoreError> {
        let path = directory.to_owned();
        let opened = tokio::task::spawn_blocking(move || open_blocking(&path)).await;
        let connection = opened.map_err(|_stopped| StoreError::Closed)??;
        Ok(connection.map(|connection| Self::start(connection, directory)))
    }

    /// Readers see the state as it was when they began to look, whatever is written meanwhile.
    pub(super) fn start(connection: Connection, directory: &Path) -> Self {
        let path = directory.join(DATABASE_NAME);
        let connection = SharedConnection::start(connection, &path, TransactionBehavior::Deferred);
        Self { connection, lock_directory: Some(directory.join(LOCK_DIRECTORY)) }
    }

    /// What is in memory has one connection, which reads and writes.
    pub(super) const fn in_memory(connection: SharedConnection) -> Self {
        Self { connection, lock_directory: None }
    }
}

fn open_blocking(path: &Path) -> Result<Option<Connection>, StoreError> {
    let file = path.join(DATABASE_NAME);
    if !is_there(path)? {
        return Ok(None);
    }
    directory::check(path)?;
    if !is_there(&file)? {
        return Ok(None);
    }
    directory::refuse_emptied(&file)?;
    let connection = connect(&file)?;
    let version = schema::version(&connection).map_err(|problem| schema_error(problem, &file))?;
    if version > 0 && version < schema::SCHEMA_VERSION {
        drop(connection);
        bring_up_to_date(&file)?;
        return connect(&file).map(Some);
    }
    Ok((version > 0).then_some(connection))
}

/// An older program's file is brought up to date before it is read.
fn bring_up_to_date(file: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::database(file, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags).map_err(failed)?;
    wait_patiently(&connection).map_err(failed)?;
    schema::prepare(&mut connection).map_err(|problem| schema_error(problem, file))
}

/// A connection to this database that can only read.
pub(super) fn connect(file: &Path) -> Result<Connection, StoreError> {
    let failed = |error| StoreError::database(file, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(failed)?;
    wait_patiently(&connection).map_err(failed)?;
    Ok(connection)
}

fn is_there(path: &Path) -> Result<bool, StoreError> {
    match path.metadata() {
        Ok(_metadata) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::Io { path: path.to_owned(), source: Arc::new(error) }),
    }
}
