//! What the rules are asked over: the machines, as the list and our own writes of late show them.

use super::columns::MachineView;
use super::declaration::Declaration;
use crate::input::MachineFields;
use crate::inventory::{Inventory, ListedMachine};
use crate::model::{Change, Held, TagAction};
use crate::plan::recent::RecentWrites;

/// What the rules are asked over.
#[derive(Clone, Copy)]
pub(crate) struct Fleet<'f> {
    /// The machines.
    pub inventory: &'f Inventory,
    /// What the list shows of them.
    pub fields: &'f dyn MachineFields,
    /// Our own writes that go before the list.
    pub recent: &'f RecentWrites,
}

impl<'f> Fleet<'f> {
    /// One of the machines, as rules see it, with these tags.
    pub(super) fn view<'m>(
        &self,
        declaration: &'m Declaration,
        machine: ListedMachine<'_>,
        held: &'m TagsHeld<'m>,
    ) -> MachineView<'m>
    where
        'f: 'm,
    {
        let place = machine.position().index();
        MachineView { fields: self.fields, place, tags: held.known(), value: None, lookups: &declaration.lookups }
    }
}

/// The tags of a machine, as far as the list and our own writes of late tell.
#[derive(Debug, Default)]
pub(crate) struct TagsHeld<'m> {
    /// Those that it has, or may have by a write of ours that is in doubt.
    pub tags: Vec<&'m str>,
    /// Whether that is all, and sure.
    pub are_known: bool,
}

impl<'m> TagsHeld<'m> {
    /// Of a machine.
    pub(crate) fn of(machine: ListedMachine<'m>, recent: &'m RecentWrites) -> Self {
        let mut held = Self { tags: machine.tags().collect(), are_known: machine.shows_tags() };
        for (tag, written) in recent.tags_of(machine.id()) {
            let listed = match machine.has_tag(tag.as_str()) {
                Some(true) => Held::Present,
                Some(false) => Held::Absent,
                None => Held::Unknown,
            };
            let today = written.over(listed, Held::Absent);
            held.are_known &= today != Held::Unknown;
            match today {
                Held::Absent => held.tags.retain(|known| *known != tag.as_str()),
                _ if held.tags.contains(&tag.as_str()) => {}
                _ => held.tags.push(tag.as_str()),
            }
        }
        held
    }

    /// Those that it has once these changes are made.
    pub(super) fn after<'c>(&'c self, changes: impl Iterator<Item = &'c Change>) -> TagsHeld<'c> {
        let mut next = TagsHeld { tags: self.tags.clone(), are_known: self.are_known };
        for change in changes {
            match change {
                Change::Tag(TagAction::Add, tag) if !next.tags.contains(&tag.as_str()) => next.tags.push(tag.as_str()),
                Change::Tag(TagAction::Remove, tag) => next.tags.retain(|held| *held != tag.as_str()),
                _ => {}
            }
        }
        next
    }

    /// The tags, where they are known for certain.
    pub(crate) fn known(&self) -> Option<&[&'m str]> {
        self.are_known.then_some(self.tags.as_slice())
    }
}
