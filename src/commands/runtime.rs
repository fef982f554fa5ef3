//! The threads that carry a command. How many there are, and how large, is no matter of the environment.
//!
//! What surprises: a limit on threads is one of all processes of a user, so another may take the last while this one begins,
//! and tokio panics where it finds none, or waits for ever for those that it has. So it begins on a thread that nobody waits
//! for when it panics, and what it needs later is there from the beginning.

use std::io;
use std::num::NonZeroUsize;
use std::panic;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, Builder};
use std::time::Duration;

use tokio::runtime::Runtime;

/// More workers than this have nothing to do: a run waits for the network most of its time.
const MOST_WORKERS: usize = 8;
/// Threads beside the workers: for the disk, for reading the input, and for each stream that is written.
const FURTHER_THREADS: usize = 5;
/// How many of them are tokio's, for what stands still: on these, one after the other, all of it is done in the end.
const STANDING_STILL: usize = 2;
/// How long they are kept without work: as long as the process.
const KEPT: Duration = Duration::from_hours(24 * 366);
/// How long they may take to begin.
const BEGINNING: Duration = Duration::from_secs(10);
/// What a thread may use of the stack, whatever the environment says (`RUST_MIN_STACK`).
const STACK_BYTES: usize = 2 << 20;

/// The runtime of this process.
///
/// # Errors
/// When the system does not have the threads or the files for it.
pub(super) fn runtime() -> io::Result<Runtime> {
    let workers = thread::available_parallelism().map_or(2, NonZeroUsize::get).clamp(2, MOST_WORKERS);
    require_threads(workers + FURTHER_THREADS)?;
    let (sender, receiver) = channel();
    let panicking = sender.clone();
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |_panic| drop(panicking.send(None))));
    let began = Builder::new().stack_size(STACK_BYTES).spawn(move || drop(sender.send(Some(begin(workers)))));
    let began = began.and_then(|_thread| receiver.recv().ok().flatten().unwrap_or_else(|| Err(no_thread())));
    panic::set_hook(hook);
    began
}

fn no_thread() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "a thread could not be started")
}

/// Begins, and has the threads for what stands still begin, too.
fn begin(workers: usize) -> io::Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_stack_size(STACK_BYTES)
        .thread_keep_alive(KEPT)
        .enable_all()
        .build()?;
    let (gate, (sender, begun)) = (Arc::new(Mutex::new(())), channel());
    let closed = gate.lock();
    for _thread in 0..STANDING_STILL {
        let (gate, sender) = (Arc::clone(&gate), sender.clone());
        runtime.spawn_blocking(move || {
            let _heard = sender.send(());
            drop(gate.lock());
        });
    }
    let has_begun = (0..STANDING_STILL).all(|_thread| begun.recv_timeout(BEGINNING).is_ok());
    drop(closed);
    if has_begun {
        return Ok(runtime);
    }
    runtime.shutdown_background();
    Err(no_thread())
}

/// Has so many threads at once for a moment: whoever finds out later that there are too few cannot go on in order.
fn require_threads(count: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let _closed = gate.lock();
        (0..count).try_for_each(|_| {
            Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || drop(gate.lock())).map(drop)
        })
    })
}
