//! A run from its first call to its last line: sends, answers every row, says how it ended. What `apply` and every other
//! command that changes a tenant have in common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use super::tenant::Tenant;
use super::{CommandError, ExitStatus, abort_status};
use crate::api::CallKind;
use crate::dispatch::{
    DispatchError, DispatchSettings, EndReason, MaximumErrors, Progress, Spent, StopRequest, dispatch,
};
use crate::inventory::ReadProgress;
use crate::model::Status;
use crate::report::{ProgressReport, ResultsTarget, RunSummary, Screen, Totals, describe_end, write_results};
use crate::store::{RunKey, RunState, Store, StoredRun};

/// How often the progress is shown.
const TICK: Duration = Duration::from_millis(500);

/// How a run is made and shown.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "options as they were typed")]
pub(super) struct RunOptions {
    pub(super) target: ResultsTarget,
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) sandbox: bool,
    pub(super) bulk: bool,
    pub(super) maximum_errors: MaximumErrors,
    /// As on the command line, if it is named there.
    pub(super) named_state_directory: Option<PathBuf>,
}

/// A run that is stored.
pub(super) struct Run<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) key: RunKey,
    pub(super) id: &'a str,
    pub(super) options: &'a RunOptions,
    pub(super) screen: &'a Screen,
}

impl Run<'_> {
    /// Sends what is to be sent, and answers every row. `read` is what reading the machines took.
    pub(super) async fn carry_out(
        &self,
        read: Option<&ReadProgress>,
        stop_requests: &mut mpsc::Receiver<StopRequest>,
    ) -> Result<ExitStatus, CommandError> {
        tracing::info!(run = %self.id, host = self.tenant.service.host(), "calls begin");
        let mut outcome = send(self.tenant, self.key, self.options, stop_requests, self.screen).await;
        if let (Ok((_, progress)), Some(read)) = (&mut outcome, read) {
            add_read(progress, read);
        }
        conclude(&self.tenant.store, self.id, self.options, outcome, self.screen).await
    }

    /// Answers the rows of a run that ended before its first write.
    pub(super) async fn give_up(&self, reason: EndReason) -> Result<ExitStatus, CommandError> {
        self.tenant.store.set_run_state(self.key, RunState::Stopped).await?;
        let mut progress = Progress::default();
        add_read(&mut progress, &self.tenant.failed_reading());
        let outcome = Ok((reason, progress));
        conclude(&self.tenant.store, self.id, self.options, outcome, self.screen).await
    }
}

async fn send(
    tenant: &Tenant,
    run: RunKey,
    options: &RunOptions,
    stop_requests: &mut mpsc::Receiver<StopRequest>,
    screen: &Screen,
) -> Result<(EndReason, Progress), DispatchError> {
    let settings = DispatchSettings {
        gate: tenant.gate.clone(),
        bulk: options.bulk,
        maximum_errors: options.maximum_errors,
        tick: TICK,
        seed: fastrand::u64(..),
    };
    tenant.store.set_run_state(run, RunState::Running).await?;
    let mut report = ProgressReport::new(screen.clone(), options.quiet);
    let (transport, clock) = (tenant.service.transport(), tenant.clock.clone());
    let outcome = dispatch(transport, &tenant.store, clock, run, settings, &mut report, stop_requests).await?;
    match outcome.0 {
        EndReason::Finished => tenant.store.set_run_state(run, RunState::Finished).await?,
        // Where nothing can be stored any more, the run stays as it is.
        EndReason::StoreFailed(_) => {}
        _ => tenant.store.set_run_state(run, RunState::Stopped).await?,
    }
    Ok(outcome)
}

/// The calls that read the tenant's machines belong to the run, too.
fn add_read(progress: &mut Progress, read: &ReadProgress) {
    *progress.calls.entry(CallKind::List).or_default() += read.calls;
    progress.throttled += read.throttled;
    progress.retried += read.retried;
    progress.elapsed += read.elapsed;
    progress.spent.push((Spent::Machines, read.elapsed));
}

/// Writes the results, whatever happened, and says how it all ended.
async fn conclude(
    store: &Store,
    run_id: &str,
    options: &RunOptions,
    outcome: Result<(EndReason, Progress), DispatchError>,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let written = write(store, run_id, &options.target).await;
    let (reason, progress) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            if let Err(error) = &written {
                screen.line(&error.problem.render(screen));
            }
            return Err(error.into());
        }
    };
    let (run, totals, open) = match written {
        Ok(written) => written,
        Err(mut error) => {
            screen.line(&describe_end(run_id, &reason, &progress));
            let command = options.target.command_to_write_again(run_id, options.named_state_directory.as_deref());
            let again = format!("the run is stored; write its results again with: {command}");
            error.problem.hint = Some(error.problem.hint.map_or(again.clone(), |hint| format!("{hint}; {again}")));
            return Err(error);
        }
    };
    let status = exit_status(&reason, &totals).and(balance(&run, &totals));
    tracing::info!(run = %run_id, exit_status = status.code(), rows = totals.rows, "run is over");
    let summary = RunSummary {
        run_id,
        reason: &reason,
        progress: &progress,
        totals: &totals,
        target: &options.target,
        open,
        named_state_directory: options.named_state_directory.as_deref(),
        sandbox: options.sandbox,
        exit_status: status.code(),
    };
    show(&summary, status, options, screen)?;
    Ok(status)
}

async fn write(store: &Store, run_id: &str, target: &ResultsTarget) -> Result<(StoredRun, Totals, u32), CommandError> {
    let run = store.run_by_id(run_id).await?;
    let totals = write_results(store, &run, target).await?;
    let open = store.open_operations(run.key).await?;
    Ok((run, totals, open))
}

fn show(
    summary: &RunSummary<'_>,
    status: ExitStatus,
    options: &RunOptions,
    screen: &Screen,
) -> Result<(), CommandError> {
    if status == ExitStatus::Bug {
        screen.line(
            "error: the books do not balance: the rows in the results are not those of the input; please report this",
        );
    }
    let shown = if options.json {
        if !matches!(summary.reason, EndReason::Finished) {
            screen.line(summary.text(screen).trim_end());
        }
        screen.data(&summary.json())
    } else if options.quiet && status == ExitStatus::Done {
        Ok(())
    } else if options.target == ResultsTarget::StandardOutput || options.quiet {
        screen.line(summary.text(screen).trim_end());
        Ok(())
    } else {
        screen.data(&summary.text(screen))
    };
    shown.map_err(|error| CommandError::new(ExitStatus::StorageFailed, error, None))
}

/// How a run that ended for this reason ends the process.
fn exit_status(reason: &EndReason, totals: &Totals) -> ExitStatus {
    let bad_rows: u64 =
        [Status::Failed, Status::Unknown, Status::Invalid].into_iter().map(|status| totals.count(status)).sum();
    let rows = if bad_rows > 0 { ExitStatus::RowsFailed } else { ExitStatus::Done };
    exit_status_of_end(reason).and(rows)
}

/// The same, whatever became of its rows.
fn exit_status_of_end(reason: &EndReason) -> ExitStatus {
    match reason {
        EndReason::Finished => ExitStatus::Done,
        EndReason::Interrupted
        | EndReason::Halted
        | EndReason::Deadline
        | EndReason::TooManyErrors
        | EndReason::Outage { .. }
        | EndReason::NoInventory { is_refusal: false, .. } => ExitStatus::StoppedEarly,
        EndReason::Forbidden { .. } | EndReason::NoInventory { is_refusal: true, .. } => ExitStatus::ServiceRefused,
        EndReason::Aborted(cause) => abort_status(cause),
        EndReason::StoreFailed(_) => ExitStatus::StorageFailed,
    }
}

/// Every row of the input must have exactly one answer.
fn balance(run: &StoredRun, totals: &Totals) -> ExitStatus {
    let answered: u64 = totals.statuses.values().sum();
    let rows = u64::from(run.description.row_count);
    if totals.rows == rows && answered == rows { ExitStatus::Done } else { ExitStatus::Bug }
}

/// A name that sorts by time and does not come twice.
pub(super) fn new_run_id(sandbox: bool) -> String {
    let prefix = if sandbox { crate::config::SANDBOX_RUN_PREFIX } else { "" };
    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let mark: String = std::iter::repeat_with(fastrand::alphanumeric).take(6).collect();
    format!("{prefix}{time}-{}", mark.to_lowercase())
}

/// `x.csv` gives `x.results.csv`, a rehearsal `x.sandbox.results.csv`.
pub(super) fn default_results(input: &Path, sandbox: bool) -> PathBuf {
    input.with_extension(if sandbox { "sandbox.results.csv" } else { "results.csv" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{AbortCause, ServiceTrouble};

    #[test]
    fn results_are_named_after_the_input() {
        assert_eq!(default_results(Path::new("dir/x.csv"), false), Path::new("dir/x.results.csv"));
        assert_eq!(default_results(Path::new("x.failed.csv"), false), Path::new("x.failed.results.csv"));
        assert_eq!(default_results(Path::new("x"), true), Path::new("x.sandbox.results.csv"));
    }

    #[test]
    fn the_exit_status_tells_bad_rows_from_a_run_that_stopped() {
        let outage = EndReason::Outage { since: jiff::Timestamp::UNIX_EPOCH, trouble: ServiceTrouble::Status(503) };
        let totals = |status| Totals { rows: 1, statuses: [(status, 1)].into(), ..Totals::default() };
        let table = [
            (EndReason::Finished, Status::Succeeded, ExitStatus::Done),
            (EndReason::Finished, Status::NotAttempted, ExitStatus::Done),
            (EndReason::Finished, Status::Failed, ExitStatus::RowsFailed),
            (EndReason::Finished, Status::Unknown, ExitStatus::RowsFailed),
            (EndReason::Finished, Status::Invalid, ExitStatus::RowsFailed),
            (EndReason::Interrupted, Status::Failed, ExitStatus::StoppedEarly),
            (EndReason::Deadline, Status::Succeeded, ExitStatus::StoppedEarly),
            (outage, Status::Unknown, ExitStatus::StoppedEarly),
            (EndReason::Forbidden { said: None }, Status::Failed, ExitStatus::ServiceRefused),
            (EndReason::Aborted(AbortCause::TokenRefused), Status::Failed, ExitStatus::ServiceRefused),
        ];
        for (reason, status, expected) in table {
            assert_eq!(exit_status(&reason, &totals(status)), expected, "{reason:?} {status}");
        }
    }

    #[test]
    fn run_ids_tell_rehearsals_apart_and_do_not_come_twice() {
        let (real, rehearsal) = (new_run_id(false), new_run_id(true));
        assert!(rehearsal.starts_with("sandbox-") && !real.starts_with("sandbox-"));
        assert_ne!(new_run_id(false), real);
    }
}
