//! What was typed: the commands, their options and the help. What it means once the environment is read is for
//! [`crate::config`].

mod advice;
mod after_help;
mod commands;
mod mistyped;
mod options;
mod origin;
mod program;
mod repeated;
mod rules;
mod settings;
mod state;
mod tags;
mod values;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};

use crate::environment::{Environment, SettingsError};
use crate::outside::shown;

pub(crate) use after_help::{examples, exit_statuses};
pub(crate) use commands::{
    ApplyOptions, CheckOptions, Command, CompletionsOptions, ConfigOptions, HelpOptions, InventoryOptions, ManOptions,
    PlanOptions, ReportOptions, ResultsOptions, ResumeOptions, RunsOptions, UndoOptions, VerifyOptions,
};
pub(crate) use mistyped::{Mistyped, message_and_hint};
pub(crate) use options::{
    ChangingOptions, FilterOptions, GeneralOptions, GuardOptions, InputOptions, MonitoringOptions, OrderOptions,
    PlanningOptions, QuotaOptions, ServiceOptions,
};
pub(crate) use origin::{Origin, SettingInForce};
pub(crate) use program::Cli;
pub(crate) use rules::{GivenOptions, NOT_OF_RULES, RulesOptions, is_rules};
pub(crate) use state::{StateCommand, StateOptions};
pub(crate) use tags::{RetagOptions, TagsCommand, TagsOptions};
#[cfg(any(test, fuzzing))]
pub(crate) use values::DurationArgument;
pub(crate) use values::{DeadlineArgument, StateAuth};

/// A command line that cannot be carried out, or help that it asks for.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// What was typed makes no sense, or is help or version.
    Typed(clap::Error),
    /// What a file of settings says makes none.
    Settings(SettingsError),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        Self::Typed(error)
    }
}

impl From<SettingsError> for Refusal {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl Cli {
    /// Reads the command line of this process, and the files of settings under it.
    ///
    /// # Errors
    /// What to print, and the status to end with, where it makes no sense; for help and version, too.
    pub(crate) fn read() -> Result<Self, Refusal> {
        let environment = |name: &str| std::env::var_os(name);
        crate::environment::keep_secrets(&environment);
        let typed: Vec<OsString> = std::env::args_os().collect();
        Self::with_settings(&typed, &environment).map_err(|refusal| match refusal {
            Refusal::Typed(error) => {
                // An error repeats what was typed; so it is made from what can be shown of that.
                let shown = typed.iter().map(|argument| shown(argument).into());
                advice::advised(Self::understand(shown).err().unwrap_or(error)).into()
            }
            settings @ Refusal::Settings(_) => settings,
        })
    }

    fn with_settings(typed: &[OsString], environment: Environment<'_>) -> Result<Self, Refusal> {
        let program = Self::command();
        let matches = program.clone().try_get_matches_from(typed)?;
        let chosen = settings::choose(program, &matches, environment)?;
        let mut cli = Self::from_arg_matches(&chosen.program.try_get_matches_from(typed)?)?;
        // It is refused where it is used; and repeated nowhere.
        cli.general.state.as_deref().map(crate::environment::keep_password_of);
        cli.general.settings = chosen.profile;
        cli.general.in_force = chosen.in_force;
        cli.several = chosen.several;
        Ok(cli.checked()?)
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
        if let Some(monitoring) = self.command.monitoring()
            && monitoring.job.is_some()
            && monitoring.metrics_file.is_none()
        {
            let message =
                "the argument '--job <NAME>' needs '--metrics-file <FILE.prom>', here or in a file of settings";
            return Err(Self::command().error(ErrorKind::MissingRequiredArgument, message));
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
