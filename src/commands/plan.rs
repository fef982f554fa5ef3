//! `tagfleet plan`: says what `apply` would do, and changes nothing.

use super::input::{InputPlace, check_input};
use super::planning::{PlanningOptions, make_plan};
use super::service::{Service, open_sandbox};
use super::tenant::{Tenant, system_clock};
use super::{CommandError, ExitStatus, stop_signals};
use crate::cli::{GeneralOptions, PlanOptions};
use crate::config::{ServiceConfig, sandbox_state_directory, state_directory};
use crate::plan::changes::{Decision, PlanSettings};
use crate::report::Screen;

pub(super) async fn plan(
    options: PlanOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let environment = |name: &str| std::env::var_os(name);
    let mut directory = state_directory(general.state_dir.as_deref(), &environment)?;
    let config = if options.sandbox {
        directory = sandbox_state_directory(&directory);
        None
    } else {
        Some(ServiceConfig::from_options(&options.service, &environment)?)
    };
    let clock = system_clock()?;
    let place = InputPlace::new(&options.input.input);
    let input = check_input(place, &options.input, !options.planning.no_inventory, screen).await?;
    let service = match &config {
        Some(config) => Service::connect(config)?,
        None => open_sandbox(&input.sheet, &options.quota.quota).await?,
    };
    let mut stop_requests = stop_signals::listen();
    let (tenant, _) = Tenant::open(service, &directory, clock, &options.quota, None, &mut stop_requests).await?;
    let planning = PlanningOptions {
        settings: PlanSettings { unlisted: options.planning.unlisted, limit: options.planning.limit },
        inventory: !options.planning.no_inventory,
        bulk: !options.planning.no_bulk,
        quiet: general.quiet,
    };
    let planned = make_plan(&tenant, &input, planning, screen, &mut stop_requests).await??;
    let destination = tenant.service.description();
    let report = planned.report(&tenant, &input, &destination, planning.batch_limit()).await?;
    // What `apply` would end with.
    let failing = report.invalid_rows + report.unresolved_rows() + planned.plan.count(Decision::NotInInventory);
    let mut status = if failing > 0 { ExitStatus::RowsFailed } else { ExitStatus::Done };
    if options.detailed_exitcode && planned.changes() > 0 {
        status = status.and(ExitStatus::Differences);
    }
    let shown = if general.json { report.json(status.code()) } else { report.text() };
    screen.data(&shown).map_err(|error| CommandError::new(ExitStatus::StorageFailed, error, None))?;
    planned.refuse_too_many_changes(options.planning.max_changes)?;
    tenant.close().await;
    Ok(status)
}
