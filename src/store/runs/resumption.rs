//! Resuming a run that somebody left: finding it, taking it over, and carrying it into a changed input.
//!
//! A run is identified by its operations and never by its rows' order. Where the input has changed, a successor is stored
//! beside the run with the new rows, the operations that both know take with them what is decided to stand, and one
//! transaction puts the successor into the run's place; whoever dies before that leaves the run as it was. What surprises:
//! an operation that no row asks for any more is no operation any more. What it did is kept as the history of its slot,
//! where nobody can take it for the answer to a row of a later version.

mod succession;

pub(crate) use self::succession::CarriedOperation;
use self::succession::note_history;
use super::rows::{RUN_COLUMNS, read_run};
use super::work::read_operation_change;
use crate::model::row_code::{
    BEYOND_LIMIT, CHANGED_SINCE, INVENTORY_NOT_READ, MACHINE_AMBIGUOUS, MACHINE_NOT_FOUND, MAY_BE_CHANGED_SINCE,
    UNDONE, WAITS_FOR_ADD,
};
use crate::model::{Held, MachineId, MayHold, Operation, OperationId};
use crate::store::access::identity::host_name;
use crate::store::engine::sql::params;
use crate::store::forms::attempt::AttemptKey;
use crate::store::forms::encoding::read_held;
use crate::store::forms::run::{
    AccountKey, OperationState, RunKey, RunState, SettledOperation, StoredRun, UNDO_PREFIX,
};
use crate::store::forms::states::{
    FAILED, IS_DONE, IS_TO_BE_SENT, NOT_ATTEMPTED, PENDING, REFUSED, UNKNOWN, WAS_REFUSED,
};
use crate::store::slots::overtaken::{OpenCounts, open_operations};
use crate::store::{Reader, Store, StoreError};

/// A run that is not over, although nobody may be at it. Where later runs have written over all that it still wanted, it is.
#[derive(Clone, Debug)]
pub(crate) struct UnfinishedRun {
    pub run: StoredRun,
    /// Operations that are still to be sent, or whose outcome is unknown, and that no later run has written over.
    pub open: u32,
    /// Paths of inputs that it was begun or resumed, beside the latest.
    pub earlier_paths: Vec<String>,
    /// Whether these paths are those of this host: another may have other files there.
    pub has_our_paths: bool,
}

/// An operation of a run, with what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct KnownOperation {
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
    pub before: Held,
    /// Why it is so: the service's code, or ours.
    pub error_code: Option<String>,
}

/// What is decided about an operation of a run that is resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DecidedAnew {
    /// Its number.
    pub operation: OperationId,
    /// Its outcome, if it is not to be sent.
    pub settled: Option<SettledOperation>,
    /// Whether it may be done all the same, where that is decided, too.
    pub may_be_done: Option<bool>,
    /// What holds before its first attempt, if there was none yet.
    pub before: Option<Held>,
    /// What it finds, where there were attempts.
    pub found: MayHold,
    /// Whether the inventory lacks its machine.
    pub unlisted: bool,
}

/// The codes of operations on machines that are but names.
const NAMELESS: [&str; 2] = [MACHINE_NOT_FOUND, MACHINE_AMBIGUOUS];

impl KnownOperation {
    /// Whether the run has done it, and a later one may have changed it since.
    pub(crate) fn is_done_in_doubt(&self) -> bool {
        let is_open = matches!(self.state, OperationState::Unknown | OperationState::Pending);
        is_open && self.error_code.as_deref() == Some(MAY_BE_CHANGED_SINCE)
    }

    /// Whether the run has changed something by it, or may have.
    pub(crate) fn may_be_done(&self) -> bool {
        matches!(self.state, OperationState::Succeeded) || (self.ambiguous && !self.is_of_nobody())
    }

    /// Whether it is but a name that led to no machine: what may have been done under it has a slot elsewhere.
    pub(crate) fn is_of_nobody(&self) -> bool {
        self.error_code.as_deref().is_some_and(|code| NAMELESS.contains(&code))
    }
}

/// Operations that are read or changed in one transaction.
pub(crate) const OPERATIONS_AT_ONCE: u32 = 10_000;

/// The operations of a run in the order of their numbers, some at a time.
pub(crate) struct OperationPages<'a> {
    reader: &'a Reader,
    run: RunKey,
    last: Option<OperationId>,
}

impl OperationPages<'_> {
    /// The next of them; `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<KnownOperation>>, StoreError> {
        let known = self.reader.known_operations(self.run, self.last, OPERATIONS_AT_ONCE).await?;
        self.last = known.last().map(|end| end.id);
        Ok(self.last.map(|_end| known))
    }
}

impl Reader {
    /// The operations of a run, from the first on.
    pub(crate) const fn operations_of(&self, run: RunKey) -> OperationPages<'_> {
        OperationPages { reader: self, run, last: None }
    }

    /// The runs of this account at this host that are not over, the latest first.
    pub(crate) async fn unfinished_runs(
        &self,
        account: AccountKey,
        host: &str,
    ) -> Result<Vec<UnfinishedRun>, StoreError> {
        let host = host.to_owned();
        self.connection
            .run(move |transaction| {
                let input_host = if transaction.sqlite().is_some() { "NULL" } else { "input_host" };
                let mut statement = transaction.prepare_cached(&format!(
                    "SELECT {RUN_COLUMNS}, earlier_paths, {input_host}
                     FROM run WHERE account_key = ?1 AND host = ?2 AND state NOT IN ('preparing', 'removing')
                     ORDER BY created_at DESC, run_key DESC"
                ))?;
                let mut open = OpenCounts::default();
                let runs = statement.query_map(params![account.0, host], |row| {
                    let run = read_run(row)?;
                    Ok(UnfinishedRun {
                        open: open_operations(transaction, run.key, &mut open)?,
                        run,
                        earlier_paths: row.get::<String>(17)?.lines().map(str::to_owned).collect(),
                        has_our_paths: row.get::<Option<String>>(18)?.is_none_or(|host| host == host_name()),
                    })
                })?;
                runs.filter(|run| run.as_ref().map_or(true, |run| run.open > 0)).collect()
            })
            .await
    }

    /// Whether a run has made calls that another did not know of when it was decided about.
    pub(crate) async fn has_called_since(&self, run: RunKey, other: RunKey) -> Result<bool, StoreError> {
        self.connection
            .run(move |transaction| {
                transaction.query_row(
                    "SELECT EXISTS (SELECT 1 FROM attempt WHERE run_key = ?1 AND length(operations) > 0
                         AND attempt_key > (SELECT decided_after FROM run WHERE run_key = ?2))",
                    [run.0, other.0],
                    |row| row.get(0),
                )
            })
            .await
    }

    /// Whether a run has come to its end, or was ended.
    pub(crate) async fn is_closed(&self, run: RunKey) -> Result<bool, StoreError> {
        self.connection
            .run(move |transaction| {
                transaction.query_row(
                    "SELECT state = ?2 FROM run WHERE run_key = ?1",
                    params![run.0, RunState::Finished.as_str()],
                    |row| row.get(0),
                )
            })
            .await
    }

    /// Whether a run was taken back, so that nothing of it is left to be done.
    pub(crate) async fn is_taken_back(&self, run: RunKey) -> Result<bool, StoreError> {
        self.connection
            .run(move |transaction| {
                let has_undo: bool = transaction.query_row(
                    "SELECT EXISTS (SELECT 1 FROM run AS undo WHERE undo.kind = 'undo' AND undo.input_path = ?2 || run.run_id)
                     FROM run WHERE run.run_key = ?1",
                    params![run.0, UNDO_PREFIX],
                    |row| row.get(0),
                )?;
                // One that died before it closed the run has taken nothing back.
                Ok(has_undo && open_operations(transaction, run, &mut OpenCounts::default())? == 0)
            })
            .await
    }

    /// The operations of a run in the order of their numbers, beginning after `after`.
    pub(crate) async fn known_operations(
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
                         state, before, ambiguous, attempts, last_attempt, error_code
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
                        before: read_held(row, 6)?,
                        ambiguous: row.get(7)?,
                        attempts: row.get(8)?,
                        last_attempt: row.get::<Option<i64>>(9)?.map(AttemptKey),
                        error_code: row.get(10)?,
                    })
                })?;
                rows.collect()
            })
            .await
    }
}

impl Store {
    /// Makes a run ready to be resumed: calls that its process never heard of may have taken effect, what is unknown
    /// is to be sent again, and removes that waited for adds wait again. The run must have been claimed. What is unknown
    /// stays in doubt until an answer or a reading settles it.
    pub(crate) async fn take_over(&self, run: RunKey) -> Result<(), StoreError> {
        self.settle_lost_attempts(run).await?;
        self.writer
            .run(move |transaction| {
                transaction.execute(
                    "UPDATE operation SET state = ?2, ambiguous = 1, finished_at = NULL WHERE run_key = ?1 AND state = ?3",
                    params![run.0, PENDING, UNKNOWN],
                )?;
                transaction.execute(
                    &format!(
                        "UPDATE operation SET state = ?2, finished_at = NULL, error_code = NULL, error_message = NULL
                         WHERE run_key = ?1 AND state = ?3 AND error_code = '{WAITS_FOR_ADD}' AND guard IS NOT NULL"
                    ),
                    params![run.0, PENDING, NOT_ATTEMPTED],
                )?;
                Ok(())
            })
            .await
    }

    /// Ends a run that is being undone: what it has not done yet, nobody is to do any more. What may have been done stays
    /// unknown. The run must have been claimed.
    pub(crate) async fn close_run(&self, run: RunKey) -> Result<(), StoreError> {
        self.settle_lost_attempts(run).await?;
        self.writer
            .run(move |transaction| {
                transaction.execute(
                    &format!(
                        "UPDATE operation SET state = ?2, ambiguous = 1 WHERE run_key = ?1 AND (state = {UNKNOWN} OR
                             ({IS_TO_BE_SENT} AND ambiguous = 1))"
                    ),
                    params![run.0, NOT_ATTEMPTED],
                )?;
                // It was refused, and not merely left.
                transaction.execute(
                    "UPDATE operation SET state = ?2 WHERE run_key = ?1 AND state = ?3",
                    params![run.0, FAILED, REFUSED],
                )?;
                transaction.execute(
                    &format!(
                        "UPDATE operation SET state = ?2, error_code = '{UNDONE}',
                             error_message = 'the run was undone before this row was reached'
                         WHERE run_key = ?1 AND (state = {PENDING} OR (state = ?2 AND ambiguous = 0
                             AND error_code IN ('{BEYOND_LIMIT}', '{INVENTORY_NOT_READ}', '{WAITS_FOR_ADD}')))"
                    ),
                    params![run.0, NOT_ATTEMPTED],
                )?;
                // Nobody is to feed back what was taken back.
                transaction.execute("UPDATE sitting SET next = NULL WHERE run_key = ?1", [run.0])?;
                transaction.execute(
                    "UPDATE run SET state = ?2 WHERE run_key = ?1",
                    params![run.0, RunState::Finished.as_str()],
                )?;
                Ok(())
            })
            .await
    }

    /// Has operations of a run sent again whose outcomes do not stand any more. What they did is kept.
    pub(crate) async fn send_again(&self, run: RunKey, operations: Vec<OperationId>) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let mut reopen = transaction.prepare_cached(&format!(
                    "UPDATE operation SET state = {PENDING}, finished_at = NULL, http_status = NULL, error_code = NULL,
                         error_message = NULL, request_id = NULL, after = NULL
                     WHERE run_key = ?1 AND operation_number = ?2"
                ))?;
                for operation in operations {
                    note_history(transaction, run, run, operation, IS_DONE)?;
                    reopen.execute(params![run.0, operation.0])?;
                }
                Ok(())
            })
            .await
    }

    /// Has operations of a run that were carried out give way to what a later run made of them. What they did is kept.
    pub(crate) async fn leave_overwritten(&self, run: RunKey, operations: Vec<OperationId>) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let mut leave = transaction.prepare_cached(&format!(
                    "UPDATE operation SET state = ?3, http_status = NULL, error_code = '{CHANGED_SINCE}', request_id = NULL,
                         after = NULL, error_message = 'a later run has changed it since, so it is left as it is'
                     WHERE run_key = ?1 AND operation_number = ?2"
                ))?;
                for operation in operations {
                    note_history(transaction, run, run, operation, IS_DONE)?;
                    leave.execute(params![run.0, operation.0, NOT_ATTEMPTED])?;
                }
                Ok(())
            })
            .await
    }

    /// Stores what is decided about operations of a run that is resumed. What they did is kept. The run must have
    /// been claimed.
    pub(crate) async fn decide_anew(&self, run: RunKey, decided: Vec<DecidedAnew>) -> Result<(), StoreError> {
        let now = self.clock.wall_time().as_microsecond();
        self.writer
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "UPDATE operation SET state = ?3, error_code = ?4, error_message = ?5, http_status = NULL,
                         request_id = NULL, before = coalesce(?6, before), after = ?7, unlisted = ?8, finished_at = ?9,
                         found = found || '|' || ?10, ambiguous = coalesce(?11, ambiguous)
                     WHERE run_key = ?1 AND operation_number = ?2",
                )?;
                let mut try_again = transaction.prepare_cached(&format!(
                    "UPDATE operation SET state = ?6, finished_at = ?7, unlisted = ?3, found = found || '|' || ?4,
                         before = coalesce(?5, before)
                     WHERE {WAS_REFUSED}"
                ))?;
                for one in &decided {
                    let (found, before) = (one.found.words(), one.before.and_then(Held::as_str));
                    // Neither what is to be sent nor what the limit leaves out has been tried again since it was refused.
                    let untried = match &one.settled {
                        None => Some((OperationState::Refused, None)),
                        Some(settled) if settled.is_beyond_limit() => Some((OperationState::Failed, Some(now))),
                        Some(_) => None,
                    };
                    if let Some((state, at)) = untried
                        && try_again.execute(params![
                            run.0,
                            one.operation.0,
                            one.unlisted,
                            found,
                            before,
                            state.number(),
                            at
                        ])? > 0
                    {
                        continue;
                    }
                    let state = one.settled.as_ref().map_or(OperationState::Pending, |settled| settled.state);
                    let reason = one.settled.as_ref().and_then(|settled| settled.reason.as_ref());
                    statement.execute(params![
                        run.0,
                        one.operation.0,
                        state.number(),
                        reason.map(|(code, _)| code),
                        reason.map(|(_, message)| message),
                        before,
                        if state == OperationState::Unchanged { before } else { None },
                        one.unlisted,
                        one.settled.as_ref().map(|_settled| now),
                        found,
                        one.may_be_done,
                    ])?;
                }
                Ok(())
            })
            .await
    }

    /// Notes what the run finds on the slots of these operations before it writes there again.
    pub(crate) async fn note_found(&self, run: RunKey, found: Vec<(OperationId, MayHold)>) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "UPDATE operation SET found = found || '|' || ?3 WHERE run_key = ?1 AND operation_number = ?2",
                )?;
                for (operation, held) in found {
                    statement.execute(params![run.0, operation.0, held.words()])?;
                }
                Ok(())
            })
            .await
    }

    /// Notes that somebody has just asked for what a run wants.
    pub(crate) async fn note_asked(&self, run: RunKey) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                transaction.execute(
                    "UPDATE run SET asked_after = (SELECT coalesce(max(attempt_key), 0) FROM attempt) WHERE run_key = ?1",
                    [run.0],
                )?;
                Ok(())
            })
            .await
    }

    /// Notes up to which attempt the writes of other runs were taken into account when it was decided what is to be sent, and
    /// whether somebody has just asked for that.
    pub(crate) async fn note_decided(
        &self,
        run: RunKey,
        as_of: AttemptKey,
        is_asked_now: bool,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                transaction.execute("UPDATE run SET decided_after = ?2 WHERE run_key = ?1", params![run.0, as_of.0])?;
                if is_asked_now {
                    transaction
                        .execute("UPDATE run SET asked_after = ?2 WHERE run_key = ?1", params![run.0, as_of.0])?;
                }
                Ok(())
            })
            .await
    }
}
