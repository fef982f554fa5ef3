//! `tagfleet verify`: which rows hold in the tenant as it is.

use serde_json::json;

use crate::machines::{id, with_ids};
use crate::rehearsal::{Folder, Outcome, Rehearsal};
use crate::stand_in::StandIn;
use crate::table::Table;
use crate::tenant::{Tenant, machine};

fn tenant() -> Tenant {
    Tenant::of([
        machine(1).tagged("A").tagged("B").valued("High"),
        machine(2).tagged("b").named("web.contoso.example"),
        machine(3).named("web.fabrikam.example"),
        machine(4).showing("deviceValue", ""),
        machine(5).unlisted(),
    ])
}

fn verify(server: &StandIn, rows: &str, options: &str, status: i32) -> Outcome {
    let outcome = Rehearsal::at_stand_in(server).only_verify().rows(rows).with(options).run().exits(status);
    assert!(server.requests().iter().all(|request| request.method == "GET"), "nothing is changed");
    outcome
}

/// The rows that `-o rows.csv` left.
fn rows_of(outcome: &Outcome) -> Table {
    Table::read(&outcome.folder().read("rows.csv").expect("the rows"), ',')
}

#[test]
fn every_row_holds_or_differs_and_says_what_is_there() {
    let table = [
        ("#1,A,Add,High", "holds", "present; High"),
        ("#1,B,Remove,", "differs", "present"),
        ("#1,C,Remove,", "holds", "absent"),
        ("#2,b,Add,Normal", "holds", "present; Normal"),
        ("#2,B,Add,", "differs", "present as b"),
        ("#3,,,low", "differs", "Normal"),
        // The list does not show a value.
        ("#4,,,Normal", "not_shown", ""),
        ("#5,A,Add,", "unknown_machine", ""),
        ("web,A,Add,", "unknown_machine", ""),
        ("#1,A,Add,", "holds", "present"),
    ];
    let rows: String = table.iter().map(|(row, ..)| format!("{row}\n")).collect();
    let outcome = verify(&tenant().serve(), &rows, "-o rows.csv --json --accept case-variants", 10);
    let found = rows_of(&outcome);
    assert_eq!(found.header, ["machineId", "tag", "action", "value", "row", "result", "found", "message"]);
    for (number, (row, (asked, result, there))) in (1..).zip(found.rows.iter().zip(&table)) {
        assert_eq!(
            (&row["row"], &row["result"], &row["found"]),
            (number.to_string().as_str(), *result, *there),
            "{asked}"
        );
        assert_eq!(row["message"].is_empty(), *result != "unknown_machine", "{asked}");
    }
    assert_eq!(&found.rows[7]["message"], "the tenant's list does not have this machine");
    assert!(found.rows[8]["message"].starts_with("2 machines are called \"web\""), "{}", &found.rows[8]["message"]);
    let expected = json!({
        "schema_version": 1,
        "rows": 10,
        "holds": 4,
        "differs": 3,
        "pending": 0,
        "not_shown": 1,
        "unknown_machine": 2,
        "invalid": 0,
        "calls": {"list": 1},
        "output": "rows.csv",
        "exit_status": 10,
    });
    let object = outcome.summary();
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&object[name], value, "{name} in {object}");
    }
}

#[test]
fn people_are_told_the_counts_and_the_first_rows_that_do_not_hold() {
    let server = tenant().serve();
    let rows = "#1,A,Add,\n#1,B,Remove,\n#2,A,Add,High\nnobody,A,Add,\n#4,,,Low\n".to_owned();
    let outcome = verify(&server, &rows, "", 10);
    insta::assert_snapshot!(outcome.output(), @r#"
    5 rows of input.csv:
                1 holds
                2 differ
                1 is not shown by the service
                1 names an unknown machine
      row 2: tag "B": present, should be absent
      row 3: tag "A": absent, should be present; device value: Normal, should be High
      row 4: no machine of the tenant's list is called "nobody"
      row 5: the service does not show it
    "#);
    let many: String = (0..12).map(|number| format!("#3,T{number},Add,\n")).collect();
    let outcome = verify(&server, &many, "", 10);
    let text = outcome.output();
    assert!(
        text.ends_with("  row 10: tag \"T9\": absent, should be present\n  and 2 more rows; -o FILE.csv lists all\n"),
        "{text}"
    );
    assert_eq!(outcome.folder().names(), ["input.csv", "state"]);
}

#[test]
fn where_every_row_holds_the_status_is_0() {
    let server = tenant().serve();
    let rows = "#1,A,Add,High\n#3,A,Remove,Normal\n";
    assert_eq!(verify(&server, rows, "", 0).output(), "2 rows of input.csv:\n            2 hold\n");
    assert_eq!(verify(&server, rows, "-q", 0).output(), "");
    let nothing = "input.csv has no rows, so there is nothing to compare.\n";
    assert_eq!(verify(&server, "", "--allow-empty", 0).output(), nothing);
}

#[test]
fn what_was_written_while_the_list_lags_is_pending() {
    let tenant = tenant().with_lagging_list();
    let server = tenant.serve();
    let folder = Folder::new();
    Rehearsal::at_stand_in(&server).in_folder(&folder).planned().rows("#2,A,Add,High\n#3,B,Add,\n").run().exits(0);
    let verify = |rows: &str, status| {
        let rehearsal = Rehearsal::at_stand_in(&server).in_folder(&folder).only_verify().rows(rows);
        rehearsal.with("-o rows.csv --accept case-variants").run().exits(status)
    };
    let outcome = verify("#2,A,Add,High\n#2,b,Add,\n#3,B,Add,\n", 0);
    assert_eq!(rows_of(&outcome).column("result"), ["pending", "holds", "pending"]);
    assert_eq!(rows_of(&outcome).column("found"), ["absent; Normal", "present", "absent"]);
    assert!(
        outcome.output().contains("2 pending (tagfleet wrote there within the last 15 minutes"),
        "{}",
        outcome.output()
    );
    // What we have written is waited for, be it what is asked for or not; and a row is as good as the worse of its two.
    let outcome = verify("#2,A,Add,Low\n#3,C,Add,\n#3,B,Remove,\n", 10);
    assert_eq!(rows_of(&outcome).column("result"), ["differs", "differs", "pending"]);
}

#[test]
fn rows_in_error_are_left_out_and_named() {
    let server = tenant().serve();
    let rows = "#1,A,Add,\n#1,,Add,\n#1,B,Remove,\n";
    let outcome = Rehearsal::at_stand_in(&server).only_verify().rows(rows).run().exits(3);
    assert_eq!(outcome.output(), "");
    // What is wrong counts for more than what is different.
    let outcome = verify(&server, rows, "--skip-invalid -o rows.csv --json", 1);
    let found = rows_of(&outcome);
    assert_eq!(found.column("result"), ["holds", "invalid", "differs"]);
    assert!(found.rows[1]["message"].contains("Add needs a tag"), "{}", &found.rows[1]["message"]);
    assert_eq!((&outcome.summary()["invalid"], &outcome.summary()["rows"]), (&1.into(), &3.into()));
}

#[test]
fn the_rows_keep_the_inputs_form_and_may_go_to_standard_output() {
    let server = tenant().serve();
    let file =
        format!("\u{feff}Remark;machineId;tag;action\r\n\"a; \"\"b\"\"\nc\";{};A;Add\r\n=x;{};A;Add\r\n", id(1), id(3));
    let verify =
        |options: &str| Rehearsal::at_stand_in(&server).only_verify().file(file.clone()).with(options).run().exits(10);
    let outcome = verify("-o -");
    let bytes = outcome.output_bytes();
    let table = Table::read(bytes.strip_prefix("\u{feff}".as_bytes()).expect("a byte order mark"), ';');
    assert_eq!(table.column("Remark"), ["a; \"b\"\nc", "=x"]);
    assert_eq!(table.column("result"), ["holds", "differs"]);
    assert!(outcome.messages().contains("1 differs"), "{}", outcome.messages());
    assert_eq!(verify("-o rows.csv").folder().read("rows.csv").as_deref(), Some(bytes));
    let both = Rehearsal::at_stand_in(&server).only_verify().rows("").with("-o - --json").run().exits(2);
    both.says(&["the rows and --json cannot both go to standard output"]);
}

#[test]
fn rows_that_cannot_be_written_are_found_before_the_first_call() {
    let server = tenant().serve();
    let refused = |output: &str, status| {
        let rehearsal = Rehearsal::at_stand_in(&server).only_verify().rows("#1,A,Add,\n");
        rehearsal.with("-o").with(output).run().exits(status)
    };
    refused("missing/rows.csv", 7);
    refused("input.csv", 2);
    assert!(server.requests().is_empty());
}

#[test]
fn the_sandbox_can_be_verified() {
    let folder = Folder::new();
    folder.write("input.csv", with_ids("machineId,tag,action,value\n#1,A,Add,\nweb1,,,Normal\n"));
    let ended = folder.run(&["verify", "input.csv", "--sandbox"]);
    assert_eq!(ended.status, Some(10), "{}", ended.messages);
    let text = String::from_utf8(ended.output).expect("UTF-8");
    assert!(text.contains("1 holds\n") && text.contains("1 differs\n"), "{text}");
}
