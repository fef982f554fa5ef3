//! The commands: each puts the rooms together for one purpose, and ends with an exit status.
//!
//! A command turns settings and environment into values, opens service and state, and calls the room that does the work;
//! what two commands need of a run stands in [`crate::run`], not here.

mod apply;
mod check;
mod completions;
mod config;
mod confirm;
mod default_results;
mod help;
mod input;
mod inventory;
mod man;
mod named_files;
mod opening;
mod outputs;
mod pinging;
mod plan;
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
mod several;
mod state;
mod stop_signals;
mod tags;
mod undo;
mod verify;
mod watching;

use std::cell::OnceCell;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;

use self::input::input_name;
use self::watching::{Watch, Watched};
use crate::api::sign_in::warn_if_readable_by_everybody;
use crate::cli::{Cli, Command, Mistyped, Refusal, message_and_hint};
use crate::config::ConfigError;
use crate::exit::{CommandError, ExitStatus, sign_in_status};
use crate::report::logging::{self, LogFormat};
use crate::report::{ColorChoice, Invocation, Reserved, Screen};

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint();
        let status = match &error {
            ConfigError::Store(_) => ExitStatus::StorageFailed,
            ConfigError::SignIn(error) => sign_in_status(error),
            ConfigError::Client(_)
            | ConfigError::Address(_)
            | ConfigError::TwoStates
            | ConfigError::PingAddress(_)
            | ConfigError::Deadline(_)
            | ConfigError::Settings(_)
            | ConfigError::Variable(_)
            | ConfigError::Encoding(_) => ExitStatus::Usage,
        };
        Self::new(status, error, hint)
    }
}

/// Runs the command that was typed and says how the process is to end. Whatever goes wrong has been shown.
#[must_use]
pub fn run(cli: Cli) -> ExitStatus {
    let invocation = Invocation { started_at: Timestamp::now(), input: input(&cli.command).map(input_name) };
    let screen = Screen::new(cli.general.color, cli.general.quiet)
        .with_line_format(cli.general.log_format)
        .with_invocation(invocation);
    screen.tell_panics();
    let json = cli.general.json;
    let status = run_on(cli, &screen).unwrap_or_else(|error| {
        show_error(&error, json, &screen);
        error.status
    });
    screen.finish();
    status
}

/// Shows why a command line could not be understood, or the help that it asked for, and says how the process is to end.
#[must_use]
pub fn refuse(refusal: Refusal) -> ExitStatus {
    if let Refusal::Typed(error) = &refusal
        && !error.use_stderr()
    {
        // Help and version are no errors; if nobody reads them, there is nobody to tell.
        let _closed = error.print();
        return ExitStatus::Done;
    }
    let Mistyped { json, log_format, input, is_check } = Mistyped::of(&std::env::args_os().collect::<Vec<_>>());
    let invocation = Invocation { started_at: Timestamp::now(), input: input.as_deref().map(input_name) };
    let screen = Screen::new(ColorChoice::Auto, false).with_line_format(log_format).with_invocation(invocation);
    match refusal {
        Refusal::Settings(error) if is_check => {
            let error = ConfigError::from(error).into();
            if check::unusable(&error, json, &screen).is_err() {
                show_error(&error, json, &screen);
            }
            screen.finish();
        }
        Refusal::Settings(error) => show_error(&ConfigError::from(error).into(), json, &screen),
        Refusal::Typed(error) if json || log_format == LogFormat::Json => {
            let (message, hint) = message_and_hint(&error);
            show_error(&CommandError::text(ExitStatus::Usage, message, hint.as_deref()), json, &screen);
        }
        Refusal::Typed(error) => screen.line(screen.styled(&error.render()).trim_end()),
    }
    ExitStatus::Usage
}

/// Shows an error to people, and to a script unless it has its object already.
fn show_error(error: &CommandError, json: bool, screen: &Screen) {
    screen.problem(&error.problem);
    if json && !screen.has_written_data() {
        let (own, ending) = error.object();
        // The error has been shown; that nobody takes the object changes nothing about it.
        let _full = screen.object(own, &ending);
    }
}

/// The input of a command that has one.
fn input(command: &Command) -> Option<&Path> {
    match command {
        Command::Apply(options) => Some(&options.input.input),
        Command::Plan(options) => Some(&options.input.input),
        Command::Verify(options) => Some(&options.input.input),
        _ => None,
    }
}

fn run_on(cli: Cli, screen: &Screen) -> Result<ExitStatus, CommandError> {
    let cli = several::naming::with_own_names(cli, default_results::results_of_input);
    let general = &cli.general;
    process_limits::allow_to_begin()?;
    named_files::check_time_zone()?;
    let runtime = runtime::runtime().map_err(|error| {
        let hint = "the system has no threads or files left for this process; raise its limits (ulimit -u, ulimit -n)";
        CommandError::new(ExitStatus::StorageFailed, error, Some(hint.to_owned()))
    })?;
    runtime.block_on(async {
        stop_signals::outlive_file_size_limit();
        stop_signals::outlive_lost_memory();
    });
    let reserved = outputs::reserved(&cli);
    let json = general.json;
    let logging_screen = OnceCell::new();
    let status = runtime.block_on(async {
        if !cli.several.is_empty() {
            return several::several(&cli, screen).await;
        }
        let watch = Watch::of(&cli, &reserved, screen).await?;
        let watched = watch.as_ref().map(Watch::watched);
        let command = carry_out(cli, reserved, watched.as_ref(), screen, &logging_screen);
        match watch {
            None => command.await,
            Some(watch) => Ok(Box::pin(watch.over(command, |error| show_error(error, json, screen))).await),
        }
    });
    // A question that nobody answers must not keep the process, nor may output that nobody reads, now that nobody hears
    // signals any more.
    runtime.shutdown_background();
    let screen = logging_screen.get().unwrap_or(screen);
    screen.end_at(Instant::now());
    screen.finish();
    status
}

/// Carries the command out, once it is known where its log goes: to that screen from then on.
async fn carry_out(
    cli: Cli,
    mut reserved: Reserved,
    watched: Option<&Watched>,
    screen: &Screen,
    logging_screen: &OnceCell<Screen>,
) -> Result<ExitStatus, CommandError> {
    let general = &cli.general;
    if let Some(path) = cli.command.monitoring().and_then(|options| options.metrics_file.as_ref()) {
        reserved = reserved.with("the metrics", path);
    }
    if let Some(path) = outputs::report(&cli.command) {
        outputs::refuse_report(path, &cli.command, &reserved)?;
        reserved = reserved.with("the report", path);
    }
    let screen = match &general.log_file {
        None => screen.clone(),
        Some(path) => {
            let log = outputs::open_log(path, &cli.command, &reserved)?;
            reserved = reserved.with("the log", path);
            screen.clone().with_log_file(log)
        }
    };
    let screen = logging_screen.get_or_init(|| screen);
    let level = match (general.quiet, general.verbose) {
        (true, 0) => tracing::Level::ERROR,
        (false, 0) => tracing::Level::WARN,
        (_, 1) => tracing::Level::INFO,
        (_, _) => tracing::Level::DEBUG,
    };
    logging::start(screen, general.log_format, level);
    // The one was read before there was a log, and the other is read by a room that knows of no warnings.
    let ping_file = cli.command.monitoring().and_then(|options| options.ping_url_file.as_ref());
    for path in ping_file.into_iter().chain(&general.state_password_file) {
        warn_if_readable_by_everybody(path);
    }
    match cli.command {
        Command::Apply(options) => apply::apply(*options, general, &reserved, watched, screen).await,
        Command::Resume(options) => resume::resume(*options, general, &reserved, watched, screen).await,
        Command::Undo(options) => undo::undo(*options, general, &reserved, watched, screen).await,
        Command::Plan(options) => plan::plan(*options, general, screen).await,
        Command::Verify(options) => verify::verify(*options, general, &reserved, watched, screen).await,
        Command::Inventory(options) => inventory::inventory(*options, general, &reserved, screen).await,
        Command::Check(options) => Box::pin(check::check(*options, general, screen)).await,
        Command::Tags(options) => tags::tags(*options, general, &reserved, watched, screen).await,
        Command::Runs(options) => runs::runs(options, general, screen).await,
        Command::Results(options) => results::results(options, general, &reserved, screen).await,
        Command::Report(options) => report::report(options, general, &reserved, screen).await,
        Command::Config(options) => config::config(&options, general, screen),
        Command::Rules(options) => rules::rules(*options, general, screen).await,
        Command::State(options) => state::state(options, general, screen).await,
        Command::Sandbox(options) => sandbox::sandbox(&options, general, screen).await,
        Command::Help(options) => help::help(&options, general, screen),
        Command::Completions(options) => completions::completions(&options, general, screen),
        Command::Man(options) => man::man(&options, general, screen),
    }
}
