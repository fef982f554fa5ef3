//! A run's turn: at once, after a wait, or not at all.

use std::time::Duration;

use super::Desk;
use crate::clock::{BootTime, SharedClock, sleep_until};
use crate::exit::{CommandError, ExitStatus};
use crate::report::describe_holders;
use crate::store::{Claim, Holder, RunKey, Store};

/// How often to look whether a run that is in the way is over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long to wait for runs that are in the way.
pub(super) struct Patience {
    /// How long; `None` is not at all.
    pub(super) lock_wait: Option<Duration>,
    /// No longer than this in any case.
    pub(super) deadline: Option<BootTime>,
    pub(super) clock: SharedClock,
}

/// How a wait came to its end.
enum Waited {
    TheyAreOver,
    TooLong,
    Interrupted,
}

/// Lets the run begin when no other is in its way. If one is and stays so, nothing is left of the run: it has not begun.
pub(super) async fn claim(
    store: &Store,
    run: RunKey,
    patience: &Patience,
    desk: &mut Desk,
) -> Result<(), CommandError> {
    let give_up = patience.lock_wait.map(|wait| patience.clock.boot_time().plus(wait));
    let give_up = give_up.map(|give_up| patience.deadline.map_or(give_up, |deadline| deadline.min(give_up)));
    loop {
        let holders = match store.claim_run(run).await? {
            Claim::Granted => return Ok(()),
            Claim::Held(holders) => holders,
        };
        let described = describe_holders(&holders);
        let waited = match give_up {
            None => Waited::TooLong,
            Some(give_up) => {
                desk.say(&format!("Waiting for {described}"));
                wait(store, &holders, give_up, &patience.clock, desk).await?
            }
        };
        let why = match waited {
            Waited::TheyAreOver => continue,
            Waited::TooLong => "",
            Waited::Interrupted => ", and the wait for it was interrupted",
        };
        // A run that is another process's own stays as it is.
        if holders.iter().all(|holder| holder.overlap.is_some()) {
            store.discard_run(run).await?;
        }
        let hint = match patience.lock_wait {
            None => "nothing was sent; wait for it with --lock-wait 30m, or run the same command later",
            Some(_) => "nothing was sent; run the same command later",
        };
        let message = format!("another run is in the way{why}: {described}");
        return Err(CommandError::text(ExitStatus::AnotherRun, message, Some(hint)));
    }
}

/// Waits until all of them are over, it is time to give up, or somebody interrupts.
async fn wait(
    store: &Store,
    holders: &[Holder],
    give_up: BootTime,
    clock: &SharedClock,
    desk: &mut Desk,
) -> Result<Waited, CommandError> {
    let mut left = holders.iter().peekable();
    while let Some(holder) = left.peek() {
        if !store.still_holds(holder).await? {
            left.next();
            continue;
        }
        let now = clock.boot_time();
        if now >= give_up {
            return Ok(Waited::TooLong);
        }
        tokio::select! {
            () = sleep_until(clock.as_ref(), now.plus(LOOK_AGAIN).min(give_up)) => {}
            Some(_request) = desk.stop_requests.recv() => return Ok(Waited::Interrupted),
        }
    }
    Ok(Waited::TheyAreOver)
}
