//! `tagfleet plan`: says what `apply` would do, and changes nothing.

use super::input::{Pending, input_order};
use super::opening::Opening;
use super::{guard, planning_options};
use crate::cli::{GeneralOptions, PlanOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::report::Screen;
use crate::run;

/// Reads, checks, and says what is planned.
pub(super) async fn plan(
    options: PlanOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let opening = Opening::new(general, options.sandbox, &options.service, &options.quota, None)?;
    let planning = planning_options(&options.planning, guard(&options.guard, options.planning.no_inventory)?);
    let order = input_order(&options.input, &general.settings, planning.inventory)?;
    let input = Pending::check(order, options.sandbox, screen).await?;
    let connection = opening.connect_for(&input).await?;
    let plan = async |tenant: &_, desk: &mut _| {
        let input = input.finish(tenant, desk).await?;
        run::plan(tenant, planning, options.detailed_exitcode, &input, desk).await
    };
    opening.work(connection, general, screen, plan).await
}
