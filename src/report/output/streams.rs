//! Where a screen writes: the streams of the process, each with a queue of its own, or what stands in their place.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Instant;

use super::queue::{Importance, OutputQueue, Patience};
use super::standard_output;
use crate::outside::terminal_escaped;

/// Where the text of a screen goes: the streams of the process, or what stands in their place.
pub(crate) trait Streams: Send + Sync + fmt::Debug {
    /// Writes for whoever watches.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write_error(&self, bytes: &[u8]) -> io::Result<()>;

    /// Writes data, all of it.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write_data(&self, bytes: &[u8]) -> io::Result<()>;

    /// Writes for whoever watches what is not worth a wait.
    fn remark(&self, bytes: &[u8], _importance: Importance) {
        let _closed = self.write_error(bytes);
    }

    /// Remarks that were dropped, once that can be said.
    fn dropped_until_now(&self) -> u64 {
        0
    }

    /// From then on, nobody waits for long any more for a reader.
    fn end_at(&self, _time: Instant) {}

    /// Waits until everything is written that somebody reads.
    fn drain(&self) {}

    /// What writes data to a pipe or a device that is neither.
    fn to_device(&self, device: File) -> Box<dyn Write + Send> {
        Box::new(device)
    }
}

/// A stream that is not there; what stands in its place would take what nobody gets.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(closed())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "it was closed before tagfleet was started")
}

/// Looks whether there is a standard output.
///
/// # Errors
/// When it was closed from the beginning.
pub(super) fn look_for_output() -> io::Result<()> {
    if standard_output::is_closed() { Err(closed()) } else { Ok(()) }
}

/// Standard error and standard output of the process.
#[derive(Debug)]
pub(in crate::report) struct StandardStreams {
    error: OutputQueue,
    output: OutputQueue,
    patience: Arc<Patience>,
}

impl StandardStreams {
    pub(super) fn new() -> Self {
        let output =
            if standard_output::is_closed() { OutputQueue::new(Closed) } else { OutputQueue::new(io::stdout()) };
        Self { error: OutputQueue::new(io::stderr()), output, patience: Arc::default() }
    }
}

impl Streams for StandardStreams {
    fn write_error(&self, bytes: &[u8]) -> io::Result<()> {
        self.error.say(bytes, &self.patience);
        Ok(())
    }

    fn write_data(&self, bytes: &[u8]) -> io::Result<()> {
        // On a terminal, both stand in the order in which they were said.
        self.error.say(b"", &self.patience);
        self.output.deliver(bytes, &self.patience)
    }

    fn remark(&self, bytes: &[u8], importance: Importance) {
        self.error.offer(bytes, importance);
    }

    fn dropped_until_now(&self) -> u64 {
        self.error.dropped_until_now()
    }

    fn end_at(&self, time: Instant) {
        self.patience.ends_at(time);
    }

    fn drain(&self) {
        self.error.drain();
        self.output.drain();
    }

    fn to_device(&self, device: File) -> Box<dyn Write + Send> {
        Box::new(Delivery { output_queue: OutputQueue::new(device), patience: Arc::clone(&self.patience) })
    }
}

/// Data for a stream that is not one of the process.
struct Delivery {
    output_queue: OutputQueue,
    patience: Arc<Patience>,
}

impl Write for Delivery {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output_queue.deliver(bytes, &self.patience).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard output as something to write to.
struct StandardOutput(Arc<dyn Streams>);

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_data(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What writes data row by row: exact, but where people watch it on a terminal.
pub(in crate::report) struct DataStream {
    to: Box<dyn Write + Send>,
    is_watched: bool,
    /// The beginning of a character whose end is still to come.
    cut_off: Vec<u8>,
}

impl DataStream {
    /// What writes data to standard output, which people watch or not.
    pub(super) fn new(streams: Arc<dyn Streams>, is_watched: bool) -> Self {
        Self { to: Box::new(StandardOutput(streams)), is_watched, cut_off: Vec::new() }
    }

    /// What writes data to something else that has a name. It may be the same terminal.
    pub(super) fn to_device(streams: &dyn Streams, device: File) -> Self {
        let is_watched = device.is_terminal();
        Self { to: streams.to_device(device), is_watched, cut_off: Vec::new() }
    }

    /// The text that has come, but for a character at its end that is not whole yet.
    fn whole_characters(&mut self, bytes: &[u8]) -> String {
        let mut rest = std::mem::take(&mut self.cut_off);
        rest.extend_from_slice(bytes);
        let mut chunks = rest.utf8_chunks().peekable();
        let mut text = String::new();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            if chunks.peek().is_none() {
                self.cut_off = chunk.invalid().to_vec();
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }
}

impl Write for DataStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_watched {
            let text = self.whole_characters(bytes);
            self.to.write_all(terminal_escaped(&text, false).as_bytes())?;
        } else {
            self.to.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
