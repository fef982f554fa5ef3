//! Forgetting: runs that nobody will ask for any more, attempts that count in no window any more, processes that are gone.
//!
//! A run of a million operations must not keep others from the database while it goes, so it is marked first and then
//! deleted a few thousand entries at a time; whoever dies in the middle leaves the rest to the next process. What
//! surprises: whether an attempt still counts is asked of the boot clock alone. Wall time may be wrong by years, and a
//! ledger that forgets would go over quota. Nor is it believed at once when it has jumped ([`clock_jumps`]).

mod clock_jumps;

use std::path::Path;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;

use crate::clock::{Clock, sleep_until};
use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::files::liveness::{Life, LockName, look};
use crate::store::forms::run::{RunKey, RunState};
use crate::store::trust::timelines::KEPT_ACROSS_CLOCKS_MICROSECONDS;
use crate::store::{Store, StoreError};

/// Entries that are deleted in one transaction.
const ENTRIES_AT_ONCE: u32 = 5_000;
/// Rows of the input that are deleted in one transaction; they are stored by the thousand.
const ROWS_AT_ONCE: u32 = 20_000;
/// How long others have the database to themselves between two transactions.
const BREATHER: Duration = Duration::from_millis(3);
/// How long a run's start may be held up; what is left then goes next time.
const PATIENCE: Duration = Duration::from_secs(10);
/// A lock file without a process in the books belongs to one that died at its start, if it is as old as this.
const ORPHAN_AGE: Duration = Duration::from_hours(24);
/// Free pages that the file may keep for what comes next, beside a quarter of all.
const KEPT_FREE_PAGES: u32 = 1_024;
/// Pages that are returned to the disk in one transaction.
const PAGES_AT_ONCE: u32 = 1_000;

/// What belongs to a run: the table, the column that counts in it, and how far to go in one transaction.
const PARTS: [(&str, &str, u32); 4] = [
    ("input_chunk", "first_row", ROWS_AT_ONCE),
    ("row_problem", "row", ENTRIES_AT_ONCE),
    ("operation", "operation_number", ENTRIES_AT_ONCE),
    ("tag", "tag_number", ENTRIES_AT_ONCE),
];

/// What must hold of an attempt that may be deleted: it counts in no window of this boot, or has been left behind by it.
/// The latest one stays, since numbers that are given again would bring writes out of their order.
const COUNTS_NOWHERE: &str =
    "(timeline_key NOT IN (SELECT timeline_key FROM timeline) OR (timeline_key = ?2 AND ended < ?3))
    AND attempt_key < (SELECT max(attempt_key) FROM attempt)";

/// What must hold of a run that may be deleted, in order.
const IS_DEAD: &str = "process_key IN (SELECT process_key FROM process WHERE ended = 1)";
/// The same where that is because of its age. It was left alone for long enough, and so was every earlier run of its account:
/// whoever resumes one of those, or takes it back, must know what was asked for later.
const IS_OLD: &str = "last_activity_at < ?1 AND NOT EXISTS (SELECT 1 FROM run AS earlier
    WHERE earlier.account_key = run.account_key AND earlier.run_key < run.run_key AND earlier.state NOT IN (?2, ?3)
        AND (earlier.last_activity_at >= ?1
            OR earlier.process_key NOT IN (SELECT process_key FROM process WHERE ended = 1)))";

/// Runs that are kept although they are old by a clock that has jumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeptInDoubt {
    pub runs: u64,
    /// By how much the clock has moved since runs were looked through last.
    pub jumped_by: Duration,
}

impl Store {
    /// Deletes runs without a living process whose last activity is longer ago than `keep`, as long as no earlier one of their
    /// account is kept, and those that never began;
    /// attempts that belong to no run and are older than that, unless the ledger may still need them; and the traces of
    /// dead processes. Room in the file is returned to the disk if there is much of it. Where the clock has jumped, nothing
    /// goes because of its age, and what is kept for that reason is told.
    pub(crate) async fn prune(&self, keep: Duration) -> Result<Option<KeptInDoubt>, StoreError> {
        self.sweep_dead_processes().await?;
        let end = self.clock.boot_time().plus(PATIENCE);
        let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
        let kept_from = self.clock.wall_time().as_microsecond().saturating_sub(keep);
        let kept = self.mark_old_runs(kept_from, keep).await?;
        while let Some(run) = self.writer.run(next_marked_run).await? {
            while self.remove_piece(run).await? {
                if self.clock.boot_time() > end {
                    return Ok(kept);
                }
            }
        }
        while kept.is_none() && self.remove_attempts_without_run(kept_from).await? {}
        self.remove_dead_processes().await?;
        while self.shrink().await? {}
        Ok(kept)
    }

    /// Marks what is to go, unless the clock cannot be trusted to tell what is old.
    async fn mark_old_runs(&self, kept_from: i64, keep: i64) -> Result<Option<KeptInDoubt>, StoreError> {
        let (clock, timeline_key) = (self.clock.clone(), self.identity.timeline_key);
        self.writer
            .run(move |transaction| {
                let Some(by) = clock_jumps::look(transaction, timeline_key, clock.as_ref(), keep)? else {
                    forget_loss(transaction, kept_from)?;
                    mark_old_runs(transaction, kept_from)?;
                    return Ok(None);
                };
                mark_old_runs(transaction, i64::MIN)?;
                let runs = count_old_runs(transaction, kept_from)?;
                let jumped_by = Duration::from_micros(by.unsigned_abs());
                Ok((runs > 0).then_some(KeptInDoubt { runs, jumped_by }))
            })
            .await
    }

    /// Deletes a run of this process that has not begun; one that has stays.
    pub(crate) async fn discard_run(&self, run: RunKey) -> Result<(), StoreError> {
        let marked = self
            .writer
            .run(move |transaction| {
                transaction.execute(
                    "UPDATE run SET state = ?2 WHERE run_key = ?1 AND state = ?3",
                    params![run.0, RunState::Removing.as_str(), RunState::Preparing.as_str()],
                )
            })
            .await?;
        while marked > 0 && self.remove_piece(run).await? {}
        Ok(())
    }

    /// Deletes one piece of a run that is marked; says whether there may be more.
    async fn remove_piece(&self, run: RunKey) -> Result<bool, StoreError> {
        let clock = self.clock.clone();
        let timeline_key = self.identity.timeline_key;
        let more =
            self.writer.run(move |transaction| remove_piece(transaction, run, clock.as_ref(), timeline_key)).await?;
        self.breathe().await;
        Ok(more)
    }

    async fn remove_attempts_without_run(&self, kept_from: i64) -> Result<bool, StoreError> {
        let timeline_key = self.identity.timeline_key;
        let counted_from = counted_from(self.clock.as_ref());
        let removed = self
            .writer
            .run(move |transaction| {
                transaction.execute(
                    &format!(
                        "DELETE FROM attempt WHERE attempt_key IN (SELECT attempt_key FROM attempt
                         WHERE run_key IS NULL AND started_at < ?1 AND {COUNTS_NOWHERE} LIMIT {ENTRIES_AT_ONCE})"
                    ),
                    params![kept_from, timeline_key, counted_from],
                )
            })
            .await?;
        self.breathe().await;
        Ok(removed > 0)
    }

    async fn remove_dead_processes(&self) -> Result<(), StoreError> {
        let lock_directory = self.identity.lock_directory.clone();
        let now = self.clock.wall_time().into();
        self.writer
            .run(move |transaction| {
                // On a server, whoever is still waited for after a takeover may have called what nobody else knows of.
                let is_known = match transaction.sqlite() {
                    Some(_) => "TRUE",
                    None => "reign = (SELECT reign FROM custody)",
                };
                transaction.execute(
                    &format!(
                        "DELETE FROM process
                         WHERE ended = 1 AND process_key NOT IN (SELECT process_key FROM run) AND {is_known}"
                    ),
                    params![],
                )?;
                match lock_directory {
                    Some(path) => remove_orphaned_locks(transaction, &path, now),
                    None => Ok(()),
                }
            })
            .await
    }

    /// Returns some room to the disk; says whether there may be more.
    async fn shrink(&self) -> Result<bool, StoreError> {
        let shrunk = self
            .writer
            .run(|transaction| {
                // A server sees to that itself.
                let Some(connection) = transaction.sqlite() else { return Ok(false) };
                let free = free_pages(connection)?;
                if free <= KEPT_FREE_PAGES.max(all_pages(connection)? / 4) {
                    return Ok(false);
                }
                // Each row that this gives is a page that it has taken off.
                let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})"))?;
                let mut rows = statement.query([])?;
                while rows.next()?.is_some() {}
                Ok(free_pages(connection)? < free)
            })
            .await?;
        self.breathe().await;
        Ok(shrunk)
    }

    async fn breathe(&self) {
        sleep_until(self.clock.as_ref(), self.clock.boot_time().plus(BREATHER)).await;
    }
}

fn mark_old_runs(transaction: &Transaction<'_>, kept_from: i64) -> Result<(), SqlError> {
    transaction.execute(
        &format!("UPDATE run SET state = ?2 WHERE {IS_DEAD} AND ({IS_OLD} OR state = ?3)"),
        params![kept_from, RunState::Removing.as_str(), RunState::Preparing.as_str()],
    )?;
    Ok(())
}

fn count_old_runs(transaction: &Transaction<'_>, kept_from: i64) -> Result<u64, SqlError> {
    transaction.query_row(
        &format!("SELECT count(*) FROM run WHERE {IS_DEAD} AND {IS_OLD} AND state NOT IN (?2, ?3)"),
        params![kept_from, RunState::Removing.as_str(), RunState::Preparing.as_str()],
        |row| row.get::<u32>(0).map(u64::from),
    )
}

/// What was lost is forgotten when it would have been by now.
fn forget_loss(transaction: &Transaction<'_>, kept_from: i64) -> Result<(), SqlError> {
    transaction
        .execute("UPDATE custody SET lost_until = NULL, lost_at = NULL WHERE lost_at < ?1", [kept_from])
        .map(drop)
}

fn next_marked_run(transaction: &Transaction<'_>) -> Result<Option<RunKey>, SqlError> {
    transaction
        .prepare_cached("SELECT min(run_key) FROM run WHERE state = ?1")?
        .query_row([RunState::Removing.as_str()], |row| Ok(row.get::<Option<i64>>(0)?.map(RunKey)))
}

fn remove_piece(
    transaction: &Transaction<'_>,
    run: RunKey,
    clock: &dyn Clock,
    timeline_key: i64,
) -> Result<bool, SqlError> {
    for (table, column, step) in PARTS {
        let removed = transaction
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE run_key = ?1
                     AND {column} < (SELECT min({column}) FROM {table} WHERE run_key = ?1) + {step}"
            ))?
            .execute([run.0])?;
        if removed > 0 {
            return Ok(true);
        }
    }
    let removed = transaction
        .prepare_cached(&format!(
            "DELETE FROM slot_history WHERE run_key = ?1 AND (machine, tag) IN
                 (SELECT machine, tag FROM slot_history WHERE run_key = ?1 LIMIT {ENTRIES_AT_ONCE})"
        ))?
        .execute([run.0])?;
    if removed > 0 {
        return Ok(true);
    }
    let of_run = "SELECT attempt_key FROM attempt WHERE run_key = ?1";
    let removed = transaction
        .prepare_cached(&format!(
            "DELETE FROM attempt WHERE attempt_key IN ({of_run} AND {COUNTS_NOWHERE} LIMIT {ENTRIES_AT_ONCE})"
        ))?
        .execute(params![run.0, timeline_key, counted_from(clock)])?;
    if removed > 0 {
        return Ok(true);
    }
    let kept = transaction
        .prepare_cached(&format!(
            "UPDATE attempt SET run_key = NULL WHERE attempt_key IN ({of_run} LIMIT {ENTRIES_AT_ONCE})"
        ))?
        .execute([run.0])?;
    if kept > 0 {
        return Ok(true);
    }
    transaction.execute("DELETE FROM run WHERE run_key = ?1", [run.0])?;
    Ok(false)
}

/// Attempts that ended before this may not matter to any quota that can be stated.
fn counted_from(clock: &dyn Clock) -> i64 {
    clock.boot_time().as_microseconds().saturating_sub(KEPT_ACROSS_CLOCKS_MICROSECONDS)
}

fn remove_orphaned_locks(
    transaction: &Transaction<'_>,
    lock_directory: &Path,
    now: SystemTime,
) -> Result<(), SqlError> {
    // A directory that cannot be read keeps its files; they are in nobody's way.
    let Ok(entries) = std::fs::read_dir(lock_directory) else { return Ok(()) };
    let mut known = transaction.prepare_cached("SELECT count(*) FROM process WHERE lock_name = ?1 AND ended = 0")?;
    for entry in entries.flatten() {
        let Some(name) = entry.file_name().to_str().and_then(LockName::of) else { continue };
        let age = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .map(|modified| now.duration_since(modified).unwrap_or_default());
        let is_old = age.is_ok_and(|age| age >= ORPHAN_AGE);
        if is_old
            && known.query_row([name.as_str()], |row| row.get::<u32>(0))? == 0
            && look(&entry.path()) == Life::Dead
        {
            let _left = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn free_pages(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.pragma_query_value(None, "freelist_count", |row| row.get(0))
}

fn all_pages(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.pragma_query_value(None, "page_count", |row| row.get(0))
}

#[cfg(test)]
mod tests;
