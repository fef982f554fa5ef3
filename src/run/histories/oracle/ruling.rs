//! What a file of rules comes to, by the judge's own reading of the rules: what of a machine may be asked for by what the
//! list showed, and what must be.
//!
//! The list and our own writes of late tell which tags a machine has. Where there were such writes, nobody can say from outside
//! which of the two was believed, and whatever follows from either is allowed.

use std::collections::BTreeSet;

use super::{CallStory, Case, Deed, Kind, Told};
use crate::model::DeviceValue;
use crate::run::histories::drawing::TAGS;
use crate::run::histories::history::Choice;
use crate::run::histories::rules_file::{Condition, Rule, RulesFile, is_grouped};
use crate::run::histories::telling::End;
use crate::run::histories::truth::{Content, MachineNumber, Slot, Wish};

/// Judges what a command has done by a file of rules.
pub(super) fn judge(case: &Case<'_>, told: &Told, writes: &[CallStory<'_>], note: &mut dyn FnMut(Kind, String)) {
    let ruling = Ruling { case, writes };
    for write in writes.iter().filter(|write| write.command == told.number) {
        if let Some(what) = ruling.touched_unmeant(told, write) {
            note(Kind::MeantOthers, what);
        }
    }
    if let Some(rules) = &told.rules
        && matches!(told.end, End::Exited(0 | 1 | 10))
    {
        for what in [ruling.answered_amiss(told, rules), ruling.owned_by_others(told, rules)].into_iter().flatten() {
            note(Kind::MeantOthers, what);
        }
    }
}

/// The rules over what their command was shown.
pub(super) struct Ruling<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) writes: &'a [CallStory<'a>],
}

/// What may be known of a machine: of each of [`TAGS`] whether it is there, and the value.
struct View {
    tags: [Option<bool>; TAGS.len()],
    value: DeviceValue,
}

/// What the rules come to for a machine.
#[derive(Default)]
struct Verdict {
    is_in_scope: bool,
    /// Two rules give it two values.
    conflicts: bool,
    wishes: Vec<Wish>,
    /// Tags that are taken off since another of their set takes their place.
    exchanged: Vec<&'static str>,
}

impl Ruling<'_> {
    /// Why a call asks for something that the rules of no command of its run have asked for.
    fn touched_unmeant(&self, told: &Told, write: &CallStory<'_>) -> Option<String> {
        let mut sayings = self.case.sayings(told).peekable();
        sayings.peek()?;
        if !sayings.all(|saying| saying.rules.is_some()) {
            return None;
        }
        let is_meant = |machine: MachineNumber| {
            self.case
                .sayings(told)
                .flat_map(|saying| self.verdicts(saying, machine))
                .any(|it| it.wishes.contains(write.wish))
        };
        let machine = write.machines.iter().find(|machine| !is_meant(**machine))?;
        Some(format!("call {} ({} on m{machine}) is asked for by no rule", write.number, write.wish))
    }

    /// What is wrong with what a command answers: a row that no rule asks for, or none for what one asks for.
    fn answered_amiss(&self, told: &Told, rules: &RulesFile) -> Option<String> {
        let began_it = self.case.sayings(told).all(|saying| saying.number == told.number);
        if !began_it || told.had_company {
            return None;
        }
        let rows = told.results.as_deref().unwrap_or_default();
        for machine in 0..self.case.history.machines.len() {
            let verdicts = self.verdicts(told, machine);
            let own = || rows.iter().filter(|row| row.machine == Some(machine)).flat_map(|row| &row.wishes);
            if let Some(wish) = own().find(|wish| !verdicts.iter().any(|verdict| verdict.wishes.contains(wish))) {
                return Some(format!("a row says {wish} on m{machine}, and no rule of {} asks for that", rules.name));
            }
            // A list that was read anew may have shown somebody no more.
            let Some(first) = verdicts.first().filter(|_| self.case.is_always_listed(machine)) else { continue };
            let is_certain = |wish: &&Wish| verdicts.iter().all(|verdict| verdict.wishes.contains(wish));
            if let Some(wish) = first.wishes.iter().filter(is_certain).find(|wish| !own().any(|row| row == *wish)) {
                return Some(format!("the rules ask for {wish} on m{machine}, and no row says so"));
            }
            if verdicts.iter().all(|verdict| verdict.conflicts) {
                return Some(format!("two rules give m{machine} two values, and the file was not refused"));
            }
        }
        None
    }

    /// Why the file should have been refused: another name owns one of its tags.
    fn owned_by_others(&self, told: &Told, rules: &RulesFile) -> Option<String> {
        let earlier = self.case.told.iter().filter(|other| other.number < told.number && !other.had_company);
        let others = earlier.filter(|other| matches!(other.deed, Deed::ApplyRules(_)));
        let of_others = others.filter_map(|other| other.rules.as_ref().map(|theirs| (other, theirs)));
        let of_others: Vec<_> = of_others.filter(|(_, theirs)| theirs.name != rules.name).collect();
        let owns = |(other, theirs): &&(&Told, &RulesFile)| {
            other.end == End::Exited(0) && other.options.limit.is_none() && theirs.shares_tags_with(rules)
        };
        let (owner, theirs) = of_others.iter().rfind(owns)?;
        // A later form of it may be in force, and not own that any more.
        let was_edited = of_others.iter().any(|(other, later)| other.number > owner.number && later.own != theirs.own);
        (!was_edited && !told.had_company).then(|| {
            format!("command {} has made \"{}\" the owner of a tag of \"{}\"", owner.label, theirs.name, rules.name)
        })
    }

    /// Whether the tag is taken off since another takes its place, which is no removal.
    pub(super) fn may_be_exchanged(&self, told: &Told, slot: &Slot) -> bool {
        let verdicts = self.case.sayings(told).flat_map(|saying| self.verdicts(saying, slot.machine));
        let mut exchanged = verdicts.flat_map(|verdict| verdict.exchanged);
        exchanged.any(|tag| slot.tag.as_deref() == Some(tag))
    }

    /// How many machines are in the scope of a command's rules, at least and at most.
    pub(super) fn count_in_scope(&self, told: &Told) -> [usize; 2] {
        let machines = 0..self.case.history.machines.len();
        let verdicts: Vec<_> = machines.map(|machine| self.verdicts(told, machine)).collect();
        let surely = |verdicts: &&Vec<Verdict>| !verdicts.is_empty() && verdicts.iter().all(|it| it.is_in_scope);
        let perhaps = |verdicts: &&Vec<Verdict>| verdicts.iter().any(|it| it.is_in_scope);
        [verdicts.iter().filter(surely).count(), verdicts.iter().filter(perhaps).count()]
    }

    /// What the rules of a command may come to for a machine, by whatever it may have known of it.
    fn verdicts(&self, told: &Told, machine: MachineNumber) -> Vec<Verdict> {
        let Some(rules) = &told.rules else { return Vec::new() };
        self.views(told, machine).iter().map(|view| verdict(rules, machine, view)).collect()
    }

    fn views(&self, told: &Told, machine: MachineNumber) -> Vec<View> {
        let first =
            self.writes.iter().find(|write| write.command == told.number).map_or(told.ended, |write| write.sent);
        let sights = self.case.sights(&Slot { machine, tag: None }, first);
        let own = sights.into_iter().filter(|sight| sight.command == told.number);
        let mut views = Vec::new();
        for sight in own {
            let Content::Value(value) = sight.content else { continue };
            let mut known: Vec<[Option<bool>; TAGS.len()]> = vec![[None; TAGS.len()]];
            for (place, tag) in TAGS.into_iter().enumerate() {
                let slot = Slot { machine, tag: Some(tag.to_owned()) };
                let content = self.case.log.content_before(&slot, sight.as_of);
                let listed = Some(matches!(&content, Content::Tag(forms) if forms.contains(tag)));
                // What is compared is compared with the list alone.
                let is_believed = matches!(told.deed, Deed::VerifyRules(_)) || !self.may_have_written(told, &slot);
                let states = if is_believed { vec![listed] } else { vec![Some(true), Some(false), None] };
                let with = |tags: [Option<bool>; TAGS.len()]| {
                    states.clone().into_iter().map(move |state| {
                        let mut tags = tags;
                        tags[place] = state;
                        tags
                    })
                };
                known = known.into_iter().flat_map(with).collect();
            }
            views.extend(known.into_iter().map(|tags| View { tags, value }));
        }
        views
    }

    fn may_have_written(&self, told: &Told, slot: &Slot) -> bool {
        super::choosing::Choosing { case: self.case, writes: self.writes }.may_have_written(told, slot)
    }
}

/// What a rule says of a machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opinion {
    Gives,
    Reports,
    DoesNot,
    /// It cannot be said, or hangs on another of which it cannot be said.
    Open,
}

fn verdict(file: &RulesFile, machine: MachineNumber, view: &View) -> Verdict {
    if file.scope.is_some_and(|scope| holds(scope, machine, view) != Some(true)) {
        return Verdict::default();
    }
    let opinions = opinions(&file.rules, machine, view);
    let judged = || file.rules.iter().zip(&opinions);
    let speaking = || judged().filter(|(_, opinion)| matches!(opinion, Opinion::Gives | Opinion::Reports));
    let values: BTreeSet<&str> = speaking().filter_map(|(rule, _)| Some(rule.value?.as_str())).collect();
    if values.len() > 1 {
        return Verdict { is_in_scope: true, conflicts: true, ..Verdict::default() };
    }
    let giving = || judged().filter(|(_, opinion)| **opinion == Opinion::Gives).map(|(rule, _)| rule);
    let mut wishes: Vec<Wish> = giving().filter_map(|rule| Some(Wish::Add(rule.tag?.to_owned()))).collect();
    wishes.extend(giving().filter_map(|rule| rule.value.map(Wish::Set)));
    let is_kept = |tag: &str| judged().any(|(rule, opinion)| *opinion != Opinion::DoesNot && rule.tag == Some(tag));
    let held = TAGS.into_iter().zip(view.tags).filter(|(_, is_there)| *is_there != Some(false)).map(|(tag, _)| tag);
    let stale: Vec<&'static str> = held.filter(|tag| file.owns(tag) && !is_kept(tag)).collect();
    let is_of_set = |rule: &&Rule| rule.is_one_of && rule.tag.is_some();
    let has_winner = giving().any(|rule| is_of_set(&rule));
    let could_be_of_set = |tag: &str| file.rules.iter().any(|rule| rule.is_one_of && rule.tag == Some(tag));
    let exchanged = stale.iter().copied().filter(|tag| has_winner && could_be_of_set(tag)).collect();
    wishes.extend(stale.iter().map(|tag| Wish::Remove((*tag).to_owned())));
    Verdict { is_in_scope: true, conflicts: false, wishes, exchanged }
}

/// What each rule says; of a set, the first that matches counts, and whatever stands behind one that only reports, or of
/// which it cannot be said, is left as it is.
fn opinions(rules: &[Rule], machine: MachineNumber, view: &View) -> Vec<Opinion> {
    let mut leader = Opinion::DoesNot;
    let opinions = rules.iter().map(|rule| {
        if rule.is_one_of && leader != Opinion::DoesNot {
            return if leader == Opinion::Gives { Opinion::DoesNot } else { Opinion::Open };
        }
        let opinion = match holds(rule.condition, machine, view) {
            None => Opinion::Open,
            Some(false) => Opinion::DoesNot,
            Some(true) if rule.only_reports => Opinion::Reports,
            Some(true) => Opinion::Gives,
        };
        if rule.is_one_of {
            leader = opinion;
        }
        opinion
    });
    opinions.collect()
}

/// Whether a condition is true of a machine; `None` where that cannot be said.
fn holds(condition: Condition, machine: MachineNumber, view: &View) -> Option<bool> {
    let has = |tag: &str| {
        // Whose tags are not all known is not asked for one.
        view.tags.iter().all(Option::is_some).then_some(())?;
        TAGS.into_iter().zip(view.tags).find(|(known, _)| *known == tag)?.1
    };
    match condition {
        Condition::Always => Some(true),
        Condition::Grouped => is_grouped(machine).then_some(true),
        Condition::Chosen(Choice::Odd) => Some(machine % 2 == 1),
        Condition::Chosen(Choice::Valued(value)) => Some(view.value == value),
        Condition::Chosen(Choice::Tagged(tag)) => has(tag),
        Condition::Chosen(Choice::Untagged(tag)) => has(tag).map(|has| !has),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tale::Tale;
    use super::*;
    use crate::run::histories::history::Bound;
    use crate::run::histories::rules_file::{Manner, OwnTag};

    const ODD: Condition = Condition::Chosen(Choice::Odd);
    const WIDE: Bound = Bound { percent: 100, count: 100 };

    fn rule(condition: Condition, tag: &'static str) -> Rule {
        Rule { condition, is_one_of: false, tag: Some(tag), value: None, only_reports: false }
    }

    /// A file that owns two of the three tags.
    fn file(name: &'static str, rules: Vec<Rule>) -> RulesFile {
        let own = ["old", "new"].map(|tag| OwnTag { tag, manner: Manner::Whole }).to_vec();
        RulesFile { name, own, scope: None, guard_removals: WIDE, guard_changes: WIDE, rules }
    }

    fn add(tag: &str) -> Wish {
        Wish::Add(tag.into())
    }

    fn remove(tag: &str) -> Wish {
        Wish::Remove(tag.into())
    }

    #[test]
    fn rules_come_to_what_they_give_and_what_nobody_gives() {
        let of_set = |rule: Rule| Rule { is_one_of: true, ..rule };
        let report = |rule: Rule| Rule { only_reports: true, ..rule };
        let tagged = Condition::Chosen(Choice::Tagged("tier0"));
        // Machine 1 is odd, and in no device group.
        for (rules, wishes, exchanged) in [
            (vec![rule(ODD, "new")], vec![add("new"), remove("old")], &[][..]),
            (vec![rule(ODD, "old")], vec![add("old")], &[]),
            (vec![report(rule(ODD, "old"))], vec![], &[]),
            (vec![rule(Condition::Grouped, "old")], vec![], &[]),
            (vec![rule(tagged, "new")], vec![add("new"), remove("old")], &[]),
            (vec![of_set(rule(ODD, "new")), of_set(rule(ODD, "old"))], vec![add("new"), remove("old")], &["old"]),
            (vec![of_set(rule(Condition::Grouped, "new")), of_set(rule(ODD, "old"))], vec![], &[]),
            (vec![of_set(report(rule(ODD, "new"))), of_set(rule(ODD, "old"))], vec![], &[]),
        ] {
            let view = View { tags: TAGS.map(|tag| Some(tag != "new")), value: DeviceValue::Low };
            let file = file("one", rules);
            let found = verdict(&file, 1, &view);
            assert_eq!((found.wishes, found.exchanged.as_slice()), (wishes, exchanged), "{file:?}");
            let outside = RulesFile { scope: Some(Condition::Grouped), ..file };
            assert!(!verdict(&outside, 1, &view).is_in_scope && verdict(&outside, 1, &view).wishes.is_empty());
        }
        // Of whose tags one is in doubt, no rule can ask for any.
        let view = View { tags: TAGS.map(|tag| (tag != "new").then_some(true)), value: DeviceValue::Low };
        assert_eq!(verdict(&file("one", vec![rule(tagged, "old")]), 1, &view).wishes, [remove("new")]);
        let gives = |value| Rule { tag: None, value: Some(value), ..rule(ODD, "") };
        let two = file("one", vec![gives(DeviceValue::Low), gives(DeviceValue::High)]);
        assert!(verdict(&two, 1, &view).conflicts && !verdict(&two, 0, &view).conflicts);
    }

    /// A command makes this of two machines, the first of which has an old tag, and says so.
    fn applied(tale: &mut Tale, name: &'static str, done: &[(Wish, MachineNumber)]) {
        tale.begin(Deed::ApplyRules(0), name);
        tale.told.last_mut().expect("a command").rules = Some(file(name, vec![rule(ODD, "new")]));
        tale.look();
        for (wish, machine) in done {
            tale.change(wish, *machine);
        }
        let rows: Vec<_> = done.iter().map(|(wish, machine)| ("succeeded", *machine, wish.clone())).collect();
        tale.end(End::Exited(0), &rows);
    }

    #[test]
    fn what_no_rule_asks_for_is_left_alone_and_what_one_asks_for_is_answered() {
        const OTHERS: Kind = Kind::MeantOthers;
        let all = [(add("new"), 1), (remove("old"), 0)];
        let with = |wish: Wish, machine| [(wish, machine), all[0].clone(), all[1].clone()];
        for (done, violations) in [
            (&all[..], &[][..]),
            (&all[..1], &[OTHERS]),
            (&all[1..], &[OTHERS]),
            // The call, and the row.
            (&with(add("new"), 0), &[OTHERS, OTHERS]),
            (&with(remove("tier0"), 0), &[OTHERS, OTHERS]),
        ] {
            let mut tale = Tale::new();
            tale.log.initial.insert(remove("old").slot(0), Content::Tag(["old".to_owned()].into()));
            applied(&mut tale, "one", done);
            tale.comes_to(violations);
        }
    }

    #[test]
    fn what_another_name_owns_is_refused() {
        for (second, violations) in [("one", &[][..]), ("other", &[Kind::MeantOthers])] {
            let mut tale = Tale::new();
            applied(&mut tale, "one", &[(add("new"), 1)]);
            applied(&mut tale, second, &[(add("new"), 1)]);
            tale.told[1].run = Some("second".to_owned());
            tale.comes_to(violations);
        }
    }
}
