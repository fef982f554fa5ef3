//! Runs as people ask for them: which there are, how far each is, and whether anybody is still at it.
//!
//! What surprises: what a run says of itself ([`RunState`]) is not how it stands. A process that was killed leaves its run
//! `running`, so the lock of its process is looked at, and that before the run is read: whoever was dead then can have
//! written nothing since.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::accounts::WITH_CALLS_OF_RUN;
use crate::model::identity::OperationsDigest;
use crate::store::access::heartbeats::the_dead;
use crate::store::engine::sql::{Optional, Row, SqlError, Transaction, params};
use crate::store::forms::encoding::{damaged, timestamp};
use crate::store::forms::run::{OperationState, RunKey, RunState, StoredRun, UNDO_PREFIX};
use crate::store::forms::states::IS_TO_BE_SENT;
use crate::store::runs::rows::{count_rows, read_delimiter};
use crate::store::slots::overtaken::{OpenCounts, open_operations};
use crate::store::slots::unheard::unheard_operations;
use crate::store::upkeep::sweeping::dead_processes;
use crate::store::{Reader, StoreError};

/// How a run stands, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunCondition {
    /// A living process is writing its rows down, or waits for another run; nothing was sent.
    Preparing,
    /// A living process makes its calls.
    Running,
    /// Nobody is at it, and some operations are still to be sent.
    Unfinished,
    /// Nothing is left to send, also where a later run has taken it over.
    Finished,
    /// Its process died before the first call; its rows may not all be there.
    NeverBegan,
}

impl RunCondition {
    /// The name in listings.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Unfinished => "unfinished",
            Self::Finished => "finished",
            Self::NeverBegan => "never_began",
        }
    }

    /// Whether operations are open is asked only where that tells.
    fn of(
        state: RunState,
        is_alive: bool,
        has_open_operations: impl FnOnce() -> Result<bool, SqlError>,
    ) -> Result<Self, SqlError> {
        Ok(match (state, is_alive) {
            (RunState::Preparing, true) => Self::Preparing,
            (RunState::Preparing, false) => Self::NeverBegan,
            (RunState::Running | RunState::Revisited, true) => Self::Running,
            _ if has_open_operations()? => Self::Unfinished,
            _ => Self::Finished,
        })
    }
}

/// The process that began a run, or took it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunProcess {
    /// The machine that it runs on.
    pub host: String,
    /// The system's number of it, for people; it may mean another process by now.
    pub system_process_id: u32,
    /// When it was started.
    pub started_at: Timestamp,
    /// Whether it holds its lock.
    pub is_alive: bool,
}

/// A run in a list.
#[derive(Clone, Debug)]
pub(crate) struct RunEntry {
    /// The name that people use.
    pub run_id: String,
    /// What it was begun by: `apply`, for example.
    pub kind: String,
    /// How it stands.
    pub condition: RunCondition,
    pub tenant: String,
    pub app: String,
    pub host: String,
    /// The input as it was named.
    pub input_path: String,
    /// A change number or remark.
    pub note: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When an outcome was stored last, or the run moved on.
    pub last_activity_at: Timestamp,
    /// Rows of the input.
    pub row_count: u32,
    /// Rows that are in error.
    pub invalid_rows: u32,
    /// Operations in each state that any of them is in; what may have been done is unknown, whatever came after.
    pub operations: BTreeMap<OperationState, u32>,
    /// Who is at it, or was last.
    pub process: RunProcess,
}

/// A run with what a list has no room for.
#[derive(Clone, Debug)]
pub(crate) struct RunDetails {
    /// What a list shows.
    pub entry: RunEntry,
    pub header: Vec<String>,
    pub delimiter: u8,
    /// Whether the input began with a byte order mark.
    pub byte_order_mark: bool,
    /// Calls of each kind, repeated ones included.
    pub calls: BTreeMap<String, u32>,
    /// When the first call was let through.
    pub first_call_at: Option<Timestamp>,
    /// When the last call was let through.
    pub last_call_at: Option<Timestamp>,
    /// Calls whose outcome was never stored: they are in flight, or their process died.
    pub unsettled_calls: u32,
    /// The last run that has taken this one back, or has begun to.
    pub undone_by: Option<String>,
}

impl Reader {
    /// The latest of the runs before this one whose results were to go to the same place.
    pub(crate) async fn earlier_run_into(&self, run: &StoredRun) -> Result<Option<String>, StoreError> {
        let (key, results_path) = (run.key, run.description.results_path.clone());
        self.connection
            .run(move |transaction| {
                let mut query = transaction.prepare_cached(
                    "SELECT run_id FROM run WHERE results_path = ?1 AND run_key < ?2 ORDER BY run_key DESC LIMIT 1",
                )?;
                query.query_row(params![results_path, key.0], |row| row.get(0)).optional()
            })
            .await
    }

    /// Whether a later run at the same host has had its results where those of this one were, or has taken this file for its
    /// input.
    pub(crate) async fn is_followed(&self, run: RunKey, input_path: String) -> Result<bool, StoreError> {
        self.connection
            .run(move |transaction| {
                transaction.query_row(
                    "SELECT EXISTS (SELECT 1 FROM run AS later JOIN run USING (host) WHERE run.run_key = ?1
                         AND later.run_key > ?1 AND (later.results_path = run.results_path OR later.input_path = ?2))",
                    params![run.0, input_path],
                    |row| row.get(0),
                )
            })
            .await
    }

    /// All runs, newest first.
    pub(crate) async fn runs(&self) -> Result<Vec<RunEntry>, StoreError> {
        let dead = self.dead_processes().await?;
        self.connection
            .run(move |transaction| {
                let runs = format!("{RUNS} ORDER BY run.created_at DESC, run_key DESC");
                let mut statement = transaction.prepare_cached(&runs)?;
                let mut open = OpenCounts::default();
                let rows = statement.query_map(params![], |row| read_entry(transaction, row, &dead, &mut open))?;
                let runs = rows.collect::<Result<Vec<_>, _>>()?;
                // One whose process or account is gone would be left out.
                let stored: i64 =
                    transaction
                        .query_row("SELECT count(*) FROM run WHERE state <> 'removing'", params![], |row| row.get(0))?;
                if usize::try_from(stored) == Ok(runs.len()) { Ok(runs) } else { Err(damaged(0, "the runs")) }
            })
            .await
    }

    /// One run, whole.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`] when there is none of this name.
    pub(crate) async fn run_details(&self, run_id: &str) -> Result<RunDetails, StoreError> {
        let name = run_id.to_owned();
        let dead = self.dead_processes().await?;
        let found = self.connection.run(move |transaction| read_details(transaction, &name, &dead)).await?;
        match found {
            Some(details) => Ok(details),
            None => Err(self.no_such_run(run_id).await?),
        }
    }

    /// Processes that have died without anybody having noted it.
    pub(super) async fn dead_processes(&self) -> Result<HashSet<i64>, StoreError> {
        if self.shows_heartbeats {
            return self.connection.run(|transaction| Ok(the_dead(transaction)?.into_iter().collect())).await;
        }
        let Some(lock_directory) = self.lock_directory.clone() else { return Ok(HashSet::new()) };
        self.connection
            .run(move |transaction| {
                // Who only reads puts nothing there.
                let dead = dead_processes(transaction, &lock_directory, |_gone| {})?;
                Ok(dead.into_iter().map(|(process_key, _)| process_key).collect())
            })
            .await
    }
}

const RUNS: &str = "SELECT run_key, run_id, kind, state, tenant, app, run.host, input_path, note, run.created_at,
        last_activity_at, row_count, process_key, process.host, system_process_id, started_at, ended
    FROM run JOIN account USING (account_key) JOIN process USING (process_key)
    WHERE state <> 'removing'";

fn read_entry(
    transaction: &Transaction<'_>,
    row: &Row<'_>,
    dead: &HashSet<i64>,
    open: &mut OpenCounts,
) -> Result<RunEntry, SqlError> {
    let run_key: i64 = row.get(0)?;
    let state: String = row.get(3)?;
    let state = RunState::from_name(&state).ok_or_else(|| damaged(3, "the state of a run"))?;
    let is_alive = !row.get::<bool>(16)? && !dead.contains(&row.get(12)?);
    let mut operations = count_operations(transaction, RunKey(run_key), is_alive)?;
    if state != RunState::Preparing {
        hold_against_books(transaction, RunKey(run_key), row.get(11)?, &operations)?;
    }
    let invalid_rows = transaction
        .prepare_cached("SELECT count(*) FROM row_problem WHERE run_key = ?1")?
        .query_row([run_key], |row| row.get(0))?;
    let condition = RunCondition::of(state, is_alive, || Ok(open_operations(transaction, RunKey(run_key), open)? > 0))?;
    if condition == RunCondition::Finished {
        // Also where a later run has taken what was still to be sent: nobody sends that any more.
        for (state, count) in std::mem::take(&mut operations) {
            *operations.entry(state.once_over()).or_default() += count;
        }
    }
    Ok(RunEntry {
        run_id: row.get(1)?,
        kind: row.get(2)?,
        condition,
        tenant: row.get(4)?,
        app: row.get(5)?,
        host: row.get(6)?,
        input_path: row.get(7)?,
        note: row.get(8)?,
        created_at: timestamp(row.get(9)?),
        last_activity_at: timestamp(row.get(10)?),
        row_count: row.get(11)?,
        invalid_rows,
        operations,
        process: RunProcess {
            host: row.get(13)?,
            system_process_id: row.get(14)?,
            started_at: timestamp(row.get(15)?),
            is_alive,
        },
    })
}

/// Whether what was counted of a run is all there is of it: a page that is damaged may hide a part, and the rest is not to be
/// taken for the whole.
fn hold_against_books(
    transaction: &Transaction<'_>,
    run: RunKey,
    rows: u32,
    operations: &BTreeMap<OperationState, u32>,
) -> Result<(), SqlError> {
    // They are numbered from zero on without a gap.
    let numbered: i64 = transaction
        .prepare_cached("SELECT coalesce(max(operation_number) + 1, 0) FROM operation WHERE run_key = ?1")?
        .query_row([run.0], |row| row.get(0))?;
    let counted: u64 = operations.values().copied().map(u64::from).sum();
    let is_less = count_rows(transaction, run)? != u64::from(rows) || counted != numbered.unsigned_abs();
    if is_less || (counted == 0 && was_to_have_some(transaction, run)?) {
        return Err(damaged(11, "the rows of a run"));
    }
    Ok(())
}

/// Whether a run has begun with operations.
fn was_to_have_some(transaction: &Transaction<'_>, run: RunKey) -> Result<bool, SqlError> {
    let mut digest = transaction.prepare_cached("SELECT operations_digest FROM run WHERE run_key = ?1")?;
    let digest: String = digest.query_row([run.0], |row| row.get(0))?;
    Ok(OperationsDigest::default().is_contradicted_by(&digest))
}

/// Counts by the index alone: a million operations take a fraction of a second. What a dead process had in flight may have
/// been done.
fn count_operations(
    transaction: &Transaction<'_>,
    run: RunKey,
    is_alive: bool,
) -> Result<BTreeMap<OperationState, u32>, SqlError> {
    let mut statement = transaction.prepare_cached(
        "SELECT state, ambiguous, count(*) FROM operation WHERE run_key = ?1 GROUP BY state, ambiguous",
    )?;
    let mut counts: BTreeMap<OperationState, u32> = BTreeMap::new();
    let mut rows = statement.query([run.0])?;
    while let Some(row) = rows.next()? {
        let state = read_state(&row)?;
        *counts.entry(state.counted_as(row.get(1)?)).or_default() += row.get::<u32>(2)?;
    }
    if !is_alive {
        let mut lost = transaction.prepare_cached(&format!(
            "SELECT state, ambiguous FROM operation WHERE run_key = ?1 AND operation_number = ?2 AND {IS_TO_BE_SENT}"
        ))?;
        for operation in unheard_operations(transaction, run)? {
            let found = lost
                .query_row([run.0, i64::from(operation.0)], |row| Ok((read_state(row)?, row.get::<bool>(1)?)))
                .optional()?;
            let Some((state, _)) = found.filter(|(_, is_ambiguous)| !is_ambiguous) else { continue };
            if let Some(count) = counts.get_mut(&state) {
                *count = count.saturating_sub(1);
            }
            *counts.entry(OperationState::Unknown).or_default() += 1;
        }
        counts.retain(|_, count| *count > 0);
    }
    Ok(counts)
}

fn read_state(row: &Row<'_>) -> Result<OperationState, SqlError> {
    OperationState::from_number(row.get(0)?).ok_or_else(|| damaged(0, "the state of an operation"))
}

fn read_details(
    transaction: &Transaction<'_>,
    run_id: &str,
    dead: &HashSet<i64>,
) -> Result<Option<RunDetails>, SqlError> {
    let found = transaction
        .prepare_cached(&format!("{RUNS} AND run_id = ?1"))?
        .query_row([run_id], |row| Ok((row.get(0)?, read_entry(transaction, row, dead, &mut OpenCounts::default())?)))
        .optional()?;
    let Some((run_key, entry)) = found else { return Ok(None) };
    let run_key: i64 = run_key;
    let (header, delimiter, byte_order_mark) = transaction.query_row(
        "SELECT header, delimiter, byte_order_mark FROM run WHERE run_key = ?1",
        [run_key],
        |row| Ok((row.get::<String>(0)?, read_delimiter(row, 1)?, row.get(2)?)),
    )?;
    let calls = transaction
        .prepare_cached(&format!(
            "{WITH_CALLS_OF_RUN} SELECT call_kind, count(*) FROM own JOIN attempt USING (attempt_key) GROUP BY call_kind",
        ))?
        .query_map([run_key], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    // Attempts are numbered in the order in which they are let through, so that only two of them need be looked at.
    let (first_call_at, last_call_at): (Option<i64>, Option<i64>) = transaction.query_row(
        &format!(
            "{WITH_CALLS_OF_RUN}
             SELECT (SELECT started_at FROM attempt WHERE attempt_key = earliest),
                 (SELECT started_at FROM attempt WHERE attempt_key = latest)
             FROM (SELECT min(attempt_key) AS earliest, max(attempt_key) AS latest FROM own) AS calls",
        ),
        [run_key],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let unsettled_calls = transaction.query_row(
        "SELECT count(*) FROM attempt WHERE run_key = ?1 AND verdict IS NULL",
        [run_key],
        |row| row.get(0),
    )?;
    let undone_by = transaction
        .query_row(
            "SELECT undo.run_id FROM run AS undo JOIN run ON undo.input_path = ?2 || run.run_id
             WHERE run.run_key = ?1 AND undo.kind = 'undo' AND undo.state <> 'preparing' ORDER BY undo.run_key DESC LIMIT 1",
            params![run_key, UNDO_PREFIX],
            |row| row.get(0),
        )
        .optional()?;
    Ok(Some(RunDetails {
        entry,
        header: serde_json::from_str(&header).map_err(|_not_json| damaged(0, "the header of a run"))?,
        delimiter,
        byte_order_mark,
        calls,
        first_call_at: first_call_at.map(timestamp),
        last_call_at: last_call_at.map(timestamp),
        unsettled_calls,
        undone_by,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_stands_as_its_process_and_its_operations_have_it() {
        use RunCondition::{Finished, NeverBegan, Preparing, Running, Unfinished};
        let table = [
            (RunState::Preparing, [Preparing, Preparing, NeverBegan, NeverBegan]),
            (RunState::Running, [Running, Running, Unfinished, Finished]),
            (RunState::Stopped, [Unfinished, Finished, Unfinished, Finished]),
            (RunState::Finished, [Unfinished, Finished, Unfinished, Finished]),
        ];
        for (state, expected) in table {
            let cases = [(true, true), (true, false), (false, true), (false, false)];
            let found = cases.map(|(is_alive, open)| RunCondition::of(state, is_alive, || Ok(open)).ok());
            assert_eq!(found, expected.map(Some), "{state:?}");
        }
    }
}
