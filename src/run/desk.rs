//! Where a command sits: who reads what it says, who answers its question, who may stop it, and what chance it is given.
//!
//! Whatever a run has from outside, but for the tenant and its clock, comes through this one value, so that a simulation
//! can take the place of terminal, user and signals.

use std::path::PathBuf;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::dispatch::StopRequest;
use crate::exit::CommandError;
use crate::report::Screen;

/// Who is asked whether a change may be made.
#[async_trait]
pub(crate) trait Consent: Send + Sync {
    /// Shows what will happen, and returns when it may. Dropping the future takes the question back.
    ///
    /// # Errors
    /// [`CommandError`] when it may not, or nobody can be asked.
    async fn ask(&self, screen: &Screen, description: &str) -> Result<(), CommandError>;
}

/// What a command has from outside, beside the tenant.
pub(crate) struct Desk {
    /// Where text and data go.
    pub(crate) screen: Screen,
    /// Whether nothing is said unless something needs attention.
    pub(crate) quiet: bool,
    /// Whether the summary is for machines.
    pub(crate) json: bool,
    /// The state directory as it was named on the command line, for commands that are suggested.
    pub(crate) named_state_directory: Option<PathBuf>,
    /// Who is asked.
    pub(crate) consent: Box<dyn Consent>,
    /// Who may stop it: once to drain, twice to stop at once.
    pub(crate) stop_requests: mpsc::Receiver<StopRequest>,
    /// Chance: for jitter, and for the names of runs.
    pub(crate) random: fastrand::Rng,
}

impl Desk {
    /// Says something that is worth knowing, unless nothing is to be said.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.screen.line(text);
        }
    }

    /// Asks whether what is described may happen.
    pub(super) async fn ask(&self, description: &str) -> Result<(), CommandError> {
        self.consent.ask(&self.screen, description).await
    }
}
