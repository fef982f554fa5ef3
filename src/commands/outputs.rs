//! The files of one call of the program: which of them an output must not be written into, and whether the log may be
//! appended to what is there. Found out before any of them is opened for writing.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tracing::Level;

use super::default_results::{results_of_input, results_of_undo};
use super::input::input_path;
use crate::cli::{Cli, Command, GeneralOptions, ServiceOptions, TagsCommand};
use crate::config::{sandbox_state_directory, state_directory};
use crate::exit::{CommandError, ExitStatus, RunSetting};
use crate::outside::{open_at_once, shown};
use crate::report::{PageTarget, Problem, Reserved, ResultsTarget, own_stream, refuse_place_of_stream};
use crate::store::{lock_directory, state_files};

/// Bytes at the beginning of a log that are looked at.
const LOOKED_AT: u64 = 1 << 12;

/// What no output may be written into: the input, the files that hold secrets, and the state.
pub(super) fn reserved(cli: &Cli) -> Reserved {
    let mut reserved = Reserved::default();
    if let Some(input) = cli.command.input().and_then(input_path) {
        reserved = reserved.with("the input", input);
    }
    if let Some(filter) = cli.command.filter().and_then(|options| options.where_file.as_ref()) {
        reserved = reserved.with("the file of the filter", filter);
    }
    if let Some(path) = cli.command.monitoring().and_then(|options| options.ping_url_file.as_ref()) {
        reserved = reserved.with("the file with the address to ping", path);
    }
    let service = cli.command.service().filter(|_| !cli.command.is_rehearsal());
    for path in service.into_iter().flat_map(|service| credentials(service, &cli.general)) {
        reserved = reserved.with("a file to sign in with", path);
    }
    // Where there is no state directory, the command says so itself.
    if let Ok(directory) =
        state_directory(cli.general.state_dir.as_deref(), &|name| cli.general.settings.variable(name))
    {
        for directory in [sandbox_state_directory(&directory), directory] {
            // A file of the state may have a second name elsewhere.
            for path in state_files(&directory) {
                reserved = reserved.with("a file of the state", path);
            }
            for path in [lock_directory(&directory), directory] {
                reserved = reserved.with_directory("the state directory", path);
            }
        }
    }
    reserved
}

fn credentials(service: &ServiceOptions, general: &GeneralOptions) -> Vec<PathBuf> {
    let of_service = [&service.client_secret_file, &service.token_file];
    let named = of_service.into_iter().chain([&general.ca_file, &general.state_password_file]).flatten().cloned();
    let variables = ["AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"].into_iter();
    named.chain(variables.filter_map(|name| general.settings.variable(name)).map(PathBuf::from)).collect()
}

/// Where the command is going to write, as far as that is known before it has looked at any run.
fn outputs(command: &Command) -> Vec<PathBuf> {
    let (output, has_failed_rows) = match command {
        Command::Apply(options) => {
            let default = || results_of_input(&options.input.input, options.sandbox);
            (Some(options.output.clone().unwrap_or_else(default)), true)
        }
        Command::Undo(options) => (Some(options.output.clone().unwrap_or_else(|| results_of_undo(&options.run))), true),
        Command::Tags(options) => (options.command.as_ref().map(TagsCommand::results), true),
        Command::Resume(options) => (options.output.clone(), true),
        Command::Results(options) => (options.output.clone(), true),
        Command::Verify(options) => (options.output.clone(), false),
        Command::Inventory(options) => (options.output.clone(), false),
        Command::Report(options) => (options.output.clone(), false),
        Command::Plan(_)
        | Command::Rules(_)
        | Command::Runs(_)
        | Command::Check(_)
        | Command::Config(_)
        | Command::State(_)
        | Command::Sandbox(_)
        | Command::Help(_)
        | Command::Completions(_)
        | Command::Man(_) => (None, false),
    };
    let Some(output) = output.filter(|output| output != Path::new("-")) else { return Vec::new() };
    let target = ResultsTarget::file(output);
    let failed = target.failed().filter(|_| has_failed_rows);
    target.results().into_iter().chain(failed).map(Path::to_owned).collect()
}

/// Refuses to write the metrics into a file that has another purpose.
pub(super) fn refuse_metrics(path: &Path, reserved: &Reserved) -> Result<(), CommandError> {
    reserved.refuse("the metrics", path).map_err(|error| {
        let hint = Some("name another file with --metrics-file".to_owned());
        CommandError::of(ExitStatus::Usage, Problem { error: error.into(), hint }).about(RunSetting::MetricsFile)
    })
}

/// Refuses to write the report where it cannot be written, or into a file that has another purpose.
pub(super) fn refuse_report(path: &Path, command: &Command, reserved: &Reserved) -> Result<(), CommandError> {
    if path == Path::new("-") {
        let hint = "after the run, \"tagfleet report RUN -o -\" prints it";
        return Err(CommandError::text(ExitStatus::Usage, "--report needs the name of a file", Some(hint)));
    }
    PageTarget::new(path.to_owned()).check(&with_results(reserved, command)).map_err(CommandError::from)
}

/// What is reserved, and the results of the command.
pub(super) fn with_results(reserved: &Reserved, command: &Command) -> Reserved {
    outputs(command).into_iter().fold(reserved.clone(), |reserved, path| reserved.with("the results", path))
}

/// Opens the log: a new file, one that holds nothing but what a log of ours wrote, or no ordinary file at all.
pub(super) fn open_log(path: &Path, command: &Command, reserved: &Reserved) -> Result<File, CommandError> {
    let refused = |error: Box<dyn std::error::Error + Send + Sync>, hint: String| {
        CommandError::of(ExitStatus::Usage, Problem { error, hint: Some(hint) }).about(RunSetting::LogFile)
    };
    let other = || "name another file with --log-file".to_owned();
    with_results(reserved, command).refuse("the log", path).map_err(|error| refused(error.into(), other()))?;
    let unusable = |error: io::Error| {
        let hint = format!("--log-file needs a file that can be written, and {} cannot", shown(path));
        refused(error.into(), hint)
    };
    if let Some(stream) = own_stream(path) {
        return Ok(stream);
    }
    if !path.exists() {
        refuse_place_of_stream(path).map_err(|error| refused(error.into(), other()))?;
    }
    if path.is_file() && !is_log(path).map_err(unusable)? {
        let message = format!("{} already exists, and is not a log that tagfleet wrote", shown(path));
        return Err(refused(message.into(), format!("move it away, or {}", other())));
    }
    open_for_appending(path).map_err(unusable)
}

/// Whether a file is empty, or begins as a log does: with a time and a level, as text or as JSON.
fn is_log(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    open_at_once(path)?.take(LOOKED_AT).read_to_end(&mut start)?;
    let start = String::from_utf8_lossy(&start);
    let Some(line) = start.lines().next() else { return Ok(true) };
    let mut words = line.split_whitespace();
    let mut next_is = |suits: fn(&str) -> bool| words.next().is_some_and(suits);
    let is_text = next_is(|word| word.parse::<Timestamp>().is_ok()) && next_is(|word| word.parse::<Level>().is_ok());
    Ok(is_text || line.starts_with(r#"{"timestamp":""#))
}

#[cfg(unix)]
fn open_for_appending(path: &Path) -> io::Result<File> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use std::os::unix::fs::OpenOptionsExt;
    // A named pipe that nobody reads would keep whoever opens it for ever; so it is refused.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = File::options().create(true).append(true).mode(0o600).custom_flags(flags).open(path)?;
    // Once it is open, a slow reader gets all that he has time for.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(not(unix))]
fn open_for_appending(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_known_by_its_first_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run.log");
        for (text, expected) in [
            ("", true),
            ("2026-11-26T03:17:12.123456Z  INFO calls begin run=R host=\"h\"\n", true),
            ("{\"timestamp\":\"2026-11-26T03:17:12.123456Z\",\"level\":\"INFO\"}\n", true),
            ("machineId,tag,action,row,status\n", false),
            ("2026-11-26T03:17:12Z,machine,Add\n", false),
            ("2026-11-26 my notes\n", false),
            ("{\"a\": 1}\n", false),
            ("\n", false),
        ] {
            std::fs::write(&path, text).expect("a file");
            assert_eq!(is_log(&path).expect("a file"), expected, "{text}");
        }
    }
}
