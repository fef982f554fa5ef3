//! The parts of a workbook's package.
//!
//! A sheet's part is found as the reader of cells finds it, from the package's relations to the workbook's part and from
//! there to the sheet's (ECMA-376, part 1, 18.2.19; part 2, 6.5). Where that does not lead to the sheet, the workbook is
//! damaged: nobody knows what it shows.

use std::io::{BufReader, Read, Seek};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zip::ZipArchive;

use super::error::WorkbookError;

pub(super) const DAMAGED: WorkbookError = WorkbookError::Damaged(None);

/// The name of the part that holds this sheet.
pub(super) fn part_of(archive: &mut ZipArchive<impl Read + Seek>, sheet: &str) -> Result<String, WorkbookError> {
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

/// Shows every element of a part that begins.
fn each_element(
    archive: &mut ZipArchive<impl Read + Seek>,
    part: &str,
    mut show: impl FnMut(&BytesStart<'_>),
) -> Result<(), WorkbookError> {
    each_event(archive, part, |event| {
        if let Event::Start(element) = event {
            show(element);
        }
        Ok(())
    })
}

/// Shows every event of a part; an empty element begins and ends. Parts have the same name in either case, and with either
/// slash.
pub(super) fn each_event(
    archive: &mut ZipArchive<impl Read + Seek>,
    part: &str,
    mut show: impl FnMut(&Event<'_>) -> Result<(), WorkbookError>,
) -> Result<(), WorkbookError> {
    let is_meant = |name: &str| name.replace('\\', "/").eq_ignore_ascii_case(part);
    let name = archive.file_names().flatten().filter(|name| is_meant(name)).last().ok_or(DAMAGED)?.into_owned();
    let part = archive.by_name(&name).map_err(|_| DAMAGED)?;
    let mut reader = Reader::from_reader(BufReader::new(part));
    // The reader of cells lets them pass, too.
    reader.config_mut().check_end_names = false;
    reader.config_mut().expand_empty_elements = true;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(|_| DAMAGED)? {
            Event::Eof => return Ok(()),
            event => show(&event)?,
        }
    }
}

/// An attribute by its name without a prefix.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = element.attributes();
    let found =
        attributes.with_checks(false).flatten().find(|attribute| attribute.key.local_name().as_ref() == name)?;
    found.normalized_value(XmlVersion::Implicit1_0).ok().map(std::borrow::Cow::into_owned)
}
