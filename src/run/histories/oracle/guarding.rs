//! What a guard lets through: no more than its bound, and of what it withholds nothing.

use std::collections::BTreeSet;

use super::ruling::Ruling;
use super::{CallStory, Case, Deed, Event, Kind, ResultRow, Told};
use crate::run::histories::history::{Bound, Retag};
use crate::run::histories::telling::End;
use crate::run::histories::truth::{Slot, Wish};

/// The code of what a guard has withheld.
pub(super) const WITHHELD: &str = "withheld";

/// Judges what a command has sent under its guards, and what it says to have withheld.
pub(super) fn judge(case: &Case<'_>, told: &Told, writes: &[CallStory<'_>], note: &mut dyn FnMut(Kind, String)) {
    let is_removal = |write: &&CallStory<'_>| matches!(write.wish, Wish::Remove(_));
    let own = || writes.iter().filter(|write| write.command == told.number);
    let mut removals = slots(own().filter(is_removal));
    let ruling = Ruling { case, writes };
    removals.retain(|slot| !ruling.may_be_exchanged(told, slot));
    let (withheld, goes_whole) = (removals_in(told, |row| row.code == WITHHELD), removals.is_empty());
    if let (Some(slot), Some(removed)) = (withheld.first(), removals.first()) {
        note(Kind::GuardPassed, format!("{slot} is withheld, and {removed} is not"));
    }
    if matches!(told.deed, Deed::Resume(_) | Deed::Undo(_)) {
        return;
    }
    // To make room for another tag is no removal.
    let makes_room = matches!(told.deed, Deed::Retag(Retag { new: Some(_), .. }));
    let (of_removals, of_changes, [fewest, most]) = if let Some(rules) = &told.rules {
        (Some(rules.guard_removals), Some(rules.guard_changes), ruling.count_in_scope(told))
    } else {
        let of_removals = told.options.guard_removals.filter(|_| !makes_room);
        (of_removals, told.options.guard_changes, listed(case, told, writes))
    };
    let sent = [(of_removals, removals, "removals"), (of_changes, slots(own()), "changes")];
    for (bound, sent, what) in sent {
        if let Some(bound) = bound.filter(|bound| !allows(*bound, sent.len(), most)) {
            note(Kind::GuardPassed, format!("{} {what} passed {bound:?} of {most} machines", sent.len()));
        }
    }
    let began_it =
        case.beginning_of(told.run.as_deref().unwrap_or_default()).is_some_and(|it| it.number == told.number);
    let mut perhaps = removals_in(told, |row| may_hide_a_removal(row));
    // What was in flight when the run was interrupted counted when that was decided, and was settled by a reading since.
    let done = removals_in(told, |row| row.status == "succeeded");
    perhaps.extend(done.into_iter().filter(|slot| was_in_flight(case, told, writes, slot)));
    let is_too_much = of_removals.is_some_and(|bound| !allows(bound, withheld.union(&perhaps).count(), fewest));
    // Who resumes a run without a guard of its own leaves what another has withheld.
    let has_decided =
        (began_it || (of_removals.is_some() && told.rules.is_none())) && matches!(told.end, End::Exited(0 | 1));
    if has_decided && goes_whole && !withheld.is_empty() && !is_too_much {
        note(Kind::GuardPassed, format!("{} removals are withheld, and {of_removals:?} allows them", withheld.len()));
    }
}

/// What calls are about, each slot once.
fn slots<'a>(writes: impl Iterator<Item = &'a CallStory<'a>>) -> BTreeSet<Slot> {
    writes.flat_map(|write| write.machines.iter().map(|machine| write.wish.slot(*machine))).collect()
}

/// Whether it was not known what an earlier command of the run had made of the slot.
fn was_in_flight(case: &Case<'_>, told: &Told, writes: &[CallStory<'_>], slot: &Slot) -> bool {
    let run = told.run.as_deref().unwrap_or_default();
    writes.iter().any(|write| {
        write.command < told.number
            && case.is_of_run(write.command, run)
            && write.machines.contains(&slot.machine)
            && write.wish.slot(slot.machine) == *slot
            && case.is_in_doubt(write)
    })
}

/// Whether a removal of this row may be withheld although the row does not say so: nobody knows what became of it, or the
/// other wish, which came to something as bad or worse, speaks for both.
fn may_hide_a_removal(row: &ResultRow) -> bool {
    let is_spoken_for = row.wishes.len() > 1 && matches!(row.status.as_str(), "failed" | "not_attempted");
    row.status == "unknown" || is_spoken_for
}

/// The removals of these rows of the results.
fn removals_in(told: &Told, is_meant: impl Fn(&&ResultRow) -> bool) -> BTreeSet<Slot> {
    let rows = told.results.iter().flatten().filter(is_meant);
    let slots = rows.flat_map(|row| {
        let removals = row.wishes.iter().filter(|wish| matches!(wish, Wish::Remove(_)));
        removals.filter_map(|wish| Some(wish.slot(row.machine?)))
    });
    slots.collect()
}

/// How many machines the command was shown before its first call: in its last reading, and in all of them. A plan that waited
/// for long is made anew by another reading, and a list has an order of its own.
fn listed(case: &Case<'_>, told: &Told, writes: &[CallStory<'_>]) -> [usize; 2] {
    let first = writes.iter().find(|write| write.command == told.number).map_or(told.ended, |write| write.sent);
    let (mut last, mut all) = (BTreeSet::new(), BTreeSet::new());
    for (_, event) in &case.log.events[told.began..first] {
        let Event::Displayed { call, machine, .. } = event else { continue };
        if case.log.commands[*call] != told.number {
            continue;
        }
        if last.last().is_some_and(|last| machine < last) {
            last.clear();
        }
        last.insert(*machine);
        all.insert(*machine);
    }
    [last.len(), all.len()]
}

fn allows(bound: Bound, count: usize, listed: usize) -> bool {
    count <= bound.count as usize || count * 100 <= listed * usize::from(bound.percent)
}

#[cfg(test)]
mod tests {
    use super::super::tale::Tale;
    use super::*;
    use crate::model::DeviceValue;
    use crate::run::histories::history::Options;
    use crate::run::histories::truth::Content;

    #[test]
    fn a_guard_lets_nothing_through_beyond_its_bound_and_withholds_nothing_in_part() {
        const NONE: Option<Bound> = None;
        const HALF: Option<Bound> = Some(Bound { percent: 50, count: 0 });
        let number = |count| Some(Bound { percent: 0, count });
        // How many of two tags are taken off and how many are withheld, under which guards.
        for (removed, withheld, guard_removals, guard_changes, is_well) in [
            (2, 0, NONE, NONE, true),
            (2, 0, number(2), NONE, true),
            (2, 0, number(1), NONE, false),
            (2, 0, HALF, NONE, false),
            (1, 0, HALF, NONE, true),
            (0, 2, HALF, NONE, true),
            (0, 2, number(1), NONE, true),
            (0, 2, number(2), NONE, false),
            (0, 2, NONE, NONE, false),
            (1, 1, number(1), NONE, false),
            (2, 0, NONE, number(1), false),
            (2, 0, NONE, number(2), true),
        ] {
            let mut tale = Tale::new();
            let remove = Wish::Remove("old".into());
            for machine in 0..2 {
                tale.log.initial.insert(remove.slot(machine), Content::Tag(["old".to_owned()].into()));
            }
            tale.begin(Deed::Apply(0), "a");
            tale.told[0].options = Options { guard_removals, guard_changes, ..Options::default() };
            tale.look();
            let mut rows = Vec::new();
            for machine in 0..removed {
                tale.change(&remove, machine);
                rows.push(("succeeded", machine, remove.clone()));
            }
            rows.extend(
                (removed..removed + withheld).map(|machine| ("not_attempted withheld", machine, remove.clone())),
            );
            tale.end(End::Exited(u8::from(withheld > 0)), &rows);
            let violations = if is_well { &[][..] } else { &[Kind::GuardPassed] };
            tale.comes_to(violations);
        }
    }

    #[test]
    fn what_counts_for_what_is_withheld_is_who_the_last_reading_showed() {
        for (shown_again, violations) in [(&[0][..], &[][..]), (&[0, 1], &[Kind::GuardPassed])] {
            let mut tale = Tale::new();
            tale.begin(Deed::Apply(0), "a");
            let guard_removals = Some(Bound { percent: 50, count: 0 });
            tale.told[0].options = Options { guard_removals, ..Options::default() };
            tale.look();
            tale.show(shown_again.iter().copied());
            tale.end(End::Exited(1), &[("not_attempted withheld", 0, Wish::Remove("old".into()))]);
            tale.comes_to(violations);
        }
    }

    #[test]
    fn a_row_with_two_wishes_may_hide_a_removal_that_is_withheld() {
        let [seen, hidden] = ["old", "older"].map(|tag| Wish::Remove(tag.into()));
        for (also, violations) in [(Some(Wish::Set(DeviceValue::Low)), &[][..]), (None, &[Kind::GuardPassed])] {
            let mut tale = Tale::new();
            tale.begin(Deed::Apply(0), "a");
            let guard_removals = Some(Bound { percent: 0, count: 1 });
            tale.told[0].options = Options { guard_removals, ..Options::default() };
            tale.look();
            let rows = [("not_attempted withheld", 0, seen.clone()), ("not_attempted beyond_limit", 1, hidden.clone())];
            tale.end(End::Exited(1), &rows);
            tale.told[0].results.iter_mut().flatten().for_each(|row| row.wishes.extend(also.clone()));
            tale.comes_to(violations);
        }
    }
}
