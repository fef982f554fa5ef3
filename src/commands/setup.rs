//! What a command needs before it can do its work: where the state is, which service it talks to, and what it has
//! around it.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Zoned;
use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::confirm::Confirmation;
use super::context::CommandContext;
use super::input::Pending;
use super::service::Connection;
use super::stop_signals;
use super::watching::Watched;
use super::{named_files, process_limits};
use crate::api::Client;
use crate::cli::{ChangingOptions, DeadlineArgument, GeneralOptions, PlanningOptions, QuotaOptions, ServiceOptions};
use crate::clock::{self, BootTime, Clock, SharedClock, SystemClock, sleep_until};
use crate::config::{ConfigError, Deadline, ServiceConfig, deadline, quota};
use crate::exit::{CommandError, ExitStatus, RunSetting};
use crate::model::MachineReference;
use crate::outside::shown;
use crate::report::{OutputError, ResultsTarget, Screen};
use crate::run::{CallOptions, RunContext, Tenant};
use crate::store::{Absence, StatePlace};
use crate::words::clock_time;

/// How often the progress of a run is shown.
const TICK: Duration = Duration::from_millis(500);

/// So long a state may take to be opened, whenever the deadline is: then rows can be answered at least.
const SHORTEST_OPENING: Duration = Duration::from_secs(10);

/// Where the state is, which service is meant, and how it is called.
pub(super) struct CommandSetup<'a> {
    command: CommandContext<'a>,
    pub(super) state: StatePlace,
    /// The service; none is the sandbox.
    service: Option<ServiceConfig>,
    clock: SharedClock,
    /// When the command began.
    began: BootTime,
    calls: CallOptions,
    /// When the deadline comes, after which nobody waits for a reader.
    ends_at: Option<Instant>,
    /// What a time of day means that was named as the deadline.
    deadline: Option<Deadline>,
    /// Which service, and how to sign in, as commands that are suggested must repeat it.
    calling_options: String,
    resuming_options: String,
}

impl<'a> CommandSetup<'a> {
    /// Reads options and environment; a deadline counts from now.
    pub(super) fn new(
        command: CommandContext<'a>,
        sandbox: bool,
        service: &ServiceOptions,
        quota_options: &QuotaOptions,
        argument: Option<DeadlineArgument>,
    ) -> Result<Self, CommandError> {
        let general = command.general;
        let clock = system_clock()?;
        let began = clock.boot_time();
        process_limits::allow(quota_options.concurrency)?;
        // In a rehearsal nobody signs in.
        let calling_options =
            if sandbox { String::new() } else { service.repeated() + &quota_options.repeated() } + &general.repeated();
        named_files::check_certificates()?;
        let environment = |name: &str| general.settings.variable(name);
        let state = command.state_place(sandbox)?;
        let service = if sandbox {
            None
        } else {
            let mut config = ServiceConfig::from_options(service, general.ca_file.as_deref(), &environment)?;
            config.sign_in.expected_tenant.clone_from(&general.settings.tenant);
            Some(config)
        };
        let is_time_of_day = !matches!(argument, None | Some(DeadlineArgument::After(_)));
        let now = Zoned::now();
        let begun_at = general.begun_at.map_or_else(|| now.clone(), |time| time.to_zoned(now.time_zone().clone()));
        let deadline = argument.map(|argument| deadline(argument, &begun_at)).transpose();
        let mut deadline = deadline.map_err(ConfigError::from)?;
        if let Some(deadline) = &mut deadline {
            let gone = now.duration_since(&begun_at);
            deadline.left = deadline.left.saturating_sub(gone.try_into().unwrap_or_default());
        }
        let (quota, scope) = quota(quota_options);
        let calls = CallOptions {
            quota,
            scope,
            concurrency: usize::from(quota_options.concurrency),
            deadline: deadline.as_ref().map(|deadline| clock.boot_time().plus(deadline.left)),
            maximum_outage: quota_options.max_outage.0,
        };
        let ends_at = deadline.as_ref().and_then(|deadline| Instant::now().checked_add(deadline.left));
        let deadline = deadline.filter(|_| is_time_of_day);
        let (clock, resuming_options) = (Arc::new(clock), String::new());
        Ok(Self { command, state, service, clock, began, calls, ends_at, deadline, calling_options, resuming_options })
    }

    /// The same for a command that changes the tenant.
    pub(super) fn to_change(
        command: CommandContext<'a>,
        sandbox: bool,
        changing: &ChangingOptions,
        planning: &PlanningOptions,
    ) -> Result<Self, CommandError> {
        let ChangingOptions { limits, service, quota, .. } = changing;
        let mut setup = Self::new(command, sandbox, service, quota, limits.deadline)?;
        let planned = planning.repeated() + &limits.repeated();
        setup.calling_options.insert_str(0, &planned);
        setup.resuming_options = planning.to_resume();
        Ok(setup)
    }

    /// Does what comes before any run: whatever it waits for, it ends with the deadline.
    pub(super) async fn before_the_deadline<Output>(
        &self,
        work: impl Future<Output = Result<Output, CommandError>>,
    ) -> Result<Output, CommandError> {
        let Some(deadline) = self.calls.deadline else { return work.await };
        tokio::select! {
            // One that leaves no time is over, however little there is to do.
            biased;
            () = sleep_until(self.clock.as_ref(), deadline) => Err(past_the_deadline()),
            done = work => done,
        }
    }

    /// Prepares the service; the sandbox holds these machines.
    pub(super) async fn connect(&self, machines: &[MachineReference]) -> Result<Connection, CommandError> {
        match &self.service {
            Some(config) => Connection::to_service(config),
            None => Connection::to_sandbox(machines, &self.calls.quota).await,
        }
    }

    /// Prepares the service; the sandbox makes up a company's machines.
    pub(super) async fn connect_to_company(&self) -> Result<Connection, CommandError> {
        match &self.service {
            Some(config) => Connection::to_service(config),
            None => Connection::to_company(&self.calls.quota).await,
        }
    }

    /// Prepares the service for an input; where that is the tenant's own list, the sandbox makes up a company's machines.
    pub(super) async fn connect_for(&self, input: &Pending) -> Result<Connection, CommandError> {
        if input.is_tenants_list() { self.connect_to_company().await } else { self.connect(input.machines()).await }
    }

    /// Opens the state, finds out whose quota is used, has the work done, and leaves everything in order whatever came of it.
    pub(super) async fn work(
        self,
        connection: Connection,
        work: impl AsyncFnOnce(&Tenant<Client>, &mut RunContext) -> Result<ExitStatus, CommandError>,
    ) -> Result<ExitStatus, CommandError> {
        let mut context = run_context(self.command, self.began);
        context.calling_options = self.calling_options;
        context.resuming_options = self.resuming_options;
        if let Some(time) = self.ends_at {
            context.screen.end_at(time);
        }
        if let Some(deadline) = &self.deadline {
            context.say(&format!("No call starts after {}.", deadline.text()));
        }
        let setup = self.state.open(self.clock.clone());
        let soonest = self.clock.boot_time().plus(SHORTEST_OPENING);
        let until = self.calls.deadline.map(|deadline| deadline.max(soonest));
        let opened = context.look(self.clock.as_ref(), until, setup).await?;
        let store = opened.ok_or_else(past_the_deadline)??;
        store.bear_absences(self.calls.maximum_outage, self.ends_at);
        stop_signals::shorten(store.patience());
        if self.state.directory().is_none() {
            tokio::spawn(tell_absences(store.absences(), self.state.name(), self.command.screen.clone()));
            tokio::spawn(tell_restorations(store.restorations(), self.command.screen.clone()));
        }
        connection.prompt_on(&context.screen);
        let (service, identity) = (connection.service(), connection.identity());
        let status = match Tenant::open(service, identity, store.clone(), self.clock, self.calls, &mut context).await {
            Ok(tenant) => Box::pin(work(&tenant, &mut context)).await,
            Err(error) => Err(error),
        };
        if let Some(watched) = self.command.watched {
            watched.end_work(context.stop_requests).await;
        }
        let damage = store.put_in_order().await;
        connection.close().await;
        match (status, damage) {
            (Ok(_ended), Some(damage)) => {
                context.screen.problem(&CommandError::from(damage).problem);
                Ok(ExitStatus::StorageFailed)
            }
            (status, _) => status,
        }
    }
}

/// The end of a command whose deadline has come before it did anything.
pub(super) fn past_the_deadline() -> CommandError {
    let message = "stopped at its deadline, before the first call; nothing was changed";
    CommandError::text(ExitStatus::StoppedEarly, message, None).ended("deadline").about(RunSetting::Deadline)
}

/// Warns, once for each time, that the server of the state is away. Ends with the store.
async fn tell_absences(mut absences: watch::Receiver<Option<Absence>>, state: PathBuf, screen: Screen) {
    let mut told = None;
    while absences.changed().await.is_ok() {
        let absence = *absences.borrow_and_update();
        let since = absence.map(|absence| absence.since);
        if let Some(Absence { until, .. }) = absence.filter(|_| since != told) {
            let until = clock_time(until, clock::now(), &TimeZone::system());
            screen.warning(&format!("cannot reach the state {}; waiting until {until}", shown(&state)));
        }
        told = since.or(told);
    }
}

/// Warns, once for each time, that what this process had stored last was not there any more. Ends with the store.
async fn tell_restorations(mut restorations: watch::Receiver<u32>, screen: Screen) {
    while restorations.changed().await.is_ok() {
        screen.warning(
            "another server of the state has taken over that lacked what was stored here last; it is stored again",
        );
    }
}

/// What a command has from this process. From now on interrupts are heard here, and no longer end the command by themselves.
pub(super) fn run_context(command: CommandContext<'_>, began: BootTime) -> RunContext {
    let CommandContext { general, watched, screen, .. } = command;
    RunContext {
        screen: screen.clone(),
        quiet: general.quiet,
        json: general.json,
        live_status: watched.map(Watched::live_status),
        repeated_options: general.repeated(),
        calling_options: String::new(),
        resuming_options: String::new(),
        reading_options: String::new(),
        tick: TICK,
        consent: Arc::new(Confirmation),
        stop_requests: stop_signals::listen(),
        random: fastrand::Rng::new(),
        began,
        waits: Vec::new(),
    }
}

/// The clock of this process.
pub(super) fn system_clock() -> Result<SystemClock, CommandError> {
    SystemClock::new().map_err(|error| CommandError::new(ExitStatus::StorageFailed, error, None))
}

/// Where rows go that were asked for with `-o`, called so in messages; they cannot go where the summary for machines goes.
pub(super) fn rows_target(
    rows: &str,
    output: Option<&Path>,
    general: &GeneralOptions,
) -> Result<Option<ResultsTarget>, CommandError> {
    match output {
        Some(path) if path == Path::new("-") && general.json => Err(CommandError::text(
            ExitStatus::Usage,
            format!("{rows} and --json cannot both go to standard output"),
            Some("name a file with -o"),
        )),
        Some(path) if path == Path::new("-") => {
            OutputError::unless_open()?;
            Ok(Some(ResultsTarget::StandardOutput))
        }
        Some(path) => Ok(Some(ResultsTarget::file(path.to_owned()))),
        None => Ok(None),
    }
}

/// Whether somebody is asked before the first change, unless `yes` was said beforehand. Without somebody to ask, nobody can
/// say yes, nor can anybody where the rows come from standard input; only a rehearsal goes on then, since it changes nothing.
pub(super) fn asks(yes: bool, sandbox: bool, input_is_free: bool) -> Result<bool, CommandError> {
    let can_ask = input_is_free && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !yes && !sandbox && !can_ask {
        return Err(CommandError::text(
            ExitStatus::Usage,
            "cannot ask for confirmation: stdin or stderr is not a terminal",
            Some("add --yes to go ahead without asking"),
        ));
    }
    Ok(!yes && can_ask)
}
