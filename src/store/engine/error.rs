//! Why the state cannot be read or written, in words that say what to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::advice::{self, is_on_server, move_away};
use super::database_failure::{DatabaseFailure, Trouble};
use super::file_names::DATABASE_NAME;
use super::sql::SqlError;
use crate::outside::shown;
use crate::words::counted;

/// Why the state cannot be read or written. Clones share the cause.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// No state directory is named and the platform tells none.
    #[error("there is no home directory to keep the state in")]
    NoDirectory,
    /// The directory or a file in it cannot be used.
    #[error("cannot use {}", shown(path))]
    Io {
        /// What was to be used.
        path: PathBuf,
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Somebody else may write into the directory, or a file in it.
    #[error("others can write to the state {} {}", kind(*is_directory), shown(path))]
    WritableByOthers { path: PathBuf, is_directory: bool },
    /// The directory, or a file in it, is somebody else's.
    #[error("the state {} {} belongs to {}, and tagfleet runs as {}", kind(*is_directory), shown(path), user(*owner), user(*ours))]
    OfAnother { path: PathBuf, is_directory: bool, owner: u32, ours: u32 },
    /// File locks and synchronisation cannot be trusted there.
    #[error("the state directory {} is on a network filesystem ({filesystem})", shown(path))]
    NetworkFilesystem {
        path: PathBuf,
        /// The filesystem's name.
        filesystem: &'static str,
    },
    /// The file is some other program's.
    #[error("{} is not a database of this program", shown(path))]
    Foreign { path: PathBuf },
    /// The tables on a server are of an older program, and whoever asks may not bring them up to date.
    #[error("{} has the tables of an older tagfleet, which this user may not change", shown(path))]
    Older { path: PathBuf },
    /// A role on a server lacks rights.
    #[error("{} does not give this user the rights that tagfleet needs on: {lacking}", shown(path))]
    NotGranted {
        path: PathBuf,
        /// Tables and sequences, parted by commas.
        lacking: String,
    },
    /// The file was written by a newer program.
    #[error("{} was written by a newer tagfleet (its version is {found}, this program knows {known})", shown(path))]
    Newer {
        path: PathBuf,
        /// The file's version.
        found: i32,
        /// The newest version that this program knows.
        known: i32,
    },
    /// There is nothing in the file, or next to nothing, although there was once.
    #[error("the state database {} is damaged: it is shorter than any database", shown(path))]
    Emptied { path: PathBuf },
    /// The file is gone, and its journal is there.
    #[error("the state database {shown_path} is gone, and its journal {shown_path}-wal is still there", shown_path = shown(path))]
    Gone { path: PathBuf },
    /// Bytes of the file are others than when it was left.
    #[error("the state database {} is damaged: it has changed since tagfleet left it", shown(path))]
    Changed { path: PathBuf },
    /// File and journal are of different times.
    #[error("the state database {shown_path} is damaged: it and its journal {shown_path}-wal do not belong together", shown_path = shown(path))]
    Mismatched { path: PathBuf },
    /// There were more commits than the database holds.
    #[error("the state database {shown_path} has lost what was stored last, until {until:.0}", shown_path = shown(path))]
    HistoryLost {
        path: PathBuf,
        /// When the last of it was stored.
        until: Timestamp,
    },
    /// The database is another state's than its witness.
    #[error(
        "the state database {} and the tagfleet.witness beside it are of different states, so what was stored last, until \
         {until:.0}, is lost",
        shown(path)
    )]
    OfAnotherState {
        path: PathBuf,
        /// When the last was stored of which the witness knows.
        until: Timestamp,
    },
    /// There is no run of this name, and some were lost.
    #[error("there is no run {run}, and what was stored until {until:.0} is lost in part")]
    RunLost {
        /// The name that was asked for.
        run: String,
        /// When the last of what is lost was stored.
        until: Timestamp,
    },
    /// The rows of a run are not all there.
    #[error("run {run} is damaged in the state database: {found} of its {rows} rows are there")]
    Incomplete {
        run: String,
        /// How many rows it had.
        rows: u64,
        /// How many can be read.
        found: u64,
    },
    /// The operations of a run are not those that it began with.
    #[error("run {} is damaged in the state database: its operations are not those that it began with", shown(.0))]
    Altered(String),
    /// The files were moved, deleted or replaced while they were open.
    #[error("the state directory {shown_path} was moved, deleted, replaced or made read-only while it was in use", shown_path = shown(path))]
    Moved { path: PathBuf },
    /// A file was cut or overwritten in place while it was open.
    #[error("{} was cut or overwritten while it was in use", shown(path))]
    Harmed {
        /// The file, or that of which it is a part.
        path: PathBuf,
    },
    /// `SQLite` refused.
    #[error("the state database {} {}", shown(path), source.trouble.text())]
    Database { path: PathBuf, source: Arc<DatabaseFailure> },
    /// The database was waited for in vain while answers were here that it was to store.
    #[error(
        "the state database {} {}, and {} could not be stored",
        shown(path),
        source.trouble.text(),
        counted(*answers as u64, "answer of the service", "answers of the service")
    )]
    AnswersLost {
        /// The file or the server.
        path: PathBuf,
        /// How many answers.
        answers: usize,
        source: Arc<DatabaseFailure>,
    },
    /// There is no run of this name.
    #[error("there is no run {}", shown(.0))]
    NoSuchRun(String),
    /// The run was not yet stored as a whole when its process died.
    #[error("run {} never began: its process died while it was being stored", shown(.0))]
    NeverBegan(String),
    /// Somebody took this process for dead, and so went on with its run or changed the same as that.
    #[error("another process took this one for dead, and may have resumed its run")]
    TakenOver,
    /// The store was closed while somebody waited for it.
    #[error("the state database is closed")]
    Closed,
}

impl StoreError {
    /// Whether another server has taken over that lacks commits of ours.
    pub(crate) fn is_loss_of_commits(&self) -> bool {
        matches!(self, Self::Database { source, .. } if matches!(source.trouble, Trouble::CommitsLost))
    }

    /// Whether what the database still holds is not to be believed, or cannot be read at all. A server that lacks commits of
    /// ours is believed: it knows that it does, and what was doubted then says so of itself; the run is resumed there.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Emptied { .. }
            | Self::Gone { .. }
            | Self::Mismatched { .. }
            | Self::Changed { .. }
            | Self::HistoryLost { .. }
            | Self::OfAnotherState { .. }
            | Self::RunLost { .. }
            | Self::Incomplete { .. }
            | Self::Altered(_)
            | Self::Harmed { .. }
            | Self::NoSuchRun(_) => true,
            Self::Database { source, .. } => matches!(source.trouble, Trouble::Damaged | Trouble::DamagedOnServer),
            _ => false,
        }
    }

    /// What is said of the database at this path.
    pub(in crate::store) fn database(path: &Path, source: impl Into<SqlError>) -> Self {
        Self::Database { path: path.to_owned(), source: Arc::new(source.into().into()) }
    }

    /// The same of one that was waited for in vain while so many answers were to be stored.
    pub(in crate::store) fn given_up(path: &Path, source: SqlError, answers: usize) -> Self {
        let (path, source) = (path.to_owned(), Arc::new(source.into()));
        if answers == 0 { Self::Database { path, source } } else { Self::AnswersLost { path, answers, source } }
    }

    /// The same, where so many answers were to be stored while somebody held the database.
    pub(in crate::store) fn with_answers_lost(self, answers: usize) -> Self {
        match self {
            Self::Database { path, source } if answers > 0 && source.trouble == Trouble::Busy => {
                Self::AnswersLost { path, answers, source }
            }
            other => other,
        }
    }

    /// Whether the disk of the database does not answer.
    #[cfg(test)]
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Database { source, .. } | Self::AnswersLost { source, .. } if source.trouble == Trouble::DiskSilent)
    }

    /// Whether somebody else holds the database.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Database { source, .. } if source.trouble == Trouble::Busy)
    }

    /// Whether what was asked for is at fault, and not what it was asked of: a wrong name, password or right.
    pub(crate) fn is_setting(&self) -> bool {
        use Trouble::{
            ConnectionFile, Encoding, NoDatabase, NoPassword, NotAllowed, NotLetIn, OldServer, PoolMode, Standby,
            Untrusted,
        };
        let Self::Database { source, .. } = self else {
            return matches!(self, Self::Older { .. } | Self::NotGranted { .. });
        };
        matches!(
            source.trouble,
            ConnectionFile
                | Encoding
                | NoDatabase
                | NoPassword
                | NotAllowed
                | NotLetIn
                | OldServer
                | PoolMode
                | Standby
                | Untrusted(_)
        )
    }

    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoDirectory => "name one with --state-dir or TAGFLEET_STATE_DIR".to_owned(),
            // Of a file, that says that no thread could be started which is to wait for its disk.
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::WouldBlock => {
                "the system has no threads left for this process; raise its limits (ulimit -u)".to_owned()
            }
            Self::Io { .. } => "check the path, its permissions and the room on the disk, or name another directory \
                                with --state-dir"
                .to_owned(),
            Self::WritableByOthers { path, is_directory } => {
                // Where one file is, the others mostly are as well.
                let all = if *is_directory { path.clone() } else { path.with_file_name("tagfleet.*") };
                format!("take their permission away (chmod go-w {}) or name another with --state-dir", shown(&all))
            }
            Self::OfAnother { path, is_directory: false, ours, .. } => {
                format!("make the user who runs tagfleet its owner (chown {ours} {})", shown(path))
            }
            Self::OfAnother { owner, .. } => format!(
                "run tagfleet as that user (sudo -u '#{owner}' tagfleet ...), or name a directory of your own with --state-dir"
            ),
            Self::NetworkFilesystem { .. } => "name a directory on a local disk with --state-dir".to_owned(),
            Self::Foreign { .. } => "name another directory with --state-dir".to_owned(),
            Self::NotGranted { .. } => advice::GRANT.to_owned(),
            Self::Older { .. } => {
                "have the role that made them run `tagfleet state init`, which brings them up to date; what is there stays".to_owned()
            }
            Self::Newer { .. } => "use that newer tagfleet, or another state".to_owned(),
            Self::Emptied { path } | Self::Gone { path } | Self::Mismatched { path } => move_away(path),
            Self::Harmed { path } => format!("nothing more was sent: {}", move_away(&database_of(path))),
            Self::HistoryLost { path, .. } => format!(
                "it or its journal ({}-wal) was removed or damaged, or an older copy was put in its place: if there is a \
                 newer copy of the whole directory, put it back. {GO_ON}",
                shown(path)
            ),
            Self::Changed { path } => advice::take_as_it_is(path),
            Self::OfAnotherState { .. } => format!(
                "one of them was put there from elsewhere: if the other one is still somewhere, or a copy of the whole \
                 directory, put it back. {GO_ON}"
            ),
            Self::RunLost { .. } => {
                "to run its file again does no harm: what the tenant has already costs no call".to_owned()
            }
            Self::Incomplete { .. } | Self::Altered(_) => {
                "to run its file again does no harm: what the tenant has already costs no call. \
                                        A copy of the state directory may still hold the rows"
                    .to_owned()
            }
            Self::Moved { path } => format!(
                "nothing more was sent: put {} back as it was, then run the same command again. A new or another state \
                 does not know of the calls of the last hour: begin with one only when that has passed",
                shown(path)
            ),
            Self::Database { path, source } => return advice::for_database(path, source),
            Self::AnswersLost { path, source, .. } => format!(
                "what was in flight may have been done: run the same command again once {}, and it finds out",
                match source.trouble {
                    _ if is_on_server(path) => "the server is back",
                    Trouble::DiskSilent =>
                        "the disk is back (look into the system's log, or for a backup that froze it)",
                    _ => "the file is no longer locked (look for a stuck tagfleet, or a backup tool)",
                }
            ),
            Self::NeverBegan(_) => "nothing of it was sent; run the same file again".to_owned(),
            Self::TakenOver => "nothing more was sent from here; see how the run stands with: tagfleet runs".to_owned(),
            Self::NoSuchRun(_) | Self::Closed => return None,
        })
    }
}

/// A word for what is there.
const fn kind(is_directory: bool) -> &'static str {
    if is_directory { "directory" } else { "file" }
}

/// A user of the system, whose name only the system's own library could tell for sure.
fn user(id: u32) -> String {
    if id == 0 { "root".to_owned() } else { format!("the user {id}") }
}

/// The database to which this file belongs.
fn database_of(path: &Path) -> PathBuf {
    path.with_file_name(DATABASE_NAME)
}

/// What to do when nothing brings back what is lost.
const GO_ON: &str =
    "Otherwise run tagfleet apply: it reads the tenant again, and waits until the quota is certainly free";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_lacks_commits_is_gone_on_with_and_a_file_that_does_is_not() {
        let server = StoreError::database(Path::new("postgresql://u@h/d"), SqlError::CommitsLost);
        let file = StoreError::HistoryLost { path: "dir/db".into(), until: Timestamp::UNIX_EPOCH };
        assert_eq!((server.is_damage(), file.is_damage()), (false, true));
        assert_eq!((server.is_loss_of_commits(), file.is_loss_of_commits()), (true, false));
        assert!(server.hint().is_some_and(|hint| hint.contains("run the same command again")));
    }

    #[test]
    fn every_trouble_has_its_words_and_says_what_to_do() {
        let failure = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        let table = [
            (failure(rusqlite::ffi::SQLITE_FULL), "has no room left", "make room"),
            (failure(rusqlite::ffi::SQLITE_CORRUPT), "is damaged", "move it away"),
            (failure(rusqlite::ffi::SQLITE_NOTADB), "is damaged", "move it away"),
            (rusqlite::Error::QueryReturnedNoRows, "is damaged", "move it away"),
            (failure(rusqlite::ffi::SQLITE_BUSY), "is held by another process", "stuck tagfleet"),
            (failure(rusqlite::ffi::SQLITE_CANTOPEN), "cannot be opened or written", "who owns"),
            (failure(rusqlite::ffi::SQLITE_IOERR_FSYNC), "cannot be read or written: its disk fails", "system's log"),
            (failure(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY), "is damaged", "move it away"),
            (
                failure(rusqlite::ffi::SQLITE_NOMEM),
                "cannot be used: the system has no more memory for this process",
                "ulimit -v",
            ),
            (failure(rusqlite::ffi::SQLITE_MISUSE), "failed", "check the disk"),
        ];
        for (source, text, hint) in table {
            let error = StoreError::database(Path::new("dir/db"), source);
            assert_eq!(error.to_string(), format!("the state database dir/db {text}"));
            assert!(error.hint().is_some_and(|written| written.contains(hint)), "{text}");
        }
    }
}
