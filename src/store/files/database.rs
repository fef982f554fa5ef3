//! The database of a state in a directory: connections to its file, which wait for others that are writing, and its tables,
//! which are brought up to date, or refused.

use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::store::StoreError;
use crate::store::engine::absence::wait_for_holders;
use crate::store::engine::schema;

/// A connection to this database that can only read.
pub(in crate::store) fn connect(file: &Path) -> Result<Connection, StoreError> {
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    wait_for_holders(&connection).map_err(|error| StoreError::database(file, error))?;
    Ok(connection)
}

/// Opens a database that is there.
pub(in crate::store) fn open(file: &Path, mode: OpenFlags) -> Result<Connection, StoreError> {
    let opened = || {
        let connection = Connection::open_with_flags(literal(file), mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        // Ours has neither; whoever put some there does not decide what becomes of what is written or read.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        Ok::<_, rusqlite::Error>(connection)
    };
    opened().map_err(|error| StoreError::database(file, error))
}

/// A path that means the same to `SQLite` as to everybody else. One that begins with `file:` is an address to it, and may lead to
/// another file.
pub(in crate::store) fn literal(path: &Path) -> PathBuf {
    Path::new(".").join(path)
}

/// Makes the tables, or brings them up to date.
pub(in crate::store) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    schema::prepare(connection).map_err(|problem| schema_error(problem, path))
}

/// Why a file with such a schema is of no use.
pub(in crate::store) fn schema_error(problem: schema::SchemaProblem, path: &Path) -> StoreError {
    match problem {
        schema::SchemaProblem::Foreign => StoreError::Foreign { path: path.to_owned() },
        schema::SchemaProblem::Newer(found) => {
            StoreError::Newer { path: path.to_owned(), found, known: schema::SCHEMA_VERSION }
        }
        schema::SchemaProblem::Database(error) => StoreError::database(path, error),
    }
}

/// Makes the tables of a database with nothing in it as all migrations together leave them, which takes a tenth of the time:
/// simulations need thousands.
#[cfg(test)]
pub(in crate::store) fn make_at_once(connection: &Connection) -> Result<(), rusqlite::Error> {
    static TABLES: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    connection.execute_batch(TABLES.get_or_init(|| {
        let mut migrated = Connection::open_in_memory().expect("memory");
        prepare(&mut migrated, Path::new(":memory:")).expect("its tables");
        let mut made = migrated
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid")
            .expect("what made them");
        let made = made.query_map([], |row| row.get::<_, String>(0)).expect("texts");
        let made: Vec<String> = made.collect::<Result<_, _>>().expect("texts");
        format!(
            "PRAGMA auto_vacuum = INCREMENTAL; BEGIN; {}; INSERT INTO custody DEFAULT VALUES;
             PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT",
            made.join("; "),
            schema::APPLICATION_ID,
            schema::SCHEMA_VERSION
        )
    }))
}
