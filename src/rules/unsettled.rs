//! What the next run would make of what this one does: rules may depend on what their file itself changes.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::{MachineView, TAGS, VALUE};
use super::declaration::Declaration;
use super::fleet::{Fleet, TagsHeld};
use super::judging::{Judgement, Verdict};
use super::spellings::Spellings;
use super::tally::RuleTally;
use super::wishes::of_one;
use crate::inventory::{ListedMachine, MachinePosition};
use crate::model::{Change, Tag, TagAction};

/// What a run makes of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedForMachine {
    pub position: MachinePosition,
    /// What is wished, and whether it will be so once the run is over: what is withheld or left out will not.
    pub wished: Vec<(Change, bool)>,
}

impl RuleTally {
    /// Counts the rules of which the next run would make something else once what is planned has been done: they depend on
    /// what the file itself changes, and would do and undo it every night.
    pub(crate) fn count_unsettled(
        &mut self,
        declaration: &Declaration,
        fleet: Fleet<'_>,
        planned: impl IntoIterator<Item = PlannedForMachine>,
    ) {
        if ![TAGS, VALUE].iter().any(|field| declaration.fields.contains(field)) {
            return;
        }
        let spellings = Spellings::of(declaration, fleet);
        for of_machine in planned {
            let Some(machine) = fleet.inventory.machine(of_machine.position) else { continue };
            self.add_unsettled(&unsettled(declaration, fleet, machine, &of_machine.wished, &spellings), machine);
        }
    }
}

fn unsettled<'d>(
    declaration: &'d Declaration,
    fleet: Fleet<'_>,
    machine: ListedMachine<'_>,
    wished: &[(Change, bool)],
    spellings: &Spellings,
) -> BTreeSet<&'d str> {
    let held = TagsHeld::of(machine, fleet.recent);
    let now = declaration.judge(&fleet.view(declaration, machine, &held), spellings);
    let done = || wished.iter().filter(|(_, is_done)| *is_done).map(|(change, _)| change);
    let held = held.after(done());
    let given = done().find_map(|change| match change {
        Change::DeviceValue(value) => Some(*value),
        Change::Tag(..) => None,
    });
    let view = MachineView { value: given, ..fleet.view(declaration, machine, &held) };
    let next = declaration.judge(&view, spellings);
    let (given_last, mut unsettled) = (BTreeMap::new(), BTreeSet::new());
    // Two values at once are for the next run to tell.
    let _conflict = of_one(declaration, &next, &held, &given_last, machine.position(), |wish| match &wish.change {
        // What is wished today, too, is no other decision, be it done by then or not.
        change if wished.iter().any(|(known, _)| known == change) => {}
        Change::Tag(TagAction::Add, tag) if held.tags.contains(&tag.as_str()) => {}
        Change::DeviceValue(wanted) if given.or_else(|| machine.device_value()) == Some(*wanted) => {}
        Change::Tag(TagAction::Remove, tag) => unsettled.extend(giver(declaration, &now, tag)),
        // Only a rule of the file gives something.
        _ => unsettled.extend(declaration.rules.iter().map(|rule| rule.name.as_str()).find(|name| *name == wish.rule)),
    });
    unsettled
}

/// The rule that gives a tag.
fn giver<'d>(declaration: &'d Declaration, judgement: &Judgement, tag: &Tag) -> Option<&'d str> {
    let gives = |verdict: &Verdict| verdict.assignment().is_some_and(|given| given.tag.as_ref() == Some(tag));
    let mut judged = declaration.rules.iter().zip(&judgement.verdicts);
    judged.find(|(_, verdict)| gives(verdict)).map(|(rule, _)| rule.name.as_str())
}
