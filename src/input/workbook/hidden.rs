//! Rows that a spreadsheet does not show, because a filter or somebody hides them.
//!
//! The reader of cells says nothing about rows, so the sheet's part is looked through once more. Of which sheet a part is
//! stands in the workbook's own part and in the relations beside it (ECMA-376, part 1, 18.2.19 and 18.3.1.73).

use std::io::{BufReader, Read, Seek};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zip::ZipArchive;

use super::error::WorkbookError;

/// The rows of this sheet that are hidden, from 1, in ascending order. What is damaged is found by whoever reads the cells.
pub(super) fn hidden_rows(source: impl Read + Seek, sheet: &str) -> Result<Vec<u32>, WorkbookError> {
    let mut archive = ZipArchive::new(source).map_err(|_| WorkbookError::Damaged(None))?;
    let Some(part) = part_of(&mut archive, sheet) else { return Ok(Vec::new()) };
    let (mut rows, mut row) = (Vec::new(), 0_u32);
    each_element(&mut archive, &part, |element| {
        if element.local_name().as_ref() == "row" {
            row = attribute(element, "r").and_then(|number| number.parse().ok()).unwrap_or(row.saturating_add(1));
            if attribute(element, "hidden").is_some_and(|hidden| matches!(hidden.as_str(), "1" | "true")) {
                rows.push(row);
            }
        }
    });
    rows.sort_unstable();
    Ok(rows)
}

/// The name of the part that holds this sheet.
fn part_of(archive: &mut ZipArchive<impl Read + Seek>, sheet: &str) -> Option<String> {
    let workbook = archive.file_names().flatten().find(|name| is_workbook_part(name))?.into_owned();
    let (directory, file) = workbook.rsplit_once('/').unwrap_or(("", &workbook));
    let (mut relation, mut target) = (None, None);
    each_element(archive, &workbook, |element| {
        if element.local_name().as_ref() == "sheet" && attribute(element, "name").as_deref() == Some(sheet) {
            relation = attribute(element, "id");
        }
    });
    each_element(archive, &format!("{directory}/_rels/{file}.rels"), |element| {
        if relation.is_some() && attribute(element, "Id") == relation {
            target = attribute(element, "Target");
        }
    });
    let target = target?;
    Some(target.strip_prefix('/').map_or_else(|| format!("{directory}/{target}"), str::to_owned))
}

fn is_workbook_part(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|file| file.eq_ignore_ascii_case("workbook.xml"))
}

/// Shows every element of a part that begins, as far as the part can be read.
fn each_element(archive: &mut ZipArchive<impl Read + Seek>, part: &str, mut show: impl FnMut(&BytesStart<'_>)) {
    let Ok(part) = archive.by_name(part) else { return };
    let mut reader = Reader::from_reader(BufReader::new(part));
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(element) | Event::Empty(element)) => show(&element),
            Ok(Event::Eof) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// An attribute by its name without a prefix.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = element.attributes();
    let found =
        attributes.with_checks(false).flatten().find(|attribute| attribute.key.local_name().as_ref() == name)?;
    found.normalized_value(XmlVersion::Implicit1_0).ok().map(std::borrow::Cow::into_owned)
}
