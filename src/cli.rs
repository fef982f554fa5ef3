//! What was typed: the commands, their options and the help. What it means once the environment is read is for
//! [`crate::config`].
#![expect(clippy::doc_markdown, reason = "the doc comments of options are their help text")]

mod advice;
mod mistyped;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};

use crate::api::cloud::Cloud;
use crate::api::sign_in::AuthMethod;
use crate::dispatch::MaximumErrors;
use crate::input::Doubt;
use crate::outside::shown;
use crate::plan::changes::UnlistedPolicy;
use crate::quota::{Quota, QuotaScope};
use crate::report::ColorChoice;
use crate::report::logging::LogFormat;
use crate::sandbox::arguments::SandboxArguments;

pub use mistyped::{Mistyped, message_and_hint};
use values::duration;
pub use values::{DeadlineArgument, DurationArgument};

/// The help after the options: what scripts need most.
pub(crate) const EXIT_STATUS_HELP: &str = "\
Exit status:
  0  done, or nothing to do
  1  finished, but rows are failed, unknown or invalid
  2  usage
  3  input or plan refused, nothing written
  4  refused by the service: sign-in or permission
  5  stopped early, resumable: interrupt, deadline, outage, too many errors
  6  another run is in the way
  7  local storage failed: disk full, unwritable results
 10  verify, and plan --detailed-exitcode: differences
 70  a bug: the books do not balance";

/// Retags Microsoft Defender for Endpoint machines in bulk, inside the API's quotas, with one answer per row.
#[derive(Debug, Parser)]
#[command(name = "tagfleet", version, after_help = EXIT_STATUS_HELP, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options that every command takes.
    #[command(flatten)]
    pub general: GeneralOptions,
}

impl Cli {
    /// Reads the command line of this process.
    ///
    /// # Errors
    /// What to print, and the status to end with, where it makes no sense; for help and version, too.
    pub fn read() -> Result<Self, clap::Error> {
        crate::config::keep_secrets(&|name| std::env::var_os(name));
        Self::understand(std::env::args_os()).map_err(|error| {
            // An error repeats what was typed; so it is made from what can be shown of that.
            let shown = std::env::args_os().map(|argument| shown(&argument).into());
            advice::advised(Self::understand(shown).err().unwrap_or(error))
        })
    }

    /// The same for these words, of which the first is the program's name.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn read_from(words: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::understand(words).map_err(advice::advised)
    }

    fn understand(typed: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(typed).and_then(Self::checked)
    }

    /// Refuses what clap cannot tell.
    fn checked(self) -> Result<Self, clap::Error> {
        let general = &self.general;
        if general.quiet && general.verbose > 0 && general.log_file.is_none() {
            let message =
                "the argument '--quiet' cannot be used with '--verbose...' unless '--log-file <FILE>' takes the log";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        Ok(self)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the tenant match the file (the main job)
    Apply(Box<ApplyOptions>),
    /// Say what apply would do: changes, what is so already, calls, finish time
    Plan(Box<PlanOptions>),
    /// Go on with an unfinished run
    Resume(Box<ResumeOptions>),
    /// List the runs, or show one
    Runs(RunsOptions),
    /// Write a run's results again
    Results(ResultsOptions),
    /// Take back what a run changed, as a run of its own
    Undo(Box<UndoOptions>),
    /// Read the tenant and say which rows hold; changes nothing
    Verify(Box<VerifyOptions>),
    /// Export the tenant's machines
    Inventory(Box<InventoryOptions>),
    /// Serve the simulated API on loopback
    Sandbox(Box<SandboxArguments>),
    /// Show a topic of the manual, or the help of a command
    Help(HelpOptions),
    /// Print what completes commands and options in a shell
    Completions(CompletionsOptions),
    /// Write the manual pages, for man
    Man(ManOptions),
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct GeneralOptions {
    /// Where runs and the quota ledger live [env: TAGFLEET_STATE_DIR] [default: the platform's state directory]
    #[arg(long, global = true, value_name = "DIRECTORY", help_heading = "General")]
    pub state_dir: Option<PathBuf>,
    /// Print a machine-readable summary on standard output
    #[arg(long, global = true, help_heading = "General")]
    pub json: bool,
    /// Say nothing unless something needs attention
    #[arg(short, long, global = true, help_heading = "General")]
    pub quiet: bool,
    /// Log more: -v what happens, -vv each call; with -q only into a --log-file
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "General")]
    pub verbose: u8,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = "General")]
    pub log_format: LogFormat,
    /// Log into this file instead of standard error
    #[arg(long, global = true, value_name = "FILE", help_heading = "General")]
    pub log_file: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "General")]
    pub color: ColorChoice,
}

/// The file.
#[derive(Debug, Args)]
pub struct InputOptions {
    /// The CSV file with machineId, tag, action and value columns; - for standard input
    pub input: PathBuf,
    /// How the file is encoded, if it has no byte order mark and is not UTF-8: windows-1252, for example
    #[arg(long, value_name = "LABEL")]
    pub encoding: Option<String>,
    /// Run the valid rows of a file that has bad ones
    #[arg(long)]
    pub skip_invalid: bool,
    /// Allow what is refused because it is mostly a mishap; several names with commas between them
    #[arg(long, value_enum, value_name = "NAME", value_delimiter = ',')]
    pub accept: Vec<Doubt>,
    /// Read a tag's cell as a list of tags with this character between them (\n for line breaks)
    #[arg(long, value_name = "CHARACTER", value_parser = tag_separator)]
    pub tag_separator: Option<char>,
    /// Take a file that has a header and no rows for done; without it, such a file is refused
    #[arg(long)]
    pub allow_empty: bool,
}

fn tag_separator(text: &str) -> Result<char, String> {
    let named = match text {
        "\\n" => Some('\n'),
        "\\t" => Some('\t'),
        _ => None,
    };
    let mut characters = text.chars();
    let only = characters.next().filter(|_| characters.next().is_none());
    let is_possible = |it: &char| !it.is_alphanumeric() && !matches!(it, '"' | ' ');
    named
        .or(only)
        .filter(is_possible)
        .ok_or_else(|| format!("\"{text}\" is not one character that can stand between tags, such as ; or | or \\n"))
}

/// Options of `apply`.
#[derive(Debug, Args)]
pub struct ApplyOptions {
    /// The file.
    #[command(flatten)]
    pub input: InputOptions,
    /// Where to write the results; - for standard output [default: INPUT with .results.csv]
    #[arg(short, long, value_name = "RESULTS.csv")]
    pub output: Option<PathBuf>,
    /// Begin a new run even where an unfinished one could be gone on with
    #[arg(long, help_heading = "Runs")]
    pub fresh: bool,
    /// Rehearse against the built-in API, which holds the machines that the input names
    #[arg(long, conflicts_with_all = ["base_url", "cloud"])]
    pub sandbox: bool,
    /// What is planned.
    #[command(flatten)]
    pub planning: PlanningOptions,
    /// What may happen without asking, and when to stop.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// How the run gets on with others in the state directory.
    #[command(flatten)]
    pub others: OtherRunsOptions,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}

/// Options of `resume`.
#[derive(Debug, Args)]
pub struct ResumeOptions {
    /// The run; the only unfinished one if none is named
    pub run: Option<String>,
    /// Where to write the results; - for standard output [default: where they were first to be written]
    #[arg(short, long, value_name = "RESULTS.csv")]
    pub output: Option<PathBuf>,
    /// Go on with a rehearsal
    #[arg(long, conflicts_with_all = ["base_url", "cloud"])]
    pub sandbox: bool,
    /// How what is left is planned.
    #[command(flatten)]
    pub planning: PlanningOptions,
    /// What may happen without asking, and when to stop.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// How the run gets on with others in the state directory.
    #[command(flatten)]
    pub others: OtherRunsOptions,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}

/// Options of `undo`.
#[derive(Debug, Args)]
pub struct UndoOptions {
    /// The run whose changes are taken back
    pub run: String,
    /// Where to write the results; - for standard output [default: undo-RUN.results.csv]
    #[arg(short, long, value_name = "RESULTS.csv")]
    pub output: Option<PathBuf>,
    /// Make one call per operation
    #[arg(long, help_heading = "Plan")]
    pub no_bulk: bool,
    /// Refuse to take back more than this
    #[arg(long, value_name = "N", help_heading = "Plan")]
    pub max_changes: Option<u32>,
    /// What may happen without asking, and when to stop.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// How the run gets on with others in the state directory.
    #[command(flatten)]
    pub others: OtherRunsOptions,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct PlanOptions {
    /// The file.
    #[command(flatten)]
    pub input: InputOptions,
    /// Plan against the built-in API, which holds the machines that the input names
    #[arg(long, conflicts_with_all = ["base_url", "cloud"])]
    pub sandbox: bool,
    /// End with status 10 when something would be changed
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// What is planned.
    #[command(flatten)]
    pub planning: PlanningOptions,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// The file.
    #[command(flatten)]
    pub input: InputOptions,
    /// Write each row with what was found; - for standard output
    #[arg(short, long, value_name = "ROWS.csv")]
    pub output: Option<PathBuf>,
    /// Read the built-in API, which holds the machines that the input names
    #[arg(long, conflicts_with_all = ["base_url", "cloud"])]
    pub sandbox: bool,
    /// Tolerate rows whose machine is gone: they are counted, and are no difference
    #[arg(long)]
    pub skip_missing_machines: bool,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}

/// What is planned.
#[derive(Debug, Args)]
pub struct PlanningOptions {
    /// Send only the first N operations that would change something: a canary
    #[arg(long, value_name = "N", help_heading = "Plan")]
    pub limit: Option<u32>,
    /// Refuse a plan that changes more than this
    #[arg(long, value_name = "N", help_heading = "Plan")]
    pub max_changes: Option<u32>,
    /// Machines that the inventory lacks: try them last, or fail them without a call
    #[arg(long, value_enum, default_value_t, value_name = "try|fail", help_heading = "Plan")]
    pub unlisted: UnlistedPolicy,
    /// Do not read the tenant's machines first: finds nothing that is so already, no names, no values from before, so
    /// nothing can be undone
    #[arg(long, help_heading = "Plan")]
    pub no_inventory: bool,
    /// Make one call per operation
    #[arg(long, help_heading = "Plan")]
    pub no_bulk: bool,
}

/// What may happen without asking, and when to stop.
#[derive(Debug, Args)]
pub struct LimitOptions {
    /// Do not ask before the first change; needed where there is no terminal
    #[arg(long, help_heading = "Limits")]
    pub yes: bool,
    /// Stop when more operations have failed than N, or than P% of those that are over and at least 20; unknown
    /// machines do not count
    #[arg(long, value_name = "N|P%", default_value = "50%", help_heading = "Limits")]
    pub max_errors: MaximumErrors,
    /// Start no call after this: a duration from now (90m, 8h) or a local time of day (06:00), which must not have passed
    /// in the last 6 hours ("tomorrow 06:00" says so)
    #[arg(long, value_name = "DURATION|HH:MM", help_heading = "Limits")]
    pub deadline: Option<DeadlineArgument>,
    /// Tolerate rows whose machine is gone: they are counted apart and not fed back, and the exit status stays 0
    #[arg(long, help_heading = "Limits")]
    pub skip_missing_machines: bool,
    /// A change number or remark that is kept with the run
    #[arg(long, value_name = "TEXT", help_heading = "Limits")]
    pub note: Option<String>,
}

/// How a run gets on with others in the state directory.
#[derive(Debug, Args)]
pub struct OtherRunsOptions {
    /// Wait so long for a run under way that changes the same tags or device values of the same machines; without it,
    /// such a run ends this one with status 6
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Runs")]
    pub lock_wait: Option<std::time::Duration>,
    /// Forget runs in which nothing has happened for so long and that nobody is at, finished or not
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = duration, help_heading = "Runs")]
    pub keep_runs: std::time::Duration,
}

/// The service and how to sign in.
#[derive(Debug, Args)]
pub struct ServiceOptions {
    /// Where the API is: https, or http on loopback [env: TAGFLEET_BASE_URL] [default: by --cloud]
    #[arg(long, value_name = "URL", help_heading = "Service")]
    pub base_url: Option<String>,
    /// Host, sign-in authority and scope together
    #[arg(long, value_enum, value_name = "CLOUD", help_heading = "Service")]
    pub cloud: Option<Cloud>,
    /// Accept a base URL whose host is not Microsoft's
    #[arg(long, help_heading = "Service")]
    pub allow_host: bool,
    /// How to sign in; auto takes the first that the environment allows
    #[arg(long, value_enum, default_value = "auto", value_name = "METHOD", help_heading = "Service")]
    pub auth: AuthMethod,
    /// Read the client secret from this file instead of AZURE_CLIENT_SECRET
    #[arg(long, value_name = "FILE", help_heading = "Service")]
    pub client_secret_file: Option<PathBuf>,
    /// Read a ready access token from this file instead of TAGFLEET_TOKEN
    #[arg(long, value_name = "FILE", help_heading = "Service")]
    pub token_file: Option<PathBuf>,
    /// Trust this root certificate as well (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Service")]
    pub ca_file: Option<PathBuf>,
}

/// The quota, and patience with the service: of every command that calls it.
#[derive(Debug, Args)]
pub struct QuotaOptions {
    /// Calls per window, for each bucket; off for none
    #[arg(long, value_name = "SPEC", default_value = "100/1m,1500/1h", help_heading = "Quota")]
    pub quota: Quota,
    /// A bucket for each API (tags, device values, reading), or one for all calls of the app
    #[arg(long, value_enum, default_value_t = QuotaScope::Api, value_name = "SCOPE", help_heading = "Quota")]
    pub quota_scope: QuotaScope,
    /// Use only this share of the quota and leave the rest to other users of the app
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100), help_heading = "Quota")]
    pub quota_share: u8,
    /// Calls in flight at the most
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Quota")]
    pub concurrency: u16,
    /// Stop when the service has been in trouble for this long; what is left can be resumed
    #[arg(long, value_name = "DURATION", default_value = "2h", help_heading = "Limits")]
    pub max_outage: DurationArgument,
}

/// Options of `runs`.
#[derive(Debug, Args)]
pub struct RunsOptions {
    /// The run to show, as its results and summary name it
    pub run: Option<String>,
    /// List the rehearsals against the built-in API
    #[arg(long)]
    pub sandbox: bool,
}

/// Options of `results`.
#[derive(Debug, Args)]
pub struct ResultsOptions {
    /// The run, as its results and summary name it
    pub run: String,
    /// Where to write the results; - for standard output [default: RUN.results.csv]
    #[arg(short, long, value_name = "RESULTS.csv")]
    pub output: Option<PathBuf>,
}

/// Options of `help`.
#[derive(Debug, Args)]
#[command(after_help = help_topics())]
pub struct HelpOptions {
    /// The topic or command; without it, the help of the program and the list of topics
    pub topic: Option<String>,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub struct ManOptions {
    /// Where to write a page for each command (into man1) and each topic (into man7); without it, tagfleet(1) is printed
    pub directory: Option<PathBuf>,
}

fn help_topics() -> String {
    format!("Topics:\n{}", crate::help::list())
}

/// Options of `inventory`.
#[derive(Debug, Args)]
pub struct InventoryOptions {
    /// Where to write the machines; - for standard output [default: standard output]
    #[arg(short, long, value_name = "MACHINES.csv")]
    pub output: Option<PathBuf>,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
