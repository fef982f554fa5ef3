//! Exporting the tenant's machines.

use super::RunContext;
use super::tenant::Tenant;
use crate::api::Transport;
use crate::call::on_blocking_thread;
use crate::exit::{CommandError, ExitStatus};
use crate::outside::shown;
use crate::report::{Ending, MachinesFile, MachinesSheet, MachinesTarget, ReadingReport, reading_json};
use crate::words::counted;

/// Reads all machines and writes them down, all or none.
pub(crate) async fn inventory<T: Transport>(
    tenant: &Tenant<T>,
    target: &MachinesTarget,
    (file, sheet): (MachinesFile, MachinesSheet),
    context: &mut RunContext,
) -> Result<ExitStatus, CommandError> {
    tenant.refuse_unknown()?;
    tenant.note_person(context);
    let mut report = ReadingReport::new(context.screen.clone(), context.quiet);
    let screen = context.screen.clone();
    let outcome = match tenant.read_into(sheet, &mut report, context).await {
        Ok(sheet) => on_blocking_thread(move || file.finish(sheet, &screen)).await.map_err(CommandError::from),
        Err(error) => Err(error),
    };
    outcome.map_err(|error| error.with_own(reading_json(report.progress(), None)))?;
    if context.json {
        context.screen.object(reading_json(report.progress(), Some(target)), &Ending::finished(0))?;
    } else {
        let machines = counted(report.progress().machines, "machine", "machines");
        context.say(&format!("{machines} written to {}", shown(target.path())));
    }
    Ok(ExitStatus::Done)
}
