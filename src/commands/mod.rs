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
mod runtime;
mod sandbox;
mod service;
mod stop_signals;
mod undo;
mod verify;

use std::time::Instant;

use jiff::Timestamp;

use crate::cli::{Cli, Command, PlanningOptions as PlanningArguments};
use crate::config::ConfigError;
use crate::exit::{CommandError, ExitStatus, sign_in_status};
use crate::plan::changes::PlanSettings;
use crate::report::logging::{self, LogFormat};
use crate::report::{ColorChoice, Refusal, Screen};
use crate::run::PlanningOptions;

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint();
        let status = match &error {
            ConfigError::Store(_) => ExitStatus::StorageFailed,
            ConfigError::SignIn(error) => sign_in_status(error),
            ConfigError::Client(_) | ConfigError::Deadline(_) | ConfigError::Variable(_) | ConfigError::Encoding(_) => {
                ExitStatus::Usage
            }
        };
        Self::new(status, error, hint)
    }
}

/// Runs the command that was typed and says how the process is to end. Whatever goes wrong has been shown.
#[must_use]
pub fn run(cli: Cli) -> ExitStatus {
    let screen = Screen::new(cli.general.color, cli.general.quiet).with_line_format(cli.general.log_format);
    let (json, input, started_at) = (cli.general.json, input_name(&cli.command), Timestamp::now());
    let status = run_on(cli, screen.clone()).unwrap_or_else(|error| {
        show_error(&error, json, input.as_deref(), started_at, &screen);
        error.status
    });
    screen.finish();
    status
}

/// Shows why a command line could not be understood, or the help that it asked for, and says how the process is to end.
#[must_use]
pub fn refuse(error: &clap::Error) -> ExitStatus {
    if !error.use_stderr() {
        // Help and version are no errors; if nobody reads them, there is nobody to tell.
        let _closed = error.print();
        return ExitStatus::Done;
    }
    // What was typed makes no sense as a whole, and yet says how its error is to be shown.
    let typed: Vec<String> = std::env::args_os().map(|typed| typed.to_string_lossy().into_owned()).collect();
    let is_json = typed.iter().any(|argument| argument == "--log-format=json")
        || typed.windows(2).any(|pair| pair == ["--log-format", "json"]);
    let format = if is_json { LogFormat::Json } else { LogFormat::Text };
    let screen = Screen::new(ColorChoice::Auto, false).with_line_format(format);
    let json = typed.iter().any(|argument| argument == "--json");
    if is_json || json {
        let shown = error.to_string();
        let (message, advice) = shown.trim_start_matches("error: ").split_once("\n\n").unwrap_or((&shown, ""));
        let advice = advice.split_whitespace().collect::<Vec<_>>().join(" ");
        let hint = Some(advice.as_str()).filter(|advice| !advice.is_empty());
        show_error(&CommandError::text(ExitStatus::Usage, message, hint), json, None, Timestamp::now(), &screen);
    } else {
        let _closed = error.print();
    }
    ExitStatus::Usage
}

/// Shows an error to people, and to a script unless it has its object already.
fn show_error(error: &CommandError, json: bool, input: Option<&str>, started_at: Timestamp, screen: &Screen) {
    screen.problem(&error.problem);
    if !json || screen.has_written_data() {
        return;
    }
    let refusal = Refusal {
        problem: &error.problem,
        ended: error.status.word(),
        run_id: error.run_id.as_deref(),
        input,
        started_at,
        finished_at: Timestamp::now(),
        findings: &error.findings,
        exit_status: error.status.code(),
    };
    // The error has been shown; that nobody takes the object changes nothing about it.
    let _full = screen.data(&refusal.json());
}

/// The input as it was typed, where a command has one.
fn input_name(command: &Command) -> Option<String> {
    let input = match command {
        Command::Apply(options) => &options.input.input,
        Command::Plan(options) => &options.input.input,
        Command::Verify(options) => &options.input.input,
        _ => return None,
    };
    Some(input.display().to_string())
}

fn run_on(cli: Cli, screen: Screen) -> Result<ExitStatus, CommandError> {
    let general = &cli.general;
    let runtime = runtime::runtime().map_err(|error| {
        let hint = "the system has no threads or files left for this process; raise its limits (ulimit -u, ulimit -n)";
        CommandError::new(ExitStatus::StorageFailed, error, Some(hint.to_owned()))
    })?;
    runtime.block_on(async { stop_signals::outlive_file_size_limit() });
    let screen = match &general.log_file {
        None => screen,
        Some(path) => screen.with_log_file(open_log(path, input_name(&cli.command).as_deref())?),
    };
    let level = match (general.quiet, general.verbose) {
        (true, 0) => tracing::Level::ERROR,
        (false, 0) => tracing::Level::WARN,
        (_, 1) => tracing::Level::INFO,
        (_, _) => tracing::Level::DEBUG,
    };
    logging::start(&screen, general.log_format, level);
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
    // A question that nobody answers must not keep the process, nor may output that nobody reads, now that nobody hears
    // signals any more.
    runtime.shutdown_background();
    screen.end_at(Instant::now());
    screen.finish();
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

fn open_log(path: &std::path::Path, input: Option<&str>) -> Result<std::fs::File, CommandError> {
    let is_input = input.and_then(|input| Some(std::fs::canonicalize(input).ok()? == path.canonicalize().ok()?));
    if is_input == Some(true) {
        let message = format!("the log must not be written into the input {}", path.display());
        return Err(CommandError::text(ExitStatus::Usage, message, Some("name another file with --log-file")));
    }
    open_for_appending(path).map_err(|error| {
        let hint = format!("--log-file needs a file that can be written, and {} cannot", path.display());
        CommandError::new(ExitStatus::Usage, error, Some(hint))
    })
}

#[cfg(unix)]
fn open_for_appending(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use std::os::unix::fs::OpenOptionsExt;
    // A named pipe that nobody reads would keep whoever opens it for ever; so it is refused.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(std::io::Error::other)?;
    let file = std::fs::File::options().create(true).append(true).mode(0o600).custom_flags(flags).open(path)?;
    // Once it is open, a slow reader gets all that he has time for.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(not(unix))]
fn open_for_appending(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    std::fs::File::options().create(true).append(true).open(path)
}
