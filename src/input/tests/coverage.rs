//! Nothing of a file is lost: every physical line is in a row that is answered, in a finding, or in a note.
//!
//! The judge below shares no code with the reader. It splits the text into lines by itself, reads the records with the
//! `csv` crate, and knows of the sheet only what it says of itself.

use encoding_rs::WINDOWS_1252;
use proptest::prelude::*;

use super::super::{Finding, InputError, InputOptions, Note, ProblemKind, Sheet, read};
use super::{second_pass, utf16};

/// The header of every file here, with commas.
const HEADER: &str = "machineId,tag,action,remark";

/// The physical lines of a text.
fn lines(text: &str) -> Vec<String> {
    text.replace("\r\n", "\n").replace('\r', "\n").split('\n').map(str::to_owned).collect()
}

fn is_blank(line: &str, delimiter: char) -> bool {
    line.chars().all(|it| it == delimiter || it == '"' || it.is_whitespace())
}

fn repeats_header(line: &str, header: &str, delimiter: char) -> bool {
    let bare = |line: &str| line.replace('"', "").trim_end_matches(delimiter).to_ascii_lowercase();
    let trimmed = |line: &str| bare(line).split(delimiter).map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    trimmed(line) == trimmed(header)
}

/// Looks for every line of the file in what the sheet says. `header_line` is that of the header, from 1.
fn judge(text: &str, header_line: usize, sheet: &mut Sheet) -> Result<(), TestCaseError> {
    let lines = lines(text);
    let delimiter = char::from(sheet.dialect.delimiter);
    let mut covered = vec![false; lines.len() + 1];
    let mut cover = |first: usize, last: usize| -> Result<(), TestCaseError> {
        for line in first..=last {
            prop_assert!(line < covered.len(), "line {} is none of {}", line, lines.len());
            prop_assert!(!covered[line], "line {} is told twice", line);
            covered[line] = true;
        }
        Ok(())
    };
    cover(header_line, header_line)?;
    let (mut blank, mut repeated) = (0, 0);
    for note in &sheet.notes {
        match note {
            Note::TypeLine { line, .. } => {
                let line = usize::try_from(*line).expect("small");
                cover(line, line)?;
            }
            Note::LinesAbove { lines, .. } => {
                for line in lines {
                    let line = usize::try_from(*line).expect("small");
                    cover(line, line)?;
                }
            }
            Note::BlankRows(rows) => blank = rows.count,
            Note::RepeatedHeaders(rows) => repeated = rows.count,
            _ => {}
        }
    }
    let is_open = |problem: &&super::Problem| matches!(problem.kind, ProblemKind::UnclosedQuote { .. });
    let open_row = sheet.problems.iter().find(is_open).map(|problem| problem.row.0);
    let first_lines: Vec<(u32, u32)> = sheet
        .requests
        .all
        .iter()
        .map(|request| (request.row.0, request.line))
        .chain(sheet.problems.iter().map(|problem| (problem.row.0, problem.line)))
        .collect();
    let records = if open_row.is_some() { rows_before_open_end(sheet) } else { second_pass(sheet) };
    for row in 1..=sheet.row_count {
        let of_row: Vec<u32> = first_lines.iter().filter(|(known, _)| *known == row).map(|(_, line)| *line).collect();
        prop_assert!(!of_row.is_empty(), "row {} is not answered", row);
        prop_assert!(of_row.iter().all(|line| line == &of_row[0]), "row {} is in two places", row);
        let first = of_row[0] as usize;
        if open_row == Some(row) {
            cover(first, lines.len())?;
            continue;
        }
        let cells: &Vec<String> = &records[row as usize - 1];
        let inner: usize = cells.iter().map(|cell| self::lines(cell).len() - 1).sum();
        cover(first, first + inner)?;
    }
    let left: Vec<&String> =
        (1..).zip(&lines).filter(|(line, text)| !covered[*line] && !text.is_empty()).map(|(_, text)| text).collect();
    let header = &lines[header_line - 1];
    let headers = left.iter().filter(|line| repeats_header(line, header, delimiter)).count() as u64;
    prop_assert_eq!(headers, repeated);
    for line in &left {
        let is_nothing = is_blank(line, delimiter) || repeats_header(line, header, delimiter);
        prop_assert!(is_nothing, "{:?} is nowhere", line);
    }
    prop_assert!(blank <= left.len() as u64 - headers && (blank > 0) == (left.len() as u64 > headers));
    let told: u64 = sheet.findings().iter().map(|finding: &Finding<'_>| finding.rows).sum();
    prop_assert!(told >= u64::from(sheet.row_count) - first_rows_with_requests(sheet));
    Ok(())
}

fn first_rows_with_requests(sheet: &Sheet) -> u64 {
    sheet.requests.all.chunk_by(|one, next| one.row == next.row).count() as u64
}

/// The last chunk has a row more than its text.
fn rows_before_open_end(sheet: &mut Sheet) -> Vec<Vec<String>> {
    let delimiter = sheet.dialect.delimiter;
    let mut rows = Vec::new();
    for chunk in sheet.chunks() {
        let text = chunk.expect("a chunk").text;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        rows.extend(reader.records().map(|record| record.expect("a record").iter().map(str::to_owned).collect()));
    }
    rows
}

/// What another reader finds below the header, without what is no row.
fn other_reading(text: &str, header_line: usize, delimiter: char) -> Vec<Vec<String>> {
    let bytes = text.as_bytes();
    // Behind the header's line break.
    let mut breaks = (0..bytes.len()).filter(|position| match bytes[*position] {
        b'\n' => true,
        b'\r' => bytes.get(position + 1) != Some(&b'\n'),
        _ => false,
    });
    let Some(end) = breaks.nth(header_line - 1) else { return Vec::new() };
    let header: Vec<String> = self::lines(text)[header_line - 1].split(delimiter).map(str::to_owned).collect();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(u8::try_from(delimiter).expect("ASCII"))
        .has_headers(false)
        .flexible(true)
        // The break itself, so that a mark behind it is no mark.
        .from_reader(&bytes[end..]);
    let records = reader.records().map(|record| record.expect("a record"));
    let records = records.map(|record| record.iter().map(str::to_owned).collect::<Vec<_>>());
    let trimmed = |cells: &[String]| {
        let bare =
            |cell: &String| cell.trim_matches(|it: char| it.is_whitespace() || it == '\u{feff}').to_ascii_lowercase();
        let mut cells: Vec<String> = cells.iter().map(bare).collect();
        while cells.last().is_some_and(String::is_empty) {
            cells.pop();
        }
        cells
    };
    let is_row =
        |cells: &Vec<String>| trimmed(cells) != trimmed(&header) && cells.iter().any(|cell| !cell.trim().is_empty());
    records.filter(is_row).collect()
}

/// A line of a file, or a few, of the kinds that people have.
fn piece() -> impl Strategy<Value = String> {
    const ID: &str = "87e85b19b2b86c9cd465681f597fc4c9e879e8a1";
    let known = [
        format!("{ID},Wave 3,Add,ok"),
        format!("{ID},Wave 3,Remove"),
        "web01,Wave 3,Add,,,".to_owned(),
        format!("{ID},Wave 3,Add,,,x"),
        ",,,".to_owned(),
        " , ,\"\"".to_owned(),
        "   ".to_owned(),
        String::new(),
        HEADER.to_owned(),
        "\"MACHINEID\",Tag, action ,remark,".to_owned(),
        "# a remark".to_owned(),
        format!("{ID}, \"Wave 3\",Add,"),
        format!("{ID},\"Wave 3\" x,Add"),
        format!("{ID},Wave 3,Add,\"two\nlines\""),
        format!("{ID},Wave 3,Add,\"see below\n{ID},Wave 4,Add,ok\""),
        format!("\"{ID},\"\"Wave 3\"\",\"\"Add\"\"\""),
        format!("'{ID},Ring A;PCI,Add"),
        "9.1E+39,#REF!,Add".to_owned(),
        format!("{{{ID}}},wave 3,Add,\" \n\""),
        format!("{ID},\"Wave 3,Add"),
        "x\",Add,".to_owned(),
        "\"".to_owned(),
        "\"\n\",,".to_owned(),
        "\u{feff}web02,Wave 3,Add".to_owned(),
    ];
    prop_oneof![5 => prop::sample::select(known.to_vec()), 1 => "[a1#,;\"' \n]{0,12}".prop_map(|text| text)]
}

fn above() -> impl Strategy<Value = Vec<String>> {
    let titles = [
        "Retagging list,,",
        "of the server team",
        "Version 3; 2026-02-01",
        "",
        ",,,",
        "#TYPE Deserialized.Machine",
        "# x",
    ];
    prop::collection::vec(prop::sample::select(titles.map(str::to_owned).to_vec()), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_line_is_in_a_row_a_finding_or_a_note(
        above in above(),
        pieces in prop::collection::vec(piece(), 0..14),
        delimiter in prop::sample::select(vec![',', ';', '\t', '|']),
        line_break in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        form in 0..4,
        ends in any::<bool>(),
    ) {
        let all: Vec<String> = above.iter().cloned().chain([HEADER.to_owned()]).chain(pieces).collect();
        let text = all.join("\n").replace(',', &delimiter.to_string()) + if ends { "\n" } else { "" };
        let text = text.replace('\n', line_break);
        let bytes = match form {
            0 => text.clone().into_bytes(),
            1 => format!("\u{feff}{text}").into_bytes(),
            2 => utf16(&format!("\u{feff}{text}"), u16::to_le_bytes),
            _ => utf16(&format!("\u{feff}{text}"), u16::to_be_bytes),
        };
        let mut sheet = read(&bytes[..], &InputOptions::default()).expect("a header, and nothing that hides it");
        let header_line = above.len() + 1;
        judge(&text, header_line, &mut sheet)?;
        let is_open = sheet.problems.iter().any(|problem| problem.kind.code() == "unclosed_quote");
        if !is_open {
            let delimiter = char::from(sheet.dialect.delimiter);
            prop_assert_eq!(second_pass(&mut sheet), other_reading(&text, header_line, delimiter));
        }
    }

    #[test]
    fn the_same_holds_for_any_bytes(
        body in prop::collection::vec(prop_oneof![
            4 => prop::sample::select(b",;\"\r\n a1'=#".to_vec()),
            1 => any::<u8>(),
        ], 0..200),
    ) {
        let bytes = [HEADER.as_bytes(), b"\n", &body].concat();
        let options = InputOptions { encoding: Some(WINDOWS_1252), ..InputOptions::default() };
        let text = WINDOWS_1252.decode_without_bom_handling(&bytes).0.into_owned();
        match read(&bytes[..], &options) {
            Ok(mut sheet) => judge(&text, 1, &mut sheet)?,
            Err(error) if error.code() == "wrong_encoding" => {
                prop_assert!(std::str::from_utf8(&bytes).is_ok() && !bytes.is_ascii());
            }
            Err(error) => prop_assert!(matches!(error, InputError::RecordTooLong { .. }), "{}", error),
        }
    }
}
