//! What a sheet's part says beside its cells' texts.

use super::*;
use crate::filter::Filter;
use crate::input::{Orders, Sheet, Tenants, read_selected};

/// A row of texts, formulas (`=`, computed to nothing yet), and nothing.
fn cells(number: u32, cells: &[&str]) -> String {
    let cell = |(column, text): (char, &&str)| match text.strip_prefix('=') {
        _ if text.is_empty() => String::new(),
        Some(formula) => format!("<c r=\"{column}{number}\"><f>{formula}</f><v></v></c>"),
        None => format!("<c r=\"{column}{number}\" t=\"str\"><v>{text}</v></c>"),
    };
    format!("<row r=\"{number}\">{}</row>", ('A'..).zip(cells).map(cell).collect::<String>())
}

fn book(rows: &[String], around: (&'static str, &'static str)) -> Vec<u8> {
    Book { around, ..Book::of(&rows.concat()) }.packed(&[])
}

fn id(number: u32) -> String {
    format!("{number:040x}")
}

/// The lines of the requests, and of the problems with their columns and codes.
fn found(sheet: &Sheet) -> (Vec<u32>, Vec<String>) {
    let mut requests: Vec<u32> = sheet.requests.all.iter().map(|request| request.line).collect();
    requests.dedup();
    let problem = |it: &crate::input::Problem| {
        format!("{} {} {}", it.line, it.column.as_deref().unwrap_or_default(), it.kind.code())
    };
    (requests, sheet.problems.iter().map(problem).collect())
}

#[test]
fn a_row_with_a_cell_that_a_merged_area_covers_is_doubtful() {
    let rows = [
        cells(1, &["Wave 3"]),
        cells(2, &["machineId", "tag", "action", "value", "note", "note 2"]),
        cells(3, &[&id(1), "A", "Add", "High", "x"]),
        cells(4, &[&id(2), "A", "Add", "", "x"]),
        cells(5, &[&id(3), "A", "Add", "Low", "x"]),
        cells(6, &[&id(4), "A", "Add", "kept, but not shown"]),
    ];
    // A title, a value of two rows, notes of two columns and two rows, a cell, and a value with its row's other cells.
    let merged = "<mergeCells><mergeCell ref=\"A1:F1\"/><mergeCell ref=\"D4:D3\"/><mergeCell ref=\"E3:F4\"/>\
                  <mergeCell ref=\"B5\"/><mergeCell ref=\"C6:D6\"/></mergeCells>";
    let book = book(&rows, ("", merged));
    let sheet = read(book.as_slice(), &InputOptions::default()).expect("a sheet");
    assert_eq!(found(&sheet), (vec![3, 5], vec!["4 value merged_cell".to_owned(), "6 value merged_cell".to_owned()]));
    let accepted = [Doubt::MergedCells].into_iter().collect();
    let sheet = read(book.as_slice(), &InputOptions { accepted, ..InputOptions::default() }).expect("a sheet");
    assert_eq!(found(&sheet), (vec![3, 4, 5, 6], vec![]));
    assert_eq!(sheet.requests.all.len(), 6, "the cells that are not shown are empty");
    let notes: Vec<String> = sheet.notes.iter().map(ToString::to_string).collect();
    assert!(notes.iter().any(|note| note.contains("--accept merged-cells allows 2 rows")), "{notes:?}");
}

#[test]
fn a_formula_that_was_never_computed_is_no_empty_cell() {
    let rows = [
        cells(1, &["machineId", "tag", "action", "value", "note"]),
        cells(2, &[&id(1), "A", "Add", "", "=NOW()"]),
        cells(3, &[&id(2), "A", "Add", "=IF(1,2)"]),
        cells(4, &["=B1", "A", "Add"]),
        // A row of nothing else is one all the same.
        cells(5, &["=A1", "=B1", "=C1"]),
        format!("<row r=\"6\"><c t=\"str\"><v>{}</v></c><c><f t=\"shared\" si=\"0\"/></c></row>", id(6)),
        // Computed: to a text, to no text, and to a number.
        format!(
            "<row r=\"7\"><c t=\"str\"><f>A1</f><v>{}</v></c><c t=\"str\"><v>B</v></c><c t=\"str\"><v>Add</v></c>\
             <c t=\"str\"><f>IF(1,B1)</f><v></v></c><c><f>1+1</f><v>2</v></c></row>",
            id(7)
        ),
    ];
    let book = book(&rows, ("", ""));
    let sheet = read(book.as_slice(), &InputOptions::default()).expect("a sheet");
    let wrong = ["3 value", "4 machineId", "5 machineId", "6 tag"].map(|place| format!("{place} uncomputed"));
    assert_eq!(found(&sheet), (vec![2, 7], wrong.to_vec()));
    assert_eq!(
        sheet.problems[0].to_string(),
        "row 2, line 3, column \"value\": the cell holds a formula whose value was never computed; open the workbook in a \
         spreadsheet and save it"
    );
}

#[test]
fn the_columns_by_which_rows_are_selected_are_read() {
    let rows = [
        cells(1, &["machineId", "Group", "tenant", "note"]),
        cells(2, &[&id(1), "X", "own"]),
        cells(3, &[&id(2), "", "own"]),
        cells(4, &[&id(3), "=A1", "own"]),
        cells(5, &[&id(4), "Y", "=A1"]),
        cells(6, &[&id(5), "Y", "own", "=A1"]),
    ];
    let book = book(&rows, ("", "<mergeCell ref=\"B2:B3\"/>"));
    let select = |filter: &str, tenants: bool| {
        let filter = Filter::parse(filter, jiff::Timestamp::UNIX_EPOCH).expect("a filter");
        let orders = Orders::new(&["T".to_owned()], &[], None, Accepted::default()).expect("orders");
        let tenants = tenants.then(|| Tenants { own: vec!["own".to_owned()], others: vec![] });
        let options = InputOptions { orders: Some(orders), tenants, ..InputOptions::default() };
        found(&read_selected(book.as_slice(), &options, Some(filter), None).expect("a sheet"))
    };
    let (merged, formula) = ("3 Group merged_cell".to_owned(), "4 Group uncomputed".to_owned());
    let tenant = "5 tenant uncomputed".to_owned();
    assert_eq!(select("Group != \"X\"", false), (vec![5, 6], vec![merged.clone(), formula.clone()]));
    assert_eq!(select("isempty(Group)", true), (vec![], vec![merged, formula, tenant]));
    assert_eq!(select("machineId != \"\"", false), (vec![2, 3, 4, 5, 6], vec![]));
}

#[test]
fn cells_beyond_the_header_are_told_in_a_workbooks_words() {
    let rows = [cells(1, &["machineId", "tag", "action"]), cells(2, &[&id(1), "A", "Add", "", "x"])];
    let sheet = read(book(&rows, ("", "")).as_slice(), &InputOptions::default()).expect("a sheet");
    assert_eq!(
        sheet.problems[0].to_string(),
        "row 1, line 2: the row has 5 cells, but the header has 3; name the further columns in the header, or empty these cells"
    );
    assert_eq!(sheet.problems[0].kind.code(), "ragged_row");
}

#[test]
fn a_hidden_column_that_a_filter_reads_is_told() {
    let rows = [cells(1, &["machineId", " Group", "Site"]), cells(2, &[&id(1), "X", "B"])];
    let hidden = "<cols><col min=\"2\" max=\"3\" hidden=\"1\"/></cols>";
    let filter = Filter::parse("Group == \"X\"", jiff::Timestamp::UNIX_EPOCH).expect("a filter");
    let orders = Orders::new(&["T".to_owned()], &[], None, Accepted::default()).expect("orders");
    let options = InputOptions { orders: Some(orders), ..InputOptions::default() };
    let sheet = read_selected(book(&rows, (hidden, "")).as_slice(), &options, Some(filter), None).expect("a sheet");
    let notes: Vec<String> = sheet.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes, ["the column \"Group\" is hidden in the sheet; it is read"]);
}

#[test]
fn the_error_of_a_formula_selects_no_row_and_leaves_none_out() {
    let rows =
        [cells(1, &["machineId", "Group", "note"]), cells(2, &[&id(1), "X", "#N/A"]), cells(3, &[&id(2), "#N/A", ""])];
    let filter = Filter::parse("Group != \"Y\"", jiff::Timestamp::UNIX_EPOCH).expect("a filter");
    let orders = Orders::new(&["T".to_owned()], &[], None, Accepted::default()).expect("orders");
    let options = InputOptions { orders: Some(orders), ..InputOptions::default() };
    let sheet = read_selected(book(&rows, ("", "")).as_slice(), &options, Some(filter), None).expect("a sheet");
    assert_eq!(found(&sheet), (vec![2], vec!["3 Group error_cell".to_owned()]));
}

#[test]
fn of_a_list_every_column_is_read() {
    let rows = [
        cells(1, &["Name", "Dep", "Floor"]),
        cells(2, &["web01", "IT"]),
        cells(3, &["web02"]),
        cells(4, &["web03", "HR", "=A1"]),
    ];
    let merged = book(&rows[..3], ("", "<mergeCell ref=\"B2:B3\"/>"));
    let formula = book(&rows, ("", ""));
    let mut options = ListOptions::OF_NAMES;
    let refused =
        |book: &[u8], options: &ListOptions<'_>| List::read(book, options).map(|_| ()).map_err(|it| it.to_string());
    let doubtful = refused(&merged, &options).expect_err("a merged cell");
    assert!(doubtful.starts_with("row 2, line 3, column \"Dep\": a merged area covers this cell"), "{doubtful}");
    let wrong = refused(&formula, &options).expect_err("a formula");
    assert!(wrong.starts_with("row 3, line 4, column \"Floor\": the cell holds a formula"), "{wrong}");
    options.accepted = [Doubt::MergedCells].into_iter().collect();
    let list = List::read(merged.as_slice(), &options).expect("a list");
    let cells: Vec<&str> = list.rows().map(|row| row.cell(1)).collect();
    assert_eq!(cells, ["IT", ""]);
    assert!(list.notes().iter().any(|note| note.to_string().contains("--accept merged-cells allows 1 row")));
}

#[test]
fn rows_without_height_are_hidden_and_rows_that_are_written_are_not() {
    let order = |number: u32, attributes: &str| {
        cells(number, &[&id(number), "A", "Add"]).replacen("<row", &format!("<row {attributes}"), 1)
    };
    let rows = [
        cells(1, &["machineId", "tag", "action"]),
        order(2, "ht=\"0\" customHeight=\"1\""),
        order(3, "ht=\"15\""),
        order(4, "ht=\"0.0\""),
        order(5, ""),
    ];
    // Only rows that the part does not write are hidden by this.
    let book = book(&rows, ("<sheetFormatPr defaultRowHeight=\"15\" zeroHeight=\"1\"/>", ""));
    let sheet = read(book.as_slice(), &InputOptions::default()).expect("a sheet");
    assert_eq!(found(&sheet), (vec![3, 5], vec!["2  hidden_row".to_owned(), "4  hidden_row".to_owned()]));
}

#[test]
fn hidden_columns_that_are_read_are_said_once() {
    let rows = [
        cells(1, &["machineId", "Device Name", "tag", "action"]),
        cells(2, &[&id(1), "web01", "A", "Add"]),
        cells(3, &[&id(2), "web02", "A", "Add"]),
    ];
    let notes = |columns: &'static str| {
        let sheet = read(book(&rows, (columns, "")).as_slice(), &InputOptions::default()).expect("a sheet");
        sheet.notes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (columns, expected) in [
        (
            "<cols><col min=\"1\" max=\"1\" hidden=\"1\"/></cols>",
            vec!["the column \"machineId\" is hidden in the sheet; it is read"],
        ),
        (
            "<cols><col min=\"1\" max=\"3\" width=\"0\" customWidth=\"1\"/></cols>",
            vec!["the columns \"machineId\" and \"tag\" are hidden in the sheet; they are read"],
        ),
        ("<cols><col min=\"2\" max=\"2\" hidden=\"true\"/><col min=\"3\" max=\"4\" width=\"9\"/></cols>", vec![]),
    ] {
        assert_eq!(notes(columns), expected, "{columns}");
    }
}
