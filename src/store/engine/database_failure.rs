//! What a database or its server said, and what ails it.

use rusqlite::{ErrorCode, ffi};

use super::mistrust::Mistrust;
use super::sql::{PoolerRefusal, SqlError, failure_of_tls};
use crate::outside::Outside;

/// What is shown of `SQLite`'s words.
const LONGEST_TEXT_CHARACTERS: usize = 300;

/// What `SQLite` said, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct DatabaseFailure {
    pub(super) trouble: Trouble,
    text: Box<str>,
    /// What to do, where only whoever was asked knows it.
    hint: Option<Box<str>>,
}

impl DatabaseFailure {
    /// What to do, where the trouble alone does not tell.
    pub(super) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl From<SqlError> for DatabaseFailure {
    fn from(error: SqlError) -> Self {
        let text = match &error {
            SqlError::Postgres(refusal) => words_of_server(refusal),
            SqlError::Sqlite(rusqlite::Error::SqliteFailure(failure, Some(text))) => {
                format!("{text} (SQLite error {})", failure.extended_code)
            }
            other => other.to_string(),
        };
        let hint = match &error {
            SqlError::Password(refusal) => refusal.hint.as_deref().map(Box::from),
            _ => None,
        };
        Self { trouble: trouble(&error), text: Outside::new(text).kept(LONGEST_TEXT_CHARACTERS), hint }
    }
}

/// What a server says, or what is beneath the failure of a connection.
fn words_of_server(refusal: &tokio_postgres::Error) -> String {
    if let Some(said) = refusal.as_db_error() {
        return format!("{} (PostgreSQL error {})", said.message(), said.code().code());
    }
    std::error::Error::source(refusal).map_or_else(|| refusal.to_string(), |cause| format!("{refusal}: {cause}"))
}

/// What ails the database, as far as it makes a difference to whoever must fix it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Trouble {
    Full,
    Damaged,
    Busy,
    NotWritable,
    Disk,
    /// Its disk does not answer.
    DiskSilent,
    /// A file of this process may not grow any more.
    FileSize,
    /// This process may not have more memory.
    Memory,
    /// What stands in a database on a server is not what this program stores there.
    DamagedOnServer,
    /// A server that nobody can reach.
    Unreachable,
    /// A server that is not who it should be.
    Untrusted(Mistrust),
    /// There is no password to get in with.
    NoPassword,
    /// There is none now.
    NoPasswordYet,
    /// It does not let us in.
    NotLetIn,
    /// It has no such database.
    NoDatabase,
    /// It does not let this role do that.
    NotAllowed,
    /// Somebody holds its tables, or cancels what is asked of it.
    HeldOnServer,
    /// Its tables are not to be seen.
    TablesGone,
    /// A pooler stands before it that keeps no transaction together.
    PoolMode,
    /// It cannot hold every text.
    Encoding,
    /// It is too old.
    OldServer,
    /// It only reads.
    Standby,
    /// It has lost what was committed.
    CommitsLost,
    /// A file that a connection needs.
    ConnectionFile,
    Other,
}

impl Trouble {
    /// The end of a sentence that begins with the database.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Full => "has no room left",
            Self::Damaged => "is damaged",
            Self::Busy => "is held by another process",
            Self::NotWritable => "cannot be opened or written",
            Self::Disk => "cannot be read or written: its disk fails",
            Self::DiskSilent => "cannot be read or written: its disk does not answer",
            Self::FileSize => "cannot grow: this process may not write larger files",
            Self::Memory => "cannot be used: the system has no more memory for this process",
            Self::DamagedOnServer => "holds what tagfleet does not store there",
            Self::Unreachable => "cannot be reached",
            Self::Untrusted(why) => why.text(),
            Self::NoPassword => "cannot be opened: there is no token for it",
            Self::NoPasswordYet => "cannot be opened: no token for it arrived in time",
            Self::NotLetIn => "does not let this user in",
            Self::NoDatabase => "does not exist",
            Self::NotAllowed => "does not allow this user what tagfleet needs",
            Self::HeldOnServer => "cannot be used: its tables are locked, or its queries are cancelled",
            Self::TablesGone => "does not show the tables of tagfleet any more",
            Self::PoolMode => "is behind a pooler that keeps no transaction together",
            Self::Encoding => "cannot hold texts in every script",
            Self::OldServer => "is on a server that is too old",
            Self::Standby => "can only be read: it is on a standby server, or server or role are set so",
            Self::CommitsLost => "has lost what was stored last: another server has taken over that lacks it",
            Self::ConnectionFile => "cannot be opened: a file that the connection needs cannot be read",
            Self::Other => "failed",
        }
    }
}

fn trouble(error: &SqlError) -> Trouble {
    match error {
        // Values that this program never writes, or a row that something else refers to and that is gone.
        SqlError::Damaged { .. } | SqlError::NoRow => Trouble::Damaged,
        SqlError::Sqlite(error) => trouble_of_sqlite(error),
        SqlError::Postgres(refusal) => trouble_of_server(error, refusal),
        SqlError::OldServer(_) => Trouble::OldServer,
        SqlError::Encoding(_) => Trouble::Encoding,
        SqlError::NoAnswer => Trouble::Unreachable,
        SqlError::DiskSilent => Trouble::DiskSilent,
        SqlError::CommitsLost | SqlError::CommitsToCome => Trouble::CommitsLost,
        SqlError::File { .. } => Trouble::ConnectionFile,
        SqlError::NoToken => Trouble::NoPasswordYet,
        SqlError::Password(refusal) if refusal.is_transient => Trouble::NoPasswordYet,
        SqlError::Password(_) => Trouble::NoPassword,
        SqlError::Tls(failure) => Trouble::Untrusted(Mistrust::of(failure)),
        SqlError::Thread(_) => Trouble::Other,
    }
}

fn trouble_of_server(error: &SqlError, refusal: &tokio_postgres::Error) -> Trouble {
    let Some(code) = refusal.code().map(tokio_postgres::error::SqlState::code) else {
        let cause = std::error::Error::source(refusal).and_then(|source| source.downcast_ref::<std::io::Error>());
        return match cause {
            _ if error.is_standby() => Trouble::Standby,
            _ if error.is_lost_connection() => Trouble::Unreachable,
            Some(cause) => Trouble::Untrusted(failure_of_tls(cause).map_or(Mistrust::Other, Mistrust::of)),
            None if words_of_server(refusal).contains("TLS") => Trouble::Untrusted(Mistrust::NotEncrypted),
            None => Trouble::NotLetIn,
        };
    };
    match code {
        "28000" | "28P01" => Trouble::NotLetIn,
        "3D000" => Trouble::NoDatabase,
        "42501" => Trouble::NotAllowed,
        "25006" => Trouble::Standby,
        "53100" => Trouble::Full,
        // Who may not look into the schema does not see them either.
        "42P01" | "3F000" => Trouble::TablesGone,
        _ if error.is_held() => Trouble::HeldOnServer,
        _ if error.is_lost_connection() => Trouble::Unreachable,
        _ if let Some(refusal) = error.pooler_refuses() => match refusal {
            PoolerRefusal::NoDatabase => Trouble::NoDatabase,
            PoolerRefusal::NotLetIn => Trouble::NotLetIn,
            PoolerRefusal::PoolMode => Trouble::PoolMode,
        },
        // A table or a column is not there, a value breaks a rule, or a page is damaged.
        code if ["42", "23", "XX"].iter().any(|class| code.starts_with(class)) => Trouble::DamagedOnServer,
        _ => Trouble::Other,
    }
}

fn trouble_of_sqlite(error: &rusqlite::Error) -> Trouble {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => Trouble::Full,
            ErrorCode::OutOfMemory => Trouble::Memory,
            // The last is a row that another refers to and that was taken away, or one that may not be there.
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation => Trouble::Damaged,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => Trouble::Busy,
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Trouble::NotWritable,
            ErrorCode::SystemIoFailure if is_growth(failure.extended_code) && is_file_size_limited() => {
                Trouble::FileSize
            }
            // A file that ends before a page that must be there.
            ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_SHORT_READ => Trouble::Damaged,
            ErrorCode::SystemIoFailure => Trouble::Disk,
            // The tables are not those that were there when it was opened.
            ErrorCode::Unknown if failure.extended_code == ffi::SQLITE_ERROR => Trouble::Damaged,
            _ => Trouble::Other,
        },
        // A table that is gone, or what this program never writes.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => Trouble::Damaged,
        _ => Trouble::Other,
    }
}

/// Whether `SQLite` failed at making a file longer.
fn is_growth(extended_code: i32) -> bool {
    matches!(extended_code, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE)
}

#[cfg(unix)]
fn is_file_size_limited() -> bool {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current.is_some()
}

#[cfg(not(unix))]
const fn is_file_size_limited() -> bool {
    false
}
