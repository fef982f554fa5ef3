//! A state that is copied elsewhere, from one engine to the other or not: every row as it stands, page by page.
//!
//! All of it is one transaction at the destination, which is empty before. What surprises: the ledger's ages need no care.
//! Nobody reads the clocks any more that stamped its calls, so whoever comes next adopts them, as after a restart. And what
//! is copied is read within that transaction, so that it can be done over where the connection to a server is lost.

use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};

use crate::clock::SharedClock;
use crate::store::access::heartbeats::Heartbeats;
use crate::store::engine::absence::wait_for_holders;
use crate::store::engine::file_names::DATABASE_NAME;
use crate::store::engine::sql::lists::Kept;
use crate::store::engine::sql::{Parameter as _, SqlError, Transaction, Value, params};
use crate::store::forms::run::RunKey;
use crate::store::{ServerAddress, StatePlace, StoreError, server};

/// A table, and what its rows are ordered by.
type Table = (&'static str, &'static [&'static str]);

/// Every table but the one about the database itself, each after those that it names.
const TABLES: [Table; 16] = [
    ("timeline", &["timeline_key"]),
    ("process", &["process_key"]),
    ("account", &["account_key"]),
    ("run", &["run_key"]),
    ("input_chunk", &["run_key", "first_row"]),
    ("row_problem", &["run_key", "row"]),
    ("tag", &["run_key", "tag_number"]),
    ("operation", &["run_key", "operation_number"]),
    ("slot_history", &["run_key", "machine", "tag"]),
    ("attempt", &["attempt_key"]),
    ("bucket_pause", &["account_key", "bucket"]),
    ("sitting", &["sitting_key"]),
    ("machine_kind", &["run_key", "kind_number"]),
    ("operation_kinds", &["run_key", "first_operation"]),
    ("declaration_of_run", &["run_key"]),
    ("declaration", &["account_key", "host", "name"]),
];
/// What a server alone has beside the tables' own columns: it is about that server, and whoever is at work there.
const BESIDE: [&str; 6] = ["seen_at", "last_commit", "reign", "reign_seen_at", "input_host", "table_number"];
/// What one run consists of, but for its calls and its account.
pub(super) const OF_A_RUN: [&str; 5] = ["run", "input_chunk", "row_problem", "tag", "operation"];
/// How many rows are read at once.
const PAGE: usize = 1000;
/// How many values one statement may carry.
const MOST_VALUES: usize = 8000;

/// What is copied.
#[derive(Clone)]
enum Source {
    File(PathBuf),
    Server(Box<ServerAddress>),
}

impl Source {
    fn read<Answer>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<Answer, SqlError>,
    ) -> Result<Answer, SqlError> {
        match self {
            Self::Server(address) => server::read(address, work),
            Self::File(file) => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(file, flags)?;
                wait_for_holders(&connection)?;
                let transaction = connection.unchecked_transaction()?;
                work(&Transaction::within(&transaction))
            }
        }
    }
}

impl StatePlace {
    /// Copies the state to this place, and says how many rows that were; `None` when there are runs or calls already. Nobody
    /// may be at work with it. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StoreError`] when either of the two cannot be used.
    pub(crate) async fn copy_to(&self, destination: &Self, clock: SharedClock) -> Result<Option<u64>, StoreError> {
        let source = match self {
            Self::Directory(directory) => Source::File(directory.join(DATABASE_NAME)),
            Self::Server(address) => Source::Server(address.clone()),
        };
        let store = destination.open(clock).await?;
        // What is copied may have the numbers of our own clock and process, of which nothing more may be told there.
        store.identity.heartbeats.iter().for_each(Heartbeats::stop);
        let own = store.identity.process_key;
        let copied = store.writer.run(move |transaction| copy(&source, transaction, own)).await;
        if store.identity.is_on_server() && !matches!(copied, Ok(None)) {
            return copied;
        }
        let damage = store.put_in_order().await;
        damage.map_or(copied, Err)
    }
}

fn copy(source: &Source, to: &Transaction<'_>, own: i64) -> Result<Option<u64>, SqlError> {
    let has_contents = "SELECT (SELECT count(*) FROM run) + (SELECT count(*) FROM attempt) > 0";
    if to.query_row(has_contents, params![], |row| row.get(0))? {
        return Ok(None);
    }
    // Our own process stands there, which ends with this; by it a server tells later whether this was committed.
    let ours = to.sqlite().is_none().then(|| process(to, own)).transpose()?;
    for (table, _) in TABLES.iter().rev() {
        to.execute(&format!("DELETE FROM {table}"), params![])?;
    }
    let copied = source.read(|from| {
        let mut copied = 0;
        for table in &TABLES {
            copied += copy_table(from, to, table, None)?;
        }
        copy_custody(from, to)?;
        Ok(copied)
    })?;
    // None of these processes is at the destination; what they had in flight ends when it must have.
    to.execute("UPDATE process SET ended = 1", params![])?;
    if to.sqlite().is_none() {
        for (table, key) in
            TABLES.iter().filter_map(|(table, key)| Some((table, key.first().filter(|_| key.len() == 1)?)))
        {
            let next = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', '{key}'), coalesce(max({key}), 0) + 1, FALSE) FROM {table}"
            );
            to.query_row(&next, params![], |_row| Ok(()))?;
        }
    }
    if let Some(ours) = ours {
        let entry = format!("INSERT INTO process ({OF_OUR_PROCESS}, ended) VALUES (?1, ?2, ?3, ?4, 1)");
        to.execute(&entry, ours)?;
    }
    Ok(Some(copied))
}

/// What is kept of our own process.
const OF_OUR_PROCESS: &str = "lock_name, host, system_process_id, started_at";

fn process(transaction: &Transaction<'_>, key: i64) -> Result<[Kept; 4], SqlError> {
    transaction.query_row(&format!("SELECT {OF_OUR_PROCESS} FROM process WHERE process_key = ?1"), [key], |row| {
        Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
    })
}

/// Copies what one run consists of, but for its calls, into tables that are emptied before.
pub(super) fn copy_run(from: &Transaction<'_>, to: &Transaction<'_>, run: RunKey) -> Result<(), SqlError> {
    let copied = TABLES.iter().filter(|(table, _)| *table == "account" || OF_A_RUN.contains(table));
    for table in copied {
        to.execute(&format!("DELETE FROM {}", table.0), params![])?;
        copy_table(from, to, table, OF_A_RUN.contains(&table.0).then_some(run))?;
    }
    Ok(())
}

/// Copies a table, or what it has of one run, and says how many rows that were.
fn copy_table(
    from: &Transaction<'_>,
    to: &Transaction<'_>,
    (table, key): &Table,
    run: Option<RunKey>,
) -> Result<u64, SqlError> {
    let columns = columns(from, table)?;
    let listed = listed(&columns);
    let order = key.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
    let places: Vec<usize> = (1..=key.len()).collect();
    let after = places.iter().map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ");
    let mut last: Vec<Kept> = Vec::new();
    let mut copied = 0;
    loop {
        let of_run = run.map(|run| format!("run_key = {}", run.0));
        let behind = (!last.is_empty()).then(|| format!("({order}) > ({after})"));
        let conditions: Vec<String> = of_run.into_iter().chain(behind).collect();
        let condition =
            if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
        let page = format!("SELECT {listed} FROM {table} {condition} ORDER BY {order} LIMIT {PAGE}");
        let values: Vec<Value<'_>> = last.iter().map(Kept::value).collect();
        let rows = from.rows_with(&page, &values, |row| {
            (0..columns.len()).map(|column| row.get(column)).collect::<Result<Vec<Kept>, _>>()
        })?;
        let Some(final_row) = rows.last() else { return Ok(copied) };
        let of_key = |name: &&str| columns.iter().position(|column| column == name).and_then(|at| final_row.get(at));
        last = key.iter().filter_map(of_key).cloned().collect();
        for rows in rows.chunks((MOST_VALUES / columns.len().max(1)).max(1)) {
            insert(to, table, &listed, rows)?;
        }
        copied += rows.len() as u64;
    }
}

fn insert(to: &Transaction<'_>, table: &str, listed: &str, rows: &[Vec<Kept>]) -> Result<(), SqlError> {
    let mut numbers = 1_usize..;
    let places = |row: &Vec<Kept>| {
        let places: Vec<String> = numbers.by_ref().take(row.len()).map(|number| format!("?{number}")).collect();
        format!("({})", places.join(", "))
    };
    let places: Vec<String> = rows.iter().map(places).collect();
    let values: Vec<Value<'_>> = rows.iter().flatten().map(Kept::value).collect();
    to.execute_with(&format!("INSERT INTO {table} ({listed}) VALUES {}", places.join(", ")), &values).map(drop)
}

/// What is known of losses, of calls that may be missing, and of clocks; but not how often was written, and the copy is a state of
/// its own.
fn copy_custody(from: &Transaction<'_>, to: &Transaction<'_>) -> Result<(), SqlError> {
    let mut columns = columns(from, "custody")?;
    columns.retain(|column| !["only_row", "commits", "in_file", "state_id"].contains(&column.as_str()));
    for column in &columns {
        let kept: Kept = from.query_row(&format!("SELECT {column} FROM custody"), params![], |row| row.get(0))?;
        to.execute_with(&format!("UPDATE custody SET {column} = ?1"), &[kept.value()])?;
    }
    Ok(())
}

/// The names of a table's columns, as one list.
fn listed(columns: &[String]) -> String {
    columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ")
}

/// The columns of a table that both engines have.
fn columns(transaction: &Transaction<'_>, table: &str) -> Result<Vec<String>, SqlError> {
    let sql = match transaction.sqlite() {
        Some(_) => "SELECT name FROM pragma_table_info(?1) ORDER BY cid",
        None => {
            "SELECT attname::text FROM pg_attribute WHERE attrelid = CAST(CAST(?1 AS TEXT) AS REGCLASS) AND attnum > 0
                 AND NOT attisdropped ORDER BY attnum"
        }
    };
    let mut columns = transaction.rows_with(sql, &[Value::Text(table)], |row| row.get::<String>(0))?;
    columns.retain(|column| !BESIDE.contains(&column.as_str()));
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::model::{Bucket, Change, DeviceValue, Held, MachineId, OperationId};
    use crate::store::server::tests::cluster;
    use crate::store::{Admission, AttemptRequest, NewOperation, NewRun, Refusal};

    fn clock() -> SharedClock {
        Arc::new(SystemClock::new().expect("clocks"))
    }

    fn request(account: crate::store::AccountKey, run: Option<crate::store::RunKey>) -> AttemptRequest {
        AttemptRequest {
            account,
            bucket: Bucket::Value,
            counted_buckets: vec![Bucket::Value],
            quota: "1/1h".parse().expect("a quota"),
            run,
            call_kind: "value",
            operations: vec![OperationId(0)],
            time_out: std::time::Duration::from_secs(10),
        }
    }

    /// A state in a directory, with a run of more rows than a page has, and a call in flight.
    async fn state(directory: &Path) -> StatePlace {
        let place = StatePlace::Directory(directory.to_owned());
        let store = place.open(clock()).await.expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let run = NewRun { run_id: "first".into(), ..NewRun::sample(account) };
        let run = store.create_run(run).await.expect("a run");
        let operation = |number| NewOperation {
            operation: OperationId(number),
            machine: MachineId::from_service(&format!("m{number}")),
            change: Change::DeviceValue(DeviceValue::High),
            swap: None,
            unlisted: false,
            before: Held::Unknown,
            settled: None,
        };
        let operations = (0..2500).map(operation).collect();
        store.add_operations(run, operations).await.expect("operations");
        store.claim_run(run).await.expect("an answer");
        let admission = store.admit(request(account, Some(run))).await.expect("an answer");
        assert!(matches!(admission, Admission::Granted(_)), "{admission:?}");
        place
    }

    /// That the state is there as it was made: its run may be resumed, and its call counts.
    async fn check(place: &StatePlace) {
        let reader = place.read().await.expect("an answer").expect("a state");
        let run = reader.run_by_id("first").await.expect("the run");
        assert_eq!(reader.open_operations(run.key).await.expect("an answer"), 2500);
        let store = place.open(clock()).await.expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let refused = store.admit(request(account, None)).await.expect("an answer");
        assert!(matches!(refused, Admission::Refused(Refusal::Window { .. })), "{refused:?}");
        let next = NewRun { run_id: "next".into(), ..NewRun::sample(account) };
        store.create_run(next).await.expect("numbers go on where they stopped");
    }

    #[test]
    fn every_table_is_copied() {
        let connection = Connection::open_in_memory().expect("memory");
        for migration in crate::store::engine::schema::MIGRATIONS {
            connection.execute_batch(migration).expect("tables");
        }
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
        let mut tables =
            Transaction::within(&connection).rows_with(sql, &[], |row| row.get::<String>(0)).expect("names");
        let mut known: Vec<&str> = TABLES.iter().map(|(table, _)| *table).chain(["custody"]).collect();
        tables.sort_unstable();
        known.sort_unstable();
        assert_eq!(tables, known);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_state_goes_from_a_directory_to_another() {
        let folder = tempfile::tempdir().expect("a directory");
        cluster::keep_in_files(folder.path());
        let source = state(&folder.path().join("one")).await;
        let destination = StatePlace::Directory(folder.path().join("two"));
        let copied = source.copy_to(&destination, clock()).await.expect("a copy");
        assert!(copied.is_some_and(|rows| rows > 2500), "{copied:?}");
        check(&destination).await;
        assert_eq!(source.copy_to(&destination, clock()).await.expect("an answer"), None, "it is not empty any more");
        let store = destination.open(clock()).await.expect("a store");
        assert_eq!(store.unknown_calls().await.expect("the store works"), None, "it is a state of its own");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_state_goes_to_a_server_and_back() {
        let Some(address) = cluster::new_database() else { return };
        let folder = tempfile::tempdir().expect("a directory");
        cluster::keep_in_files(folder.path());
        let source = state(&folder.path().join("one")).await;
        let (server, back) = (StatePlace::Server(Box::new(address)), StatePlace::Directory(folder.path().join("two")));
        let there = source.copy_to(&server, clock()).await.expect("a copy");
        let again = server.copy_to(&back, clock()).await.expect("a copy");
        let with_mover = there.map(|rows| rows + 1);
        assert!(again.is_some() && again == with_mover, "{there:?} {again:?}");
        check(&server).await;
        check(&back).await;
    }
}
