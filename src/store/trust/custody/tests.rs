use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::{SharedClock, SystemClock};
use crate::model::Bucket;
use crate::store::Reader;
use crate::store::Store;
use crate::store::cases::at_once;
use crate::store::engine::file_names::DATABASE_NAME;
use crate::store::engine::file_names::witness_of;
use crate::store::{Admission, AttemptEnd, AttemptRequest, Refusal, Settlement};

#[test]
fn what_a_witness_says_of_a_database() {
    const NOW: i64 = 1_000_000_000_000_000;
    let whole =
        |commits| WitnessRecord { is_there: true, is_whole: true, commits, noted_at: NOW, ..WitnessRecord::default() };
    let removed = WitnessRecord { removed_after: Some(NOW), ..WitnessRecord::default() };
    let touched = |before: i64| WitnessRecord { touched_at: Some(NOW - before), ..whole(5) };
    let table = [
        (whole(5), 5, None),
        // A machine that died before the witness was on its disk.
        (whole(5), 6, None),
        (whole(5), 4, Some(Uncertainty::Lost)),
        (whole(5), 0, Some(Uncertainty::Lost)),
        (WitnessRecord { is_whole: false, ..whole(5) }, 4, Some(Uncertainty::Lost)),
        (WitnessRecord { is_whole: false, ..whole(5) }, 5, Some(Uncertainty::DamagedWitness)),
        (WitnessRecord::default(), 0, None),
        (WitnessRecord::default(), 1, Some(Uncertainty::NoWitness)),
        // A process that died between its first commit and its first note.
        (whole(0), 1, None),
        (whole(0), 2, Some(Uncertainty::NoWitness)),
        (touched(0), 5, Some(Uncertainty::Touched)),
        (touched(-1_000_000), 5, Some(Uncertainty::Touched)),
        (touched(TOUCH_MATTERS_MICROSECONDS - 1), 5, Some(Uncertainty::Touched)),
        (touched(TOUCH_MATTERS_MICROSECONDS), 5, None),
        (touched(0), 4, Some(Uncertainty::Lost)),
        (WitnessRecord { is_copy: true, ..whole(5) }, 5, Some(Uncertainty::Touched)),
        (WitnessRecord { is_copy: true, ..whole(5) }, 4, Some(Uncertainty::Lost)),
        (removed.clone(), 0, Some(Uncertainty::Lost)),
        (removed, 2, Some(Uncertainty::NoWitness)),
    ];
    for (testimony, commits, expected) in table {
        let found = Tally { commits, ..Tally::default() };
        assert_eq!(judge(&testimony, &found, NOW), expected, "{testimony:?} {commits}");
    }
}

/// A state directory of its own.
pub(super) struct Place {
    directory: tempfile::TempDir,
    pub(super) clock: SharedClock,
}

impl Place {
    pub(super) fn new() -> Self {
        let clock = Arc::new(SystemClock::new().expect("clocks"));
        let directory = tempfile::tempdir().expect("a directory");
        crate::store::server::tests::cluster::keep_in_files(directory.path());
        Self { directory, clock }
    }

    pub(super) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(super) fn database(&self) -> PathBuf {
        self.state().join(DATABASE_NAME)
    }

    pub(super) fn journal(&self) -> PathBuf {
        journal_of(&self.database())
    }

    pub(super) async fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.state(), self.clock.clone()).await
    }

    /// A process that makes so many calls and is killed: whatever it has open stays open until the files are harmed.
    pub(super) async fn killed_after(&self, calls: u32) -> Store {
        let store = self.open().await.expect("a store");
        for _ in 0..calls {
            call(&store, "100/1h").await.expect("a call");
        }
        store
    }

    /// The same directory as another process finds it that comes after a crash: with copies of the files, of which none is
    /// known for one.
    pub(super) fn crashed(&self) -> Self {
        let crashed = self.copy();
        let testimony = WitnessRecord::read(&crashed.state()).expect("no trouble");
        crate::store::trust::witness::forge(&crashed.state(), testimony.commits, testimony.noted_at);
        crashed
    }

    /// A copy of the directory, without the locks of its processes.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new();
        crate::store::files::directory::secure(&copy.state()).expect("a directory");
        for entry in std::fs::read_dir(self.state()).expect("a directory").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_file() {
                std::fs::copy(entry.path(), copy.state().join(name)).expect("our own file");
            }
        }
        copy
    }
}

/// Asks for a call, and answers it.
pub(super) async fn call(store: &Store, quota: &str) -> Result<Admission, StoreError> {
    let account = store.account("tenant", "app").await?;
    let request = AttemptRequest {
        account,
        bucket: Bucket::Tags,
        counted_buckets: vec![Bucket::Tags],
        quota: quota.parse().expect("a quota"),
        run: None,
        call_kind: "tags",
        operations: vec![],
        time_out: Duration::from_secs(10),
    };
    let admission = store.admit(request).await?;
    if let Admission::Granted(ticket) = admission {
        let settlement = Settlement::of(ticket.attempt, AttemptEnd::Now, vec![]);
        store.settle(settlement).await?;
    }
    Ok(admission)
}

/// Whether the first call must wait for as long as a window is.
pub(super) async fn starts_full(place: &Place) -> bool {
    let store = place.open().await.expect("a store");
    let now = place.clock.boot_time();
    match call(&store, "100/1h").await.expect("an answer") {
        Admission::Refused(Refusal::Window { until, .. }) => until.since(now) > Duration::from_hours(1),
        _ => false,
    }
}

#[tokio::test]
async fn a_journal_that_is_lost_or_damaged_is_noticed_and_the_quota_starts_full() {
    type Harm = fn(&Place);
    let harms: [(&str, Harm); 6] = [
        ("nothing", |_| {}),
        ("removed", |place| std::fs::remove_file(place.journal()).expect("our own")),
        ("emptied", |place| std::fs::write(place.journal(), "").expect("our own")),
        ("cut", |place| {
            let length = place.journal().metadata().expect("our own").len();
            let file = std::fs::File::options().write(true).open(place.journal()).expect("our own");
            file.set_len(length - 5000).expect("our own");
        }),
        ("a bit flipped", |place| {
            let mut bytes = std::fs::read(place.journal()).expect("our own");
            let middle = bytes.len() - 2000;
            bytes[middle] ^= 1;
            std::fs::write(place.journal(), bytes).expect("our own");
        }),
        ("with its database", |place| {
            std::fs::remove_file(place.journal()).expect("our own");
            std::fs::remove_file(place.database()).expect("our own");
        }),
    ];
    at_once(harms.into_iter().map(|(what, harm)| async move {
        let place = Place::new();
        let process = place.killed_after(3).await;
        let found = place.crashed();
        drop(process);
        harm(&found);
        let reader = Reader::open(&found.state()).await;
        if what == "nothing" {
            assert!(reader.is_ok_and(|reader| reader.is_some()), "{what}");
            assert!(!starts_full(&found).await, "{what}");
            return;
        }
        assert!(matches!(reader, Err(StoreError::HistoryLost { .. })), "{what}: {reader:?}");
        let store = found.open().await.expect("a store");
        assert!(matches!(store.loss(), Some(StoreError::HistoryLost { .. })), "{what}");
        let unknown = store.unknown_calls().await.expect("the store works").map(|unknown| unknown.why);
        assert_eq!(unknown, Some(Uncertainty::Lost), "{what}");
        drop(store);
        assert!(starts_full(&found).await, "{what}: it still counts for the next process");
        // It is in the books now, so that what is left can be read, and no run is said never to have been.
        let reader = Reader::open(&found.state()).await.expect("no trouble").expect("a state");
        assert!(matches!(reader.run_by_id("gone").await, Err(StoreError::RunLost { .. })), "{what}");
        assert!(found.open().await.expect("a store").loss().is_none(), "{what}");
    }))
    .await;
}

#[tokio::test]
async fn a_witness_that_another_process_makes_meanwhile_is_found() {
    let place = Place::new();
    let before = WitnessRecord::read(&place.state()).expect("no trouble");
    assert!(!before.is_there);
    let _first = place.killed_after(2).await;
    let connection = Connection::open(place.database()).expect("a database");
    let finding = examine(&connection, &place.database(), &before).expect("no trouble");
    assert_eq!(finding.uncertainty, None);
}

#[tokio::test]
async fn a_database_whose_witness_is_gone_damaged_or_old_has_a_full_quota_and_all_its_history() {
    let harms = [
        ("gone", Uncertainty::NoWitness),
        ("emptied", Uncertainty::NoWitness),
        ("damaged", Uncertainty::DamagedWitness),
        ("restored", Uncertainty::Touched),
    ];
    at_once(harms.map(|(what, why)| async move {
        let place = Place::new();
        let process = place.killed_after(1).await;
        let found = place.crashed();
        drop(process);
        let witness = witness_of(&found.state());
        match what {
            "gone" => std::fs::remove_file(&witness).expect("our own"),
            "emptied" => std::fs::write(&witness, "").expect("our own"),
            "damaged" => {
                let mut bytes = std::fs::read(&witness).expect("our own");
                let last = bytes.len() - 3;
                bytes[last] ^= 1;
                std::fs::write(&witness, bytes).expect("our own");
            }
            // As if the copy had been made ten seconds after the last commit.
            _ => {
                let testimony = WitnessRecord::read(&found.state()).expect("no trouble");
                crate::store::trust::witness::forge(&found.state(), testimony.commits, testimony.noted_at - 10_000_000);
            }
        }
        assert!(Reader::open(&found.state()).await.expect("no trouble").is_some(), "{what}");
        let store = found.open().await.expect("a store");
        assert!(store.loss().is_none(), "{what}");
        let unknown = store.unknown_calls().await.expect("the store works").map(|unknown| unknown.why);
        assert_eq!(unknown, if cfg!(unix) || what != "restored" { Some(why) } else { None }, "{what}");
        drop(store);
        assert!(starts_full(&found).await || unknown.is_none(), "{what}");
        assert_eq!(WitnessRecord::read(&found.state()).map(|testimony| testimony.is_whole).ok(), Some(true), "{what}");
    }))
    .await;
}

#[tokio::test]
async fn a_copy_that_was_made_at_once_and_put_back_is_known_for_one() {
    let place = Place::new();
    let process = place.killed_after(1).await;
    let copy = place.copy();
    drop(process);
    std::fs::remove_dir_all(place.state()).expect("our own");
    std::fs::rename(copy.state(), place.state()).expect("our own");
    let store = place.open().await.expect("a store");
    assert!(store.loss().is_none());
    let unknown = store.unknown_calls().await.expect("the store works").map(|unknown| unknown.why);
    assert_eq!(unknown, Some(Uncertainty::Touched));
    drop(store);
    assert!(starts_full(&place).await);
}

#[tokio::test]
async fn a_state_of_which_only_the_locks_are_left_was_removed_and_its_quota_starts_full() {
    let place = Place::new();
    drop(place.killed_after(1).await);
    for entry in std::fs::read_dir(place.state()).expect("a directory").flatten() {
        if entry.path().is_file() {
            std::fs::remove_file(entry.path()).expect("our own file");
        }
    }
    let reader = Reader::open(&place.state()).await;
    assert!(matches!(reader, Err(StoreError::HistoryLost { .. })), "{reader:?}");
    assert!(place.open().await.is_ok_and(|store| matches!(store.loss(), Some(StoreError::HistoryLost { .. }))));
    assert!(starts_full(&place).await);
    assert!(place.open().await.is_ok_and(|store| store.loss().is_none()), "it is in the books now");
}

#[tokio::test]
async fn a_number_that_nobody_can_have_stored_is_not_waited_for() {
    for forgery in [
        "UPDATE attempt SET started = started + 9000000000000, ended = ended + 9000000000000",
        "UPDATE attempt SET ended = NULL, verdict = NULL, assumed_end = 9000000000000000",
        "INSERT OR REPLACE INTO bucket_pause VALUES (1, 1, 1, 9223372036854775807, 9223372036854775807)",
        "UPDATE timeline SET position = 9223372036854775807",
        "UPDATE timeline SET excess = 4000000000",
        "UPDATE custody SET unknown_timeline = 77, unknown_why = '', unknown_until = 9223372036854775807",
    ] {
        let place = Place::new();
        drop(place.killed_after(2).await);
        let forge = || {
            let connection = Connection::open(place.database()).expect("a database");
            connection.execute_batch(forgery).expect("a forgery");
        };
        forge();
        let store = place.open().await.expect("a store");
        let unknown = store.unknown_calls().await.expect("the store works").map(|unknown| unknown.why);
        assert_eq!(unknown, Some(Uncertainty::ImpossibleTimes), "{forgery}");
        let now = place.clock.boot_time();
        let admission = call(&store, "100/1h").await.expect("an answer");
        let Admission::Refused(Refusal::Window { until, .. }) = admission else { panic!("{forgery}: {admission:?}") };
        assert!(until.since(now) < Duration::from_mins(62), "{forgery}: {:?}", until.since(now));
        forge();
        let answer = call(&store, "1000000/1s").await;
        let is_soon = |until: crate::clock::BootTime| until.since(now) < Duration::from_mins(2);
        let is_well = match &answer {
            Ok(Admission::Granted(_)) => true,
            Ok(Admission::Refused(Refusal::Window { until, .. })) => is_soon(*until),
            Err(error) => error.to_string().ends_with("is damaged"),
            Ok(_) => false,
        };
        assert!(is_well, "{forgery}, in the middle of a run: {answer:?}");
    }
}

#[tokio::test]
async fn a_journal_that_was_harmed_is_not_brought_into_the_file_and_the_next_one_says_what_is_lost() {
    use std::io::{Seek, SeekFrom, Write};

    let place = Place::new();
    let store = place.killed_after(3).await;
    store.look_through().await.expect("no trouble");
    let mut journal = std::fs::File::options().write(true).open(place.journal()).expect("our own file");
    let written = journal.metadata().and_then(|found| found.modified()).expect("a time");
    journal.seek(SeekFrom::Start(2000)).and_then(|_| journal.write_all(&[0; 4000])).expect("our own file");
    journal.set_modified(written).expect("our own file");
    let before = [place.database(), place.journal()].map(|path| std::fs::read(path).expect("our own file"));
    let damage = store.clone().put_in_order().await;
    assert!(matches!(damage, Some(StoreError::Harmed { .. })), "{damage:?}");
    let after = [place.database(), place.journal()].map(|path| std::fs::read(path).expect("our own file"));
    assert!(before == after, "both are left as they are");
    assert!(call(&store, "100/1h").await.is_err(), "nothing more is sent");
    drop(store);
    let reader = Reader::open(&place.state()).await;
    assert!(reader.as_ref().is_err_and(StoreError::is_damage), "{reader:?}");
}

#[tokio::test]
async fn file_and_journal_of_different_times_are_refused_and_left_as_they_are() {
    let place = Place::new();
    let store = place.killed_after(2).await;
    let older = place.copy();
    call(&store, "100/1h").await.expect("a call");
    store.clone().put_in_order().await;
    assert_eq!(place.journal().metadata().expect("a journal").len(), 0, "all of it is in the file");
    drop(store);
    let store = place.killed_after(2).await;
    let newer = place.copy();
    drop(store);
    for (file, journal) in [(&older, &newer), (&newer, &older)] {
        let mixed = file.copy();
        std::fs::copy(journal.journal(), mixed.journal()).expect("our own");
        let witness = witness_of(&newer.state());
        std::fs::copy(witness, witness_of(&mixed.state())).expect("our own");
        let before = [std::fs::read(mixed.database()).ok(), std::fs::read(mixed.journal()).ok()];
        let [writer, reader] =
            [mixed.open().await.map(drop), Reader::open(&mixed.state()).await.map(drop)].map(Result::unwrap_err);
        assert!(matches!(writer, StoreError::Mismatched { .. }), "{writer}");
        assert!(matches!(reader, StoreError::Mismatched { .. }), "{reader}");
        assert_eq!([std::fs::read(mixed.database()).ok(), std::fs::read(mixed.journal()).ok()], before);
    }
    at_once([("newer", newer), ("older", older)].map(|(what, pair)| async move {
        assert!(pair.open().await.is_ok_and(|store| store.loss().is_none()), "{what}: each by itself is whole");
    }))
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_state_that_is_moved_away_while_it_is_used_lets_no_further_call_through_and_can_still_be_read() {
    let place = Place::new();
    let store = place.killed_after(1).await;
    let account = store.account("tenant", "app").await.expect("the store works");
    std::fs::rename(place.state(), place.directory.path().join("elsewhere")).expect("our own");
    let call = call(&store, "100/1h").await;
    assert!(matches!(call, Err(StoreError::Moved { .. })), "{call:?}");
    let writes = store.recent_writes(account, "host", Duration::from_secs(1)).await;
    assert!(writes.is_ok(), "{writes:?}");
    assert!(place.open().await.is_ok_and(|store| store.loss().is_none()), "there is nothing any more to lose");
}
