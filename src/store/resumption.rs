//! Going on with a run that somebody left: finding it, taking it over, and carrying it into a changed input.
//!
//! A run is identified by its operations and never by its rows' order. Where the input has changed, a successor is stored
//! beside the run with the new rows, the operations that both know take with them what is decided to stand, and one
//! transaction puts the successor into the run's place; whoever dies before that leaves the run as it was. What surprises:
//! an operation that no row asks for any more is no operation any more. What it did is kept as the history of its slot,
//! where nobody can take it for the answer to a row of a later version.

use rusqlite::{Transaction, params};

use super::forms::{AccountKey, OperationState, RunKey, RunState, StoredRun};
use super::ledger::AttemptKey;
use super::rows::{RUN_COLUMNS, read_run};
use super::work::read_operation_change;
use super::{Reader, Store, StoreError};
use crate::model::{Held, MachineId, Operation, OperationId};

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
    /// Attempts that count.
    pub attempts: u32,
    /// The last attempt that carried it.
    pub last_attempt: Option<AttemptKey>,
    /// What held before.
    pub before: Option<String>,
    /// What holds since, as far as an answer showed it.
    pub after: Option<String>,
}

impl KnownOperation {
    /// Whether the run has changed something by it, or may have.
    #[must_use]
    pub const fn may_be_done(&self) -> bool {
        matches!(self.state, OperationState::Succeeded) || self.ambiguous
    }
}

/// What of an operation goes over into the successor of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarriedOperation {
    /// The whole outcome, to the operation of this number.
    Outcome(OperationId, OperationId),
    /// What was done so far, to the operation of this number, whose state the successor has decided: what held before the
    /// run, the attempts, whether one of them may have taken effect.
    Facts(OperationId, OperationId),
    /// What it did to its slot, since no row asks for it any more. If a row asks for another change of that slot, that
    /// operation takes what held before the run.
    History(OperationId, Option<OperationId>),
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
                         state, before, after, ambiguous, attempts, last_attempt
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
                        attempts: row.get(9)?,
                        last_attempt: row.get::<_, Option<i64>>(10)?.map(AttemptKey),
                    })
                })?;
                rows.collect()
            })
            .await
    }
}

impl Store {
    /// Makes a run ready to be gone on with: calls that its process never heard of may have taken effect, what is unknown
    /// is to be sent again, and removes that waited for adds wait again. The run must have been claimed. What is unknown
    /// stays in doubt until an answer or a reading settles it.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn take_over(&self, run: RunKey) -> Result<(), StoreError> {
        self.settle_lost_attempts(run).await?;
        self.writer
            .run(move |transaction| {
                transaction.execute(
                    "UPDATE operation SET state = ?2, ambiguous = 1, finished_at = NULL WHERE run_key = ?1 AND state = ?3",
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

    /// Ends a run that is being undone: what it has not done yet, nobody is to do any more. What may have been done stays
    /// unknown. The run must have been claimed.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn close_run(&self, run: RunKey) -> Result<(), StoreError> {
        self.settle_lost_attempts(run).await?;
        self.writer
            .run(move |transaction| {
                transaction.execute(
                    "UPDATE operation SET state = ?2, ambiguous = 1 WHERE run_key = ?1 AND (state = 4 OR
                         (state IN (0, 6) AND ambiguous))",
                    params![run.0, OperationState::NotAttempted.number()],
                )?;
                transaction.execute(
                    "UPDATE operation SET state = ?2, error_code = 'undone',
                         error_message = 'the run was undone before the turn of this row'
                     WHERE run_key = ?1 AND state IN (0, 6)",
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

    /// Has operations of a run sent again whose outcomes do not stand any more. What they did is kept.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn send_again(&self, run: RunKey, operations: Vec<OperationId>) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let mut reopen = transaction.prepare_cached(
                    "UPDATE operation SET state = 0, finished_at = NULL, http_status = NULL, error_code = NULL,
                         error_message = NULL, request_id = NULL, after = NULL
                     WHERE run_key = ?1 AND operation_number = ?2",
                )?;
                for operation in operations {
                    note_history(transaction, run, run, operation, "state = 1")?;
                    reopen.execute(params![run.0, operation.0])?;
                }
                Ok(())
            })
            .await
    }

    /// Copies what stands of a run's operations to its successor, and the history of its slots.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn carry_over(
        &self,
        from: RunKey,
        to: RunKey,
        operations: Vec<CarriedOperation>,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                transaction.execute(
                    "INSERT INTO slot_history (run_key, machine, tag, before, after, doubtful, last_attempt)
                     SELECT ?2, machine, tag, before, after, doubtful, last_attempt FROM slot_history WHERE run_key = ?1
                     ON CONFLICT DO NOTHING",
                    params![from.0, to.0],
                )?;
                for operation in operations {
                    carry_operation(transaction, from, to, operation)?;
                }
                Ok(())
            })
            .await
    }

    /// Notes what held on the slots of these operations before the run first wrote there.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn set_before(&self, run: RunKey, before: Vec<(OperationId, Held)>) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let mut statement = transaction
                    .prepare_cached("UPDATE operation SET before = ?3 WHERE run_key = ?1 AND operation_number = ?2")?;
                for (operation, held) in before {
                    statement.execute(params![run.0, operation.0, held.as_str()])?;
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

fn carry_operation(
    transaction: &Transaction<'_>,
    from: RunKey,
    to: RunKey,
    carried: CarriedOperation,
) -> Result<(), rusqlite::Error> {
    match carried {
        // Whether the inventory lacks the machine is for the list of today to say, as it is for all others of it.
        CarriedOperation::Outcome(old, new) => transaction
            .prepare_cached(
                "UPDATE operation SET (state, ambiguous, attempts, last_attempt, http_status, error_code, error_message,
                     request_id, before, after, finished_at) =
                     (SELECT state, ambiguous, attempts, last_attempt, http_status, error_code, error_message, request_id,
                         before, after, finished_at FROM operation WHERE run_key = ?1 AND operation_number = ?2)
                 WHERE run_key = ?3 AND operation_number = ?4",
            )?
            .execute(params![from.0, old.0, to.0, new.0])?,
        CarriedOperation::Facts(old, new) => {
            // What is in doubt stays so with the operation.
            note_history(transaction, from, to, old, "state = 1")?;
            transaction
                .prepare_cached(
                    "UPDATE operation SET (ambiguous, attempts, last_attempt, before) =
                         (SELECT ambiguous, attempts, last_attempt, before FROM operation
                          WHERE run_key = ?1 AND operation_number = ?2)
                     WHERE run_key = ?3 AND operation_number = ?4",
                )?
                .execute(params![from.0, old.0, to.0, new.0])?
        }
        CarriedOperation::History(old, other) => {
            note_history(transaction, from, to, old, "(state = 1 OR ambiguous)")?;
            let Some(other) = other else { return Ok(()) };
            transaction
                .prepare_cached(
                    "UPDATE operation SET before =
                         (SELECT before FROM operation WHERE run_key = ?1 AND operation_number = ?2)
                     WHERE run_key = ?3 AND operation_number = ?4",
                )?
                .execute(params![from.0, old.0, to.0, other.0])?
        }
    };
    Ok(())
}

/// Notes in the history of a slot what an operation did there, if it is one of these. What stands there is older.
fn note_history(
    transaction: &Transaction<'_>,
    from: RunKey,
    to: RunKey,
    operation: OperationId,
    condition: &str,
) -> Result<(), rusqlite::Error> {
    let wrote = "CASE change_kind WHEN 0 THEN 'present' WHEN 1 THEN 'absent'
        ELSE CASE change_argument WHEN 0 THEN 'Low' WHEN 1 THEN 'Normal' ELSE 'High' END END";
    transaction
        .prepare_cached(&format!(
            "INSERT INTO slot_history (run_key, machine, tag, before, after, doubtful, last_attempt)
             SELECT ?3, machine,
                 CASE WHEN change_kind = 2 THEN '' ELSE (SELECT tag FROM tag
                     WHERE tag.run_key = operation.run_key AND tag_number = change_argument) END,
                 before, CASE WHEN state = 1 THEN {wrote} END, CASE WHEN state = 1 THEN '' ELSE {wrote} END, last_attempt
             FROM operation WHERE run_key = ?1 AND operation_number = ?2 AND {condition}
             ON CONFLICT DO UPDATE SET after = coalesce(excluded.after, after),
                 doubtful = CASE WHEN excluded.doubtful = '' THEN doubtful
                     WHEN doubtful = '' THEN excluded.doubtful ELSE doubtful || '|' || excluded.doubtful END,
                 last_attempt = excluded.last_attempt"
        ))?
        .execute(params![from.0, operation.0, to.0])?;
    Ok(())
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
