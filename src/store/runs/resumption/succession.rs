//! A successor in the place of a run: what of the run goes over into the new form of its input.

use crate::model::row_code::BEYOND_LIMIT;
use crate::model::{Held, OperationId};
use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::forms::run::{RunKey, RunState};
use crate::store::forms::states::{FAILED, IS_DONE, MAY_BE_DONE, NOT_ATTEMPTED, PENDING, REFUSED, WAS_REFUSED};
use crate::store::{Store, StoreError};

/// What of an operation goes over into the successor of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CarriedOperation {
    /// The whole outcome, to the operation of this number.
    Outcome(OperationId, OperationId),
    /// What was done so far, to the operation of this number, whose state the successor has decided: what held before the
    /// run, the attempts, whether one of them may have taken effect.
    Facts(OperationId, OperationId),
    /// What it did to its slot, since no row asks for it any more. If a row asks for another change of that slot, that
    /// operation takes what held before the run.
    History(OperationId, Option<OperationId>),
}

impl Store {
    /// Copies what stands of a run's operations to its successor, and the history of its slots.
    pub(crate) async fn carry_over(
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
    pub(crate) async fn set_before(&self, run: RunKey, before: Vec<(OperationId, Held)>) -> Result<(), StoreError> {
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

    /// Notes that these operations may have been done, although nobody has answered so.
    pub(crate) async fn note_in_doubt(&self, run: RunKey, operations: Vec<OperationId>) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "UPDATE operation SET ambiguous = 1 WHERE run_key = ?1 AND operation_number = ?2",
                )?;
                for operation in operations {
                    statement.execute(params![run.0, operation.0])?;
                }
                Ok(())
            })
            .await
    }

    /// Puts a successor into the place of a run: it takes its name and its beginning, and its calls.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails; everything is as it was then.
    pub(crate) async fn succeed(&self, from: RunKey, to: RunKey) -> Result<(), StoreError> {
        let now = self.clock.wall_time().as_microsecond();
        self.writer.run(move |transaction| succeed(transaction, from, to, now)).await
    }
}

fn carry_operation(
    transaction: &Transaction<'_>,
    from: RunKey,
    to: RunKey,
    carried: CarriedOperation,
) -> Result<(), SqlError> {
    match carried {
        // Whether the inventory lacks the machine is for the list of today to say, as it is for all others of it.
        CarriedOperation::Outcome(old, new) => transaction
            .prepare_cached(
                "UPDATE operation SET (state, ambiguous, attempts, last_attempt, http_status, error_code, error_message,
                     request_id, before, found, other_forms, after, finished_at) =
                     (SELECT state, ambiguous, attempts, last_attempt, http_status, error_code, error_message, request_id,
                         before, found, other_forms, after, finished_at
                      FROM operation WHERE run_key = ?1 AND operation_number = ?2)
                 WHERE run_key = ?3 AND operation_number = ?4",
            )?
            .execute(params![from.0, old.0, to.0, new.0])?,
        CarriedOperation::Facts(old, new) => {
            // What is in doubt stays so with the operation.
            note_history(transaction, from, to, old, IS_DONE)?;
            transaction
                .prepare_cached(&format!(
                    "UPDATE operation SET (state, http_status, error_code, error_message, request_id) =
                         (SELECT CASE operation.state WHEN {PENDING} THEN {REFUSED} ELSE {FAILED} END,
                              http_status, error_code, error_message, request_id FROM operation AS old WHERE {WAS_REFUSED})
                     WHERE run_key = ?3 AND operation_number = ?4
                         AND (state = {PENDING} OR state = {NOT_ATTEMPTED} AND error_code = '{BEYOND_LIMIT}')
                         AND EXISTS (SELECT 1 FROM operation WHERE {WAS_REFUSED})"
                ))?
                .execute(params![from.0, old.0, to.0, new.0])?;
            transaction
                .prepare_cached(&format!(
                    "UPDATE operation SET (ambiguous, attempts, last_attempt, before, found, other_forms) =
                         (SELECT ambiguous, attempts, last_attempt,
                              CASE WHEN state IN ({FAILED}, {REFUSED}) AND ambiguous = 0
                                  THEN coalesce(operation.before, before) ELSE before END,
                              found, coalesce(other_forms, operation.other_forms)
                          FROM operation AS old WHERE run_key = ?1 AND operation_number = ?2)
                     WHERE run_key = ?3 AND operation_number = ?4"
                ))?
                .execute(params![from.0, old.0, to.0, new.0])?
        }
        CarriedOperation::History(old, other) => {
            note_history(transaction, from, to, old, MAY_BE_DONE)?;
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
pub(super) fn note_history(
    transaction: &Transaction<'_>,
    from: RunKey,
    to: RunKey,
    operation: OperationId,
    condition: &str,
) -> Result<(), SqlError> {
    let wrote = "CASE change_kind WHEN 0 THEN 'present' WHEN 1 THEN 'absent'
        ELSE CASE change_argument WHEN 0 THEN 'Low' WHEN 1 THEN 'Normal' ELSE 'High' END END";
    let on_conflict =
        "ON CONFLICT (run_key, machine, tag) DO UPDATE SET after = coalesce(excluded.after, slot_history.after),
        doubtful = CASE WHEN excluded.doubtful = '' THEN slot_history.doubtful
            WHEN slot_history.doubtful = '' THEN excluded.doubtful
            ELSE slot_history.doubtful || '|' || excluded.doubtful END,
        last_attempt = excluded.last_attempt";
    transaction
        .prepare_cached(&format!(
            "INSERT INTO slot_history (run_key, machine, tag, before, after, doubtful, last_attempt)
             SELECT ?3, machine,
                 CASE WHEN change_kind = 2 THEN '' ELSE (SELECT tag FROM tag
                     WHERE tag.run_key = operation.run_key AND tag_number = change_argument) END,
                 CASE WHEN change_kind = 1 AND other_forms IS NOT NULL THEN coalesce(before, 'absent') ELSE before END,
                 CASE WHEN {IS_DONE} THEN {wrote} END, CASE WHEN {IS_DONE} THEN '' ELSE {wrote} END, last_attempt
             FROM operation WHERE run_key = ?1 AND operation_number = ?2 AND {condition}
             {on_conflict}"
        ))?
        .execute(params![from.0, operation.0, to.0])?;
    // What else may be gone, if the service takes it for the same tag.
    transaction
        .prepare_cached(&format!(
            "INSERT INTO slot_history (run_key, machine, tag, before, after, doubtful, last_attempt)
             SELECT ?3, machine, other.value, 'present', NULL, 'absent', last_attempt
             FROM operation, json_each(other_forms) AS other
             WHERE run_key = ?1 AND operation_number = ?2 AND change_kind = 1 AND {condition}
             {on_conflict}"
        ))?
        .execute(params![from.0, operation.0, to.0])?;
    Ok(())
}

fn succeed(transaction: &Transaction<'_>, from: RunKey, to: RunKey, now: i64) -> Result<(), SqlError> {
    let (run_id, created_at): (String, i64) =
        transaction.query_row("SELECT run_id, created_at FROM run WHERE run_key = ?1", [from.0], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    transaction.execute(
        "UPDATE run SET run_id = ?2, state = ?3 WHERE run_key = ?1",
        params![from.0, format!("{run_id} until {now}"), RunState::Removing.as_str()],
    )?;
    // What another host calls so is another file here.
    let of_our_host = if transaction.sqlite().is_some() { "TRUE" } else { "earlier.input_host = run.input_host" };
    let succeeds = format!(
        "UPDATE run SET run_id = ?2, created_at = ?3, last_activity_at = ?4, state = ?5, earlier_paths = coalesce(
             (SELECT earlier_paths || '\n' || input_path FROM run AS earlier WHERE run_key = ?6 AND {of_our_host}), '')
         WHERE run_key = ?1"
    );
    transaction.execute(&succeeds, params![to.0, run_id, created_at, now, RunState::Stopped.as_str(), from.0])?;
    transaction.execute("UPDATE attempt SET run_key = ?2 WHERE run_key = ?1", params![from.0, to.0])?;
    transaction.execute("UPDATE sitting SET run_key = ?2 WHERE run_key = ?1", params![from.0, to.0])?;
    Ok(())
}
