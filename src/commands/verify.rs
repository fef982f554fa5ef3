//! `tagfleet verify`: reads the tenant and says which rows hold; changes nothing.

use super::context::CommandContext;
use super::input::{Pending, input_order};
use super::rules;
use super::setup::{CommandSetup, rows_target};
use crate::cli::{VerifyOptions, is_rules};
use crate::exit::{CommandError, ExitStatus};
use crate::run;

/// Reads file and tenant, and compares them.
pub(super) async fn verify(options: VerifyOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    if is_rules(&options.input.input) {
        return rules::verify(options, command).await;
    }
    let target = rows_target("the rows", options.output.as_deref(), command.general)?;
    let setup = CommandSetup::new(command, options.sandbox, &options.service, &options.quota, None)?;
    if let Some(target) = &target {
        target.check_for_verification(command.reserved)?;
    }
    let order = input_order(&options.input, &command.general.settings, true)?;
    let input = Pending::check(order, &options.input.filter, options.sandbox, command.screen).await?;
    let connection = setup.connect_for(&input).await?;
    let skip = options.skip_missing_machines;
    setup
        .work(connection, async |tenant, context| {
            let input = input.finish(tenant, context).await?;
            run::verify(tenant, input, target.as_ref(), skip, context).await
        })
        .await
}
