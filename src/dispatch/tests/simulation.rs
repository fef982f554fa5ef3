//! The whole engine under virtual time, against a seeded, faulty service in memory.
//!
//! Around the service stands an auditor with exact windows of its own, who notes whatever a client must not do.
//! A failure prints its seed; the same seed gives the same run.

mod apart;
mod buckets;
mod doubt;
mod outages;
mod reading_back;
mod releasing;
mod seeds;
mod service;
mod spoilers;
mod stops;
mod unanswered;

use std::collections::BTreeSet;

use self::service::{CALM, Outage, REFUSING, STORMY, Service, Trouble, Weather};
use super::fixtures::{Silent, begin, clock, gate, machine};
use super::*;
use crate::model::OperationId;
use crate::model::Status;
use crate::model::{Change, DeviceValue, Held, MachineId, TagAction, TagNumber};
use crate::sandbox::in_memory::change_of;
use crate::sandbox::{CallKind as Kind, DeadNaming, Mishap};
use crate::store::{AccountKey, NewOperation, OperationState, StoredOperation};

struct Simulation {
    service: Arc<Service>,
    store: Store,
    clock: SharedClock,
    account: AccountKey,
    run: RunKey,
    operations: Vec<(MachineId, Change)>,
}

/// Tag numbers of every simulated run.
const TAGS: [&str; 3] = ["wanted", "unwanted", "other"];

impl Simulation {
    async fn new(
        seed: u64,
        operations: Vec<(MachineId, Change<TagNumber>)>,
        quota: &str,
        weather: Weather,
        latency: u64,
    ) -> Self {
        Self::with_unlisted(seed, operations, quota, weather, latency, |_number| false).await
    }

    /// The same where the inventory lacks the machines of some operations, by their numbers.
    async fn with_unlisted(
        seed: u64,
        operations: Vec<(MachineId, Change<TagNumber>)>,
        quota: &str,
        weather: Weather,
        latency: u64,
        is_unlisted: impl Fn(u32) -> bool,
    ) -> Self {
        let clock = clock();
        let store = Store::in_memory(clock.clone()).expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let tags = TAGS.map(|tag| crate::model::Tag::new(tag).expect("a tag"));
        let new = (0..).zip(&operations).map(|(number, (machine, change))| NewOperation {
            operation: OperationId(number),
            machine: machine.clone(),
            change: *change,
            swap: match change {
                Change::Tag(_, TagNumber(0 | 1)) => Some(machine_number(machine)),
                _ => None,
            },
            unlisted: is_unlisted(number),
            before: Held::Unknown,
            settled: None,
        });
        let run = begin(&store, account, tags.to_vec(), new.collect()).await.expect("a run");
        let operations = operations
            .into_iter()
            .map(|(machine, change)| {
                let change = match change {
                    Change::Tag(action, TagNumber(tag)) => Change::Tag(action, tags[tag as usize].clone()),
                    Change::DeviceValue(value) => Change::DeviceValue(value),
                };
                (machine, change)
            })
            .collect();
        let naming = [DeadNaming::All, DeadNaming::One, DeadNaming::Absent][usize::try_from(seed % 3).expect("small")];
        let batch_limit = if seed.is_multiple_of(5) { 7 } else { 500 };
        let quota = quota.parse().expect("a quota");
        let service = Arc::new(Service::new(clock.clone(), quota, weather, (naming, batch_limit), latency, seed));
        Self { service, store, clock, account, run, operations }
    }

    fn settings(&self, seed: u64, quota: &str) -> DispatchSettings {
        DispatchSettings {
            gate: gate(self.account, quota, 8),
            bulk: true,
            maximum_errors: MaximumErrors::Percent(50),
            tick: Duration::from_mins(10),
            seed,
        }
    }

    async fn run(&self, settings: DispatchSettings) -> (EndReason, Progress) {
        let (_keep, mut stop_requests) = mpsc::channel(1);
        let transport = Arc::clone(&self.service);
        dispatch(transport, &self.store, self.clock.clone(), self.run, settings, &mut Silent, &mut stop_requests)
            .await
            .expect("the engine works")
    }

    /// The stored state of each operation.
    async fn states(&self) -> Vec<OperationState> {
        self.stored().await.into_iter().map(|stored| stored.state).collect()
    }

    /// What is stored of each operation.
    async fn stored(&self) -> Vec<StoredOperation> {
        let numbers = 0..u32::try_from(self.operations.len()).expect("few");
        let operations = numbers.clone().map(|number| vec![OperationId(number)]).collect();
        let chunk = crate::store::InputChunk { first_row: 1, numbers: vec![], records: vec![], operations };
        self.store.add_chunks(self.run, vec![chunk]).await.expect("a chunk");
        let chunk = self.store.chunk(self.run, 1).await.expect("the store").expect("a chunk");
        numbers.map(|number| chunk.operations[&OperationId(number)].clone()).collect()
    }
}

/// Every call that changes something.
const WRITES: [Kind; 3] = [Kind::Bulk, Kind::Tags, Kind::Value];

/// What the service answers to whatever concerns a machine, whoever else is in the call.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// 500
    Fails,
    /// 403 of a rule that stands against it.
    Disallowed,
    /// 403 as for an app without permission.
    Forbidden,
    /// 404: the machine is not known.
    Gone,
}

impl Refusal {
    fn at(self, number: u32) -> Mishap {
        let mishap = match self {
            Self::Fails => Mishap::refusing(500, "InternalServerError", "failed"),
            Self::Disallowed => Mishap::refusing(403, "DisallowedOperation", "a rule stands against it"),
            Self::Forbidden => Mishap::refusing(403, "Forbidden", "roles are missing"),
            Self::Gone => {
                Mishap::refusing(404, "ResourceNotFound", &format!("Machine {} was not found", machine(number)))
            }
        };
        mishap.on(&WRITES).at(machine(number).to_string())
    }
}

fn machine_number(machine: &MachineId) -> u32 {
    u32::from_str_radix(&machine.to_string()[32..], 16).expect("a number")
}

/// A random mix: values, tags, and machines that get one tag and lose another.
fn random_operations(random: &mut fastrand::Rng, machines: u32) -> Vec<(MachineId, Change<TagNumber>)> {
    let mut operations = Vec::new();
    for number in 0..machines {
        if random.bool() {
            operations.push((machine(number), Change::Tag(TagAction::Remove, TagNumber(1))));
            operations.push((machine(number), Change::Tag(TagAction::Add, TagNumber(0))));
        } else {
            operations.push((machine(number), Change::Tag(TagAction::Add, TagNumber(2))));
        }
        if random.bool() {
            operations.push((machine(number), Change::DeviceValue(DeviceValue::High)));
        }
    }
    random.shuffle(&mut operations);
    operations
}

async fn storm(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let machines = random.u32(4..=16);
    let operations = random_operations(&mut random, machines);
    let quota = ["off", "10/2s,30/20s", "3/1s", "50/10s"][random.usize(0..4)];
    let simulation = Simulation::new(seed, operations, quota, STORMY, random.u64(0..400)).await;
    let dead = machine(random.u32(0..machines));
    simulation.service.kill(&dead);
    {
        let mut world = simulation.service.world.lock().expect("a world");
        if random.u8(0..3) == 0 {
            let trouble = [Trouble::Unavailable, Trouble::Refused, Trouble::Reset, Trouble::Silent][random.usize(0..4)];
            // Whoever cannot be reached from the beginning is no outage.
            let from = random.i64(if matches!(trouble, Trouble::Refused) { 10 } else { 0 }..30);
            world.outages.push(Outage { from, to: from + random.i64(5..900), trouble });
        }
    }
    let (reason, progress) = simulation.run(simulation.settings(seed, quota)).await;

    assert!(matches!(reason, EndReason::Finished), "seed {seed}: {reason:?}");
    let stored = simulation.stored().await;
    let world = simulation.service.world.lock().expect("a world");
    assert_eq!(world.violations, Vec::<String>::new(), "seed {seed}, quota {quota}");
    assert_eq!(progress.settled(), simulation.operations.len() as u64, "seed {seed}: one outcome each");
    for ((machine, change), stored) in simulation.operations.iter().zip(stored) {
        let request =
            ApiRequest::for_operation(crate::model::Operation { machine: machine.clone(), change: change.clone() });
        let key = change_of(&request);
        match stored.state {
            OperationState::Succeeded => {
                let was_answered = world.answered.contains(&(machine.clone(), key)) || world.shown.contains(machine);
                assert!(was_answered, "seed {seed}: success without an answer");
                let tenant = &simulation.service.tenant;
                let holds = match change {
                    Change::Tag(TagAction::Add, tag) => tenant.has_tag(machine, tag.as_str()),
                    Change::Tag(TagAction::Remove, tag) => !tenant.has_tag(machine, tag.as_str()),
                    Change::DeviceValue(value) => tenant.value(machine) == *value,
                };
                assert!(holds, "seed {seed}: {change} on {machine} does not hold");
            }
            OperationState::Failed | OperationState::Unknown => {
                assert_eq!(*machine, dead, "seed {seed}: a living machine is read back, and has not failed");
                let may_hold = world.may_hold.contains(&(machine.clone(), key));
                let expected = if may_hold { Status::Unknown } else { Status::Failed };
                assert_eq!(stored.status(), expected, "seed {seed}: {change}");
            }
            OperationState::NotAttempted => {
                assert_eq!(*machine, dead, "seed {seed}: only removes after failed adds are left out");
                assert!(matches!(change, Change::Tag(TagAction::Remove, _)), "seed {seed}");
            }
            other => panic!("seed {seed}: {change} on {machine} ended {other:?}"),
        }
    }
    let most = world.calls.values().copied().max().unwrap_or(0);
    assert!(most <= 30, "seed {seed}: {most} attempts of one call");
}
