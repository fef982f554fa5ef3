//! `tagfleet runs`: which runs there are, and how each stands.

use serde_json::Value;

use crate::machines::rows_adding;
use crate::process::{Ended, wait_until};
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;

/// The object that `runs --json` and `runs RUN --json` print.
#[track_caller]
fn listed(folder: &Folder, arguments: &[&str]) -> Value {
    let ended = folder.run(&[&["runs", "--json"], arguments].concat());
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let object: Value = serde_json::from_slice(&ended.output).expect("JSON");
    assert_eq!(object["schema_version"], 1);
    object
}

fn text(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.output).into_owned()
}

#[test]
fn before_the_first_run_there_are_none_and_nothing_is_made() {
    let folder = Folder::new();
    let ended = folder.run(&["runs"]);
    assert_eq!((ended.status, text(&ended).as_str()), (Some(0), ""));
    assert!(ended.messages.starts_with("There are no runs in "), "{}", ended.messages);
    assert_eq!(listed(&folder, &[])["runs"], Value::Array(vec![]));
    for command in ["runs", "results"] {
        let ended = folder.run(&[command, "20260101-000000-abcdef"]);
        assert_eq!(ended.status, Some(2), "{}", ended.messages);
        assert!(ended.messages.contains("hint: list the runs with: tagfleet runs\n"), "{}", ended.messages);
    }
    let ended = folder.run(&["runs", "sandbox-20260101-000000-abcdef"]);
    assert!(ended.messages.contains("tagfleet runs --sandbox\n"), "{}", ended.messages);
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[test]
fn runs_are_listed_newest_first_with_their_counts() {
    let sandbox = Sandbox::holding(&[1, 2]);
    let folder = Folder::new();
    let first = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows_adding("A", 3)).run();
    assert_eq!(first.exits(1).count("failed"), 1);
    let options = "--skip-invalid --limit 1 --note CHG-7";
    let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,B,Add,\n#2,B,Add,\n#3,,,Tiny\n");
    rehearsal.with(options).run().exits(1);
    let runs = &listed(&folder, &[])["runs"];
    assert_eq!(runs.as_array().map(Vec::len), Some(2));
    let (second, first_run) = (&runs[0], &runs[1]);
    assert_eq!(first_run["operations"]["failed"], 1);
    assert_eq!((&second["note"], &first_run["note"]), (&"CHG-7".into(), &Value::Null));
    assert_eq!((&second["state"], &second["kind"]), (&"finished".into(), &"apply".into()));
    let input = second["input"].as_str().expect("a path");
    assert!(std::path::Path::new(input).is_absolute() && input.ends_with("/input.csv"), "{input}");
    assert_eq!((&second["rows"], &second["invalid_rows"]), (&3.into(), &1.into()));
    let operations = &second["operations"];
    assert_eq!(
        (&operations["succeeded"], &operations["not_attempted"], &operations["pending"]),
        (&1.into(), &1.into(), &0.into())
    );
    assert_eq!(second["process"]["alive"], false);
    let ended = folder.run(&["runs"]);
    let lines: Vec<String> = text(&ended).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 7, "{lines:?}");
    assert!(lines[0].starts_with("127.0.0.1, tenant "), "{lines:?}");
    assert!(lines[3].ends_with("/input.csv, 3 rows, 2 operations: 1 succeeded, 1 not attempted"), "{lines:?}");
    assert_eq!(lines[4].trim(), "CHG-7");
}

#[test]
fn one_run_is_shown_whole() {
    let outcome = Rehearsal::new().rows("#1,A,Add,High\n#2,A,Add,\n").run().exits(0);
    let run_id = outcome.results().column("run_id")[0].to_owned();
    let run = listed(outcome.folder(), &[&run_id]);
    assert_eq!((&run["run_id"], &run["state"]), (&run_id.as_str().into(), &"finished".into()));
    assert_eq!(
        (&run["calls"]["tags"], &run["calls"]["value"], &run["unsettled_calls"]),
        (&2.into(), &1.into(), &0.into())
    );
    assert_eq!(run["header"], serde_json::json!(["machineId", "tag", "action", "value"]));
    assert!(run["first_call_at"].as_str() <= run["last_call_at"].as_str());
    assert!(run["last_call_at"].as_str() <= run["last_activity_at"].as_str());
    assert_eq!(run["next_command"], format!("tagfleet results {run_id}"));
    let ended = outcome.folder().run(&["runs", &run_id]);
    assert!(text(&ended).starts_with(&format!("Run {run_id} is finished.\n")), "{}", text(&ended));
}

#[cfg(unix)]
#[test]
fn a_run_is_seen_while_it_runs_and_after_its_process_was_killed() {
    let rehearsal = Rehearsal::new().sandbox("--latency 100ms").rows(&rows_adding("A", 200));
    let running = rehearsal.with("--concurrency 2 -v").start();
    running.program().waits_until_it_says("calls begin");
    let state = || listed(running.folder(), &[])["runs"][0].clone();
    wait_until(|| state()["operations"]["succeeded"].as_u64() >= Some(4));
    let seen = state();
    assert_eq!((&seen["state"], &seen["process"]["alive"]), (&"running".into(), &true.into()));
    assert_eq!(seen["process"]["id"], running.program().id());
    let run_id = seen["run_id"].as_str().expect("a name").to_owned();
    let folder = running.folder().clone();
    let locks = folder.names_in("state/processes");
    running.program().signal(rustix::process::Signal::KILL);
    assert_eq!(running.end().status(), None);
    let run = listed(&folder, &[&run_id]);
    assert_eq!((&run["state"], &run["process"]["alive"]), (&"unfinished".into(), &false.into()));
    assert_eq!(run["next_command"], format!("tagfleet resume {run_id}"));
    assert!(run["unsettled_calls"].as_u64() <= Some(2), "{run}");
    // Whoever only reads leaves no trace of having been there.
    assert_eq!(folder.names_in("state/processes"), locks);
    let results = folder.run(&["results", &run_id, "-o", "-"]);
    assert_eq!((results.status, text(&results).lines().count()), (Some(0), 201), "{}", results.messages);
    assert_eq!(folder.names_in("state/processes"), locks);
}

#[test]
fn rehearsals_are_listed_apart() {
    let folder = Folder::new();
    folder.write("input.csv", crate::machines::with_ids("machineId,tag,action\n#1,A,Add\n"));
    assert_eq!(folder.run(&["apply", "input.csv", "--sandbox"]).status, Some(0));
    assert_eq!(listed(&folder, &[])["runs"], Value::Array(vec![]));
    let run_id = listed(&folder, &["--sandbox"])["runs"][0]["run_id"].as_str().expect("a name").to_owned();
    assert!(run_id.starts_with("sandbox-"), "{run_id}");
    assert_eq!(listed(&folder, &[&run_id])["rows"], 1);
}

#[test]
fn the_runs_of_the_last_hour_are_kept() {
    let sandbox = Sandbox::start("");
    let folder = Folder::new();
    let apply = |options: &str| {
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows_adding("A", 3));
        rehearsal.with(options).run().exits(0);
    };
    apply("");
    apply("--keep-runs 90d");
    assert_eq!(listed(&folder, &[])["runs"].as_array().map(Vec::len), Some(2));
    apply("--keep-runs 0s");
    assert_eq!(listed(&folder, &[])["runs"].as_array().map(Vec::len), Some(3));
    assert_eq!(folder.names_in("state/processes").len(), 1);
    let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,\n").with("--keep-runs soon");
    rehearsal.run().exits(2).says(&["is not a duration such as 90s, 10m, 8h or 90d"]);
}
