//! Reading the input for a command: where it is, what is wrong with it, what it comes to.

use std::fmt::Write as _;
use std::io::{self, Read};

use crate::exit::{CommandError, ExitStatus};
use crate::input::{Excerpt, InputError, InputOptions, Sheet, read};
use crate::model::MachineReference;
use crate::model::RowNumber;
use crate::plan::operations::Operations;
use crate::plan::resolution::Resolution;
use crate::report::Screen;

/// The most problems that are listed; a file with more of them has one problem.
const LISTED_PROBLEMS: usize = 10_000;

/// Opens the bytes of an input; called once, on a thread that may block.
pub(crate) type OpenInput = Box<dyn FnOnce() -> io::Result<Box<dyn Read>> + Send>;

/// An input, and how it is to be read.
pub(crate) struct InputOrder {
    /// The name in messages.
    pub(crate) name: String,
    /// The name in the database: the same file has the same name wherever it is named from.
    pub(crate) path: String,
    /// Whether the same path is the same input next time; it is not for standard input.
    pub(crate) is_file: bool,
    /// The bytes.
    pub(crate) open: OpenInput,
    /// How they are decoded.
    pub(crate) options: InputOptions,
    /// Whether the valid rows of a file are run that has bad ones.
    pub(crate) skip_invalid: bool,
    /// Whether machines may be named; without an inventory there is nothing to look their names up in.
    pub(crate) names_allowed: bool,
}

/// An input that may be run: what is asked for, and the rows that are left out because they are in error.
pub(crate) struct CheckedInput {
    /// The name in messages.
    pub(super) name: String,
    /// The name in the database.
    pub(super) path: String,
    /// Whether the same path is the same input next time.
    pub(super) is_file: bool,
    pub(super) sheet: Sheet,
    pub(super) invalid: Vec<InvalidRow>,
}

impl CheckedInput {
    /// The machines that it names, as they stand there.
    pub(crate) fn machines(&self) -> &[MachineReference] {
        &self.sheet.machines
    }

    /// Rows in error.
    pub(super) fn invalid_rows(&self) -> u64 {
        count_rows(&self.invalid) as u64
    }
}

/// A row in error.
pub(super) struct InvalidRow {
    pub(super) row: RowNumber,
    pub(super) code: &'static str,
    pub(super) message: String,
}

#[derive(Debug, thiserror::Error)]
#[error("{name} cannot be used")]
struct UnusableInput {
    name: String,
    #[source]
    source: InputError,
}

/// Reads and checks the input. Every problem is shown with its row and line; unless bad rows are to be skipped, they
/// refuse the file. Names are problems where no inventory is read to look them up in.
pub(crate) async fn check_input(order: InputOrder, screen: &Screen) -> Result<CheckedInput, CommandError> {
    let screen = screen.clone();
    let checking = tokio::task::spawn_blocking(move || check_blocking(order, &screen));
    checking.await.map_err(|error| CommandError::new(ExitStatus::Bug, error, None))?
}

/// The same for rows of our own making, which are always in order.
pub(super) fn check_text(name: String, text: &[u8], screen: &Screen) -> Result<CheckedInput, CommandError> {
    let unusable =
        |source| CommandError::new(ExitStatus::StorageFailed, UnusableInput { name: name.clone(), source }, None);
    let sheet = read(text, &InputOptions::default()).map_err(unusable)?;
    refuse_conflicts(&name, &sheet, &Operations::of(&sheet, &Resolution::of(&sheet, None)), screen)?;
    Ok(CheckedInput { path: name.clone(), name, is_file: false, sheet, invalid: Vec::new() })
}

fn check_blocking(order: InputOrder, screen: &Screen) -> Result<CheckedInput, CommandError> {
    let InputOrder { name, path, is_file, open, options, skip_invalid, names_allowed } = order;
    let mut sheet = read_sheet(&name, open, &options)?;
    let mut lines = Vec::new();
    let mut invalid = Vec::new();
    for problem in &sheet.problems {
        lines.push((problem.row, problem.to_string()));
        invalid.push(InvalidRow { row: problem.row, code: problem.kind.code(), message: problem.kind.to_string() });
    }
    if !names_allowed {
        for (row, line, reason) in named_machines(&sheet) {
            lines.push((row, format!("row {row}, line {line}: {reason}")));
            invalid.push(InvalidRow { row, code: "not_a_machine_id", message: reason });
        }
    }
    lines.sort_by_key(|(row, _)| *row);
    invalid.sort_by_key(|invalid| invalid.row);
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    if !lines.is_empty() {
        show_problems(&name, &lines, if skip_invalid { "warning" } else { "error" }, screen);
        if !skip_invalid {
            return Err(refused(&format!(
                "{name} has {} in error, so nothing was sent",
                rows_text(count_rows(&invalid), sheet.row_count)
            )));
        }
        let bad: std::collections::HashSet<RowNumber> = invalid.iter().map(|invalid| invalid.row).collect();
        sheet.requests.retain(|request| !bad.contains(&request.row));
    }
    show_warnings(&name, &sheet, screen);
    // Before anybody signs in; names may show further ones.
    refuse_conflicts(&name, &sheet, &Operations::of(&sheet, &Resolution::of(&sheet, None)), screen)?;
    Ok(CheckedInput { name, path, is_file, sheet, invalid })
}

/// Rows whose machine is not named by its id, once for each row, with what is wrong with that.
fn named_machines(sheet: &Sheet) -> Vec<(RowNumber, u32, String)> {
    let mut named: Vec<(RowNumber, u32, String)> = Vec::new();
    for request in &sheet.requests {
        let Some(reference @ MachineReference::Name(name)) = sheet.machines.get(request.machine as usize) else {
            continue;
        };
        if named.last().is_some_and(|(row, ..)| *row == request.row) {
            continue;
        }
        let advice = if reference.looks_like_damaged_id() {
            "is it a damaged id? A spreadsheet may have cut it"
        } else {
            "give the id, or leave --no-inventory out, so that names can be looked up"
        };
        let name = Excerpt::new(name);
        let reason = format!("\"{name}\" is no machine id of 40 hexadecimal digits; {advice}");
        named.push((request.row, request.line, reason));
    }
    named
}

/// Refuses rows that contradict each other; all of them are listed.
pub(super) fn refuse_conflicts(
    name: &str,
    sheet: &Sheet,
    operations: &Operations,
    screen: &Screen,
) -> Result<(), CommandError> {
    if operations.conflicts.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = operations.conflicts.iter().map(|conflict| conflict.describe(sheet)).collect();
    show_problems(name, &lines, "error", screen);
    Err(CommandError::text(
        ExitStatus::InputRefused,
        format!("{name} contradicts itself, so nothing was sent"),
        Some("a tag cannot be added to and removed from one machine, nor a device have two values, in one run"),
    ))
}

fn read_sheet(name: &str, open: OpenInput, options: &InputOptions) -> Result<Sheet, CommandError> {
    let unusable = |source: InputError| {
        let status = match source {
            InputError::Spool(_) | InputError::Thread(_) => ExitStatus::StorageFailed,
            _ => ExitStatus::InputRefused,
        };
        CommandError::new(status, UnusableInput { name: name.to_owned(), source }, None)
    };
    let bytes = open().map_err(InputError::Read).map_err(unusable)?;
    read(bytes, options).map_err(unusable)
}

fn refused(message: &str) -> CommandError {
    CommandError::text(
        ExitStatus::InputRefused,
        message,
        Some("mend these rows, or add --skip-invalid to run the others"),
    )
}

/// Rows with at least one problem; `invalid` is sorted by row.
fn count_rows(invalid: &[InvalidRow]) -> usize {
    invalid.chunk_by(|one, next| one.row == next.row).count()
}

fn rows_text(count: usize, of: u32) -> String {
    if count == 1 { format!("1 row of {of}") } else { format!("{count} rows of {of}") }
}

fn show_problems(name: &str, lines: &[String], word: &str, screen: &Screen) {
    let mut text = String::new();
    for line in lines.iter().take(LISTED_PROBLEMS) {
        // Writing into a string cannot fail.
        let _written = writeln!(text, "{word}: {name}: {line}");
    }
    if lines.len() > LISTED_PROBLEMS {
        let _written = writeln!(text, "{word}: {name}: and {} more", lines.len() - LISTED_PROBLEMS);
    }
    screen.line(text.trim_end());
}

fn show_warnings(name: &str, sheet: &Sheet, screen: &Screen) {
    for warning in &sheet.warnings {
        screen.warning(&format!("{name}: {warning}"));
    }
    if sheet.further_warnings > 0 {
        screen.warning(&format!("and {} more tags like these", sheet.further_warnings));
    }
}
