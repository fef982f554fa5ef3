//! What every command is given beside its own options.

use super::watching::Watched;
use crate::cli::GeneralOptions;
use crate::config::{ConfigError, state_place};
use crate::exit::CommandError;
use crate::model::is_sandbox_run;
use crate::report::{Reserved, Screen};
use crate::store::{Reader, StatePlace, StoreError};

/// What a command is given beside its own options.
#[derive(Clone, Copy)]
pub(super) struct CommandContext<'a> {
    /// Options that every command takes.
    pub(super) general: &'a GeneralOptions,
    /// Files that are named for another purpose, so that nothing else is written there.
    pub(super) reserved: &'a Reserved,
    /// What the command has of those who watch it from afar, if anybody does.
    pub(super) watched: Option<&'a Watched>,
    pub(super) screen: &'a Screen,
}

impl CommandContext<'_> {
    /// Where the state is; rehearsals have one of their own.
    pub(super) fn state_place(self, sandbox: bool) -> Result<StatePlace, ConfigError> {
        state_place(self.general, sandbox, &|name| self.general.settings.variable(name))
    }

    /// The state that knows this run, to be read only.
    pub(super) async fn reader_of(self, run_id: &str) -> Result<Reader, CommandError> {
        read_for(&self.state_place(is_sandbox_run(run_id))?, run_id).await
    }
}

/// A state that is to know this run; one that is not there knows none.
pub(super) async fn read_for(state: &StatePlace, run_id: &str) -> Result<Reader, CommandError> {
    let reader = state.read().await?;
    reader.ok_or_else(|| StoreError::NoSuchRun(run_id.to_owned()).into())
}
