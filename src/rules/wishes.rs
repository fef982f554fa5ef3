//! From verdicts to what is asked of the tenant: what the rules give, and what is owned and given by none.

use std::collections::BTreeMap;

use super::declaration::Declaration;
use super::fleet::{Fleet, TagsHeld};
use super::judging::{Judgement, Verdict};
use super::spellings::Spellings;
use super::tally::RuleTally;
use crate::inventory::MachinePosition;
use crate::model::{Change, DeviceValue, Tag, TagAction};

/// One thing that is asked of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish<'d> {
    /// The machine.
    pub position: MachinePosition,
    /// What to make of it.
    pub change: Change,
    /// The rule that gives it; of a removal the one that gave the tag last, or `[own]`.
    pub rule: &'d str,
    /// Whether it takes off what another tag of the same set takes the place of: that is no removal.
    pub is_swap: bool,
}

impl Wish<'_> {
    /// What a removal is put down to whose tag no rule has ever given.
    pub(crate) const OWN: &'static str = "[own]";
}

/// Asks the rules about every machine, and shows what is wished in the order of the list: of a machine first what the rules
/// give, in their order, and then what is taken off. `given_last` says which rule gave a tag in the last finished run.
pub(crate) fn wishes<'d>(
    declaration: &'d Declaration,
    fleet: Fleet<'_>,
    given_last: &'d BTreeMap<String, String>,
    mut see: impl FnMut(Wish<'d>),
) -> RuleTally {
    let mut tally = RuleTally::new(declaration);
    let spellings = Spellings::of(declaration, fleet);
    for machine in fleet.inventory.machines() {
        let held = TagsHeld::of(machine, fleet.recent);
        let view = fleet.view(declaration, machine, &held);
        let judgement = declaration.judge(&view, &spellings);
        tally.count(declaration, machine, &view, &judgement);
        if judgement.in_scope != Some(true) {
            continue;
        }
        tally.count_unshown(machine.shows_tags());
        let mut wished = Vec::new();
        let judged = of_one(declaration, &judgement, &held, given_last, machine.position(), |wish| wished.push(wish));
        if let Err(rules) = judged {
            tally.count_conflict(rules, machine);
        }
        for wish in wished {
            if let Change::Tag(TagAction::Add, tag) = &wish.change
                && !tally.given.contains_key(tag.as_str())
            {
                tally.given.insert(tag.as_str().to_owned(), wish.rule.to_owned());
            }
            see(wish);
        }
    }
    tally.finish(declaration);
    tally
}

/// Shows what is wished of one machine in scope. Where two rules give it two values, nothing is: those are their numbers.
pub(super) fn of_one<'d>(
    declaration: &'d Declaration,
    judgement: &Judgement,
    held: &TagsHeld<'_>,
    given_last: &'d BTreeMap<String, String>,
    position: MachinePosition,
    mut see: impl FnMut(Wish<'d>),
) -> Result<(), (usize, usize)> {
    if judgement.in_scope != Some(true) {
        return Ok(());
    }
    let of_machine = OfMachine { declaration, judgement, given_last };
    for (change, rule) in of_machine.assignments()? {
        see(Wish { position, change, rule, is_swap: false });
    }
    for (tag, rule, is_swap) in of_machine.removals(held) {
        see(Wish { position, change: Change::Tag(TagAction::Remove, tag), rule, is_swap });
    }
    Ok(())
}

/// The rules, and what they say of one machine.
struct OfMachine<'d, 'j> {
    declaration: &'d Declaration,
    judgement: &'j Judgement,
    given_last: &'d BTreeMap<String, String>,
}

impl<'d> OfMachine<'d, '_> {
    /// What is given, each once, with the first rule that gives it; two rules that give two values are an error.
    fn assignments(&self) -> Result<Vec<(Change, &'d str)>, (usize, usize)> {
        let mut assignments: Vec<(Change, &'d str)> = Vec::new();
        let mut value: Option<(usize, DeviceValue)> = None;
        for (number, (rule, verdict)) in self.declaration.rules.iter().zip(&self.judgement.verdicts).enumerate() {
            let Some(assignment) = verdict.assignment() else { continue };
            if let Some(new) = assignment.value {
                match value {
                    Some((earlier, known)) if known != new => return Err((earlier, number)),
                    Some(_) => {}
                    None => value = Some((number, new)),
                }
            }
            if !matches!(verdict, Verdict::Gives(_)) {
                continue;
            }
            let tag = assignment.tag.iter().map(|tag| Change::Tag(TagAction::Add, tag.clone()));
            for change in tag.chain(assignment.value.map(Change::DeviceValue)) {
                if !assignments.iter().any(|(known, _)| *known == change) {
                    assignments.push((change, &rule.name));
                }
            }
        }
        Ok(assignments)
    }

    /// What is taken off.
    fn removals(&self, held: &TagsHeld<'_>) -> Vec<(Tag, &'d str, bool)> {
        let stale = held.tags.iter().filter(|tag| self.declaration.own.holds(tag) && !self.is_kept(tag));
        let removals = stale.filter_map(|tag| {
            let rule = self.given_last.get(*tag).map_or(Wish::OWN, String::as_str);
            // What no machine can have by our rules was never given by one.
            Some((Tag::new(tag).ok()?, rule, self.is_replaced(tag)))
        });
        removals.collect()
    }

    /// Whether a tag stays: a rule gives it, or may, or gives one that the service may take for it.
    fn is_kept(&self, tag: &str) -> bool {
        let judged = self.declaration.rules.iter().zip(&self.judgement.verdicts);
        judged.into_iter().any(|(rule, verdict)| {
            match verdict.assignment().and_then(|assignment| assignment.tag.as_ref()) {
                Some(given) => given.as_str() == tag || given.is_case_variant_of(tag),
                // No rule may give what is retired, whatever it waits for.
                None => verdict.protects() && rule.could_give(tag) && !self.declaration.own.is_retired(tag),
            }
        })
    }

    /// Whether another tag of a set takes the place of this one.
    fn is_replaced(&self, tag: &str) -> bool {
        let winners = self
            .declaration
            .rules
            .iter()
            .zip(&self.judgement.verdicts)
            .filter(|(_, verdict)| matches!(verdict, Verdict::Gives(assignment) if assignment.tag.is_some()));
        let mut sets = winners.filter_map(|(rule, _)| rule.one_of);
        sets.any(|set| self.declaration.rules.iter().any(|rule| rule.one_of == Some(set) && rule.could_give(tag)))
    }
}
