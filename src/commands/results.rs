//! `tagfleet results`: writes the results of a run again, from the store alone.

use std::path::{Path, PathBuf};

use crate::cli::{GeneralOptions, ResultsOptions};
use crate::config::{sandbox_state_directory, state_directory};
use crate::exit::{CommandError, ExitStatus};
use crate::model::is_sandbox_run;
use crate::outside::shown;
use crate::report::{ResultsTarget, Screen, kept_text, write_results};
use crate::store::{Reader, StoreError};
use crate::words::counted;

/// Finds the run and writes its results.
pub(super) async fn results(
    options: ResultsOptions,
    general: &GeneralOptions,
    screen: &Screen,
) -> Result<ExitStatus, CommandError> {
    let mut directory = state_directory(general.state_dir.as_deref(), &|name| std::env::var_os(name))?;
    if is_sandbox_run(&options.run) {
        directory = sandbox_state_directory(&directory);
    }
    let Some(reader) = Reader::open(&directory).await? else {
        return Err(StoreError::NoSuchRun(options.run).into());
    };
    let run = reader.run_by_id(&options.run).await?;
    let target = match options.output {
        Some(path) if path == Path::new("-") => ResultsTarget::StandardOutput,
        Some(path) => ResultsTarget::file(path),
        None => ResultsTarget::file(PathBuf::from(format!("{}.results.csv", run.description.run_id))),
    };
    target.check(Some(Path::new(&run.description.input_path)))?;
    let totals = write_results(&reader, &run, &target, false, screen).await?;
    if let ResultsTarget::File { results, .. } = &target {
        let rows = counted(totals.rows, "row", "rows");
        screen.line(&format!("{rows} written to {}", shown(results)));
        if !totals.kept.is_empty() {
            screen.line(&kept_text(&totals.kept));
        }
    }
    Ok(ExitStatus::Done)
}
