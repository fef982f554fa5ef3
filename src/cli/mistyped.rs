//! A command line that makes no sense, as far as it does: how its error is to be shown, and what that says.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, CommandFactory};

use super::program::Cli;
use crate::report::logging::LogFormat;

/// What is known of a command line that could not be understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistyped {
    /// Whether an object is wanted.
    pub json: bool,
    /// How lines look.
    pub log_format: LogFormat,
    /// The input, if it stands before what makes no sense.
    pub input: Option<PathBuf>,
    /// Whether it is the preflight, which lists what is wrong.
    pub is_check: bool,
}

impl Mistyped {
    /// Looks at what was typed, the program's name first.
    pub(crate) fn of(typed: &[OsString]) -> Self {
        let understood = Cli::command().ignore_errors(true).try_get_matches_from(typed);
        let command = understood.as_ref().ok().and_then(ArgMatches::subcommand);
        let input = command.and_then(|(_, options)| {
            let input = options.try_get_one::<PathBuf>("input");
            input.ok().flatten().cloned()
        });
        let is_check = command.is_some_and(|(name, _)| name == "check");
        Self { input, is_check, ..Self::without_input(typed) }
    }

    /// The same without what takes making sense of it, which costs next to nothing.
    pub(crate) fn without_input(typed: &[OsString]) -> Self {
        let is_json = typed.iter().any(|argument| argument == "--log-format=json")
            || typed.windows(2).any(|pair| pair == ["--log-format", "json"]);
        Self {
            json: typed.iter().any(|argument| argument == "--json"),
            log_format: if is_json { LogFormat::Json } else { LogFormat::Text },
            input: None,
            is_check: false,
        }
    }
}

/// What an error says, and what to do about it, without the usage that people get to see beside it.
pub(crate) fn message_and_hint(error: &clap::Error) -> (String, Option<String>) {
    let shown = error.to_string();
    let mut parts = shown.trim_start_matches("error: ").split("\n\n");
    let message = parts.next().unwrap_or_default().to_owned();
    let tips: Vec<&str> = parts.flat_map(str::lines).filter_map(|line| line.trim().strip_prefix("tip: ")).collect();
    (message, (!tips.is_empty()).then(|| tips.join("; ")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn typed(line: &str) -> Vec<OsString> {
        std::iter::once("tagfleet").chain(line.split(' ')).map(OsString::from).collect()
    }

    #[test]
    fn what_makes_sense_of_it_is_kept() {
        for (line, json, log_format, input) in [
            ("apply a.csv --ye --json", true, LogFormat::Text, Some("a.csv")),
            ("apply --json a.csv --concurrency 0", true, LogFormat::Text, Some("a.csv")),
            ("plan a.csv --deadline 06:00 --log-format json", false, LogFormat::Json, Some("a.csv")),
            ("apply --json", true, LogFormat::Text, None),
            ("runs --jso", false, LogFormat::Text, None),
            ("aply a.csv --log-format=json", false, LogFormat::Json, None),
            ("check --json", true, LogFormat::Text, None),
        ] {
            let is_check = line.starts_with("check");
            let expected = Mistyped { json, log_format, input: input.map(PathBuf::from), is_check };
            assert_eq!(Mistyped::of(&typed(line)), expected, "{line}");
        }
    }

    #[test]
    fn a_hint_is_a_hint() {
        for (line, message, hint) in [
            ("apply a.csv --ye", "unexpected argument '--ye' found", Some("a similar argument exists: '--yes'")),
            ("apply", "the following required arguments were not provided:\n  <INPUT>", None),
            (
                "apply a.csv --color red",
                "invalid value 'red' for '--color <WHEN>'\n  [possible values: auto, always, never]",
                None,
            ),
        ] {
            let error = super::super::advice::advised(Cli::try_parse_from(typed(line)).expect_err("no sense"));
            assert_eq!(message_and_hint(&error), (message.to_owned(), hint.map(str::to_owned)), "{line}");
        }
    }
}
