//! Statements with as many values as there happen to be.

use rusqlite::params_from_iter;

pub(in crate::store) use super::kept::Kept;
use super::{Engine, Row, SqlError, Transaction, Value};

impl Transaction<'_> {
    /// Carries a statement out with these values.
    pub(in crate::store) fn execute_with(&self, sql: &str, values: &[Value<'_>]) -> Result<usize, SqlError> {
        match self.engine {
            Engine::Sqlite(connection) => Ok(connection.prepare_cached(sql)?.execute(params_from_iter(values))?),
            Engine::Postgres(session) => session.execute(sql, values),
        }
    }

    /// Asks a server ahead what will be asked with these values, if nothing changes it before.
    pub(in crate::store) fn foresee_with(&self, sql: &str, values: &[Value<'_>]) {
        if let Engine::Postgres(session) = self.engine {
            session.foresee(sql, values.iter().copied().map(Kept::of).collect());
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
