//! A run that makes the tenant match an input: planned, asked for, recorded or joined, carried out.

use std::time::Duration;

use super::Desk;
use super::carrying_out::{Run, RunOptions, new_run_id};
use super::claim::claim;
use super::input::CheckedInput;
use super::join::{candidates, carry_into, input_digest, operations_digest, send_again_what_was_overwritten};
use super::planning::{Planned, PlanningOptions, make_plan, refuse_too_many};
use super::record::record;
use super::tenant::Tenant;
use crate::api::Transport;
use crate::call::StopReason;
use crate::dispatch::EndReason;
use crate::exit::{CommandError, ExitStatus};
use crate::inventory::{ReadError, ReadProgress};
use crate::plan::changes::{Plan, PlanSettings};
use crate::plan::operations::Operations;
use crate::plan::recent::RecentWrites;
use crate::plan::resolution::Resolution;
use crate::report::{ResultsTarget, group_digits};
use crate::store::{NewRun, RunKind, UnfinishedRun};

/// A plan that waited longer than this for its answer is made again.
const PLAN_HOLDS_FOR: Duration = Duration::from_mins(10);

/// What `apply` was asked to do with its input.
pub(crate) struct ApplyOrder {
    /// Where the results go.
    pub(crate) target: ResultsTarget,
    /// How it is planned.
    pub(crate) planning: PlanningOptions,
    /// How it is carried out.
    pub(crate) run: RunOptions,
    /// Whether it may go on with an unfinished run.
    pub(crate) joins: bool,
    /// Runs that have been left alone for longer are forgotten.
    pub(crate) keep_runs: Duration,
}

/// Plans, asks, sends, and answers every row.
pub(crate) async fn apply<T: Transport>(
    tenant: &Tenant<T>,
    order: &ApplyOrder,
    mut input: CheckedInput,
    desk: &mut Desk,
) -> Result<ExitStatus, CommandError> {
    tenant.store.prune(order.keep_runs).await?;
    let input_digest = input_digest(&mut input)?;
    let candidates = if order.joins { candidates(tenant).await? } else { Vec::new() };
    let same = |one: &&UnfinishedRun| one.run.description.input_digest == input_digest && !one.left_out;
    let application = Application { tenant, order };
    if let Some(unfinished) = candidates.iter().find(same) {
        return application.go_on(unfinished, desk).await;
    }
    let mut calls = ReadProgress::default();
    let planned = match &tenant.unknown {
        Some(reason) => Err(reason.clone()),
        None => application.plan_and_ask(&input, &mut calls, desk).await?,
    };
    match planned {
        Ok(planned) => {
            let new_run = application.new_run(&input, input_digest, operations_digest(&input, &planned), desk);
            let read = planned.read.is_some().then_some(&calls);
            application.run_plan(input, planned, new_run, &candidates, read, desk).await
        }
        Err(reason) => application.give_up(input, reason, desk).await,
    }
}

/// An order for a tenant.
struct Application<'a, T> {
    tenant: &'a Tenant<T>,
    order: &'a ApplyOrder,
}

impl<T: Transport> Application<'_, T> {
    /// Goes on with a run whose rows are the very same.
    async fn go_on(&self, unfinished: &UnfinishedRun, desk: &mut Desk) -> Result<ExitStatus, CommandError> {
        let (tenant, key, id) = (self.tenant, unfinished.run.key, &unfinished.run.description.run_id);
        let joins = joins(unfinished);
        refuse_too_many(u64::from(unfinished.open), self.order.planning.max_changes)?;
        if self.order.run.asks {
            desk.ask(tenant.clock.as_ref(), tenant.gate.deadline, &joins).await?;
        } else {
            desk.say(&joins);
        }
        claim(&tenant.store, key, &tenant.patience(self.order.run.lock_wait), desk).await?;
        tenant.store.take_over(key).await?;
        send_again_what_was_overwritten(&tenant.store, key).await?;
        let run = Run { tenant, key, id, target: &self.order.target, options: &self.order.run };
        run.carry_out(None, desk).await
    }

    /// Plans, shows the plan and asks, until a plan is answered while it is fresh.
    async fn plan_and_ask(
        &self,
        input: &CheckedInput,
        calls: &mut ReadProgress,
        desk: &mut Desk,
    ) -> Result<Result<Planned, EndReason>, CommandError> {
        loop {
            let planned = match make_plan(self.tenant, input, self.order.planning, desk).await? {
                Ok(planned) => planned,
                Err(error) => return Ok(Err(end_reason(error))),
            };
            if let Some(read) = &planned.read {
                calls.calls += read.calls;
                calls.elapsed += read.elapsed;
                calls.throttled += read.throttled;
                calls.retried += read.retried;
            }
            planned.refuse_too_many_changes(self.order.planning.max_changes)?;
            if !self.order.run.asks || planned.changes() == 0 {
                return Ok(Ok(planned));
            }
            let report = planned.report(self.tenant, input, self.order.planning.bulk).await?;
            let shown = self.tenant.clock.boot_time();
            desk.ask(self.tenant.clock.as_ref(), self.tenant.gate.deadline, &report.text()).await?;
            if self.tenant.clock.boot_time().since(shown) <= PLAN_HOLDS_FOR {
                return Ok(Ok(planned));
            }
            desk.screen
                .line("That was more than 10 minutes ago, and the tenant may have changed: the plan is made again.");
        }
    }

    /// Stores the plan as a new run, or as the run that it goes on with, and carries it out.
    async fn run_plan(
        &self,
        input: CheckedInput,
        mut planned: Planned,
        new_run: NewRun,
        candidates: &[UnfinishedRun],
        read: Option<&ReadProgress>,
        desk: &mut Desk,
    ) -> Result<ExitStatus, CommandError> {
        let (tenant, is_file) = (self.tenant, input.is_file);
        let is_meant = |one: &&UnfinishedRun| {
            let known = &one.run.description;
            known.operations_digest == new_run.operations_digest
                || (is_file
                    && (known.input_path == new_run.input_path || one.earlier_paths.contains(&new_run.input_path)))
        };
        let patience = tenant.patience(self.order.run.lock_wait);
        let (key, id) = if let Some(unfinished) = candidates.iter().find(is_meant) {
            desk.say(&joins(unfinished));
            claim(&tenant.store, unfinished.run.key, &patience, desk).await?;
            let limit = self.order.planning.settings.limit;
            let key = carry_into(&tenant.store, unfinished.run.key, new_run, input, &mut planned, limit).await?;
            (key, unfinished.run.description.run_id.clone())
        } else {
            let id = new_run.run_id.clone();
            (record(&tenant.store, new_run, input, &planned, true).await?, id)
        };
        drop(planned);
        claim(&tenant.store, key, &patience, desk).await?;
        let run = Run { tenant, key, id: &id, target: &self.order.target, options: &self.order.run };
        run.carry_out(read, desk).await
    }

    /// Without the machines nothing can be decided, and every row still gets its answer.
    async fn give_up(
        &self,
        input: CheckedInput,
        reason: EndReason,
        desk: &mut Desk,
    ) -> Result<ExitStatus, CommandError> {
        let machines = Resolution::of(&input.sheet, None);
        let operations = Operations::of(&input.sheet, &machines);
        let (recent, settings) = (RecentWrites::default(), PlanSettings::default());
        let plan = Plan::of(&input.sheet, operations, machines, None, &recent, settings);
        let planned = Planned { plan, inventory: None, read: None };
        let new_run = self.new_run(&input, String::new(), String::new(), desk);
        let id = new_run.run_id.clone();
        let key = record(&self.tenant.store, new_run, input, &planned, false).await?;
        let run = Run { tenant: self.tenant, key, id: &id, target: &self.order.target, options: &self.order.run };
        run.give_up(reason, desk).await
    }

    fn new_run(
        &self,
        input: &CheckedInput,
        input_digest: String,
        operations_digest: String,
        desk: &mut Desk,
    ) -> NewRun {
        NewRun {
            run_id: new_run_id(self.tenant, &mut desk.random),
            kind: RunKind::Apply,
            input_digest,
            operations_digest,
            account: self.tenant.account,
            host: self.tenant.host.clone(),
            input_path: input.path.clone(),
            results_path: self.order.target.absolute_path(),
            note: self.order.run.note.clone(),
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
        ReadError::Forbidden { facts } => EndReason::Forbidden { message: facts.error_message },
        ReadError::Aborted(cause) => EndReason::Aborted(cause),
        ReadError::Stopped(StopReason::Draining) => EndReason::Interrupted,
        ReadError::Stopped(StopReason::Deadline) => EndReason::Deadline,
        ReadError::Stopped(StopReason::Outage { since, trouble }) => EndReason::Outage { since, trouble },
        ReadError::Store(error) => EndReason::StoreFailed(error),
        error => EndReason::NoInventory {
            description: error.to_string(),
            hint: error.hint().unwrap_or_default(),
            is_refusal: error.is_refusal(),
        },
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
