//! Processes that live, die and start again, as the books have them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::clock::{BootId, BootTime, SharedClock, SystemClock, VirtualClock};
use crate::model::Bucket;
use crate::store::engine::file_names::LOCK_DIRECTORY;
use crate::store::server;
use crate::store::trust::custody::Finding;
use crate::store::{Admission, AttemptRequest, Refusal};
use rusqlite::Connection;

const HOUR: i64 = 3600 * 1_000_000;

/// A clock of the start of the machine called `boot`, that has been up for an hour.
fn clock(boot: &str, wall_microseconds: i64) -> VirtualClock {
    let wall = Timestamp::from_microsecond(wall_microseconds).expect("a time");
    VirtualClock::new(BootId::new(boot.into()), BootTime::from_microseconds(HOUR), wall)
}

fn ended(connection: &Connection, attempt: i64) -> (i64, Option<i64>) {
    connection
        .query_row("SELECT timeline_key, ended FROM attempt WHERE attempt_key = ?1", [attempt], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("an attempt")
}

/// What became of an attempt after a restart: (age in wall time, whether it had ended, its end under the new start
/// as microseconds before the first opening; `None` if it is history).
#[tokio::test(start_paused = true)]
async fn stamps_of_another_boot_count_from_now_unless_wall_time_surely_knows_better() {
    let table = [
        (0, true, Some(0)),
        (HOUR, true, Some(0)),
        (HOUR, false, Some(0)),
        (15 * HOUR, true, Some(0)),
        (16 * HOUR, true, Some(HOUR)),
        (30 * HOUR, true, Some(15 * HOUR)),
        // A clock that was set back makes nothing younger than now.
        (-5 * HOUR, true, Some(0)),
        (41 * HOUR, true, None),
        (41 * HOUR, false, None),
    ];
    for (age, had_ended, expected) in table {
        let now = 100 * HOUR;
        let path = Path::new(":memory:");
        let mut connection = Connection::open_in_memory().expect("a database");
        crate::store::files::database::prepare(&mut connection, path).expect("a schema");
        let before = clock("before", now - age);
        let (identity, _) =
            ProcessIdentity::enter(&mut connection, path, None, &before, &Finding::default()).expect("an identity");
        connection
            .execute("INSERT INTO account (account_key, tenant, app) VALUES (1, 't', 'a')", [])
            .expect("an account");
        connection
            .execute(
                "INSERT INTO attempt (attempt_key, account_key, bucket, process_key, call_kind, operations, timeline_key,
                     started, assumed_end, ended, started_at, http_status)
                 VALUES (1, 1, 1, ?1, 'tags', x'', ?2, 3600000000, 3600000000, ?3, ?4, 200)",
                params![identity.process_key, identity.timeline_key, had_ended.then_some(HOUR), now - age],
            )
            .expect("an attempt");
        let after = clock("after", now);
        let (opened, _) =
            ProcessIdentity::enter(&mut connection, path, None, &after, &Finding::default()).expect("an identity");
        let transaction = connection.transaction().expect("a transaction");
        transaction
            .execute("UPDATE process SET ended = 1 WHERE timeline_key <> ?1", [opened.timeline_key])
            .expect("a death");
        end_attempts_of_the_dead(&Transaction::within(&transaction)).expect("ends");
        let within = Transaction::within(&transaction);
        timelines::adopt_abandoned(&within, opened.timeline_key, &opened.seen, &after).expect("an adoption");
        transaction.commit().expect("a commit");
        let (timeline_key, end) = ended(&connection, 1);
        match expected {
            Some(earlier) => {
                assert_eq!((timeline_key, end), (opened.timeline_key, Some(HOUR - earlier)), "{age} {had_ended}");
            }
            None => assert_eq!((timeline_key, end), (identity.timeline_key, Some(HOUR)), "{age} {had_ended}"),
        }
    }
}

#[tokio::test]
async fn what_stands_in_the_database_for_a_lock_is_no_path_to_anything_else() {
    let place = tempfile::tempdir().expect("a directory");
    crate::store::server::tests::cluster::keep_in_files(place.path());
    let path = place.path().join("state");
    let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
    for name in ["../../victim", "../tagfleet.sqlite3", "0123456789abcdef.lock/../../../victim"] {
        let store = Store::open(&path, clock.clone()).await.expect("a store");
        let victim = place.path().join("victim");
        std::fs::write(&victim, "somebody's").expect("our own file");
        let written = store.writer.run(move |transaction| {
            transaction.execute(
                "INSERT INTO process (lock_name, host, system_process_id, started_at) VALUES (?1, '', 1, 0)",
                [name],
            )
        });
        written.await.expect("the store works");
        let swept = store.sweep_dead_processes().await;
        assert!(swept.is_err_and(|error| error.to_string().ends_with("is damaged")), "{name}");
        let listed = store.runs().await;
        assert!(listed.is_err_and(|error| error.to_string().ends_with("is damaged")), "{name}");
        assert_eq!(std::fs::read(&victim).expect("it is still there"), b"somebody's");
        let removed =
            store.writer.run(|transaction| transaction.execute("DELETE FROM process WHERE host = ''", params![]));
        assert_eq!(removed.await.expect("the store works"), 1);
    }
}

#[tokio::test]
async fn a_process_whose_lock_file_is_gone_is_in_nobodys_way_once_it_is_dead() {
    let directory = tempfile::tempdir().expect("a directory");
    crate::store::server::tests::cluster::keep_in_files(directory.path());
    let path = directory.path().join("state");
    let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
    let [dead, living] = [(); 2].map(|()| Store::open(&path, clock.clone()));
    let (dead, living) = (dead.await.expect("a store"), living.await.expect("a store"));
    let [dead_key, living_key] = [&dead, &living].map(|store| store.identity.process_key);
    drop(dead);
    std::fs::remove_dir_all(path.join(LOCK_DIRECTORY)).expect("our own files");
    let next = Store::open(&path, clock).await.expect("a store");
    let identity = next.identity.clone();
    let lives = next.writer.run(move |transaction| {
        Ok((identity.is_alive(transaction, dead_key)?, identity.is_alive(transaction, living_key)?))
    });
    assert_eq!(lives.await.expect("the store works"), (false, true));
}

#[tokio::test]
async fn calls_of_a_dead_process_count_until_nothing_can_hold_them_any_more_and_those_of_a_living_one_as_in_flight() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state");
    let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
    let first = Store::open(&path, clock.clone()).await.expect("a store");
    let account = first.account("tenant", "app").await.expect("an account");
    let request = || AttemptRequest {
        account,
        bucket: Bucket::Tags,
        counted_buckets: vec![Bucket::Tags],
        quota: "1/1s".parse().expect("a quota"),
        run: None,
        call_kind: "tags",
        operations: vec![],
        time_out: Duration::from_secs(10),
    };
    let Admission::Granted(ticket) = first.admit(request()).await.expect("an answer") else { panic!("refused") };
    let second = Store::open(&path, clock.clone()).await.expect("a store");
    let refusal = second.admit(request()).await.expect("an answer");
    assert!(matches!(refusal, Admission::Refused(Refusal::InFlight { .. })), "{refusal:?}");
    assert_eq!(second.sweep_dead_processes().await.expect("a sweep"), 0);
    // The lock goes with the last handle, as it does with the process.
    drop(first);
    assert_eq!(second.sweep_dead_processes().await.expect("a sweep"), 1);
    let Admission::Refused(Refusal::Window { until, .. }) = second.admit(request()).await.expect("an answer") else {
        panic!("no window")
    };
    // Five seconds until it left, the time-out, thirty seconds on the way, and the window with its margin.
    let earliest = ticket.started.plus(Duration::from_micros(46_000_500));
    if server::tests::cluster::is_wanted() {
        // By another clock it is known as ended a little later.
        assert!(until >= earliest && until.since(earliest) < Duration::from_mins(1), "{until:?} {earliest:?}");
    } else {
        assert_eq!(until, earliest);
    }
}
