//! The runs in a table, or one run whole. As text for people, as JSON for scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::api::CallKind;
use crate::outside::{shell_word, shown};
use crate::report::course::advice::{split_advice, still_to_resume};
use crate::report::course::counts::{calls_text, operations_text};
use crate::report::output::frame::{joined, written};
use crate::report::output::screen::Screen;
use crate::report::output::style::Style;
use crate::store::{OperationState, RunCondition, RunDetails, RunEntry};
use crate::words::{WIDEST_CELL_CHARACTERS, counted, group_digits, minute, second};

/// Between two columns.
const GAP: &str = "  ";

/// Before what is said of a run below its line.
const DETAIL: &str = "      ";

/// All runs, newest first.
#[derive(Debug)]
pub(crate) struct RunList<'a> {
    pub runs: &'a [RunEntry],
}

/// One run.
#[derive(Debug)]
pub(crate) struct RunView<'a> {
    pub details: &'a RunDetails,
    /// Options that commands about this run must repeat; each with a blank before it.
    pub repeated_options: &'a str,
    /// What it said in the end is to be done.
    pub said: Option<&'a str>,
}

impl RunList<'_> {
    /// What the object for `--json` says of them.
    pub(crate) fn json(&self) -> Value {
        json!({ "runs": self.runs.iter().map(entry_json).collect::<Vec<_>>() })
    }

    /// The table for people: a part for each service, tenant and app.
    pub(crate) fn text(&self, screen: &Screen) -> String {
        self.text_in(screen, &TimeZone::system())
    }

    fn text_in(&self, screen: &Screen, time_zone: &TimeZone) -> String {
        let mut parts: Vec<(String, Vec<&RunEntry>)> = Vec::new();
        for run in self.runs {
            let service = service_text(run);
            match parts.iter_mut().find(|(known, _)| *known == service) {
                Some((_, runs)) => runs.push(run),
                None => parts.push((service, vec![run])),
            }
        }
        let mut text = String::new();
        for (service, runs) in parts {
            let blank_line = if text.is_empty() { "" } else { "\n" };
            // Writing into a string cannot fail.
            let _written = writeln!(text, "{blank_line}{}", screen.paint(Style::Strong, &service));
            write_table(&mut text, &runs, time_zone);
        }
        text
    }
}

/// The table of some runs, which fits 80 columns; below each run stand its input, what became of it, and its note.
fn write_table(text: &mut String, runs: &[&RunEntry], time_zone: &TimeZone) {
    const HEAD: [&str; 4] = ["RUN", "KIND", "STATE", "LAST ACTIVITY"];
    let cells = |run: &&RunEntry| {
        let last_activity = minute(run.last_activity_at, time_zone);
        [shown(&run.run_id), shown(&run.kind), condition_text(run.condition).to_owned(), last_activity]
    };
    let lines: Vec<[String; HEAD.len()]> = runs.iter().map(cells).collect();
    let widths: [usize; HEAD.len()] = std::array::from_fn(|column| {
        let cells = lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count());
        cells.chain(HEAD.get(column).map(|name| name.len())).max().unwrap_or(0).min(WIDEST_CELL_CHARACTERS)
    });
    let row = |cells: [&str; HEAD.len()]| {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{GAP}{}", padded.join(GAP).trim_end())
    };
    // Writing into a string cannot fail.
    let _written = writeln!(text, "{}", row(HEAD));
    for (run, cells) in runs.iter().zip(&lines) {
        let _written = writeln!(text, "{}", row(cells.each_ref().map(String::as_str)));
        let _written = writeln!(
            text,
            "{DETAIL}{}, {}: {}",
            shown(&run.input_path),
            extent_text(run),
            operations_text(&run.operations)
        );
        if let Some(note) = &run.note {
            let _written = writeln!(text, "{DETAIL}{}", shown(note));
        }
    }
}

/// How many rows a run has, and how many operations where these are not as many: whoever adds up the outcomes comes to them.
fn extent_text(run: &RunEntry) -> String {
    let operations: u64 = run.operations.values().map(|count| u64::from(*count)).sum();
    let rows = counted(run.row_count.into(), "row", "rows");
    if operations == u64::from(run.row_count) {
        return rows;
    }
    format!("{rows}, {}", counted(operations, "operation", "operations"))
}

impl RunView<'_> {
    /// What the object for `--json` says: what the list shows of the run, and more.
    pub(crate) fn json(&self) -> Value {
        let run = self.details;
        let mut calls: BTreeMap<&str, u32> = CallKind::ALL.into_iter().map(|kind| (kind.as_str(), 0)).collect();
        calls.extend(run.calls.iter().map(|(kind, count)| (kind.as_str(), *count)));
        let more = json!({
            "header": run.header,
            "delimiter": char::from(run.delimiter).to_string(),
            "byte_order_mark": run.byte_order_mark,
            "calls": calls,
            "unsettled_calls": run.unsettled_calls,
            "undone_by": run.undone_by,
            "first_call_at": run.first_call_at.map(written),
            "last_call_at": run.last_call_at.map(written),
            "next_command": self.next_command(),
        });
        joined(entry_json(&run.entry), more)
    }

    /// The text for people.
    pub(crate) fn text(&self, screen: &Screen) -> String {
        self.text_in(screen, &TimeZone::system())
    }

    fn text_in(&self, screen: &Screen, time_zone: &TimeZone) -> String {
        let run = &self.details.entry;
        let mut text = format!(
            "Run {} {}.\n",
            screen.paint(Style::Strong, &shown(&run.run_id)),
            match run.condition {
                RunCondition::Preparing => "is being prepared; nothing was sent yet",
                RunCondition::Running => "is running",
                RunCondition::Unfinished => "is unfinished; no process is working on it",
                RunCondition::Finished => "is finished",
                RunCondition::NeverBegan => "never began: its process died before the first call",
            }
        );
        let process = &run.process;
        let invalid = match run.invalid_rows {
            0 => String::new(),
            count => format!(", {} of them invalid", group_digits(count.into())),
        };
        let lines = [
            ("Kind", shown(&run.kind)),
            ("Input", format!("{}, {}{invalid}", shown(&run.input_path), counted(run.row_count.into(), "row", "rows"))),
            ("Note", run.note.as_deref().map(shown).unwrap_or_default()),
            ("Service", service_text(run)),
            ("Started", second(run.created_at, time_zone)),
            ("Last activity", second(run.last_activity_at, time_zone)),
            (
                "Process",
                format!(
                    "{} on {}, started {}, {}",
                    process.system_process_id,
                    shown(&process.host),
                    second(process.started_at, time_zone),
                    if process.is_alive { "alive" } else { "gone" }
                ),
            ),
            ("Operations", operations_text(&run.operations)),
            ("Calls", self.calls_text(time_zone)),
            ("Taken back by", self.details.undone_by.as_deref().map(shown).unwrap_or_default()),
        ];
        for (name, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
            // Writing into a string cannot fail.
            let _written = writeln!(text, "  {name:<13}  {value}");
        }
        if let Some(command) = self.next_command() {
            let _written = writeln!(text, "Next: {command}");
        }
        text
    }

    fn calls_text(&self, time_zone: &TimeZone) -> String {
        let run = self.details;
        let total: u64 = run.calls.values().map(|count| u64::from(*count)).sum();
        let mut text = group_digits(total);
        let place = |name: &str| CallKind::ALL.into_iter().position(|kind| kind.as_str() == name);
        let mut calls: Vec<_> = run.calls.iter().map(|(name, count)| (place(name), *count)).collect();
        calls.sort_by_key(|(place, _)| place.unwrap_or(usize::MAX));
        let kind = |place: Option<usize>| place.and_then(|place| CallKind::ALL.get(place).copied());
        let kinds: Vec<String> =
            calls.into_iter().map(|(place, count)| calls_text(kind(place), count.into())).collect();
        if !kinds.is_empty() {
            // Writing into a string cannot fail.
            let _written = write!(text, " ({})", kinds.join(", "));
        }
        if let (Some(first), Some(last)) = (run.first_call_at, run.last_call_at) {
            let _written = write!(text, ", from {} to {}", second(first, time_zone), second(last, time_zone));
        }
        if run.unsettled_calls > 0 {
            let count = group_digits(run.unsettled_calls.into());
            let why = if run.entry.process.is_alive { "in flight" } else { "whose answer was never stored" };
            let _written = write!(text, "; {count} {why}");
        }
        text
    }

    /// What to type next about this run.
    fn next_command(&self) -> Option<String> {
        let run = &self.details.entry;
        let said = still_to_resume(self.said, self.repeated_options);
        let verb = match (run.condition, said) {
            (RunCondition::Unfinished, Some(said)) => return Some(split_advice(said).1.to_owned()),
            (RunCondition::Unfinished, None) => "resume",
            (RunCondition::Finished, _) => "results",
            (RunCondition::Preparing | RunCondition::Running | RunCondition::NeverBegan, _) => return None,
        };
        Some(format!("tagfleet {verb} {}{}", shell_word(&run.run_id), self.repeated_options))
    }
}

fn entry_json(run: &RunEntry) -> Value {
    let operations: BTreeMap<&str, u32> = OperationState::ALL
        .into_iter()
        .map(|state| (state.as_str(), run.operations.get(&state).copied().unwrap_or(0)))
        .collect();
    json!({
        "run_id": run.run_id,
        "kind": run.kind,
        "state": run.condition.as_str(),
        "tenant": run.tenant,
        "app": run.app,
        "host": run.host,
        "input": run.input_path,
        "note": run.note,
        "begun_at": written(run.created_at),
        "last_activity_at": written(run.last_activity_at),
        "rows": run.row_count,
        "invalid_rows": run.invalid_rows,
        "operations": operations,
        "process": {
            "host": run.process.host,
            "id": run.process.system_process_id,
            "started_at": written(run.process.started_at),
            "alive": run.process.is_alive,
        },
    })
}

fn service_text(run: &RunEntry) -> String {
    format!("{}, tenant {}, app {}", shown(&run.host), shown(&run.tenant), shown(&run.app))
}

const fn condition_text(condition: RunCondition) -> &'static str {
    match condition {
        RunCondition::NeverBegan => "never began",
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::report::ColorChoice;
    use crate::store::RunProcess;

    fn entry(run_id: &str, condition: RunCondition, app: &str) -> RunEntry {
        let time: Timestamp = "2026-05-01T14:05:10Z".parse().expect("a time");
        RunEntry {
            run_id: run_id.into(),
            kind: "apply".into(),
            condition,
            tenant: "contoso".into(),
            app: app.into(),
            host: "api.security.microsoft.com".into(),
            input_path: "retag.csv".into(),
            note: (condition == RunCondition::Unfinished).then(|| "CHG-7\u{1b}[2J".into()),
            created_at: time,
            last_activity_at: time,
            row_count: 12_000,
            invalid_rows: 2,
            operations: [(OperationState::Pending, 1_998), (OperationState::Succeeded, 10_000)].into(),
            process: RunProcess { host: "host".into(), system_process_id: 7, started_at: time, is_alive: false },
        }
    }

    #[test]
    fn runs_stand_in_a_table_for_each_account_and_nothing_in_it_moves_the_terminal() {
        let finished = RunEntry {
            row_count: 40,
            operations: [(OperationState::Unchanged, 7), (OperationState::Succeeded, 33)].into(),
            ..entry("20260501-140508-cccccc", RunCondition::Finished, "other")
        };
        let runs = [
            entry("20260501-140510-aaaaaa", RunCondition::Unfinished, "retagger"),
            finished,
            entry("20260501-140509-bbbbbb", RunCondition::NeverBegan, "retagger"),
        ];
        let screen = Screen::new(ColorChoice::Never, false);
        insta::assert_snapshot!(RunList { runs: &runs }.text_in(&screen, &TimeZone::UTC), @r"
        api.security.microsoft.com, tenant contoso, app retagger
          RUN                     KIND   STATE        LAST ACTIVITY
          20260501-140510-aaaaaa  apply  unfinished   2026-05-01 14:05 UTC
              retag.csv, 12,000 rows, 11,998 operations: 10,000 succeeded, 1,998 left
              CHG-7\u{1b}[2J
          20260501-140509-bbbbbb  apply  never began  2026-05-01 14:05 UTC
              retag.csv, 12,000 rows, 11,998 operations: 10,000 succeeded, 1,998 left

        api.security.microsoft.com, tenant contoso, app other
          RUN                     KIND   STATE     LAST ACTIVITY
          20260501-140508-cccccc  apply  finished  2026-05-01 14:05 UTC
              retag.csv, 40 rows: 33 succeeded, 7 unchanged
        ");
    }

    #[test]
    fn one_run_is_shown_whole_with_the_command_that_comes_next() {
        let time: Timestamp = "2026-05-01T14:05:10Z".parse().expect("a time");
        let details = RunDetails {
            entry: entry("20260501-140510-aaaaaa", RunCondition::Unfinished, "retagger"),
            header: vec!["machineId".into(), "tag".into()],
            delimiter: b';',
            byte_order_mark: true,
            calls: [("tags".into(), 1_500), ("value".into(), 2)].into(),
            first_call_at: Some(time),
            last_call_at: Some(time),
            unsettled_calls: 3,
            undone_by: Some("20260502-090000-bbbbbb".into()),
        };
        let screen = Screen::new(ColorChoice::Never, false);
        let view = RunView { details: &details, repeated_options: " --state-dir 'my state'", said: None };
        let next = |said| RunView { said: Some(said), ..view }.next_command();
        let resume = "tagfleet resume R --limit 3 --state-dir 'my state'";
        assert_eq!(next("Next:\ntagfleet resume R --limit 3 --state-dir 'my state'").as_deref(), Some(resume));
        for other in ["Next:\ntagfleet resume R --limit 3", "Next:\ntagfleet apply x.csv --state-dir 'my state'"] {
            assert_eq!(next(other), view.next_command(), "{other}");
        }
        insta::assert_snapshot!(view.text_in(&screen, &TimeZone::UTC), @r"
        Run 20260501-140510-aaaaaa is unfinished; no process is working on it.
          Kind           apply
          Input          retag.csv, 12,000 rows, 2 of them invalid
          Note           CHG-7\u{1b}[2J
          Service        api.security.microsoft.com, tenant contoso, app retagger
          Started        2026-05-01 14:05:10 UTC
          Last activity  2026-05-01 14:05:10 UTC
          Process        7 on host, started 2026-05-01 14:05:10 UTC, gone
          Operations     10,000 succeeded, 1,998 left
          Calls          1,502 (1,500 single tags, 2 device values), from 2026-05-01 14:05:10 UTC to 2026-05-01 14:05:10 UTC; 3 whose answer was never stored
          Taken back by  20260502-090000-bbbbbb
        Next: tagfleet resume 20260501-140510-aaaaaa --state-dir 'my state'
        ");
        insta::assert_snapshot!(view.json(), @r#"{"app":"retagger","begun_at":"2026-05-01T14:05:10.000Z","byte_order_mark":true,"calls":{"bulk":0,"get":0,"list":0,"tags":1500,"value":2},"delimiter":";","first_call_at":"2026-05-01T14:05:10.000Z","header":["machineId","tag"],"host":"api.security.microsoft.com","input":"retag.csv","invalid_rows":2,"kind":"apply","last_activity_at":"2026-05-01T14:05:10.000Z","last_call_at":"2026-05-01T14:05:10.000Z","next_command":"tagfleet resume 20260501-140510-aaaaaa --state-dir 'my state'","note":"CHG-7\u001b[2J","operations":{"failed":0,"not_attempted":0,"pending":1998,"refused":0,"succeeded":10000,"unchanged":0,"unknown":0},"process":{"alive":false,"host":"host","id":7,"started_at":"2026-05-01T14:05:10.000Z"},"rows":12000,"run_id":"20260501-140510-aaaaaa","state":"unfinished","tenant":"contoso","undone_by":"20260502-090000-bbbbbb","unsettled_calls":3}"#);
    }
}
