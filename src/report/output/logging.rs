//! Logs by `tracing-subscriber`: on standard error or in a file, as text or as JSON.
//!
//! What surprises: the HTTP, TLS and Azure crates never log below warnings, at any verbosity, since their details hold
//! headers and bodies. `RUST_LOG` is not read for the same reason.

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::screen::Screen;
use super::screen::log_line::LogLine;

pub(crate) use super::log_format::LogFormat;

struct LogWriter(Screen);

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine::on(&self.0)
    }
}

/// Turns logging on for the rest of the process. Our own events show up to `level`; everybody else's warnings at most.
pub(crate) fn start(screen: &Screen, format: LogFormat, level: Level) {
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
