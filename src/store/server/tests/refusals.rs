//! What a server, or a pooler before it, refuses: for a while, for good, or because the database is not what it was.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc;

use super::cluster::{self, on_socket};
use super::{new_run, request, up_for};
use crate::store::engine::absence::Patience;
use crate::store::engine::sql::{Session, SqlError};
use crate::store::server::ServerAddress;
use crate::store::trust::unknown_calls::Uncertainty;
use crate::store::{Admission, Store, StoreError};

/// Has a server there that says this to everybody, as a pooler does, and hangs up.
fn refuse(directory: &Path, words: &str) {
    let fields = format!("SFATAL\0VFATAL\0C08P01\0M{words}\0\0");
    let length = u32::try_from(fields.len() + 4).expect("short");
    let refusal = [b"E", length.to_be_bytes().as_slice(), fields.as_bytes()].concat();
    let listener = UnixListener::bind(directory.join(".s.PGSQL.5432")).expect("a socket");
    std::thread::spawn(move || {
        for mut near in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            // Nobody need hear it.
            let _gone = near.read(&mut buffer).and_then(|_| near.write_all(&refusal));
        }
    });
}

/// Opens a session, on a thread that may wait.
fn session(address: &ServerAddress) -> Result<Session, SqlError> {
    let address = address.clone();
    std::thread::spawn(move || address.connect(&Patience::default())).join().expect("no panic")
}

#[test]
fn what_a_pooler_says_by_itself_is_waited_for_but_where_a_setting_is_wrong() {
    let no_database = "does not exist";
    for (words, for_good) in [
        ("server login has been failing, try again later (server_login_retry)", None),
        ("query_wait_timeout", None),
        ("client_idle_timeout", None),
        ("no more connections allowed (max_client_conn)", None),
        ("the database system is shutting down", None),
        ("no such database: state", Some(no_database)),
        ("database \"state\" does not exist", Some(no_database)),
        ("no such user: tagfleet", Some("does not let this user in")),
        ("SASL authentication failed", Some("does not let this user in")),
        ("transaction blocks not allowed in statement pooling mode", Some("keeps no transaction together")),
    ] {
        let place = tempfile::tempdir().expect("a directory");
        refuse(place.path(), words);
        let refused = session(&on_socket(place.path(), "state")).err().expect("nothing but words");
        assert_eq!(refused.is_lost_connection(), for_good.is_none(), "{words}");
        let error = StoreError::database(Path::new("postgresql://h/d"), refused);
        assert_eq!(error.is_setting(), for_good.is_some(), "{words}");
        let expected = for_good.unwrap_or("cannot be reached");
        assert!(error.to_string().ends_with(expected) && error.hint().is_some(), "{words}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_somebody_holds_are_waited_for_also_when_a_statement_is_cancelled() {
    let Some(place) = cluster::new_place() else { return };
    let store = Store::open_on(&place.address, up_for(1)).await.expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    let run = new_run(&store, account, "run").await;
    store.claim_run(run).await.expect("an answer");
    store.bear_absences(std::time::Duration::from_mins(1), None);
    let (release, released) = mpsc::channel::<()>();
    let (taken, is_taken) = mpsc::channel();
    let address = place.address.clone();
    let holding = std::thread::spawn(move || {
        let session = address.connect(&Patience::default()).expect("a connection");
        session.simple("BEGIN; LOCK TABLE tagfleet.attempt IN ACCESS EXCLUSIVE MODE").expect("a lock");
        taken.send(()).expect("somebody who waits");
        released.recv().expect("somebody who says so");
        session.simple("COMMIT").expect("an answer");
    });
    is_taken.recv().expect("a lock");
    let asking = store.clone();
    let mut asked = tokio::spawn(async move { asking.admit(request(account, Some(run), "off")).await });
    let cancel = format!(
        "SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) FROM pg_stat_activity
         WHERE datname = '{}' AND wait_event_type = 'Lock'",
        place.database
    );
    while cluster::tell(&place.address, &cancel).as_deref() == Some("0") {
        tokio::task::yield_now().await;
    }
    let mut absences = store.absences();
    tokio::select! {
        away = absences.wait_for(Option::is_some) => drop(away.expect("the store is there")),
        answered = &mut asked => panic!("{answered:?}"),
    }
    release.send(()).expect("somebody who holds it");
    holding.join().expect("no panic");
    let admission = asked.await.expect("no panic").expect("an answer");
    assert!(matches!(admission, Admission::Granted(_)), "{admission:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_put_back_from_a_copy_does_not_know_which_calls_were_made() {
    let Some(place) = cluster::new_place() else { return };
    let number = |sql: &str| cluster::tell(&place.address, sql).and_then(|text| text.parse::<i64>().ok());
    let ended = Store::open_on(&place.address, up_for(1)).await.expect("a store");
    let account = ended.account("tenant", "app").await.expect("an account");
    let run = new_run(&ended, account, "run").await;
    ended.claim_run(run).await.expect("an answer");
    ended.put_in_order().await;
    let store = Store::open_on(&place.address, up_for(70)).await.expect("a store");
    assert!(store.unknown_calls().await.expect("an answer").is_none(), "nobody has touched it");
    store.put_in_order().await;
    // As it is after pg_restore, which makes tables of its own.
    cluster::tell(&place.address, "UPDATE tagfleet.custody SET table_number = table_number + 1");
    for hour in [2, 3] {
        let store = Store::open_on(&place.address, up_for(hour * 3600)).await.expect("a store");
        let unknown = store.unknown_calls().await.expect("an answer");
        assert_eq!(unknown.map(|unknown| unknown.why), Some(Uncertainty::Restored).filter(|_| hour == 2), "{hour}");
        assert!(store.lost_until().await.expect("an answer").is_some());
        assert_eq!(number("SELECT min(ambiguous) FROM tagfleet.operation WHERE state = 0"), Some(1));
        store.put_in_order().await;
        cluster::tell(&place.address, "UPDATE tagfleet.custody SET unknown_timeline = NULL");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let Some(place) = cluster::new_place() else { return };
    let made = |encoding: &str| {
        let name = format!("{}_{}", place.database, encoding.to_lowercase());
        let of = format!("ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
        cluster::tell(&place.address, &format!("CREATE DATABASE {name} {of}"));
        on_socket(&place.socket, &name)
    };
    let refused = Store::open_on(&made("LATIN1"), up_for(1)).await.expect_err("a refusal");
    assert!(refused.is_setting() && refused.hint().is_some_and(|hint| hint.contains("UTF8")), "{refused}");
    Store::open_on(&made("SQL_ASCII"), up_for(1)).await.expect("a store");
}
