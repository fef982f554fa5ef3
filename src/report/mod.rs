//! What people and scripts get to see: consumers of the engine's events, and readers of the store.
//!
//! Nothing here changes a run. Data goes to standard output, everything else to standard error; nothing is written to a
//! terminal without passing [`Screen`], which keeps lines and the progress bar apart.
//!
//! # The rooms
//! Each knows only those below it:
//!
//! - [`page`]: a run as a page of HTML. [`watching`]: metrics and pings. [`views`]: the runs, and the state as a whole.
//! - [`tenant`]: the tenant's machines and tags.
//! - [`course`]: a run's plan, its progress, and the summary at its end.
//! - [`results`]: what became of every row, as CSV.
//! - [`files`]: files that appear complete and replace nobody's work. [`output`]: the ways out to a terminal, a pipe or a log,
//!   and what errors and JSON objects have in common.

mod course;
mod files;
mod output;
mod page;
mod results;
mod tenant;
mod views;
mod watching;

pub(crate) use course::obstacle::hindrance_problem;
pub(crate) use course::plan::PlanReport;
pub(crate) use course::progress::ProgressReport;
pub(crate) use course::reasons::causes;
pub(crate) use course::summary::{RunSummary, describe_end, kept_text, results_json};
pub(crate) use files::atomic::{is_stream, refuse_place_of_stream};
#[cfg(any(test, fuzzing))]
pub(crate) use files::earlier::{ExistingFile, existing_file_at, run_id};
pub(crate) use files::reserved::is_same_file;
pub(crate) use files::reserved::{Reserved, ReservedError};
pub(crate) use output::frame::{Ending, Invocation, joined};
pub(crate) use output::logging;
pub(crate) use output::problem::{Problem, ProblemSource};
pub(crate) use output::screen::{ColorChoice, OutputError, Screen};
pub(crate) use output::standard_output::own_stream;
#[cfg(any(test, fuzzing))]
pub(crate) use output::streams::Streams;
pub(crate) use page::{Page, PageError, PageTarget};
pub(crate) use results::target::{ResultsError, ResultsTarget};
pub(crate) use results::verification::{RowFinding, VerificationTotals, row_findings, write_verification_to};
#[cfg(test)]
pub(crate) use results::writing::ErrorGroup;
pub(crate) use results::writing::{Totals, tally, write_results};
pub(crate) use tenant::foreign_lists::ExportedColumns;
pub(crate) use tenant::listed::{Fields, ListBuilder, ListedFields};
pub(crate) use tenant::machines::{
    COLUMNS as MACHINE_COLUMNS, MachinesError, MachinesFile, MachinesSheet, MachinesTarget,
};
pub(crate) use tenant::reading::{ReadingReport, reading_code, reading_json, reading_problem};
pub(crate) use tenant::tags::TagsReport;
pub(crate) use views::holder::describe_holders;
pub(crate) use views::preflight::{Preflight, Setting};
pub(crate) use views::runs::{RunList, RunView};
pub(crate) use views::state::StateView;
pub(crate) use watching::live_status::LiveStatus;
pub(crate) use watching::metrics_file::{ForeignFile, MetricsFile};
pub(crate) use watching::pings::{PingFailure, PingOccasion, PingStyle, PingSubject};
