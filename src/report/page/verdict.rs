//! What a page begins with: how the run stands, in a sentence, and whether the quota was kept.

use super::figures::Figures;
use crate::model::Status;
use crate::outside::shown;
use crate::report::course::summary::UNFINISHED;
use crate::store::RunCondition;
use crate::words::{counted, group_digits};

/// How good the news is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    /// Not done, or not known.
    Doubtful,
    Bad,
}

impl Tone {
    /// The name for scripts, and for the colours of the page.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Doubtful => "doubt",
            Self::Bad => "bad",
        }
    }
}

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) tone: Tone,
    pub(super) headline: String,
    /// Why, and what to do about it.
    pub(super) more: Vec<String>,
}

/// What the verdict hangs on.
struct Rows {
    all: u64,
    done: u64,
    /// Rows that could not be done, which is no failure.
    tolerated: u64,
    wrong: u64,
    unknown: u64,
    left: u64,
}

impl Verdict {
    pub(super) fn of(figures: &Figures) -> Self {
        let count = |statuses: &[Status]| statuses.iter().map(|status| figures.totals.count(*status)).sum::<u64>();
        let rows = Rows {
            all: figures.totals.rows,
            done: count(&[Status::Succeeded, Status::Unchanged]),
            tolerated: figures.totals.tolerated,
            wrong: count(&[Status::Failed, Status::Invalid]).saturating_sub(figures.totals.tolerated),
            unknown: count(&[Status::Unknown]),
            left: count(&[Status::NotAttempted]),
        };
        let end = figures.last_end();
        // Of a run that went to its end and does not know all of what it did, the headline says so.
        let stopped = end.filter(|end| end.ended != UNFINISHED && !figures.is_under_way());
        let reason = stopped.and_then(|end| end.reason.as_ref());
        let (tone, headline) = match figures.details.entry.condition {
            RunCondition::Finished if reason.is_some() && rows.left > 0 && rows.left == rows.all => rows.given_up(),
            condition => rows.judged(condition, end.is_some()),
        };
        let (tone, headline) = match &figures.details.undone_by {
            Some(undo) => {
                (Tone::Doubtful, format!("The run was taken back by {}; see the report of that run", shown(undo)))
            }
            None => (tone, headline),
        };
        let hint = end.and_then(|end| end.hint.as_ref()).filter(|_| reason.is_some());
        let why = reason.map(|reason| format!("It stopped early, {}.", reason.trim_end_matches('.')));
        let hint = hint.map(|hint| format!("What to do: {hint}."));
        Self { tone, headline, more: why.into_iter().chain(hint).collect() }
    }
}

impl Rows {
    /// Of a run that ended before its first change, and that nobody can resume.
    fn given_up(&self) -> (Tone, String) {
        let none = match self.all {
            1 => "its 1 row is not".to_owned(),
            all => format!("none of {} is", counted(all, "row", "rows")),
        };
        (Tone::Bad, format!("The run was given up before its first change: {none} done"))
    }

    fn judged(&self, condition: RunCondition, has_ended: bool) -> (Tone, String) {
        let Self { all, done, tolerated, wrong, unknown, left } = *self;
        let rows = counted(all, "row", "rows");
        // One row alone is, whether or not it is counted.
        let one = u64::from(all == 1);
        let of_all = |count: u64| format!("{} of {rows}", group_digits(count));
        match condition {
            RunCondition::Preparing => (Tone::Doubtful, "The run is being prepared; nothing was sent yet".to_owned()),
            RunCondition::NeverBegan => {
                (Tone::Bad, "The run never began: its process died before the first call".to_owned())
            }
            RunCondition::Running => {
                (Tone::Doubtful, format!("The run is under way: {} done so far", are(done.max(one), &of_all(done))))
            }
            RunCondition::Unfinished => {
                let how =
                    if has_ended { "The run is unfinished" } else { "The run is unfinished, since its process died" };
                (Tone::Doubtful, format!("{how}: {} done", are(done.max(one), &of_all(done))))
            }
            RunCondition::Finished if wrong > 0 => {
                (Tone::Bad, format!("The run is finished, and {} could not be done", of_all(wrong)))
            }
            RunCondition::Finished if unknown > 0 => {
                (Tone::Doubtful, format!("The run is finished, and the outcome of {} is unknown", of_all(unknown)))
            }
            RunCondition::Finished if left > 0 => {
                (Tone::Doubtful, format!("The run is finished, and {} left out", were(left, &of_all(left))))
            }
            RunCondition::Finished if tolerated > 0 => {
                let of_gone = format!("{} about machines that are gone", are(tolerated, &of_all(tolerated)));
                (Tone::Good, format!("Everything is done that could be: {of_gone}, which is tolerated"))
            }
            RunCondition::Finished if all == 0 => {
                (Tone::Good, "The run is finished: there was nothing to do".to_owned())
            }
            RunCondition::Finished if all == 1 => (Tone::Good, "Everything is done: its 1 row holds".to_owned()),
            RunCondition::Finished => (Tone::Good, format!("Everything is done: all {rows} hold")),
        }
    }
}

fn are(count: u64, text: &str) -> String {
    format!("{text} {}", if count == 1 { "is" } else { "are" })
}

fn were(count: u64, text: &str) -> String {
    format!("{text} {}", if count == 1 { "was" } else { "were" })
}

/// Whether the quota was kept, in a sentence; `None` where no call was made, or none was limited.
pub(super) fn quota_text(figures: &Figures) -> Option<(bool, String)> {
    let limited = figures.calls.windows.iter().filter(|count| count.limit().is_some());
    let beyond = limited.clone().map(|count| count.beyond).max()?;
    Some(if beyond == 0 {
        (true, "The quota was kept: no call of the run was let through beyond a limit.".to_owned())
    } else {
        let calls = counted(beyond, "call of the run was", "calls of the run were");
        (false, format!("The quota was not kept: {calls} let through beyond a limit."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_comes_first() {
        let judged = |[done, tolerated, wrong, unknown, left]: [u64; 5], condition| {
            let all = done + tolerated + wrong + unknown + left;
            Rows { all, done, tolerated, wrong, unknown, left }.judged(condition, true)
        };
        let table = [
            ([9, 0, 0, 0, 0], Tone::Good, "Everything is done: all 9 rows hold"),
            ([1, 0, 0, 0, 0], Tone::Good, "Everything is done: its 1 row holds"),
            ([0, 0, 0, 0, 0], Tone::Good, "The run is finished: there was nothing to do"),
            ([9, 0, 1, 1, 1], Tone::Bad, "The run is finished, and 1 of 12 rows could not be done"),
            ([9, 0, 0, 1, 1], Tone::Doubtful, "The run is finished, and the outcome of 1 of 11 rows is unknown"),
            (
                [9, 2, 0, 0, 0],
                Tone::Good,
                "Everything is done that could be: 2 of 11 rows are about machines that are gone, which is tolerated",
            ),
            ([9, 0, 0, 0, 1], Tone::Doubtful, "The run is finished, and 1 of 10 rows was left out"),
        ];
        for (rows, tone, headline) in table {
            assert_eq!(judged(rows, RunCondition::Finished), (tone, headline.to_owned()));
        }
        let unfinished = "The run is unfinished: 9 of 10 rows are done".to_owned();
        assert_eq!(judged([9, 0, 1, 0, 0], RunCondition::Unfinished), (Tone::Doubtful, unfinished));
        let nothing = "The run is unfinished: 0 of 1 row is done".to_owned();
        assert_eq!(judged([0, 0, 0, 0, 1], RunCondition::Unfinished), (Tone::Doubtful, nothing));
    }
}
