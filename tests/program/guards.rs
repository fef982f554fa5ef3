//! `--guard-removals` and `--guard-changes`: what an unattended run may do at most.

use tagfleet::sandbox::{CallKind, Mishap};

use crate::machines::with_ids;
use crate::rehearsal::Rehearsal;
use crate::stand_in::StandIn;
use crate::tenant::{Tenant, machine};

/// Twenty machines, of which the first four have a tag.
fn tenant() -> Tenant {
    Tenant::of((1..=20).map(|number| if number <= 4 { machine(number).tagged("A") } else { machine(number) }))
}

/// Four removals and three adds.
const ORDERS: &str = "machineId,tag,action\n#1,A,Remove\n#2,A,Remove\n#3,A,Remove\n#4,A,Remove\n\
                      #1,B,Add\n#5,B,Add\n#6,B,Add\n";

fn orders(server: &StandIn, options: &str) -> Rehearsal {
    Rehearsal::at_stand_in(server).planned().file(with_ids(ORDERS)).with(options)
}

#[test]
fn removals_beyond_both_bounds_are_withheld_and_the_rest_is_done() {
    let tenant = tenant();
    let server = tenant.serve();
    let plan = orders(&server, "--guard-removals 10%,3").only_plan().run().exits(1);
    assert!(plan.output().contains("3 changes, 0 already set, 4 removals withheld by the guard"), "{}", plan.output());
    assert!(plan.output().contains("--allow-removals 4 lets them through in this run:\n"), "{}", plan.output());
    let outcome = orders(&server, "--guard-removals 10%,3 --json").run().exits(1);
    let expected = [["not_attempted"; 4].as_slice(), &["succeeded"; 3]].concat();
    assert_eq!(outcome.statuses(), expected);
    assert_eq!(outcome.results().column("error_code"), [["withheld"; 4].as_slice(), &[""; 3]].concat());
    assert_eq!(tenant.holds(1).0, ["A", "B"]);
    assert_eq!((&outcome.summary()["exit_status"], &outcome.summary()["open"]), (&1.into(), &0.into()));
    // As a file of their own they would pass by the guard.
    assert!(outcome.summary()["next"].is_null(), "{}", outcome.summary());
    // Either bound lets them through, and so does a ceiling for one run, down to the number.
    orders(&server, "--guard-removals 10%,3 --allow-removals 3").only_plan().run().exits(1);
    for enough in ["--guard-removals 20%,3", "--guard-removals 10%,4", "--guard-removals 10%,3 --allow-removals 4"] {
        orders(&server, enough).only_plan().run().exits(0);
    }
    let allowed = orders(&server, "--guard-removals 10%,3 --allow-removals 4").run().exits(0);
    assert_eq!(allowed.statuses(), [["succeeded"; 4].as_slice(), &["unchanged"; 3]].concat());
}

#[test]
fn changes_beyond_both_bounds_refuse_the_plan_and_what_is_withheld_is_none() {
    let tenant = tenant();
    let server = tenant.serve();
    let refused = orders(&server, "--guard-changes 30%,6").run().exits(3);
    let refused = refused.says(&[
        "the plan has 7 changes, more than 30% of the machines and more than 6, which the guard allows",
        "add --allow-changes 7",
    ]);
    assert_eq!(refused.folder().read("input.results.csv"), None);
    assert_eq!(tenant.holds(5).0, Vec::<String>::new());
    orders(&server, "--guard-changes 30%,6").only_plan().run().exits(3);
    orders(&server, "--allow-changes 6").only_plan().run().exits(3);
    for enough in ["--guard-changes 35%,6", "--guard-changes 30%,7", "--guard-changes 30%,6 --allow-changes 7"] {
        orders(&server, enough).only_plan().run().exits(0);
    }
    orders(&server, "--guard-changes 0%,3 --guard-removals 0%,0").only_plan().run().exits(1);
}

#[test]
fn a_guard_is_a_share_and_a_number_and_needs_the_list() {
    let server = tenant().serve();
    orders(&server, "--guard-removals 10").run().exits(2).says(&["is not a share and a number such as 10%,10"]);
    orders(&server, "--guard-changes 10%,10 --no-inventory").run().exits(2);
}

#[test]
fn whoever_feeds_back_what_was_never_planned_passes_by_no_bound() {
    let tenant = tenant();
    let server = tenant.serve_with([
        Mishap::refusing(403, "Forbidden", "the app lacks a permission").on(&[CallKind::List, CallKind::Get])
    ]);
    let bounds = "--limit 2 --guard-removals 10%,3 --guard-changes 30%,6 --allow-removals 4 --max-changes 9";
    let outcome = orders(&server, &format!("{bounds} --json")).run().exits(4);
    let next = outcome.summary()["next"].as_str().expect("a command").to_owned();
    assert!(next.starts_with("tagfleet apply input.failed.csv "), "{next}");
    for bound in bounds.split(" --") {
        assert!(next.contains(bound.trim_start_matches("--")), "{next} lacks {bound}");
    }
}
