//! What runs wrote to slots, in little room and in the order in which they did.

use foldhash::fast::RandomState;
use indexmap::IndexSet;

use super::names::{Names, SlotNumber};
use super::run_slots::NO_ATTEMPT;
use crate::model::{Age, Held, MayHold};
use crate::store::forms::attempt::AttemptKey;
use crate::store::forms::run::RunKey;
use crate::store::forms::slot_write::SlotWrite;

/// Writes of runs, in any order.
#[derive(Default)]
pub(super) struct Writes {
    names: Names,
    runs: IndexSet<RunKey, RandomState>,
    noted: Vec<Write>,
}

#[derive(Clone, Copy, Debug)]
struct Write {
    slot: SlotNumber,
    /// Its attempt, or [`NO_ATTEMPT`].
    attempt: i64,
    /// The place of its run.
    run: u32,
    /// The order in which they were noted.
    number: u32,
    before: Held,
    found: MayHold,
    wrote: Held,
    surely: bool,
    answered: bool,
    age: Age,
}

impl Writes {
    /// All of them, in the order in which they were made. What surely took effect comes before what is in doubt, so that the
    /// doubt is never overlooked.
    pub(super) fn sorted(self) -> SortedWrites {
        let Self { names, runs, noted: mut writes } = self;
        // By the number, too: to keep the order of equals without it would take as much room again.
        writes.sort_unstable_by_key(|write| (write.attempt, !write.surely, write.number));
        SortedWrites { names, runs, writes: writes.into_iter() }
    }
}

impl Extend<SlotWrite> for Writes {
    fn extend<All: IntoIterator<Item = SlotWrite>>(&mut self, all: All) {
        let number = |place| u32::try_from(place).unwrap_or(u32::MAX);
        for SlotWrite { run, slot, before, found, wrote, surely, answered, attempt, age } in all {
            let (slot, run) = (self.names.add(slot), number(self.runs.insert_full(run).0));
            let (number, attempt) = (number(self.noted.len()), attempt.map_or(NO_ATTEMPT, |attempt| attempt.0));
            self.noted.push(Write { slot, attempt, run, number, before, found, wrote, surely, answered, age });
        }
    }
}

/// Our own writes of late, as far as they go.
#[derive(Debug)]
pub(crate) struct RecentSlotWrites {
    /// The writes, in the order in which they were made.
    pub writes: SortedWrites,
    /// The last attempt of all that were let through until then.
    pub as_of: AttemptKey,
}

/// Writes in the order in which they were made; each is put together as it is asked for.
#[derive(Debug)]
pub(crate) struct SortedWrites {
    names: Names,
    runs: IndexSet<RunKey, RandomState>,
    writes: std::vec::IntoIter<Write>,
}

impl Iterator for SortedWrites {
    type Item = SlotWrite;

    fn next(&mut self) -> Option<SlotWrite> {
        let Write { slot, attempt, run, before, found, wrote, surely, answered, age, .. } = self.writes.next()?;
        let (run, slot) = (*self.runs.get_index(run as usize)?, self.names.slot(slot)?);
        let attempt = Some(attempt).filter(|attempt| *attempt != NO_ATTEMPT).map(AttemptKey);
        Some(SlotWrite { run, slot, before, found, wrote, surely, answered, attempt, age })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MachineId, Slot, Tag};

    #[test]
    fn writes_come_back_as_they_were_noted_in_the_order_of_attempts_and_what_is_in_doubt_last() {
        let write = |run, machine: &str, tag: Option<&str>, attempt: Option<i64>, surely| SlotWrite {
            run: RunKey(run),
            slot: Slot { machine: MachineId::from_service(machine), tag: tag.map(|tag| Tag::new(tag).expect("a tag")) },
            before: Held::Absent,
            found: MayHold::only(Held::Present),
            wrote: Held::Present,
            surely,
            answered: !surely,
            attempt: attempt.map(AttemptKey),
            age: Age::LooksYoung,
        };
        let expected = [
            write(7, "m", None, None, true),
            write(7, "m", Some("a"), Some(1), true),
            write(7, "n", Some("a"), Some(1), true),
            write(8, "m", Some("b"), Some(1), false),
            write(8, "m", Some("b"), Some(2), false),
        ];
        let mut writes = Writes::default();
        writes.extend([4, 3, 1, 0, 2].map(|place: usize| expected[place].clone()));
        assert_eq!(writes.sorted().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_million_writes_take_thirty_two_megabytes() {
        assert_eq!(size_of::<Write>(), 32);
    }
}
