//! What is left of a stored run, decided again: by the list of today, our own later writes, and the options of this
//! invocation.

use std::collections::HashMap;

use super::RunContext;
use super::join::{OPERATIONS_AT_ONCE, earlier, later_wishes, later_writes, written_after};
use super::planning::{PlanningOptions, add_reading, found};
use super::record::{INVENTORY_NOT_READ, WITHHELD, left_out};
use super::tenant::{MachinesRead, Tenant};
use crate::api::Transport;
use crate::exit::CommandError;
use crate::inventory::{Inventory, ReadError, ReadProgress};
use crate::model::{ChangeKind, Held, MachineId, MayHold, Operation, OperationId, Slot};
use crate::plan::carrying::{Earlier, Today};
use crate::plan::changes::{Decision, held_today, outcome_today, proven_today};
use crate::plan::guard::Guard;
use crate::plan::limiting::{Standing, beyond_limit};
use crate::plan::recent::RecentWrites;
use crate::plan::redecision::{Listing, StoredWish, redecide};
use crate::store::{
    AttemptKey, CHANGED_SINCE, DecidedAnew, KnownOperation, OperationState, RunKey, RunKind, RunState, SlotWrite,
    Store, StoredRun,
};

/// Operations that are changed in one transaction.
const CHANGES_AT_ONCE: usize = 20_000;
/// Reasons for which earlier options, or a list that could not be read, left operations out.
const LEFT_OUT_BY_OPTIONS: [&str; 3] = ["beyond_limit", INVENTORY_NOT_READ, "not_in_inventory"];

/// What was decided about the operations of a run; those that are not named stay as they are.
#[derive(Default)]
pub(super) struct DecidedRun {
    /// Operations that are to be sent.
    pub(super) changes: u64,
    /// Operations on machines that are known by their names only, since the run ended before it could look them up.
    pub(super) unread: u64,
    /// Machines of the list.
    pub(super) listed: u64,
    /// The last attempt that was let through until then.
    as_of: AttemptKey,
    /// Outcomes that do not stand any more.
    contradicted: Vec<OperationId>,
    decided: Vec<DecidedAnew>,
    is_asked_now: bool,
}

impl DecidedRun {
    /// Stores it. Nothing is sent before this returns.
    pub(super) async fn store(self, store: &Store, run: RunKey) -> Result<(), CommandError> {
        for part in self.contradicted.chunks(CHANGES_AT_ONCE) {
            store.send_again(run, part.to_vec()).await?;
        }
        for part in self.decided.chunks(CHANGES_AT_ONCE) {
            store.decide_anew(run, part.to_vec()).await?;
        }
        store.note_decided(run, self.as_of, self.is_asked_now).await?;
        Ok(())
    }
}

/// When somebody asked for what a run wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Just now: the command that began it is given again.
    Again,
    /// When it was begun. What runs were asked for since goes before it, also where that was so already.
    Before,
}

/// Decides about every operation of a run that is ours. The inner error says why the machines could not be read.
pub(super) async fn decide_again<T: Transport>(
    tenant: &Tenant<T>,
    stored: &StoredRun,
    planning: PlanningOptions,
    asked: Asked,
    calls: &mut ReadProgress,
    context: &mut RunContext,
) -> Result<Result<DecidedRun, ReadError>, CommandError> {
    let known = known_operations(&tenant.store, stored.key).await?;
    let mut run = DecidedRun { is_asked_now: asked == Asked::Again, ..DecidedRun::default() };
    // What a run says that was not concluded, it says of today: even where nothing is left, the list is looked at.
    if stored.state == RunState::Finished && !known.iter().any(|known| known.state.is_open() || is_left_out(known)) {
        return Ok(Ok(run));
    }
    // A sandbox begins anew with each command; it knows nothing of what was done.
    let looked = if planning.inventory && !tenant.is_sandbox {
        match tenant.read_machines(context).await {
            Ok(MachinesRead { inventory, progress, began_at }) => {
                add_reading(calls, &progress);
                Some((inventory, tenant.own_writes(began_at).await?))
            }
            Err(error) => return Ok(Err(error)),
        }
    } else {
        None
    };
    let (inventory, own) = match looked {
        Some((inventory, own)) => (Some(inventory), own),
        None => (None, tenant.own_writes(tenant.clock.boot_time()).await?),
    };
    run.as_of = own.as_of;
    run.listed = inventory.as_ref().map_or(0, |inventory| inventory.len() as u64);
    let guard = planning.settings.guard;
    let later = later_by(&tenant.store, stored.key, asked).await?;
    let mut decided = Vec::with_capacity(known.len());
    for known in &known {
        let listing = listing(&known.operation.machine, inventory.as_ref());
        // What was left to a later run stays that run's, also where nobody knows what had become of it.
        let was_left = asked == Asked::Before && known.error_code.as_deref() == Some(CHANGED_SINCE);
        if was_left || !known.state.is_open() && !may_be_decided_again(known, listing, guard) {
            run.unread += u64::from(known.error_code.as_deref() == Some(INVENTORY_NOT_READ));
            decided.push((Held::Unknown, listing, Decision::Kept));
            continue;
        }
        let wish = StoredWish {
            is_undo: stored.description.kind == RunKind::Undo,
            earlier: earlier(known),
            wanted: known.operation.change.leaves(),
            before: known.before,
        };
        let held = held(known, wish, inventory.as_ref(), &own.recent);
        // An undo looks for itself at what is there.
        let seen = if wish.is_undo { Held::Unknown } else { held };
        let today = Today { held, written_later: written_after(&later, known, seen) };
        decided.push((held, listing, redecide(wish, today, listing, planning.settings.unlisted)));
    }
    withhold_removals(guard, run.listed, &known, &mut decided);
    if let Some(limit) = planning.settings.limit {
        leave_out_beyond(limit, &known, &mut decided);
    }
    for (known, (held, listing, decision)) in known.iter().zip(decided) {
        let found = inventory.as_ref().and_then(|inventory| found(&known.operation, inventory, &own.recent));
        let held = match (held, &inventory) {
            (Held::Unknown, Some(inventory)) => proven_today(&known.operation, inventory, &own.recent),
            (known, _) => known,
        };
        run.note(known, held, found.unwrap_or_default(), listing, decision);
    }
    Ok(Ok(run))
}

impl DecidedRun {
    fn note(&mut self, known: &KnownOperation, held: Held, found: MayHold, listing: Listing, decision: Decision) {
        if decision == Decision::Kept {
            return;
        }
        self.changes += u64::from(decision == Decision::Change);
        if known.state == OperationState::Succeeded {
            self.contradicted.push(known.id);
        }
        let was_sent = known.attempts > 0 || known.may_be_done();
        self.decided.push(DecidedAnew {
            operation: known.id,
            settled: left_out(decision),
            before: (!was_sent).then_some(held),
            found: if was_sent { found } else { MayHold::NOTHING },
            unlisted: listing == Listing::Unlisted,
        });
    }
}

/// Has a run that ends before the list was read give way to what later runs of ours have surely made otherwise. Our own books
/// are enough to know that what it did there is not so any more, and that what it still wanted was not asked for last: neither is
/// a row that nobody came to, which might be given to the program again.
pub(super) async fn leave_overwritten(store: &Store, run: RunKey, asked: Asked) -> Result<(), CommandError> {
    let later = later_by(store, run, asked).await?;
    if later.is_empty() {
        return Ok(());
    }
    let known = known_operations(store, run).await?;
    let is_overwritten = |known: &&KnownOperation| {
        let wanted = known.operation.change.leaves();
        let written = written_after(&later, known, Held::Unknown).filter(|written| *written != Held::Unknown);
        let gives_way = match known.state {
            OperationState::Succeeded => true,
            // What may have been done stays so, and says so.
            OperationState::Pending | OperationState::Refused | OperationState::Unknown | OperationState::Failed => {
                asked == Asked::Before
            }
            _ => false,
        };
        gives_way && written.is_some_and(|written| written != wanted)
    };
    let overwritten: Vec<OperationId> = known.iter().filter(is_overwritten).map(|known| known.id).collect();
    for part in overwritten.chunks(CHANGES_AT_ONCE) {
        store.leave_overwritten(run, part.to_vec()).await?;
    }
    Ok(())
}

/// What later runs wrote, and where the run was asked for before them, what they found as they were asked.
async fn later_by(store: &Store, run: RunKey, asked: Asked) -> Result<HashMap<Slot, Vec<SlotWrite>>, CommandError> {
    match asked {
        Asked::Again => later_writes(store, run).await,
        Asked::Before => later_wishes(store, run).await,
    }
}

/// Withholds all removals where the guard does not allow as many, or has withheld some that stay so.
fn withhold_removals(guard: Guard, listed: u64, known: &[KnownOperation], decided: &mut [(Held, Listing, Decision)]) {
    let stays_withheld = known
        .iter()
        .zip(decided.iter())
        .any(|(known, (.., decision))| *decision == Decision::Kept && is_withheld(known));
    let is_removal = |known: &KnownOperation| known.operation.change.kind() == ChangeKind::Remove;
    let removals = known.iter().zip(decided).filter(|(known, _)| is_removal(known)).map(|(_, (.., decision))| decision);
    let removals: Vec<&mut Decision> = removals.filter(|decision| **decision == Decision::Change).collect();
    if stays_withheld || guard.withholds(removals.len() as u64, listed) {
        for decision in removals {
            *decision = Decision::Withheld;
        }
    }
}

/// Leaves out what would be changed beyond the limit.
fn leave_out_beyond(limit: u32, known: &[KnownOperation], decided: &mut [(Held, Listing, Decision)]) {
    let as_they_stand = known.iter().zip(decided.iter()).map(|(known, (.., decision))| {
        let is_done = matches!(known.state, OperationState::Succeeded | OperationState::Unchanged);
        let Operation { machine, change } = &known.operation;
        (machine, change.kind(), Standing::of(*decision, is_done))
    });
    let beyond = beyond_limit(&as_they_stand.collect::<Vec<_>>(), limit);
    for ((.., decision), _) in decided.iter_mut().zip(beyond).filter(|(_, is_beyond)| *is_beyond) {
        *decision = Decision::BeyondLimit;
    }
}

async fn known_operations(store: &Store, run: RunKey) -> Result<Vec<KnownOperation>, CommandError> {
    let mut all = Vec::new();
    let mut last = None;
    loop {
        let known = store.known_operations(run, last, OPERATIONS_AT_ONCE).await?;
        let Some(end) = known.last() else { return Ok(all) };
        last = Some(end.id);
        all.extend(known);
    }
}

fn is_left_out(known: &KnownOperation) -> bool {
    known.error_code.as_deref().is_some_and(|code| LEFT_OUT_BY_OPTIONS.contains(&code))
}

fn is_withheld(known: &KnownOperation) -> bool {
    known.error_code.as_deref() == Some(WITHHELD)
}

/// Whether an outcome may be decided about again. What was left out for a reason that stays, or whose machine is but a name,
/// is not. What a guard has withheld only another guard lets go.
fn may_be_decided_again(known: &KnownOperation, listing: Listing, guard: Guard) -> bool {
    match earlier(known) {
        _ if known.is_of_nobody() => false,
        Earlier::NotSent | Earlier::FailedUnsent => {
            let machine = known.operation.machine.to_string();
            let is_left_out = is_left_out(known) || (guard.removals.is_some() && is_withheld(known));
            is_left_out && (listing == Listing::Listed || MachineId::from_hexadecimal(&machine).is_some())
        }
        _ => true,
    }
}

fn listing(machine: &MachineId, inventory: Option<&Inventory>) -> Listing {
    match inventory.map(|inventory| inventory.find(machine)) {
        None => Listing::NotRead,
        Some(None) => Listing::Unlisted,
        Some(Some(_)) => Listing::Listed,
    }
}

/// What is known today of the slot of an operation.
fn held(known: &KnownOperation, wish: StoredWish, inventory: Option<&Inventory>, recent: &RecentWrites) -> Held {
    let Some(inventory) = inventory else { return Held::Unknown };
    let shown = held_today(&known.operation, inventory, &RecentWrites::default());
    let held = if wish.earlier == Earlier::Succeeded { outcome_today } else { held_today };
    let Slot { machine, tag } = known.operation.slot();
    let earlier = recent.find(&machine, tag.as_ref()).map_or(MayHold::NOTHING, |written| written.known_earlier);
    wish.held_today(shown, held(&known.operation, inventory, recent), earlier)
}
