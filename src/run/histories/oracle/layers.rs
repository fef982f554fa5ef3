//! What of a slot's changes still stands: whoever takes a run back brings to light what lies beneath it.

use std::collections::BTreeSet;

use super::{Case, Content, Deed, alike};
use crate::run::histories::truth::Applied;

/// What later changes have come to.
pub(super) struct Layers<'a> {
    /// Those that stand.
    pub(super) standing: Vec<Applied<'a>>,
    /// The runs of all others: they were taken back, or took back.
    pub(super) gone: BTreeSet<&'a str>,
}

/// Changes that an undo has taken away, and from where.
type Taken<'a> = (&'a str, usize, Vec<Applied<'a>>);

impl<'a> Case<'a> {
    /// What still stands of changes of one slot that came, one after the other, upon `ground`.
    pub(super) fn layers(&self, ground: &Content, changes: impl Iterator<Item = Applied<'a>>) -> Layers<'a> {
        let mut standing: Vec<Applied<'a>> = Vec::new();
        let mut taken: Vec<Taken<'a>> = Vec::new();
        let mut gone = BTreeSet::new();
        for change in changes {
            let run = self.run_of(&change);
            gone.extend(run);
            let Some((run, undone)) = run.and_then(|run| Some((run, self.undone_by(run)?))) else {
                standing.push(change);
                continue;
            };
            let was_undo = taken.iter().rposition(|(by, ..)| *by == undone);
            let of_undone = |change: &Applied<'a>| self.run_of(change) == Some(undone);
            let (place, back) = match (was_undo, standing.iter().position(of_undone)) {
                (Some(taken_at), _) => {
                    let (_, place, back) = taken.remove(taken_at);
                    (place, back)
                }
                (None, Some(place)) => (place, Vec::new()),
                (None, None) => {
                    standing.push(change);
                    continue;
                }
            };
            let away = standing.split_off(place);
            standing.extend(back);
            taken.push((run, place, away));
            let there = standing.last().map_or(ground, |change| change.after);
            if !alike(there, change.after) {
                standing.push(change);
            }
        }
        for run in standing.iter().filter_map(|change| self.run_of(change)) {
            gone.remove(run);
        }
        Layers { standing, gone }
    }

    /// The run that made a change.
    fn run_of(&self, change: &Applied<'_>) -> Option<&'a str> {
        self.told_of_call(change.call?)?.run.as_deref()
    }

    /// The run that this one takes back.
    fn undone_by(&self, run: &str) -> Option<&'a str> {
        let label = self.told.iter().find_map(|told| match told.deed {
            Deed::Undo(label) if told.run.as_deref() == Some(run) => Some(label),
            _ => None,
        })?;
        self.told.iter().find(|told| told.label == label)?.run.as_deref()
    }
}
