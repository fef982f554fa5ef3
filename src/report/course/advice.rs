//! What to do at the end of a run: one thing, decided here for the text, the JSON object and whoever else tells it.
//!
//! A run that can go on is resumed, for feeding its rows back would do again what is only waiting. Otherwise rows
//! that were not done are fed back, after a look at why.

use crate::model::Status;
use crate::outside::{shell_path, shown};
use crate::report::results::target::ResultsTarget;
use crate::report::results::writing::Totals;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::report) struct Advice {
    /// What a person does before that.
    first: Option<String>,
    /// The command, ready to be pasted into a shell.
    pub(super) command: String,
}

/// What stood before a command in the advice of older versions, behind words.
const BEFORE_COMMAND: &str = ", then: ";
/// What feeds rows back that are in error although they are.
const SKIP_INVALID: &str = " --skip-invalid";

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
    /// What it must repeat where it resumes the run.
    pub(in crate::report) resuming_options: &'a str,
    pub(in crate::report) sandbox: bool,
}

/// That a run is to be resumed.
pub(in crate::report) fn to_resume(run_id: &str, repeated_options: &str) -> Advice {
    Advice { first: None, command: format!("tagfleet resume {run_id}{repeated_options}") }
}

/// Whether an advice that was stored was [`to_resume`].
pub(in crate::report) fn is_resuming(stored: &str) -> bool {
    split_advice(stored).1.starts_with("tagfleet resume ")
}

/// How a run said in the end that it is to be resumed, where that holds for whoever must repeat these options, too.
pub(in crate::report) fn still_to_resume<'a>(stored: Option<&'a str>, repeated_options: &str) -> Option<&'a str> {
    stored.filter(|stored| is_resuming(stored) && stored.ends_with(repeated_options))
}

/// The words of an advice that was stored, and its command. In those of older versions a blank is between them.
pub(in crate::report) fn split_advice(stored: &str) -> (&str, &str) {
    let as_before = || {
        let behind_words = stored.find(BEFORE_COMMAND).map(|at| at + BEFORE_COMMAND.len());
        let at = behind_words.or_else(|| stored.find("tagfleet ")).unwrap_or(stored.len());
        let (words, command) = stored.split_at(at);
        (words.trim_end(), command)
    };
    stored.split_once('\n').unwrap_or_else(as_before)
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
        let invalid = self.totals.count(Status::Invalid);
        let went_wrong = self.totals.count(Status::Failed) + self.totals.count(Status::Unknown);
        let first = if invalid > 0 {
            Some(format!("fix the invalid rows in {} ({} says why)", shown(failed), shown(results)))
        } else {
            (went_wrong > 0).then(|| format!("look at {}", shown(results)))
        };
        // Rows that were fixed are not to be skipped.
        let is_of_invalid = self.totals.failed_rows == invalid;
        let reading = self.reading_options;
        let reading = if is_of_invalid { reading.replace(SKIP_INVALID, "") } else { reading.to_owned() };
        let sandbox = if self.sandbox { " --sandbox" } else { "" };
        Some(Advice { first, command: format!("tagfleet apply {}{sandbox}{reading}{repeated}", shell_path(failed)) })
    }
}

impl Advice {
    /// The line for people.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.words(), self.command)
    }

    /// How it is stored: the words, and the command on a line of its own.
    pub(in crate::report) fn stored(&self) -> String {
        format!("{}\n{}", self.words(), self.command)
    }

    fn words(&self) -> String {
        self.first.as_ref().map_or_else(|| "Next:".to_owned(), |first| format!("Next: {first}, then:"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(open: u32, statuses: &[(Status, u64)], failed_rows: u64, target: &ResultsTarget) -> Option<Advice> {
        let totals = Totals { failed_rows, statuses: statuses.iter().copied().collect(), ..Totals::default() };
        let ending = AdviceInput {
            run_id: "R",
            totals: &totals,
            target,
            open,
            repeated_options: " --no-bulk",
            reading_options: " --tag-separator ';' --skip-invalid",
            resuming_options: " --limit 3",
            sandbox: false,
        };
        ending.advice()
    }

    #[test]
    fn a_run_that_can_go_on_is_gone_on_with_and_rows_are_fed_back_otherwise() {
        let target = ResultsTarget::file("x.results.csv".into());
        let advice = |open, statuses: &[(Status, u64)], failed_rows, target: &ResultsTarget| {
            advice(open, statuses, failed_rows, target).map(|advice| advice.text())
        };
        let mixed = [(Status::Failed, 1), (Status::Invalid, 2)];
        let fed_back = "tagfleet apply x.failed.csv --tag-separator ';'";
        let as_they_are = format!("{fed_back} --skip-invalid --no-bulk");
        let look = format!("Next: look at x.results.csv, then: {as_they_are}");
        let fix = "Next: fix the invalid rows in x.failed.csv (x.results.csv says why), then: ";
        for (open, statuses, failed_rows, expected) in [
            (0, &[(Status::Succeeded, 3)][..], 0, None),
            (2, &[(Status::Failed, 3)], 3, Some("Next: tagfleet resume R --limit 3 --no-bulk")),
            (0, &[(Status::Failed, 3)], 3, Some(look.as_str())),
            (0, &[(Status::NotAttempted, 3)], 3, Some(&format!("Next: {as_they_are}"))),
            (0, &[(Status::Invalid, 3)], 3, Some(&format!("{fix}{fed_back} --no-bulk"))),
            // Of the others, those are skipped that nobody has fixed.
            (0, &mixed, 3, Some(&format!("{fix}{as_they_are}"))),
            // What undo left because somebody changed it is nobody's task.
            (0, &[(Status::NotAttempted, 3)], 0, None),
        ] {
            assert_eq!(advice(open, statuses, failed_rows, &target).as_deref(), expected, "{open} {statuses:?}");
        }
        let dashed = ResultsTarget::file("-x.results.csv".into());
        let fed_back = advice(0, &[(Status::NotAttempted, 3)], 3, &dashed);
        assert!(fed_back.is_some_and(|text| text.starts_with("Next: tagfleet apply ./-x.failed.csv ")));
        for nowhere in [ResultsTarget::StandardOutput, ResultsTarget::Device("/dev/null".into())] {
            assert_eq!(advice(0, &[(Status::Failed, 3)], 3, &nowhere), None);
        }
    }

    #[test]
    fn what_was_stored_is_told_apart_whatever_the_files_are_called() {
        let target = ResultsTarget::file("my tagfleet list/then: tagfleet x.results.csv".into());
        let advice = advice(0, &[(Status::Failed, 3)], 3, &target).expect("an advice");
        let stored = advice.stored();
        assert_eq!(split_advice(&stored), (&*advice.words(), &*advice.command));
        let as_before = "Next: look at my tagfleet x.results.csv, then: tagfleet apply 'my tagfleet x.failed.csv'";
        let expected = ("Next: look at my tagfleet x.results.csv, then:", "tagfleet apply 'my tagfleet x.failed.csv'");
        assert_eq!(split_advice(as_before), expected);
        assert!(is_resuming(&to_resume("R", "").stored()) && is_resuming("Next: tagfleet resume R"));
        assert!(!is_resuming(&stored) && !is_resuming(as_before));
    }
}
