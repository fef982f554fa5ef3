#![cfg(unix)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::store::cases::at_once;
use crate::store::trust::journal;

#[test]
fn whatever_happens_to_a_file_or_its_directory_is_seen() {
    type Harm = fn(&Path, &Path);
    let harms: [(&str, Harm); 7] = [
        ("the directory was moved", |directory, _| {
            fs::rename(directory, directory.with_extension("old")).expect("our own");
        }),
        ("the directory was deleted", |directory, _| fs::remove_dir_all(directory).expect("our own")),
        ("the directory is another's to write", |directory, _| {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o500)).expect("our own");
        }),
        ("the database was deleted", |_, database| fs::remove_file(database).expect("our own")),
        ("the database was replaced", |directory, database| {
            fs::write(directory.join("copy"), "x").expect("our own");
            fs::rename(directory.join("copy"), database).expect("our own");
        }),
        ("the journal was deleted", |_, database| fs::remove_file(journal_of(database)).expect("our own")),
        ("the shared memory was deleted", |_, database| {
            fs::remove_file(beside(database, "-shm")).expect("our own");
        }),
    ];
    for (what, harm) in harms {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("state");
        fs::create_dir(&directory).expect("our own");
        let database = directory.join("db.sqlite3");
        for path in [database.clone(), journal_of(&database), beside(&database, "-shm")] {
            fs::write(path, [1; 100]).expect("our own");
        }
        let presence = Presence::of(&directory, &database);
        fs::write(&database, "shorter").expect("our own");
        fs::write(journal_of(&database), "").expect("our own");
        assert!(presence.look().is_ok(), "they may become shorter");
        harm(&directory, &database);
        assert!(matches!(presence.look(), Err(StoreError::Moved { .. })), "{what}");
    }
}

#[test]
fn what_processes_do_to_the_files_is_told_from_harm() {
    type Change = fn(&Path, &rusqlite::Connection);
    fn checkpoint(connection: &rusqlite::Connection, mode: &str) {
        let busy = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get::<_, i64>(0));
        assert_eq!(busy, Ok(0));
    }
    let changes: [(&str, Change, bool); 7] = [
        ("nothing", |_, _| {}, true),
        ("another commit", |_, other| other.execute_batch("UPDATE custody SET commits = 8").expect("ours"), true),
        ("the journal was brought in and emptied", |_, other| checkpoint(other, "TRUNCATE"), true),
        (
            "the journal began anew",
            |_, other| {
                checkpoint(other, "RESTART");
                other.execute_batch("UPDATE custody SET commits = 8").expect("ours");
            },
            true,
        ),
        ("the database was emptied", |database, _| fs::write(database, "").expect("ours"), false),
        ("the journal was emptied", |database, _| fs::write(journal_of(database), "").expect("ours"), false),
        (
            "the journal was overwritten",
            |database, _| fs::write(journal_of(database), vec![0xA5; 20_000]).expect("ours"),
            false,
        ),
    ];
    for (what, change, is_well) in changes {
        let place = tempfile::tempdir().expect("a directory");
        let database = place.path().join("db");
        let ours = rusqlite::Connection::open(&database).expect("a database");
        ours.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE custody (commits INTEGER, in_file INTEGER); INSERT INTO custody VALUES (7, 0);
             CREATE TABLE other (x BLOB); INSERT INTO other VALUES (zeroblob(50000));",
        )
        .expect("tables");
        let other = rusqlite::Connection::open(&database).expect("the same");
        let mut contents = Contents::of(&database, None).expect("its files");
        let before = found(&database);
        change(&database, &other);
        if is_well {
            let looked = contents.look(7, &before);
            assert!(looked.is_ok(), "{what}, in the middle of a look: {looked:?}");
        }
        let (from_found, anew) = (contents.look(7, &found(&database)), contents.look_anew(7, true));
        assert_eq!((from_found.is_ok(), anew.is_ok()), (is_well, is_well), "{what}: {from_found:?}");
    }
}

/// A database with a journal, as it was left by our last commit.
fn committed(database: &Path) -> (rusqlite::Connection, Contents) {
    let ours = rusqlite::Connection::open(database).expect("a database");
    ours.execute_batch(
        "PRAGMA journal_mode = WAL; CREATE TABLE custody (commits INTEGER, in_file INTEGER);
         INSERT INTO custody VALUES (6, 0); CREATE TABLE other (x BLOB); INSERT INTO other VALUES (randomblob(50000));",
    )
    .expect("tables");
    journal::follow(&ours);
    ours.execute_batch("UPDATE custody SET commits = 7").expect("ours");
    let contents = Contents::of(database, journal::take_frames()).expect("its files");
    (ours, contents)
}

fn found(database: &Path) -> Found {
    let of = |path: &Path| Some(path.metadata().expect("our own"));
    Found { database: of(database), journal: of(&journal_of(database)) }
}

/// A bit of the journal that is another one is found out, and is no trouble once it is as it was.
fn a_changed_bit_is_found_out(position: SeekFrom, keeps_time: bool) {
    let what = format!("{position:?}, keeps its time: {keeps_time}");
    let place = tempfile::tempdir().expect("a directory");
    let database = place.path().join("db");
    let (ours, mut contents) = committed(&database);
    assert!(contents.look(7, &found(&database)).is_ok() && contents.look_through().is_ok(), "{what}");
    ours.execute_batch("UPDATE custody SET commits = 8").expect("ours");
    assert!(contents.look_after_commit(8, journal::take_frames()).is_ok(), "{what}");
    let journal = journal_of(&database);
    let mut file = File::options().read(true).write(true).open(&journal).expect("our own file");
    let written = file.metadata().and_then(|found| found.modified()).expect("a time");
    let mut byte = [0];
    file.seek(position).and_then(|_| file.read_exact(&mut byte)).expect("our own file");
    let mut put = |byte: u8| {
        file.seek(position).and_then(|_| file.write_all(&[byte])).expect("ours");
        if keeps_time {
            file.set_modified(written).expect("our own file");
        }
    };
    put(byte[0] ^ 0x10);
    // The journal is looked at whatever it took last time.
    contents.proof.took = Duration::ZERO;
    let looked = contents.look(8, &found(&database));
    let looked_through = contents.look_through();
    put(byte[0]);
    for looked in [looked, looked_through] {
        assert!(matches!(&looked, Err(StoreError::Harmed { path }) if *path == journal), "{what}: {looked:?}");
    }
    contents.proof.took = Duration::ZERO;
    assert!(contents.look(8, &found(&database)).is_ok(), "{what}: it is as it was");
}

#[tokio::test]
async fn a_journal_in_which_a_bit_was_changed_is_found_out_also_within_one_tick_and_before_it_is_brought_in() {
    let positions = [28, 56, 60, 4176].map(SeekFrom::Start).into_iter().chain([SeekFrom::End(-4100)]);
    let cases = positions.flat_map(|position| [(position, false), (position, true)]);
    at_once(cases.map(|(position, keeps_time)| async move {
        let looking = tokio::task::spawn_blocking(move || a_changed_bit_is_found_out(position, keeps_time));
        looking.await.expect("the case holds");
    }))
    .await;
}

#[test]
fn shared_memory_that_was_cut_is_not_touched_and_one_that_is_gone_is_still_mapped() {
    let place = tempfile::tempdir().expect("a directory");
    let database = place.path().join("db");
    let file = beside(&database, "-shm");
    fs::write(&file, [0; 200]).expect("our own");
    let mut memory = SharedMemory::of(&database);
    assert!(memory.look().is_ok());
    fs::write(&file, [0; 300]).expect("our own");
    assert!(memory.look().is_ok(), "it grows");
    for length in [0, 299] {
        fs::write(&file, vec![0; length]).expect("our own");
        assert!(matches!(memory.look(), Err(StoreError::Harmed { .. })), "{length}");
    }
    fs::remove_file(&file).expect("our own");
    assert!(memory.look().is_ok());
}
