//! When the tenant's machines cannot be read: nothing is decided and nothing is sent, and every row still has its answer.

use tagfleet::sandbox::{CallKind, Mishap};

use crate::machines::rows_adding;
use crate::rehearsal::{Outcome, Rehearsal};
use crate::stand_in::{Reply, StandIn};
use crate::tenant::{Tenant, WRITES, error, machine};

/// A tenant of which every page is answered so.
fn answering_pages(reply: impl Fn() -> Reply + Send + Sync + 'static) -> StandIn {
    let tenant = Tenant::of((1..=3).map(machine));
    tenant.serve_unless(move |request| (request.method == "GET").then(&reply))
}

/// Every row was left alone, and says so.
#[track_caller]
fn nothing_was_attempted(outcome: &Outcome, ended: &str) {
    assert_eq!(outcome.summary()["ended"], ended);
    let results = outcome.results();
    assert_eq!(results.column("status"), ["not_attempted"; 3]);
    assert_eq!(results.column("error_code"), ["inventory_not_read"; 3]);
    assert_eq!(results.column("attempts"), ["0"; 3]);
    assert_eq!(outcome.failed().map(|failed| failed.lines().count()), Some(4));
}

fn run(server: &StandIn, options: &str, status: i32) -> Outcome {
    let rehearsal = Rehearsal::at_stand_in(server).planned().rows(&rows_adding("A", 3)).with("--json").with(options);
    let outcome = rehearsal.run().exits(status);
    assert!(server.requests().iter().all(|request| request.method == "GET"), "nothing is sent");
    assert_eq!(outcome.summary()["calls"]["list"], server.requests().len(), "what was asked for is told");
    outcome
}

#[test]
fn a_missing_permission_to_read_ends_the_run() {
    let words = "The application does not have any of the required roles: Machine.Read.All, Machine.ReadWrite.All";
    let server = answering_pages(move || Reply::json(403, error("Forbidden", words)));
    let outcome = run(&server, "", 4);
    nothing_was_attempted(&outcome, "forbidden");
    assert_eq!(server.requests().len(), 1);
    outcome.says(&["hint: give the app the application permission Machine.ReadWrite.All"]);
    let server = answering_pages(move || Reply::json(403, error("Forbidden", words)));
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(&rows_adding("A", 3)).run().exits(4);
    let text = format!("{}{}", outcome.output(), outcome.messages());
    assert!(text.contains(words), "the service's own sentence names the roles: {text}");
}

#[test]
fn nobody_in_the_list_is_an_error_and_never_an_empty_tenant() {
    let nobody = || {
        let unexpected = Mishap::refusing(500, "Unexpected", "nothing else is asked for");
        Tenant::of([]).serve_with([unexpected.clone().on(&WRITES), unexpected.on(&[CallKind::Get])])
    };
    let words = ["the service's list of machines is empty", "hint: check --base-url"];
    let server = nobody();
    let rows = rows_adding("A", 3);
    let applied = Rehearsal::at_stand_in(&server).planned().rows(&rows).with("--json").run().exits(4);
    nothing_was_attempted(&applied, "inventory_not_read");
    assert_eq!(server.requests().len(), 3, "believed only when it repeats");
    applied.says(&words[1..]);
    for rehearsal in [Rehearsal::at_stand_in(&server).only_plan(), Rehearsal::at_stand_in(&server).only_verify()] {
        rehearsal.rows(&rows).run().exits(4).says(&words);
    }
}

#[test]
fn a_404_behind_a_full_page_hides_no_machine_from_a_plan() {
    let answers = std::sync::atomic::AtomicUsize::new(0);
    let server = Tenant::of((1..=20_050).map(machine)).serve_unless(move |request| {
        let is_second = request.method == "GET" && answers.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
        is_second.then(|| Reply::json(404, error("ResourceNotFound", "No machines were found")))
    });
    let rows = "#1,A,Add,\n#20050,A,Add,\n#20051,A,Add,\n";
    let outcome = Rehearsal::at_stand_in(&server).only_plan().rows(rows).with("--json").run().exits(0);
    let plan = outcome.summary();
    assert_eq!((&plan["unlisted"], &plan["calls"]["list"]), (&1.into(), &3.into()), "{plan}");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_wrong_secret_ends_the_run() {
    let token = r#"{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}"#;
    let server = StandIn::answering(move |_request| Reply::json(401, token));
    let outcome = Rehearsal::at_stand_in(&server)
        .planned()
        .variable("TAGFLEET_TOKEN", "")
        .variable("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000001")
        .variable("AZURE_CLIENT_ID", "app")
        .variable("AZURE_CLIENT_SECRET", "wrong")
        .rows(&rows_adding("A", 3))
        .with("--json")
        .run()
        .exits(4)
        .says(&["because signing in failed"]);
    nothing_was_attempted(&outcome, "sign_in_failed");
    assert!(server.requests().iter().all(|request| request.path.ends_with("/token")), "{:?}", server.requests());
}

#[test]
fn a_token_that_is_never_accepted_ends_the_run() {
    let server = answering_pages(|| Reply::json(401, error("Unauthorized", "no")));
    nothing_was_attempted(&run(&server, "", 4), "sign_in_failed");
}

#[test]
fn a_service_in_trouble_ends_the_run_at_its_deadline() {
    let server = answering_pages(|| Reply::json(503, error("ServiceUnavailable", "not now")));
    nothing_was_attempted(&run(&server, "--deadline 1s", 5), "deadline");
}

#[test]
fn a_list_that_makes_no_sense_ends_the_run() {
    // Every page brings other machines and announces a further one; a page is asked for a thousand times at the most.
    let server = StandIn::answering(|request| {
        let (_, skip) = request.path.split_once("$skip=").expect("a position");
        let skip: u32 = skip.split('&').next().unwrap_or_default().parse().expect("a number");
        let machines: Vec<String> = (skip..skip + 3).map(|place| format!(r#"{{"id": "endless-{place}"}}"#)).collect();
        Reply::json(200, format!(r#"{{"value": [{}], "@odata.nextLink": "more"}}"#, machines.join(",")))
    });
    let outcome = run(&server, "", 5);
    nothing_was_attempted(&outcome, "inventory_not_read");
    assert_eq!(server.requests().len(), 1000);
    outcome.says(&["the list of machines does not end"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_while_the_machines_are_read_ends_the_run_at_once() {
    let server = answering_pages(|| Reply::Silence);
    let rehearsal = Rehearsal::at_stand_in(&server).planned().rows(&rows_adding("A", 3)).with("--json");
    let running = rehearsal.start();
    server.waits_for_requests(1);
    let since = std::time::Instant::now();
    running.program().signal(rustix::process::Signal::INT);
    let outcome = running.end().exits(5);
    assert!(since.elapsed() < crate::process::SOON, "{:?}", since.elapsed());
    nothing_was_attempted(&outcome, "interrupted");
}

#[test]
fn commands_that_only_look_say_why_they_cannot() {
    let server = answering_pages(|| Reply::json(403, error("Forbidden", "the app lacks a permission")));
    for rehearsal in [Rehearsal::at_stand_in(&server).only_plan(), Rehearsal::at_stand_in(&server).only_verify()] {
        let outcome = rehearsal.rows(&rows_adding("A", 3)).run().exits(4);
        assert_eq!(outcome.output(), "");
        outcome.says(&["does not let this app read the list of machines (HTTP 403, Forbidden", "hint: "]);
    }
    let server = answering_pages(|| Reply::json(400, error("BadRequest", "no such filter")));
    let outcome = run(&server, "", 4);
    nothing_was_attempted(&outcome, "inventory_not_read");
}
