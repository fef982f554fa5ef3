//! A run's turn: at once, after a wait, or not at all.

use std::time::Duration;

use super::context::{RunContext, Waited};
use super::lock_wait::LockWait;
use super::tenant::Tenant;
use crate::api::Transport;
use crate::clock::{SharedClock, sleep_until};
use crate::dispatch::Spent;
use crate::exit::{CommandError, ExitStatus};
use crate::report::describe_holders;
use crate::store::{Claim, Holder, RunKey, RunState, Store, StoredRun};

/// How often to look whether a run that is in the way is over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Lets a run that is known by its name go on in this process. The process that had it may have put it into a new form while it was
/// waited for: then it is that one which goes on, and what is left of the wait is for its sake.
pub(super) async fn claim_by_name<T: Transport>(
    tenant: &Tenant<T>,
    run: &StoredRun,
    lock_wait: Option<Duration>,
    context: &mut RunContext,
) -> Result<StoredRun, CommandError> {
    let (store, began) = (&tenant.store, tenant.clock.boot_time());
    let mut run = run.clone();
    loop {
        let waited = tenant.clock.boot_time().since(began);
        let lock_wait = tenant.lock_wait(lock_wait.map(|wait| wait.saturating_sub(waited)));
        let error = match claim(store, run.key, &lock_wait, context).await {
            // The process that had it may have brought it to its end, or taken it back.
            Ok(state) => return Ok(StoredRun { state, ..run }),
            Err(error) => error,
        };
        let today = store.run_by_id(&run.description.run_id).await?;
        if today.key == run.key {
            return Err(error);
        }
        run = today;
    }
}

/// Lets the run begin when no other is in its way, and says how it stood. If one is and stays so, nothing is left of a run that
/// has not begun.
pub(super) async fn claim(
    store: &Store,
    run: RunKey,
    lock_wait: &LockWait,
    context: &mut RunContext,
) -> Result<RunState, CommandError> {
    let give_up = lock_wait.end();
    let mut told: Vec<Holder> = Vec::new();
    loop {
        let holders = match store.claim_run(run).await? {
            Claim::Granted(state) => return Ok(state),
            Claim::Held(holders) => holders,
        };
        let waited = match give_up {
            None => Waited::TimeIsUp,
            Some(give_up) => {
                if !told.iter().map(Holder::obstacle).eq(holders.iter().map(Holder::obstacle)) {
                    context.say(&lock_wait.text(give_up, &holders));
                    told.clone_from(&holders);
                }
                let over = until_over(store, &holders, &lock_wait.clock);
                context.wait_for(Spent::OtherRun, lock_wait.clock.as_ref(), Some(give_up), over).await
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
        let hint = match lock_wait.most {
            None => "nothing was sent; wait for it with --lock-wait 30m, or run the same command later",
            Some(_) => "nothing was sent; run the same command later",
        };
        let described = describe_holders(&holders, lock_wait.clock.wall_time());
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
