//! A command in a process of its own, from its beginning to whatever end its fate has for it.

mod asking;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::history::{Command, Deed, Fate, FileNumber, Options, Order, Retag, Row};
use super::line::Line;
use super::oracle::cells;
use super::performing::happen;
use super::rules_file::RulesFile;
use super::service::Service;
use super::telling::{COLUMNS, End, Told, read_results};
use super::truth::{CommandNumber, Wish};
use crate::clock::SharedClock;
use crate::dispatch::{MaximumErrors, StopRequest};
use crate::exit::{CommandError, ExitStatus};
use crate::report::{Reserved, ResultsTarget, Screen, Streams};
use crate::run::{
    ApplyOrder, CheckedInput, Consent, Identity, InputOrder, ResumeOrder, Retagging, RulesOrder, RunContext, Tenant,
    UndoOrder, apply, apply_rules, check_input, check_input_with_machines, plan, resume, retag, undo, verify,
    verify_rules,
};
use crate::store::{RunCondition, Store};

/// No command takes longer than this.
const LONGEST: Duration = Duration::from_hours(72);
/// How often a command may be looked at within one moment until it is taken to go round in a circle.
const MOST_TURNS_AT_ONCE: u32 = 50_000;
/// How long the service may be in trouble until a command gives up.
const MAXIMUM_OUTAGE: Duration = Duration::from_mins(30);

/// A command under way.
pub(super) struct Process {
    pub(super) number: CommandNumber,
    pub(super) command: Command,
    /// The run that it is about, if it is named.
    pub(super) run: Option<String>,
    pub(super) file: Option<(FileNumber, Vec<Row>)>,
    pub(super) rules: Option<RulesFile>,
    /// What is asked for of every row that does not say it.
    pub(super) orders: Option<Vec<Wish>>,
    pub(super) has_company: bool,
    pub(super) service: Arc<Service>,
    pub(super) clock: SharedClock,
    pub(super) directory: PathBuf,
    pub(super) paper: Arc<Paper>,
}

impl Process {
    /// Lives from its beginning to its end, whichever that is.
    pub(super) async fn live(self) -> Told {
        let (began, began_at) = (self.service.state().log.events.len(), self.service.now());
        let started_at = self.clock.wall_time();
        let end = self.run_through_fate().await;
        let (ended, ended_at) = (self.service.state().log.events.len(), self.service.now());
        // What was aborted is gone when the runtime has looked at it once more.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let data = String::from_utf8_lossy(&self.paper.data.lock().expect("nobody panicked")).into_owned();
        let text = String::from_utf8_lossy(&self.paper.errors.lock().expect("nobody panicked")).into_owned();
        let results = if matches!(end, End::Exited(_)) { read_results(&data, self.orders.as_deref()) } else { None };
        let named = results.iter().flatten().map(|row| row.run.clone()).find(|run| !run.is_empty());
        let run = match named {
            Some(run) => Some(run),
            None => self.run_in_books(started_at).await,
        };
        let was_calm = self.command.fate == Fate::Undisturbed && self.command.weather.is_fair();
        let (label, deed, options) = (self.command.label, self.command.deed, self.command.options.clone());
        Told {
            number: self.number,
            label,
            deed,
            options,
            was_calm,
            had_company: self.has_company,
            run,
            began,
            began_at,
            ended,
            ended_at,
            end,
            file: self.file,
            rules: self.rules,
            results,
            text: text + if matches!(deed, Deed::Plan(_)) { &data } else { "" },
        }
    }

    /// What became of the command, by its fate.
    async fn run_through_fate(&self) -> End {
        let (stop, stop_requests) = mpsc::channel(4);
        let commits = Arc::new(AtomicUsize::new(0));
        let most_commits = match self.command.fate {
            Fate::KilledAtCommit(most) => most,
            _ => usize::MAX,
        };
        let work = self.work(stop_requests, Arc::clone(&commits), most_commits);
        let life = Life { work: Box::pin(work), commits, most_commits, moment: Instant::now(), turns: 0 };
        let end = async {
            if let Fate::KilledAfter(after) = self.command.fate {
                tokio::time::sleep(after).await;
                return End::Killed;
            }
            tokio::time::sleep(LONGEST).await;
            End::Endless
        };
        let circumstances = async {
            tokio::join!(self.others(), self.interrupts(stop));
            End::Endless
        };
        tokio::select! {
            biased;
            end = end => end,
            end = circumstances => end,
            end = life => end,
        }
    }

    /// What other people do meanwhile.
    async fn others(&self) {
        let began = Instant::now();
        let mut meanwhile = self.command.meanwhile.clone();
        meanwhile.sort_by_key(|(after, _)| *after);
        for (after, step) in meanwhile {
            tokio::time::sleep_until(began + after).await;
            happen(&self.service, &step);
        }
    }

    /// Somebody at the keyboard. The sender goes with it, but not before the command does.
    async fn interrupts(&self, stop: mpsc::Sender<StopRequest>) {
        if let Fate::Interrupted(after) | Fate::InterruptedTwice(after, _) = self.command.fate {
            tokio::time::sleep(after).await;
            let _gone = stop.send(StopRequest::Drain).await;
        }
        if let Fate::InterruptedTwice(_, after) = self.command.fate {
            tokio::time::sleep(after).await;
            let _gone = stop.send(StopRequest::Halt).await;
        }
        std::future::pending::<()>().await;
    }

    /// The command as the program carries it out; its exit status.
    async fn work(
        &self,
        stop_requests: mpsc::Receiver<StopRequest>,
        commits: Arc<AtomicUsize>,
        most_commits: usize,
    ) -> u8 {
        let screen = Screen::over(self.paper.clone(), false);
        let mut context = RunContext {
            screen: screen.clone(),
            quiet: false,
            json: false,
            live_status: None,
            repeated_options: String::new(),
            calling_options: String::new(),
            resuming_options: String::new(),
            reading_options: String::new(),
            tick: Duration::from_hours(1),
            consent: Arc::new(Yes(Mutex::new(self.options().answered_after.unwrap_or_default()))),
            stop_requests,
            random: fastrand::Rng::with_seed(self.command.seed),
            began: self.clock.boot_time(),
            waits: Vec::new(),
        };
        let done = async {
            let (input, waiting) = match self.input()? {
                Some(order) if order.waits_for_machines() => (None, Some(order)),
                Some(order) => (Some(check_input(order, &context.screen).await?), None),
                None => (None, None),
            };
            let rules = self.rules(&context.screen)?;
            let store = Store::open_for_simulation(&self.directory, Arc::clone(&self.clock)).await?;
            if most_commits < usize::MAX {
                store.count_commits(most_commits, commits).await?;
            }
            let done = Box::pin(self.work_in(store.clone(), input, waiting, rules, &mut context)).await;
            store.put_in_order_at_once().await?;
            done
        };
        let done: Result<_, CommandError> = Box::pin(done).await;
        match done {
            Ok(status) => status.code(),
            Err(error) => {
                screen.line(&error.problem.render(false));
                error.status.code()
            }
        }
    }

    /// The same over a state that is open.
    async fn work_in(
        &self,
        store: Store,
        input: Option<CheckedInput>,
        waiting: Option<InputOrder>,
        rules: Option<RulesOrder>,
        context: &mut RunContext,
    ) -> Result<ExitStatus, CommandError> {
        let (weather, seed) = (self.command.weather.clone(), self.command.seed ^ 0x5eed);
        let service = crate::run::Service {
            transport: Arc::new(Line::new(Arc::clone(&self.service), self.number, weather, seed)),
            host: "api.example".to_owned(),
            description: "api.example".to_owned(),
            is_sandbox: false,
        };
        let identity =
            async { Ok(Identity { tenant: Some("tenant".to_owned()), app: Some("app".to_owned()), is_person: false }) };
        let tenant = Tenant::open(service, identity, store, Arc::clone(&self.clock), self.calls(), context).await?;
        let input = match waiting {
            Some(order) => Some(check_input_with_machines(&tenant, order, context).await?),
            None => input,
        };
        Box::pin(self.carry_out(&tenant, input, rules, context)).await
    }

    /// The deed itself, over a tenant that is open.
    async fn carry_out(
        &self,
        tenant: &Tenant<Line>,
        input: Option<CheckedInput>,
        rules: Option<RulesOrder>,
        context: &mut RunContext,
    ) -> Result<ExitStatus, CommandError> {
        let (order, standard_output) = (self.apply_order(), ResultsTarget::StandardOutput);
        match (self.command.deed, input, rules) {
            (Deed::Retag(change), ..) => retag(tenant, &order, &self.retagging(change)?, context).await,
            (Deed::Apply(_) | Deed::Order(_), Some(input), _) => apply(tenant, &order, input, context).await,
            (Deed::Plan(_), Some(input), _) => plan(tenant, self.planning(), false, &input, context).await,
            (Deed::Verify(_), Some(input), _) => verify(tenant, input, Some(&standard_output), false, context).await,
            (Deed::ApplyRules(_), _, Some(rules)) => Box::pin(apply_rules(tenant, &order, rules, context)).await,
            (Deed::VerifyRules(_), _, Some(rules)) => {
                Box::pin(verify_rules(tenant, rules, Some(&standard_output), false, context)).await
            }
            (Deed::Undo(_), ..) => undo(tenant, self.undo_order(), context).await,
            (..) => resume(tenant, self.resume_order(), context).await,
        }
    }

    /// The run that the command has worked on, as anybody can find it in the list of runs.
    async fn run_in_books(&self, started_at: Timestamp) -> Option<String> {
        let reader = crate::store::Reader::open(&self.directory).await.ok()??;
        let kind = if matches!(self.command.deed, Deed::Undo(_)) { "undo" } else { "" };
        let runs = reader.runs().await.ok()?;
        let mut own = runs.into_iter().filter(|run| {
            run.process.started_at == started_at && run.condition != RunCondition::NeverBegan && run.kind.contains(kind)
        });
        own.next().map(|run| run.run_id)
    }
}

/// What a command says.
#[derive(Debug, Default)]
pub(super) struct Paper {
    errors: Mutex<Vec<u8>>,
    data: Mutex<Vec<u8>>,
}

impl Streams for Paper {
    fn write_error(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.errors.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(())
    }

    fn write_data(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.data.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(())
    }
}

/// Says yes, sooner or later the first time, and at once when asked again.
struct Yes(Mutex<Duration>);

#[async_trait::async_trait]
impl Consent for Yes {
    async fn ask(&self, _screen: &Screen, _description: &str) -> Result<(), CommandError> {
        let after = std::mem::take(&mut *self.0.lock().expect("nobody panicked"));
        tokio::time::sleep(after).await;
        Ok(())
    }
}

/// A process that can be killed at any moment: then nothing of it is looked at again.
struct Life<Work> {
    work: Pin<Box<Work>>,
    /// Commits so far, and how many there may be.
    commits: Arc<AtomicUsize>,
    most_commits: usize,
    moment: Instant,
    turns: u32,
}

impl<Work: Future<Output = u8>> Future for Life<Work> {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        if self.commits.load(Ordering::SeqCst) > self.most_commits {
            return Poll::Ready(End::Killed);
        }
        let now = Instant::now();
        self.turns = if self.moment == now { self.turns + 1 } else { 0 };
        self.moment = now;
        if self.turns > MOST_TURNS_AT_ONCE {
            return Poll::Ready(End::Endless);
        }
        let work = self.work.as_mut();
        match std::panic::catch_unwind(AssertUnwindSafe(|| work.poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(status)) => Poll::Ready(End::Exited(status)),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Poll::Ready(End::Panicked(text.unwrap_or_default()))
            }
        }
    }
}
