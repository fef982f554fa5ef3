//! Interrupts and deadlines while the program waits for what does not come: its input, its state, the server of its state.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;

use crate::machines::{id, rows_adding};
use crate::process::{Ended, Program, at_once};
use crate::rehearsal::{Folder, Outcome, Prepared, Rehearsal, Running};
use crate::stand_in::StandIn;
use crate::tenant::{Tenant, machine};

const DATABASE: &str = "state/tagfleet.sqlite3";
const ROWS: u32 = 60;
/// What is said once a state is waited for.
const HELD: &str = "another program holds the state's database; tagfleet waits up to ";
/// Far less than several waits for a state, and far more than anything takes that nobody waits for.
const SOON: Duration = Duration::from_secs(45);
/// Less than the state is waited for where nobody wants the run to end.
const ONE_WAIT: Duration = Duration::from_secs(25);

/// Another program that holds this state, and keeps whoever only reads from it, too.
fn hold(folder: &Folder) -> Connection {
    let other = Connection::open(folder.path(DATABASE)).expect("a database");
    other.busy_timeout(Duration::from_secs(10)).expect("patience");
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").expect("a lock");
    other
}

/// A tenant, and a folder whose state holds a finished run of it with this name.
fn used() -> (StandIn, Folder, String) {
    let server = Tenant::of((1..=3).map(machine)).serve();
    let folder = Folder::new();
    let done = Rehearsal::at_stand_in(&server).in_folder(&folder).rows(&rows_adding("A", 3)).with("--json");
    let run = done.run().exits(0).summary()["run_id"].as_str().expect("a name").to_owned();
    (server, folder, run)
}

/// It was interrupted before it did anything, in good time, and says so to people and to scripts.
#[track_caller]
fn was_interrupted(ended: &Ended, what: &str) {
    assert_eq!(ended.status, Some(5), "{what}: {}", ended.messages);
    assert!(ended.messages.contains("error: interrupted; nothing was "), "{what}: {}", ended.messages);
    let object = ended.object();
    assert_eq!((&object["ended"], &object["exit_status"]), (&"interrupted".into(), &5.into()), "{what}: {object}");
}

#[test]
fn an_interrupt_ends_every_command_that_waits_for_a_state_that_another_program_holds() {
    let (server, folder, run) = used();
    let requests = server.requests().len();
    let _other = hold(&folder);
    folder.write("in.csv", format!("machineId,tag,action\n{},B,Add\n", id(1)));
    let commands = [
        "apply in.csv --yes",
        "plan in.csv",
        "verify in.csv",
        "resume --yes",
        "undo RUN --yes",
        "runs",
        "results RUN",
        "report RUN",
        "state",
        "check",
        "apply in.csv --yes --metrics-file m.prom",
    ];
    at_once(commands.into_iter().zip([Signal::INT, Signal::TERM].into_iter().cycle()), |(typed, signal)| {
        let mut command = folder.command();
        command.envs(server.variables()).args(typed.replace("RUN", &run).split(' ')).arg("--json");
        let program = Program::start(command, None, true);
        program.waits_until_it_says(HELD);
        let since = Instant::now();
        program.signal(signal);
        was_interrupted(&program.end(), typed);
        assert!(since.elapsed() < SOON, "{typed}: {:?}", since.elapsed());
    });
    assert_eq!(server.requests().len(), requests, "nothing was sent");
}

#[test]
fn the_deadline_ends_a_wait_for_the_state_before_the_first_call() {
    let (server, folder, _) = used();
    let requests = server.requests().len();
    let _other = hold(&folder);
    let since = Instant::now();
    let late = Rehearsal::at_stand_in(&server).in_folder(&folder).rows(&rows_adding("B", 3));
    late.with("--deadline 1s").run().exits(5).says(&["stopped at its deadline, before the first call"]);
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_eq!(server.requests().len(), requests);
}

/// A run in its middle whose state another program holds from now on, and that has noticed.
fn held_in_the_middle(options: &str) -> (Running, Connection) {
    let rehearsal = Rehearsal::new().sandbox("--latency 20ms").rows(&rows_adding("A", ROWS));
    let running = rehearsal.with("--concurrency 1 -v --json").with(options).start();
    running.program().waits_until_it_says("calls begin");
    while running.sandbox().machines().len() <= 8 {}
    let other = Connection::open(running.folder().path(DATABASE)).expect("a database");
    other.busy_timeout(Duration::from_secs(10)).expect("patience");
    other.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    (running, other)
}

/// The results claim what is stored, and what could not be is said.
#[track_caller]
fn gave_the_state_up(outcome: &Outcome, since: Instant) {
    assert!(since.elapsed() < ONE_WAIT, "{:?}: {}", since.elapsed(), outcome.messages());
    let results = outcome.results();
    assert_eq!(results.rows.len(), ROWS as usize);
    let tagged = outcome.sandbox().machines();
    let succeeded = results.rows.iter().filter(|row| &row["status"] == "succeeded");
    assert!(succeeded.map(|row| &row["machineId"]).all(|machine| tagged.contains_key(machine)));
    assert_eq!(outcome.count("unknown") + outcome.count("succeeded"), tagged.len(), "each was sent once or never");
    assert_eq!(outcome.summary()["exit_status"], 7);
    assert!(outcome.messages().contains("is held by another process"), "{}", outcome.messages());
}

#[test]
fn whoever_wants_a_run_to_end_does_not_wait_for_whoever_holds_its_state() {
    at_once([(1, ""), (2, ""), (0, "--max-outage 3s")], |(interrupts, options)| {
        let (running, _other) = held_in_the_middle(options);
        running.program().waits_until_it_says("the state's database has not answered since ");
        let since = Instant::now();
        for _ in 0..interrupts {
            running.program().signal(Signal::INT);
            // The system makes one of two that come at once.
            std::thread::sleep(Duration::from_millis(200));
        }
        gave_the_state_up(&running.end().exits(7), since);
    });
}

/// A server that lets everybody in, and says nothing to anybody.
fn silent_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    (listener, format!("postgresql://user@127.0.0.1:{port}/state"))
}

#[test]
fn an_interrupt_ends_a_wait_for_a_server_that_never_answers() {
    at_once(["apply input.csv --yes", "plan input.csv", "runs", "state", "state init"], |typed| {
        let (listener, state) = silent_server();
        let folder = Folder::new();
        folder.write("input.csv", format!("machineId,tag,action\n{},B,Add\n", id(1)));
        let mut command = folder.command();
        command.env_remove("TAGFLEET_STATE_DIR").env("TAGFLEET_STATE", state).env("TAGFLEET_TOKEN", "a");
        command.args(typed.split(' ')).arg("--json");
        let program = Program::start(command, None, true);
        let _connected = listener.accept().expect("it asks");
        let since = Instant::now();
        program.signal(Signal::TERM);
        was_interrupted(&program.end(), typed);
        assert!(since.elapsed() < SOON, "{typed}: {:?}", since.elapsed());
    });
}

#[test]
fn the_deadline_ends_a_wait_for_a_server_that_never_answers() {
    let (_listener, state) = silent_server();
    let since = Instant::now();
    let late = Rehearsal::at_nobody().rows(&rows_adding("B", 3)).variable("TAGFLEET_TOKEN", "a");
    let Prepared { mut command, folder: _folder, .. } = late.with("--deadline 1s").prepare();
    command.env_remove("TAGFLEET_STATE_DIR").env("TAGFLEET_STATE", state);
    let ended = Program::start(command, None, true).end();
    assert_eq!(ended.status, Some(5), "{}", ended.messages);
    assert!(ended.messages.contains("stopped at its deadline"), "{}", ended.messages);
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
}

#[test]
fn a_server_that_is_away_at_the_start_is_told() {
    at_once(["apply input.csv --yes", "plan input.csv", "runs"], |typed| {
        let (listener, state) = silent_server();
        drop(listener);
        let folder = Folder::new();
        folder.write("input.csv", format!("machineId,tag,action\n{},B,Add\n", id(1)));
        let mut command = folder.command();
        command.env_remove("TAGFLEET_STATE_DIR").env("TAGFLEET_STATE", &state).env("TAGFLEET_TOKEN", "a");
        command.args(typed.split(' '));
        let program = Program::start(command, None, true);
        program.waits_until_it_says(&format!("cannot reach the state {state}; tagfleet waits up to 30 s for it"));
        program.signal(Signal::TERM);
        assert_eq!(program.end().status, Some(5), "{typed}");
    });
}

/// A pipe in the place of a file, and the end of it that keeps whoever reads it waiting.
fn endless(folder: &Folder, name: &str) -> std::fs::File {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, folder.path(name), rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    std::fs::File::options().read(true).write(true).open(folder.path(name)).expect("a pipe")
}

#[test]
fn an_interrupt_ends_a_command_that_reads_what_does_not_come() {
    let names = [
        ("apply endless --yes", "endless"),
        ("plan in.csv --where-file endless", "endless"),
        ("verify in.csv --ca-file endless", "endless"),
    ];
    at_once(names, |(typed, name)| {
        let folder = Folder::new();
        folder.write("in.csv", format!("machineId,tag,action\n{},B,Add\n", id(1)));
        let kept_open = endless(&folder, name);
        let mut command: Command = folder.command();
        command.env("TAGFLEET_TOKEN", "a").args(typed.split(' ')).arg("--json");
        let program = Program::start(command, None, true);
        reads(&program, &folder.path(name));
        program.signal(Signal::INT);
        was_interrupted(&program.end(), typed);
        drop(kept_open);
    });
}

/// Waits until the program has opened this file.
#[track_caller]
fn reads(program: &Program, path: &std::path::Path) {
    let since = Instant::now();
    let descriptors = format!("/proc/{}/fd", program.id());
    let has_opened = || {
        let open = std::fs::read_dir(&descriptors).into_iter().flatten().flatten();
        open.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|open| open == path)
    };
    while !has_opened() {
        assert!(since.elapsed() < crate::process::PATIENCE, "{} is not read", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}
