//! What of a run other runs have written over since it was last decided about.
//!
//! A slot that a run found to be so is nobody's: other runs may change it meanwhile. And a run that was left lying is over
//! where a later one has written, or has found what it was asked for: what the first still wanted there is not what was asked
//! for last.

use std::collections::HashMap;

use super::later_writes;
use super::reading::{KnownTags, WITH_TAG, WRITE_COLUMNS, read_writes};
use crate::model::{Held, OperationId, Slot};
use crate::store::attempt::AttemptKey;
use crate::store::forms::{OperationState, RunKey, RunState, UNDO_PREFIX};
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

    /// What runs that were decided about later, and have come to their end, found to be so as they were asked, where this run
    /// still wants something else; sorted by attempt, as if each had written it then.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn later_findings(&self, run: RunKey) -> Result<Vec<SlotWrite>, StoreError> {
        self.connection.run(move |transaction| later_findings(transaction, run)).await
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
            .run_repeatable(1, move |transaction| {
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
    writes.extend(later_findings(transaction, run)?);
    // What was found was decided after the attempt whose number it bears.
    writes.sort_by_key(|write| write.attempt);
    let last = last_writes(writes);
    let is_open = [OperationState::Pending, OperationState::Unknown, OperationState::Refused];
    let overtaken = operations(transaction, run, &last, &is_open, |own| {
        last.get(&own.slot).is_some_and(|other| other.attempt > own.attempt)
    })?;
    Ok(open.saturating_sub(u32::try_from(overtaken.len()).unwrap_or(u32::MAX)))
}

/// As [`Reader::later_findings`] has it. A run that was taken back asks for nothing any more.
fn later_findings(transaction: &Transaction<'_>, run: RunKey) -> Result<Vec<SlotWrite>, SqlError> {
    let later: Vec<(RunKey, AttemptKey)> = transaction
        .prepare_cached(
            "SELECT later.run_key, later.decided_after FROM run AS later JOIN run USING (account_key, host)
             WHERE run.run_key = ?1 AND later.run_key <> ?1 AND later.state = ?2
                 AND (later.decided_after, later.run_key) > (run.decided_after, run.run_key)
                 AND NOT EXISTS (SELECT 1 FROM run AS undo WHERE undo.kind = 'undo' AND undo.input_path = ?3 || later.run_id)
             ORDER BY later.decided_after, later.run_key",
        )?
        .query_map(params![run.0, RunState::Finished.as_str(), UNDO_PREFIX], |row| {
            Ok((RunKey(row.get(0)?), AttemptKey(row.get(1)?)))
        })?
        .collect::<Result<_, _>>()?;
    if later.is_empty() {
        return Ok(Vec::new());
    }
    let not_done =
        [OperationState::Pending, OperationState::Unknown, OperationState::NotAttempted, OperationState::Refused];
    let mut wanted: HashMap<Slot, Held> = HashMap::new();
    each_wish(transaction, run, &not_done, |wish, _operation| {
        wanted.insert(wish.slot, wish.wrote);
    })?;
    let mut findings = Vec::new();
    for (later, decided_after) in later.into_iter().filter(|_| !wanted.is_empty()) {
        each_wish(transaction, later, &[OperationState::Unchanged], |found, _operation| {
            if wanted.get(&found.slot).is_some_and(|wanted| *wanted != found.wrote) {
                findings.push(SlotWrite { surely: true, answered: true, attempt: Some(decided_after), ..found });
            }
        })?;
    }
    Ok(findings)
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
    if !others.is_empty() {
        each_wish(transaction, run, states, |wish, operation| {
            if holds(&wish) {
                found.push(operation);
            }
        })?;
    }
    Ok(found)
}

/// Shows what each operation of a run in these states wants itself.
fn each_wish(
    transaction: &Transaction<'_>,
    run: RunKey,
    states: &[OperationState],
    mut show: impl FnMut(SlotWrite, OperationId),
) -> Result<(), SqlError> {
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT {WRITE_COLUMNS}, FALSE, operation.last_attempt, TRUE, TRUE, operation_number FROM operation {WITH_TAG}
         WHERE operation.run_key = ?1 AND operation.state = ?2"
    ))?;
    let mut tags = KnownTags::default();
    for state in states {
        let mut rows = statement.query(params![run.0, state.number()])?;
        while let Some(row) = rows.next()? {
            // That is the last of its writes.
            if let Some(wish) = read_writes(&row, &mut tags)?.pop() {
                show(wish, OperationId(row.get(12)?));
            }
        }
    }
    Ok(())
}
