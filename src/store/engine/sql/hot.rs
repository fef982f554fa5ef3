//! What spares ways to a server, and statements: those whose outcome nobody needs at once, many rows at once, and what holds
//! throughout a transaction. With a file, where there is no way, the first two are the plain thing.

use std::sync::OnceLock;

use rusqlite::{CachedStatement, params_from_iter};

use tokio_postgres::types::Type;

use super::kept::Kept;
pub(in crate::store) use super::kept::Numbers;
use super::{Engine, Parameter, Session, SqlError, Transaction};

/// So many rows travel together.
const ROWS_AT_ONCE: usize = 1000;

impl<'a> Transaction<'a> {
    /// Carries a statement out. That it failed may show only at the commit, which fails with it.
    pub(in crate::store) fn send<const COUNT: usize>(
        &self,
        sql: &str,
        parameters: [impl Parameter; COUNT],
    ) -> Result<(), SqlError> {
        let values = parameters.each_ref().map(Parameter::value);
        match self.engine {
            Engine::Sqlite(connection) => {
                connection.prepare_cached(sql)?.execute(params_from_iter(values))?;
            }
            Engine::Postgres(session) => session.send(sql, values.map(Kept::of).into()),
        }
        Ok(())
    }

    /// Asks a server ahead what will be asked with the same values, if nothing changes it before. A file is near enough.
    pub(in crate::store) fn foresee<const COUNT: usize>(&self, sql: &str, parameters: [impl Parameter; COUNT]) {
        if let Engine::Postgres(session) = self.engine {
            session.foresee(sql, parameters.iter().map(|parameter| Kept::of(parameter.value())).collect());
        }
    }

    /// Asks a server ahead for the number of a row that will be added.
    pub(in crate::store) fn foresee_row<const COUNT: usize>(&self, row: &NumberedRow<COUNT>) {
        if let Engine::Postgres(session) = self.engine {
            session.foresee_key(row.table, row.key);
        }
    }

    /// Adds a row to those that a statement takes together, from this one of its lists on. Gives the numbers that the statement
    /// gives, once it was carried out; nothing with a file, where it is not done.
    pub(in crate::store) fn gather<const COUNT: usize>(
        &self,
        statement: &'static Gathering,
        first: usize,
        parameters: [impl Parameter; COUNT],
    ) -> Numbers {
        match self.engine {
            Engine::Sqlite(_) => Numbers::default(),
            Engine::Postgres(session) => {
                let row = parameters.iter().map(|parameter| Kept::of(parameter.value())).collect();
                session.gather(statement.sql, statement.lists, first, row)
            }
        }
    }

    /// Has what was gathered carried out before whatever is gathered or read from now on.
    pub(in crate::store) fn send_gathered(&self) {
        if let Engine::Postgres(session) = self.engine {
            session.send_gathered();
            session.forget_foreseen();
        }
    }

    /// Whether something was gathered that was not sent.
    pub(in crate::store) fn has_gathered(&self) -> bool {
        matches!(self.engine, Engine::Postgres(session) if session.has_gathered())
    }

    /// Adds such a row, and says which number it has. It is later than all that are there.
    pub(in crate::store) fn send_row<const COUNT: usize>(
        &self,
        row: &'static NumberedRow<COUNT>,
        parameters: [impl Parameter; COUNT],
    ) -> Result<i64, SqlError> {
        let NumberedRow { table, key, columns, lists, addition, many } = row;
        match self.engine {
            Engine::Sqlite(_) => {
                let add = || format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), numbered(COUNT));
                self.insert(addition.get_or_init(add), key, parameters)
            }
            Engine::Postgres(session) => {
                let number = session.next_key(table, key)?;
                let add = || {
                    let given = (1..=lists.len()).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ");
                    format!("INSERT INTO {table} ({key}, {}) SELECT * FROM unnest({given})", columns.join(", "))
                };
                let values = parameters.iter().map(|parameter| Kept::of(parameter.value()));
                let row = [Kept::Integer(number)].into_iter().chain(values).collect();
                session.forget_foreseen();
                drop(session.gather(many.get_or_init(add), lists, 0, row));
                Ok(number)
            }
        }
    }

    /// Begins to add rows with these columns.
    pub(in crate::store) fn add_to<const COUNT: usize>(
        &self,
        table: &'static str,
        columns: [&'static str; COUNT],
    ) -> Result<Additions<'a, COUNT>, SqlError> {
        Ok(match self.engine {
            Engine::Sqlite(connection) => {
                let (names, numbers) = (columns.join(", "), numbered(COUNT));
                let sql = format!("INSERT INTO {table} ({names}) VALUES ({numbers})");
                Additions::Sqlite(connection.prepare_cached(&sql)?)
            }
            Engine::Postgres(session) => {
                Additions::Postgres { session, table, columns, values: std::array::from_fn(|_| Vec::new()) }
            }
        })
    }

    /// What is looked up once and holds throughout the transaction, by what it is about.
    pub(in crate::store) fn once<Answer: Clone + 'static>(
        &self,
        about: i64,
        look_up: impl FnOnce() -> Result<Answer, SqlError>,
    ) -> Result<Answer, SqlError> {
        if let Some(known) = self.known.recall(about) {
            return Ok(known);
        }
        let answer = look_up()?;
        self.known.remember(about, answer.clone());
        Ok(answer)
    }

    /// Looks up again what was looked up once: it holds no more.
    pub(in crate::store) fn forget<Answer: 'static>(&self) {
        self.known.forget::<Answer>();
    }
}

/// A row that is numbered as it is added, one for each call.
pub(in crate::store) struct NumberedRow<const COUNT: usize> {
    table: &'static str,
    /// The column of its number.
    key: &'static str,
    columns: [&'static str; COUNT],
    /// The types of lists of its number and of each of these.
    lists: &'static [Type],
    /// How it is added: to write that each time would take as long as to add it.
    addition: OnceLock<String>,
    /// How a server is told to add many.
    many: OnceLock<String>,
}

impl<const COUNT: usize> NumberedRow<COUNT> {
    /// One of a table, with a number in the column called `key`, which is not among the others.
    pub(in crate::store) const fn of(
        table: &'static str,
        key: &'static str,
        columns: [&'static str; COUNT],
        lists: &'static [Type],
    ) -> Self {
        Self { table, key, columns, lists, addition: OnceLock::new(), many: OnceLock::new() }
    }
}

/// A statement of a server that takes many rows, given as lists.
pub(in crate::store) struct Gathering {
    pub(in crate::store) sql: &'static str,
    pub(in crate::store) lists: &'static [Type],
}

/// So many parameters, one after the other.
fn numbered(count: usize) -> String {
    (1..=count).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ")
}

/// Rows that are being added.
pub(in crate::store) enum Additions<'a, const COUNT: usize> {
    /// One by one.
    Sqlite(CachedStatement<'a>),
    /// Many at once.
    Postgres {
        /// Where they go.
        session: &'a Session,
        /// Into which table.
        table: &'static str,
        /// What each of them has.
        columns: [&'static str; COUNT],
        /// What those have that have not been sent, column by column.
        values: [Vec<Kept>; COUNT],
    },
}

impl<const COUNT: usize> Additions<'_, COUNT> {
    /// Adds a row.
    pub(in crate::store) fn add(&mut self, parameters: [impl Parameter; COUNT]) -> Result<(), SqlError> {
        let row = parameters.each_ref().map(Parameter::value);
        match self {
            Self::Sqlite(statement) => {
                statement.execute(params_from_iter(row))?;
            }
            Self::Postgres { values, .. } => {
                for (values, value) in values.iter_mut().zip(row) {
                    values.push(Kept::of(value));
                }
                if values.first().is_some_and(|values| values.len() >= ROWS_AT_ONCE) {
                    self.flush();
                }
            }
        }
        Ok(())
    }

    /// All of them are there.
    pub(in crate::store) fn done(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        if let Self::Postgres { session, table, columns, values } = self {
            let values = values.iter_mut().map(std::mem::take).collect();
            session.send_rows(table, columns, values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_throughout_a_transaction_is_looked_up_once() {
        let connection = rusqlite::Connection::open_in_memory().expect("a database");
        let transaction = Transaction::within(&connection);
        let mut looked_up = 0;
        let mut ask = |about: i64| {
            let answer = transaction.once(about, || {
                looked_up += 1;
                Ok(about + looked_up)
            });
            answer.expect("an answer")
        };
        assert_eq!([ask(10), ask(10), ask(20), ask(10)], [11, 11, 22, 11]);
        transaction.forget::<u8>();
        assert_eq!(ask(10), 11, "something else was forgotten");
        transaction.forget::<i64>();
        assert_eq!(ask(10), 13);
        assert_eq!(looked_up, 3);
    }
}
