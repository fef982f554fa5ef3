//! What is left of a stored run, decided again: by the list of today, our own later writes, and the options of this
//! invocation.

use super::RunContext;
use super::planning::{PlanningOrder, add_reading, found};
use super::record::left_out;
use super::tenant::{MachinesRead, OwnWrites, Tenant};
use super::today::{AskedWhen, LaterRuns, earlier, today};
use crate::api::Transport;
use crate::exit::CommandError;
use crate::inventory::Inventory;
use crate::listing::{ReadError, ReadProgress};
use crate::model::row_code::{
    BEYOND_LIMIT, CHANGED_SINCE, INVENTORY_NOT_READ, LEFT_BY_UNDO, NOT_IN_INVENTORY, WITHHELD,
};
use crate::model::{Change, Held, MachineId, MayHold, OperationId, Slot, TagAction};
use crate::plan::carrying::{Earlier, Today};
use crate::plan::changes::{Decision, PlanSettings, held_today, proven_today};
use crate::plan::guard::Guard;
use crate::plan::holding_back::{Weighed, hold_back};
use crate::plan::recent::RecentWrites;
use crate::plan::redecision::{InList, Overruled, StoredWish, redecide};
use crate::store::{
    AttemptKey, DecidedAnew, KnownOperation, OperationState, RunKey, RunKind, RunState, Store, StoredRun,
};

/// Operations that are changed in one transaction.
const CHANGES_AT_ONCE: usize = 20_000;
/// Reasons for which earlier options, or a list that could not be read, left operations out.
const LEFT_OUT_BY_OPTIONS: [&str; 3] = [BEYOND_LIMIT, INVENTORY_NOT_READ, NOT_IN_INVENTORY];

/// What was decided about the operations of a run; those that are not named stay as they are.
#[derive(Default)]
pub(super) struct DecidedRun {
    /// Operations that are to be sent.
    pub(super) changes: u64,
    /// Operations on machines that are known by their names only, since the run ended before it could look them up.
    pub(super) unread: u64,
    /// Machines of the list.
    pub(super) listed: u64,
    /// Removals that the guard withholds.
    withheld: u64,
    /// Whether something is known now that was done and may have been changed since.
    pub(super) settles_doubt: bool,
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

/// Decides about every operation of a run that is ours. The inner error says why the machines could not be read.
pub(super) async fn decide_again<T: Transport>(
    tenant: &Tenant<T>,
    stored: &StoredRun,
    planning: PlanningOrder,
    asked: AskedWhen,
    calls: &mut ReadProgress,
    context: &mut RunContext,
) -> Result<Result<DecidedRun, ReadError>, CommandError> {
    let known = known_operations(&tenant.store, stored.key).await?;
    stored.refuse_altered(&known.iter().map(|known| &known.operation).collect())?;
    let mut run = DecidedRun { is_asked_now: asked == AskedWhen::Again, ..DecidedRun::default() };
    // What a run says that was not concluded, it says of today: even where nothing is left, the list is looked at.
    if stored.state == RunState::Finished && !known.iter().any(|known| known.state.is_open() || is_left_out(known)) {
        return Ok(Ok(run));
    }
    let (inventory, own) = match look(tenant, planning, calls, context).await? {
        Ok(looked) => looked,
        Err(error) => return Ok(Err(error)),
    };
    run.as_of = own.as_of;
    run.listed = inventory.as_ref().map_or(0, |inventory| inventory.len() as u64);
    let guard = planning.settings.guard;
    let later = LaterRuns::of(&tenant.store, stored.key, asked).await?;
    let is_undo = stored.description.kind == RunKind::Undo;
    let (mut seen, mut decisions) = (Vec::with_capacity(known.len()), Vec::with_capacity(known.len()));
    for known in &known {
        let in_list = in_list(&known.operation.machine, inventory.as_ref());
        // What was left to a later run stays that run's, also where it is not known what had become of it; unless the user asks
        // for it once more.
        let was_left = was_left(known);
        let is_wanted_again = was_left && asked.wants_again(stored.description.kind);
        // A sandbox is new with each command, and lacks what the first one had.
        let is_kept = was_left && asked == AskedWhen::Before
            || tenant.is_sandbox && known.state == OperationState::Unchanged
            || !known.state.is_open() && !may_be_decided_again(known, in_list, guard, is_wanted_again);
        if is_kept {
            run.unread += u64::from(known.error_code.as_deref() == Some(INVENTORY_NOT_READ));
            seen.push(Seen { held: Held::Unknown, in_list, is_left: is_undo && is_left_by_undo(known) });
            decisions.push(Decision::Kept);
            continue;
        }
        let wish = StoredWish {
            is_undo,
            earlier: match earlier(known) {
                // It is wanted again.
                Earlier::DoneInDoubt if asked == AskedWhen::Again => Earlier::Failed,
                earlier => earlier,
            },
            wanted: known.operation.change.leaves(),
            before: known.before,
            overruled: Overruled::No,
        };
        let (wish, today) = look_at(known, wish, inventory.as_ref(), &own.recent, &later);
        seen.push(Seen { held: today.held, in_list, is_left: is_undo });
        decisions.push(redecide(wish, today, in_list, planning.settings.unlisted));
    }
    run.withheld = hold_back_today(planning.settings, run.listed, &known, &seen, &mut decisions);
    for (known, (Seen { held, in_list, .. }, decision)) in known.iter().zip(seen.into_iter().zip(decisions)) {
        let found = inventory.as_ref().and_then(|inventory| found(&known.operation, inventory, &own.recent));
        let held = match (held, &inventory) {
            (Held::Unknown, Some(inventory)) => proven_today(&known.operation, inventory, &own.recent),
            (known, _) => known,
        };
        run.note(known, held, found.unwrap_or_default(), in_list, decision);
    }
    Ok(Ok(run))
}

/// The machines, if they are to be read, and what we wrote ourselves until then. A sandbox begins anew with each command; it
/// knows nothing of what was done.
async fn look<T: Transport>(
    tenant: &Tenant<T>,
    planning: PlanningOrder,
    calls: &mut ReadProgress,
    context: &mut RunContext,
) -> Result<Result<(Option<Inventory>, OwnWrites), ReadError>, CommandError> {
    if !planning.inventory || tenant.is_sandbox {
        return Ok(Ok((None, tenant.own_writes(tenant.clock.boot_time()).await?)));
    }
    match tenant.read_machines(context).await {
        Ok(MachinesRead { inventory, progress, began_at }) => {
            add_reading(calls, &progress);
            Ok(Ok((Some(inventory), tenant.own_writes(began_at).await?)))
        }
        Err(error) => Ok(Err(error)),
    }
}

impl DecidedRun {
    fn note(&mut self, known: &KnownOperation, held: Held, found: MayHold, in_list: InList, decision: Decision) {
        if decision == Decision::Kept {
            return;
        }
        self.changes += u64::from(decision == Decision::Change);
        self.settles_doubt |= known.is_done_in_doubt() && decision != Decision::MayBeChangedSince;
        if known.state == OperationState::Succeeded {
            self.contradicted.push(known.id);
        }
        // What was refused, or put off, has written nothing, and others may have since the plan was made.
        let was_sent = known.may_be_done();
        self.decided.push(DecidedAnew {
            operation: known.id,
            settled: left_out(decision, self.withheld),
            may_be_done: match decision {
                Decision::MayBeChangedSince => Some(true),
                _ => known.is_done_in_doubt().then_some(false),
            },
            before: (!was_sent).then_some(held),
            found: if was_sent { found } else { MayHold::NOTHING },
            unlisted: in_list == InList::Unlisted,
        });
    }
}

/// Decides about a run that ends before the list was read, by our own writes alone. What another run has surely overwritten is to
/// be sent again, or left as `changed_since` where that run goes before this one; so is what was not reached, whose row might be
/// fed back. Where the command was given again, what the run had found already set and others may have changed, and what it had
/// left to others, is wanted again; an undo leaves that.
pub(super) async fn decide_without_list(store: &Store, run_id: &str, asked: AskedWhen) -> Result<(), CommandError> {
    let StoredRun { key: run, description, .. } = store.run_by_id(run_id).await?;
    let is_wanted_again = asked.wants_again(description.kind);
    let later = LaterRuns::of(store, run, asked).await?;
    if asked == AskedWhen::Again {
        store.note_asked(run).await?;
    }
    if later.is_empty() && !is_wanted_again {
        return Ok(());
    }
    let (mut to_leave, mut to_send) = (Vec::new(), Vec::new());
    for known in known_operations(store, run).await? {
        let wanted = known.operation.change.leaves();
        let written = later.written(&known, Held::Unknown).filter(|written| *written != wanted);
        let is_overwritten = written.is_some_and(|written| written != Held::Unknown);
        let how = later.overrule(&known, Held::Unknown);
        match known.state {
            OperationState::Succeeded if is_overwritten && how == Overruled::No => to_send.push(known.id),
            OperationState::Succeeded if is_overwritten => to_leave.push(known.id),
            OperationState::Unchanged if is_wanted_again && written.is_some() => to_send.push(known.id),
            OperationState::NotAttempted if is_wanted_again && was_left(&known) => to_send.push(known.id),
            // What may have been done stays so, and says so.
            OperationState::Pending | OperationState::Refused | OperationState::Unknown | OperationState::Failed
                if how == Overruled::Surely && asked == AskedWhen::Before =>
            {
                to_leave.push(known.id);
            }
            _ => {}
        }
    }
    for part in to_leave.chunks(CHANGES_AT_ONCE) {
        store.leave_overwritten(run, part.to_vec()).await?;
    }
    for part in to_send.chunks(CHANGES_AT_ONCE) {
        store.send_again(run, part.to_vec()).await?;
    }
    Ok(())
}

/// What was seen of an operation.
struct Seen {
    held: Held,
    in_list: InList,
    /// Whether nothing waits for it, if it is not done: an undo leaves it.
    is_left: bool,
}

/// Holds back what guard and limit do not allow. Where some removals stay withheld, so do the others. Says how many are.
fn hold_back_today<'plan>(
    settings: PlanSettings,
    listed: u64,
    known: &'plan [KnownOperation],
    seen: &[Seen],
    decisions: &mut [Decision],
) -> u64 {
    let stays = |(known, decision): &(&KnownOperation, &Decision)| **decision == Decision::Kept && is_withheld(known);
    let stay_withheld = known.iter().zip(decisions.iter()).filter(stays).count();
    let guard = if stay_withheld > 0 { settings.guard.with_ceilings(Some(0), None) } else { settings.guard };
    let weigh = |(known, seen): (&'plan KnownOperation, &Seen)| Weighed {
        machine: &known.operation.machine,
        kind: known.operation.change.kind(),
        takes_off: match &known.operation.change {
            Change::Tag(TagAction::Remove, tag) => Some(tag),
            _ => None,
        },
        held: seen.held,
        earlier: earlier(known),
        is_left: seen.is_left,
    };
    hold_back(decisions, known.iter().zip(seen).map(weigh), guard, listed, settings.limit);
    let withheld = decisions.iter().filter(|decision| **decision == Decision::Withheld).count();
    (stay_withheld + withheld) as u64
}

async fn known_operations(store: &Store, run: RunKey) -> Result<Vec<KnownOperation>, CommandError> {
    let (mut all, mut pages) = (Vec::new(), store.operations_of(run));
    while let Some(known) = pages.next().await? {
        all.extend(known);
    }
    Ok(all)
}

/// Whether it was left to the run that had changed it since.
fn was_left(known: &KnownOperation) -> bool {
    known.error_code.as_deref() == Some(CHANGED_SINCE)
}

fn is_left_by_undo(known: &KnownOperation) -> bool {
    known.error_code.as_deref().is_some_and(|code| LEFT_BY_UNDO.contains(&code))
}

fn is_left_out(known: &KnownOperation) -> bool {
    known.error_code.as_deref().is_some_and(|code| LEFT_OUT_BY_OPTIONS.contains(&code))
}

fn is_withheld(known: &KnownOperation) -> bool {
    known.error_code.as_deref() == Some(WITHHELD)
}

/// Whether an outcome may be decided about again. What was left out for a reason that stays, or whose machine is but a name,
/// is not, unless it is wanted again. What a guard has withheld only another guard lets go.
fn may_be_decided_again(known: &KnownOperation, in_list: InList, guard: Guard, is_wanted_again: bool) -> bool {
    match earlier(known) {
        _ if known.is_of_nobody() => false,
        Earlier::NotSent | Earlier::FailedUnsent => {
            let machine = known.operation.machine.to_string();
            let is_left_out = is_wanted_again || is_left_out(known) || (guard.removals.is_some() && is_withheld(known));
            is_left_out && (in_list == InList::Listed || MachineId::from_hexadecimal(&machine).is_some())
        }
        _ => true,
    }
}

fn in_list(machine: &MachineId, inventory: Option<&Inventory>) -> InList {
    match inventory.map(|inventory| inventory.find(machine)) {
        None => InList::NotRead,
        Some(None) => InList::Unlisted,
        Some(Some(_)) => InList::Listed,
    }
}

/// What is known today of the slot of an operation, and whether a later run goes before what it wants.
fn look_at(
    known: &KnownOperation,
    wish: StoredWish,
    inventory: Option<&Inventory>,
    recent: &RecentWrites,
    later: &LaterRuns,
) -> (StoredWish, Today) {
    let today = today(known, wish.earlier, inventory, recent, later);
    let Some(inventory) = inventory.filter(|_| wish.is_undo) else {
        return (StoredWish { overruled: later.overrule(known, today.held), ..wish }, today);
    };
    // An undo looks for itself at what is there.
    let shown = held_today(&known.operation, inventory, &RecentWrites::default());
    let Slot { machine, tag } = known.operation.slot();
    let earlier = recent.find(&machine, tag.as_ref()).map_or(MayHold::NOTHING, |written| written.known_earlier);
    let held = wish.held_or_shown(shown, today.held, earlier);
    let overruled = later.overrule(known, Held::Unknown);
    (StoredWish { overruled, ..wish }, Today { held, written_later: later.written(known, Held::Unknown) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Operation, Tag};

    fn removal(state: OperationState, error_code: Option<&str>) -> KnownOperation {
        let change = Change::Tag(TagAction::Remove, Tag::new("Old").expect("a tag"));
        KnownOperation {
            id: OperationId(0),
            operation: Operation { machine: MachineId::from_service("m"), change },
            state,
            ambiguous: false,
            attempts: 0,
            last_attempt: None,
            before: Held::Unknown,
            error_code: error_code.map(Into::into),
        }
    }

    #[test]
    fn a_removal_that_is_wanted_again_stays_beside_those_that_an_earlier_guard_withholds() {
        for (code, expected, withheld) in [(WITHHELD, Decision::Withheld, 2), (BEYOND_LIMIT, Decision::Change, 0)] {
            let known = [removal(OperationState::NotAttempted, Some(code)), removal(OperationState::Failed, None)];
            let seen = known.each_ref().map(|_| Seen { held: Held::Present, in_list: InList::Listed, is_left: false });
            let mut decisions = [Decision::Kept, Decision::Change];
            let counted = hold_back_today(PlanSettings::default(), 1, &known, &seen, &mut decisions);
            assert_eq!(counted, withheld, "{code}");
            assert_eq!(decisions, [Decision::Kept, expected], "{code}");
        }
    }
}
