//! What takes a run back: for every slot that it changed, the change to what was there before.
//!
//! A run is taken back slot by slot, from the first `before` and the last `after` that it left there, whatever rows it had
//! and lost on the way. What was so before the run is not touched; what a later run or somebody else has changed since is
//! left as it is, since nobody can tell whose wish counts. A later run that was taken back itself is none. Where it is not
//! known what became of a write, both are possible, and either is ours.

use super::changes::{Decision, Plan, listed};
use super::recent::{Held, RecentWrites, Written};
use crate::inventory::Inventory;
use crate::model::{Change, DeviceValue, MayHold, Operation, Slot, TagAction};

/// A slot that a run has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotChange {
    pub slot: Slot,
    /// What the run made of it.
    pub made: Made,
}

/// What a run made of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// What held before its first write.
    pub before: Held,
    /// What its writes may have left.
    pub left: MayHold,
}

/// What takes a slot back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inverse {
    /// This does.
    Operation(Operation),
    /// Nothing has to: it is as it was before.
    NotNeeded,
    /// Nobody knows what was before.
    Unknown,
}

impl SlotChange {
    /// What takes it back.
    pub(crate) fn inverse(&self) -> Inverse {
        if self.made.left.is_only(self.made.before) {
            return Inverse::NotNeeded;
        }
        let change = match (&self.slot.tag, self.made.before) {
            (Some(tag), Held::Absent) => Change::Tag(TagAction::Remove, tag.clone()),
            (Some(tag), Held::Present) => Change::Tag(TagAction::Add, tag.clone()),
            (None, Held::Value(before)) => Change::DeviceValue(before),
            _ => return Inverse::Unknown,
        };
        Inverse::Operation(Operation { machine: self.slot.machine.clone(), change })
    }

    /// What a run did here, or one of the things that it may have done, where it is not taken back since nobody knows what
    /// was before.
    pub(crate) fn left_in_place(&self) -> Option<Operation> {
        let change = self.made.left.each().find_map(|left| match (&self.slot.tag, left) {
            (Some(tag), Held::Present) => Some(Change::Tag(TagAction::Add, tag.clone())),
            (Some(tag), Held::Absent) => Some(Change::Tag(TagAction::Remove, tag.clone())),
            (None, Held::Value(value)) => Some(Change::DeviceValue(value)),
            _ => None,
        })?;
        Some(Operation { machine: self.slot.machine.clone(), change })
    }
}

impl Made {
    /// Whether what the run left may still be there, where the list shows `shown`, our own writes of late (the run's among
    /// them) are `recent`, and later runs made of it `later`.
    ///
    /// The list may lag behind the run: then it shows what was there before, which is what would be gone back to. Anything
    /// else that neither was there before nor was left by the run is somebody else's.
    fn may_still_be_there(self, shown: Held, recent: Option<Written>, later: Option<Written>) -> bool {
        if later.is_some_and(|later| later.surely.is_some()) {
            return false;
        }
        // What a later run may have written is told from ours by the list, once that can show it.
        let is_later_ones = |held| later.is_some_and(|later| later.perhaps.allows(held)) && !self.left.allows(held);
        match recent {
            _ if shown == Held::Unknown => true,
            Some(_) if shown == self.before => true,
            // The list may lag behind writes before the run, too.
            Some(recent) if recent.known_earlier.allows(shown) => true,
            // A run whose write may or may not have been carried out may have left it as it was.
            _ => self.left.allows(shown) && !is_later_ones(shown),
        }
    }
}

/// What a run left behind, in the order of the requests that take it back: one for each slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftBehind(Vec<LeftOnSlot>);

#[derive(Clone, Copy, Debug)]
struct LeftOnSlot {
    made: Made,
    /// Whether nobody knows what was before, so that the request asks for what is there.
    is_unknown: bool,
    /// What later runs made of it.
    later: Option<Written>,
}

impl LeftBehind {
    /// Notes what the run made of the slot that the next request is about.
    pub(crate) fn note(&mut self, change: &SlotChange) {
        let is_unknown = change.inverse() == Inverse::Unknown;
        self.0.push(LeftOnSlot { made: change.made, is_unknown, later: None });
    }

    /// Notes what a later run changed that slot to, surely or perhaps.
    pub(crate) fn note_later(&mut self, held: Held, surely: bool) {
        let Some(LeftOnSlot { later, .. }) = self.0.last_mut() else { return };
        let later = later.get_or_insert_default();
        if surely {
            later.surely = Some(held);
        } else {
            later.perhaps = later.perhaps.or(MayHold::only(held));
        }
    }
}

/// Decides about every operation of a plan that takes a run back, each slot for itself: what is as it was before stays so,
/// whoever brought that about; what may still hold as the run left it is taken back; and what was changed since, or is to
/// go back to something that nobody knows, is left. A machine that the inventory lacks cannot be looked at; it is tried.
pub(crate) fn leave_what_changed_since(
    plan: &mut Plan,
    inventory: &Inventory,
    recent: &RecentWrites,
    left_behind: &LeftBehind,
) {
    let Plan { operations, machines, decisions, before, .. } = plan;
    for ((decision, before), operation) in decisions.iter_mut().zip(before).zip(&operations.operations) {
        let Some(id) = machines.id(operation.machine, Some(inventory)) else { continue };
        let Some(LeftOnSlot { made, is_unknown, later }) = left_behind.0.get(operation.first_request.0 as usize) else {
            continue;
        };
        let (shown, wanted) = (listed(machines, operation, Some(inventory)), operation.change.leaves());
        let written = recent.find(id, machines.requests().tag(operation.change));
        let is_ours = made.may_still_be_there(shown, written, *later);
        let held = written.map_or(shown, |written| written.over(shown, wanted));
        *decision = match is_ours {
            _ if *is_unknown => Decision::UnknownBefore,
            _ if held == wanted => Decision::Unchanged,
            true => Decision::Change,
            false => Decision::ChangedSince,
        };
        *before = if is_ours || *decision == Decision::Unchanged { held } else { shown };
    }
}

/// The words of an operation in a row: tag, action, value.
pub(crate) fn row_words(change: &Change) -> (&str, &'static str, &'static str) {
    match change {
        Change::Tag(action, tag) => (tag.as_str(), action.as_str(), ""),
        Change::DeviceValue(value) => {
            let value: DeviceValue = *value;
            ("", "SetDeviceValue", value.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::slot;

    const LOW: Held = Held::Value(DeviceValue::Low);
    const NORMAL: Held = Held::Value(DeviceValue::Normal);
    const HIGH: Held = Held::Value(DeviceValue::High);

    fn left(tag: &str, before: Held, left: &[Held]) -> SlotChange {
        let left = left.iter().fold(MayHold::NOTHING, |all, held| all.or(MayHold::only(*held)));
        SlotChange { slot: slot(1, tag), made: Made { before, left } }
    }

    #[test]
    fn what_was_there_before_stays_and_what_is_not_known_is_not_guessed() {
        let (absent, present) = (Held::Absent, Held::Present);
        let back = |words: &'static str| Some(words);
        let table = [
            (left("a", absent, &[present]), back("Remove tag \"a\"")),
            (left("a", present, &[absent]), back("Add tag \"a\"")),
            (left("", LOW, &[HIGH]), back("set device value Low")),
            // In flight when its process died: it may be there or not.
            (left("a", absent, &[absent, present]), back("Remove tag \"a\"")),
            (left("", LOW, &[LOW, NORMAL, HIGH]), back("set device value Low")),
            // Done, and taken back by a later version of the same file.
            (left("a", absent, &[absent]), None),
            (left("", HIGH, &[HIGH]), None),
        ];
        for (change, expected) in table {
            let inverse = match change.inverse() {
                Inverse::Operation(operation) => Some(operation.change.to_string()),
                Inverse::NotNeeded => None,
                Inverse::Unknown => panic!("{change:?}"),
            };
            assert_eq!(inverse.as_deref(), expected, "{change:?}");
        }
        assert_eq!(left("", Held::Unknown, &[HIGH]).inverse(), Inverse::Unknown);
        assert_eq!(left("a", Held::Unknown, &[Held::Unknown]).inverse(), Inverse::Unknown);
        let in_place = left("", Held::Unknown, &[HIGH]).left_in_place().expect("a change");
        assert_eq!(in_place.change.to_string(), "set device value High");
    }

    #[test]
    fn what_somebody_changed_since_is_told_from_a_list_that_lags_and_from_what_may_have_been_done() {
        let wrote = |surely, perhaps: &[Held]| {
            let perhaps = perhaps.iter().fold(MayHold::NOTHING, |all, held| all.or(MayHold::only(*held)));
            Some(Written { surely, perhaps, ..Written::default() })
        };
        // The run set High where Normal had been; the second may have done so.
        let (surely, perhaps) = (left("", NORMAL, &[HIGH]), left("", NORMAL, &[NORMAL, HIGH]));
        let table = [
            // (what the list shows, our writes of the last minutes, those of later runs, may still be there: surely, perhaps)
            (HIGH, None, None, true, true),
            (HIGH, wrote(Some(HIGH), &[]), None, true, true),
            (NORMAL, wrote(Some(HIGH), &[]), None, true, true),
            (NORMAL, wrote(None, &[HIGH]), None, true, true),
            (LOW, wrote(Some(HIGH), &[]), None, false, false),
            (LOW, wrote(None, &[HIGH]), None, false, false),
            // Long ago: the list shows what is so. Where the write may have come to nothing, what was there before is ours.
            (NORMAL, None, None, false, true),
            (LOW, None, None, false, false),
            (Held::Unknown, None, None, true, true),
            // A later run made something of it.
            (LOW, wrote(Some(LOW), &[]), wrote(Some(LOW), &[]), false, false),
            (HIGH, wrote(Some(LOW), &[]), wrote(Some(LOW), &[]), false, false),
            (HIGH, None, wrote(Some(HIGH), &[]), false, false),
            (Held::Unknown, None, wrote(Some(LOW), &[]), false, false),
            // A later run may have: the list tells, once it can.
            (LOW, None, wrote(None, &[LOW]), false, false),
            (HIGH, None, wrote(None, &[LOW]), true, true),
            (HIGH, wrote(None, &[LOW]), wrote(None, &[LOW]), true, true),
        ];
        for (shown, recent, later, expected_surely, expected_perhaps) in table {
            let found = [&surely, &perhaps].map(|change| change.made.may_still_be_there(shown, recent, later));
            assert_eq!(found, [expected_surely, expected_perhaps], "{shown:?} {recent:?} {later:?}");
        }
    }

    #[test]
    fn each_tag_of_a_machine_is_for_itself() {
        use crate::plan::changes::PlanSettings;
        use crate::plan::fixtures::{inventory, plan, sheet, tagged};

        // The run added A and removed B; somebody has put B back since.
        let mut left_behind = LeftBehind::default();
        left_behind.note(&left("A", Held::Absent, &[Held::Present]));
        left_behind.note(&left("B", Held::Present, &[Held::Absent]));
        let (inventory, sheet) = (inventory([tagged(1, &["A", "B"])]), sheet("#1,A,Remove,\n#1,B,Add,\n"));
        let nothing = RecentWrites::default();
        let mut plan = plan(&sheet, Some(&inventory), &nothing, PlanSettings::default());
        leave_what_changed_since(&mut plan, &inventory, &nothing, &left_behind);
        assert_eq!(plan.decisions, [Decision::Change, Decision::Unchanged], "it is as it was before");
    }
}
