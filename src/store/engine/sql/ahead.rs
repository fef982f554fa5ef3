//! What spares ways to a server: questions that are asked ahead, rows that go together, and keys that are fetched in advance.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use tokio_postgres::types::{ToSql, Type};

use super::kept::{Foreseen, Gathered, Kept, Numbers, typed};
use super::{Parameter, Session, SqlError, Value};

/// How many keys are fetched at once where nobody has said how many are needed.
const KEYS_AT_ONCE: i64 = 16;

impl Session {
    /// The first column of the last row that this has given.
    pub(in crate::store) fn begun(&self) -> Result<Option<String>, SqlError> {
        let wanted: Vec<_> = self.wanted_keys.borrow().iter().map(|(column, wanted)| (*column, *wanted)).collect();
        for (column, (table, count)) in &wanted {
            self.foresee(&keys_of(table, column), vec![Kept::Integer(*count)]);
        }
        if self.begun.borrow().get().is_none() {
            self.wait_for(async { Ok(()) })?;
        }
        for (column, (table, count)) in wanted {
            self.fetch_keys(table, column, count)?;
        }
        Ok(self.begun.borrow().get().cloned().flatten())
    }

    /// Asks ahead what will be asked with the same values. Whatever changes something in between makes it be asked again, but
    /// what is [gathered](Self::gather): whoever gathers knows that the answer may be believed all the same.
    pub(super) fn foresee(&self, sql: &str, values: Vec<Kept>) {
        let sql = self.translated(sql);
        if self.foreseen.borrow().iter().any(|foreseen| foreseen.is_of(&sql, &values)) {
            return;
        }
        let rows = Arc::new(OnceLock::new());
        let (client, asked, given, told) = (Arc::clone(&self.client), sql.clone(), values.clone(), Arc::clone(&rows));
        self.foreseen.borrow_mut().push(Foreseen { sql, values, rows });
        self.on_their_way.borrow_mut().push(Box::pin(async move {
            let given: Vec<Value<'_>> = given.iter().map(Parameter::value).collect();
            let _only_once = told.set(client.query_typed(&asked, &typed(&given)).await?);
            Ok(0)
        }));
    }

    pub(super) fn take_foreseen(
        &self,
        sql: &Arc<str>,
        values: &[Value<'_>],
    ) -> Result<Option<Vec<tokio_postgres::Row>>, SqlError> {
        if self.foreseen.borrow().is_empty() {
            return Ok(None);
        }
        let values: Vec<Kept> = values.iter().copied().map(Kept::of).collect();
        let place = self.foreseen.borrow().iter().position(|foreseen| foreseen.is_of(sql, &values));
        let Some(place) = place else { return Ok(None) };
        let Foreseen { rows, .. } = self.foreseen.borrow_mut().swap_remove(place);
        if rows.get().is_none() {
            self.wait_for(async { Ok(()) })?;
        }
        Ok(Arc::into_inner(rows).and_then(OnceLock::into_inner))
    }

    /// Adds a row to those that a statement takes together, given as lists, from this one of its lists on. Where the statement
    /// gives numbers, they can be looked up once it was carried out: at the latest when the transaction is committed.
    pub(super) fn gather(&self, sql: &'static str, lists: &'static [Type], first: usize, row: Vec<Kept>) -> Numbers {
        self.has_written.set(true);
        let mut gathered = self.gathered.borrow_mut();
        let place = gathered.iter().position(|gathered| gathered.sql == sql).unwrap_or_else(|| {
            // What is added may be changed by what is gathered besides.
            let place = if sql.starts_with("INSERT") { 0 } else { gathered.len() };
            let values = vec![Vec::new(); lists.len()];
            gathered.insert(place, Gathered { sql, lists, values, numbers: Arc::default() });
            place
        });
        let Some(Gathered { values, numbers, .. }) = gathered.get_mut(place) else { return Numbers::default() };
        for (list, value) in values.iter_mut().skip(first).zip(row) {
            list.push(value);
        }
        Arc::clone(numbers)
    }

    /// Whether something was gathered that was not sent.
    pub(super) fn has_gathered(&self) -> bool {
        !self.gathered.borrow().is_empty()
    }

    /// Has everything asked again that was asked ahead.
    pub(super) fn forget_foreseen(&self) {
        self.foreseen.borrow_mut().clear();
    }

    /// Sends what was gathered with whatever comes next.
    pub(super) fn send_gathered(&self) {
        for Gathered { sql, lists, values, numbers } in self.gathered.take() {
            let client = Arc::clone(&self.client);
            self.on_their_way.borrow_mut().push(Box::pin(async move {
                let values: Vec<Vec<Value<'_>>> =
                    values.iter().map(|list| list.iter().map(Parameter::value).collect()).collect();
                let typed: Vec<_> =
                    values.iter().zip(lists).map(|(list, of)| (list as &(dyn ToSql + Sync), of.clone())).collect();
                let rows = client.query_typed(sql, &typed).await?;
                let found = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
                let _only_once = numbers.set(found);
                Ok(0)
            }));
        }
    }

    /// Says ahead that one more key will be needed.
    pub(super) fn foresee_key(&self, table: &'static str, column: &'static str) {
        self.wanted_keys.borrow_mut().entry(column).or_insert((table, 0)).1 += 1;
    }

    /// A key for this column of this table that nobody has, later than all before.
    pub(super) fn next_key(&self, table: &str, column: &'static str) -> Result<i64, SqlError> {
        let known = self.keys.borrow_mut().get_mut(column).and_then(VecDeque::pop_front);
        if let Some(key) = known {
            return Ok(key);
        }
        self.fetch_keys(table, column, KEYS_AT_ONCE)?;
        self.keys.borrow_mut().get_mut(column).and_then(VecDeque::pop_front).ok_or(SqlError::NoRow)
    }

    /// Fetches so many keys at once, all of them later than one that may be given to others.
    pub(in crate::store) fn fetch_keys_after(
        &self,
        (table, column): (&str, &'static str),
        last: i64,
        count: usize,
    ) -> Result<(), SqlError> {
        let next = self.new_keys(table, column, 1)?.pop_front().ok_or(SqlError::NoRow)?;
        let passed_over = (last - next).max(0);
        let mut keys = self.new_keys(table, column, passed_over.saturating_add_unsigned(count as u64))?;
        keys.retain(|key| *key > last);
        self.keys.borrow_mut().insert(column, keys);
        Ok(())
    }

    fn fetch_keys(&self, table: &str, column: &'static str, count: i64) -> Result<(), SqlError> {
        let keys = self.new_keys(table, column, count)?;
        self.keys.borrow_mut().insert(column, keys);
        Ok(())
    }

    fn new_keys(&self, table: &str, column: &str, count: i64) -> Result<VecDeque<i64>, SqlError> {
        let rows = self.query(&keys_of(table, column), &[Value::Integer(count)])?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }
}

/// What gives so many keys of a column.
fn keys_of(table: &str, column: &str) -> String {
    format!("SELECT nextval(pg_get_serial_sequence('tagfleet.{table}', '{column}')) FROM generate_series(1, ?1)")
}
