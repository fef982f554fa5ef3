//! What runs made of slots: the tags of machines, and their device values.
//!
//! Rows come and go while a run is gone on with, and a slot outlives them: the first `before` and the last `after` of the
//! run belong to it, those of calls in flight and of rows that were dropped since included. Writes are ordered by their
//! attempts, which are numbered as they are let through, and never by a wall clock, which may be set.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::forms::{
    AccountKey, CHANGE_ADD_TAG, CHANGE_DEVICE_VALUE, DEVICE_VALUES, RunKey, RunSlot, SlotWrite, bucket_number, damaged,
};
use super::ledger::{AttemptKey, decode_operations};
use super::{Reader, StoreError};
use crate::model::{Bucket, Held, MachineId, MayHold, OperationId, Slot, Tag};

/// The columns that [`read_slot`] and [`read_wrote`] want, of `operation` with `tag` joined to it.
const SLOT_COLUMNS: &str = "operation.machine, tag.tag, operation.change_kind, operation.change_argument";
const WITH_TAG: &str = "LEFT JOIN tag ON tag.run_key = operation.run_key AND tag.tag_number = operation.change_argument
    AND operation.change_kind <> 2";

impl Reader {
    /// What runs of this account at this host wrote so recently, in the order in which they did: everything whose attempt
    /// ended within that time by the clock that stamped it, and all that is in flight.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn recent_writes(
        &self,
        account: AccountKey,
        host: &str,
        within: Duration,
    ) -> Result<Vec<SlotWrite>, StoreError> {
        let host = host.to_owned();
        self.connection
            .run(move |transaction| {
                let since = oldest_attempt_within(transaction, account, within)?;
                writes_since(transaction, &Runs::All { account, host: &host }, since)
            })
            .await
    }

    /// What other runs of the same account and host wrote since this run began, in the order in which they did.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn later_writes(&self, run: RunKey) -> Result<Vec<SlotWrite>, StoreError> {
        self.connection
            .run(move |transaction| {
                let first = first_attempt(transaction, run)?;
                writes_since(transaction, &Runs::AllBut(run), first)
            })
            .await
    }

    /// Every slot that a run has changed or may have changed.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn run_slots(&self, run: RunKey) -> Result<Vec<RunSlot>, StoreError> {
        self.connection.run(move |transaction| run_slots(transaction, run)).await
    }

    /// What earlier versions of a run's input made of slots, as far as its rows do not ask for the same any more.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn slot_history(&self, run: RunKey) -> Result<Vec<RunSlot>, StoreError> {
        self.connection.run(move |transaction| read_history(transaction, run)).await
    }
}

/// Whose writes are asked for.
enum Runs<'a> {
    /// Those of all runs of this account at this host.
    All { account: AccountKey, host: &'a str },
    /// Those of all runs of this run's account and host but its own.
    AllBut(RunKey),
}

/// The number of the oldest attempt that ended within this time by its own clock, or has not ended; beyond all numbers
/// when there is none. A clock that nobody has read for a while makes attempts look younger than they are.
fn oldest_attempt_within(
    transaction: &Transaction<'_>,
    account: AccountKey,
    within: Duration,
) -> Result<i64, rusqlite::Error> {
    let within = i64::try_from(within.as_micros()).unwrap_or(i64::MAX);
    let mut ended = transaction.prepare_cached(
        "SELECT min(attempt_key) FROM attempt
         WHERE account_key = ?1 AND timeline_key = ?2 AND bucket = ?3 AND ended IS NOT NULL AND ended > ?4",
    )?;
    let mut open = transaction.prepare_cached(
        "SELECT min(attempt_key) FROM attempt WHERE account_key = ?1 AND bucket = ?2 AND ended IS NULL",
    )?;
    let mut oldest = i64::MAX;
    for bucket in Bucket::ALL.map(bucket_number) {
        let open: Option<i64> = open.query_row(params![account.0, bucket], |row| row.get(0))?;
        oldest = oldest.min(open.unwrap_or(i64::MAX));
        for (timeline, position) in timelines(transaction)? {
            let ended: Option<i64> = ended
                .query_row(params![account.0, timeline, bucket, position.saturating_sub(within)], |row| row.get(0))?;
            oldest = oldest.min(ended.unwrap_or(i64::MAX));
        }
    }
    Ok(oldest)
}

fn timelines(transaction: &Transaction<'_>) -> Result<Vec<(i64, i64)>, rusqlite::Error> {
    transaction
        .prepare_cached("SELECT timeline_key, position FROM timeline")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The number of a run's first attempt. A run whose attempts are forgotten is older than all that the ledger knows.
fn first_attempt(transaction: &Transaction<'_>, run: RunKey) -> Result<i64, rusqlite::Error> {
    let first: Option<i64> =
        transaction.query_row("SELECT min(attempt_key) FROM attempt WHERE run_key = ?1", [run.0], |row| row.get(0))?;
    Ok(first.unwrap_or(0))
}

/// What was written by attempts from this number on, sorted by attempt.
fn writes_since(transaction: &Transaction<'_>, runs: &Runs<'_>, since: i64) -> Result<Vec<SlotWrite>, rusqlite::Error> {
    let (account, host, but): (i64, String, i64) = match runs {
        Runs::All { account, host } => (account.0, (*host).to_owned(), -1),
        Runs::AllBut(run) => {
            transaction.query_row("SELECT account_key, host FROM run WHERE run_key = ?1", [run.0], |row| {
                Ok((row.get(0)?, row.get(1)?, run.0))
            })?
        }
    };
    let of_runs = "run.account_key = ?1 AND run.host = ?2 AND run.run_key <> ?3 AND run.state <> 'removing'";
    let mut writes = Vec::new();
    let mut written = transaction.prepare_cached(&format!(
        "SELECT {SLOT_COLUMNS}, operation.before, operation.state = 1, operation.last_attempt
         FROM run JOIN operation ON operation.run_key = run.run_key {WITH_TAG}
         WHERE {of_runs} AND run.run_key IN (SELECT run_key FROM attempt WHERE attempt_key >= ?4)
             AND operation.last_attempt >= ?4 AND (operation.state = 1 OR operation.ambiguous)"
    ))?;
    let rows = written.query_map(params![account, host, but, since], read_write)?;
    for write in rows {
        writes.extend(write?);
    }
    for run in runs_with_unheard_attempts(transaction, account, &host, but)? {
        writes.extend(in_flight(transaction, run)?);
    }
    let mut history = transaction.prepare_cached(&format!(
        "SELECT DISTINCT run_key FROM run JOIN slot_history USING (run_key) WHERE {of_runs} AND last_attempt >= ?4"
    ))?;
    let runs: Vec<i64> =
        history.query_map(params![account, host, but, since], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for run in runs {
        let slots = read_history(transaction, RunKey(run))?;
        let is_wanted = |slot: &&RunSlot| slot.last_attempt >= Some(AttemptKey(since));
        writes.extend(slots.iter().filter(is_wanted).flat_map(of_history));
    }
    // What surely took effect comes before what is in doubt, so that the doubt is never overlooked.
    writes.sort_by_key(|write| (write.attempt, !write.surely));
    Ok(writes)
}

/// The writes that a slot of a run's history stands for.
fn of_history(slot: &RunSlot) -> Vec<SlotWrite> {
    let known = slot.after.known();
    let (before, attempt) = (slot.before, slot.last_attempt);
    let write = |wrote, surely| SlotWrite { slot: slot.slot.clone(), before, wrote, surely, attempt };
    if known != Held::Unknown {
        return vec![write(known, true)];
    }
    slot.after.each().map(|wrote| write(wrote, false)).collect()
}

fn runs_with_unheard_attempts(
    transaction: &Transaction<'_>,
    account: i64,
    host: &str,
    but: i64,
) -> Result<Vec<RunKey>, rusqlite::Error> {
    transaction
        .prepare_cached(
            "SELECT DISTINCT run_key FROM attempt JOIN run USING (run_key)
             WHERE verdict IS NULL AND run.account_key = ?1 AND run.host = ?2 AND run_key <> ?3",
        )?
        .query_map(params![account, host, but], |row| row.get(0).map(RunKey))?
        .collect()
}

/// What a run has sent, or was about to send, without having heard of it.
fn in_flight(transaction: &Transaction<'_>, run: RunKey) -> Result<Vec<SlotWrite>, rusqlite::Error> {
    let mut operation = transaction.prepare_cached(&format!(
        "SELECT {SLOT_COLUMNS}, operation.before, FALSE, ?3 FROM operation {WITH_TAG}
         WHERE operation.run_key = ?1 AND operation_number = ?2 AND state IN (0, 6)"
    ))?;
    let mut writes = Vec::new();
    for (attempt, numbers) in unheard_attempts(transaction, run)? {
        for number in numbers {
            let found = operation.query_row(params![run.0, number.0, attempt.0], read_write).optional()?;
            writes.extend(found.flatten());
        }
    }
    Ok(writes)
}

/// The attempts of a run that have no verdict, with their operations.
fn unheard_attempts(
    transaction: &Transaction<'_>,
    run: RunKey,
) -> Result<Vec<(AttemptKey, Vec<OperationId>)>, rusqlite::Error> {
    transaction
        .prepare_cached("SELECT attempt_key, operations FROM attempt WHERE run_key = ?1 AND verdict IS NULL")?
        .query_map([run.0], |row| {
            let operations: Vec<u8> = row.get(1)?;
            Ok((AttemptKey(row.get(0)?), decode_operations(&operations).map(OperationId).collect()))
        })?
        .collect()
}

/// The operations of a run that were sent, or were about to be, and whose attempt has no verdict.
pub(super) fn unheard_operations(
    transaction: &Transaction<'_>,
    run: RunKey,
) -> Result<HashSet<OperationId>, rusqlite::Error> {
    Ok(unheard_attempts(transaction, run)?.into_iter().flat_map(|(_, operations)| operations).collect())
}

fn run_slots(transaction: &Transaction<'_>, run: RunKey) -> Result<Vec<RunSlot>, rusqlite::Error> {
    let mut slots: HashMap<Slot, RunSlot> = HashMap::new();
    for slot in read_history(transaction, run)? {
        slots.insert(slot.slot.clone(), slot);
    }
    let mut changed = transaction.prepare_cached(&format!(
        "SELECT {SLOT_COLUMNS}, operation.before, operation.state = 1, operation.last_attempt FROM operation {WITH_TAG}
         WHERE operation.run_key = ?1 AND (state = 1 OR ambiguous) ORDER BY last_attempt, finished_at, operation_number"
    ))?;
    for write in changed.query_map([run.0], read_write)? {
        note_write(transaction, &mut slots, write?)?;
    }
    for write in in_flight(transaction, run)? {
        note_write(transaction, &mut slots, Some(write))?;
    }
    for write in writes_since(transaction, &Runs::AllBut(run), first_attempt(transaction, run)?)? {
        let slot = slots.get_mut(&write.slot).filter(|slot| write.may_change() && write.attempt > slot.last_attempt);
        if let Some(slot) = slot {
            slot.later.push(write);
        }
    }
    let mut slots: Vec<RunSlot> = slots.into_values().collect();
    slots.sort_by(|one, other| one.slot.cmp(&other.slot));
    Ok(slots)
}

/// Adds a write to what a run made of a slot; writes come in their order.
fn note_write(
    transaction: &Transaction<'_>,
    slots: &mut HashMap<Slot, RunSlot>,
    write: Option<SlotWrite>,
) -> Result<(), rusqlite::Error> {
    let Some(write) = write else { return Ok(()) };
    let (before, left) = (write.before, MayHold::only(write.wrote));
    let known = slots.entry(write.slot).or_insert_with_key(|slot| RunSlot {
        slot: slot.clone(),
        before,
        after: MayHold::only(before),
        last_attempt: None,
        later: Vec::new(),
    });
    // What is in doubt may arrive later than what was surely done after it was given up.
    let is_last_word = write.surely
        && (known.last_attempt.is_none()
            || known.after.known() != Held::Unknown
            || is_over_before(transaction, known.last_attempt, write.attempt)?);
    known.after = if is_last_word { left } else { known.after.or(left) };
    known.last_attempt = known.last_attempt.max(write.attempt);
    Ok(())
}

/// Whether nothing of an attempt could arrive any more when another was let through. One that the ledger has forgotten is
/// over for long.
fn is_over_before(
    transaction: &Transaction<'_>,
    one: Option<AttemptKey>,
    other: Option<AttemptKey>,
) -> Result<bool, rusqlite::Error> {
    let key = |attempt: Option<AttemptKey>| attempt.map(|attempt| attempt.0);
    let is_over = transaction
        .prepare_cached(
            "SELECT one.timeline_key = other.timeline_key AND one.ended <= other.started
             FROM attempt AS one, attempt AS other WHERE one.attempt_key = ?1 AND other.attempt_key = ?2",
        )?
        .query_row(params![key(one), key(other)], |row| row.get::<_, Option<bool>>(0))
        .optional()?;
    Ok(is_over.is_none_or(|is_over| is_over.unwrap_or(false)))
}

/// What a column says that something held.
fn read_held(row: &Row<'_>, column: usize) -> Result<Held, rusqlite::Error> {
    Ok(row.get::<_, Option<String>>(column)?.as_deref().map_or(Held::Unknown, Held::parse))
}

fn read_history(transaction: &Transaction<'_>, run: RunKey) -> Result<Vec<RunSlot>, rusqlite::Error> {
    let mut statement = transaction.prepare_cached(
        "SELECT machine, tag, before, after, doubtful, last_attempt FROM slot_history WHERE run_key = ?1",
    )?;
    let rows = statement.query_map([run.0], |row| {
        let machine = MachineId::from_service(&row.get::<_, String>(0)?);
        let tag: String = row.get(1)?;
        let tag = if tag.is_empty() { None } else { Some(Tag::new(&tag).map_err(|_no_tag| damaged(1, "a tag"))?) };
        let before = read_held(row, 2)?;
        let surely = row.get::<_, Option<String>>(3)?.map_or(before, |word| Held::parse(&word));
        Ok(RunSlot {
            slot: Slot { machine, tag },
            before,
            after: MayHold::only(surely).or(MayHold::parse(&row.get::<_, String>(4)?)),
            last_attempt: row.get::<_, Option<i64>>(5)?.map(AttemptKey),
            later: Vec::new(),
        })
    })?;
    rows.collect()
}

/// The write of an operation, whose slot and change stand in the first four columns, and `before`, whether it surely took
/// effect and its attempt in the next; `None` where its tag is none that this program would write.
fn read_write(row: &Row<'_>) -> Result<Option<SlotWrite>, rusqlite::Error> {
    let Some(slot) = read_slot(row)? else { return Ok(None) };
    Ok(Some(SlotWrite {
        slot,
        before: read_held(row, 4)?,
        wrote: read_wrote(row)?,
        surely: row.get(5)?,
        attempt: row.get::<_, Option<i64>>(6)?.map(AttemptKey),
    }))
}

/// The slot of an operation; `None` where its tag is none that this program would write.
fn read_slot(row: &Row<'_>) -> Result<Option<Slot>, rusqlite::Error> {
    let machine = MachineId::from_service(&row.get::<_, String>(0)?);
    if row.get::<_, u8>(2)? == CHANGE_DEVICE_VALUE {
        return Ok(Some(Slot { machine, tag: None }));
    }
    let tag: Option<String> = row.get(1)?;
    Ok(tag.and_then(|tag| Tag::new(&tag).ok()).map(|tag| Slot { machine, tag: Some(tag) }))
}

/// What an operation leaves.
fn read_wrote(row: &Row<'_>) -> Result<Held, rusqlite::Error> {
    Ok(match row.get::<_, u8>(2)? {
        CHANGE_DEVICE_VALUE => {
            let value = DEVICE_VALUES.get(usize::from(row.get::<_, u8>(3)?));
            Held::Value(*value.ok_or_else(|| damaged(3, "a device value"))?)
        }
        CHANGE_ADD_TAG => Held::Present,
        _ => Held::Absent,
    })
}

#[cfg(test)]
mod tests;
