//! Reading a run back: its rows, and what became of the operations that answer them.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::forms::{
    AccountKey, InputChunk, NewRun, OperationState, RunKey, RunKind, RunState, StoredChunk, StoredOperation, StoredRun,
    damaged, decode_links, timestamp,
};
use super::{Reader, StoreError};
use crate::model::AnswerFacts;

/// The columns that [`read_run`] wants, in its order.
pub(super) const RUN_COLUMNS: &str =
    "run.run_key, run.state, run.created_at, run_id, account_key, host, input_path, note,
    delimiter, byte_order_mark, header, row_count, last_activity_at, kind, input_digest,
    operations_digest, results_path";

impl Reader {
    /// The run of this name.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`] when there is none.
    pub async fn run_by_id(&self, run_id: &str) -> Result<StoredRun, StoreError> {
        let name = run_id.to_owned();
        let found = self
            .connection
            .run(move |transaction| {
                transaction
                    .query_row(
                        &format!("SELECT {RUN_COLUMNS} FROM run WHERE run_id = ?1 AND state <> 'removing'"),
                        [name],
                        read_run,
                    )
                    .optional()
            })
            .await?;
        found.ok_or_else(|| StoreError::NoSuchRun(run_id.to_owned()))
    }

    /// The piece of the input that begins at this row, with everything that answers it; `None` after the last one.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn chunk(&self, run: RunKey, first_row: u32) -> Result<Option<StoredChunk>, StoreError> {
        self.connection.run(move |transaction| read_chunk(transaction, run, first_row)).await
    }
}

pub(super) fn read_run(row: &Row<'_>) -> Result<StoredRun, rusqlite::Error> {
    let state: String = row.get(1)?;
    let header: String = row.get(10)?;
    Ok(StoredRun {
        key: RunKey(row.get(0)?),
        state: RunState::from_name(&state).ok_or_else(|| damaged(1, "the state of a run"))?,
        created_at: timestamp(row.get(2)?),
        last_activity_at: timestamp(row.get(12)?),
        description: NewRun {
            run_id: row.get(3)?,
            account: AccountKey(row.get(4)?),
            host: row.get(5)?,
            input_path: row.get(6)?,
            note: row.get(7)?,
            delimiter: row.get(8)?,
            byte_order_mark: row.get(9)?,
            header: serde_json::from_str(&header).map_err(|_not_json| damaged(10, "the header of a run"))?,
            row_count: row.get(11)?,
            kind: RunKind::from_name(&row.get::<_, String>(13)?).ok_or_else(|| damaged(13, "the kind of a run"))?,
            input_digest: row.get(14)?,
            operations_digest: row.get(15)?,
            results_path: row.get(16)?,
        },
    })
}

fn read_chunk(
    transaction: &Transaction<'_>,
    run: RunKey,
    first_row: u32,
) -> Result<Option<StoredChunk>, rusqlite::Error> {
    let Some((records, links)) = transaction
        .prepare_cached("SELECT records, operations FROM input_chunk WHERE run_key = ?1 AND first_row = ?2")?
        .query_row(params![run.0, first_row], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?
    else {
        return Ok(None);
    };
    let links = decode_links(&links).ok_or_else(|| damaged(1, "the operations of a row"))?;
    let mut operations = HashMap::new();
    let mut statement = transaction.prepare_cached(
        "SELECT state, ambiguous, attempts, http_status, error_code, error_message, request_id, before, after, finished_at
         FROM operation WHERE run_key = ?1 AND operation_number = ?2",
    )?;
    for operation in links.iter().flatten() {
        if !operations.contains_key(operation) {
            let stored = statement.query_row(params![run.0, operation.0], read_operation)?;
            operations.insert(*operation, stored);
        }
    }
    let last_row = first_row.saturating_add(u32::try_from(links.len()).unwrap_or(u32::MAX));
    let mut statement = transaction
        .prepare_cached("SELECT row, code, message FROM row_problem WHERE run_key = ?1 AND row >= ?2 AND row < ?3")?;
    let problems = statement
        .query_map(params![run.0, first_row, last_row], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect::<Result<_, _>>()?;
    Ok(Some(StoredChunk { input: InputChunk { first_row, records, operations: links }, operations, problems }))
}

fn read_operation(row: &Row<'_>) -> Result<StoredOperation, rusqlite::Error> {
    Ok(StoredOperation {
        state: OperationState::from_number(row.get(0)?).ok_or_else(|| damaged(0, "the state of an operation"))?,
        ambiguous: row.get(1)?,
        attempts: row.get(2)?,
        answer: AnswerFacts {
            http_status: row.get(3)?,
            error_code: row.get::<_, Option<String>>(4)?.map(String::into_boxed_str),
            error_message: row.get::<_, Option<String>>(5)?.map(String::into_boxed_str),
            request_id: row.get::<_, Option<String>>(6)?.map(String::into_boxed_str),
        },
        before: row.get(7)?,
        after: row.get(8)?,
        finished_at: row.get::<_, Option<i64>>(9)?.map(timestamp),
    })
}
