//! What was typed (`cli`), as the orders that a run takes (`run`).

use crate::cli::{ChangingOptions, GuardOptions, PlanningOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::plan::changes::PlanSettings;
use crate::plan::guard::Guard;
use crate::report::PageTarget;
use crate::run::{PlanningOrder, RunOrder};

/// How a run is carried out.
pub(super) fn run_order(asks: bool, no_bulk: bool, changing: ChangingOptions) -> RunOrder {
    let ChangingOptions { limits, others, report, .. } = changing;
    RunOrder {
        asks,
        bulk: !no_bulk,
        maximum_errors: limits.max_errors,
        skip_missing_machines: limits.skip_missing_machines,
        lock_wait: others.lock_wait,
        note: limits.note,
        keep_runs: others.keep_runs,
        report: report.map(PageTarget::new),
    }
}

/// What a run may do at most.
pub(super) fn guard(arguments: &GuardOptions, no_inventory: bool) -> Result<Guard, CommandError> {
    let GuardOptions { guard_removals, guard_changes, allow_removals, allow_changes } = *arguments;
    if no_inventory && (guard_removals.is_some() || guard_changes.is_some()) {
        let message = "a guard counts the tenant's machines, which --no-inventory leaves unread";
        return Err(CommandError::text(ExitStatus::Usage, message, Some("leave one out")));
    }
    let guard = Guard { removals: guard_removals, changes: guard_changes, scope: None };
    Ok(guard.with_ceilings(allow_removals, allow_changes))
}

/// How a plan is made.
pub(super) fn planning_order(arguments: &PlanningOptions, guard: Guard) -> PlanningOrder {
    PlanningOrder {
        settings: PlanSettings { unlisted: arguments.unlisted, limit: arguments.limit, guard },
        inventory: !arguments.no_inventory,
        bulk: !arguments.no_bulk,
        max_changes: arguments.max_changes,
    }
}
