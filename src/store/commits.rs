//! What one row of a database says of it: how many commits it has seen, and which state it is.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::sql::{SqlError, Transaction, params};

/// What tells a state from every other, and from the copies of it that somebody goes on with: a number made by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StateId(pub(super) i64);

impl StateId {
    /// One that no state has.
    pub(super) fn random() -> Self {
        Self(fastrand::i64(1..))
    }
}

/// What the row says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many commits there were.
    pub(super) commits: i64,
    /// How many of them the file held when its journal was last empty.
    pub(super) in_file: i64,
    /// Which state it is; `None` when only older programs have written into it.
    pub(super) state: Option<StateId>,
}

/// Reads the row. There was no commit before the file has it.
pub(super) fn tally(connection: &Connection) -> Result<Tally, rusqlite::Error> {
    const OF_THE_ROW: &str =
        "SELECT count(*) > 0, coalesce(sum(name = 'state_id'), 0) > 0 FROM pragma_table_info('custody')";
    let (has_row, has_state): (bool, bool) =
        connection.query_row(OF_THE_ROW, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if !has_row {
        return Ok(Tally::default());
    }
    let state = if has_state { "state_id" } else { "NULL" };
    connection.query_row(&format!("SELECT commits, in_file, {state} FROM custody"), [], |row| {
        Ok(Tally { commits: row.get(0)?, in_file: row.get(1)?, state: row.get::<_, Option<i64>>(2)?.map(StateId) })
    })
}

/// What the file says without its journal; `None` when that cannot be told. What ails the file is found elsewhere.
pub(super) fn tally_in_file(file: &Path) -> Option<Tally> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(without_journal(file)?, flags).ok()?;
    tally(&connection).ok()
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
pub(super) fn count(transaction: &Transaction<'_>) -> Result<i64, SqlError> {
    transaction.prepare_cached("UPDATE custody SET commits = commits + 1")?.execute(params![])?;
    transaction.prepare_cached("SELECT commits FROM custody")?.query_row(params![], |row| row.get(0))
}
