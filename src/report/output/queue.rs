//! A stream with a bounded queue and a thread of its own that writes it, so that whoever stops reading (a terminal after
//! Ctrl-S, a pipe that nobody empties) stops nothing else.
//!
//! What only accompanies the work is dropped when the queue is full, and counted. What must be seen is always taken, and
//! whoever says it may wait until it is written, as long as nobody wants the process to end.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that may wait to be written before lines are dropped.
const MAXIMUM_WAITING_BYTES: usize = 1 << 20;
/// Bytes that may wait before the bar is no longer drawn: it is the first to go.
const MAXIMUM_BYTES_BEFORE_BAR: usize = 1 << 16;
/// How much is written at once, so that a slow reader is told from none.
const PIECE_BYTES: usize = 4096;
/// The stack of the thread that writes; the environment (`RUST_MIN_STACK`) might ask for more than there is.
const WRITER_STACK_BYTES: usize = 1 << 20;
/// How long a message may find nobody who reads before its author goes on without having seen it written.
const MAXIMUM_PAUSE: Duration = Duration::from_secs(10);
/// How long nothing may be read once somebody wants the process to end, or its work is done.
const GRACE: Duration = Duration::from_secs(5);
/// How long whoever reads slowly may take then.
const MAXIMUM_GRACE: Duration = Duration::from_secs(30);

/// How much of a loss something would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Importance {
    /// The next one replaces it.
    Bar,
    /// It accompanies the work.
    Line,
}

/// From when on somebody wants the process to end.
#[derive(Debug, Default)]
pub(in crate::report) struct Patience(Mutex<Leaving>);

#[derive(Debug, Default)]
struct Leaving {
    end: Option<Instant>,
    /// When the first data were delivered after it: calls that were under way may have been waited for until then.
    delivering: Option<Instant>,
}

impl Patience {
    /// The process is to end from then on; the earliest time counts.
    pub(super) fn ends_at(&self, time: Instant) {
        let mut leaving = self.lock();
        leaving.end = Some(leaving.end.map_or(time, |earlier| earlier.min(time)));
    }

    /// Whether nobody waits any more to be read by somebody who took something for the last time then.
    fn is_over(&self, last_read: Instant) -> bool {
        self.lock().end.is_some_and(|end| is_over(end, last_read))
    }

    /// The same for data that are being delivered.
    fn is_over_for_data(&self, last_read: Instant) -> bool {
        let mut leaving = self.lock();
        let Some(end) = leaving.end.filter(|end| *end <= Instant::now()) else { return false };
        // Whoever did not read while the end came has had his time when the next data are delivered.
        is_over(*leaving.delivering.get_or_insert(end), last_read)
    }

    /// Data begin to be delivered.
    fn begin_delivery(&self) {
        let (mut leaving, now) = (self.lock(), Instant::now());
        if leaving.end.is_some_and(|end| end <= now) {
            leaving.delivering.get_or_insert(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Leaving> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a reader who took something for the last time then has had the time that readers have from the end on.
fn is_over(end: Instant, last_read: Instant) -> bool {
    end.max(last_read).elapsed() > GRACE || end.elapsed() > MAXIMUM_GRACE
}

/// A stream that is written by a thread of its own.
type Stream = Arc<Mutex<Box<dyn Write + Send>>>;

/// The queue, and the thread that empties it.
pub(in crate::report) struct OutputQueue {
    stream: Stream,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queue: VecDeque<Vec<u8>>,
    /// Bytes in the queue and in the hands of the writer.
    waiting_bytes: usize,
    /// Texts ever taken into the queue.
    taken: u64,
    /// Those of them that were written, or failed.
    finished: u64,
    /// Lines that found no room, and of which nobody knows yet.
    dropped: u64,
    /// When the stream last took something, or could have begun to.
    last_read: Instant,
    /// Why the last text could not be written.
    failure: Option<io::Error>,
    /// How many texts could not be written, and why the first of them could not.
    lost: Option<(u64, io::Error)>,
    has_writer: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            waiting_bytes: 0,
            taken: 0,
            finished: 0,
            dropped: 0,
            last_read: Instant::now(),
            failure: None,
            lost: None,
            has_writer: false,
        }
    }
}

impl OutputQueue {
    /// Over this stream. The thread starts with the first text.
    pub(super) fn new(stream: impl Write + Send + 'static) -> Self {
        Self { stream: Arc::new(Mutex::new(Box::new(stream))), shared: Arc::default() }
    }

    /// Takes a text if there is room, and never waits.
    pub(super) fn offer(&self, bytes: &[u8], importance: Importance) {
        let mut state = self.shared.lock();
        let room = match importance {
            Importance::Bar => MAXIMUM_BYTES_BEFORE_BAR,
            Importance::Line => MAXIMUM_WAITING_BYTES,
        };
        if state.waiting_bytes + bytes.len() <= room {
            self.take(&mut state, bytes);
        } else if importance == Importance::Line {
            state.dropped += 1;
        }
    }

    /// Takes a message in any case, and waits until it is written, but not for ever: it stays in its place in the queue.
    pub(super) fn say(&self, bytes: &[u8], patience: &Patience) {
        let mut state = self.shared.lock();
        self.take(&mut state, bytes);
        let awaited = state.taken;
        let is_over = |last_read: Instant| last_read.elapsed() > MAXIMUM_PAUSE || patience.is_over(last_read);
        drop(self.shared.wait(state, awaited, is_over));
    }

    /// Takes data, and waits until they are written, as long as nobody wants the process to end.
    ///
    /// # Errors
    /// When they cannot be written. A reader who reads nothing until then is no reader who has gone: he may still read
    /// what is a part only, and must be told.
    pub(super) fn deliver(&self, bytes: &[u8], patience: &Patience) -> io::Result<()> {
        patience.begin_delivery();
        let mut state = self.shared.lock();
        self.take(&mut state, bytes);
        let awaited = state.taken;
        let mut state = self.shared.wait(state, awaited, |last_read| patience.is_over_for_data(last_read));
        if state.finished < awaited {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no process reads it"));
        }
        state.failure.take().map_or(Ok(()), Err)
    }

    /// Lines that were dropped, once there is room again to say so.
    pub(super) fn dropped_until_now(&self) -> u64 {
        let mut state = self.shared.lock();
        let has_room = state.waiting_bytes <= MAXIMUM_WAITING_BYTES / 2;
        if has_room { std::mem::take(&mut state.dropped) } else { 0 }
    }

    /// How many texts could not be written, and why the first of them could not.
    pub(super) fn lost(&self) -> Option<(u64, io::Error)> {
        self.shared.lock().lost.take()
    }

    /// Waits until all is written, unless nobody reads.
    pub(super) fn drain(&self) {
        let state = self.shared.lock();
        let (awaited, since) = (state.taken, Instant::now());
        let is_over = |last_read: Instant| last_read.elapsed() > GRACE || since.elapsed() > MAXIMUM_GRACE;
        drop(self.shared.wait(state, awaited, is_over));
    }

    fn take(&self, state: &mut State, bytes: &[u8]) {
        if state.waiting_bytes == 0 {
            state.last_read = Instant::now();
        }
        state.taken += 1;
        state.waiting_bytes += bytes.len();
        state.queue.push_back(bytes.to_vec());
        if !state.has_writer {
            let (shared, stream) = (Arc::clone(&self.shared), Arc::clone(&self.stream));
            let writer = thread::Builder::new().name("output".to_owned()).stack_size(WRITER_STACK_BYTES);
            state.has_writer = writer.spawn(move || write_for_ever(&shared, &stream)).is_ok();
        }
        if state.has_writer {
            self.shared.changed.notify_all();
        } else {
            // A system without threads must be able to say so.
            while let Some(bytes) = state.queue.pop_front() {
                state.has_written(&bytes, write(&self.stream, &bytes, || {}));
            }
        }
    }
}

impl State {
    fn has_written(&mut self, bytes: &[u8], written: io::Result<()>) {
        self.waiting_bytes -= bytes.len();
        self.finished += 1;
        self.last_read = Instant::now();
        self.failure = match written {
            Ok(()) => None,
            Err(error) => {
                let again = io::Error::new(error.kind(), error.to_string());
                self.lost = Some(self.lost.take().map_or((1, again), |(texts, first)| (texts + 1, first)));
                Some(error)
            }
        };
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many texts are written, or it is over for a stream that was last read at that time.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        awaited: u64,
        is_over: impl Fn(Instant) -> bool,
    ) -> MutexGuard<'a, State> {
        // Often enough that nobody notices, seldom enough to cost nothing.
        const LOOKING_UP: Duration = Duration::from_millis(50);
        while state.finished < awaited && !is_over(state.last_read) {
            state = self.changed.wait_timeout(state, LOOKING_UP).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }
}

/// What the thread does until the process ends.
fn write_for_ever(shared: &Shared, stream: &Stream) {
    let mut state = shared.lock();
    loop {
        let Some(bytes) = state.queue.pop_front() else {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        let written = write(stream, &bytes, || shared.lock().last_read = Instant::now());
        state = shared.lock();
        state.has_written(&bytes, written);
        shared.changed.notify_all();
    }
}

/// Writes all of it, and says after each piece that it was read.
fn write(stream: &Stream, bytes: &[u8], was_read: impl Fn()) -> io::Result<()> {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    for piece in bytes.chunks(PIECE_BYTES) {
        stream.write_all(piece)?;
        was_read();
    }
    stream.flush()
}

impl fmt::Debug for OutputQueue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OutputQueue").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A stream that takes a piece whenever it is allowed to, and nothing by itself.
    struct Suspended {
        allowed: Receiver<()>,
        read: Sender<Vec<u8>>,
    }

    impl Write for Suspended {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.allowed.recv().map_err(io::Error::other)?;
            self.read.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn texts_that_cannot_be_written_are_counted_with_the_first_reason() {
        struct Full(u32);
        impl Write for Full {
            fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                Err(io::Error::other(format!("no room, for the {}. time", self.0)))
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let queue = OutputQueue::new(Full(0));
        for text in ["a\n", "b\n", "c\n"] {
            queue.offer(text.as_bytes(), Importance::Line);
        }
        queue.drain();
        let lost = queue.lost().map(|(texts, why)| (texts, why.to_string()));
        assert_eq!(lost, Some((3, "no room, for the 1. time".to_owned())));
        assert!(queue.lost().is_none(), "it is said once");
    }

    fn suspended() -> (OutputQueue, Sender<()>, Receiver<Vec<u8>>) {
        let (allow, allowed) = channel();
        let (read, heard) = channel();
        (OutputQueue::new(Suspended { allowed, read }), allow, heard)
    }

    #[test]
    fn a_full_queue_drops_the_bar_first_then_lines_and_counts_them() {
        let (output_queue, allow, heard) = suspended();
        let line = vec![b'x'; PIECE_BYTES];
        let lines = MAXIMUM_WAITING_BYTES / PIECE_BYTES;
        for _ in 0..lines {
            output_queue.offer(b"bar", Importance::Bar);
            output_queue.offer(&line, Importance::Line);
        }
        output_queue.offer(&line, Importance::Line);
        assert_eq!(output_queue.dropped_until_now(), 0, "no room to say so");
        for _ in 0..lines * 2 {
            allow.send(()).expect("a writer");
        }
        output_queue.drain();
        let read: Vec<_> = heard.try_iter().collect();
        let bars = read.iter().filter(|text| *text == b"bar").count();
        assert_eq!(bars, MAXIMUM_BYTES_BEFORE_BAR / PIECE_BYTES, "none once many lines wait");
        assert_eq!(output_queue.dropped_until_now() + (read.len() - bars) as u64, lines as u64 + 1);
        assert_eq!(output_queue.dropped_until_now(), 0, "said once");
    }

    #[test]
    fn whoever_reads_has_time_for_data_that_are_delivered_long_after_the_end() {
        let (output_queue, allow, heard) = suspended();
        let patience = Patience::default();
        patience.ends_at(Instant::now().checked_sub(MAXIMUM_GRACE * 2).expect("a machine that has run for a while"));
        allow.send(()).expect("a writer");
        assert!(output_queue.deliver(b"one", &patience).is_ok());
        allow.send(()).expect("a writer");
        assert!(output_queue.deliver(b"two", &patience).is_ok());
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [b"one".to_vec(), b"two".to_vec()]);
    }

    #[test]
    fn whoever_did_not_read_while_the_end_came_is_not_waited_for_again() {
        let patience = Patience::default();
        let long_ago = Instant::now().checked_sub(GRACE * 2).expect("a machine that has run for a while");
        patience.begin_delivery();
        assert!(!patience.is_over_for_data(long_ago));
        patience.ends_at(long_ago);
        assert!(patience.is_over_for_data(long_ago));
        patience.begin_delivery();
        assert!(patience.is_over_for_data(long_ago));
        assert!(!patience.is_over_for_data(Instant::now()), "whoever reads slowly has time");
    }

    #[test]
    fn nobody_waits_for_a_reader_when_the_process_is_to_end() {
        let (output_queue, allow, heard) = suspended();
        let patience = Patience::default();
        allow.send(()).expect("a writer");
        assert!(output_queue.deliver(b"one", &patience).is_ok());
        assert_eq!(heard.recv().expect("it is written"), b"one");
        let long_ago = Instant::now().checked_sub(MAXIMUM_GRACE + GRACE).expect("a machine that has run for a while");
        patience.ends_at(long_ago);
        patience.ends_at(Instant::now());
        patience.0.lock().expect("a lock").delivering = Some(long_ago);
        let gone = output_queue.deliver(b"two", &patience).expect_err("nobody reads");
        assert_eq!(gone.kind(), io::ErrorKind::TimedOut);
        output_queue.say(b"three", &patience);
        for _ in 0..2 {
            allow.send(()).expect("a writer");
        }
        output_queue.drain();
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [b"two".to_vec(), b"three".to_vec()], "nothing gets lost");
    }
}
