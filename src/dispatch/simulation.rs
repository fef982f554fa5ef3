//! The whole engine under virtual time, against a seeded, faulty service in memory.
//!
//! The service keeps its own exact windows and its own idea of every machine, and notes whatever a client must not do.
//! A failure prints its seed; the same seed gives the same run.

mod buckets;
mod doubt;
mod outages;
mod reading_back;
mod releasing;
mod seeds;
mod spoilers;
mod stops;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;

use super::*;
use crate::api::sign_in::SignInError;
use crate::api::{Answer, Loss, LossKind, Response, TokenGeneration};
use crate::clock::{BootId, VirtualClock};
use crate::model::Status;
use crate::model::{Change, DeviceValue, MachineId, TagAction, TagNumber};
use crate::model::{Held, OperationId};
use crate::quota::{Quota, QuotaScope};
use crate::store::{AccountKey, NewOperation, NewRun, OperationState, RunState};

/// How often each fault comes, in thousandths.
#[derive(Clone, Copy)]
struct Weather {
    unavailable: u32,
    reset_before: u32,
    lost_after: u32,
    truncated_after: u32,
    html: u32,
    not_found_once: u32,
    throttled: u32,
    unauthorized: u32,
}

const CALM: Weather = Weather {
    unavailable: 0,
    reset_before: 0,
    lost_after: 0,
    truncated_after: 0,
    html: 0,
    not_found_once: 0,
    throttled: 0,
    unauthorized: 0,
};
const STORMY: Weather = Weather {
    unavailable: 50,
    reset_before: 30,
    lost_after: 30,
    truncated_after: 20,
    html: 20,
    not_found_once: 10,
    throttled: 5,
    unauthorized: 5,
};

/// A time in which the service is in trouble, in seconds of virtual time from the beginning.
#[derive(Clone, Copy, Debug)]
struct Outage {
    from: i64,
    to: i64,
    trouble: Trouble,
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Unavailable,
    Refused,
    Reset,
    Silent,
}

/// How the service answers whatever concerns a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// 500
    Fails,
    /// 403 of a rule that stands against it.
    Disallowed,
    /// 403 as for an app without permission.
    Forbidden,
}

#[derive(Default)]
struct World {
    outages: Vec<Outage>,
    /// Machines at which it does so, whatever else is in the call.
    refuses: BTreeMap<MachineId, Refusal>,
    /// Every write fails before this moment, in microseconds.
    writes_fail_until: i64,
    /// The machines of single calls, in the order of their arrival.
    order: Vec<MachineId>,
    /// The same for the writes of a bucket.
    bucket_fails_until: HashMap<Bucket, i64>,
    /// When calls met an outage, in microseconds.
    met_outage: Vec<i64>,
    /// Machines that reads have shown.
    shown: BTreeSet<MachineId>,
    reads: u32,
    last_write: i64,
    tags: BTreeMap<MachineId, BTreeSet<String>>,
    values: BTreeMap<MachineId, DeviceValue>,
    dead: BTreeSet<MachineId>,
    /// Arrivals that were let in, in microseconds.
    arrivals: HashMap<Bucket, Vec<i64>>,
    named_wait_until: HashMap<Bucket, i64>,
    answered: BTreeSet<(MachineId, String)>,
    /// Changes that were asked for without an answer that says what became of them.
    may_hold: BTreeSet<(MachineId, String)>,
    /// How often each change was asked for.
    calls: HashMap<(MachineId, String), u32>,
    violations: Vec<String>,
    token: u64,
    /// Answers to writes are cut off.
    loses_answers: bool,
    /// Device values are not kept.
    forgets_values: bool,
    /// Tags that are added in one call are accepted without a machine being shown.
    accepts_adds_unseen: bool,
    /// A machine that keeps no tag.
    forgets_tags: Option<MachineId>,
    /// How many reads there had been when a machine lost a tag.
    reads_before_loss: BTreeMap<MachineId, u32>,
}

/// What the refusal of a bulk call names.
#[derive(Clone, Copy, Debug)]
enum Naming {
    All,
    One,
    None,
}

struct Service {
    clock: SharedClock,
    quota: Quota,
    weather: Weather,
    naming: Naming,
    batch_limit: usize,
    latency_milliseconds: u64,
    random: Mutex<fastrand::Rng>,
    world: Mutex<World>,
}

impl Service {
    fn chance(&self, thousandths: u32) -> bool {
        self.random.lock().expect("a seed").u32(0..1000) < thousandths
    }

    async fn delay(&self) {
        let milliseconds = self.random.lock().expect("a seed").u64(0..=self.latency_milliseconds);
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }

    fn lost(kind: LossKind) -> Answer {
        Answer::Lost(Loss { kind, description: "simulated".into() })
    }

    fn response(status: u16, body: String) -> Answer {
        Answer::Response(Response { status, body: body.into_bytes(), ..Response::default() })
    }

    /// What becomes of a call in an outage, if there is one.
    async fn outage(&self, bucket: Bucket) -> Option<Answer> {
        let now = self.clock.boot_time().as_microseconds();
        let trouble = {
            let mut world = self.world.lock().expect("a world");
            let seconds = (now - ORIGIN) / 1_000_000;
            let outage = world.outages.iter().find(|outage| (outage.from..outage.to).contains(&seconds)).copied()?;
            world.met_outage.push(now);
            outage.trouble
        };
        Some(match trouble {
            Trouble::Unavailable => {
                let _counted = self.admit(bucket);
                Self::response(503, "down".into())
            }
            Trouble::Refused => Self::lost(LossKind::NotConnected),
            Trouble::Reset => Self::lost(LossKind::ConnectionLost),
            Trouble::Silent => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                Self::lost(LossKind::TimedOut)
            }
        })
    }

    /// Lets a call in, or refuses it for quota and names a wait; one that is over the quota is a violation.
    fn admit(&self, bucket: Bucket) -> Result<(), i64> {
        let now = self.clock.boot_time().as_microseconds();
        let mut world = self.world.lock().expect("a world");
        for limit in self.quota.limits() {
            let window = i64::try_from(limit.window.as_micros()).expect("short");
            let arrivals = world.arrivals.entry(bucket).or_default();
            let inside = arrivals.len() - arrivals.partition_point(|arrival| now - *arrival > window);
            if inside >= limit.calls.get() as usize {
                world.violations.push(format!("{bucket:?} is over {limit}"));
            }
        }
        world.arrivals.entry(bucket).or_default().push(now);
        drop(world);
        if self.chance(self.weather.throttled) {
            return Err(self.random.lock().expect("a seed").i64(1..20));
        }
        Ok(())
    }

    /// A call that leaves before a wait is over that its client has been told of is a violation.
    fn check_wait(&self, bucket: Bucket) {
        let now = self.clock.boot_time().as_microseconds();
        let mut world = self.world.lock().expect("a world");
        if world.named_wait_until.get(&bucket).is_some_and(|until| now < *until) {
            world.violations.push(format!("{bucket:?} was called before the wait was over"));
        }
    }

    async fn throttle(&self, bucket: Bucket, seconds: i64) -> Answer {
        self.delay().await;
        let until = self.clock.boot_time().as_microseconds() + seconds * 1_000_000;
        let mut world = self.world.lock().expect("a world");
        let latest = world.named_wait_until.entry(bucket).or_default();
        *latest = until.max(*latest);
        let text = format!("API calls quota exceeded! You can send requests again in {seconds} seconds.");
        Self::response(429, format!(r#"{{"error": {{"code": "429", "message": "{text}"}}}}"#))
    }

    fn apply(&self, request: &ApiRequest) -> Answer {
        let mut world = self.world.lock().expect("a world");
        if request.is_read() {
            return world.read(request, self.clock.boot_time().as_microseconds());
        }
        world.last_write = self.clock.boot_time().as_microseconds();
        let machines = machines_of(request);
        if let [only] = machines.as_slice() {
            world.order.push(only.clone());
        }
        let bucket_fails_until = world.bucket_fails_until.get(&request.bucket()).copied().unwrap_or(0);
        if world.last_write < world.writes_fail_until.max(bucket_fails_until) {
            return Self::response(503, "down".into());
        }
        if let Some(refusal) = machines.iter().find_map(|machine| world.refuses.get(machine)) {
            let (status, code, message) = match refusal {
                Refusal::Fails => (500, "InternalServerError", "failed"),
                Refusal::Disallowed => (403, "DisallowedOperation", "a rule stands against it"),
                Refusal::Forbidden => (403, "Forbidden", "roles are missing"),
            };
            return Self::response(status, format!(r#"{{"error": {{"code": "{code}", "message": "{message}"}}}}"#));
        }
        let dead: Vec<String> =
            machines.iter().filter(|machine| world.dead.contains(machine)).map(ToString::to_string).collect();
        if machines.len() > self.batch_limit {
            let text = format!("Received: {}, allowed: {}", machines.len(), self.batch_limit);
            return Self::response(
                400,
                format!(r#"{{"error": {{"code": "MaximumBatchSizeExceeded", "message": "{text}"}}}}"#),
            );
        }
        if let Some(first) = dead.first() {
            let (status, text) = match (machines.len(), self.naming) {
                (1, _) => (404, "gone".to_owned()),
                (_, Naming::All) => (400, format!("not found: {}", dead.join(", "))),
                (_, Naming::One) => (400, format!("not found: {first}")),
                (_, Naming::None) => (400, "some machines were not found".to_owned()),
            };
            return Self::response(
                status,
                format!(r#"{{"error": {{"code": "ResourceNotFound", "message": "{text}"}}}}"#),
            );
        }
        let shown: Vec<_> = machines.iter().map(|machine| world.change(machine, request)).collect();
        let body = match (request, shown.as_slice()) {
            (ApiRequest::ChangeTagOnMachines { action: TagAction::Add, .. }, _) if world.accepts_adds_unseen => {
                serde_json::json!({"value": []})
            }
            (ApiRequest::ChangeTagOnMachines { .. }, shown) => serde_json::json!({"value": shown}),
            (_, shown) => shown[0].clone(),
        };
        Self::response(200, body.to_string())
    }
}

impl World {
    fn read(&mut self, request: &ApiRequest, now: i64) -> Answer {
        let known: BTreeSet<MachineId> = match request {
            ApiRequest::GetMachine { machine } => [machine.clone()].into(),
            _ => self.tags.keys().chain(self.values.keys()).cloned().collect(),
        };
        // A question for a single machine only asks whether anybody is there.
        if matches!(request, ApiRequest::ListMachines { top: 2.., .. }) && now < self.last_write + 900_000_000 {
            self.violations.push("the list was read before it shows the latest writes".into());
        }
        let skip = if let ApiRequest::ListMachines { skip, .. } = request { *skip } else { 0 };
        let shown =
            known.into_iter().skip(usize::try_from(skip).expect("small")).filter(|one| !self.dead.contains(one));
        let shown: Vec<_> = shown.map(|machine| (self.document(&machine), machine)).collect();
        self.shown.extend(shown.iter().map(|(_, machine)| machine.clone()));
        let body = match (request, shown.first()) {
            (ApiRequest::GetMachine { .. }, Some((machine, _))) => machine.clone(),
            (_, Some(_)) => serde_json::json!({"value": shown.iter().map(|(machine, _)| machine).collect::<Vec<_>>()}),
            (_, None) => return Service::response(404, String::new()),
        };
        Service::response(200, body.to_string())
    }

    fn change(&mut self, machine: &MachineId, request: &ApiRequest) -> serde_json::Value {
        match request {
            ApiRequest::ChangeTag { action, tag, .. } | ApiRequest::ChangeTagOnMachines { action, tag, .. } => {
                let tags = self.tags.entry(machine.clone()).or_default();
                match action {
                    TagAction::Add if self.forgets_tags.as_ref() == Some(machine) => {}
                    TagAction::Add => drop(tags.insert(tag.to_string())),
                    TagAction::Remove => {
                        tags.remove(tag.as_str());
                        self.reads_before_loss.insert(machine.clone(), self.reads);
                        // Make before break: whatever is to be added must be there already.
                        if !tags.contains("wanted") && tag.as_str() == "unwanted" {
                            self.violations.push(format!("{machine} lost its tag before it got the other"));
                        }
                    }
                }
            }
            ApiRequest::SetDeviceValue { .. } if self.forgets_values => {
                self.values.insert(machine.clone(), DeviceValue::Normal);
            }
            ApiRequest::SetDeviceValue { value, .. } => drop(self.values.insert(machine.clone(), *value)),
            // Read elsewhere.
            ApiRequest::ListMachines { .. } | ApiRequest::GetMachine { .. } => {}
        }
        self.document(machine)
    }

    fn document(&self, machine: &MachineId) -> serde_json::Value {
        let tags: Vec<&String> = self.tags.get(machine).into_iter().flatten().collect();
        let value = self.values.get(machine).copied().unwrap_or(DeviceValue::Normal);
        serde_json::json!({"id": machine.to_string(), "machineTags": tags, "deviceValue": value.as_str()})
    }
}

/// The machines of a call.
fn machines_of(request: &ApiRequest) -> Vec<MachineId> {
    match request {
        ApiRequest::ChangeTagOnMachines { machines, .. } => machines.clone(),
        request => request.machine().into_iter().cloned().collect(),
    }
}

/// What a call asks of each machine, as a key.
fn change_of(request: &ApiRequest) -> String {
    match request {
        ApiRequest::ChangeTag { action, tag, .. } | ApiRequest::ChangeTagOnMachines { action, tag, .. } => {
            format!("{} {tag}", action.as_str())
        }
        ApiRequest::SetDeviceValue { value, .. } => value.to_string(),
        ApiRequest::ListMachines { .. } | ApiRequest::GetMachine { .. } => String::new(),
    }
}

#[async_trait]
impl Transport for Service {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        let token = TokenGeneration(self.world.lock().expect("a world").token);
        let key = change_of(request);
        {
            let mut world = self.world.lock().expect("a world");
            world.reads += u32::from(request.is_read());
            for machine in machines_of(request).into_iter().filter(|_| !request.is_read()) {
                let asked = (machine, key.clone());
                if world.answered.contains(&asked) {
                    world.violations.push(format!("{asked:?} was sent again although it was answered"));
                }
                *world.calls.entry(asked).or_default() += 1;
            }
        }
        self.check_wait(request.bucket());
        self.delay().await;
        if let Some(answer) = self.outage(request.bucket()).await {
            let mut world = self.world.lock().expect("a world");
            for machine in machines_of(request).into_iter().filter(|_| !request.is_read()) {
                // Bounded by the length of the outage, and not by a number of attempts.
                world.calls.entry((machine, key.clone())).and_modify(|calls| *calls -= 1);
            }
            return Ok((answer, token));
        }
        if self.chance(self.weather.reset_before) {
            return Ok((Self::lost(LossKind::ConnectionLost), token));
        }
        let answer = match self.admit(request.bucket()) {
            Err(seconds) => return Ok((self.throttle(request.bucket(), seconds).await, token)),
            Ok(()) if self.chance(self.weather.unauthorized) => Self::response(401, String::new()),
            Ok(()) if self.chance(self.weather.unavailable) => Self::response(503, "busy".into()),
            Ok(()) if self.chance(self.weather.not_found_once) => Self::response(404, String::new()),
            Ok(()) if self.chance(self.weather.html) => Self::response(200, "<html>".into()),
            Ok(()) => self.apply(request),
        };
        self.delay().await;
        let loses_answers = self.world.lock().expect("a world").loses_answers && !request.is_read();
        if loses_answers {
            return Ok((Self::lost(LossKind::Truncated), token));
        }
        if self.chance(self.weather.lost_after) {
            return Ok((Self::lost(LossKind::ConnectionLost), token));
        }
        if self.chance(self.weather.truncated_after) {
            return Ok((Self::lost(LossKind::Truncated), token));
        }
        if matches!(&answer, Answer::Response(response) if response.status == 200 && !response.looks_like_html()) {
            let mut world = self.world.lock().expect("a world");
            world.answered.extend(machines_of(request).into_iter().map(|machine| (machine, key.clone())));
        }
        Ok((answer, token))
    }

    async fn renew(&self, refused: TokenGeneration) -> Result<(), SignInError> {
        let mut world = self.world.lock().expect("a world");
        if world.token == refused.0 {
            world.token += 1;
        }
        Ok(())
    }
}

/// The service, with somebody who notes which answers leave open what became of a change.
struct Witness(Arc<Service>);

#[async_trait]
impl Transport for Witness {
    async fn prepare(&self) -> Result<(), SignInError> {
        self.0.prepare().await
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        let (answer, token) = self.0.send(request).await?;
        let says_nothing = match &answer {
            Answer::Response(response) => response.status >= 500 || response.looks_like_html(),
            Answer::Lost(loss) => !loss.kind.never_left(),
        };
        if says_nothing && !request.is_read() {
            let changes = machines_of(request).into_iter().map(|machine| (machine, change_of(request)));
            self.0.world.lock().expect("a world").may_hold.extend(changes);
        }
        Ok((answer, token))
    }

    async fn renew(&self, refused: TokenGeneration) -> Result<(), SignInError> {
        self.0.renew(refused).await
    }
}

/// When every simulation begins, in microseconds.
const ORIGIN: i64 = 1_000_000_000;

struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _event: &Event, _progress: &Progress) -> io::Result<()> {
        Ok(())
    }
}

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
        let boot_origin = BootTime::from_microseconds(ORIGIN);
        let clock: SharedClock =
            Arc::new(VirtualClock::new(BootId::new("boot".into()), boot_origin, Timestamp::UNIX_EPOCH));
        let store = Store::in_memory(clock.clone()).expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let run = NewRun {
            run_id: "run".into(),
            kind: crate::store::RunKind::Apply,
            input_digest: String::new(),
            operations_digest: String::new(),
            results_path: None,
            account,
            host: "host".into(),
            input_path: "input".into(),
            note: None,
            delimiter: b',',
            byte_order_mark: false,
            header: vec![],
            row_count: 0,
        };
        let run = store.create_run(run).await.expect("a run");
        let tags = TAGS.map(|tag| crate::model::Tag::new(tag).expect("a tag"));
        store.add_tags(run, 0, tags.to_vec()).await.expect("tags");
        let new = (0..).zip(&operations).map(|(number, (machine, change))| NewOperation {
            operation: OperationId(number),
            machine: machine.clone(),
            change: *change,
            guard: match change {
                Change::Tag(_, TagNumber(0 | 1)) => Some(machine_number(machine)),
                _ => None,
            },
            unlisted: is_unlisted(number),
            before: Held::Unknown,
            settled: None,
        });
        store.add_operations(run, new.collect()).await.expect("operations");
        store.set_run_state(run, RunState::Running).await.expect("a state");
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
        let service = Arc::new(Service {
            clock: clock.clone(),
            quota: quota.parse().expect("a quota"),
            weather,
            naming: [Naming::All, Naming::One, Naming::None][usize::try_from(seed % 3).expect("small")],
            batch_limit: if seed.is_multiple_of(5) { 7 } else { 500 },
            latency_milliseconds: latency,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            world: Mutex::default(),
        });
        Self { service, store, clock, account, run, operations }
    }

    fn settings(&self, seed: u64, quota: &str) -> DispatchSettings {
        DispatchSettings {
            gate: GateSettings {
                account: self.account,
                quota: quota.parse().expect("a quota"),
                scope: QuotaScope::Api,
                concurrency: 8,
                deadline: None,
                maximum_outage: Duration::from_hours(2),
            },
            bulk: true,
            maximum_errors: MaximumErrors::Percent(50),
            tick: Duration::from_mins(10),
            seed,
        }
    }

    async fn run(&self, settings: DispatchSettings) -> (EndReason, Progress) {
        let (_keep, mut stop_requests) = mpsc::channel(1);
        let transport = Arc::new(Witness(Arc::clone(&self.service)));
        dispatch(transport, &self.store, self.clock.clone(), self.run, settings, &mut Silent, &mut stop_requests)
            .await
            .expect("the engine works")
    }

    /// The stored state of each operation.
    async fn states(&self) -> Vec<OperationState> {
        let numbers = 0..u32::try_from(self.operations.len()).expect("few");
        let operations = numbers.clone().map(|number| vec![OperationId(number)]).collect();
        let chunk = crate::store::InputChunk { first_row: 1, records: vec![], operations };
        self.store.add_chunks(self.run, vec![chunk]).await.expect("a chunk");
        let chunk = self.store.chunk(self.run, 1).await.expect("the store").expect("a chunk");
        numbers.map(|number| chunk.operations[&OperationId(number)].state).collect()
    }
}

fn machine(number: u32) -> MachineId {
    MachineId::from_service(&format!("{number:040x}"))
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
    {
        let mut world = simulation.service.world.lock().expect("a world");
        world.dead.insert(dead.clone());
        if random.u8(0..3) == 0 {
            let trouble = [Trouble::Unavailable, Trouble::Refused, Trouble::Reset, Trouble::Silent][random.usize(0..4)];
            // Whoever cannot be reached from the beginning is no outage.
            let from = random.i64(if matches!(trouble, Trouble::Refused) { 10 } else { 0 }..30);
            world.outages.push(Outage { from, to: from + random.i64(5..900), trouble });
        }
    }
    let (reason, progress) = simulation.run(simulation.settings(seed, quota)).await;

    assert!(matches!(reason, EndReason::Finished), "seed {seed}: {reason:?}");
    let states = simulation.states().await;
    let world = simulation.service.world.lock().expect("a world");
    assert_eq!(world.violations, Vec::<String>::new(), "seed {seed}, quota {quota}");
    assert_eq!(progress.settled(), simulation.operations.len() as u64, "seed {seed}: one outcome each");
    for ((machine, change), state) in simulation.operations.iter().zip(states) {
        let request =
            ApiRequest::for_operation(crate::model::Operation { machine: machine.clone(), change: change.clone() });
        let key = change_of(&request);
        match state {
            OperationState::Succeeded => {
                let was_answered = world.answered.contains(&(machine.clone(), key)) || world.shown.contains(machine);
                assert!(was_answered, "seed {seed}: success without an answer");
                let holds = match change {
                    Change::Tag(TagAction::Add, tag) => world.tags[machine].contains(tag.as_str()),
                    Change::Tag(TagAction::Remove, tag) => !world.tags[machine].contains(tag.as_str()),
                    Change::DeviceValue(value) => world.values[machine] == *value,
                };
                assert!(holds, "seed {seed}: {change} on {machine} does not hold");
            }
            OperationState::Failed => {
                assert_eq!(*machine, dead, "seed {seed}: a living machine failed");
                let may_hold = world.may_hold.contains(&(machine.clone(), key));
                assert!(!may_hold, "seed {seed}: {change} failed although it may have been done");
            }
            OperationState::Unknown => {
                assert_eq!(*machine, dead, "seed {seed}: a living machine is read back");
                let may_hold = world.may_hold.contains(&(machine.clone(), key));
                assert!(may_hold, "seed {seed}: {change} was refused and nothing else");
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
