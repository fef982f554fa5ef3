//! Every way in which a CSV file may be written, through the whole program.

use crate::machines::id;
use crate::process::at_once;
use crate::rehearsal::Rehearsal;
use crate::sandbox_server::Sandbox;
use crate::table::Table;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A file that asks for a tag outside ASCII, with this delimiter.
fn file(delimiter: char, machine: u32) -> String {
    ["machineId,tag,action,note\n", &id(machine), ",Zürich §1,Add,née\n"].concat().replace(',', &delimiter.to_string())
}

fn utf_16(text: &str, encode: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(encode).collect()
}

fn windows_1252(text: &str) -> Vec<u8> {
    // All characters of the file stand at their own number there.
    text.chars().map(|character| u8::try_from(u32::from(character)).expect("in Latin 1")).collect()
}

/// What it is; the file for a machine; options; the delimiter of the results; whether they begin with a mark.
type Case = (&'static str, Box<dyn Fn(u32) -> Vec<u8> + Send>, &'static str, char, bool);

#[test]
fn every_dialect_is_read_and_the_results_keep_its_delimiter_and_mark() {
    let sandbox = Sandbox::start("");
    let comma = |machine| file(',', machine);
    let marked = |text: String| format!("{BYTE_ORDER_MARK}{text}");
    let cases: Vec<Case> = vec![
        ("UTF-8", Box::new(move |m| comma(m).into()), "", ',', false),
        ("UTF-8 with a mark", Box::new(move |m| marked(comma(m)).into()), "", ',', true),
        ("semicolons", Box::new(|m| file(';', m).into()), "", ';', false),
        ("tabs", Box::new(|m| file('\t', m).into()), "", '\t', false),
        ("bars", Box::new(|m| file('|', m).into()), "", '|', false),
        ("CRLF", Box::new(move |m| comma(m).replace('\n', "\r\n").into()), "", ',', false),
        ("CR", Box::new(move |m| comma(m).replace('\n', "\r").into()), "", ',', false),
        ("no last line break", Box::new(move |m| comma(m).trim_end().into()), "", ',', false),
        (
            "blank lines",
            Box::new(move |m| format!("\n\r\n{}\n\n", comma(m).replace('\n', "\n\r\n\n")).into()),
            "",
            ',',
            false,
        ),
        ("a sep= line", Box::new(|m| format!("sep=;\r\n{}", file(';', m)).into()), "", ';', false),
        (
            "a quoted sep= line with a mark",
            Box::new(move |m| marked(format!("\"sep=;\"\n{}", file(';', m))).into()),
            "",
            ';',
            true,
        ),
        ("a sep= line of its own", Box::new(|m| format!("SEP=^\n{}", file('^', m)).into()), "", '^', false),
        ("UTF-16LE", Box::new(move |m| utf_16(&marked(comma(m)), u16::to_le_bytes)), "", ',', true),
        ("UTF-16BE", Box::new(move |m| utf_16(&marked(comma(m)), u16::to_be_bytes)), "", ',', true),
        (
            "UTF-16LE with tabs, as Excel saves Unicode text",
            Box::new(move |m| utf_16(&marked(file('\t', m).replace('\n', "\r\n")), u16::to_le_bytes)),
            "",
            '\t',
            true,
        ),
        (
            "UTF-16LE without a mark",
            Box::new(move |m| utf_16(&comma(m), u16::to_le_bytes)),
            "--encoding utf-16le",
            ',',
            false,
        ),
        ("windows-1252", Box::new(|m| windows_1252(&file(';', m))), "--encoding windows-1252", ';', false),
        ("ISO 8859-1", Box::new(move |m| windows_1252(&comma(m))), "--encoding ISO-8859-1", ',', false),
    ];
    at_once((1..).zip(cases), |(machine, (name, file, options, delimiter, has_mark))| {
        let outcome = Rehearsal::at(&sandbox).file(file(machine)).with(options).run().exits(0);
        assert_eq!(sandbox.machine(machine).tags, ["Zürich §1"], "{name}");
        let bytes = outcome.results_bytes();
        assert_eq!(bytes.starts_with(BYTE_ORDER_MARK.as_bytes()), has_mark, "{name}");
        let results = Table::read(bytes.strip_prefix(BYTE_ORDER_MARK.as_bytes()).unwrap_or(&bytes), delimiter);
        assert_eq!(results.header[..4], ["machineId", "tag", "action", "note"], "{name}");
        assert_eq!(results.rows.len(), 1, "{name}");
        let row = &results.rows[0];
        assert_eq!((&row["tag"], &row["note"]), ("Zürich §1", "née"), "{name}");
        assert_eq!((&row["row"], &row["status"]), ("1", "succeeded"), "{name}");
    });
}

#[test]
fn the_delimiter_is_the_one_that_makes_a_header_and_not_the_most_frequent_one() {
    let file = format!("machineId;tag;action;note;a,b,c,d,e,f\n{};Tier 0;Add;\"x; y\";1,2,3,4,5,6\n", id(1));
    let outcome = Rehearsal::new().file(file).run().exits(0);
    assert_eq!(outcome.sandbox().machine(1).tags, ["Tier 0"]);
    let results = Table::read(&outcome.results_bytes(), ';');
    assert_eq!(results.column("a,b,c,d,e,f"), ["1,2,3,4,5,6"]);
    assert_eq!(results.column("note"), ["x; y"]);
}

#[test]
fn a_cell_may_hold_delimiters_quotation_marks_and_line_breaks() {
    let file = format!("note,machineId,tag,action\r\n\"a \"\"b\"\",\r\nc\",{},\"Tier \"\"0\"\"\",Add\r\n", id(1));
    let outcome = Rehearsal::new().file(file).run().exits(0);
    assert_eq!(outcome.sandbox().machine(1).tags, ["Tier \"0\""]);
    assert_eq!(outcome.results().column("note"), ["a \"b\",\r\nc"]);
}

#[test]
fn a_tag_that_the_portal_cannot_filter_by_gets_a_warning() {
    let outcome = Rehearsal::new().rows("#1,Tier (0),Add,\n#2,Tier 0,Add,").run().exits(0);
    let warning = "warning: input.csv: row 1, line 2: the tag \"Tier (0)\" holds a parenthesis or a comma";
    let outcome = outcome.says(&[warning]);
    assert_eq!(outcome.messages().matches("warning:").count(), 1, "{}", outcome.messages());
}
