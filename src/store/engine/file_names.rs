//! What the files of a state in a directory are called.

use std::path::{Path, PathBuf};

/// The name of the database in the state directory.
pub(in crate::store) const DATABASE_NAME: &str = "tagfleet.sqlite3";
/// The directory of the lock files, in the state directory.
pub(in crate::store) const LOCK_DIRECTORY: &str = "processes";
/// Their names in the state directory.
const WITNESS_NAME: &str = "tagfleet.witness";
const SEAL_NAME: &str = "tagfleet.seal";

/// The witness of the database in this directory.
pub(in crate::store) fn witness_of(directory: &Path) -> PathBuf {
    directory.join(WITNESS_NAME)
}

/// The seal of the database in this directory.
pub(in crate::store) fn seal_of(directory: &Path) -> PathBuf {
    directory.join(SEAL_NAME)
}

/// The file that `SQLite` keeps the latest pages of a database in.
pub(in crate::store) fn journal_of(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

/// A file of `SQLite` whose name is that of the database with an ending.
pub(in crate::store) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
