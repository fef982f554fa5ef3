//! What was typed: the commands, their options and the help. What it means once the environment is read is for
//! [`crate::config`].

mod advice;
mod after_help;
mod commands;
mod mistyped;
mod options;
mod program;
mod rules;
mod tags;
mod values;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::outside::shown;

pub(crate) use after_help::{examples, exit_statuses};
pub use commands::{
    ApplyOptions, Command, CompletionsOptions, HelpOptions, InventoryOptions, ManOptions, PlanOptions, ResultsOptions,
    ResumeOptions, RunsOptions, UndoOptions, VerifyOptions,
};
pub use mistyped::{Mistyped, message_and_hint};
pub use options::{
    ChangingOptions, FilterOptions, GeneralOptions, GuardOptions, InputOptions, LimitOptions, MonitoringOptions,
    OrderOptions, OtherRunsOptions, PlanningOptions, QuotaOptions, ServiceOptions,
};
pub use program::Cli;
pub use rules::RulesOptions;
pub use tags::{RetagOptions, TagsCommand, TagsOptions};
pub use values::{DeadlineArgument, DurationArgument};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
