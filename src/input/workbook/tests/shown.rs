//! Cells that show something other than they hold.

use super::*;
use crate::filter::Filter;
use crate::input::{Orders, read_selected};

/// A row of cells with these styles.
fn styled(number: u32, cells: &[(u32, &str)]) -> String {
    let cell = |(style, value): &(u32, &str)| match value.parse::<f64>() {
        Ok(_) => format!("<c s=\"{style}\"><v>{value}</v></c>"),
        Err(_) => format!("<c s=\"{style}\" t=\"str\"><v>{value}</v></c>"),
    };
    format!("<row r=\"{number}\">{}</row>", cells.iter().map(cell).collect::<String>())
}

#[test]
fn a_cell_that_shows_something_else_is_no_text() {
    let id = |number: u32| format!("a{number:039x}");
    let ids: Vec<String> = (0..12).map(id).collect();
    let order =
        |number: u32, tag: (u32, &str)| styled(number, &[(0, &ids[number as usize]), tag, (0, "Add"), (5, "9")]);
    let rows = [
        row(1, &["machineId", "tag", "action", "share"]),
        order(2, (0, "5")),
        order(3, (4, "7")),
        order(4, (7, "5")),
        order(5, (10, "46352")),
        order(6, (5, "5")),
        order(7, (6, "5000")),
        order(8, (8, "5")),
        order(9, (9, "5")),
        order(10, (1, "46352")),
        order(11, (11, "Ring")),
        styled(12, &[(8, "5"), (0, "Tier 1"), (0, "Add")]),
        // A number that is no id, as such.
        styled(13, &[(5, "5.5e39"), (8, "5"), (0, "Ad")]),
    ];
    let packed = Book::of(&rows.concat()).packed(&[]);
    let sheet = read(packed.as_slice(), &InputOptions::default()).expect("a sheet");
    let tags: Vec<&str> = sheet.requests.tags.iter().map(crate::model::Tag::as_str).collect();
    assert_eq!(tags, ["5", "007", "5.00", "2026-11-26"]);
    let lines: Vec<u32> = sheet.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [6, 7, 8, 9, 10, 11, 12, 13, 13, 13]);
    let said: Vec<String> = sheet.problems.iter().map(ToString::to_string).collect();
    let whole = "row 5, line 6, column \"tag\": the workbook shows something other than \"5\" here, since the cell has a format; \
                 give it the format Text, and write into it what is meant";
    assert_eq!(said[0], whole);
    assert!(said[6].contains("column \"machineId\": the workbook shows something other"), "{said:?}");
    assert!(said[7].contains("5.5E+39") && !said[7].contains("shows"), "{said:?}");
    assert_eq!(sheet.requests.all.len(), 4, "what is shown otherwise asks for nothing");
}

#[test]
fn a_filter_takes_numbers_and_dates_whatever_they_show_and_no_other_text_for_them() {
    let cells = |number: u32, share: (u32, &str), date: (u32, &str)| {
        styled(number, &[(0, &format!("a{number:039x}")), share, date])
    };
    let rows = [
        row(1, &["machineId", "share", "seen"]),
        cells(2, (5, "0.25"), (1, "46352")),
        cells(3, (6, "5000"), (2, "46352.5")),
        cells(4, (0, "7"), (0, "never")),
    ];
    let packed = Book::of(&rows.concat()).packed(&[]);
    let lines = |filter: &str| {
        let filter = Filter::parse(filter, jiff::Timestamp::UNIX_EPOCH).expect("a filter");
        let orders = Orders::new(&["T".to_owned()], &[], None, Accepted::default()).expect("orders");
        let options = InputOptions { orders: Some(orders), ..InputOptions::default() };
        let sheet = read_selected(packed.as_slice(), &options, Some(filter), None).expect("a sheet");
        let requests: Vec<u32> = sheet.requests.all.iter().map(|request| request.line).collect();
        let problems: Vec<(u32, Option<String>)> =
            sheet.problems.iter().map(|it| (it.line, it.column.as_deref().map(str::to_owned))).collect();
        (requests, problems)
    };
    assert_eq!(lines("share > 6"), (vec![3, 4], vec![]));
    assert_eq!(lines("share < 1 and seen < datetime(2026-11-27)"), (vec![2], vec![]));
    assert_eq!(lines("isnotempty(seen)"), (vec![2, 3, 4], vec![]));
    let wrong = |column: &str, lines: &[u32]| lines.iter().map(|line| (*line, Some(column.to_owned()))).collect();
    assert_eq!(lines("share == \"7\""), (vec![4], wrong("share", &[2, 3])));
    assert_eq!(lines("share > 6 and not(tolower(seen) startswith \"2026\")"), (vec![4], wrong("seen", &[2, 3])));
}

#[test]
fn a_list_is_not_taken_for_what_its_cells_do_not_show() {
    let rows = [
        row(1, &["Name", "Dep", "Score"]),
        styled(2, &[(0, "web01"), (0, "5"), (5, "0.5")]),
        styled(4, &[(0, "web02"), (8, "5"), (0, "")]),
    ];
    let options = ListOptions::OF_NAMES;
    let list = List::read(Book::of(&rows.concat()).packed(&[]).as_slice(), &options).expect("a list");
    let found = [0, 1, 2, 3].map(|column| list.shown_otherwise(column));
    let found = found.map(|found| found.map(|found| found.split(": ").next().unwrap_or_default().to_owned()));
    let place = |text: &str| Some(text.to_owned());
    assert_eq!(found, [None, place("line 4, column \"Dep\""), place("line 2, column \"Score\""), None]);
    let keys = [row(1, &["Name"]), styled(2, &[(8, "5")])].concat();
    let refused = List::read(Book::of(&keys).packed(&[]).as_slice(), &options).expect_err("a key that is not shown");
    assert!(refused.to_string().starts_with("row 1, line 2, column \"Name\": the workbook shows"), "{refused}");
}
