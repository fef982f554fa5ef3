//! What a run over an input would do; changes nothing.

use super::RunContext;
use super::input::CheckedInput;
use super::planning::{Planned, PlanningOptions, make_plan};
use super::tenant::Tenant;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::plan::changes::Decision;
use crate::report::{Ending, PlanReport};

/// Plans and says what is planned. With `tells_differences`, a plan that changes something has a status of its own.
pub(crate) async fn plan<T: Transport>(
    tenant: &Tenant<T>,
    planning: PlanningOptions,
    tells_differences: bool,
    input: &CheckedInput,
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    input.note_selection(&context.screen);
    let planned = make_plan(tenant, input, planning, context).await??;
    show(tenant, planning, tells_differences, input, &planned, context).await
}

/// Says what is planned.
pub(super) async fn show<T: Transport>(
    tenant: &Tenant<T>,
    planning: PlanningOptions,
    tells_differences: bool,
    input: &CheckedInput,
    planned: &Planned,
    context: &RunContext,
) -> Result<ExitStatus, CommandError> {
    let report = planned.report(tenant, input, planning.bulk).await?;
    tell(&report, planned, planning, tells_differences, context)
}

/// Says what a report says of a plan.
pub(super) fn tell(
    report: &PlanReport<'_>,
    planned: &Planned,
    planning: PlanningOptions,
    tells_differences: bool,
    context: &RunContext,
) -> Result<ExitStatus, CommandError> {
    // What `apply` would end with.
    let failing: u64 = [Decision::NotInInventory, Decision::Withheld].map(|left| planned.plan.count(left)).iter().sum();
    let failing = failing + report.invalid_rows + report.unresolved_rows();
    let mut status = if failing > 0 { ExitStatus::RowsFailed } else { ExitStatus::Done };
    if tells_differences && planned.changes() > 0 {
        status = status.and(ExitStatus::Differences);
    }
    let refused = planned.refuse_too_many_changes(planning.max_changes, planning.settings.guard);
    if context.json {
        refused.map_err(|error| error.with_own(report.json()))?;
        context.screen.object(report.json(), &Ending::finished(status.code()))?;
    } else {
        context.screen.text(&report.text())?;
        refused?;
    }
    Ok(status)
}
