//! Statements with as many values as there happen to be.

use rusqlite::params_from_iter;

use super::{Column, Engine, Parameter, Row, SqlError, Transaction, Value};

/// A value of any kind that is kept.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Kept {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Column for Kept {
    fn read(value: Value<'_>) -> Option<Self> {
        Some(Self::of(value))
    }
}

impl Parameter for Kept {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(*number),
            Self::Real(number) => Value::Real(*number),
            Self::Text(text) => Value::Text(text),
            Self::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

impl Kept {
    /// The value, to be kept for longer than what it stands in.
    pub(super) fn of(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(number) => Self::Integer(number),
            Value::Real(number) => Self::Real(number),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Blob(bytes) => Self::Blob(bytes.to_owned()),
        }
    }
}

impl Transaction<'_> {
    /// Carries a statement out with these values.
    pub(in crate::store) fn execute_with(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, SqlError> {
        match self.engine {
            Engine::Sqlite(connection) => Ok(connection.prepare_cached(sql)?.execute(params_from_iter(values))?),
            Engine::Postgres(session) => session.execute(sql, values),
        }
    }

    /// What each row says, of a statement with these values.
    pub(in crate::store) fn rows_with<Answer>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<Answer, SqlError>,
    ) -> Result<Vec<Answer>, SqlError> {
        match self.engine {
            Engine::Sqlite(connection) => {
                let mut prepared = connection.prepare_cached(sql)?;
                let mut rows = prepared.query(params_from_iter(values))?;
                let mut answers = Vec::new();
                while let Some(row) = rows.next()? {
                    answers.push(read(&Row::Sqlite(row))?);
                }
                Ok(answers)
            }
            Engine::Postgres(session) => {
                session.query(sql, values)?.iter().map(|row| read(&Row::Postgres(row))).collect()
            }
        }
    }
}
