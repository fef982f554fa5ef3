//! The threads that carry a command. How many there are, and how large, is no matter of the environment.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread::{self, Builder};

use tokio::runtime::Runtime;

/// More workers than this have nothing to do: a run waits for the network most of its time.
const MOST_WORKERS: usize = 8;
/// Threads beside the workers: for the disk, for reading the input, and for each stream that is written.
const FURTHER_THREADS: usize = 5;
/// What a thread may use of the stack.
const STACK_BYTES: usize = 2 << 20;

/// The runtime of this process.
///
/// # Errors
/// When the system does not have the threads or the files for it.
pub(super) fn runtime() -> io::Result<Runtime> {
    let workers = thread::available_parallelism().map_or(2, NonZeroUsize::get).clamp(2, MOST_WORKERS);
    require_threads(workers + FURTHER_THREADS)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
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
