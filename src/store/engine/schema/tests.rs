use super::*;
use crate::store::engine::absence::{Contact, Patience, wait_for_holders};
use crate::store::engine::sql::params;
use crate::store::{OperationState, Reader, StoreError};

#[test]
fn processes_that_begin_at_once_take_each_others_file_for_their_own() {
    for _ in 0..60 {
        let place = tempfile::tempdir().expect("a directory");
        let begin = std::sync::Barrier::new(4);
        let file = place.path().join("db");
        let failed = |error| StoreError::database(&file, error);
        let prepared = || {
            begin.wait();
            Contact::new(Patience::with_file()).bear(|| {
                let mut connection = Connection::open(&file).map_err(failed)?;
                wait_for_holders(&connection).map_err(failed)?;
                crate::store::files::database::prepare(&mut connection, &file)
            })
        };
        std::thread::scope(|scope| {
            let processes: Vec<_> = (0..4).map(|_| scope.spawn(prepared)).collect();
            for process in processes {
                let prepared = process.join().expect("no panic");
                assert!(prepared.is_ok(), "{prepared:?}");
            }
        });
    }
}

/// All that a database holds, and what it says of itself.
fn content(connection: &Connection) -> Vec<String> {
    let texts = |sql: &str| -> Vec<String> {
        let mut prepared = connection.prepare(sql).expect("a question");
        let columns = prepared.column_count();
        let row =
            |row: &rusqlite::Row<'_>| (0..columns).map(|column| Ok(format!("{:?}", row.get_ref(column)?))).collect();
        let rows = prepared.query_map([], row).expect("rows");
        rows.map(|row: Result<Vec<String>, _>| row.expect("a row").join(" ")).collect()
    };
    let mut content = texts("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name");
    for mark in ["auto_vacuum", "application_id", "user_version"] {
        content.extend(texts(&format!("PRAGMA {mark}")));
    }
    let tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .and_then(|mut names| names.query_map([], |row| row.get(0))?.collect())
        .expect("the tables");
    content.extend(tables.iter().flat_map(|table| texts(&format!("SELECT '{table}', * FROM {table}"))));
    content
}

#[test]
fn what_simulations_begin_with_is_what_all_migrations_make() {
    let [mut migrated, made_at_once] = [(); 2].map(|()| Connection::open_in_memory().expect("memory"));
    assert!(prepare(&mut migrated).is_ok());
    crate::store::files::database::make_at_once(&made_at_once).expect("its tables");
    assert_eq!(content(&made_at_once), content(&migrated));
}

/// A file as the first version wrote it: a run of two operations, of which one is done and one was in flight.
fn file_of_version_1(directory: &std::path::Path) {
    crate::store::files::directory::secure(directory).expect("a directory");
    let connection = Connection::open(directory.join(crate::store::engine::file_names::DATABASE_NAME)).expect("a file");
    connection.execute_batch(VERSION_1).expect("the first version");
    connection.pragma_update(None, "application_id", APPLICATION_ID).expect("a mark");
    connection.pragma_update(None, "user_version", 1).expect("a version");
    connection
        .execute_batch(
            "INSERT INTO boot (boot_id, first_opened) VALUES ('boot', 1000);
             INSERT INTO process (lock_name, host, system_process_id, started_at, ended) VALUES ('l', 'vm', 7, 0, 1);
             INSERT INTO account (tenant, app) VALUES ('tenant', 'app');
             INSERT INTO run (run_id, account_key, process_key, host, kind, state, input_path, created_at,
                 last_activity_at, delimiter, byte_order_mark, header, row_count)
                 VALUES ('run', 1, 1, 'host', 'apply', 'running', 'x.csv', 0, 0, 44, 0, '[]', 2);
             INSERT INTO input_chunk VALUES (1, 1, 2, x'0a0a', x'');
             INSERT INTO tag VALUES (1, 0, 'A');
             INSERT INTO operation (run_key, operation_number, machine, change_kind, change_argument, state, attempts,
                 before, after, finished_at)
                 VALUES (1, 0, 'm0', 0, 0, 1, 1, 'absent', 'present', 5), (1, 1, 'm1', 2, 2, 0, 0, 'Low', NULL, NULL);
             INSERT INTO attempt (account_key, bucket, process_key, run_key, call_kind, operations, boot_key, started,
                 assumed_end, ended, started_at, http_status, verdict)
                 VALUES (1, 1, 1, 1, 'tags', x'00000000', 1, 2000, 9000, 3000, 0, 200, 'done'),
                     (1, 2, 1, 1, 'value', x'01000000', 1, 4000, 9000, 9000, 0, NULL, NULL);
             INSERT INTO bucket_pause VALUES (1, 1, 1, 7000, 7000);",
        )
        .expect("what it wrote");
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date_by_whoever_opens_it_first() {
    let place = tempfile::tempdir().expect("a directory");
    crate::store::server::tests::cluster::keep_in_files(place.path());
    let path = place.path().join("state");
    file_of_version_1(&path);
    let reader = Reader::open(&path).await.expect("a reader").expect("a state");
    let run = reader.run_by_id("run").await.expect("the run");
    let counts = reader.runs().await.expect("the runs").remove(0).operations;
    assert_eq!(counts, [(OperationState::Succeeded, 1), (OperationState::Unknown, 1)].into());
    let slots: Vec<String> = reader
        .run_slots(run.key)
        .await
        .expect("the slots")
        .map(|slot| format!("{} {:?} {}", slot.slot.machine, slot.before, slot.after.words()))
        .collect();
    assert_eq!(slots, ["m0 Absent present", "m1 Value(Low) Low|High"]);
    let timeline = reader.connection.run(|transaction| {
        transaction.query_row(
            "SELECT clock, position, (SELECT count(*) FROM bucket_pause JOIN timeline USING (timeline_key)),
                 (SELECT count(*) FROM attempt JOIN timeline USING (timeline_key)) FROM timeline",
            params![],
            |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?, row.get::<u32>(2)?, row.get::<u32>(3)?)),
        )
    });
    assert_eq!(timeline.await.expect("one clock"), ("boot".to_owned(), 4000, 1, 2));
    // How old its calls are nobody knows, and which of them the run knew of when it began.
    let ages = reader.connection.run(|transaction| {
        transaction.query_row("SELECT (SELECT sum(adopted) FROM attempt), decided_after FROM run", params![], |row| {
            Ok((row.get::<u32>(0)?, row.get::<i64>(1)?))
        })
    });
    assert_eq!(ages.await.expect("ages"), (2, 2));
}

/// The first versions kept no witness, so that there is none of their files proves nothing.
#[tokio::test]
async fn a_file_of_the_first_version_has_lost_nothing() {
    for is_read_first in [false, true] {
        let place = tempfile::tempdir().expect("a directory");
        crate::store::server::tests::cluster::keep_in_files(place.path());
        let path = place.path().join("state");
        file_of_version_1(&path);
        let locks = path.join(crate::store::engine::file_names::LOCK_DIRECTORY);
        crate::store::files::directory::secure(&locks).expect("a directory");
        std::fs::write(locks.join("47a75c912bb3a96a.lock"), "").expect("the lock of the process that wrote it");
        if is_read_first {
            let reader = Reader::open(&path).await.expect("a reader").expect("a state");
            assert_eq!(reader.what_is_missing().await.expect("a state"), None);
        }
        let clock = std::sync::Arc::new(crate::clock::SystemClock::new().expect("clocks"));
        let store = crate::store::Store::open(&path, clock).await.expect("a state");
        assert_eq!(store.unknown_calls().await.expect("a state"), None, "read first: {is_read_first}");
    }
}
