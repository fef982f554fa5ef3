//! A run's turn: at once, after a wait, or not at all.

use std::time::Duration;

use super::desk::{Desk, Waited};
use crate::clock::{BootTime, SharedClock, sleep_until};
use crate::dispatch::Spent;
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

/// Lets the run begin when no other is in its way. If one is and stays so, nothing is left of a run that has not begun.
pub(super) async fn claim(
    store: &Store,
    run: RunKey,
    patience: &Patience,
    desk: &mut Desk,
) -> Result<(), CommandError> {
    let give_up = patience.lock_wait.map(|wait| patience.clock.boot_time().plus(wait));
    let give_up = give_up.map(|give_up| patience.deadline.map_or(give_up, |deadline| deadline.min(give_up)));
    let mut told = Vec::new();
    loop {
        let holders = match store.claim_run(run).await? {
            Claim::Granted => return Ok(()),
            Claim::Held(holders) => holders,
        };
        let described = describe_holders(&holders);
        let waited = match give_up {
            None => Waited::TimeIsUp,
            Some(give_up) => {
                if told != holders {
                    desk.say(&format!("Waiting for {described}"));
                    told.clone_from(&holders);
                }
                let over = until_over(store, &holders, &patience.clock);
                desk.wait_for(Spent::OtherRun, patience.clock.as_ref(), Some(give_up), over).await
            }
        };
        let why = match waited {
            Waited::Ended(looked) => {
                looked?;
                continue;
            }
            Waited::TimeIsUp => "",
            Waited::Interrupted => ", and the wait for it was interrupted",
        };
        // A run that another process is preparing or carrying out stays as it is.
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

/// Returns when none of them is under way any more. Time passes before the first look, whatever it shows: who is told at
/// once that they are over, and that they are in the way, would turn round and round.
async fn until_over(store: &Store, holders: &[Holder], clock: &SharedClock) -> Result<(), CommandError> {
    for holder in holders {
        loop {
            sleep_until(clock.as_ref(), clock.boot_time().plus(LOOK_AGAIN)).await;
            if !store.still_holds(holder).await? {
                break;
            }
        }
    }
    Ok(())
}
