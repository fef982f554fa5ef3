//! What an unattended run may do at most, so that a source that shrank overnight does not strip a fleet of its tags.
//!
//! A bound is a share of machines and a number, and only what exceeds both is too much: a small fleet may change as a whole,
//! and a large one by its share. Removals beyond theirs are withheld, all of them, since nobody can tell which were meant;
//! the rest of the plan goes. Changes beyond theirs refuse the plan. What is withheld is no change any more.
//!
//! How it is used: [`PlanSettings::guard`](super::changes::PlanSettings) holds the guard, and a plan that is made with it has
//! its removals withheld ([`Decision::Withheld`](super::changes::Decision)) before any limit is looked at, so that a canary
//! does not nibble at them. Whoever is about to carry it out asks [`Guard::refuses`] with what is left. For a file of orders
//! the machines are those of the tenant's list; a file of rules names its own number as [`Guard::scope`]. A ceiling for one
//! run takes the place of a bound ([`Guard::with_ceilings`]).

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;

use crate::model::{Held, Tag};
use crate::words::group_digits;

/// How much of one kind is not too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// What exceeds neither this share of the machines nor this number, or one of them only.
    Share {
        /// Of the machines.
        percent: u8,
        /// Whatever the share.
        count: u32,
    },
    /// This number, whatever the share: said for one run.
    Ceiling(u32),
}

impl Bound {
    /// Whether so many are not too many, of so many machines. Of machines that nobody has counted, which are 0, any number
    /// exceeds the share.
    pub(crate) const fn allows(self, count: u64, machines: u64) -> bool {
        match self {
            Self::Share { percent, count: most } => {
                count <= most as u64 || count.saturating_mul(100) <= machines.saturating_mul(percent as u64)
            }
            Self::Ceiling(most) => count <= most as u64,
        }
    }
}

/// In words that end a sentence: `10% of the machines and more than 10`.
impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Share { percent, count } => {
                write!(formatter, "{percent}% of the machines and more than {}", group_digits(u64::from(count)))
            }
            Self::Ceiling(most) => formatter.write_str(&group_digits(u64::from(most))),
        }
    }
}

/// The bounds of a run; what has none is not guarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guard {
    /// Tags that are taken off: beyond it all are withheld.
    pub removals: Option<Bound>,
    /// Operations that change something: beyond it the plan is refused.
    pub changes: Option<Bound>,
    /// How many machines the shares are of; the whole list where nobody says so.
    pub scope: Option<u32>,
}

impl Guard {
    /// The same with what was said for this run only.
    pub(crate) fn with_ceilings(self, removals: Option<u32>, changes: Option<u32>) -> Self {
        Self {
            removals: removals.map(Bound::Ceiling).or(self.removals),
            changes: changes.map(Bound::Ceiling).or(self.changes),
            ..self
        }
    }

    /// Whether so many removals are withheld, where the list has so many machines.
    pub(crate) fn withholds(&self, removals: u64, listed: u64) -> bool {
        self.removals.is_some_and(|bound| !bound.allows(removals, self.machines(listed)))
    }

    /// The bound that so many changes exceed, where the list has so many machines.
    pub(crate) fn refuses(&self, changes: u64, listed: u64) -> Option<Bound> {
        self.changes.filter(|bound| !bound.allows(changes, self.machines(listed)))
    }

    fn machines(&self, listed: u64) -> u64 {
        self.scope.map_or(listed, u64::from)
    }
}

/// How many tags these removals of one plan take off: of each the machine, the tag, and what the list shows. A tag that the list
/// shows in another case only, which goes as well, is that one.
pub(crate) fn tags_taken_off<'a, M: Copy + Eq + Hash>(removals: &[(M, &'a Tag, Held)]) -> u64 {
    let is_shown = |(_, _, held): &(M, &'a Tag, Held)| *held == Held::Present;
    let shown = removals.iter().filter(|removal| is_shown(removal));
    let on_machines: HashSet<M> = shown.map(|(machine, ..)| *machine).collect();
    // Nearly all are shown, and only the others may be a form of them.
    let (mut others, mut forms_of) = (Vec::new(), HashSet::new());
    for (machine, tag, _) in removals.iter().filter(|removal| !is_shown(removal) && on_machines.contains(&removal.0)) {
        others.push((*machine, tag.case_key()));
        forms_of.insert(*machine);
    }
    let shown = removals.iter().filter(|removal| is_shown(removal) && forms_of.contains(&removal.0));
    let shown: HashSet<(M, String)> = shown.map(|(machine, tag, _)| (*machine, tag.case_key())).collect();
    let same = others.iter().filter(|form| shown.contains(form)).count();
    (removals.len() - same) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Bound = Bound::Share { percent: 10, count: 10 };

    #[test]
    fn only_what_exceeds_both_the_share_and_the_number_is_too_much() {
        let share = |percent, count| Bound::Share { percent, count };
        for (bound, count, machines, is_allowed) in [
            (TENTH, 0, 0, true),
            (TENTH, 10, 20, true),
            (TENTH, 11, 20, false),
            (TENTH, 11, 109, false),
            (TENTH, 11, 110, true),
            (TENTH, 100, 1_000, true),
            (TENTH, 101, 1_000, false),
            // Nobody has counted the machines.
            (TENTH, 10, 0, true),
            (TENTH, 11, 0, false),
            (share(0, 0), 0, 1_000, true),
            (share(0, 0), 1, 1_000, false),
            (share(0, 5), 5, 1_000, true),
            (share(0, 5), 6, 1_000, false),
            (share(100, 0), 1_000, 1_000, true),
            (share(100, 0), 1_001, 1_000, false),
            (share(30, 100), 100, 200, true),
            (share(30, 100), 101, 336, false),
            (share(30, 100), 101, 337, true),
            (share(100, u32::MAX), u64::MAX, u64::MAX, true),
            (Bound::Ceiling(0), 0, 9, true),
            (Bound::Ceiling(0), 1, 1_000_000, false),
            (Bound::Ceiling(40), 40, 1, true),
            (Bound::Ceiling(40), 41, 1_000_000, false),
        ] {
            assert_eq!(bound.allows(count, machines), is_allowed, "{count} of {machines} under {bound:?}");
        }
    }

    #[test]
    fn a_tag_that_goes_in_two_cases_is_taken_off_once_unless_the_list_shows_both() {
        let tag = |text| Tag::new(text).expect("a tag");
        let [old, shouted, other] = ["Old", "OLD", "Other"].map(tag);
        let (there, unknown) = (Held::Present, Held::Unknown);
        for (removals, expected) in [
            (vec![], 0),
            (vec![(1, &old, there), (2, &old, there)], 2),
            (vec![(1, &old, there), (1, &shouted, unknown)], 1),
            (vec![(1, &shouted, unknown), (1, &old, there), (1, &other, unknown)], 2),
            (vec![(1, &old, there), (1, &shouted, there)], 2),
            (vec![(1, &old, there), (2, &shouted, unknown)], 2),
            // Nobody has looked: there may be both.
            (vec![(1, &old, unknown), (1, &shouted, unknown)], 2),
        ] {
            assert_eq!(tags_taken_off(&removals), expected, "{removals:?}");
        }
    }

    #[test]
    fn each_kind_has_its_bound_and_a_ceiling_takes_the_place_of_its_bound() {
        let guard =
            Guard { removals: Some(TENTH), changes: Some(Bound::Share { percent: 30, count: 100 }), scope: None };
        let judged = |guard: Guard| (guard.withholds(200, 1_000), guard.refuses(400, 1_000).is_some());
        for (guard, expected) in [
            (Guard::default(), (false, false)),
            (guard, (true, true)),
            (guard.with_ceilings(None, None), (true, true)),
            (guard.with_ceilings(Some(200), None), (false, true)),
            (guard.with_ceilings(Some(199), Some(400)), (true, false)),
            (Guard::default().with_ceilings(Some(199), Some(399)), (true, true)),
            (Guard { scope: Some(2_000), ..guard }, (false, false)),
            (Guard { scope: Some(100), ..guard }, (true, true)),
        ] {
            assert_eq!(judged(guard), expected, "{guard:?}");
        }
    }
}
