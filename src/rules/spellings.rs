//! Which spelling of a tag is given, of several that differ only in case or width: to the service they are as many tags, and
//! hardly ever to whoever keeps the lists that tags are made of.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::declaration::{Declaration, TagForm};
use super::fleet::{Fleet, TagsHeld};
use crate::input::folded;
use crate::model::Tag;

/// The spellings that may be given, of tags that the rules come to in more than one.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    /// By the folded form.
    chosen: HashMap<String, Tag>,
}

/// What speaks for a spelling, the weightiest first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    is_literal: bool,
    held: u64,
    given: u64,
}

impl Spellings {
    /// Asks the rules about every machine. What the file spells out is given so, whatever the data say; then that which most
    /// machines have, so that the next run chooses as this one did; then that which most would get.
    pub(super) fn of(declaration: &Declaration, fleet: Fleet<'_>) -> Self {
        // Literals are spelled in one way each, or the file is refused.
        if !declaration.rules.iter().any(|rule| matches!(rule.tag, Some(TagForm::Template { .. }))) {
            return Self::default();
        }
        let (mut given, mut held): (HashMap<Tag, u64>, HashMap<&str, u64>) = (HashMap::new(), HashMap::new());
        for machine in fleet.inventory.machines() {
            let there = TagsHeld::of(machine, fleet.recent);
            let judgement = declaration.judge(&fleet.view(declaration, machine, &there), &Self::default());
            for tag in judgement.verdicts.iter().filter_map(|verdict| verdict.assignment()?.tag.as_ref()) {
                *given.entry(tag.clone()).or_default() += 1;
            }
            for tag in &there.tags {
                *held.entry(tag).or_default() += 1;
            }
        }
        let literals = declaration.rules.iter().filter_map(|rule| match &rule.tag {
            Some(TagForm::Literal(tag)) => Some((tag.clone(), true, 0)),
            _ => None,
        });
        let spellings = literals.chain(given.into_iter().map(|(tag, given)| (tag, false, given)));
        let mut chosen: HashMap<String, (Weight, Tag)> = HashMap::new();
        for (tag, is_literal, given) in spellings {
            let held = held.get(tag.as_str()).copied().unwrap_or_default();
            let weight = Weight { is_literal, held, given };
            let best = chosen.entry(folded(tag.as_str())).or_insert_with(|| (weight.clone(), tag.clone()));
            if (&weight, Reverse(tag.as_str())) > (&best.0, Reverse(best.1.as_str())) {
                *best = (weight, tag);
            }
        }
        Self { chosen: chosen.into_iter().map(|(form, (_, tag))| (form, tag)).collect() }
    }

    /// The spelling that is given in the place of this one.
    pub(super) fn other(&self, tag: &Tag) -> Option<&Tag> {
        if self.chosen.is_empty() {
            return None;
        }
        self.chosen.get(folded(tag.as_str()).as_str()).filter(|chosen| *chosen != tag)
    }
}
