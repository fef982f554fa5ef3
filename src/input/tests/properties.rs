//! What holds for every input.

use std::io::{self, Read};

use encoding_rs::{WINDOWS_1252, WINDOWS_1258};
use proptest::prelude::*;

use super::super::{InputOptions, read};
use super::{requests, second_pass, utf16};
use crate::input::text::scan::{Cells, Scanned, Stop, line_break_bytes};

/// Text of the characters that can go wrong.
fn text(characters: &'static str) -> impl Strategy<Value = String> {
    let characters: Vec<char> = characters.chars().collect();
    prop::collection::vec(prop::sample::select(characters), 0..8).prop_map(|text| text.into_iter().collect())
}

fn rows(characters: &'static str) -> impl Strategy<Value = Vec<Vec<String>>> {
    let is_row = |row: &Vec<String>| row.iter().any(|cell| !cell.trim().is_empty());
    let row = prop::collection::vec(text(characters), 1..5).prop_filter("a row of blanks is none", is_row);
    prop::collection::vec(row, 0..12)
}

fn delimiter() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![b',', b';', b'\t', b'|'])
}

fn line_break() -> impl Strategy<Value = csv::Terminator> {
    prop::sample::select(vec![csv::Terminator::CRLF, csv::Terminator::Any(b'\n'), csv::Terminator::Any(b'\r')])
}

fn written(rows: &[Vec<String>], delimiter: u8, line_break: csv::Terminator) -> String {
    let mut writer =
        csv::WriterBuilder::new().delimiter(delimiter).terminator(line_break).flexible(true).from_writer(Vec::new());
    writer.write_record(["machineId", "value", "note"]).expect("a header");
    for row in rows {
        writer.write_record(row).expect("a row");
    }
    String::from_utf8(writer.into_inner().expect("everything")).expect("text")
}

/// Every record of a text as the room's own reader sees it; `None` where a quotation mark stays open.
fn scanned(text: &str, delimiter: u8) -> Option<Vec<Vec<String>>> {
    let mut cells = Cells::new(delimiter);
    let mut rows = Vec::new();
    let mut position = 0;
    loop {
        match line_break_bytes(text, position, true) {
            Ok(0) if position == text.len() => return Some(rows),
            Ok(0) => {
                let Scanned { end, .. } = cells.scan(text, position, true).ok()?;
                rows.push(cells.iter(text).map(str::to_owned).collect());
                position = end;
            }
            Ok(bytes) => position += bytes,
            Err(stop) => panic!("{stop:?}"),
        }
    }
}

/// Hands out its bytes in pieces of these sizes, again and again.
struct Pieces<'b> {
    bytes: &'b [u8],
    sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.next().unwrap_or(1).min(buffer.len()).min(self.bytes.len());
        let (piece, rest) = self.bytes.split_at(size);
        buffer[..size].copy_from_slice(piece);
        self.bytes = rest;
        Ok(size)
    }
}

/// Everything that is said of an input, but for the text of its first rows.
#[derive(Debug, PartialEq)]
struct Told {
    requests: Vec<String>,
    findings: Vec<String>,
    notes: Vec<String>,
    rows: Vec<Vec<String>>,
}

fn told(source: impl Read, first_rows: usize) -> Result<Told, (&'static str, Option<u64>)> {
    let mut sheet = read(source, &InputOptions::default()).map_err(|error| (error.code(), error.line()))?;
    Ok(Told {
        requests: requests(&sheet),
        findings: sheet.findings().iter().map(ToString::to_string).collect(),
        notes: sheet.notes.iter().map(ToString::to_string).collect(),
        rows: if sheet.is_refused() { Vec::new() } else { second_pass(&mut sheet).split_off(first_rows) },
    })
}

/// What can go wrong.
fn pieces_of_text() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 13] =
        [b"a", b"1,", b";", b"\"", b"\r\n", b"\r\n", b"\r\n", b"\r", b"\n", b" ", b"#", "ü".as_bytes(), b",x,Add"];
    let piece = prop::sample::select(pieces.to_vec());
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    // Each case reads 256 KiB.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_said_does_not_depend_on_how_the_bytes_arrive(
        bytes in pieces_of_text(),
        end in prop::sample::select(vec![&b""[..], b"\xC3", b"\xFF"]),
        sizes in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let text = [&b"machineId,tag,action,note\r\n"[..], &bytes, end].concat();
        let pieces = Pieces { bytes: &text, sizes: sizes.into_iter().cycle() };
        prop_assert_eq!(told(pieces, 0), told(&text[..], 0));
    }

    #[test]
    fn what_is_said_does_not_depend_on_how_much_is_held_at_once(bytes in pieces_of_text(), within in any::<prop::sample::Index>()) {
        let start = |filler: usize| format!("machineId,tag,action,note\r\na,x,Add,{}\r\n", "x".repeat(filler));
        // The text that is looked at for a header has 256 KiB; it ends somewhere in the bytes, or at one of their ends.
        let filler = 256 * 1024 - start(0).len() - within.index(bytes.len() + 1);
        let (far, near) = ([start(filler).as_bytes(), &bytes].concat(), [start(10).as_bytes(), &bytes].concat());
        prop_assert_eq!(told(&far[..], 1), told(&near[..], 1));
    }
}

proptest! {
    #[test]
    fn what_was_written_comes_back(
        rows in rows("ab,;\t|\"\r\n éü€😀\u{feff}\u{a0}\0'="),
        delimiter in delimiter(),
        line_break in line_break(),
        marked in any::<bool>(),
    ) {
        let text = format!("{}{}", if marked { "\u{feff}" } else { "" }, written(&rows, delimiter, line_break));
        let mut inputs = vec![text.clone().into_bytes()];
        if marked {
            inputs.extend([utf16(&text, u16::to_le_bytes), utf16(&text, u16::to_be_bytes)]);
        }
        for bytes in inputs {
            let mut sheet = read(&bytes[..], &InputOptions::default()).expect("a sheet");
            prop_assert_eq!(sheet.dialect.delimiter, delimiter);
            prop_assert_eq!(second_pass(&mut sheet), rows.clone());
        }
    }

    #[test]
    fn what_was_written_in_windows_1252_comes_back(
        rows in rows("ab,;\"\r\n éü€\u{a0}ÿ™"),
        delimiter in delimiter(),
        line_break in line_break(),
    ) {
        let text = written(&rows, delimiter, line_break);
        let (bytes, _, is_lossy) = WINDOWS_1252.encode(&text);
        prop_assert!(!is_lossy);
        // Some text of Windows-1252 is UTF-8 as well, such as "é€€", and is refused as such.
        prop_assume!(text.is_ascii() || std::str::from_utf8(&bytes).is_err());
        let options = InputOptions { encoding: Some(WINDOWS_1252), ..InputOptions::default() };
        let mut sheet = read(&bytes[..], &options).expect("a sheet");
        prop_assert_eq!(second_pass(&mut sheet), rows);
    }

    #[test]
    fn records_are_those_of_the_csv_crate(text in "[ab,;\"\r\n ü]{0,40}", delimiter in delimiter()) {
        let Some(rows) = scanned(&text, delimiter) else {
            return Ok(());
        };
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text.as_bytes());
        let expected: Vec<Vec<String>> = reader
            .records()
            .map(|record| record.expect("a record").iter().map(str::to_owned).collect())
            .collect();
        prop_assert_eq!(rows, expected);
    }

    #[test]
    fn a_record_is_the_same_however_much_text_follows(text in "[ab,\"\r\n ü]{1,40}") {
        prop_assume!(line_break_bytes(&text, 0, true) == Ok(0));
        let mut cells = Cells::new(b',');
        let whole = cells.scan(&text, 0, true);
        for (end, _) in text.char_indices() {
            match cells.scan(&text[..end], 0, false) {
                Err(Stop::MoreNeeded) => {}
                early => prop_assert_eq!(early, whole),
            }
        }
    }

    #[test]
    fn every_row_has_requests_or_problems(text in "[a,\"\r\n]{0,60}", tail in "([ab]?,[x(]?,(Add|Set|Ad)?,(Low|No)?\n){0,9}") {
        let text = format!("machineId,tag,action,value\n{text}\n{tail}");
        let sheet = read(text.as_bytes(), &InputOptions::default()).expect("a header");
        for row in 1..=sheet.row_count {
            let requests = sheet.requests.all.iter().filter(|request| request.row.0 == row).count();
            let problems = sheet.problems.iter().filter(|problem| problem.row.0 == row).count();
            prop_assert!((requests == 0) != (problems == 0), "row {row}: {requests} and {problems}");
            prop_assert!(requests <= 2);
        }
        prop_assert!(sheet.requests.all.is_sorted_by_key(|request| (request.row, request.line)));
        prop_assert!(sheet.problems.is_sorted_by_key(|problem| (problem.row, problem.line)));
    }

    #[test]
    fn no_bytes_make_it_panic(
        start in prop::sample::select(vec![
            &b""[..], b"machineId,tag,action,value\n", b"\xEF\xBB\xBFid;value\r\n", b"\xFF\xFE", b"\xFE\xFF", b"sep=", b"PK",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        chosen in prop::sample::select(vec![None, Some(WINDOWS_1258), super::super::encoding("gb18030")]),
    ) {
        let options = InputOptions { encoding: chosen, ..InputOptions::default() };
        match read(&[start, &bytes].concat()[..], &options) {
            Ok(mut sheet) => {
                if !sheet.is_refused() {
                    second_pass(&mut sheet);
                }
                sheet.problems.iter().for_each(|problem| assert!(!problem.to_string().contains('\u{1b}')));
            }
            Err(error) => assert!(!error.to_string().contains('\u{1b}')),
        }
    }
}
