//! `tagfleet resume`: resumes an unfinished run; needs no file.

use std::collections::BTreeSet;

use super::context::CommandContext;
use super::orders::{planning_order, run_order};
use super::setup::{CommandSetup, asks, rows_target};
use crate::cli::ResumeOptions;
use crate::exit::{CommandError, ExitStatus};
use crate::model::{MachineReference, is_sandbox_run};
use crate::plan::guard::Guard;
use crate::run::{self, ResumeOrder};
use crate::store::{RunCondition, RunEntry, StatePlace, StoreError};

/// Finds the run, takes it over, sends what is left, and answers every row.
pub(super) async fn resume(options: ResumeOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    let sandbox = options.sandbox || options.run.as_deref().is_some_and(is_sandbox_run);
    let asks = asks(options.changing.limits.yes, sandbox, true)?;
    let target = rows_target("results", options.output.as_deref(), command.general)?;
    let setup = CommandSetup::to_change(command, sandbox, &options.changing, &options.planning)?;
    let order = ResumeOrder {
        run_id: options.run,
        target,
        reserved: command.reserved.clone(),
        planning: planning_order(&options.planning, Guard::default()),
        run: run_order(asks, options.planning.no_bulk, options.changing),
    };
    let machines = if sandbox { machines_of(&setup.state, order.run_id.as_deref()).await? } else { Vec::new() };
    let connection = setup.connect(&machines).await?;
    setup.work(connection, async |tenant, context| Box::pin(run::resume(tenant, order, context)).await).await
}

/// The machines of a stored run, or of every unfinished one if none is named, for a sandbox that holds them again.
async fn machines_of(state: &StatePlace, run_id: Option<&str>) -> Result<Vec<MachineReference>, CommandError> {
    let Some(reader) = state.read().await? else {
        return run_id.map_or(Ok(Vec::new()), |run_id| Err(StoreError::NoSuchRun(run_id.to_owned()).into()));
    };
    let unfinished = |run: RunEntry| (run.condition == RunCondition::Unfinished).then_some(run.run_id);
    let run_ids: Vec<String> = match run_id {
        Some(run_id) => vec![run_id.to_owned()],
        None => reader.runs().await?.into_iter().filter_map(unfinished).collect(),
    };
    let mut machines = BTreeSet::new();
    for run_id in run_ids {
        let run = reader.run_by_id(&run_id).await?;
        let mut pages = reader.operations_of(run.key);
        while let Some(known) = pages.next().await? {
            machines.extend(known.into_iter().map(|known| known.operation.machine));
        }
    }
    Ok(machines.into_iter().map(MachineReference::Id).collect())
}
