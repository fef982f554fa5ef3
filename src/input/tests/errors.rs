//! Why a file as a whole is refused, and how that is told.

use std::error::Error as _;

use super::super::{Accepted, InputError, InputOptions, Orders, ProblemKind, encoding, read};
use super::utf16;

fn refusal(bytes: &[u8], label: Option<&str>) -> String {
    let options = InputOptions { encoding: label.and_then(encoding), ..InputOptions::default() };
    match read(bytes, &options) {
        Ok(sheet) => panic!("not refused: {sheet:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn formats_that_are_no_csv_are_named() {
    let table: Vec<(&str, Vec<u8>, Option<&str>)> = vec![
        ("nothing", vec![], None),
        ("only a mark", b"\xEF\xBB\xBF".to_vec(), None),
        ("only empty lines", b"\r\n\n\r".to_vec(), None),
        ("only a separator line", b"sep=;\r\n".to_vec(), None),
        (".xlsx", b"PK\x03\x04\x14\x00".to_vec(), Some("windows-1252")),
        (".xls", b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec(), None),
        ("UTF-32LE, marked", b"\xFF\xFE\x00\x00m\x00\x00\x00".to_vec(), None),
        ("UTF-32BE, marked", b"\x00\x00\xFE\xFF\x00\x00\x00m".to_vec(), None),
        ("UTF-32LE", b"m\x00\x00\x00a\x00\x00\x00".to_vec(), None),
        ("UTF-32BE", b"\x00\x00\x00m\x00\x00\x00a".to_vec(), None),
        ("UTF-16LE", utf16("machineId,value\n", u16::to_le_bytes), None),
        ("UTF-16BE", utf16("machineId,value\n", u16::to_be_bytes), None),
        ("mark and name differ", b"\xEF\xBB\xBFmachineId,value\n".to_vec(), Some("windows-1252")),
        ("marks differ", b"\xFF\xFEm\x00".to_vec(), Some("utf-16be")),
        ("UTF-8 under another name", "machineId,value\nGröße,Low\n".as_bytes().to_vec(), Some("windows-1252")),
    ];
    let told: Vec<String> =
        table.iter().map(|(what, bytes, label)| format!("{what}: {}", refusal(bytes, *label))).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    nothing: the input is empty; its first line must be a header, for example machineId,tag,action,value
    only a mark: the input is empty; its first line must be a header, for example machineId,tag,action,value
    only empty lines: the input is empty; its first line must be a header, for example machineId,tag,action,value
    only a separator line: the input is empty; its first line must be a header, for example machineId,tag,action,value
    .xlsx: this is not an .xlsx workbook, or a damaged one; save it again as .xlsx, or as "CSV UTF-8"
    .xls: this workbook is in the old format or has a password; save it as .xlsx without a password
    UTF-32LE, marked: the input looks like UTF-32, which cannot be read; save it as UTF-8
    UTF-32BE, marked: the input looks like UTF-32, which cannot be read; save it as UTF-8
    UTF-32LE: the input looks like UTF-32, which cannot be read; save it as UTF-8
    UTF-32BE: the input looks like UTF-32, which cannot be read; save it as UTF-8
    UTF-16LE: the input looks like UTF-16 without a byte order mark; say so with --encoding utf-16le, or save it as UTF-8
    UTF-16BE: the input looks like UTF-16 without a byte order mark; say so with --encoding utf-16be, or save it as UTF-8
    mark and name differ: the input begins with the byte order mark of UTF-8, and its encoding was said to be windows-1252 (--encoding, or encoding in a profile or a file of rules); leave that out, or say UTF-8
    marks differ: the input begins with the byte order mark of UTF-16LE, and its encoding was said to be UTF-16BE (--encoding, or encoding in a profile or a file of rules); leave that out, or say UTF-16LE
    UTF-8 under another name: the input is UTF-8, and its encoding was said to be windows-1252 (--encoding, or encoding in a profile or a file of rules); leave that out, or say utf-8
    "#);
}

#[test]
fn bytes_that_do_not_decode_are_told_with_offset_and_line() {
    let utf8 = |text: &[u8]| refusal(text, None);
    let many = [b"machineId,value\r\n".to_vec(), b"a,Low\r\n".repeat(50_000), b"\xFC,Low\r\n".to_vec()].concat();
    let lone_surrogate =
        [utf16("\u{feff}machineId,value\na", u16::to_le_bytes), vec![0x00, 0xD8], utf16("b", u16::to_le_bytes)]
            .concat();
    let told = [
        utf8(b"machineId,value\n\nGr\xF6\xDFe,Low\n"),
        utf8(b"\xEF\xBB\xBFmachineId,value\rGr\xF6\xDFe,Low\r"),
        utf8(b"machineId,value\na,Low\xE2\x82"),
        utf8(b"machineId,value\na,\"Lo\nw\"\xED\xA0\x80\n"),
        utf8(&many),
        refusal(&lone_surrogate, None),
        refusal(b"\xFF\xFEm\x00a", None),
        refusal(b"machineId,value\n\x81\x30,Low\n", Some("shift_jis")),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    the bytes at offset 19, on line 3, are not UTF-8; name the input's encoding with --encoding (windows-1252 for many older Excel files), or save it as UTF-8
    the bytes at offset 21, on line 2, are not UTF-8; the input is damaged, or was joined from files in different encodings; save it as UTF-8
    the bytes at offset 21, on line 2, are not UTF-8; name the input's encoding with --encoding (windows-1252 for many older Excel files), or save it as UTF-8
    the bytes at offset 24, on line 3, are not UTF-8; name the input's encoding with --encoding (windows-1252 for many older Excel files), or save it as UTF-8
    the bytes at offset 350017, on line 50002, are not UTF-8; name the input's encoding with --encoding (windows-1252 for many older Excel files), or save it as UTF-8
    the bytes at offset 36, on line 2, are not UTF-16LE; the input is damaged, or was joined from files in different encodings; save it as UTF-8
    the bytes at offset 4, on line 1, are not UTF-16LE; the input is damaged, or was joined from files in different encodings; save it as UTF-8
    the bytes at offset 16, on line 2, are not Shift_JIS; name the input's encoding with --encoding (windows-1252 for many older Excel files), or save it as UTF-8
    "#);
}

#[test]
fn headers_that_lack_something_are_told_what() {
    let id = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
    let wide: Vec<String> = (1..=100).map(|number| format!("column {number}")).collect();
    let told: Vec<String> = [
        "Name,Tag\n",
        "Name,Action\n",
        "Name,Group\n",
        "Tag,Action\n",
        "Host,value\n",
        "Host,Group,Tag\n",
        "\n\nHost;Group;a,b\n",
        "sep=,\nName;value\n",
        "   \n",
        "machineId,Machine ID,value\n",
        "Name,name,value\n",
        "id,tag,action, TAG \n",
        "id;value;tag;Value;action\n",
        &format!("{id},x,Add,\n"),
        "Name,\u{1b}[31mtag\u{7},action\n",
        &format!("{}\n", wide.join(",")),
        "sep=\nmachineId,value\n",
        "sep=ab\u{1b}\nmachineId,value\n",
        "sep=\"\nmachineId,value\n",
    ]
    .iter()
    .map(|text| refusal(text.as_bytes(), None))
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    the header on line 1 has a tag column but no action column: add one that says Add or Remove; it has "Name" (1), "Tag" (2); it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    the header on line 1 has an action column but no tag column; it has "Name" (1), "Action" (2); it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    the header on line 1 has no column that says what to change; it has "Name" (1), "Group" (2); it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    the header on line 1 has no machine column; it has "Tag" (1), "Action" (2); it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    the header on line 1 has no machine column; it has "Host" (1), "value" (2); it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    the header on line 1 has no machine column, and a tag column but no action column: add one that says Add or Remove; it has "Host" (1), "Group" (2), "Tag" (3); it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    the header on line 3 has no machine column, and no column that says what to change; it has "Host" (1), "Group" (2), "a,b" (3); it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    line 1 says that "," stands between cells, and the header on line 2 is written with ";"; correct line 1, or remove it
    the input is empty; its first line must be a header, for example machineId,tag,action,value
    the header on line 1 has two columns with the same name for the machine, "machineId" (1) and "Machine ID" (2); rename or remove one (case, blanks, _ and - make no difference)
    the header on line 1 has two columns with the same name for the machine, "Name" (1) and "name" (2); rename or remove one (case, blanks, _ and - make no difference)
    the header on line 1 has two columns with the same name for the tag, "tag" (2) and " TAG " (4); rename or remove one (case, blanks, _ and - make no difference)
    the header on line 1 has two columns with the same name for the value, "value" (2) and "Value" (4); rename or remove one (case, blanks, _ and - make no difference)
    the header on line 1 has no machine column, and no column that says what to change; it has "1e5bc9d7e413ddd7902c2932e418702b84d0cc07" (1), "x" (2), "Add" (3), "" (4), which looks like a row without a header above it; it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    the header on line 1 has an action column but no tag column; it has "Name" (1), "\u{1b}[31mtag\u{7}" (2), "action" (3); it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    the header on line 1 has no machine column, and no column that says what to change; it has "column 1" (1), "column 2" (2), "column 3" (3), "column 4" (4), "column 5" (5), "column 6" (6), "column 7" (7), "column 8" (8), "column 9" (9), "column 10" (10), "column 11" (11), "column 12" (12), "column 13" (13), "column 14" (14), "column 15" (15), "column 16" (16), "column 17" (17), "column 18" (18), "column 19" (19), "column 20" (20), "column 21" (21), "column 22" (22), "column 23" (23), "column 24" (24), "column 25" (25), "column 26" (26), "column 27" (27), "column 28" (28), "column 29" (29), "column 30" (30), "column 31" (31), "column 32" (32), "column 33" (33), "column 34" (34), "column 35" (35), "column 36" (36), "column 37" (37), "column 38" (38), "column 39" (39), "column 40" (40) and 60 more; it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    line 1 says "sep=", which names no delimiter; write for example sep=; or remove the line
    line 1 says "sep=ab\u{1b}", which names no delimiter; write for example sep=; or remove the line
    line 1 says "sep="", which names no delimiter; write for example sep=; or remove the line
    "#);
}

#[test]
fn a_header_is_named_that_is_not_found_where_it_is_looked_for() {
    let id = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
    let titles = |count: usize| "Wave 3\n".repeat(count);
    let rows = format!("{id},x,Add\n").repeat(25);
    let begin = |text: String| refusal(text.as_bytes(), None).chars().take(190).collect::<String>();
    let told = [
        begin(titles(20) + "machineId,tag,action\n" + &rows),
        begin(titles(30) + "\nName;value\nweb01;Low\n"),
        begin(titles(20) + id + "\nmachineId,tag,action\n" + &rows),
        begin(format!("machineId,tag\n{rows}machineId,tag,action\n{rows}")),
        begin(titles(3) + "Rechner,Marke,Tun\n" + &rows),
        begin(format!("\"Wave 3\nmachineId,tag,action\n{id},\"x\",Add\n")),
        begin(format!("Wave 3\r\n\"by hand\r\nmachineId;tag;action\r\n{id};x;Add\r\n{id};\"y\";Add\r\n")),
        begin(format!("\"machineId,tag,action\n{id},\"x\",Add\n")),
        begin(format!("\"Wave 3\nmachineId,tag,action\n{id},x,Add\"\n{rows}")),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    the header is on line 21, and tagfleet looks for it among the first 20 lines that are not empty; remove lines above it
    the header is on line 32, and tagfleet looks for it among the first 20 lines that are not empty; remove lines above it
    line 21 looks like a row, and the header follows below it on line 22; put the header first, or remove what stands above it
    the header on line 1 has a tag column but no action column: add one that says Add or Remove; it has "machineId" (1), "tag" (2); it needs a machine column (machineId, Device ID, Id, AAD Devic
    the header on line 4 has no machine column, and no column that says what to change; it has "Rechner" (1), "Marke" (2), "Tun" (3); it needs a machine column (machineId, Device ID, Id, AAD Dev
    the quotation mark opened on line 1 closes on line 3 only, which makes the header a part of its cell; remove the mark, or close it before the header
    the quotation mark opened on line 2 closes on line 5 only, which makes the header a part of its cell; remove the mark, or close it before the header
    the quotation mark opened on line 1 closes on line 2 only, which makes the header a part of its cell; remove the mark, or close it before the header
    the quotation mark opened on line 1 closes on line 3 only, which makes the header a part of its cell; remove the mark, or close it before the header
    "#);
    let machines = Some(Orders::new(&["x".to_owned()], &[], None, Accepted::default()).expect("orders"));
    let options = InputOptions { orders: machines, ..InputOptions::default() };
    let error = read((titles(20) + "Hostname\nweb01\n").as_bytes(), &options).expect_err("a refusal");
    assert!(matches!(error, InputError::HeaderBelow { line: 21, .. }), "{error}");
}

#[test]
fn a_quotation_mark_that_stays_open_refuses_the_file() {
    let refused_at = |text: &str| match read(text.as_bytes(), &InputOptions::default()) {
        Err(InputError::UnclosedQuote { line }) => Some(line),
        Ok(sheet) => sheet.problems.iter().find_map(|problem| match problem.kind {
            ProblemKind::UnclosedQuote { opened } => Some(u64::from(opened)),
            _ => None,
        }),
        Err(_) => None,
    };
    let table = [
        ("machineId,value\na,\"Low\n", Some(2)),
        ("Wave 3\n\"made by hand\nmachineId,value\na,Low\n", Some(2)),
        ("machineId,value\na,Low\r\n\"b,Low\r\nc,Low\r\n", Some(3)),
        ("machineId,value,note\na,Low,\"x\ny\"\nb,Low,\"x\"\" \n\nc,Low,", Some(4)),
        ("machineId,value,note\r\"a\r\",Low,\"x", Some(3)),
        ("machineId,value,note\na,Low,\"", Some(2)),
        ("machineId,value,\"note\na,Low,", Some(1)),
        ("sep=,\n\n\"machineId,value\na,Low,", Some(3)),
        // Closed, or never opened.
        ("machineId,value\na,\"Low\"", None),
        ("machineId,value\na,Low\"", None),
        ("machineId,value\na, \"Low", None),
        ("machineId,value,note\na,Low,\"\"", None),
        ("machineId,value,note\na,Low,\"x\"y\"", None),
    ];
    for (text, expected) in table {
        assert_eq!(refused_at(text), expected, "{text:?}");
    }
    insta::assert_snapshot!(refusal(b"machineId,\"value\na,Low\n", None), @r#"the quotation mark opened on line 1 is never closed, which makes the rest of the input one cell; close it, or write it twice inside a quoted cell"#);
    let sheet = super::sheet("machineId,value\nb,Hi\na,\"Low\n");
    let told: Vec<String> = sheet.problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    row 1, line 2, column "value": unknown device value "Hi"; use Low, Normal or High
    row 2, line 3: the quotation mark opened on line 3 is never closed, which makes the rest of the file one cell; remove the stray mark, or write a mark that belongs into a quoted cell twice, as in "say ""yes"""
    "#);
}

#[test]
fn records_and_headers_have_limits() {
    let long = [b"machineId,value,note\na,Low,\nb,Low,\"".to_vec(), vec![b'x'; 17 * 1024 * 1024]].concat();
    let long_header = [b"machineId,value,\"".to_vec(), vec![b'\n'; 300 * 1024]].concat();
    let told = [refusal(&long, None), refusal(&long_header, None)];
    insta::assert_snapshot!(told.join("\n"), @r#"
    the record that begins on line 3 is longer than 16 MiB; is a quotation mark in it not closed?
    the header is longer than 256 KiB; is a quotation mark in it not closed?
    "#);
}

#[test]
fn a_temporary_file_that_cannot_be_made_is_local_storage() {
    let directory = tempfile::tempdir().expect("a directory").path().join("gone");
    let options = InputOptions { spool_directory: Some(directory), ..InputOptions::default() };
    let small = b"machineId,value\na,Low\n";
    assert!(read(&small[..], &options).is_ok());
    let large = [b"machineId,value,note\na,Low,\n".to_vec(), b"a,Low,\n".repeat(1_500_000)].concat();
    let error = match read(&large[..], &options) {
        Ok(sheet) => panic!("kept: {sheet:?}"),
        Err(error) => error,
    };
    assert!(matches!(error, InputError::Spool(_)), "{error}");
    insta::assert_snapshot!(error, @r#"cannot keep a copy of the input in a temporary file; is the disk full?"#);
    assert!(error.source().is_some());
}
