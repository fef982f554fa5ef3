//! A terminal that may go away, or stand still, while somebody draws on it.
//!
//! `indicatif` takes a terminal that cannot be written to for a bug and panics, while the lock of all bars is held, so
//! that the next one to draw panics as well, and the process aborts. And one that is suspended (Ctrl-S) would hold
//! whoever draws. So nothing is drawn here: pictures become text, which goes the way of all text. A line above the bar
//! is one text together with the picture before and after it, so that all of it is seen, or nothing.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use console::Term;
use indicatif::TermLike;

use super::queue::Importance;
use super::streams::Streams;
use crate::outside::terminal_escaped;

/// What is drawn before it is written; clones share it.
#[derive(Clone, Debug)]
pub(in crate::report) struct Canvas {
    streams: Arc<dyn Streams>,
    picture: Arc<Mutex<Picture>>,
}

#[derive(Debug, Default)]
struct Picture {
    text: String,
    /// Whether a line is being put above the bar, so that a picture is only a part of what will be written.
    is_part: bool,
}

impl Canvas {
    pub(super) fn new(streams: Arc<dyn Streams>) -> Self {
        Self { streams, picture: Arc::default() }
    }

    /// From now on, what is drawn belongs to a whole.
    pub(super) fn begin(&self) {
        self.change(|picture| picture.is_part = true);
    }

    /// Adds a text to what is drawn.
    pub(super) fn add(&self, text: &str) {
        self.change(|picture| picture.text.push_str(text));
    }

    /// The whole.
    pub(super) fn end(&self) -> String {
        self.change(|picture| {
            picture.is_part = false;
            std::mem::take(&mut picture.text)
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Picture) -> T) -> T {
        change(&mut self.picture.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn draw(&self, part: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.change(|picture| picture.text.write_fmt(part)).map_err(io::Error::other)
    }
}

/// Standard error as a terminal to which nothing that is drawn can fail, and nothing waits.
#[derive(Debug)]
pub(in crate::report) struct PatientTerminal {
    terminal: Term,
    canvas: Canvas,
}

impl PatientTerminal {
    /// Standard error, drawn on a whole picture at a time; `None` where it does not understand how.
    pub(super) fn standard_error(canvas: Canvas) -> Option<Self> {
        let terminal = Term::stderr();
        // A console of Windows has to be told to, which asking does.
        let understands = !cfg!(windows) || terminal.features().colors_supported();
        understands.then_some(Self { terminal, canvas })
    }
}

impl TermLike for PatientTerminal {
    fn width(&self) -> u16 {
        self.terminal.size().1
    }

    fn height(&self) -> u16 {
        self.terminal.size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        if lines == 0 { Ok(()) } else { self.canvas.draw(format_args!("\u{1b}[{lines}A")) }
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        if lines == 0 { Ok(()) } else { self.canvas.draw(format_args!("\u{1b}[{lines}B")) }
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        if columns == 0 { Ok(()) } else { self.canvas.draw(format_args!("\u{1b}[{columns}C")) }
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        if columns == 0 { Ok(()) } else { self.canvas.draw(format_args!("\u{1b}[{columns}D")) }
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.canvas.draw(format_args!("{}\n", terminal_escaped(text, true)))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.canvas.draw(format_args!("{}", terminal_escaped(text, true)))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.canvas.draw(format_args!("\r\u{1b}[2K"))
    }

    fn flush(&self) -> io::Result<()> {
        let whole = self.canvas.change(|picture| (!picture.is_part).then(|| std::mem::take(&mut picture.text)));
        if let Some(whole) = whole.filter(|whole| !whole.is_empty()) {
            self.canvas.streams.remark(whole.as_bytes(), Importance::Bar);
        }
        Ok(())
    }
}
