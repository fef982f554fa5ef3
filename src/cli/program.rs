//! The command line as a whole.

use clap::Parser;

use super::after_help::after_help;
use super::commands::Command;
use super::options::GeneralOptions;

/// Retags Microsoft Defender for Endpoint machines in bulk, inside the API's quotas, with one answer per row
#[derive(Debug, Parser)]
#[command(name = "tagfleet", version, after_long_help = after_help("tagfleet"), after_help = "The manual: tagfleet help", max_term_width = 110, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Options that every command takes.
    #[command(flatten)]
    pub(crate) general: GeneralOptions,
    /// The profiles that it is for, where each is a process of its own; none where this process does it.
    #[arg(skip)]
    pub(crate) several: Vec<String>,
}
