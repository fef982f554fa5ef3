//! The program: reads the command line, runs the command, ends with its status.

use std::process::ExitCode;
use std::thread;

use tagfleet::Cli;

/// Enough for the deepest that any command goes, whatever `ulimit -s` leaves the first thread of a process.
const STACK_BYTES: usize = 8 << 20;
/// What a panic, which has been shown, ends with: it is a bug.
const BUG: u8 = 70;

fn main() -> ExitCode {
    tagfleet::prefer_small_pages();
    tagfleet::forbid_core_dumps();
    match thread::Builder::new().name("main".to_owned()).stack_size(STACK_BYTES).spawn(run) {
        Ok(running) => running.join().unwrap_or(ExitCode::from(BUG)),
        // A system that has no thread left must be able to say so.
        Err(_none_left) => run(),
    }
}

fn run() -> ExitCode {
    match Cli::read() {
        Ok(cli) => ExitCode::from(tagfleet::execute(cli).code()),
        Err(error) => ExitCode::from(tagfleet::refuse(error).code()),
    }
}
