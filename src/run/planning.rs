//! From a checked input to a plan: machines read, names looked up, what is so already left out.

use super::Desk;
use super::input::{CheckedInput, refuse_conflicts};
use super::tenant::Tenant;
use crate::api::{BULK_MAXIMUM_MACHINES, Transport};
use crate::exit::{CommandError, ExitStatus};
use crate::input::Sheet;
use crate::inventory::{Inventory, ReadError, ReadProgress};
use crate::plan::changes::{Decision, Plan, PlanSettings};
use crate::plan::operations::Operations;
use crate::plan::recent::RecentWrites;
use crate::plan::resolution::Resolution;
use crate::plan::schedule::BucketCalls;
use crate::report::{PlanReport, Screen};

/// How a plan is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlanningOptions {
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
}

/// Reads the tenant's machines, unless they are not to be read, and plans. The inner error says why they could not be
/// read; nothing can be planned then.
pub(super) async fn make_plan<T: Transport>(
    tenant: &Tenant<T>,
    input: &CheckedInput,
    options: PlanningOptions,
    desk: &mut Desk,
) -> Result<Result<Planned, ReadError>, CommandError> {
    let (inventory, read) = if options.inventory {
        match tenant.read_machines(desk).await {
            Ok((inventory, read)) => (Some(inventory), Some(read)),
            Err(error) => return Ok(Err(error)),
        }
    } else {
        (None, None)
    };
    let recent = if inventory.is_some() { tenant.recent_writes().await? } else { RecentWrites::default() };
    let sheet = &input.sheet;
    let machines = Resolution::of(sheet, inventory.as_ref());
    let operations = operations(input, &machines, &desk.screen)?;
    let plan = Plan::of(sheet, operations, machines, inventory.as_ref(), &recent, options.settings);
    Ok(Ok(Planned { plan, inventory, read }))
}

/// The operations of an input whose machines were looked up. That may show that two rows contradict each other.
pub(super) fn operations(
    input: &CheckedInput,
    machines: &Resolution,
    screen: &Screen,
) -> Result<Operations, CommandError> {
    let operations = Operations::of(&input.sheet, machines);
    refuse_conflicts(&input.name, &input.sheet, &operations, screen)?;
    Ok(operations)
}

impl Planned {
    /// What is said about the plan.
    pub(super) async fn report<'a, T: Transport>(
        &'a self,
        tenant: &'a Tenant<T>,
        input: &'a CheckedInput,
        bulk: bool,
    ) -> Result<PlanReport<'a>, CommandError> {
        let calls = self.plan.calls(if bulk { BULK_MAXIMUM_MACHINES } else { 1 });
        // What had to be repeated this time need not be repeated the next.
        let list_calls = self.read.as_ref().map_or(0, |read| read.calls.saturating_sub(read.retried + read.throttled));
        let of_buckets = BucketCalls { machines: list_calls, tags: calls.bulk + calls.tags, value: calls.value };
        let duration = tenant.foretell(of_buckets, self.read.as_ref()).await?;
        Ok(PlanReport {
            input: &input.name,
            destination: &tenant.description,
            sheet: &input.sheet,
            invalid_rows: input.invalid_rows(),
            plan: &self.plan,
            inventory: self.inventory.as_ref(),
            list_calls,
            calls,
            duration,
            has_quota: !tenant.gate.quota.is_off(),
        })
    }

    /// Operations that change something.
    pub(super) fn changes(&self) -> u64 {
        self.plan.count(Decision::Change)
    }

    /// Refuses a plan that changes more than allowed.
    pub(super) fn refuse_too_many_changes(&self, maximum: Option<u32>) -> Result<(), CommandError> {
        refuse_too_many(self.changes(), maximum)
    }

    /// Why the machine at this place of the sheet is none, as code and message.
    pub(super) fn failure(&self, sheet: &Sheet, machine_of_sheet: u32) -> (&'static str, String) {
        self.plan.machines.describe_failure(sheet, machine_of_sheet, self.inventory.as_ref())
    }
}

/// Refuses more changes than allowed.
pub(super) fn refuse_too_many(changes: u64, maximum: Option<u32>) -> Result<(), CommandError> {
    match maximum {
        Some(maximum) if changes > u64::from(maximum) => Err(CommandError::text(
            ExitStatus::InputRefused,
            format!(
                "{changes} operations would change something, and --max-changes allows {maximum}; nothing was changed"
            ),
            Some("look at the plan (tagfleet plan), or raise --max-changes"),
        )),
        _ => Ok(()),
    }
}
