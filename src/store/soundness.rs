//! Whether a database is sound, asked before the first write.
//!
//! `SQLite` notices damage when it touches it, which may be in the middle of a run. A small file is looked through as a
//! whole. A large one, for which that would take long, is looked through only when pages are missing at its end that are
//! not in its journal either: then it has been cut.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::ffi;

/// The length up to which a file is looked through every time: that takes a tenth of a second at most.
const SMALL: u64 = 8 << 20;
/// The head of a journal (<https://sqlite.org/fileformat2.html#walformat>): its salts stand in these bytes.
const JOURNAL_HEAD: usize = 32;
const SALTS_IN_HEAD: std::ops::Range<usize> = 16..24;
/// The head of a page in it: the page's number, and the salts again if the page counts.
const PAGE_HEAD: usize = 24;
const NUMBER_IN_PAGE: std::ops::Range<usize> = 0..4;
const SALTS_IN_PAGE: std::ops::Range<usize> = 8..16;

/// The file that `SQLite` keeps the latest pages of a database in.
pub(super) fn journal_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Looks for damage.
///
/// # Errors
/// The first damage that is found, as `SQLite` describes it.
pub(super) fn check(connection: &Connection, file: &Path) -> Result<(), rusqlite::Error> {
    let page_size: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    if u64::from(page_size) * u64::from(pages) > SMALL && !is_cut(file, page_size, pages) {
        return Ok(());
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    // The first line only says which of the attached databases is meant.
    let verdict = verdict.lines().last().unwrap_or_default().to_owned();
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(verdict)))
}

/// Whether pages seem to be missing. They may also have moved from the journal to the file while we looked; so this is
/// only a reason to look closer.
fn is_cut(file: &Path, page_size: u32, pages: u32) -> bool {
    let Ok(metadata) = file.metadata() else { return true };
    let in_file = u32::try_from(metadata.len() / u64::from(page_size)).unwrap_or(u32::MAX);
    if in_file >= pages {
        return false;
    }
    match pages_in_journal(&journal_of(file), page_size) {
        Ok(in_journal) => (in_file + 1..=pages).any(|page| !in_journal.contains(&page)),
        Err(_unreadable) => true,
    }
}

/// The numbers of the pages that a journal holds.
fn pages_in_journal(journal: &Path, page_size: u32) -> io::Result<HashSet<u32>> {
    let mut pages = HashSet::new();
    let mut file = BufReader::new(File::open(journal)?);
    let mut head = [0; JOURNAL_HEAD];
    file.read_exact(&mut head)?;
    let mut page = [0; PAGE_HEAD];
    while file.read_exact(&mut page).is_ok() {
        if page.get(SALTS_IN_PAGE) != head.get(SALTS_IN_HEAD) {
            break;
        }
        if let Some(Ok(number)) = page.get(NUMBER_IN_PAGE).map(TryInto::try_into) {
            pages.insert(u32::from_be_bytes(number));
        }
        file.seek_relative(page_size.into())?;
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of a few megabytes whose last pages are in its journal only.
    fn database(directory: &Path) -> (PathBuf, Connection) {
        let file = directory.join("db");
        let connection = Connection::open(&file).expect("a database");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x BLOB);
                 INSERT INTO t VALUES (zeroblob(3000000));",
            )
            .expect("a table");
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
        connection.execute("INSERT INTO t VALUES (zeroblob(3000000))", []).expect("a row");
        (file, connection)
    }

    fn page_count(connection: &Connection) -> u32 {
        connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("a count")
    }

    #[test]
    fn a_file_whose_end_is_in_its_journal_is_told_from_one_that_was_cut() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, connection) = database(directory.path());
        let pages = page_count(&connection);
        let length = file.metadata().expect("a file").len();
        assert!(length < u64::from(pages) * 4096, "{length}");
        assert!(!is_cut(&file, 4096, pages));
        assert!(check(&connection, &file).is_ok());
        File::options().write(true).open(&file).expect("a file").set_len(length - 4096).expect("a shorter one");
        assert!(is_cut(&file, 4096, pages));
        std::fs::remove_file(journal_of(&file)).expect("a journal");
        assert!(is_cut(&file, 4096, pages));
    }

    #[test]
    fn a_page_of_garbage_is_found_in_a_small_file() {
        use std::io::{Seek, Write};

        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("db");
        let connection = Connection::open(&file).expect("a database");
        connection
            .execute_batch(
                "CREATE TABLE t (x TEXT); CREATE INDEX i ON t (x); INSERT INTO t VALUES (hex(zeroblob(9000)))",
            )
            .expect("a table");
        assert!(check(&connection, &file).is_ok());
        drop(connection);
        let mut writer = File::options().write(true).open(&file).expect("a file");
        writer.seek(io::SeekFrom::Start(4096)).expect("a second page");
        writer.write_all(&[0xA5; 4096]).expect("our own file");
        let found = check(&Connection::open(&file).expect("a database"), &file);
        assert!(
            found.as_ref().is_err_and(|error| error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt)),
            "{found:?}"
        );
    }
}
