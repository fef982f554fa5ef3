//! The service of the simulations: the sandbox's, behind a weather that loses calls and answers, with an auditor beside it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;

use crate::api::sign_in::SignInError;
use crate::api::{Answer, ApiRequest, Loss, LossKind, Response, TokenGeneration, Transport};
use crate::clock::SharedClock;
use crate::dispatch::tests::fixtures::ORIGIN;
use crate::model::{Bucket, MachineId, TagAction};
use crate::quota::Quota;
use crate::sandbox::in_memory::{InMemory, change_of, is_success, machines_of, tag_of};
use crate::sandbox::{DeadNaming, Mishap, SandboxSettings};

/// How often each fault comes, in thousandths.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    unavailable: u32,
    reset_before: u32,
    lost_after: u32,
    truncated_after: u32,
    html: u32,
    not_found_once: u32,
    throttled: u32,
    unauthorized: u32,
}

pub(super) const CALM: Weather = Weather {
    unavailable: 0,
    reset_before: 0,
    lost_after: 0,
    truncated_after: 0,
    html: 0,
    not_found_once: 0,
    throttled: 0,
    unauthorized: 0,
};
/// Nobody is let in.
pub(super) const REFUSING: Weather = Weather { unauthorized: 1000, ..CALM };
pub(super) const STORMY: Weather = Weather {
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
pub(super) struct Outage {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) trouble: Trouble,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    Unavailable,
    Refused,
    Reset,
    Silent,
}

#[derive(Default)]
pub(super) struct World {
    pub(super) outages: Vec<Outage>,
    /// The machines of single calls, in the order of their arrival.
    pub(super) order: Vec<MachineId>,
    /// When calls met an outage, in microseconds.
    pub(super) met_outage: Vec<i64>,
    /// Machines that reads have shown.
    pub(super) shown: BTreeSet<MachineId>,
    reads: u32,
    last_write: i64,
    /// Arrivals that were let in, in microseconds.
    pub(super) arrivals: HashMap<Bucket, Vec<i64>>,
    named_wait_until: HashMap<Bucket, i64>,
    pub(super) answered: BTreeSet<(MachineId, String)>,
    /// Changes that were asked for without an answer that says what became of them.
    pub(super) may_hold: BTreeSet<(MachineId, String)>,
    /// How often each change was asked for.
    pub(super) calls: HashMap<(MachineId, String), u32>,
    pub(super) violations: Vec<String>,
    token: u64,
    /// How many reads there had been when a machine lost a tag.
    pub(super) reads_before_loss: BTreeMap<MachineId, u32>,
}

pub(super) struct Service {
    pub(super) clock: SharedClock,
    quota: Quota,
    weather: Weather,
    pub(super) tenant: InMemory,
    latency_milliseconds: u64,
    random: Mutex<fastrand::Rng>,
    pub(super) world: Mutex<World>,
}

impl Service {
    pub(super) fn new(
        clock: SharedClock,
        quota: Quota,
        weather: Weather,
        (dead_naming, bulk_limit): (DeadNaming, usize),
        latency_milliseconds: u64,
        seed: u64,
    ) -> Self {
        let settings = SandboxSettings { dead_naming, bulk_limit, seed, ..InMemory::of_anybody() };
        Self {
            clock,
            quota,
            weather,
            tenant: InMemory::new(settings),
            latency_milliseconds,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            world: Mutex::default(),
        }
    }

    /// Lets a machine die before anybody has heard of it.
    pub(super) fn kill(&self, machine: &MachineId) {
        self.tenant.change(machine, |machine| (machine.dead, machine.listed) = (true, false));
    }

    /// What goes wrong from now on.
    pub(super) fn script(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        *self.tenant.service().script() = mishaps.into_iter().collect();
    }

    fn chance(&self, thousandths: u32) -> bool {
        self.random.lock().expect("a seed").u32(0..1000) < thousandths
    }

    async fn delay(&self) {
        let milliseconds = self.random.lock().expect("a seed").u64(0..=self.latency_milliseconds);
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }

    pub(super) fn lost(kind: LossKind) -> Answer {
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

    /// Has the service do what it is asked for, and audits that.
    fn apply(&self, request: &ApiRequest) -> Answer {
        let mut world = self.world.lock().expect("a world");
        let now = self.clock.boot_time().as_microseconds();
        // A question for a single machine only asks whether anybody is there.
        if matches!(request, ApiRequest::ListMachines { top: 2.., .. }) && now < world.last_write + 900_000_000 {
            world.violations.push("the list was read before it shows the latest writes".into());
        }
        let machines = machines_of(request);
        if !request.is_read() {
            world.last_write = now;
            if let [only] = machines.as_slice() {
                world.order.push(only.clone());
            }
        }
        let answer = self.tenant.serve(request);
        match &answer {
            Answer::Response(response) if response.status != 200 => {}
            Answer::Response(response) if request.is_read() => world.shown.extend(shown_by(response)),
            _ => self.audit_losses(&mut world, request, machines),
        }
        answer
    }

    /// Make before break: whatever is to be added must be there when another tag goes.
    fn audit_losses(&self, world: &mut World, request: &ApiRequest, machines: Vec<MachineId>) {
        let Some((TagAction::Remove, tag)) = tag_of(request) else { return };
        for machine in machines {
            if tag == "unwanted" && !self.tenant.has_tag(&machine, "wanted") {
                world.violations.push(format!("{machine} lost its tag before it got the other"));
            }
            let reads = world.reads;
            world.reads_before_loss.insert(machine, reads);
        }
    }

    /// Carries a request through the weather to the service, and the answer back.
    async fn carry(&self, request: &ApiRequest) -> Answer {
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
            return answer;
        }
        if self.chance(self.weather.reset_before) {
            return Self::lost(LossKind::ConnectionLost);
        }
        let answer = match self.admit(request.bucket()) {
            Err(seconds) => return self.throttle(request.bucket(), seconds).await,
            Ok(()) if self.chance(self.weather.unauthorized) => Self::response(401, String::new()),
            Ok(()) if self.chance(self.weather.unavailable) => Self::response(503, "busy".into()),
            Ok(()) if self.chance(self.weather.not_found_once) => Self::response(404, String::new()),
            Ok(()) if self.chance(self.weather.html) => Self::response(200, "<html>".into()),
            Ok(()) => self.apply(request),
        };
        self.delay().await;
        if self.chance(self.weather.lost_after) {
            return Self::lost(LossKind::ConnectionLost);
        }
        if self.chance(self.weather.truncated_after) {
            return Self::lost(LossKind::Truncated);
        }
        if is_success(&answer) && !matches!(&answer, Answer::Response(response) if response.looks_like_html()) {
            let mut world = self.world.lock().expect("a world");
            world.answered.extend(machines_of(request).into_iter().map(|machine| (machine, key.clone())));
        }
        answer
    }
}

/// The machines that a read shows.
fn shown_by(response: &Response) -> Vec<MachineId> {
    let body: serde_json::Value = serde_json::from_slice(&response.body).expect("JSON");
    let machines = body["value"].as_array().cloned().unwrap_or_else(|| vec![body]);
    machines.iter().filter_map(|machine| machine["id"].as_str().map(MachineId::from_service)).collect()
}

#[async_trait]
impl Transport for Service {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        let token = TokenGeneration(self.world.lock().expect("a world").token);
        let answer = self.carry(request).await;
        // Some answers leave open what became of a change.
        let says_nothing = match &answer {
            Answer::Response(response) => response.status >= 500 || response.looks_like_html(),
            Answer::Lost(loss) => !loss.kind.never_left(),
        };
        if says_nothing && !request.is_read() {
            let changes = machines_of(request).into_iter().map(|machine| (machine, change_of(request)));
            self.world.lock().expect("a world").may_hold.extend(changes);
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
