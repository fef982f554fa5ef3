//! `tagfleet apply`: makes the tenant match the file.

use std::path::{Path, PathBuf};

use super::input::{Pending, input_order, is_standard_input, is_tenants_list};
use super::opening::{Opening, asks, rows_target};
use super::rules::{self, is_rules};
use super::settings::{guard, planning_options, run_options};
use super::watching::Watched;
use crate::cli::{ApplyOptions, GeneralOptions};
use crate::exit::{CommandError, ExitStatus};
use crate::report::{Reserved, ResultsTarget, Screen};
use crate::run::{self, ApplyOrder};

/// Reads, checks, plans, asks, sends, and answers every row.
pub(super) async fn apply(
    options: ApplyOptions,
    general: &GeneralOptions,
    reserved: &Reserved,
    watched: Option<&Watched>,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    if is_rules(&options.input.input) {
        return rules::apply(options, general, reserved, watched, screen).await;
    }
    let is_piped = is_standard_input(&options.input.input);
    if is_piped && options.output.is_none() {
        return Err(CommandError::text(
            ExitStatus::Usage,
            "the input is standard input, so there is no name to make that of the results from",
            Some("name the results with -o"),
        ));
    }
    let target = rows_target("results", options.output.as_deref(), general)?;
    let asks = asks(options.changing.limits.yes, options.sandbox, !is_piped)?;
    let opening = Opening::to_change(general, options.sandbox, &options.changing, watched)?;
    let target = target.unwrap_or_else(|| ResultsTarget::file(default_results(&options.input.input, options.sandbox)));
    let order = ApplyOrder {
        target,
        planning: planning_options(&options.planning, guard(&options.guard, options.planning.no_inventory)?),
        run: run_options(asks, options.planning.no_bulk, options.changing),
        joins: !options.fresh,
    };
    let reading = Pending::check(
        input_order(&options.input, &general.settings, order.planning.inventory)?,
        options.sandbox,
        screen,
    );
    let input = opening.before_the_deadline(reading).await?;
    if let Pending::Checked(input) = &input {
        order.target.check(reserved, input.header())?;
    }
    let connection = opening.connect_for(&input).await?;
    let apply = async |tenant: &_, desk: &mut _| {
        let input = input.finish(tenant, desk).await?;
        order.target.check(reserved, input.header())?;
        Box::pin(run::apply(tenant, &order, input, desk)).await
    };
    opening.work(connection, general, screen, apply).await
}

/// `x.csv` gives `x.results.csv`, a rehearsal `x.sandbox.results.csv`; the tenant's own list is called `tenant`.
pub(super) fn default_results(input: &Path, sandbox: bool) -> PathBuf {
    let input = if is_tenants_list(input) { Path::new("tenant") } else { input };
    input.with_extension(if sandbox { "sandbox.results.csv" } else { "results.csv" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_named_after_the_input() {
        assert_eq!(default_results(Path::new("dir/x.csv"), false), Path::new("dir/x.results.csv"));
        assert_eq!(default_results(Path::new("x.failed.csv"), false), Path::new("x.failed.results.csv"));
        assert_eq!(default_results(Path::new("x"), true), Path::new("x.sandbox.results.csv"));
        assert_eq!(default_results(Path::new("@tenant"), false), Path::new("tenant.results.csv"));
        assert_eq!(default_results(Path::new("./@tenant"), true), Path::new("./@tenant.sandbox.results.csv"));
    }
}
