//! What people and scripts get to see: consumers of the engine's events, and readers of the store.
//!
//! Nothing here changes a run. Data goes to standard output, everything else to standard error; nothing is written to a
//! terminal without passing [`screen::Screen`], which keeps lines and the progress bar apart.

mod advice;
mod bulletin;
mod counts;
mod earlier;
mod exported;
mod files;
mod frame;
mod hindrance;
mod holder;
mod listed;
mod log_format;
pub mod logging;
mod machines;
mod metrics;
mod metrics_file;
mod outlet;
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

pub use bulletin::{Bulletin, Standing};
#[cfg(any(test, fuzzing))]
pub(crate) use earlier::{Occupant, occupant_of, run_id};
pub use exported::ExportedColumns;
pub use frame::{Ending, Invocation, joined};
pub use hindrance::hindrance_problem;
pub use holder::describe_holders;
pub use listed::{Fields, ListBuilder, ListedFields};
pub use machines::{COLUMNS as MACHINE_COLUMNS, MachinesError, MachinesFile, MachinesSheet, MachinesTarget};
pub use metrics_file::{ForeignFile, MetricsFile};
pub use outlet::Importance;
pub use page::{Page, PageError, PageTarget};
pub use pings::{PingFailure, PingOccasion, PingStyle, PingSubject};
pub use plan::PlanReport;
pub use preflight::{Preflight, Setting};
pub use problem::{Problem, ProblemSource};
pub use progress::ProgressReport;
pub use reading::{ReadingReport, reading_code, reading_json, reading_problem};
pub use reasons::causes;
pub use reserved::{Reserved, ReservedError};
pub use results::{ErrorGroup, ErrorKey, Totals, write_results};
pub use runs::{RunList, RunView};
pub use screen::{ColorChoice, OutputError, Screen};
pub use state::StateView;
pub use streams::Streams;
pub use summary::{RunSummary, describe_end, kept_text, results_json};
pub use tags::TagsReport;
pub use target::{ResultsError, ResultsTarget};
pub use verification::{RowFinding, VerificationTotals, row_findings, write_verification_to};
