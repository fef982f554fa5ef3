//! What the rules came to, for people and for scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::declaration::{Declaration, Mode};
use super::fault::Fault;
use super::judging::{Judgement, Verdict};
use crate::input::Excerpt;
use crate::inventory::ListedMachine;
use crate::model::Tag;
use crate::outside::shown;
use crate::words::{counted, group_digits};

/// The columns of the rows that rules make; `apply` takes them, too.
pub(crate) const RULES_HEADER: [&str; 6] = ["machineId", "computerDnsName", "tag", "action", "value", "rule"];

/// The most machines with two values that are named.
const NAMED_MACHINES: usize = 5;

/// What the rules came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// The name of the file's declaration.
    pub name: String,
    /// Machines of the list.
    pub machines: u64,
    /// Machines in scope.
    pub in_scope: u64,
    /// Machines of which it cannot be decided whether they are in scope.
    pub scope_undecided: u64,
    /// Machines of which something could not be decided.
    pub undecided_machines: u64,
    /// Machines in scope whose tags the service does not show: none is taken off there.
    pub unshown: u64,
    /// The tags that were given, each with the first rule that gave it.
    pub given: BTreeMap<String, String>,
    /// Machines to which two rules give two values, by the numbers of the rules.
    conflicts: BTreeMap<(usize, usize), ValueConflict>,
    rules: Vec<RuleAccount>,
}

/// What one rule came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RuleAccount {
    name: String,
    reports: bool,
    line: usize,
    /// Machines to which it gives something, or would.
    gives: u64,
    undecided: u64,
    odd: u64,
    first_odd: Option<(String, String)>,
}

/// Machines to which the same two rules give two values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ValueConflict {
    machines: u64,
    /// What the first of them are called.
    names: Vec<String>,
}

impl Account {
    pub(super) fn new(declaration: &Declaration) -> Self {
        let rules = declaration.rules.iter().map(|rule| RuleAccount {
            name: rule.name.clone(),
            reports: rule.mode == Mode::Report,
            line: rule.line,
            ..RuleAccount::default()
        });
        Self { name: declaration.name.clone(), rules: rules.collect(), ..Self::default() }
    }

    pub(super) fn count(&mut self, judgement: &Judgement) {
        self.machines += 1;
        self.in_scope += u64::from(judgement.in_scope == Some(true));
        self.scope_undecided += u64::from(judgement.in_scope.is_none());
        let mut is_undecided = judgement.in_scope.is_none();
        for (rule, verdict) in self.rules.iter_mut().zip(&judgement.verdicts) {
            rule.gives += u64::from(verdict.gift().is_some());
            rule.undecided += u64::from(verdict.is_undecided());
            is_undecided |= verdict.is_undecided();
            if let Verdict::Odd(text, why) = verdict {
                rule.odd += 1;
                rule.first_odd.get_or_insert_with(|| (text.clone(), why.clone()));
            }
        }
        self.undecided_machines += u64::from(is_undecided);
    }

    /// Notes that these two rules, by their numbers, give a machine two values.
    pub(super) fn count_conflict(&mut self, rules: (usize, usize), machine: ListedMachine<'_>) {
        let conflict = self.conflicts.entry(rules).or_default();
        conflict.machines += 1;
        if conflict.names.len() < NAMED_MACHINES {
            conflict.names.push(machine.name().map_or_else(|| machine.id().to_string(), shown));
        }
    }

    pub(super) fn count_unshown(&mut self, shows_tags: bool) {
        self.unshown += u64::from(!shows_tags);
    }

    /// Where a tag comes from that was given, to stand in front of what is said of it: the line and the name of its rule.
    #[must_use]
    pub(crate) fn place_of(&self, tag: &Tag) -> String {
        let name = self.given.get(tag.as_str());
        let rule = self.rules.iter().find(|rule| Some(&rule.name) == name);
        rule.map_or_else(String::new, |rule| format!("line {}, rule \"{}\": ", rule.line, shown(&rule.name)))
    }

    /// Tags that were not created, since they are odd.
    #[must_use]
    pub(crate) fn odd_tags(&self) -> u64 {
        self.rules.iter().map(|rule| rule.odd).sum()
    }

    /// Machines to which two rules give two values: a fault for every two rules.
    #[must_use]
    pub(crate) fn conflicts(&self) -> Vec<Fault> {
        let rule = |number: usize| self.rules.get(number).map_or(("", 0), |rule| (rule.name.as_str(), rule.line));
        let told = self.conflicts.iter().map(|((earlier, later), ValueConflict { machines, names })| {
            let ((earlier, line), (later, later_line)) = (rule(*earlier), rule(*later));
            let (earlier, later) = (shown(earlier), shown(later));
            let named = names.join(", ");
            let (whom, which) = match machines - names.len() as u64 {
                _ if *machines == 1 => (format!("machine {named}"), String::new()),
                0 => (format!("{machines} machines"), format!(": {named}")),
                more => (
                    format!("{} machines", group_digits(*machines)),
                    format!(": {named} and {} more", group_digits(more)),
                ),
            };
            let message = format!(
                "the rule \"{later}\" gives {whom} another value than the rule \"{earlier}\" on line {line}{which}"
            );
            Fault::new(later_line, message)
        });
        let mut told: Vec<Fault> = told.collect();
        told.sort_by_key(|fault| fault.line);
        told
    }

    /// The text for people, to stand below a plan.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _written = writeln!(
            text,
            "Rules of {}: {} of {} in scope.",
            shown(&self.name),
            group_digits(self.in_scope),
            counted(self.machines, "machine", "machines")
        );
        if self.scope_undecided > 0 {
            let machines = counted(self.scope_undecided, "machine lacks", "machines lack");
            let _written = writeln!(text, "  {machines} what the scope asks for, and stay as they are");
        }
        for rule in &self.rules {
            let name = shown(&rule.name);
            if rule.reports {
                let machines = counted(rule.gives, "machine", "machines");
                let _written = writeln!(text, "  \"{name}\" only reports: it is about {machines}, and nothing is done");
            }
            if rule.undecided > 0 {
                let machines = counted(rule.undecided, "machine", "machines");
                let _written =
                    writeln!(text, "  \"{name}\" is undecided about {machines}, and its tags stay as they are there");
            }
            if let Some((tag, why)) = &rule.first_odd {
                let tags = counted(rule.odd, "tag is not created", "tags are not created");
                let _written =
                    writeln!(text, "  \"{name}\": {tags}, the first is \"{}\", which {why}", Excerpt::new(tag));
            }
        }
        if self.unshown > 0 {
            let machines = counted(self.unshown, "machine", "machines");
            let _written =
                writeln!(text, "  the service does not show the tags of {machines}, so none is taken off there");
        }
        text
    }

    /// What an object for scripts says of the rules.
    #[must_use]
    pub(crate) fn json(&self) -> Value {
        let rules = self.rules.iter().map(|rule| {
            json!({
                "name": rule.name,
                "line": rule.line,
                "mode": if rule.reports { "report" } else { "apply" },
                "gives": rule.gives,
                "undecided": rule.undecided,
                "odd_tags": rule.odd,
            })
        });
        json!({
            "declaration": self.name,
            "machines_in_scope": self.in_scope,
            "undecided_machines": self.undecided_machines,
            "odd_tags": self.odd_tags(),
            "rules": rules.collect::<Vec<_>>(),
        })
    }
}
