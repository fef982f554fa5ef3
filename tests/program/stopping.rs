//! A run that ends before its end: interrupts, signals, deadlines.

#![cfg(unix)]

use std::time::Instant;

use rustix::process::Signal;

use crate::machines::{id, rows_adding};
use crate::process::{SOON, at_once, wait_until};
use crate::rehearsal::{Outcome, Rehearsal, Running};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};

/// Rows of a run that is to be ended in its middle.
const ROWS: u32 = 300;

/// A run that takes five seconds unless something ends it, of which some machines are done.
fn running_in_the_middle() -> Running {
    let running =
        Rehearsal::new().sandbox("--latency 30ms").rows(&rows_adding("A", ROWS)).with("--concurrency 2 --json").start();
    wait_until(|| running.sandbox().machines().len() >= 10);
    running
}

/// Every row is answered, and what is said to be done is done, and nothing else.
#[track_caller]
fn every_row_is_answered_truly(outcome: &Outcome) {
    let results = outcome.results();
    assert_eq!(results.rows.len(), ROWS as usize);
    let (done, left): (Vec<_>, Vec<_>) = results.rows.iter().partition(|row| &row["status"] == "succeeded");
    assert!(!left.is_empty(), "the run was over before it was ended");
    for row in &left {
        assert_eq!((&row["status"], &row["error_code"]), ("not_attempted", "not_attempted"));
    }
    let mut said: Vec<&str> = done.iter().map(|row| &row["machineId"]).collect();
    said.sort_unstable();
    let tagged: Vec<String> = outcome.sandbox().machines().into_keys().collect();
    assert_eq!(said, tagged);
    let status = &outcome.summary()["status"];
    assert_eq!((&status["succeeded"], &status["not_attempted"]), (&done.len().into(), &left.len().into()));
}

#[test]
fn an_interrupt_ends_a_run_in_order() {
    at_once([Signal::INT, Signal::TERM], |signal| {
        let running = running_in_the_middle();
        running.program().signal(signal);
        // What a second interrupt would do is said only while an answer is awaited, which depends on the moment.
        let outcome = running.end().exits(5).says(&["Interrupted: no new calls"]);
        assert_eq!(outcome.summary()["ended"], "interrupted");
        every_row_is_answered_truly(&outcome);
        assert!(outcome.count("succeeded") >= 10);
    });
}

#[test]
fn what_an_interrupt_left_is_what_is_fed_back() {
    let running = running_in_the_middle();
    running.program().signal(Signal::INT);
    let outcome = running.end().exits(5);
    let left = outcome.failed().expect("rows to feed back");
    assert_eq!(left.lines().count(), 1 + outcome.count("not_attempted"));
    let sandbox = Sandbox::start("");
    Rehearsal::at(&sandbox).in_folder(outcome.folder()).file(left).run().exits(0);
    let mut machines: Vec<String> =
        outcome.sandbox().machines().into_keys().chain(sandbox.machines().into_keys()).collect();
    machines.sort();
    let all: Vec<String> = (1..=ROWS).map(id).collect();
    assert_eq!(machines, all, "each machine once, in the one run or in the other");
}

#[test]
fn a_second_interrupt_does_not_wait_for_answers() {
    // A call waits 30 seconds for its answer; none comes.
    let server = StandIn::answering(|_request| Reply::Silence);
    let rehearsal = Rehearsal::at_stand_in(&server).rows(&rows_adding("A", 100)).with("--json --concurrency 3");
    let running = rehearsal.start();
    server.waits_for_requests(3);
    running.program().signal(Signal::INT);
    running.program().waits_until_it_says("Interrupt again to stop at once.");
    let since = Instant::now();
    running.program().signal(Signal::INT);
    let outcome = running.end().exits(5);
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_eq!(outcome.count("unknown"), 3, "sent, and never answered");
    assert_eq!((outcome.count("not_attempted"), server.requests().len()), (97, 3));
    assert_eq!(outcome.failed().map(|failed| failed.lines().count()), Some(101));
}

#[test]
fn an_interrupt_while_the_quota_makes_everybody_wait_is_heard_at_once() {
    let running = Rehearsal::new().rows(&rows_adding("A", 100)).quota("1/1h").with("--json").start();
    running.program().waits_until_it_says("spreading calls; 1 of 100 operations, ");
    running.program().signal(Signal::INT);
    let outcome = running.end().exits(5);
    assert_eq!(outcome.count("succeeded") + outcome.count("not_attempted"), 100);
    assert!(outcome.count("not_attempted") >= 98);
}

#[test]
fn an_interrupt_ends_a_wait_that_the_service_asked_for() {
    let server = StandIn::answering(|_request| {
        Reply::json(429, r#"{"error": {"code": "429", "message": "You can send requests again in 600 seconds."}}"#)
    });
    let rehearsal = Rehearsal::at_stand_in(&server).rows(&rows_adding("A", 20)).with("--json --concurrency 1");
    let running = rehearsal.start();
    server.waits_for_requests(1);
    running.program().signal(Signal::INT);
    let outcome = running.end().exits(5);
    assert_eq!((outcome.count("not_attempted"), server.requests().len()), (20, 1));
}

#[test]
fn an_interrupt_is_heard_while_signing_in() {
    let server = StandIn::answering(|_request| Reply::Silence);
    // A tenant named by its domain is looked up in the token, so that nothing goes on without one.
    for tenant in ["contoso.example", "00000000-0000-0000-0000-000000000001"] {
        let before = server.requests().len();
        let running = Rehearsal::at_stand_in(&server)
            .variable("TAGFLEET_TOKEN", "")
            .variable("AZURE_TENANT_ID", tenant)
            .variable("AZURE_CLIENT_ID", "app")
            .variable("AZURE_CLIENT_SECRET", "secret")
            .rows(&rows_adding("A", 20))
            .start();
        server.waits_for_requests(before + 1);
        let since = Instant::now();
        running.program().signal(Signal::INT);
        let outcome = running.end().exits(5);
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
        assert_eq!(outcome.statuses(), ["not_attempted"; 20], "{tenant}");
    }
}

#[test]
fn no_call_starts_after_the_deadline() {
    let outcome = Rehearsal::new()
        .sandbox("--latency 30ms")
        .rows(&rows_adding("A", ROWS))
        .with("--concurrency 2 --json --deadline 700ms")
        .run()
        .exits(5);
    assert_eq!(outcome.summary()["ended"], "deadline");
    every_row_is_answered_truly(&outcome);
}

#[test]
fn whatever_is_read_is_given_up_at_the_deadline_and_named() {
    let slow_body = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    let endless_head = "HTTP/1.1 200 OK\r\nX-Endless:";
    let token_variables = [
        ("TAGFLEET_TOKEN", ""),
        ("AZURE_TENANT_ID", "a.example"),
        ("AZURE_CLIENT_ID", "app"),
        ("AZURE_CLIENT_SECRET", "s"),
    ];
    let mut all = Vec::new();
    for signs_in in [false, true] {
        for trickle in [None, Some(slow_body), Some(endless_head)] {
            let server = StandIn::answering(move |_request| trickle.map_or(Reply::Silence, Reply::Trickle));
            let mut rehearsal = Rehearsal::at_stand_in(&server).planned();
            for (name, value) in token_variables.into_iter().filter(|_| signs_in) {
                rehearsal = rehearsal.variable(name, value);
            }
            let running = rehearsal.rows(&rows_adding("A", 3)).with("--json --deadline 8s").start();
            let silent = if signs_in { "no answer from the sign-in service since " } else { "no answer since " };
            all.push((server, running, silent));
        }
    }
    for (server, running, silent) in all {
        let outcome = running.end().exits(5).says(&[&format!("at its deadline ({silent}")]);
        assert!(server.requests()[0].at.elapsed() < SOON, "{:?}", server.requests());
        assert_eq!(outcome.statuses(), ["not_attempted"; 3]);
        assert_eq!((&outcome.summary()["ended"], server.requests().len()), (&"deadline".into(), 1));
    }
}

#[test]
fn a_run_that_cannot_go_on_before_its_deadline_ends_at_once() {
    // The two calls of an hour are five minutes apart.
    let outcome = Rehearsal::new()
        .rows(&rows_adding("A", 100))
        .quota("2/1h")
        .with("--json --deadline 4m")
        .run()
        .exits(5)
        .says(&["The deadline leaves no time for another call: no new calls"]);
    assert_eq!(outcome.summary()["ended"], "deadline");
    assert!(outcome.count("succeeded") >= 1 && outcome.count("not_attempted") >= 98);
}
