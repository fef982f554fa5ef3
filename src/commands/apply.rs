//! `tagfleet apply`: makes the tenant match the file.

use super::context::CommandContext;
use super::default_results::results_of_input;
use super::input::{Pending, input_order, is_standard_input};
use super::orders::{guard, planning_order, run_order};
use super::rules;
use super::setup::{CommandSetup, asks, rows_target};
use crate::cli::{ApplyOptions, is_rules};
use crate::exit::{CommandError, ExitStatus};
use crate::report::ResultsTarget;
use crate::run::{self, ApplyOrder};

/// Reads, checks, plans, asks, sends, and answers every row.
pub(super) async fn apply(options: ApplyOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    if is_rules(&options.input.input) {
        return rules::apply(options, command).await;
    }
    let is_piped = is_standard_input(&options.input.input);
    if is_piped && options.output.is_none() {
        return Err(CommandError::text(
            ExitStatus::Usage,
            "the input is standard input, so the results have no default name",
            Some("name the results with -o"),
        ));
    }
    let planning = planning_order(&options.planning, guard(&options.guard, options.planning.no_inventory)?);
    // What the command line lacks is told before the consent that it lacks, too.
    let reading_options = options.input.repeated() + &options.guard.repeated();
    let input = input_order(&options.input, &command.general.settings, planning.inventory)?;
    let target = rows_target("results", options.output.as_deref(), command.general)?;
    let asks = asks(options.changing.limits.yes, options.sandbox, !is_piped)?;
    let setup = CommandSetup::to_change(command, options.sandbox, &options.changing, &options.planning)?;
    let target = target.unwrap_or_else(|| ResultsTarget::file(results_of_input(&options.input.input, options.sandbox)));
    let order = ApplyOrder {
        target,
        planning,
        run: run_order(asks, options.planning.no_bulk, options.changing),
        joins: !options.fresh,
    };
    let reading = Pending::check(input, &options.input.filter, options.sandbox, command.screen);
    let input = setup.before_the_deadline(reading).await?;
    match &input {
        Pending::Checked { input, .. } => order.target.check(command.reserved, input.header())?,
        Pending::WaitsForMachines(_) => drop(order.target.check_place(command.reserved)?),
    }
    let connection = setup.connect_for(&input).await?;
    let apply = async |tenant: &_, context: &mut _| {
        let input = input.finish(tenant, context).await?;
        order.target.check(command.reserved, input.header())?;
        context.reading_options = reading_options;
        Box::pin(run::apply(tenant, &order, input, context)).await
    };
    setup.work(connection, apply).await
}
