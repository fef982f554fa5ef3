//! What people and scripts get to see: consumers of the engine's events, and readers of the store.
//!
//! Nothing here changes a run. Data goes to standard output, everything else to standard error; nothing is written to a
//! terminal without passing [`screen::Screen`], which keeps lines and the progress bar apart.

mod advice;
mod counts;
mod earlier;
mod exported;
mod files;
mod frame;
mod holder;
mod listed;
mod live_status;
mod log_format;
pub(crate) mod logging;
mod machines;
mod metrics;
mod metrics_file;
mod obstacle;
mod output_queue;
mod pace;
mod page;
mod pings;
mod plan;
mod preflight;
mod problem;
mod progress;
mod reading;
mod reasons;
mod reserved;
mod results;
mod row;
mod runs;
mod screen;
mod spent;
mod standard_output;
mod state;
mod streams;
mod style;
mod summary;
mod tags;
mod target;
mod terminal;
mod verification;
mod wrapping;

#[cfg(any(test, fuzzing))]
pub(crate) use earlier::{ExistingFile, existing_file_at, run_id};
pub(crate) use exported::ExportedColumns;
pub(crate) use frame::{Ending, Invocation, joined};
pub(crate) use holder::describe_holders;
pub(crate) use listed::{Fields, ListBuilder, ListedFields};
pub(crate) use live_status::LiveStatus;
pub(crate) use machines::{COLUMNS as MACHINE_COLUMNS, MachinesError, MachinesFile, MachinesSheet, MachinesTarget};
pub(crate) use metrics_file::MetricsFile;
pub(crate) use obstacle::hindrance_problem;
pub(crate) use page::{Page, PageError, PageTarget};
pub(crate) use pings::{PingFailure, PingOccasion, PingStyle, PingSubject};
pub(crate) use plan::PlanReport;
pub(crate) use preflight::{Preflight, Setting};
pub(crate) use problem::{Problem, ProblemSource};
pub(crate) use progress::ProgressReport;
pub(crate) use reading::{ReadingReport, reading_code, reading_json, reading_problem};
pub(crate) use reasons::causes;
pub(crate) use reserved::{Reserved, ReservedError};
#[cfg(test)]
pub(crate) use results::ErrorGroup;
pub(crate) use results::{Totals, write_results};
pub(crate) use runs::{RunList, RunView};
pub(crate) use screen::{ColorChoice, OutputError, Screen};
pub(crate) use state::StateView;
#[cfg(any(test, fuzzing))]
pub(crate) use streams::Streams;
pub(crate) use summary::{RunSummary, describe_end, kept_text, results_json};
pub(crate) use tags::TagsReport;
pub(crate) use target::{ResultsError, ResultsTarget};
pub(crate) use verification::{RowFinding, VerificationTotals, row_findings, write_verification_to};
