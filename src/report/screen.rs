//! The terminal, or what stands in its place: lines that never tear the progress bar, colours only where they are wanted.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or the terminal is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where the text of a screen goes: the streams of the process, or what stands in their place.
pub trait Streams: Send + Sync + fmt::Debug {
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
}

/// Standard error and standard output of the process.
#[derive(Debug)]
struct StandardStreams;

impl Streams for StandardStreams {
    fn write_error(&self, bytes: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(bytes)
    }

    fn write_data(&self, bytes: &[u8]) -> io::Result<()> {
        let mut output = io::stdout().lock();
        output.write_all(bytes).and_then(|()| output.flush())
    }
}

/// Standard error and standard output of the program. Clones share them.
#[derive(Clone, Debug)]
pub struct Screen {
    streams: Arc<dyn Streams>,
    bars: MultiProgress,
    color: bool,
    animated: bool,
    quiet: bool,
    log_file: Option<Arc<Mutex<std::fs::File>>>,
}

/// How a word is set off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Good,
    Bad,
    Doubtful,
    Strong,
}

impl Screen {
    /// Looks at standard error once: is it a terminal, may it have colours? A quiet screen shows no warnings.
    #[must_use]
    pub fn new(color: ColorChoice, quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = match color {
            ColorChoice::Auto => terminal && !dumb && !unwanted,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let animated = terminal && !dumb;
        let target = if animated { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        Self { streams: Arc::new(StandardStreams), bars, color, animated, quiet, log_file: None }
    }

    /// A screen over these streams, which are no terminal.
    #[must_use]
    pub fn over(streams: Arc<dyn Streams>, quiet: bool) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        Self { streams, bars, color: false, animated: false, quiet, log_file: None }
    }

    /// Sends what is logged to this file instead of standard error.
    #[must_use]
    pub fn with_log_file(self, file: std::fs::File) -> Self {
        Self { log_file: Some(Arc::new(Mutex::new(file))), ..self }
    }

    /// Whether a bar can be drawn.
    #[must_use]
    pub const fn is_animated(&self) -> bool {
        self.animated
    }

    /// Whether what is logged may have colours.
    #[must_use]
    pub const fn log_has_color(&self) -> bool {
        self.color && self.log_file.is_none()
    }

    /// Adds a bar at the bottom.
    pub(super) fn add_bar(&self, bar: ProgressBar) -> ProgressBar {
        self.bars.add(bar)
    }

    /// Writes a line to standard error, above the bar. If nobody reads it any more, that is no failure.
    pub fn line(&self, text: &str) {
        self.bars.suspend(|| {
            let _closed = self.streams.write_error(format!("{text}\n").as_bytes());
        });
    }

    /// Writes a warning to standard error, unless the screen is quiet.
    pub fn warning(&self, text: &str) {
        if !self.quiet {
            self.line(&format!("{} {text}", self.paint(Style::Doubtful, "warning:")));
        }
    }

    /// Writes text to standard output.
    ///
    /// # Errors
    /// When it cannot be written; a reader that went away is no failure.
    pub fn data(&self, text: &str) -> io::Result<()> {
        match self.bars.suspend(|| self.streams.write_data(text.as_bytes())) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    /// Standard output, for rows; whether somebody reads them is for the writer to judge.
    pub(super) fn data_stream(&self) -> DataStream {
        DataStream(Arc::clone(&self.streams))
    }

    /// Asks a question on standard error and reads the answer from standard input; anything but yes is no.
    ///
    /// # Errors
    /// When standard input cannot be read.
    pub fn confirm(&self, question: &str) -> io::Result<bool> {
        {
            let mut output = io::stderr().lock();
            let _closed = write!(output, "{question} [y/N] ").and_then(|()| output.flush());
        }
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Sets a word off, if colours are wanted.
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match style {
            Style::Good => "32",
            Style::Bad => "31",
            Style::Doubtful => "33",
            Style::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// What writes data row by row.
pub(super) struct DataStream(Arc<dyn Streams>);

impl Write for DataStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_data(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where log lines go: the file, or standard error above the bar.
pub(super) struct LogLine(Screen, Vec<u8>);

impl Screen {
    pub(super) fn log_line(&self) -> LogLine {
        LogLine(self.clone(), Vec::new())
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
        if let Some(file) = &self.0.log_file {
            let _full = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&self.1);
        } else {
            self.0.bars.suspend(|| {
                let _closed = self.0.streams.write_error(&self.1);
            });
        }
    }
}
