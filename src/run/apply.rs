//! A run that makes the tenant match an input: planned, asked for, recorded or joined, carried out.

use std::collections::HashSet;
use std::sync::Arc;

use super::RunContext;
use super::beginning::{Begun, Digests, begin, new_run};
use super::carrying_out::{Run, RunOrder};
use super::claim::{claim, claim_by_name};
use super::input::CheckedInput;
use super::join::{candidates, carry_into, carry_outcomes, input_digest, is_of_file, operations_digest, remembered};
use super::order_digest::OrderDigest;
use super::planning::{MADE_AGAIN, Planned, PlanningOrder, add_reading, end_reason, make_plan};
use super::record::record;
use super::resume_stored::{Resuming, operations_left, resume_stored};
use super::tenant::{OwnWrites, Tenant};
use super::today::AskedWhen;
use crate::api::Transport;
use crate::dispatch::EndReason;
use crate::exit::{CommandError, ExitStatus};
use crate::listing::ReadProgress;
use crate::model::Slot;
use crate::plan::changes::{Plan, UnlistedPolicy};
use crate::plan::resolution::Resolution;
use crate::report::ResultsTarget;
use crate::store::{NewRun, RunKey, RunKind, RunState, Store, UnfinishedRun};

/// What `apply` was asked to do with its input.
#[derive(Clone)]
pub(crate) struct ApplyOrder {
    /// Where the results go.
    pub(crate) target: ResultsTarget,
    /// How it is planned.
    pub(crate) planning: PlanningOrder,
    /// How it is carried out.
    pub(crate) run: RunOrder,
    /// Whether it may resume an unfinished run.
    pub(crate) joins: bool,
}

impl ApplyOrder {
    /// How an unfinished run of the same command is resumed.
    pub(super) const fn resuming(&self) -> Resuming<'_> {
        Resuming {
            target: &self.target,
            planning: self.planning,
            options: &self.run,
            asked: AskedWhen::Again,
            taken_back: None,
        }
    }
}

/// Plans, asks, sends, and answers every row.
pub(crate) async fn apply<T: Transport>(
    tenant: &Tenant<T>,
    order: &ApplyOrder,
    input: CheckedInput,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.prune(order.run.keep_runs, context).await?;
    let mut applying = Applying::new(tenant, order, input, ReadProgress::default())?;
    if let Some(reason) = &tenant.unknown {
        return applying.give_up(reason.clone(), context).await;
    }
    if let Some(unfinished) = applying.same_command().await? {
        context.say(&keeps_rows(&unfinished));
        return Box::pin(resume_stored(tenant, &unfinished.run, order.resuming(), context)).await;
    }
    applying.input.note_selection(&context.screen);
    loop {
        let planned = match make_plan(tenant, &applying.input, order.planning, context).await? {
            Ok(planned) => planned,
            Err(error) => return applying.give_up(end_reason(error), context).await,
        };
        if let Some(begun) = applying.begin(planned, context).await? {
            return Box::pin(applying.carry_out(begun, context)).await;
        }
    }
}

/// An order for a tenant, with its input.
pub(super) struct Applying<'a, T> {
    tenant: &'a Tenant<T>,
    order: &'a ApplyOrder,
    input: CheckedInput,
    input_digest: String,
    /// What reading the machines took, however often that was.
    pub(super) calls: ReadProgress,
}

impl<'a, T: Transport> Applying<'a, T> {
    /// The order for this input; `calls` is what reading the machines took before there was one.
    pub(super) fn new(
        tenant: &'a Tenant<T>,
        order: &'a ApplyOrder,
        mut input: CheckedInput,
        calls: ReadProgress,
    ) -> Result<Self, CommandError> {
        let input_digest = match &input.order {
            Some(order) => order.text_without(&input.invalid.iter().map(|invalid| invalid.row).collect::<Vec<_>>()),
            None => input_digest(&mut input)?,
        };
        Ok(Self { tenant, order, input, input_digest, calls })
    }

    /// Sends what is to be sent, and answers every row.
    pub(super) async fn carry_out(
        &self,
        Begun { key, id }: Begun,
        context: &mut RunContext,
    ) -> Result<ExitStatus, CommandError> {
        let Self { tenant, order, .. } = *self;
        let (selected_from, rule_tally) = (self.input.sheet.selected_from, self.input.rule_tally());
        let run = Run { tenant, key, id: &id, target: &order.target, options: &order.run, selected_from, rule_tally };
        run.carry_out(order.planning.inventory.then_some(&self.calls), context).await
    }

    /// An unfinished run of the same command line over the same rows, where that says which of them are meant: they stay as
    /// they were selected.
    async fn same_command(&self) -> Result<Option<UnfinishedRun>, CommandError> {
        if self.input.order.is_none() || !self.order.joins {
            return Ok(None);
        }
        let candidates = candidates(self.tenant).await?;
        Ok(candidates.into_iter().find(|candidate| candidate.run.description.input_digest == self.input_digest))
    }

    /// Asks for the plan and stores it as a run that may begin: a new one, or the one that it resumes. `None` when the
    /// plan has waited for too long on the way.
    pub(super) async fn begin(
        &mut self,
        planned: Planned,
        context: &mut RunContext,
    ) -> Result<Option<Begun>, CommandError> {
        if let Some(read) = &planned.read {
            add_reading(&mut self.calls, read);
        }
        let digests = Digests { input: self.input_digest.clone(), operations: operations_digest(&planned) };
        let new_run = self.new_run(digests, context);
        let candidates = if self.order.joins { candidates(self.tenant).await? } else { Vec::new() };
        match candidates.iter().find(|candidate| self.is_meant(candidate, &new_run)) {
            Some(unfinished) => self.join(unfinished, planned, new_run, context).await,
            None => self.begin_new(planned, new_run, context).await,
        }
    }

    /// Whether the run is of this input: of the same rows, of the same operations, or of the same file.
    fn is_meant(&self, candidate: &UnfinishedRun, new_run: &NewRun) -> bool {
        let known = &candidate.run.description;
        known.input_digest == new_run.input_digest
            || known.operations_digest == new_run.operations_digest
            || (self.input.is_file
                && is_of_file(candidate, &new_run.input_path)
                && OrderDigest::order_of(&known.input_digest) == OrderDigest::order_of(&new_run.input_digest))
    }

    async fn begin_new(
        &mut self,
        mut planned: Planned,
        new_run: NewRun,
        context: &mut RunContext,
    ) -> Result<Option<Begun>, CommandError> {
        self.consent(&planned, None, context).await?;
        if planned.is_stale(self.tenant, context) {
            return Ok(None);
        }
        let lock_wait = self.tenant.lock_wait(self.order.run.lock_wait);
        begin(self.tenant, new_run, &mut self.input, &mut planned, &lock_wait, context).await
    }

    /// Resumes a run under today's input.
    async fn join(
        &mut self,
        unfinished: &UnfinishedRun,
        mut planned: Planned,
        new_run: NewRun,
        context: &mut RunContext,
    ) -> Result<Option<Begun>, CommandError> {
        let (store, run) = (&self.tenant.store, unfinished.run.key);
        let lock_wait = self.tenant.lock_wait(self.order.run.lock_wait);
        // A process that still works on the run would change it while we decide.
        let claimed = claim(store, run, &lock_wait, context).await;
        // That process may have replaced the run by a successor, so that this one is gone.
        if claimed.is_err() && !candidates(self.tenant).await?.iter().any(|candidate| candidate.run.key == run) {
            return Ok(None);
        }
        if claimed? == RunState::Finished && store.is_taken_back(run).await? {
            store.leave_run(run).await?;
            return Ok(None);
        }
        store.take_over(run).await?;
        let known = remembered(store, &unfinished.run, &mut self.input, &planned).await?;
        planned.plan.machines.remember(&known.done, planned.inventory.as_ref());
        // That process may have made changes since the list was read.
        let settings = self.order.planning.settings;
        let mut planned = planned.with_todays_writes(self.tenant, settings.unlisted).await?;
        let joined = carry_outcomes(store, run, &mut planned, &known, settings).await?;
        if let Err(error) = self.consent(&planned, Some(unfinished), context).await {
            store.leave_run(run).await?;
            return Err(error);
        }
        if planned.is_stale(self.tenant, context) {
            return Ok(None);
        }
        let key = carry_into(store, &joined, new_run, &mut self.input, &planned).await?;
        claim(store, key, &lock_wait, context).await?;
        let is_overtaken =
            planned.is_stale(self.tenant, context) || was_written_to(store, key, &planned, context).await?;
        Ok((!is_overtaken).then(|| Begun { key, id: unfinished.run.description.run_id.clone() }))
    }

    /// Asks whether what is planned may be done, or says what will be resumed.
    async fn consent(
        &self,
        planned: &Planned,
        unfinished: Option<&UnfinishedRun>,
        context: &mut RunContext,
    ) -> Result<(), CommandError> {
        let PlanningOrder { max_changes, settings, .. } = self.order.planning;
        planned.refuse_too_many_changes(max_changes, settings.guard)?;
        let joins = unfinished.map(|unfinished| joins(unfinished, planned.changes()));
        if !self.order.run.asks || planned.changes() == 0 {
            if let Some(joins) = joins {
                context.say(&joins);
            }
            return Ok(());
        }
        let report = planned.report(self.tenant, &self.input, self.order.planning.bulk).await?.text();
        let text = joins.map_or_else(|| report.clone(), |joins| format!("{joins}\n{report}"));
        context.ask(self.tenant.clock.as_ref(), self.tenant.gate.deadline, &text).await
    }

    /// Without the machines nothing can be decided, and every row still gets its answer: what an unfinished run of the very
    /// same rows knows of them, if there is one.
    async fn give_up(&mut self, reason: EndReason, context: &mut RunContext) -> Result<ExitStatus, CommandError> {
        let (tenant, target, options) = (self.tenant, &self.order.target, &self.order.run);
        let selected_from = self.input.sheet.selected_from;
        let candidates = if self.order.joins { candidates(tenant).await? } else { Vec::new() };
        let is_same = |one: &&UnfinishedRun| one.run.description.input_digest == self.input_digest;
        if let Some(UnfinishedRun { run, .. }) = candidates.iter().find(is_same) {
            let run = claim_by_name(tenant, run, options.lock_wait, context).await?;
            let run = Run {
                tenant,
                key: run.key,
                id: &run.description.run_id,
                target,
                options,
                selected_from,
                rule_tally: None,
            };
            return run.give_up(AskedWhen::Again, reason, context).await;
        }
        // What is fed back is all of it, and no rest of a canary.
        context.reading_options.push_str(&context.resuming_options);
        let machines = Resolution::of(&self.input.sheet.requests, None);
        let own = OwnWrites::default();
        let plan = Plan::of(Arc::clone(&self.input.operations), machines, None, &own.recent, UnlistedPolicy::default());
        let made_at = tenant.clock.boot_time();
        let planned = Planned { plan, inventory: None, read: None, read_from: None, own, made_at };
        let digest = self.input.order.as_ref().map(OrderDigest::without_content).unwrap_or_default();
        let new_run = self.new_run(Digests { input: digest, operations: String::new() }, context);
        let id = new_run.run_id.clone();
        let key = record(&tenant.store, new_run, &mut self.input, &planned, false).await?;
        let run = Run { tenant, key, id: &id, target, options, selected_from, rule_tally: None };
        run.give_up(AskedWhen::Again, reason, context).await
    }

    fn new_run(&self, digests: Digests, context: &mut RunContext) -> NewRun {
        let ApplyOrder { target, run, .. } = self.order;
        new_run(self.tenant, RunKind::Apply, &self.input, digests, (target, run), context)
    }
}

/// Says that a run is resumed whose rows are not selected again.
pub(super) fn keeps_rows(unfinished: &UnfinishedRun) -> String {
    let id = &unfinished.run.description.run_id;
    format!(
        "Run {id} of the same command is unfinished, and keeps the rows that it selected (--fresh starts a new run)."
    )
}

/// Says that a run is resumed.
fn joins(unfinished: &UnfinishedRun, changes: u64) -> String {
    format!(
        "Resuming run {}, started {}: {} (--fresh starts a new one).",
        unfinished.run.description.run_id,
        unfinished.run.created_at.strftime("%Y-%m-%d %H:%M UTC"),
        operations_left(changes),
    )
}

/// Whether another run has written to what is planned since it was decided about; says so then.
async fn was_written_to(
    store: &Store,
    run: RunKey,
    planned: &Planned,
    context: &RunContext,
) -> Result<bool, CommandError> {
    let written: HashSet<Slot> = store.later_writes(run).await?.into_iter().map(|write| write.slot).collect();
    let is_overtaken = planned.identities().any(|(operation, _)| written.contains(&operation.slot()));
    if is_overtaken {
        context.say(MADE_AGAIN);
    }
    Ok(is_overtaken)
}
