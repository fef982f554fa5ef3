//! Which writes to a slot still stand: what was taken back is no later write.
//!
//! Runs that wrote to one slot lie on each other. Whoever takes one back puts there what it had found, so that what lies
//! beneath it counts again: after two files and the undo of the second, the slot is the first one's. An undo is a run like
//! any other and may itself be taken back, which puts what it had taken away where it was. What surprises: an undo that goes back to something other than what lies beneath
//! stands like any write, since somebody else had been there in between.

use std::collections::HashMap;

use crate::model::{MayHold, Slot};
use crate::store::engine::sql::{SqlError, Transaction};
use crate::store::forms::run::{RunKey, UNDO_PREFIX};
use crate::store::forms::slot_write::SlotWrite;

/// The runs that take others back, each with the run that it takes back; `None` where that one is forgotten.
pub(super) struct Undos(HashMap<RunKey, Option<RunKey>>);

impl Undos {
    pub(super) fn read(transaction: &Transaction<'_>) -> Result<Self, SqlError> {
        let undos = transaction
            .prepare_cached(
                "SELECT undo.run_key, undone.run_key FROM run AS undo LEFT JOIN run AS undone
                     ON undone.run_id = substr(undo.input_path, 1 + length(?1)) AND undone.state <> 'removing'
                 WHERE undo.kind = 'undo'",
            )?
            .query_map([UNDO_PREFIX], |row| Ok((RunKey(row.get(0)?), row.get::<Option<i64>>(1)?.map(RunKey))))?
            .collect::<Result<_, _>>()?;
        Ok(Self(undos))
    }

    /// Of writes to any slots, in the order in which they were made, those that still stand.
    pub(super) fn standing_everywhere(&self, writes: Vec<SlotWrite>) -> Vec<SlotWrite> {
        if self.0.is_empty() {
            return writes;
        }
        let mut of_slots: HashMap<Slot, Vec<SlotWrite>> = HashMap::new();
        for write in writes {
            of_slots.entry(write.slot.clone()).or_default().push(write);
        }
        let mut standing: Vec<SlotWrite> =
            of_slots.into_values().flat_map(|writes| self.standing(MayHold::ANYTHING, writes)).collect();
        standing.sort_by_key(|write| (write.attempt, !write.surely));
        standing
    }

    /// Of writes to one slot, in the order in which they were made, those that still stand on what had been `left` there.
    pub(super) fn standing(&self, left: MayHold, writes: Vec<SlotWrite>) -> Vec<SlotWrite> {
        let mut slot = Layers { left, standing: Vec::new(), taken: Vec::new() };
        for write in writes {
            match self.0.get(&write.run) {
                Some(undone) => slot.take_back(write, *undone),
                None => slot.standing.push(write),
            }
        }
        slot.standing
    }
}

/// What lies on each other in a slot.
struct Layers {
    /// What was there at first.
    left: MayHold,
    standing: Vec<SlotWrite>,
    taken: Vec<Taken>,
}

/// What an undo has taken away, from this place on; whoever takes back the undo puts it there again.
struct Taken {
    by: RunKey,
    place: usize,
    layers: Vec<SlotWrite>,
}

impl Layers {
    /// Takes away what the write of an undo has taken back, surely or perhaps.
    fn take_back(&mut self, undo: SlotWrite, undone: Option<RunKey>) {
        let by_undone = self.taken.iter().rposition(|taken| Some(taken.by) == undone);
        let restored = by_undone.map(|place| self.taken.remove(place));
        let place = match (&restored, undone) {
            (Some(taken), _) => taken.place,
            (None, Some(run)) => match self.standing.iter().position(|write| write.run == run) {
                Some(place) => place,
                // What the run wrote before all of these does not lie on any of them.
                None => return self.standing.push(undo),
            },
            // Nobody knows any more where the run had its place; it may have been the last.
            (None, None) if self.holds().is_only(undo.wrote) => self.standing.len(),
            (None, None) => return self.standing.push(undo),
        };
        let mut taken = self.standing.split_off(place);
        self.standing.extend(restored.into_iter().flat_map(|taken| taken.layers));
        let goes_back = self.holds().allows(undo.wrote);
        if !undo.surely {
            // What it would have taken away may be there, or what it would have put back.
            let put_back = self.standing.split_off(place);
            let either = taken.iter().cloned().chain(put_back);
            self.standing.extend(either.map(|write| SlotWrite { surely: false, ..write }));
        }
        // Of a call that was made twice, the first has found what was there.
        if let Some(known) = self.taken.iter().position(|known| known.by == undo.run) {
            taken = self.taken.remove(known).layers;
        }
        self.taken.push(Taken { by: undo.run, place, layers: taken });
        if !goes_back {
            self.standing.push(undo);
        }
    }

    /// What there may be now.
    fn holds(&self) -> MayHold {
        self.standing.iter().fold(self.left, |held, write| {
            let wrote = MayHold::only(write.wrote);
            if write.surely { wrote } else { held.or(wrote) }
        })
    }
}

#[cfg(test)]
mod tests;
