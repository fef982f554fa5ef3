//! A terminal that may go away while somebody draws on it.
//!
//! `indicatif` takes a terminal that cannot be written to for a bug and panics, while the lock of all bars is held, so
//! that the next one to draw panics as well, and the process aborts. A window that is closed is no bug: whoever sees
//! nothing any more still gets the results.

use std::io;

use console::Term;
use indicatif::TermLike;

/// Standard error as a terminal to which nothing that is drawn can fail.
#[derive(Debug)]
pub(super) struct PatientTerminal(Term);

impl PatientTerminal {
    /// Standard error, drawn on a whole picture at a time.
    pub(super) fn standard_error() -> Self {
        Self(Term::buffered_stderr())
    }
}

/// What was drawn, or not, on a terminal that has gone.
#[expect(clippy::unnecessary_wraps, reason = "what draws the bar expects a result")]
fn drawn(_seen: io::Result<()>) -> io::Result<()> {
    Ok(())
}

impl TermLike for PatientTerminal {
    fn width(&self) -> u16 {
        self.0.size().1
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        drawn(self.0.move_cursor_up(lines))
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        drawn(self.0.move_cursor_down(lines))
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        drawn(self.0.move_cursor_right(columns))
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        drawn(self.0.move_cursor_left(columns))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        drawn(self.0.write_line(text))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        drawn(self.0.write_str(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        drawn(self.0.clear_line())
    }

    fn flush(&self) -> io::Result<()> {
        drawn(self.0.flush())
    }
}
