//! What runs made of slots: the tags of machines, and their device values.
//!
//! Rows come and go while a run is resumed, and a slot outlives them: the first `before` and the last `after` of the
//! run belong to it, those of calls in flight and of rows that were dropped since included. Writes are ordered by their
//! attempts, which are numbered as they are let through, and never by a wall clock, which may be set.

mod names;
pub(super) mod overtaken;
mod reading;
mod run_slots;
mod standing;
pub(super) mod unheard;
mod writes;
mod young;

use std::collections::HashSet;
use std::time::Duration;

use self::reading::{KnownTags, WITH_TAG, WRITE_COLUMNS, read_history, read_writes};
use self::run_slots::{RunSlots, RunWrites};
use self::standing::Undos;
use self::unheard::{UnheardAttempt, unheard_of_run};
pub(crate) use self::writes::RecentSlotWrites;
use self::writes::{SortedWrites, Writes};
use self::young::Young;
use super::{Reader, Store, StoreError};
use crate::model::{Age, Bucket, Held, MayHold, OperationId, Tag};
use crate::store::engine::sql::{Optional, SqlError, Transaction, params};
use crate::store::forms::attempt::AttemptKey;
use crate::store::forms::encoding::bucket_number;
use crate::store::forms::run::{AccountKey, RunKey};
use crate::store::forms::slot_write::{RunSlot, SlotWrite};
use crate::store::forms::states::{IS_TO_BE_SENT, MAY_BE_DONE, SUCCEEDED};

impl Store {
    /// What runs of this account at this host wrote so recently, in the order in which they did: everything whose attempt
    /// ended within that time by the clock that stamped it, and all that is in flight.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub(crate) async fn recent_writes(
        &self,
        account: AccountKey,
        host: &str,
        within: Duration,
    ) -> Result<RecentSlotWrites, StoreError> {
        let host = host.to_owned();
        let within_microseconds = i64::try_from(within.as_micros()).unwrap_or(i64::MAX);
        let young = Young::within(within, self.identity.timeline_key, self.clock.as_ref());
        self.reader
            .connection
            .run(move |transaction| {
                let since = oldest_attempt_within(transaction, account, within_microseconds)?;
                let writes = writes_since(transaction, &Runs::All { account, host: &host }, since, young)?;
                let as_of =
                    transaction.query_row("SELECT coalesce(max(attempt_key), 0) FROM attempt", params![], |row| {
                        row.get(0).map(AttemptKey)
                    })?;
                Ok(RecentSlotWrites { writes, as_of })
            })
            .await
    }

    /// Notes in which other forms the tags of these operations stand there: whoever takes one for the other changes them.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub(crate) async fn note_other_forms(
        &self,
        run: RunKey,
        forms: Vec<(OperationId, Vec<Tag>)>,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "UPDATE operation SET other_forms = ?3 WHERE run_key = ?1 AND operation_number = ?2",
                )?;
                for (operation, forms) in forms {
                    let forms: Vec<&str> = forms.iter().map(Tag::as_str).collect();
                    statement.execute(params![run.0, operation.0, serde_json::json!(forms).to_string()])?;
                }
                Ok(())
            })
            .await
    }
}

impl Reader {
    /// What other runs of the same account and host wrote since this run was last decided about, in the order in which they
    /// did, as far as nobody has taken it back since.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub(crate) async fn later_writes(&self, run: RunKey) -> Result<Vec<SlotWrite>, StoreError> {
        self.connection.run(move |transaction| later_writes(transaction, run)).await
    }

    /// The runs of the same account and host that go before this one: those that were asked for later, of which there are
    /// none if it is asked for now; and where it takes another back, all.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub(crate) async fn overruling(&self, run: RunKey, is_asked_now: bool) -> Result<HashSet<RunKey>, StoreError> {
        self.connection.run(move |transaction| overruling(transaction, run, is_asked_now)).await
    }

    /// Every slot that a run has changed or may have changed, sorted.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub(crate) async fn run_slots(&self, run: RunKey) -> Result<RunSlots, StoreError> {
        self.connection.run(move |transaction| run_slots(transaction, run)).await
    }

    /// What earlier versions of a run's input made of slots, as far as its rows do not ask for the same any more.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub(crate) async fn slot_history(&self, run: RunKey) -> Result<Vec<RunSlot>, StoreError> {
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
    within_microseconds: i64,
) -> Result<i64, SqlError> {
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
            let ended: Option<i64> = ended.query_row(
                params![account.0, timeline, bucket, position.saturating_sub(within_microseconds)],
                |row| row.get(0),
            )?;
            oldest = oldest.min(ended.unwrap_or(i64::MAX));
        }
    }
    Ok(oldest)
}

fn timelines(transaction: &Transaction<'_>) -> Result<Vec<(i64, i64)>, SqlError> {
    transaction
        .prepare_cached("SELECT timeline_key, position FROM timeline")?
        .query_map(params![], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The number of a run's first attempt. A run whose attempts are forgotten is older than all that the ledger knows.
fn first_attempt(transaction: &Transaction<'_>, run: RunKey) -> Result<i64, SqlError> {
    let first: Option<i64> =
        transaction.query_row("SELECT min(attempt_key) FROM attempt WHERE run_key = ?1", [run.0], |row| row.get(0))?;
    Ok(first.unwrap_or(0))
}

/// What other runs wrote since this one was last decided about, as far as nobody has taken it back since.
fn later_writes(transaction: &Transaction<'_>, run: RunKey) -> Result<Vec<SlotWrite>, SqlError> {
    let decided_after: i64 =
        transaction.query_row("SELECT decided_after FROM run WHERE run_key = ?1", [run.0], |row| row.get(0))?;
    let writes = writes_since(transaction, &Runs::AllBut(run), decided_after.saturating_add(1), Young::NONE)?;
    Ok(Undos::read(transaction)?.standing_everywhere(writes.collect()))
}

/// As [`Reader::overruling`] has it.
fn overruling(transaction: &Transaction<'_>, run: RunKey, is_asked_now: bool) -> Result<HashSet<RunKey>, SqlError> {
    transaction
        .prepare_cached(
            "SELECT other.run_key FROM run AS other JOIN run USING (account_key, host)
             WHERE run.run_key = ?1 AND other.run_key <> ?1 AND (run.kind = 'undo'
                 OR ?2 = 0 AND (other.asked_after, other.run_key) > (run.asked_after, run.run_key))",
        )?
        .query_map(params![run.0, is_asked_now], |row| row.get(0).map(RunKey))?
        .collect()
}

/// What was written by attempts from this number on, sorted by attempt.
fn writes_since(
    transaction: &Transaction<'_>,
    runs: &Runs<'_>,
    since: i64,
    young: Young,
) -> Result<SortedWrites, SqlError> {
    let (account, host, but): (i64, String, i64) = match runs {
        Runs::All { account, host } => (account.0, (*host).to_owned(), -1),
        Runs::AllBut(run) => {
            transaction.query_row("SELECT account_key, host FROM run WHERE run_key = ?1", [run.0], |row| {
                Ok((row.get(0)?, row.get(1)?, run.0))
            })?
        }
    };
    let mut writes = Writes::default();
    let (age, seen) = young.columns(transaction);
    let mut written = transaction.prepare_cached(&format!(
        "SELECT {WRITE_COLUMNS}, operation.state = {SUCCEEDED}, operation.last_attempt, {age}
         FROM run JOIN operation ON operation.run_key = run.run_key {WITH_TAG}
             LEFT JOIN attempt ON attempt.attempt_key = operation.last_attempt {seen}
         WHERE run.account_key = ?4 AND run.host = ?5 AND run.run_key <> ?6 AND run.state <> 'removing'
             AND run.run_key IN (SELECT run_key FROM attempt WHERE attempt_key >= ?7)
             AND operation.last_attempt >= ?7 AND {MAY_BE_DONE}"
    ))?;
    let [timeline, ended_after, started_after] = young.values();
    let mut tags = KnownTags::default();
    let mut rows = written.query(params![timeline, ended_after, started_after, account, host, but, since])?;
    while let Some(row) = rows.next()? {
        writes.extend(read_writes(&row, &mut tags)?);
    }
    for run in runs_with_unheard_attempts(transaction, account, &host, but)? {
        writes.extend(in_flight(transaction, run)?);
    }
    let mut history = transaction.prepare_cached(
        "SELECT DISTINCT run_key FROM run JOIN slot_history USING (run_key) WHERE run.account_key = ?1 AND run.host = ?2
             AND run.run_key <> ?3 AND run.state <> 'removing' AND last_attempt >= ?4",
    )?;
    let runs: Vec<RunKey> = history
        .query_map(params![account, host, but, since], |row| row.get(0).map(RunKey))?
        .collect::<Result<_, _>>()?;
    for run in runs {
        let slots = read_history(transaction, run)?;
        for slot in slots.iter().filter(|slot| slot.last_attempt >= Some(AttemptKey(since))) {
            writes.extend(of_history(run, slot, young.age(transaction, slot.last_attempt)?));
        }
    }
    Ok(writes.sorted())
}

/// The writes that a slot of a run's history stands for.
fn of_history(run: RunKey, slot: &RunSlot, age: Age) -> Vec<SlotWrite> {
    let known = slot.after.known();
    let (before, attempt) = (slot.before, slot.last_attempt);
    let write = |wrote, surely| SlotWrite {
        run,
        slot: slot.slot.clone(),
        before,
        found: MayHold::NOTHING,
        wrote,
        surely,
        answered: surely,
        attempt,
        age,
    };
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
) -> Result<Vec<RunKey>, SqlError> {
    transaction
        .prepare_cached(
            "SELECT DISTINCT run_key FROM attempt JOIN run USING (run_key)
             WHERE verdict IS NULL AND run.account_key = ?1 AND run.host = ?2 AND run_key <> ?3",
        )?
        .query_map(params![account, host, but], |row| row.get(0).map(RunKey))?
        .collect()
}

/// What a run has sent, or was about to send, without having heard of it.
fn in_flight(transaction: &Transaction<'_>, run: RunKey) -> Result<Vec<SlotWrite>, SqlError> {
    let mut operation = transaction.prepare_cached(&format!(
        "SELECT {WRITE_COLUMNS}, FALSE, ?3, TRUE, TRUE FROM operation {WITH_TAG}
         WHERE operation.run_key = ?1 AND operation_number = ?2 AND {IS_TO_BE_SENT}"
    ))?;
    let (mut writes, mut tags) = (Vec::new(), KnownTags::default());
    for UnheardAttempt { attempt, operations, .. } in unheard_of_run(transaction, run)? {
        for number in operations {
            let key = params![run.0, number.0, attempt.0];
            let found = operation.query_row(key, |row| read_writes(row, &mut tags)).optional()?;
            writes.extend(found.into_iter().flatten());
        }
    }
    Ok(writes)
}

fn run_slots(transaction: &Transaction<'_>, run: RunKey) -> Result<RunSlots, SqlError> {
    let mut writes = RunWrites::default();
    read_history(transaction, run)?.into_iter().for_each(|slot| writes.note_history(slot));
    // What may have been done under a name that leads to nobody has a slot of its machine in the history. Not in the order in
    // which they came, which the database could only tell with all of them in memory.
    let mut changed = transaction.prepare_cached(&format!(
        "SELECT {WRITE_COLUMNS}, operation.state = {SUCCEEDED}, operation.last_attempt, TRUE, TRUE, finished_at FROM operation
         {WITH_TAG} WHERE operation.run_key = ?1 AND (state = {SUCCEEDED} OR ambiguous = 1 AND (error_code IS NULL
             OR error_code NOT IN ('machine_not_found', 'machine_ambiguous')))"
    ))?;
    let (mut rows, mut tags) = (changed.query([run.0])?, KnownTags::default());
    while let Some(row) = rows.next()? {
        let finished_at = row.get(12)?;
        read_writes(&row, &mut tags)?.into_iter().for_each(|write| writes.note(write, finished_at));
    }
    in_flight(transaction, run)?.into_iter().for_each(|write| writes.note_in_flight(write));
    let mut slots = writes.finish(|one, other| is_over_before(transaction, one, other))?;
    for write in writes_since(transaction, &Runs::AllBut(run), first_attempt(transaction, run)?, Young::NONE)? {
        slots.note_later(write);
    }
    let undos = Undos::read(transaction)?;
    slots.keep_standing(|after, later| undos.standing(after, later));
    Ok(slots.into_slots())
}

/// Whether nothing of an attempt could arrive any more when another was let through. One that the ledger has forgotten is
/// over for long.
fn is_over_before(
    transaction: &Transaction<'_>,
    one: Option<AttemptKey>,
    other: Option<AttemptKey>,
) -> Result<bool, SqlError> {
    let key = |attempt: Option<AttemptKey>| attempt.map(|attempt| attempt.0);
    let is_over = transaction
        .prepare_cached(
            "SELECT one.timeline_key = other.timeline_key AND one.ended <= other.started
             FROM attempt AS one, attempt AS other WHERE one.attempt_key = ?1 AND other.attempt_key = ?2",
        )?
        .query_row(params![key(one), key(other)], |row| row.get::<Option<bool>>(0))
        .optional()?;
    Ok(is_over.is_none_or(|is_over| is_over.unwrap_or(false)))
}

#[cfg(test)]
mod tests;
