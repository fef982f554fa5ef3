//! SQL as this room speaks it, whatever the engine: transactions, statements, rows, and the values that go in and come out.
//!
//! Thin on purpose: what is here is what the statements of this room need, and no more. They are written once, in the words
//! that every engine understands.
//!
//! What goes in and comes out: [`value`], [`kept`] for longer, in [`lists`]; [`error`]. To a server: a [`session`], statements
//! in its own words ([`dialect`]), and what spares ways there ([`ahead`], [`hot`]). What a transaction remembers: what it has
//! looked up ([`known`]), and what could be done again ([`deeds`], held in [`done`]).
#![expect(clippy::needless_pass_by_value, reason = "a list of values is made for one statement")]

mod ahead;
pub(in crate::store) mod deeds;
pub(in crate::store) mod dialect;
pub(in crate::store) mod done;
mod error;
pub(in crate::store) mod hot;
mod kept;
mod known;
pub(in crate::store) mod lists;
mod session;
mod value;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, params_from_iter};

use self::done::Done;
pub(in crate::store) use self::error::{OLDEST_VERSION, PoolerRefusal, SqlError, failure_of_tls};
use self::known::Known;
pub(in crate::store) use self::session::{LONGEST_CONNECT, LONGEST_STATEMENT, Session, in_time};
pub(in crate::store) use self::value::{Column, Parameter, Value};

/// Makes `None` of a row that is not there.
pub(in crate::store) trait Optional<Answer> {
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

/// Values of several types for one statement.
macro_rules! params {
    () => {
        [$crate::store::engine::sql::Value::Null; 0]
    };
    ($($value:expr),+ $(,)?) => {
        [$($crate::store::engine::sql::Parameter::value(&$value)),+]
    };
}

pub(in crate::store) use params;

/// A transaction, to be asked and told within.
pub(in crate::store) struct Transaction<'a> {
    engine: Engine<'a>,
    /// What holds throughout.
    known: Known,
    /// Whether others are waited for who were at work before another server took over.
    awaits_others: bool,
    /// What is remembered of it.
    done: Done<'a>,
}

/// Where a transaction is.
#[derive(Clone, Copy)]
enum Engine<'a> {
    Sqlite(&'a Connection),
    Postgres(&'a Session),
}

impl<'a> Transaction<'a> {
    /// What goes on within a transaction of this connection.
    pub(in crate::store) fn within(connection: &'a Connection) -> Self {
        Self::new(Engine::Sqlite(connection))
    }

    /// What goes on within a transaction on a server.
    pub(in crate::store) fn on(session: &'a Session) -> Self {
        Self::new(Engine::Postgres(session))
    }

    fn new(engine: Engine<'a>) -> Self {
        Self { engine, known: Known::default(), awaits_others: false, done: Done::default() }
    }

    /// The same on a server that may have taken over from another one.
    pub(in crate::store) const fn awaiting_others(mut self, awaits_others: bool) -> Self {
        self.awaits_others = awaits_others;
        self
    }

    /// Whether others are waited for who were at work before another server took over.
    pub(in crate::store) const fn awaits_others(&self) -> bool {
        self.awaits_others
    }

    /// The connection beneath, for what is a matter of `SQLite` alone.
    pub(in crate::store) const fn sqlite(&self) -> Option<&'a Connection> {
        match self.engine {
            Engine::Sqlite(connection) => Some(connection),
            Engine::Postgres(_) => None,
        }
    }

    /// Has this asked before the commit of every further transaction, this one's among them: a database that fails, or a
    /// process that dies, at the worst moment.
    #[cfg(test)]
    pub(in crate::store) fn ask_before_commits(
        &self,
        mut may_commit: impl FnMut() -> bool + Send + 'static,
    ) -> Result<(), SqlError> {
        match self.engine {
            Engine::Sqlite(connection) => connection.commit_hook(Some(move || !may_commit()))?,
            Engine::Postgres(session) => session.ask_before_commits(Box::new(may_commit)),
        }
        Ok(())
    }

    /// A statement that is prepared once and kept for the next time.
    pub(in crate::store) fn prepare_cached(&self, sql: &str) -> Result<Statement<'a>, SqlError> {
        Ok(match self.engine {
            Engine::Sqlite(connection) => Statement::Sqlite(connection.prepare_cached(sql)?),
            Engine::Postgres(session) => Statement::Postgres(session, sql.into()),
        })
    }

    /// Carries a statement out, and says how many rows it has touched.
    pub(in crate::store) fn execute<const COUNT: usize>(
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
    pub(in crate::store) fn insert<const COUNT: usize>(
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
    pub(in crate::store) fn query_row<Answer, const COUNT: usize>(
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
pub(in crate::store) enum Statement<'a> {
    /// Prepared, and kept with the connection.
    Sqlite(CachedStatement<'a>),
    /// To be sent whole each time.
    Postgres(&'a Session, Box<str>),
}

impl Statement<'_> {
    /// Carries it out, and says how many rows it has touched.
    pub(in crate::store) fn execute<const COUNT: usize>(
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
    pub(in crate::store) fn query<const COUNT: usize>(
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
    pub(in crate::store) fn query_map<'rows, Answer, const COUNT: usize>(
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
    pub(in crate::store) fn query_row<Answer, const COUNT: usize>(
        &mut self,
        parameters: [impl Parameter; COUNT],
        read: impl FnOnce(&Row<'_>) -> Result<Answer, SqlError>,
    ) -> Result<Answer, SqlError> {
        read(&self.query(parameters)?.next()?.ok_or(SqlError::NoRow)?)
    }
}

/// Rows that come one after the other.
pub(in crate::store) enum Rows<'a> {
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
    pub(in crate::store) fn next(&mut self) -> Result<Option<Row<'_>>, SqlError> {
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
pub(in crate::store) enum Row<'a> {
    /// As one engine gives it.
    Sqlite(&'a rusqlite::Row<'a>),
    /// As the other does.
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// What stands in a column, counted from 0.
    pub(in crate::store) fn get<Answer: Column>(&self, column: usize) -> Result<Answer, SqlError> {
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
