//! `tagfleet resume`: goes on with an unfinished run; needs no file.

use std::collections::BTreeSet;

use super::context::{CommandContext, read_for};
use super::settings::{planning_options, run_options};
use super::setup::{CommandSetup, asks, rows_target};
use crate::cli::ResumeOptions;
use crate::exit::{CommandError, ExitStatus};
use crate::model::{MachineReference, is_sandbox_run};
use crate::plan::guard::Guard;
use crate::run::{self, ResumeOrder};
use crate::store::StatePlace;

/// Operations that are read in one transaction.
const OPERATIONS_AT_ONCE: u32 = 10_000;

/// Finds the run, takes it over, sends what is left, and answers every row.
pub(super) async fn resume(options: ResumeOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    let sandbox = options.sandbox || options.run.as_deref().is_some_and(is_sandbox_run);
    let asks = asks(options.changing.limits.yes, sandbox, true)?;
    let target = rows_target("results", options.output.as_deref(), command.general)?;
    let setup = CommandSetup::to_change(command, sandbox, &options.changing)?;
    let order = ResumeOrder {
        run_id: options.run,
        target,
        reserved: command.reserved.clone(),
        planning: planning_options(&options.planning, Guard::default()),
        run: run_options(asks, options.planning.no_bulk, options.changing),
    };
    let machines = match &order.run_id {
        Some(run_id) if sandbox => machines_of(&setup.state, run_id).await?,
        _ => Vec::new(),
    };
    let connection = setup.connect(&machines).await?;
    setup.work(connection, async |tenant, context| run::resume(tenant, order, context).await).await
}

/// The machines of a stored run, for a sandbox that holds them again.
async fn machines_of(state: &StatePlace, run_id: &str) -> Result<Vec<MachineReference>, CommandError> {
    let reader = read_for(state, run_id).await?;
    let run = reader.run_by_id(run_id).await?;
    let mut machines = BTreeSet::new();
    let mut last = None;
    loop {
        let known = reader.known_operations(run.key, last, OPERATIONS_AT_ONCE).await?;
        let Some(end) = known.last() else { break };
        last = Some(end.id);
        machines.extend(known.into_iter().map(|known| known.operation.machine));
    }
    Ok(machines.into_iter().map(MachineReference::Id).collect())
}
