//! Ctrl-C and the signals that ask a process to end: once to drain, twice to stop at once.

use std::io;

use tokio::sync::mpsc;

use crate::dispatch::StopRequest;

/// Requests that may wait; more are the same as two.
const QUEUE_LENGTH: usize = 4;

/// Listens until the receiver is dropped. Must be called within a runtime.
pub(super) fn listen() -> mpsc::Receiver<StopRequest> {
    let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
    match Signals::new() {
        Ok(signals) => {
            tokio::spawn(pass_on(signals, sender));
        }
        Err(error) => {
            tracing::warn!(%error, "interrupts cannot be listened for; the process can only be ended at once");
        }
    }
    receiver
}

async fn pass_on(mut signals: Signals, requests: mpsc::Sender<StopRequest>) {
    let mut request = StopRequest::Drain;
    loop {
        tokio::select! {
            () = signals.next() => {}
            () = requests.closed() => return,
        }
        if requests.send(request).await.is_err() {
            return;
        }
        request = StopRequest::Halt;
    }
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        let _interrupted = self.0.recv().await;
    }
}
