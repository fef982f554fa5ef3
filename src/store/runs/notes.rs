//! What a run notes of itself for its report: in which sessions, under which quota, what was foretold, where the time went and
//! why it ended; and of which group and platform the machine of each operation is.
//!
//! Nothing here decides anything, and a run goes on as well without it. What surprises: a command that resumes a run is
//! a session of its own, and one whose process died has no end. The kinds of machines stand beside the operations, four
//! bytes each in pieces of some thousand, since a column of theirs would be written a million times.

use std::time::Duration;

use jiff::Timestamp;

use crate::quota::QuotaScope;
use crate::store::engine::sql::{Row, SqlError, Transaction, params};
use crate::store::forms::encoding::{damaged, quota_scope_number, read_quota_scope, timestamp};
use crate::store::forms::run::RunKey;
use crate::store::{Reader, Store, StoreError};

/// A limit of the quota as it is kept: calls, and the microseconds of their window.
type StoredLimit = (u32, u64);
/// A point of a schedule as it is kept: microseconds since the beginning, and operations that are done by then.
type StoredPoint = (u64, u64);

/// A limit that calls were made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeptLimit {
    /// Length of the window.
    pub window: Duration,
    /// Calls in any window of that length.
    pub calls: u32,
}

/// A moment of a schedule, from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForetoldPoint {
    /// How long after the beginning.
    pub after: Duration,
    /// Operations that are done by then.
    pub done: u64,
}

/// A command that begins to carry a run out.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewRunSession {
    /// The version of the program.
    pub version: &'static str,
    /// The limits that it keeps.
    pub limits: Vec<KeptLimit>,
    /// Whether all calls count together.
    pub quota_scope: QuotaScope,
    /// What its plan foretells.
    pub foretold: Vec<ForetoldPoint>,
    /// Options that whoever reads rows of its input again must repeat; each with a blank before it.
    pub reading_options: String,
}

/// How a session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunSessionEnd {
    /// Why, as a word.
    pub ended: String,
    /// Why it stopped early, as the rest of a sentence; `None` where it did not.
    pub reason: Option<String>,
    /// What to do about that.
    pub hint: Option<String>,
    /// What to do next with its rows.
    pub next: Option<String>,
    pub exit_status: u8,
    /// Where the time went, by names that the report has for it.
    pub spent: Vec<(String, Duration)>,
}

/// A command that carried a run out, or tried to.
#[derive(Clone, Debug)]
pub(crate) struct RunSession {
    /// The version of the program.
    pub version: String,
    /// The limits that it kept, shortest window first.
    pub limits: Vec<KeptLimit>,
    /// Whether all calls counted together.
    pub quota_scope: QuotaScope,
    /// What its plan foretold.
    pub foretold: Vec<ForetoldPoint>,
    /// Options that whoever reads rows of its input again must repeat; each with a blank before it.
    pub reading_options: String,
    /// When its calls began.
    pub began_at: Timestamp,
    /// When it ended, and how; `None` while it goes on, and where its process died.
    pub end: Option<(Timestamp, RunSessionEnd)>,
    /// The process, which tells its calls.
    pub(in crate::store) process_key: i64,
    /// The system's number of that process, and its host, while it is known.
    pub process: Option<(u32, String)>,
}

/// Of what kind a machine is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct MachineKind {
    /// Its machine group.
    pub group: Option<String>,
    pub platform: Option<String>,
}

impl Store {
    /// Notes that this process begins to carry a run out.
    pub(crate) async fn begin_session(&self, run: RunKey, session: NewRunSession) -> Result<(), StoreError> {
        let (now, process_key) = (self.clock.wall_time().as_microsecond(), self.identity.process_key);
        let limits: Vec<StoredLimit> =
            session.limits.iter().map(|limit| (limit.calls, microseconds(limit.window))).collect();
        let foretold: Vec<StoredPoint> =
            session.foretold.iter().map(|point| (microseconds(point.after), point.done)).collect();
        let (limits, foretold) = (json(&limits), json(&foretold));
        self.writer
            .run_repeatable(1, move |transaction| {
                transaction.execute(
                    "INSERT INTO sitting (run_key, process_key, version, limits, quota_scope, foretold, reading_options,
                         began_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        run.0,
                        process_key,
                        session.version,
                        limits,
                        quota_scope_number(session.quota_scope),
                        foretold,
                        session.reading_options,
                        now
                    ],
                )?;
                Ok(())
            })
            .await
    }

    /// Notes how the session of this process at a run ended.
    pub(crate) async fn end_session(&self, run: RunKey, end: RunSessionEnd) -> Result<(), StoreError> {
        let (now, process_key) = (self.clock.wall_time().as_microsecond(), self.identity.process_key);
        let spent: Vec<(String, u64)> = end.spent.into_iter().map(|(part, time)| (part, microseconds(time))).collect();
        let spent = json(&spent);
        self.writer
            .run_repeatable(1, move |transaction| {
                transaction.execute(
                    "UPDATE sitting SET ended_at = ?2, ended = ?3, reason = ?4, hint = ?5, exit_status = ?6, spent = ?7, next = ?9
                     WHERE sitting_key = (SELECT max(sitting_key) FROM sitting WHERE run_key = ?1 AND process_key = ?8)",
                    params![run.0, now, end.ended, end.reason, end.hint, end.exit_status, spent, process_key, end.next],
                )?;
                Ok(())
            })
            .await
    }

    /// Adds kinds of machines, numbered from `first_number` on.
    pub(crate) async fn add_machine_kinds(
        &self,
        run: RunKey,
        first_number: u32,
        kinds: Vec<MachineKind>,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "INSERT INTO machine_kind (run_key, kind_number, machine_group, platform) VALUES (?1, ?2, ?3, ?4)",
                )?;
                for (number, kind) in (first_number..).zip(&kinds) {
                    statement.execute(params![run.0, number, kind.group, kind.platform])?;
                }
                Ok(())
            })
            .await
    }

    /// Notes the kinds of the machines of operations, by number, from this operation on.
    pub(crate) async fn note_machine_kinds(
        &self,
        run: RunKey,
        first_operation: u32,
        kinds: Vec<u32>,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let bytes: Vec<u8> = kinds.iter().flat_map(|kind| kind.to_le_bytes()).collect();
                transaction.execute(
                    "INSERT INTO operation_kinds (run_key, first_operation, kinds) VALUES (?1, ?2, ?3)",
                    params![run.0, first_operation, bytes],
                )?;
                Ok(())
            })
            .await
    }
}

impl Reader {
    /// Who sat at a run, in the order in which they did.
    pub(crate) async fn sessions(&self, run: RunKey) -> Result<Vec<RunSession>, StoreError> {
        self.connection.run(move |transaction| sessions(transaction, run)).await
    }

    /// The kinds of machines of a run, by number.
    pub(crate) async fn machine_kinds(&self, run: RunKey) -> Result<Vec<MachineKind>, StoreError> {
        self.connection
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "SELECT machine_group, platform FROM machine_kind WHERE run_key = ?1 ORDER BY kind_number",
                )?;
                let rows = statement
                    .query_map([run.0], |row| Ok(MachineKind { group: row.get(0)?, platform: row.get(1)? }))?;
                rows.collect()
            })
            .await
    }
}

pub(in crate::store) fn sessions(transaction: &Transaction<'_>, run: RunKey) -> Result<Vec<RunSession>, SqlError> {
    let mut statement = transaction.prepare_cached(
        "SELECT process_key, version, limits, quota_scope, foretold, began_at, ended_at, sitting.ended, reason, hint,
             exit_status, spent, next, reading_options, system_process_id, host
         FROM sitting LEFT JOIN process USING (process_key) WHERE run_key = ?1 ORDER BY sitting_key",
    )?;
    let rows = statement.query_map([run.0], read_session)?;
    rows.collect()
}

fn read_session(row: &Row<'_>) -> Result<RunSession, SqlError> {
    let limits: Vec<StoredLimit> = read_json(row, 2, "the quota of a run")?;
    let foretold: Vec<StoredPoint> = read_json(row, 4, "the schedule of a run")?;
    let end = match row.get::<Option<i64>>(6)? {
        None => None,
        Some(ended_at) => {
            let spent: Vec<(String, u64)> = read_json(row, 11, "the time of a run")?;
            let spent = spent.into_iter().map(|(part, time)| (part, Duration::from_micros(time))).collect();
            let (ended, exit_status) = (row.get(7)?, row.get(10)?);
            let (reason, hint, next) = (row.get(8)?, row.get(9)?, row.get(12)?);
            let end = RunSessionEnd { ended, reason, hint, next, exit_status, spent };
            Some((timestamp(ended_at), end))
        }
    };
    let limit = |(calls, window): StoredLimit| KeptLimit { window: Duration::from_micros(window), calls };
    let point = |(after, done): StoredPoint| ForetoldPoint { after: Duration::from_micros(after), done };
    let process = row.get::<Option<u32>>(14)?.zip(row.get(15)?);
    Ok(RunSession {
        process_key: row.get(0)?,
        process,
        version: row.get(1)?,
        limits: limits.into_iter().map(limit).collect(),
        quota_scope: read_quota_scope(row, 3)?,
        foretold: foretold.into_iter().map(point).collect(),
        reading_options: row.get(13)?,
        began_at: timestamp(row.get(5)?),
        end,
    })
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Lists of numbers and words always have a form in JSON.
fn json(list: &impl serde::Serialize) -> String {
    serde_json::to_string(list).unwrap_or_else(|_never| "[]".to_owned())
}

fn read_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize, what: &'static str) -> Result<T, SqlError> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|_not_json| damaged(column, what))
}
