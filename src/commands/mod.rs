//! The commands: each puts the rooms together for one purpose, and ends with an exit status.
//!
//! A command turns settings and environment into values, opens service and state, and calls the room that does the work;
//! what two commands need of a run stands in [`crate::run`], not here.

mod apply;
mod audience;
mod check;
mod command_line;
mod completions;
mod config;
mod confirm;
mod context;
mod default_results;
mod help;
mod input;
mod inventory;
mod man;
mod named_files;
mod outputs;
mod pinging;
mod plan;
mod process;
mod process_limits;
mod report;
mod results;
mod resume;
mod rules;
mod runs;
mod runtime;
mod sandbox;
mod service;
mod settings;
mod setup;
mod several;
mod state;
mod stop_signals;
mod tags;
mod undo;
mod verify;
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
