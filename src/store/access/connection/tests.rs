//! Callers that share a connection.

use super::*;
use crate::store::engine::absence::wait_for_holders;
use crate::store::engine::sql::params;

#[tokio::test]
async fn whoever_asks_is_told_how_long_a_locked_database_has_not_answered() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("db");
    let ours = Connection::open(&path).expect("a database");
    ours.execute_batch("CREATE TABLE x (y INTEGER)").expect("a table");
    wait_for_holders(&ours).expect("patience");
    let other = Connection::open(&path).expect("the same");
    let shared = SharedConnection::start_writing(ours, &path, None, Patience::with_file());
    let store = || shared.run(|transaction| transaction.execute("INSERT INTO x VALUES (1)", params![]));
    assert_eq!(store().await.expect("nobody has a lock"), 1);
    other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let storing = store();
    let looking = async {
        while shared.waiting_for().is_none_or(|busy| busy < Duration::from_millis(20)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        other.execute_batch("COMMIT").expect("an end");
    };
    let looking = tokio::time::timeout(Duration::from_mins(1), looking);
    let (stored, looked) = tokio::join!(storing, looking);
    looked.expect("it is known for how long");
    assert_eq!(stored.expect("the lock is free"), 1);
    while shared.waiting_for().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_database_that_others_hold_is_waited_for_once_and_is_there_again_when_it_is_let_go() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("db");
    let [ours, other] = [(); 2].map(|()| Connection::open(&path).expect("a database"));
    ours.execute_batch("CREATE TABLE x (y INTEGER)").expect("a table");
    wait_for_holders(&ours).expect("patience");
    let patience = Patience::with_file();
    let shared = SharedConnection::start_writing(ours, &path, None, patience.clone());
    let store = || shared.run(|transaction| transaction.execute("INSERT INTO x VALUES (1)", params![]));
    other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let answer = patience.keep_answer();
    let absences = patience.absences();
    patience.set(Duration::from_secs(3), None);
    let since = std::time::Instant::now();
    for _ in 0..15 {
        let failed = store().await;
        assert!(matches!(failed, Err(StoreError::AnswersLost { answers: 1, .. })), "{failed:?}");
        assert!(absences.borrow().is_some());
    }
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}: as long for each", since.elapsed());
    other.execute_batch("COMMIT").expect("an end");
    assert_eq!(store().await.expect("nobody holds it"), 1);
    answer.stored();
    assert_eq!((*absences.borrow(), patience.unstored_answers()), (None, 0));
}
