//! What is to be made of machines: changes, operations, and what is asked for before it is known which operation that is.

use std::fmt;

use super::device_value::DeviceValue;
use super::held::{Held, Slot};
use super::machine::MachineId;
use super::tag::Tag;

/// Whether a tag is to be there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TagAction {
    /// The machine shall have the tag.
    Add,
    /// The machine shall not have the tag.
    Remove,
}

impl TagAction {
    /// The name as the API wants it in a body's `Action`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::Remove => "Remove",
        }
    }

    /// What holds of the tag once it is done.
    pub const fn leaves(self) -> Held {
        match self {
            Self::Add => Held::Present,
            Self::Remove => Held::Absent,
        }
    }
}

/// What one operation makes of its machine. Where there are a million of them, the tag is its number in a table of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change<T = Tag> {
    /// Add or remove one tag.
    Tag(TagAction, T),
    /// Set the device value.
    DeviceValue(DeviceValue),
}

/// The place of a tag in the table of the input or run that it belongs to, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagNumber(pub u32);

/// What a change does, without its tag or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Adding a tag.
    Add,
    /// Removing a tag.
    Remove,
    /// Setting a device value.
    DeviceValue,
}

impl<T> Change<T> {
    pub const fn kind(&self) -> ChangeKind {
        match self {
            Self::Tag(TagAction::Add, _) => ChangeKind::Add,
            Self::Tag(TagAction::Remove, _) => ChangeKind::Remove,
            Self::DeviceValue(_) => ChangeKind::DeviceValue,
        }
    }

    /// The tag that it is about.
    pub const fn tag(&self) -> Option<&T> {
        match self {
            Self::Tag(_, tag) => Some(tag),
            Self::DeviceValue(_) => None,
        }
    }

    /// What holds once it is done.
    pub const fn leaves(&self) -> Held {
        match self {
            Self::Tag(action, _) => action.leaves(),
            Self::DeviceValue(value) => Held::Value(*value),
        }
    }

    /// The same with its tag held in another way; `None` where there is none for it.
    pub fn with_tag<'t, Other>(&'t self, tag: impl FnOnce(&'t T) -> Option<Other>) -> Option<Change<Other>> {
        Some(match self {
            Self::Tag(action, known) => Change::Tag(*action, tag(known)?),
            Self::DeviceValue(value) => Change::DeviceValue(*value),
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(action, tag) => write!(formatter, "{} tag \"{tag}\"", action.as_str()),
            Self::DeviceValue(value) => write!(formatter, "set device value {value}"),
        }
    }
}

/// One change to one machine: the unit that is sent, answered and stored. Two rows may ask for the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Operation {
    pub machine: MachineId,
    /// What to make of it.
    pub change: Change,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} on machine {}", self.change, self.machine)
    }
}

/// The number of an operation within its run, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationId(pub u32);

impl Operation {
    /// The slot that it changes.
    pub(crate) fn slot(&self) -> Slot {
        Slot { machine: self.machine.clone(), tag: self.change.tag().cloned() }
    }
}
