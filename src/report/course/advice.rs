//! What to do at the end of a run: one thing, decided here for the text, the JSON object and whoever else tells it.
//!
//! A run that can go on is gone on with, for feeding its rows back would do again what is only waiting. Otherwise rows
//! that were not done are fed back, after a look at why.

use crate::model::Status;
use crate::outside::{shell_path, shown};
use crate::report::results::target::ResultsTarget;
use crate::report::results::writing::Totals;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::report) struct Advice {
    /// What to look at first.
    look_at: Option<String>,
    /// The command, ready to be pasted into a shell.
    pub(super) command: String,
}

/// What the advice hangs on.
pub(in crate::report) struct AdviceInput<'a> {
    pub(in crate::report) run_id: &'a str,
    pub(in crate::report) totals: &'a Totals,
    pub(in crate::report) target: &'a ResultsTarget,
    /// Operations that a resumed run would send.
    pub(in crate::report) open: u32,
    /// Options that the command must repeat; each with a blank before it.
    pub(in crate::report) repeated_options: &'a str,
    /// What it must repeat where it feeds rows back.
    pub(in crate::report) reading_options: &'a str,
    /// What it must repeat where it goes on with the run.
    pub(in crate::report) resuming_options: &'a str,
    pub(in crate::report) sandbox: bool,
}

/// That a run is to be gone on with.
pub(in crate::report) fn to_resume(run_id: &str, repeated_options: &str) -> Advice {
    Advice { look_at: None, command: format!("tagfleet resume {run_id}{repeated_options}") }
}

/// Whether such an advice was [`to_resume`], in the words of [`Advice::text`].
pub(in crate::report) fn is_resuming(text: &str) -> bool {
    text.starts_with("Next: tagfleet resume ")
}

/// How a run said in the end that it is to be gone on with, where that holds for whoever must repeat these options, too.
pub(in crate::report) fn still_to_resume<'a>(said: Option<&'a str>, repeated_options: &str) -> Option<&'a str> {
    said.filter(|said| is_resuming(said) && said.ends_with(repeated_options))
}

/// The words of such an advice, and its command.
pub(in crate::report) fn split_advice(text: &str) -> (&str, &str) {
    text.split_at(text.rfind("tagfleet ").unwrap_or(text.len()))
}

impl AdviceInput<'_> {
    /// What to do next; nothing where all is done.
    pub(in crate::report) fn advice(&self) -> Option<Advice> {
        let repeated = self.repeated_options;
        if self.open > 0 {
            return Some(to_resume(self.run_id, &format!("{}{repeated}", self.resuming_options)));
        }
        let ResultsTarget::File { results, failed } = self.target else { return None };
        if self.totals.failed_rows == 0 || self.totals.lacks_orders {
            return None;
        }
        let went_wrong = [Status::Failed, Status::Unknown, Status::Invalid].map(|status| self.totals.count(status));
        let look_at = (went_wrong.iter().sum::<u64>() > 0).then(|| shown(results));
        let sandbox = if self.sandbox { " --sandbox" } else { "" };
        let options = format!("{sandbox}{}{repeated}", self.reading_options);
        Some(Advice { look_at, command: format!("tagfleet apply {}{options}", shell_path(failed)) })
    }
}

impl Advice {
    /// The line for people.
    pub(in crate::report) fn text(&self) -> String {
        match &self.look_at {
            Some(results) => format!("Next: look at {results}, then: {}", self.command),
            None => format!("Next: {}", self.command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_can_go_on_is_gone_on_with_and_rows_are_fed_back_otherwise() {
        let target = ResultsTarget::file("x.results.csv".into());
        let advice = |open, status, failed_rows, target: &ResultsTarget| {
            let totals = Totals { failed_rows, statuses: [(status, 3)].into(), ..Totals::default() };
            let ending = AdviceInput {
                run_id: "R",
                totals: &totals,
                target,
                open,
                repeated_options: " --no-bulk",
                reading_options: " --tag-separator ';'",
                resuming_options: " --limit 3",
                sandbox: false,
            };
            ending.advice().map(|advice| advice.text())
        };
        for (open, status, failed_rows, expected) in [
            (0, Status::Succeeded, 0, None),
            (2, Status::Failed, 3, Some("Next: tagfleet resume R --limit 3 --no-bulk")),
            (
                0,
                Status::Failed,
                3,
                Some("Next: look at x.results.csv, then: tagfleet apply x.failed.csv --tag-separator ';' --no-bulk"),
            ),
            (0, Status::NotAttempted, 3, Some("Next: tagfleet apply x.failed.csv --tag-separator ';' --no-bulk")),
            // What undo left because somebody changed it is nobody's task.
            (0, Status::NotAttempted, 0, None),
        ] {
            assert_eq!(advice(open, status, failed_rows, &target).as_deref(), expected, "{open} {status}");
        }
        let dashed = ResultsTarget::file("-x.results.csv".into());
        let fed_back = advice(0, Status::NotAttempted, 3, &dashed);
        assert_eq!(fed_back.as_deref(), Some("Next: tagfleet apply ./-x.failed.csv --tag-separator ';' --no-bulk"));
        for nowhere in [ResultsTarget::StandardOutput, ResultsTarget::Device("/dev/null".into())] {
            assert_eq!(advice(0, Status::Failed, 3, &nowhere), None);
        }
    }
}
