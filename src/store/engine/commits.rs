//! How many commits a database has seen: one row counts them.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::sql::{SqlError, Transaction, params};

/// The commits, and those that the file held when its journal was last empty. None before the file has this row.
pub(in crate::store) fn counts(connection: &Connection) -> Result<(i64, i64), rusqlite::Error> {
    let has_row = connection
        .query_row("SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'custody'", [], |row| row.get::<_, bool>(0))?;
    if !has_row {
        return Ok((0, 0));
    }
    connection.query_row("SELECT commits, in_file FROM custody", [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The commits that the file holds without its journal; `None` when that cannot be told. What ails the file is found
/// elsewhere.
pub(in crate::store) fn commits_in_file(file: &Path) -> Option<i64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(without_journal(file)?, flags).ok()?;
    counts(&connection).ok().map(|(commits, _)| commits)
}

/// How `SQLite` is told to read a file as it is.
fn without_journal(file: &Path) -> Option<String> {
    use std::fmt::Write;
    let path = std::path::absolute(file).ok()?;
    let mut name = String::from(if cfg!(windows) { "file:///" } else { "file:" });
    for byte in path.to_str()?.bytes() {
        match byte {
            b'\\' if cfg!(windows) => name.push('/'),
            b'/' | b'.' | b'-' | b'_' | b':' => name.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            byte => write!(name, "%{byte:02X}").ok()?,
        }
    }
    Some(name + "?immutable=1")
}

/// Counts the commit that this transaction will be. What an update returns stands in a table of its own before it is read, so
/// to look afterwards is quicker.
pub(in crate::store) fn count(transaction: &Transaction<'_>) -> Result<i64, SqlError> {
    transaction.prepare_cached("UPDATE custody SET commits = commits + 1")?.execute(params![])?;
    transaction.prepare_cached("SELECT commits FROM custody")?.query_row(params![], |row| row.get(0))
}
