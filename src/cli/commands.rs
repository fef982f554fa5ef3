//! The commands, and what each takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::after_help::after_help;
use super::options::{
    ChangingOptions, FilterOptions, GuardOptions, InputOptions, MonitoringOptions, PlanningOptions, QuotaOptions,
    ServiceOptions,
};
use super::rules::RulesOptions;
use super::state::StateOptions;
use super::tags::TagsOptions;
use crate::sandbox::arguments::SandboxArguments;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the tenant match the file
    ///
    /// Checks the whole file, reads the tenant's machines, shows the plan, asks, and sends the fewest calls that do it,
    /// inside the API's quotas. Every row of the file is answered in the results. Run it again after an
    /// interruption and it resumes.
    #[command(after_long_help = after_help("apply"))]
    Apply(Box<ApplyOptions>),
    /// Show what apply would do
    ///
    /// Changes, what is already set, calls and finish time. Changes nothing.
    #[command(after_long_help = after_help("plan"))]
    Plan(Box<PlanOptions>),
    /// Resume an unfinished run
    ///
    /// What was done stays done; what is left is planned anew against the tenant as it is now.
    #[command(after_long_help = after_help("resume"))]
    Resume(Box<ResumeOptions>),
    /// List the runs, or show one
    #[command(after_long_help = after_help("runs"))]
    Runs(RunsOptions),
    /// Write a run's results again
    #[command(after_long_help = after_help("results"))]
    Results(ResultsOptions),
    /// Make a page about a run
    ///
    /// One file for a browser, from the state alone, at any time: how the run ended, its calls against the quota, where the
    /// time went, what became of the rows, and why.
    #[command(after_long_help = after_help("report"))]
    Report(ReportOptions),
    /// Take back what a run changed
    ///
    /// As a run of its own, which asks, keeps the quota and can be resumed. What was changed since, by a later run or from
    /// outside tagfleet, is left as it is.
    #[command(after_long_help = after_help("undo"))]
    Undo(Box<UndoOptions>),
    /// Check whether the tenant matches the file
    ///
    /// Reads the tenant's machines and says for each row whether the tenant matches it. Changes nothing.
    #[command(after_long_help = after_help("verify"))]
    Verify(Box<VerifyOptions>),
    /// Export the tenant's machines
    #[command(after_long_help = after_help("inventory"))]
    Inventory(Box<InventoryOptions>),
    /// List the tenant's tags, rename one, or remove it
    ///
    /// Without a subcommand: every tag with the number of machines that have it, and which tags differ only in case or
    /// width. Changes nothing.
    #[command(
        args_conflicts_with_subcommands = true,
        disable_help_subcommand = true,
        after_long_help = after_help("tags")
    )]
    Tags(Box<TagsOptions>),
    /// Draft a file of rules, or release the tags that one owns
    ///
    /// A file of rules declares which machines have which tags; apply, plan and verify take it. "tagfleet help rules"
    /// describes it.
    #[command(after_long_help = after_help("rules"))]
    Rules(Box<RulesOptions>),
    /// Check sign-in, permission, service, state and quota
    ///
    /// Looks at everything that a run depends on, one line each, and says what to do where something is wrong. One call, which
    /// is not made again, reads one machine; nothing is changed.
    #[command(after_long_help = after_help("check"))]
    Check(Box<CheckOptions>),
    /// Show each setting and where it comes from
    ///
    /// An option, a variable, a line of a file, or the default: with the options given here, for the profile that is named.
    /// Secrets are shown only as "set". Makes no call.
    #[command(after_long_help = after_help("config"))]
    Config(Box<ConfigOptions>),
    /// Show where the state is and what uses it, or copy it
    ///
    /// The state holds the runs and the quota's ledger. Calls no tenant.
    #[command(
        args_conflicts_with_subcommands = true,
        disable_help_subcommand = true,
        after_long_help = after_help("state")
    )]
    State(StateOptions),
    /// Serve the simulated API on loopback
    #[command(after_long_help = after_help("sandbox"))]
    Sandbox(Box<SandboxArguments>),
    /// Show a topic of the manual, or the help of a command
    Help(HelpOptions),
    /// Print a completion script for a shell
    #[command(after_long_help = after_help("completions"))]
    Completions(CompletionsOptions),
    /// Write the manual pages, for man
    #[command(after_long_help = after_help("man"))]
    Man(ManOptions),
}

impl Command {
    /// The input, if the command has one.
    pub(crate) fn input(&self) -> Option<&InputOptions> {
        match self {
            Self::Apply(options) => Some(&options.input),
            Self::Plan(options) => Some(&options.input),
            Self::Verify(options) => Some(&options.input),
            _ => None,
        }
    }

    /// The filter, if the command can have one.
    pub(crate) fn filter(&self) -> Option<&FilterOptions> {
        match self {
            Self::Tags(options) => options.command.as_ref().map(|command| &command.options().filter),
            _ => self.input().map(|input| &input.filter),
        }
    }

    /// What a command takes that changes the tenant.
    pub(crate) fn changing(&self) -> Option<&ChangingOptions> {
        match self {
            Self::Apply(options) => Some(&options.changing),
            Self::Resume(options) => Some(&options.changing),
            Self::Undo(options) => Some(&options.changing),
            Self::Tags(options) => options.command.as_ref().map(|command| &command.options().changing),
            _ => None,
        }
    }

    /// The same, to be decided otherwise.
    pub(crate) fn changing_mut(&mut self) -> Option<&mut ChangingOptions> {
        match self {
            Self::Apply(options) => Some(&mut options.changing),
            Self::Resume(options) => Some(&mut options.changing),
            Self::Undo(options) => Some(&mut options.changing),
            Self::Tags(options) => options.command.as_mut().map(|command| &mut command.options_mut().changing),
            _ => None,
        }
    }

    /// Who watches the command, if it can be watched.
    pub(crate) fn monitoring(&self) -> Option<&MonitoringOptions> {
        match self {
            Self::Verify(options) => Some(&options.monitoring),
            _ => self.changing().map(|changing| &changing.monitoring),
        }
    }

    /// The same, to be decided otherwise.
    pub(crate) fn monitoring_mut(&mut self) -> Option<&mut MonitoringOptions> {
        match self {
            Self::Verify(options) => Some(&mut options.monitoring),
            _ => self.changing_mut().map(|changing| &mut changing.monitoring),
        }
    }

    /// The service, if the command calls one.
    pub(crate) fn service(&self) -> Option<&ServiceOptions> {
        match self {
            Self::Plan(options) => Some(&options.service),
            Self::Verify(options) => Some(&options.service),
            Self::Inventory(options) => Some(&options.service),
            Self::Check(options) => Some(&options.service),
            Self::Rules(options) => Some(&options.service),
            Self::Tags(options) if options.command.is_none() => Some(&options.service),
            _ => self.changing().map(|changing| &changing.service),
        }
    }

    /// Whether the service is the sandbox.
    pub(crate) fn is_rehearsal(&self) -> bool {
        match self {
            Self::Apply(options) => options.sandbox,
            Self::Plan(options) => options.sandbox,
            Self::Verify(options) => options.sandbox,
            Self::Resume(options) => options.sandbox,
            _ => false,
        }
    }
}

/// Options of `apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyOptions {
    /// The file.
    #[command(flatten)]
    pub input: InputOptions,
    /// Write the results here; - for standard output
    ///
    /// [default: the input's name with .results.csv]
    #[arg(short, long, value_name = "RESULTS.csv")]
    pub output: Option<PathBuf>,
    /// Start a new run instead of resuming an unfinished one
    #[arg(long, help_heading = "Runs")]
    pub fresh: bool,
    /// Rehearse against the built-in API
    ///
    /// It holds the machines that the input names. No tenant is called.
    #[arg(long, conflicts_with_all = ["base_url", "cloud", "ping_url_file"])]
    pub sandbox: bool,
    /// What is planned.
    #[command(flatten)]
    pub planning: PlanningOptions,
    /// What it may do at most.
    #[command(flatten)]
    pub guard: GuardOptions,
    /// What every command takes that changes the tenant.
    #[command(flatten)]
    pub changing: ChangingOptions,
}

/// Options of `resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeOptions {
    /// The run; without it, the only unfinished one
    pub run: Option<String>,
    /// Write the results here; - for standard output
    ///
    /// [default: where the run was to write them first]
    #[arg(short, long, value_name = "RESULTS.csv")]
    pub output: Option<PathBuf>,
    /// Resume a rehearsal
    #[arg(long, conflicts_with_all = ["base_url", "cloud", "ping_url_file"])]
    pub sandbox: bool,
    /// How what is left is planned.
    #[command(flatten)]
    pub planning: PlanningOptions,
    /// What every command takes that changes the tenant.
    #[command(flatten)]
    pub changing: ChangingOptions,
}

/// Options of `undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoOptions {
    /// The run whose changes are taken back
    pub run: String,
    /// Write the results here; - for standard output
    ///
    /// [default: undo-RUN.results.csv]
    #[arg(short, long, value_name = "RESULTS.csv")]
    pub output: Option<PathBuf>,
    /// Make one call per change
    #[arg(long, help_heading = "Plan")]
    pub no_bulk: bool,
    /// Refuse to take back more changes than this
    #[arg(long, value_name = "N", help_heading = "Plan")]
    pub max_changes: Option<u32>,
    /// What every command takes that changes the tenant.
    #[command(flatten)]
    pub changing: ChangingOptions,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanOptions {
    /// The file.
    #[command(flatten)]
    pub input: InputOptions,
    /// Plan against the built-in API
    ///
    /// It holds the machines that the input names. No tenant is called.
    #[arg(long, conflicts_with_all = ["base_url", "cloud"])]
    pub sandbox: bool,
    /// Exit with status 10 when something would be changed
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Say what each rule says of one machine
    ///
    /// Of a file of rules. The machine is named by its id, or by its name, full or short.
    #[arg(long, value_name = "MACHINE", help_heading = "Rules", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub explain: Option<String>,
    /// Try rules on this exported list, without a tenant
    ///
    /// One that "tagfleet inventory" wrote, the portal, or advanced hunting; of a workbook (.xlsx) its first worksheet, or the one that --sheet names. No sign-in takes place, and an empty cell counts as lacking.
    #[arg(long, value_name = "MACHINES.csv", conflicts_with = "sandbox", help_heading = "Rules")]
    pub inventory: Option<PathBuf>,
    /// What is planned.
    #[command(flatten)]
    pub planning: PlanningOptions,
    /// What it may do at most.
    #[command(flatten)]
    pub guard: GuardOptions,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    /// The file.
    #[command(flatten)]
    pub input: InputOptions,
    /// Write each row and what was found; - for standard output
    #[arg(short, long, value_name = "ROWS.csv")]
    pub output: Option<PathBuf>,
    /// Read the built-in API
    ///
    /// It holds the machines that the input names. No tenant is called.
    #[arg(long, conflicts_with_all = ["base_url", "cloud", "ping_url_file"])]
    pub sandbox: bool,
    /// Tolerate rows whose machine is gone
    ///
    /// They are counted, and are no difference.
    #[arg(long)]
    pub skip_missing_machines: bool,
    /// Who watches it from afar.
    #[command(flatten)]
    pub monitoring: MonitoringOptions,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}

/// Options of `runs`.
#[derive(Debug, Args)]
pub(crate) struct RunsOptions {
    /// The run to show; without it, all are listed
    pub run: Option<String>,
    /// List the rehearsals
    #[arg(long)]
    pub sandbox: bool,
}

/// Options of `results`.
#[derive(Debug, Args)]
pub(crate) struct ResultsOptions {
    /// The run, as its results and summary name it
    pub run: String,
    /// Write the results here; - for standard output
    ///
    /// [default: RUN.results.csv]
    #[arg(short, long, value_name = "RESULTS.csv")]
    pub output: Option<PathBuf>,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportOptions {
    /// The run, as its results and summary name it
    pub run: String,
    /// Write the page here; - for standard output
    ///
    /// [default: RUN.report.html; with --json, no page is written]
    #[arg(short, long, value_name = "REPORT.html")]
    pub output: Option<PathBuf>,
}

/// Options of `config`: those of a run, so that it can be asked what becomes of them.
#[derive(Debug, Args)]
pub(crate) struct ConfigOptions {
    /// How a run is planned.
    #[command(flatten)]
    pub planning: PlanningOptions,
    /// What an unattended run may do at most.
    #[command(flatten)]
    pub guard: GuardOptions,
    /// What every command takes that changes the tenant.
    #[command(flatten)]
    pub changing: ChangingOptions,
}

/// Options of `help`.
#[derive(Debug, Args)]
#[command(after_help = help_topics())]
pub(crate) struct HelpOptions {
    /// The topic or command; without it, all are listed
    pub topic: Option<String>,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManOptions {
    /// Write the pages into its man1 and man7
    ///
    /// One page for each command, and one for each topic. Without a directory, tagfleet(1) is printed.
    pub directory: Option<PathBuf>,
}

fn help_topics() -> String {
    format!("Topics:\n{}", crate::help::list())
}

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}

/// Options of `inventory`.
#[derive(Debug, Args)]
pub(crate) struct InventoryOptions {
    /// Write the machines here; - for standard output
    ///
    /// [default: standard output]
    #[arg(short, long, value_name = "MACHINES.csv")]
    pub output: Option<PathBuf>,
    /// The service and how to sign in.
    #[command(flatten)]
    pub service: ServiceOptions,
    /// The quota.
    #[command(flatten)]
    pub quota: QuotaOptions,
}
