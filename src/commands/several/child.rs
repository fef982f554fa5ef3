//! One profile's process: started, heard, stopped, waited for.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

use super::exit_statuses;
use crate::exit::ExitStatus;
use crate::report::Screen;

/// What a command prints for people or scripts has a thousandth of that.
const LARGEST_OUTPUT_BYTES: u64 = 256 << 20;
/// How long a line is waited for that a process may still have on its way when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a profile's process ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// What it printed.
    pub(super) output: Vec<u8>,
    /// What became of it, where it has no status of its own.
    instead: Option<String>,
}

impl Ended {
    /// Somebody wanted to stop before its turn came.
    pub(super) fn never_began() -> Self {
        Self::without_status(ExitStatus::StoppedEarly, "not started: interrupted before its turn")
    }

    fn without_status(status: ExitStatus, instead: impl Into<String>) -> Self {
        Self { status, output: Vec::new(), instead: Some(instead.into()) }
    }

    /// How it ended, in words.
    pub(super) fn text(&self) -> String {
        let code = self.status.code();
        let meaning = exit_statuses("tagfleet").find(|(status, _)| *status == code).map_or("", |(_, meaning)| meaning);
        self.instead.clone().unwrap_or_else(|| format!("status {code}, {meaning}"))
    }

    /// The object that it printed.
    pub(super) fn object(&self) -> Option<Value> {
        serde_json::from_slice(&self.output).ok()
    }
}

/// The process of a profile.
pub(super) struct Child {
    pub(super) profile: String,
    /// How many times somebody wanted to stop.
    pub(super) stop: watch::Receiver<u8>,
    pub(super) screen: Screen,
}

impl Child {
    /// Runs it to its end.
    pub(super) async fn run(mut self) -> Ended {
        let mut process = match self.command().and_then(|mut command| command.spawn()) {
            Ok(process) => process,
            Err(error) => {
                return Ended::without_status(ExitStatus::StorageFailed, format!("cannot be started: {error}"));
            }
        };
        let (output, messages) = (process.stdout.take(), process.stderr.take());
        let output = tokio::spawn(async move {
            let mut read = Vec::new();
            if let Some(mut output) = output {
                // What cannot be read is not shown; the status tells. Whoever writes more is not kept waiting.
                let _unread = (&mut output).take(LARGEST_OUTPUT_BYTES).read_to_end(&mut read).await;
                let _more = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
            }
            read
        });
        let telling = tokio::spawn(tell(messages, self.profile.clone(), self.screen.clone()));
        let mut heard = 0;
        let ended = loop {
            tokio::select! {
                ended = process.wait() => break ended,
                Ok(()) = self.stop.changed() => {
                    let wanted = *self.stop.borrow_and_update();
                    for _ in heard..wanted {
                        interrupt(&process);
                    }
                    heard = wanted;
                }
            }
        };
        let _told = tokio::time::timeout(LAST_WORDS, telling).await;
        let output = output.await.unwrap_or_default();
        let code = ended.ok().and_then(|status| status.code());
        match code.and_then(|code| u8::try_from(code).ok()).and_then(ExitStatus::of_code) {
            Some(status) => Ended { status, output, instead: None },
            None => Ended::without_status(ExitStatus::StoppedEarly, "ended by a signal, resumable"),
        }
    }

    fn command(&self) -> std::io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(format!("--only-profile={}", self.profile)).arg(format!("--begun-at={}", self.screen.begun_at()));
        command.args(std::env::args_os().skip(1));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        command.process_group(0);
        Ok(command)
    }
}

/// Passes on what it says, line by line.
async fn tell(messages: Option<impl AsyncRead + Unpin>, profile: String, screen: Screen) {
    let Some(messages) = messages else { return };
    let mut lines = BufReader::new(messages).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let (profile, screen) = (profile.clone(), screen.clone());
        // Whoever does not read holds up neither this process nor its other children.
        let told = move || screen.relay(&profile, &String::from_utf8_lossy(&line));
        let _told = tokio::task::spawn_blocking(told).await;
    }
}

/// Asks it to end. On Windows the console has asked all of them already.
fn interrupt(process: &tokio::process::Child) {
    #[cfg(unix)]
    if let Some(id) = process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) {
        // It may have ended by now, which is what is wanted. One that was suspended hears it when it is awake.
        let _ended = rustix::process::kill_process(id, rustix::process::Signal::TERM)
            .and_then(|()| rustix::process::kill_process(id, rustix::process::Signal::CONT));
    }
    #[cfg(not(unix))]
    let _ = process;
}
