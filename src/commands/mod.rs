//! The commands: each puts the rooms together for one purpose, and ends with an exit status.
//!
//! A command turns settings and environment into values, opens service and state, and calls the room that does the work;
//! what two commands need of a run stands in [`crate::run`], not here.

mod apply;
mod confirm;
mod input;
mod inventory;
mod opening;
mod plan;
mod results;
mod resume;
mod runs;
mod sandbox;
mod service;
mod stop_signals;
mod undo;
mod verify;

use crate::cli::{Cli, Command, PlanningOptions as PlanningArguments};
use crate::config::ConfigError;
use crate::exit::{CommandError, ExitStatus, sign_in_status};
use crate::plan::changes::PlanSettings;
use crate::report::{Screen, logging};
use crate::run::PlanningOptions;

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint();
        let status = match &error {
            ConfigError::Store(_) => ExitStatus::StorageFailed,
            ConfigError::SignIn(error) => sign_in_status(error),
            ConfigError::Client(_) | ConfigError::Variable(_) | ConfigError::Encoding(_) => ExitStatus::Usage,
        };
        Self::new(status, error, hint)
    }
}

/// Runs the command that was typed and says how the process is to end. Whatever goes wrong has been shown.
#[must_use]
pub fn run(cli: Cli) -> ExitStatus {
    let screen = Screen::new(cli.general.color, cli.general.quiet);
    match run_on(cli, screen.clone()) {
        Ok(status) => status,
        Err(error) => {
            screen.line(&error.problem.render(&screen));
            error.status
        }
    }
}

fn run_on(cli: Cli, screen: Screen) -> Result<ExitStatus, CommandError> {
    let general = &cli.general;
    let screen = match &general.log_file {
        None => screen,
        Some(path) => screen.with_log_file(open_log(path)?),
    };
    let level = match (general.quiet, general.verbose) {
        (true, _) => tracing::Level::ERROR,
        (false, 0) => tracing::Level::WARN,
        (false, 1) => tracing::Level::INFO,
        (false, _) => tracing::Level::DEBUG,
    };
    logging::start(&screen, general.log_format, level);
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        CommandError::new(ExitStatus::StorageFailed, error, Some("the system has no threads or files left".to_owned()))
    })?;
    let status = runtime.block_on(async {
        match cli.command {
            Command::Apply(options) => apply::apply(*options, &cli.general, &screen).await,
            Command::Resume(options) => resume::resume(*options, &cli.general, &screen).await,
            Command::Undo(options) => undo::undo(*options, &cli.general, &screen).await,
            Command::Plan(options) => plan::plan(*options, &cli.general, &screen).await,
            Command::Verify(options) => verify::verify(*options, &cli.general, &screen).await,
            Command::Inventory(options) => inventory::inventory(*options, &cli.general, &screen).await,
            Command::Runs(options) => runs::runs(options, &cli.general, &screen).await,
            Command::Results(options) => results::results(options, &cli.general, &screen).await,
            Command::Sandbox(options) => sandbox::sandbox(&options, &screen).await,
        }
    });
    // A question that nobody answers must not keep the process.
    runtime.shutdown_background();
    status
}

/// How a plan is made.
fn planning_options(arguments: &PlanningArguments) -> PlanningOptions {
    PlanningOptions {
        settings: PlanSettings { unlisted: arguments.unlisted, limit: arguments.limit },
        inventory: !arguments.no_inventory,
        bulk: !arguments.no_bulk,
        max_changes: arguments.max_changes,
    }
}

fn open_log(path: &std::path::Path) -> Result<std::fs::File, CommandError> {
    let mut options = std::fs::File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| {
        let hint = format!("--log-file needs a file that can be written, and {} cannot", path.display());
        CommandError::new(ExitStatus::Usage, error, Some(hint))
    })
}
