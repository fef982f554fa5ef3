//! `tagfleet plan`, and what `apply` makes of what it has read: what is already set costs nothing.

use serde_json::{Value, json};
use tagfleet::sandbox::{CallKind, Mishap};

use crate::machines::{rows_adding, with_ids};
use crate::rehearsal::{Folder, Outcome, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::StandIn;
use crate::tenant::{Tenant, machine};

/// A tenant of some variety, and rows of every kind for it.
fn tenant() -> Tenant {
    Tenant::of([
        machine(1).in_group("Servers").running("WindowsServer2022").tagged("Old"),
        machine(2).in_group("Servers").running("Linux").tagged("Tier 1").valued("High"),
        machine(3),
        machine(4).tagged("Tier 1"),
        machine(5).named("web.contoso.example").seen("2026-02-03T04:05:06Z"),
        machine(6).named("web.fabrikam.example").seen("2026-02-03T07:08:09Z"),
        machine(7).unlisted(),
    ])
}

const ROWS: &str = "#1,Tier 1,Add,High\n#1,Old,Remove,\n#2,Tier 1,Add,High\n#3,Tier 1,Add,\npc3,Tier 1,Add,\n#4,Tier 1,Add,\n\
                    web,Tier 1,Add,\n#7,Tier 1,Add,\nnobody,Tier 1,Remove,\n#2,Absent,Remove,Low\n";

/// A plan for these rows.
fn plan(server: &StandIn, rows: &str, options: &str) -> Rehearsal {
    Rehearsal::at_stand_in(server).only_plan().rows(rows).with(options)
}

/// The text for people, without the moment at which all will be finished.
fn text(outcome: &Outcome) -> String {
    let text = outcome.output();
    let (before, end) = text.trim_end().rsplit_once('\n').expect("several lines");
    assert!(end.starts_with("Finished in about ") && end.ends_with(" s."), "{end}");
    before.to_owned()
}

#[test]
fn a_plan_says_what_changes_where_and_in_how_many_calls() {
    // Row 10 wants another value for machine 2 than row 3.
    let rows = ROWS.replace("#2,Absent,Remove,Low", "#4,Absent,Remove,Low");
    let server = tenant().serve();
    let outcome = plan(&server, &rows, "").run().exits(1);
    insta::assert_snapshot!(text(&outcome), @r#"
    Plan for input.csv, 10 rows, 12 operations, on 127.0.0.1:
    6 changes, 4 already set, 1 asked for more than once and done once, 2 rows that fail, since their machine's name leads to none
              3 × add tag "Tier 1" (2 already set)
                  machine groups: Servers 1, Workstations 1
                  platforms: Windows11 1, WindowsServer2022 1
              1 × remove tag "Old"
                  machine groups: Servers 1
                  platforms: WindowsServer2022 1
              1 × set device value Low
              1 × set device value High (1 already set)
    Tags drive device groups: a machine whose tags change may move to another group, and with it who may see it and what is done to it.
    1 name led to one machine.
      row 7, line 8: 2 machines are called "web": a000000000000000000000000000000000000006 (web.fabrikam.example, last seen 2026-02-03 07:08 UTC), a000000000000000000000000000000000000005 (web.contoso.example, last seen 2026-02-03 04:05 UTC); give the id of one of them
      row 9, line 10: no machine of the tenant's list is called "nobody"
    The tenant's list lacks 1 machine, to be tried last and apart, in 1 call.
    Calls: 6 (1 page of machines, 1 bulk call, 2 single tags, 2 device values).
    "#);
    assert_eq!(server.requests().len(), 1, "nothing but the list was read");
    assert!(!outcome.wrote_anything());
}

#[test]
fn the_object_for_scripts_holds_what_was_promised() {
    let rows = ROWS.replace("#2,Absent,Remove,Low", "#4,Absent,Remove,Low\n#9,,Add,\n");
    let server = tenant().serve();
    let outcome = plan(&server, &rows, "--json --skip-invalid").run().exits(1);
    let plan = outcome.summary();
    let expected = json!({
        "schema_version": 1,
        "rows": 11,
        "changes": 6,
        "unchanged": 4,
        "invalid": 1,
        "unlisted": 1,
        "names_resolved": 1,
        "names_unresolved": 2,
        "rows_unresolved": 2,
        "repeated": 1,
        "machines": 6,
        "calls": {"list": 1, "get": 0, "bulk": 1, "tags": 2, "value": 2},
        "unlisted_calls": {"expected": 1, "worst_case": 1},
        "exit_status": 1,
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&plan[name], value, "{name} in {plan}");
    }
    assert!(plan["eta_seconds"].as_f64().is_some_and(|seconds| (0.0..5.0).contains(&seconds)), "{plan}");
    let by_change: Vec<&Value> = plan["by_change"].as_array().expect("a list").iter().collect();
    assert_eq!(by_change.len(), 6, "{plan}");
    assert_eq!(by_change[0]["tag"], "Tier 1");
    assert_eq!(by_change[0]["machine_groups"], json!({"Servers": 1, "Workstations": 1}));
    assert_eq!(outcome.output().lines().count(), 1, "one object on one line");
}

#[test]
fn the_calls_that_a_plan_foretells_are_those_that_apply_makes() {
    let sandbox = Sandbox::holding(&(1..=1100).collect::<Vec<_>>());
    let values: String = (1..=7).map(|machine| format!("#{machine},,,High\n#{machine},,,High\n")).collect();
    let rows = rows_adding("A", 1100) + &rows_adding("B", 501) + &rows_adding("C", 1) + &values;
    let planned = Rehearsal::at(&sandbox).only_plan().rows(&rows).with("--json").run().exits(0).summary();
    let applied = Rehearsal::at(&sandbox).planned().rows(&rows).with("--json").run().exits(0).summary();
    assert_eq!(planned["calls"], applied["calls"]);
    assert_eq!(planned["calls"], json!({"list": 1, "get": 0, "bulk": 4, "tags": 2, "value": 7}));
    assert_eq!((&planned["changes"], &planned["repeated"]), (&1609.into(), &7.into()));
}

#[test]
fn a_plan_tells_by_its_status_whether_anything_is_to_be_changed() {
    let server = tenant().serve();
    let so_already = "#2,Tier 1,Add,High\n#3,Old,Remove,Normal\n";
    let table = [
        (so_already, "", 0),
        (so_already, "--detailed-exitcode", 0),
        ("#3,Tier 1,Add,\n", "", 0),
        ("#3,Tier 1,Add,\n", "--detailed-exitcode", 10),
        // What is wrong counts for more than what is different.
        ("#3,Tier 1,Add,\nnobody,Tier 1,Add,\n", "--detailed-exitcode", 1),
        ("#3,Tier 1,Add,\n#4,,Add,\n", "--detailed-exitcode --skip-invalid", 1),
        ("#3,Tier 1,Add,\n#4,,Add,\n", "--detailed-exitcode", 3),
    ];
    for (rows, options, status) in table {
        plan(&server, rows, options).run().exits(status);
    }
    let outcome = plan(&server, so_already, "").run().exits(0);
    assert!(outcome.output().ends_with("There is nothing to change.\n"), "{}", outcome.output());
    assert!(server.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn a_plan_that_changes_more_than_allowed_is_refused() {
    let tenant = tenant();
    let server = tenant.serve();
    let rows = "#1,A,Add,\n#2,A,Add,\n#3,A,Add,\n#2,,,High\n";
    let refused = "error: the plan has 3 changes, and --max-changes allows 2; nothing was changed";
    let outcome = plan(&server, rows, "--max-changes 2").run().exits(3).says(&[refused]);
    assert!(outcome.output().contains("3 changes, 1 already set"), "{}", outcome.output());
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(rows).with("--max-changes 2").run().exits(3);
    assert!(!outcome.says(&[refused]).wrote_anything());
    assert_eq!(tenant.holds(1).0, ["Old"]);
    Rehearsal::at_stand_in(&server).planned().rows(rows).with("--max-changes 3").run().exits(0);
    assert_eq!(tenant.holds(1).0, ["A", "Old"]);
}

#[test]
fn a_limit_counts_only_what_would_be_changed() {
    let tenant = tenant();
    let server = tenant.serve();
    let rows = "#2,Tier 1,Add,\n#4,Tier 1,Add,\n#3,Tier 1,Add,\n#2,,,High\n#1,Tier 1,Add,\n#1,Old,Remove,\n";
    let outcome = plan(&server, rows, "--limit 1 --json").run().exits(0);
    let planned = outcome.summary();
    assert_eq!(
        (&planned["changes"], &planned["unchanged"], &planned["beyond_limit"]),
        (&1.into(), &3.into(), &2.into())
    );
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(rows).with("--limit 1 --json").run().exits(0);
    let statuses = ["unchanged", "unchanged", "succeeded", "unchanged", "not_attempted", "not_attempted"];
    assert_eq!(outcome.statuses(), statuses);
    assert_eq!(outcome.summary()["calls"], json!({"list": 1, "get": 0, "bulk": 0, "tags": 1, "value": 0}));
    // What was left out is what is fed back, and goes on from there.
    let left = outcome.failed().expect("rows to feed back");
    let outcome = Rehearsal::at_stand_in(&server).planned().file(left).run().exits(0);
    assert_eq!(outcome.statuses(), ["succeeded", "succeeded"]);
    assert_eq!(tenant.holds(1).0, ["Tier 1"]);
}

#[test]
fn what_is_so_already_costs_no_call_and_says_what_there_was() {
    let tenant = tenant();
    let server = tenant.serve();
    let rows =
        "#1,Old,Remove,High\n#2,Tier 1,Add,High\n#3,Old,Remove,Low\n#4,Tier 1,Add,\n#4,tier 1,Add,\n#7,Tier 1,Add,\n";
    let options = "--accept case-variants --json";
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(rows).with(options).run().exits(0);
    let results = outcome.results();
    let cells = |name: &str| results.column(name);
    // Of a tag that stands there in another case nothing is known.
    let statuses = ["succeeded", "unchanged", "succeeded", "unchanged", "succeeded", "succeeded"];
    assert_eq!(cells("status"), statuses);
    assert_eq!(cells("before"), ["present; Normal", "present; High", "absent; Normal", "present", "", ""]);
    assert_eq!(cells("after"), ["absent; High", "present; High", "absent; Low", "present", "present", "present"]);
    assert_eq!(cells("attempts"), ["2", "0", "1", "0", "1", "1"]);
    assert_eq!(cells("http_status"), ["200", "", "200", "", "200", "200"]);
    assert_eq!(outcome.summary()["calls"], json!({"list": 1, "get": 0, "bulk": 0, "tags": 3, "value": 2}));
    assert_eq!(tenant.holds(3), (Vec::new(), "Low".to_owned()));
}

#[test]
fn our_own_writes_count_for_more_than_a_list_that_lags() {
    let tenant = tenant().with_lagging_list();
    let server = tenant.serve();
    let folder = Folder::new();
    let run = |rows: &str| {
        Rehearsal::at_stand_in(&server).in_folder(&folder).planned().rows(rows).with("--json").run().exits(0)
    };
    let rows = "#1,Old,Remove,High\n#2,A,Add,Low\n#3,A,Add,\n#4,A,Add,\n";
    assert_eq!(run(rows).statuses(), ["succeeded"; 4]);
    let again = run(rows);
    assert_eq!(again.statuses(), ["unchanged"; 4]);
    assert_eq!(again.summary()["calls"], json!({"list": 1, "get": 0, "bulk": 0, "tags": 0, "value": 0}));
    assert_eq!(again.results().column("before"), ["absent; High", "present; Low", "present", "present"]);
    // What the list shows, and no longer is so, is no reason to leave anything out.
    let back = "#1,Old,Add,Normal\n#2,A,Remove,High\n";
    assert_eq!(run(back).statuses(), ["succeeded"; 2]);
    assert_eq!(tenant.holds(1), (vec!["Old".to_owned()], "Normal".to_owned()));
    assert_eq!(tenant.holds(2), (vec!["Tier 1".to_owned()], "High".to_owned()));
}

#[test]
fn machines_that_the_list_lacks_can_be_left_out() {
    let server = tenant().serve();
    let rows = "#7,A,Add,High\n#3,A,Add,\n#8,A,Add,\n";
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(rows).with("--unlisted fail --json").run().exits(1);
    assert_eq!(outcome.statuses(), ["failed", "succeeded", "failed"]);
    let results = outcome.results();
    assert_eq!(results.column("error_code"), ["not_in_inventory", "", "not_in_inventory"]);
    assert_eq!(results.column("attempts"), ["0", "1", "0"]);
    assert_eq!(outcome.summary()["calls"], json!({"list": 1, "get": 0, "bulk": 0, "tags": 1, "value": 0}));
    let planned = plan(&server, rows, "--unlisted fail --json").run().exits(1).summary();
    assert_eq!(
        (&planned["not_in_inventory"], &planned["unlisted"], &planned["changes"]),
        (&3.into(), &2.into(), &0.into())
    );
}

#[test]
fn the_finish_time_comes_from_the_quota_and_from_what_is_used_of_it() {
    let tenant = Tenant::of((1..=12).map(machine));
    let server = tenant.serve();
    let values = |range: std::ops::RangeInclusive<u32>, value: &str| -> String {
        range.map(|machine| format!("#{machine},,,{value}\n")).collect()
    };
    let folder = Folder::new();
    let eta = |rows: &str, quota: &str| {
        let rehearsal = plan(&server, rows, "--json").in_folder(&folder).quota(quota);
        rehearsal.run().exits(0).summary()["eta_seconds"].as_f64().expect("seconds")
    };
    // The last of 12 at 5 an hour is let in when the second hour after the first has passed.
    let at_rest = eta(&values(1..=12, "High"), "5/1h");
    assert!((7200.0..7500.0).contains(&at_rest), "{at_rest}");
    let rehearsal = Rehearsal::at_stand_in(&server).in_folder(&folder).planned().rows(&values(1..=4, "High"));
    rehearsal.quota("5/1s").run().exits(0);
    // Four of five places are taken now.
    let after = eta(&values(5..=12, "High"), "5/1h");
    assert!((7100.0..7500.0).contains(&after), "{after}");
    let one_more = eta(&values(5..=5, "High"), "5/1h");
    assert!(one_more < 60.0, "{one_more}");
}

#[test]
fn a_plan_needs_no_permission_to_write_and_says_what_is_missing_to_read() {
    let server = tenant().serve_with([
        Mishap::refusing(403, "Forbidden", "the app lacks a permission").on(&[CallKind::List, CallKind::Get])
    ]);
    let outcome = plan(&server, "#1,A,Add,\n", "").run().exits(4);
    outcome.says(&["does not let this app read the list of machines (HTTP 403, Forbidden", "Machine.Read.All"]);
}

#[test]
fn a_plan_without_reading_takes_everything_for_a_change() {
    let server = tenant().serve();
    let outcome = plan(&server, "#2,Tier 1,Add,High\n#3,Tier 1,Add,\n", "--no-inventory --json").run().exits(0);
    let planned = outcome.summary();
    assert_eq!(
        (&planned["changes"], &planned["unchanged"], &planned["machines"]),
        (&3.into(), &0.into(), &Value::Null)
    );
    assert_eq!(planned["calls"], json!({"list": 0, "get": 0, "bulk": 1, "tags": 0, "value": 1}));
    assert!(server.requests().is_empty());
}

#[test]
fn a_plan_can_be_made_in_the_sandbox() {
    let folder = Folder::new();
    folder.write("input.csv", with_ids("machineId,tag,action\n#1,A,Add\nweb1,A,Add\n"));
    let ended = folder.run(&["plan", "input.csv", "--sandbox", "--json"]);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let planned: Value = serde_json::from_slice(&ended.output).expect("an object");
    assert_eq!((&planned["changes"], &planned["names_resolved"]), (&2.into(), &1.into()));
    assert_eq!(folder.names(), ["input.csv", "state"]);
}
