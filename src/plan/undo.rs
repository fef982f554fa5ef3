//! What takes a run back: for everything that it changed, the change to what was before.
//!
//! Decided from the stored before and after alone. What was so before the run is not touched; what a later run or somebody
//! else has changed since is left as it is, since nobody can tell whose wish counts.

use std::collections::HashMap;

use super::changes::{Decision, Plan, listed, machine_id, tag_of, wanted};
use super::recent::{Held, RecentWrites};
use crate::input::Sheet;
use crate::inventory::Inventory;
use crate::model::{Change, DeviceValue, MachineId, Operation, Tag, TagAction};

/// A change that a run made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeChange {
    /// What was done.
    pub operation: Operation,
    /// What held before.
    pub before: Held,
}

/// What takes a change back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inverse {
    /// This does.
    Operation(Operation),
    /// Nothing has to: it was so before.
    NotNeeded,
    /// Nobody knows what was before.
    Unknown,
}

/// What takes a change back.
#[must_use]
pub fn inverse(made: &MadeChange) -> Inverse {
    let change = match (&made.operation.change, made.before) {
        (_, Held::Unknown) => return Inverse::Unknown,
        (Change::Tag(TagAction::Add, tag), Held::Absent) => Change::Tag(TagAction::Remove, tag.clone()),
        (Change::Tag(TagAction::Remove, tag), Held::Present) => Change::Tag(TagAction::Add, tag.clone()),
        (Change::DeviceValue(value), Held::Value(before)) if before != *value => Change::DeviceValue(before),
        _ => return Inverse::NotNeeded,
    };
    Inverse::Operation(Operation { machine: made.operation.machine.clone(), change })
}

/// What a run left behind, by machine and tag, or machine and device value.
#[derive(Clone, Debug, Default)]
pub struct LeftBehind(HashMap<(MachineId, Option<Tag>), Held>);

impl LeftBehind {
    /// Notes what an operation left.
    pub fn note(&mut self, operation: &Operation) {
        let (tag, held) = match &operation.change {
            Change::Tag(TagAction::Add, tag) => (Some(tag.clone()), Held::Present),
            Change::Tag(TagAction::Remove, tag) => (Some(tag.clone()), Held::Absent),
            Change::DeviceValue(value) => (None, Held::Value(*value)),
        };
        self.0.insert((operation.machine.clone(), tag), held);
    }

    /// Forgets what a later run has changed.
    pub fn forget(&mut self, machine: &MachineId, tag: Option<&Tag>) {
        self.0.remove(&(machine.clone(), tag.cloned()));
    }

    fn find(&self, machine: &MachineId, tag: Option<&Tag>) -> Option<Held> {
        self.0.get(&(machine.clone(), tag.cloned())).copied()
    }
}

/// Decides about every operation of a plan that takes a run back: what still holds as the run left it is taken back, and
/// what was changed since is left. A machine that the inventory lacks cannot be looked at; it is tried.
pub fn leave_what_changed_since(
    plan: &mut Plan,
    sheet: &Sheet,
    inventory: &Inventory,
    recent: &RecentWrites,
    left_behind: &LeftBehind,
) {
    let mut decisions = std::mem::take(&mut plan.decisions);
    let mut before = std::mem::take(&mut plan.before);
    for ((decision, before), operation) in decisions.iter_mut().zip(&mut before).zip(&plan.operations.operations) {
        let Some(id) = machine_id(&plan.machines, operation.machine, Some(inventory)) else { continue };
        let tag = tag_of(sheet, operation);
        let shown = listed(sheet, &plan.machines, operation, Some(inventory));
        let written = recent.find(id, tag);
        let still_holds =
            left_behind.find(id, tag).is_some_and(|left| holds_still(left, shown, written, wanted(operation)));
        *decision = if still_holds { Decision::Change } else { Decision::ChangedSince };
        *before = match written {
            Some(held) if still_holds => held,
            _ => shown,
        };
    }
    plan.decisions = decisions;
    plan.before = before;
}

/// Whether what a run left is still there. The list may lag behind a write of ours: then it shows what was before, which
/// is what would be gone back to; anything else that it shows was done by somebody else.
fn holds_still(left: Held, shown: Held, written: Option<Held>, gone_back_to: Held) -> bool {
    match written {
        _ if shown == left || shown == Held::Unknown => {
            written.is_none_or(|held| held == left || held == Held::Unknown)
        }
        Some(held) => (held == left || held == Held::Unknown) && shown == gone_back_to,
        None => false,
    }
}

/// The words of an operation in a row: tag, action, value.
#[must_use]
pub fn row_words(change: &Change) -> (&str, &'static str, &'static str) {
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

    #[test]
    fn what_was_so_before_stays() {
        let machine = MachineId::from_service("m");
        let tag = Tag::new("a").expect("a tag");
        let made = |change: &Change, before| MadeChange {
            operation: Operation { machine: machine.clone(), change: change.clone() },
            before,
        };
        let back = |change: Change| Inverse::Operation(Operation { machine: machine.clone(), change });
        let add = Change::Tag(TagAction::Add, tag.clone());
        let remove = Change::Tag(TagAction::Remove, tag);
        let high = Change::DeviceValue(DeviceValue::High);
        let table = [
            (&add, Held::Absent, back(remove.clone())),
            (&add, Held::Present, Inverse::NotNeeded),
            (&add, Held::Unknown, Inverse::Unknown),
            (&remove, Held::Present, back(add.clone())),
            (&remove, Held::Absent, Inverse::NotNeeded),
            (&high, Held::Value(DeviceValue::Low), back(Change::DeviceValue(DeviceValue::Low))),
            (&high, Held::Value(DeviceValue::High), Inverse::NotNeeded),
        ];
        for (change, before, expected) in table {
            assert_eq!(inverse(&made(change, before)), expected, "{change} {before:?}");
        }
    }

    #[test]
    fn what_somebody_changed_since_is_told_from_a_list_that_lags() {
        let (low, normal, high) = [DeviceValue::Low, DeviceValue::Normal, DeviceValue::High].map(Held::Value).into();
        // The run set High where Normal had been.
        let table = [
            // (what the list shows, our own write of the last minutes, still so)
            (high, None, true),
            (high, Some(high), true),
            (normal, Some(high), true),
            (low, Some(high), false),
            (normal, None, false),
            (low, None, false),
            (high, Some(low), false),
            (Held::Unknown, None, true),
            (normal, Some(Held::Unknown), true),
        ];
        for (shown, written, expected) in table {
            assert_eq!(holds_still(high, shown, written, normal), expected, "{shown:?} {written:?}");
        }
    }
}
