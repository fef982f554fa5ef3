//! `completions`: what completes commands and options in a shell.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::report::Screen;

pub(super) fn completions(options: &CompletionsOptions, screen: &Screen) -> Result<ExitStatus, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "tagfleet", &mut script);
    let shown = screen.data(&String::from_utf8_lossy(&script));
    shown.map_err(|error| CommandError::new(ExitStatus::StorageFailed, error, None))?;
    Ok(ExitStatus::Done)
}
