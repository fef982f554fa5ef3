//! What `state` and the commands within it take.

use clap::{Args, Subcommand};

use super::after_help::after_help;

/// Options of `state`.
#[derive(Debug, Args)]
pub(crate) struct StateOptions {
    /// What becomes of the state; without it, it is shown.
    #[command(subcommand)]
    pub command: Option<StateCommand>,
}

/// What becomes of the state.
#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Make the state, or bring its tables up to date
    ///
    /// Every command does that where it may. In a database, another role can do it for one that may not make tables.
    #[command(after_long_help = after_help("state init"))]
    Init,
    /// Copy the state to another place
    ///
    /// Into a database, out of one, or into another directory: the runs and the quota's ledger. No process may be using
    /// it meanwhile. The old copy stays where it was; use it no more.
    #[command(after_long_help = after_help("state move"))]
    Move {
        /// An empty database, or a directory
        #[arg(long, value_name = "PLACE")]
        to: String,
    },
}
