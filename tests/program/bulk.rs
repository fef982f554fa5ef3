//! One tag on many machines in one call: as few calls as can be, whatever spoils one of them.
//!
//! What a run says of its calls is held against what the service has counted.

use serde_json::{Value, json};
use tagfleet::sandbox::{CallKind, Mishap};

use crate::machines::{id, rows_adding, with_ids};
use crate::process::at_once;
use crate::rehearsal::{Outcome, Rehearsal};
use crate::sandbox_server::{Counters, Sandbox};
use crate::tenant::{Tenant, WRITES, bulk_sizes, error, machine};

/// The calls of a run that is over; they are those that the service has let in.
#[track_caller]
fn calls(outcome: &Outcome, counters: &Counters) -> Value {
    let calls = outcome.summary()["calls"].clone();
    for kind in ["list", "get", "bulk", "tags", "value"] {
        assert_eq!(calls[kind], counters.of(kind), "{kind}");
    }
    calls
}

/// A planned run over these rows in a tenant that holds the machines 1 to `machines`; how it ended, and its calls.
#[track_caller]
fn run_in_tenant(machines: u32, rows: &str, options: &str, status: i32) -> (Outcome, Value) {
    let sandbox = Sandbox::holding(&(1..=machines).collect::<Vec<_>>());
    let outcome = Rehearsal::at(&sandbox).planned().rows(rows).with("--json").with(options).run().exits(status);
    let calls = calls(&outcome, &sandbox.end());
    (outcome, calls)
}

#[test]
fn calls_are_as_few_as_machines_of_one_tag_fit_into() {
    let values = |count: u32| (1..=count).map(|machine| format!("#{machine},,,High\n")).collect::<String>();
    let two_tags = rows_adding("A", 501) + &rows_adding("B", 500);
    let removing = rows_adding("A", 600).replace(",Add,", ",Remove,");
    at_once(
        [
            (1200, rows_adding("A", 1200), json!({"list": 1, "get": 0, "bulk": 3, "tags": 0, "value": 0})),
            (1000, rows_adding("A", 1000), json!({"list": 1, "get": 0, "bulk": 2, "tags": 0, "value": 0})),
            // A remainder of one is a call for one machine.
            (501, two_tags, json!({"list": 1, "get": 0, "bulk": 2, "tags": 1, "value": 0})),
            // There is no bulk call for values.
            (12, rows_adding("A", 12) + &values(12), json!({"list": 1, "get": 0, "bulk": 1, "tags": 0, "value": 12})),
            // What is not there need not be removed.
            (600, removing, json!({"list": 1, "get": 0, "bulk": 0, "tags": 0, "value": 0})),
        ],
        |(machines, rows, expected)| {
            let (outcome, calls) = run_in_tenant(machines, &rows, "", 0);
            assert_eq!(calls, expected, "{machines} machines");
            assert_eq!(outcome.failed(), None);
        },
    );
}

#[test]
fn what_switches_off_reading_or_bulk_calls_does_only_that() {
    let rows = rows_adding("A", 40) + "#1,,,Normal\n";
    let (outcome, calls) = run_in_tenant(40, &rows, "--no-bulk", 0);
    assert_eq!(calls, json!({"list": 1, "get": 0, "bulk": 0, "tags": 40, "value": 0}));
    assert_eq!(outcome.count("unchanged"), 1);
    let (outcome, calls) = run_in_tenant(40, &rows, "--no-inventory", 0);
    assert_eq!(calls, json!({"list": 0, "get": 0, "bulk": 1, "tags": 0, "value": 1}));
    assert_eq!((outcome.count("succeeded"), outcome.results().column("before")), (41, vec![""; 41]));
}

#[test]
fn machines_that_the_list_lacks_are_tried_apart_and_last() {
    let tenant =
        Tenant::of((1..=6).map(|number| if number > 3 { machine(number).unlisted() } else { machine(number) }));
    let server = tenant.serve();
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(&rows_adding("A", 6)).with("--json").run().exits(0);
    assert_eq!(outcome.statuses(), ["succeeded"; 6]);
    assert_eq!(outcome.summary()["calls"]["bulk"], 2);
    let bodies: Vec<String> = server.requests().into_iter().skip(1).map(|request| request.body).collect();
    assert!(bodies[0].contains(&id(1)) && !bodies[0].contains(&id(4)), "{bodies:?}");
    assert!(bodies[1].contains(&id(4)) && !bodies[1].contains(&id(1)), "{bodies:?}");
    assert_eq!(outcome.results().column("before"), ["absent", "absent", "absent", "", "", ""]);
}

/// d·(⌈log2(500/d)⌉ + 6): the calls that are promised for so many unnamed bad ids in one bulk call.
fn search(bad: u32) -> u64 {
    let halvings = (0..10).find(|halvings| bad << halvings >= 500).expect("a small number");
    u64::from(bad * (halvings + 6))
}

#[test]
fn dead_machines_spoil_no_call_and_each_is_told_the_services_reason() {
    // 40 machines and so many dead; what the promise allows beyond one bulk call.
    let table = [
        ("all", "", 2, 2),
        ("all", "--bulk-refusal 404", 2, 2),
        ("one", "", 2, 2 * 3),
        ("none", "", 2, search(2)),
        ("none", "--bulk-refusal 404", 1, search(1) + 1),
        ("all", "--dead-unlisted", 3, 7),
        ("one", "--dead-unlisted", 3, 7),
        ("none", "--dead-unlisted", 3, 7),
    ];
    at_once(table, |(naming, options, dead, promised)| {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = folder.path().join("machines.csv");
        std::fs::write(&file, (1..=40).map(|machine| id(machine) + "\n").collect::<String>()).expect("our own");
        let sandbox = Sandbox::start_exactly(&format!(
            "--quota off --machines-file {} --dead {dead} --name-dead {naming} {options}",
            file.display()
        ));
        let case = format!("{naming} {options}");
        let outcome = Rehearsal::at(&sandbox).planned().rows(&rows_adding("A", 40)).with("--json").run().exits(1);
        assert_eq!((outcome.count("succeeded"), outcome.count("failed")), (40 - dead, dead), "{case}");
        let machines = sandbox.machines();
        let results = outcome.results();
        for row in &results.rows {
            let tagged = machines.get(&row["machineId"]).is_some_and(|machine| machine.tags == ["A"]);
            assert_eq!(tagged, &row["status"] == "succeeded", "{case}");
            let reason = &row["error_message"];
            assert_eq!(tagged, reason.is_empty(), "{case}");
            assert!(
                tagged || reason.contains(&row["machineId"]) || reason.contains("do not exist"),
                "{case}: {reason}"
            );
        }
        let failed = outcome.failed().expect("rows to feed back");
        assert_eq!(failed.lines().count(), 1 + dead, "{case}");
        let (said, counters) = (&outcome.summary()["calls"], sandbox.end());
        assert_eq!((&said["bulk"], &said["tags"]), (&counters.of("bulk").into(), &counters.of("tags").into()));
        let needed = counters.of("bulk") + counters.of("tags");
        assert!(needed <= 1 + promised, "{case}: {needed} calls, {promised} promised beyond the first");
    });
}

#[test]
fn half_of_the_machines_being_dead_costs_no_more_than_single_calls() {
    let machines = (1..=12).map(|number| if number % 2 == 0 { machine(number).dead() } else { machine(number) });
    let server = Tenant::naming_nobody(machines).serve();
    let rehearsal = Rehearsal::at_stand_in(&server).planned().rows(&rows_adding("A", 12)).with("--json");
    let outcome = rehearsal.run().exits(1);
    assert_eq!((outcome.count("succeeded"), outcome.count("failed")), (6, 6));
    let calls = server.requests().len();
    // A 404 is believed when it repeats, so each dead machine alone would take three.
    assert!(calls <= 1 + 6 + 6 * 3, "{calls}");
    assert_eq!(outcome.results().rows[1]["error_code"], *"ResourceNotFound");
}

#[test]
fn a_smaller_limit_is_learned_once_and_told_once() {
    let sandbox = Sandbox::start("--machines 1 --any-machine --bulk-limit 100");
    let rows = rows_adding("A", 1200);
    let outcome = Rehearsal::at(&sandbox).planned().rows(&rows).with("--json").run().exits(0);
    assert_eq!(outcome.statuses(), vec!["succeeded"; 1200]);
    let warning = "warning: the service allows only 100 machines in one call at present";
    assert_eq!(outcome.messages().matches(warning).count(), 1, "{}", outcome.messages());
    // Three calls of the higher limit may be on their way before the first is refused.
    let bulk = sandbox.end().of("bulk");
    assert!((12 + 1..=12 + 3).contains(&bulk), "{bulk}");
}

#[test]
fn every_way_to_say_that_a_call_is_too_large_is_understood() {
    let too_many = "MaximumBatchSizeExceeded";
    at_once(
        [
            (400, error(too_many, "Received: 40, allowed: 16"), 16),
            (413, String::new(), 20),
            (400, error(too_many, "too many machines"), 20),
            (413, error("RequestTooLarge", "Maximum allowed: 16 machines, received 40"), 16),
        ],
        |(status, body, limit)| {
            let too_large = Mishap::answering(status, body.clone()).from_machines(21);
            let server = Tenant::of((1..=40).map(machine)).serve_with([too_large]);
            let outcome = Rehearsal::at_stand_in(&server).planned().rows(&rows_adding("A", 40)).run().exits(0);
            assert_eq!(outcome.statuses(), ["succeeded"; 40], "{body}");
            let sizes = bulk_sizes(&server);
            assert_eq!((sizes[0], sizes[1..].iter().max()), (40, Some(&limit)), "{body}");
            assert_eq!(sizes[1..].iter().sum::<usize>(), 40, "{body}");
        },
    );
}

#[test]
fn where_bulk_calls_are_forbidden_single_ones_do_and_that_is_told_once() {
    let sandbox = Sandbox::start("--machines 1 --bulk-forbidden");
    let rows: String = ["A", "B", "C"].map(|tag| rows_adding(tag, 10)).concat();
    let outcome = Rehearsal::at(&sandbox).planned().rows(&rows).with("--json").run().exits(0);
    assert_eq!(outcome.statuses(), ["succeeded"; 30]);
    let warning = "warning: the service does not allow this app to tag many machines in one call (403)";
    assert_eq!(outcome.messages().matches(warning).count(), 1, "{}", outcome.messages());
    let counters = sandbox.end();
    assert_eq!(counters.of("tags"), 30);
    assert!(counters.of("forbidden") <= 3, "{counters:?}");
}

#[test]
fn an_app_that_may_change_nothing_is_told_so_and_not_that_bulk_calls_are_forbidden() {
    let forbidden = Mishap::refusing(403, "Forbidden", "the app lacks a permission").on(&WRITES);
    let server = Tenant::of((1..=40).map(machine)).serve_with([forbidden]);
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(&rows_adding("A", 40)).with("--json").run().exits(4);
    assert_eq!(outcome.summary()["ended"], "forbidden");
    assert!(!outcome.messages().contains("in one call (403)"), "{}", outcome.messages());
    // One bulk call, then singles until nobody can doubt it.
    assert!(server.requests().len() <= 1 + 1 + 6, "{}", server.requests().len());
}

#[test]
fn every_machine_is_looked_for_in_the_answer() {
    at_once([("half", 40), ("none", 40)], |(answer, machines)| {
        let sandbox = Sandbox::start(&format!("--machines 1 --bulk-answer {answer}"));
        let outcome = Rehearsal::at(&sandbox).planned().rows(&rows_adding("A", machines)).with("--json").run().exits(0);
        assert_eq!(outcome.statuses(), ["succeeded"; 40], "{answer}");
        let told = "warning: the service accepted bulk calls without showing the machines";
        assert_eq!(outcome.messages().matches(told).count(), usize::from(answer == "none"), "{answer}");
        let counters = sandbox.end();
        // Those that an answer leaves out travel once more, together: 40, 20, 10, 5, 2 and 1.
        let (bulk, single) = (counters.of("bulk"), counters.of("tags"));
        assert_eq!((bulk, single), if answer == "half" { (5, 1) } else { (1, 0) }, "{answer}");
    });
}

#[test]
fn an_answer_that_shows_a_machine_without_its_tag_is_no_success() {
    // The second machine is held by an asset rule.
    let shown =
        [1, 2, 3].map(|number| json!({"id": id(number), "machineTags": if number == 2 { vec![] } else { vec!["A"] }}));
    let answer = Mishap::answering(200, json!({"value": shown}).to_string()).on(&[CallKind::Bulk]);
    let server = Tenant::of((1..=3).map(machine)).serve_with([answer]);
    let rows = rows_adding("A", 3);
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(&rows).run().exits(0);
    // Alone it can be tagged, so it is.
    assert_eq!(outcome.statuses(), ["succeeded"; 3]);
    assert_eq!(outcome.results().column("attempts"), ["1", "2", "1"]);
}

#[cfg(unix)]
#[test]
fn an_answer_that_is_no_list_of_machines_is_no_success() {
    let texts = [
        "<html><body>Sign in</body></html>",
        "null",
        "{}",
        r#"{"message": "maintenance"}"#,
        r#"{"status": 503}"#,
        "[1, 2, 3]",
        r#"{"value": "done"}"#,
        r#"{"value": [{"name": "no id"}]}"#,
        r#"{"value": [{"id": "other"}]}"#,
        r#"{"error": {"code": "C", "message": "m"}}"#,
    ];
    at_once(texts, |text| {
        let answering =
            |kinds: &[CallKind]| Tenant::of((1..=3).map(machine)).serve_with([Mishap::answering(200, text).on(kinds)]);
        let server = answering(&WRITES);
        let running = Rehearsal::at_stand_in(&server).planned().rows(&rows_adding("A", 3)).start();
        // The list, the bulk call, and each machine for itself, of which one is tried again.
        server.waits_for_requests(1 + 1 + 3 + 1);
        running.program().signal(rustix::process::Signal::INT);
        let outcome = running.end().exits(5);
        assert_eq!(outcome.statuses(), ["unknown"; 3], "{text}");
        // Where single calls are answered as they should be, they do.
        let server = answering(&[CallKind::Bulk]);
        let outcome = Rehearsal::at_stand_in(&server).planned().rows(&rows_adding("A", 3)).run().exits(0);
        assert_eq!(outcome.statuses(), ["succeeded"; 3], "{text}");
    });
}

#[test]
fn an_answer_that_shows_no_machine_is_no_success_unless_a_read_shows_the_change() {
    at_once([(204, ""), (200, ""), (200, "[]"), (200, r#"{"value": []}"#)], |(status, text)| {
        // The machines stay as they are, whatever the answer says.
        let accepted = Mishap::answering(status, text).on(&[CallKind::Bulk]);
        let server = Tenant::of((1..=3).map(machine)).serve_with([accepted]);
        let outcome = Rehearsal::at_stand_in(&server).planned().rows(&rows_adding("A", 3)).run().exits(1);
        assert_eq!(outcome.statuses(), ["unknown"; 3], "{status} {text}");
        assert_eq!(outcome.results().column("error_code"), ["not_shown"; 3], "{status} {text}");
    });
}

#[test]
fn tags_are_taken_off_only_when_those_that_take_their_place_are_on() {
    let tenant = Tenant::of((1..=30).map(|number| machine(number).tagged("Old")));
    let server = tenant.serve_with([Mishap::refusing(400, "InvalidInput", "no such tag").saying("Refused")]);
    let swap = |tag: &str, from: u32, to: u32| -> String {
        (from..=to).map(|machine| format!("#{machine},Old,Remove,\n#{machine},{tag},Add,\n")).collect()
    };
    let rows = swap("New", 1, 20) + &swap("Refused", 21, 22) + "#23,Old,Remove,\n";
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(&rows).run().exits(1);
    let results = outcome.results();
    assert_eq!(results.column("status")[..40], ["succeeded"; 40]);
    assert_eq!(results.column("status")[40..], ["not_attempted", "failed", "not_attempted", "failed", "succeeded"]);
    assert_eq!(&results.rows[40]["error_code"], "waits_for_add");
    let order: Vec<bool> = server
        .requests()
        .iter()
        .filter(|request| request.body.contains(&with_ids("#1")))
        .map(|request| request.body.contains("Add"))
        .collect();
    assert_eq!(order, [true, false], "first the adds, then the removes");
    assert_eq!((tenant.holds(1).0, tenant.holds(21).0), (vec!["New".to_owned()], vec!["Old".to_owned()]));
    assert_eq!(tenant.holds(23).0, Vec::<String>::new());
}

#[test]
fn faults_on_top_leave_the_tenant_as_the_file_asks_for() {
    let faults = "--seed 3 --fault-scope writes --dead 3 --name-dead one --fault internal-error=3% --fault unavailable=3% \
                  --fault unauthorized=1% --fault reset=3% --fault truncated=2% --fault lost-answer=3% --fault html=1%";
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("machines.csv");
    std::fs::write(&file, (1..=60).map(|machine| id(machine) + "\n").collect::<String>()).expect("our own");
    let sandbox = Sandbox::start_exactly(&format!("--quota off --machines-file {} {faults}", file.display()));
    let rows: String = (0..12).map(|tag| rows_adding(&format!("T{tag}"), 60)).collect();
    let outcome = Rehearsal::at(&sandbox).planned().rows(&rows).run().exits(1);
    // What is refused after a call that may have done something has not failed for sure.
    let not_done = outcome.count("failed") + outcome.count("unknown");
    assert_eq!((outcome.count("succeeded"), not_done), (57 * 12, 3 * 12));
    let tags: Vec<usize> = sandbox.machines().into_values().map(|machine| machine.tags.len()).collect();
    assert_eq!(
        (tags.iter().filter(|count| **count == 12).count(), tags.iter().filter(|count| **count == 0).count()),
        (57, 3)
    );
}
