//! The process of a command: a thread that does the work, and the first one, which hears signals meanwhile.
//!
//! What surprises: the first thread does nothing but wait. Work may stand still where nothing is heard, at a file that is a
//! pipe or a disk that does not answer, and even then somebody must be there who ends the process.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::audience::{Audience, audience, audience_of_typed, cut_off, interrupted, show_error, typed};
use super::command_line::{refuse, run};
use super::stop_signals::Unheeded;
use super::{process_limits, runtime, stop_signals};
use crate::cli::{Cli, Mistyped};
use crate::exit::{CommandError, ExitStatus};

/// Enough for the deepest that any command goes, whatever `ulimit -s` leaves the first thread of a process.
const STACK_BYTES: usize = 8 << 20;

/// How long a command may still take to end that is to end at once.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Carries out what was typed, and says how the process is to end. Whatever goes wrong has been shown.
#[must_use]
pub fn execute() -> ExitStatus {
    match begin() {
        Ok(status) => status,
        Err(error) => {
            // There may be little memory, so that nobody makes sense of what was typed.
            let (screen, json) = audience(Mistyped::without_input(&typed()));
            show_error(&error, json, &screen);
            screen.finish();
            error.status
        }
    }
}

fn begin() -> Result<ExitStatus, CommandError> {
    process_limits::allow_to_begin()?;
    let nothing_left = |error| {
        let hint = "the system has no threads or files left for this process; raise its limits (ulimit -u, ulimit -n, ulimit -v)";
        CommandError::new(ExitStatus::StorageFailed, error, Some(hint.to_owned()))
    };
    let runtime = runtime::runtime().map_err(nothing_left)?;
    let within = runtime.enter();
    stop_signals::hear();
    stop_signals::outlive_file_size_limit();
    stop_signals::outlive_lost_memory();
    drop(within);
    let (ends, mut end) = oneshot::channel();
    let (handle, audience) = (runtime.handle().clone(), Arc::new(OnceLock::new()));
    let known = Arc::clone(&audience);
    let work = move || {
        // Whoever waits for it is there until then.
        let _ended = ends.send(carry_out(&handle, &known));
    };
    let working = thread::Builder::new().name("main".to_owned()).stack_size(STACK_BYTES).spawn(work);
    let working = working.map_err(nothing_left)?;
    let ended = runtime.block_on(async {
        tokio::select! {
            biased;
            ended = &mut end => Ok(ended),
            // It may be about to end.
            unheeded = stop_signals::unheeded() => timeout(LAST_MOMENT, end).await.map_err(|_elapsed| unheeded),
        }
    });
    // A question that nobody answers must not keep the process.
    runtime.shutdown_background();
    let ended = match ended {
        Ok(ended) => ended,
        Err(unheeded) => {
            let (screen, json) = audience.get().cloned().unwrap_or_else(audience_of_typed);
            let error = match unheeded {
                Unheeded::BeforeWork => interrupted(),
                Unheeded::AfterWork => cut_off(),
            };
            show_error(&error, json, &screen);
            screen.finish();
            return Ok(error.status);
        }
    };
    // What ends without a status has panicked, which has been shown: it is a bug.
    let _shown = working.join();
    Ok(ended.unwrap_or(ExitStatus::Bug))
}

fn carry_out(runtime: &Handle, audience: &OnceLock<Audience>) -> ExitStatus {
    match Cli::read() {
        Ok(cli) => run(cli, runtime, audience),
        Err(refusal) => refuse(refusal),
    }
}
