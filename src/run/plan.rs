//! What a run over an input would do; changes nothing.

use super::RunContext;
use super::input::CheckedInput;
use super::planning::{Planned, PlanningOrder, make_plan};
use super::tenant::Tenant;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::input::Excerpt;
use crate::plan::changes::Decision;
use crate::report::{Ending, PlanReport, Screen};
use crate::store::{RunCondition, RunEntry};

/// Plans and says what is planned. With `tells_differences`, a plan that changes something has a status of its own.
pub(crate) async fn plan<T: Transport>(
    tenant: &Tenant<T>,
    planning: PlanningOrder,
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
    planning: PlanningOrder,
    tells_differences: bool,
    input: &CheckedInput,
    planned: &Planned,
    context: &RunContext,
) -> Result<ExitStatus, CommandError> {
    let report = planned.report(tenant, input, planning.bulk).await?;
    warn_of_runs_under_way(tenant, &context.screen).await?;
    tell(&report, planned, planning, tells_differences, context)
}

/// A plan is of the tenant as it is, and a run that goes on meanwhile makes another of it.
async fn warn_of_runs_under_way<T: Transport>(tenant: &Tenant<T>, screen: &Screen) -> Result<(), CommandError> {
    let unfinished = tenant.store.unfinished_runs(tenant.account, &tenant.host).await?;
    if unfinished.is_empty() || tenant.is_sandbox {
        return Ok(());
    }
    let is_ours = |run: &RunEntry| unfinished.iter().any(|ours| ours.run.description.run_id == run.run_id);
    for run in tenant.store.runs().await?.iter().filter(|run| run.condition == RunCondition::Running && is_ours(run)) {
        let (id, input) = (&run.run_id, Excerpt::new(&run.input_path));
        screen
            .warning(&format!("run {id} of {input} is under way; the plan does not include what it will still change"));
    }
    Ok(())
}

/// Says what a report says of a plan.
pub(super) fn tell(
    report: &PlanReport<'_>,
    planned: &Planned,
    planning: PlanningOrder,
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
