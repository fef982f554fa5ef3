//! `tagfleet inventory`: exports the tenant's machines.

use std::path::Path;

use super::setup::CommandSetup;
use crate::cli::{GeneralOptions, InventoryOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::report::{MachinesFile, MachinesTarget, OutputError, Reserved, Screen};
use crate::run;

/// Reads all machines and writes them down, all or none.
pub(super) async fn inventory(
    options: InventoryOptions,
    general: &GeneralOptions,
    reserved: &Reserved,
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
    match &target {
        MachinesTarget::File(path) => reserved.refuse("the machines", path)?,
        MachinesTarget::StandardOutput => OutputError::unless_open()?,
    }
    let setup = CommandSetup::new(general, false, &options.service, &options.quota, None)?;
    let file = MachinesFile::new(target.clone())?;
    let connection = setup.connect(&[]).await?;
    setup
        .work(connection, general, screen, async |tenant, context| run::inventory(tenant, &target, file, context).await)
        .await
}
