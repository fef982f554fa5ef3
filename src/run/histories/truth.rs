//! What is so in the tenant, and everything that has ever happened to it, in its order: the judge believes nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::model::DeviceValue;

/// True time since the beginning of a history. No process sees it.
pub(super) type Moment = Duration;

/// The place of a machine in a history.
pub(super) type MachineNumber = usize;
/// The place of a call among all that were ever sent.
pub(super) type CallNumber = usize;
/// The place of a command among all that were ever begun.
pub(super) type CommandNumber = usize;

/// What can be changed apart from everything else: one tag of a machine, however it is written, or its device value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) machine: MachineNumber,
    /// In lower case; `None` for the device value.
    pub(super) tag: Option<String>,
}

/// What is in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The forms in which the tag is there.
    Tag(BTreeSet<String>),
    Value(DeviceValue),
}

/// What somebody wants of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Add(String),
    Remove(String),
    Set(DeviceValue),
}

impl Wish {
    pub(super) fn slot(&self, machine: MachineNumber) -> Slot {
        let tag = match self {
            Self::Add(tag) | Self::Remove(tag) => Some(tag.to_lowercase()),
            Self::Set(_) => None,
        };
        Slot { machine, tag }
    }

    /// Whether it is so, at least in another case: the service's word on such a tag is believed.
    pub(super) fn holds(&self, content: &Content) -> bool {
        match (self, content) {
            (Self::Add(_), Content::Tag(forms)) => !forms.is_empty(),
            (Self::Remove(tag), Content::Tag(forms)) => !forms.contains(tag),
            (Self::Set(value), Content::Value(held)) => value == held,
            _ => false,
        }
    }

    /// Whether it is so whatever the service thinks of upper and lower case.
    pub(super) fn holds_in_any_case(&self, content: &Content) -> bool {
        match (self, content) {
            (Self::Add(tag), Content::Tag(forms)) => forms.contains(tag),
            (Self::Remove(_), Content::Tag(forms)) => forms.is_empty(),
            _ => self.holds(content),
        }
    }

    /// What it makes of a slot.
    pub(super) fn carried_out(&self, content: &Content, tells_case_apart: bool) -> Content {
        match (self, content) {
            (Self::Set(value), _) => Content::Value(*value),
            (Self::Add(tag), Content::Tag(forms)) => {
                let is_there = if tells_case_apart { forms.contains(tag) } else { !forms.is_empty() };
                let mut forms = forms.clone();
                if !is_there {
                    forms.insert(tag.clone());
                }
                Content::Tag(forms)
            }
            (Self::Remove(tag), Content::Tag(forms)) => {
                let stays = |form: &&String| tells_case_apart && *form != tag;
                Content::Tag(forms.iter().filter(stays).cloned().collect())
            }
            (_, Content::Value(_)) => content.clone(),
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(tag) => write!(formatter, "Add {tag}"),
            Self::Remove(tag) => write!(formatter, "Remove {tag}"),
            Self::Set(value) => write!(formatter, "Set {value}"),
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(formatter, "tag {tag} of m{}", self.machine),
            None => write!(formatter, "value of m{}", self.machine),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(formatter),
            Self::Tag(forms) if forms.is_empty() => formatter.write_str("absent"),
            Self::Tag(forms) => write!(formatter, "present ({})", forms.iter().cloned().collect::<Vec<_>>().join(", ")),
        }
    }
}

/// What a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A change of these machines.
    Write { wish: Wish, machines: Vec<MachineNumber>, is_bulk: bool },
    /// The list, or one machine.
    Read,
}

/// What the client got to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A success that shows these machines as they are.
    Shown(Vec<MachineNumber>),
    /// A success that shows nobody.
    Accepted,
    /// Surely nothing was done.
    Refused(u16),
    /// Nobody is to call before that moment, as far as the answer named one.
    Throttled(Option<Moment>),
    /// Nobody can tell what was done.
    Ambiguous(&'static str),
    /// The answer to a read.
    Read,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Sent {
        call: CallNumber,
        command: CommandNumber,
        asked: Asked,
    },
    /// The service let the call in.
    Arrived {
        call: CallNumber,
    },
    /// A change was carried out, even one that changes nothing; `None` for other people's.
    Applied {
        slot: Slot,
        before: Content,
        after: Content,
        call: Option<CallNumber>,
    },
    /// A read that reached its client showed the machine as the first so many events had left it.
    Displayed {
        call: CallNumber,
        machine: MachineNumber,
        as_of: usize,
    },
    Answered {
        call: CallNumber,
        reply: Reply,
    },
    /// A call that the service's quota does not allow, or one during a wait that it had asked for.
    Trespass(String),
    /// A call for which there was room only if single and bulk tag calls counted apart, and they do not.
    Crowded {
        call: CallNumber,
    },
}

/// Everything that happened, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) initial: BTreeMap<Slot, Content>,
    pub(super) events: Vec<(Moment, Event)>,
    /// The command of each call.
    pub(super) commands: Vec<CommandNumber>,
    /// The places of each slot's changes.
    changes: BTreeMap<Slot, Vec<usize>>,
}

/// A change that was carried out, with its place in the log.
#[derive(Clone, Copy)]
pub(super) struct Applied<'a> {
    pub(super) index: usize,
    pub(super) at: Moment,
    pub(super) before: &'a Content,
    pub(super) after: &'a Content,
    /// `None` for other people's.
    pub(super) call: Option<CallNumber>,
}

impl Log {
    pub(super) fn note(&mut self, at: Moment, event: Event) {
        match &event {
            Event::Sent { command, .. } => self.commands.push(*command),
            Event::Applied { slot, .. } => self.changes.entry(slot.clone()).or_default().push(self.events.len()),
            _ => {}
        }
        self.events.push((at, event));
    }

    /// The number of the next call.
    pub(super) fn next_call(&self) -> CallNumber {
        self.commands.len()
    }

    /// The changes of a slot, in their order.
    pub(super) fn changes(&self, slot: &Slot) -> impl DoubleEndedIterator<Item = Applied<'_>> {
        self.changes.get(slot).into_iter().flatten().filter_map(|index| match &self.events[*index] {
            (at, Event::Applied { before, after, call, .. }) => {
                Some(Applied { index: *index, at: *at, before, after, call: *call })
            }
            _ => None,
        })
    }

    pub(super) fn initially(&self, slot: &Slot) -> Content {
        let nothing = match slot.tag {
            Some(_) => Content::Tag(BTreeSet::new()),
            None => Content::Value(DeviceValue::Normal),
        };
        self.initial.get(slot).cloned().unwrap_or(nothing)
    }

    /// What was in the slot before this place of the log.
    pub(super) fn content_before(&self, slot: &Slot, index: usize) -> Content {
        let changes = self.changes(slot).take_while(|change| change.index < index);
        changes.last().map_or_else(|| self.initially(slot), |change| change.after.clone())
    }

    /// What is in the slot now.
    pub(super) fn content(&self, slot: &Slot) -> Content {
        self.content_before(slot, usize::MAX)
    }

    /// How many events there were at a moment.
    pub(super) fn count_at(&self, moment: Moment) -> usize {
        self.events.partition_point(|(at, _)| *at <= moment)
    }

    /// Every slot of a machine that was ever heard of.
    pub(super) fn slots_of(&self, machine: MachineNumber) -> BTreeSet<Slot> {
        self.slots().into_iter().filter(|slot| slot.machine == machine).collect()
    }

    /// Every slot that was ever heard of.
    pub(super) fn slots(&self) -> BTreeSet<Slot> {
        self.initial.keys().chain(self.changes.keys()).cloned().collect()
    }
}
