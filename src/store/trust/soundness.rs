//! Whether a database is sound, asked before the first write.
//!
//! `SQLite` notices damage when it touches it, which may be in the middle of a run. A small file is looked through as a
//! whole. A large one, for which that would take long, is looked through only when pages are missing at its end: then it
//! has been cut, or they are in its journal still.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::ffi;

use super::seal::Look;
use crate::store::StoreError;

/// The length up to which a file is looked through every time: that takes a tenth of a second at most.
const SMALL: u64 = 8 << 20;

/// Looks for damage in a database, which was looked at by its seal if it was just opened.
///
/// # Errors
/// The first damage that is found.
pub(in crate::store) fn check(connection: &Connection, file: &Path, sealed: Option<Look>) -> Result<(), StoreError> {
    if let Some(look) = sealed
        && look.judge(connection, file)?
    {
        // Whoever left it has looked through it.
        return Ok(());
    }
    check_pages(connection, file).map_err(|error| StoreError::database(file, error))
}

/// Looks for damage as far as that takes no time.
///
/// # Errors
/// The first damage that is found, as `SQLite` describes it.
fn check_pages(connection: &Connection, file: &Path) -> Result<(), rusqlite::Error> {
    let page_size: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    if u64::from(page_size) * u64::from(pages) > SMALL && !is_cut(file, page_size, pages) {
        return Ok(());
    }
    look_through(connection)
}

/// Looks for damage however large the file is: before anybody is told that there is nothing in it.
///
/// # Errors
/// The same.
pub(in crate::store) fn look_through(connection: &Connection) -> Result<(), rusqlite::Error> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    // The first line only says which of the attached databases is meant.
    let verdict = verdict.lines().last().unwrap_or_default().to_owned();
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(verdict)))
}

/// Whether pages seem to be missing. They may be in the journal; so this is only a reason to look closer.
fn is_cut(file: &Path, page_size: u32, pages: u32) -> bool {
    let Ok(metadata) = file.metadata() else { return true };
    metadata.len() < u64::from(page_size) * u64::from(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_looked_through_when_its_end_is_missing() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("db");
        let connection = Connection::open(&file).expect("a database");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x BLOB);
                 INSERT INTO t VALUES (zeroblob(6000000));",
            )
            .expect("a table");
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
        connection.execute("INSERT INTO t VALUES (zeroblob(6000000))", []).expect("a row");
        let pages = connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("a count");
        let length = file.metadata().expect("a file").len();
        assert!(is_cut(&file, 4096, pages), "its end is in the journal: {length}");
        assert!(check_pages(&connection, &file).is_ok());
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
        assert!(!is_cut(&file, 4096, pages));
        assert!(check_pages(&connection, &file).is_ok());
        let length = file.metadata().expect("a file").len();
        let shorter = std::fs::File::options().write(true).open(&file).expect("a file").set_len(length - 4096);
        shorter.expect("a shorter one");
        assert!(is_cut(&file, 4096, pages));
        drop(connection);
        assert!(check_pages(&Connection::open(&file).expect("a database"), &file).is_err());
    }

    #[test]
    fn a_page_of_garbage_is_found_in_a_small_file() {
        use std::fs::File;
        use std::io::{self, Seek, Write};

        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("db");
        let connection = Connection::open(&file).expect("a database");
        connection
            .execute_batch(
                "CREATE TABLE t (x TEXT); CREATE INDEX i ON t (x); INSERT INTO t VALUES (hex(zeroblob(9000)))",
            )
            .expect("a table");
        assert!(check_pages(&connection, &file).is_ok());
        drop(connection);
        let mut writer = File::options().write(true).open(&file).expect("a file");
        writer.seek(io::SeekFrom::Start(4096)).expect("a second page");
        writer.write_all(&[0xA5; 4096]).expect("our own file");
        let found = check_pages(&Connection::open(&file).expect("a database"), &file);
        assert!(
            found.as_ref().is_err_and(|error| error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt)),
            "{found:?}"
        );
    }
}
