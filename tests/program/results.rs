//! The results file, cell by cell.

use tagfleet::sandbox::{CallKind, Mishap};

use crate::machines::{id, with_ids};
use crate::process::Program;
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};
use crate::tenant::{Tenant, machine};

/// Replaces what differs from run to run: request ids, times and the run's name.
fn settled(results: &str) -> String {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(results.as_bytes());
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (row, record) in reader.records().enumerate() {
        let record = record.expect("a record");
        let names = record.len() - 11;
        let cells = record.iter().enumerate().map(|(column, cell)| match column - column.min(names) {
            6 if row > 0 && !cell.is_empty() => "REQUEST",
            9 if row > 0 && !cell.is_empty() => "TIME",
            10 if row > 0 => "RUN",
            _ => cell,
        });
        writer.write_record(cells).expect("memory");
    }
    String::from_utf8(writer.into_inner().expect("memory")).expect("UTF-8")
}

#[test]
fn results_are_the_input_and_what_became_of_it() {
    let input = with_ids(
        "owner,Machine ID,note,tag,action,value,\n\
         \"Doe, Jane\",#1,\"two\nlines\",\"Tier 0 \",Add,,x\n\
         =cmd(),#2,\"say \"\"hi\"\"\",,Set,high,\n\
         \n\
         , #1 ,\"\",Tier 0,add,, y \n",
    );
    let outcome = Rehearsal::new().file(input).run().exits(0);
    let results = String::from_utf8(outcome.results_bytes()).expect("UTF-8");
    let expected = with_ids(
        "owner,Machine ID,note,tag,action,value,,row,status,http_status,error_code,error_message,attempts,request_id,before,after,finished_at,run_id\n\
         \"Doe, Jane\",#1,\"two\nlines\",Tier 0 ,Add,,x,1,succeeded,200,,,1,REQUEST,,present,TIME,RUN\n\
         =cmd(),#2,\"say \"\"hi\"\"\",,Set,high,,2,succeeded,200,,,1,REQUEST,,High,TIME,RUN\n\
         , #1 ,,Tier 0,add,, y ,3,succeeded,200,,,1,REQUEST,,present,TIME,RUN\n",
    );
    assert_eq!(settled(&results), expected);
}

#[test]
fn rows_keep_their_order_whatever_the_order_of_the_answers() {
    let rows: String = (0..120).map(|row| format!("#{},Tier {},Add,\n", (row * 37) % 120, row % 3)).collect();
    let outcome = Rehearsal::new().sandbox("--latency 0ms..20ms").rows(&rows).run().exits(0);
    let results = outcome.results();
    let machines: Vec<String> = (0..120).map(|row| id((row * 37) % 120)).collect();
    assert_eq!(results.column("machineId"), machines);
    let numbers: Vec<String> = (1..=120).map(|row: u32| row.to_string()).collect();
    assert_eq!(results.column("row"), numbers);
    let finished = results.column("finished_at");
    assert!(!finished.is_sorted(), "the answers have come in the order of the rows, so this shows nothing");
}

#[test]
fn what_the_service_says_cannot_become_a_formula() {
    let server = StandIn::answering(|_request| {
        Reply::json(400, r#"{"error": {"code": "=BadRequest", "message": "@SUM(A1)\nsecond line", "target": "-7"}}"#)
    });
    let outcome = Rehearsal::at_stand_in(&server).rows("#1,-Tier,Add,").run().exits(1);
    let results = outcome.results();
    let row = &results.rows[0];
    assert_eq!((&row["status"], &row["http_status"]), ("failed", "400"));
    assert_eq!(&row["error_code"], "'=BadRequest");
    assert_eq!(&row["error_message"], "'@SUM(A1) second line");
    assert_eq!(&row["request_id"], "'-7");
    assert_eq!(&row["tag"], "-Tier", "cells of the input stay as they are");
}

#[test]
fn a_code_of_ours_that_the_service_names_is_the_services() {
    for code in ["changed_since", "withheld", "machine_not_found", "unknown_before", "not_in_inventory"] {
        let server = Tenant::of([machine(1)]).serve_with([
            Mishap::answering(400, crate::tenant::error(code, "no")).on(&[CallKind::Tags, CallKind::Bulk])
        ]);
        let rehearsal = Rehearsal::at_stand_in(&server).rows("#1,Tier 0,Add,\n").with("--skip-missing-machines");
        let outcome = rehearsal.run().exits(1);
        let results = outcome.results();
        let row = &results.rows[0];
        assert_eq!((&row["status"], &row["error_code"]), ("failed", &*format!("service.{code}")), "{code}");
        assert!(outcome.failed().is_some_and(|rows| rows.contains("Tier 0")), "{code}: the row is fed back");
        assert!(!outcome.messages().contains("Left alone"), "{code}: {}", outcome.messages());
    }
}

#[cfg(unix)]
#[test]
fn results_that_have_become_a_pipe_meanwhile_keep_nobody_waiting() {
    let rehearsal = Rehearsal::new().sandbox("--latency 20ms").rows(&crate::machines::rows_adding("A", 100));
    let running = rehearsal.with("--concurrency 1 -v -o r.csv").start();
    running.program().waits_until_it_says("calls begin");
    let pipe = running.folder().path("r.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let outcome = running.end().exits(7);
    assert!(outcome.messages().contains("it is no ordinary file any more"), "{}", outcome.messages());
}

#[test]
fn a_row_with_two_operations_takes_the_worse_answer() {
    let refusal = r#"{"error": {"code": "InvalidInput", "message": "no", "target": "value-call"}}"#;
    let refused = Mishap::answering(400, refusal).on(&[CallKind::Value]);
    let server = Tenant::of([machine(1), machine(2)]).serve_with([refused]);
    let outcome = Rehearsal::at_stand_in(&server).rows("#1,Tier 0,Add,High\n#2,Tier 0,Add,").run().exits(1);
    let results = outcome.results();
    assert_eq!(results.column("status"), ["failed", "succeeded"]);
    let row = &results.rows[0];
    assert_eq!((&row["http_status"], &row["error_code"], &row["request_id"]), ("400", "InvalidInput", "value-call"));
    assert_eq!((&row["attempts"], &row["after"]), ("2", "present; "));
}

#[test]
fn no_answer_is_taken_for_success_that_shows_another_machine_or_no_change() {
    let server = Tenant::of((1..=3).map(|number| machine(number).tagged("Tier 1").held())).serve();
    let outcome =
        Rehearsal::at_stand_in(&server).rows("#1,Tier 0,Add,\n#2,,Set,High\n#3,Tier 1,Remove,").run().exits(1);
    let results = outcome.results();
    assert_eq!(results.column("status"), ["failed"; 3]);
    assert_eq!(results.column("error_code"), ["not_applied"; 3]);
    assert_eq!(results.column("attempts"), ["2"; 3], "it is believed when it repeats");
    assert_eq!(results.column("after"), [""; 3]);
}

#[test]
fn the_results_of_a_run_can_be_written_again() {
    let outcome = Rehearsal::new()
        .sandbox("--machines 0")
        .rows("#1,Tier 0,Add,\nbad row\n#2,\"a\nb\",Add,\n#3,Tier 0,Add,High")
        .with("--json --skip-invalid --limit 1")
        .run()
        .exits(1);
    let folder = outcome.folder().clone();
    let run = outcome.summary()["run_id"].as_str().expect("a name").to_owned();
    let again = folder.run(&["results", &run, "-o", "again.csv"]);
    assert_eq!(again.status, Some(0), "{}", again.messages);
    assert!(again.messages.contains("4 rows written to again.csv"), "{}", again.messages);
    assert_eq!(folder.read("again.csv"), Some(outcome.results_bytes()));
    assert_eq!(folder.read("again.failed.csv"), outcome.failed().map(String::into_bytes));

    let by_name = folder.run(&["results", &run]);
    assert_eq!(by_name.status, Some(0), "{}", by_name.messages);
    assert_eq!(folder.read(&format!("{run}.results.csv")), Some(outcome.results_bytes()));

    let shown = folder.run(&["results", &run, "-o", "-"]);
    assert_eq!((shown.status, shown.output), (Some(0), outcome.results_bytes()));
}

#[test]
fn the_results_of_an_earlier_run_are_kept_under_its_id() {
    let sandbox = Sandbox::holding(&[1]);
    let folder = Folder::new();
    let run = |options: &str| {
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,\n#2,A,Add,").with(options);
        rehearsal.run().exits(1)
    };
    let first = run("");
    let (first_results, first_failed) = (first.results_bytes(), first.failed().expect("rows to feed back"));
    let first_run = first.results().rows[0]["run_id"].to_owned();
    let second = run("");
    let kept = format!("input.results.{first_run}.csv");
    assert_eq!(folder.read(&kept), Some(first_results));
    assert_eq!(folder.read(&format!("input.failed.{first_run}.csv")), Some(first_failed.into_bytes()));
    assert!(second.output().contains(&format!("Kept: {kept}, ")), "{}", second.output());
    let second_run = second.results().rows[0]["run_id"].to_owned();
    assert_ne!(first_run, second_run);
    // The third is quiet; a script finds the names in the object.
    let third = run("--json -q");
    let kept = format!("input.results.{second_run}.csv");
    assert_eq!(third.summary()["kept"][0], kept.as_str());
    assert!(folder.read(&kept).is_some());

    // The same run, written again, takes its own place.
    let names = folder.names();
    let run_id = third.results().rows[0]["run_id"].to_owned();
    assert_eq!(folder.run(&["results", &run_id, "-o", "input.results.csv"]).status, Some(0));
    assert_eq!(folder.names(), names);
}

#[test]
fn a_file_that_is_not_ours_or_not_to_be_changed_is_refused_before_the_first_call() {
    let sandbox = Sandbox::start("");
    let ours = "machineId,row,status,http_status,error_code,error_message,attempts,request_id,before,after,finished_at,run_id\n";
    let cases = [
        (
            "mine.csv",
            "my notes, which I need\n",
            false,
            "already exists, and nothing in it shows that tagfleet wrote it",
        ),
        ("mine.csv", ours, true, "already exists and is read-only"),
        (
            "mine.failed.csv",
            "machineId,tag\n",
            false,
            "mine.failed.csv already exists, and nothing in it shows that tagfleet wrote it",
        ),
    ];
    for (name, text, read_only, message) in cases {
        let folder = Folder::new();
        folder.write(name, text);
        let mut permissions = folder.path(name).metadata().expect("our own file").permissions();
        permissions.set_readonly(read_only);
        std::fs::set_permissions(folder.path(name), permissions).expect("our own file");
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,").with("-o mine.csv");
        rehearsal.run().exits(7).says(&[message, "hint: move it away, or name another file with -o"]);
        assert_eq!(folder.read(name).as_deref(), Some(text.as_bytes()));
    }
    // Rows of a verification and lists of machines are put in the place of their own kind only.
    let folder = Folder::new();
    folder.write("mine.csv", "my notes\n");
    let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).only_verify().rows("#1,A,Add,").with("-o mine.csv");
    rehearsal.run().exits(7).says(&["already exists, and nothing in it shows"]);
    let mut command = folder.command();
    command.args(["inventory", "-o", "mine.csv"]).envs(sandbox.variables().iter().cloned());
    let ended = Program::start(command, None, true).end();
    assert_eq!(ended.status, Some(7), "{}", ended.messages);
    assert_eq!(folder.read("mine.csv").as_deref(), Some(&b"my notes\n"[..]));
    let counters = sandbox.end();
    counters.are_all_nought();
}

#[test]
fn a_run_that_is_not_there_is_a_usage_error() {
    let folder = Rehearsal::new().rows("#1,Tier 0,Add,").run().exits(0).folder().clone();
    let ended = folder.run(&["results", "20200101-000000-abcdef"]);
    assert_eq!(ended.status, Some(2));
    assert!(ended.messages.contains("there is no run 20200101-000000-abcdef"), "{}", ended.messages);
}
