//! A state as a whole: where it is, how large, and who is at work.

use jiff::Timestamp;

use super::listing::RunProcess;
use crate::store::engine::schema::SCHEMA_VERSION;
use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::forms::encoding::timestamp;
use crate::store::{Reader, StoreError};

/// What there is to say about a state as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Overview {
    /// What keeps it, with the version.
    pub engine: String,
    /// The form of its tables.
    pub form: i32,
    /// How much room it takes.
    pub bytes: u64,
    /// How many runs it knows.
    pub runs: u64,
    /// Processes that live, the oldest first.
    pub at_work: Vec<AtWork>,
}

/// A process that lives.
#[derive(Clone, Debug)]
pub(crate) struct AtWork {
    pub process: RunProcess,
    /// The run that it has claimed, if any.
    pub run_id: Option<String>,
}

impl Reader {
    /// The state as a whole.
    pub(crate) async fn overview(&self) -> Result<Overview, StoreError> {
        let dead = self.dead_processes().await?;
        self.connection
            .run(move |transaction| {
                let at_work = living(transaction)?.into_iter().filter(|(key, _)| !dead.contains(key));
                let runs = "SELECT count(*) FROM run WHERE state <> 'removing'";
                let (engine, bytes) = engine_and_bytes(transaction)?;
                Ok(Overview {
                    engine,
                    form: SCHEMA_VERSION,
                    bytes,
                    runs: transaction.query_row(runs, params![], |row| row.get::<i64>(0))?.unsigned_abs(),
                    at_work: at_work.map(|(_, process)| process).collect(),
                })
            })
            .await
    }
}

/// Processes of which nobody has noted that they are dead, by their keys.
fn living(transaction: &Transaction<'_>) -> Result<Vec<(i64, AtWork)>, SqlError> {
    let mut statement = transaction.prepare_cached(
        "SELECT process_key, host, system_process_id, started_at,
             (SELECT max(run_id) FROM run WHERE run.process_key = process.process_key
                 AND state IN ('preparing', 'running', 'revisited'))
         FROM process WHERE ended = 0 ORDER BY process_key",
    )?;
    let rows = statement.query_map(params![], |row| {
        let started_at: Timestamp = timestamp(row.get(3)?);
        let process = RunProcess { host: row.get(1)?, system_process_id: row.get(2)?, started_at, is_alive: true };
        Ok((row.get(0)?, AtWork { process, run_id: row.get(4)? }))
    })?;
    rows.collect()
}

fn engine_and_bytes(transaction: &Transaction<'_>) -> Result<(String, u64), SqlError> {
    let (name, sql) = match transaction.sqlite() {
        Some(_) => {
            ("SQLite", "SELECT sqlite_version(), page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        }
        None => (
            "PostgreSQL",
            "SELECT current_setting('server_version'), CAST(sum(pg_total_relation_size(pg_class.oid)) AS BIGINT)
             FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
             WHERE nspname = 'tagfleet' AND relkind = 'r'",
        ),
    };
    transaction.query_row(sql, params![], |row| {
        let version: String = row.get(0)?;
        Ok((format!("{name} {version}"), row.get::<i64>(1)?.unsigned_abs()))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::clock::{SharedClock, SystemClock};
    use crate::store::{NewRun, Store};

    #[tokio::test]
    async fn who_is_at_work_is_known_until_he_is_gone() {
        let place = tempfile::tempdir().expect("a directory");
        let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
        let state = place.path().join("state");
        let store = Store::open(&state, clock.clone()).await.expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let run = NewRun { run_id: "first".into(), ..NewRun::sample(account) };
        let run = store.create_run(run).await.expect("a run");
        store.claim_run(run).await.expect("an answer");
        let other = Store::open(&state, clock.clone()).await.expect("a store");
        let overview = other.overview().await.expect("an answer");
        assert_eq!((overview.runs, overview.at_work.len()), (1, 2), "{overview:?}");
        assert_eq!(overview.at_work[0].run_id.as_deref(), Some("first"));
        assert_eq!(overview.at_work[1].run_id, None);
        assert!(overview.bytes > 0 && overview.engine.contains(' '), "{overview:?}");
        drop(store);
        let overview = other.overview().await.expect("an answer");
        assert_eq!((overview.runs, overview.at_work.len()), (1, 1), "{overview:?}");
    }
}
