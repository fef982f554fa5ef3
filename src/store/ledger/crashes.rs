//! The quota across crashes: processes that die with calls in flight, and machines that are started again, under a seeded
//! adversary who lets calls arrive at the worst moment. A failure prints its seed; the same seed gives the same run.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::clock::SharedClock;
use crate::clock::{BootId, BootTime, Clock};
use crate::model::Bucket;
use crate::quota::Quota;
use crate::store::*;
use std::sync::Arc;

const QUOTA: &str = "4/5s,9/30s";
const TIME_OUT: Duration = Duration::from_secs(2);
/// The longest that anything on the way holds a request after it was given up.
const HELD: Duration = Duration::from_secs(30);
const STEPS: u32 = 120;

/// The clocks of one start of the machine: boot time begins anew, and wall time is wrong by some hours.
#[derive(Debug)]
struct MachineClock {
    boot_id: BootId,
    origin: tokio::time::Instant,
    boot_origin: BootTime,
    wall_origin: Timestamp,
}

impl Clock for MachineClock {
    fn boot_time(&self) -> BootTime {
        self.boot_origin.plus(self.origin.elapsed())
    }

    fn wall_time(&self) -> Timestamp {
        self.wall_origin.checked_add(self.origin.elapsed()).expect("this century")
    }

    fn boot_id(&self) -> &BootId {
        &self.boot_id
    }
}

struct Process {
    clock: SharedClock,
    store: Store,
    account: AccountKey,
    in_flight: Vec<(AttemptTicket, Duration)>,
}

/// What the adversary sees: true time since the beginning, and when each call arrived by it.
struct World {
    directory: TempDir,
    random: fastrand::Rng,
    began: tokio::time::Instant,
    boots: u32,
    containers: u32,
    clock: SharedClock,
    processes: Vec<Process>,
    arrivals: Mutex<Vec<Duration>>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = Self {
            directory: tempfile::tempdir().expect("a directory"),
            began: tokio::time::Instant::now(),
            boots: 0,
            containers: 0,
            clock: machine_clock(0, &mut random),
            random,
            processes: Vec::new(),
            arrivals: Mutex::default(),
        };
        world.start_process().await;
        world
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    async fn start_process(&mut self) {
        self.start_process_with(self.clock.clone()).await;
    }

    /// A process in a container that has boot times of its own.
    async fn start_container(&mut self) {
        self.containers += 1;
        let clock = machine_clock(1000 * self.boots + self.containers, &mut self.random);
        self.start_process_with(clock).await;
    }

    async fn start_process_with(&mut self, clock: SharedClock) {
        let store = Store::open(&self.directory.path().join("state"), clock.clone()).await.expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        self.processes.push(Process { clock, store, account, in_flight: Vec::new() });
    }

    /// The call arrives some time from its start until then, most likely at one of the ends.
    fn arrives(&mut self, from: Duration, until: Duration) {
        let arrival = match self.random.u8(0..4) {
            0 => from,
            1 => from + (until.saturating_sub(from)).mul_f64(self.random.f64()),
            _ => until,
        };
        self.arrivals.lock().expect("arrivals").push(arrival);
    }

    async fn call(&mut self) {
        let started = self.now();
        let number = self.random.usize(..self.processes.len());
        let process = &mut self.processes[number];
        let request = AttemptRequest {
            account: process.account,
            bucket: Bucket::Tags,
            counted_buckets: vec![Bucket::Tags],
            quota: QUOTA.parse().expect("a quota"),
            run: None,
            call_kind: "tags",
            operations: vec![],
            time_out: TIME_OUT,
        };
        match process.store.admit(request).await.expect("the store works") {
            Admission::Granted(ticket) => process.in_flight.push((ticket, started)),
            Admission::Refused(Refusal::Window { until, .. }) => {
                crate::clock::sleep_until(process.clock.as_ref(), until).await;
            }
            Admission::Refused(_) => {}
        }
    }

    /// An answer comes, or the call is given up.
    async fn settle(&mut self) {
        let number = self.random.usize(..self.processes.len());
        let process = &mut self.processes[number];
        if process.in_flight.is_empty() {
            return;
        }
        let (ticket, started) = process.in_flight.swap_remove(self.random.usize(..process.in_flight.len()));
        let answered = self.random.bool();
        let settlement =
            Settlement::of(ticket.attempt, if answered { AttemptEnd::Now } else { AttemptEnd::GivenUp }, vec![]);
        process.store.settle(settlement).await.expect("the store works");
        let until = if answered { self.now() } else { self.now() + HELD };
        self.arrives(started, until);
    }

    fn kill(&mut self, number: usize) {
        let process = self.processes.swap_remove(number);
        for (_, started) in &process.in_flight {
            self.arrives(*started, *started + TIME_OUT + HELD);
        }
    }

    /// Everybody dies, and the clocks begin anew; often that happens twice in a row.
    async fn restart_machine(&mut self) {
        loop {
            while !self.processes.is_empty() {
                self.kill(0);
            }
            self.boots += 1;
            tokio::time::sleep(Duration::from_secs_f64(self.random.f64() * 10.0)).await;
            self.clock = machine_clock(self.boots, &mut self.random);
            if self.random.bool() {
                return;
            }
            self.start_process().await;
        }
    }

    async fn step(&mut self) {
        if self.processes.is_empty() {
            self.start_process().await;
        }
        match self.random.u8(0..40) {
            0 => self.restart_machine().await,
            1 | 2 => {
                let number = self.random.usize(..self.processes.len());
                self.kill(number);
            }
            3 if self.processes.len() < 4 => self.start_process().await,
            4 if self.processes.len() < 4 => self.start_container().await,
            5..12 => self.settle().await,
            12..18 => tokio::time::sleep(Duration::from_secs_f64(self.random.f64() * 1.5)).await,
            18 => tokio::time::sleep(Duration::from_secs(self.random.u64(1..60))).await,
            _ => self.call().await,
        }
        if let Some(process) = self.processes.first() {
            process.store.sweep_dead_processes().await.expect("the store works");
        }
    }
}

fn machine_clock(boot: u32, random: &mut fastrand::Rng) -> SharedClock {
    let wall: Timestamp = "2026-05-01T00:00:00Z".parse().expect("a time");
    Arc::new(MachineClock {
        boot_id: BootId::new(format!("boot {boot}")),
        origin: tokio::time::Instant::now(),
        boot_origin: BootTime::from_microseconds(random.i64(0..1_000_000_000_000)),
        // Two starts of the machine differ by less than the fifteen hours that wall time is doubted for.
        wall_origin: wall.checked_add(Duration::from_secs(random.u64(0..14 * 3600))).expect("this century"),
    })
}

async fn no_window_is_ever_too_full(seed: u64) {
    let mut world = World::new(seed).await;
    for _step in 0..STEPS {
        world.step().await;
    }
    while !world.processes.is_empty() {
        world.kill(0);
    }
    let mut arrivals = world.arrivals.into_inner().expect("arrivals");
    arrivals.sort_unstable();
    let quota: Quota = QUOTA.parse().expect("a quota");
    for limit in quota.limits() {
        for (index, first) in arrivals.iter().enumerate() {
            let held =
                arrivals[index..].iter().take_while(|arrival| arrival.saturating_sub(*first) <= limit.window).count();
            assert!(held <= limit.calls.get() as usize, "seed {seed}: {held} calls from {first:?} on, against {limit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_dies_and_whenever_no_window_of_the_service_holds_more_calls_than_the_quota() {
    for seed in 0..20 {
        no_window_is_ever_too_full(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_outlives_the_process_and_the_start_of_the_machine() {
    let mut world = World::new(7).await;
    let process = &world.processes[0];
    let account = process.account;
    let request = || AttemptRequest {
        account,
        bucket: Bucket::Tags,
        counted_buckets: vec![],
        quota: Quota::default(),
        run: None,
        call_kind: "tags",
        operations: vec![],
        time_out: TIME_OUT,
    };
    let paused = || AttemptRequest { counted_buckets: vec![Bucket::Tags], ..request() };
    let Admission::Granted(ticket) = process.store.admit(request()).await.expect("the store works") else {
        panic!("refused")
    };
    let until = world.clock.boot_time().plus(Duration::from_mins(10));
    let settlement = Settlement {
        attempt: ticket.attempt,
        end: AttemptEnd::Now,
        verdict: "throttled",
        http_status: Some(429),
        request_id: None,
        counts_as_attempt: false,
        effects: vec![],
        pause: Some((account, Bucket::Tags, until)),
    };
    process.store.settle(settlement).await.expect("the store works");
    world.kill(0);
    world.start_process().await;
    let admission = world.processes[0].store.admit(paused()).await.expect("the store works");
    assert_eq!(admission, Admission::Refused(Refusal::Paused { until }));
    // By a true clock it ends when it should; by a wrong one at once, or after an hour at the most.
    for (wall_seconds_later, seconds_left) in [(100, 500), (400, 100), (-360_000, 100), (720_000, 0)] {
        let wall = world.clock.wall_time().checked_add(jiff::SignedDuration::from_secs(wall_seconds_later));
        world.kill(0);
        world.boots += 1;
        let boot_origin = BootTime::from_microseconds(5_000_000);
        let origin = tokio::time::Instant::now();
        let boot_id = BootId::new(format!("boot {}", world.boots));
        let wall_origin = wall.expect("this century");
        world.clock = Arc::new(MachineClock { boot_id, origin, boot_origin, wall_origin });
        world.start_process().await;
        match world.processes[0].store.admit(paused()).await.expect("the store works") {
            Admission::Refused(Refusal::Paused { until }) => {
                assert_eq!(until.since(boot_origin).as_secs(), seconds_left, "{wall_seconds_later}");
            }
            other => assert_eq!(seconds_left, 0, "{wall_seconds_later}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_counts_for_a_process_with_another_clock_until_it_is_old_enough_by_its_own() {
    for (one, other) in [(1_000_000_000, 10_000_000), (10_000_000, 1_000_000_000)] {
        let mut world = World::new(1).await;
        world.kill(0);
        let wall: Timestamp = "2026-05-01T00:00:00Z".parse().expect("a time");
        for boot_origin in [one, other].map(BootTime::from_microseconds) {
            let boot_id = BootId::new(format!("container {boot_origin:?}"));
            let origin = tokio::time::Instant::now();
            world.start_process_with(Arc::new(MachineClock { boot_id, origin, boot_origin, wall_origin: wall })).await;
        }
        let ask = async |number: usize| {
            let process = &world.processes[number];
            let request = AttemptRequest {
                account: process.account,
                bucket: Bucket::Tags,
                counted_buckets: vec![Bucket::Tags],
                quota: "1/10s".parse().expect("a quota"),
                run: None,
                call_kind: "tags",
                operations: vec![],
                time_out: TIME_OUT,
            };
            (process.store.admit(request).await.expect("the store works"), process.clock.boot_time())
        };
        let (Admission::Granted(ticket), _) = ask(0).await else { panic!("refused") };
        let settlement = Settlement::of(ticket.attempt, AttemptEnd::Now, vec![]);
        world.processes[0].store.settle(settlement).await.expect("the store works");
        for seconds in [10, 0] {
            let (admission, now) = ask(1).await;
            let Admission::Refused(Refusal::Window { until, .. }) = admission else { panic!("{admission:?}") };
            // Nobody reports of the other clock any more, so that by it no time has passed until its calls are adopted.
            assert!(until.since(now) <= Duration::from_millis(10_005), "{:?}", until.since(now));
            assert!(until.since(now) > Duration::from_secs(10) || seconds == 0, "{:?}", until.since(now));
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(matches!(ask(1).await.0, Admission::Granted(_)), "adopted by what was seen at first");
    }
}
