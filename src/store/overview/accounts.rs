//! Calls and operations of a run, one by one for whoever counts them: never held all at once, for there may be a million.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::clock::BootTime;
use crate::model::{Bucket, Change, OperationId, Status, TagAction, TagNumber};
use crate::store::engine::sql::{Optional as _, Row, SqlError, Transaction, params};
use crate::store::forms::encoding::{
    CHANGE_ADD_TAG, CHANGE_REMOVE_TAG, DEVICE_VALUES, bucket_number, damaged, timestamp,
};
use crate::store::forms::run::{OperationState, RunKey};
use crate::store::runs::notes::{RunSession, sessions};
use crate::store::slots::unheard::unheard_operations;
use crate::store::{Reader, StoreError};

/// A call as it stands in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct CallRecord {
    /// The bucket that it counts in.
    pub bucket: Bucket,
    /// The kind of call, under the name that the ledger has for it.
    pub kind: String,
    /// Which session at the run made it, from 0; `None` for another run of the same tenant and app, which uses the same
    /// quota.
    pub session: Option<usize>,
    /// Which clock stamped it.
    pub timeline: i64,
    /// When it was let through, on that clock.
    pub started: BootTime,
    /// When it was over on that clock; `None` for one in flight.
    pub ended: Option<BootTime>,
    /// When it was let through, for people.
    pub started_at: Timestamp,
    /// The HTTP status of its answer.
    pub http_status: Option<u16>,
    /// What was decided about it.
    pub verdict: Option<String>,
}

/// An operation as it stands in the books.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperationRecord {
    /// What it does.
    pub change: Change<TagNumber>,
    /// The number of its machine's kind, if that was noted.
    pub machine_kind: Option<u32>,
    /// What it means to the reader of results.
    pub status: Status,
    /// Whether it was sent, or is still to be.
    pub is_for_calls: bool,
    /// When its outcome was stored.
    pub finished_at: Option<Timestamp>,
}

/// The calls that a run is about: those that read the machines for it, too.
#[derive(Clone, Copy, Debug)]
struct CallRange {
    first: i64,
    last: i64,
    account_key: i64,
}

impl Reader {
    /// When the first and the last call of a run were let through.
    pub(crate) async fn call_span(&self, run: RunKey) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
        self.connection
            .run(move |transaction| {
                let Some(range) = call_range(transaction, run)? else { return Ok(None) };
                let mut query = transaction.prepare_cached("SELECT started_at FROM attempt WHERE attempt_key = ?1")?;
                let mut started_at = |key: i64| query.query_row([key], |row| Ok(timestamp(row.get(0)?)));
                Ok(Some((started_at(range.first)?, started_at(range.last)?)))
            })
            .await
    }

    /// Tells every call of a run's tenant and app from so long before its first call to its last one, in the order in which
    /// they were let through.
    pub(crate) async fn tell_calls<State: Clone + Send + 'static>(
        &self,
        run: RunKey,
        before: std::time::Duration,
        mut state: State,
        tell: impl Fn(&mut State, &CallRecord) + Clone + Send + 'static,
    ) -> Result<State, StoreError> {
        self.connection
            .run(move |transaction| {
                let Some(range) = call_range(transaction, run)? else { return Ok(state) };
                let sessions = sessions(transaction, run)?;
                let first = first_within(transaction, range, before)?;
                let mut statement = transaction.prepare_cached(
                    "SELECT bucket, call_kind, run_key, process_key, timeline_key, started, ended, started_at,
                         http_status, verdict
                     FROM attempt WHERE attempt_key BETWEEN ?1 AND ?2 AND account_key = ?3 ORDER BY attempt_key",
                )?;
                let mut rows = statement.query(params![first, range.last, range.account_key])?;
                while let Some(row) = rows.next()? {
                    tell(&mut state, &read_call(&row, run, &sessions)?);
                }
                Ok(state)
            })
            .await
    }

    /// Tells every operation of a run, in the order of their numbers.
    pub(crate) async fn tell_operations<State: Clone + Send + 'static>(
        &self,
        run: RunKey,
        mut state: State,
        tell: impl Fn(&mut State, &OperationRecord) + Clone + Send + 'static,
    ) -> Result<State, StoreError> {
        self.connection
            .run(move |transaction| {
                let in_doubt = unheard_operations(transaction, run)?;
                let mut statement = transaction.prepare_cached(
                    "SELECT operation_number, change_kind, change_argument, state, ambiguous, attempts, finished_at
                     FROM operation WHERE run_key = ?1 ORDER BY operation_number",
                )?;
                let mut kinds = KindPieces::of(transaction, run)?;
                let mut rows = statement.query([run.0])?;
                while let Some(row) = rows.next()? {
                    let number: u32 = row.get(0)?;
                    let machine_kind = kinds.kind(number);
                    tell(&mut state, &read_operation(&row, OperationId(number), machine_kind, &in_doubt)?);
                }
                Ok(state)
            })
            .await
    }

    /// The tags of a run that have these numbers.
    pub(crate) async fn tags_of(&self, run: RunKey, numbers: Vec<TagNumber>) -> Result<Vec<String>, StoreError> {
        self.connection
            .run(move |transaction| {
                let mut query =
                    transaction.prepare_cached("SELECT tag FROM tag WHERE run_key = ?1 AND tag_number = ?2")?;
                let mut tag = |number: TagNumber| query.query_row(params![run.0, number.0], |row| row.get(0));
                numbers.into_iter().map(&mut tag).collect()
            })
            .await
    }
}

/// The calls of a run with `WITH own AS`. Whoever reads the machines has no run yet; its process is known by its session.
pub(super) const WITH_CALLS_OF_RUN: &str = "WITH own AS (
     SELECT attempt_key FROM attempt WHERE run_key = ?1
     UNION ALL
     SELECT attempt_key FROM attempt JOIN run ON run.run_key = ?1 AND run.account_key = attempt.account_key
     WHERE attempt.run_key IS NULL AND call_kind IN ('list', 'get')
         AND attempt.process_key IN (SELECT process_key FROM sitting WHERE run_key = ?1))";

fn call_range(transaction: &Transaction<'_>, run: RunKey) -> Result<Option<CallRange>, SqlError> {
    transaction
        .prepare_cached(&format!(
            "{WITH_CALLS_OF_RUN}
             SELECT min(own.attempt_key), max(own.attempt_key), min(account_key)
             FROM own, run WHERE run_key = ?1 HAVING count(*) > 0",
        ))?
        .query_row([run.0], |row| Ok(CallRange { first: row.get(0)?, last: row.get(1)?, account_key: row.get(2)? }))
        .optional()
}

/// The first call that may count in a window of this length with those of the run.
fn first_within(transaction: &Transaction<'_>, range: CallRange, before: std::time::Duration) -> Result<i64, SqlError> {
    let before = i64::try_from(before.as_micros()).unwrap_or(i64::MAX);
    // Looked for backwards: the ledger may hold years.
    let last_outside: Option<i64> = transaction
        .prepare_cached(
            "SELECT attempt_key FROM attempt WHERE attempt_key < ?1
                 AND started_at < (SELECT started_at FROM attempt WHERE attempt_key = ?1) - ?2
             ORDER BY attempt_key DESC LIMIT 1",
        )?
        .query_row(params![range.first, before], |row| row.get(0))
        .optional()?;
    Ok(last_outside.map_or(0, |key| key.saturating_add(1)))
}

fn read_call(row: &Row<'_>, run: RunKey, sessions: &[RunSession]) -> Result<CallRecord, SqlError> {
    let bucket: u8 = row.get(0)?;
    let (of_run, process_key): (Option<i64>, i64) = (row.get(2)?, row.get(3)?);
    let is_candidate = of_run.is_none_or(|of_run| of_run == run.0);
    let session = sessions.iter().rposition(|session| is_candidate && session.process_key == process_key);
    Ok(CallRecord {
        bucket: Bucket::ALL
            .into_iter()
            .find(|known| bucket_number(*known) == bucket)
            .ok_or_else(|| damaged(0, "the bucket of a call"))?,
        kind: row.get(1)?,
        // Before sessions were noted, a run had none.
        session: session.or((of_run == Some(run.0)).then_some(0)),
        timeline: row.get(4)?,
        started: BootTime::from_microseconds(row.get(5)?),
        ended: row.get::<Option<i64>>(6)?.map(BootTime::from_microseconds),
        started_at: timestamp(row.get(7)?),
        http_status: row.get(8)?,
        verdict: row.get(9)?,
    })
}

fn read_operation(
    row: &Row<'_>,
    number: OperationId,
    machine_kind: Option<u32>,
    in_doubt: &HashSet<OperationId>,
) -> Result<OperationRecord, SqlError> {
    let (kind, argument): (u8, u32) = (row.get(1)?, row.get(2)?);
    let change = match kind {
        CHANGE_ADD_TAG => Change::Tag(TagAction::Add, TagNumber(argument)),
        CHANGE_REMOVE_TAG => Change::Tag(TagAction::Remove, TagNumber(argument)),
        _ => {
            let value = DEVICE_VALUES.get(argument as usize).ok_or_else(|| damaged(2, "a device value"))?;
            Change::DeviceValue(*value)
        }
    };
    let state = OperationState::from_number(row.get(3)?).ok_or_else(|| damaged(3, "the state of an operation"))?;
    let attempts: u32 = row.get(5)?;
    Ok(OperationRecord {
        change,
        machine_kind,
        status: state.status(row.get::<bool>(4)? || in_doubt.contains(&number)),
        is_for_calls: attempts > 0 || matches!(state, OperationState::Pending),
        finished_at: row.get::<Option<i64>>(6)?.map(timestamp),
    })
}

/// The kinds of machines of operations whose numbers grow.
struct KindPieces {
    /// How many there are; no number is larger, whatever a damaged state says.
    kinds: u32,
    /// First operation and kinds, the first piece last.
    pieces: Vec<(u32, Vec<u8>)>,
}

impl KindPieces {
    fn of(transaction: &Transaction<'_>, run: RunKey) -> Result<Self, SqlError> {
        let kinds = transaction
            .prepare_cached("SELECT count(*) FROM machine_kind WHERE run_key = ?1")?
            .query_row([run.0], |row| row.get(0))?;
        let mut statement = transaction.prepare_cached(
            "SELECT first_operation, kinds FROM operation_kinds WHERE run_key = ?1 ORDER BY first_operation DESC",
        )?;
        let rows = statement.query_map([run.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Self { kinds, pieces: rows.collect::<Result<_, _>>()? })
    }

    fn kind(&mut self, operation: u32) -> Option<u32> {
        loop {
            let (first, kinds) = self.pieces.last()?;
            let position = operation.checked_sub(*first)? as usize * size_of::<u32>();
            match kinds.get(position..position + size_of::<u32>()) {
                Some(bytes) => {
                    let kind = u32::from_le_bytes(bytes.try_into().ok()?);
                    return (kind < self.kinds).then_some(kind);
                }
                None => self.pieces.pop(),
            };
        }
    }
}

/// What stands in the place of a kind where the machine is not known.
pub(crate) const NO_KIND: u32 = u32::MAX;
