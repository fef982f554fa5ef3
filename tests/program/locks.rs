//! Runs that change the same do not go at once, and those that do not go side by side.

use serde_json::Value;

use crate::machines::rows_adding;
use crate::rehearsal::{Folder, Outcome, Rehearsal, Running};
use crate::sandbox_server::Sandbox;

/// Rows of the run that is in the way; each takes a tenth of a second, so that it is not over before it is ended.
const ROWS: u32 = 3000;

/// Several runs on one state directory, each with a folder of its own.
struct Place {
    sandbox: Sandbox,
    state: Folder,
}

impl Place {
    fn new() -> Self {
        Self { sandbox: Sandbox::start("--latency 100ms"), state: Folder::new() }
    }

    fn rehearsal(&self, rows: &str) -> Rehearsal {
        let state = self.state.path("state").display().to_string();
        Rehearsal::at(&self.sandbox).variable("TAGFLEET_STATE_DIR", &state).rows(rows)
    }

    /// A run that adds the tag A to machine after machine.
    fn holder(&self, options: &str) -> Running {
        let running = self.rehearsal(&rows_adding("A", ROWS)).with("--concurrency 1 -v").with(options).start();
        running.program().waits_until_it_says("calls begin");
        running
    }

    fn runs(&self) -> Vec<Value> {
        let ended = self.state.run(&["runs", "--json"]);
        let object: Value = serde_json::from_slice(&ended.output).expect("JSON");
        object["runs"].as_array().expect("a list").clone()
    }

    #[track_caller]
    fn gives_way(&self, outcome: Outcome) -> Outcome {
        let outcome = outcome.exits(6).says(&["error: another run is in the way"]);
        assert!(!outcome.wrote_anything(), "{:?}", outcome.folder().names());
        assert_eq!(self.runs().len(), 1, "only the other run is left");
        outcome
    }
}

#[test]
fn a_run_gives_way_to_one_that_changes_the_same_and_says_whose_that_is() {
    let place = Place::new();
    let holder = place.holder("--note CHG-7");
    let run = &place.runs()[0];
    let run_id = run["run_id"].as_str().expect("a name");
    let host = run["process"]["host"].as_str().expect("a name");
    let named = format!("run {run_id} (process {} on {host}, started 2", holder.program().id());
    // Only the tag of one machine is asked for by both.
    let outcome = place.rehearsal("#1,B,Add,\n#7,a,Remove,\n#7,,,High\n").run();
    place.gives_way(outcome).says(&[
        &named,
        "/input.csv, note \"CHG-7\") changes the tag \"A\" of machine #7, too\n",
        "hint: nothing was sent; wait for it with --lock-wait 30m, or run the same command later\n",
    ]);
    drop(holder);
    place.rehearsal("#1,A,Remove,\n").run().exits(0);
}

#[test]
fn runs_that_share_nothing_go_side_by_side() {
    let place = Place::new();
    let holder = place.holder("");
    let outcome = place.rehearsal("#1,B,Add,High\n#9000,A,Add,\n").run().exits(0);
    assert_eq!(outcome.count("succeeded"), 2);
    assert_eq!(place.runs()[1]["state"], "running");
    drop(holder);
}

#[test]
fn a_plan_names_the_run_beside_which_it_was_made() {
    let place = Place::new();
    let holder = place.holder("");
    let id = place.runs()[0]["run_id"].as_str().expect("a name").to_owned();
    let warning = format!("warning: run {id} of ");
    place
        .rehearsal("#9000,A,Remove,\n")
        .only_plan()
        .run()
        .exits(0)
        .says(&[&warning, "is under way; the plan does not"]);
    drop(holder);
    let outcome = place.rehearsal("#9000,A,Remove,\n").only_plan().run().exits(0);
    assert!(!outcome.messages().contains("under way"), "{}", outcome.messages());
}

#[test]
fn of_two_that_start_at_once_one_begins() {
    let place = Place::new();
    let start = || place.rehearsal(&rows_adding("A", ROWS)).with("--concurrency 1 --deadline 5s").start();
    let (one, other) = (start(), start());
    let mut statuses = [one.end().status(), other.end().status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [Some(5), Some(6)]);
    assert_eq!(place.runs().len(), 1);
}

#[cfg(unix)]
#[test]
fn a_run_waits_for_its_turn_when_it_is_told_to() {
    let place = Place::new();
    let holder = place.holder("");
    let waiting = place.rehearsal("#1,A,Remove,\n").with("--lock-wait 10m").start();
    waiting.program().waits_until_it_says(" at most) for what is in the way: run ");
    assert_eq!(place.runs()[0]["state"], "preparing");
    holder.program().signal(rustix::process::Signal::INT);
    assert!(holder.end().exits(5).count("not_attempted") > 0);
    assert_eq!(waiting.end().exits(0).statuses(), ["succeeded"]);
    assert_eq!(place.sandbox.machine(1).tags, Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn a_wait_ends_with_an_interrupt_or_when_it_has_been_long_enough() {
    let place = Place::new();
    let holder = place.holder("");
    let waiting = place.rehearsal("#1,A,Remove,\n").with("--lock-wait 10m").start();
    waiting.program().waits_until_it_says(" at most) for what is in the way: run ");
    waiting.program().signal(rustix::process::Signal::TERM);
    place.gives_way(waiting.end()).says(&["another run is in the way, and the wait for it was interrupted: run "]);
    for options in ["--lock-wait 1s", "--lock-wait 10m --deadline 1s"] {
        place.gives_way(place.rehearsal("#1,A,Remove,\n").with(options).run());
    }
    drop(holder);
}
