//! Options that keep a run small or end it early.

use serde_json::{Value, json};
use tagfleet::sandbox::Mishap;

use crate::machines::{id, rows_adding};
use crate::process::Program;
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};
use crate::tenant::{Tenant, WRITES, machine};

/// Refuses every call as wrong.
fn refuses_everything() -> StandIn {
    StandIn::answering(|_request| {
        Reply::json(400, r#"{"error": {"code": "InvalidInput", "message": "no", "target": "x"}}"#)
    })
}

#[test]
fn a_limit_sends_only_the_first_operations() {
    let rows = "#1,A,Add,\n#1,A,Add,\n#2,A,Add,High\n#3,A,Add,";
    let outcome = Rehearsal::new().rows(rows).with("--limit 2").run().exits(0);
    let results = outcome.results();
    assert_eq!(results.column("status"), ["succeeded", "succeeded", "not_attempted", "not_attempted"]);
    assert_eq!(results.column("error_code"), ["", "", "beyond_limit", "beyond_limit"]);
    assert_eq!(results.column("after"), ["present", "present", "present; ", ""]);
    let machine = outcome.sandbox().machine(2);
    assert_eq!((machine.tags, machine.value), (vec!["A".to_owned()], "Normal".to_owned()));
    assert_eq!(outcome.failed().map(|failed| failed.lines().count()), Some(3));
    assert_eq!(outcome.counters().of("tags"), 2);
}

#[test]
fn a_limit_of_nothing_sends_nothing() {
    let outcome = Rehearsal::new().rows(&rows_adding("A", 3)).with("--limit 0").run().exits(0);
    assert_eq!(outcome.statuses(), ["not_attempted"; 3]);
    assert_eq!(outcome.counters().calls(), 0);
}

#[test]
fn a_file_that_changes_too_much_is_refused() {
    let sandbox = Sandbox::start("");
    let rows = "#1,A,Add,High\n#1,A,Add,\n#2,A,Add,";
    let outcome = Rehearsal::at(&sandbox).rows(rows).with("--max-changes 2").run().exits(3);
    assert!(!outcome.wrote_anything());
    outcome.says(&["error: the plan has 3 changes, and --max-changes allows 2; nothing was changed"]);
    Rehearsal::at(&sandbox).rows(rows).with("--max-changes 3").run().exits(0);
    assert_eq!(sandbox.end().calls(), 3);
}

#[test]
fn too_many_errors_stop_the_run() {
    let server = refuses_everything();
    let outcome = Rehearsal::at_stand_in(&server)
        .rows(&rows_adding("A", 200))
        .with("--max-errors 5 --concurrency 1 --json")
        .run()
        .exits(5)
        .says(&["Too many errors: no new calls"]);
    assert_eq!(outcome.summary()["ended"], "too_many_errors");
    assert_eq!((outcome.count("failed"), outcome.count("not_attempted")), (6, 194));
    assert_eq!(server.requests().len(), 6);
}

/// Seven rows that the service refuses, of which a run that stopped early has sent three.
fn stopped_after_three(server: &StandIn) -> Folder {
    let folder = Folder::new();
    let rehearsal = Rehearsal::at_stand_in(server).in_folder(&folder).rows(&rows_adding("A", 7));
    let outcome = rehearsal.with("--max-errors 2 --concurrency 1").run().exits(5);
    assert_eq!((outcome.count("failed"), outcome.count("not_attempted")), (3, 4));
    folder
}

/// What the object says after another command in the folder.
fn once_more(server: &StandIn, folder: &Folder, command: &str, options: &str) -> Value {
    let mut again = folder.command();
    let always = "--yes --no-inventory --no-bulk --quota off --concurrency 1 --json";
    let words = [command, options, always].map(|words| words.split(' ')).into_iter().flatten();
    again.envs(server.variables()).args(words);
    let ended = Program::start(again, None, true).end();
    serde_json::from_slice(&ended.output).unwrap_or_else(|error| panic!("{error}: {}", ended.messages))
}

#[test]
fn what_was_refused_says_so_until_it_is_tried_again_and_is_not_counted_again() {
    for command in ["apply input.csv", "resume"] {
        let server = refuses_everything();
        let folder = stopped_after_three(&server);
        for (exit_status, failed, not_attempted, open, next) in
            [(5, 6, 1, 4, "tagfleet resume "), (1, 7, 0, 0, "tagfleet apply ")]
        {
            let summary = once_more(&server, &folder, command, "--max-errors 2");
            let (status, cause) = (&summary["status"], &summary["causes"][0]);
            let said = json!([summary["exit_status"], status["failed"], status["not_attempted"], summary["open"]]);
            assert_eq!(said, json!([exit_status, failed, not_attempted, open]), "{summary}");
            assert_eq!(json!([cause["http_status"], cause["count"]]), json!([400, failed]), "{summary}");
            assert!(summary["next"].as_str().is_some_and(|command| command.starts_with(next)), "{summary}");
        }
    }
}

#[test]
fn a_run_of_which_nothing_is_left_sends_nothing_when_it_is_resumed_by_its_name_however_it_ended() {
    let server = refuses_everything();
    let folder = Folder::new();
    let outcome =
        Rehearsal::at_stand_in(&server).in_folder(&folder).rows("#1,A,Add,").with("--max-errors 0 --json").run();
    let summary = outcome.exits(5).summary();
    assert_eq!(json!([summary["ended"], summary["open"]]), json!(["too_many_errors", 0]));
    let run = summary["run_id"].as_str().expect("its name");
    let again = once_more(&server, &folder, &format!("resume {run}"), "--max-errors 0");
    assert_eq!(json!([again["exit_status"], again["open"], server.requests().len()]), json!([1, 0, 1]), "{again}");
}

/// Nine of twelve machines are refused by themselves, and so is every bulk call that holds one of them; removes wait for
/// these adds.
#[test]
fn a_run_that_is_resumed_as_it_says_comes_to_its_end_and_does_all_that_can_be_done() {
    let rows = format!("{}#11,B,Remove,\n#12,B,Remove,\n", rows_adding("A", 12));
    for is_planned in [false, true] {
        let refused = |number| Mishap::refusing(400, "InvalidInput", "nothing is named").on(&WRITES).at(id(number));
        let server = Tenant::of((1..=12).map(machine)).serve_with((1..=9).map(refused));
        let folder = Folder::new();
        let rehearsal = Rehearsal::at_stand_in(&server).in_folder(&folder).rows(&rows);
        let rehearsal = if is_planned { rehearsal.planned() } else { rehearsal };
        let mut summary = rehearsal.with("--max-errors 2 --json").run().exits(5).summary();
        for _resumed in 0..9 {
            if summary["exit_status"] != 5 {
                break;
            }
            let mut again = folder.command();
            let command = summary["next"].as_str().expect("a command").trim_start_matches("tagfleet ").to_owned();
            again.envs(server.variables()).args(command.split(' ')).args(["--yes", "--json"]);
            let ended = Program::start(again, None, true).end();
            summary =
                serde_json::from_slice(&ended.output).unwrap_or_else(|error| panic!("{error}: {}", ended.messages));
            let causes = summary["causes"].as_array().expect("causes");
            let refused = causes.iter().find(|cause| cause["code"] == "InvalidInput").expect("refused");
            assert_eq!(summary["status"]["failed"], refused["count"], "who was refused says so: {summary}");
        }
        let status = &summary["status"];
        assert_eq!(json!([summary["open"], status["not_attempted"], status["failed"]]), json!([0, 0, 9]), "{summary}");
    }
}

#[test]
fn a_limit_goes_to_what_was_never_sent_and_what_it_leaves_out_still_says_that_it_was_refused() {
    for command in ["apply input.csv", "resume"] {
        let server = refuses_everything();
        let folder = stopped_after_three(&server);
        let summary = once_more(&server, &folder, command, "--max-errors 100% --limit 2");
        let (status, cause) = (&summary["status"], &summary["causes"][0]);
        assert_eq!(json!([status["failed"], status["not_attempted"]]), json!([5, 2]), "{summary}");
        assert_eq!(json!([cause["code"], cause["count"]]), json!(["InvalidInput", 5]), "{summary}");
        assert_eq!((&summary["exit_status"], server.requests().len()), (&json!(1), 5), "{summary}");
    }
}

#[test]
fn half_of_the_rows_failing_stops_the_run_when_they_are_twenty() {
    let server = refuses_everything();
    for (rows, status, failed) in [(19, 1, 19), (40, 5, 20)] {
        let rehearsal = Rehearsal::at_stand_in(&server).rows(&rows_adding("A", rows)).with("--concurrency 1");
        assert_eq!(rehearsal.run().exits(status).count("failed"), failed);
    }
}

#[test]
fn machines_that_are_not_there_are_no_reason_to_stop() {
    let sandbox = Sandbox::holding(&[1]);
    let outcome = Rehearsal::at(&sandbox).rows(&rows_adding("A", 31)).with("--concurrency 64").run().exits(1);
    assert_eq!((outcome.count("succeeded"), outcome.count("failed")), (1, 30));
}

#[test]
fn a_note_is_kept_with_the_run() {
    let outcome = Rehearsal::new().rows("#1,A,Add,").with("--note CHG0012345").run().exits(0);
    assert!(outcome.folder().files_holding("CHG0012345").iter().all(|path| path.starts_with("state")));
    assert!(!outcome.folder().files_holding("CHG0012345").is_empty());
}

#[test]
fn a_time_of_day_is_said_in_full_and_one_that_has_just_passed_is_refused() {
    let at = |hours| jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).checked_add(hours).expect("a time");
    let (later, earlier) = (at(jiff::ToSpan::hours(2)), at(jiff::ToSpan::hours(-2)));
    let rehearsal = |deadline: &jiff::Zoned| {
        let deadline = format!("--deadline {}", deadline.strftime("%H:%M"));
        Rehearsal::new().variable("TZ", "UTC").rows("#1,A,Add,").with(&deadline)
    };
    let moment = format!("No call starts after {}.", later.strftime("%Y-%m-%d %H:%M UTC"));
    rehearsal(&later).run().exits(0).says(&[&moment]);
    let outcome = rehearsal(&earlier).run().exits(2);
    let hint = format!("hint: write --deadline \"tomorrow {}\"", earlier.strftime("%H:%M"));
    let outcome = outcome.says(&["error: --deadline", "ago, at", &hint]);
    assert!(!outcome.wrote_anything());
}

/// With huge pages a small run takes three times the memory.
#[cfg(target_os = "linux")]
#[test]
fn memory_comes_in_small_pages() {
    let mut command = Program::command();
    command.args(["sandbox", "--listen", "127.0.0.1:0"]);
    let program = Program::start(command, None, true);
    let _ready = program.first_lines(5);
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).expect("our own process");
    // Kernels before 5.0 do not say.
    let huge_pages = status.lines().find(|line| line.starts_with("THP_enabled:"));
    assert!(huge_pages.is_none_or(|line| line.ends_with("\t0")), "{huge_pages:?}");
}
