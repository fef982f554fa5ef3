//! How lines of the log look.

use serde_json::{Map, Value, json};
use tracing::Level;

use crate::clock;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A line of our own, as the log has them in JSON.
pub(super) fn json_line(level: Level, mut fields: Map<String, Value>, message: &str) -> String {
    fields.insert("message".to_owned(), message.into());
    let timestamp = format!("{:.6}", clock::now());
    let line =
        json!({"timestamp": timestamp, "level": level.as_str(), "fields": fields, "target": env!("CARGO_CRATE_NAME")});
    format!("{line}\n")
}
