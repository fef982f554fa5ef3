//! The program in a terminal: the question, the bar, and a terminal that goes away.

use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;

use crate::machines::rows_adding;
use crate::process::{PATIENCE, at_once};
use crate::rehearsal::{Folder, Prepared, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::table::Table;
use crate::terminal::Terminal;

/// Rows of a run that is to be ended in its middle.
const ROWS: u32 = 300;

/// Waits until a run is in its middle.
#[track_caller]
fn wait_for_some_machines(sandbox: &Sandbox) {
    let since = Instant::now();
    while sandbox.machines().len() < 10 {
        assert!(since.elapsed() < PATIENCE, "the run does not get on");
    }
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
    let since = Instant::now();
    while running.sandbox().machines().is_empty() {
        assert!(since.elapsed() < PATIENCE, "the run does not get on");
    }
    running.program().signal(Signal::HUP);
    running.program().waits_until_it_says("calls in flight are awaited");
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
