//! Ctrl-C and the signals that ask a process to end: once to drain, twice to stop at once.
//!
//! Signals are for the whole process, and so is what hears them; it stands before anything else is done. Whoever works on what
//! must be ended in order takes the word with [`listen`]. While nobody has it, nothing has been sent, and whoever waits for
//! [`unheard`] ends the command. Whoever is in a hurry waits less for the state, too, whatever it is asked at the moment. What is
//! to stop at once and does not may stand still at a disk: whoever interrupts it once more ends the process ([`unheeded`]).

use std::io;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::dispatch::StopRequest;
use crate::report::Screen;
use crate::store::Patience;
#[cfg(target_os = "linux")]
use crate::store::lose_shared_memory;

/// Requests that may wait; more are the same as two.
const QUEUE_LENGTH: usize = 4;
/// How long a state that is away is still waited for once somebody wants the process to end.
const LONGEST_ABSENCE: Duration = Duration::from_secs(10);
/// How long a command may take to end that nobody ends in order: it may stand still where it hears nothing, such as a file
/// that is none.
const LONGEST_END: Duration = Duration::from_secs(6);

/// Who hears what, in this process.
static HEARING: LazyLock<Hearing> = LazyLock::new(Hearing::default);

#[derive(Default)]
struct Hearing {
    listeners: Mutex<Listeners>,
    /// How many interrupts nobody was there to hear.
    unheard: watch::Sender<u32>,
    /// Whether somebody interrupts again long after the process was to stop at once.
    insists: watch::Sender<bool>,
}

/// Why a command is not waited for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unheeded {
    /// Nobody had the word, so nothing was sent.
    BeforeWork,
    /// Whoever has it does not come to an end: he writes what became of the work to where nothing can be written.
    AfterWork,
}

/// Whoever is told that the process is to end.
#[derive(Default)]
struct Listeners {
    /// Whether somebody has interrupted before.
    is_stopping: bool,
    /// Since when the process is to stop at once.
    halting: Option<Instant>,
    listener: Option<mpsc::Sender<StopRequest>>,
    screen: Option<Screen>,
    patience: Option<Patience>,
}

impl Hearing {
    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_listener(&self) -> bool {
        self.listeners().listener.as_ref().is_some_and(|listener| !listener.is_closed())
    }
}

/// Hears signals from now on, which no longer end the process by themselves. Must be called within a runtime.
pub(super) fn hear() {
    match Signals::new() {
        Ok(signals) => {
            tokio::spawn(pass_on(signals));
        }
        Err(error) => {
            tracing::warn!(%error, "interrupts cannot be listened for; the process can only be ended at once");
        }
    }
}

/// Takes the word: each request is heard here from now on, for as long as the receiver is there.
pub(super) fn listen() -> mpsc::Receiver<StopRequest> {
    let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
    HEARING.listeners().listener = Some(sender);
    receiver
}

/// Output on this screen that nobody reads holds nobody who wants to end the process.
pub(super) fn end_output_of(screen: &Screen) {
    HEARING.listeners().screen = Some(screen.clone());
}

/// A state with this patience that is away holds nobody for long who wants to end the process.
pub(super) fn shorten(patience: Patience) {
    HEARING.listeners().patience = Some(patience);
}

/// Waits until somebody interrupts while nobody has the word.
pub(super) async fn unheard() {
    wait_for_unheard(1).await;
}

/// Waits until a command does not end that was to, or that is to end at once while nobody has the word.
pub(super) async fn unheeded() -> Unheeded {
    let mut insists = HEARING.insists.subscribe();
    tokio::select! {
        () = unheeded_before_work() => Unheeded::BeforeWork,
        // Whoever could say so is there as long as the process.
        _ = insists.wait_for(|insists| *insists) => Unheeded::AfterWork,
    }
}

async fn unheeded_before_work() {
    let mut count = 1;
    loop {
        wait_for_unheard(count).await;
        let again = timeout(LONGEST_END, wait_for_unheard(count + 1)).await;
        if again.is_ok() || !HEARING.has_listener() {
            return;
        }
        count += 1;
    }
}

async fn wait_for_unheard(count: u32) {
    let mut unheard = HEARING.unheard.subscribe();
    if unheard.wait_for(|known| *known >= count).await.is_err() {
        // Whoever could say so is there as long as the process.
        std::future::pending::<()>().await;
    }
}

/// A file that reaches the largest size that is allowed (`ulimit -f`) is an error of whoever writes it, and does not end the
/// process. Must be called within a runtime.
pub(super) fn outlive_file_size_limit() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Once it has been listened for, it no longer does anything by itself.
        let listening = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
        if let Err(error) = listening {
            tracing::warn!(%error, "a file that grows too large would end the process at once");
        }
    }
}

/// Memory that is shared through a file of the state, and that somebody has cut, stops the thread that touches it, and not the
/// process: whoever waits for that thread hears of it. Must be called within a runtime.
pub(super) fn outlive_lost_memory() {
    #[cfg(target_os = "linux")]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let lost = rustix::process::Signal::BUS.as_raw();
        // The standard library's own handler, which would be called first, ends the process. It is there for stacks that
        // overflow, and here these come as another signal.
        #[expect(unsafe_code, reason = "the call has no precondition; no safe wrapper gives a signal its default back")]
        let _before = unsafe { libc::signal(lost, libc::SIG_DFL) };
        match signal(SignalKind::from_raw(lost)) {
            Ok(mut signals) => {
                tokio::spawn(async move {
                    if signals.recv().await.is_some() {
                        lose_shared_memory();
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "a state that is cut while it is used would end the process at once"),
        }
    }
}

async fn pass_on(mut signals: Signals) {
    loop {
        let signal = signals.next().await;
        let mut listeners = HEARING.listeners();
        if let Some(screen) = &listeners.screen {
            screen.end_at(Instant::now());
        }
        let request = match signal {
            Signal::Stop if listeners.is_stopping => {
                if listeners.halting.get_or_insert_with(Instant::now).elapsed() >= LONGEST_END {
                    HEARING.insists.send_replace(true);
                }
                StopRequest::Halt
            }
            // A terminal that goes away may say so more than once, by itself and through the shell, and a limit on time says
            // so each second; nobody is there who could be in a hurry.
            Signal::Gone if listeners.is_stopping => continue,
            Signal::Stop | Signal::Gone => StopRequest::Drain,
        };
        listeners.is_stopping = true;
        if let Some(patience) = &listeners.patience {
            patience.shorten(match request {
                StopRequest::Drain => LONGEST_ABSENCE,
                StopRequest::Halt => Duration::ZERO,
            });
        }
        match &listeners.listener {
            Some(listener) if !listener.is_closed() => {
                // More than wait already are the same as two.
                let _heard_already = listener.try_send(request);
            }
            _ => HEARING.unheard.send_modify(|count| *count += 1),
        }
    }
}

/// What was heard.
enum Signal {
    /// Somebody wants the process to end.
    Stop,
    /// The terminal has gone, or the time that the process may use the processor for (`ulimit -t`).
    #[cfg_attr(windows, expect(dead_code, reason = "a console that is closed ends its processes at once"))]
    Gone,
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` where whoever started the process wants it to outlive the terminal.
    hang_up: Option<tokio::signal::unix::Signal>,
    time_over: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hang_up = if hang_up_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up,
            time_over: signal(SignalKind::from_raw(rustix::process::Signal::XCPU.as_raw()))?,
        })
    }

    async fn next(&mut self) -> Signal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Stop,
            _ = hang_up => Signal::Gone,
            _ = self.time_over.recv() => Signal::Gone,
        }
    }
}

/// Whether the process was started with `nohup` or the like. Only Linux tells that without unsafe code; elsewhere a
/// terminal that goes away ends the run in order, and it can be resumed.
#[cfg(unix)]
fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> Signal {
        let _interrupted = self.0.recv().await;
        Signal::Stop
    }
}
