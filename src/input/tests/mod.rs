//! The room from outside: bytes in; requests, problems and errors out.

mod coverage;
mod dialects;
mod doubts;
mod errors;
mod lists;
mod properties;
mod rows;

use super::{InputError, InputOptions, Problem, Sheet, read, records};
use crate::model::{Change, Request};

fn read_bytes(bytes: &[u8]) -> Result<Sheet, InputError> {
    read(bytes, &InputOptions::default())
}

fn sheet(text: &str) -> Sheet {
    match read_bytes(text.as_bytes()) {
        Ok(sheet) => sheet,
        Err(error) => panic!("{text:?}: {error}"),
    }
}

/// The requests in words: `1/2 server01: Add tag "x"` is row 1 on line 2.
fn requests(sheet: &Sheet) -> Vec<String> {
    let in_words = |request: &Request| {
        let change = match request.change {
            Change::Tag(action, tag) => format!("{} \"{}\"", action.as_str(), sheet.requests.tags[tag.0 as usize]),
            Change::DeviceValue(value) => value.as_str().to_owned(),
        };
        let machine = sheet.requests.machine(request.machine).expect("a machine");
        format!("{}/{} {machine}: {change}", request.row, request.line)
    };
    sheet.requests.all.iter().map(in_words).collect()
}

/// The problems without their messages: `1/2 tag missing_tag` is in the column `tag` of row 1 on line 2.
fn problems(sheet: &Sheet) -> Vec<String> {
    let in_words = |problem: &Problem| {
        let column = problem.column.as_deref().unwrap_or("-");
        format!("{}/{} {column} {}", problem.row, problem.line, problem.kind.code())
    };
    sheet.problems.iter().map(in_words).collect()
}

/// The rows' cells, as the second pass finds them.
fn second_pass(sheet: &mut Sheet) -> Vec<Vec<String>> {
    let delimiter = sheet.dialect.delimiter;
    let mut rows = Vec::new();
    for chunk in sheet.chunks() {
        let chunk = chunk.expect("a chunk");
        assert_eq!(chunk.first_row.0 as usize, rows.len() + 1);
        let before = rows.len();
        for record in records(delimiter, chunk.text.as_bytes()) {
            let cell = |cell: &[u8]| String::from_utf8(cell.to_vec()).expect("UTF-8");
            rows.push(record.iter().map(cell).collect());
        }
        assert_eq!(rows.len() - before, chunk.row_count as usize);
    }
    assert_eq!(rows.len(), sheet.row_count as usize);
    rows
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}
