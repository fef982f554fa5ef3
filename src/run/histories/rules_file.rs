//! A file of rules as a history has it, and the text of it that the program reads.

use std::fmt::Write as _;

use super::history::{Bound, Choice};
use super::truth::MachineNumber;
use crate::model::DeviceValue;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RulesFile {
    /// Under which it owns its tags.
    pub(super) name: &'static str,
    pub(super) own: Vec<OwnTag>,
    /// Which machines it is about; all without it.
    pub(super) scope: Option<Condition>,
    pub(super) guard_removals: Bound,
    pub(super) guard_changes: Bound,
    pub(super) rules: Vec<Rule>,
}

/// A tag that is owned, and in which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnTag {
    pub(super) tag: &'static str,
    pub(super) manner: Manner,
}

/// In which way a tag is owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Whole,
    /// By the letters that it begins with.
    Prefix,
    /// No rule gives it any more.
    Retired,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) condition: Condition,
    /// Whether it is of the set of which only the first that matches counts.
    pub(super) is_one_of: bool,
    pub(super) tag: Option<&'static str>,
    pub(super) value: Option<DeviceValue>,
    /// Whether what it gives is only shown.
    pub(super) only_reports: bool,
}

/// Which machines are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    Chosen(Choice),
    /// Those in a device group; of the others it cannot be said.
    Grouped,
}

/// Whether a machine is in a device group.
pub(super) const fn is_grouped(machine: MachineNumber) -> bool {
    machine.is_multiple_of(3)
}

impl RulesFile {
    /// Whether it owns a tag as it is written.
    pub(super) fn owns(&self, tag: &str) -> bool {
        self.own.iter().any(|own| own.tag == tag)
    }

    /// Whether it can come to own something that the other owns.
    pub(super) fn shares_tags_with(&self, other: &Self) -> bool {
        self.own.iter().any(|own| other.owns(own.tag))
    }

    /// As it stands on the disk.
    pub(super) fn text(&self) -> String {
        let tags = |manner: Manner, length: usize| {
            let own = self.own.iter().filter(|own| own.manner == manner);
            let tags: Vec<String> = own.map(|own| format!("'{}'", &own.tag[..length.min(own.tag.len())])).collect();
            tags.join(", ")
        };
        let mut text = format!(
            "schema = 1\nname = '{}'\n[own]\ntags = [{}]\nprefixes = [{}]\nretired = [{}]\n",
            self.name,
            tags(Manner::Whole, usize::MAX),
            tags(Manner::Prefix, 2),
            tags(Manner::Retired, usize::MAX)
        );
        if let Some(scope) = self.scope {
            line(&mut text, &format!("[scope]\nwhere = \"{}\"", scope.text()));
        }
        let share = |bound: Bound| format!("{{ percent = {}, count = {} }}", bound.percent, bound.count);
        let (removals, changes) = (share(self.guard_removals), share(self.guard_changes));
        line(&mut text, &format!("[guard]\nremovals = {removals}\nchanges = {changes}"));
        for (number, rule) in self.rules.iter().enumerate() {
            line(&mut text, &format!("[[rule]]\nname = 'rule {number}'\nwhere = \"{}\"", rule.condition.text()));
            let parts = [
                rule.is_one_of.then(|| "one-of = 'set'".to_owned()),
                rule.tag.map(|tag| format!("tag = '{tag}'")),
                rule.value.map(|value| format!("value = '{value}'")),
                rule.only_reports.then(|| "mode = 'report'".to_owned()),
            ];
            parts.into_iter().flatten().for_each(|part| line(&mut text, &part));
        }
        text
    }
}

impl Condition {
    /// As it is written.
    pub(super) fn text(self) -> String {
        match self {
            Self::Always => "true".to_owned(),
            Self::Grouped => "isnotempty(rbacGroupName)".to_owned(),
            Self::Chosen(Choice::Odd) => "computerDnsName matches regex '^host[0-9]*[13579][.]'".to_owned(),
            Self::Chosen(choice) => choice.text().replace("machine.", ""),
        }
    }
}

fn line(text: &mut String, line: &str) {
    // Writing into a string cannot fail.
    let _written = writeln!(text, "{line}");
}
