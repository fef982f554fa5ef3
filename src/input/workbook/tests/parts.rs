//! Where the parts of a workbook lie.

use super::*;

#[test]
fn hidden_rows_are_found_wherever_the_parts_lie() {
    let hidden = row(3, &["c"]).replacen("<row", "<row hidden=\"1\"", 1);
    let book = Book::of(&[row(1, &["a"]), row(2, &["b"]), hidden].concat());
    let rows_of = |packed: Vec<u8>| Workbook::open(Cursor::new(packed), None, None).map(|book| book.rows());
    let (main, sheet) = ("xl/workbook.xml", "worksheets/sheet1.xml");
    for (names, texts) in [
        (&[][..], &[][..]),
        (&[], &[(main, "/xl/workbook.xml"), (sheet, "/xl/worksheets/sheet1.xml")]),
        (
            &[("xl/", "book/"), ("workbook", "main"), ("worksheets/sheet1", "tabs/one")],
            &[(main, "book/main.xml"), (sheet, "tabs/one.xml")],
        ),
        (&[("xl/", "")], &[(main, "workbook.xml")]),
        (&[("xl/worksheets/sheet1.xml", "far/away.xml")], &[(sheet, "/far/away.xml")]),
        (&[("xl/workbook.xml", "XL/Workbook.XML"), ("_rels/workbook", "_RELS/workbook"), ("sheet1", "SHEET1")], &[]),
        (&[("/", "\\")], &[]),
    ] {
        let found = rows_of(book.moved(names, texts)).map_err(|error| error.to_string());
        assert_eq!(found.map(|rows| rows.hidden), Ok(vec![3]), "{names:?} {texts:?}");
    }
    // Another part that is called like the workbook's, and one of relations that nobody refers to.
    let decoys = [("a/workbook.xml".to_owned(), b"<workbook/>".to_vec())].into_iter();
    let found = rows_of(packed(decoys.chain(book.parts()))).map_err(|error| error.to_string());
    assert_eq!(found.map(|rows| rows.hidden), Ok(vec![3]));
}

#[test]
fn where_it_cannot_be_known_what_is_hidden_the_workbook_is_damaged() {
    let book = Book::of(&row(1, &["a"]));
    let rows = |packed: Vec<u8>, sheet: &str| look::look(Cursor::new(packed), sheet);
    assert!(matches!(rows(book.packed(&[]), "Devices"), Ok(rows) if rows == SheetRows::default()));
    for (what, packed, sheet) in [
        ("the sheet", book.packed(&[]), "Others"),
        ("the package's relations", book.moved(&[("_rels/.rels", "none")], &[]), "Devices"),
        ("the workbook's relation", book.moved(&[], &[("/officeDocument\"", "/other\"")]), "Devices"),
        ("the workbook", book.moved(&[("xl/workbook.xml", "none")], &[]), "Devices"),
        ("its relations", book.moved(&[("workbook.xml.rels", "none")], &[]), "Devices"),
        ("the sheet's relation", book.moved(&[], &[("r:id=\"rId1\"", "r:id=\"rId9\"")]), "Devices"),
        ("the target", book.moved(&[], &[("Target=\"worksheets", "To=\"worksheets")]), "Devices"),
        ("the part", book.moved(&[("sheet1", "sheet9")], &[]), "Devices"),
        ("a row's number", book.moved(&[], &[("<row r=\"1\"", "<row hidden=\"1\" r=\"x\"")]), "Devices"),
        ("a cell's name", book.moved(&[], &[("<c t", "<c r=\"1\" t")]), "Devices"),
        ("a merged area", book.moved(&[], &[("</sheetData>", "</sheetData><mergeCell ref=\"A:B\"/>")]), "Devices"),
        ("the sheet's text", book.moved(&[], &[("</worksheet>", "<")]), "Devices"),
    ] {
        assert!(matches!(rows(packed, sheet), Err(WorkbookError::Damaged(_))), "{what}");
    }
}
