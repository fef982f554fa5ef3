//! `tagfleet undo`: takes back what a run changed, as a run of its own.

use super::context::CommandContext;
use super::default_results::results_of_undo;
use super::orders::run_order;
use super::setup::{CommandSetup, asks, rows_target};
use crate::cli::{PlanningOptions, UndoOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::model::is_sandbox_run;
use crate::report::ResultsTarget;
use crate::run::{self, UndoOrder};

/// Works out what takes the run back, asks, and does it.
pub(super) async fn undo(options: UndoOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    if is_sandbox_run(&options.run) {
        return Err(CommandError::text(
            ExitStatus::Usage,
            "a rehearsal changed no tenant, so there is nothing to undo",
            None,
        ));
    }
    let asks = asks(options.changing.limits.yes, false, true)?;
    let target = rows_target("results", options.output.as_deref(), command.general)?
        .unwrap_or_else(|| ResultsTarget::file(results_of_undo(&options.run)));
    target.check(command.reserved, &run::UNDO_HEADER.map(str::to_owned))?;
    let UndoOptions { max_changes, no_bulk, .. } = options;
    let planning = PlanningOptions { max_changes, no_bulk, ..PlanningOptions::default() };
    let setup = CommandSetup::to_change(command, false, &options.changing, &planning)?;
    let order = UndoOrder { run_id: options.run, target, max_changes, run: run_order(asks, no_bulk, options.changing) };
    let connection = setup.connect(&[]).await?;
    setup.work(connection, async |tenant, context| run::undo(tenant, order, context).await).await
}
