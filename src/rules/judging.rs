//! What each rule says of a machine.

use super::columns::MachineView;
use super::declaration::{Assignment, Declaration, Mode, Rule, TagForm};
use super::lacking::Lacking;
use super::spellings::Spellings;
use super::template::Filled;
use crate::filter::{BoundFilter, Unread};
use crate::input::Excerpt;
use crate::model::Tag;

/// What a rule says of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Gives(Assignment),
    /// It would, and only reports.
    Reports(Assignment),
    DoesNot,
    /// An earlier rule of its set has won.
    Surpassed,
    /// An earlier rule of its set would have won, and only reports: what is there stays as it is.
    SurpassedByReport,
    /// Something that it needs is lacking.
    Undecided,
    /// It waits for an earlier rule of its set that is undecided.
    Waits,
    /// The tag that it would give is no tag to create: its text, and why not, to be read after "the tag … ".
    Odd(String, String),
}

/// What the rules say of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Whether the machine is in scope; `None` when that cannot be decided.
    pub in_scope: Option<bool>,
    /// For each rule what it says. Nothing where the machine is not in scope for certain.
    pub verdicts: Vec<Verdict>,
}

/// How a set of which one rule counts stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SetState {
    Open,
    Won,
    WonByReport,
    Undecided,
}

impl Verdict {
    /// Whether the rule's tag must stay as it is, there or not.
    pub(crate) const fn protects(&self) -> bool {
        matches!(self, Self::SurpassedByReport | Self::Undecided | Self::Waits | Self::Odd(..))
    }

    /// Whether it cannot be told what the rule gives.
    pub(crate) const fn is_undecided(&self) -> bool {
        matches!(self, Self::Undecided | Self::Waits)
    }

    /// What the rule gives, whether that is done or only reported.
    pub(crate) const fn assignment(&self) -> Option<&Assignment> {
        match self {
            Self::Gives(assignment) | Self::Reports(assignment) => Some(assignment),
            _ => None,
        }
    }
}

impl Declaration {
    /// Judges a machine. Of tags that differ only in case or width, those are given that `spellings` chose.
    pub(super) fn judge(&self, machine: &MachineView<'_>, spellings: &Spellings) -> Judgement {
        let in_scope = self.scope.as_ref().map_or(Some(true), |scope| holds(scope, machine));
        if in_scope != Some(true) {
            return Judgement { in_scope, verdicts: Vec::new() };
        }
        let sets = self.rules.iter().filter_map(|rule| rule.one_of).max().map_or(0, |last| last + 1);
        let mut sets = vec![SetState::Open; sets];
        let verdicts = self.rules.iter().map(|rule| {
            let Some(set) = rule.one_of.and_then(|set| sets.get_mut(set)) else {
                return self.verdict(rule, machine, spellings);
            };
            match *set {
                SetState::Won => Verdict::Surpassed,
                SetState::WonByReport => Verdict::SurpassedByReport,
                SetState::Undecided => Verdict::Waits,
                SetState::Open => {
                    let verdict = self.verdict(rule, machine, spellings);
                    *set = match verdict {
                        Verdict::Gives(_) => SetState::Won,
                        Verdict::Reports(_) => SetState::WonByReport,
                        Verdict::Undecided | Verdict::Odd(..) => SetState::Undecided,
                        _ => SetState::Open,
                    };
                    verdict
                }
            }
        });
        Judgement { in_scope, verdicts: verdicts.collect() }
    }

    /// Why a rule is undecided about a machine: what its condition or its tag needs and the machine lacks.
    pub(super) fn lacking(rule: &Rule, machine: &MachineView<'_>) -> Lacking {
        let mut lacking = rule.condition.lacking(machine);
        if lacking.is_empty()
            && let Some(TagForm::Template { template, .. }) = &rule.tag
        {
            lacking.extend(template.lacking(machine));
        }
        Lacking::of(lacking, machine)
    }

    /// The same of the scope.
    pub(super) fn lacking_for_scope(&self, machine: &MachineView<'_>) -> Lacking {
        let lacking = self.scope.as_ref().map_or_else(Vec::new, |scope| scope.lacking(machine));
        Lacking::of(lacking, machine)
    }

    /// What a rule says by itself, whatever other rules of its set say.
    fn verdict(&self, rule: &Rule, machine: &MachineView<'_>, spellings: &Spellings) -> Verdict {
        match holds(&rule.condition, machine) {
            None => return Verdict::Undecided,
            Some(false) => return Verdict::DoesNot,
            Some(true) => {}
        }
        let tag = match &rule.tag {
            None => None,
            Some(TagForm::Literal(tag)) => Some(tag.clone()),
            Some(TagForm::Template { template, .. }) => match template.fill(machine) {
                Filled::Tag(tag) => match self.oddity(&tag, spellings) {
                    Some(why) => return Verdict::Odd(tag.as_str().to_owned(), why),
                    None => Some(tag),
                },
                Filled::Lacking => return Verdict::Undecided,
                Filled::Odd(text, why) => return Verdict::Odd(text, why),
            },
        };
        let assignment = Assignment { tag, value: rule.value };
        if rule.mode == Mode::Report { Verdict::Reports(assignment) } else { Verdict::Gives(assignment) }
    }

    /// Why a tag that was made of data may not be given, to be read after "the tag … ": what refuses the file where it is
    /// spelled out there.
    fn oddity(&self, tag: &Tag, spellings: &Spellings) -> Option<String> {
        if self.own.is_retired(tag.as_str()) {
            return Some("is retired by this file".to_owned());
        }
        if !self.own.may_give(tag.as_str()) {
            return Some("is not owned by this file".to_owned());
        }
        let other = Excerpt::new(spellings.other(tag)?.as_str());
        Some(format!("differs only in case or width from \"{other}\", which this file gives"))
    }
}

fn holds(filter: &BoundFilter, machine: &MachineView<'_>) -> Option<bool> {
    filter.verdict(machine, &mut Unread::default())
}
