//! Random fleets, and running them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::registry::Registry;
use crate::dispatch::tests::fixtures::{Silent, begin, clock, gate, machine};
use crate::dispatch::{DispatchSettings, EndReason, MaximumErrors, dispatch};
use crate::model::{Change, DeviceValue, Held, OperationId, Tag, TagAction, TagNumber};
use crate::sandbox::in_memory::InMemory;
use crate::sandbox::{BulkRefusalStatus, DeadNaming};
use crate::store::{AccountKey, InputChunk, NewOperation, OperationState, RunKey, Store};

/// The most machines in one call.
pub(super) const LIMIT: usize = 500;
/// Operations whose outcomes are read at a time.
const STATES_AT_ONCE: usize = 1000;

/// What is asked of some machines.
pub(super) struct Fleet {
    pub(super) operations: Vec<(u32, Change<TagNumber>)>,
    /// Machines from this number on are lacking in the inventory.
    pub(super) first_unlisted: u32,
    pub(super) dead: BTreeSet<u32>,
}

/// What a run over a fleet came to.
pub(super) struct Outcome {
    pub(super) registry: Arc<Registry>,
    states: Vec<OperationState>,
    pub(super) elapsed: Duration,
}

impl Fleet {
    /// Nothing is asked yet, of machines that are all listed and alive.
    pub(super) const fn new() -> Self {
        Self { operations: Vec::new(), first_unlisted: u32::MAX, dead: BTreeSet::new() }
    }

    /// A fleet in which each of some tags is added to or removed from some machines; group sizes lie about the places
    /// where a further call becomes necessary.
    pub(super) fn random(random: &mut fastrand::Rng) -> Self {
        let mut fleet = Self::new();
        for tag in 0..random.u32(1..5) {
            let size = match random.u8(0..4) {
                0 => random.u32(1..4),
                1 => random.u32(2..60),
                2 => random.u32(498..503),
                _ => random.u32(501..1010),
            };
            let first = random.u32(0..300);
            let swaps = random.bool();
            for machine in first..first + size {
                let action = if swaps && random.bool() { TagAction::Remove } else { TagAction::Add };
                fleet.operations.push((machine, Change::Tag(action, TagNumber(tag))));
            }
        }
        for machine in 0..random.u32(0..20) {
            fleet.operations.push((machine, Change::DeviceValue(DeviceValue::High)));
        }
        random.shuffle(&mut fleet.operations);
        fleet
    }

    /// One tag for so many machines, in a random order.
    pub(super) fn of_one_tag(machines: u32, random: &mut fastrand::Rng) -> Self {
        let mut fleet = Self::new();
        fleet.operations = (0..machines).map(|machine| (machine, Change::Tag(TagAction::Add, TagNumber(0)))).collect();
        random.shuffle(&mut fleet.operations);
        fleet
    }

    /// So many of its machines are dead.
    pub(super) fn kill(&mut self, count: usize, random: &mut fastrand::Rng) {
        let machines: BTreeSet<u32> = self.operations.iter().map(|(machine, _)| *machine).collect();
        self.dead = random.choose_multiple(machines, count).into_iter().collect();
    }

    pub(super) fn is_unlisted(&self, machine: u32) -> bool {
        machine >= self.first_unlisted
    }

    /// The machines of each first bulk call, as they must be packed: by tag and action, listed or not, in order.
    pub(super) fn packed(&self) -> Vec<Vec<u32>> {
        let mut groups: BTreeMap<(bool, u32, bool), Vec<u32>> = BTreeMap::new();
        for (machine, change) in &self.operations {
            if let Change::Tag(action, TagNumber(tag)) = change {
                let group = (*action == TagAction::Add, *tag, self.is_unlisted(*machine));
                groups.entry(group).or_default().push(*machine);
            }
        }
        groups.values().flat_map(|group| group.chunks(LIMIT).map(<[u32]>::to_vec)).collect()
    }

    /// Σ ⌈n/500⌉ over tags and actions.
    pub(super) fn floor(&self) -> u64 {
        self.packed().len() as u64
    }

    pub(super) fn dead_in(&self, call: &[u32]) -> u64 {
        call.iter().filter(|machine| self.dead.contains(machine)).count() as u64
    }

    /// The calls that single calls would take: a 404 is believed the third time.
    pub(super) fn singles(&self) -> u64 {
        let tags: Vec<u32> = self.packed().concat();
        tags.len() as u64 + 2 * self.dead_in(&tags)
    }

    /// Machines that get tags and lose others; for each the tags that it gets.
    fn swaps(&self) -> BTreeMap<u32, BTreeSet<String>> {
        let mut adds: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        let mut losing = BTreeSet::new();
        for (machine, change) in &self.operations {
            match change {
                Change::Tag(TagAction::Add, TagNumber(tag)) => {
                    adds.entry(*machine).or_default().insert(tag_text(*tag));
                }
                Change::Tag(TagAction::Remove, _) => {
                    losing.insert(*machine);
                }
                Change::DeviceValue(_) => {}
            }
        }
        adds.retain(|machine, _| losing.contains(machine));
        adds
    }

    /// Carries it out under this quota, by a service that refuses dead machines so.
    pub(super) async fn run(
        &self,
        seed: u64,
        refusal: (DeadNaming, BulkRefusalStatus),
        quota: &str,
        latency: RangeInclusive<Duration>,
    ) -> Outcome {
        let clock = clock();
        let store = Store::in_memory(clock.clone()).expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let run = self.record(&store, account).await;
        let swaps = self.swaps();
        let swaps = swaps.into_iter().map(|(number, tags)| (machine(number), tags)).collect();
        let dead = self.dead.iter().copied().map(machine);
        let registry = Arc::new(Registry::new(dead, refusal, swaps, latency, seed));
        let settings = DispatchSettings {
            gate: gate(account, quota, 16),
            bulk: true,
            maximum_errors: MaximumErrors::Count(u64::MAX),
            tick: Duration::from_mins(10),
            seed,
        };
        let (_keep, mut stop_requests) = mpsc::channel(1);
        let transport = Arc::clone(&registry);
        let dispatched = dispatch(transport, &store, clock, run, settings, &mut Silent, &mut stop_requests).await;
        let (reason, progress) = dispatched.expect("the engine works");
        assert!(matches!(reason, EndReason::Finished), "seed {seed}: {reason:?}");
        assert_eq!(progress.settled(), self.operations.len() as u64, "seed {seed}: one outcome each");
        let states = self.states(&store, run).await;
        Outcome { registry, states, elapsed: progress.elapsed }
    }

    async fn record(&self, store: &Store, account: AccountKey) -> RunKey {
        let tags = (0..8).map(|tag| Tag::new(&tag_text(tag)).expect("a tag")).collect();
        let swaps = self.swaps();
        let new = (0..).zip(&self.operations).map(|(number, (machine_number, change))| NewOperation {
            operation: OperationId(number),
            machine: machine(*machine_number),
            change: *change,
            swap: swaps.contains_key(machine_number).then_some(*machine_number),
            unlisted: self.is_unlisted(*machine_number),
            before: Held::Unknown,
            settled: None,
        });
        begin(store, account, tags, new.collect()).await.expect("a run")
    }

    /// The stored state of each operation, in order.
    async fn states(&self, store: &Store, run: RunKey) -> Vec<OperationState> {
        let numbers: Vec<u32> = (0..).take(self.operations.len()).collect();
        let mut states = Vec::with_capacity(numbers.len());
        for part in numbers.chunks(STATES_AT_ONCE) {
            let first_row = part[0] + 1;
            let operations = part.iter().map(|number| vec![OperationId(*number)]).collect();
            let chunk = InputChunk { first_row, numbers: vec![], records: vec![], operations };
            store.add_chunks(run, vec![chunk]).await.expect("a chunk");
            let stored = store.chunk(run, first_row).await.expect("the store").expect("a chunk");
            states.extend(part.iter().map(|number| stored.operations[&OperationId(*number)].state));
        }
        states
    }

    /// Every living machine is as it was asked for, every dead one has failed, and nothing else has happened.
    #[track_caller]
    pub(super) fn holds(&self, outcome: &Outcome, case: &str) {
        let books = outcome.registry.books.lock().expect("books");
        assert_eq!(books.violations, Vec::<String>::new(), "{case}");
        let swaps = self.swaps();
        for ((number, change), state) in self.operations.iter().zip(&outcome.states) {
            let waits = matches!(change, Change::Tag(TagAction::Remove, _)) && swaps.contains_key(number);
            let expected = match self.dead.contains(number) {
                false => OperationState::Succeeded,
                true if waits => OperationState::NotAttempted,
                true => OperationState::Failed,
            };
            assert_eq!(*state, expected, "{case}: {change:?} on machine {number}");
            if *state == OperationState::Succeeded {
                assert!(is_so(&outcome.registry.tenant, *number, *change), "{case}: {change:?} on machine {number}");
            }
        }
    }
}

fn is_so(tenant: &InMemory, number: u32, change: Change<TagNumber>) -> bool {
    match change {
        Change::Tag(TagAction::Add, TagNumber(tag)) => tenant.has_tag(&machine(number), &tag_text(tag)),
        Change::Tag(TagAction::Remove, TagNumber(tag)) => !tenant.has_tag(&machine(number), &tag_text(tag)),
        Change::DeviceValue(value) => tenant.value(&machine(number)) == value,
    }
}

impl Outcome {
    pub(super) fn tag_calls(&self) -> u64 {
        self.registry.books.lock().expect("books").tag_calls()
    }
}

fn tag_text(tag: u32) -> String {
    format!("tag {tag}")
}
