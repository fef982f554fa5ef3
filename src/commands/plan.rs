//! `tagfleet plan`: says what `apply` would do, and changes nothing.

use super::context::CommandContext;
use super::input::{Pending, input_order};
use super::orders::{guard, planning_order};
use super::rules;
use super::setup::CommandSetup;
use crate::cli::{PlanOptions, is_rules};
use crate::exit::{CommandError, ExitStatus};
use crate::run;

/// Reads, checks, and says what is planned.
pub(super) async fn plan(options: PlanOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    if is_rules(&options.input.input) {
        return rules::plan(options, command).await;
    }
    let of_rules = [(options.explain.is_some(), "--explain"), (options.inventory.is_some(), "--inventory")];
    if let Some((_, option)) = of_rules.into_iter().find(|(is_given, _)| *is_given) {
        let message = format!("{option} is for a file of rules, and this is none");
        let hint = "the name of a file of rules ends in .toml";
        return Err(CommandError::text(ExitStatus::Usage, message, Some(hint)));
    }
    let setup = CommandSetup::new(command, options.sandbox, &options.service, &options.quota, None)?;
    let planning = planning_order(&options.planning, guard(&options.guard, options.planning.no_inventory)?);
    let order = input_order(&options.input, &command.general.settings, planning.inventory)?;
    let input = Pending::check(order, &options.input.filter, options.sandbox, command.screen).await?;
    let connection = setup.connect_for(&input).await?;
    let plan = async |tenant: &_, context: &mut _| {
        let input = input.finish(tenant, context).await?;
        run::plan(tenant, planning, options.detailed_exitcode, &input, context).await
    };
    setup.work(connection, plan).await
}
