//! Storage trouble: damaged and full disks, and places where nothing can be written. Nothing is claimed that is not
//! stored, nothing that is damaged is overwritten, and the message says what to do.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::machines::rows_adding;
use crate::process::{at_once, wait_until};
use crate::rehearsal::{Folder, Outcome, Rehearsal};
use crate::sandbox_server::Sandbox;

const DATABASE: &str = "state/tagfleet.sqlite3";

/// A folder whose state holds a run of some hundred rows, with nothing left in the journal.
fn used_folder(sandbox: &Sandbox) -> Folder {
    let folder = Folder::new();
    Rehearsal::at(sandbox).in_folder(&folder).rows(&rows_adding("A", 300)).run().exits(0);
    assert_eq!(journal_length(&folder), 0, "a process leaves its state in one file");
    folder
}

fn journal_length(folder: &Folder) -> usize {
    folder.read(&format!("{DATABASE}-wal")).unwrap_or_default().len()
}

/// The state as a process leaves it that is killed: the latest it has stored is in the journal only.
#[cfg(unix)]
fn leave_a_journal(sandbox: &Sandbox, folder: &Folder) {
    let running = Rehearsal::at(sandbox).in_folder(folder).rows(&rows_adding("B", 40)).with("-v").start();
    running.program().waits_until_it_says("calls begin");
    running.program().signal(rustix::process::Signal::KILL);
    drop(running.end());
    assert!(journal_length(folder) > 0, "{:?}", folder.names_in("state"));
}

/// A folder with the files of another.
fn copy_of(folder: &Folder) -> Folder {
    let copy = Folder::new();
    std::fs::create_dir_all(copy.path("state/processes")).expect("our own directory");
    #[cfg(unix)]
    {
        let private: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(copy.path("state"), private).expect("our own directory");
    }
    for name in folder.names_in("state").iter().filter(|name| *name != "processes") {
        copy.write(&format!("state/{name}"), folder.read(&format!("state/{name}")).expect("a file"));
    }
    copy
}

/// The database and its journal, byte for byte.
fn stored(folder: &Folder) -> [Option<Vec<u8>>; 2] {
    [folder.read(DATABASE), folder.read(&format!("{DATABASE}-wal")).filter(|bytes| !bytes.is_empty())]
}

fn database_of(folder: &Folder) -> File {
    File::options().write(true).open(folder.path(DATABASE)).expect("a database")
}

fn overwrite(folder: &Folder, position: u64, bytes: &[u8]) {
    let mut file = database_of(folder);
    file.seek(SeekFrom::Start(position)).expect("a place");
    file.write_all(bytes).expect("our own file");
}

fn cut(folder: &Folder, length: u64) {
    database_of(folder).set_len(length).expect("our own file");
}

/// `apply` refuses such a state before its first call, with these words; reading ends, too; and nothing is changed.
#[track_caller]
fn is_refused_and_left_alone(sandbox: &Sandbox, folder: &Folder, words: &[&str]) {
    let before = stored(folder);
    let outcome = Rehearsal::at(sandbox).in_folder(folder).rows("#1,New,Add,\n").run().exits(7).says(words);
    assert!(!outcome.wrote_anything(), "{:?}", folder.names());
    assert!(stored(folder) == before, "the database was changed");
    for arguments in [["runs", "--json"], ["results", "20260101-000000-abcdef"]] {
        let ended = folder.run(&arguments);
        assert!(matches!(ended.status, Some(0 | 2 | 7)) && !ended.messages.contains("panicked"), "{}", ended.messages);
    }
    assert!(stored(folder) == before, "the database was changed by somebody who only reads");
}

#[test]
fn a_damaged_database_is_found_before_the_first_call_and_left_as_it_is() {
    let sandbox = Sandbox::start("");
    let used = used_folder(&sandbox);
    let length = used.read(DATABASE).expect("a database").len() as u64;
    let pages = length / 4096;
    let mut folders = Vec::new();
    for shorter in [1, 511, 4096, length / 2, length / 4096 * 4096 - 4096] {
        let folder = copy_of(&used);
        cut(&folder, shorter);
        folders.push((format!("cut to {shorter}"), folder));
    }
    let folder = copy_of(&used);
    overwrite(&folder, 0, &[0xA5; 100]);
    folders.push(("a header of garbage".to_owned(), folder));
    for page in (0..pages).step_by(5) {
        let folder = copy_of(&used);
        overwrite(&folder, page * 4096, &[0xA5; 4096]);
        folders.push((format!("page {page} of garbage"), folder));
    }
    at_once(folders, |(what, folder)| {
        println!("{what}");
        is_refused_and_left_alone(&sandbox, &folder, &["tagfleet.sqlite3 is damaged", "it was left as it is: move it"]);
    });
    let calls = sandbox.end().of("tags");
    assert_eq!(calls, 300);
}

#[cfg(unix)]
#[test]
fn a_database_that_was_cut_beside_its_journal_is_not_mended_with_half_of_it() {
    let sandbox = Sandbox::start("");
    let used = used_folder(&sandbox);
    leave_a_journal(&sandbox, &used);
    for shorter in [0, 4096 * 3] {
        let folder = copy_of(&used);
        cut(&folder, shorter);
        is_refused_and_left_alone(&sandbox, &folder, &["tagfleet.sqlite3 is damaged"]);
    }
}

#[test]
fn a_database_of_a_newer_program_or_of_another_is_refused_and_left_as_it_is() {
    let sandbox = Sandbox::start("");
    let used = used_folder(&sandbox);
    let newer = copy_of(&used);
    overwrite(&newer, 60, &999_u32.to_be_bytes());
    let words =
        ["was written by a newer tagfleet (its version is 999, this program knows ", "hint: use that newer tagfleet"];
    is_refused_and_left_alone(&sandbox, &newer, &words);
    for pragma in ["", "PRAGMA user_version = 1"] {
        let folder = Folder::new();
        std::fs::create_dir(folder.path("state")).expect("our own directory");
        let foreign = rusqlite::Connection::open(folder.path(DATABASE)).expect("a database");
        foreign.execute_batch(&format!("CREATE TABLE theirs (x); {pragma}")).expect("a table");
        drop(foreign);
        is_refused_and_left_alone(
            &sandbox,
            &folder,
            &["is not a database of this program", "hint: name another directory"],
        );
    }
}

#[test]
fn a_database_that_another_program_holds_is_told_of_while_it_lasts_and_its_time_is_counted_apart() {
    let rehearsal = Rehearsal::new().sandbox("--latency 20ms").rows(&rows_adding("A", 60));
    let running = rehearsal.with("--concurrency 1 -v --metrics-file m.prom").start();
    running.program().waits_until_it_says("calls begin");
    wait_until(|| running.sandbox().machines().len() > 8);
    let other = rusqlite::Connection::open(running.folder().path(DATABASE)).expect("a database");
    other.busy_timeout(std::time::Duration::from_secs(10)).expect("patience");
    other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let warning = "WARN another program holds the state's database; tagfleet waits up to 30 s for it";
    for words in ["the state's database has not answered since ", warning] {
        running.program().waits_until_it_says(words);
    }
    other.execute_batch("COMMIT").expect("an end");
    let outcome = running.end().exits(0);
    assert_eq!(outcome.messages().matches(warning).count(), 1, "{}", outcome.messages());
    assert!(outcome.output().contains(" waiting for the state's database"), "{}", outcome.output());
    let metrics = outcome.folder().read("m.prom").expect("a page");
    let metrics = String::from_utf8_lossy(&metrics);
    let waited = metrics.lines().find(|line| line.contains("reason=\"state\"")).expect("a line");
    let seconds: f64 = waited.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number");
    assert!(seconds >= 2.0, "{waited}");
}

#[cfg(target_os = "linux")]
mod full {
    use super::*;
    use crate::rehearsal::Running;
    use crate::small_disk::SmallDisk;

    const ROWS: u32 = 600;
    const IN_FLIGHT: usize = 4;

    /// A run that is well under way.
    pub(super) fn under_way(rehearsal: Rehearsal) -> Running {
        let options = format!("--concurrency {IN_FLIGHT} -v");
        let running = rehearsal.sandbox("--latency 20ms").rows(&rows_adding("A", ROWS)).with(&options).start();
        running.program().waits_until_it_says("calls begin");
        // One call more than can be in flight: then an outcome has been stored.
        wait_until(|| running.sandbox().machines().len() > IN_FLIGHT);
        running
    }

    /// Whatever is claimed is so, and whatever is not claimed is not so, but for the calls in flight.
    #[track_caller]
    pub(super) fn claims_what_it_stored(outcome: &Outcome) {
        let (claimed, unknown) = (outcome.count("succeeded"), outcome.count("unknown"));
        let done = outcome.sandbox().machines().values().filter(|machine| machine.tags == ["A"]).count();
        assert!(claimed >= 1 && claimed < ROWS as usize, "{claimed}");
        assert!(claimed <= done && done <= claimed + unknown && unknown <= IN_FLIGHT, "{claimed} {done} {unknown}");
    }

    #[test]
    fn a_disk_that_fills_up_stops_the_calls_and_nothing_is_claimed_that_is_not_stored() {
        let Some(disk) = SmallDisk::new(16) else { return };
        let state = disk.path("state").display().to_string();
        let running = under_way(Rehearsal::new().variable("TAGFLEET_STATE_DIR", &state));
        disk.fill();
        let outcome = running.end().exits(7);
        assert!(outcome.output().contains("tagfleet.sqlite3 has no room left"), "{}", outcome.output());
        assert!(outcome.output().contains("hint: make room on that disk"), "{}", outcome.output());
        claims_what_it_stored(&outcome);
        // While it is full, nothing begins.
        let again = || {
            let rehearsal = Rehearsal::at(outcome.sandbox()).variable("TAGFLEET_STATE_DIR", &state);
            rehearsal.rows(&rows_adding("A", ROWS)).run()
        };
        again().exits(7).says(&["tagfleet.sqlite3 has no room left", "hint: make room on that disk"]);
        disk.empty();
        assert_eq!(again().exits(0).count("succeeded"), ROWS as usize);
    }

    #[test]
    fn results_that_find_no_room_leave_the_old_ones_and_can_be_written_again() {
        let Some(disk) = SmallDisk::new(1) else { return };
        let results = disk.path("out.csv");
        let old = "machineId,row,status,http_status,error_code,error_message,attempts,request_id,before,after,finished_at,run_id\n";
        std::fs::write(&results, format!("{old}a,1,failed,,,,,,,,,OLD\n")).expect("our own file");
        let options = format!("-o {}", results.display());
        let rehearsal = Rehearsal::new().sandbox("--latency 20ms").rows(&rows_adding("A", 50)).with(&options);
        let running = rehearsal.with("--concurrency 2 -v").start();
        running.program().waits_until_it_says("calls begin");
        disk.fill();
        let outcome = running.end().exits(7).says(&["error: cannot write the results to", "No space left on device"]);
        outcome_can_be_written_again(&outcome, &results);
        assert!(std::fs::read_to_string(&results).expect("our own file").starts_with(old));
        let left: Vec<_> = std::fs::read_dir(disk.path(".")).expect("our own directory").flatten().collect();
        assert_eq!(left.len(), 2, "the old results and the filler: {left:?}");
    }

    #[test]
    fn a_disk_that_is_read_only_is_found_before_the_first_call() {
        let Some(disk) = SmallDisk::new(1) else { return };
        let sandbox = Sandbox::start("");
        std::fs::create_dir(disk.path("state")).expect("our own disk");
        disk.make_read_only();
        let results = disk.path("out.csv").display().to_string();
        let outcome = Rehearsal::at(&sandbox).rows("#1,A,Add,\n").with("-o").with(&results).run().exits(7);
        outcome.says(&[&format!("error: cannot write the results to {results}\n"), "hint: check the folder"]);
        let state = disk.path("state").display().to_string();
        let outcome = Rehearsal::at(&sandbox).rows("#1,A,Add,\n").variable("TAGFLEET_STATE_DIR", &state).run().exits(7);
        outcome.says(&[
            &format!("error: cannot use {state}"),
            "caused by: Read-only file system",
            "hint: check the path",
        ]);
        sandbox.end().are_all_nought();
    }

    #[test]
    fn a_device_that_takes_nothing_is_no_place_for_results() {
        let outcome = Rehearsal::new().rows("#1,A,Add,\n").with("-o /dev/full").run().exits(7);
        outcome_can_be_written_again(&outcome, &PathBuf::from("/dev/full"));
    }
}

/// The message has the command that writes the results again; elsewhere it does so.
#[track_caller]
fn outcome_can_be_written_again(outcome: &Outcome, results: &std::path::Path) {
    let (_, command) = outcome.messages().split_once("write its results again with: tagfleet ").expect("a command");
    let command: Vec<&str> = command.lines().next().unwrap_or_default().split(' ').collect();
    assert_eq!((command[0], command[2], command[3]), ("results", "-o", results.display().to_string().as_str()));
    assert!(
        outcome.messages().contains(&format!("Run {} is finished. Its operations: ", command[1])),
        "{}",
        outcome.messages()
    );
    let ended = outcome.folder().run(&["results", command[1], "-o", "again.csv"]);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    assert!(outcome.folder().names().contains(&"again.csv".to_owned()));
}

#[test]
fn results_whose_place_has_gone_by_the_end_can_be_written_again() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("out")).expect("our own directory");
    let rehearsal = Rehearsal::new().sandbox("--latency 50ms").in_folder(&folder).rows(&rows_adding("A", 20));
    let running = rehearsal.with("-o out/results.csv --concurrency 1 -v --json").start();
    running.program().waits_until_it_says("calls begin");
    std::fs::remove_dir(folder.path("out")).expect("an empty directory");
    folder.write("out", "a file in its place");
    let outcome = running.end().exits(7).says(&["error: cannot write the results to out/results.csv"]);
    let object = outcome.summary();
    assert_eq!((&object["ended"], &object["exit_status"]), (&"storage_failed".into(), &7.into()), "{object}");
    assert!(outcome.messages().contains(object["run_id"].as_str().expect("the run")), "{object}");
    outcome_can_be_written_again(&outcome, &PathBuf::from("out/results.csv"));
}

/// A library whose synchronisation fails as soon as a file is there, put before the system's own.
#[cfg(target_os = "linux")]
const FAILING_SYNC: &str = r#"
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int fails(void) {
    const char *sign = getenv("FAILING_SYNC");
    if (!sign || access(sign, F_OK)) return 0;
    errno = EIO;
    return 1;
}
int fsync(int file) { return fails() ? -1 : (int)syscall(SYS_fsync, file); }
int fdatasync(int file) { return fails() ? -1 : (int)syscall(SYS_fdatasync, file); }
"#;

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_no_longer_keeps_what_it_takes_stops_the_calls() {
    let folder = Folder::new();
    let Some(library) = crate::preload::preloaded(&folder, FAILING_SYNC) else { return };
    let sign = folder.path("sign").display().to_string();
    let failing = |rehearsal: Rehearsal| rehearsal.variable("LD_PRELOAD", &library).variable("FAILING_SYNC", &sign);
    let running = full::under_way(failing(Rehearsal::new()));
    folder.write("sign", "");
    // The results cannot be kept on such a disk, either.
    let outcome = running.end().exits(7).says(&[
        "stopped early, because outcomes can no longer be stored: the state database ",
        "cannot be read or written: its disk fails",
        "hint: look for the disk's errors in the system's log",
        "error: cannot write the results to input.results.csv",
    ]);
    let (_, command) = outcome.messages().split_once("write its results again with: tagfleet ").expect("a command");
    let command: Vec<&str> = command.lines().next().unwrap_or_default().split(' ').collect();
    assert_eq!(outcome.folder().run(&command).status, Some(0));
    full::claims_what_it_stored(&outcome);
}

#[cfg(unix)]
#[test]
fn a_password_file_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    folder.write_private("password", "canary");
    let rehearse = || {
        let rehearsal = Rehearsal::new().in_folder(&folder).rows("#1,A,Add,");
        rehearsal.with("--state-password-file password").run().exits(0).messages().to_owned()
    };
    assert!(!rehearse().contains("can be read by"));
    let everybody = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.path("password"), everybody).expect("our own file");
    assert!(rehearse().contains("password can be read by every account on this computer"), "{}", rehearse());
}

/// The address of a server that lets nobody in.
#[cfg(unix)]
fn closed_server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    // It ends with the process of the tests.
    std::thread::spawn(move || {
        for mut asking in listener.incoming().flatten() {
            let fields = b"SFATAL\0C28P01\0Mnobody is let in\0\0";
            let length = u32::try_from(4 + fields.len()).expect("a short text");
            let mut answer = vec![b'E'];
            answer.extend_from_slice(&length.to_be_bytes());
            answer.extend_from_slice(fields);
            // Whoever asked is told by the end of the connection otherwise.
            let _told = std::io::Read::read(&mut asking, &mut [0; 1024]).and_then(|_| asking.write_all(&answer));
        }
    });
    format!("postgresql://user@127.0.0.1:{port}/state")
}

#[cfg(unix)]
#[test]
fn a_list_of_passwords_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;

    let state = closed_server();
    for (name, variable) in [(".pgpass", None), ("list", Some("PGPASSFILE"))] {
        let folder = Folder::new();
        folder.write_private(name, "*:*:*:*:canary");
        let look = || {
            let mut command = folder.command();
            command.env_remove("TAGFLEET_STATE_DIR").env("TAGFLEET_STATE", &state).arg("runs");
            command.envs(variable.map(|variable| (variable, folder.path(name))));
            let ended = crate::process::Program::start(command, None, true).end();
            assert_eq!(ended.status, Some(2), "{}", ended.messages);
            ended.messages
        };
        assert!(!look().contains("can be read by"));
        let everybody = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(folder.path(name), everybody).expect("our own file");
        let said = look();
        assert!(said.contains(&format!("{name} can be read by every account on this computer")), "{said}");
    }
}

#[test]
fn an_empty_address_of_a_state_is_refused_where_no_directory_is_named() {
    let folder = Folder::new();
    for (words, directory, expected) in
        [(&["runs"][..], None, 2), (&["apply", "input.csv", "--yes"][..], None, 2), (&["runs"][..], Some("state"), 0)]
    {
        folder.write("input.csv", "machineId,value\n");
        let mut command = folder.command();
        command.env_remove("TAGFLEET_STATE_DIR").env("TAGFLEET_STATE", "").env("TAGFLEET_TOKEN", "a").args(words);
        command.envs(directory.map(|directory| ("TAGFLEET_STATE_DIR", folder.path(directory))));
        let ended = crate::process::Program::start(command, None, true).end();
        assert_eq!(ended.status, Some(expected), "{words:?}: {}", ended.messages);
        assert_eq!(ended.messages.contains("TAGFLEET_STATE is empty"), expected == 2, "{}", ended.messages);
    }
}
