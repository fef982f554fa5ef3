//! `tagfleet results`: writes the results of a run again, from the store alone.

use std::path::PathBuf;

use super::context::CommandContext;
use super::setup::rows_target;
use crate::cli::ResultsOptions;
use crate::exit::{CommandError, ExitStatus};
use crate::outside::shown;
use crate::report::{Ending, ResultsTarget, kept_text, results_json, write_results};
use crate::words::counted;

/// Finds the run and writes its results.
pub(super) async fn results(options: ResultsOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    let CommandContext { general, screen, .. } = command;
    let target = rows_target("results", options.output.as_deref(), general)?;
    let reader = command.reader_of(&options.run).await?;
    let run = reader.run_by_id(&options.run).await?;
    reader.check_books(&run).await?;
    let about = &run.description;
    let target = target.unwrap_or_else(|| ResultsTarget::file(PathBuf::from(format!("{}.results.csv", about.run_id))));
    target.check(&command.reserved.clone().with("the input", &about.input_path), &about.header)?;
    let totals = write_results(&reader, &run, &target, false, screen).await?;
    if general.json {
        screen.object(
            results_json(&about.run_id, &about.input_path, &totals, &target),
            &Ending::finished(ExitStatus::Done.code()),
        )?;
    } else if let Some(results) = target.results() {
        let rows = counted(totals.rows, "row", "rows");
        screen.line(&format!("{rows} written to {}", shown(results)));
        if !totals.kept.is_empty() {
            screen.line(&kept_text(&totals.kept));
        }
    }
    Ok(ExitStatus::Done)
}
