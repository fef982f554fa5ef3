//! Requests to operations: what is asked for twice is done once, what contradicts itself is refused.
//!
//! A plan may hold a million operations, so each is three numbers that point into the [`Requests`].

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::resolution::{MachineNumber, Resolution};
use crate::input::Excerpt;
use crate::model::{Change, OperationId, Request, Requests, Tag, TagAction, TagNumber};

/// One change to one machine, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedOperation {
    pub machine: MachineNumber,
    /// What to make of it.
    pub change: Change<TagNumber>,
    /// The first request for it.
    pub first_request: RequestNumber,
}

/// The position of a request among [`Requests::all`], from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestNumber(pub u32);

impl RequestNumber {
    /// The request.
    #[must_use]
    pub fn of(self, requests: &Requests) -> Option<&Request> {
        requests.all.get(self.0 as usize)
    }
}

/// What requests come to.
#[derive(Debug, Default)]
pub struct Operations {
    /// The operations, in the order in which rows ask for them first; the position is the [`OperationId`].
    pub operations: Vec<PlannedOperation>,
    /// For each request the operation that answers it.
    pub of_request: Vec<OperationId>,
    /// Requests that contradict an earlier one.
    pub conflicts: Vec<Conflict>,
    /// Requests that are answered by another request's operation.
    pub repeated: u32,
}

/// Two rows that cannot both be satisfied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The request that came first.
    pub earlier: Request,
    /// The request that contradicts it.
    pub later: Request,
}

impl Operations {
    /// Works out the operations of requests whose machines were looked up.
    #[must_use]
    pub fn of(machines: &Resolution) -> Self {
        let requests = machines.requests();
        let count = requests.all.len();
        let mut plan =
            Self { operations: Vec::with_capacity(count), of_request: Vec::with_capacity(count), ..Self::default() };
        let mut known = KnownOperations::new(machines.len(), count);
        for (first_request, request) in (0_u32..).zip(&requests.all) {
            let (machine, change) = (machines.number(request.machine), request.change);
            let operation = match known.find_or_add(&plan.operations, machine, change) {
                Known::Before(operation) => {
                    plan.take_again(requests, operation, request);
                    operation
                }
                Known::New(operation) => {
                    let first_request = RequestNumber(first_request);
                    plan.operations.push(PlannedOperation { machine, change, first_request });
                    operation
                }
            };
            plan.of_request.push(OperationId(operation));
        }
        plan.refuse_case_variants(requests);
        plan
    }

    /// Finds tags of one machine that are added as well as removed and differ in nothing but case: the service may take them
    /// for one.
    fn refuse_case_variants(&mut self, requests: &Requests) {
        let case_keys: Vec<String> = requests.tags.iter().map(Tag::case_key).collect();
        let mut spellings: HashMap<&str, u32> = HashMap::new();
        for tag in &case_keys {
            *spellings.entry(tag).or_default() += 1;
        }
        spellings.retain(|_, count| *count > 1);
        if spellings.is_empty() {
            return;
        }
        let mut known: HashMap<(MachineNumber, &str), Vec<PlannedOperation>> = HashMap::new();
        for operation in &self.operations {
            let Change::Tag(action, tag) = operation.change else { continue };
            let tag = case_keys.get(tag.0 as usize).map(String::as_str).filter(|tag| spellings.contains_key(tag));
            let Some(tag) = tag else { continue };
            let earlier = known.entry((operation.machine, tag)).or_default();
            let contradicted =
                earlier.iter().find(|other| matches!(other.change, Change::Tag(other, _) if other != action));
            let request = |of: &PlannedOperation| of.first_request.of(requests).copied();
            if let Some((earlier, later)) = contradicted.and_then(|other| Some((request(other)?, request(operation)?)))
            {
                self.conflicts.push(Conflict { earlier, later });
            }
            earlier.push(*operation);
        }
    }

    fn take_again(&mut self, requests: &Requests, operation: u32, later: &Request) {
        let Some(planned) = self.operations.get(operation as usize) else { return };
        if planned.change == later.change {
            self.repeated += 1;
        } else if let Some(earlier) = planned.first_request.of(requests) {
            self.conflicts.push(Conflict { earlier: *earlier, later: *later });
        }
    }
}

/// What can hold only one of several changes: a tag on a machine, or its device value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Slot {
    machine: MachineNumber,
    tag: Option<TagNumber>,
}

impl Slot {
    fn of(machine: MachineNumber, change: Change<TagNumber>) -> Self {
        Self { machine, tag: change.tag().copied() }
    }
}

/// Finds the operation of a slot.
///
/// Nearly every machine has a handful of operations, so those hang on a chain of their own, which mostly lies in the
/// processor's cache; a table of all operations would be a wait for memory each. Only what a machine has beyond
/// [`LONGEST_CHAIN`] is in a table.
struct KnownOperations {
    /// For each machine the newest operation of its chain.
    newest: Vec<u32>,
    /// For each operation the next older one of its chain.
    older: Vec<u32>,
    others: HashTable<u32>,
    hasher: FixedState,
}

/// The longest chain of a machine.
const LONGEST_CHAIN: u32 = 8;
/// No operation has this number: the limit on rows is lower.
const NO_OPERATION: u32 = u32::MAX;

enum Known {
    Before(u32),
    New(u32),
}

impl KnownOperations {
    fn new(machines: usize, requests: usize) -> Self {
        Self {
            newest: vec![NO_OPERATION; machines],
            older: Vec::with_capacity(requests),
            others: HashTable::new(),
            hasher: FixedState::default(),
        }
    }

    /// The operation of the slot that this change fills; a new one gets the next number, and is to be added to
    /// `operations` by the caller.
    fn find_or_add(
        &mut self,
        operations: &[PlannedOperation],
        machine: MachineNumber,
        change: Change<TagNumber>,
    ) -> Known {
        let slot = Slot::of(machine, change);
        let slot_of =
            |operation: u32| operations.get(operation as usize).map(|known| Slot::of(known.machine, known.change));
        let next = u32::try_from(operations.len()).unwrap_or(NO_OPERATION);
        let newest = self.newest.get(machine.0 as usize).copied().unwrap_or(NO_OPERATION);
        let (mut operation, mut length) = (newest, 0);
        while operation != NO_OPERATION {
            if slot_of(operation) == Some(slot) {
                return Known::Before(operation);
            }
            operation = self.older.get(operation as usize).copied().unwrap_or(NO_OPERATION);
            length += 1;
        }
        if length < LONGEST_CHAIN {
            self.older.push(newest);
            if let Some(newest) = self.newest.get_mut(machine.0 as usize) {
                *newest = next;
            }
            return Known::New(next);
        }
        let hasher = &self.hasher;
        let entry = self.others.entry(
            hasher.hash_one(slot),
            |known| slot_of(*known) == Some(slot),
            |known| slot_of(*known).map_or(0, |slot| hasher.hash_one(slot)),
        );
        match entry {
            Entry::Occupied(known) => Known::Before(*known.get()),
            Entry::Vacant(place) => {
                place.insert(next);
                self.older.push(NO_OPERATION);
                Known::New(next)
            }
        }
    }
}

impl Conflict {
    /// The tag of the earlier request, if it is not written as that of the later one.
    fn other_spelling(&self, requests: &Requests) -> Option<String> {
        let is_other = self.earlier.change.tag() != self.later.change.tag();
        let earlier = requests.tag(self.earlier.change).filter(|_| is_other)?;
        Some(Excerpt::new(earlier.as_str()).to_string())
    }

    /// Says what contradicts what, and where.
    #[must_use]
    pub fn describe(&self, requests: &Requests) -> String {
        let Self { earlier, later } = self;
        let machine = requests.machine(later.machine).map(ToString::to_string).unwrap_or_default();
        let place = format!("row {}, line {}", earlier.row, earlier.line);
        let what = match (earlier.change, later.change) {
            (Change::DeviceValue(earlier), Change::DeviceValue(later)) => {
                format!("sets the device value {later}, and {place}, sets {earlier}")
            }
            (_, Change::Tag(action, _)) => {
                let tag = requests.tag(later.change).map(|tag| Excerpt::new(tag.as_str()).to_string());
                let (this, other) = match action {
                    TagAction::Add => ("adds", "removes"),
                    TagAction::Remove => ("removes", "adds"),
                };
                let tag = tag.unwrap_or_default();
                match self.other_spelling(requests) {
                    Some(spelling) => format!(
                        "{this} the tag \"{tag}\", and {place}, {other} \"{spelling}\", which the service may take for the same"
                    ),
                    None => format!("{this} the tag \"{tag}\", and {place}, {other} it"),
                }
            }
            (Change::Tag(..), Change::DeviceValue(_)) => format!("contradicts {place}"),
        };
        let machine = Excerpt::new(&machine);
        format!("row {}, line {}: {what}, on machine {machine}; keep one of them", later.row, later.line)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::input::{Accepted, InputOptions, Sheet, read};

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn sheet(rows: &str) -> Sheet {
        let text = format!("machineId,tag,action,value\n{rows}");
        read(text.as_bytes(), &InputOptions { accepted: Accepted::ALL, ..InputOptions::default() }).expect("an input")
    }

    fn operations(sheet: &Sheet) -> Operations {
        Operations::of(&Resolution::of(&sheet.requests, None))
    }

    fn operations_of(plan: &Operations) -> Vec<u32> {
        plan.of_request.iter().map(|operation| operation.0).collect()
    }

    #[test]
    fn the_same_operation_twice_is_done_once_and_answers_both_rows() {
        let sheet =
            sheet(&format!("{ONE},a,Add,High\n{TWO},a,Add,\n{},a,add,HIGH\n{ONE},A,Add,\n", ONE.to_uppercase()));
        let plan = operations(&sheet);
        assert_eq!(operations_of(&plan), [0, 1, 2, 0, 1, 3]);
        assert_eq!((plan.operations.len(), plan.repeated, plan.conflicts.len()), (4, 2, 0));
    }

    #[test]
    fn a_contradiction_names_both_places() {
        let sheet = sheet(&format!("{ONE},a,Add,\n{TWO},a,Remove,\n\n{ONE},a,Remove,\n{ONE},,,Low\n{ONE},,Set,High\n"));
        let described: Vec<String> =
            operations(&sheet).conflicts.iter().map(|conflict| conflict.describe(&sheet.requests)).collect();
        insta::assert_snapshot!(described.join("\n"), @r#"
        row 3, line 5: removes the tag "a", and row 1, line 2, adds it, on machine 1111111111111111111111111111111111111111; keep one of them
        row 5, line 7: sets the device value High, and row 4, line 6, sets Low, on machine 1111111111111111111111111111111111111111; keep one of them
        "#);
    }

    #[test]
    fn tags_that_differ_in_case_only_are_two_unless_one_is_added_and_the_other_removed() {
        let sheet = sheet(&format!(
            "{ONE},vip,Add,\n{ONE},VIP,Add,\n{TWO},vip,Add,\n{ONE},other,Remove,\n{TWO},Vip,Remove,\n{ONE},ViP,Remove,\n"
        ));
        let plan = operations(&sheet);
        assert_eq!(plan.operations.len(), 6);
        let described: Vec<String> = plan.conflicts.iter().map(|conflict| conflict.describe(&sheet.requests)).collect();
        insta::assert_snapshot!(described.join("\n"), @r#"
        row 5, line 6: removes the tag "Vip", and row 3, line 4, adds "vip", which the service may take for the same, on machine 2222222222222222222222222222222222222222; keep one of them
        row 6, line 7: removes the tag "ViP", and row 1, line 2, adds "vip", which the service may take for the same, on machine 1111111111111111111111111111111111111111; keep one of them
        "#);
    }

    proptest! {
        #[test]
        fn every_request_has_the_operation_it_asks_for_and_none_stands_twice(
            rows in proptest::collection::vec((0_u8..4, 0_u8..30, any::<bool>(), 0_u8..4), 0..300),
        ) {
            let values = ["", "Low", "Normal", "High"];
            let mut text = String::new();
            for (machine, tag, add, value) in &rows {
                let action = if *add { "Add" } else { "Remove" };
                let value = values[*value as usize];
                writeln!(text, "{machine:040x},t{tag},{action},{value}").expect("text");
            }
            let sheet = sheet(&text);
            let plan = operations(&sheet);
            prop_assert_eq!(plan.of_request.len(), sheet.requests.all.len());
            let mut slots: BTreeMap<(MachineNumber, Option<TagNumber>), Change<TagNumber>> = BTreeMap::new();
            let mut distinct = BTreeSet::new();
            let mut contradictions = 0;
            for (request, operation) in sheet.requests.all.iter().zip(&plan.of_request) {
                let slot = Slot::of(MachineNumber(request.machine.0), request.change);
                let first = *slots.entry((slot.machine, slot.tag)).or_insert(request.change);
                distinct.insert((slot.machine, slot.tag));
                contradictions += usize::from(first != request.change);
                let planned = plan.operations[operation.0 as usize];
                prop_assert_eq!((planned.machine, planned.change), (slot.machine, first));
            }
            prop_assert_eq!(plan.operations.len(), distinct.len());
            prop_assert_eq!(plan.conflicts.len(), contradictions);
        }
    }
}
