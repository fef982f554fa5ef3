//! `tagfleet state`: shows where the state is, makes it, or copies it elsewhere.

use std::sync::Arc;

use serde_json::json;

use super::context::CommandContext;
use super::setup::system_clock;
use crate::cli::{StateCommand, StateOptions};
use crate::clock::SharedClock;
use crate::config::other_state_place;
use crate::environment::keep_password_of;
use crate::exit::{CommandError, ExitStatus};
use crate::outside::shown;
use crate::report::{Ending, StateView};
use crate::store::StatePlace;
use crate::words::counted;

/// Shows the state, or does what was asked for.
pub(super) async fn state(options: StateOptions, command: CommandContext<'_>) -> Result<ExitStatus, CommandError> {
    let CommandContext { general, screen, .. } = command;
    let place = command.state_place(false)?;
    let name = shown(&place.name());
    let (object, said) = match options.command {
        None => {
            let overview = match place.read().await? {
                Some(reader) => Some(reader.overview().await?),
                None => None,
            };
            let view = StateView { name: &name, overview: overview.as_ref() };
            if !general.json {
                screen.data(&view.text())?;
            }
            (view.json(), None)
        }
        Some(StateCommand::Init) => {
            place.prepare(clock()?).await?;
            (json!({"state": name}), Some(format!("The state at {name} can be used.")))
        }
        Some(StateCommand::Move { to }) => {
            keep_password_of(&to);
            let destination = other_state_place(&to, general, &|name| general.settings.variable(name))?;
            let rows = copy(&place, &destination).await?;
            let to = shown(&destination.name());
            let said = format!("Copied {} from {name} to {to}.", counted(rows, "row", "rows"));
            (json!({"state": name, "to": to, "rows": rows}), Some(said))
        }
    };
    if general.json {
        screen.object(object, &Ending::finished(ExitStatus::Done.code()))?;
    } else if let Some(said) = said {
        screen.line(&said);
    }
    Ok(ExitStatus::Done)
}

fn clock() -> Result<SharedClock, CommandError> {
    Ok(Arc::new(system_clock()?))
}

/// Copies the state, and says how many rows that were.
async fn copy(from: &StatePlace, to: &StatePlace) -> Result<u64, CommandError> {
    let refused = |status, message: String, hint| Err(CommandError::text(status, message, Some(hint)));
    let Some(reader) = from.read().await? else {
        let message = format!("there is no state at {}", shown(&from.name()));
        return refused(ExitStatus::Usage, message, "name it with --state or --state-dir");
    };
    if let Some(at_work) = reader.overview().await?.at_work.first() {
        let process = &at_work.process;
        let who = format!("process {} on {}", process.system_process_id, shown(&process.host));
        let message = format!("{who} is at work with the state");
        return refused(ExitStatus::AnotherRun, message, "wait until it is done; tagfleet state shows who is at work");
    }
    if let Some(rows) = from.copy_to(to, clock()?).await? {
        return Ok(rows);
    }
    let message = format!("{} holds a state already", shown(&to.name()));
    refused(ExitStatus::Usage, message, "name an empty database, or another directory")
}
