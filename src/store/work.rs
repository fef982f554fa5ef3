//! What a run still has to send.

use rusqlite::{Row, params};

use super::forms::{
    CHANGE_ADD_TAG, CHANGE_DEVICE_VALUE, CHANGE_REMOVE_TAG, DEVICE_VALUES, OperationState, RunKey, WorkItem, WorkKind,
    damaged,
};
use super::{Store, StoreError};
use crate::model::{Change, MachineId, Operation, OperationId, Tag, TagAction};

impl Store {
    /// How many operations are still to be sent.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn count_work(&self, run: RunKey, kind: WorkKind) -> Result<u32, StoreError> {
        let (change_kind, guarded) = kind.numbers();
        self.writer
            .run(move |transaction| {
                transaction.query_row(
                    "SELECT count(*) FROM operation
                     WHERE run_key = ?1 AND state IN (0, 6) AND change_kind = ?2
                         AND (?3 IS NULL OR (guard IS NOT NULL) = ?3)",
                    params![run.0, change_kind, guarded],
                    |row| row.get(0),
                )
            })
            .await
    }

    /// The next operations to be sent, in order, beginning after `after`.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn next_work(
        &self,
        run: RunKey,
        kind: WorkKind,
        after: Option<OperationId>,
        limit: u32,
    ) -> Result<Vec<WorkItem>, StoreError> {
        let (change_kind, guarded) = kind.numbers();
        self.writer
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "SELECT operation_number, machine, change_kind, change_argument,
                         (SELECT tag FROM tag WHERE tag.run_key = operation.run_key AND tag_number = change_argument)
                     FROM operation
                     WHERE run_key = ?1 AND operation_number > ?4 AND state IN (0, 6) AND change_kind = ?2
                         AND (?3 IS NULL OR (guard IS NOT NULL) = ?3)
                     ORDER BY operation_number LIMIT ?5",
                )?;
                let after = after.map_or(-1, |operation| i64::from(operation.0));
                let rows = statement.query_map(params![run.0, change_kind, guarded, after, limit], read_work_item)?;
                rows.collect()
            })
            .await
    }

    /// Leaves out the removes of machines whose adds did not all succeed: a machine must not fall out of its old
    /// device group without getting into the new one. To be called when all adds are settled; says how many it were.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn leave_out_removes_without_adds(&self, run: RunKey) -> Result<u32, StoreError> {
        let now = self.clock.wall_time().as_microsecond();
        self.writer
            .run(move |transaction| {
                let left_out = transaction.execute(
                    "UPDATE operation SET state = ?2, error_code = 'waits_for_add', finished_at = ?6,
                         error_message = 'a tag that this machine was to get first could not be added, so none is removed'
                     WHERE run_key = ?1 AND guard IS NOT NULL AND change_kind = ?3 AND state IN (0, 6) AND EXISTS (
                         SELECT 1 FROM operation AS addition
                         WHERE addition.run_key = ?1 AND addition.guard = operation.guard AND addition.change_kind = ?4
                             AND addition.state NOT IN (?5, ?7))",
                    params![
                        run.0,
                        OperationState::NotAttempted.number(),
                        CHANGE_REMOVE_TAG,
                        CHANGE_ADD_TAG,
                        OperationState::Succeeded.number(),
                        now,
                        OperationState::Unchanged.number(),
                    ],
                )?;
                Ok(u32::try_from(left_out).unwrap_or(u32::MAX))
            })
            .await
    }
}

fn read_work_item(row: &Row<'_>) -> Result<WorkItem, rusqlite::Error> {
    let machine: String = row.get(1)?;
    let kind: u8 = row.get(2)?;
    let change = if kind == CHANGE_DEVICE_VALUE {
        let value = DEVICE_VALUES.get(usize::from(row.get::<_, u8>(3)?)).ok_or_else(|| damaged(3, "a device value"))?;
        Change::DeviceValue(*value)
    } else {
        let tag = Tag::new(&row.get::<_, String>(4)?).map_err(|_no_tag| damaged(4, "a tag"))?;
        Change::Tag(if kind == CHANGE_REMOVE_TAG { TagAction::Remove } else { TagAction::Add }, tag)
    };
    Ok(WorkItem {
        id: OperationId(row.get(0)?),
        operation: Operation { machine: MachineId::from_service(&machine), change },
    })
}
