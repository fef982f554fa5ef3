//! `tagfleet verify`: reads the tenant and says which rows hold; changes nothing.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use super::input::{CheckedInput, InputPlace, check_input};
use super::planning::operations;
use super::service::{Service, open_sandbox};
use super::tenant::{Tenant, system_clock};
use super::{CommandError, ExitStatus, stop_signals};
use crate::cli::{GeneralOptions, VerifyOptions};
use crate::config::{ServiceConfig, sandbox_state_directory, state_directory};
use crate::inventory::Inventory;
use crate::model::RowNumber;
use crate::plan::resolution::Resolution;
use crate::plan::verification::{Finding, findings};
use crate::report::{ResultsTarget, RowFinding, Screen, VerificationTotals, row_findings, write_verification_to};

pub(super) async fn verify(
    options: VerifyOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let to_standard_output = options.output.as_deref() == Some(Path::new("-"));
    if to_standard_output && general.json {
        return Err(CommandError::text(
            ExitStatus::Usage,
            "the rows and --json cannot both go to standard output",
            Some("name a file with -o"),
        ));
    }
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
    let target = options.output.clone().filter(|_| !to_standard_output).map(ResultsTarget::file);
    if let Some(target) = &target {
        target.check(place.path())?;
    }
    let mut input = check_input(place, &options.input, true, screen).await?;
    let service = match &config {
        Some(config) => Service::connect(config)?,
        None => open_sandbox(&input.sheet, &options.quota.quota).await?,
    };
    let mut stop_requests = stop_signals::listen();
    let (tenant, _) = Tenant::open(service, &directory, clock, &options.quota, None, &mut stop_requests).await?;
    let (inventory, read) = tenant.read_machines(screen, general.quiet, &mut stop_requests).await?;
    let recent = tenant.recent_writes().await?;
    let rows = find(&input, &inventory, &recent, screen)?;
    let totals = VerificationTotals::of(&rows);
    let status = exit_status(&totals);
    let output = options.output.as_ref().map(|path| path.display().to_string());
    if let Some(path) = &options.output {
        write_verification_to(&mut input.sheet, &rows, path, to_standard_output)?;
    }
    let failed = |error| CommandError::new(ExitStatus::StorageFailed, error, None);
    if general.json {
        screen.data(&totals.json(read.calls, output.as_deref(), status.code())).map_err(failed)?;
    } else if to_standard_output {
        screen.line(totals.text().trim_end());
    } else if !(general.quiet && status == ExitStatus::Done) {
        let mut text = format!("{} rows of {}:\n{}", input.sheet.row_count, input.name, totals.text());
        text.push_str(&examples(&rows, options.output.is_some()));
        screen.data(&text).map_err(failed)?;
    }
    tenant.close().await;
    Ok(status)
}

fn find(
    input: &CheckedInput,
    inventory: &Inventory,
    recent: &crate::plan::recent::RecentWrites,
    screen: &Screen,
) -> Result<Vec<RowFinding>, CommandError> {
    let machines = Resolution::of(&input.sheet, Some(inventory));
    let operations = operations(input, &machines, screen)?;
    let found = findings(&input.sheet, &operations, &machines, inventory, recent);
    let invalid: HashMap<RowNumber, &str> =
        input.invalid.iter().map(|invalid| (invalid.row, invalid.message.as_str())).collect();
    Ok(row_findings(
        &input.sheet,
        &operations.of_request,
        &found,
        |machine| match machines.failure(machine) {
            Some(_) => machines.describe_failure(&input.sheet, machine, Some(inventory)).1,
            None => "the inventory lacks this machine".to_owned(),
        },
        |row| invalid.get(&row).copied().unwrap_or_default().to_owned(),
    ))
}

fn exit_status(totals: &VerificationTotals) -> ExitStatus {
    let differs = totals.count(Finding::Differs) + totals.count(Finding::UnknownMachine) > 0;
    let differences = if differs { ExitStatus::Differences } else { ExitStatus::Done };
    let invalid = if totals.invalid > 0 { ExitStatus::RowsFailed } else { ExitStatus::Done };
    differences.and(invalid)
}

/// The first rows that do not hold, for people.
fn examples(rows: &[RowFinding], listed_elsewhere: bool) -> String {
    const SHOWN: usize = 10;
    let bad: Vec<&RowFinding> =
        rows.iter().filter(|row| matches!(row.finding, Some(Finding::Differs | Finding::UnknownMachine))).collect();
    let mut text = String::new();
    for row in bad.iter().take(SHOWN) {
        let what = match row.finding {
            Some(Finding::UnknownMachine) => row.message.clone(),
            _ if row.found.is_empty() => "the service does not show it".to_owned(),
            _ => format!("there is: {}", row.found),
        };
        // Writing into a string cannot fail.
        let _written = writeln!(text, "  row {}: {what}", row.row);
    }
    if bad.len() > SHOWN {
        let hint = if listed_elsewhere { "" } else { "; -o FILE.csv lists all" };
        let _written = writeln!(text, "  and {} more rows{hint}", bad.len() - SHOWN);
    }
    text
}
