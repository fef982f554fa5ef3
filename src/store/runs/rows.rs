//! Reading a run back: its rows, and what became of the operations that answer them.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::model::identity::OperationsDigest;
use crate::model::{AnswerFacts, OperationId};
use crate::store::engine::sql::{Optional, Row, SqlError, Transaction, params};
use crate::store::forms::encoding::{damaged, decode_links, decode_records, read_held, timestamp};
use crate::store::forms::run::{
    AccountKey, InputChunk, NewRun, OperationState, RunKey, RunKind, RunState, StoredChunk, StoredOperation, StoredRun,
};
use crate::store::{Reader, StoreError};

/// No path that this program writes down is longer.
const LONGEST_PATH: usize = 4096;

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
    pub(crate) async fn run_by_id(&self, run_id: &str) -> Result<StoredRun, StoreError> {
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
        match found {
            Some(run) => Ok(run),
            None => Err(self.no_such_run(run_id).await?),
        }
    }

    /// The error of a run that is not there: it may be among what was lost, or the database damaged.
    pub(in crate::store) async fn no_such_run(&self, run_id: &str) -> Result<StoreError, StoreError> {
        self.look_through().await?;
        let run = run_id.to_owned();
        Ok(match self.lost_until().await? {
            Some(until) => StoreError::RunLost { run, until },
            None => StoreError::NoSuchRun(run),
        })
    }

    /// Whether all rows of a run are there, one piece after the other.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] when they are not; [`StoreError::NeverBegan`] when that is so since its process died, or
    /// is still at work, before it had stored them all.
    pub(crate) async fn check_rows(&self, run: &StoredRun) -> Result<(), StoreError> {
        let key = run.key;
        let found = self.connection.run(move |transaction| count_rows(transaction, key)).await?;
        let (name, rows) = (run.description.run_id.clone(), u64::from(run.description.row_count));
        match run.state {
            _ if found == rows => Ok(()),
            RunState::Preparing => Err(StoreError::NeverBegan(name)),
            _ => Err(StoreError::Incomplete { run: name, rows, found }),
        }
    }

    /// The piece of the input that begins at this row, with everything that answers it; `None` after the last one.
    pub(crate) async fn chunk(&self, run: RunKey, first_row: u32) -> Result<Option<StoredChunk>, StoreError> {
        self.connection.run(move |transaction| read_chunk(transaction, run, first_row)).await
    }
}

impl StoredRun {
    /// Refuses a run whose operations are not those that it began with: a bit of them may have changed on the disk, and would be
    /// sent, or taken back.
    ///
    /// # Errors
    /// [`StoreError::Altered`] when `found` is the digest of others.
    pub(crate) fn refuse_altered(&self, found: &OperationsDigest) -> Result<(), StoreError> {
        let NewRun { run_id, operations_digest, .. } = &self.description;
        if found.is_contradicted_by(operations_digest) { Err(StoreError::Altered(run_id.clone())) } else { Ok(()) }
    }
}

/// How many rows can be read from the first one on without a gap. Each has a byte at least.
pub(in crate::store) fn count_rows(transaction: &Transaction<'_>, run: RunKey) -> Result<u64, SqlError> {
    let mut statement = transaction.prepare_cached(
        "SELECT first_row, row_count FROM input_chunk WHERE run_key = ?1 AND length(records) >= row_count
             ORDER BY first_row",
    )?;
    let mut pieces = statement.query([run.0])?;
    let mut found = 0_u64;
    while let Some(piece) = pieces.next()? {
        if u64::from(piece.get::<u32>(0)?) != found + 1 {
            break;
        }
        found += u64::from(piece.get::<u32>(1)?);
    }
    Ok(found)
}

pub(super) fn read_run(row: &Row<'_>) -> Result<StoredRun, SqlError> {
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
            delimiter: read_delimiter(row, 8)?,
            byte_order_mark: row.get(9)?,
            header: serde_json::from_str(&header).map_err(|_not_json| damaged(10, "the header of a run"))?,
            row_count: row.get(11)?,
            kind: RunKind::from_name(&row.get::<String>(13)?).ok_or_else(|| damaged(13, "the kind of a run"))?,
            input_digest: row.get(14)?,
            operations_digest: row.get(15)?,
            results_path: row.get::<Option<String>>(16)?.filter(|path| is_plain_path(path)),
        },
    })
}

/// A delimiter that inputs may have; any other would take the records apart elsewhere.
pub(in crate::store) fn read_delimiter(row: &Row<'_>, column: usize) -> Result<u8, SqlError> {
    let delimiter: u8 = row.get(column)?;
    let is_delimiter = (delimiter.is_ascii_punctuation() && delimiter != b'"') || matches!(delimiter, b'\t' | b' ');
    if is_delimiter { Ok(delimiter) } else { Err(damaged(column, "a delimiter")) }
}

/// Whether results may be written to a path that stands in the database: it names a file as this program would have
/// written it down, and no device.
fn is_plain_path(path: &str) -> bool {
    let is_harmless = path.len() <= LONGEST_PATH && !path.chars().any(char::is_control);
    is_harmless && Path::new(path).is_absolute() && Path::new(path).metadata().map_or(true, |found| found.is_file())
}

fn read_chunk(transaction: &Transaction<'_>, run: RunKey, first_row: u32) -> Result<Option<StoredChunk>, SqlError> {
    let Some((records, links, rows)) = transaction
        .prepare_cached("SELECT records, operations, row_count FROM input_chunk WHERE run_key = ?1 AND first_row = ?2")?
        .query_row(params![run.0, first_row], |row| {
            Ok((row.get::<Vec<u8>>(0)?, row.get::<Vec<u8>>(1)?, row.get::<u32>(2)?))
        })
        .optional()?
    else {
        return Ok(None);
    };
    let links = decode_links(&links).filter(|links| links.len() == rows as usize);
    let links = links.ok_or_else(|| damaged(1, "the operations of a row"))?;
    let decoded = decode_records(records, links.len());
    let (numbers, records) = decoded.ok_or_else(|| damaged(0, "the numbers of rows"))?;
    let operations = read_operations(transaction, run, &links)?;
    let last_row = first_row.saturating_add(u32::try_from(links.len()).unwrap_or(u32::MAX));
    let mut statement = transaction
        .prepare_cached("SELECT row, code, message FROM row_problem WHERE run_key = ?1 AND row >= ?2 AND row < ?3")?;
    let problems = statement
        .query_map(params![run.0, first_row, last_row], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect::<Result<_, _>>()?;
    let input = InputChunk { first_row, numbers, records, operations: links };
    Ok(Some(StoredChunk { input, operations, problems }))
}

/// The operations that answer some rows. A server is asked for all of them at once: each way there takes longer than the rest.
fn read_operations(
    transaction: &Transaction<'_>,
    run: RunKey,
    links: &[Vec<OperationId>],
) -> Result<HashMap<OperationId, StoredOperation>, SqlError> {
    let mut operations = HashMap::with_capacity(links.len());
    let wanted = format!("SELECT {OPERATION_COLUMNS} FROM operation WHERE run_key = ?1 AND operation_number");
    if transaction.sqlite().is_some() {
        let mut statement = transaction.prepare_cached(&format!("{wanted} = ?2"))?;
        for operation in links.iter().flatten() {
            if !operations.contains_key(operation) {
                operations.insert(*operation, statement.query_row(params![run.0, operation.0], read_operation)?);
            }
        }
        return Ok(operations);
    }
    let numbers: BTreeSet<u32> = links.iter().flatten().map(|operation| operation.0).collect();
    let list = serde_json::json!(numbers).to_string();
    let mut statement = transaction.prepare_cached(&format!(
        "{wanted} IN (SELECT CAST(one AS BIGINT) FROM json_array_elements_text(CAST(?2 AS json)) AS one)"
    ))?;
    let mut rows = statement.query(params![run.0, list])?;
    while let Some(row) = rows.next()? {
        operations.insert(OperationId(row.get(10)?), read_operation(&row)?);
    }
    if operations.len() == numbers.len() { Ok(operations) } else { Err(SqlError::NoRow) }
}

/// The columns that [`read_operation`] reads, and the number.
const OPERATION_COLUMNS: &str =
    "state, ambiguous, attempts, http_status, error_code, error_message, request_id, before,
    after, finished_at, operation_number";

fn read_operation(row: &Row<'_>) -> Result<StoredOperation, SqlError> {
    Ok(StoredOperation {
        state: OperationState::from_number(row.get(0)?).ok_or_else(|| damaged(0, "the state of an operation"))?,
        ambiguous: row.get(1)?,
        attempts: row.get(2)?,
        answer: AnswerFacts {
            http_status: row.get(3)?,
            error_code: row.get::<Option<String>>(4)?.map(String::into_boxed_str),
            error_message: row.get::<Option<String>>(5)?.map(String::into_boxed_str),
            request_id: row.get::<Option<String>>(6)?.map(String::into_boxed_str),
        },
        before: read_held(row, 7)?,
        after: read_held(row, 8)?,
        finished_at: row.get::<Option<i64>>(9)?.map(timestamp),
    })
}
