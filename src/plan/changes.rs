//! What would have to be done: which operations change something, which are already set, which cannot be done.
//!
//! Decided before the first write, from the inventory and our own recent writes. Tags compare exactly: of a tag that stands
//! there in another case nothing is known, since the service may take the two for one, so the service is asked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub(crate) use super::decision::Decision;
use super::decision::Earlier;
use super::guard::Guard;
use super::holding_back::{Weighed, hold_back};
use super::operations::{Operations, PlannedOperation};
use super::recent::{Held, RecentWrites};
use super::resolution::{MachineNumber, NameFailure, Resolution, ResolvedMachine};
use crate::inventory::{Inventory, ListedMachine, MachinePosition};
use crate::model::{
    Change, ChangeKind, MachineId, MachineReference, Operation, ReferenceNumber, Requests, Slot, Tag, TagAction,
    TagNumber,
};

/// What to do with machines that the inventory lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum UnlistedPolicy {
    /// Try them last.
    #[default]
    Try,
    /// Fail them without a call.
    Fail,
}

/// What a plan is made with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlanSettings {
    /// What to do with machines that the inventory lacks.
    pub unlisted: UnlistedPolicy,
    /// Only so many operations that change something are sent.
    pub limit: Option<u32>,
    /// Removals beyond its bound are withheld.
    pub guard: Guard,
}

/// A plan: every operation with what is decided about it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub operations: Arc<Operations>,
    /// The machines, and what is asked of them.
    pub machines: Resolution,
    /// For each operation what is decided.
    pub decisions: Vec<Decision>,
    /// For each operation what held before.
    pub before: Vec<Held>,
    /// How many of the changes are about tags that stand there, or may stand there, in another case.
    pub case_variants: u64,
}

impl Plan {
    /// Decides about every operation. Nothing is held back yet.
    pub(crate) fn of(
        operations: Arc<Operations>,
        machines: Resolution,
        inventory: Option<&Inventory>,
        recent: &RecentWrites,
        unlisted: UnlistedPolicy,
    ) -> Self {
        let mut decisions = Vec::with_capacity(operations.operations.len());
        let mut before = Vec::with_capacity(operations.operations.len());
        let mut case_variants = 0;
        let unmade_adds = unmade_adds(&machines, inventory);
        for operation in &operations.operations {
            let shown = shown(&machines, operation, inventory, recent);
            let held = shown.held();
            let mut decision = decide(&machines, operation, held, unlisted);
            let is_remove = operation.change.kind() == ChangeKind::Remove;
            if decision == Decision::Change && is_remove && !unmade_adds.is_empty() {
                let machine = machines.id(operation.machine, inventory);
                if machine.is_some_and(|machine| unmade_adds.contains(machine)) {
                    decision = Decision::AddInError;
                }
            }
            case_variants += u64::from(decision == Decision::Change && shown == Shown::CaseVariant);
            decisions.push(decision);
            before.push(match held {
                Held::Unknown => proven(&machines, operation, inventory, recent),
                known => known,
            });
        }
        Self { operations, machines, decisions, before, case_variants }
    }

    /// The plan of a new run: what guard and limit do not allow, of this list of machines, is held back.
    pub(crate) fn held_back(mut self, settings: PlanSettings, inventory: Option<&Inventory>) -> Self {
        let listed = inventory.map_or(0, |inventory| inventory.len() as u64);
        self.hold_back(settings, listed, |_| Earlier::NotSent);
        self
    }

    /// Holds back what guard and limit do not allow, of a list of so many machines. By its number `earlier` tells of an
    /// operation how far it had come. A removal that only makes room for another tag is none for the guard.
    pub(super) fn hold_back(&mut self, settings: PlanSettings, listed: u64, earlier: impl Fn(usize) -> Earlier) {
        let Self { operations, machines, decisions, before, .. } = self;
        let Requests { tags, exchanges, .. } = &**machines.requests();
        let operations = operations.operations.iter().zip(before.iter()).enumerate();
        let weigh = |(number, (operation, held)): (usize, (&PlannedOperation, &Held))| Weighed {
            machine: operation.machine,
            kind: operation.change.kind(),
            takes_off: match operation.change {
                Change::Tag(TagAction::Remove, tag) => tags.get(tag.0 as usize),
                _ => None,
            }
            .filter(|_| exchanges.binary_search(&operation.first_request.0).is_err()),
            held: *held,
            earlier: earlier(number),
            is_left: false,
        };
        hold_back(decisions, operations.map(&weigh), settings.guard, listed, settings.limit);
    }

    /// Every operation with what is decided about it and what held before.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PlannedOperation, Decision, Held)> {
        let decided = self.decisions.iter().zip(&self.before);
        self.operations
            .operations
            .iter()
            .zip(decided)
            .map(|(operation, (decision, held))| (operation, *decision, *held))
    }

    /// How many operations have this decision.
    pub(crate) fn count(&self, decision: Decision) -> u64 {
        self.decisions.iter().filter(|known| **known == decision).count() as u64
    }

    /// Whether the inventory was read and lacks this machine.
    pub(crate) fn is_unlisted(&self, machine: MachineNumber) -> bool {
        matches!(self.machines.machine(machine), Some(ResolvedMachine::Unlisted(_)))
    }

    /// What is asked for.
    pub(crate) fn requests(&self) -> &Requests {
        self.machines.requests()
    }

    /// For each machine whether it is to have some tags and not others: then its removes wait for its adds, since tags
    /// drive device groups and a machine must not fall out of both. What is already set counts, too: a run that is gone on
    /// with may find that it is not so any more.
    pub(crate) fn swap_machines(&self) -> Vec<bool> {
        const ADDS: u8 = 1;
        const REMOVES: u8 = 2;
        let mut seen = vec![0_u8; self.machines.len()];
        for (operation, decision, _) in self.iter() {
            let mark = match operation.change.kind() {
                // What was put back by somebody, or stays, is not waited for.
                _ if decision.leaves_it() => 0,
                ChangeKind::Add => ADDS,
                ChangeKind::Remove => REMOVES,
                ChangeKind::DeviceValue => 0,
            };
            if let Some(seen) = seen.get_mut(operation.machine.0 as usize) {
                *seen |= mark;
            }
        }
        seen.into_iter().map(|marks| marks == ADDS | REMOVES).collect()
    }

    /// The calls that the changes take.
    pub(crate) fn calls(&self, batch_limit: usize) -> CallsNeeded {
        let mut groups: HashMap<(Change<TagNumber>, bool), u64> = HashMap::new();
        for (operation, decision, _) in self.iter() {
            if decision == Decision::Change {
                *groups.entry((operation.change, self.is_unlisted(operation.machine))).or_default() += 1;
            }
        }
        let mut calls = CallsNeeded::default();
        for ((change, unlisted), machines) in groups {
            calls.add(change.kind(), unlisted, machines, batch_limit);
        }
        calls
    }
}

/// The calls that a plan takes, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallsNeeded {
    /// Bulk calls.
    pub bulk: u64,
    /// Single tag calls.
    pub tags: u64,
    /// Device value calls.
    pub value: u64,
    /// The most calls that machines which the inventory lacks can take; those above hold what they take if all goes well.
    pub unlisted_worst_case: u64,
    /// What they take if all goes well.
    pub unlisted: u64,
}

impl CallsNeeded {
    fn add(&mut self, kind: ChangeKind, unlisted: bool, machines: u64, batch_limit: usize) {
        let limit = (batch_limit as u64).max(1);
        if kind == ChangeKind::DeviceValue {
            self.value += machines;
            self.unlisted += if unlisted { machines } else { 0 };
            self.unlisted_worst_case += if unlisted { machines } else { 0 };
            return;
        }
        let rest_is_alone = limit == 1 || machines % limit == 1;
        let calls = machines.div_ceil(limit);
        let alone = if limit == 1 { machines } else { u64::from(rest_is_alone) };
        self.tags += alone;
        self.bulk += calls - alone;
        if unlisted {
            self.unlisted += calls;
            self.unlisted_worst_case +=
                if limit == 1 { machines } else { super::isolation::worst_case_calls(machines, limit) };
        }
    }
}

/// The machines to which rows in error would add a tag, as far as they are known, and those of which a row that adds one
/// names several at once.
fn unmade_adds(machines: &Resolution, inventory: Option<&Inventory>) -> HashSet<MachineId> {
    let Requests { all, unmade_adds, .. } = &**machines.requests();
    let adds = all.iter().filter(|request| matches!(request.change, Change::Tag(TagAction::Add, _)));
    // Many rows may name the same machines, and very many machines may bear one name.
    let added_to: HashSet<ReferenceNumber> = adds.map(|request| request.machine).collect();
    let ambiguous = added_to.into_iter().filter_map(|named| match machines.failure(named)? {
        NameFailure::Several(candidates) => Some(candidates.as_slice()),
        NameFailure::NoMatch(_) => None,
    });
    let listed = |positions: &[MachinePosition]| -> Vec<MachineId> {
        positions.iter().filter_map(|position| Some(inventory?.machine(*position)?.id().clone())).collect()
    };
    let in_error: HashSet<&MachineReference> = unmade_adds.iter().collect();
    let in_error = in_error.into_iter().map(|reference| match (reference, inventory) {
        (MachineReference::Id(id), _) => vec![id.clone()],
        (MachineReference::Entra(device), Some(inventory)) => listed(inventory.find_entra(*device).positions()),
        (MachineReference::Name(name), Some(inventory)) => listed(inventory.find_name(name).positions()),
        (_, None) => Vec::new(),
    });
    let mut ids: HashSet<MachineId> = in_error.flatten().collect();
    if machines.names_unresolved() > 0 {
        ids.extend(ambiguous.flat_map(listed));
    }
    ids
}

/// What is shown of the tag or value that an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Held(Held),
    /// A tag that differs in nothing but case: the service may take it for the one that is meant.
    CaseVariant,
}

impl Shown {
    const fn held(self) -> Held {
        match self {
            Self::Held(held) => held,
            Self::CaseVariant => Held::Unknown,
        }
    }
}

/// What the inventory shows of the tag or value that an operation is about.
pub(crate) fn listed(machines: &Resolution, operation: &PlannedOperation, inventory: Option<&Inventory>) -> Held {
    shown_by_list(machines, operation, inventory).held()
}

/// The tag on an operation's machine that differs in nothing but case from the one it is about, where that is not there.
pub(crate) fn listed_in_another_case<'i>(
    machines: &Resolution,
    operation: &PlannedOperation,
    inventory: &'i Inventory,
) -> Option<&'i str> {
    let Some(ResolvedMachine::Listed(position)) = machines.machine(operation.machine) else { return None };
    let tag = machines.requests().tag(operation.change)?;
    let machine = inventory.machine(*position).filter(|machine| machine.has_tag(tag.as_str()) == Some(false))?;
    machine.tags().find(|other| tag.is_case_variant_of(other))
}

fn shown_by_list(machines: &Resolution, operation: &PlannedOperation, inventory: Option<&Inventory>) -> Shown {
    let Some(ResolvedMachine::Listed(position)) = machines.machine(operation.machine) else {
        return Shown::Held(Held::Unknown);
    };
    let machine = inventory.and_then(|inventory| inventory.machine(*position));
    shown_on(machine, machines.requests().tag(operation.change))
}

/// What the inventory shows on a machine: of a tag, or of the device value.
fn shown_on(machine: Option<ListedMachine<'_>>, tag: Option<&Tag>) -> Shown {
    let nothing = Shown::Held(Held::Unknown);
    let Some(machine) = machine else { return nothing };
    match tag {
        Some(tag) => match machine.has_tag(tag.as_str()) {
            Some(true) => Shown::Held(Held::Present),
            Some(false) if machine.tags().any(|other| tag.is_case_variant_of(other)) => Shown::CaseVariant,
            Some(false) => Shown::Held(Held::Absent),
            None => nothing,
        },
        None => Shown::Held(machine.device_value().map_or(Held::Unknown, Held::Value)),
    }
}

/// What is known before the first write: what the inventory shows, and over it what we wrote of late.
fn shown(
    machines: &Resolution,
    operation: &PlannedOperation,
    inventory: Option<&Inventory>,
    recent: &RecentWrites,
) -> Shown {
    if inventory.is_none() {
        return Shown::Held(Held::Unknown);
    }
    let shown = shown_by_list(machines, operation, inventory);
    let Some(id) = machines.id(operation.machine, inventory).filter(|_| !recent.is_empty()) else {
        return shown;
    };
    after_our_writes(shown, operation.change.leaves(), id, machines.requests().tag(operation.change), recent)
}

/// What the list proves to be there by a write of ours that was in doubt; nothing is known where it does not. The service
/// is asked all the same.
fn proven(
    machines: &Resolution,
    operation: &PlannedOperation,
    inventory: Option<&Inventory>,
    recent: &RecentWrites,
) -> Held {
    let Some(id) = machines.id(operation.machine, inventory) else { return Held::Unknown };
    let written = recent.find(id, machines.requests().tag(operation.change));
    written.map_or(Held::Unknown, |written| written.proven(listed(machines, operation, inventory)))
}

/// The same of an operation that is stored.
pub(crate) fn proven_today(operation: &Operation, inventory: &Inventory, recent: &RecentWrites) -> Held {
    let Slot { machine, tag } = operation.slot();
    let written = recent.find(&machine, tag.as_ref());
    written.map_or(Held::Unknown, |written| written.proven(shown_on(inventory.look_up(&machine), tag.as_ref()).held()))
}

/// What is known today of the slot of an operation, by the inventory and over it our own writes of late.
pub(crate) fn held_today(operation: &Operation, inventory: &Inventory, recent: &RecentWrites) -> Held {
    let Slot { machine, tag } = operation.slot();
    let shown = shown_on(inventory.look_up(&machine), tag.as_ref());
    after_our_writes(shown, operation.change.leaves(), &machine, tag.as_ref(), recent).held()
}

/// The same for an operation that was carried out: its outcome is not given up without reason.
pub(crate) fn outcome_today(operation: &Operation, inventory: &Inventory, recent: &RecentWrites) -> Held {
    let Slot { machine, tag } = operation.slot();
    match recent.find(&machine, tag.as_ref()) {
        Some(written) => {
            let shown = shown_on(inventory.look_up(&machine), tag.as_ref()).held();
            written.outcome_over(shown, operation.change.leaves())
        }
        None => held_today(operation, inventory, recent),
    }
}

fn after_our_writes(shown: Shown, wanted: Held, id: &MachineId, tag: Option<&Tag>, recent: &RecentWrites) -> Shown {
    match recent.find(id, tag) {
        Some(written) => Shown::Held(written.over(shown.held(), wanted)),
        None if tag.is_some_and(|tag| {
            shown != Shown::Held(Held::Present) && recent.case_variants(id, tag).next().is_some()
        }) =>
        {
            Shown::CaseVariant
        }
        None => shown,
    }
}

fn decide(machines: &Resolution, operation: &PlannedOperation, held: Held, unlisted: UnlistedPolicy) -> Decision {
    match machines.machine(operation.machine) {
        None | Some(ResolvedMachine::Unresolved(_)) => Decision::Unresolved,
        Some(ResolvedMachine::Unlisted(_)) if unlisted == UnlistedPolicy::Fail => Decision::NotInInventory,
        Some(_) if held == operation.change.leaves() => Decision::Unchanged,
        Some(_) => Decision::Change,
    }
}

#[cfg(test)]
mod tests;
