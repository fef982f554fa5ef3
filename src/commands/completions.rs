//! `completions`: what completes commands and options in a shell.

use clap::CommandFactory;
use serde_json::json;

use crate::cli::{Cli, CompletionsOptions, GeneralOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::report::{Ending, Screen};

pub(super) fn completions(
    options: &CompletionsOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "tagfleet", &mut script);
    let script = String::from_utf8_lossy(&script);
    if general.json {
        screen.object(json!({"text": script}), &Ending::finished(ExitStatus::Done.code()))?;
    } else {
        screen.data(&script)?;
    }
    Ok(ExitStatus::Done)
}
