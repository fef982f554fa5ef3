//! SQL as this room speaks it, whatever the engine: transactions, statements, rows, and the values that go in and come out.
//!
//! Thin on purpose: what is here is what the statements of this room need, and no more. They are written once, in the words
//! that every engine understands.
#![expect(clippy::needless_pass_by_value, reason = "a list of values is made for one statement")]

pub(super) mod dialect;
mod hot;
pub(super) mod lists;
mod session;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, params_from_iter};

pub(super) use self::session::Session;

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqlError {
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
    /// The server did not answer in time.
    #[error("the server does not answer")]
    NoAnswer,
    /// The system refused what a connection needs.
    #[error(transparent)]
    Thread(std::io::Error),
    /// A file that a connection needs cannot be read.
    #[error("cannot read {}", crate::outside::shown(path))]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Nothing can be encrypted.
    #[error(transparent)]
    Tls(rustls::Error),
    /// A server lacks what was committed on another.
    #[error("another server has taken over without the latest commits")]
    CommitsLost,
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
    /// Whether the connection to a server was lost, or the server will be back in a moment: then the whole transaction may be
    /// done over.
    pub(super) fn is_lost_connection(&self) -> bool {
        let Self::Postgres(error) = self else { return matches!(self, Self::NoAnswer) };
        match error.code() {
            Some(code) => COMES_BACK.contains(&code.code()),
            None => error.is_closed() || self.is_unreachable(),
        }
    }

    /// Whether the server kept us waiting until we gave up.
    pub(super) const fn is_silence(&self) -> bool {
        matches!(self, Self::NoAnswer)
    }

    /// Whether the server only reads.
    pub(super) fn is_standby(&self) -> bool {
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

/// What a server says that will be back: it shuts down or starts, has no place for another connection, has ended ours for its
/// silence, or has chosen our transaction to give way.
const COMES_BACK: [&str; 10] =
    ["57P01", "57P02", "57P03", "53300", "08000", "08003", "08006", "25P03", "40001", "40P01"];

/// What the system said.
fn cause_of(error: &tokio_postgres::Error) -> Option<&std::io::Error> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}

/// The failure of encryption that an error of reading and writing is.
pub(super) fn failure_of_tls(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Makes `None` of a row that is not there.
pub(super) trait Optional<Answer> {
    /// What was found, if anything was.
    fn optional(self) -> Result<Option<Answer>, SqlError>;
}

impl<Answer> Optional<Answer> for Result<Answer, SqlError> {
    fn optional(self) -> Result<Option<Answer>, SqlError> {
        match self {
            Ok(answer) => Ok(Some(answer)),
            Err(SqlError::NoRow) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// One value, on its way into a statement or out of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(number),
            Self::Real(number) => ValueRef::Real(number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// What can be put into a statement.
pub(super) trait Parameter {
    /// How it stands there.
    fn value(&self) -> Value<'_>;
}

/// What can be read out of a row.
pub(super) trait Column: Sized {
    /// What the value means; `None` when this program never writes it.
    fn read(value: Value<'_>) -> Option<Self>;
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Parameter for $number {
            fn value(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        }

        impl Column for $number {
            fn read(value: Value<'_>) -> Option<Self> {
                let Value::Integer(number) = value else { return None };
                Self::try_from(number).ok()
            }
        }
    )*};
}

whole_numbers!(i64, i32, u32, u16, u8);

impl Parameter for bool {
    fn value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl Column for bool {
    fn read(value: Value<'_>) -> Option<Self> {
        i64::read(value).map(|number| number != 0)
    }
}

impl Column for f64 {
    #[expect(clippy::cast_precision_loss, reason = "an average is no exact number")]
    fn read(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Real(number) => Some(number),
            Value::Integer(number) => Some(number as Self),
            _ => None,
        }
    }
}

impl Parameter for str {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Parameter for String {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Parameter for Box<str> {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Column for String {
    fn read(value: Value<'_>) -> Option<Self> {
        let Value::Text(text) = value else { return None };
        Some(text.to_owned())
    }
}

impl Parameter for Vec<u8> {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl Column for Vec<u8> {
    fn read(value: Value<'_>) -> Option<Self> {
        let Value::Blob(bytes) = value else { return None };
        Some(bytes.to_owned())
    }
}

impl Parameter for Value<'_> {
    fn value(&self) -> Value<'_> {
        *self
    }
}

impl<Inner: Parameter + ?Sized> Parameter for &Inner {
    fn value(&self) -> Value<'_> {
        (**self).value()
    }
}

impl<Inner: Parameter> Parameter for Option<Inner> {
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, Parameter::value)
    }
}

impl<Inner: Column> Column for Option<Inner> {
    fn read(value: Value<'_>) -> Option<Self> {
        if value == Value::Null { Some(None) } else { Inner::read(value).map(Some) }
    }
}

/// Values of several types for one statement.
macro_rules! params {
    () => {
        [$crate::store::sql::Value::Null; 0]
    };
    ($($value:expr),+ $(,)?) => {
        [$($crate::store::sql::Parameter::value(&$value)),+]
    };
}

pub(super) use params;

/// A transaction, to be asked and told within.
pub(super) struct Transaction<'a> {
    engine: Engine<'a>,
}

/// Where a transaction is.
#[derive(Clone, Copy)]
enum Engine<'a> {
    Sqlite(&'a Connection),
    Postgres(&'a Session),
}

impl<'a> Transaction<'a> {
    /// What goes on within a transaction of this connection.
    pub(super) const fn within(connection: &'a Connection) -> Self {
        Self { engine: Engine::Sqlite(connection) }
    }

    /// What goes on within a transaction on a server.
    pub(super) const fn on(session: &'a Session) -> Self {
        Self { engine: Engine::Postgres(session) }
    }

    /// The connection beneath, for what is a matter of `SQLite` alone.
    pub(super) const fn sqlite(&self) -> Option<&'a Connection> {
        match self.engine {
            Engine::Sqlite(connection) => Some(connection),
            Engine::Postgres(_) => None,
        }
    }

    /// A statement that is prepared once and kept for the next time.
    pub(super) fn prepare_cached(&self, sql: &str) -> Result<Statement<'a>, SqlError> {
        Ok(match self.engine {
            Engine::Sqlite(connection) => Statement::Sqlite(connection.prepare_cached(sql)?),
            Engine::Postgres(session) => Statement::Postgres(session, sql.into()),
        })
    }

    /// Carries a statement out, and says how many rows it has touched.
    pub(super) fn execute<const COUNT: usize>(
        &self,
        sql: &str,
        parameters: [impl Parameter; COUNT],
    ) -> Result<usize, SqlError> {
        let values = parameters.each_ref().map(Parameter::value);
        match self.engine {
            Engine::Sqlite(connection) => Ok(connection.execute(sql, params_from_iter(values))?),
            Engine::Postgres(session) => session.execute(sql, &values),
        }
    }

    /// Carries a statement out that adds one row, and says which number the row was given in its `key` column.
    pub(super) fn insert<const COUNT: usize>(
        &self,
        sql: &str,
        key: &str,
        parameters: [impl Parameter; COUNT],
    ) -> Result<i64, SqlError> {
        match self.engine {
            Engine::Sqlite(connection) => {
                self.prepare_cached(sql)?.execute(parameters)?;
                Ok(connection.last_insert_rowid())
            }
            Engine::Postgres(_) => self.query_row(&format!("{sql} RETURNING {key}"), parameters, |row| row.get(0)),
        }
    }

    /// What the first row says; [`SqlError::NoRow`] where there is none.
    pub(super) fn query_row<Answer, const COUNT: usize>(
        &self,
        sql: &str,
        parameters: [impl Parameter; COUNT],
        read: impl FnOnce(&Row<'_>) -> Result<Answer, SqlError>,
    ) -> Result<Answer, SqlError> {
        let values = parameters.each_ref().map(Parameter::value);
        match self.engine {
            Engine::Sqlite(connection) => {
                let mut prepared = connection.prepare(sql)?;
                let mut rows = prepared.query(params_from_iter(values))?;
                read(&Row::Sqlite(rows.next()?.ok_or(SqlError::NoRow)?))
            }
            Engine::Postgres(session) => {
                read(&Row::Postgres(session.query(sql, &values)?.first().ok_or(SqlError::NoRow)?))
            }
        }
    }
}

/// A statement that can be carried out many times.
pub(super) enum Statement<'a> {
    /// Prepared, and kept with the connection.
    Sqlite(CachedStatement<'a>),
    /// To be sent whole each time.
    Postgres(&'a Session, Box<str>),
}

impl Statement<'_> {
    /// Carries it out, and says how many rows it has touched.
    pub(super) fn execute<const COUNT: usize>(
        &mut self,
        parameters: [impl Parameter; COUNT],
    ) -> Result<usize, SqlError> {
        let values = parameters.each_ref().map(Parameter::value);
        match self {
            Self::Sqlite(prepared) => Ok(prepared.execute(params_from_iter(values))?),
            Self::Postgres(session, sql) => session.execute(sql, &values),
        }
    }

    /// All rows, one after the other.
    pub(super) fn query<const COUNT: usize>(
        &mut self,
        parameters: [impl Parameter; COUNT],
    ) -> Result<Rows<'_>, SqlError> {
        let values = parameters.each_ref().map(Parameter::value);
        Ok(match self {
            Self::Sqlite(prepared) => Rows::Sqlite(prepared.query(params_from_iter(values))?),
            Self::Postgres(session, sql) => Rows::Postgres { rows: session.query(sql, &values)?, next: 0 },
        })
    }

    /// What each row says.
    pub(super) fn query_map<'rows, Answer, const COUNT: usize>(
        &'rows mut self,
        parameters: [impl Parameter; COUNT],
        mut read: impl FnMut(&Row<'_>) -> Result<Answer, SqlError> + 'rows,
    ) -> Result<impl Iterator<Item = Result<Answer, SqlError>> + 'rows, SqlError> {
        let mut rows = self.query(parameters)?;
        Ok(std::iter::from_fn(move || match rows.next() {
            Ok(row) => row.map(|row| read(&row)),
            Err(error) => Some(Err(error)),
        }))
    }

    /// What the first row says; [`SqlError::NoRow`] where there is none.
    pub(super) fn query_row<Answer, const COUNT: usize>(
        &mut self,
        parameters: [impl Parameter; COUNT],
        read: impl FnOnce(&Row<'_>) -> Result<Answer, SqlError>,
    ) -> Result<Answer, SqlError> {
        read(&self.query(parameters)?.next()?.ok_or(SqlError::NoRow)?)
    }
}

/// Rows that come one after the other.
pub(super) enum Rows<'a> {
    /// Found one by one.
    Sqlite(rusqlite::Rows<'a>),
    /// All of them are here.
    Postgres {
        /// The whole answer.
        rows: Vec<tokio_postgres::Row>,
        /// The place of the next one.
        next: usize,
    },
}

impl Rows<'_> {
    /// The next one; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, SqlError> {
        match self {
            Self::Sqlite(rows) => Ok(rows.next()?.map(Row::Sqlite)),
            Self::Postgres { rows, next } => {
                *next += 1;
                Ok(rows.get(*next - 1).map(Row::Postgres))
            }
        }
    }
}

/// One row of an answer.
pub(super) enum Row<'a> {
    /// As one engine gives it.
    Sqlite(&'a rusqlite::Row<'a>),
    /// As the other does.
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// What stands in a column, counted from 0.
    pub(super) fn get<Answer: Column>(&self, column: usize) -> Result<Answer, SqlError> {
        let value = match self {
            Self::Sqlite(row) => match row.get_ref(column)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => Value::Integer(number),
                ValueRef::Real(number) => Value::Real(number),
                ValueRef::Text(text) => Value::Text(
                    str::from_utf8(text)
                        .map_err(|_no_text| SqlError::Damaged { column, what: "a text is not in UTF-8" })?,
                ),
                ValueRef::Blob(bytes) => Value::Blob(bytes),
            },
            Self::Postgres(row) => row.try_get(column)?,
        };
        Answer::read(value).ok_or(SqlError::Damaged { column, what: "a value is none that tagfleet stores there" })
    }
}
