//! Rows in error: all of them listed with row and line before any call, or left out when that is asked for.

use crate::machines::with_ids;
use crate::rehearsal::Rehearsal;
use crate::table::ADDED_COLUMNS;

/// Rows under `machineId,tag,action,value,note`: what stands there, what is said of it (nothing for a good row), and the
/// code in results. The first row takes two lines.
const ROWS: [(&str, &str, &str); 19] = [
    ("#1,Tier 0,Add,,\"two\nlines\"", "", ""),
    (",Tier 0,Add,,", "column \"machineId\": the machine is missing", "missing_machine"),
    (
        "\"#2\u{1}\",Tier 0,Add,,",
        "column \"machineId\": the machine holds the control character U+0001",
        "machine_control_character",
    ),
    ("LONG,Tier 0,Add,,", "column \"machineId\": the machine has 1001 characters", "machine_too_long"),
    ("#3,Tier 0,Ad,,", "column \"action\": unknown action \"Ad\"", "unknown_action"),
    ("#3,,,,", "column \"action\": the row has neither an action nor a value", "missing_action"),
    ("#3,Tier 0,,,", "column \"tag\": the tag \"Tier 0\" has no action", "tag_without_action"),
    ("#3,Tier 0,,High,", "column \"tag\": the tag \"Tier 0\" has no action", "tag_without_action"),
    (
        "#3,Tier 0,Set,High,",
        "column \"tag\": SetDeviceValue takes no tag, and the row has \"Tier 0\"",
        "tag_with_set_device_value",
    ),
    ("#3,,Remove,,", "column \"tag\": Remove needs a tag", "missing_tag"),
    ("#3,,Set,,", "column \"value\": the value is missing", "missing_value"),
    ("#3,LONG,Add,,", "column \"tag\": the tag has 1001 characters, and at most 200 are allowed", "tag_too_long"),
    ("#3,\"Tier\n0\",Add,,", "column \"tag\": the tag \"Tier\\u{a}0\" holds a line break", "odd_tag"),
    ("#3,Tier\t0,Add,,", "column \"tag\": the tag holds the control character U+0009", "tag_control_character"),
    ("#3,Tier 0,Add,Medium,", "column \"value\": unknown device value \"Medium\"", "unknown_value"),
    ("#3,Tier 0,Add,,,x", "the row has 6 cells, but the header has 5", "ragged_row"),
    ("# the old ones,,,,", "the row begins with #, and a CSV file has no comments", "comment_row"),
    (
        "server-1.contoso.example,Tier 0,Add,,",
        "\"server-1.contoso.example\" is no machine id of 40 hexadecimal digits; give the id",
        "not_a_machine_id",
    ),
    (
        "00000000000000000000000000000000000000a,Tier 0,Add,,",
        "is a damaged id: it has 39 hexadecimal digits",
        "damaged_id",
    ),
];

fn file() -> String {
    file_of(&ROWS)
}

fn file_of(rows: &[(&str, &str, &str)]) -> String {
    let rows: String = rows.iter().map(|(row, ..)| format!("{row}\n")).collect();
    with_ids(&format!("machineId,tag,action,value,note\n{rows}")).replace("LONG", &"x".repeat(1001))
}

/// The row and the line of every row.
fn places() -> impl Iterator<Item = String> {
    let mut line = 2;
    (1..).zip(ROWS).map(move |(row, (text, ..))| {
        let place = format!("row {row}, line {line}");
        line += 1 + text.matches('\n').count();
        place
    })
}

#[test]
fn every_row_in_error_is_listed_with_its_row_and_line_before_any_call() {
    let outcome = Rehearsal::new().file(file()).run().exits(3);
    assert!(!outcome.wrote_anything(), "{:?}", outcome.folder().names());
    for (place, (_, message, _)) in places().zip(ROWS) {
        let lines = outcome.messages().lines().filter(|line| line.starts_with(&format!("error: input.csv: {place}")));
        let lines: Vec<&str> = lines.collect();
        if message.is_empty() {
            assert!(lines.is_empty(), "{lines:?}");
        } else {
            assert!(lines.len() == 1 && lines[0].contains(message), "{place}: {message}: {}", outcome.messages());
        }
    }
    outcome
        .says(&[
            "error: input.csv has 18 rows of 19 in error, so nothing was sent",
            "hint: fix these rows, or add --skip-invalid",
        ])
        .counters()
        .are_all_nought();
}

#[test]
fn a_row_may_have_several_errors_and_all_are_listed() {
    let outcome = Rehearsal::new().rows(",,Ad,Medium").run().exits(3);
    let outcome =
        outcome.says(&["column \"machineId\"", "column \"action\"", "column \"value\"", "1 row of 1 in error"]);
    assert_eq!(outcome.messages().matches("row 1, line 2").count(), 3, "{}", outcome.messages());
}

#[test]
fn rows_in_error_are_left_out_when_that_is_asked_for() {
    let outcome = Rehearsal::new().file(file()).with("--skip-invalid --json").run().exits(1);
    let results = outcome.results();
    for (row, (text, message, code)) in results.rows.iter().zip(ROWS) {
        if message.is_empty() {
            assert_eq!(&row["status"], "succeeded", "{text}");
            continue;
        }
        assert_eq!((&row["status"], &row["error_code"]), ("invalid", code), "{text}");
        let what = message.rsplit_once("\": ").map_or(message, |(_, what)| what);
        assert!(row["error_message"].contains(what), "{text}: {}", &row["error_message"]);
        assert_eq!((&row["attempts"], &row["request_id"], &row["finished_at"]), ("0", "", ""), "{text}");
    }
    assert_eq!(results.rows.len(), ROWS.len());
    assert_eq!(results.header[5..], ADDED_COLUMNS);
    let summary = outcome.summary();
    assert_eq!((&summary["status"]["succeeded"], &summary["status"]["invalid"]), (&1.into(), &18.into()));
    let outcome = outcome.says(&["warning: input.csv: row 2, line 4, column \"machineId\": the machine is missing"]);
    assert_eq!(outcome.sandbox().machines().len(), 1);
}

#[test]
fn rows_in_error_go_back_as_they_were_written() {
    let outcome = Rehearsal::new().file(file()).with("--skip-invalid").run().exits(1);
    let failed = outcome.failed().expect("rows to feed back");
    // Quotation marks stand only where they are needed.
    let expected = file_of(&ROWS[1..]).replace('"', "").replace("Tier\n0", "\"Tier\n0\"");
    assert_eq!(failed, expected);
}

#[test]
fn a_file_of_which_every_row_is_in_error_still_gets_its_results() {
    let outcome = Rehearsal::new().rows("#1,,Add,\n#2,,Add,").with("--skip-invalid").run().exits(1);
    assert_eq!(outcome.statuses(), ["invalid", "invalid"]);
    assert_eq!(outcome.counters().calls(), 0);
}

#[test]
fn a_file_without_rows_is_refused_unless_it_may_be_empty() {
    Rehearsal::new().rows("").run().exits(3).says(&["has a header and no rows", "--allow-empty"]);
    let outcome = Rehearsal::new().rows("").with("--json --allow-empty").run().exits(0);
    assert_eq!(outcome.summary()["rows"], 0);
    assert_eq!((outcome.results().rows.len(), outcome.failed()), (0, None));
}
