//! What a run still has to send.

use crate::model::row_code::{CHANGED_SINCE, LEFT_BY_UNDO, MAY_BE_CHANGED_SINCE, WAITS_FOR_ADD};
use crate::model::{Change, MachineId, Operation, OperationId, Tag, TagAction};
use crate::store::engine::sql::{Row, SqlError, params};
use crate::store::forms::encoding::{
    CHANGE_ADD_TAG, CHANGE_DEVICE_VALUE, CHANGE_REMOVE_TAG, DEVICE_VALUES, damaged, kind_number, timestamp,
};
use crate::store::forms::run::{OperationState, RunKey};
use crate::store::forms::states::{FAILED, IS_TO_BE_SENT, NOT_ATTEMPTED, REFUSED, SUCCEEDED, in_doubt};
use crate::store::forms::work_item::{
    AddsInDoubt, RemovesWithoutAdds, SentBefore, Swaps, UnknownOperations, WorkCount, WorkItem, WorkKind, WorkPlace,
};
use crate::store::{Store, StoreError};

/// Why a remove is left out with its add that a later run has made otherwise: whoever did it alone would leave the machine with
/// neither.
const ADD_WAS_LEFT: &str = "a later run has changed the tag that this machine was to get first, so none is removed";
/// Why a remove is left out otherwise.
const ADD_WAS_NOT_MADE: &str =
    "a tag that this machine was to get first was not added, or may not have been, so none is removed";

impl Store {
    /// How many operations are still to be sent, and in how many calls of at most `batch_limit` machines.
    pub(crate) async fn count_work(
        &self,
        run: RunKey,
        kind: WorkKind,
        batch_limit: u32,
    ) -> Result<WorkCount, StoreError> {
        self.looking()
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(&format!(
                    "SELECT count(*) FROM operation
                     WHERE run_key = ?1 AND unlisted = ?2 AND change_kind = ?3 AND {IS_TO_BE_SENT}
                     GROUP BY change_argument"
                ))?;
                let counts = statement
                    .query_map(params![run.0, kind.unlisted, kind_number(kind.change)], |row| row.get::<u32>(0))?;
                let mut work = WorkCount::default();
                for count in counts {
                    let count = u64::from(count?);
                    work.operations += count;
                    let limit = u64::from(batch_limit.max(1));
                    work.calls += count.div_ceil(limit);
                    work.alone += if limit == 1 { count } else { u64::from(count % limit == 1) };
                }
                Ok(work)
            })
            .await
    }

    /// Which removes of this run wait for adds to the same machines.
    pub(crate) async fn swaps(&self, run: RunKey) -> Result<Swaps, StoreError> {
        self.looking()
            .run(move |transaction| {
                let (any, across) = transaction.query_row(
                    "SELECT EXISTS (SELECT 1 FROM operation WHERE run_key = ?1 AND guard IS NOT NULL),
                         EXISTS (SELECT 1 FROM operation INDEXED BY operation_guard
                             WHERE run_key = ?1 AND guard IS NOT NULL
                             GROUP BY guard HAVING min(unlisted) <> max(unlisted))",
                    [run.0],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?;
                Ok(match (any, across) {
                    (false, _) => Swaps::None,
                    (true, false) => Swaps::Alike,
                    (true, true) => Swaps::Mixed,
                })
            })
            .await
    }

    /// The operations of a kind that are still to be sent and have been sent before, in the order of their numbers.
    pub(crate) async fn sent_before(&self, run: RunKey, kind: WorkKind) -> Result<SentBefore, StoreError> {
        self.looking()
            .run(move |transaction| {
                // A run without calls, as most are, need not be looked through.
                let mut statement = transaction.prepare_cached(&format!(
                    "SELECT operation_number, state = {REFUSED} FROM operation
                     WHERE run_key = ?1 AND unlisted = ?2 AND change_kind = ?3 AND {IS_TO_BE_SENT} AND attempts > 0
                         AND EXISTS (SELECT 1 FROM attempt WHERE attempt.run_key = ?1)
                     ORDER BY operation_number"
                ))?;
                let mut sent = SentBefore::default();
                let mut rows =
                    statement.query([run.0, i64::from(kind.unlisted), i64::from(kind_number(kind.change))])?;
                while let Some(row) = rows.next()? {
                    let of_its_kind = if row.get(1)? { &mut sent.refused } else { &mut sent.unanswered };
                    of_its_kind.push(OperationId(row.get(0)?));
                }
                Ok(sent)
            })
            .await
    }

    /// So many of the `all` operations of a kind that are still to be sent, evenly spread over them.
    pub(crate) async fn spread_work(
        &self,
        run: RunKey,
        kind: WorkKind,
        all: u64,
        count: u32,
    ) -> Result<Vec<WorkItem>, StoreError> {
        self.looking()
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(&format!(
                    "SELECT {WORK_COLUMNS} FROM operation
                     WHERE run_key = ?1 AND unlisted = ?2 AND change_kind = ?3 AND {IS_TO_BE_SENT}
                     ORDER BY change_argument, operation_number LIMIT 1 OFFSET ?4"
                ))?;
                let mut items = Vec::new();
                for part in 0..u64::from(count) {
                    let position = i64::try_from(part * all / u64::from(count)).unwrap_or(i64::MAX);
                    let mut found =
                        statement.query(params![run.0, kind.unlisted, kind_number(kind.change), position])?;
                    items.extend(found.next()?.map(|row| read_work_item(&row)).transpose()?);
                }
                Ok(items)
            })
            .await
    }

    /// Takes refusals at their word that came before the service had accepted a call of this app: they were about these
    /// operations, since others were accepted.
    pub(crate) async fn believe_refusals(&self, run: RunKey, operations: Vec<OperationId>) -> Result<(), StoreError> {
        self.writer
            .run_repeatable(1 + operations.len(), move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "UPDATE operation SET state = ?3 WHERE run_key = ?1 AND operation_number = ?2 AND state = ?4",
                )?;
                for operation in &operations {
                    statement.execute(params![run.0, operation.0, FAILED, REFUSED])?;
                }
                Ok(())
            })
            .await
    }

    /// The next operations to be sent, tag by tag, beginning after `after`.
    pub(crate) async fn next_work(
        &self,
        run: RunKey,
        kind: WorkKind,
        after: Option<WorkPlace>,
        limit: u32,
    ) -> Result<Vec<WorkItem>, StoreError> {
        self.looking()
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(&format!(
                    "SELECT {WORK_COLUMNS} FROM operation
                     WHERE run_key = ?1 AND unlisted = ?2 AND change_kind = ?3 AND {IS_TO_BE_SENT}
                         AND (change_argument, operation_number) > (?4, ?5)
                     ORDER BY change_argument, operation_number LIMIT ?6",
                ))?;
                let (argument, operation) =
                    after.map_or((-1, -1), |place| (i64::from(place.argument), i64::from(place.operation.0)));
                let rows = statement.query_map(
                    params![run.0, kind.unlisted, kind_number(kind.change), argument, operation, limit],
                    read_work_item,
                )?;
                rows.collect()
            })
            .await
    }

    /// Leaves out the removes of machines whose adds did not all succeed: a machine must not fall out of its old
    /// device group without getting into the new one. To be called when all adds have an outcome, apart for machines that
    /// the inventory lacks. Where doubt may be settled, the removes that wait for adds in doubt stay as they are.
    pub(crate) async fn leave_out_removes_without_adds(
        &self,
        run: RunKey,
        unlisted: bool,
        doubt: AddsInDoubt,
    ) -> Result<RemovesWithoutAdds, StoreError> {
        let now = self.clock.wall_time().as_microsecond();
        // The index is named, since without statistics the primary key would be taken for the better one, and every
        // operation of the run be looked at for each of these.
        let waits = format!(
            "operation.run_key = ?1 AND guard IS NOT NULL AND unlisted = ?2 AND change_kind = {CHANGE_REMOVE_TAG}
                 AND {IS_TO_BE_SENT} AND EXISTS (
                 SELECT 1 FROM operation AS addition INDEXED BY operation_guard
                 WHERE addition.run_key = ?1 AND addition.guard = operation.guard
                     AND addition.change_kind = {CHANGE_ADD_TAG} AND addition.state NOT IN ({SUCCEEDED}, {})
                     AND NOT (addition.state = {NOT_ATTEMPTED} AND coalesce(addition.error_code, '') IN ({})
                         AND EXISTS (SELECT 1 FROM run WHERE run.run_key = ?1 AND run.kind = 'undo'))",
            OperationState::Unchanged.number(),
            LEFT_BY_UNDO.map(|code| format!("'{code}'")).join(", "),
        );
        let was_left = format!(
            "EXISTS (SELECT 1 FROM operation AS addition INDEXED BY operation_guard
                 WHERE addition.run_key = ?1 AND addition.guard = operation.guard
                     AND addition.change_kind = {CHANGE_ADD_TAG} AND addition.state = ?3
                     AND addition.error_code = '{CHANGED_SINCE}')"
        );
        self.writer
            .run_repeatable(1, move |transaction| {
                let mut left_out = 0;
                let reasons =
                    [(CHANGED_SINCE, ADD_WAS_LEFT, was_left.as_str()), (WAITS_FOR_ADD, ADD_WAS_NOT_MADE, "TRUE")];
                for (code, message, condition) in reasons {
                    left_out += transaction.execute(
                        &format!(
                            "UPDATE operation SET state = ?3, error_code = ?6, error_message = ?7, finished_at = ?4
                             WHERE {waits} AND NOT (?5 = 1 AND {})) AND {condition}",
                            in_doubt("addition")
                        ),
                        params![run.0, unlisted, NOT_ATTEMPTED, now, doubt == AddsInDoubt::MayBeSettled, code, message],
                    )?;
                }
                let left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
                let mut waiting = transaction
                    .prepare_cached(&format!("SELECT operation_number FROM operation WHERE {waits}) ORDER BY 1"))?;
                let held_back = waiting.query_map(params![run.0, unlisted], |row| row.get(0).map(OperationId))?;
                Ok(RemovesWithoutAdds { left_out, held_back: held_back.collect::<Result<_, _>>()? })
            })
            .await
    }
}

/// The change of an operation: its kind, argument and tag stand in the columns 2 to 4.
pub(super) fn read_operation_change(row: &Row<'_>) -> Result<Change, SqlError> {
    let kind: u8 = row.get(2)?;
    Ok(if kind == CHANGE_DEVICE_VALUE {
        let value = DEVICE_VALUES.get(usize::from(row.get::<u8>(3)?)).ok_or_else(|| damaged(3, "a device value"))?;
        Change::DeviceValue(*value)
    } else {
        let tag = Tag::new(&row.get::<String>(4)?).map_err(|_no_tag| damaged(4, "a tag"))?;
        Change::Tag(if kind == CHANGE_REMOVE_TAG { TagAction::Remove } else { TagAction::Add }, tag)
    })
}

impl Store {
    /// What this run has sent and was never answered, what was refused after it may have taken effect included. Where somebody
    /// has written since, a reading shows what became of that.
    pub(crate) async fn unknown_operations(&self, run: RunKey) -> Result<UnknownOperations, StoreError> {
        self.looking()
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(&format!(
                    "SELECT {WORK_COLUMNS}, finished_at FROM operation WHERE run_key = ?1 AND {}
                         AND coalesce(error_code, '') NOT IN ('{CHANGED_SINCE}', '{MAY_BE_CHANGED_SINCE}') ORDER BY operation_number",
                    in_doubt("operation")
                ))?;
                let mut unknown = UnknownOperations::default();
                let mut rows = statement.query([run.0])?;
                while let Some(row) = rows.next()? {
                    let item = read_work_item(&row)?;
                    unknown.operations.push((item.id, item.operation));
                    unknown.latest = unknown.latest.max(row.get::<Option<i64>>(6)?.map(timestamp));
                }
                Ok(unknown)
            })
            .await
    }
}

/// The columns that [`read_work_item`] reads.
const WORK_COLUMNS: &str = "operation_number, machine, change_kind, change_argument,
    (SELECT tag FROM tag WHERE tag.run_key = operation.run_key AND tag_number = change_argument), ambiguous";

fn read_work_item(row: &Row<'_>) -> Result<WorkItem, SqlError> {
    let machine: String = row.get(1)?;
    let change = read_operation_change(row)?;
    let id = OperationId(row.get(0)?);
    Ok(WorkItem {
        id,
        place: WorkPlace { argument: row.get(3)?, operation: id },
        operation: Operation { machine: MachineId::from_service(&machine), change },
        may_hold: row.get(5)?,
    })
}
