//! `tagfleet report`: makes a page about a run, from the store alone.

use std::path::{Path, PathBuf};

use super::context::CommandContext;
use crate::cli::ReportOptions;
use crate::clock;
use crate::exit::{CommandError, ExitStatus};
use crate::report::{Page, PageTarget};

/// Reads the run, and writes the page, or the object, or both.
pub(super) async fn report(options: ReportOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    let CommandContext { general, screen, .. } = command;
    let to_standard_output = options.output.as_deref() == Some(Path::new("-"));
    if to_standard_output && general.json {
        let message = "the report and --json cannot both go to standard output";
        return Err(CommandError::text(ExitStatus::Usage, message, Some("name a file with -o")));
    }
    let reader = command.reader_of(&options.run).await?;
    let run = reader.run_by_id(&options.run).await?.description;
    let default = (!general.json).then(|| PathBuf::from(format!("{}.report.html", run.run_id)));
    let target = options.output.or(default).filter(|_| !to_standard_output).map(PageTarget::new);
    if let Some(target) = &target {
        target.check(&command.reserved.clone().with("the input", &run.input_path))?;
    }
    let page = Page::of(&reader, &run.run_id, &general.repeated(), clock::now()).await?;
    if to_standard_output {
        screen.data(&page.html())?;
        return Ok(ExitStatus::Done);
    }
    if let Some(target) = &target {
        target.write(&page.html(), screen)?;
    }
    if general.json {
        screen.object(page.json(), &page.ending(ExitStatus::Done.code()))?;
    } else if let Some(target) = target {
        screen.line(&format!("Report: {target}"));
    }
    Ok(ExitStatus::Done)
}
