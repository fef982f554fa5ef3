//! What each action does to the machine, and what the results say of it.

use tagfleet::sandbox::Mishap;

use crate::machines::id;
use crate::process::at_once;
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::table::ADDED_COLUMNS;
use crate::tenant::{Tenant, machine};

#[test]
fn every_way_to_write_an_action_does_what_it_says() {
    let sandbox = Sandbox::start("");
    let folder = Folder::new();
    Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,Old,Add,\n#2,Old,Add,\n#3,Old,Add,").run().exits(0);
    // Machine, tag, action and value; what the machine has afterwards; the cell `after`.
    let table = [
        ("#1,Old,Remove,", &[][..], "Normal", "absent"),
        ("#2,Old,rEMOVE,", &[], "Normal", "absent"),
        ("#3,Old,Remove,Low", &[], "Low", "absent; Low"),
        ("#4,Tier 0,Add,", &["Tier 0"], "Normal", "present"),
        ("#5,Tier 0,ADD,", &["Tier 0"], "Normal", "present"),
        ("#6,Tier 0,Add,high", &["Tier 0"], "High", "present; High"),
        ("#7,,SetDeviceValue,High", &[], "High", "High"),
        ("#8,,setdevicevalue,HIGH", &[], "High", "High"),
        ("#9,,SetValue,low", &[], "Low", "Low"),
        ("#10,,Set,Low", &[], "Low", "Low"),
        ("#11,,,High", &[], "High", "High"),
        ("#12, Tier 0 ,  Add , Normal ", &["Tier 0"], "Normal", "present; Normal"),
    ];
    let rows: Vec<&str> = table.iter().map(|(row, ..)| *row).collect();
    let outcome = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows.join("\n")).run().exits(0);
    let results = outcome.results();
    for ((number, (row, tags, value, after)), result) in (1..).zip(table).zip(&results.rows) {
        let machine = sandbox.machine(number);
        assert_eq!(machine.tags, tags, "{row}");
        assert_eq!(machine.value, value, "{row}");
        assert_eq!((&result["status"], &result["after"]), ("succeeded", after), "{row}");
    }
}

#[test]
fn the_added_columns_say_what_became_of_a_row() {
    let outcome = Rehearsal::new().rows("#1,Tier 0,Add,\n#2,,SetDeviceValue,High").with("--json").run().exits(0);
    let results = outcome.results();
    assert_eq!(results.header[4..], ADDED_COLUMNS);
    let run = outcome.summary()["run_id"].as_str().expect("a name").to_owned();
    for (number, row) in (1..).zip(&results.rows) {
        assert_eq!(row["row"], number.to_string());
        assert_eq!(&row["status"], "succeeded");
        assert_eq!(&row["http_status"], "200");
        assert_eq!((&row["error_code"], &row["error_message"]), ("", ""));
        assert_eq!(&row["attempts"], "1");
        // The sandbox names its calls by a GUID.
        assert_eq!((row["request_id"].len(), row["request_id"].matches('-').count()), (36, 4));
        // Nobody has read the tenant, so what was there before is not known.
        assert_eq!(&row["before"], "");
        assert!(row["finished_at"].parse::<jiff::Timestamp>().is_ok(), "{}", &row["finished_at"]);
        assert_eq!(row["run_id"], run);
    }
    assert_ne!(results.rows[0]["request_id"], results.rows[1]["request_id"]);
}

#[test]
fn a_row_with_a_tag_and_a_value_is_two_operations_with_one_answer() {
    let outcome = Rehearsal::new().rows("#1,Tier 0,Add,High\n#2,Tier 0,Add,").with("--json").run().exits(0);
    let summary = outcome.summary();
    assert_eq!(
        (&summary["rows"], &summary["calls"]["tags"], &summary["calls"]["value"]),
        (&2.into(), &2.into(), &1.into())
    );
    let results = outcome.results();
    assert_eq!(results.column("attempts"), ["2", "1"]);
    assert_eq!(results.column("after"), ["present; High", "present"]);
    let machine = outcome.sandbox().machine(1);
    assert_eq!((machine.tags, machine.value), (vec!["Tier 0".to_owned()], "High".to_owned()));
}

#[test]
fn what_is_asked_for_twice_is_done_once_and_answers_both_rows() {
    let rows = "#1,Tier 0,Add,\n#2,Tier 0,Add,\n#1, Tier 0 ,add,\n#1,,,High\n#1,Tier 0,Add,high";
    let outcome = Rehearsal::new().rows(rows).run().exits(0);
    let results = outcome.results();
    assert_eq!(results.column("status"), ["succeeded"; 5]);
    assert_eq!(results.rows[0]["request_id"], results.rows[2]["request_id"]);
    assert_eq!(results.rows[0]["request_id"], results.rows[4]["request_id"]);
    assert_ne!(results.rows[0]["request_id"], results.rows[1]["request_id"]);
    let counters = outcome.counters();
    assert_eq!((counters.of("tags"), counters.of("value"), counters.calls()), (2, 1, 3));
}

#[test]
fn an_id_is_sent_in_lower_case_and_shown_as_it_was_written() {
    let written = id(0xbeef).to_uppercase();
    let outcome = Rehearsal::new().rows(&format!("{written},Tier 0,Add,\n#48879,Tier 0,Add,")).run().exits(0);
    assert_eq!(outcome.results().column("machineId"), [written, id(0xbeef)]);
    assert_eq!(outcome.sandbox().machine(0xbeef).tags, ["Tier 0"]);
    assert_eq!(outcome.counters().of("tags"), 1, "both rows name the same machine");
}

#[test]
fn a_tag_is_taken_off_only_when_the_one_that_takes_its_place_is_on() {
    let refused = Mishap::refusing(400, "InvalidInput", "no").saying("Refused");
    let server = Tenant::of((1..=3).map(|number| machine(number).tagged("Old"))).serve_with([refused]);
    let rows = "#1,Old,Remove,\n#1,New,Add,\n#2,Old,Remove,\n#2,Refused,Add,\n#3,Old,Remove,";
    let outcome = Rehearsal::at_stand_in(&server).rows(rows).run().exits(1);
    let results = outcome.results();
    assert_eq!(results.column("status"), ["succeeded", "succeeded", "not_attempted", "failed", "succeeded"]);
    assert_eq!(results.rows[2]["error_code"], *"waits_for_add");
    let sent: Vec<(bool, bool)> = server
        .requests()
        .iter()
        .filter(|request| request.path.contains(&id(1)))
        .map(|request| (request.body.contains("Add"), request.body.contains("Remove")))
        .collect();
    assert_eq!(sent, [(true, false), (false, true)], "first the add, then the remove");
    assert!(!server.requests().iter().any(|request| request.path.contains(&id(2)) && request.body.contains("Remove")));
}

#[test]
fn the_machine_column_goes_by_several_names_whatever_their_case() {
    let sandbox = Sandbox::start("");
    let headers = [
        (1, "machineId,tag,action,value"),
        (2, "Device ID,Tag,ACTION,Device Value"),
        (3, "device_id,TAG,Action,DEVICE-VALUE"),
        (4, "Id,tag,action,devicevalue"),
        (5, "MACHINE-ID,Tag,Action,VALUE"),
    ];
    at_once(headers, |(number, header)| {
        let file = format!("{header}\n{},Tier 0,Add,High\n", id(number));
        let outcome = Rehearsal::at(&sandbox).file(file).run().exits(0);
        assert_eq!(outcome.results().column("after"), ["present; High"], "{header}");
        assert_eq!(sandbox.machine(number).value, "High", "{header}");
    });
}

#[test]
fn a_file_may_have_tags_only_or_values_only() {
    let sandbox = Sandbox::start("");
    let tags = format!("machineId,tag,action\n{},Tier 0,Add\n", id(1));
    assert_eq!(Rehearsal::at(&sandbox).file(tags).run().exits(0).results().column("after"), ["present"]);
    let values = format!("value,machineId\nHigh,{}\n", id(1));
    assert_eq!(Rehearsal::at(&sandbox).file(values).run().exits(0).results().column("after"), ["High"]);
    let machine = sandbox.machine(1);
    assert_eq!((machine.tags, machine.value), (vec!["Tier 0".to_owned()], "High".to_owned()));
}
