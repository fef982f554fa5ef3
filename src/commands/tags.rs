//! `tagfleet tags`: the tags that the tenant's machines have, and what becomes of one.

use std::path::PathBuf;

use super::context::CommandContext;
use super::input::{filter_of_file, typed_filter};
use super::orders::{guard, run_order};
use super::setup::{CommandSetup, asks, rows_target};
use crate::cli::{FilterOptions, PlanningOptions, RetagOptions, TagsCommand, TagsOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::input::MachineFilter;
use crate::model::RETAGGING_WHERE;
use crate::outside::shell_word;
use crate::plan::changes::PlanSettings;
use crate::plan::guard::Guard;
use crate::plan::tag_change::TagChange;
use crate::report::{MACHINE_COLUMNS, ResultsTarget};
use crate::run::{self, ApplyOrder, NamedFilter, PlanningOrder, Retagging};

/// Reads all machines, and lists their tags or changes one.
pub(super) async fn tags(options: TagsOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    let Some(subcommand) = options.command else {
        let setup = CommandSetup::new(command, false, &options.service, &options.quota, None)?;
        let connection = setup.connect(&[]).await?;
        return setup.work(connection, async |tenant, context| run::tags(tenant, context).await).await;
    };
    let (typed, default_results) = (subcommand.typed(), subcommand.results());
    let (change, options) = match subcommand {
        TagsCommand::Rename(options) => {
            let accepted = options.accept.iter().copied().collect();
            (TagChange::rename(&options.old, &options.new, accepted), options.retag)
        }
        TagsCommand::Remove(options) => (TagChange::remove(&options.tag), options.retag),
    };
    let change = change.map_err(|error| {
        let status = if error.is_usage() { ExitStatus::Usage } else { ExitStatus::InputRefused };
        let hint = error.hint().map(str::to_owned);
        CommandError::new(status, error, hint)
    })?;
    let retagging = on_chosen(Retagging { change, typed, filter: None }, typed_filter(&options.filter)?)?;
    retag(retagging, options, default_results, command).await
}

/// The same on the machines that a filter chooses, if there is one.
fn on_chosen(retagging: Retagging, filter: Option<NamedFilter>) -> Result<Retagging, CommandError> {
    let Some(NamedFilter { name, filter }) = filter else { return Ok(retagging) };
    let filter = MachineFilter::new(filter, &MACHINE_COLUMNS).map_err(|error| CommandError::filter(&name, &error))?;
    let typed = format!("{}{RETAGGING_WHERE}{}", retagging.typed, shell_word(filter.text()));
    Ok(Retagging { typed, filter: Some(filter), ..retagging })
}

/// The same where the filter stands in a file.
async fn with_file(retagging: Retagging, options: &FilterOptions) -> Result<Retagging, CommandError> {
    on_chosen(retagging, filter_of_file(options).await?)
}

/// Changes a tag, or shows what that would do.
async fn retag(
    retagging: Retagging,
    options: RetagOptions,
    default_results: PathBuf,
    command: CommandContext<'_>,
) -> Result<ExitStatus, CommandError> {
    let guard = guard(&options.guard, false)?;
    // To make room for another tag is no removal.
    let removals = guard.removals.filter(|_| retagging.change.new_tag().is_none());
    let guard = Guard { removals, ..guard };
    let planning = PlanningOrder {
        settings: PlanSettings { limit: options.limit, guard, ..PlanSettings::default() },
        inventory: true,
        bulk: !options.no_bulk,
        max_changes: options.max_changes,
    };
    let RetagOptions { limit, max_changes, no_bulk, .. } = options;
    let repeated = PlanningOptions { limit, max_changes, no_bulk, ..PlanningOptions::default() };
    let setup = |options: &RetagOptions| CommandSetup::to_change(command, false, &options.changing, &repeated);
    if options.plan_only {
        let setup = setup(&options)?;
        let retagging = setup.before_the_deadline(with_file(retagging, &options.filter)).await?;
        let connection = setup.connect(&[]).await?;
        let tells_differences = options.detailed_exitcode;
        let plan = async |tenant: &_, context: &mut _| {
            run::plan_retagging(tenant, planning, tells_differences, &retagging, context).await
        };
        return setup.work(connection, plan).await;
    }
    let target = rows_target("results", options.output.as_deref(), command.general)?;
    let target = target.unwrap_or_else(|| ResultsTarget::file(default_results));
    let asks = asks(options.changing.limits.yes, false, true)?;
    target.check(command.reserved, &run::RETAG_HEADER.map(str::to_owned))?;
    let setup = setup(&options)?;
    let retagging = setup.before_the_deadline(with_file(retagging, &options.filter)).await?;
    let order =
        ApplyOrder { target, planning, run: run_order(asks, options.no_bulk, options.changing), joins: !options.fresh };
    let connection = setup.connect(&[]).await?;
    let retag = async |tenant: &_, context: &mut _| run::retag(tenant, &order, &retagging, context).await;
    setup.work(connection, retag).await
}
