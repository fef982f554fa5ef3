//! Which rows hold: a line for each row as CSV, and the counts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::target::{ResultsError, ResultsTarget, check_sheet};
use super::writing::write_file;
use crate::input::{Sheet, VERIFICATION_COLUMNS, added_names, records};
use crate::model::{OperationId, ReferenceNumber, RowNumber};
use crate::outside::Outside;
use crate::plan::recent::Held;
use crate::plan::verification::Finding;
use crate::report::files::reserved::Reserved;
use crate::report::output::screen::Screen;
use crate::words::group_digits;

/// What a UTF-8 file may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What was found about one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowFinding {
    pub row: RowNumber,
    /// The worst of what it asks for; `None` for a row in error.
    pub finding: Option<Finding>,
    /// What is there: of two, the tag first, joined by `; `.
    pub found: String,
    /// Why the machine is unknown, or what is wrong with the row.
    pub message: String,
}

/// The rows of a sheet, each with what was found. `there` puts into words what an operation's machine holds, `failure` says
/// why a machine that is named so is unknown, `invalid` what is wrong with a row that asks for nothing.
pub(crate) fn row_findings(
    sheet: &Sheet,
    of_request: &[OperationId],
    findings: &[(Finding, Held)],
    there: impl Fn(OperationId, Held) -> Cow<'static, str>,
    failure: impl Fn(ReferenceNumber) -> String,
    invalid: impl Fn(RowNumber) -> String,
) -> Vec<RowFinding> {
    let mut rows = Vec::with_capacity(sheet.row_count as usize);
    let mut requests = sheet.requests.all.iter().zip(of_request).peekable();
    for row in sheet.row_numbers() {
        let mut result = RowFinding { row, finding: None, found: String::new(), message: String::new() };
        while let Some((request, operation)) = requests.next_if(|(request, _)| request.row == row) {
            let Some((finding, held)) = findings.get(operation.0 as usize) else { continue };
            result.finding = result.finding.max(Some(*finding));
            if !result.found.is_empty() {
                result.found.push_str("; ");
            }
            result.found.push_str(&there(*operation, *held));
            if *finding == Finding::UnknownMachine {
                result.message = failure(request.machine);
            }
        }
        if result.finding.is_none() {
            result.message = invalid(row);
        }
        rows.push(result);
    }
    rows
}

/// How many rows there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VerificationTotals {
    /// Rows of each finding.
    pub findings: BTreeMap<Finding, u64>,
    /// Rows in error.
    pub invalid: u64,
    /// Machines about which rules that made the rows are undecided: nothing is asked of them there.
    pub undecided_machines: u64,
}

impl VerificationTotals {
    /// Counts rows.
    pub(crate) fn of(rows: &[RowFinding]) -> Self {
        let mut totals = Self::default();
        for row in rows {
            match row.finding {
                Some(finding) => *totals.findings.entry(finding).or_default() += 1,
                None => totals.invalid += 1,
            }
        }
        totals
    }

    /// Rows with this finding.
    pub(crate) fn count(&self, finding: Finding) -> u64 {
        self.findings.get(&finding).copied().unwrap_or(0)
    }

    /// What the object for `--json` says of the rows.
    pub(crate) fn json(&self, list_calls: u64, output: Option<&str>) -> Value {
        let rows: u64 = self.findings.values().sum::<u64>() + self.invalid;
        json!({
            "rows": rows,
            "holds": self.count(Finding::Holds),
            "differs": self.count(Finding::Differs),
            "pending": self.count(Finding::Pending),
            "not_shown": self.count(Finding::NotShown),
            "unknown_machine": self.count(Finding::UnknownMachine),
            "invalid": self.invalid,
            "calls": {"list": list_calls},
            "output": output,
        })
    }

    /// The text for people.
    pub(crate) fn text(&self) -> String {
        let pending = "pending (tagfleet wrote there within the last 15 minutes, and the list may not show that yet)";
        let words = [
            (self.count(Finding::Holds), "holds", "hold"),
            (self.count(Finding::Differs), "differs", "differ"),
            (self.count(Finding::Pending), pending, pending),
            (self.count(Finding::NotShown), "is not shown by the service", "are not shown by the service"),
            (self.count(Finding::UnknownMachine), "names an unknown machine", "name unknown machines"),
            (self.invalid, "is in error", "are in error"),
        ];
        let mut text = String::new();
        for (count, one, many) in words {
            if count > 0 {
                let what = if count == 1 { one } else { many };
                // Writing into a string cannot fail.
                let _written = writeln!(text, "  {:>11} {what}", group_digits(count));
            }
        }
        text
    }
}

impl ResultsTarget {
    /// Checks before the first call that the rows of a verification can be written here.
    ///
    /// # Errors
    /// [`ResultsError`] when the target is a directory or a file that has another purpose, or no file can be made beside it.
    pub(crate) fn check_for_verification(&self, reserved: &Reserved) -> Result<(), ResultsError> {
        self.results().map_or(Ok(()), |results| check_sheet(results, reserved, &VERIFICATION_COLUMNS))
    }
}

/// Writes the rows with what was found to a file, or to standard output.
///
/// # Errors
/// [`ResultsError`] when it cannot be written; the file is as it was then.
pub(crate) fn write_verification_to(
    sheet: &mut Sheet,
    rows: &[RowFinding],
    target: &ResultsTarget,
    screen: &Screen,
) -> Result<(), ResultsError> {
    match target {
        ResultsTarget::StandardOutput => {
            let source = |source| ResultsError::File { path: "standard output".into(), source };
            write_verification(sheet, rows, screen.data_stream()).map_err(source)
        }
        ResultsTarget::Device(results) | ResultsTarget::File { results, .. } => {
            write_file(results, screen, |file| write_verification(sheet, rows, file))
        }
    }
}

/// Writes the rows with what was found: the input's columns, then `row, result, found, message`.
///
/// # Errors
/// When the target cannot be written, or the input's text cannot be read again.
fn write_verification(sheet: &mut Sheet, rows: &[RowFinding], mut target: impl Write) -> io::Result<()> {
    if sheet.dialect.byte_order_mark {
        target.write_all(BYTE_ORDER_MARK)?;
    }
    let delimiter = sheet.dialect.delimiter;
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).flexible(true).from_writer(target);
    let header: Vec<String> = sheet.header.clone();
    let added = added_names(&header, &VERIFICATION_COLUMNS);
    writer.write_record(header.iter().chain(&added))?;
    let width = header.len();
    let mut findings = rows.iter();
    for chunk in sheet.chunks() {
        let chunk = chunk.map_err(io::Error::other)?;
        for record in records(delimiter, chunk.text.as_bytes()) {
            let Some(finding) = findings.next() else { break };
            let mut cells: Vec<Vec<u8>> = record.iter().take(width).map(<[u8]>::to_vec).collect();
            cells.resize(width, Vec::new());
            let result = finding.finding.map_or("invalid", Finding::as_str);
            cells.push(finding.row.to_string().into_bytes());
            cells.push(result.as_bytes().to_vec());
            cells.push(Outside::new(&finding.found).cell().into_bytes());
            cells.push(Outside::new(&finding.message).cell().into_bytes());
            writer.write_record(cells)?;
        }
    }
    writer.flush()
}
