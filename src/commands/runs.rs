//! `tagfleet runs`: lists the runs, or shows one. Reads, and keeps nobody waiting.

use super::context::CommandContext;
use crate::cli::RunsOptions;
use crate::exit::{CommandError, ExitStatus};
use crate::model::is_sandbox_run;
use crate::outside::shown;
use crate::report::{Ending, RunList, RunView};
use crate::store::StoreError;
use crate::words::counted;

/// Reads the runs and shows them.
pub(super) async fn runs(options: RunsOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    let CommandContext { general, screen, .. } = command;
    let sandbox = options.sandbox || options.run.as_deref().is_some_and(is_sandbox_run);
    let state = command.state_place(sandbox)?;
    let reader = state.read().await?;
    if let Some(reader) = &reader
        && let Some(missing) = reader.what_is_missing().await?
    {
        screen.warning(&missing);
    }
    let (object, text) = match (&reader, options.run) {
        (None, Some(run)) => return Err(StoreError::NoSuchRun(run).into()),
        (Some(reader), Some(run)) => {
            let details = reader.run_details(&run).await?;
            let key = reader.run_by_id(&run).await?.key;
            let end = reader.sessions(key).await?.pop().and_then(|session| session.end);
            let said = end.as_ref().and_then(|(_, end)| end.next.as_deref());
            let view = RunView { details: &details, repeated_options: &general.repeated(), said };
            (view.json(), view.text(screen))
        }
        (_, None) => {
            let runs = match &reader {
                Some(reader) => match reader.nothing_but_loss().await? {
                    Some(loss) => return Err(loss.into()),
                    None => reader.runs().await?,
                },
                None => Vec::new(),
            };
            let list = RunList { runs: &runs };
            (list.json(), list.text(screen))
        }
    };
    if general.json {
        screen.object(object, &Ending::finished(ExitStatus::Done.code()))?;
    } else if text.is_empty() {
        screen.line(&format!("There are no runs in {}.", shown(&state.name())));
        if !sandbox && let Some(rehearsals) = command.state_place(true)?.read().await? {
            let count = rehearsals.runs().await?.len() as u64;
            if count > 0 {
                let are = counted(count, "rehearsal is", "rehearsals are");
                screen.line(&format!("{are} listed by: tagfleet runs --sandbox"));
            }
        }
    } else {
        screen.data(&text)?;
    }
    Ok(ExitStatus::Done)
}
