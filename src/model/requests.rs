//! What is asked for, whoever asks: the rows of a file, a run that is taken back, a rule. A plan is made of this alone.

use std::fmt;

use super::change::{Change, TagNumber};
use super::machine::MachineReference;
use super::outcome::RowNumber;
use super::tag::Tag;

/// One change that one row asks for, as four numbers: there are as many of them as rows, or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The row that asks.
    pub row: RowNumber,
    /// The physical line of the file on which that row begins, from 1; of rows that stand in no file, their number.
    pub line: u32,
    /// The machine, as the row names it.
    pub machine: ReferenceNumber,
    /// What to make of it.
    pub change: Change<TagNumber>,
}

/// The place of a machine's name among those of [`Requests::machines`], from 0. Two of them may mean one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReferenceNumber(pub u32);

/// Everything that is asked for.
#[derive(Default)]
pub struct Requests {
    /// The machines that are named, each once, in the order in which they come first. Names are one when they differ only in
    /// the case of ASCII letters; the first spelling stays.
    pub machines: Vec<MachineReference>,
    /// The tags, each once, in the order in which they come first.
    pub tags: Vec<Tag>,
    /// What rows ask for, in the order of rows: none, one or more for each.
    pub all: Vec<Request>,
    /// The machines to which rows in error would add a tag, or may mean to.
    pub unmade_adds: Vec<MachineReference>,
    /// The places among all of those that take off a tag only to make room for another, ascending.
    pub exchanges: Vec<u32>,
}

impl Requests {
    /// How a machine is named.
    pub fn machine(&self, number: ReferenceNumber) -> Option<&MachineReference> {
        self.machines.get(number.0 as usize)
    }

    /// What a row asks for.
    pub fn of_row(&self, row: RowNumber) -> impl Iterator<Item = &Request> {
        let first = self.all.partition_point(|request| request.row < row);
        self.all.iter().skip(first).take_while(move |request| request.row == row)
    }

    /// The tag that a change is about; `None` for a device value.
    pub fn tag(&self, change: Change<TagNumber>) -> Option<&Tag> {
        self.tags.get(change.tag()?.0 as usize)
    }

    /// The same change with its tag.
    pub fn change(&self, change: Change<TagNumber>) -> Option<Change> {
        change.with_tag(|tag| self.tags.get(tag.0 as usize).cloned())
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machines, tags, all, unmade_adds, exchanges: _ } = self;
        let counts = [machines.len(), tags.len(), all.len(), unmade_adds.len()];
        formatter.debug_tuple("Requests").field(&counts).finish()
    }
}
