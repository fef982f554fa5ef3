//! Performs a history: one state directory, processes that come and go, one true time, and clocks that are none of it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::time::Instant;

use super::history::{Command, Deed, History, Label, Row, Step};
use super::process::Process;
use super::rules_file::RulesFile;
use super::service::{BEGINNING, Service};
use super::telling::{End, Told};
use super::truth::{CommandNumber, Log, Moment, Wish};
use crate::clock::{BootId, BootTime, Clock, SharedClock};
use crate::store::InPlace;

/// A history that was performed.
pub(super) struct Performance {
    pub(super) log: Log,
    pub(super) told: Vec<Told>,
}

/// Performs the history from its beginning to its end.
pub(super) async fn perform(history: &History) -> Performance {
    let mut world = World::new(history);
    for step in &history.steps {
        world.take(step).await;
    }
    let log = world.service.state().log.clone();
    Performance { log, told: world.told }
}

/// The clocks of one start of the machine.
#[derive(Debug)]
struct MachineClock {
    boot_id: BootId,
    started: Instant,
    boot_origin: BootTime,
    wall_origin: Timestamp,
    /// By how many seconds somebody has set the clock since.
    set_by: Arc<Mutex<i64>>,
}

impl Clock for MachineClock {
    fn boot_time(&self) -> BootTime {
        self.boot_origin.plus(self.started.elapsed())
    }

    fn wall_time(&self) -> Timestamp {
        let set_by = jiff::SignedDuration::from_secs(*self.set_by.lock().expect("nobody panicked"));
        let time = self.wall_origin.checked_add(self.started.elapsed()).and_then(|time| time.checked_add(set_by));
        time.expect("this century")
    }

    fn boot_id(&self) -> &BootId {
        &self.boot_id
    }
}

/// After so long whoever has died on a server is known to be dead, and nothing that he had in flight can arrive any more: where
/// nobody has watched it, the server's clock is believed less five minutes.
const LONGEST_UNTIL_DEATH_IS_KNOWN: Duration = Duration::from_mins(8);

/// Everything that a history is about.
struct World {
    service: Arc<Service>,
    directory: TempDir,
    /// The database that stands for it, where states are wanted on a server.
    on_server: Option<InPlace>,
    clock: SharedClock,
    set_by: Arc<Mutex<i64>>,
    boots: u64,
    files: [Vec<Row>; 2],
    rules: [Option<RulesFile>; 2],
    told: Vec<Told>,
    commands: CommandNumber,
}

impl World {
    fn new(history: &History) -> Self {
        let service = Arc::new(Service::new(history.habits.clone(), &history.machines));
        let set_by = Arc::new(Mutex::new(0));
        let clock = machine_clock(0, Duration::ZERO, &set_by);
        let (directory, true_time) = (directory(), Arc::clone(&service));
        let server_clock = move || (wall_time_at(true_time.now())).as_microsecond();
        Self {
            on_server: InPlace::of(&directory.path().join("state"), Box::new(server_clock)),
            service,
            directory,
            clock,
            set_by,
            boots: 0,
            files: Default::default(),
            rules: Default::default(),
            told: Vec::new(),
            commands: 0,
        }
    }

    async fn take(&mut self, step: &Step) {
        // So that no two processes begin at the same moment.
        tokio::time::sleep(Duration::from_millis(7)).await;
        if self.on_server.is_some() && self.told.iter().rev().take(2).any(|told| told.end == End::Killed) {
            tokio::time::sleep(LONGEST_UNTIL_DEATH_IS_KNOWN).await;
        }
        match step {
            Step::Write { file, rows } => self.files[*file].clone_from(rows),
            Step::Declare { file, rules } => self.rules[*file] = Some(rules.clone()),
            Step::Wait(duration) => tokio::time::sleep(*duration).await,
            Step::Restart => {
                tokio::time::sleep(Duration::from_secs(20)).await;
                self.boots += 1;
                self.clock = machine_clock(self.boots, self.service.now(), &self.set_by);
            }
            Step::SetClock { seconds } => *self.set_by.lock().expect("nobody panicked") = *seconds,
            Step::Others(..) | Step::List(..) => happen(&self.service, step),
            Step::Command(command) => {
                let Some(process) = self.process(command, false) else { return };
                let told = process.live().await;
                self.told.push(told);
            }
            Step::Together(first, second, after) => self.together(first, second, *after).await,
        }
    }

    async fn together(&mut self, first: &Command, second: &Command, after: Duration) {
        let Some(one) = self.process(first, true) else { return };
        let other = self.process(second, true);
        let later = async move {
            tokio::time::sleep(after).await;
            match other {
                Some(other) => Some(other.live().await),
                None => None,
            }
        };
        let (one, other) = tokio::join!(one.live(), later);
        self.told.push(one);
        self.told.extend(other);
    }

    /// The process of a command; none if it is about a run, or a file of rules, that there is not.
    fn process(&mut self, command: &Command, has_company: bool) -> Option<Process> {
        let run = match command.deed {
            Deed::Resume(label) | Deed::Undo(label) => Some(self.run_of(label)?),
            _ => None,
        };
        let rules = match command.deed.rules() {
            Some(file) => Some(self.rules[file].clone()?),
            None => None,
        };
        let file = command.deed.file().map(|file| (file, self.files[file].clone()));
        let orders = command.deed.orders().or_else(|| self.orders_of(run.as_deref()?));
        self.commands += 1;
        Some(Process {
            number: self.commands - 1,
            command: command.clone(),
            run,
            file,
            rules,
            orders,
            has_company,
            service: Arc::clone(&self.service),
            clock: Arc::clone(&self.clock),
            directory: self.directory.path().join("state"),
            paper: Arc::default(),
        })
    }

    /// What the command line asked for of which the run is; its results do not say it.
    fn orders_of(&self, run: &str) -> Option<Vec<Wish>> {
        let of_run = self.told.iter().rev().filter(|told| told.run.as_deref() == Some(run));
        of_run.filter(|told| !matches!(told.deed, Deed::Retag(_))).find_map(|told| told.deed.orders())
    }

    fn run_of(&self, label: Label) -> Option<String> {
        self.told.iter().find(|told| told.label == label)?.run.clone()
    }
}

/// Other people's doings.
pub(super) fn happen(service: &Service, step: &Step) {
    match step {
        Step::Others(machine, wish) => service.change_by_others(*machine, wish),
        Step::List(machine, is_listed) => service.list(*machine, *is_listed),
        _ => {}
    }
}

fn machine_clock(boot: u64, true_time: Moment, set_by: &Arc<Mutex<i64>>) -> SharedClock {
    Arc::new(MachineClock {
        boot_id: BootId::new(format!("boot {boot}")),
        started: Instant::now(),
        boot_origin: BootTime::from_microseconds(20_000_000 + i64::try_from(boot % 5).expect("small") * 3_000_000_000),
        wall_origin: wall_time_at(true_time),
        set_by: Arc::clone(set_by),
    })
}

/// The time of day by a clock that is right.
fn wall_time_at(true_time: Moment) -> Timestamp {
    let beginning: Timestamp = BEGINNING.parse().expect("a time");
    beginning.checked_add(true_time).expect("this century")
}

/// A directory in memory where there is one: nothing in it has to outlive the test.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let in_memory = memory.is_dir().then(|| tempfile::tempdir_in(memory).ok()).flatten();
    in_memory.unwrap_or_else(|| tempfile::tempdir().expect("a directory"))
}
