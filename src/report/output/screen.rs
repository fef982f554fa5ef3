//! The terminal, or what stands in its place: lines that never tear the progress bar, colours only where they are wanted.
//!
//! Nobody who works waits for somebody who reads: what accompanies the work goes through [`Screen::remark`] and the log,
//! and is dropped where nobody reads it. What is said with [`Screen::line`] is the end of something, and worth a wait.
//!
//! Nothing reaches a terminal or the log but through here, and here secrets are masked and whatever moves a terminal is
//! escaped, whoever put the text together. Only line breaks are taken as they come, since our own texts have them; so a
//! piece from outside has its own escaped before it becomes a part of one ([`crate::outside`]).

mod data;
pub(super) mod log_line;

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::Level;

use super::frame::Invocation;
use super::log_format::{LogFormat, json_line};
use super::problem::Problem;
use super::queue::{Importance, OutputQueue};
use super::streams::{StandardStreams, Streams, look_for_output};
use super::style::Style;
use super::terminal::{Canvas, PatientTerminal};
use super::wrapping::wrapped_for;
use crate::clock;
use crate::outside::{Outside, json_escaped, masked_ours, terminal_escaped};
use crate::words::counted;

/// How often the bar is drawn at the most.
const DRAWN_A_SECOND: u8 = 20;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or the terminal is dumb.
    #[default]
    Auto,
    Always,
    Never,
}

/// Standard error and standard output of the program. Clones share them.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is something that a terminal, or whoever started us, wants or not"
)]
pub(crate) struct Screen {
    streams: Arc<dyn Streams>,
    bars: MultiProgress,
    /// Where the bar is drawn; held by whoever puts a line above it.
    canvas: Option<Arc<Mutex<Canvas>>>,
    color: bool,
    animated: bool,
    quiet: bool,
    output_is_terminal: bool,
    /// Whether every line on standard error is a JSON object.
    json_lines: bool,
    /// Whether anything was written to standard output.
    has_data: Arc<AtomicBool>,
    log_file: Option<Arc<OutputQueue>>,
    /// What it is about, for objects.
    invocation: Arc<Invocation>,
}

/// What was asked for cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct OutputError(#[source] io::Error);

impl OutputError {
    /// Looks before anything is done whether there is a standard output for what is to go there.
    ///
    /// # Errors
    /// When it was closed from the beginning.
    pub(crate) fn unless_open() -> Result<(), Self> {
        look_for_output().map_err(Self)
    }
}

impl Screen {
    /// Looks at standard error once: is it a terminal, may it have colours? A quiet screen shows no warnings.
    pub(crate) fn new(color: ColorChoice, quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = match color {
            ColorChoice::Auto => terminal && !dumb && !unwanted,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let streams: Arc<dyn Streams> = Arc::new(StandardStreams::new());
        let canvas = Canvas::new(Arc::clone(&streams));
        let drawn = (terminal && !dumb).then(|| PatientTerminal::standard_error(canvas.clone())).flatten();
        let output_is_terminal = io::stdout().is_terminal();
        let plain = Self { color, output_is_terminal, ..Self::over(streams, quiet) };
        match drawn {
            None => plain,
            Some(drawn) => {
                let target = ProgressDrawTarget::term_like_with_hz(Box::new(drawn), DRAWN_A_SECOND);
                let bars = MultiProgress::with_draw_target(target);
                Self { bars, canvas: Some(Arc::new(Mutex::new(canvas))), animated: true, ..plain }
            }
        }
    }

    /// A screen over these streams, which are no terminal.
    pub(crate) fn over(streams: Arc<dyn Streams>, quiet: bool) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        Self {
            streams,
            bars,
            canvas: None,
            color: false,
            animated: false,
            quiet,
            output_is_terminal: false,
            json_lines: false,
            has_data: Arc::default(),
            log_file: None,
            invocation: Arc::new(Invocation { started_at: clock::now(), input: None }),
        }
    }

    /// Writes lines for people in this format; where they are JSON, nothing is animated or coloured.
    pub(crate) fn with_line_format(self, format: LogFormat) -> Self {
        match format {
            LogFormat::Text => self,
            LogFormat::Json => {
                let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
                Self { bars, canvas: None, color: false, animated: false, json_lines: true, ..self }
            }
        }
    }

    /// Whether every line for people is a JSON object.
    pub(crate) const fn has_json_lines(&self) -> bool {
        self.json_lines
    }

    /// Says in every object that it is of this call of the program.
    pub(crate) fn with_invocation(self, invocation: Invocation) -> Self {
        Self { invocation: Arc::new(invocation), ..self }
    }

    /// Whether anything was written to standard output.
    pub(crate) fn has_written_data(&self) -> bool {
        self.has_data.load(Ordering::Relaxed)
    }

    /// Sends what is logged to this file instead of standard error.
    pub(crate) fn with_log_file(self, file: std::fs::File) -> Self {
        Self { log_file: Some(Arc::new(OutputQueue::new(file))), ..self }
    }

    /// Whether a bar can be drawn.
    pub(crate) const fn is_animated(&self) -> bool {
        self.animated
    }

    /// Whether what is logged may have colours.
    pub(crate) const fn log_has_color(&self) -> bool {
        self.color && self.log_file.is_none()
    }

    /// Adds a bar at the bottom.
    pub(in crate::report) fn add_bar(&self, bar: ProgressBar) -> ProgressBar {
        self.bars.add(bar)
    }

    /// What stands at a bar, with its lines broken where the terminal ends: lines that the terminal breaks by itself are other
    /// ones as soon as it has another width, and drawing over them would take what is above them.
    pub(in crate::report) fn fitted_to_bar(text: String) -> String {
        wrapped_for(&console::Term::stderr(), text)
    }

    /// From then on, output that nobody reads is given up after a few seconds: the process is to end.
    pub(crate) fn end_at(&self, time: Instant) {
        self.streams.end_at(time);
    }

    /// Waits until everything is written that somebody reads. Nothing is said afterwards.
    pub(crate) fn finish(&self) {
        self.say_what_was_dropped();
        if let Some(file) = &self.log_file {
            file.drain();
            if let Some((lines, why)) = file.lost() {
                let lines = counted(lines, "line", "lines");
                self.warning(&format!("{lines} could not be written to the file of the log (--log-file): {why}"));
            }
        }
        self.streams.drain();
    }

    /// Writes a line to standard error, above the bar, and waits a while for whoever reads it. If nobody does any more,
    /// that is no failure. While calls are in flight, use [`Self::remark`].
    pub(crate) fn line(&self, text: &str) {
        self.write_error(&self.formatted(text));
    }

    /// Writes a line to standard error, above the bar, without ever waiting: it is dropped where nobody reads.
    pub(crate) fn remark(&self, text: &str) {
        self.offer_error(&self.formatted(text));
    }

    /// When this call of the program began.
    pub(crate) fn begun_at(&self) -> Timestamp {
        self.invocation.started_at
    }

    /// Passes on a line that the process of a profile has said.
    pub(crate) fn relay(&self, profile: &str, line: &str) {
        let line = line.trim_end_matches('\r');
        let text = match serde_json::from_str::<Map<String, Value>>(line).ok().filter(|_| self.json_lines) {
            Some(mut object) => {
                object.insert("profile".to_owned(), profile.into());
                Value::Object(object).to_string() + "\n"
            }
            None => self.formatted(&format!("{profile}: {line}")),
        };
        self.write_error(&text);
    }

    fn formatted(&self, text: &str) -> String {
        if self.json_lines { json_lines(text) } else { format!("{text}\n") }
    }

    /// Shows an error: what happened, why, and what to do.
    pub(crate) fn problem(&self, problem: &Problem) {
        if !self.json_lines {
            return self.line(&problem.render(self.color));
        }
        let hint = problem.hint.as_deref().map(|hint| ("hint".to_owned(), hint.into()));
        self.write_error(&json_line(Level::ERROR, hint.into_iter().collect(), &problem.on_one_line()));
    }

    fn write_error(&self, text: &str) {
        self.say_what_was_dropped();
        let _closed = self.streams.write_error(self.above_bar(text).as_bytes());
    }

    fn offer_error(&self, text: &str) {
        self.say_what_was_dropped();
        self.streams.remark(self.above_bar(text).as_bytes(), Importance::Line);
    }

    fn say_what_was_dropped(&self) {
        if let Some(text) = self.dropped_text(self.streams.dropped_until_now()) {
            self.streams.remark(self.above_bar(&text).as_bytes(), Importance::Line);
        }
    }

    fn dropped_text(&self, lines: u64) -> Option<String> {
        let dropped = counted(lines, "line was dropped", "lines were dropped");
        (lines > 0).then(|| self.formatted(&format!("warning: {dropped} here because they were not read")))
    }

    /// A text for people, safe to be seen, with what clears the bar before it and draws it again after it.
    fn above_bar(&self, text: &str) -> String {
        let text = self.harmless(text, self.color);
        let Some(canvas) = &self.canvas else { return text };
        let text = wrapped_for(&console::Term::stderr(), text);
        let canvas = canvas.lock().unwrap_or_else(PoisonError::into_inner);
        canvas.begin();
        self.bars.suspend(|| canvas.add(&text));
        canvas.end()
    }

    /// A text for people without secrets and without anything that a terminal obeys.
    fn harmless(&self, text: &str, has_colors: bool) -> String {
        let masked = masked_ours(text);
        let escaped = if self.json_lines { json_escaped(&masked) } else { terminal_escaped(&masked, has_colors) };
        escaped.into_owned()
    }

    /// Whether nothing is said unless something needs attention.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Writes a warning to standard error, unless the screen is quiet.
    pub(crate) fn warning(&self, text: &str) {
        if !self.quiet {
            self.remark(&format!("{} {text}", self.paint(Style::Doubtful, "warning:")));
        }
    }

    /// Writes what is worth knowing to standard error, unless the screen is quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.remark(&format!("{} {text}", self.paint(Style::Strong, "note:")));
        }
    }

    /// Whether standard output is a terminal.
    pub(crate) const fn is_on_terminal(&self) -> bool {
        self.output_is_terminal
    }

    /// Asks a question on standard error and reads the answer from standard input; anything but yes is no.
    ///
    /// # Errors
    /// When standard input cannot be read.
    pub(crate) fn confirm(&self, question: &str) -> io::Result<bool> {
        let question = format!("{question} [y/N] ");
        if self.json_lines {
            self.line(question.trim_end());
        } else {
            self.write_error(&question);
        }
        let mut answer = String::new();
        if io::stdin().read_line(&mut answer)? == 0 {
            // What comes next begins on a line of its own.
            self.line("");
        }
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// From now on a panic, which is a bug of ours, is told as every error is: its text may hold anything.
    pub(crate) fn tell_panics(&self) {
        let screen = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
            let what = Outside::new(panic.payload_as_str().unwrap_or("something that is no text")).line();
            let text = screen.formatted(&format!("error: tagfleet panicked{place}, which is a bug: {what}"));
            // Whoever panics may hold the bar.
            let _closed = screen.streams.write_error(screen.harmless(&text, false).as_bytes());
        }));
    }

    /// A text of the library that reads the command line, coloured if colours are wanted.
    pub(crate) fn styled(&self, text: &clap::builder::StyledStr) -> String {
        if self.color { text.ansi().to_string() } else { text.to_string() }
    }

    /// Sets a word off, if colours are wanted.
    pub(in crate::report) fn paint(&self, style: Style, text: &str) -> String {
        style.paint(text, self.color)
    }
}

/// What is written for people, as JSON objects: lists of errors and warnings one by one, any other text whole.
fn json_lines(text: &str) -> String {
    let levels = [("error: ", Level::ERROR), ("warning: ", Level::WARN)];
    let of = |line: &str, (prefix, level): (&str, Level)| {
        line.strip_prefix(prefix).map(|message| json_line(level, Map::new(), message))
    };
    let listed: Option<String> =
        text.lines().map(|line| levels.into_iter().find_map(|level| of(line, level))).collect();
    match listed {
        Some(listed) => listed,
        None => json_line(Level::INFO, Map::new(), text),
    }
}

#[cfg(test)]
mod tests;
