//! `undo`: what a run changed is taken back, and nothing else.

use std::collections::BTreeMap;

use crate::machines::id;
use crate::process::{Ended, Program};
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::{Machine, Sandbox};
use crate::tenant::{Tenant, machine};

/// Another command in the same folder, against the same sandbox.
#[track_caller]
fn command(sandbox: &Sandbox, folder: &Folder, arguments: &str) -> Ended {
    let mut command = folder.command();
    command.envs(sandbox.variables().iter().cloned()).args(arguments.split_whitespace());
    Program::start(command, None, true).end()
}

#[track_caller]
fn object(ended: &Ended, status: i32) -> serde_json::Value {
    assert_eq!(ended.status, Some(status), "{}", ended.messages);
    ended.object()
}

/// A run of these rows in the folder; its name.
#[track_caller]
fn apply(sandbox: &Sandbox, folder: &Folder, rows: &str) -> String {
    let outcome = Rehearsal::at(sandbox).in_folder(folder).rows(rows).planned().with("--json").run().exits(0);
    outcome.summary()["run_id"].as_str().expect("a name").to_owned()
}

fn state(sandbox: &Sandbox) -> BTreeMap<String, Machine> {
    sandbox.machines()
}

#[test]
fn what_was_so_before_stays_and_undoing_an_undo_works() {
    let (sandbox, folder) = (Sandbox::holding(&[1, 2, 3, 4]), Folder::new());
    apply(&sandbox, &folder, "#1,T,Add,\n#2,Old,Add,High\n");
    let before = state(&sandbox);
    let run = apply(&sandbox, &folder, "#1,T,Add,\n#2,T,Add,\n#2,Old,Remove,Low\n#3,T,Add,High\n");
    let after = state(&sandbox);
    assert_ne!(before, after);
    let ended = command(&sandbox, &folder, &format!("undo {run} --yes --json --quota off"));
    let summary = object(&ended, 0);
    assert_eq!(state(&sandbox), before);
    assert_eq!(summary["rows"], 5, "the tag that was there before is no row");
    assert_eq!(summary["status"]["succeeded"], 5);
    let undo = summary["run_id"].as_str().expect("a name");
    assert_ne!(undo, run);
    // Whoever is shown the first one knows that it does not hold any more.
    let page = object(&command(&sandbox, &folder, &format!("report {run} --json")), 0);
    assert_eq!(page["undone_by"], *undo);
    let verdict = page["verdict"]["text"].as_str().expect("a verdict");
    assert!(verdict.contains("taken back") && verdict.contains(undo), "{verdict}");
    let shown = command(&sandbox, &folder, &format!("runs {run}"));
    assert!(String::from_utf8_lossy(&shown.output).contains(&format!("Taken back by  {undo}")), "{run}");
    object(&command(&sandbox, &folder, &format!("undo {undo} --yes --json --quota off")), 0);
    assert_eq!(state(&sandbox), after);
    let runs = object(&command(&sandbox, &folder, "runs --json"), 0);
    let kinds: Vec<&str> =
        runs["runs"].as_array().expect("runs").iter().filter_map(|run| run["kind"].as_str()).collect();
    assert_eq!(kinds, ["undo", "undo", "apply", "apply"]);
}

#[test]
fn what_a_later_run_changed_is_left_and_listed() {
    let (sandbox, folder) = (Sandbox::holding(&[1, 2, 3]), Folder::new());
    let run = apply(&sandbox, &folder, "#1,T,Add,High\n#2,T,Add,High\n#3,T,Add,\n");
    // What it brought back to what was before is not left: nothing has to be done there.
    apply(&sandbox, &folder, "#1,,Set,Low\n#2,T,Remove,Low\n");
    let ended = command(&sandbox, &folder, &format!("undo {run} --yes --json --quota off"));
    let summary = object(&ended, 0);
    let counts = ["not_attempted", "succeeded", "unchanged"].map(|status| summary["status"][status].clone());
    assert_eq!(counts, [2, 2, 1].map(serde_json::Value::from));
    assert!(ended.messages.contains("2 changes are not taken back"), "{}", ended.messages);
    let results = folder.read(&format!("undo-{run}.results.csv")).expect("results");
    assert_eq!(String::from_utf8_lossy(&results).matches("changed_since").count(), 2);
    // It is nobody's task: no rows to feed back, and no advice that leads over what somebody else did.
    assert_eq!(folder.read(&format!("undo-{run}.failed.csv")), None);
    assert_eq!(
        (&summary["failed"], &summary["next"], &summary["causes"]),
        (&serde_json::Value::Null, &serde_json::Value::Null, &serde_json::json!([]))
    );
    let machines = state(&sandbox);
    assert_eq!(machines[&id(1)].value, "Low");
    assert!(machines.values().all(|machine| machine.tags.is_empty()), "{machines:?}");
}

#[test]
fn a_run_without_values_from_before_cannot_be_undone() {
    let (sandbox, folder) = (Sandbox::holding(&[1]), Folder::new());
    let outcome = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,T,Add,\n").with("--json").run().exits(0);
    let run = outcome.summary()["run_id"].as_str().expect("a name").to_owned();
    let ended = command(&sandbox, &folder, &format!("undo {run} --yes"));
    assert_eq!(ended.status, Some(3), "{}", ended.messages);
    assert!(ended.messages.contains("has no values from before"), "{}", ended.messages);
    assert_eq!(state(&sandbox)[&id(1)].tags, ["T"]);
}

#[test]
fn nobody_is_asked_where_there_is_no_terminal() {
    let (sandbox, folder) = (Sandbox::holding(&[1]), Folder::new());
    let run = apply(&sandbox, &folder, "#1,T,Add,\n");
    let ended = command(&sandbox, &folder, &format!("undo {run}"));
    assert_eq!(ended.status, Some(2), "{}", ended.messages);
    let ended = command(&sandbox, &folder, "undo no-such-run --yes");
    assert_eq!(ended.status, Some(2), "{}", ended.messages);
    assert_eq!(state(&sandbox)[&id(1)].tags, ["T"]);
}

#[test]
fn a_run_that_removed_a_tag_in_another_case_is_taken_back() {
    // A service that takes them for one tag.
    let tenant = Tenant::ignoring_case([machine(1).tagged("tier 1")]);
    let server = tenant.serve();
    let folder = Folder::new();
    let rehearsal = Rehearsal::at_stand_in(&server).in_folder(&folder).planned().rows("#1,Tier 1,Remove,\n");
    let run = rehearsal.with("--json").run().exits(0).summary()["run_id"].as_str().expect("a name").to_owned();
    assert!(tenant.holds(1).0.is_empty());
    let mut command = folder.command();
    command.envs(server.variables()).args(["undo", &run, "--yes", "--quota", "off"]);
    let ended = Program::start(command, None, true).end();
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    assert_eq!(tenant.holds(1).0, ["tier 1"]);
}
