//! Databases, journals and witnesses of other states in the place of this state's own.

use std::fs;
use std::path::Path;

use super::tests::{Place, call, starts_full};
use super::*;
use crate::store::cases::at_once;
use crate::store::engine::file_names::witness_of;
use crate::store::trust::witness::announce;
use crate::store::{Reader, Store};

/// A state whose last process has made so many calls and ended in order.
async fn at_rest(calls: u32) -> Place {
    let place = Place::new();
    let store = place.killed_after(calls).await;
    assert!(store.put_in_order().await.is_none());
    place
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).map(drop).expect("our own file");
}

/// Which state a database is, and which ones its witness knows.
fn states(place: &Place) -> (Option<StateId>, Option<[Option<StateId>; 2]>) {
    let connection = Connection::open(place.database()).expect("a database");
    (tally(&connection).expect("a row").state, WitnessRecord::read(&place.state()).expect("no trouble").states)
}

async fn uncertainty(store: &Store) -> Option<Uncertainty> {
    store.unknown_calls().await.expect("the store works").map(|unknown| unknown.why)
}

#[tokio::test]
async fn a_database_or_a_witness_of_another_state_is_known_for_it_and_the_quota_starts_full() {
    let cases = [(3, true), (9, true), (3, false), (9, false)];
    at_once(cases.map(|(calls_of_other, is_database)| async move {
        let what = format!("{calls_of_other} calls, database: {is_database}");
        let (own, other) = (at_rest(6).await, at_rest(calls_of_other).await);
        let (from, to) = if is_database {
            (other.database(), own.database())
        } else {
            (witness_of(&other.state()), witness_of(&own.state()))
        };
        // As a file that is written over in place: its times are those of now, and nothing else is new about it.
        fs::write(&to, fs::read(from).expect("our own file")).expect("our own file");
        let has_fewer = is_database == (calls_of_other < 6);
        let reader = Reader::open(&own.state()).await;
        match &reader {
            Err(StoreError::HistoryLost { .. }) => assert!(has_fewer, "{what}"),
            Err(StoreError::OfAnotherState { .. }) => assert!(!has_fewer, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
        let store = own.open().await.expect("a store");
        let why = if has_fewer { Uncertainty::Lost } else { Uncertainty::OfAnotherState };
        assert_eq!(uncertainty(&store).await, Some(why), "{what}");
        assert!(store.loss().is_some_and(StoreError::is_damage), "{what}");
        drop(store);
        assert!(starts_full(&own).await, "{what}: it still counts for the next process");
        let reader = Reader::open(&own.state()).await.expect("no trouble").expect("a state");
        assert!(matches!(reader.run_by_id("gone").await, Err(StoreError::RunLost { .. })), "{what}");
        assert!(own.open().await.is_ok_and(|store| store.loss().is_none()), "{what}: it is in the books now");
    }))
    .await;
}

#[tokio::test]
async fn a_journal_or_a_file_of_another_state_is_refused_and_left_as_it_is() {
    for is_journal in [true, false] {
        let (own, other) = (at_rest(3).await, at_rest(3).await);
        let (killed, journal_of) = if is_journal { (&other, &own) } else { (&own, &other) };
        let process = killed.killed_after(5).await;
        let harmed = own.copy();
        copy(&witness_of(&own.state()), &witness_of(&harmed.state()));
        if is_journal {
            copy(&other.journal(), &harmed.journal());
        } else {
            copy(&other.database(), &harmed.database());
        }
        drop((process, journal_of));
        let before = [harmed.database(), harmed.journal()].map(|path| fs::read(path).expect("our own file"));
        let reader = Reader::open(&harmed.state()).await.map(drop);
        assert!(matches!(reader, Err(StoreError::Mismatched { .. })), "{is_journal}: {reader:?}");
        let writer = harmed.open().await.map(drop);
        assert!(matches!(writer, Err(StoreError::Mismatched { .. })), "{is_journal}: {writer:?}");
        let after = [harmed.database(), harmed.journal()].map(|path| fs::read(path).expect("our own file"));
        assert!(before == after, "{is_journal}");
    }
}

#[tokio::test]
async fn whatever_a_copy_of_a_state_has_seen_since_is_not_the_history_of_the_other() {
    let own = at_rest(2).await;
    let copied = own.copy();
    let store = copied.killed_after(0).await;
    assert_eq!(uncertainty(&store).await, Some(Uncertainty::Touched));
    for _ in 0..5 {
        call(&store, "off").await.expect("a call");
    }
    assert!(store.put_in_order().await.is_none());
    let (state, witnessed) = states(&copied);
    assert_eq!(witnessed, Some([state; 2]), "it is one of its own");
    assert_ne!(state, states(&own).0);
    let harmed = own.crashed();
    copy(&copied.database(), &harmed.database());
    let store = harmed.open().await.expect("a store");
    assert_eq!(uncertainty(&store).await, Some(Uncertainty::OfAnotherState));
    drop(store);
    copy(&own.database(), &copied.database());
    assert!(matches!(Reader::open(&copied.state()).await, Err(StoreError::HistoryLost { .. })));
}

#[tokio::test]
async fn a_directory_that_was_moved_as_a_whole_is_the_same_state() {
    let (own, other) = (at_rest(3).await, at_rest(5).await);
    fs::remove_dir_all(own.state()).expect("our own");
    fs::rename(other.state(), own.state()).expect("our own");
    let store = own.open().await.expect("a store");
    assert_eq!(uncertainty(&store).await, None);
}

#[tokio::test]
async fn whoever_is_killed_while_a_state_becomes_another_leaves_no_doubt() {
    // Before it is committed.
    let place = at_rest(2).await;
    let (state, witnessed) = states(&place);
    assert_eq!(witnessed, Some([state; 2]));
    announce(&place.state(), state, StateId::random()).expect("our own file");
    let store = place.open().await.expect("a store");
    assert_eq!(uncertainty(&store).await, None);
    // Before it is in the file: the journal holds it, and the witness both.
    let before = WitnessRecord::read(&place.state()).expect("no trouble");
    let next = StateId::random();
    announce(&place.state(), state, next).expect("our own file");
    let write = move |transaction: &Transaction<'_>| {
        transaction.execute("UPDATE custody SET state_id = ?1", [next.0]).map(drop)
    };
    store.writer.run(write).await.expect("a commit");
    let connection = Connection::open(place.database()).expect("a database");
    let finding = examine(&connection, &place.database(), &before).expect("no trouble");
    assert_eq!(finding.uncertainty, None, "who has read the witness before that reads it again");
    drop(connection);
    let crashed = place.crashed();
    drop(store);
    assert_eq!(tally_in_file(&crashed.database()).map(|tally| tally.state), Some(state));
    let store = crashed.open().await.expect("a store");
    assert_eq!(uncertainty(&store).await, None);
    assert!(store.put_in_order().await.is_none());
    assert_eq!(states(&crashed), (Some(next), Some([Some(next); 2])));
}

/// Gives a state at rest the form that an older program has left.
fn make_older(place: &Place) {
    let connection = Connection::open(place.database()).expect("a database");
    connection
        .execute_batch(
            "ALTER TABLE custody DROP COLUMN state_id; ALTER TABLE sitting DROP COLUMN next;
             ALTER TABLE sitting DROP COLUMN reading_options; ALTER TABLE run DROP COLUMN asked_after;
             PRAGMA user_version = 7; PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .expect("an older form");
    drop(connection);
    let text = fs::read(witness_of(&place.state())).expect("our own file");
    let lines = text.get(..64 * 51).expect("lines and states");
    fs::write(witness_of(&place.state()), lines).expect("our own file");
}

#[tokio::test]
async fn a_state_of_an_older_program_becomes_one_of_its_own_without_a_doubt() {
    at_once([false, true].map(|is_read_first| async move {
        let what = if is_read_first { "read first" } else { "written at once" };
        let place = at_rest(2).await;
        make_older(&place);
        if is_read_first {
            let reader = Reader::open(&place.state()).await.expect("no trouble").expect("a state");
            assert_eq!(reader.what_is_missing().await.expect("no trouble"), None);
        }
        let store = place.open().await.expect("a store");
        assert_eq!(uncertainty(&store).await, None, "{what}");
        let crashed = place.crashed();
        assert!(store.put_in_order().await.is_none(), "{what}");
        let (state, witnessed) = states(&place);
        assert!(state.is_some() && witnessed == Some([state; 2]), "{what}: {state:?} {witnessed:?}");
        let store = crashed.open().await.expect("a store");
        assert_eq!(uncertainty(&store).await, None, "{what}, after a crash");
    }))
    .await;
    // Whatever a newer program made elsewhere is not that state, and the other way round.
    let (own, other) = (at_rest(2).await, at_rest(5).await);
    make_older(&own);
    copy(&other.database(), &own.database());
    assert!(matches!(Reader::open(&own.state()).await, Err(StoreError::OfAnotherState { .. })));
    let (own, other) = (at_rest(2).await, at_rest(5).await);
    make_older(&other);
    copy(&other.database(), &own.database());
    assert!(matches!(Reader::open(&own.state()).await, Err(StoreError::OfAnotherState { .. })));
}

#[tokio::test]
async fn a_database_that_is_overwritten_with_another_states_in_mid_run_is_harmed() {
    for with_journal in [false, true] {
        let (own, other) = (at_rest(2).await, at_rest(9).await);
        let store = own.killed_after(1).await;
        fs::write(own.database(), fs::read(other.database()).expect("our own file")).expect("our own file");
        if with_journal {
            let process = other.killed_after(3).await;
            fs::write(own.journal(), fs::read(other.journal()).expect("our own file")).expect("our own file");
            drop(process);
        }
        let next = call(&store, "100/1h").await;
        assert!(matches!(next, Err(StoreError::Harmed { .. })), "{with_journal}: {next:?}");
    }
}
