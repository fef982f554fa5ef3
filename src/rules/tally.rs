//! What the rules came to, for people and for scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::columns::MachineView;
use super::declaration::{Declaration, Mode};
use super::fault::Fault;
use super::judging::{Judgement, Verdict};
use super::lacking::Lacking;
use crate::filter::{Unread, UnreadCells};
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
pub(crate) struct RuleTally {
    /// The name of the file's declaration.
    pub name: String,
    /// Machines of the list.
    pub machines: u64,
    /// Machines in scope.
    pub in_scope: u64,
    /// Machines of which it cannot be decided whether they are in scope.
    scope_undecided: Undecided,
    /// What the scope could not read.
    scope_unread: UnreadOfRule,
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
    undecided: Undecided,
    unread: UnreadOfRule,
    /// Machines of which the next run would make something else, as it reads what this one changes.
    unsettled: u64,
    first_unsettled: Option<String>,
    odd: u64,
    first_odd: Option<(String, String)>,
}

/// Cells that a condition could not read as the type that it needs: its comparisons with them are false.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct UnreadOfRule {
    counted: Unread,
    /// What came of it, once all machines are counted.
    cells: Vec<UnreadCells>,
}

/// Machines about which something is undecided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Undecided {
    machines: u64,
    /// The first of them that itself lacks something, and what.
    first: Option<(String, Lacking)>,
}

impl Undecided {
    fn count(&mut self, machine: ListedMachine<'_>, lacking: impl FnOnce() -> Lacking) {
        self.machines += 1;
        if self.first.is_none() {
            let lacking = lacking();
            self.first = (!lacking.is_empty()).then(|| (called(machine), lacking));
        }
    }

    /// Why, to stand behind how many they are.
    fn reason(&self) -> String {
        let Some((name, lacking)) = &self.first else {
            return "it waits for an earlier rule of its set".to_owned();
        };
        let lacking = lacking.words();
        if self.machines == 1 { format!("{name} {lacking}") } else { format!("the first, {name}, {lacking}") }
    }

    /// What the first of them lacks, and what may be another machine's.
    fn lacking(&self) -> (&[String], Vec<&str>) {
        self.first.as_ref().map_or_else(Default::default, |(_, lacking)| (lacking.absent(), lacking.ambiguous()))
    }
}

/// What a machine is called in messages.
fn called(machine: ListedMachine<'_>) -> String {
    machine.name().map_or_else(|| machine.id().to_string(), shown)
}

/// Machines to which the same two rules give two values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ValueConflict {
    machines: u64,
    /// What the first of them are called.
    names: Vec<String>,
}

impl RuleTally {
    pub(super) fn new(declaration: &Declaration) -> Self {
        let rules = declaration.rules.iter().map(|rule| RuleAccount {
            name: rule.name.clone(),
            reports: rule.mode == Mode::Report,
            line: rule.line,
            ..RuleAccount::default()
        });
        Self { name: declaration.name.clone(), rules: rules.collect(), ..Self::default() }
    }

    /// Counts what the rules of the declaration say of a machine, which they see so.
    pub(super) fn count(
        &mut self,
        declaration: &Declaration,
        machine: ListedMachine<'_>,
        view: &MachineView<'_>,
        judgement: &Judgement,
    ) {
        self.machines += 1;
        self.in_scope += u64::from(judgement.in_scope == Some(true));
        if let Some(scope) = &declaration.scope {
            let _known = scope.verdict(view, &mut self.scope_unread.counted);
        }
        let mut is_undecided = judgement.in_scope.is_none();
        if is_undecided {
            self.scope_undecided.count(machine, || declaration.lacking_for_scope(view));
        }
        let judged = declaration.rules.iter().zip(&judgement.verdicts);
        for (rule, (declared, verdict)) in self.rules.iter_mut().zip(judged) {
            rule.gives += u64::from(verdict.assignment().is_some());
            // A condition that was asked is asked once more, for what it could not read.
            if matches!(verdict, Verdict::DoesNot | Verdict::Gives(_) | Verdict::Reports(_)) {
                let _known = declared.condition.verdict(view, &mut rule.unread.counted);
            }
            match verdict {
                Verdict::Undecided => rule.undecided.count(machine, || Declaration::lacking(declared, view)),
                Verdict::Waits => rule.undecided.count(machine, Lacking::default),
                _ => {}
            }
            is_undecided |= verdict.is_undecided();
            if let Verdict::Odd(text, why) = verdict {
                rule.odd += 1;
                rule.first_odd.get_or_insert_with(|| (text.clone(), why.clone()));
            }
        }
        self.undecided_machines += u64::from(is_undecided);
    }

    /// Takes stock, once every machine is counted.
    pub(super) fn finish(&mut self, declaration: &Declaration) {
        let scope = declaration.scope.as_ref();
        self.scope_unread.cells = scope.map_or_else(Vec::new, |scope| scope.unread_cells(&self.scope_unread.counted));
        for (rule, declared) in self.rules.iter_mut().zip(&declaration.rules) {
            rule.unread.cells = declared.condition.unread_cells(&rule.unread.counted);
        }
    }

    /// Notes that these two rules, by their numbers, give a machine two values.
    pub(super) fn count_conflict(&mut self, rules: (usize, usize), machine: ListedMachine<'_>) {
        let conflict = self.conflicts.entry(rules).or_default();
        conflict.machines += 1;
        if conflict.names.len() < NAMED_MACHINES {
            conflict.names.push(called(machine));
        }
    }

    /// Adds a machine of which the next run would make something else by the rules of these names.
    pub(super) fn add_unsettled(&mut self, names: &BTreeSet<&str>, machine: ListedMachine<'_>) {
        for rule in self.rules.iter_mut().filter(|rule| names.contains(rule.name.as_str())) {
            rule.unsettled += 1;
            rule.first_unsettled.get_or_insert_with(|| called(machine));
        }
    }

    pub(super) fn count_unshown(&mut self, shows_tags: bool) {
        self.unshown += u64::from(!shows_tags);
    }

    /// Where a tag comes from that was given, to stand in front of what is said of it: the line and the name of its rule.
    pub(crate) fn place_of(&self, tag: &Tag) -> String {
        let name = self.given.get(tag.as_str());
        let rule = self.rules.iter().find(|rule| Some(&rule.name) == name);
        rule.map_or_else(String::new, |rule| format!("line {}, rule \"{}\": ", rule.line, shown(&rule.name)))
    }

    /// Tags that were not created, since they are odd.
    pub(crate) fn odd_tags(&self) -> u64 {
        self.rules.iter().map(|rule| rule.odd).sum()
    }

    /// What cannot be said to hold, since no machine lets it be decided: the names of rules, or none where that is the scope.
    fn undecidable(&self) -> Option<Vec<&str>> {
        if self.in_scope == 0 {
            return (self.scope_undecided.machines > 0).then(Vec::new);
        }
        let rules = self.rules.iter().filter(|rule| !rule.reports && rule.undecided.machines == self.in_scope);
        let names: Vec<&str> = rules.map(|rule| rule.name.as_str()).collect();
        (!names.is_empty()).then_some(names)
    }

    /// Whether a rule, or the scope, could be decided about no machine: that nothing differs is no news then.
    pub(crate) fn is_blind(&self) -> bool {
        self.undecidable().is_some()
    }

    /// The text for people, to stand below what holds.
    pub(crate) fn verification_text(&self) -> String {
        let mut text = self.text();
        // Writing into a string cannot fail.
        let _written = match self.undecidable().as_deref() {
            None => Ok(()),
            Some([]) => writeln!(text, "Not known to hold: no machine is in scope for certain."),
            Some(rules) => {
                let names: Vec<String> = rules.iter().map(|name| format!("\"{}\"", shown(name))).collect();
                writeln!(text, "Not known to hold, since no machine in scope lets it be decided: {}.", names.join(", "))
            }
        };
        text
    }

    /// Machines to which two rules give two values: a fault for every two rules.
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
        if self.scope_undecided.machines > 0 {
            let one = "machine lacks what the scope asks for, and stays as it is";
            let many = "machines lack what the scope asks for, and stay as they are";
            let machines = counted(self.scope_undecided.machines, one, many);
            let _written = writeln!(text, "  {machines}; {}", self.scope_undecided.reason());
        }
        for cells in &self.scope_unread.cells {
            let _written = writeln!(text, "  the scope: {cells}");
        }
        for rule in &self.rules {
            let name = shown(&rule.name);
            for cells in &rule.unread.cells {
                let _written = writeln!(text, "  \"{name}\": {cells}");
            }
            if rule.reports {
                let machines = counted(rule.gives, "machine", "machines");
                let _written =
                    writeln!(text, "  \"{name}\" (mode = \"report\") matches {machines}; nothing is changed");
            }
            if rule.undecided.machines > 0 {
                let (machines, reason) =
                    (counted(rule.undecided.machines, "machine", "machines"), rule.undecided.reason());
                let _written = writeln!(
                    text,
                    "  \"{name}\" is undecided about {machines}, whose tags it leaves as they are; {reason}"
                );
            }
            if let Some(first) = &rule.first_unsettled {
                let machines = match rule.unsettled {
                    1 => first.clone(),
                    more => format!("{} machines, the first is {first}", group_digits(more)),
                };
                let _written = writeln!(
                    text,
                    "  \"{name}\" depends on what this file itself changes, so the next run would undo that or change more on {machines}"
                );
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
    pub(crate) fn json(&self) -> Value {
        let rules = self.rules.iter().map(|rule| {
            let (lacking, ambiguous) = rule.undecided.lacking();
            json!({
                "name": rule.name,
                "line": rule.line,
                "mode": if rule.reports { "report" } else { "apply" },
                "gives": rule.gives,
                "undecided": rule.undecided.machines,
                "lacking": lacking,
                "ambiguous": ambiguous,
                "unread_cells": rule.unread.cells.iter().map(|cells| cells.cells).sum::<u64>(),
                "unsettled": rule.unsettled,
                "odd_tags": rule.odd,
            })
        });
        json!({
            "declaration": self.name,
            "machines_in_scope": self.in_scope,
            "undecided_machines": self.undecided_machines,
            "scope_undecided": self.scope_undecided.machines,
            "odd_tags": self.odd_tags(),
            "rules": rules.collect::<Vec<_>>(),
        })
    }
}
