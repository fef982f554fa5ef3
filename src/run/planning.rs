//! From a checked input to a plan: machines read, names looked up, what is already set left out.

use std::sync::Arc;
use std::time::Duration;

use super::RunContext;
use super::input::CheckedInput;
use super::input_faults::{more_tags, refuse_conflicts};
use super::tenant::{MachinesRead, OwnWrites, Tenant};
use crate::api::{Transport, most_machines};
use crate::call::StopReason;
use crate::clock::BootTime;
use crate::dispatch::EndReason;
use crate::exit::{CommandError, ExitStatus};
use crate::inventory::Inventory;
use crate::listing::{ReadError, ReadProgress};
use crate::model::{Held, MachineId, MayHold, Operation, OperationId, ReferenceNumber, Tag, TagAction};
use crate::plan::changes::{Decision, Plan, PlanSettings, UnlistedPolicy, held_today};
use crate::plan::guard::Guard;
use crate::plan::operations::{Operations, PlannedOperation};
use crate::plan::other_forms::other_forms;
use crate::plan::recent::{RecentWrites, Written};
use crate::plan::resolution::{Resolution, ResolvedMachine};
use crate::plan::schedule::BucketCalls;
use crate::plan::tenant_tags::tenant_tag_warnings;
use crate::quota::{Quota, QuotaScope, side_by_side};
use crate::report::{PlanReport, Screen};
use crate::words::{counted, group_digits};

/// What is said where a plan is out of date.
pub(super) const MADE_AGAIN: &str = "Another run has changed machines of this plan, so tagfleet plans again.";

/// A plan that waited longer than this, for an answer or for another run, is made again.
const PLAN_HOLDS_FOR: Duration = Duration::from_mins(10);

/// How a plan is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlanningOrder {
    /// What is left out.
    pub(crate) settings: PlanSettings,
    /// Whether the tenant's machines are read first.
    pub(crate) inventory: bool,
    /// Whether one tag is changed on many machines in one call.
    pub(crate) bulk: bool,
    /// More changes than this are refused.
    pub(crate) max_changes: Option<u32>,
}

/// A plan, and what it was made from.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) inventory: Option<Inventory>,
    pub(super) read: Option<ReadProgress>,
    /// When the reading of the machines began, if they were read.
    pub(super) read_from: Option<BootTime>,
    /// Our own writes that go before what the list shows.
    pub(super) own: OwnWrites,
    /// When it was made, by the clock that counts suspend.
    pub(super) made_at: BootTime,
}

/// Reads the tenant's machines, unless they are not to be read, and plans. The inner error says why they could not be
/// read; nothing can be planned then.
pub(super) async fn make_plan<T: Transport>(
    tenant: &Tenant<T>,
    input: &CheckedInput,
    options: PlanningOrder,
    context: &mut RunContext,
) -> Result<Result<Planned, ReadError>, CommandError> {
    // Without a row there is nothing to be known; what was read to find that out is counted.
    let machines = if options.inventory && (!input.sheet.requests.all.is_empty() || tenant.has_read()) {
        match tenant.read_machines(context).await {
            Ok(machines) => Some(machines),
            Err(error) => return Ok(Err(error)),
        }
    } else {
        None
    };
    let own = own_writes(tenant, machines.as_ref().map(|machines| machines.began_at)).await?;
    if let Some(MachinesRead { inventory, .. }) = &machines {
        warn_of_tags(tenant, input, inventory, &context.screen);
    }
    plan_over(tenant, input, machines, own, options.settings, &context.screen).map(Ok)
}

/// Plans over machines that have been read, if they have, and our own writes.
pub(super) fn plan_over<T: Transport>(
    tenant: &Tenant<T>,
    input: &CheckedInput,
    machines: Option<MachinesRead>,
    own: OwnWrites,
    settings: PlanSettings,
    screen: &Screen,
) -> Result<Planned, CommandError> {
    let (inventory, read, read_from) = match machines {
        Some(MachinesRead { inventory, progress, began_at }) => (Some(inventory), Some(progress), Some(began_at)),
        None => (None, None, None),
    };
    let machines = Resolution::of(&input.sheet.requests, inventory.as_ref());
    let operations = operations(input, &machines, screen)?;
    let plan = Plan::of(operations, machines, inventory.as_ref(), &own.recent, settings.unlisted)
        .held_back(settings, inventory.as_ref());
    Ok(Planned { plan, inventory, read, read_from, own, made_at: tenant.clock.boot_time() })
}

/// Our own writes that go before what a list shows whose reading began then; none where nothing was read.
async fn own_writes<T: Transport>(tenant: &Tenant<T>, read_from: Option<BootTime>) -> Result<OwnWrites, CommandError> {
    let own = tenant.own_writes(read_from.unwrap_or_else(|| tenant.clock.boot_time())).await?;
    Ok(if read_from.is_some() { own } else { OwnWrites { recent: RecentWrites::default(), ..own } })
}

/// Says which tags of the input the tenant does not have as they are written. A sandbox that was made for this input has
/// none at all.
pub(super) fn warn_of_tags<T>(tenant: &Tenant<T>, input: &CheckedInput, inventory: &Inventory, screen: &Screen) {
    if !tenant.is_sandbox {
        tell_new_tags(input, inventory, screen);
    }
}

/// The same, over any list of machines. What rules take off is what the list has, or what this very run has taken off already.
pub(super) fn tell_new_tags(input: &CheckedInput, inventory: &Inventory, screen: &Screen) {
    let actions =
        if input.rule_tally().is_some() { &[TagAction::Add][..] } else { &[TagAction::Add, TagAction::Remove] };
    let requests = &input.sheet.requests;
    let (warnings, more) = tenant_tag_warnings(requests, actions, inventory);
    for warning in &warnings {
        screen.warning(&match input.rule_tally() {
            Some(tally) => {
                let tag = requests.of_row(warning.row).find_map(|request| requests.tag(request.change));
                let place = tag.map_or_else(String::new, |tag| tally.place_of(tag));
                format!("{}: {place}{}", input.name, warning.words())
            }
            None if input.is_ordered() => {
                format!("--{}: {}", warning.action().as_str().to_lowercase(), warning.words())
            }
            None => format!("{}: {warning}", input.name),
        });
    }
    if more > 0 {
        screen.warning(&format!("{}: and {}", input.name, more_tags(more as u64)));
    }
}

/// The operations of an input whose machines were looked up: those that are known, unless two spellings were found to mean one
/// machine. That may show that two rows contradict each other.
pub(super) fn operations(
    input: &CheckedInput,
    machines: &Resolution,
    screen: &Screen,
) -> Result<Arc<Operations>, CommandError> {
    if !machines.has_merged() {
        return Ok(Arc::clone(&input.operations));
    }
    let operations = Operations::of(machines);
    refuse_conflicts(&input.name, machines.requests(), &operations, screen)?;
    Ok(Arc::new(operations))
}

impl Planned {
    /// What is said about the plan.
    pub(super) async fn report<'a, T: Transport>(
        &'a self,
        tenant: &'a Tenant<T>,
        input: &'a CheckedInput,
        bulk: bool,
    ) -> Result<PlanReport<'a>, CommandError> {
        let gate = &tenant.gate;
        let (mut report, calls) = self.report_without_time(&tenant.description, input, bulk, (&gate.quota, gate.scope));
        report.duration = tenant.foretell(calls, self.read.as_ref()).await?;
        report.left_until_deadline = gate.deadline.map(|deadline| deadline.since(tenant.clock.boot_time()));
        Ok(report)
    }

    /// The same without the time that it takes, and what that comes from.
    pub(super) fn report_without_time<'a>(
        &'a self,
        destination: &'a str,
        input: &'a CheckedInput,
        bulk: bool,
        (quota, scope): (&Quota, QuotaScope),
    ) -> (PlanReport<'a>, BucketCalls) {
        let mut calls = self.plan.calls(most_machines(bulk));
        let counts_apart = bulk && scope.counts_bulk_apart();
        if counts_apart {
            (calls.tags, calls.bulk) = side_by_side(quota, calls.tags, calls.bulk);
        }
        // What had to be repeated this time need not be repeated the next.
        let list_calls = self.read.as_ref().map_or(0, |read| read.calls.saturating_sub(read.retried + read.throttled));
        let report = PlanReport {
            input: &input.name,
            destination,
            rows: input.sheet.row_count,
            selected_from: input.sheet.selected_from,
            invalid_rows: input.invalid_rows(),
            plan: &self.plan,
            inventory: self.inventory.as_ref(),
            list_calls,
            calls,
            duration: Duration::ZERO,
            left_until_deadline: None,
            has_quota: !quota.is_off(),
            tags_side_by_side: counts_apart && calls.tags > 0 && calls.bulk > 0,
            rules: input.rule_tally(),
        };
        (report, BucketCalls { machines: list_calls, tags: calls.tags, bulk: calls.bulk, value: calls.value })
    }

    /// Decides once more, for what we wrote since the machines were read goes before what their list shows. Nothing is held back
    /// yet.
    pub(super) async fn with_todays_writes<T: Transport>(
        mut self,
        tenant: &Tenant<T>,
        unlisted: UnlistedPolicy,
    ) -> Result<Self, CommandError> {
        self.own = OwnWrites::default();
        let own = own_writes(tenant, self.read_from).await?;
        let Plan { operations, machines, .. } = self.plan;
        let plan = Plan::of(operations, machines, self.inventory.as_ref(), &own.recent, unlisted);
        Ok(Self { plan, own, ..self })
    }

    /// Whether another run has written to what it is about since it was made; says so then. It knows nothing of our own
    /// writes any more afterwards: there may be a million, and there is room for them once.
    pub(super) async fn is_overtaken<T: Transport>(
        &mut self,
        tenant: &Tenant<T>,
        context: &RunContext,
    ) -> Result<bool, CommandError> {
        let planned_over = std::mem::take(&mut self.own.recent);
        let known: Vec<Option<Written>> = self.written(&planned_over).collect();
        drop(planned_over);
        let OwnWrites { recent, .. } = own_writes(tenant, self.read_from).await?;
        let is_overtaken = self.written(&recent).ne(known);
        if is_overtaken {
            context.say(MADE_AGAIN);
        }
        Ok(is_overtaken)
    }

    /// What such writes made of the slot of each operation.
    fn written(&self, recent: &RecentWrites) -> impl Iterator<Item = Option<Written>> {
        self.plan.iter().map(|(operation, ..)| {
            let tag = self.plan.requests().tag(operation.change);
            self.machine_id(operation).and_then(|machine| recent.find(machine, tag))
        })
    }

    /// Whether it has waited for too long; says so then.
    pub(super) fn is_stale<T: Transport>(&self, tenant: &Tenant<T>, context: &RunContext) -> bool {
        is_stale(self.made_at, tenant, context)
    }

    /// What is decided about an operation.
    pub(super) fn decision(&self, number: OperationId) -> Option<Decision> {
        self.plan.decisions.get(number.0 as usize).copied()
    }

    /// Operations that change something.
    pub(super) fn changes(&self) -> u64 {
        self.plan.count(Decision::Change)
    }

    /// How many machines the list has.
    pub(super) fn listed(&self) -> u64 {
        self.inventory.as_ref().map_or(0, |inventory| inventory.len() as u64)
    }

    /// Refuses a plan that changes more than allowed.
    pub(super) fn refuse_too_many_changes(&self, maximum: Option<u32>, guard: Guard) -> Result<(), CommandError> {
        refuse_too_many(self.changes(), maximum, guard, self.listed())
    }

    /// What stands on the slot of an operation that is to be sent, by the list and by what our own writes make of that; `None`
    /// where the list was not read.
    pub(super) fn found(&self, operation: &Operation) -> Option<MayHold> {
        found(operation, self.inventory.as_ref()?, &self.own.recent)
    }

    /// In which other forms the tag of an operation stands on its machine.
    pub(super) fn other_forms(&self, operation: &PlannedOperation) -> Vec<Tag> {
        match (&self.inventory, self.machine_id(operation), self.plan.requests().tag(operation.change)) {
            (Some(inventory), Some(machine), Some(tag)) => other_forms(machine, tag, inventory, &self.own.recent),
            _ => Vec::new(),
        }
    }

    /// The id of an operation's machine; `None` for a name that leads to none.
    pub(super) fn machine_id(&self, operation: &PlannedOperation) -> Option<&MachineId> {
        self.plan.machines.id(operation.machine, self.inventory.as_ref())
    }

    /// The id of an operation's machine, or the name that leads to none.
    pub(super) fn machine(&self, operation: &PlannedOperation) -> Option<MachineId> {
        if let Some(id) = self.machine_id(operation) {
            return Some(id.clone());
        }
        match self.plan.machines.machine(operation.machine)? {
            ResolvedMachine::Unresolved(named) => {
                let name = self.plan.requests().machine(*named)?;
                Some(MachineId::from_service(&name.to_string()))
            }
            _ => None,
        }
    }

    /// Every operation by what it does.
    pub(super) fn identities(&self) -> impl Iterator<Item = (Operation, OperationId)> {
        (0_u32..).zip(self.plan.iter()).filter_map(|(number, (operation, ..))| {
            let (machine, change) = (self.machine(operation)?, self.plan.requests().change(operation.change)?);
            Some((Operation { machine, change }, OperationId(number)))
        })
    }

    /// Why the name of an operation's machine leads to none, as code and message.
    pub(super) fn failure(&self, operation: &PlannedOperation) -> (&'static str, String) {
        let named = operation.first_request.of(self.plan.requests()).map(|request| request.machine);
        let named = named.unwrap_or(ReferenceNumber(u32::MAX));
        self.plan.machines.describe_failure(named, self.inventory.as_ref())
    }
}

/// Whether what was planned then has waited for too long; says so then.
pub(super) fn is_stale<T: Transport>(planned_at: BootTime, tenant: &Tenant<T>, context: &RunContext) -> bool {
    let is_stale = tenant.clock.boot_time().since(planned_at) > PLAN_HOLDS_FOR;
    if is_stale {
        let message = "The plan is more than 10 minutes old, so tagfleet reads the tenant and plans again.";
        context.say(message);
    }
    is_stale
}

/// What stands on the slot of an operation, by the list and by what our own writes make of that.
pub(super) fn found(operation: &Operation, inventory: &Inventory, recent: &RecentWrites) -> Option<MayHold> {
    let shown = held_today(operation, inventory, &RecentWrites::default());
    let known = [shown, held_today(operation, inventory, recent)].into_iter().filter(|held| *held != Held::Unknown);
    known.map(MayHold::only).reduce(MayHold::or)
}

/// Adds what another reading of the machines took.
pub(super) fn add_reading(all: &mut ReadProgress, read: &ReadProgress) {
    all.calls += read.calls;
    all.elapsed += read.elapsed;
    all.signing_in += read.signing_in;
    all.throttled += read.throttled;
    all.retried += read.retried;
    all.in_the_way = all.in_the_way.or(read.in_the_way);
}

/// Refuses more changes than allowed, where the list has so many machines.
pub(super) fn refuse_too_many(
    changes: u64,
    maximum: Option<u32>,
    guard: Guard,
    listed: u64,
) -> Result<(), CommandError> {
    let plan = format!("the plan has {}", counted(changes, "change", "changes"));
    if let Some(maximum) = maximum.filter(|maximum| changes > u64::from(*maximum)) {
        let allowed = group_digits(u64::from(maximum));
        return Err(CommandError::text(
            ExitStatus::InputRefused,
            format!("{plan}, and --max-changes allows {allowed}; nothing was changed"),
            Some("look at the plan (tagfleet plan, or --plan-only with tags), or raise --max-changes"),
        ));
    }
    let Some(bound) = guard.refuses(changes, listed) else { return Ok(()) };
    Err(CommandError::text(
        ExitStatus::InputRefused,
        format!("{plan}, more than {bound}, which the guard allows; nothing was changed"),
        Some(&format!(
            "look at the plan (tagfleet plan, or --plan-only with tags); if it is meant, add --allow-changes {changes}"
        )),
    ))
}

/// Why a run ends whose machines could not be read.
pub(super) fn end_reason(error: ReadError) -> EndReason {
    match error {
        ReadError::Forbidden { facts } => EndReason::Forbidden { message: facts.error_message },
        ReadError::Aborted(cause) => EndReason::Aborted(cause),
        ReadError::Stopped(StopReason::Draining) => EndReason::Interrupted,
        ReadError::TimeIsUp { .. } => EndReason::Deadline,
        ReadError::Stopped(StopReason::Outage { since, trouble }) => EndReason::Outage { since, trouble },
        ReadError::Store(error) => EndReason::StoreFailed(error),
        error => EndReason::NoInventory {
            description: error.to_string(),
            hint: error.hint().unwrap_or_default(),
            is_refusal: error.is_refusal(),
        },
    }
}
