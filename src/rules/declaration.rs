//! A file of rules that was checked, with every name found.

use std::collections::BTreeSet;

use super::lookup::Lookup;
use super::own::Ownership;
use super::template::BoundTemplate;
use crate::filter::BoundFilter;
use crate::model::{DeviceValue, Tag};
use crate::plan::guard::Bound;

/// What a file of rules declares.
#[derive(Debug)]
pub(crate) struct Declaration {
    /// The name under which it owns its tags.
    pub name: String,
    pub own: Ownership,
    /// Which machines it is about; all of them without.
    pub(super) scope: Option<BoundFilter>,
    /// What it may do at most.
    pub guards: Guards,
    /// The lists that it looks things up in.
    pub lookups: Vec<Lookup>,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// The fields of machines that it names.
    pub(super) fields: BTreeSet<&'static str>,
    /// Those that it takes as texts, not as numbers or dates.
    pub texts: BTreeSet<&'static str>,
}

/// What a file of rules may do at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guards {
    /// Beyond it, every removal is withheld.
    pub removals: Bound,
    /// Beyond it, nothing is done.
    pub changes: Bound,
    /// The share of the machines of the last finished run that the list must have.
    pub machines_percent: u8,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            removals: Bound::Share { percent: 10, count: 10 },
            changes: Bound::Share { percent: 30, count: 100 },
            machines_percent: 90,
        }
    }
}

impl Guards {
    /// Whether a list of so many machines is too short after one of so many.
    pub(crate) const fn is_too_short(&self, machines: u64, before: u64) -> bool {
        machines.saturating_mul(100) < before.saturating_mul(self.machines_percent as u64)
    }
}

/// Whether what a rule gives is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is.
    #[default]
    Apply,
    /// It is planned and shown only.
    Report,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub name: String,
    /// Where it begins in the file, from 1.
    pub line: usize,
    /// The number of the set of which only the first rule that matches counts.
    pub(super) one_of: Option<usize>,
    pub(super) condition: BoundFilter,
    pub(super) tag: Option<TagForm>,
    pub(super) value: Option<DeviceValue>,
    /// Whether it is done.
    pub mode: Mode,
}

/// What a rule's tag is.
#[derive(Debug)]
pub(super) enum TagForm {
    Literal(Tag),
    Template { prefix: String, template: BoundTemplate },
}

/// What a rule gives to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub tag: Option<Tag>,
    pub value: Option<DeviceValue>,
}

impl Rule {
    /// Whether it could give a tag to some machine.
    pub(crate) fn could_give(&self, tag: &str) -> bool {
        match &self.tag {
            Some(TagForm::Literal(own)) => own.as_str() == tag,
            Some(TagForm::Template { prefix, .. }) => tag.starts_with(prefix.as_str()),
            None => false,
        }
    }
}

impl Declaration {
    /// The fields of machines that must be kept when the list is read, by the names that the list has for them.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().copied()
    }
}
