//! Crashes: the store stops after its n-th write, for every n of a small job, and the run is resumed each time. It
//! must end where an undisturbed run ends, and send nothing again but what was in flight.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;

use super::fixtures::{Silent, begin, clock, gate, machine};
use super::*;
use crate::api::sign_in::SignInError;
use crate::api::{Answer, TokenGeneration};
use crate::model::{Change, DeviceValue, Held, MachineId, OperationId, Tag, TagAction, TagNumber};
use crate::quota::ages::LONGEST_TIME_OUT;
use crate::sandbox::in_memory::{InMemory, change_of, is_success, machines_of};
use crate::sandbox::{SandboxMachine, SandboxSettings};
use crate::store::{NewOperation, OperationState, RunState, StoredRun};

/// A service that does what it is asked, but for one machine that it does not know.
struct Service {
    tenant: InMemory,
    /// Every write that was carried out, as machine and change.
    writes: Mutex<Vec<(MachineId, String)>>,
}

const UNKNOWN_MACHINE: u32 = 4;

impl Service {
    fn new() -> Arc<Self> {
        let unknown = SandboxMachine { dead: true, ..SandboxMachine::new(machine(UNKNOWN_MACHINE).to_string()) };
        let settings = SandboxSettings { machines: vec![unknown], ..InMemory::of_anybody() };
        Arc::new(Self { tenant: InMemory::new(settings), writes: Mutex::default() })
    }
}

#[async_trait]
impl Transport for Service {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        let (answer, token) = self.tenant.send(request).await?;
        if is_success(&answer) {
            let written = machines_of(request).into_iter().map(|machine| (machine, change_of(request)));
            self.writes.lock().expect("writes").extend(written);
        }
        Ok((answer, token))
    }

    async fn renew(&self, refused: TokenGeneration) -> Result<(), SignInError> {
        self.tenant.renew(refused).await
    }
}

/// Tags to add and to remove on the same machines, values, and a machine that nobody knows.
fn operations() -> Vec<NewOperation> {
    let mut changes = Vec::new();
    for number in 0..6 {
        changes.push((number, Change::Tag(TagAction::Add, TagNumber(0))));
        changes.push((number, Change::Tag(TagAction::Remove, TagNumber(1))));
    }
    for number in 0..4 {
        changes.push((number, Change::DeviceValue(DeviceValue::High)));
    }
    let operation = |(number, (machine_number, change)): (u32, (u32, Change<TagNumber>))| NewOperation {
        operation: OperationId(number),
        machine: machine(machine_number),
        change,
        swap: matches!(change, Change::Tag(..)).then_some(machine_number),
        unlisted: false,
        before: Held::Unknown,
        settled: None,
    };
    (0..).zip(changes).map(operation).collect()
}

/// One life of the process: finds the run or begins it, and goes on until the end or until nothing can be stored.
async fn live(service: &Arc<Service>, store: &Store, clock: &SharedClock) -> Result<EndReason, StoreError> {
    let account = store.account("tenant", "app").await?;
    let known: Option<StoredRun> = match store.run_by_id("run").await {
        Ok(run) if run.state == RunState::Preparing => {
            store.discard_run(run.key).await?;
            None
        }
        Ok(run) => Some(run),
        Err(StoreError::NoSuchRun(_)) => None,
        Err(error) => return Err(error),
    };
    let run = if let Some(run) = known {
        // What the dead one had in flight may arrive for a while, which only a server cannot tell from a process that lives.
        let mut waits = 0;
        while !store.claim_run(run.key).await?.is_granted() {
            waits += 1;
            assert!(waits < 10, "it is never granted");
            tokio::time::sleep(LONGEST_TIME_OUT).await;
        }
        store.take_over(run.key).await?;
        run.key
    } else {
        let tags = ["new", "old"].map(|tag| Tag::new(tag).expect("a tag"));
        begin(store, account, tags.to_vec(), operations()).await?
    };
    let settings = DispatchSettings {
        gate: gate(account, "off", 3),
        bulk: true,
        maximum_errors: MaximumErrors::Percent(100),
        tick: Duration::from_mins(10),
        seed: 1,
    };
    let (_keep, mut stop_requests) = mpsc::channel(1);
    let ended =
        dispatch(Arc::clone(service), store, clock.clone(), run, settings, &mut Silent, &mut stop_requests).await;
    match ended {
        Ok((EndReason::StoreFailed(error), _)) | Err(DispatchError::Store(error)) => Err(error),
        Ok((reason, _)) => {
            store.set_run_state(run, RunState::Finished).await?;
            Ok(reason)
        }
        Err(other) => panic!("{other}"),
    }
}

/// Lets so many further writes of this store succeed, and no more. Says how many there were so far when asked.
async fn limit_writes(store: &Store, limit: usize) -> Arc<std::sync::atomic::AtomicUsize> {
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    store.count_commits(limit, Arc::clone(&count)).await.expect("a hook");
    count
}

/// The stored end of every operation.
async fn ends(store: &Store) -> Vec<OperationState> {
    let run = store.run_by_id("run").await.expect("the run");
    let known = store.known_operations(run.key, None, 1000).await.expect("operations");
    known.into_iter().map(|known| known.state).collect()
}

async fn open(directory: &Path, clock: &SharedClock) -> Store {
    Store::open(directory, clock.clone()).await.expect("a store")
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stops_after_any_write_loses_nothing_and_sends_nothing_twice_but_what_was_in_flight() {
    let clock = clock();
    let undisturbed = Service::new();
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(&directory.path().join("state"), &clock).await;
    let writes = limit_writes(&store, usize::MAX).await;
    live(&undisturbed, &store, &clock).await.expect("a run");
    let all_writes = writes.load(std::sync::atomic::Ordering::SeqCst);
    let expected = ends(&store).await;
    assert!(all_writes > 15, "{all_writes} writes are too few to learn from");
    let succeeded = expected.iter().filter(|state| **state == OperationState::Succeeded).count();
    assert_eq!(undisturbed.writes.lock().expect("writes").len(), succeeded, "each change is made once");

    let mut crashes = 0;
    for stops_after in 0..all_writes {
        let service = Service::new();
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        let store = open(&path, &clock).await;
        limit_writes(&store, stops_after).await;
        // Callers share writes as it happens, so a run may need fewer of them than the first one did.
        let Err(_died) = live(&service, &store, &clock).await else { continue };
        crashes += 1;
        drop(store);
        let made_before = service.writes.lock().expect("writes").clone();
        let store = open(&path, &clock).await;
        let reason = live(&service, &store, &clock).await.expect("the second life");
        assert!(matches!(reason, EndReason::Finished), "after write {stops_after}: {reason:?}");
        for (end, expected) in ends(&store).await.iter().zip(&expected) {
            // Whoever is refused after a call that died in flight may have been changed by that one all the same.
            let is_left_open = (*expected, *end) == (OperationState::Failed, OperationState::Unknown);
            assert!(end == expected || is_left_open, "after write {stops_after}: {end:?} and not {expected:?}");
        }
        assert_eq!(service.tenant.held(), undisturbed.tenant.held());
        // Three calls may have been in flight, and a bulk call here holds six machines at the most.
        let all = service.writes.lock().expect("writes").clone();
        let distinct: BTreeSet<_> = all.iter().collect();
        let repeated = all.len() - distinct.len();
        assert!(repeated <= 3 * 6, "after write {stops_after}: {repeated} changes were made again");
        assert!(repeated <= made_before.len(), "after write {stops_after}");
    }
    assert!(crashes > 15, "{crashes} crashes are too few to learn from");
}
