//! States that have lost something, that were moved under a run, or that hold what this program never wrote: each is noticed
//! before anything more is sent, and nobody is told that there was nothing.

use std::fs;

use crate::machines::rows_adding;
use crate::process::wait_until;
use crate::rehearsal::{Folder, Outcome, Rehearsal, Running};
use crate::sandbox_server::Sandbox;

const DATABASE: &str = "state/tagfleet.sqlite3";
const JOURNAL: &str = "state/tagfleet.sqlite3-wal";
const ROWS: u32 = 200;

/// A run that has stored the outcomes of some calls.
fn under_way(rehearsal: Rehearsal) -> Running {
    let running = rehearsal.sandbox("--latency 20ms").rows(&rows_adding("A", ROWS)).with("--concurrency 2 -v").start();
    running.program().waits_until_it_says("calls begin");
    wait_until(|| running.sandbox().machines().len() > 8);
    running
}

/// A folder as a process leaves it that is killed in the middle of a run, with its latest outcomes in the journal only.
fn killed() -> (Folder, Sandbox) {
    let folder = Folder::new();
    let sandbox = Sandbox::start("--latency 20ms");
    let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows_adding("A", ROWS));
    let running = rehearsal.with("--concurrency 2 -v").start();
    running.program().waits_until_it_says("calls begin");
    wait_until(|| sandbox.machines().len() > 8);
    running.program().signal(rustix::process::Signal::KILL);
    drop(running.end());
    assert!(folder.read(JOURNAL).is_some_and(|journal| !journal.is_empty()), "{:?}", folder.names_in("state"));
    (folder, sandbox)
}

#[test]
fn a_lost_journal_is_said_by_all_and_the_next_run_begins_with_a_full_quota() {
    let (folder, sandbox) = killed();
    fs::remove_file(folder.path(JOURNAL)).expect("our own file");
    for arguments in [&["runs"][..], &["runs", "--json"], &["results", "20260101-000000-abcdef"]] {
        let ended = folder.run(arguments);
        assert_eq!(ended.status, Some(7), "{}", ended.messages);
        assert!(
            ended.messages.contains("tagfleet.sqlite3 has lost what was stored last, until "),
            "{}",
            ended.messages
        );
    }
    let before = sandbox.machines().len();
    let apply = |quota: &str, deadline: &str| {
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows_adding("A", ROWS)).quota(quota);
        rehearsal.with("--deadline").with(deadline).run()
    };
    // The first call would be permitted after the deadline only, so nothing is waited for.
    apply("100/1m,1500/1h", "10m").exits(5).says(&[
        "warning: the state database has lost what was stored last, so it is not known which calls were made. The quota \
         counts as used up: the first calls start in 1 h 0 min",
    ]);
    assert_eq!(sandbox.machines().len(), before, "nothing was sent");
    let listed = folder.run(&["runs"]);
    assert_eq!(listed.status, Some(0), "{}", listed.messages);
    assert!(listed.messages.contains("is lost, so runs may be missing"), "{}", listed.messages);
    let gone = folder.run(&["results", "20260101-000000-abcdef"]);
    assert_eq!(gone.status, Some(7), "{}", gone.messages);
    assert!(gone.messages.contains("there is no run 20260101-000000-abcdef, and what was stored until "));
    assert_eq!(apply("off", "10m").exits(0).results().column("row").len(), ROWS as usize);
}

#[test]
fn a_database_of_another_state_is_not_taken_for_this_one() {
    let sandbox = Sandbox::start("");
    let apply = |folder: &Folder, rows, quota: &str| {
        let rehearsal = Rehearsal::at(&sandbox).in_folder(folder).rows(&rows_adding("A", rows)).quota(quota);
        rehearsal.with("--deadline 10m --fresh").run()
    };
    let [own, other] = [Folder::new(), Folder::new()];
    apply(&own, 2, "off").exits(0);
    apply(&other, 80, "off").exits(0);
    fs::copy(other.path(DATABASE), own.path(DATABASE)).expect("our own file");
    let ended = own.run(&["runs"]);
    assert_eq!(ended.status, Some(7), "{}", ended.messages);
    let said =
        "tagfleet.sqlite3 and the tagfleet.witness beside it are of different states, so what was stored last, until ";
    assert!(ended.messages.contains(said), "{}", ended.messages);
    let before = sandbox.machines().len();
    apply(&own, 2, "100/1m,1500/1h").exits(5).says(&[
        "warning: the state database and the tagfleet.witness beside it are of different states, so it is not known which \
         calls were made. The quota counts as used up",
    ]);
    assert_eq!(sandbox.machines().len(), before, "nothing was sent");
    let listed = own.run(&["runs"]);
    assert_eq!(listed.status, Some(0), "{}", listed.messages);
}

#[test]
fn whoever_goes_on_or_takes_back_is_told_of_the_loss_before_anything_is_sent() {
    for command in [&["resume", "--yes"][..], &["undo", "20260101-000000-abcdef", "--yes"]] {
        let (folder, sandbox) = killed();
        fs::remove_file(folder.path(JOURNAL)).expect("our own file");
        let variables = sandbox.variables();
        let run = || {
            let mut process = folder.command();
            process.args(command).envs(variables.iter().cloned());
            crate::process::Program::start(process, None, true).end()
        };
        let calls = sandbox.machines().len();
        let ended = run();
        assert_eq!(ended.status, Some(7), "{}", ended.messages);
        assert!(ended.messages.contains("has lost what was stored last, until "), "{}", ended.messages);
        // There is nothing left that could be resumed, and that is not told as if nothing had ever been.
        let again = run();
        assert_eq!(again.status, Some(7), "{}", again.messages);
        assert_eq!(sandbox.machines().len(), calls);
    }
}

/// The run stopped in its middle; each row is answered, and what is said to be done is done, and nothing else.
#[track_caller]
fn answers_every_row_truly(outcome: &Outcome, number: usize) {
    let (claimed, unknown) = (outcome.count("succeeded"), outcome.count("unknown"));
    let done = outcome.sandbox().machines().len();
    assert!(claimed <= done && done <= claimed + unknown && unknown <= 2, "{number}: {claimed} {done} {unknown}");
    assert!(done < ROWS as usize, "{number}");
    assert_eq!(outcome.results().column("row").len(), ROWS as usize, "{number}");
}

#[test]
fn a_state_that_is_moved_deleted_or_replaced_in_mid_run_stops_the_calls_and_the_results_are_written() {
    type Harm = fn(&Folder);
    let harms: [Harm; 5] = [
        |folder| fs::rename(folder.path("state"), folder.path("elsewhere")).expect("our own directory"),
        |folder| {
            // While it is being deleted, the keeper of its lock may make it anew.
            while fs::remove_dir_all(folder.path("state")).is_err() && folder.path("state").exists() {}
        },
        |folder| {
            fs::copy(folder.path(DATABASE), folder.path("copy")).expect("our own file");
            fs::rename(folder.path("copy"), folder.path(DATABASE)).expect("our own file");
        },
        |folder| fs::remove_file(folder.path(JOURNAL)).expect("our own file"),
        |folder| {
            let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o500);
            fs::set_permissions(folder.path("state"), read_only).expect("our own directory");
        },
    ];
    crate::process::at_once(harms.into_iter().enumerate(), |(number, harm)| {
        let running = under_way(Rehearsal::new());
        harm(running.folder());
        let outcome = running.end().exits(7);
        for words in [
            "stopped early, because outcomes can no longer be stored: the state directory ",
            "was moved, deleted, replaced or made read-only while it was in use",
            "hint: nothing more was sent: put ",
        ] {
            assert!(outcome.output().contains(words), "{number}: {} {}", outcome.output(), outcome.messages());
        }
        answers_every_row_truly(&outcome, number);
    });
}

#[test]
fn a_state_that_is_cut_or_overwritten_in_place_in_mid_run_stops_the_calls_and_the_results_are_whole() {
    use rustix::process::Signal;
    type Harm = fn(&Running);
    let harms: [(Harm, &str); 5] = [
        (|running| fs::write(running.folder().path(DATABASE), "").expect("our own file"), "was cut or overwritten"),
        (|running| fs::write(running.folder().path(JOURNAL), "").expect("our own file"), "was cut or overwritten"),
        (
            |running| fs::write(running.folder().path(JOURNAL), vec![0xA5; 20_000]).expect("our own file"),
            "was cut or overwritten",
        ),
        // As the system does when memory is touched that was cut.
        (|running| running.program().signal(Signal::BUS), "tagfleet.sqlite3-shm was cut or overwritten"),
        (
            |running| {
                let database = running.folder().database();
                database.busy_timeout(std::time::Duration::from_secs(10)).expect("a time-out");
                database.execute_batch("DELETE FROM operation; DELETE FROM run").expect("our own database");
            },
            "is damaged",
        ),
    ];
    crate::process::at_once(harms.into_iter().enumerate(), |(number, (harm, words))| {
        let running = under_way(Rehearsal::new());
        harm(&running);
        let outcome = running.end().exits(7);
        assert!(outcome.output().contains(words), "{number}: {} {}", outcome.output(), outcome.messages());
        for promise in ["the run is stored", "tagfleet resume"] {
            assert!(!outcome.output().contains(promise), "{number}: {}", outcome.output());
        }
        answers_every_row_truly(&outcome, number);
    });
}

#[test]
fn a_journal_that_was_written_into_in_mid_run_stops_the_calls_is_not_brought_in_and_is_told_of_by_whoever_reads_next() {
    use std::io::{Seek, SeekFrom, Write};

    type Harm = (u64, fn(&mut [u8]));
    fn flip(bytes: &mut [u8]) {
        bytes[0] ^= 0x10;
    }
    let harms: [Harm; 4] = [(2000, |bytes| bytes.fill(0)), (56, flip), (60, flip), (4176, flip)];
    crate::process::at_once(harms.into_iter().enumerate(), |(number, (place, change))| {
        let running = under_way(Rehearsal::new());
        let path = running.folder().path(JOURNAL);
        let place = usize::try_from(place).expect("a place");
        let mut bytes = fs::read(&path).expect("a journal")[place..place + 4000].to_vec();
        change(&mut bytes);
        let mut journal = fs::File::options().write(true).open(&path).expect("a journal");
        journal.seek(SeekFrom::Start(place as u64)).and_then(|_| journal.write_all(&bytes)).expect("our own file");
        let outcome = running.end().exits(7);
        for words in ["tagfleet.sqlite3-wal was cut or overwritten while it was in use", "nothing more was sent"] {
            assert!(outcome.output().contains(words), "{number}: {} {}", outcome.output(), outcome.messages());
        }
        answers_every_row_truly(&outcome, number);
        for arguments in [&["runs"][..], &["results", "20260101-000000-abcdef"], &["state"]] {
            let ended = outcome.folder().run(arguments);
            assert_eq!(ended.status, Some(7), "{number}: {arguments:?} {}", ended.messages);
        }
    });
}

#[test]
fn results_whose_rows_are_not_all_there_are_refused_and_say_how_many_are() {
    let sandbox = Sandbox::start("");
    let folder = Folder::new();
    let applied = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows_adding("A", 30)).with("--json").run().exits(0);
    let run_id = applied.summary()["run_id"].as_str().expect("the run").to_owned();
    let damage = |sql: &str| {
        let database = folder.database();
        database.execute_batch(sql).expect("our own database");
    };
    let results = || folder.run(&["results", &run_id, "-o", "again.csv"]);
    for (harm, mending, words) in [
        (
            "UPDATE input_chunk SET first_row = 2",
            "UPDATE input_chunk SET first_row = 1",
            "is damaged in the state database: 0 of its 30 rows are there",
        ),
        ("UPDATE run SET row_count = 31", "UPDATE run SET row_count = 30", "30 of its 31 rows are there"),
        (
            "UPDATE input_chunk SET row_count = 29; UPDATE run SET row_count = 29",
            "UPDATE input_chunk SET row_count = 30; UPDATE run SET row_count = 30",
            "tagfleet.sqlite3 is damaged",
        ),
        (
            "UPDATE input_chunk SET records = substr(records, 1, length(records) / 2)",
            "SELECT 1",
            "of its 30 rows are there",
        ),
    ] {
        damage(harm);
        let ended = results();
        assert_eq!(ended.status, Some(7), "{harm}: {}", ended.messages);
        assert!(ended.messages.contains(words), "{harm}: {}", ended.messages);
        assert!(!folder.names().contains(&"again.csv".to_owned()), "{harm}");
        damage(mending);
    }
    damage("UPDATE run SET state = 'preparing', row_count = 60");
    let ended = results();
    assert_eq!(ended.status, Some(2), "{}", ended.messages);
    assert!(ended.messages.contains("never began"), "{}", ended.messages);
    damage("UPDATE run SET state = 'finished', delimiter = 10");
    assert_eq!(results().status, Some(7));
}

#[test]
fn a_run_whose_operations_are_not_those_that_it_began_with_is_not_gone_on_with() {
    for harm in [
        "UPDATE tag SET tag = 'B'",
        "UPDATE operation SET machine = replace(machine, '0', '2') WHERE operation_number = 150",
        "UPDATE operation SET change_kind = 1 - change_kind WHERE operation_number = 150",
        "DELETE FROM operation WHERE operation_number = 150",
        "DELETE FROM input_chunk",
    ] {
        let (folder, sandbox) = killed();
        let database = folder.database();
        database.execute_batch(&format!("PRAGMA foreign_keys = OFF; {harm}")).expect("our own database");
        drop(database);
        let before = sandbox.machines().len();
        let mut process = folder.command();
        process.args(["resume", "--yes", "--quota", "off"]).envs(sandbox.variables().iter().cloned());
        let ended = crate::process::Program::start(process, None, true).end();
        assert_eq!(ended.status, Some(7), "{harm}: {}", ended.messages);
        assert!(ended.messages.contains("is damaged in the state database: "), "{harm}: {}", ended.messages);
        assert_eq!(sandbox.machines().len(), before, "{harm}: nothing was sent");
    }
}

#[test]
fn a_call_without_an_answer_that_names_no_operation_of_its_run_is_no_call_that_did_nothing() {
    for harm in ["x'00000000ff'", "x'ffffffff'"] {
        let (folder, sandbox) = killed();
        let database = folder.database();
        let run_id: String =
            database.query_row("SELECT run_id FROM run", [], |row| row.get(0)).expect("our own database");
        let spoilt = database
            .execute(
                &format!("UPDATE attempt SET operations = {harm} WHERE verdict IS NULL AND run_key IS NOT NULL"),
                [],
            )
            .expect("our own database");
        assert!(spoilt > 0, "a call was under way");
        drop(database);
        let before = sandbox.machines();
        for arguments in [&["resume", "--yes", "--quota", "off"][..], &["results", &run_id], &["runs"]] {
            let mut process = folder.command();
            process.args(arguments).envs(sandbox.variables().iter().cloned());
            let ended = crate::process::Program::start(process, None, true).end();
            assert_eq!(ended.status, Some(7), "{harm} {arguments:?}: {}", ended.messages);
            assert!(ended.messages.contains("damaged"), "{harm} {arguments:?}: {}", ended.messages);
        }
        assert!(sandbox.machines() == before, "{harm}: something was sent");
    }
}

#[test]
fn a_finished_run_that_is_not_what_it_was_is_neither_taken_back_nor_shown_for_what_it_was() {
    let (all, not_the_list) = (["undo", "results", "report", "runs"], ["undo", "results", "report"]);
    for (harm, commands, status) in [
        ("UPDATE tag SET tag = 'B'", &not_the_list[..], 7),
        ("UPDATE operation SET machine = replace(machine, '0', '2') WHERE operation_number = 15", &not_the_list, 7),
        ("DELETE FROM operation WHERE operation_number = 29", &not_the_list, 7),
        ("DELETE FROM operation WHERE operation_number = 15", &all, 7),
        ("DELETE FROM operation", &all, 7),
        ("UPDATE input_chunk SET records = x''", &all, 7),
        ("UPDATE run SET operations_digest = '1.abc'", &not_the_list, 7),
        ("DELETE FROM process", &["runs"], 7),
        ("UPDATE run SET state = 'preparing'", &["undo", "results"], 2),
    ] {
        let (folder, sandbox) = (Folder::new(), Sandbox::start(""));
        let applied =
            Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows_adding("A", 30)).with("--json").run().exits(0);
        let run_id = applied.summary()["run_id"].as_str().expect("the run").to_owned();
        let database = folder.database();
        database.execute_batch(&format!("PRAGMA foreign_keys = OFF; {harm}")).expect("our own database");
        drop(database);
        let before = sandbox.machines();
        for command in commands {
            let mut process = folder.command();
            process.arg(command).envs(sandbox.variables().iter().cloned());
            match *command {
                "runs" => &mut process,
                "undo" => process.args([&run_id, "--yes", "--quota", "off"]),
                _ => process.arg(&run_id),
            };
            let ended = crate::process::Program::start(process, None, true).end();
            assert_eq!(ended.status, Some(status), "{command}: {harm}: {}", ended.messages);
        }
        assert!(sandbox.machines() == before, "{harm}: something was sent");
    }
}

#[test]
fn what_somebody_has_hung_into_the_database_decides_nothing() {
    let (folder, sandbox) = (Folder::new(), Sandbox::start(""));
    let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows_adding("A", 3));
    rehearsal.run().exits(0);
    let hung = "CREATE TRIGGER idle BEFORE UPDATE ON operation BEGIN SELECT raise(IGNORE); END;
        CREATE TRIGGER deaf BEFORE INSERT ON attempt BEGIN SELECT raise(IGNORE); END";
    folder.database().execute_batch(hung).expect("our own database");
    let again = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows_adding("B", 3)).run().exits(0);
    assert_eq!(again.statuses(), ["succeeded"; 3]);
    let calls: u32 = folder
        .database()
        .query_row("SELECT count(*) FROM attempt WHERE call_kind = 'tags' OR call_kind = 'bulk'", [], |row| row.get(0))
        .expect("our own database");
    assert_eq!(calls, 6);
}

#[test]
fn what_changed_after_a_command_has_ended_is_noticed_by_the_next() {
    let folder = Folder::new();
    let sandbox = Sandbox::start("");
    Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows_adding("Tag-Alpha", 3)).run().exits(0);
    let whole = folder.read(DATABASE).expect("a database");
    let places: Vec<usize> = (0..whole.len()).filter(|at| whole[*at..].starts_with(b"Tag-Alpha")).collect();
    assert!(places.len() > 2, "{places:?}");
    for place in places {
        let mut bytes = whole.clone();
        bytes[place + 8] = b'c';
        folder.write("state/tagfleet.sqlite3", bytes);
        let ended = folder.run(&["runs"]);
        assert_eq!(ended.status, Some(7), "{place}: {}", ended.messages);
        assert!(ended.messages.contains("is damaged: it has changed since tagfleet left it"), "{}", ended.messages);
    }
    folder.write("state/tagfleet.sqlite3", whole);
    assert_eq!(folder.run(&["runs"]).status, Some(0));
}

#[test]
fn results_go_where_the_run_wanted_them_only_if_that_can_be_a_file_of_results() {
    let (folder, sandbox) = killed();
    let database = folder.database();
    database.execute("UPDATE run SET results_path = '/dev/null'", []).expect("our own database");
    drop(database);
    let mut process = folder.command();
    process.args(["resume", "--yes", "--quota", "off"]).envs(sandbox.variables().iter().cloned());
    let ended = crate::process::Program::start(process, None, true).end();
    let name = folder.names().into_iter().find(|name| name.starts_with("20") && name.ends_with(".results.csv"));
    assert!(name.is_some(), "{:?} {}", folder.names(), ended.messages);
}
