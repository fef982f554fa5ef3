//! What single rows ask for, and every problem that they can have.

use super::super::Sheet;
use super::{problems, requests, sheet};
use crate::model::{MachineReference, Tag};

const HEADER: &str = "machineId,tag,action,value";

#[test]
fn rows_become_requests() {
    let table: &[(&str, &[&str])] = &[
        ("a,x,Add,", &["1/2 a: Add \"x\""]),
        ("a,x,remove,", &["1/2 a: Remove \"x\""]),
        ("a,x,ADD,High", &["1/2 a: Add \"x\"", "1/2 a: High"]),
        ("a,x,Remove,low", &["1/2 a: Remove \"x\"", "1/2 a: Low"]),
        ("a,,SetDeviceValue,normal", &["1/2 a: Normal"]),
        ("a,,setvalue,HIGH", &["1/2 a: High"]),
        ("a,,Set,Low", &["1/2 a: Low"]),
        ("a,,,Low", &["1/2 a: Low"]),
        (" a ,\u{a0}x\t, Add\u{2003},\u{a0}", &["1/2 a: Add \"x\""]),
        ("\" a \",\" x \",\"Add \",\" High\"", &["1/2 a: Add \"x\"", "1/2 a: High"]),
        ("a,Tier 0 / Größe,Add,", &["1/2 a: Add \"Tier 0 / Größe\""]),
        ("a,\"say \"\"x\"\" please\",Add,", &["1/2 a: Add \"say \"x\" please\""]),
        ("a,x,Add", &["1/2 a: Add \"x\""]),
        ("a,x,Add,,,", &["1/2 a: Add \"x\""]),
        ("a,x\"y\",Add,", &["1/2 a: Add \"x\"y\"\""]),
        (
            "1E5BC9D7E413DDD7902C2932E418702B84D0CC07,x,Add,",
            &["1/2 1e5bc9d7e413ddd7902c2932e418702b84d0cc07: Add \"x\""],
        ),
        ("a,Add,Add,", &["1/2 a: Add \"Add\""]),
        ("machineId,tag,Add,", &["1/2 machineId: Add \"tag\""]),
    ];
    for (row, expected) in table {
        let sheet = sheet(&format!("{HEADER}\n{row}\n"));
        assert_eq!(requests(&sheet), *expected, "{row:?}");
        assert_eq!(problems(&sheet), <[&str; 0]>::default(), "{row:?}");
        assert_eq!(sheet.row_count, 1, "{row:?}");
    }
}

#[test]
fn every_problem_of_a_row_is_found() {
    let long_tag = format!("a,{},Add,", "x".repeat(201));
    let long_machine = format!("{},x,Add,", "ü".repeat(1001));
    let everything = format!("\u{7},{},Ad,Hi", "x".repeat(201));
    let table: &[(&str, &[&str])] = &[
        ("a,x,Add,,y", &["1/2 - ragged_row"]),
        (",,,,y", &["1/2 - ragged_row"]),
        (",,Ad", &["1/2 machineId missing_machine", "1/2 action unknown_action"]),
        ("a,x", &["1/2 tag tag_without_action"]),
        ("a", &["1/2 action missing_action"]),
        ("1E5BC9D7E413DDD7902C2932E418702B84D0CC0,x,Add,", &["1/2 machineId damaged_id"]),
        (",x,Add,", &["1/2 machineId missing_machine"]),
        (" ,x,Add,", &["1/2 machineId missing_machine"]),
        (&long_machine, &["1/2 machineId machine_too_long"]),
        ("a\u{7}b,x,Add,", &["1/2 machineId machine_control_character"]),
        ("\"a\nb\",x,Add,", &["1/2 machineId several_machines"]),
        ("a,x,Ad,", &["1/2 action unknown_action"]),
        ("a,x,Add;,", &["1/2 action unknown_action"]),
        ("a,,Ad,", &["1/2 action unknown_action"]),
        ("a,,,", &["1/2 action missing_action"]),
        ("a,x,,", &["1/2 tag tag_without_action"]),
        ("a,x,,High", &["1/2 tag tag_without_action"]),
        ("a,x,Set,High", &["1/2 tag tag_with_set_device_value"]),
        ("a,x,SetDeviceValue,", &["1/2 tag tag_with_set_device_value", "1/2 value missing_value"]),
        ("a,,Add,", &["1/2 tag missing_tag"]),
        ("a,,Remove,High", &["1/2 tag missing_tag"]),
        ("a,,SetDeviceValue,", &["1/2 value missing_value"]),
        (&long_tag, &["1/2 tag tag_too_long"]),
        ("a,x\0y,Add,", &["1/2 tag tag_control_character"]),
        ("a,\"x\r\ny\",Add,", &["1/2 tag odd_tag"]),
        ("a,x,Add,Hi", &["1/2 value unknown_value"]),
        ("a,,,Hi", &["1/2 value unknown_value"]),
        (",,Add,Hi", &["1/2 machineId missing_machine", "1/2 tag missing_tag", "1/2 value unknown_value"]),
        (",,,Hi", &["1/2 machineId missing_machine", "1/2 value unknown_value"]),
        (
            &everything,
            &[
                "1/2 machineId machine_control_character",
                "1/2 action unknown_action",
                "1/2 tag tag_too_long",
                "1/2 value unknown_value",
            ],
        ),
    ];
    for (row, expected) in table {
        let sheet = sheet(&format!("{HEADER}\n{row}\nlast,x,Add,\n"));
        assert_eq!(problems(&sheet), *expected, "{row:?}");
        // A row with a problem asks for nothing, and the next one is read as ever.
        assert_eq!(sheet.row_count, 2, "{row:?}");
        assert_eq!(sheet.requests.all.len(), 1, "{row:?}");
        assert_eq!(sheet.requests.machines[..], [MachineReference::parse("last")], "{row:?}");
    }
}

#[test]
fn files_need_not_have_every_column() {
    let table: &[(&str, &str, &[&str], &[&str])] = &[
        ("Name,value", "a,High", &["1/2 a: High"], &[]),
        ("Name,value", "a,", &[], &["1/2 value missing_value"]),
        ("Name,tag,action", "a,x,Add", &["1/2 a: Add \"x\""], &[]),
        ("Name,tag,action", "a,,Set", &[], &["1/2 - missing_value"]),
        ("Name,tag,action", "a,,", &[], &["1/2 action missing_action"]),
        // Columns beyond those that are needed.
        ("Name,tag,value", "a,,High", &["1/2 a: High"], &[]),
        ("Name,tag,value", "a,x,High", &[], &["1/2 tag tag_without_action"]),
        ("Name,action,value", "a,Set,High", &["1/2 a: High"], &[]),
        ("Name,action,value", "a,Add,", &[], &["1/2 - missing_tag"]),
        ("note,value,Name", "n,Low,a", &["1/2 a: Low"], &[]),
    ];
    for (header, row, expected, expected_problems) in table {
        let sheet = sheet(&format!("{header}\n{row}\n"));
        assert_eq!(requests(&sheet), *expected, "{header} {row}");
        assert_eq!(problems(&sheet), *expected_problems, "{header} {row}");
    }
}

#[test]
fn problems_come_in_the_order_of_rows_and_lines() {
    let sheet = sheet("machineId,tag,action,value\r\na,,Add,\r\n\r\nb,x,Add,\r\n\"c\r\n\",x,Ad,\r\n,,,Low\r\n");
    assert_eq!(problems(&sheet), ["1/2 tag missing_tag", "3/5 action unknown_action", "4/7 machineId missing_machine"]);
    assert_eq!(requests(&sheet), ["2/4 b: Add \"x\""]);
}

#[test]
fn a_limit_is_allowed_itself() {
    let header = HEADER.replace("machineId", "Name");
    let sheet = sheet(&format!("{header}\n{},{},Add,\n", "ü".repeat(1000), "ü".repeat(200)));
    assert_eq!(problems(&sheet), <[&str; 0]>::default());
}

#[test]
fn machines_and_tags_are_held_once() {
    let id = "1E5BC9D7E413DDD7902C2932E418702B84D0CC07";
    let rows = [
        "Server01,x,Add,".to_owned(),
        format!("{id},x,Add,"),
        "SERVER01,z,Add,High".to_owned(),
        format!("{},y,Remove,", id.to_lowercase()),
        "server02,x,Add,".to_owned(),
    ];
    let sheet = sheet(&format!("{HEADER}\n{}\n", rows.join("\n")));
    let machines: Vec<String> = sheet.requests.machines.iter().map(ToString::to_string).collect();
    // Names and ids in the order in which they came, in the first spelling.
    assert_eq!(machines, ["Server01", &id.to_lowercase(), "server02"]);
    // Tags are compared exactly.
    assert_eq!(sheet.requests.tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["x", "z", "y"]);
    assert_eq!(sheet.requests.all.iter().map(|request| request.machine.0).collect::<Vec<_>>(), [0, 1, 0, 0, 1, 2]);
    // The same change has the same code.
    assert_eq!(sheet.requests.all[0].change, sheet.requests.all[1].change);
    assert_ne!(sheet.requests.all[0].change, sheet.requests.all[2].change);
}

#[test]
fn machines_are_found_again_across_many_batches() {
    // Half ids, half names; each in three rounds, far apart, and twice in succession.
    let machine = |number| if number % 2 == 0 { format!("{number:040x}") } else { format!("Host{number}") };
    let rows = |number, value| format!("{0},x,Add,\n{0},y,Remove,{value}\n", machine(number));
    let round = |value| (0..3_000).map(move |number| rows(number, value)).collect::<Vec<_>>().concat();
    let sheet = sheet(&format!("{HEADER}\n{}", ["", "High", "Low"].map(round).concat()));
    assert_eq!(sheet.requests.machines.len(), 3_000);
    for request in &sheet.requests.all {
        let number = (request.row.0 - 1) / 2 % 3_000;
        assert_eq!(request.machine.0, number, "row {}", request.row);
    }
}

#[test]
fn a_tag_that_the_portal_cannot_filter_by_is_warned_about_once() {
    let sheet = sheet(&format!("{HEADER}\na,x,Add,\nb,a (b),Add,\nc,a (b),Remove,\n,(bad),Add,\nd,\"a,\",Add,\n"));
    let warnings: Vec<String> = sheet.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "row 2, line 3: the tag \"a (b)\" holds a parenthesis or a comma, so the portal cannot filter by it",
            "row 5, line 6: the tag \"a,\" holds a parenthesis or a comma, so the portal cannot filter by it",
        ]
    );
    assert_eq!(sheet.further_warnings, 0);
}

#[test]
fn warnings_are_bounded() {
    let rows: Vec<String> = (0..250).map(|number| format!("a,x ({number}),Add,")).collect();
    let sheet = sheet(&format!("{HEADER}\n{}", rows.join("\n")));
    assert_eq!((sheet.warnings.len(), sheet.further_warnings), (100, 150));
}

#[test]
fn problems_are_small() {
    assert!(size_of::<super::super::Problem>() <= 64, "{}", size_of::<super::super::Problem>());
}

#[test]
fn messages_say_where_what_and_what_to_do() {
    let rows = [
        "a,x,Add,,y",
        "a,x,Add,\"High\n\",,y",
        ",x,Add,",
        "a\u{7},x,Add,",
        "a,x,\u{1b}[31mAdd,",
        "a,,,",
        "a,x,,",
        "a,x,Set,High",
        "a,,Remove,",
        "a,,Set,",
        "a,x\ty,Add,",
        "a,x,Add,very high",
    ];
    let sheet = sheet(&format!("{HEADER}\n{}\n", rows.join("\n")));
    insta::assert_snapshot!(shown(&sheet), @r#"
    row 1, line 2: the row has 5 cells, but the header has 4; put cells that hold the delimiter in quotation marks
    row 2, line 3: the row has 6 cells, but the header has 4; put cells that hold the delimiter in quotation marks (the row runs to line 4: is a quotation mark not closed?)
    row 3, line 5, column "machineId": the machine is missing; fill in its id or DNS name
    row 4, line 6, column "machineId": the machine holds the control character U+0007; remove it
    row 5, line 7, column "action": unknown action "\u{1b}[31mAdd"; use Add, Remove or SetDeviceValue
    row 6, line 8, column "action": the row has neither an action nor a value; write Add, Remove or SetDeviceValue, or remove the row
    row 7, line 9, column "tag": the tag "x" has no action; write Add or Remove, or empty the tag's cell
    row 8, line 10, column "tag": SetDeviceValue takes no tag, and the row has "x"; to change the tag write Add or Remove, otherwise empty its cell
    row 9, line 11, column "tag": Remove needs a tag, and there is none; fill in the tag
    row 10, line 12, column "value": the value is missing; write Low, Normal or High
    row 11, line 13, column "tag": the tag holds the control character U+0009; remove it
    row 12, line 14, column "value": unknown device value "very high"; use Low, Normal or High
    "#);
    let long = super::sheet(&format!("{HEADER}\n{},{},{},\n", "m".repeat(1001), "t".repeat(201), "a".repeat(100)));
    insta::assert_snapshot!(shown(&long), @r#"
    row 1, line 2, column "machineId": the machine has 1001 characters, and at most 1000 are allowed; give its id or DNS name
    row 1, line 2, column "action": unknown action "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…"; use Add, Remove or SetDeviceValue
    row 1, line 2, column "tag": the tag has 201 characters, and at most 200 are allowed; shorten it
    "#);
    let column = super::sheet("machineId,tag,action,\"va\nlue\u{2003}\"\na,x,Add,none\n");
    insta::assert_snapshot!(shown(&column), @r#"row 1, line 3, column "va\u{a}lue": unknown device value "none"; use Low, Normal or High"#);
}

fn shown(sheet: &Sheet) -> String {
    sheet.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_row_in_error_may_be_of_every_machine_that_it_names() {
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    for (row, expected) in [
        (format!("{a},New,Add,one,two"), vec![&a]),
        (format!("{a}, \"New\",Add,x"), vec![&a]),
        (format!("\"{a},New,Add,x\""), vec![&a]),
        (format!("#{a},New,Add,x,y"), vec![&a]),
        (format!("web1,New,Add,{b},y"), vec![&b]),
        (format!("{a} {b},New,Add,x"), vec![&a, &b]),
        (format!("{a},NULL,Add,x"), vec![&a]),
        (format!("{a} {b},New,Remove,x"), vec![]),
    ] {
        let sheet = sheet(&format!("machineId,tag,action,note\n{row}\n{b},Old,Remove,x\n"));
        assert_eq!(sheet.problems.len(), 1, "{row}");
        let ids: std::collections::BTreeSet<String> =
            sheet.requests.unmade_adds.iter().map(ToString::to_string).filter(|id| id.len() == 40).collect();
        assert_eq!(ids.iter().collect::<Vec<_>>(), expected, "{row}");
    }
}

#[test]
fn what_is_doubtful_about_a_row_hides_nothing_else_that_is_wrong_with_it() {
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    let text = format!("machineId,tag,action,note\n{a},#REF!,Adding,\"see\n{b},x,Add,y\"\n");
    assert_eq!(problems(&sheet(&text)), ["1/2 - line_breaks", "1/2 action unknown_action"]);
}
