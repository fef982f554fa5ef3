//! Whom a command means: by a tag, by a filter, by all the rows of a file, as the list showed it when its run was decided.
//! Whom it does not mean it must not touch, and whom it means it must answer.
//!
//! A filter goes by the list alone. Who has a tag that is renamed or removed, our own writes of late tell as well: where there
//! were any, nobody can say from outside whether a machine was meant.

use super::{CallStory, Case, Deed, Kind, LAG, SLACK, Told};
use crate::run::histories::history::{Choice, Step};
use crate::run::histories::telling::End;
use crate::run::histories::truth::{Content, MachineNumber, Slot, Wish};

/// Judges whom a command has touched and answered.
pub(super) fn judge(case: &Case<'_>, told: &Told, writes: &[CallStory<'_>], note: &mut dyn FnMut(Kind, String)) {
    if matches!(told.deed, Deed::Undo(_) | Deed::Plan(_)) || told.deed.rules().is_some() {
        return;
    }
    let choosing = Choosing { case, writes };
    for write in writes.iter().filter(|write| write.command == told.number) {
        if let Some(what) = choosing.touched_unmeant(told, write) {
            note(Kind::MeantOthers, what);
        }
    }
    if let Some(what) = choosing.answered_amiss(told) {
        note(Kind::MeantOthers, what);
    }
}

/// What may be known of a command's choice.
pub(super) struct Choosing<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) writes: &'a [CallStory<'a>],
}

impl Choosing<'_> {
    /// Why a call is about somebody whom no command of its run has meant.
    fn touched_unmeant(&self, told: &Told, write: &CallStory<'_>) -> Option<String> {
        // Who names the rows of a whole file is held to them elsewhere; who resumes a run that nobody knows says nothing.
        let chooses = |saying: &Told| saying.deed.orders().is_some() || saying.options.choice.is_some();
        let mut sayings = self.case.sayings(told).peekable();
        sayings.peek()?;
        if !sayings.all(chooses) {
            return None;
        }
        let machine = write.machines.iter().find(|machine| {
            let is_meant = |saying: &Told| {
                let asks = saying.deed.orders().is_none_or(|wishes| wishes.contains(write.wish));
                asks && self.may_mean(saying, **machine)
            };
            !self.case.sayings(told).any(is_meant)
        })?;
        Some(format!("call {} ({}) is about m{machine}, which was not meant", write.number, write.wish))
    }

    /// A machine that was meant, and that the results of a run which this command began do not answer, or one that they
    /// answer and that was not meant.
    fn answered_amiss(&self, told: &Told) -> Option<String> {
        let began_it = self.case.sayings(told).all(|saying| saying.number == told.number);
        let is_over = matches!(told.end, End::Exited(0 | 1 | 10));
        let chooses = told.deed.orders().is_some() || told.options.choice.is_some();
        // A run of the same name may be resumed of which nobody outside knows.
        if !began_it || !is_over || !chooses || matches!(told.deed, Deed::Resume(_)) || told.had_company {
            return None;
        }
        let machines = 0..self.case.history.machines.len();
        let answered: Vec<MachineNumber> = told.results.iter().flatten().filter_map(|row| row.machine).collect();
        if let Some(unmeant) = answered.iter().find(|machine| !self.may_mean(told, **machine)) {
            return Some(format!("a row is about m{unmeant}, which was not meant"));
        }
        let mut meant = machines.filter(|machine| self.must_mean(told, *machine));
        let left = meant.find(|machine| !answered.contains(machine))?;
        Some(format!("m{left} was meant, and no row is about it"))
    }

    /// What the command was shown of a slot before its first call.
    fn shown(&self, told: &Told, slot: &Slot) -> Vec<Content> {
        let first = self.writes.iter().find(|write| write.command == told.number).map(|write| write.sent);
        let sights = self.case.sights(slot, first.unwrap_or(told.ended));
        let own = sights.into_iter().filter(|sight| sight.command == told.number);
        own.map(|sight| sight.content).collect()
    }

    fn may_mean(&self, told: &Told, machine: MachineNumber) -> bool {
        let is_chosen = told.options.choice.is_none_or(|choice| {
            chosen_by_row(choice, machine).unwrap_or_else(|| {
                // A row may name a machine that the list lacks.
                let shown = self.shown(told, &slot_of(choice, machine));
                let lacks = matches!(choice, Choice::Untagged(_)) && shown.is_empty() && told.deed.file().is_some();
                lacks || shown.iter().any(|content| chooses(choice, content))
            })
        });
        is_chosen && self.may_be_asked_of(told, machine)
    }

    /// Whether the command is about the machine, whatever its filter says.
    fn may_be_asked_of(&self, told: &Told, machine: MachineNumber) -> bool {
        match (told.deed, &told.file) {
            (Deed::Retag(retag), _) => {
                let removing = Wish::Remove(retag.old.to_owned());
                let slot = removing.slot(machine);
                self.shown(told, &slot).iter().any(|content| has(content, retag.old))
                    || self.may_have_written(told, &slot)
            }
            (Deed::Order(order), _) if order.file.is_none() => {
                !self.shown(told, &Slot { machine, tag: None }).is_empty()
            }
            (_, Some((_, rows))) => rows.iter().any(|row| row.machine == machine),
            _ => false,
        }
    }

    fn must_mean(&self, told: &Told, machine: MachineNumber) -> bool {
        // Who is not listed any more by then is in no plan that is made again.
        let may_have_left = told.text.contains("it is made again") && !self.case.is_always_listed(machine);
        let is_chosen = told.options.choice.is_none_or(|choice| {
            chosen_by_row(choice, machine).unwrap_or_else(|| {
                let shown = self.shown(told, &slot_of(choice, machine));
                !shown.is_empty() && shown.iter().all(|content| chooses(choice, content))
            })
        });
        is_chosen
            && !may_have_left
            && match (told.deed, &told.file) {
                (Deed::Retag(retag), _) => {
                    let slot = Wish::Remove(retag.old.to_owned()).slot(machine);
                    let shown = self.shown(told, &slot);
                    let has_it = !shown.is_empty() && shown.iter().all(|content| has(content, retag.old));
                    has_it && !self.may_have_written(told, &slot)
                }
                (_, Some((_, rows))) => {
                    // A row in error is answered, too, and a name leads to somebody only where the list is read.
                    rows.iter().any(|row| row.machine == machine) && self.case.is_always_listed(machine)
                }
                (Deed::Order(_), None) => !self.shown(told, &Slot { machine, tag: None }).is_empty(),
                _ => false,
            }
    }

    /// Whether our own writes make that the list is not to be believed about the slot. How old a write is nobody knows after
    /// the machine has started again.
    pub(super) fn may_have_written(&self, told: &Told, slot: &Slot) -> bool {
        let is_of_clocks = |step: &Step| matches!(step, Step::Restart | Step::SetClock { .. });
        let ages_are_known = !self.case.history.steps.iter().any(is_of_clocks);
        self.writes.iter().any(|write| {
            let latest = write.answered.map_or(write.sent_at + LAG, |(_, at, _)| at);
            write.sent < told.ended
                && write.command != told.number
                && write.machines.contains(&slot.machine)
                && write.wish.slot(slot.machine) == *slot
                && (!ages_are_known || self.case.is_in_doubt(write) || latest + LAG + SLACK >= told.began_at)
        })
    }
}

fn has(content: &Content, tag: &str) -> bool {
    matches!(content, Content::Tag(forms) if forms.contains(tag))
}

/// Whether a filter chooses the rows of this machine; `None` where that hangs on the list.
fn chosen_by_row(choice: Choice, machine: MachineNumber) -> Option<bool> {
    (choice == Choice::Odd).then_some(machine % 2 == 1)
}

/// What of a machine a filter goes by.
fn slot_of(choice: Choice, machine: MachineNumber) -> Slot {
    let tag = match choice {
        Choice::Tagged(tag) | Choice::Untagged(tag) => Some(tag.to_lowercase()),
        Choice::Valued(_) | Choice::Odd => None,
    };
    Slot { machine, tag }
}

/// Whether a filter takes what the list shows.
fn chooses(choice: Choice, content: &Content) -> bool {
    match choice {
        Choice::Tagged(tag) => has(content, tag),
        Choice::Untagged(tag) => !has(content, tag),
        Choice::Valued(value) => *content == Content::Value(value),
        Choice::Odd => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tale::Tale;
    use super::*;
    use crate::model::DeviceValue;
    use crate::run::histories::history::{Options, Order, Retag, Row};

    fn add(tag: &str) -> Wish {
        Wish::Add(tag.into())
    }

    fn remove(tag: &str) -> Wish {
        Wish::Remove(tag.into())
    }

    /// The first of two machines has a tag and a high value.
    fn told() -> Tale {
        let mut tale = Tale::new();
        tale.log.initial.insert(remove("old").slot(0), Content::Tag(["old".to_owned()].into()));
        tale.log.initial.insert(Slot { machine: 0, tag: None }, Content::Value(DeviceValue::High));
        tale
    }

    /// The tag is renamed on these machines.
    fn renamed(tale: &mut Tale, machines: &[MachineNumber]) {
        tale.begin(Deed::Retag(Retag { old: "old", new: Some("new") }), "r");
        tale.look();
        let mut rows = Vec::new();
        for machine in machines {
            for wish in [add("new"), remove("old")] {
                tale.change(&wish, *machine);
                rows.push(("succeeded", *machine, wish));
            }
        }
        tale.end(End::Exited(0), &rows);
    }

    #[test]
    fn a_tag_is_renamed_where_it_was_seen_and_nowhere_else() {
        for (machines, violations) in [
            (&[0][..], &[][..]),
            // A call each for the tag that comes and the one that goes, and a row.
            (&[0, 1], &[Kind::MeantOthers; 3]),
            (&[], &[Kind::MeantOthers]),
        ] {
            let mut tale = told();
            renamed(&mut tale, machines);
            tale.comes_to(violations);
        }
        // Our own write of late goes before what a list shows that lags.
        for (minutes, violations) in [(1, &[][..]), (60, &[Kind::MeantOthers; 3][..])] {
            let mut tale = told();
            tale.begin(Deed::Order(Order { file: None, add: None, remove: Some("old"), value: None }), "a");
            tale.look();
            tale.change(&remove("old"), 0);
            tale.change(&remove("old"), 1);
            tale.end(End::Exited(0), &[("succeeded", 0, remove("old")), ("succeeded", 1, remove("old"))]);
            tale.wait(minutes);
            renamed(&mut tale, &[1]);
            tale.comes_to(violations);
        }
    }

    #[test]
    fn what_a_filter_leaves_out_is_left_alone() {
        let of_tenant = Deed::Order(Order { file: None, add: Some("x"), remove: None, value: None });
        let of_file = Deed::Order(Order { file: Some(0), add: Some("x"), remove: None, value: None });
        let high = Choice::Valued(DeviceValue::High);
        for (deed, choice, meant) in [
            (of_tenant, None, &[0, 1][..]),
            (of_tenant, Some(high), &[0]),
            (of_tenant, Some(Choice::Tagged("old")), &[0]),
            (of_tenant, Some(Choice::Untagged("old")), &[1]),
            (of_file, Some(Choice::Odd), &[1]),
            (of_file, Some(high), &[0]),
            (Deed::Apply(0), Some(Choice::Odd), &[1]),
            (Deed::Apply(0), None, &[0, 1]),
        ] {
            for done in [&[0][..], &[1], &[0, 1]] {
                let mut tale = told();
                tale.begin(deed, "a");
                tale.look();
                let last = tale.told.last_mut().expect("a command");
                last.options = Options { choice, ..Options::default() };
                let row = |machine| Row {
                    machine,
                    reference: crate::run::histories::history::Reference::Id,
                    wishes: vec![add("x")],
                };
                last.file = deed.file().map(|file| (file, vec![row(0), row(1)]));
                for machine in done {
                    tale.change(&add("x"), *machine);
                }
                let rows: Vec<_> = done.iter().map(|machine| ("succeeded", *machine, add("x"))).collect();
                tale.end(End::Exited(0), &rows);
                for (row, machine) in tale.told[0].results.iter_mut().flatten().zip(done) {
                    row.number = machine + 1;
                }
                let case = Case { log: &tale.log, told: &tale.told, history: &tale.history };
                let found = case.violations();
                assert_eq!(found.is_empty(), done == meant, "{deed:?} {choice:?} on {done:?}: {found:?}");
                let kinds = [Kind::MeantOthers, Kind::RowsDiffer];
                assert!(found.iter().all(|violation| kinds.contains(&violation.kind)), "{found:?}");
            }
        }
    }

    #[test]
    fn whoever_goes_on_with_a_run_keeps_to_those_whom_it_meant() {
        for (machine, violations) in [(0, &[][..]), (1, &[Kind::MeantOthers][..])] {
            let mut tale = told();
            tale.begin(Deed::Retag(Retag { old: "old", new: None }), "r");
            tale.look();
            tale.end(End::Killed, &[]);
            tale.told[0].results = None;
            tale.begin(Deed::Resume(0), "r");
            tale.look();
            tale.change(&remove("old"), machine);
            tale.end(End::Exited(0), &[("succeeded", machine, remove("old"))]);
            tale.comes_to(violations);
        }
    }

    #[test]
    fn nobody_learns_twice_that_tag_calls_count_together() {
        for (end, violations) in [(End::Exited(0), &[Kind::Trespass][..]), (End::Killed, &[])] {
            let mut tale = told();
            for run in ["a", "b"] {
                tale.begin(Deed::Order(Order { file: None, add: None, remove: Some("old"), value: None }), run);
                tale.look();
                let call = tale.send(&remove("old"), 0);
                let event = crate::run::histories::truth::Event::Crowded { call };
                tale.note(event);
                tale.answer(call, super::super::Reply::Throttled(None));
                tale.now += Duration::from_mins(2);
                tale.change(&remove("old"), 0);
                let rows = [("succeeded", 0, remove("old")), ("unchanged", 1, remove("old"))];
                tale.end(if run == "a" { end.clone() } else { End::Exited(0) }, &rows);
            }
            tale.comes_to(violations);
        }
    }
}
