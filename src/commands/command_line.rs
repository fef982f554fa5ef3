//! What was typed, carried out: the screen and the log that it names, who watches, and the command itself.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use tokio::runtime::Handle;

use super::audience::{Audience, audience, interrupted, show_error, typed, with_origin};
use super::context::CommandContext;
use super::input::input_name;
use super::watching::{Watch, Watched};
use super::{
    apply, check, completions, config, default_results, help, inventory, man, named_files, outputs, plan, report,
    results, resume, rules, runs, sandbox, several, state, stop_signals, tags, undo, verify,
};
use crate::api::sign_in::warn_if_readable_by_everybody;
use crate::cli::{Cli, Command, Mistyped, Refusal, StateAuth, message_and_hint};
use crate::clock;
use crate::config::{ConfigError, state_place};
use crate::exit::{CommandError, ExitStatus};
use crate::report::logging;
use crate::report::{Invocation, Reserved, Screen};
use crate::store::StatePlace;

/// Runs the command that was typed and says how the process is to end. Whatever goes wrong has been shown.
pub(super) fn run(cli: Cli, runtime: &Handle, audience: &OnceLock<Audience>) -> ExitStatus {
    let invocation =
        Invocation { started_at: clock::now(), input: cli.command.input().map(|input| input_name(&input.input)) };
    let screen = Screen::new(cli.general.color, cli.general.quiet)
        .with_line_format(cli.general.log_format)
        .with_invocation(invocation);
    screen.tell_panics();
    let json = cli.general.json;
    stop_signals::end_output_of(&screen);
    // It is the only one.
    let _first = audience.set((screen.clone(), json));
    let status = run_on(cli, runtime, &screen).unwrap_or_else(|error| {
        show_error(&error, json, &screen);
        error.status
    });
    screen.finish();
    status
}

/// Shows why a command line could not be understood, or the help that it asked for, and says how the process is to end.
pub(super) fn refuse(refusal: Refusal) -> ExitStatus {
    if let Refusal::Typed(error) = &refusal
        && !error.use_stderr()
    {
        // Help and version are no errors; if nobody reads them, there is nobody to tell.
        let _closed = error.print();
        return ExitStatus::Done;
    }
    let mistyped = Mistyped::of(&typed());
    let is_check = mistyped.is_check;
    let (screen, json) = audience(mistyped);
    match refusal {
        Refusal::Settings(error) if is_check => {
            let error = ConfigError::from(error).into();
            if check::unusable(&error, json, &screen).is_err() {
                show_error(&error, json, &screen);
            }
            screen.finish();
        }
        Refusal::Settings(error) => show_error(&ConfigError::from(error).into(), json, &screen),
        Refusal::Typed(error) if json || screen.has_json_lines() => {
            let (message, hint) = message_and_hint(&error);
            show_error(&CommandError::text(ExitStatus::Usage, message, hint.as_deref()), json, &screen);
        }
        Refusal::Typed(error) => screen.line(screen.styled(&error.render()).trim_end()),
    }
    ExitStatus::Usage
}

/// Refuses a clock whose times the state could not read back.
fn refuse_impossible_time() -> Result<(), CommandError> {
    let now = clock::now();
    if !clock::is_beyond_all_books(now) {
        return Ok(());
    }
    let message = format!("this computer's clock shows the year {}", now.strftime("%Y"));
    Err(CommandError::text(
        ExitStatus::Usage,
        message,
        Some("set the clock right; states hold times from 1970 to 2286"),
    ))
}

fn run_on(cli: Cli, runtime: &Handle, screen: &Screen) -> Result<ExitStatus, CommandError> {
    let cli = several::naming::with_own_names(cli, default_results::results_of_input);
    let general = &cli.general;
    named_files::check_time_zone()?;
    refuse_impossible_time()?;
    let reserved = outputs::reserved(&cli);
    let (json, in_force) = (general.json, general.in_force.clone());
    let logging_screen = OnceCell::new();
    let status = runtime.block_on(async {
        if !cli.several.is_empty() {
            return several::several(&cli, screen).await;
        }
        let watch = tokio::select! {
            watch = Watch::of(&cli, &reserved, screen) => watch?,
            () = stop_signals::unheard() => return Err(interrupted()),
        };
        let watched = watch.as_ref().map(Watch::watched);
        let command = carry_out(cli, reserved, watched.as_ref(), screen, &logging_screen);
        let command = async {
            tokio::select! {
                biased;
                ended = command => ended,
                () = stop_signals::unheard() => Err(interrupted()),
            }
        };
        match watch {
            None => Box::pin(command).await,
            Some(watch) => {
                let show = |error| show_error(&with_origin(error, &in_force), json, screen);
                Ok(Box::pin(watch.over(command, show)).await)
            }
        }
    });
    // Output that nobody reads must not keep the process.
    let screen = logging_screen.get().unwrap_or(screen);
    screen.end_at(Instant::now());
    screen.finish();
    status.map_err(|error| with_origin(error, &in_force))
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
    if let Some(path) = cli.command.changing().and_then(|changing| changing.report.as_ref()) {
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
    // Warned of here: the ping file was read before there was a log, and `config`, which reads the other, does not warn.
    let ping_file = cli.command.monitoring().and_then(|options| options.ping_url_file.as_ref());
    // Where a token is the password, there is no file of it.
    let has_password = general.state_auth == StateAuth::default();
    let state = has_password.then(|| state_place(general, false, &|name| general.settings.variable(name)));
    let state = state.and_then(Result::ok);
    let password_file = state.as_ref().and_then(StatePlace::password_file).or(general.state_password_file.as_deref());
    for path in ping_file.map(PathBuf::as_path).into_iter().chain(password_file) {
        warn_if_readable_by_everybody(path);
    }
    let command = CommandContext { general, reserved: &reserved, watched, screen };
    match cli.command {
        Command::Apply(options) => Box::pin(apply::apply(*options, command)).await,
        Command::Resume(options) => resume::resume(*options, command).await,
        Command::Undo(options) => undo::undo(*options, command).await,
        Command::Plan(options) => plan::plan(*options, command).await,
        Command::Verify(options) => verify::verify(*options, command).await,
        Command::Inventory(options) => inventory::inventory(*options, command).await,
        Command::Check(options) => Box::pin(check::check(*options, command)).await,
        Command::Tags(options) => Box::pin(tags::tags(*options, command)).await,
        Command::Runs(options) => runs::runs(options, command).await,
        Command::Results(options) => results::results(options, command).await,
        Command::Report(options) => report::report(options, command).await,
        Command::Config(options) => config::config(&options, general, screen),
        Command::Rules(options) => rules::rules(*options, command).await,
        Command::State(options) => state::state(options, command).await,
        Command::Sandbox(options) => sandbox::sandbox(&options, general, screen).await,
        Command::Help(options) => help::help(&options, general, screen),
        Command::Completions(options) => completions::completions(&options, general, screen),
        Command::Man(options) => man::man(&options, general, screen),
    }
}
