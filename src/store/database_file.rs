//! The files of a state in a directory: connections to the database, which wait for others that are writing.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;
use super::absence::wait_for_holders;

/// A connection to this database that can only read.
pub(super) fn connect(file: &Path) -> Result<Connection, StoreError> {
    let failed = |error| StoreError::database(file, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(failed)?;
    wait_for_holders(&connection).map_err(failed)?;
    Ok(connection)
}
