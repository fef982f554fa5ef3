//! `tagfleet inventory`: exports the tenant's machines.

use std::path::Path;

use super::context::CommandContext;
use super::setup::CommandSetup;
use crate::cli::InventoryOptions;
use crate::exit::{CommandError, ExitStatus};
use crate::report::{MachinesFile, MachinesTarget, OutputError};
use crate::run;

/// Reads all machines and writes them down, all or none.
pub(super) async fn inventory(
    options: InventoryOptions,
    command: CommandContext<'_>,
) -> Result<ExitStatus, CommandError> {
    let target = match options.output {
        Some(path) if path != Path::new("-") => MachinesTarget::File(path),
        _ => MachinesTarget::StandardOutput,
    };
    if target == MachinesTarget::StandardOutput && command.general.json {
        return Err(CommandError::text(
            ExitStatus::Usage,
            "machines and --json cannot both go to standard output",
            Some("name a file with -o"),
        ));
    }
    match &target {
        MachinesTarget::File(path) => command.reserved.refuse("the machines", path)?,
        MachinesTarget::StandardOutput => OutputError::unless_open()?,
    }
    let setup = CommandSetup::new(command, false, &options.service, &options.quota, None)?;
    let file = MachinesFile::new(target.clone())?;
    let connection = setup.connect(&[]).await?;
    setup.work(connection, async |tenant, context| run::inventory(tenant, &target, file, context).await).await
}
