//! Going on with a run that was left: the same command, `resume`, a changed file, a killed process.

#![cfg(unix)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::machines::{id, rows_adding};
use crate::process::{Ended, Program, wait_until};
use crate::rehearsal::{Folder, Rehearsal, Running};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};
use crate::table::{Row, Table};

/// Rows of a run that is to be left in its middle.
const ROWS: u32 = 120;

/// Slow enough to be left in the middle.
fn slow_sandbox() -> Sandbox {
    Sandbox::start("--latency 20ms")
}

/// A run in this folder of which some machines are done.
#[track_caller]
fn running_in_the_middle(sandbox: &Sandbox, folder: &Folder, rows: &str) -> Running {
    let done_before = sandbox.machines().len();
    let running = Rehearsal::at(sandbox).in_folder(folder).rows(rows).with("--concurrency 2 --json").start();
    wait_until(|| sandbox.machines().len() >= done_before + 10);
    running
}

/// A run that was interrupted in its middle; its name.
#[track_caller]
fn interrupted(sandbox: &Sandbox, folder: &Folder, rows: &str) -> String {
    let running = running_in_the_middle(sandbox, folder, rows);
    running.program().signal(Signal::INT);
    let outcome = running.end().exits(5);
    let run = outcome.summary()["run_id"].as_str().expect("a name").to_owned();
    outcome.says(&[&format!("Next: tagfleet resume {run}")]);
    run
}

/// Another command in the same folder, against the same sandbox.
#[track_caller]
fn command(sandbox: &Sandbox, folder: &Folder, arguments: &str) -> Ended {
    let mut command = folder.command();
    command.envs(sandbox.variables().iter().cloned()).args(arguments.split_whitespace());
    Program::start(command, None, true).end()
}

/// Every machine has the tag, and no more writes were made than there are rows.
#[track_caller]
fn each_was_written_once(sandbox: Sandbox) {
    let tagged: Vec<String> = sandbox.machines().into_keys().collect();
    assert_eq!(tagged, (1..=ROWS).map(id).collect::<Vec<_>>());
    assert_eq!(sandbox.end().of("tags"), u64::from(ROWS));
}

#[test]
fn resume_goes_on_without_the_file_and_writes_everything_once() {
    let (sandbox, folder) = (slow_sandbox(), Folder::new());
    let run = interrupted(&sandbox, &folder, &rows_adding("A", ROWS));
    std::fs::remove_file(folder.path("input.csv")).expect("our own file");
    let ended = command(&sandbox, &folder, "resume --yes --json --quota off --no-bulk");
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let summary = ended.object();
    assert_eq!((&summary["run_id"], &summary["status"]["succeeded"]), (&run.into(), &ROWS.into()));
    let results = folder.read("input.results.csv").expect("the run's own results");
    assert_eq!(String::from_utf8_lossy(&results).matches(",succeeded,").count(), ROWS as usize);
    assert_eq!(folder.read("input.failed.csv"), None, "nothing is left to feed back");
    each_was_written_once(sandbox);
}

#[test]
fn a_run_that_is_finished_ends_as_it_had_ended_when_it_is_resumed() {
    let (sandbox, folder) = (Sandbox::holding(&[1, 2]), Folder::new());
    let metrics = || String::from_utf8(folder.read("run.prom").expect("metrics")).expect("text");
    for (rows, status, failed) in [("#1,A,Add,\n#9,A,Add,", 1, 1), ("#1,B,Add,\n#2,B,Add,", 0, 0)] {
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows(rows).with("--fresh --json");
        let run = rehearsal.run().exits(status).summary()["run_id"].as_str().expect("a name").to_owned();
        let ended = command(&sandbox, &folder, &format!("resume {run} --yes --json --metrics-file run.prom"));
        assert_eq!(ended.status, Some(status), "{}", ended.messages);
        assert_eq!(ended.object()["exit_status"], status, "{}", ended.messages);
        assert!(metrics().contains(&format!("status=\"failed\"}} {failed}")), "{}", metrics());
    }
}

#[test]
fn the_same_command_goes_on_whatever_the_order_of_the_rows() {
    let (sandbox, folder) = (slow_sandbox(), Folder::new());
    let rows = rows_adding("A", ROWS);
    let run = interrupted(&sandbox, &folder, &rows);
    let mut turned: Vec<&str> = rows.lines().collect();
    turned.reverse();
    let again = Rehearsal::at(&sandbox).in_folder(&folder).rows(&(turned.join("\n") + "\n")).with("--json").run();
    let again = again.exits(0).says(&[&format!("Resuming run {run}")]);
    assert_eq!(again.summary()["run_id"], run);
    let results = again.results();
    assert_eq!(results.rows.len(), ROWS as usize);
    assert_eq!(results.rows[0]["machineId"], id(ROWS), "the rows as they stand in the file now");
    assert!(results.rows.iter().all(|row| &row["status"] == "succeeded"));
    each_was_written_once(sandbox);
}

#[test]
fn a_changed_file_drops_what_is_gone_and_adds_what_is_new() {
    let (sandbox, folder) = (slow_sandbox(), Folder::new());
    let rows = rows_adding("A", ROWS);
    let run = interrupted(&sandbox, &folder, &rows);
    let mut expected: BTreeSet<String> = sandbox.machines().into_keys().collect();
    let kept: String = rows.lines().take(100).map(|row| format!("{row}\n")).collect();
    let changed = format!("{kept}#500,B,Add,\n");
    let again = Rehearsal::at(&sandbox).in_folder(&folder).rows(&changed).with("--json").run().exits(0);
    assert_eq!(again.summary()["run_id"], run);
    assert_eq!(again.count("succeeded"), 101);
    let machines = sandbox.machines();
    expected.extend((1..=100).chain([500]).map(id));
    assert!(
        machines.keys().eq(&expected),
        "what the run did before is done, and of the rows that are gone nothing else"
    );
    assert_eq!(machines[&id(500)].tags, ["B"]);
    assert_eq!(sandbox.end().of("tags"), expected.len() as u64);
}

#[test]
fn fresh_begins_a_new_run() {
    let (sandbox, folder) = (slow_sandbox(), Folder::new());
    let rows = rows_adding("A", ROWS);
    let run = interrupted(&sandbox, &folder, &rows);
    let fresh = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows).with("--json --fresh").run().exits(0);
    assert_ne!(fresh.summary()["run_id"], run);
    assert_eq!(fresh.count("succeeded"), ROWS as usize);
}

#[test]
fn a_killed_run_is_gone_on_with_and_repeats_only_what_was_in_flight() {
    let (sandbox, folder) = (slow_sandbox(), Folder::new());
    let rows = rows_adding("A", ROWS);
    for _life in 0..3 {
        running_in_the_middle(&sandbox, &folder, &rows).program().signal(Signal::KILL);
    }
    let last = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows).with("--json").run().exits(0);
    assert_eq!(last.count("succeeded"), ROWS as usize);
    let tagged: Vec<String> = sandbox.machines().into_keys().collect();
    assert_eq!(tagged, (1..=ROWS).map(id).collect::<Vec<_>>());
    // Two calls were in flight at each of three deaths.
    let calls = sandbox.end().of("tags");
    assert!((u64::from(ROWS)..=u64::from(ROWS) + 6).contains(&calls), "{calls} calls");
}

#[test]
fn several_unfinished_runs_are_listed_and_one_must_be_named() {
    let (sandbox, folder) = (slow_sandbox(), Folder::new());
    let one = interrupted(&sandbox, &folder, &rows_adding("A", ROWS));
    let other_rows: String = (1001..=1120).map(|machine| format!("#{machine},B,Add,\n")).collect();
    let running = {
        let running =
            Rehearsal::at(&sandbox).in_folder(&folder).rows(&other_rows).with("--fresh --concurrency 1 --json").start();
        wait_until(|| sandbox.machines().contains_key(&id(1001)));
        running
    };
    running.program().signal(Signal::INT);
    let other = running.end().exits(5).summary()["run_id"].as_str().expect("a name").to_owned();
    let ended = command(&sandbox, &folder, "resume --yes");
    assert_eq!(ended.status, Some(2), "{}", ended.messages);
    assert!(ended.messages.contains(&one) && ended.messages.contains(&other), "{}", ended.messages);
    let ended = command(&sandbox, &folder, &format!("resume {one} --yes --quota off"));
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let ended = command(&sandbox, &folder, "resume --yes --quota off");
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let ended = command(&sandbox, &folder, "resume --yes");
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    assert!(ended.messages.contains("There is no unfinished run"), "{}", ended.messages);
}

#[test]
fn a_run_of_another_tenant_is_left_alone() {
    let (sandbox, folder) = (slow_sandbox(), Folder::new());
    let run = interrupted(&sandbox, &folder, &rows_adding("A", ROWS));
    let mut command = folder.command();
    command
        .envs(sandbox.variables().iter().cloned())
        .env("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000000f")
        .args(["resume", &run, "--yes"]);
    let ended = Program::start(command, None, true).end();
    assert_eq!(ended.status, Some(3), "{}", ended.messages);
    assert!(ended.messages.contains("belongs to another tenant"), "{}", ended.messages);
}

#[test]
fn rows_that_another_command_has_left_over_are_read_next_as_they_were_read_first() {
    let (sandbox, folder) = (Sandbox::holding(&[1, 2]), Folder::new());
    let options = "--tag-separator + --accept odd-tags --deadline 10m --json";
    let left = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A+B,Add,\n#2,C,Add,\n#3,T+U|V,Add,").quota("1/1h");
    let run = left.with(options).run().exits(5).summary()["run_id"].as_str().expect("a name").to_owned();
    let ended = command(&sandbox, &folder, &format!("resume {run} --yes --quota off --report report.html"));
    assert_eq!(ended.status, Some(1), "{}", ended.messages);
    let next = "input.failed.csv --accept odd-tags --tag-separator +";
    let page = String::from_utf8(folder.read("report.html").expect("a page")).expect("text");
    for told in [String::from_utf8(ended.output).expect("text"), page] {
        assert!(told.contains(next), "{told}");
    }
    // What was taken back is not to be fed back.
    let ended = command(&sandbox, &folder, &format!("undo {run} --yes --quota off"));
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let ended = command(&sandbox, &folder, &format!("report {run} --json"));
    assert_eq!(ended.object().get("next"), Some(&serde_json::Value::Null), "{}", ended.object());
}

#[test]
fn what_an_earlier_call_was_answered_is_no_answer_to_the_one_that_was_on_its_way() {
    let calls = AtomicUsize::new(0);
    let server = StandIn::answering(move |_request| {
        if calls.fetch_add(1, Ordering::SeqCst) < 2 {
            Reply::json(400, r#"{"error": {"code": "InvalidInput", "message": "no"}}"#)
        } else {
            Reply::Silence
        }
    });
    let folder = Folder::new();
    let rehearsal = Rehearsal::at_stand_in(&server).in_folder(&folder).rows(&rows_adding("A", 2));
    let outcome = rehearsal.with("--max-errors 0 --concurrency 1 --json").run().exits(5);
    let run = outcome.summary()["run_id"].as_str().expect("a run").to_owned();
    let mut resume = folder.command();
    let options = ["--yes", "--no-inventory", "--no-bulk", "--quota", "off", "--concurrency", "1"];
    resume.envs(server.variables()).args(["resume", &run]).args(options).args(["--max-errors", "100%"]);
    let resuming = Program::start(resume, None, true);
    // The one that was never sent is refused, too, and the other one is on its way.
    server.waits_for_requests(3);
    resuming.signal(Signal::KILL);
    resuming.end();
    assert_eq!(folder.run(&["results", &run, "-o", "again.csv"]).status, Some(0));
    let results = Table::read(&folder.read("again.csv").expect("results"), ',');
    let told = |row: &Row| [&row["status"], &row["http_status"], &row["error_code"]].join(" ");
    let rows: BTreeSet<String> = results.rows.iter().map(told).collect();
    assert_eq!(rows, ["failed 400 InvalidInput".to_owned(), "unknown  interrupted".to_owned()].into());
}
