//! `tagfleet apply`: makes the tenant match the file.

use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Zoned;
use tokio::sync::mpsc;

use super::claim::claim;
use super::confirm::ask;
use super::input::{CheckedInput, InputPlace, check_input};
use super::join::{candidates, carry_into, input_digest, operations_digest};
use super::planning::{Planned, PlanningOptions, make_plan, refuse_too_many};
use super::record::record;
use super::run::{Run, RunOptions, default_results, new_run_id};
use super::service::{Service, open_sandbox};
use super::tenant::{Tenant, system_clock};
use super::{CommandError, ExitStatus, stop_signals};
use crate::call::StopReason;
use crate::cli::{ApplyOptions, GeneralOptions};
use crate::clock::{BootTime, SharedClock};
use crate::config::{ServiceConfig, sandbox_state_directory, state_directory, until_deadline};
use crate::dispatch::{EndReason, StopRequest};
use crate::inventory::{ReadError, ReadProgress};
use crate::plan::changes::{Plan, PlanSettings};
use crate::plan::operations::Operations;
use crate::plan::recent::RecentWrites;
use crate::plan::resolution::Resolution;
use crate::report::{ResultsTarget, Screen, group_digits};
use crate::store::{NewRun, RunKind, UnfinishedRun};

/// A plan that waited longer than this for its answer is made again.
const PLAN_HOLDS_FOR: Duration = Duration::from_mins(10);

/// What `apply` was asked to do, with everything that could be found wrong before the input is read.
struct Order {
    place: InputPlace,
    options: ApplyOptions,
    run: RunOptions,
    planning: PlanningOptions,
    asks: bool,
    state_directory: PathBuf,
    service: Option<ServiceConfig>,
    clock: SharedClock,
    deadline: Option<BootTime>,
}

/// Reads, checks, plans, asks, sends, and answers every row.
pub(super) async fn apply(
    options: ApplyOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let order = Order::new(options, general)?;
    let input = check_input(order.place.clone(), &order.options.input, order.planning.inventory, screen).await?;
    let service = match &order.service {
        Some(config) => Service::connect(config)?,
        None => open_sandbox(&input.sheet, &order.options.quota.quota).await?,
    };
    let mut stop_requests = stop_signals::listen();
    let quota = &order.options.quota;
    let opening =
        Tenant::open(service, &order.state_directory, order.clock.clone(), quota, order.deadline, &mut stop_requests);
    let (tenant, interrupted) = opening.await?;
    tenant.store.prune(order.options.others.keep_runs).await?;
    let status = order.plan_and_run(&tenant, input, interrupted, &mut stop_requests, screen).await;
    tenant.close().await;
    status
}

impl Order {
    fn new(options: ApplyOptions, general: &GeneralOptions) -> Result<Self, CommandError> {
        let usage = |message: &str, hint| Err(CommandError::text(ExitStatus::Usage, message, hint));
        let place = InputPlace::new(&options.input.input);
        let to_standard_output = options.output.as_deref() == Some(Path::new("-"));
        if place == InputPlace::StandardInput && options.output.is_none() {
            return usage(
                "the input is standard input, so there is no name to make that of the results from",
                Some("name the results with -o"),
            );
        }
        if to_standard_output && general.json {
            return usage("results and --json cannot both go to standard output", Some("name a file with -o"));
        }
        let terminals = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let asks = !options.limits.yes && !options.sandbox;
        if asks && (!terminals || place == InputPlace::StandardInput) {
            return usage(
                "there is no terminal to ask on before the first call",
                Some("add --yes to go on without a question"),
            );
        }
        let environment = |name: &str| std::env::var_os(name);
        let mut state_directory = state_directory(general.state_dir.as_deref(), &environment)?;
        let service = if options.sandbox {
            state_directory = sandbox_state_directory(&state_directory);
            None
        } else {
            Some(ServiceConfig::from_options(&options.service, &environment)?)
        };
        let clock = system_clock()?;
        let deadline =
            options.limits.deadline.map(|deadline| clock.boot_time().plus(until_deadline(deadline, &Zoned::now())));
        let target = match &options.output {
            Some(_) if to_standard_output => ResultsTarget::StandardOutput,
            Some(path) => ResultsTarget::file(path.clone()),
            None => ResultsTarget::file(default_results(&options.input.input, options.sandbox)),
        };
        target.check(place.path())?;
        let run = RunOptions {
            target,
            json: general.json,
            quiet: general.quiet,
            sandbox: options.sandbox,
            bulk: !options.planning.no_bulk,
            maximum_errors: options.limits.max_errors,
            named_state_directory: general.state_dir.clone(),
        };
        let planning = PlanningOptions {
            settings: PlanSettings { unlisted: options.planning.unlisted, limit: options.planning.limit },
            inventory: !options.planning.no_inventory,
            bulk: !options.planning.no_bulk,
            quiet: general.quiet,
        };
        Ok(Self { place, options, run, planning, asks, state_directory, service, clock, deadline })
    }

    async fn plan_and_run(
        &self,
        tenant: &Tenant,
        mut input: CheckedInput,
        interrupted: bool,
        stop_requests: &mut mpsc::Receiver<StopRequest>,
        screen: &Screen,
    ) -> Result<ExitStatus, CommandError> {
        let mut calls = ReadProgress::default();
        let input_digest = input_digest(&mut input)?;
        let candidates = if self.options.fresh || interrupted { Vec::new() } else { candidates(tenant).await? };
        let same = |one: &&UnfinishedRun| one.run.description.input_digest == input_digest && !one.left_out;
        if let Some(unfinished) = candidates.iter().find(same) {
            return self.go_on(tenant, unfinished, stop_requests, screen).await;
        }
        let planned = if interrupted {
            Err(EndReason::Interrupted)
        } else {
            self.plan_and_ask(tenant, &input, &mut calls, stop_requests, screen).await?
        };
        match planned {
            Ok(planned) => {
                let operations_digest = operations_digest(&input, &planned);
                let new_run = self.new_run(&input, tenant, input_digest, operations_digest);
                let read = planned.read.is_some().then_some(&calls);
                self.run_plan(tenant, input, planned, new_run, &candidates, read, stop_requests, screen).await
            }
            Err(reason) => {
                // Without the machines nothing can be decided, and every row still gets its answer.
                let machines = Resolution::of(&input.sheet, None);
                let operations = Operations::of(&input.sheet, &machines);
                let (recent, settings) = (RecentWrites::default(), PlanSettings::default());
                let plan = Plan::of(&input.sheet, operations, machines, None, &recent, settings);
                let planned = Planned { plan, inventory: None, read: None };
                let new_run = self.new_run(&input, tenant, String::new(), String::new());
                let run_id = new_run.run_id.clone();
                let run = record(&tenant.store, new_run, input, &planned, false).await?;
                let run = Run { tenant, key: run, id: &run_id, options: &self.run, screen };
                run.give_up(reason).await
            }
        }
    }

    /// Goes on with a run whose rows are the very same.
    async fn go_on(
        &self,
        tenant: &Tenant,
        unfinished: &UnfinishedRun,
        stop_requests: &mut mpsc::Receiver<StopRequest>,
        screen: &Screen,
    ) -> Result<ExitStatus, CommandError> {
        let (key, run_id) = (unfinished.run.key, &unfinished.run.description.run_id);
        let joins = joins(unfinished);
        refuse_too_many(u64::from(unfinished.open), self.options.planning.max_changes)?;
        if self.asks {
            ask(screen, &joins).await?;
        } else if !self.run.quiet {
            screen.line(&joins);
        }
        let patience = tenant.patience(self.options.others.lock_wait, self.run.quiet);
        claim(&tenant.store, key, &patience, stop_requests, screen).await?;
        tenant.store.take_over(key).await?;
        let run = Run { tenant, key, id: run_id, options: &self.run, screen };
        run.carry_out(None, stop_requests).await
    }

    /// Stores the plan as a new run, or as the run that it goes on with, and carries it out.
    #[expect(clippy::too_many_arguments, reason = "a plan with everything that it was made from, used once")]
    async fn run_plan(
        &self,
        tenant: &Tenant,
        input: CheckedInput,
        planned: Planned,
        new_run: NewRun,
        candidates: &[UnfinishedRun],
        read: Option<&ReadProgress>,
        stop_requests: &mut mpsc::Receiver<StopRequest>,
        screen: &Screen,
    ) -> Result<ExitStatus, CommandError> {
        let is_meant = |one: &&UnfinishedRun| {
            let known = &one.run.description;
            known.operations_digest == new_run.operations_digest
                || (self.place != InputPlace::StandardInput
                    && (known.input_path == new_run.input_path || one.earlier_paths.contains(&new_run.input_path)))
        };
        let patience = tenant.patience(self.options.others.lock_wait, self.run.quiet);
        let (key, run_id) = if let Some(unfinished) = candidates.iter().find(is_meant) {
            if !self.run.quiet {
                screen.line(&joins(unfinished));
            }
            claim(&tenant.store, unfinished.run.key, &patience, stop_requests, screen).await?;
            let key = carry_into(&tenant.store, unfinished.run.key, new_run, input, &planned).await?;
            (key, unfinished.run.description.run_id.clone())
        } else {
            let run_id = new_run.run_id.clone();
            (record(&tenant.store, new_run, input, &planned, true).await?, run_id)
        };
        drop(planned);
        claim(&tenant.store, key, &patience, stop_requests, screen).await?;
        let run = Run { tenant, key, id: &run_id, options: &self.run, screen };
        run.carry_out(read, stop_requests).await
    }

    /// Plans, shows the plan and asks, until a plan is answered while it is fresh.
    async fn plan_and_ask(
        &self,
        tenant: &Tenant,
        input: &CheckedInput,
        calls: &mut ReadProgress,
        stop_requests: &mut mpsc::Receiver<StopRequest>,
        screen: &Screen,
    ) -> Result<Result<Planned, EndReason>, CommandError> {
        loop {
            let planned = match make_plan(tenant, input, self.planning, screen, stop_requests).await? {
                Ok(planned) => planned,
                Err(error) => return Ok(Err(end_reason(error))),
            };
            if let Some(read) = &planned.read {
                calls.calls += read.calls;
                calls.elapsed += read.elapsed;
                calls.throttled += read.throttled;
                calls.retried += read.retried;
            }
            planned.refuse_too_many_changes(self.options.planning.max_changes)?;
            if !self.asks || planned.changes() == 0 {
                return Ok(Ok(planned));
            }
            let destination = tenant.service.description();
            let report = planned.report(tenant, input, &destination, self.planning.batch_limit()).await?;
            let shown = Instant::now();
            ask(screen, &report.text()).await?;
            if shown.elapsed() <= PLAN_HOLDS_FOR {
                return Ok(Ok(planned));
            }
            screen.line("That was more than 10 minutes ago, and the tenant may have changed: the plan is made again.");
        }
    }

    fn new_run(
        &self,
        input: &CheckedInput,
        tenant: &Tenant,
        input_digest: String,
        operations_digest: String,
    ) -> NewRun {
        NewRun {
            run_id: new_run_id(self.options.sandbox),
            kind: RunKind::Apply,
            input_digest,
            operations_digest,
            account: tenant.account,
            host: tenant.service.host().to_owned(),
            input_path: self.place.absolute(),
            results_path: self.run.target.absolute_path(),
            note: self.options.limits.note.clone(),
            delimiter: input.sheet.dialect.delimiter,
            byte_order_mark: input.sheet.dialect.byte_order_mark,
            header: input.sheet.header.clone(),
            row_count: input.sheet.row_count,
        }
    }
}

/// Why a run ends whose machines could not be read.
fn end_reason(error: ReadError) -> EndReason {
    match error {
        ReadError::Forbidden { facts } => EndReason::Forbidden { said: facts.error_message },
        ReadError::Aborted(cause) => EndReason::Aborted(cause),
        ReadError::Stopped(StopReason::Draining) => EndReason::Interrupted,
        ReadError::Stopped(StopReason::Deadline) => EndReason::Deadline,
        ReadError::Stopped(StopReason::Outage { since, trouble }) => EndReason::Outage { since, trouble },
        ReadError::Store(error) => EndReason::StoreFailed(error),
        error => EndReason::NoInventory { description: error.to_string(), is_refusal: error.is_refusal() },
    }
}

/// Says that a run is gone on with.
fn joins(unfinished: &UnfinishedRun) -> String {
    format!(
        "Going on with run {}, begun {}: {} operations are left (--fresh begins a new one).",
        unfinished.run.description.run_id,
        unfinished.run.created_at.strftime("%Y-%m-%d %H:%M UTC"),
        group_digits(u64::from(unfinished.open)),
    )
}

/// The sandbox listens on a free port of loopback.
pub(super) const SANDBOX_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
