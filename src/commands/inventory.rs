//! `tagfleet inventory`: exports the tenant's machines.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::reading::{MachineReading, interrupted};
use super::service::Service;
use super::{CommandError, ExitStatus, stop_signals};
use crate::call::{GateSettings, beside_the_runtime};
use crate::cli::{GeneralOptions, InventoryOptions, QuotaOptions};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{ServiceConfig, quota, state_directory};
use crate::dispatch::StopRequest;
use crate::report::{MachinesFile, MachinesTarget, ReadingReport, Screen, group_digits, reading_json};
use crate::store::Store;

/// Reads all machines and writes them down, all or none.
pub(super) async fn inventory(
    options: InventoryOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let target = match options.output {
        Some(path) if path != Path::new("-") => MachinesTarget::File(path),
        _ => MachinesTarget::StandardOutput,
    };
    if target == MachinesTarget::StandardOutput && general.json {
        return Err(CommandError::text(
            ExitStatus::Usage,
            "machines and --json cannot both go to standard output",
            Some("name a file with -o"),
        ));
    }
    let environment = |name: &str| std::env::var_os(name);
    let directory = state_directory(general.state_dir.as_deref(), &environment)?;
    let service = Service::connect(&ServiceConfig::from_options(&options.service, &environment)?)?;
    let (file, sheet) = MachinesFile::new(target.clone())?;
    let clock: SharedClock =
        Arc::new(SystemClock::new().map_err(|error| CommandError::new(ExitStatus::StorageFailed, error, None))?);
    let store = Store::open(&directory, clock.clone()).await?;
    let mut stop_requests = stop_signals::listen();
    let gate = gate(&options.quota, &service, &store, &mut stop_requests).await?;
    let mut report = ReadingReport::new(screen.clone(), general.quiet);
    let reading = MachineReading {
        service: &service,
        store: &store,
        clock: &clock,
        gate,
        run: None,
        report: &mut report,
        stop_requests: &mut stop_requests,
    };
    let outcome = match reading.into_sink(sheet).await {
        Ok(sheet) => beside_the_runtime(move || file.finish(sheet)).await.map_err(CommandError::from),
        Err(error) => Err(error),
    };
    service.close().await;
    conclude(outcome, &target, &report, general, screen)
}

/// Whose quota is used, and how; signing in may be interrupted, too.
async fn gate(
    options: &QuotaOptions,
    service: &Service,
    store: &Store,
    stop_requests: &mut mpsc::Receiver<StopRequest>,
) -> Result<GateSettings, CommandError> {
    let (tenant, app) = tokio::select! {
        biased;
        Some(_request) = stop_requests.recv() => return Err(interrupted()),
        identity = service.identity() => identity,
    };
    let (quota, scope) = quota(options);
    let account = store.account(&tenant, &app).await?;
    Ok(GateSettings {
        account,
        quota,
        scope,
        concurrency: usize::from(options.concurrency),
        deadline: None,
        maximum_outage: options.max_outage.0,
    })
}

fn conclude(
    outcome: Result<(), CommandError>,
    target: &MachinesTarget,
    report: &ReadingReport,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let status = outcome.as_ref().map_or_else(|error| error.status, |()| ExitStatus::Done);
    let machines = group_digits(report.progress().machines);
    if outcome.is_ok() && !general.quiet && !general.json {
        screen.line(&format!("{machines} machines written to {}", target.path().display()));
    }
    if general.json {
        let written = outcome.is_ok().then_some(target);
        let shown = screen.data(&reading_json(report.progress(), written, status.code()));
        shown.map_err(|error| CommandError::new(ExitStatus::StorageFailed, error, None))?;
    }
    outcome.map(|()| status)
}
