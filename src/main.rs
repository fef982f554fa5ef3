//! The program: reads the command line, runs the command, ends with its status.

use std::process::ExitCode;

use tagfleet::cli::Cli;

fn main() -> ExitCode {
    tagfleet::forbid_core_dumps();
    match Cli::read() {
        Ok(cli) => ExitCode::from(tagfleet::commands::run(cli).code()),
        Err(error) => {
            // Help and version are no errors; if nobody reads them, there is nobody to tell.
            let _closed = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
