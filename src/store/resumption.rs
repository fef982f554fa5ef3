//! Going on with a run that somebody left: finding it, taking it over, and carrying it into a changed input.
//!
//! A run is identified by its operations and never by its rows' order. Where the input has changed, a successor is stored
//! beside the run with the new rows, every operation that both know takes its state with it, and one transaction puts the
//! successor into the run's place; whoever dies before that leaves the run as it was.

use rusqlite::{Transaction, params};

use super::forms::{AccountKey, CHANGE_DEVICE_VALUE, OperationState, RunKey, RunState, StoredRun};
use super::rows::{RUN_COLUMNS, read_run};
use super::work::read_operation_change;
use super::{Reader, Store, StoreError};
use crate::model::{MachineId, Operation, OperationId};

/// A run that is not over, although nobody may be at it.
#[derive(Clone, Debug)]
pub struct UnfinishedRun {
    /// The run.
    pub run: StoredRun,
    /// Operations that are still to be sent, or whose outcome is unknown.
    pub open: u32,
    /// Paths of inputs that it was begun or gone on with, beside the latest.
    pub earlier_paths: Vec<String>,
    /// Whether it left operations out that another invocation might send.
    pub left_out: bool,
}

/// An operation of a run, with what is known of it.
#[derive(Clone, Debug)]
pub struct KnownOperation {
    /// Its number.
    pub id: OperationId,
    /// What it does.
    pub operation: Operation,
    /// How far it is.
    pub state: OperationState,
    /// Whether an attempt may have taken effect without an answer that says so.
    pub ambiguous: bool,
    /// What held before.
    pub before: Option<String>,
    /// What holds since, as far as an answer showed it.
    pub after: Option<String>,
}

impl Reader {
    /// The runs of this account at this host that are not over, the latest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn unfinished_runs(&self, account: AccountKey, host: &str) -> Result<Vec<UnfinishedRun>, StoreError> {
        let host = host.to_owned();
        self.connection
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(&format!(
                    "SELECT {RUN_COLUMNS},
                         (SELECT count(*) FROM operation WHERE operation.run_key = run.run_key AND state IN (0, 4, 6)),
                         EXISTS (SELECT 1 FROM operation WHERE operation.run_key = run.run_key AND state = 5
                             AND error_code IS NOT 'waits_for_add'),
                         earlier_paths
                     FROM run WHERE account_key = ?1 AND host = ?2 AND state NOT IN ('preparing', 'removing')
                     ORDER BY created_at DESC, run_key DESC"
                ))?;
                let runs = statement.query_map(params![account.0, host], |row| {
                    Ok(UnfinishedRun {
                        run: read_run(row)?,
                        open: row.get(17)?,
                        left_out: row.get(18)?,
                        earlier_paths: row.get::<_, String>(19)?.lines().map(str::to_owned).collect(),
                    })
                })?;
                runs.filter(|run| run.as_ref().map_or(true, |run| run.open > 0)).collect()
            })
            .await
    }

    /// How many operations of a run are still to be sent, or have an unknown outcome.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn open_operations(&self, run: RunKey) -> Result<u32, StoreError> {
        self.connection
            .run(move |transaction| {
                transaction.query_row(
                    "SELECT count(*) FROM operation WHERE run_key = ?1 AND state IN (0, 4, 6)",
                    [run.0],
                    |row| row.get(0),
                )
            })
            .await
    }

    /// The operations of a run in the order of their numbers, beginning after `after`.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn known_operations(
        &self,
        run: RunKey,
        after: Option<OperationId>,
        limit: u32,
    ) -> Result<Vec<KnownOperation>, StoreError> {
        self.connection
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "SELECT operation_number, machine, change_kind, change_argument,
                         (SELECT tag FROM tag WHERE tag.run_key = operation.run_key AND tag_number = change_argument),
                         state, before, after, ambiguous
                     FROM operation WHERE run_key = ?1 AND operation_number > ?2 ORDER BY operation_number LIMIT ?3",
                )?;
                let after = after.map_or(-1, |operation| i64::from(operation.0));
                let rows = statement.query_map(params![run.0, after, limit], |row| {
                    let machine: String = row.get(1)?;
                    let operation =
                        Operation { machine: MachineId::from_service(&machine), change: read_operation_change(row)? };
                    Ok(KnownOperation {
                        id: OperationId(row.get(0)?),
                        operation,
                        state: OperationState::from_number(row.get(5)?).unwrap_or(OperationState::Pending),
                        before: row.get(6)?,
                        after: row.get(7)?,
                        ambiguous: row.get(8)?,
                    })
                })?;
                rows.collect()
            })
            .await
    }
}

impl Reader {
    /// What later runs of the same account and host changed, as machine and tag, `None` for the device value.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn changed_later(&self, run: RunKey) -> Result<Vec<(MachineId, Option<String>)>, StoreError> {
        self.connection
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "SELECT operation.machine, tag.tag, operation.change_kind
                     FROM run AS earlier
                         JOIN run ON run.account_key = earlier.account_key AND run.host = earlier.host
                             AND run.run_key <> earlier.run_key AND run.last_activity_at >= earlier.created_at
                         JOIN operation ON operation.run_key = run.run_key AND operation.state = 1
                             AND operation.before IS NOT operation.after
                         LEFT JOIN tag ON tag.run_key = run.run_key AND tag.tag_number = operation.change_argument
                     WHERE earlier.run_key = ?1 AND run.created_at >= earlier.last_activity_at",
                )?;
                let rows = statement.query_map([run.0], |row| {
                    let is_value = row.get::<_, u8>(2)? == CHANGE_DEVICE_VALUE;
                    let tag = if is_value { None } else { row.get(1)? };
                    Ok((MachineId::from_service(&row.get::<_, String>(0)?), tag))
                })?;
                rows.collect()
            })
            .await
    }
}

impl Store {
    /// Makes a run ready to be gone on with: calls that its process never heard of may have taken effect, what is unknown
    /// is to be sent again, and removes that waited for adds wait again. The run must have been claimed.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn take_over(&self, run: RunKey) -> Result<(), StoreError> {
        self.settle_lost_attempts(run).await?;
        self.writer
            .run(move |transaction| {
                transaction.execute(
                    "UPDATE operation SET state = ?2, finished_at = NULL WHERE run_key = ?1 AND state = ?3",
                    params![run.0, OperationState::Pending.number(), OperationState::Unknown.number()],
                )?;
                transaction.execute(
                    "UPDATE operation SET state = ?2, finished_at = NULL, error_code = NULL, error_message = NULL
                     WHERE run_key = ?1 AND state = ?3 AND error_code = 'waits_for_add'",
                    params![run.0, OperationState::Pending.number(), OperationState::NotAttempted.number()],
                )?;
                Ok(())
            })
            .await
    }

    /// Ends a run that is being undone: what it has not done yet, nobody is to do any more.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn close_run(&self, run: RunKey) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                transaction.execute(
                    "UPDATE operation SET state = ?2, error_code = 'undone',
                         error_message = 'the run was undone before the turn of this row'
                     WHERE run_key = ?1 AND state IN (0, 4, 6)",
                    params![run.0, OperationState::NotAttempted.number()],
                )?;
                transaction.execute(
                    "UPDATE run SET state = ?2 WHERE run_key = ?1",
                    params![run.0, RunState::Finished.as_str()],
                )?;
                Ok(())
            })
            .await
    }

    /// Copies what is known of operations from one run to those of another that ask for the same, as pairs of numbers.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn carry_over(
        &self,
        from: RunKey,
        to: RunKey,
        pairs: Vec<(OperationId, OperationId)>,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "UPDATE operation SET (state, ambiguous, attempts, http_status, error_code, error_message, request_id,
                         before, after, finished_at, unlisted) =
                         (SELECT state, ambiguous, attempts, http_status, error_code, error_message, request_id, before,
                             after, finished_at, unlisted FROM operation WHERE run_key = ?1 AND operation_number = ?2)
                     WHERE run_key = ?3 AND operation_number = ?4",
                )?;
                for (old, new) in pairs {
                    statement.execute(params![from.0, old.0, to.0, new.0])?;
                }
                Ok(())
            })
            .await
    }

    /// Copies operations that no row asks for any more but that were carried out: what a run changed must be known when
    /// it is to be undone. Pairs of numbers; tags are copied as well, their numbers moved by `tag_offset`.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn keep_orphans(
        &self,
        from: RunKey,
        to: RunKey,
        pairs: Vec<(OperationId, OperationId)>,
        tag_offset: u32,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                transaction.execute(
                    "INSERT INTO tag (run_key, tag_number, tag) SELECT ?2, tag_number + ?3, tag FROM tag
                     WHERE run_key = ?1 ON CONFLICT DO NOTHING",
                    params![from.0, to.0, tag_offset],
                )?;
                let mut statement = transaction.prepare_cached(
                    "INSERT INTO operation (run_key, operation_number, machine, change_kind, change_argument, guard,
                         unlisted, state, ambiguous, attempts, http_status, error_code, error_message, request_id, before,
                         after, finished_at)
                     SELECT ?3, ?4, machine, change_kind, change_argument + CASE WHEN change_kind = 2 THEN 0 ELSE ?5 END,
                         NULL, unlisted, state, ambiguous, attempts, http_status, error_code, error_message, request_id,
                         before, after, finished_at
                     FROM operation WHERE run_key = ?1 AND operation_number = ?2",
                )?;
                for (old, new) in pairs {
                    statement.execute(params![from.0, old.0, to.0, new.0, tag_offset])?;
                }
                Ok(())
            })
            .await
    }

    /// Puts a successor into the place of a run: it takes its name and its beginning, and its calls.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails; everything is as it was then.
    pub async fn succeed(&self, from: RunKey, to: RunKey) -> Result<(), StoreError> {
        let now = self.clock.wall_time().as_microsecond();
        self.writer.run(move |transaction| succeed(transaction, from, to, now)).await
    }
}

fn succeed(transaction: &Transaction<'_>, from: RunKey, to: RunKey, now: i64) -> Result<(), rusqlite::Error> {
    let (run_id, created_at): (String, i64) =
        transaction.query_row("SELECT run_id, created_at FROM run WHERE run_key = ?1", [from.0], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    transaction.execute(
        "UPDATE run SET run_id = ?2, state = ?3 WHERE run_key = ?1",
        params![from.0, format!("{run_id} until {now}"), RunState::Removing.as_str()],
    )?;
    transaction.execute(
        "UPDATE run SET run_id = ?2, created_at = ?3, last_activity_at = ?4, state = ?5,
             earlier_paths = (SELECT earlier_paths || char(10) || input_path FROM run WHERE run_key = ?6)
         WHERE run_key = ?1",
        params![to.0, run_id, created_at, now, RunState::Stopped.as_str(), from.0],
    )?;
    transaction.execute("UPDATE attempt SET run_key = ?2 WHERE run_key = ?1", params![from.0, to.0])?;
    Ok(())
}
