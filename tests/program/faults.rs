//! Everything that can go wrong between the program and the service, and what the tenant and the results are afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tagfleet::sandbox::Mishap;

use crate::machines::{id, rows_adding};
use crate::process::{at_once, wait_until};
use crate::rehearsal::{Outcome, Rehearsal};
use crate::sandbox_server::Machine;
use crate::stand_in::{Reply, StandIn};
use crate::tenant::{Tenant, WRITES, machine};

/// Two rows for each of 60 machines: a tag, and a value that depends on the machine.
fn rows() -> String {
    (1..=60).map(|machine| format!("#{machine},Tier {},Add,\n#{machine},,,{}\n", machine % 3, value(machine))).collect()
}

const fn value(machine: u32) -> &'static str {
    if machine.is_multiple_of(2) { "High" } else { "Low" }
}

/// The tenant that [`rows`] ask for.
fn asked_for() -> BTreeMap<String, Machine> {
    let machine = |machine| {
        let tags = vec![format!("Tier {}", machine % 3)];
        (id(machine), Machine { tags, value: value(machine).to_owned() })
    };
    (1..=60).map(machine).collect()
}

#[test]
fn with_faults_of_all_kinds_the_tenant_is_exactly_what_the_file_asks_for() {
    // All but those that end a run (redirect) or outlast a test's patience (hang); 15 of 100 calls meet one.
    let faults = "--seed 11 --fault-scope writes --fault throttled=0.5% --fault internal-error=2% --fault unavailable=3% \
                  --fault unauthorized=1.5% --fault reset=2% --fault truncated=2% --fault lost-answer=2% --fault html=1% \
                  --fault not-found=1%";
    let outcome = Rehearsal::new().sandbox(faults).rows(&rows()).with("--json").run().exits(0);
    assert_eq!(outcome.statuses(), ["succeeded"; 120]);
    assert_eq!(outcome.failed(), None);
    let summary = outcome.summary();
    assert_eq!(summary["status"]["succeeded"], 120);
    assert!(summary["retried"].as_u64().is_some_and(|retried| retried >= 8), "{summary}");
    let attempts: u64 =
        outcome.results().column("attempts").iter().map(|cell| cell.parse::<u64>().expect("a count")).sum();
    assert!(attempts > 120, "{attempts}");
    assert_eq!(outcome.sandbox().machines(), asked_for());
    let counters = outcome.counters();
    assert!(counters.of("faults") >= 9, "{counters:?}");
}

#[test]
fn each_kind_of_fault_alone_is_survived() {
    let faults =
        ["internal-error", "unavailable", "unauthorized", "reset", "truncated", "lost-answer", "html", "not-found"];
    at_once(faults, |fault| {
        let sandbox = format!("--fault {fault}=1 --fault-limit 3 --fault-scope writes");
        let outcome = Rehearsal::new().sandbox(&sandbox).rows(&rows_adding("A", 6)).run().exits(0);
        assert_eq!(outcome.statuses(), ["succeeded"; 6], "{fault}");
        let attempts: u32 =
            outcome.results().column("attempts").iter().map(|cell| cell.parse::<u32>().expect("a count")).sum();
        assert_eq!(attempts, 9, "{fault}: three of the attempts met the fault");
        assert_eq!(outcome.counters().of("faults"), 3, "{fault}");
    });
}

#[test]
fn a_refusal_for_quota_costs_no_attempt() {
    let outcome = Rehearsal::new()
        .sandbox("--fault throttled=1 --fault-limit 1 --fault-scope writes")
        .rows(&rows_adding("A", 10))
        .with("--json --concurrency 1")
        .run()
        .exits(0);
    assert_eq!(outcome.results().column("attempts"), ["1"; 10]);
    let summary = outcome.summary();
    assert_eq!((&summary["throttled"], &summary["retried"]), (&1.into(), &0.into()));
    // A second was asked for; on a busy machine a part of it goes by until the refusal is stored.
    assert!(summary["waited_seconds"].as_f64().is_some_and(|seconds| seconds >= 0.5), "{summary}");
}

#[test]
fn every_way_to_say_when_to_come_again_is_understood() {
    at_once(["seconds", "date", "text", "none"], |how| {
        let sandbox = format!("--fault throttled=1 --fault-limit 1 --fault-scope writes --retry-after {how}");
        let outcome = Rehearsal::new().sandbox(&sandbox).rows("#1,A,Add,").with("--json").run().exits(0);
        let waited = outcome.summary()["waited_seconds"].as_f64().expect("seconds");
        // The service asks for one second; where it says nothing the program waits two of its own accord, and a date
        // names whole seconds only. On a busy machine a part goes by until the refusal is stored.
        let expected = if how == "none" { 1.4..3.9 } else { 0.4..2.9 };
        assert!(expected.contains(&waited), "{how}: {waited}");
    });
}

fn is_refused_as_elsewhere(outcome: &Outcome) {
    assert_eq!(outcome.summary()["ended"], "refused");
    assert_eq!((outcome.count("succeeded"), outcome.results().rows.len()), (0, 50));
    assert!(outcome.count("not_attempted") >= 40, "{:?}", outcome.statuses());
}

#[test]
fn a_redirect_is_not_followed() {
    let outcome = Rehearsal::new()
        .sandbox("--fault redirect=1 --fault-scope writes")
        .rows(&rows_adding("A", 50))
        .with("--json")
        .run()
        .exits(4);
    is_refused_as_elsewhere(&outcome);
    assert!(outcome.sandbox().machines().is_empty());
    let outcome = Rehearsal::new().sandbox("--fault redirect=1").rows(&rows_adding("A", 50)).run().exits(4);
    let text = outcome.output();
    assert!(text.contains("the base URL leads elsewhere (HTTP 307") && text.contains("check --base-url"), "{text}");
}

#[test]
fn a_host_that_cannot_be_reached_ends_the_run_with_every_row_answered() {
    // Nothing ever listens on the first port of loopback.
    let outcome = Rehearsal::at_nobody()
        .variable("TAGFLEET_BASE_URL", "http://127.0.0.1:1")
        .variable("TAGFLEET_TOKEN", "ready-made")
        .rows(&rows_adding("A", 30))
        .with("--json")
        .run()
        .exits(5);
    assert_eq!(outcome.summary()["ended"], "unreachable");
    assert_eq!(outcome.statuses(), ["not_attempted"; 30]);
    assert_eq!(outcome.results().column("attempts"), ["0"; 30], "what never left is no attempt");
}

#[cfg(unix)]
#[test]
fn what_is_never_answered_as_it_should_be_is_no_success() {
    // No answer, however often it is asked again: whether the change was made, nobody knows.
    let running = Rehearsal::new().sandbox("--fault lost-answer=1 --fault-scope writes").rows("#1,A,Add,").start();
    wait_until(|| !running.sandbox().machines().is_empty());
    running.program().signal(rustix::process::Signal::INT);
    let outcome = running.end().exits(5);
    let results = outcome.results();
    assert_eq!(results.column("status"), ["unknown"]);
    assert_eq!(outcome.failed().map(|failed| failed.lines().count()), Some(2));
}

#[test]
fn an_outage_is_waited_out_and_burns_no_row() {
    // The service is in trouble until somebody has been told.
    let is_told = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&is_told);
    let server = Tenant::of((1..=6).map(machine))
        .serve_unless(move |_request| (!is_well.load(Ordering::SeqCst)).then(|| Reply::json(503, "{}")));
    let running = Rehearsal::at_stand_in(&server).rows(&rows_adding("A", 6)).with("--json").start();
    running.program().waits_until_it_says("(HTTP 503), next try ");
    is_told.store(true, Ordering::SeqCst);
    let outcome = running.end().exits(0).says(&["no service since "]);
    assert_eq!(outcome.statuses(), ["succeeded"; 6]);
    let attempts: u32 =
        outcome.results().column("attempts").iter().map(|cell| cell.parse::<u32>().expect("a count")).sum();
    // Of the five calls that failed before the bucket paused, the last one is why.
    assert_eq!(attempts, 6 + 4, "what failed while the bucket paused is no attempt: {attempts}");
    assert!(server.requests().len() > 6 + 4);
}

#[test]
fn an_outage_that_lasts_too_long_ends_the_run_with_what_to_do() {
    let server = StandIn::answering(|_request| Reply::json(503, "{}"));
    let rehearsal = Rehearsal::at_stand_in(&server).rows(&rows_adding("A", 30)).with("--max-outage 3s");
    let outcome = rehearsal.run().exits(5);
    // A 503 may hide a change that was made; what was never sent was not attempted.
    let (unknown, not_attempted) = (outcome.count("unknown"), outcome.count("not_attempted"));
    assert!((1..=12).contains(&unknown) && unknown + not_attempted == 30, "{:?}", outcome.statuses());
    let text = outcome.output();
    assert!(text.contains("because the service has been failing since") && text.contains("(HTTP 503)"), "{text}");
    assert!(text.contains("Next: tagfleet resume ") && text.contains("--max-outage"), "{text}");
}

#[test]
fn what_took_effect_and_was_never_answered_is_read_back() {
    // Ten attempts with the waits between them take about a minute, so usually it is an answer without a body, which is not
    // asked for again.
    let takes_its_time = std::env::var_os("TAGFLEET_TESTS_SKIP_NOTHING").is_some();
    let (answer, attempts) = if takes_its_time { ("<html>", 10) } else { ("", 1) };
    let server = Tenant::of([machine(1)]).serve_with([Mishap::hiding(200, answer).on(&WRITES)]);
    let running = Rehearsal::at_stand_in(&server).rows("#1,A,Add,").with("--json").start();
    for count in [6, 8, 9, 10, 11].into_iter().filter(|count| *count <= attempts + 1) {
        server.waits_for_requests(count);
    }
    let outcome = running.end().exits(0);
    let results = outcome.results();
    let cells = ["status", "after", "attempts"].map(|name| results.column(name).concat());
    assert_eq!(cells, ["succeeded", "present", &attempts.to_string()]);
    let made = &outcome.summary()["calls"];
    assert_eq!((&made["tags"], &made["get"], &made["list"]), (&attempts.into(), &1.into(), &0.into()));
}
