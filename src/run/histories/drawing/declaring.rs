//! Draws files of rules, and what somebody makes of one by and by.

use super::{Drawing, TAGS, VALUES};
use crate::run::histories::history::{Bound, Choice, Deed, FileNumber, Step};
use crate::run::histories::rules_file::{Condition, Manner, OwnTag, Rule, RulesFile};

/// The names of the files, under which they own.
const NAMES: [&str; 2] = ["one", "other"];

impl Drawing {
    /// A file of rules is written or edited, and what is done with it follows, mostly twice.
    pub(super) fn declare(&mut self, steps: &mut Vec<Step>) {
        let file = usize::from(self.one_in(4));
        if self.rules[file].is_none() || self.random.bool() {
            let rules = self.declared(file);
            steps.push(Step::Declare { file, rules });
        }
        for _ in 0..self.random.usize(1..3) {
            let deed = if self.one_in(5) { Deed::VerifyRules(file) } else { Deed::ApplyRules(file) };
            let command = self.command(deed);
            steps.push(Step::Command(command));
            self.pause(steps);
        }
    }

    /// A file of rules, or what it is after somebody has edited it.
    fn declared(&mut self, file: FileNumber) -> RulesFile {
        let rules = match self.rules[file].clone() {
            Some(rules) if !self.one_in(3) => self.edited_rules(rules),
            _ => self.rules_file(file),
        };
        self.rules[file] = Some(rules.clone());
        rules
    }

    fn rules_file(&mut self, file: FileNumber) -> RulesFile {
        let own: Vec<OwnTag> = TAGS
            .iter()
            .filter_map(|tag| {
                let manner = self.of(&[Manner::Whole, Manner::Prefix, Manner::Retired]);
                (!self.one_in(4)).then_some(OwnTag { tag, manner })
            })
            .collect();
        let scope = self.one_in(4).then(|| self.condition());
        let count = self.random.usize(1..5);
        let rules = (0..count).map(|_| self.rule(&own)).collect();
        let (guard_removals, guard_changes) = (self.bound(), self.bound());
        RulesFile { name: NAMES[file], own, scope, guard_removals, guard_changes, rules }
    }

    /// Mostly a wide one.
    fn bound(&mut self) -> Bound {
        if self.one_in(4) {
            Bound { percent: self.of(&[0, 20, 50]), count: self.random.u32(0..4) }
        } else {
            Bound { percent: 100, count: 100 }
        }
    }

    fn rule(&mut self, own: &[OwnTag]) -> Rule {
        let given: Vec<&'static str> =
            own.iter().filter(|own| own.manner != Manner::Retired).map(|own| own.tag).collect();
        let tag = (!given.is_empty() && !self.one_in(4)).then(|| self.of(&given));
        // Two rules that give a machine two values are of interest, and not in every file.
        let value = (tag.is_none() || self.one_in(6)).then(|| self.of(&VALUES));
        let is_one_of = self.one_in(3);
        Rule { condition: self.condition(), is_one_of, tag, value, only_reports: self.one_in(8) }
    }

    fn condition(&mut self) -> Condition {
        let tag = self.of(&TAGS);
        match self.random.u32(0..9) {
            0 | 1 => Condition::Always,
            2 | 3 => Condition::Grouped,
            4..7 => Condition::Chosen(Choice::Odd),
            7 => Condition::Chosen(Choice::Valued(self.of(&VALUES))),
            _ if self.random.bool() => Condition::Chosen(Choice::Tagged(tag)),
            _ => Condition::Chosen(Choice::Untagged(tag)),
        }
    }

    fn edited_rules(&mut self, mut rules: RulesFile) -> RulesFile {
        let place = self.random.usize(0..rules.rules.len());
        match self.random.u32(0..6) {
            0 | 1 if rules.rules.len() > 1 => drop(rules.rules.remove(place)),
            2 => rules.rules[place].condition = self.condition(),
            3 => rules.rules[place].only_reports ^= true,
            4 => rules.guard_removals = self.bound(),
            _ => rules.rules[place] = self.rule(&rules.own),
        }
        rules
    }
}
