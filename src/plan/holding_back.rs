//! Which changes go no further than the plan: removals that the guard withholds, and what `--limit` leaves out.
//!
//! The guard comes first, so that a limit does not nibble at what it withholds.
//!
//! The limit counts what can go. A machine's removes wait for its adds, so the adds count first, wherever they stand; a
//! remove whose add is left out is left out, too. One whose add has failed never goes, and takes no place. So as many
//! changes go each time as the limit allows, until all are made. What was refused before goes last, or it would take the
//! places of the others each time.

use std::collections::HashMap;
use std::hash::Hash;

use super::decision::{Decision, Earlier};
use super::guard::{Guard, tags_taken_off};
use crate::model::{ChangeKind, Held, Tag};

/// An operation as guard and limit see it.
pub(crate) struct Weighed<'plan, Machine> {
    /// Whose tags or value it changes.
    pub machine: Machine,
    /// What it does.
    pub kind: ChangeKind,
    /// The tag that it takes off; none where it only makes room for another.
    pub takes_off: Option<&'plan Tag>,
    /// What is there, as far as it is known.
    pub held: Held,
    /// How far it had come when its run was left.
    pub earlier: Earlier,
    /// Whether an undo leaves it as it is, so that nothing waits for it.
    pub is_left: bool,
}

/// Holds back what guard and limit do not allow, of a list of so many machines. The operations come in the order of the
/// file, and for each what is decided.
pub(crate) fn hold_back<'plan, Machine: Copy + Eq + Hash>(
    decisions: &mut [Decision],
    operations: impl Iterator<Item = Weighed<'plan, Machine>> + Clone,
    guard: Guard,
    listed: u64,
    limit: Option<u32>,
) {
    if guard.removals.is_some() {
        let (mut removals, mut withheld) = (Vec::new(), Vec::new());
        for (decision, weighed) in decisions.iter_mut().zip(operations.clone()) {
            if let (Decision::Change, Some(tag)) = (*decision, weighed.takes_off) {
                removals.push((weighed.machine, tag, weighed.held));
                withheld.push(decision);
            }
        }
        if guard.withholds(tags_taken_off(&removals), listed) {
            for decision in withheld {
                *decision = Decision::Withheld;
            }
        }
    }
    let Some(limit) = limit else { return };
    let as_they_stand =
        decisions.iter().zip(operations).map(|(decision, Weighed { machine, kind, earlier, is_left, .. })| {
            (machine, kind, Standing::of(*decision, earlier, is_left))
        });
    let beyond = beyond_limit(&as_they_stand.collect::<Vec<_>>(), limit);
    for (decision, _) in decisions.iter_mut().zip(beyond).filter(|(_, is_beyond)| *is_beyond) {
        *decision = Decision::BeyondLimit;
    }
}

/// How an operation stands before the limit is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It would change something.
    Changes,
    /// So it would, and was refused before.
    ChangesAgain,
    /// There is nothing to be waited for: it is so, or an undo leaves it, or it is a removal that is withheld.
    NoWait,
    /// It is not done, and will not be: what waits for it does not go.
    Missing,
}

impl Standing {
    /// By what was decided, how far it had come when the run was left, and whether nothing waits for it.
    const fn of(decision: Decision, earlier: Earlier, is_left: bool) -> Self {
        let is_done = matches!(earlier, Earlier::Succeeded | Earlier::DoneInDoubt | Earlier::Unchanged);
        match decision {
            Decision::Change if matches!(earlier, Earlier::Failed | Earlier::Refused) => Self::ChangesAgain,
            Decision::Change => Self::Changes,
            Decision::Unchanged | Decision::Withheld => Self::NoWait,
            Decision::Kept | Decision::ChangedSince | Decision::UnknownBefore if is_done || is_left => Self::NoWait,
            Decision::Kept
            | Decision::ChangedSince
            | Decision::MayBeChangedSince
            | Decision::UnknownBefore
            | Decision::BeyondLimit
            | Decision::Unresolved
            | Decision::NotInInventory
            | Decision::AddInError => Self::Missing,
        }
    }
}

/// A machine's adds, for which its removes wait.
#[derive(Default)]
struct Adds {
    to_be_made: Vec<usize>,
    is_one_missing: bool,
    was_one_refused: bool,
}

/// For each operation whether the limit leaves it out. They come in the order of the file.
fn beyond_limit<Machine: Eq + Hash>(operations: &[(Machine, ChangeKind, Standing)], limit: u32) -> Vec<bool> {
    let mut adds: HashMap<&Machine, Adds> = HashMap::new();
    for (number, (machine, kind, standing)) in operations.iter().enumerate() {
        if *kind != ChangeKind::Add || *standing == Standing::NoWait {
            continue;
        }
        let adds = adds.entry(machine).or_default();
        adds.is_one_missing |= *standing == Standing::Missing;
        adds.was_one_refused |= *standing == Standing::ChangesAgain;
        if *standing != Standing::Missing {
            adds.to_be_made.push(number);
        }
    }
    let nothing = Adds::default();
    let mut places = Places { left: limit, given: vec![false; operations.len()] };
    for round in [Standing::Changes, Standing::ChangesAgain] {
        for (number, (machine, kind, standing)) in operations.iter().enumerate() {
            if matches!(standing, Standing::NoWait | Standing::Missing) {
                places.pass(number);
                continue;
            }
            let is_remove = *kind == ChangeKind::Remove;
            let adds = adds.get(machine).filter(|_| is_remove).unwrap_or(&nothing);
            let is_last = *standing == Standing::ChangesAgain || adds.was_one_refused;
            if is_last != (round == Standing::ChangesAgain) {
                continue;
            }
            // Each add gets its place, if there is one, before the remove is thought of.
            let going = adds.to_be_made.iter().filter(|add| places.give(**add)).count();
            let all_go = going == adds.to_be_made.len();
            if all_go && adds.is_one_missing {
                places.pass(number);
            } else if all_go {
                let _has_one = places.give(number);
            }
        }
    }
    places.given.into_iter().map(|goes| !goes).collect()
}

/// The places that a limit has.
struct Places {
    left: u32,
    /// Which operations are not left out.
    given: Vec<bool>,
}

impl Places {
    /// Gives an operation a place unless it has one; says whether it has.
    fn give(&mut self, number: usize) -> bool {
        let Some(given) = self.given.get_mut(number) else { return false };
        if !*given && self.left > 0 {
            self.left -= 1;
            *given = true;
        }
        *given
    }

    /// Lets an operation pass that takes no place.
    fn pass(&mut self, number: usize) {
        if let Some(given) = self.given.get_mut(number) {
            *given = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ChangeKind::{Add, DeviceValue as Value, Remove};
    use super::Standing::{Changes, ChangesAgain, Missing, NoWait};
    use super::*;

    /// Which of these operations go under each limit from 0 on.
    fn going(operations: &[(u32, ChangeKind, Standing)], limits: u32) -> Vec<String> {
        let words = |limit| {
            let beyond = beyond_limit(operations, limit);
            let changes =
                operations.iter().zip(beyond).filter(|((.., standing), _)| matches!(standing, Changes | ChangesAgain));
            changes.map(|(_, beyond)| if beyond { '-' } else { '+' }).collect()
        };
        (0..=limits).map(words).collect()
    }

    #[test]
    fn a_remove_goes_beside_an_add_that_an_undo_leaves_and_never_beside_one_that_is_left_to_a_later_run() {
        use Decision::{BeyondLimit, Change, ChangedSince, Kept, MayBeChangedSince, UnknownBefore};
        for (add, is_left, under_limits) in [
            (Kept, true, [BeyondLimit, Change]),
            (ChangedSince, true, [BeyondLimit, Change]),
            (UnknownBefore, true, [BeyondLimit, Change]),
            // The store leaves the remove out, which so takes no place.
            (Kept, false, [Change, Change]),
            (ChangedSince, false, [Change, Change]),
            (MayBeChangedSince, true, [Change, Change]),
        ] {
            for (limit, expected) in (0..).zip(under_limits) {
                let mut decisions = [add, Change];
                let weigh = |(kind, is_left)| Weighed {
                    machine: 1,
                    kind,
                    takes_off: None,
                    held: Held::Unknown,
                    earlier: Earlier::NotSent,
                    is_left,
                };
                let operations = [(Add, is_left), (Remove, false)].into_iter().map(weigh);
                hold_back(&mut decisions, operations, Guard::default(), 1, Some(limit));
                assert_eq!(decisions[1], expected, "{add:?} {is_left} {limit}");
            }
        }
    }

    #[test]
    fn the_limit_counts_what_can_go_and_adds_before_the_removes_that_wait_for_them() {
        type Case<'a> = (&'a [(u32, ChangeKind, Standing)], &'a [&'a str]);
        let cases: [Case<'_>; 9] = [
            (&[(1, Value, Changes), (2, Add, Changes), (1, Remove, Changes)], &["---", "+--", "++-", "+++"]),
            (&[(1, Remove, Changes), (1, Add, Changes)], &["--", "-+", "++"]),
            (&[(1, Remove, Changes), (1, Add, Changes), (2, Value, Changes)], &["---", "-+-", "++-", "+++"]),
            // A remove whose adds are not all in takes no place.
            (
                &[(1, Remove, Changes), (2, Value, Changes), (1, Add, Changes), (1, Add, Changes)],
                &["----", "--+-", "--++", "+-++", "++++"],
            ),
            (&[(1, Remove, Changes), (1, Add, NoWait)], &["-", "+"]),
            // It goes in no case, and says why itself.
            (&[(1, Remove, Changes), (1, Add, Missing), (2, Value, Changes)], &["+-", "++"]),
            (&[(1, Remove, Changes), (2, Add, Missing), (2, Value, Changes)], &["--", "+-", "++"]),
            // What was refused goes last, and what waits for it with it.
            (&[(1, Value, ChangesAgain), (2, Value, Changes), (3, Add, Changes)], &["---", "-+-", "-++", "+++"]),
            (&[(1, Remove, Changes), (1, Add, ChangesAgain), (2, Value, Changes)], &["---", "--+", "-++", "+++"]),
        ];
        for (operations, expected) in cases {
            let limits = u32::try_from(expected.len()).expect("few") - 1;
            assert_eq!(going(operations, limits), expected, "{operations:?}");
        }
    }

    #[test]
    fn each_time_as_many_go_as_the_limit_allows_until_all_are_made() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut operations: Vec<(u32, ChangeKind, Standing)> = (0..random.usize(1..30))
                .map(|_| (random.u32(0..4), [Add, Remove, Value][random.usize(0..3)], Changes))
                .collect();
            let limit = random.u32(1..6);
            let mut open = operations.len();
            while open > 0 {
                let goes: Vec<usize> = beyond_limit(&operations, limit)
                    .into_iter()
                    .enumerate()
                    .filter(|(number, beyond)| !beyond && operations[*number].2 == Changes)
                    .map(|(number, _)| number)
                    .collect();
                assert_eq!(goes.len(), open.min(limit as usize), "seed {seed}");
                for number in &goes {
                    let machine = operations[*number].0;
                    let waits = |(add, operation): (usize, &(u32, ChangeKind, Standing))| {
                        *operation == (machine, Add, Changes) && !goes.contains(&add)
                    };
                    let is_early = operations[*number].1 == Remove && operations.iter().enumerate().any(waits);
                    assert!(!is_early, "seed {seed}: a remove without its add");
                }
                open -= goes.len();
                for number in &goes {
                    operations[*number].2 = NoWait;
                }
            }
        }
    }
}
