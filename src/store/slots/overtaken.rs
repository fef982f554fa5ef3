//! What of a run other runs have written over since it was last decided about.
//!
//! A slot that a run found to be so is nobody's: other runs may change it meanwhile. And a run that was left lying is over
//! where a later one has written: what it still wanted there is not what was asked for last.

use std::collections::HashMap;

use super::later_writes;
use super::reading::{WITH_TAG, WRITE_COLUMNS, read_writes};
use crate::model::{OperationId, Slot};
use crate::store::forms::{OperationState, RunKey};
use crate::store::slot_write::SlotWrite;
use crate::store::sql::{SqlError, Transaction, params};
use crate::store::{Reader, Store, StoreError};

impl Reader {
    /// How many operations of a run are still to be sent or have an unknown outcome, and were not surely written over by
    /// another run.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn open_operations(&self, run: RunKey) -> Result<u32, StoreError> {
        self.connection.run(move |transaction| open_operations(transaction, run)).await
    }
}

impl Store {
    /// Takes back what a run says to be so where another has written something else since, or may have; says how many
    /// operations that were. The run must have been claimed.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn give_way(&self, run: RunKey) -> Result<u64, StoreError> {
        self.writer
            .run(move |transaction| {
                let last = last_writes(later_writes(transaction, run)?);
                let is_overtaken = |own: &SlotWrite| {
                    last.get(&own.slot).is_some_and(|other| !(other.surely && other.wrote == own.wrote))
                };
                let overtaken = operations(transaction, run, &last, &[OperationState::Unchanged], is_overtaken)?;
                let mut give_way = transaction.prepare_cached(
                    "UPDATE operation SET state = ?3, after = NULL, error_code = 'changed_since',
                         error_message = 'another run has changed it since this one found it so, so it is left as it is'
                     WHERE run_key = ?1 AND operation_number = ?2",
                )?;
                for operation in &overtaken {
                    give_way.execute(params![run.0, operation.0, OperationState::NotAttempted.number()])?;
                }
                Ok(overtaken.len() as u64)
            })
            .await
    }
}

/// As [`Reader::open_operations`] has it.
pub(in crate::store) fn open_operations(transaction: &Transaction<'_>, run: RunKey) -> Result<u32, SqlError> {
    let open: u32 = transaction
        .prepare_cached("SELECT count(*) FROM operation WHERE run_key = ?1 AND state IN (0, 4, 6)")?
        .query_row([run.0], |row| row.get(0))?;
    if open == 0 {
        return Ok(0);
    }
    let mut writes = later_writes(transaction, run)?;
    writes.retain(|write| write.surely);
    let last = last_writes(writes);
    let is_open = [OperationState::Pending, OperationState::Unknown, OperationState::Refused];
    let overtaken = operations(transaction, run, &last, &is_open, |own| {
        last.get(&own.slot).is_some_and(|other| other.attempt > own.attempt)
    })?;
    Ok(open.saturating_sub(u32::try_from(overtaken.len()).unwrap_or(u32::MAX)))
}

/// The last write to each slot; writes come in their order.
fn last_writes(writes: Vec<SlotWrite>) -> HashMap<Slot, SlotWrite> {
    writes.into_iter().map(|write| (write.slot.clone(), write)).collect()
}

/// The operations of a run in these states of which this holds; there is none where nobody else has written.
fn operations(
    transaction: &Transaction<'_>,
    run: RunKey,
    others: &HashMap<Slot, SlotWrite>,
    states: &[OperationState],
    holds: impl Fn(&SlotWrite) -> bool,
) -> Result<Vec<OperationId>, SqlError> {
    let mut found = Vec::new();
    if others.is_empty() {
        return Ok(found);
    }
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT {WRITE_COLUMNS}, FALSE, operation.last_attempt, TRUE, TRUE, operation_number FROM operation {WITH_TAG}
         WHERE operation.run_key = ?1 AND operation.state = ?2"
    ))?;
    for state in states {
        let mut rows = statement.query(params![run.0, state.number()])?;
        while let Some(row) = rows.next()? {
            // What it wants itself is the last of its writes.
            if read_writes(&row)?.last().is_some_and(&holds) {
                found.push(OperationId(row.get(12)?));
            }
        }
    }
    Ok(found)
}
