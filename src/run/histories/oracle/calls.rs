//! What a command sent, against what it had to send and what it must not.

use std::borrow::Cow;

use super::endings::differs_in_case;
use super::{AT_ONCE, CallStory, Case, Content, Event, Kind, LAG, Reply, Slot, Told, Wish};
use crate::run::histories::history::{Reference, Row, Step};
use crate::run::histories::telling::End;

/// The most writes of an app that may do nothing.
const FORBIDDEN_CALLS: usize = 12;

/// Judges every call of a command.
pub(super) fn judge(case: &Case<'_>, told: &Told, writes: &[CallStory<'_>], note: &mut dyn FnMut(Kind, String)) {
    trespasses(case, told, note);
    let own: Vec<&CallStory<'_>> = writes.iter().filter(|write| write.command == told.number).collect();
    let changes_nothing = told.deed.only_looks();
    let was_refused = matches!(told.end, End::Exited(2 | 3 | 6));
    if let Some(first) = own.first()
        && (changes_nothing || was_refused)
    {
        note(
            Kind::WroteAlthough,
            format!("call {} ({}) was sent, and it ended {:?}", first.number, first.wish, told.end),
        );
    }
    forbidden(&own, note);
    waits(case, &own, note);
    crowds(case, told, note);
    for write in &own {
        for machine in write.machines {
            let slot = write.wish.slot(*machine);
            if let Some(what) = sent_again(case, told, writes, write, &slot) {
                note(Kind::SentAgain, what);
            }
            if let Some(what) = breaks_before_it_makes(case, told, write, &slot) {
                note(Kind::BreakBeforeMake, what);
            }
        }
    }
}

fn trespasses(case: &Case<'_>, told: &Told, note: &mut dyn FnMut(Kind, String)) {
    // After a start of the machine nothing but its wall clock tells how old a call is; one that was set forward meanwhile
    // makes all of them old.
    let has = |is_so: fn(&Step) -> bool| case.history.steps.iter().any(is_so);
    if has(|step| matches!(step, Step::Restart)) && has(|step| matches!(step, Step::SetClock { seconds: 1.. })) {
        return;
    }
    // A call may come when its client is gone; whoever began last before that answers for it.
    let next = case.told.iter().map(|other| other.began).filter(|began| *began > told.began).min();
    for (_, event) in &case.log.events[told.began..next.unwrap_or(case.log.events.len())] {
        if let Event::Trespass(what) = event {
            note(Kind::Trespass, what.clone());
        }
    }
}

/// An app that is refused everything has to stop.
fn forbidden(own: &[&CallStory<'_>], note: &mut dyn FnMut(Kind, String)) {
    let refused = |write: &&&CallStory<'_>| matches!(write.answered, Some((_, _, Reply::Refused(403))));
    let count = own.iter().filter(refused).count();
    let all_machines = own.iter().flat_map(|write| write.machines).count();
    if count == own.len() && count > FORBIDDEN_CALLS {
        note(Kind::AskedOnAndOn, format!("{count} writes for {all_machines} machines were all refused with 403"));
    }
}

/// Nobody calls before the time that a 429 named to this very command.
fn waits(case: &Case<'_>, own: &[&CallStory<'_>], note: &mut dyn FnMut(Kind, String)) {
    let throttled = own.iter().filter_map(|write| match write.answered {
        Some((index, at, Reply::Throttled(Some(until)))) => Some((write, index, at, *until)),
        _ => None,
    });
    // Where they may count apart, a refusal of single tag calls says nothing of bulk calls.
    let bucket =
        |write: &CallStory<'_>| (matches!(write.wish, Wish::Set(_)), write.is_bulk && case.habits().finds_out_scope);
    for (first, index, at, until) in throttled {
        let early = own.iter().find(|write| {
            write.sent > index
                && bucket(write) == bucket(first)
                && write.sent_at > at + AT_ONCE
                && write.sent_at + AT_ONCE < until
        });
        if let Some(early) = early {
            let text = format!(
                "call {} left at {:?}, and a 429 had asked to wait until {until:?}",
                early.number, early.sent_at
            );
            note(Kind::Trespass, text);
        }
    }
}

/// Once a command has found out that single and bulk tag calls count together, none of the later ones finds it out again.
fn crowds(case: &Case<'_>, told: &Told, note: &mut dyn FnMut(Kind, String)) {
    let crowded = |told: &Told| {
        let mut events = case.log.events.iter();
        events.any(|(_, event)| match event {
            Event::Crowded { call } => {
                case.log.commands[*call] == told.number
                    && case.log.events[told.began..told.ended].iter().any(|(_, event)| {
                        matches!(event, Event::Answered { call: answered, reply: Reply::Throttled(_) } if answered == call)
                    })
            }
            _ => false,
        })
    };
    let has_learned =
        |other: &&Told| other.ended <= told.began && matches!(other.end, End::Exited(_)) && crowded(other);
    if crowded(told)
        && let Some(earlier) = case.told.iter().find(has_learned)
    {
        let text = format!(
            "single and bulk tag calls were counted apart again, and command {} had learned that they are not",
            earlier.label
        );
        note(Kind::Trespass, text);
    }
}

/// Whether this run has had the service's word on that already, and nothing has happened to the slot since.
fn sent_again(
    case: &Case<'_>,
    told: &Told,
    writes: &[CallStory<'_>],
    write: &CallStory<'_>,
    slot: &Slot,
) -> Option<String> {
    let run = told.run.as_deref()?;
    let (earlier, answered, answered_at) = writes.iter().rev().find_map(|earlier| match earlier.answered {
        Some((answered, at, Reply::Shown(shown)))
            if earlier.wish == write.wish
                && answered < write.sent
                && shown.contains(&slot.machine)
                && case.is_of_run(earlier.command, run) =>
        {
            Some((earlier, answered, at))
        }
        _ => None,
    })?;
    if case.is_in_doubt(earlier) {
        return None;
    }
    let happened = case.log.changes(slot).any(|change| {
        let by_it = change.call.is_some_and(|call| call == earlier.number);
        (earlier.sent..write.sent).contains(&change.index) && !by_it && change.before != change.after
    });
    // What another run of ours did there may be in doubt.
    let others_write = writes.iter().any(|other| {
        (answered..write.sent).contains(&other.sent)
            && other.machines.contains(&slot.machine)
            && other.wish.slot(slot.machine) == *slot
    });
    // A tag in another case is asked for once more.
    if !write.wish.holds_in_any_case(&case.log.content_before(slot, answered)) {
        return None;
    }
    let sights = case.sights(slot, write.sent);
    // What an edited file ceased to ask for is no answer when it asks again: then the list decides, where it shows the machine.
    let is_left_out = |other: &&Told| {
        let lacks =
            |rows: &[Row]| !rows.iter().any(|row| row.machine == slot.machine && row.wishes.contains(write.wish));
        other.file.as_ref().is_some_and(|(_, rows)| lacks(rows))
    };
    let between = case.told.iter().filter(|other| (earlier.command + 1..told.number).contains(&other.number));
    let was_dropped = between.filter(|other| other.run == told.run).any(|other| is_left_out(&other));
    let is_shown = sights.iter().any(|sight| sight.command == told.number && write.wish.holds(&sight.content));
    if was_dropped && !is_shown {
        return None;
    }
    // What is neither the old value nor the new one looks like somebody else's; that it was there before nobody can tell.
    let is_third = |content: &Content| slot.tag.is_none() && *content != case.log.content_before(slot, earlier.sent);
    let looked_otherwise = sights.iter().any(|sight| {
        sight.index > answered
            && !write.wish.holds_in_any_case(&sight.content)
            && (sight.at > answered_at + LAG || is_third(&sight.content))
    });
    (!happened && !others_write && !looked_otherwise).then(|| {
        format!(
            "call {} sends {} on {slot} again, which call {} of the same run had been answered to have done at {answered_at:?}",
            write.number, write.wish, earlier.number
        )
    })
}

/// Whether a tag is taken from a machine that has not got those of the same file yet.
fn breaks_before_it_makes(case: &Case<'_>, told: &Told, write: &CallStory<'_>, slot: &Slot) -> Option<String> {
    let Wish::Remove(_) = write.wish else { return None };
    let run = told.run.as_deref()?;
    let began = case.beginning_of(run)?;
    let rows = rows_in_force(case, told)?;
    let rows = rows.as_ref();
    // Whom no list shows has no name, and a row in error asks for nothing.
    let is_known = |row: &&Row| {
        let has_names = case.is_always_listed(row.machine) && !began.options.no_inventory && !told.options.no_inventory;
        let is_variant = rows.iter().any(|other| differs_in_case(row, other));
        !is_variant && (matches!(row.reference, Reference::Id | Reference::IdInUpperCase) || has_names)
    };
    let is_nobodys = |add: &Wish| {
        let mut results = told.results.iter().flatten();
        results.any(|row| {
            let is_void = row.status == "invalid" || row.code == "machine_not_found";
            is_void && row.machine == Some(slot.machine) && row.wishes.contains(add)
        })
    };
    let adds = rows.iter().filter(|row| row.machine == slot.machine).filter(is_known).flat_map(|row| &row.wishes);
    let adds = adds.filter(|add| !is_nobodys(add));
    for add in adds.filter(|wish| matches!(wish, Wish::Add(_))) {
        let other = add.slot(slot.machine);
        // A list that lags may have shown a tag that was there when the run began.
        let since = began.began_at.saturating_sub(LAG);
        let held_before = add.holds(&case.log.content_before(&other, case.log.count_at(since)))
            || add.holds(&case.log.content_before(&other, began.began));
        let held_since = case
            .log
            .changes(&other)
            .any(|change| change.at >= since && change.index < write.sent && add.holds(change.after));
        if !held_before && !held_since {
            return Some(format!("call {} takes {slot}, and {add} had never been done", write.number));
        }
    }
    None
}

/// The rows that the command's run is about: of its own file, or of the command that it goes on from.
fn rows_in_force<'a>(case: &'a Case<'_>, told: &'a Told) -> Option<Cow<'a, [Row]>> {
    if let Some(wishes) = told.deed.orders() {
        // Whomever a call is about, all of it was asked of.
        let row = |machine| Row { machine, reference: Reference::Id, wishes: wishes.clone() };
        return Some((0..case.history.machines.len()).map(row).collect());
    }
    if told.rules.is_some() {
        let rows = told.results.iter().flatten().filter_map(|result| {
            Some(Row { machine: result.machine?, reference: Reference::Id, wishes: result.wishes.clone() })
        });
        return Some(rows.collect());
    }
    if let Some((_, rows)) = &told.file {
        if told.options.choice.is_none() {
            return Some(Cow::Borrowed(rows));
        }
        let chosen = told.results.iter().flatten().filter_map(|result| rows.get(result.number.checked_sub(1)?));
        return Some(chosen.cloned().collect());
    }
    let run = told.run.as_deref()?;
    // An edited file that was refused is nobody's wish.
    let is_earlier = |other: &&Told| {
        other.number < told.number && other.run.as_deref() == Some(run) && !matches!(other.end, End::Exited(2 | 3 | 6))
    };
    // Nor is one whose command died before the run had taken it: then this one's rows are others.
    let is_taken = |other: &&Told| match (&other.file, &told.results) {
        (Some((_, rows)), Some(results)) if other.end == End::Killed && other.options.choice.is_none() => {
            let is_row = |row: &Row, number| results.iter().any(|it| it.number == number && it.wishes == row.wishes);
            rows.len() == results.len() && (1..).zip(rows).all(|(number, row)| is_row(row, number))
        }
        _ => true,
    };
    let mut earlier = case.told.iter().filter(is_earlier).filter(is_taken);
    rows_in_force(case, earlier.rfind(|other| other.deed.orders().is_some() || other.file.is_some())?)
}

#[cfg(test)]
mod tests {
    use super::super::Deed;
    use super::super::tale::Tale;
    use super::*;

    fn new() -> Wish {
        Wish::Add("new".into())
    }

    fn old() -> Wish {
        Wish::Remove("old".into())
    }

    #[test]
    fn a_tag_is_taken_only_when_the_other_is_there() {
        let swapped = |in_order: bool| {
            let mut tale = Tale::new();
            tale.log.initial.insert(old().slot(0), Content::Tag(["old".to_owned()].into()));
            tale.begin(Deed::Apply(0), "a");
            tale.look();
            let mut wishes = [old(), new()];
            if in_order {
                wishes.reverse();
            }
            for wish in &wishes {
                tale.change(wish, 0);
            }
            tale.end(End::Exited(0), &[("succeeded", 0, new()), ("succeeded", 0, old())]);
            tale
        };
        swapped(false).comes_to(&[Kind::BreakBeforeMake]);
        swapped(true).comes_to(&[]);
        // A file that was edited meanwhile counts if it was taken.
        let edited = |end: End, is_taken: bool| {
            let mut tale = Tale::new();
            tale.log.initial.insert(old().slot(0), Content::Tag(["old".to_owned()].into()));
            tale.begin(Deed::Apply(0), "a");
            tale.look();
            tale.end(End::Killed, &[("not_attempted", 0, old())]);
            tale.begin(Deed::Apply(0), "a");
            tale.end(end, &[("not_attempted", 0, new()), ("not_attempted", 0, old())]);
            tale.begin(Deed::Resume(0), "a");
            tale.look();
            tale.change(&old(), 0);
            let rows = [("not_attempted", 0, new()), ("succeeded", 0, old())];
            tale.end(End::Exited(0), if is_taken { &rows } else { &rows[1..] });
            tale
        };
        edited(End::Exited(3), false).comes_to(&[]);
        edited(End::Killed, true).comes_to(&[Kind::ExitStatus, Kind::BreakBeforeMake]);
        edited(End::Killed, false).comes_to(&[]);
    }
}
