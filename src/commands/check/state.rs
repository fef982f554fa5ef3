//! Whether the state can be used: that it is safe, ours and whole, and that there is room for it.

use crate::cli::CheckOptions;
use crate::clock::SharedClock;
use crate::commands::stop_signals;
use crate::config::quota;
use crate::exit::{CommandError, ExitStatus};
use crate::outside::shown;
use crate::run::unknown_calls_text;
use crate::store::{StatePlace, Store, free_bytes, is_private};
use crate::words::group_digits;

/// A run of a million rows takes about so much in the state directory.
const ROOM_BYTES: u64 = 512 << 20;
const MEBIBYTE: u64 = 1 << 20;

/// Opens the state, which checks that it is safe, ours and whole, and looks for room.
pub(super) async fn open(
    place: &StatePlace,
    clock: &SharedClock,
    options: &CheckOptions,
) -> Result<(Store, String), CommandError> {
    let store = place.open(clock.clone()).await?;
    stop_signals::shorten(store.patience());
    if let Some(loss) = store.loss() {
        return Err(loss.clone().into());
    }
    let missing = missing(&store, clock, options).await?;
    let missing = missing.map(|what| format!("; {what}")).unwrap_or_default();
    let Some(directory) = place.directory() else {
        let answers = format!("{} answers, and its tables are up to date{missing}", shown(&place.name()));
        return Ok((store, answers));
    };
    let place = shown(directory);
    let room = match free_bytes(directory) {
        Some(free) if free < ROOM_BYTES => {
            let message = format!("{place} has only {} MiB of room", free / MEBIBYTE);
            let hint =
                format!("a large run needs {} MiB; make room, or choose another --state-dir", ROOM_BYTES / MEBIBYTE);
            return Err(CommandError::text(ExitStatus::StorageFailed, message, Some(&hint)));
        }
        Some(free) => format!(", {} MiB free", group_digits(free / MEBIBYTE)),
        None => String::new(),
    };
    let intact = if missing.is_empty() { "intact" } else { "usable" };
    let whose = if is_private(directory) {
        format!("is private and {intact}")
    } else {
        format!("is {intact} (other users can read it, but not write to it)")
    };
    Ok((store, format!("{place} {whose}{room}{missing}")))
}

/// What is known to be missing of what was stored, runs or calls.
async fn missing(store: &Store, clock: &SharedClock, options: &CheckOptions) -> Result<Option<String>, CommandError> {
    if let Some(missing) = store.what_is_missing().await? {
        return Ok(Some(missing));
    }
    let (quota, _scope) = quota(&options.quota);
    let unknown = store.unknown_calls().await?;
    Ok(unknown.and_then(|unknown| unknown_calls_text(&unknown, &quota, clock.boot_time())))
}
