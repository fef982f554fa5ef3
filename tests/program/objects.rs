//! The object that `--json` asks for: the same frame around it, whatever the command and however it ends.

use serde_json::{Value, json};

use crate::machines::rows_adding;
use crate::process::Program;
use crate::rehearsal::{Folder, Prepared, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};

/// What every object has.
const FRAME: [&str; 10] = [
    "schema_version",
    "run_id",
    "started_at",
    "finished_at",
    "input",
    "ended",
    "reason",
    "hint",
    "causes",
    "exit_status",
];

/// A command line, its status, why it ended, and the variables that lead to its service.
type Case<'a> = (String, i32, &'a str, &'a [(String, String)]);

/// Looks at the frame of what was printed with this status, and gives the whole.
#[track_caller]
fn framed(name: &str, output: &[u8], status: i32) -> Value {
    let text = String::from_utf8_lossy(output);
    let object: Value = serde_json::from_slice(output).unwrap_or_else(|error| panic!("{name}: {error} in {text:?}"));
    for field in FRAME {
        assert!(object.get(field).is_some(), "{name}: there is no {field} in {object}");
    }
    assert_eq!((&object["schema_version"], &object["exit_status"]), (&json!(1), &json!(status)), "{name}: {object}");
    let time = |field: &str| object[field].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    assert!(time("started_at") <= time("finished_at"), "{name}: {object}");
    let has_done_its_work = object["ended"] == "finished";
    assert_eq!(object["reason"].is_null(), has_done_its_work, "{name}: {object}");
    assert_eq!(
        object["exit_status"] == 0 || object["exit_status"] == 1 || object["exit_status"] == 10,
        has_done_its_work
    );
    for cause in object["causes"].as_array().expect("a list") {
        for field in ["code", "status", "http_status", "message", "count", "first_row", "hint"] {
            assert!(cause.get(field).is_some(), "{name}: there is no {field} in {cause}");
        }
    }
    let hint = object["hint"].as_str().unwrap_or_default();
    assert!(!hint.contains("Usage:") && !hint.contains("--help'") && !hint.contains("tip:"), "{name}: {hint}");
    if let Some(input) = object["input"].as_str() {
        let is_absolute = std::path::Path::new(input).is_absolute();
        assert!(is_absolute || input == "standard input" || input.starts_with("undo of "), "{name}: {input}");
    }
    object
}

/// A service that refuses whoever asks.
fn refuses() -> StandIn {
    StandIn::answering(|_request| Reply::json(401, r#"{"error": {"code": "Unauthorized", "message": "no"}}"#))
}

/// A folder with two finished runs, one of which can be undone, and one that was interrupted; by their names.
fn history(sandbox: &Sandbox) -> (Folder, [String; 3]) {
    let folder = Folder::new();
    let run = |rehearsal: Rehearsal, status: i32| {
        let outcome = rehearsal.in_folder(&folder).with("--json").run().exits(status);
        outcome.summary()["run_id"].as_str().expect("a name").to_owned()
    };
    let without_before = run(Rehearsal::at(sandbox).rows("#1,A,Add,"), 0);
    let whole = run(Rehearsal::at(sandbox).planned().rows("#1,B,Add,").with("-o whole.csv"), 0);
    let open = Rehearsal::at(sandbox).rows("#1,C,Add,\n#2,C,Add,").quota("1/1h");
    let open = run(open.with("--deadline 10m -o open.csv"), 5);
    (folder, [without_before, whole, open])
}

#[test]
fn every_command_has_the_same_frame_at_every_status() {
    let sandbox = Sandbox::holding(&[1, 2]);
    let refusing = refuses();
    let (folder, [without_before, whole, open]) = history(&sandbox);
    folder.write("good.csv", crate::machines::with_ids("machineId,tag,action\n#1,D,Add\n"));
    folder.write("bad.csv", crate::machines::with_ids("machineId,tag,action\n#1,D,Add\n#2,D,Ad\n"));
    folder.write("mine.csv", "my notes\n");
    folder.write("no-state", "a file");
    let (yes, here) = ("--yes --quota off", sandbox.variables());
    let elsewhere = refusing.variables();
    let cases: Vec<Case<'_>> = vec![
        (format!("apply good.csv {yes} -o 1.csv"), 0, "finished", here),
        (format!("apply bad.csv {yes} -o 2.csv --skip-invalid"), 1, "finished", here),
        (format!("apply good.csv {yes} --ye"), 2, "usage", here),
        ("apply good.csv".into(), 2, "usage", here),
        (format!("apply bad.csv {yes}"), 3, "input_refused", here),
        (format!("apply missing.csv {yes}"), 3, "input_refused", here),
        (format!("apply good.csv {yes} -o 3.csv"), 4, "token_refused", &elsewhere),
        (format!("apply good.csv {yes} --fresh --deadline 0s -o 4.csv"), 5, "deadline", here),
        (format!("apply good.csv {yes} -o mine.csv"), 7, "storage_failed", here),
        (format!("apply good.csv {yes} --state-dir no-state"), 7, "storage_failed", here),
        ("plan good.csv".into(), 0, "finished", here),
        ("plan bad.csv --skip-invalid".into(), 1, "finished", here),
        ("plan good.csv --deadline 06:00".into(), 2, "usage", here),
        ("plan bad.csv".into(), 3, "input_refused", here),
        ("plan good.csv --no-inventory --max-changes 0".into(), 3, "input_refused", here),
        ("plan good.csv".into(), 4, "token_refused", &elsewhere),
        ("plan good.csv --state-dir no-state".into(), 7, "storage_failed", here),
        ("plan good.csv --no-inventory --detailed-exitcode".into(), 10, "finished", here),
        ("verify good.csv".into(), 0, "finished", here),
        ("verify bad.csv --skip-invalid".into(), 1, "finished", here),
        ("verify".into(), 2, "usage", here),
        ("verify bad.csv".into(), 3, "input_refused", here),
        ("verify good.csv".into(), 4, "token_refused", &elsewhere),
        ("verify good.csv -o mine.csv".into(), 7, "storage_failed", here),
        (format!("resume {whole} {yes}"), 0, "finished", here),
        (format!("resume {open} {yes} --max-changes 0"), 3, "input_refused", here),
        (format!("resume {open} {yes}"), 3, "input_refused", &elsewhere),
        (format!("resume {open} {yes} -o mine.csv"), 7, "storage_failed", here),
        (format!("resume nothing {yes}"), 2, "usage", here),
        (format!("undo {without_before} {yes}"), 3, "input_refused", here),
        (format!("undo {whole} {yes} -o mine.csv"), 7, "storage_failed", here),
        (format!("undo nothing {yes}"), 2, "usage", here),
        (format!("undo {whole} {yes}"), 0, "finished", here),
        ("inventory -o machines.csv".into(), 0, "finished", here),
        ("inventory".into(), 2, "usage", here),
        ("inventory -o machines.csv".into(), 4, "token_refused", &elsewhere),
        ("inventory -o mine.csv".into(), 7, "storage_failed", here),
        (format!("results {whole} -o again.csv"), 0, "finished", here),
        (format!("results {whole} -o -"), 2, "usage", here),
        ("results nothing".into(), 2, "usage", here),
        (format!("results {whole} -o mine.csv"), 7, "storage_failed", here),
        ("runs".into(), 0, "finished", here),
        (format!("runs {whole}"), 0, "finished", here),
        ("runs nothing".into(), 2, "usage", here),
        ("runs --state-dir no-state".into(), 7, "storage_failed", here),
        ("sandbox --listen 192.0.2.1:1".into(), 2, "usage", here),
        ("aply good.csv".into(), 2, "usage", here),
        ("help quotas".into(), 0, "finished", here),
        ("help quota".into(), 2, "usage", here),
        ("completions bash".into(), 0, "finished", here),
        ("completions bas".into(), 2, "usage", here),
        ("man".into(), 0, "finished", here),
    ];
    for (line, status, ended, variables) in cases {
        let mut command = folder.command();
        command.args(line.split(' ')).arg("--json").envs(variables.iter().cloned());
        let done = Program::start(command, None, true).end();
        assert_eq!(done.status, Some(status), "{line}: {}", done.messages);
        let object = framed(&line, &done.output, status);
        // A run that another tenant's list, or its own rows, ended says so in its own word.
        assert!(object["ended"] == ended || status == 4, "{line}: {object}");
        let names_input = line.starts_with("apply ") || line.starts_with("plan ") || line.starts_with("verify ");
        assert_eq!(object["input"].is_string(), names_input || !object["run_id"].is_null(), "{line}: {object}");
        let has_cause = object["causes"].as_array().is_some_and(|causes| !causes.is_empty());
        assert!(has_cause || matches!(status, 0 | 1 | 5 | 10), "{line}: {object}");
    }
}

#[cfg(unix)]
#[test]
fn a_reading_that_was_interrupted_and_a_run_that_is_in_the_way_have_it_too() {
    let silent = StandIn::answering(|_request| Reply::Silence);
    let folder = Folder::new();
    let mut command = folder.command();
    command.args(["inventory", "-o", "machines.csv", "--json"]).envs(silent.variables());
    let program = Program::start(command, None, true);
    silent.waits_for_requests(1);
    program.signal(rustix::process::Signal::INT);
    let ended = program.end();
    assert_eq!(framed("inventory", &ended.output, 5)["ended"], "interrupted");

    let rehearsal = Rehearsal::new().sandbox("--latency 100ms").rows(&rows_adding("A", 100));
    let first = rehearsal.with("--concurrency 1 -v").start();
    first.program().waits_until_it_says("calls begin");
    let second = Rehearsal::at(first.sandbox()).in_folder(first.folder()).rows(&rows_adding("A", 2));
    let outcome = second.with("--json --fresh -o second.csv").run().exits(6);
    assert_eq!(framed("apply", outcome.output_bytes(), 6)["ended"], "another_run");
    first.program().signal(rustix::process::Signal::KILL);
}

#[cfg(unix)]
#[test]
fn nobody_who_says_no_has_refused_the_input() {
    for answer in ["n\n", "\u{3}", "\u{4}"] {
        let sandbox = Sandbox::start("");
        let rehearsal = Rehearsal::at(&sandbox).rows("#1,A,Add,").unconfirmed().with("--json");
        let Prepared { command, folder: _kept, .. } = rehearsal.prepare();
        let mut terminal = crate::terminal::Terminal::start(command, 80);
        terminal.waits_until_it_shows("Apply these changes?");
        terminal.type_in(answer);
        assert_eq!(terminal.end(), Some(3), "{answer:?}: {}", terminal.shown());
        let shown = terminal.shown();
        let (start, end) = (shown.find("{\"causes\"").expect("an object"), shown.rfind('}').expect("an object"));
        let object = &shown[start..=end].replace("\r\n", "");
        let object: Value = serde_json::from_str(object).unwrap_or_else(|error| panic!("{error} in {object}"));
        assert_eq!((&object["ended"], &object["causes"][0]["code"]), (&json!("cancelled"), &json!("cancelled")));
        sandbox.end().are_all_nought();
    }
}

#[test]
fn what_is_wrong_with_a_file_is_a_cause_for_each_code_with_its_rows() {
    let sandbox = Sandbox::start("");
    let rows = rows_adding("A", 8).replace(",Add,", ",Ad,") + "#1,,Add,\n#2,\"A;B\",Add,\n";
    let outcome = Rehearsal::at(&sandbox).rows(&rows).with("-q --json").run().exits(3);
    let object = framed("apply", outcome.output_bytes(), 3);
    let causes: Vec<_> = object["causes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (&one["code"], &one["count"], &one["first_row"]))
        .collect();
    let expected = [("unknown_action", 8, 1), ("missing_tag", 1, 9), ("odd_tag", 1, 10)];
    assert_eq!(causes.len(), expected.len(), "{object}");
    for (cause, (code, count, row)) in causes.iter().zip(expected) {
        assert_eq!((cause.0, cause.1, cause.2), (&json!(code), &json!(count), &json!(row)), "{object}");
    }
    assert!(object["causes"][2]["hint"].as_str().is_some_and(|hint| hint.contains("--accept odd-tags")), "{object}");

    let rows = rows_adding("A", 9) + &rows_adding("A", 9).replace(",Add,", ",Remove,");
    let outcome = Rehearsal::at(&sandbox).rows(&rows).with("--json").run().exits(3);
    let cause = &framed("apply", outcome.output_bytes(), 3)["causes"][0];
    assert_eq!((&cause["code"], &cause["count"]), (&json!("contradiction"), &json!(9)), "{cause}");
}

#[test]
fn a_plan_that_is_refused_says_so_beside_what_it_would_do() {
    let outcome = Rehearsal::new()
        .only_plan()
        .rows("#1,A,Add,\n#2,A,Add,")
        .with("--no-inventory --json --max-changes 1")
        .run()
        .exits(3);
    let object = framed("plan", outcome.output_bytes(), 3);
    assert_eq!((&object["changes"], &object["ended"]), (&json!(2), &json!("input_refused")));
}

#[test]
fn a_sandbox_says_where_it_is_as_an_object() {
    let mut command = Program::command();
    command.args(["sandbox", "--listen", "127.0.0.1:0", "--json"]);
    let program = Program::start(command, None, true);
    let object: Value = serde_json::from_str(&program.first_lines(1)[0]).expect("an object");
    assert_eq!((&object["ended"], object["variables"]["TAGFLEET_BASE_URL"].is_string()), (&json!("serving"), true));
}
