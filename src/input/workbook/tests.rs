//! Workbooks of our own making, packed by hand so that they can be as wrong as they like.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::input::{Accepted, Doubt, InputOptions, List, ListOptions, read};

mod beside;
mod parts;
mod shown;

const NAMESPACE: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";

/// A workbook to be packed.
struct Book {
    /// Name, state and rows of every sheet.
    sheets: Vec<(&'static str, &'static str, String)>,
    shared: String,
    properties: &'static str,
    /// What each sheet's part says before the rows, and behind them.
    around: (&'static str, &'static str),
}

impl Book {
    /// A workbook with one sheet of these rows.
    fn of(rows: &str) -> Self {
        Self {
            sheets: vec![("Devices", "visible", rows.to_owned())],
            shared: String::new(),
            properties: "",
            around: ("", ""),
        }
    }

    fn sheet(mut self, name: &'static str, state: &'static str, rows: &str) -> Self {
        self.sheets.push((name, state, rows.to_owned()));
        self
    }

    fn shared(mut self, items: &str) -> Self {
        self.shared = format!("<sst xmlns=\"{NAMESPACE}\">{items}</sst>");
        self
    }

    /// Packs it, with further parts.
    fn packed(&self, further: &[(&str, &[u8])]) -> Vec<u8> {
        let further = further.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
        packed(self.parts().into_iter().chain(further))
    }

    /// Packs it with its parts in other places: what is replaced in their names, and in what they say of each other.
    fn moved(&self, names: &[(&str, &str)], texts: &[(&str, &str)]) -> Vec<u8> {
        let replaced = |text: &str, pieces: &[(&str, &str)]| {
            pieces.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        };
        let moved = self.parts().into_iter().map(|(name, bytes)| {
            let text = String::from_utf8(bytes).expect("text");
            (replaced(&name, names), replaced(&text, texts).into_bytes())
        });
        packed(moved)
    }

    fn parts(&self) -> Vec<(String, Vec<u8>)> {
        let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let relation = |number: usize, kind: &str, target: &str| {
            format!("<Relationship Id=\"rId{number}\" Type=\"{relations}/{kind}\" Target=\"{target}\"/>")
        };
        let wrapped = |inner: &str| {
            format!(
                "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{inner}</Relationships>"
            )
        };
        let (mut sheets, mut targets) = (String::new(), String::new());
        let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
        for (number, (name, state, rows)) in (1..).zip(&self.sheets) {
            let _infallible =
                write!(sheets, "<sheet name=\"{name}\" sheetId=\"{number}\" state=\"{state}\" r:id=\"rId{number}\"/>");
            targets += &relation(number, "worksheet", &format!("worksheets/sheet{number}.xml"));
            let (before, behind) = self.around;
            let sheet =
                format!("<worksheet xmlns=\"{NAMESPACE}\">{before}<sheetData>{rows}</sheetData>{behind}</worksheet>");
            parts.push((format!("xl/worksheets/sheet{number}.xml"), sheet.into_bytes()));
        }
        let workbook = format!(
            "<workbook xmlns=\"{NAMESPACE}\" xmlns:r=\"{relations}\">{}<sheets>{sheets}</sheets></workbook>",
            self.properties
        );
        // Style 1 is a date, 2 a date and time, 3 a duration, 4 a number of three digits, 5 a share, 6 in thousands, 7 with
        // two decimals, 8 with a word, 9 of a language, 10 a date in ISO form, 11 a text with a word.
        let custom = ["000", "&quot;Tier &quot;0", "yyyy\\-mm\\-dd;@", "&quot;Tier &quot;@"];
        let custom = (164..).zip(custom).map(|(id, code)| format!("<numFmt numFmtId=\"{id}\" formatCode=\"{code}\"/>"));
        let styles = [0, 14, 22, 46, 164, 9, 3, 2, 165, 5, 166, 167].map(|id| format!("<xf numFmtId=\"{id}\"/>"));
        let styles = format!(
            "<styleSheet xmlns=\"{NAMESPACE}\"><numFmts>{}</numFmts><cellXfs>{}</cellXfs></styleSheet>",
            custom.collect::<String>(),
            styles.concat()
        );
        parts.push(("_rels/.rels".into(), wrapped(&relation(1, "officeDocument", "xl/workbook.xml")).into_bytes()));
        parts.push(("xl/workbook.xml".into(), workbook.into_bytes()));
        parts.push(("xl/_rels/workbook.xml.rels".into(), wrapped(&targets).into_bytes()));
        parts.push(("xl/styles.xml".into(), styles.into_bytes()));
        if !self.shared.is_empty() {
            parts.push(("xl/sharedStrings.xml".into(), self.shared.clone().into_bytes()));
        }
        parts
    }

    fn open(&self) -> Result<Workbook, WorkbookError> {
        Workbook::open(Cursor::new(self.packed(&[])), None, None)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        self.open().expect("a workbook").read_to_string(&mut text).expect("text");
        text
    }
}

fn packed(parts: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        zip.start_file(name, SimpleFileOptions::default()).expect("a part");
        zip.write_all(&bytes).expect("bytes");
    }
    zip.finish().expect("a packed file").into_inner()
}

/// A row of inline texts.
fn row(number: u32, cells: &[&str]) -> String {
    let cells: Vec<String> =
        cells.iter().map(|cell| format!("<c t=\"inlineStr\"><is><t>{cell}</t></is></c>")).collect();
    let cells = cells.concat();
    format!("<row r=\"{number}\">{cells}</row>")
}

fn refusal(bytes: Vec<u8>) -> String {
    Workbook::open(Cursor::new(bytes), None, None).err().expect("no workbook").to_string()
}

#[test]
fn errors_of_newer_spreadsheets_are_read_where_they_stand() {
    let error = |place: &str, text: &str| format!("<c r=\"{place}\" t=\"e\"><f>A9</f><v>{text}</v></c>");
    let [known, spill, data, last] = [("A1", "#N/A"), ("D1", "#SPILL!"), ("E1", "#GETTING_DATA"), ("B3", "#CALC!")]
        .map(|(at, text)| error(at, text));
    let first = format!("<row r=\"1\">{known}<c r=\"B1\" t=\"e\"/>{spill}{data}<c r=\"F1\"><v>5</v></c></row>");
    let book = Book::of(&format!("{first}<row r=\"3\">{last}<c r=\"C3\"><v>6</v></c></row>"));
    assert_eq!(book.text(), "#N/A,,,#SPILL!,#GETTING_DATA,5\n\n,#CALC!,6\n");
    // Behind one that does not say where it stands, every cell would be taken for the one before it.
    let rows = "<row r=\"1\"><c r=\"A1\"><v>4</v></c><c t=\"e\"><v>#SPILL!</v></c><c><v>5</v></c></row>";
    let nowhere = Book { around: ("", "<mergeCell ref=\"A1:B1\"/>"), ..Book::of(rows) };
    assert_eq!(refusal(nowhere.packed(&[])), WorkbookError::Damaged(None).to_string());
}

#[test]
fn a_cell_is_what_a_person_sees() {
    let table = [
        ("<c><v>5</v></c>", "5"),
        ("<c><v>5.25</v></c>", "5.25"),
        ("<c><v>-0</v></c>", "0"),
        ("<c><v>0.000001</v></c>", "0.000001"),
        ("<c><v>123456789012345</v></c>", "123456789012345"),
        // What was an id must not look like one.
        ("<c><v>5500000000000000000000000000000000000000</v></c>", "5.5E+39"),
        ("<c t=\"b\"><v>1</v></c>", "TRUE"),
        ("<c t=\"e\"><v>#REF!</v></c>", "#REF!"),
        ("<c t=\"e\"><v>#N/A</v></c>", "#N/A"),
        ("<c t=\"str\"><f>A1&amp;B1</f><v>a,\"b\"</v></c>", "\"a,\"\"b\"\"\""),
        ("<c t=\"s\"><v>0</v></c>", "Größe"),
        ("<c t=\"s\"><v>1</v></c>", "Tier 0"),
        ("<c s=\"1\"><v>46352</v></c>", "2026-11-26"),
        ("<c s=\"2\"><v>46352.5</v></c>", "2026-11-26T12:00:00"),
        ("<c s=\"2\"><v>46352.500005787</v></c>", "2026-11-26T12:00:00.500"),
        ("<c s=\"3\"><v>1.5</v></c>", "36:00:00"),
        ("<c s=\"1\"><v>-1</v></c>", "-1"),
        ("<c s=\"4\"><v>7</v></c>", "007"),
        ("<c s=\"4\"><v>1234</v></c>", "1234"),
        ("<c s=\"4\"><v>7.5</v></c>", "7.5"),
        ("<c s=\"5\"><v>0.5</v></c>", "0.5"),
        ("<c s=\"6\"><v>5</v></c>", "5"),
        ("<c s=\"6\"><v>5000</v></c>", "5000"),
        ("<c s=\"7\"><v>5</v></c>", "5.00"),
        ("<c s=\"10\"><v>46352</v></c>", "2026-11-26"),
        ("<c t=\"d\"><v>2026-11-26T08:00:00</v></c>", "2026-11-26T08:00:00"),
    ];
    for (cell, expected) in table {
        let book = Book::of(&format!("<row r=\"1\">{cell}</row>"));
        let book =
            book.shared("<si><t>Größe</t></si><si><r><t xml:space=\"preserve\">Tier </t></r><r><t>0</t></r></si>");
        assert_eq!(book.text(), format!("{expected}\n"), "{cell}");
    }
    let mut book = Book::of("<row r=\"1\"><c s=\"1\"><v>44890</v></c></row>");
    book.properties = "<workbookPr date1904=\"1\"/>";
    assert_eq!(book.text(), "2026-11-26\n", "days from 1904");
}

#[test]
fn rows_and_columns_stay_where_they_are() {
    let cell = |place: &str, text: &str| format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>");
    let book = Book::of(&format!(
        "<row r=\"2\">{}{}</row><row r=\"5\">{}{}{}</row>",
        cell("B2", "b"),
        cell("D2", "d"),
        cell("A5", "a"),
        "<c r=\"B5\" s=\"1\"/>",
        cell("C5", "c")
    ));
    assert_eq!(book.text(), "\n,b,,d\n\n\na,,c\n");
}

#[test]
fn a_list_in_a_workbook_has_its_rows_and_hidden_ones_are_doubtful() {
    let hidden = row(4, &["web02", "HR"]).replacen("<row", "<row hidden=\"1\"", 1);
    let rows = [row(1, &["Name", "Dep", "Note"]), row(2, &["web01", "\u{e4}\nb"]), hidden, row(5, &["CORP\\web03"])];
    let packed = Book::of(&rows.concat()).packed(&[]);
    let encoding = crate::input::encoding("windows-1252");
    let mut options = ListOptions { sheet: Some("devices"), encoding, ..ListOptions::OF_NAMES };
    let error = List::read(packed.as_slice(), &options).expect_err("a hidden row").to_string();
    assert!(error.starts_with("row 2, line 4: the workbook does not show this row"), "{error}");
    options.accepted = [Doubt::HiddenRows].into_iter().collect();
    let list = List::read(packed.as_slice(), &options).expect("a list");
    let rows: Vec<_> = list.rows().map(|row| (row.line, row.machine.to_string(), row.cell(1))).collect();
    let row = |line, name: &str, cell| (line, name.to_owned(), cell);
    // A workbook says itself how it is encoded.
    assert_eq!(rows, [row(2, "web01", "\u{e4}\nb"), row(4, "web02", "HR"), row(5, "web03", "")]);
}

#[test]
fn lines_are_the_rows_of_the_sheet_whatever_its_cells_hold() {
    let id = |number: u32| format!("{number:040x}");
    let rows = [
        row(1, &["All\ndevices"]),
        row(3, &["machineId", "tag", "action", "a\nnote"]),
        row(4, &[&id(1), "Tier 1", "Add", "one\ntwo\nthree"]),
        row(6, &[&id(2), "Tier 1", "Ad"]),
        row(7, &[&id(3), "a\nb", "Remove", "x\ny", "too many"]),
        row(8, &[&id(4), "Tier, 1", "Remove"]),
        row(9, &["machineId", "tag", "action", "a\nnote"]),
        row(10, &[&id(5), "Tier 1", "Add", &format!("like\n{}", id(6))]),
    ];
    let sheet = read(Cursor::new(Book::of(&rows.concat()).packed(&[])), &InputOptions::default()).expect("a sheet");
    let requests: Vec<u32> = sheet.requests.all.iter().map(|request| request.line).collect();
    let problems: Vec<String> = sheet.problems.iter().map(ToString::to_string).collect();
    let notes: Vec<String> = sheet.notes.iter().map(ToString::to_string).collect();
    let warnings: Vec<u32> = sheet.warnings.iter().map(|warning| warning.line).collect();
    assert_eq!((requests, warnings), (vec![4, 8], vec![8]));
    assert!(problems[0].starts_with("row 2, line 6, column \"action\""), "{problems:?}");
    assert!(problems[1].starts_with("row 3, line 7: ") && !problems[1].contains("runs to line"), "{problems:?}");
    assert!(problems[2].starts_with("row 5, line 10: the quoted cell from line 10 to line 10"), "{problems:?}");
    assert!(notes.iter().any(|note| note.contains("line 3")), "the header's line: {notes:?}");
    assert!(notes.iter().any(|note| note.contains("line 9")), "the header again: {notes:?}");
}

#[test]
fn what_follows_sees_the_records_of_a_csv_file() {
    let id = "0123456789abcdef0123456789abcdef01234567";
    let rows = [
        row(1, &["All devices"]),
        row(3, &["Device ID", "tag", "action", "note"]),
        row(4, &[id, "Tier 1", "Add", "a, \"b\""]),
        "<row r=\"5\"><c><v>5.5e39</v></c><c t=\"str\"><v>Tier 1</v></c><c t=\"str\"><v>Add</v></c></row>".to_owned(),
        format!(
            "<row r=\"6\"><c t=\"str\"><v>{id}</v></c><c t=\"e\"><v>#REF!</v></c><c t=\"str\"><v>Add</v></c></row>"
        ),
    ];
    let workbook = Book::of(&rows.concat()).open().expect("a workbook");
    let sheet = read(workbook, &InputOptions::default()).expect("a sheet");
    let findings: Vec<String> = sheet.findings().iter().map(ToString::to_string).collect();
    assert_eq!((sheet.row_count, sheet.requests.all.len(), sheet.requests.all[0].line), (3, 1, 4));
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].contains("line 5") && findings[0].contains("5.5E+39"), "{findings:?}");
    assert!(findings[1].contains("line 6") && findings[1].contains("is a spreadsheet's error"), "{findings:?}");
}

#[test]
fn what_the_workbook_does_not_show_is_doubtful() {
    let ids: Vec<String> = (0..5).map(|number| format!("{number:040x}")).collect();
    let order = |number: u32, id: &str| row(number, &[id, "Tier 1", "Add"]);
    let hidden = |number: u32, id: &str, word: &str| {
        order(number, id).replacen("<row", &format!("<row spans=\"1:3\" hidden=\"{word}\""), 1)
    };
    let rows = [
        row(1, &["machineId", "tag", "action"]),
        order(2, &ids[0]),
        hidden(3, &ids[1], "1"),
        hidden(4, &ids[2], "0"),
        // Without a number of its own it is the next.
        hidden(5, &ids[3], "true").replacen(" r=\"5\"", "", 1),
        order(6, &ids[4]),
    ];
    // Those of another sheet say nothing.
    let book = Book { sheets: Vec::new(), ..Book::of("") }.sheet("Old", "visible", &hidden(2, &ids[0], "1")).sheet(
        "A &amp; B",
        "visible",
        &rows.concat(),
    );
    let sheet = |accepted: Accepted| {
        let options = InputOptions { accepted, sheet: Some("A & B".to_owned()), ..InputOptions::default() };
        let sheet = read(Cursor::new(book.packed(&[])), &options).expect("a sheet");
        let lines: Vec<u32> = sheet.problems.iter().map(|problem| problem.line).collect();
        (lines, sheet.problems.first().map(ToString::to_string), sheet.requests.all.len())
    };
    let said = "row 2, line 3: the workbook does not show this row: a filter hides it, or it was hidden by hand; show it or delete it, \
                or run such rows with --accept hidden-rows";
    assert_eq!(sheet(Accepted::default()), (vec![3, 5], Some(said.to_owned()), 3));
    assert_eq!(sheet(Accepted::from_iter([Doubt::HiddenRows])), (vec![], None, 5));
}

#[test]
fn the_first_sheet_that_can_be_seen_counts_or_the_one_that_is_named() {
    let book = Book { sheets: Vec::new(), ..Book::of("") }
        .sheet("Old", "hidden", &row(1, &["hidden"]))
        .sheet("Servers", "visible", &row(1, &["servers"]))
        .sheet("Clients", "visible", &row(1, &["clients"]));
    let open = |name| Workbook::open(Cursor::new(book.packed(&[])), name, None);
    for (wanted, sheet, others) in [
        (None, "Servers", vec!["Clients"]),
        (Some("Clients"), "Clients", vec!["Servers"]),
        (Some(" clients "), "Clients", vec!["Servers"]),
        (Some("Old"), "Old", vec!["Servers", "Clients"]),
    ] {
        let mut workbook = open(wanted).expect("a workbook");
        assert_eq!(
            (workbook.sheet(), workbook.other_sheets().to_vec()),
            (sheet, others.into_iter().map(str::to_owned).collect())
        );
        let mut text = String::new();
        workbook.read_to_string(&mut text).expect("text");
        assert_eq!(text.trim_end(), if sheet == "Old" { "hidden".to_owned() } else { sheet.to_lowercase() });
    }
    let error = open(Some("Server")).err().expect("no such sheet").to_string();
    assert_eq!(error, "the workbook has no worksheet \"Server\"; it has \"Servers\", \"Clients\"");
    let hidden = Book { sheets: Vec::new(), ..Book::of("") }.sheet("Old", "hidden", "");
    assert_eq!(refusal(hidden.packed(&[])), "the workbook has no visible worksheet");
}

#[test]
fn what_is_no_workbook_is_refused() {
    const DAMAGED: &str =
        "this is not an .xlsx workbook, or a damaged one; save it again as .xlsx, or as \"CSV UTF-8\"";
    let whole = Book::of(&row(1, &["a"])).packed(&[]);
    let mut empty = ZipWriter::new(Cursor::new(Vec::new()));
    empty.start_file("content.xml", SimpleFileOptions::default()).expect("a part");
    let other = empty.finish().expect("a packed file").into_inner();
    let unordered = |rows: &str| Book::of(rows).packed(&[]);
    for bytes in [
        b"PK\x03\x04".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        other,
        unordered(&(row(2, &["a"]) + &row(1, &["b"]))),
        unordered(&(row(2, &["a"]) + "<row r=\"1\"><c r=\"B1\" t=\"str\"><v>b</v></c></row>")),
        unordered("<row r=\"1\"><c r=\"B1\" t=\"str\"><v>b</v></c><c r=\"A1\" t=\"str\"><v>a</v></c></row>"),
        unordered("<row r=\"1\"><c r=\"A1048577\" t=\"str\"><v>b</v></c></row>"),
        unordered("<row r=\"1\"><c r=\"XFE1\" t=\"str\"><v>b</v></c></row>"),
        unordered("<row r=\"1\"><c t=\"str\"><v>b</v>"),
    ] {
        assert_eq!(refusal(bytes), DAMAGED);
    }
    let parts = |names: &[&str]| packed(names.iter().map(|name| ((*name).to_owned(), Vec::new())));
    assert_eq!(
        refusal(parts(&["_rels/.rels", "xl/workbook.bin"])),
        "this is a binary (.xlsb) workbook, which cannot be read; save it as .xlsx, or as \"CSV UTF-8\""
    );
    assert_eq!(
        refusal(parts(&["mimetype", "content.xml"])),
        "this is an OpenDocument (.ods) workbook, which cannot be read; save it as .xlsx, or as \"CSV UTF-8\""
    );
    let old = [&COMPOUND_FILE[..], &[0; 512]].concat();
    assert!(is_workbook(&old) && is_workbook(&whole) && !is_workbook(b"machineId,tag"));
    assert_eq!(
        refusal(old),
        "this workbook is in the old format or has a password; save it as .xlsx without a password"
    );
}

#[test]
fn bombs_are_refused_before_they_are_held() {
    const TOO_LARGE: &str =
        "the workbook holds more than can be read; save the sheet as \"CSV UTF-8\" and give that file";
    let book = Book::of(&row(1, &["a"]));
    let zeros = vec![0; 4_000_000];
    for part in ["xl/media/image1.png", "xl/sharedStrings.xml"] {
        let mut packed = Cursor::new(book.packed(&[(part, &zeros)]));
        assert!(packed.get_ref().len() < 100_000, "{part} is packed to {} bytes", packed.get_ref().len());
        assert!(measure::measure(&mut packed, 4_100_000, 1000).is_ok(), "{part}");
        let error = measure::measure(&mut packed, 3_900_000, 1000).expect_err("too large");
        assert_eq!(error.to_string(), TOO_LARGE, "{part}");
    }
    // One text as long as a sheet may be would be held as a whole, however small it is packed.
    let of_blanks = |bytes: usize| {
        let mut packed = Cursor::new(Book::of(&format!("{}{}", " ".repeat(bytes), row(1, &["a"]))).packed(&[]));
        measure::measure(&mut packed, 100_000, 10_000_000).map_err(|error| error.to_string())
    };
    assert_eq!((of_blanks(1_000_000), of_blanks(1_100_000)), (Ok(()), Err(TOO_LARGE.to_owned())));
    let error = measure::measure(&mut Cursor::new(book.packed(&[])), 100_000, 100).expect_err("too large");
    assert_eq!(error.to_string(), TOO_LARGE, "a sheet");
    let promise = format!("<sst xmlns=\"{NAMESPACE}\" uniqueCount=\"99999999999999\"><si><t>a</t></si></sst>");
    let promise = book.packed(&[("xl/sharedStrings.xml", promise.as_bytes())]);
    assert!(matches!(Workbook::open(Cursor::new(promise), None, None), Err(WorkbookError::Damaged(None))));
    // Two cells at opposite corners are a million rows, and no table of 17 thousand million cells.
    let corners = "<row r=\"1\"><c r=\"A1\" t=\"str\"><v>a</v></c></row>\
                   <row r=\"1048576\"><c r=\"XFD1048576\" t=\"str\"><v>b</v></c></row>";
    assert_eq!(Book::of(corners).text().len(), 1 + 1_048_575 + 16_383 + 2);
}
