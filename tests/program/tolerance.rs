//! What a nightly job may put up with: machines that are gone, and files without rows.

use tagfleet::sandbox::Mishap;

use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::StandIn;
use crate::tenant::{Tenant, WRITES, machine};

/// Machine 1 is there, 2 is listed and gone, 3 is not listed and gone; a name is nobody's, and one is two machines'.
fn tenant() -> (Tenant, StandIn) {
    let tenant = Tenant::of([
        machine(1),
        machine(2).dead(),
        machine(4).named("twin.contoso.example"),
        machine(5).named("twin.contoso.example"),
    ]);
    let server = tenant.serve();
    (tenant, server)
}

const GONE: &str = "#1,A,Add,\n#2,A,Add,\n#3,A,Add,\n";

#[test]
fn rows_whose_machine_is_gone_are_tolerated_counted_apart_and_not_fed_back() {
    for (options, code) in [("", "ResourceNotFound"), ("--unlisted fail", "not_in_inventory")] {
        let (tenant, server) = tenant();
        let options = format!("{options} --skip-missing-machines --json");
        let outcome = Rehearsal::at_stand_in(&server).planned().rows(GONE).with(&options).run().exits(0);
        assert_eq!(outcome.statuses(), ["succeeded", "failed", "failed"]);
        assert_eq!(outcome.results().rows[2]["error_code"], *code);
        assert_eq!((&outcome.summary()["missing_machines"], &outcome.summary()["failed"]), (&2.into(), &().into()));
        assert_eq!(outcome.failed(), None, "there is nothing to feed back");
        assert_eq!(tenant.holds(1).0, ["A"]);
    }
    let (_, server) = tenant();
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(GONE).with("--skip-missing-machines").run().exits(0);
    let text = outcome.output();
    assert!(text.contains("Tolerated: 2 rows whose machine is gone (--skip-missing-machines)"), "{text}");
    assert!(!text.contains("Next:") && !text.contains("What went wrong"), "{text}");
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(GONE).run().exits(1);
    assert_eq!(outcome.failed().map(|failed| failed.lines().count()), Some(3), "without the option they failed");
}

#[test]
fn a_name_that_is_nobodys_is_tolerated_and_one_that_is_two_machines_is_not() {
    let (_, server) = tenant();
    let file = |name: &str| format!("name,tag,action\npc1,A,Add\n{name},A,Add\n");
    let run = |name: &str| {
        Rehearsal::at_stand_in(&server).planned().file(file(name)).with("--skip-missing-machines --json").run()
    };
    assert_eq!(run("nobody").exits(0).summary()["missing_machines"], 1);
    let ambiguous = run("twin").exits(1);
    assert_eq!((&ambiguous.summary()["missing_machines"], ambiguous.count("failed")), (&0.into(), 1));
}

#[test]
fn a_404_that_may_be_anybodys_is_no_missing_machine() {
    let server = Tenant::of([machine(1)]).serve_with([Mishap::answering(404, "no such page").on(&WRITES)]);
    let outcome = Rehearsal::at_stand_in(&server).planned().rows("#1,A,Add,\n").with("--skip-missing-machines").run();
    outcome.exits(1);
    let server = Tenant::of([machine(1)]).serve_with([Mishap::refusing(403, "Forbidden", "no").on(&WRITES)]);
    let outcome = Rehearsal::at_stand_in(&server).planned().rows("#1,A,Add,\n").with("--skip-missing-machines").run();
    outcome.exits(4);
}

#[test]
fn verify_counts_machines_that_are_gone_and_finds_no_difference_in_them() {
    let (_, server) = tenant();
    let verify = || Rehearsal::at_stand_in(&server).only_verify().rows("#1,A,Remove,\n#3,A,Add,\n").with("--json");
    let tolerant = verify().with("--skip-missing-machines").run().exits(0);
    assert_eq!(tolerant.summary()["unknown_machine"], 1);
    verify().run().exits(10);
}

#[test]
fn a_file_without_rows_is_refused_unless_that_is_allowed() {
    let sandbox = Sandbox::start("");
    for command in
        [Rehearsal::at(&sandbox).planned(), Rehearsal::at(&sandbox).only_plan(), Rehearsal::at(&sandbox).only_verify()]
    {
        let outcome = command.run().exits(3);
        outcome.says(&["error: input.csv has a header and no rows", "hint: ", "--allow-empty"]);
    }
    let outcome = Rehearsal::at(&sandbox).planned().with("--allow-empty --json").run().exits(0);
    assert_eq!((&outcome.summary()["rows"], &outcome.summary()["exit_status"]), (&0.into(), &0.into()));
    assert_eq!(outcome.results().rows.len(), 0);
    sandbox.end().are_all_nought();
}

#[test]
fn quiet_and_verbose_go_together_where_a_file_takes_the_log() {
    let folder = Folder::new();
    let rehearsal = || Rehearsal::new().in_folder(&folder).rows("#1,A,Add,");
    rehearsal().with("-q -v").run().exits(2).says(&["cannot be used with", "--log-file"]);
    let outcome = rehearsal().with("-q -v --log-file log.txt").run().exits(0);
    assert_eq!((outcome.messages(), outcome.output().as_str()), ("", ""));
    let log = String::from_utf8(folder.read("log.txt").expect("a log")).expect("UTF-8");
    assert!(log.contains("run is over"), "{log}");
}
