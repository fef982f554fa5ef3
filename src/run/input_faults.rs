//! What is wrong with an input, as people and scripts are told.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::exit::{CommandError, ExitStatus};
use crate::input::{Doubt, Excerpt, InputError, Sheet};
use crate::model::{Requests, Tag};
use crate::plan::operations::{Conflict, Operations};
use crate::report::Screen;
use crate::words::{counted, group_digits};

/// The most contradictions that are listed.
const LISTED_CONFLICTS: usize = 5;

/// Refuses rows that contradict each other; all of them are listed.
pub(super) fn refuse_conflicts(
    name: &str,
    requests: &Requests,
    operations: &Operations,
    screen: &Screen,
) -> Result<(), CommandError> {
    if operations.conflicts.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> =
        operations.conflicts.iter().take(LISTED_CONFLICTS).map(|conflict| conflict.describe(requests)).collect();
    let more = operations.conflicts.len() - lines.len();
    if more > 0 {
        let rows: Vec<String> = operations
            .conflicts
            .iter()
            .skip(LISTED_CONFLICTS)
            .take(LISTED_CONFLICTS)
            .map(|conflict| conflict.later.row.to_string())
            .collect();
        let ellipsis = if more > rows.len() { ", …" } else { "" };
        let more = counted(more as u64, "more contradiction, in row", "more contradictions, in rows");
        lines.push(format!("and {more} {}{ellipsis}", rows.join(", ")));
    }
    show_lines(name, &lines, "error", screen);
    let mut error = CommandError::text(
        ExitStatus::InputRefused,
        format!("{name} contradicts itself, so nothing was sent"),
        Some("--skip-invalid does not help here, since only you can say which row is meant"),
    );
    error.findings = conflict_findings(&operations.conflicts, requests);
    Err(error)
}

/// A few contradictions one by one; many are one finding, as many problems of one kind are.
fn conflict_findings(conflicts: &[Conflict], requests: &Requests) -> Vec<Value> {
    let rows_of_one = if conflicts.len() > LISTED_CONFLICTS { conflicts.len() } else { 1 };
    let place = |conflict: &Conflict| json!({"row": conflict.later.row, "line": conflict.later.line});
    let finding = |group: &[Conflict]| {
        let (first, places) = (group.first()?, group.iter().take(LISTED_CONFLICTS).map(place));
        Some(json!({"code": "contradiction", "row": first.later.row, "line": first.later.line, "column": null,
            "message": first.describe(requests), "accept": null, "rows": group.len(), "places": places.collect::<Vec<_>>()}))
    };
    conflicts.chunks(rows_of_one).filter_map(finding).collect()
}

pub(super) fn unusable_json(error: &InputError) -> Value {
    json!({"code": error.code(), "row": null, "line": error.line(), "column": null, "message": error.to_string(),
        "accept": error.doubt().map(Doubt::name), "rows": null, "places": []})
}

pub(super) fn refused(name: &str, bad_rows: usize, sheet: &Sheet) -> CommandError {
    let (message, hint) = if sheet.is_refused() {
        (
            format!("the structure of {name} is in error, so nothing was sent"),
            "fix the findings above; --skip-invalid does not help here, since rows may be missing",
        )
    } else {
        (
            format!("{name} has {} in error, so nothing was sent", rows_text(bad_rows, sheet.row_count)),
            "fix these rows, or add --skip-invalid to run the others",
        )
    };
    CommandError::text(ExitStatus::InputRefused, message, Some(hint))
}

fn rows_text(count: usize, of: u32) -> String {
    format!("{} of {}", counted(count as u64, "row", "rows"), group_digits(u64::from(of)))
}

pub(super) fn show_lines(name: &str, lines: &[String], word: &str, screen: &Screen) {
    if lines.is_empty() {
        return;
    }
    let mut text = String::new();
    for line in lines {
        // Writing into a string cannot fail.
        let _written = writeln!(text, "{word}: {name}: {line}");
    }
    screen.line(text.trim_end());
}

pub(super) fn show_warnings(name: &str, sheet: &Sheet, screen: &Screen) {
    for warning in &sheet.warnings {
        screen.warning(&format!("{name}: {warning}"));
    }
    if sheet.further_warnings > 0 {
        screen.warning(&format!("{name}: and {}", more_tags(u64::from(sheet.further_warnings))));
    }
}

/// What is said of a tag by which the portal cannot filter.
pub(super) fn portal_warning(tag: &Tag) -> String {
    let tag = Excerpt::new(tag.as_str());
    format!("the tag \"{tag}\" holds a parenthesis or a comma, so the portal cannot filter by it")
}

/// Tags that are as odd as those that were named.
pub(super) fn more_tags(more: u64) -> String {
    counted(more, "more tag like these", "more tags like these")
}
