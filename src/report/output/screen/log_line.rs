//! One line of the log, on its way to the file or to standard error.

use std::io::{self, Write};

use super::Screen;
use crate::report::output::queue::Importance;

/// Where log lines go: the file, or standard error above the bar.
pub(in crate::report) struct LogLine(Screen, Vec<u8>);

impl LogLine {
    /// An empty line that goes where the log of this screen goes.
    pub(in crate::report) fn on(screen: &Screen) -> Self {
        Self(screen.clone(), Vec::new())
    }
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    /// A line is written whole. A log that cannot be written must not stop a run.
    fn drop(&mut self) {
        let Self(screen, line) = self;
        // What ends a line within one would be a line that nobody logged.
        let line = String::from_utf8_lossy(line);
        let line = line.strip_suffix('\n').unwrap_or(&line).replace('\n', "\\u{a}");
        let line = screen.harmless(&line, screen.log_has_color()) + "\n";
        match &screen.log_file {
            Some(file) => {
                if let Some(text) = screen.dropped_text(file.dropped_until_now()) {
                    file.offer(text.as_bytes(), Importance::Line);
                }
                file.offer(line.as_bytes(), Importance::Line);
            }
            None => screen.offer_error(&line),
        }
    }
}
