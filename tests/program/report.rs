//! The page about a run: its numbers, what it lets through, where it may go, and how it looks in a browser.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::machines::rows_adding;
use crate::process::Ended;
use crate::rehearsal::{Folder, Outcome, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};
use crate::tenant::{Tenant, machine};

const STATUSES: [&str; 6] = ["succeeded", "unchanged", "failed", "unknown", "not_attempted", "invalid"];

/// Rows that leave some of everything: done, already so, of a machine that nobody has.
fn mixed_rows() -> String {
    let values: String = (1..=8).map(|number| format!("#{number},,,High\n")).collect();
    format!("{}{}{values}#1,Tier 0,Add,\n#99,Tier 9,Add,\n", rows_adding("Tier 1", 30), rows_adding("Old site", 12))
}

/// The run that the summary names.
fn run_id(summary: &Value) -> String {
    summary["run_id"].as_str().expect("a run").to_owned()
}

fn report(folder: &Folder, arguments: &[&str]) -> Ended {
    folder.run(&[&["report"], arguments].concat())
}

/// The object of a run's report.
fn object(folder: &Folder, run_id: &str) -> Value {
    let ended = report(folder, &[run_id, "--json"]);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    serde_json::from_slice(&ended.output).expect("an object")
}

fn page(folder: &Folder, run_id: &str) -> String {
    let ended = report(folder, &[run_id, "-o", "-"]);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    String::from_utf8(ended.output).expect("UTF-8")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn sum(counts: &Value) -> u64 {
    counts.as_object().expect("counts").values().map(number).sum()
}

/// All parts of a breakdown, with the others.
fn sum_of_parts(breakdown: &Value) -> u64 {
    let parts = breakdown["parts"].as_array().expect("parts").iter().map(|part| sum(&part["status"])).sum::<u64>();
    parts + if breakdown["others"].is_null() { 0 } else { sum(&breakdown["others"]["status"]) }
}

/// A run of two groups and platforms, with a quota that holds it back for a moment.
fn mixed_run(options: &str) -> Outcome {
    let machines = (1..=30).map(|number| {
        let machine = if number <= 4 { machine(number).tagged("Tier 0") } else { machine(number) };
        if number % 3 == 0 { machine.in_group("Servers <Berlin>") } else { machine }
    });
    let server = Tenant::of(machines).serve();
    Rehearsal::at_stand_in(&server)
        .planned()
        .rows(&mixed_rows())
        .quota("6/1s,500/1h")
        .with("--json --no-bulk")
        .with(options)
        .run()
}

#[test]
fn the_numbers_add_up_and_are_those_of_the_run() {
    let outcome = mixed_run("--report run.html").exits(1);
    let summary = outcome.summary();
    let report = object(outcome.folder(), &run_id(&summary));
    for status in STATUSES {
        assert_eq!(report["status"][status], summary["status"][status], "{status}");
    }
    assert_eq!((&report["rows"], sum(&report["status"])), (&summary["rows"], number(&summary["rows"])));
    for breakdown in ["by_change", "by_group", "by_platform"] {
        assert_eq!(sum_of_parts(&report[breakdown]), sum(&report["operations"]), "{breakdown}: {report}");
    }
    let groups = report["by_group"]["parts"].as_array().expect("groups");
    let servers = groups.iter().find(|group| group["name"] == "Servers <Berlin>").expect("a group");
    // Every third machine: ten adds of one tag, four of another, two values.
    assert_eq!(sum(&servers["status"]), 16, "{servers}");
    for (kind, calls) in report["calls"].as_object().expect("calls") {
        assert_eq!(*calls, summary["calls"][kind], "{kind}");
    }
    let quota = report["quota"].as_array().expect("windows");
    assert!(
        quota.iter().any(|count| count["buckets"] == serde_json::json!(["tags", "bulk_tags"]) && count["limit"] == 6)
    );
    for count in quota {
        assert!(count["beyond"] == 0 && number(&count["most"]) <= number(&count["limit"]), "{count}");
        let pieces = count["most_in_each_piece"].as_array().expect("pieces");
        assert_eq!(pieces.iter().map(number).max(), Some(number(&count["most"])));
    }
    assert_eq!(report["quota_kept"], true);
    let course = &report["course"];
    let done = course["done_after_each_piece"].as_array().expect("pieces");
    assert_eq!(done.last(), Some(&course["operations"]), "{course}");
    let foretold = course["foretold"][0].as_array().expect("a schedule");
    assert_eq!(foretold.last().expect("a point")["done"], course["operations"]);
    let parts: Vec<&str> =
        report["time"].as_array().expect("parts").iter().filter_map(|part| part["part"].as_str()).collect();
    assert!(parts.contains(&"calls") && parts.contains(&"reading") && parts.contains(&"quota:6/1000000"), "{parts:?}");
    let all: f64 = report["time"].as_array().expect("parts").iter().filter_map(|part| part["seconds"].as_f64()).sum();
    let elapsed = summary["elapsed_seconds"].as_f64().expect("seconds");
    assert!((all - elapsed).abs() < 0.01, "{all} of {elapsed}");
    assert_eq!(report["causes"][0]["count"], 1, "{report}");
    let written = String::from_utf8(outcome.folder().read("run.html").expect("a page")).expect("UTF-8");
    assert!(written.contains("The run is finished, and 1 of 52 rows could not be done."), "{written}");
    assert!(written.contains("The quota was kept"));
    assert!(written.len() < 200_000, "{}", written.len());
}

#[test]
fn whatever_a_text_from_outside_holds_it_is_text() {
    let hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}\u{2066}=cmd";
    let rows = format!("#1,\"{hostile}\",Add,\n#2,=1+1,Add,\n");
    let refused = StandIn::answering(move |_| {
        Reply::json(400, r#"{"error": {"code": "<b onclick=1>Bad", "message": "</style><script>\u202e"}}"#)
    });
    let outcome = Rehearsal::at_stand_in(&refused)
        .rows(&rows)
        .option("--note", hostile)
        .with("--json --accept odd-tags")
        .run()
        .exits(1);
    let page = page(outcome.folder(), &run_id(&outcome.summary()));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("Add =1+1"), "{page}");
    assert!(page.contains(r"\u{202e}") && !page.contains(['\u{202e}', '\u{2066}']), "{page}");
    for forbidden in [
        "<script",
        "<img",
        "<b onclick",
        "<link",
        "<iframe",
        "http:",
        "https:",
        "url(",
        "@import",
        " style=",
        "javascript:",
    ] {
        let found = page.find(forbidden).map(|at| page[at.saturating_sub(60)..].chars().take(120).collect::<String>());
        assert_eq!(found, None, "{forbidden}");
    }
    let (_, style) = page.split_once("<style>").expect("a style sheet");
    let (style, _) = style.split_once("</style>").expect("its end");
    let digest = STANDARD.encode(Sha256::digest(style));
    let policy = format!(
        r#"<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{digest}'">"#
    );
    assert!(page.contains(&policy), "{policy}");
}

#[test]
fn a_secret_that_the_service_repeats_is_not_on_the_page() {
    const CANARY: &str = "canary~Tweety.1942_in-a-cage";
    let repeats = StandIn::answering(move |request| {
        if request.path.contains("token") {
            Reply::json(200, r#"{"access_token": "x", "token_type": "Bearer", "expires_in": 3600}"#)
        } else {
            Reply::json(400, format!(r#"{{"error": {{"code": "{CANARY}", "message": "it is {CANARY}"}}}}"#))
        }
    });
    let rehearsal =
        Rehearsal::at_stand_in(&repeats).variable("TAGFLEET_TOKEN", CANARY).variable("AZURE_CLIENT_SECRET", "");
    let outcome = rehearsal.rows("#1,A,Add,\n").with("--json --report run.html").run();
    assert!(outcome.folder().read("run.html").is_some(), "{}", outcome.messages());
    assert_eq!(outcome.folder().files_holding(CANARY), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_report_advises_to_feed_back_nobodys_rows_but_the_runs_own() {
    let sandbox = Sandbox::holding(&[1, 2, 3]);
    let folder = Folder::new();
    let canary = |rows: &str| {
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows(rows).with("--json --limit 1");
        run_id(&rehearsal.run().exits(0).summary())
    };
    let next = |id: &str| object(&folder, id)["next"].as_str().unwrap_or_default().to_owned();
    let first = canary("#1,A,Add,\n#2,A,Add,\n");
    assert!(next(&first).starts_with("tagfleet apply input.failed.csv"), "{}", next(&first));
    let second = canary("#2,B,Add,\n#3,B,Add,\n");
    assert_eq!(next(&first), format!("tagfleet results {first}"));
    assert!(next(&second).starts_with("tagfleet apply input.failed.csv"), "{}", next(&second));
}

#[test]
fn a_run_that_stopped_says_why_and_how_to_go_on_and_one_whose_process_died_has_a_page_too() {
    let sandbox = Sandbox::holding(&[1, 2]);
    let rehearsal = || Rehearsal::at(&sandbox).rows("#1,A,Add,\n#2,A,Add,\n").quota("1/1h").with("--json");
    let stopped = rehearsal().with("--deadline 10m").run().exits(5);
    let id = run_id(&stopped.summary());
    let report = object(stopped.folder(), &id);
    assert_eq!((&report["verdict"]["tone"], &report["state"]), (&"doubt".into(), &"unfinished".into()), "{report}");
    assert_eq!(report["verdict"]["text"], "The run is unfinished: 1 of 2 rows is done");
    assert!(report["verdict"]["more"][0].as_str().is_some_and(|why| why.contains("deadline")), "{report}");
    assert_eq!(report["next"], format!("tagfleet resume {id} --no-inventory --no-bulk --quota 1/1h"));
    #[cfg(unix)]
    {
        let sandbox = Sandbox::holding(&[1, 2]);
        let folder = Folder::new();
        let running =
            Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,\n#2,A,Add,\n").quota("1/1h").with("-v").start();
        running.program().waits_until_it_says("1 of 2 operations");
        let listed: Value = serde_json::from_slice(&folder.run(&["runs", "--json"]).output).expect("an object");
        let id = run_id(&listed["runs"][0]);
        let report = object(&folder, &id);
        assert_eq!((&report["state"], &report["ended"]), (&"running".into(), &"under_way".into()));
        running.program().signal(rustix::process::Signal::KILL);
        running.end();
        let report = object(&folder, &id);
        assert!(report["verdict"]["text"].as_str().is_some_and(|text| text.contains("its process died")), "{report}");
        assert_eq!(report["time"][0]["part"], "not_noted");
    }
}

#[test]
fn a_run_of_which_nothing_was_noted_has_a_page_too() {
    let outcome = mixed_run("").exits(1);
    let state = outcome.folder().database();
    state
        .execute_batch("DELETE FROM sitting; DELETE FROM machine_kind; DELETE FROM operation_kinds;")
        .expect("an older version");
    drop(state);
    let id = run_id(&outcome.summary());
    let report = object(outcome.folder(), &id);
    assert_eq!((&report["by_group"], number(&report["calls"]["value"])), (&Value::Null, 8), "{report}");
    assert_eq!((&report["quota"][0]["limit"], &report["ended"]), (&Value::Null, &"finished".into()));
    let made = outcome.folder().run(&["report", &id, "--state-dir", "state", "-o", "-"]);
    let again = format!("Made again at any time: <code>tagfleet report {id} --state-dir state</code>");
    assert!(String::from_utf8_lossy(&made.output).contains(&again), "{}", made.messages);
    assert!(page(outcome.folder(), &id).contains("Nothing was noted of it"));
}

#[test]
fn what_others_have_written_into_the_state_is_escaped() {
    let outcome = Rehearsal::new().rows("#1,A,Add,\n").with("--json").run().exits(0);
    let state = outcome.folder().database();
    let hostile = "<i>\u{1b}[31m\u{202e}\u{2028}";
    state.execute("UPDATE sitting SET version = ?1", [hostile]).expect("our own state");
    state.execute("UPDATE attempt SET call_kind = ?1", [hostile]).expect("our own state");
    drop(state);
    let page = page(outcome.folder(), &run_id(&outcome.summary()));
    assert!(page.matches("&lt;i&gt;").count() >= 2, "both are shown");
    assert!(!page.contains(['\u{1b}', '\u{202e}', '\u{2028}']));
}

#[test]
fn a_run_that_was_refused_before_its_first_change_is_not_said_to_have_left_rows_out() {
    let refusing = StandIn::answering(|_| Reply::json(403, r#"{"error": {"code": "Forbidden", "message": "no"}}"#));
    let outcome = Rehearsal::at_stand_in(&refusing).planned().rows("#1,A,Add,\n#2,A,Add,\n").with("--json").run();
    let outcome = outcome.exits(4);
    let report = object(outcome.folder(), &run_id(&outcome.summary()));
    let verdict = "The run was given up before its first change: none of 2 rows is done";
    assert_eq!(report["verdict"]["text"], verdict, "{report}");
}

#[test]
fn a_page_takes_the_place_of_nothing_but_a_page() {
    let outcome = Rehearsal::new().rows("#1,A,Add,\n").with("--json").run().exits(0);
    let (folder, id) = (outcome.folder().clone(), run_id(&outcome.summary()));
    assert_eq!(report(&folder, &[&id]).status, Some(0));
    assert_eq!(report(&folder, &[&id, "--json"]).status, Some(0));
    let name = format!("{id}.report.html");
    assert!(folder.read(&name).is_some_and(|page| page.starts_with(b"<!DOCTYPE html><!-- A report of tagfleet -->")));
    assert_eq!(report(&folder, &[&id]).status, Some(0), "it takes the place of an older one");
    folder.write("mine.html", "<!DOCTYPE html><p>mine");
    for (output, status) in [("mine.html", 7), ("input.csv", 2), ("state/x.html", 2), ("no/where.html", 7)] {
        let ended = report(&folder, &[&id, "-o", output]);
        assert_eq!(ended.status, Some(status), "{output}: {}", ended.messages);
        // Before the first call, too.
        let applied = Rehearsal::new().in_folder(&folder).rows("#1,A,Add,\n").with("--report").with(output).run();
        assert_eq!(applied.status(), Some(status), "{output}: {}", applied.messages());
        assert_eq!(applied.counters().calls(), 0, "{output}");
    }
    let applied = Rehearsal::new().in_folder(&folder).rows("#1,A,Add,\n").with("--report input.results.csv").run();
    assert_eq!(applied.status(), Some(2), "{}", applied.messages());
    assert_eq!(folder.read("mine.html"), Some(b"<!DOCTYPE html><p>mine".to_vec()));
    assert_eq!(report(&folder, &[&id, "-o", "-", "--json"]).status, Some(2));
    assert_eq!(report(&folder, &["20260101-000000-aaaaaa"]).status, Some(2));
}

#[test]
fn a_page_that_cannot_be_written_at_the_end_is_one_warning() {
    let folder = Folder::new();
    let taken = folder.path("run.html");
    let server = Tenant::of([machine(1)]).serve();
    let target = taken.clone();
    let meddling = StandIn::answering(move |request| {
        std::fs::write(&target, "<p>mine").expect("our own directory");
        Reply::json(
            200,
            format!(r#"{{"id": "{}", "machineTags": ["A"]}}"#, request.path.split('/').nth(3).unwrap_or_default()),
        )
    });
    drop(server);
    let outcome =
        Rehearsal::at_stand_in(&meddling).in_folder(&folder).rows("#1,A,Add,\n").with("--report run.html").run();
    assert!(outcome.messages().matches("is not a report that tagfleet wrote").count() == 1, "{}", outcome.messages());
    assert_eq!(outcome.statuses(), ["succeeded"], "{}", outcome.messages());
    assert_eq!((outcome.status(), std::fs::read(&taken).expect("a file")), (Some(0), b"<p>mine".to_vec()));
}

#[cfg(unix)]
#[test]
fn a_browser_shows_the_page_without_a_fault_at_any_width_light_dark_and_printed() {
    if !crate::manual::has("chromium") {
        return;
    }
    let outcome = mixed_run("--report run.html").exits(1);
    let mut browser = crate::browser::Browser::start();
    let mut papers = std::collections::BTreeSet::new();
    for (width, scheme) in [(1200, "light"), (1200, "dark"), (400, "light"), (400, "dark")] {
        let seen = browser.look(&outcome.folder().path("run.html"), width, scheme);
        let at = format!("{width} {scheme}");
        assert_eq!((seen.complaints, seen.requests), (Vec::new(), Vec::new()), "{at}");
        assert_eq!(seen.page["faults"], serde_json::json!([]), "{at}");
        let pictures = seen.page["pictures"].as_array().expect("pictures");
        let of_quota: Vec<&Value> = pictures.iter().filter(|picture| number(&picture["limits"]) == 1).collect();
        // Three buckets of two limits each.
        assert_eq!((of_quota.len(), pictures.len()), (6, 7), "{at}: {pictures:?}");
        for picture in pictures {
            let drawn = ["lines", "ticks", "grid"].map(|part| number(&picture[part]));
            assert!(drawn.iter().all(|count| *count > 0), "{at}: {picture}");
        }
        let course = pictures.last().expect("a picture");
        assert_eq!((number(&course["foretold"]), number(&course["lines"])), (1, 2), "{at}: {course}");
        assert!(number(&seen.page["bars"]) > 8, "{at}");
        let text = seen.page["text"].as_str().expect("text");
        for part in [
            "could not be done",
            "The quota was kept",
            "Where the time went",
            "Tier 1",
            "Servers <Berlin>",
            "Windows11",
        ] {
            assert!(text.contains(part), "{at}: {part} is not in {text}");
        }
        assert_ne!(seen.page["paper"], seen.page["ink"]);
        papers.insert(seen.page["paper"].to_string());
        assert!(seen.printed.starts_with(b"%PDF") && seen.printed.len() > 10_000, "{at}");
        assert_eq!(seen.parted, serde_json::json!([]), "{at}");
    }
    assert_eq!(papers.len(), 2, "light is not dark");
}

#[cfg(unix)]
#[test]
fn what_is_said_of_the_rows_of_a_run_that_is_under_way_is_so() {
    let server = StandIn::answering(|_request| Reply::Silence);
    let folder = Folder::new();
    let rehearsal = Rehearsal::at_stand_in(&server).in_folder(&folder).rows("#1,A,Add,\n#2,A,Add,\n");
    let running = rehearsal.with("--concurrency 1").start();
    server.waits_for_requests(1);
    let listed: Value = serde_json::from_slice(&folder.run(&["runs", "--json"]).output).expect("an object");
    let report = object(&folder, &run_id(&listed["runs"][0]));
    let causes = report["causes"].as_array().expect("a list");
    let mut told: Vec<(&Value, &Value)> = causes.iter().map(|cause| (&cause["message"], &cause["hint"])).collect();
    told.sort_by_key(|(message, _)| message.to_string());
    let nothing = Value::Null;
    let expected = ["the outcome of this row is not known", "this row was not reached"].map(Value::from);
    assert_eq!(told, [(&expected[0], &nothing), (&expected[1], &nothing)], "{report}");
    running.program().signal(rustix::process::Signal::KILL);
    running.end();
}
