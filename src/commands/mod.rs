//! The commands: each puts the rooms together for one purpose, and ends with an exit status.
//!
//! A command turns settings and environment into values, opens service and state, and calls the room that does the work;
//! what two commands need of a run stands in [`crate::run`], not here.

// The commands.
mod apply;
mod check;
mod completions;
mod config;
mod help;
mod inventory;
mod man;
mod plan;
mod report;
mod results;
mod resume;
mod rules;
mod runs;
mod sandbox;
mod state;
mod tags;
mod undo;
mod verify;

// What is around them.
mod audience;
mod command_line;
mod confirm;
mod context;
mod default_results;
mod input;
mod named_files;
mod orders;
mod outputs;
mod pinging;
mod process;
mod process_limits;
mod runtime;
mod service;
mod setup;
mod several;
mod stop_signals;
mod watching;

pub use self::process::execute;
pub use self::process_limits::spare_address_space;
use crate::config::ConfigError;
use crate::exit::{CommandError, ExitStatus, RunSetting, sign_in_status};

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint();
        let status = match &error {
            ConfigError::Store(_) => ExitStatus::StorageFailed,
            ConfigError::SignIn(error) | ConfigError::StateSignIn(error) => sign_in_status(error),
            ConfigError::Client(_)
            | ConfigError::Address(_)
            | ConfigError::TwoStates
            | ConfigError::EmptyState
            | ConfigError::AddressOfDirectory(_)
            | ConfigError::PasswordAndToken
            | ConfigError::PingAddress(_)
            | ConfigError::Deadline(_)
            | ConfigError::Settings(_)
            | ConfigError::Variable(_)
            | ConfigError::Proxy(_)
            | ConfigError::Encoding(_) => ExitStatus::Usage,
        };
        let setting = match &error {
            ConfigError::Deadline(_) => Some(RunSetting::Deadline),
            ConfigError::Encoding(_) => Some(RunSetting::Encoding),
            _ => None,
        };
        let mut refused = Self::new(status, error, hint);
        refused.setting = setting;
        refused
    }
}
