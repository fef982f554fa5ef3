//! Rows that a spreadsheet does not show, because a filter or somebody hides them.
//!
//! The reader of cells says nothing about rows, so the sheet's part is looked through once more. It is found as that reader
//! finds it, from the package's relations to the workbook's part and from there to the sheet's (ECMA-376, part 1, 18.2.19
//! and 18.3.1.73; part 2, 6.5). Where that does not lead to the sheet, the workbook is damaged: nobody knows what is hidden.

use std::io::{BufReader, Read, Seek};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zip::ZipArchive;

use super::error::WorkbookError;

const DAMAGED: WorkbookError = WorkbookError::Damaged(None);

/// The rows of this sheet that are hidden, from 1, in ascending order.
pub(super) fn hidden_rows(source: impl Read + Seek, sheet: &str) -> Result<Vec<u32>, WorkbookError> {
    let mut archive = ZipArchive::new(source).map_err(|_| DAMAGED)?;
    let part = part_of(&mut archive, sheet)?;
    let (mut rows, mut row) = (Vec::new(), Some(0_u32));
    each_element(&mut archive, &part, |element| {
        if element.local_name().as_ref() == "row" {
            // One without a number of its own is the next.
            row = match attribute(element, "r") {
                Some(number) => number.parse().ok(),
                None => row.and_then(|row| row.checked_add(1)),
            };
            if attribute(element, "hidden").is_some_and(|hidden| matches!(hidden.as_str(), "1" | "true")) {
                rows.push(row);
            }
        }
    })?;
    let mut rows: Vec<u32> = rows.into_iter().collect::<Option<_>>().ok_or(DAMAGED)?;
    rows.sort_unstable();
    Ok(rows)
}

/// The name of the part that holds this sheet.
fn part_of(archive: &mut ZipArchive<impl Read + Seek>, sheet: &str) -> Result<String, WorkbookError> {
    let workbook = target(archive, "_rels/.rels", |relation| {
        attribute(relation, "Type").is_some_and(|kind| kind.ends_with("/relationships/officeDocument"))
    })?;
    let workbook = workbook.strip_prefix('/').unwrap_or(&workbook);
    let (directory, file) = workbook.rsplit_once('/').map_or(("", workbook), |(directory, file)| (directory, file));
    let in_directory = |name: &str| if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
    let mut relation = None;
    each_element(archive, workbook, |element| {
        let is_meant = || attribute(element, "name").as_deref() == Some(sheet);
        if relation.is_none() && element.local_name().as_ref() == "sheet" && is_meant() {
            relation = attribute(element, "id");
        }
    })?;
    let relation = relation.ok_or(DAMAGED)?;
    let target = target(archive, &in_directory(&format!("_rels/{file}.rels")), |element| {
        attribute(element, "Id").as_deref() == Some(&relation)
    })?;
    Ok(target.strip_prefix('/').map_or_else(|| in_directory(&target), str::to_owned))
}

/// The target of the last relation of a part of relations that is meant.
fn target(
    archive: &mut ZipArchive<impl Read + Seek>,
    part: &str,
    is_meant: impl Fn(&BytesStart<'_>) -> bool,
) -> Result<String, WorkbookError> {
    let mut target = None;
    each_element(archive, part, |element| {
        if element.local_name().as_ref() == "Relationship" && is_meant(element) {
            target = attribute(element, "Target");
        }
    })?;
    target.ok_or(DAMAGED)
}

/// Shows every element of a part that begins. Parts have the same name in either case, and with either slash.
fn each_element(
    archive: &mut ZipArchive<impl Read + Seek>,
    part: &str,
    mut show: impl FnMut(&BytesStart<'_>),
) -> Result<(), WorkbookError> {
    let is_meant = |name: &str| name.replace('\\', "/").eq_ignore_ascii_case(part);
    let name = archive.file_names().flatten().filter(|name| is_meant(name)).last().ok_or(DAMAGED)?.into_owned();
    let part = archive.by_name(&name).map_err(|_| DAMAGED)?;
    let mut reader = Reader::from_reader(BufReader::new(part));
    // The reader of cells lets them pass, too.
    reader.config_mut().check_end_names = false;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(|_| DAMAGED)? {
            Event::Start(element) | Event::Empty(element) => show(&element),
            Event::Eof => return Ok(()),
            _ => {}
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
