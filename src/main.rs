//! The program: reads the command line, runs the command, ends with its status.

use std::process::ExitCode;

use tagfleet::cli::Cli;

fn main() -> ExitCode {
    tagfleet::forbid_core_dumps();
    match Cli::read() {
        Ok(cli) => ExitCode::from(tagfleet::commands::run(cli).code()),
        Err(error) => ExitCode::from(tagfleet::commands::refuse(&error).code()),
    }
}
