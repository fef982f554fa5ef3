//! The room under virtual time: the tenant is in memory, each command is a process of its own with a store of its own on
//! one directory.

mod identity;
mod joining;
mod names;
mod overtaking;
mod retagging;
mod service;
mod undoing;
mod waiting;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::mpsc;

use self::service::Service as VirtualService;
use super::*;
use crate::api::sign_in::SignInError;
use crate::clock::{BootId, BootTime, SharedClock, VirtualClock};
use crate::dispatch::{MaximumErrors, Spent, StopRequest};
use crate::exit::{CommandError, ExitStatus};
use crate::input::InputOptions;
use crate::model::MachineId;
use crate::plan::changes::{PlanSettings, UnlistedPolicy};
use crate::quota::QuotaScope;
use crate::report::{Reserved, ResultsTarget, Screen, Streams};
use crate::store::Store;

/// The id of the machine of this number.
fn id(number: u32) -> MachineId {
    MachineId::from_service(&format!("{number:040x}"))
}

/// Rows as a file has them: `#1` stands for the id of machine 1.
fn csv(rows: &str) -> String {
    let rows = rows.lines().map(|row| match row.strip_prefix('#').and_then(|row| row.split_once(',')) {
        Some((number, rest)) => format!("{},{rest}\n", id(number.parse().expect("a number"))),
        None => format!("{row}\n"),
    });
    format!("machineId,tag,action,value\n{}", rows.collect::<String>())
}

/// A row as [`csv`] takes it.
fn row(machine: u32, tag: &str, action: &str, value: &str) -> String {
    format!("#{machine},{tag},{action},{value}\n")
}

/// Rows that add a tag to the machines 1 to `machines`.
fn adding(tag: &str, machines: u32) -> String {
    (1..=machines).map(|machine| row(machine, tag, "Add", "")).collect()
}

/// What was written to a screen.
#[derive(Debug, Default)]
struct Written {
    messages: Mutex<Vec<u8>>,
    data: Mutex<Vec<u8>>,
}

impl Streams for Written {
    fn write_error(&self, bytes: &[u8]) -> io::Result<()> {
        self.messages.lock().expect("text").extend_from_slice(bytes);
        Ok(())
    }

    fn write_data(&self, bytes: &[u8]) -> io::Result<()> {
        self.data.lock().expect("text").extend_from_slice(bytes);
        Ok(())
    }
}

/// Says yes after a while, each time it is asked.
struct Patient(Duration, Mutex<u32>);

#[async_trait]
impl Consent for Patient {
    async fn ask(&self, screen: &Screen, description: &str) -> Result<(), CommandError> {
        screen.line(description);
        let times = {
            let mut asked = self.1.lock().expect("a number");
            *asked += 1;
            *asked
        };
        // Whoever was slow once is quick the next time.
        tokio::time::sleep(if times == 1 { self.0 } else { Duration::from_secs(1) }).await;
        Ok(())
    }
}

/// What a command is run with, and what happens to it.
#[derive(Clone)]
struct Invocation {
    joins: bool,
    inventory: bool,
    limit: Option<u32>,
    unlisted: UnlistedPolicy,
    max_changes: Option<u32>,
    lock_wait: Option<Duration>,
    deadline: Option<Duration>,
    max_outage: Duration,
    /// Whether somebody is asked, and how long that takes.
    answered_after: Option<Duration>,
    interrupted_after: Option<Duration>,
    dies_after: Option<Duration>,
    note: Option<&'static str>,
    keep_runs: Duration,
    quota: &'static str,
    concurrency: usize,
    identity: Result<Identity, SignInError>,
    signing_in_takes: Duration,
    /// How long ago the command began when its context was ready.
    reading_took: Duration,
}

impl Default for Invocation {
    fn default() -> Self {
        let identity = Identity { tenant: Some("tenant".to_owned()), app: Some("app".to_owned()), is_person: false };
        Self {
            joins: true,
            inventory: true,
            limit: None,
            unlisted: UnlistedPolicy::Try,
            max_changes: None,
            lock_wait: None,
            deadline: None,
            max_outage: Duration::from_hours(2),
            answered_after: None,
            interrupted_after: None,
            dies_after: None,
            note: None,
            keep_runs: Duration::from_hours(24 * 90),
            quota: "off",
            concurrency: 4,
            identity: Ok(identity),
            signing_in_takes: Duration::ZERO,
            reading_took: Duration::ZERO,
        }
    }
}

/// What a command came to.
#[derive(Debug)]
struct Said {
    status: ExitStatus,
    messages: String,
    data: String,
}

impl Said {
    #[track_caller]
    fn exits(self, status: ExitStatus) -> Self {
        assert_eq!(self.status, status, "{}", self.messages);
        self
    }

    #[track_caller]
    fn says(self, words: &str) -> Self {
        assert!(self.messages.contains(words), "{words:?} is not in: {}", self.messages);
        self
    }

    /// The results, one map a row.
    fn rows(&self) -> Vec<BTreeMap<String, String>> {
        let mut lines = self.data.lines().map(|line| line.split(',').map(str::to_owned));
        let header: Vec<String> = lines.next().expect("a header").collect();
        lines.map(|cells| header.iter().cloned().zip(cells).collect()).collect()
    }

    /// How many rows there are of each status.
    fn statuses(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for row in self.rows() {
            *counts.entry(row["status"].clone()).or_default() += 1;
        }
        counts
    }

    /// The name of the run that answered the rows.
    fn run_id(&self) -> String {
        self.rows()[0]["run_id"].clone()
    }
}

/// A tenant, and the directory that holds the state of all processes.
struct World {
    service: Arc<VirtualService>,
    directory: TempDir,
    clock: SharedClock,
    seed: Mutex<u64>,
}

impl World {
    /// A tenant with the machines 1 to `machines`.
    fn of(machines: u32) -> Self {
        let (boot, wall) = (BootTime::from_microseconds(1_000_000_000), "2026-03-01T12:00:00Z");
        let wall: Timestamp = wall.parse().expect("a time");
        let clock: SharedClock = Arc::new(VirtualClock::new(BootId::new("boot".into()), boot, wall));
        // In memory where there is such a place: no test cuts the power.
        let in_memory = tempfile::tempdir_in("/dev/shm").ok();
        let directory = in_memory.unwrap_or_else(|| tempfile::tempdir().expect("a directory"));
        Self { service: VirtualService::holding(machines), directory, clock, seed: Mutex::new(0) }
    }

    /// A new process's store.
    async fn store(&self) -> Store {
        let state = self.directory.path().join("state");
        Store::open(&state, Arc::clone(&self.clock)).await.expect("a store")
    }

    fn context(
        &self,
        written: &Arc<Written>,
        stop_requests: mpsc::Receiver<StopRequest>,
        how: &Invocation,
    ) -> RunContext {
        let mut seed = self.seed.lock().expect("a seed");
        *seed += 1;
        RunContext {
            screen: Screen::over(Arc::clone(written) as Arc<dyn Streams>, false),
            quiet: false,
            json: false,
            live_status: None,
            repeated_options: String::new(),
            calling_options: String::new(),
            resuming_options: String::new(),
            reading_options: String::new(),
            tick: Duration::from_mins(10),
            consent: Arc::new(Patient(how.answered_after.unwrap_or_default(), Mutex::default())),
            stop_requests,
            random: fastrand::Rng::with_seed(*seed),
            began: self.clock.boot_time().minus(how.reading_took),
            waits: vec![(Spent::Input, how.reading_took)],
        }
    }

    async fn tenant(&self, context: &mut RunContext, how: &Invocation) -> Result<Tenant<VirtualService>, CommandError> {
        let service = Service {
            transport: Arc::clone(&self.service),
            host: "host".to_owned(),
            description: "host".to_owned(),
            is_sandbox: false,
        };
        let calls = CallOptions {
            quota: how.quota.parse().expect("a quota"),
            scope: QuotaScope::Api,
            concurrency: how.concurrency,
            deadline: how.deadline.map(|deadline| self.clock.boot_time().plus(deadline)),
            maximum_outage: how.max_outage,
        };
        let identity = async {
            tokio::time::sleep(how.signing_in_takes).await;
            how.identity.clone()
        };
        Tenant::open(service, identity, self.store().await, Arc::clone(&self.clock), calls, context).await
    }

    /// A command in a process of its own; `None` if that died.
    async fn command<'w, Running>(
        &'w self,
        how: &'w Invocation,
        run: impl FnOnce(&'w Self, RunContext) -> Running,
    ) -> Option<Said>
    where
        Running: Future<Output = (RunContext, Result<ExitStatus, CommandError>)>,
    {
        let written = Arc::<Written>::default();
        let (sender, stop_requests) = mpsc::channel(4);
        let context = self.context(&written, stop_requests, how);
        let interrupting = async {
            match how.interrupted_after {
                Some(after) => {
                    tokio::time::sleep(after).await;
                    sender.send(StopRequest::Drain).await.expect("somebody who hears it");
                    std::future::pending::<()>().await;
                }
                None => std::future::pending().await,
            }
        };
        let dying = async {
            match how.dies_after {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
        };
        let (context, outcome) = tokio::select! {
            biased;
            () = dying => return None,
            ended = run(self, context) => ended,
            () = interrupting => return None,
        };
        let status = outcome.unwrap_or_else(|error| {
            context.screen.line(&error.problem.render(false));
            error.status
        });
        let text = |bytes: &Mutex<Vec<u8>>| String::from_utf8(bytes.lock().expect("text").clone()).expect("UTF-8");
        Some(Said { status, messages: text(&written.messages), data: text(&written.data) })
    }

    async fn apply_or_die(&self, rows: &str, how: &Invocation) -> Option<Said> {
        self.apply_input_or_die(csv(rows), InputOptions::default(), how).await
    }

    async fn apply_input_or_die(&self, text: String, options: InputOptions, how: &Invocation) -> Option<Said> {
        let order = ApplyOrder {
            target: ResultsTarget::StandardOutput,
            planning: how.planning(),
            run: how.run(),
            joins: how.joins,
        };
        self.command(how, async |world, mut context| {
            let applying = async {
                let input = InputOrder {
                    name: "rows.csv".to_owned(),
                    path: "/rows.csv".to_owned(),
                    is_file: true,
                    source: InputSource::Bytes(Box::new(move || Ok(Box::new(io::Cursor::new(text))))),
                    filter: None,
                    options,
                    skip_invalid: false,
                    allow_empty: false,
                    names_allowed: how.inventory,
                };
                let input = check_input(input, &context.screen).await?;
                let tenant = world.tenant(&mut context, how).await?;
                apply(&tenant, &order, input, &mut context).await
            };
            let outcome = Box::pin(applying).await;
            (context, outcome)
        })
        .await
    }

    async fn apply(&self, rows: &str, how: &Invocation) -> Said {
        self.apply_or_die(rows, how).await.expect("it lives")
    }

    async fn resume(&self, run: Option<&str>, how: &Invocation) -> Said {
        let run_id = run.map(str::to_owned);
        let resumed = self.command(how, async |world, mut context| {
            let resuming = async {
                let tenant = world.tenant(&mut context, how).await?;
                let target = Some(ResultsTarget::StandardOutput);
                let (planning, reserved) = (how.planning(), Reserved::default());
                let order = ResumeOrder { run_id, target, reserved, planning, run: how.run() };
                resume(&tenant, order, &mut context).await
            };
            let outcome = Box::pin(resuming).await;
            (context, outcome)
        });
        resumed.await.expect("it lives")
    }

    async fn undo_or_die(&self, run: &str, how: &Invocation) -> Option<Said> {
        let run_id = run.to_owned();
        self.command(how, async |world, mut context| {
            let undoing = async {
                let tenant = world.tenant(&mut context, how).await?;
                let target = ResultsTarget::StandardOutput;
                let order = UndoOrder { run_id, target, max_changes: how.max_changes, run: how.run() };
                undo(&tenant, order, &mut context).await
            };
            let outcome = Box::pin(undoing).await;
            (context, outcome)
        })
        .await
    }

    async fn undo(&self, run: &str, how: &Invocation) -> Said {
        self.undo_or_die(run, how).await.expect("it lives")
    }
}

impl Invocation {
    fn planning(&self) -> PlanningOrder {
        PlanningOrder {
            settings: PlanSettings { unlisted: self.unlisted, limit: self.limit, ..PlanSettings::default() },
            inventory: self.inventory,
            bulk: false,
            max_changes: self.max_changes,
        }
    }

    fn run(&self) -> RunOrder {
        RunOrder {
            asks: self.answered_after.is_some(),
            bulk: false,
            maximum_errors: MaximumErrors::Percent(50),
            skip_missing_machines: false,
            lock_wait: self.lock_wait,
            note: self.note.map(str::to_owned),
            keep_runs: self.keep_runs,
            report: None,
        }
    }
}
