//! `tagfleet apply`: makes the tenant match the file.

use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Zoned;
use tokio::sync::mpsc;

use super::input::{CheckedInput, InputPlace, check_input};
use super::record::record;
use super::service::{Service, UNNAMED, open_sandbox};
use super::{CommandError, ExitStatus, confirm, sign_in_status, stop_signals};
use crate::call::{AbortCause, GateSettings};
use crate::cli::{ApplyOptions, GeneralOptions};
use crate::clock::{BootTime, Clock, SharedClock, SystemClock};
use crate::config::{
    SANDBOX_RUN_PREFIX, ServiceConfig, quota, sandbox_state_directory, state_directory, until_deadline,
};
use crate::dispatch::{DispatchError, DispatchSettings, EndReason, Progress, StopRequest, dispatch};
use crate::model::Status;
use crate::report::{ProgressReport, ResultsTarget, RunSummary, Screen, Totals, write_results};
use crate::store::{NewRun, RunKey, RunState, Store, StoredRun};

/// How often the progress is shown.
const TICK: Duration = Duration::from_millis(500);

/// What `apply` was asked to do, with everything that could be found wrong before the input is read.
struct Order {
    place: InputPlace,
    target: ResultsTarget,
    options: ApplyOptions,
    json: bool,
    quiet: bool,
    state_directory: PathBuf,
    service: Option<ServiceConfig>,
    clock: SharedClock,
    deadline: Option<BootTime>,
}

/// Reads, checks, asks, sends, and answers every row.
pub(super) async fn apply(
    options: ApplyOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let order = Order::new(options, general)?;
    let input = order.read_input(screen).await?;
    order.refuse_too_many_changes(&input)?;
    let service = match &order.service {
        Some(config) => Service::connect(config)?,
        None => open_sandbox(&input.sheet, &order.options.quota.quota).await?,
    };
    let (quota, scope) = quota(&order.options.quota);
    if !order.options.limits.yes && !order.options.sandbox {
        let destination = service.description();
        let description = confirm::describe(&input, order.options.limits.limit, &quota, scope, &destination);
        confirm::ask(screen, &description)?;
    }
    let store = Store::open(&order.state_directory, order.clock.clone()).await?;
    let mut stop_requests = stop_signals::listen();
    let (tenant, app, interrupted) = tokio::select! {
        (tenant, app) = service.identity() => (tenant, app, false),
        Some(_request) = stop_requests.recv() => (service.unnamed_tenant(), UNNAMED.to_owned(), true),
    };
    let account = store.account(&tenant, &app).await?;
    let new_run = order.new_run(&input, account, &service);
    let run_id = new_run.run_id.clone();
    let run = record(&store, new_run, input, order.options.limits.limit).await?;
    let settings = DispatchSettings {
        gate: GateSettings {
            account,
            quota,
            scope,
            concurrency: usize::from(order.options.quota.concurrency),
            deadline: order.deadline,
        },
        bulk: !order.options.limits.no_bulk,
        maximum_errors: order.options.limits.max_errors,
        tick: TICK,
        seed: fastrand::u64(..),
        interrupted,
    };
    tracing::info!(run = %run_id, host = service.host(), "calls begin");
    let outcome = order.send(&store, run, &service, settings, &mut stop_requests, screen).await;
    let status = order.conclude(&store, &run_id, outcome, screen).await;
    service.close().await;
    status
}

impl Order {
    fn new(options: ApplyOptions, general: &GeneralOptions) -> Result<Self, CommandError> {
        let usage = |message: &str, hint| Err(CommandError::text(ExitStatus::Usage, message, hint));
        let place = InputPlace::new(&options.input);
        let to_standard_output = options.output.as_deref() == Some(Path::new("-"));
        if place == InputPlace::StandardInput && options.output.is_none() {
            return usage(
                "the input is standard input, so there is no name to make that of the results from",
                Some("name the results with -o"),
            );
        }
        if to_standard_output && general.json {
            return usage("results and --json cannot both go to standard output", Some("name a file with -o"));
        }
        let terminals = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        let asks = !options.limits.yes && !options.sandbox;
        if asks && (!terminals || place == InputPlace::StandardInput) {
            return usage(
                "there is no terminal to ask on before the first call",
                Some("add --yes to go on without a question"),
            );
        }
        let environment = |name: &str| std::env::var_os(name);
        let mut state_directory = state_directory(general.state_dir.as_deref(), &environment)?;
        let service = if options.sandbox {
            state_directory = sandbox_state_directory(&state_directory);
            None
        } else {
            Some(ServiceConfig::from_options(&options.service, &environment)?)
        };
        let clock = SystemClock::new().map_err(|error| CommandError::new(ExitStatus::StorageFailed, error, None))?;
        let deadline =
            options.limits.deadline.map(|deadline| clock.boot_time().plus(until_deadline(deadline, &Zoned::now())));
        let target = match &options.output {
            Some(_) if to_standard_output => ResultsTarget::StandardOutput,
            Some(path) => ResultsTarget::file(path.clone()),
            None => ResultsTarget::file(default_results(&options.input, options.sandbox)),
        };
        target.check(place.path())?;
        let (json, quiet) = (general.json, general.quiet);
        Ok(Self { place, target, options, json, quiet, state_directory, service, clock: Arc::new(clock), deadline })
    }

    async fn read_input(&self, screen: &Screen) -> Result<CheckedInput, CommandError> {
        let (place, screen) = (self.place.clone(), screen.clone());
        let (encoding, skip_invalid) = (self.options.encoding.clone(), self.options.skip_invalid);
        let reading =
            tokio::task::spawn_blocking(move || check_input(&place, encoding.as_deref(), None, skip_invalid, &screen));
        reading.await.map_err(|error| CommandError::new(ExitStatus::Bug, error, None))?
    }

    fn refuse_too_many_changes(&self, input: &CheckedInput) -> Result<(), CommandError> {
        let changes = input.operations.operations.len();
        match self.options.limits.max_changes {
            Some(maximum) if changes > maximum as usize => Err(CommandError::text(
                ExitStatus::InputRefused,
                format!("the file asks for {changes} operations, and --max-changes allows {maximum}"),
                Some("look at the file, or raise --max-changes"),
            )),
            _ => Ok(()),
        }
    }

    fn new_run(&self, input: &CheckedInput, account: crate::store::AccountKey, service: &Service) -> NewRun {
        NewRun {
            run_id: new_run_id(self.options.sandbox),
            account,
            host: service.host().to_owned(),
            input_path: self.place.name(),
            note: self.options.limits.note.clone(),
            delimiter: input.sheet.dialect.delimiter,
            byte_order_mark: input.sheet.dialect.byte_order_mark,
            header: input.sheet.header.clone(),
            row_count: input.sheet.row_count,
        }
    }

    async fn send(
        &self,
        store: &Store,
        run: RunKey,
        service: &Service,
        settings: DispatchSettings,
        stop_requests: &mut mpsc::Receiver<StopRequest>,
        screen: &Screen,
    ) -> Result<(EndReason, Progress), DispatchError> {
        store.set_run_state(run, RunState::Running).await?;
        let mut report = ProgressReport::new(screen.clone(), self.quiet);
        let transport = service.transport();
        let outcome = dispatch(transport, store, self.clock.clone(), run, settings, &mut report, stop_requests).await?;
        match outcome.0 {
            EndReason::Finished => store.set_run_state(run, RunState::Finished).await?,
            // Where nothing can be stored any more, the run stays as it is.
            EndReason::StoreFailed(_) => {}
            _ => store.set_run_state(run, RunState::Stopped).await?,
        }
        Ok(outcome)
    }

    /// Writes the results, whatever happened, and says how it all ended.
    async fn conclude(
        &self,
        store: &Store,
        run_id: &str,
        outcome: Result<(EndReason, Progress), DispatchError>,
        screen: &Screen,
    ) -> Result<ExitStatus, CommandError> {
        let written = self.write(store, run_id).await;
        let (reason, progress) = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                if let Err(error) = &written {
                    screen.line(&error.problem.render(screen));
                }
                return Err(error.into());
            }
        };
        let (run, totals) = match written {
            Ok(written) => written,
            Err(mut error) => {
                let again = format!("the run is stored; write its results again with: tagfleet results {run_id}");
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
            target: &self.target,
            sandbox: self.options.sandbox,
            exit_status: status.code(),
        };
        self.show(&summary, status, screen)?;
        Ok(status)
    }

    async fn write(&self, store: &Store, run_id: &str) -> Result<(StoredRun, Totals), CommandError> {
        let run = store.run_by_id(run_id).await?;
        let totals = write_results(store, &run, &self.target).await?;
        Ok((run, totals))
    }

    fn show(&self, summary: &RunSummary<'_>, status: ExitStatus, screen: &Screen) -> Result<(), CommandError> {
        if status == ExitStatus::Bug {
            screen.line("error: the books do not balance: the rows in the results are not those of the input; please report this");
        }
        let shown = if self.json {
            if !matches!(summary.reason, EndReason::Finished) {
                screen.line(summary.text(screen).trim_end());
            }
            screen.data(&summary.json())
        } else if self.quiet && status == ExitStatus::Done {
            Ok(())
        } else if self.target == ResultsTarget::StandardOutput || self.quiet {
            screen.line(summary.text(screen).trim_end());
            Ok(())
        } else {
            screen.data(&summary.text(screen))
        };
        shown.map_err(|error| CommandError::new(ExitStatus::StorageFailed, error, None))
    }
}

/// `x.csv` gives `x.results.csv`, a rehearsal `x.sandbox.results.csv`.
fn default_results(input: &Path, sandbox: bool) -> PathBuf {
    input.with_extension(if sandbox { "sandbox.results.csv" } else { "results.csv" })
}

/// A name that sorts by time and does not come twice.
fn new_run_id(sandbox: bool) -> String {
    let prefix = if sandbox { SANDBOX_RUN_PREFIX } else { "" };
    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    let mark: String = std::iter::repeat_with(fastrand::alphanumeric).take(6).collect();
    format!("{prefix}{time}-{}", mark.to_lowercase())
}

/// How a run that ended for this reason ends the process.
fn exit_status(reason: &EndReason, totals: &Totals) -> ExitStatus {
    let bad_rows: u64 =
        [Status::Failed, Status::Unknown, Status::Invalid].into_iter().map(|status| totals.count(status)).sum();
    let rows = if bad_rows > 0 { ExitStatus::RowsFailed } else { ExitStatus::Done };
    let end = match reason {
        EndReason::Finished => ExitStatus::Done,
        EndReason::Interrupted | EndReason::Halted | EndReason::Deadline | EndReason::TooManyErrors => {
            ExitStatus::StoppedEarly
        }
        EndReason::Forbidden => ExitStatus::ServiceRefused,
        EndReason::Aborted(cause) => match cause {
            AbortCause::Refused(_) | AbortCause::TokenRefused => ExitStatus::ServiceRefused,
            AbortCause::SignIn(error) if error.is_transient() => ExitStatus::StoppedEarly,
            AbortCause::SignIn(error) => sign_in_status(error),
            AbortCause::Unreachable { .. } | AbortCause::ThrottledForGood => ExitStatus::StoppedEarly,
        },
        EndReason::StoreFailed(_) => ExitStatus::StorageFailed,
    };
    end.and(rows)
}

/// Every row of the input must have exactly one answer.
fn balance(run: &StoredRun, totals: &Totals) -> ExitStatus {
    let answered: u64 = totals.statuses.values().sum();
    let rows = u64::from(run.description.row_count);
    if totals.rows == rows && answered == rows { ExitStatus::Done } else { ExitStatus::Bug }
}

/// The sandbox listens on a free port of loopback.
pub(super) const SANDBOX_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_named_after_the_input() {
        assert_eq!(default_results(Path::new("dir/x.csv"), false), Path::new("dir/x.results.csv"));
        assert_eq!(default_results(Path::new("x.failed.csv"), false), Path::new("x.failed.results.csv"));
        assert_eq!(default_results(Path::new("x"), true), Path::new("x.sandbox.results.csv"));
    }

    #[test]
    fn the_exit_status_tells_bad_rows_from_a_run_that_stopped() {
        let totals = |status| Totals { rows: 1, statuses: [(status, 1)].into(), ..Totals::default() };
        let table = [
            (EndReason::Finished, Status::Succeeded, ExitStatus::Done),
            (EndReason::Finished, Status::NotAttempted, ExitStatus::Done),
            (EndReason::Finished, Status::Failed, ExitStatus::RowsFailed),
            (EndReason::Finished, Status::Unknown, ExitStatus::RowsFailed),
            (EndReason::Finished, Status::Invalid, ExitStatus::RowsFailed),
            (EndReason::Interrupted, Status::Failed, ExitStatus::StoppedEarly),
            (EndReason::Deadline, Status::Succeeded, ExitStatus::StoppedEarly),
            (EndReason::Forbidden, Status::Failed, ExitStatus::ServiceRefused),
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
