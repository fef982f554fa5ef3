//! Logs by `tracing-subscriber`: on standard error or in a file, as text or as JSON.
//!
//! What surprises: the HTTP, TLS and Azure crates never log below warnings, at any verbosity, since their details hold
//! headers and bodies. `RUST_LOG` is not read for the same reason.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::screen::{LogLine, Screen};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

struct LogWriter(Screen);

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        self.0.log_line()
    }
}

/// A line of our own, as the log has them in JSON.
pub(super) fn json_line(level: Level, mut fields: Map<String, Value>, message: &str) -> String {
    fields.insert("message".to_owned(), message.into());
    let timestamp = format!("{:.6}", Timestamp::now());
    let line =
        json!({"timestamp": timestamp, "level": level.as_str(), "fields": fields, "target": env!("CARGO_CRATE_NAME")});
    format!("{line}\n")
}

/// Turns logging on for the rest of the process. Our own events show up to `level`; everybody else's warnings at most.
pub fn start(screen: &Screen, format: LogFormat, level: Level) {
    let filter = Targets::new().with_default(level.min(Level::WARN)).with_target(env!("CARGO_CRATE_NAME"), level);
    let lines =
        tracing_subscriber::fmt::layer().with_writer(LogWriter(screen.clone())).with_ansi(screen.log_has_color());
    let registry = tracing_subscriber::registry().with(filter);
    // A second call in one process (tests) changes nothing.
    let _already = match format {
        LogFormat::Text => registry.with(lines.with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
}
