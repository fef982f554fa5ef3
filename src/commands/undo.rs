//! `tagfleet undo`: takes back what a run changed, as a run of its own.

use std::path::PathBuf;

use super::opening::{Opening, asks, desk, rows_target};
use crate::cli::{GeneralOptions, UndoOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::model::is_sandbox_run;
use crate::report::{Reserved, ResultsTarget, Screen};
use crate::run::{self, RunOptions, UndoOrder};

/// Works out what takes the run back, asks, and does it.
pub(super) async fn undo(
    options: UndoOptions,
    general: &GeneralOptions,
    reserved: &Reserved,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    if is_sandbox_run(&options.run) {
        return Err(CommandError::text(
            ExitStatus::Usage,
            "a rehearsal cannot be undone: its sandbox went with it",
            Some("nothing of a rehearsal is left in any tenant"),
        ));
    }
    let asks = asks(options.limits.yes, false, true)?;
    let target = rows_target("results", options.output.as_deref(), general)?
        .unwrap_or_else(|| ResultsTarget::file(default_results(&options.run)));
    target.check(reserved, &run::UNDO_HEADER.map(str::to_owned))?;
    let opening = Opening::new(general, false, &options.service, &options.quota, options.limits.deadline)?;
    let order = UndoOrder {
        run_id: options.run,
        target,
        max_changes: options.max_changes,
        run: RunOptions {
            asks,
            bulk: !options.no_bulk,
            maximum_errors: options.limits.max_errors,
            skip_missing_machines: options.limits.skip_missing_machines,
            lock_wait: options.others.lock_wait,
            note: options.limits.note,
            keep_runs: options.others.keep_runs,
        },
    };
    let connection = opening.connect(&[]).await?;
    let mut desk = desk(general, screen);
    let tenant = opening.tenant(&connection, &mut desk).await?;
    run::undo(&tenant, order, &mut desk).await
}

/// Where the results go unless somebody says otherwise.
pub(super) fn default_results(run_id: &str) -> PathBuf {
    PathBuf::from(format!("undo-{run_id}.results.csv"))
}
