//! How a command ends: that it does, with a status that fits its rows, and with every row of its file.

use super::guarding::WITHHELD;
use super::{Case, Deed, Kind, ResultRow, Row, Told};
use crate::run::histories::drawing::LAST_LABELS;
use crate::run::histories::history::{Nature, Reference};
use crate::run::histories::service::{machine_id, machine_name};
use crate::run::histories::telling::End;
use crate::run::histories::truth::Wish;

/// Why a row may be left out of a run that is done.
const LEFT_ON_PURPOSE: [&str; 4] = ["beyond_limit", "changed_since", "undone", "unknown_before"];

/// Judges a command's end.
pub(super) fn judge(case: &Case<'_>, told: &Told, note: &mut dyn FnMut(Kind, String)) {
    let status = match &told.end {
        End::Panicked(what) => return note(Kind::NoEnd, format!("it panicked: {what}")),
        End::Endless => return note(Kind::NoEnd, "it does not end".into()),
        End::Killed => return,
        End::Exited(status) => *status,
    };
    if told.was_calm
        && let Some(what) = unexplained(case, told, status)
    {
        note(Kind::ExitStatus, format!("{what}, in fair weather: {}", last_words(&told.text)));
    }
    if matches!(status, 70 | 7) && !told.was_calm {
        note(Kind::ExitStatus, format!("it ended with {status}: {}", last_words(&told.text)));
    }
    if let (Deed::Apply(_) | Deed::Order(_), Some(results), Some((_, file))) = (told.deed, &told.results, &told.file) {
        rows_are_all_there(case, told, results, file, note);
    }
    if matches!(told.deed, Deed::Apply(_) | Deed::Order(_) | Deed::ApplyRules(_))
        && matches!(status, 0 | 1)
        && told.results.is_none()
    {
        note(Kind::RowsDiffer, format!("it ended with {status} and wrote no results"));
    }
    if let (false, Some(results)) = (told.deed.only_looks(), &told.results) {
        status_fits(status, results, note);
    }
    if told.label == LAST_LABELS + 1 {
        progress(case, told, status, note);
    }
}

/// When all is well again, the second time at the latest the file is brought about.
fn progress(case: &Case<'_>, told: &Told, status: u8, note: &mut dyn FnMut(Kind, String)) {
    // Where nobody is listed, nobody can be told from nobody.
    let somebody_is_listed = (0..case.history.machines.len()).any(|machine| case.is_always_listed(machine));
    if status == 4 && !somebody_is_listed {
        return;
    }
    if !matches!(status, 0 | 1 | 3) {
        return note(Kind::NoProgress, format!("it ended with {status}: {}", last_words(&told.text)));
    }
    let is_well = |row: &&ResultRow| {
        let machine = row.machine.and_then(|machine| case.history.machines.get(machine));
        machine.is_some_and(|machine| machine.nature == Nature::Well)
    };
    let is_done = |row: &ResultRow| matches!(row.status.as_str(), "succeeded" | "unchanged");
    // A name leads to nobody where the list shows nobody, and a row in error may mean an add that others wait for.
    let is_in_order = |row: &&ResultRow| {
        let is_listed = row.machine.is_some_and(|machine| case.is_always_listed(machine));
        let mut others = told.results.iter().flatten();
        let waits = row.code == "waits_for_add"
            && others.any(|other| other.status == "invalid" && other.machine == row.machine);
        row.status != "invalid" && row.code != WITHHELD && !waits && (is_listed || row.code != "machine_not_found")
    };
    let left = told.results.iter().flatten().filter(is_well).filter(is_in_order).find(|row| !is_done(row));
    if let Some(row) = left {
        note(Kind::NoProgress, format!("row {} still says {} {} {}", row.number, row.status, row.code, row.message));
    }
}

/// What cannot be explained where nothing went wrong.
fn unexplained(case: &Case<'_>, told: &Told, status: u8) -> Option<String> {
    let is_verify = matches!(told.deed, Deed::Verify(_) | Deed::VerifyRules(_));
    let has_company = told.had_company;
    let nobody_is_listed = !(0..case.history.machines.len()).any(|machine| case.is_always_listed(machine));
    // An app that may touch no machine of a file cannot be told from one that may touch none.
    let all_are_refused = case.history.machines.iter().all(|machine| machine.nature == Nature::Protected);
    match status {
        0 | 1 | 3 => None,
        10 if is_verify => None,
        // A run that cannot be resumed or taken back: by its name, which is wrong or nobody's.
        2 if matches!(told.deed, Deed::Resume(_) | Deed::Undo(_)) => None,
        4 if nobody_is_listed || all_are_refused => None,
        6 if has_company => None,
        5 if told.options.deadline.is_some() => None,
        status => Some(format!("it ended with {status}")),
    }
}

fn status_fits(status: u8, results: &[ResultRow], note: &mut dyn FnMut(Kind, String)) {
    let is_bad =
        |row: &&ResultRow| matches!(row.status.as_str(), "failed" | "unknown" | "invalid") || row.code == WITHHELD;
    let first_bad = results.iter().find(is_bad);
    match (status, first_bad) {
        (0, Some(row)) => {
            note(Kind::ExitStatus, format!("it ended with 0, and row {} says {}", row.number, row.status));
        }
        (1, None) => note(Kind::ExitStatus, "it ended with 1, and no row is bad".into()),
        _ => {}
    }
    // What waits for a row that is left out on purpose is left out, too.
    let some_are_left = results.iter().any(|row| matches!(row.code.as_str(), "beyond_limit" | "changed_since"));
    let is_on_purpose = |code: &str| LEFT_ON_PURPOSE.contains(&code) || (code == "waits_for_add" && some_are_left);
    let left = |row: &&ResultRow| row.status == "not_attempted" && !is_on_purpose(&row.code);
    if let (0, Some(row)) = (status, results.iter().find(left)) {
        note(Kind::ExitStatus, format!("it ended with 0, and row {} was left out: {}", row.number, row.code));
    }
}

/// The cells of a row, as its file has them.
pub(in crate::run::histories) fn cells(row: &Row) -> Vec<String> {
    let name = machine_name(row.machine);
    let machine = match row.reference {
        Reference::Id => machine_id(row.machine),
        Reference::IdInUpperCase => machine_id(row.machine).to_uppercase(),
        Reference::Name => name,
        Reference::ShortName => name.split('.').next().unwrap_or_default().to_owned(),
    };
    let mut cells = vec![machine, String::new(), String::new(), String::new()];
    for wish in &row.wishes {
        match wish {
            Wish::Add(tag) => (cells[1], cells[2]) = (tag.clone(), "Add".into()),
            Wish::Remove(tag) => (cells[1], cells[2]) = (tag.clone(), "Remove".into()),
            Wish::Set(value) => cells[3] = value.to_string(),
        }
    }
    if row.wishes.is_empty() {
        (cells[1], cells[2]) = ("x".into(), "Sing".into());
    }
    cells
}

fn rows_are_all_there(
    case: &Case<'_>,
    told: &Told,
    results: &[ResultRow],
    file: &[Row],
    note: &mut dyn FnMut(Kind, String),
) {
    // Rows that are not meant are no rows of the run; which are meant is judged elsewhere.
    let all_are_meant = told.options.choice.is_none() && !keeps_rows(case, told);
    if all_are_meant && results.len() != file.len() {
        return note(
            Kind::RowsDiffer,
            format!("{} rows were answered, and the file has {}", results.len(), file.len()),
        );
    }
    if !results.is_sorted_by(|one, next| one.number < next.number) {
        return note(Kind::RowsDiffer, "rows are answered twice, or not in their order".into());
    }
    let says_it = told.deed.orders().is_none();
    for result in results {
        let number = result.number;
        let Some(row) = number.checked_sub(1).and_then(|place| file.get(place)) else {
            return note(Kind::RowsDiffer, format!("row {number} is none of the file's"));
        };
        let columns = if says_it { 4 } else { 1 };
        if result.cells[..columns] != cells(row)[..columns] {
            let text =
                format!("row {number} of the results is {:?}, and that of the file {:?}", result.cells, cells(row));
            return note(Kind::RowsDiffer, text);
        }
        let known = ["succeeded", "unchanged", "failed", "unknown", "not_attempted", "invalid"];
        // Without an inventory there are no names; and a tag that the file writes in two ways is a mistake of its own.
        let is_name = matches!(row.reference, Reference::Name | Reference::ShortName);
        let is_variant = result.code == "case_variant" && file.iter().any(|other| differs_in_case(row, other));
        let must_be_invalid = (says_it && row.wishes.is_empty()) || (is_name && told.options.no_inventory);
        let fits = (result.status == "invalid") == (must_be_invalid || is_variant);
        if !known.contains(&result.status.as_str()) || !fits {
            note(Kind::RowsDiffer, format!("row {number} says {:?}", result.status));
        }
    }
}

/// Whether the command may have resumed a run that keeps the rows which it selected when it began.
fn keeps_rows(case: &Case<'_>, told: &Told) -> bool {
    let began_it =
        case.beginning_of(told.run.as_deref().unwrap_or_default()).is_some_and(|it| it.number == told.number);
    told.deed.orders().is_some() && !began_it
}

/// Whether two rows name the same tag in different ways.
pub(super) fn differs_in_case(row: &Row, other: &Row) -> bool {
    let tags = |row: &Row| -> Vec<String> {
        let tag = |wish: &Wish| match wish {
            Wish::Add(tag) | Wish::Remove(tag) => Some(tag.clone()),
            Wish::Set(_) => None,
        };
        row.wishes.iter().filter_map(tag).collect()
    };
    let others = tags(other);
    tags(row).iter().any(|tag| others.iter().any(|other| tag != other && tag.to_lowercase() == other.to_lowercase()))
}

/// The end of what was said, on one line.
fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
}
