//! Why a statement failed, and whether it may be done over.

/// The oldest version of a server that knows all that is asked of it.
pub(in crate::store) const OLDEST_VERSION: u32 = 13;

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum SqlError {
    /// A row was asked for and there is none.
    #[error("a row is missing")]
    NoRow,
    /// A column holds what this program never writes there.
    #[error("{what} (column {column})")]
    Damaged {
        /// Which of the columns that were read.
        column: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// `SQLite` refused.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    /// The server refused, or the connection to it has ended.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    /// The server is of a version that is too old.
    #[error("it is PostgreSQL {0}")]
    OldServer(Box<str>),
    /// The database cannot hold every text.
    #[error("its encoding is {0}")]
    Encoding(Box<str>),
    /// The server did not answer in time.
    #[error("the server does not answer")]
    NoAnswer,
    /// Whoever gives the passwords did not answer in time.
    #[error("the sign-in that gives the tokens for the database (--state-auth) does not answer")]
    NoToken,
    /// The disk of a file did not answer for longer than anybody waits.
    #[error("a write or read of the file has not come back")]
    DiskSilent,
    /// The system refused what a connection needs.
    #[error(transparent)]
    Thread(std::io::Error),
    /// A file that a connection needs cannot be read.
    #[error("cannot read {}", crate::outside::shown(path))]
    File {
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Nothing can be encrypted.
    #[error(transparent)]
    Tls(rustls::Error),
    /// Whoever gives the passwords gave none.
    #[error(transparent)]
    Password(crate::store::engine::password::PasswordRefusal),
    /// A server lacks what was committed on another.
    #[error("another server has taken over without the latest commits")]
    CommitsLost,
    /// The same, but our own process is about to store it again.
    #[error("another server has taken over, and what it lacked is not stored again yet")]
    CommitsToCome,
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::QueryReturnedNoRows => Self::NoRow,
            error => Self::Sqlite(error),
        }
    }
}

impl SqlError {
    /// Whether the connection to a server was lost, or the server will be back in a moment, or somebody holds there what we
    /// need: then the whole transaction may be done over.
    pub(in crate::store) fn is_lost_connection(&self) -> bool {
        let error = match self {
            Self::Postgres(error) => error,
            Self::Password(refusal) => return refusal.is_transient,
            other => return other.is_silence(),
        };
        match error.code() {
            Some(code) if code.code() == POOLER_SAYS => self.pooler_refuses().is_none(),
            Some(code) => COMES_BACK.contains(&code.code()) || HELD.contains(&code.code()),
            None => error.is_closed() || self.is_unreachable(),
        }
    }

    /// Whether somebody else holds on the server what a statement needs, or has cancelled it.
    pub(in crate::store) fn is_held(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.code().is_some_and(|code| HELD.contains(&code.code())))
    }

    /// What a pooler refuses for good. Everything that it says by itself has one code, so its words decide.
    pub(in crate::store) fn pooler_refuses(&self) -> Option<PoolerRefusal> {
        let Self::Postgres(error) = self else { return None };
        let said = error.as_db_error().filter(|said| said.code().code() == POOLER_SAYS)?.message();
        let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
        if says(&["no such database", "does not exist"]) {
            Some(PoolerRefusal::NoDatabase)
        } else if says(&["no such user", "authentication failed", "auth failed"]) {
            Some(PoolerRefusal::NotLetIn)
        } else if says(&["statement pooling mode"]) {
            Some(PoolerRefusal::PoolMode)
        } else {
            None
        }
    }

    /// Whether the server, or whoever gives the passwords for it, kept us waiting until we gave up.
    pub(in crate::store) const fn is_silence(&self) -> bool {
        matches!(self, Self::NoAnswer | Self::NoToken)
    }

    /// Whether the server only reads.
    pub(in crate::store) fn is_standby(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        match error.code() {
            Some(code) => code.code() == "25006",
            None => cause_of(error).is_some_and(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied),
        }
    }

    /// Whether nobody answers there.
    fn is_unreachable(&self) -> bool {
        let Self::Postgres(error) = self else { return matches!(self, Self::NoAnswer) };
        cause_of(error).is_some_and(|cause| {
            failure_of_tls(cause).is_none() && cause.kind() != std::io::ErrorKind::PermissionDenied
        })
    }
}

/// What a pooler refuses for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum PoolerRefusal {
    NoDatabase,
    NotLetIn,
    /// It gives each statement another connection.
    PoolMode,
}

/// What a server says that will be back: it shuts down or starts, has no place for another connection, has ended ours for its
/// silence or its length, or has chosen our transaction to give way.
const COMES_BACK: [&str; 12] =
    ["57P01", "57P02", "57P03", "57P05", "53300", "08000", "08003", "08006", "25P03", "25P04", "40001", "40P01"];
/// A lock was not to be had in time, or a statement was cancelled: by its time-out, or by somebody.
const HELD: [&str; 2] = ["55P03", "57014"];
/// The code of whatever pgbouncer says by itself: that the server is away, that it has waited for long enough, or that it has no
/// place.
const POOLER_SAYS: &str = "08P01";

/// What the system said.
fn cause_of(error: &tokio_postgres::Error) -> Option<&std::io::Error> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}

/// The failure of encryption that an error of reading and writing is.
pub(in crate::store) fn failure_of_tls(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
