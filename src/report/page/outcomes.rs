//! What became of the operations: over time, by tag and action, by machine group, by platform.

use std::collections::HashMap;
use std::hash::Hash;

use super::span::{BINS, Span};
use crate::model::{Change, Status, TagNumber};
use crate::store::{MachineKind, OperationRecord};

/// What is shown of a breakdown, before the others.
const SHOWN: usize = 10;
/// What operations can come to, the best first.
pub(super) const STATUSES: [Status; 5] =
    [Status::Succeeded, Status::Unchanged, Status::Failed, Status::Unknown, Status::NotAttempted];

/// How many operations came to what, as [`STATUSES`] has it.
pub(super) type Counts = [u64; STATUSES.len()];

/// The operations of a run, counted.
#[derive(Clone, Debug)]
pub(super) struct Outcomes {
    span: Span,
    pub(super) all: Counts,
    /// Operations that were done by calls, in each piece of the span.
    done: Vec<u64>,
    /// Operations that calls were made for, or are to be.
    pub(super) for_calls: u64,
    of_changes: HashMap<Change<TagNumber>, Counts>,
    /// By the number of the machine's kind.
    of_kinds: Vec<Counts>,
    of_no_kind: Counts,
}

/// A part of the operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<Name> {
    /// What they have in common; `None` for what is not known of them.
    pub(super) name: Name,
    pub(super) counts: Counts,
}

/// The largest parts, and the others in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Breakdown<Name> {
    pub(super) parts: Vec<Part<Name>>,
    /// How many others there are, and their operations.
    pub(super) others: Option<(usize, Counts)>,
}

impl Outcomes {
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            all: Counts::default(),
            done: vec![0; BINS],
            for_calls: 0,
            of_changes: HashMap::new(),
            of_kinds: Vec::new(),
            of_no_kind: Counts::default(),
        }
    }

    pub(super) fn take(&mut self, operation: &OperationRecord) {
        let Some(status) = STATUSES.iter().position(|status| *status == operation.status) else { return };
        let add = |counts: &mut Counts| counts.iter_mut().skip(status).take(1).for_each(|count| *count += 1);
        add(&mut self.all);
        add(self.of_changes.entry(operation.change).or_default());
        match operation.machine_kind.map(|kind| kind as usize) {
            Some(kind) => {
                if self.of_kinds.len() <= kind {
                    self.of_kinds.resize(kind + 1, Counts::default());
                }
                self.of_kinds.get_mut(kind).map(add).unwrap_or_default();
            }
            None => add(&mut self.of_no_kind),
        }
        if operation.is_for_calls {
            self.for_calls += 1;
            if let Some(at) = operation.finished_at {
                let bin = self.span.bin(at.as_microsecond());
                self.done.iter_mut().skip(bin).take(1).for_each(|count| *count += 1);
            }
        }
    }

    /// How many operations were done by calls at the end of each piece of the span.
    pub(super) fn course(&self) -> Vec<u64> {
        let mut all = 0;
        let sum = |done: &u64| {
            all += done;
            all
        };
        self.done.iter().map(sum).collect()
    }

    pub(super) fn by_change(&self) -> Breakdown<Change<TagNumber>> {
        largest(self.of_changes.iter().map(|(change, counts)| Part { name: *change, counts: *counts }).collect())
    }

    /// By what the machines have in common; `None` where that was never noted.
    pub(super) fn by_kind(
        &self,
        kinds: &[MachineKind],
        name: impl Fn(&MachineKind) -> Option<&String>,
    ) -> Option<Breakdown<Option<String>>> {
        if kinds.is_empty() {
            return None;
        }
        let named = self.of_kinds.iter().enumerate().map(|(kind, counts)| (kinds.get(kind).and_then(&name), counts));
        let mut counted: HashMap<Option<&String>, Counts> = HashMap::new();
        for (name, counts) in named.chain([(None, &self.of_no_kind)]) {
            let all = counted.entry(name).or_default();
            all.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
        }
        let parts = counted.into_iter().map(|(name, counts)| Part { name: name.cloned(), counts });
        Some(largest(parts.collect()))
    }
}

fn largest<Name: Ord + Hash>(mut parts: Vec<Part<Name>>) -> Breakdown<Name> {
    parts.retain(|part| part.counts != Counts::default());
    parts.sort_by(|one, other| {
        let total = |part: &Part<Name>| part.counts.iter().sum::<u64>();
        total(other).cmp(&total(one)).then_with(|| one.name.cmp(&other.name))
    });
    // One other takes no more room by itself.
    let rest = if parts.len() > SHOWN + 1 { parts.split_off(SHOWN) } else { Vec::new() };
    let others = (!rest.is_empty()).then(|| {
        let mut counts = Counts::default();
        for part in &rest {
            counts.iter_mut().zip(part.counts).for_each(|(all, count)| *all += count);
        }
        (rest.len(), counts)
    });
    Breakdown { parts, others }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{DeviceValue, TagAction};

    fn operations() -> (Outcomes, Vec<OperationRecord>) {
        let moment = |second: i64| Timestamp::from_second(second).expect("a moment");
        let mut random = fastrand::Rng::with_seed(7);
        let mut outcomes = Outcomes::new(Span::new(moment(0), moment(640)));
        let operations: Vec<OperationRecord> = (0..3000)
            .map(|_| OperationRecord {
                change: match random.u32(0..30) {
                    0 => Change::DeviceValue(DeviceValue::High),
                    tag => Change::Tag(TagAction::Add, TagNumber(tag)),
                },
                machine_kind: (random.u8(..) > 20).then(|| random.u32(0..8)),
                status: STATUSES[random.usize(0..5)],
                is_for_calls: random.bool(),
                finished_at: Some(moment(random.i64(0..640))),
            })
            .collect();
        for operation in &operations {
            outcomes.take(operation);
        }
        (outcomes, operations)
    }

    fn naive(operations: &[OperationRecord], belongs: impl Fn(&OperationRecord) -> bool) -> Counts {
        STATUSES.map(|status| {
            operations.iter().filter(|operation| operation.status == status && belongs(operation)).count() as u64
        })
    }

    #[test]
    fn breakdowns_add_up_to_all_operations_and_each_part_is_what_it_says() {
        let (outcomes, operations) = operations();
        assert_eq!(outcomes.all, naive(&operations, |_| true));
        let by_change = outcomes.by_change();
        assert_eq!(by_change.parts.len(), 10);
        for part in &by_change.parts {
            assert_eq!(part.counts, naive(&operations, |operation| operation.change == part.name));
        }
        let (kinds, others) = by_change.others.expect("thirty changes");
        assert_eq!(kinds, 20);
        let mut sum = others;
        by_change.parts.iter().for_each(|part| sum.iter_mut().zip(part.counts).for_each(|(sum, count)| *sum += count));
        assert_eq!(sum, outcomes.all);
    }

    #[test]
    fn machines_of_the_same_group_are_counted_together_and_unknown_ones_by_themselves() {
        let (outcomes, operations) = operations();
        let kinds: Vec<MachineKind> = (0..8)
            .map(|kind| MachineKind { group: (kind > 1).then(|| format!("group {}", kind % 3)), platform: None })
            .collect();
        let groups = outcomes.by_kind(&kinds, |kind| kind.group.as_ref()).expect("kinds");
        assert_eq!((groups.parts.len(), &groups.others), (4, &None));
        for part in &groups.parts {
            let group = |operation: &OperationRecord| {
                operation.machine_kind.and_then(|kind| kinds[kind as usize].group.clone())
            };
            assert_eq!(part.counts, naive(&operations, |operation| group(operation) == part.name), "{:?}", part.name);
        }
        assert_eq!(outcomes.by_kind(&[], |kind| kind.group.as_ref()), None);
    }

    #[test]
    fn the_course_counts_what_calls_have_done() {
        let (outcomes, operations) = operations();
        let done = operations.iter().filter(|operation| operation.is_for_calls).count() as u64;
        let course = outcomes.course();
        assert!(course.is_sorted());
        assert_eq!((course.last(), outcomes.for_calls), (Some(&done), done));
        // The pieces are two seconds long.
        let early = |operation: &&OperationRecord| {
            operation.is_for_calls && operation.finished_at.is_some_and(|at| at.as_second() < 20)
        };
        assert_eq!(course[9], operations.iter().filter(early).count() as u64);
    }
}
