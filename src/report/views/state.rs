//! A state as a whole, for people and for scripts.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::outside::shown;
use crate::report::output::frame::written;
use crate::store::{AtWork, Overview};
use crate::words::{counted, group_digits, minute};

/// A state to be shown; one without an overview is yet to be made.
#[derive(Debug)]
pub(crate) struct StateView<'a> {
    /// What it is called: a path, or an address.
    pub name: &'a str,
    /// What there is to say about it.
    pub overview: Option<&'a Overview>,
}

impl StateView<'_> {
    /// What the object for `--json` says.
    pub(crate) fn json(&self) -> Value {
        let process = |at_work: &AtWork| {
            json!({
                "host": at_work.process.host,
                "process_id": at_work.process.system_process_id,
                "started_at": written(at_work.process.started_at),
                "run_id": at_work.run_id,
            })
        };
        json!({
            "state": self.name,
            "exists": self.overview.is_some(),
            "engine": self.overview.map(|overview| &overview.engine),
            "form": self.overview.map(|overview| overview.form),
            "bytes": self.overview.map(|overview| overview.bytes),
            "runs": self.overview.map_or(0, |overview| overview.runs),
            "at_work": self.overview.map(|it| it.at_work.iter().map(process).collect::<Vec<_>>()).unwrap_or_default(),
        })
    }

    /// The text for people.
    pub(crate) fn text(&self) -> String {
        self.text_in(&TimeZone::system())
    }

    fn text_in(&self, time_zone: &TimeZone) -> String {
        let Some(overview) = self.overview else {
            return format!("There is no state yet at {}.\n", shown(self.name));
        };
        let kibibytes = group_digits(overview.bytes.div_ceil(1024));
        let mut text = format!(
            "State         {}\nEngine        {}, schema version {}\nSize          {kibibytes} KiB, {}\n",
            shown(self.name),
            shown(&overview.engine),
            overview.form,
            counted(overview.runs, "run", "runs"),
        );
        for (nth, AtWork { process, run_id }) in overview.at_work.iter().enumerate() {
            let label = if nth == 0 { "In use by" } else { "" };
            let since = minute(process.started_at, time_zone);
            let run = run_id.as_ref().map(|run| format!(", run {}", shown(run))).unwrap_or_default();
            // Writing into a string cannot fail.
            let _written = writeln!(
                text,
                "{label:<14}{}, process {}, since {since}{run}",
                shown(&process.host),
                process.system_process_id,
            );
        }
        if overview.at_work.is_empty() {
            text.push_str("In use by     no process\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::store::RunProcess;

    #[test]
    fn a_state_is_shown_with_who_is_at_work() {
        let process = |number| RunProcess {
            host: format!("cron-{number}"),
            system_process_id: number,
            started_at: Timestamp::UNIX_EPOCH,
            is_alive: true,
        };
        let overview = Overview {
            engine: "PostgreSQL 15.8".into(),
            form: 7,
            bytes: 1_500_000,
            runs: 1,
            at_work: vec![
                AtWork { process: process(1), run_id: Some("r".into()) },
                AtWork { process: process(2), run_id: None },
            ],
        };
        let text = |overview| StateView { name: "postgresql://h/d", overview }.text_in(&TimeZone::UTC);
        assert_eq!(
            text(Some(&overview)),
            "State         postgresql://h/d\nEngine        PostgreSQL 15.8, schema version 7\n\
             Size          1,465 KiB, 1 run\nIn use by     cron-1, process 1, since 1970-01-01 00:00 UTC, run r\n\
             \u{20}             cron-2, process 2, since 1970-01-01 00:00 UTC\n"
        );
        let idle = Overview { at_work: Vec::new(), ..overview.clone() };
        assert!(text(Some(&idle)).ends_with("\nIn use by     no process\n"));
        assert_eq!(text(None), "There is no state yet at postgresql://h/d.\n");
    }
}
