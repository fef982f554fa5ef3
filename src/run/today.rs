//! What is known today of a stored operation: how far it had come, what other runs made of its slot since, and which of them go
//! before it.
//!
//! What was written last is what holds, by whichever run. What is wanted last is another matter: a run that was left lying may
//! write long after another was asked for, and is no later word for that.

use std::collections::{HashMap, HashSet};

use crate::exit::CommandError;
use crate::inventory::Inventory;
use crate::model::row_code::FORBIDDEN;
use crate::model::{Held, Slot};
use crate::plan::carrying::{Earlier, Today};
use crate::plan::changes::{held_today, outcome_today};
use crate::plan::recent::RecentWrites;
use crate::plan::redecision::Overruled;
#[cfg(doc)]
use crate::store::Reader;
use crate::store::{KnownOperation, OperationState, RunKey, RunKind, SlotWrite, Store};

/// When the user asked for what a run wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedWhen {
    /// Just now: the command that began it is given again.
    Again,
    /// When it was begun. What runs were asked for since goes before it, also where that was so already.
    Before,
}

impl AskedWhen {
    /// Whether what a run of this kind had left to others, or found already set, is wanted again. An undo leaves it.
    pub(super) fn wants_again(self, kind: RunKind) -> bool {
        self == Self::Again && kind != RunKind::Undo
    }
}

/// What other runs made of the slots of a run.
#[derive(Default)]
pub(super) struct LaterRuns {
    /// By slot, in the order in which they did.
    by_slot: HashMap<Slot, Vec<SlotWrite>>,
    /// Those that go before the run, as [`Reader::overruling`] has it.
    overruling: HashSet<RunKey>,
}

impl LaterRuns {
    /// What other runs wrote since this one was decided about, and where it was asked for before them, what they found to be so
    /// while it still wants something else.
    pub(super) async fn of(store: &Store, run: RunKey, asked: AskedWhen) -> Result<Self, CommandError> {
        let mut later = Self::default();
        for write in store.later_writes(run).await? {
            later.by_slot.entry(write.slot.clone()).or_default().push(write);
        }
        if asked == AskedWhen::Before {
            for finding in store.later_findings(run).await? {
                let writes = later.by_slot.entry(finding.slot.clone()).or_default();
                let place = writes.partition_point(|write| write.attempt <= finding.attempt);
                writes.insert(place, finding);
            }
        }
        if !later.by_slot.is_empty() {
            later.overruling = store.overruling(run, asked == AskedWhen::Again).await?;
        }
        Ok(later)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    /// What the last write after this outcome left; nothing is known where it may have taken effect or not, and today's list
    /// does not show that it did.
    pub(super) fn written(&self, known: &KnownOperation, today: Held) -> Option<Held> {
        let last = self.backwards(known).next()?;
        Some(if is_sure(last, today) { last.wrote } else { Held::Unknown })
    }

    /// Whether a run that goes before this one has surely made something else of it than this operation wants: that stays, also
    /// where another one may have written something else again. What this one has done already is over where that may be so: it
    /// would be done again over what was asked for later.
    pub(super) fn overrule(&self, known: &KnownOperation, today: Held) -> Overruled {
        let is_other = |write: &SlotWrite| ![Held::Unknown, known.operation.change.leaves()].contains(&write.wrote);
        let mut may_be_overruled = false;
        for write in self.backwards(known).filter(|write| self.overruling.contains(&write.run)) {
            if is_sure(write, today) {
                return if is_other(write) { Overruled::Surely } else { Overruled::No };
            }
            may_be_overruled |= is_other(write);
        }
        let is_done = known.state == OperationState::Succeeded || known.is_done_in_doubt();
        if may_be_overruled && is_done { Overruled::MayBe } else { Overruled::No }
    }

    /// What was written after this outcome, the last first.
    fn backwards(&self, known: &KnownOperation) -> impl Iterator<Item = &SlotWrite> {
        let writes = self.by_slot.get(&known.operation.slot()).into_iter().flatten();
        writes.rev().filter(|write| write.attempt > known.last_attempt)
    }
}

/// How far an operation had come.
pub(super) fn earlier(known: &KnownOperation) -> Earlier {
    match known.state {
        OperationState::Succeeded => Earlier::Succeeded,
        _ if known.is_done_in_doubt() => Earlier::DoneInDoubt,
        OperationState::Unknown => Earlier::MayBeDone,
        _ if known.ambiguous => Earlier::MayBeDone,
        OperationState::Pending | OperationState::NotAttempted => Earlier::NotSent,
        OperationState::Unchanged => Earlier::Unchanged,
        OperationState::Failed if known.attempts == 0 => Earlier::FailedUnsent,
        // A permission may have been given since, whether the service has named the code or we have.
        OperationState::Failed
            if known.error_code.as_deref().is_some_and(|code| FORBIDDEN.eq_ignore_ascii_case(code)) =>
        {
            Earlier::Refused
        }
        OperationState::Failed => Earlier::Failed,
        OperationState::Refused => Earlier::Refused,
    }
}

/// What is known today of the slot of an operation that had come so far: by the list, where it was read, and our own writes of
/// late over it, and what was written later. The outcome of what was carried out is not given up without reason.
pub(super) fn today(
    known: &KnownOperation,
    earlier: Earlier,
    inventory: Option<&Inventory>,
    recent: &RecentWrites,
    later: &LaterRuns,
) -> Today {
    let was_done = matches!(earlier, Earlier::Succeeded | Earlier::DoneInDoubt);
    let look = if was_done { outcome_today } else { held_today };
    let held = inventory.map_or(Held::Unknown, |inventory| look(&known.operation, inventory, recent));
    Today { held, written_later: later.written(known, held) }
}

fn is_sure(write: &SlotWrite, today: Held) -> bool {
    write.surely || write.wrote == today
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Age, Change, DeviceValue, MachineId, MayHold, Operation, OperationId, Tag, TagAction};
    use crate::plan::fixtures::{inventory, machine_id, tagged};
    use crate::store::AttemptKey;

    const HIGH: Held = Held::Value(DeviceValue::High);
    const LOW: Held = Held::Value(DeviceValue::Low);
    const NORMAL: Held = Held::Value(DeviceValue::Normal);

    /// An operation that wants High, and was last sent by the third attempt.
    fn known() -> KnownOperation {
        let machine = MachineId::from_hexadecimal(&"a".repeat(40)).expect("an id");
        KnownOperation {
            id: OperationId(0),
            operation: Operation { machine, change: Change::DeviceValue(DeviceValue::High) },
            state: OperationState::Pending,
            ambiguous: false,
            attempts: 1,
            last_attempt: Some(AttemptKey::numbered(3)),
            before: Held::Unknown,
            error_code: None,
        }
    }

    fn write_of(run: i64, attempt: i64, wrote: Held, surely: bool) -> SlotWrite {
        SlotWrite {
            run: RunKey(run),
            slot: known().operation.slot(),
            before: Held::Unknown,
            found: MayHold::NOTHING,
            wrote,
            surely,
            answered: surely,
            attempt: Some(AttemptKey::numbered(attempt)),
            age: Age::LooksOld,
        }
    }

    /// What runs made of its slot: run, attempt, what, and whether that is sure. Runs 2 and 3 were asked for later.
    fn later(writes: &[(i64, i64, Held, bool)]) -> LaterRuns {
        let slot = known().operation.slot();
        let write = |&(run, attempt, wrote, surely): &_| write_of(run, attempt, wrote, surely);
        let writes = writes.iter().map(write).collect();
        LaterRuns {
            by_slot: HashMap::from([(slot.clone(), writes)]),
            overruling: HashSet::from([RunKey(2), RunKey(3)]),
        }
    }

    #[test]
    fn a_later_write_in_doubt_counts_where_the_list_of_today_shows_what_it_wrote() {
        for (attempt, surely, today, expected) in [
            (5, true, Held::Unknown, Some(LOW)),
            (5, false, LOW, Some(LOW)),
            (5, false, HIGH, Some(Held::Unknown)),
            (5, false, Held::Unknown, Some(Held::Unknown)),
            (2, true, LOW, None),
        ] {
            let written = later(&[(2, attempt, LOW, surely)]).written(&known(), today);
            assert_eq!(written, expected, "{attempt} {surely} {today:?}");
        }
    }

    #[test]
    fn today_is_told_by_the_list_and_a_later_write_in_doubt_is_sure_where_the_list_shows_it() {
        let change = Change::Tag(TagAction::Add, Tag::new("T").expect("a tag"));
        let known = KnownOperation { operation: Operation { machine: machine_id(1), change }, ..known() };
        let slot = known.operation.slot();
        let write = SlotWrite { slot: slot.clone(), ..write_of(2, 5, Held::Absent, false) };
        let later = LaterRuns { by_slot: HashMap::from([(slot, vec![write])]), ..LaterRuns::default() };
        for (tags, held, written_later) in [
            (None, Held::Unknown, Held::Unknown),
            (Some(&[][..]), Held::Absent, Held::Absent),
            (Some(&["T"][..]), Held::Present, Held::Unknown),
        ] {
            let inventory = tags.map(|tags| inventory([tagged(1, tags)]));
            for earlier in [Earlier::Succeeded, Earlier::Failed] {
                let today = today(&known, earlier, inventory.as_ref(), &RecentWrites::default(), &later);
                assert_eq!(today, Today { held, written_later: Some(written_later) }, "{tags:?} {earlier:?}");
            }
        }
    }

    #[test]
    fn what_is_done_gives_way_to_what_a_run_that_goes_before_it_may_have_written() {
        let done = KnownOperation { state: OperationState::Succeeded, ..known() };
        for (run, wrote, overruled) in [(2, LOW, Overruled::MayBe), (1, LOW, Overruled::No), (2, HIGH, Overruled::No)] {
            let later = later(&[(run, 5, wrote, false)]);
            assert_eq!(later.overrule(&done, Held::Unknown), overruled, "{run} {wrote:?}");
            // What is still to be done is done; the other run comes after it.
            assert_eq!(later.overrule(&known(), Held::Unknown), Overruled::No);
        }
    }

    #[test]
    fn what_an_older_run_writes_later_holds_and_is_no_later_word() {
        let (older, newer, newest) = (1, 2, 3);
        for (writes, written, is_overruled) in [
            (vec![(newer, 5, LOW, true)], Some(LOW), true),
            (vec![(older, 5, LOW, true)], Some(LOW), false),
            (vec![(newer, 5, LOW, true), (older, 6, HIGH, true)], Some(HIGH), true),
            (vec![(newer, 5, HIGH, true), (older, 6, LOW, true)], Some(LOW), false),
            (vec![(newer, 5, LOW, false), (older, 6, LOW, true)], Some(LOW), false),
            (vec![(newer, 2, LOW, true), (older, 6, LOW, true)], Some(LOW), false),
            (vec![(newer, 5, LOW, true), (newest, 6, NORMAL, false)], Some(Held::Unknown), true),
            (vec![(newer, 5, LOW, true), (newest, 6, HIGH, false)], Some(Held::Unknown), true),
            (vec![(newer, 5, HIGH, true), (newest, 6, LOW, false)], Some(Held::Unknown), false),
        ] {
            let (later, known) = (later(&writes), known());
            assert_eq!(later.written(&known, Held::Unknown), written, "{writes:?}");
            let overruled = if is_overruled { Overruled::Surely } else { Overruled::No };
            assert_eq!(later.overrule(&known, Held::Unknown), overruled, "{writes:?}");
        }
    }
}
