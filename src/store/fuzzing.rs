//! State directories whose database somebody, or a disk, has damaged.
#![expect(clippy::expect_used, reason = "a panic is how a target reports")]

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rusqlite::types::Value;
use tempfile::TempDir;

use super::*;
use crate::clock::SharedClock;
use crate::clock::SystemClock;
use crate::model::{AnswerFacts, Bucket, Change, DeviceValue, Held, MachineId, OperationId, Tag, TagAction, TagNumber};
use crate::store::engine::file_names::DATABASE_NAME;
use rusqlite::Connection;

/// The most damages to one database.
const MOST_DAMAGES: usize = 24;
/// Numbers at which something ends.
const EDGES: [i64; 8] = [i64::MIN, -1, 0, 255, 65_536, u32::MAX as i64, u32::MAX as i64 + 1, i64::MAX];

/// A database as a few runs leave it, and the same without what keeps wrong types out.
struct Sample {
    sound: Vec<u8>,
    loose: Vec<u8>,
    /// Each column of each table.
    columns: Vec<(String, String)>,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let place = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(write_runs(place.path()));
    drop(runtime);
    let file = place.path().join(DATABASE_NAME);
    let connection = Connection::open(&file).expect("the database");
    // What is in the journal belongs to it.
    let checkpoint = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    assert_eq!(checkpoint, Ok(0), "nobody else has it open");
    let sound = std::fs::read(&file).expect("the database");
    let columns =
        "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
                   WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'";
    let mut statement = connection.prepare(columns).expect("the schema");
    let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("columns");
    let columns = columns.collect::<Result<_, _>>().expect("columns");
    drop(statement);
    connection
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(replace(replace(sql, 'STRICT,', ''), 'STRICT', ''), ' NOT NULL', '')
                 WHERE type = 'table';
             PRAGMA journal_mode = DELETE;",
        )
        .expect("a schema that takes everything");
    drop(connection);
    Sample { sound, loose: std::fs::read(&file).expect("the database"), columns }
});

/// A state whose database has bytes changed, cut off and moved.
pub(crate) fn with_damaged_bytes(damages: &[u8]) -> TempDir {
    let mut bytes = SAMPLE.sound.clone();
    for damage in damages.chunks_exact(8).take(MOST_DAMAGES) {
        let &[kind, high, middle, low, value, other_high, other_middle, other_low] = damage else { continue };
        let at = |bytes: [u8; 3], length: usize| {
            let [high, middle, low] = bytes.map(usize::from);
            (high << 16 | middle << 8 | low) % length.max(1)
        };
        let (from, to) = (at([high, middle, low], bytes.len()), at([other_high, other_middle, other_low], bytes.len()));
        match kind % 4 {
            0 => bytes.iter_mut().skip(from).take(1).for_each(|byte| *byte = value),
            1 => bytes.iter_mut().skip(from).take(usize::from(value) + 1).for_each(|byte| *byte = other_low),
            2 => bytes.truncate(from.max(512)),
            _ => {
                let moved: Vec<u8> = bytes.iter().skip(from).take(usize::from(value) * 16).copied().collect();
                bytes.iter_mut().skip(to).zip(moved).for_each(|(byte, moved)| *byte = moved);
            }
        }
    }
    state_with(&bytes)
}

/// A state whose tables hold values that this program never writes.
pub(crate) fn with_damaged_values(damages: &[u8]) -> TempDir {
    let place = state_with(&SAMPLE.loose);
    let connection = Connection::open(place.path().join(DATABASE_NAME)).expect("a database");
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;").expect("no waiting");
    let mut rest = damages;
    for _ in 0..MOST_DAMAGES {
        let Some((&[column, row, kind, length], after)) = rest.split_first_chunk::<4>() else { break };
        let (text, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let Some((table, column)) = SAMPLE.columns.get(usize::from(column) % SAMPLE.columns.len()) else { break };
        let value = match kind % 6 {
            0 => Value::Null,
            1 => Value::Integer(text.iter().fold(0, |number, byte| number << 8 | i64::from(*byte))),
            2 => Value::Integer(EDGES.get(usize::from(length) % EDGES.len()).copied().unwrap_or(0)),
            3 => Value::Real(f64::from(length) / 7.0),
            4 => Value::Text(String::from_utf8_lossy(text).into_owned()),
            _ => Value::Blob(text.to_vec()),
        };
        let statement = format!(
            "UPDATE OR IGNORE \"{table}\" SET \"{column}\" = ?1
             WHERE \"{column}\" IS (SELECT \"{column}\" FROM \"{table}\" LIMIT 1 OFFSET ?2)"
        );
        // What a key cannot hold stays as it is.
        let _kept = connection.execute(&statement, rusqlite::params![value, row % 8]);
    }
    place
}

fn state_with(database: &[u8]) -> TempDir {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join(DATABASE_NAME), database).expect("a database");
    place
}

/// A run that stopped with calls in flight, and the undo of another.
async fn write_runs(directory: &Path) {
    let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
    let store = Store::open(directory, clock).await.expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    for (run_id, kind) in [("20261122-163112-9ncgtw", RunKind::Apply), ("20261122-170000-abcdef", RunKind::Undo)] {
        let run = NewRun {
            run_id: run_id.into(),
            kind,
            input_digest: "1".into(),
            operations_digest: "2".into(),
            host: "api.security.microsoft.com".into(),
            input_path: "/home/u/retag.csv".into(),
            results_path: Some("/home/u/retag.results.csv".into()),
            note: Some("CHG0001".into()),
            byte_order_mark: true,
            header: ["machineId", "tag", "action", "value"].map(str::to_owned).to_vec(),
            row_count: 4,
            ..NewRun::sample(account)
        };
        let run = store.create_run(run).await.expect("a run");
        let records = b"\n1e5bc9d7,Tier 0,Add,\n1e5bc9d8,Tier 1,Remove,High\nx,,,\n1e5bc9d9,,,Low\n".to_vec();
        let answering = [vec![0], vec![1, 2], vec![], vec![3]];
        let operations = answering.map(|numbers| numbers.into_iter().map(OperationId).collect()).to_vec();
        store
            .add_chunks(run, vec![InputChunk { first_row: 1, numbers: vec![], records, operations }])
            .await
            .expect("rows");
        let tags = ["Tier 0", "Tier 1"].map(|tag| Tag::new(tag).expect("a tag")).to_vec();
        store.add_tags(run, 0, tags).await.expect("tags");
        store.add_operations(run, (0..4).map(operation).collect()).await.expect("operations");
        let problem = (3, "missing_machine", "the machine is missing".to_owned());
        store.add_problems(run, vec![problem]).await.expect("a problem");
        store.set_run_state(run, RunState::Running).await.expect("a state");
        for number in 0..3 {
            send(&store, account, run, OperationId(number)).await;
        }
    }
}

fn operation(number: u32) -> NewOperation {
    NewOperation {
        operation: OperationId(number),
        machine: MachineId::from_service(&format!("{number:040x}")),
        change: match number {
            0 => Change::Tag(TagAction::Add, TagNumber(0)),
            1 => Change::Tag(TagAction::Remove, TagNumber(1)),
            _ => Change::DeviceValue(DeviceValue::High),
        },
        swap: (number < 2).then_some(number),
        unlisted: number == 3,
        before: if number < 2 { Held::Absent } else { Held::Value(DeviceValue::Normal) },
        settled: None,
    }
}

/// Sends an operation; the answer to the first one comes, to the second one it is lost, the third one is in flight.
async fn send(store: &Store, account: AccountKey, run: RunKey, operation: OperationId) {
    let request = AttemptRequest {
        account,
        bucket: Bucket::Tags,
        counted_buckets: vec![Bucket::Tags],
        quota: "100/1m".parse().expect("a quota"),
        run: Some(run),
        call_kind: "tags",
        operations: vec![operation],
        time_out: Duration::from_secs(30),
    };
    let Admission::Granted(ticket) = store.admit(request).await.expect("an answer") else { return };
    if operation.0 == 2 {
        return;
    }
    let is_lost = operation.0 == 1;
    let effect = OperationEffect {
        operation,
        state: (!is_lost).then_some(OperationState::Succeeded),
        ambiguous: is_lost,
        answer: AnswerFacts { http_status: (!is_lost).then_some(200), ..AnswerFacts::default() },
        after: if is_lost { Held::Unknown } else { Held::Present },
    };
    let settlement = Settlement {
        pause: is_lost.then_some((account, Bucket::Tags, ticket.started)),
        ..Settlement::of(ticket.attempt, if is_lost { AttemptEnd::GivenUp } else { AttemptEnd::Now }, vec![effect])
    };
    store.settle(settlement).await.expect("an outcome");
}
