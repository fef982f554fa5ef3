//! The program in a terminal: the question, the bar, and a terminal that goes away.

use std::process::Command;

use rustix::process::Signal;

use crate::machines::rows_adding;
use crate::process::{at_once, wait_until};
use crate::rehearsal::{Folder, Prepared, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::table::Table;
use crate::terminal::Terminal;

/// Rows of a run that is to be ended in its middle.
const ROWS: u32 = 300;

/// Waits until a run is in its middle.
#[track_caller]
fn wait_for_some_machines(sandbox: &Sandbox) {
    wait_until(|| sandbox.machines().len() >= 10);
}

/// Every row is answered, and what is said to be done is done, and nothing else.
#[track_caller]
fn every_row_is_answered_truly(folder: &Folder, sandbox: &Sandbox) {
    let results = Table::read(&folder.read("input.results.csv").expect("results"), ',');
    assert_eq!(results.rows.len(), ROWS as usize);
    let (done, left): (Vec<_>, Vec<_>) = results.rows.iter().partition(|row| &row["status"] == "succeeded");
    assert!(!left.is_empty(), "the run was over before it was ended");
    assert!(left.iter().all(|row| &row["status"] == "not_attempted"), "calls in flight are awaited");
    let mut said: Vec<&str> = done.iter().map(|row| &row["machineId"]).collect();
    said.sort_unstable();
    assert_eq!(said, sandbox.machines().into_keys().collect::<Vec<_>>());
}

/// The question of an `apply` against a tenant that is read first.
fn asked(columns: u16) -> (Terminal, Sandbox, Folder) {
    let rehearsal = Rehearsal::new()
        .sandbox("--machines 1")
        .planned()
        .unconfirmed()
        .rows(&rows_adding("A", 3))
        .with("--color never");
    let Prepared { command, sandbox, folder, .. } = rehearsal.prepare();
    let mut terminal = Terminal::start(command, columns);
    terminal.waits_until_it_shows("[y/N] ");
    (terminal, sandbox.expect("a sandbox of its own"), folder)
}

/// Machines that have a tag of ours.
fn tagged(sandbox: &Sandbox) -> usize {
    sandbox.machines().values().filter(|machine| machine.tags.iter().any(|tag| tag == "A")).count()
}

#[test]
fn whoever_does_not_say_yes_cancels_at_once() {
    const CONTROL_C: &str = "\u{3}";
    const CONTROL_D: &str = "\u{4}";
    let cases = [CONTROL_C, CONTROL_D, "\n", "n\n", "SIGTERM", "SIGINT", "gone"];
    at_once(cases, |answer| {
        let (mut terminal, sandbox, folder) = asked(80);
        match answer {
            "SIGTERM" => terminal.signal(Signal::TERM),
            "SIGINT" => terminal.signal(Signal::INT),
            "gone" => terminal.goes_away(),
            typed => terminal.type_in(typed),
        }
        assert_eq!(terminal.end(), Some(3), "{answer:?}: {}", terminal.shown());
        if answer != "gone" {
            assert!(terminal.shown().contains("\r\nerror: cancelled; nothing was changed"), "{}", terminal.shown());
        }
        assert_eq!((tagged(&sandbox), folder.names()), (0, vec!["input.csv".to_owned(), "state".to_owned()]));
    });
}

/// The rehearsal is as strict as the tenant: it shows the plan and asks, where there is somebody to ask.
#[test]
fn a_rehearsal_asks_as_well() {
    let folder = Folder::new();
    folder.write("input.csv", format!("machineId,tag,action\n{},A,Add\n", crate::machines::id(1)));
    let start = || {
        let mut command = folder.command();
        command.args(["apply", "input.csv", "--sandbox", "--color", "never"]);
        let mut terminal = Terminal::start(command, 140);
        terminal.waits_until_it_shows("Plan for input.csv, 1 row, on ");
        terminal.waits_until_it_shows("[y/N] ");
        terminal
    };
    let mut terminal = start();
    terminal.type_in("n\n");
    assert_eq!((terminal.end(), folder.read("input.sandbox.results.csv")), (Some(3), None));
    let mut terminal = start();
    terminal.type_in("y\n");
    assert_eq!(terminal.end(), Some(0), "{}", terminal.shown());
    assert!(folder.read("input.sandbox.results.csv").is_some());
}

#[test]
fn a_message_is_broken_where_the_terminal_ends() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.args(["apply", "no-such.csv", "--sandbox", "--color", "never"]);
    let mut terminal = Terminal::start(command, 24);
    assert_eq!(terminal.end(), Some(3), "{}", terminal.shown());
    assert!(terminal.shown().contains("error: cannot read\r\n       no-such.csv\r\n"), "{}", terminal.shown());
}

#[test]
fn whoever_says_yes_gets_what_the_plan_says() {
    at_once([80, 140], |columns| {
        let (mut terminal, sandbox, folder) = asked(columns);
        terminal.type_in("y\n");
        assert_eq!(terminal.end(), Some(0), "{}", terminal.shown());
        assert!(folder.read("input.results.csv").is_some() && tagged(&sandbox) == 3);
    });
}

#[test]
fn a_narrow_terminal_shows_all_of_where_a_run_stands() {
    let rows: String = (1..=6).map(|machine| format!("{},,Set,High\n", crate::machines::id(machine))).collect();
    let rehearsal = Rehearsal::new().file(format!("machineId,tag,action,value\n{rows}"));
    let Prepared { command, folder: _folder, sandbox: _sandbox, .. } =
        rehearsal.quota("3/2s").with("--color never").prepare();
    let mut terminal = Terminal::start(command, 64);
    terminal.waits_until_it_shows("waiting for the quota of 3 calls in 2 s");
    terminal.waits_until_it_shows(" of 6 operations, 0 failed, ");
    terminal.waits_until_it_shows(" calls; done about ");
    assert_eq!(terminal.end(), Some(0), "{}", terminal.shown());
}

#[test]
fn a_terminal_that_goes_away_ends_the_run_in_order() {
    at_once(["", "-q", "--json", "-vv", "--json -q", "--log-format json -v"], |options| {
        let rehearsal = Rehearsal::new().sandbox("--latency 30ms").rows(&rows_adding("A", ROWS));
        let Prepared { command, sandbox, folder, .. } = rehearsal.with("--concurrency 2").with(options).prepare();
        let mut terminal = Terminal::start(command, 80);
        let sandbox = sandbox.expect("a sandbox of its own");
        wait_for_some_machines(&sandbox);
        terminal.goes_away();
        assert_eq!(terminal.end(), Some(5), "{options}");
        every_row_is_answered_truly(&folder, &sandbox);
    });
}

#[test]
fn a_terminal_that_says_twice_that_it_goes_away_does_not_hurry_the_run() {
    let running =
        Rehearsal::new().sandbox("--latency 700ms").rows(&rows_adding("A", 40)).with("--concurrency 3").start();
    wait_until(|| !running.sandbox().machines().is_empty());
    running.program().signal(Signal::HUP);
    running.program().waits_until_it_says("no new calls");
    running.program().signal(Signal::HUP);
    let outcome = running.end().exits(5);
    assert_eq!(outcome.count("unknown"), 0);
}

/// The same command as `nohup` would start it.
fn ignoring_hang_ups(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().expect("a folder of its own"));
    shell
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_was_told_to_outlive_its_terminal_does() {
    let rehearsal = Rehearsal::new().sandbox("--latency 30ms").rows(&rows_adding("A", 60)).with("--concurrency 2");
    let Prepared { command, sandbox, folder, .. } = rehearsal.prepare();
    let mut terminal = Terminal::start(ignoring_hang_ups(&command), 80);
    wait_for_some_machines(sandbox.as_ref().expect("a sandbox of its own"));
    terminal.goes_away();
    assert_eq!(terminal.end(), Some(0));
    let results = Table::read(&folder.read("input.results.csv").expect("results"), ',');
    assert_eq!(results.column("status"), ["succeeded"; 60]);
}
