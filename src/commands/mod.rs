//! The commands: each puts the rooms together for one purpose, and ends with an exit status.
//!
//! Only here are errors of all rooms turned into what the user sees, and into a status. What two commands need stands in
//! a room, not here.

mod apply;
mod claim;
mod confirm;
mod input;
mod inventory;
mod join;
mod plan;
mod planning;
mod reading;
mod record;
mod results;
mod resume;
mod run;
mod runs;
mod sandbox;
mod service;
mod stop_signals;
mod tenant;
mod undo;
mod verify;

use std::error::Error;

use crate::api::sign_in::SignInError;
use crate::call::AbortCause;
use crate::cli::{Cli, Command};
use crate::config::{ConfigError, is_sandbox_run};
use crate::dispatch::DispatchError;
use crate::report::{MachinesError, Problem, ResultsError, Screen, logging};
use crate::store::StoreError;

/// How the process ends. When several apply, the first in the order of [`ExitStatus::PRECEDENCE`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done, or nothing to do.
    Done = 0,
    /// Finished, but rows are failed, unknown or invalid.
    RowsFailed = 1,
    /// The command line or the environment makes no sense.
    Usage = 2,
    /// Input or plan refused, nothing written.
    InputRefused = 3,
    /// Refused by the service: sign-in or permission.
    ServiceRefused = 4,
    /// Stopped early, resumable.
    StoppedEarly = 5,
    /// Another run is in the way.
    AnotherRun = 6,
    /// Local storage failed.
    StorageFailed = 7,
    /// `verify`, or `plan --detailed-exitcode`: the tenant does not match the file.
    Differences = 10,
    /// The books do not balance.
    Bug = 70,
}

impl ExitStatus {
    /// From the gravest to none.
    const PRECEDENCE: [Self; 10] = [
        Self::Bug,
        Self::StorageFailed,
        Self::Usage,
        Self::InputRefused,
        Self::ServiceRefused,
        Self::AnotherRun,
        Self::StoppedEarly,
        Self::RowsFailed,
        Self::Differences,
        Self::Done,
    ];

    /// The one that counts of two.
    fn and(self, other: Self) -> Self {
        Self::PRECEDENCE.into_iter().find(|status| *status == self || *status == other).unwrap_or(self)
    }

    /// The number that the operating system gets.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// A command that could not do its work.
#[derive(Debug)]
struct CommandError {
    status: ExitStatus,
    problem: Problem,
}

impl CommandError {
    fn new(status: ExitStatus, error: impl Error + Send + Sync + 'static, hint: Option<String>) -> Self {
        Self { status, problem: Problem { error: Box::new(error), hint } }
    }

    fn text(status: ExitStatus, message: impl Into<String>, hint: Option<&str>) -> Self {
        let problem = Problem { error: message.into().into(), hint: hint.map(str::to_owned) };
        Self { status, problem }
    }
}

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

/// What is missing or unreadable is for the command line to mend; a refusal is the service's.
const fn sign_in_status(error: &SignInError) -> ExitStatus {
    match error {
        SignInError::Settings { .. } | SignInError::File { .. } => ExitStatus::Usage,
        _ => ExitStatus::ServiceRefused,
    }
}

/// How a process ends of which nothing sent could succeed any more.
fn abort_status(cause: &AbortCause) -> ExitStatus {
    match cause {
        AbortCause::Refused(_) | AbortCause::TokenRefused => ExitStatus::ServiceRefused,
        AbortCause::SignIn(error) if error.is_transient() => ExitStatus::StoppedEarly,
        AbortCause::SignIn(error) => sign_in_status(error),
        AbortCause::Unreachable { .. } | AbortCause::ThrottledForGood => ExitStatus::StoppedEarly,
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let (status, hint) = match &error {
            StoreError::NoSuchRun(run) => {
                let sandbox = if is_sandbox_run(run) { " --sandbox" } else { "" };
                (ExitStatus::Usage, Some(format!("list those that there are with: tagfleet runs{sandbox}")))
            }
            StoreError::NeverBegan(_) => (ExitStatus::Usage, error.hint()),
            _ => (ExitStatus::StorageFailed, error.hint()),
        };
        Self::new(status, error, hint)
    }
}

impl From<ResultsError> for CommandError {
    fn from(error: ResultsError) -> Self {
        let hint = match &error {
            ResultsError::File { .. } => {
                Some("check the directory, its permissions and the room on the disk".to_owned())
            }
            ResultsError::IsInput { .. } => Some("name another file with -o".to_owned()),
            ResultsError::Store(error) => error.hint(),
        };
        let status = match error {
            ResultsError::IsInput { .. } => ExitStatus::Usage,
            ResultsError::File { .. } | ResultsError::Store(_) => ExitStatus::StorageFailed,
        };
        Self::new(status, error, hint)
    }
}

impl From<MachinesError> for CommandError {
    fn from(error: MachinesError) -> Self {
        let hint = "check the directory, its permissions and the room on the disk".to_owned();
        Self::new(ExitStatus::StorageFailed, error, Some(hint))
    }
}

impl From<DispatchError> for CommandError {
    fn from(error: DispatchError) -> Self {
        let (status, hint) = match &error {
            DispatchError::Store(error) => (ExitStatus::StorageFailed, error.hint()),
            DispatchError::Observer(_) => (ExitStatus::StorageFailed, None),
            DispatchError::Task(_) => (ExitStatus::Bug, Some("please report this as a bug".to_owned())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_statuses_the_graver_counts() {
        assert_eq!(ExitStatus::RowsFailed.and(ExitStatus::StoppedEarly), ExitStatus::StoppedEarly);
        assert_eq!(ExitStatus::StoppedEarly.and(ExitStatus::ServiceRefused), ExitStatus::ServiceRefused);
        assert_eq!(ExitStatus::StorageFailed.and(ExitStatus::ServiceRefused), ExitStatus::StorageFailed);
        assert_eq!(ExitStatus::Done.and(ExitStatus::Done), ExitStatus::Done);
        let numbers = ExitStatus::PRECEDENCE.map(ExitStatus::code);
        assert_eq!(numbers, [70, 7, 2, 3, 4, 6, 5, 1, 10, 0]);
    }
}
