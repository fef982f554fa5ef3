//! How files may be written, and what does not depend on it.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::super::{InputError, InputOptions, encoding, read};
use super::{problems, read_bytes, requests, second_pass, sheet, utf16};

const MARK: &str = "\u{feff}";

struct Case {
    what: &'static str,
    bytes: Vec<u8>,
    chosen: Option<&'static Encoding>,
    encoding: &'static Encoding,
    mark: bool,
    delimiter: u8,
    separator_line: bool,
    /// The line of the one row.
    line: u32,
}

impl Case {
    fn utf8(what: &'static str, text: &str) -> Self {
        Self {
            what,
            bytes: text.as_bytes().to_vec(),
            chosen: None,
            encoding: UTF_8,
            mark: false,
            delimiter: b',',
            separator_line: false,
            line: 2,
        }
    }
}

#[test]
fn the_same_row_comes_out_of_every_dialect() {
    let plain = "machineId,tag,action\nserver01,Größe,Add\n";
    let marked = format!("{MARK}{plain}");
    let with = |delimiter: &str| plain.replace(',', delimiter);
    let windows = WINDOWS_1252.encode(plain).0.into_owned();
    let cases = [
        Case::utf8("plain", plain),
        Case { mark: true, ..Case::utf8("a byte order mark", &marked) },
        Case {
            encoding: UTF_16LE,
            mark: true,
            bytes: utf16(&marked, u16::to_le_bytes),
            ..Case::utf8("UTF-16LE with a mark", "")
        },
        Case {
            encoding: UTF_16BE,
            mark: true,
            bytes: utf16(&marked, u16::to_be_bytes),
            ..Case::utf8("UTF-16BE with a mark", "")
        },
        Case {
            encoding: UTF_16LE,
            chosen: encoding("utf-16le"),
            bytes: utf16(plain, u16::to_le_bytes),
            ..Case::utf8("UTF-16LE that was named", "")
        },
        Case {
            encoding: UTF_16BE,
            chosen: encoding("UTF-16BE"),
            mark: true,
            bytes: utf16(&marked, u16::to_be_bytes),
            ..Case::utf8("UTF-16BE that was named, with its mark", "")
        },
        Case {
            encoding: WINDOWS_1252,
            chosen: encoding("windows-1252"),
            bytes: windows,
            ..Case::utf8("windows-1252", "")
        },
        Case { delimiter: b';', ..Case::utf8("semicolons", &with(";")) },
        Case { delimiter: b'\t', ..Case::utf8("tabs", &with("\t")) },
        Case { delimiter: b'|', ..Case::utf8("bars", &with("|")) },
        Case::utf8("CRLF", &plain.replace('\n', "\r\n")),
        Case::utf8("lone CR", &plain.replace('\n', "\r")),
        Case::utf8("no line break at the end", plain.trim_end()),
        Case::utf8("everything quoted", "\"machineId\",\"tag\",\"action\"\r\n\"server01\",\"Größe\",\"Add\"\r\n"),
        Case { line: 7, ..Case::utf8("empty lines", "\n\r\nmachineId,tag,action\n\n\r\n\nserver01,Größe,Add\n\n\n") },
        Case {
            delimiter: b';',
            separator_line: true,
            line: 3,
            ..Case::utf8("a separator line", &format!("sep=;\n{}", with(";")))
        },
        Case {
            delimiter: b'\t',
            separator_line: true,
            line: 3,
            mark: true,
            ..Case::utf8("a quoted one, after a mark", &format!("{MARK}\"SEP=\t\"\r\n{}", with("\t")))
        },
        Case {
            delimiter: b':',
            separator_line: true,
            line: 4,
            ..Case::utf8("one that names what is not looked for", &format!("sep=:::\r\r{}", with(":")))
        },
        Case {
            line: 4,
            ..Case::utf8("line breaks in the header", "machineId,tag,action,\"a\r\nb\nc\"\nserver01,Größe,Add,\n")
        },
        Case {
            delimiter: b';',
            line: 2,
            ..Case::utf8("commas in names", "machineId;tag;action;a,b,c,d,e,f\nserver01;Größe;Add;\n")
        },
        Case {
            line: 2,
            ..Case::utf8("a quoted name with delimiters", "machineId,tag,action,\"a;b;c;d;e\"\nserver01,Größe,Add,\n")
        },
    ];
    for case in cases {
        let options = InputOptions { encoding: case.chosen, ..InputOptions::default() };
        let mut sheet = read(&case.bytes[..], &options).unwrap_or_else(|error| panic!("{}: {error}", case.what));
        let dialect = sheet.dialect;
        assert_eq!(dialect.encoding, case.encoding, "{}", case.what);
        assert_eq!(dialect.byte_order_mark, case.mark, "{}", case.what);
        assert_eq!(dialect.delimiter, case.delimiter, "{}", case.what);
        assert_eq!(dialect.separator_line, case.separator_line, "{}", case.what);
        assert_eq!(problems(&sheet), <[&str; 0]>::default(), "{}", case.what);
        assert_eq!(requests(&sheet), [format!("1/{} server01: Add \"Größe\"", case.line)], "{}", case.what);
        assert_eq!(sheet.header[..3], ["machineId", "tag", "action"], "{}", case.what);
        assert_eq!(second_pass(&mut sheet)[0][..3], ["server01", "Größe", "Add"], "{}", case.what);
    }
}

#[test]
fn columns_are_found_whatever_their_case_spaces_and_dashes() {
    let table = [
        ("machineId,value", "machineId"),
        ("MACHINE_ID,VALUE", "MACHINE_ID"),
        ("Device ID,Device Value", "Device ID"),
        ("id,device-value", "id"),
        (" Machine-Id ,\u{a0}value", "Machine-Id"),
        ("\u{feff}\u{feff}machineId,value", "machineId"),
        ("Machine Name,value", "Machine Name"),
        ("DeviceName,value", "DeviceName"),
        ("Name,value", "Name"),
        // A name is only a companion where there is an id, however many there are.
        ("machineId,Name,Device Name,value", "machineId"),
        ("machineId,AAD Device Id,Tags,Device Type,value", "machineId"),
    ];
    for (header, machine) in table {
        // Nothing but the value, so the machine is missing, and the problem names its column.
        let cells = header.matches(',').count();
        let sheet = sheet(&format!("{header}\n{}High\n", ",".repeat(cells)));
        assert_eq!(problems(&sheet).pop(), Some(format!("1/2 {machine} missing_machine")), "{header:?}");
    }
}

#[test]
fn the_header_stays_as_it_was_written() {
    let sheet = sheet("\u{feff} Device ID ,\"Note, \"\"new\"\"\",value,,value2\n");
    assert_eq!(sheet.header, [" Device ID ", "Note, \"new\"", "value", "", "value2"]);
    assert_eq!(sheet.row_count, 0);
}

#[test]
fn a_portal_export_with_two_columns_more_can_be_used() {
    let header = "Device ID,Device Name,Device Category,Device Type,Device Subtype,Discovery sources,Domain,\
                  AAD Device Id,First Seen,Last device update,OS Platform,OS Distribution,OS Version,OS Build,\
                  Windows 10 Version,Tags,Group,Is AAD Joined,Device IPs,Device MACs,Risk Level,Exposure Level,\
                  Health Status,Onboarding Status,Device Role,Cloud Platforms,Is Internet Facing,\
                  Enrollment Status Code,Managed By,Enrollment Status,Vendor,Model,Tag,Action";
    let row = format!("1E5BC9D7E413DDD7902C2932E418702B84D0CC07,server01{},Tier 0,add", ",".repeat(30));
    let sheet = sheet(&format!("{header}\r\n{row}\r\n"));
    assert_eq!(requests(&sheet), ["1/2 1e5bc9d7e413ddd7902c2932e418702b84d0cc07: Add \"Tier 0\""]);
    assert_eq!(sheet.header.len(), 34);
}

#[test]
fn lines_are_those_of_the_file_and_rows_are_records() {
    for line_break in ["\n", "\r\n", "\r"] {
        let text = "machineId,tag,action,note\n\
                    a,x,Add,\n\
                    \n\
                    b,x,Add,\"two\nlines\"\n\
                    c,x,Add,\"\n\n\n\"\n\
                    \n\
                    \n\
                    d,x,Add,";
        let sheet = sheet(&text.replace('\n', line_break));
        let expected = ["1/2 a: Add \"x\"", "2/4 b: Add \"x\"", "3/6 c: Add \"x\"", "4/12 d: Add \"x\""];
        assert_eq!(requests(&sheet), expected, "{line_break:?}");
    }
}

#[test]
fn characters_and_line_breaks_may_lie_across_blocks() {
    let header = "machineId,value,note\r\n";
    for shift in 0..8 {
        let filler = "x".repeat(128 * 1024 - header.len() - "a,Low,".len() - shift);
        for tail in ["€€\r\n", "\"\"\"€\"\r\n", "\"\"\r\n", "\"a\r\nb\"\r\n", "\r\n\r\n\r\n", "\r\r"] {
            // Where the cell is quoted from the beginning, the filler stands before it as a row of its own.
            let row =
                if tail.starts_with('"') { format!("a,Low,{filler}\r\nb,Low,") } else { format!("a,Low,{filler}") };
            let text = format!("{header}{row}{tail}c,High,\r\n");
            let mut sheet = sheet(&text);
            let rows = second_pass(&mut sheet);
            assert_eq!(rows.last().map(|row| row[0].as_str()), Some("c"), "{shift} {tail:?}");
            let lines = text.replace("\r\n", "\n").replace('\r', "\n").matches('\n').count();
            let last = sheet.requests.all.last().map(|request| request.line as usize);
            assert_eq!(last, Some(lines), "{shift} {tail:?}");
        }
    }
}

#[test]
fn a_pipe_may_hand_out_single_bytes() {
    struct SingleBytes<'b>(&'b [u8]);
    impl std::io::Read for SingleBytes<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }
    let bytes = utf16("\u{feff}machineId,value\r\nserver01,High\r\n", u16::to_le_bytes);
    let sheet = read(SingleBytes(&bytes), &InputOptions::default()).expect("a sheet");
    assert_eq!(requests(&sheet), ["1/2 server01: High"]);
}

#[test]
fn chunks_give_all_rows_again_also_from_a_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = InputOptions { spool_directory: Some(directory.path().to_owned()), ..InputOptions::default() };
    let row = |row: u32| {
        // Some are long, all are quoted, some are followed by an empty line.
        let note = if row.is_multiple_of(500) { "long ".repeat(200_000) } else { "short".to_owned() };
        let empty_line = if row.is_multiple_of(7) { "\n" } else { "" };
        format!("server{row},High,\"{note},\"\"{row}\"\"\"\n{empty_line}")
    };
    let text = ["machineId,value,note\n".to_owned()].into_iter().chain((1..=5_000).map(row)).collect::<String>();
    assert!(text.len() > 10_000_000, "enough not to stay in memory");
    let mut sheet = read(text.as_bytes(), &options).expect("a sheet");
    let rows = second_pass(&mut sheet);
    assert_eq!(rows.len(), 5_000);
    assert!(rows.iter().zip(1..).all(|(row, number)| row[2].ends_with(&format!(",\"{number}\""))));
    assert!(sheet.chunks().count() >= 15);
    assert!(sheet.chunks().all(|chunk| chunk.is_ok_and(|chunk| chunk.text.len() <= 64 * 1024 + 1_000_100)));
    assert_eq!(second_pass(&mut sheet), rows);
    #[cfg(unix)]
    assert_eq!(std::fs::read_dir(directory.path()).expect("the directory").count(), 0, "a file with a name");
}

#[test]
fn a_chunk_has_at_most_a_thousand_rows() {
    let mut sheet = sheet(&format!("machineId,value\n{}", "a,Low\n".repeat(2_500)));
    let chunks: Vec<(u32, u32)> =
        sheet.chunks().map(|chunk| chunk.expect("a chunk")).map(|chunk| (chunk.first_row.0, chunk.row_count)).collect();
    assert_eq!(chunks, [(1, 1_000), (1_001, 1_000), (2_001, 500)]);
}

#[test]
fn a_mark_within_the_text_is_kept() {
    let mut sheet = sheet("machineId,value\n\u{feff}a,Low\n\u{feff}b,Low\n");
    assert_eq!(second_pass(&mut sheet)[0][0], "\u{feff}a");
    let rows = "\u{feff}a,Low\n".repeat(2_000);
    let mut sheet = super::sheet(&format!("machineId,value\n{rows}"));
    assert!(second_pass(&mut sheet).iter().all(|row| row[0] == "\u{feff}a"));
}

#[test]
fn a_cell_of_ten_megabytes_is_read() {
    let cell = "ü".repeat(5_000_000);
    let mut sheet = sheet(&format!("machineId,value,note\na,Low,\"{cell}\"\nb,Low,\n"));
    assert_eq!(requests(&sheet), ["1/2 a: Low", "2/3 b: Low"]);
    assert!(second_pass(&mut sheet)[0][2] == cell);
}

#[test]
fn an_encoding_is_named_by_its_labels() {
    assert_eq!(encoding("Windows-1252"), Some(WINDOWS_1252));
    assert_eq!(encoding(" utf8 "), Some(UTF_8));
    assert_eq!(encoding("utf-7"), None);
    // It decodes everything to one replacement character.
    assert_eq!(encoding("iso-2022-kr"), None);
}

#[test]
fn a_file_without_rows_is_fine() {
    for text in ["machineId,value", "machineId,value\r\n", "machineId,tag,action\n\n\n"] {
        let mut sheet = sheet(text);
        assert_eq!((sheet.row_count, sheet.requests.all.len(), sheet.problems.len()), (0, 0, 0), "{text:?}");
        assert_eq!(sheet.chunks().count(), 0, "{text:?}");
    }
}

#[test]
fn a_source_that_fails_is_told() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("unplugged"))
        }
    }
    assert!(matches!(read(Failing, &InputOptions::default()), Err(InputError::Read(_))));
    assert!(matches!(
        read(std::io::Read::chain(&b"machineId,value\na,Low\n"[..], Failing), &InputOptions::default()),
        Err(InputError::Read(_))
    ));
    assert!(read_bytes(b"machineId,value\na,Low\n").is_ok());
}

#[test]
fn a_line_break_between_tags_is_one_however_lines_end() {
    for end in ["\n", "\r\n", "\r"] {
        let text = format!("machineId,tag,action{end}{:040x},\"a{end}b\",Add{end}", 1);
        let options = InputOptions { tag_separator: Some('\n'), ..InputOptions::default() };
        let sheet = read(text.as_bytes(), &options).expect("a sheet");
        let tags: Vec<&str> = sheet.requests.tags.iter().map(crate::model::Tag::as_str).collect();
        assert_eq!(tags, ["a", "b"], "{end:?}");
    }
}

#[test]
fn rows_in_another_delimiter_than_the_header_are_told_as_such() {
    let text = format!("machineId;tag;action\n{:040x},A,Add\n{:040x};A,B;Remove\n{:040x}\tA\tAdd\n", 1, 2, 3);
    let sheet = read(text.as_bytes(), &InputOptions::default()).expect("a sheet");
    let problems: Vec<String> = sheet.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "row 1, line 2: the header is written with \";\" between its cells, and this row with \",\"; write both in one way",
            "row 3, line 4: the header is written with \";\" between its cells, and this row with tabs; write both in one way",
        ]
    );
}
