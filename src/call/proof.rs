//! What a read proves about writes that were sent and never answered. Pure.
//!
//! A machine that shows what was asked for has been changed, whoever lost the answer; one that does not show it proves
//! nothing, since the write may still arrive and lists lag. So there are proofs of success here, and none of failure. What
//! surprises: a tag that stands there in another case proves nothing either way, since nobody knows whether that is the
//! same tag to the service; it may have stood there before.

use std::collections::HashMap;
use std::sync::Arc;

use super::judge::ReadAnswer;
use crate::model::MachineRecord;
use crate::model::{Change, Held, MachineId, OperationId, TagAction};

/// Operations of which nobody knows whether they took effect, by machine. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Questions(Arc<HashMap<MachineId, Vec<(OperationId, Change)>>>);

/// An operation that has taken effect, as a read showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub operation: OperationId,
    /// What holds now.
    pub after: Held,
}

impl Questions {
    /// Questions about these operations.
    pub(crate) fn new(operations: impl IntoIterator<Item = (OperationId, MachineId, Change)>) -> Self {
        let mut by_machine: HashMap<MachineId, Vec<(OperationId, Change)>> = HashMap::new();
        for (operation, machine, change) in operations {
            by_machine.entry(machine).or_default().push((operation, change));
        }
        Self(Arc::new(by_machine))
    }

    /// The machines that they are about, each once.
    pub(crate) fn machines(&self) -> impl Iterator<Item = &MachineId> {
        self.0.keys()
    }

    /// What a read's answer proves.
    pub(crate) fn proven_by(&self, answer: &ReadAnswer) -> Vec<Proof> {
        match answer {
            _ if self.0.is_empty() => Vec::new(),
            ReadAnswer::Page(page) => {
                page.machines.iter().flat_map(|machine| self.proven_by_machine(machine)).collect()
            }
            ReadAnswer::Machine(machine) => self.proven_by_machine(machine),
            ReadAnswer::NotFound => Vec::new(),
        }
    }

    fn proven_by_machine(&self, machine: &MachineRecord) -> Vec<Proof> {
        let asked = self.0.get(&MachineId::from_service(&machine.id));
        let asked = asked.into_iter().flatten().filter(|(_, change)| shows(machine, change));
        asked.map(|(operation, change)| Proof { operation: *operation, after: change.leaves() }).collect()
    }
}

/// Whether the machine shows what was asked for. What the answer leaves out shows nothing.
fn shows(machine: &MachineRecord, change: &Change) -> bool {
    match change {
        Change::Tag(action, tag) => machine.machine_tags.as_ref().is_some_and(|tags| match action {
            TagAction::Add => tags.iter().any(|shown| **shown == *tag.as_str()),
            TagAction::Remove => !tags.iter().any(|shown| tag.is_same_but_for_case(shown)),
        }),
        Change::DeviceValue(value) => {
            machine.device_value.as_ref().is_some_and(|shown| shown.eq_ignore_ascii_case(value.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::MachinePage;
    use crate::model::{DeviceValue, Tag};

    /// What was asked for; tags and value that the machine shows; whether that proves it.
    type Case<'a> = (&'a Change, Option<&'a [&'a str]>, Option<&'a str>, bool);

    fn machine(id: &str, tags: Option<&[&str]>, value: Option<&str>) -> MachineRecord {
        MachineRecord {
            id: id.into(),
            machine_tags: tags.map(|tags| tags.iter().map(|tag| (*tag).into()).collect()),
            device_value: value.map(Into::into),
            ..MachineRecord::default()
        }
    }

    #[test]
    fn only_what_a_machine_shows_is_proven() {
        let tag = || Tag::new("Tier 0").expect("a tag");
        let add = Change::Tag(TagAction::Add, tag());
        let remove = Change::Tag(TagAction::Remove, tag());
        let value = Change::DeviceValue(DeviceValue::High);
        let table: &[Case<'_>] = &[
            (&add, Some(&["x", "Tier 0"]), None, true),
            (&add, Some(&["tier 0"]), None, false),
            (&add, Some(&["tier 0", "Tier 0"]), None, true),
            (&add, Some(&["x"]), Some("High"), false),
            (&add, None, None, false),
            (&remove, Some(&[]), None, true),
            (&remove, Some(&["Tier 0"]), None, false),
            (&remove, Some(&["tier 0"]), None, false),
            (&remove, None, None, false),
            (&value, None, Some("high"), true),
            (&value, None, Some("Normal"), false),
            (&value, Some(&["High"]), None, false),
        ];
        for (change, tags, shown, expected) in table {
            assert_eq!(shows(&machine("a", *tags, *shown), change), *expected, "{change} {tags:?} {shown:?}");
        }
    }

    #[test]
    fn a_page_proves_what_its_machines_show() {
        let id = MachineId::from_service;
        let value = Change::DeviceValue(DeviceValue::Low);
        let tag = Change::Tag(TagAction::Remove, Tag::new("t").expect("a tag"));
        let questions = Questions::new([
            (OperationId(1), id("a"), value.clone()),
            (OperationId(2), id("a"), tag.clone()),
            (OperationId(3), id("b"), value),
            (OperationId(4), id("c"), tag),
        ]);
        assert_eq!(questions.machines().count(), 3);
        let low = |name| machine(name, Some(&[]), Some("Low"));
        let page = MachinePage { machines: vec![low("x"), low("a"), low("b")], ..MachinePage::default() };
        let proof = |number, after| Proof { operation: OperationId(number), after };
        let low_value = Held::Value(DeviceValue::Low);
        let expected = [proof(1, low_value), proof(2, Held::Absent), proof(3, low_value)];
        assert_eq!(questions.proven_by(&ReadAnswer::Page(page)), expected);
        assert_eq!(questions.proven_by(&ReadAnswer::Machine(Box::new(low("c")))), [proof(4, Held::Absent)]);
        assert_eq!(questions.proven_by(&ReadAnswer::NotFound), []);
        assert_eq!(Questions::default().proven_by(&ReadAnswer::Machine(Box::new(low("c")))), []);
    }
}
