//! What a run says at its end: one object for scripts, a text for people.

use serde_json::json;

use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};

/// The numbers before the names of statuses in the text.
fn counts(text: &str) -> Vec<(u64, &str)> {
    let lines = text.lines().skip(1).take_while(|line| line.starts_with("   "));
    lines
        .map(|line| {
            let (count, status) = line.trim().split_once(' ').expect("a count and a status");
            (count.replace(',', "").parse().expect("a count"), status)
        })
        .collect()
}

#[test]
fn the_object_for_scripts_holds_what_was_promised() {
    let rows = "#1,Tier 0,Add,High\n#2,Tier 0,Add,\n#3,,Add,\n#4,Tier 0,Add,";
    let outcome = Rehearsal::new().rows(rows).with("--json --skip-invalid --limit 3").run().exits(1);
    let summary = outcome.summary();
    let run = &outcome.results().rows[0]["run_id"];
    let expected = json!({
        "schema_version": 1,
        "run_id": run,
        "rows": 4,
        "status": {"succeeded": 2, "unchanged": 0, "failed": 0, "unknown": 0, "not_attempted": 1, "invalid": 1},
        "calls": {"list": 0, "get": 0, "bulk": 0, "tags": 2, "value": 1},
        "throttled": 0,
        "exit_status": 1,
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&summary[name], value, "{name}");
    }
    for name in ["elapsed_seconds", "waited_seconds"] {
        assert!(summary[name].as_f64().is_some_and(|seconds| (0.0..60.0).contains(&seconds)), "{name}: {summary}");
    }
    assert_eq!(outcome.output().lines().count(), 1, "one object on one line");
}

#[test]
fn the_numbers_for_people_add_up_to_the_rows() {
    let rows = "#1,Tier 0,Add,High\n#2,Tier 0,Add,\n#3,,Add,\n#4,Tier 0,Add,";
    let outcome = Rehearsal::new().rows(rows).with("--skip-invalid --limit 3").run().exits(1);
    let text = outcome.output();
    assert!(text.starts_with("Run ") && text.contains(" is finished: 4 rows.\n"), "{text}");
    let expected = [(2, "succeeded"), (1, "not attempted"), (1, "invalid (not sent)")];
    assert_eq!(counts(&text), expected);
    for part in [
        "Calls: 3 (2 single tags, 1 device value)",
        "Results: input.results.csv",
        "Rows not done: input.failed.csv (2)",
        "Next: fix the invalid rows in input.failed.csv (input.results.csv says why), then: tagfleet apply input.failed.csv",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn errors_come_in_groups_with_an_example_and_what_to_do() {
    let server = StandIn::answering(|request| {
        if request.body.contains("Tier 0") {
            Reply::json(400, r#"{"error": {"code": "InvalidInput", "message": "no such tier", "target": "x"}}"#)
        } else {
            Reply::json(403, r#"{"error": {"code": "Forbidden", "message": "not yours", "target": "x"}}"#)
        }
    });
    let rows = "#1,Tier 0,Add,\n#2,Tier 0,Add,\n#3,Tier 0,Add,";
    let outcome = Rehearsal::at_stand_in(&server).rows(rows).run().exits(1);
    let text = outcome.output();
    let group = "3 × InvalidInput (HTTP 400), first in row 1: no such tier";
    assert!(text.contains("What went wrong:") && text.contains(group), "{text}");
    assert_eq!(counts(&text), [(3, "failed")]);
}

#[test]
fn a_quiet_run_says_nothing_unless_something_needs_attention() {
    let sandbox = Sandbox::start("");
    let outcome = Rehearsal::at(&sandbox).rows("#1,Tier 0,Add,").with("-q").run().exits(0);
    assert_eq!((outcome.output().as_str(), outcome.messages()), ("", ""));
    let outcome = Rehearsal::at(&sandbox).rows("#1,,Add,\n#2,A,Add,").with("-q --skip-invalid").run().exits(1);
    assert_eq!(outcome.output(), "");
    outcome.says(&["row 1, line 2", "is finished: 2 rows."]);
}

#[test]
fn a_script_finds_why_rows_failed_and_whoever_gets_its_mail_does_too() {
    let rows = "#1,,Add,\n#2,A,Add,\n#3,,Add,";
    let outcome = Rehearsal::new().rows(rows).with("-q --json --skip-invalid").run().exits(1);
    let summary = outcome.summary();
    let cause = &summary["causes"][0];
    assert_eq!(summary["causes"].as_array().map(Vec::len), Some(1), "{summary}");
    assert_eq!(
        (&cause["code"], &cause["status"], &cause["count"]),
        (&json!("missing_tag"), &json!("invalid"), &json!(2))
    );
    assert_eq!((&cause["first_row"], &cause["http_status"]), (&json!(1), &json!(null)));
    assert!(cause["message"].is_string() && cause["hint"].is_string(), "{summary}");
    let next = "tagfleet apply input.failed.csv --no-inventory --no-bulk --quota off";
    assert_eq!((&summary["reason"], &summary["next"]), (&json!(null), &json!(next)));
    assert!(summary["input"].as_str().is_some_and(|input| input.ends_with("input.csv")), "{summary}");
    let time = |name: &str| summary[name].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    assert!(time("started_at") <= time("finished_at"), "{summary}");
    outcome.says(&["2 invalid (not sent)", "2 × missing_tag, first in row 1"]);
}

#[test]
fn a_script_finds_an_object_whatever_the_exit_status_is() {
    let sandbox = Sandbox::start("");
    let at = || Rehearsal::at(&sandbox).with("--json");
    let folder = Folder::new();
    folder.write("mine.csv", "my notes\n");
    let cases = [
        (at().rows("#1,A,Add,").with("--no-such-option"), 2, "usage"),
        (at().rows("#1,A,Add,").unconfirmed(), 2, "usage"),
        (at().rows("#1,,Add,"), 3, "input_refused"),
        (at().rows("#1,A,Add,\n#1,A,Remove,"), 3, "input_refused"),
        (at().in_folder(&folder).rows("#1,A,Add,").with("-o mine.csv"), 7, "storage_failed"),
        (at().only_plan().rows("#1,,Add,"), 3, "input_refused"),
        (at().only_verify().rows("#1,,Add,"), 3, "input_refused"),
    ];
    for (rehearsal, status, ended) in cases {
        let outcome = rehearsal.run().exits(status);
        let object = outcome.summary();
        assert_eq!((&object["ended"], &object["exit_status"]), (&json!(ended), &json!(status)), "{object}");
        for name in ["reason", "started_at", "finished_at"] {
            assert!(object[name].is_string(), "{name}: {object}");
        }
        assert!(object["causes"][0]["message"].is_string(), "{object}");
        assert!(outcome.messages().starts_with("error: "), "{}", outcome.messages());
    }
}

#[test]
fn every_line_is_json_where_the_log_is() {
    let sandbox = Sandbox::start("");
    let at = || Rehearsal::at(&sandbox).with("--log-format json");
    let cases = [
        (at().rows("#1,A,Add,").with("--no-such-option"), 2),
        (at().rows("#1,,Add,\n#2,,Add,"), 3),
        (at().rows("#1,,Add,\n#2,\"A (1)\",Add,").with("-v --json --skip-invalid"), 1),
        (at().rows("#1,A,Add,").with("-vv"), 0),
        (at().only_plan().rows("#1,A,Add,").with("-v"), 0),
    ];
    for (rehearsal, status) in cases {
        let outcome = rehearsal.run().exits(status);
        for line in outcome.messages().lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("an object a line");
            assert!(line["timestamp"].is_string() && line["fields"]["message"].is_string(), "{line}");
        }
        let has_errors = outcome.messages().contains(r#""level":"ERROR""#);
        assert_eq!(has_errors, [2, 3].contains(&status), "{}", outcome.messages());
    }
}

#[test]
fn a_log_is_not_written_into_the_input() {
    let outcome = Rehearsal::new().rows("#1,A,Add,").with("--log-file ./input.csv -v").run().exits(2);
    let said = ["error: the log must not be written into the input ./input.csv", "hint: name another file"];
    let outcome = outcome.says(&said);
    assert_eq!(
        outcome.folder().read("input.csv").map(|input| input.iter().filter(|byte| **byte == b'\n').count()),
        Some(1)
    );
}

#[test]
fn nothing_is_animated_or_coloured_where_there_is_no_terminal() {
    let outcome = Rehearsal::new().rows("#1,,Add,\n#2,A,Add,").with("--skip-invalid -v").run().exits(1);
    assert!(!outcome.messages().contains('\u{1b}') && !outcome.messages().contains('\r'), "{:?}", outcome.messages());
    assert!(!outcome.output().contains('\u{1b}'), "{:?}", outcome.output());
    let outcome = Rehearsal::new().rows("#1,,Add,\n#2,A,Add,").with("--skip-invalid --color always").run().exits(1);
    assert!(outcome.output().contains("\u{1b}[32msucceeded\u{1b}[0m"), "{:?}", outcome.output());
}

#[test]
fn logs_are_lines_of_text_or_json_on_standard_error_or_in_a_file() {
    let sandbox = Sandbox::start("");
    let rehearsal = || Rehearsal::at(&sandbox).rows("#1,A,Add,");
    let folder = Folder::new();
    let outcome = rehearsal().in_folder(&folder).with("-vv --log-format json --log-file run.log").run().exits(0);
    assert_eq!(outcome.messages(), "");
    let log = String::from_utf8(folder.read("run.log").expect("a log")).expect("UTF-8");
    assert!(!log.is_empty());
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
}
