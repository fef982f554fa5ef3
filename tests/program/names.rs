//! Machines named by their computer DNS names, and what comes of names that lead nowhere or to several.

use serde_json::json;

use crate::machines::id;
use crate::process::at_once;
use crate::rehearsal::{Outcome, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::StandIn;
use crate::tenant::{Tenant, machine};

/// A tenant in which names are as they are in tenants: of two domains, borne twice after a reinstall, ids of another form.
fn tenant() -> Tenant {
    Tenant::of([
        machine(1).named("web1.contoso.example"),
        machine(2).named("db.contoso.example").seen("2026-01-02T03:04:05Z"),
        machine(3).named("DB.fabrikam.example").seen("2026-02-03T04:05:06Z"),
        machine(4).named("laptop").seen("2026-02-01T00:00:00Z"),
        machine(5).named("laptop").showing("lastSeen", ""),
        machine(6).with_id("legacy-6").named("old.contoso.example"),
    ])
}

fn run(server: &StandIn, rows: &str, status: i32) -> Outcome {
    Rehearsal::at_stand_in(server).planned().rows(rows).with("--json").run().exits(status)
}

#[test]
fn a_machine_is_named_by_its_full_or_its_short_name_whatever_the_case() {
    let tenant = tenant();
    let server = tenant.serve();
    let rows = "web1,A,Add,\nWEB1.Contoso.Example,B,Add,\nweb1.contoso.example.,C,Add,\ndb.fabrikam.example,A,Add,\n\
                legacy-6,A,Add,\nold,B,Add,\n";
    let outcome = run(&server, rows, 0);
    assert_eq!(outcome.statuses(), ["succeeded"; 6]);
    assert_eq!(tenant.holds(1).0, ["A", "B", "C"]);
    assert_eq!(tenant.holds(3).0, ["A"]);
    // Names are shown as they were written, and sent as ids.
    assert_eq!(outcome.results().column("machineId")[..2], ["web1", "WEB1.Contoso.Example"]);
    assert!(server.requests().iter().all(|request| !request.path.contains("web1") && !request.body.contains("web1")));
}

#[test]
fn a_name_that_leads_to_no_machine_fails_its_row_and_says_what_is_near() {
    let server = tenant().serve();
    let rows = "web1,A,Add,\nweb2,A,Add,\nweb1.fabrikam.example,A,Add,\nLEGACY-6,A,Add,\n";
    let outcome = run(&server, rows, 1);
    assert_eq!(outcome.statuses(), ["succeeded", "failed", "failed", "failed"]);
    let results = outcome.results();
    assert_eq!(results.column("error_code")[1..], ["machine_not_found"; 3]);
    assert_eq!(results.column("attempts")[1..], ["0"; 3]);
    let messages = results.column("error_message");
    assert_eq!(messages[1], "no machine of the tenant's list is called \"web2\"");
    let near = format!("similar: {} (web1.contoso.example, last seen 2026-03-01 08:00 UTC)", id(1));
    assert!(messages[2].ends_with(&near), "{}", messages[2]);
    assert_eq!(outcome.failed().map(|failed| failed.lines().count()), Some(4));
}

#[test]
fn a_name_that_several_machines_bear_fails_its_row_and_lists_them_the_latest_first() {
    let tenant = tenant();
    let server = tenant.serve();
    let outcome = run(&server, "db,A,Add,\ndb.contoso.example,A,Add,\nlaptop,A,Add,High\n", 1);
    assert_eq!(outcome.statuses(), ["failed", "succeeded", "failed"]);
    let results = outcome.results();
    assert_eq!(results.column("error_code"), ["machine_ambiguous", "", "machine_ambiguous"]);
    insta::assert_snapshot!(results.column("error_message").join("\n"), @r#"
    2 machines are called "db": a000000000000000000000000000000000000003 (DB.fabrikam.example, last seen 2026-02-03 04:05 UTC), a000000000000000000000000000000000000002 (db.contoso.example, last seen 2026-01-02 03:04 UTC); give the id of one of them

    2 machines are called "laptop": a000000000000000000000000000000000000004 (laptop, last seen 2026-02-01 00:00 UTC), a000000000000000000000000000000000000005 (laptop, never seen); give the id of one of them
    "#);
    assert_eq!((tenant.holds(2).0, tenant.holds(4).0), (vec!["A".to_owned()], Vec::new()));
}

#[test]
fn an_id_and_a_name_of_one_machine_are_one_operation() {
    let tenant = tenant();
    let server = tenant.serve();
    let rows = "#1,A,Add,\nweb1,A,Add,High\nweb1.contoso.example,A,Add,\nWEB1,,,High\n";
    let outcome = run(&server, rows, 0);
    assert_eq!(outcome.statuses(), ["succeeded"; 4]);
    // Each page repeats the last machine of the one before.
    assert_eq!(outcome.summary()["calls"], json!({"list": 1, "get": 0, "bulk": 0, "tags": 1, "value": 1}));
    let results = outcome.results();
    assert_eq!(results.rows[0]["request_id"], results.rows[2]["request_id"]);
    assert_eq!(tenant.holds(1), (vec!["A".to_owned()], "High".to_owned()));
}

#[test]
fn a_contradiction_that_only_names_hide_refuses_the_file() {
    let tenant = tenant();
    let server = tenant.serve();
    let rows = "#1,A,Add,\n#2,A,Add,\nweb1,A,Remove,\nold,,,High\nlegacy-6,,,Low\n";
    let words = [
        "error: input.csv: row 3, line 4: removes the tag \"A\", and row 1, line 2, adds it, on machine web1; keep one of them",
        "error: input.csv: row 5, line 6: sets the device value Low, and row 4, line 5, sets High, on machine legacy-6",
        "error: input.csv contradicts itself, so nothing was sent",
    ];
    let rehearsals = [
        Rehearsal::at_stand_in(&server).planned(),
        Rehearsal::at_stand_in(&server).only_plan(),
        Rehearsal::at_stand_in(&server).only_verify(),
    ];
    for rehearsal in rehearsals {
        let outcome = rehearsal.rows(rows).run().exits(3).says(&words);
        assert!(!outcome.wrote_anything());
    }
    assert!(server.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn names_need_the_inventory() {
    let tenant = tenant();
    let server = tenant.serve();
    let rows = "#1,A,Add,\nweb1,B,Add,\n";
    let rehearsal = || Rehearsal::at_stand_in(&server).rows(rows).planned();
    let words = [
        "error: input.csv: row 2, line 3, column \"machineId\": \"web1\" is no machine id of 40 hexadecimal digits; give \
         the id, or leave --no-inventory out, so that tagfleet can look it up",
    ];
    let outcome = rehearsal().with("--no-inventory").run().exits(3).says(&words);
    assert!(!outcome.wrote_anything() && server.requests().is_empty());
    let outcome = rehearsal().with("--no-inventory --skip-invalid").run().exits(1);
    assert_eq!(outcome.statuses(), ["succeeded", "invalid"]);
    assert_eq!(outcome.results().column("error_code"), ["", "not_a_machine_id"]);
    assert_eq!(tenant.holds(1).0, ["A"]);
}

#[test]
fn columns_of_names_are_read_where_there_is_no_column_of_ids() {
    let tenant = tenant();
    let server = tenant.serve();
    at_once(["Machine Name", "Device Name", "name", "machineId"], |header| {
        let file = format!("{header},Tag,Action\nweb1,{header},Add\n");
        Rehearsal::at_stand_in(&server).planned().file(file).run().exits(0);
    });
    // Beside ids, names are carried along.
    let file = format!("Device ID,Device Name,Tag,Action\n{},web1,By id,Add\n", id(2));
    Rehearsal::at_stand_in(&server).planned().file(file).run().exits(0);
    assert_eq!(tenant.holds(1).0, ["Device Name", "Machine Name", "machineId", "name"]);
    assert_eq!(tenant.holds(2).0, ["By id"]);
}

#[test]
fn names_are_found_on_every_page_of_the_list() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("machines.csv");
    let lines: String = (1..=900).map(|number| format!("{},pc{number}.contoso.example\n", id(number))).collect();
    std::fs::write(&file, lines).expect("our own directory");
    let options = format!("--quota off --maximum-page 300 --machines-file {}", file.display());
    let sandbox = Sandbox::start_exactly(&options);
    let rows: String = (1..=900).map(|number| format!("PC{number},A,Add,\n")).collect();
    let outcome = Rehearsal::at(&sandbox).planned().rows(&rows).with("--json").run().exits(0);
    assert_eq!(outcome.count("succeeded"), 900);
    assert_eq!(outcome.summary()["calls"], json!({"list": 4, "get": 0, "bulk": 2, "tags": 0, "value": 0}));
    let counters = sandbox.end();
    assert_eq!((counters.of("list"), counters.of("bulk")), (4, 2));
}
