//! Resuming a run that was left: which one an input belongs to, and carrying the run into the input as it is now.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::input::CheckedInput;
use super::planning::Planned;
use super::record::record;
use super::tenant::Tenant;
use super::today::{AskedWhen, LaterRuns, earlier, today};
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::input::{RecordCells, records};
use crate::model::identity::{OperationsDigest, OrderedDigest};
use crate::model::{Change, Held, MachineId, Operation, OperationId, ReferenceNumber, Request, Slot};
use crate::plan::carrying::{Carried, EarlierOutcome};
use crate::plan::changes::{Decision, PlanSettings, outcome_today};
use crate::store::{
    CarriedOperation, NewRun, OPERATIONS_AT_ONCE, OperationState, RunKey, RunKind, RunSlot, Store, StoredChunk,
    StoredRun, UnfinishedRun,
};

/// A run is joined until this long after its last activity.
const JOINED_WITHIN: Duration = Duration::from_hours(24);

/// A digest of the header and the rows in their order.
pub(super) fn input_digest(input: &mut CheckedInput) -> Result<String, CommandError> {
    let mut digest = OrderedDigest::default();
    let dialect = input.sheet.dialect;
    digest.add(&[dialect.delimiter, dialect.byte_order_mark.into()]);
    digest.add(OrderedDigest::of(&input.sheet.header).as_bytes());
    digest.add(&input.invalid.iter().flat_map(|invalid| invalid.row.0.to_le_bytes()).collect::<Vec<u8>>());
    for chunk in input.sheet.chunks() {
        let chunk = chunk.map_err(|source| CommandError::new(ExitStatus::StorageFailed, source, None))?;
        digest.add(chunk.text.as_ref());
    }
    Ok(digest.text())
}

/// A digest of the operations that an input asks for.
pub(super) fn operations_digest(planned: &Planned) -> String {
    let mut digest = OperationsDigest::default();
    for (operation, _) in planned.identities() {
        digest.add(&operation);
    }
    digest.text()
}

/// The runs that an input may join.
pub(super) async fn candidates<T: Transport>(tenant: &Tenant<T>) -> Result<Vec<UnfinishedRun>, CommandError> {
    let oldest = tenant.clock.wall_time().checked_sub(JOINED_WITHIN).unwrap_or(jiff::Timestamp::MIN);
    let mut runs = tenant.store.unfinished_runs(tenant.account, &tenant.host).await?;
    runs.retain(|unfinished| {
        unfinished.run.description.kind == RunKind::Apply && unfinished.run.last_activity_at >= oldest
    });
    Ok(runs)
}

/// Whether the run is, or was in an earlier form, of this file.
pub(super) fn is_of_file(run: &UnfinishedRun, path: &str) -> bool {
    run.has_our_paths && is_of_input(run, path)
}

/// The same of an input that is called so on every host.
pub(super) fn is_of_input(run: &UnfinishedRun, path: &str) -> bool {
    run.run.description.input_path == path || run.earlier_paths.iter().any(|earlier| earlier == path)
}

/// A run that an input resumes: what becomes of its operations today.
pub(super) struct Joined {
    run: RunKey,
    /// The operations of today by what they do.
    numbers: HashMap<Operation, OperationId>,
    fates: Vec<Option<Carried>>,
    /// Those of today that name no machine, and may be done all the same.
    in_doubt: Vec<OperationId>,
}

/// Takes the outcomes of the run into the plan: what the list of today and our own later writes do not contradict stands,
/// and guard and limit count what is still to be changed. The run must have been taken over, and the plan know its writes.
pub(super) async fn carry_outcomes(
    store: &Store,
    run: RunKey,
    planned: &mut Planned,
    remembered: &Remembered,
    settings: PlanSettings,
) -> Result<Joined, CommandError> {
    let numbers: HashMap<Operation, OperationId> = planned.identities().collect();
    let outcomes = earlier_outcomes(store, run, planned, &numbers).await?;
    let listed = planned.listed();
    let fates =
        planned.plan.carry(|number| outcomes.get(&OperationId(u32::try_from(number).ok()?)).copied(), settings, listed);
    Ok(Joined { run, numbers, fates, in_doubt: remembered.in_doubt(planned) })
}

/// What a run has done, or may have done, under names that lead to no machine today; its rows are those of the plan.
#[derive(Default)]
pub(super) struct Remembered {
    /// The machines to which all is done that is asked of them under such a name, and nothing speaks against it.
    pub(super) done: HashMap<ReferenceNumber, MachineId>,
    /// Everything that may be done.
    changes: Vec<(ReferenceNumber, Change)>,
}

/// Nothing more is to be done to a machine that no row names any more. A row is known again by what it says, wherever in the file
/// it stands now.
pub(super) async fn remembered(
    store: &Store,
    run: &StoredRun,
    input: &mut CheckedInput,
    planned: &Planned,
) -> Result<Remembered, CommandError> {
    let rows = rows_of_nobody(input, planned)?;
    let (mut asked, mut remembered, mut open) = (HashMap::new(), Remembered::default(), HashSet::new());
    let mut first_row = 1;
    while !rows.is_empty() && run.description.header == input.sheet.header {
        let Some(StoredChunk { input, .. }) = store.chunk(run.key, first_row).await? else { break };
        let said = records(run.description.delimiter, &input.records).cells();
        for (operations, cells) in input.operations.iter().zip(said) {
            let name = rows.get(&cells);
            asked.extend(name.into_iter().flat_map(|name| operations.iter().map(|operation| (*operation, *name))));
        }
        // Also where the text of a damaged state has fewer rows.
        first_row = input.first_row.saturating_add(u32::try_from(input.operations.len().max(1)).unwrap_or(u32::MAX));
    }
    if asked.is_empty() {
        return Ok(remembered);
    }
    let mut pages = store.operations_of(run.key);
    while let Some(known) = pages.next().await? {
        for known in known {
            let Some(name) = asked.get(&known.id) else { continue };
            if known.may_be_done() {
                remembered.changes.push((*name, known.operation.change.clone()));
            }
            let held =
                planned.inventory.as_ref().map(|list| outcome_today(&known.operation, list, &planned.own.recent));
            let stands = held.is_none_or(|held| [Held::Unknown, known.operation.change.leaves()].contains(&held));
            match known.state {
                OperationState::Succeeded if stands => _ = remembered.done.insert(*name, known.operation.machine),
                _ => _ = open.insert(*name),
            }
        }
    }
    remembered.done.retain(|name, _machine| !open.contains(name));
    Ok(remembered)
}

/// The rows whose names lead to no machine, by what they say.
fn rows_of_nobody(
    input: &mut CheckedInput,
    planned: &Planned,
) -> Result<HashMap<RecordCells, ReferenceNumber>, CommandError> {
    let plan = &planned.plan;
    let is_nobody = |request: &&Request| plan.machines.failure(request.machine).is_some();
    let numbers: HashMap<u32, ReferenceNumber> =
        plan.requests().all.iter().filter(is_nobody).map(|request| (request.row.0, request.machine)).collect();
    let mut rows = HashMap::new();
    if numbers.is_empty() {
        return Ok(rows);
    }
    let delimiter = input.sheet.dialect.delimiter;
    for chunk in input.sheet.chunks() {
        let chunk = chunk.map_err(|source| CommandError::new(ExitStatus::StorageFailed, source, None))?;
        for (place, cells) in (0_u32..).zip(records(delimiter, chunk.text.as_bytes()).cells()) {
            let number = chunk.numbers.get(place as usize).copied().unwrap_or(chunk.first_row.0 + place);
            if let Some(name) = numbers.get(&number) {
                rows.insert(cells, *name);
            }
        }
    }
    Ok(rows)
}

impl Remembered {
    /// The operations of the plan that name no machine, and may be done all the same.
    fn in_doubt(&self, planned: &Planned) -> Vec<OperationId> {
        let nobody = |(name, change): &(ReferenceNumber, Change)| {
            planned.plan.machines.failure(*name)?;
            let machine = MachineId::from_service(&planned.plan.requests().machine(*name)?.to_string());
            Some(Operation { machine, change: change.clone() })
        };
        let in_doubt: HashSet<Operation> = self.changes.iter().filter_map(nobody).collect();
        let identities = planned.identities().filter(|_| !in_doubt.is_empty());
        identities.filter(|(operation, _)| in_doubt.contains(operation)).map(|(_, number)| number).collect()
    }
}

/// Stores the input as it is now in the place of the run that it resumes.
pub(super) async fn carry_into(
    store: &Store,
    joined: &Joined,
    new_run: NewRun,
    input: &mut CheckedInput,
    planned: &Planned,
) -> Result<RunKey, CommandError> {
    let Joined { run, numbers, fates, in_doubt } = joined;
    let run = *run;
    let on_slot: HashMap<Slot, OperationId> =
        numbers.iter().map(|(operation, number)| (operation.slot(), *number)).collect();
    // A name may stand for the machine that it led to before, since the run was asked for.
    let new_run = NewRun { operations_digest: operations_digest(planned), ..new_run };
    let successor = record(store, new_run, input, planned, true).await?;
    let mut written_before = HashSet::new();
    let mut pages = store.operations_of(run);
    while let Some(known) = pages.next().await? {
        let mut seen_before = Vec::new();
        let carried = known.into_iter().filter_map(|known| {
            let (id, slot, is_done) = (known.id, known.operation.slot(), known.may_be_done());
            match numbers.get(&known.operation) {
                Some(number) => match fates.get(number.0 as usize).copied().flatten()? {
                    Carried::Kept => Some(CarriedOperation::Outcome(id, *number)),
                    Carried::SentAgain => {
                        written_before.insert(*number);
                        Some(CarriedOperation::Facts(id, *number))
                    }
                    Carried::DecidedAnew => {
                        // What was already set, as far as one could tell, need not have stayed so.
                        let was_to_change = ![Held::Unknown, known.operation.change.leaves()].contains(&known.before);
                        if was_to_change && is_unseen(planned, *number) {
                            seen_before.push((*number, known.before));
                        }
                        None
                    }
                },
                None => is_done.then(|| {
                    let other = on_slot.get(&slot).copied();
                    written_before.extend(other);
                    CarriedOperation::History(id, other)
                }),
            }
        });
        store.carry_over(run, successor, carried.collect()).await?;
        // Where today's plan did not read the list, `before` is what the run saw when it began.
        store.set_before(successor, seen_before).await?;
    }
    // What an earlier version of the file did to a slot that one since left out.
    let history = store.slot_history(run).await?;
    let before: Vec<_> =
        history.into_iter().filter_map(|earlier| Some((*on_slot.get(&earlier.slot)?, earlier.before))).collect();
    written_before.extend(before.iter().map(|(number, _)| *number));
    store.set_before(successor, before).await?;
    note_found(store, successor, planned, &written_before).await?;
    note_in_doubt(store, successor, planned, &on_slot).await?;
    for part in in_doubt.chunks(OPERATIONS_AT_ONCE as usize) {
        store.note_in_doubt(successor, part.to_vec()).await?;
    }
    store.succeed(run, successor).await?;
    Ok(successor)
}

/// Notes what stands where the run has written before: it is not what was there before the run, and a list that lags may
/// show it for a while.
async fn note_found(
    store: &Store,
    run: RunKey,
    planned: &Planned,
    written_before: &HashSet<OperationId>,
) -> Result<(), CommandError> {
    let written = planned.identities().filter(|(_, number)| written_before.contains(number));
    let found: Vec<_> = written.filter_map(|(operation, number)| Some((number, planned.found(&operation)?))).collect();
    for part in found.chunks(OPERATIONS_AT_ONCE as usize) {
        store.note_found(run, part.to_vec()).await?;
    }
    Ok(())
}

/// Notes what an earlier version of the file may have done that one since left out, and this one asks for again: whatever
/// becomes of it now, it may have been done.
async fn note_in_doubt(
    store: &Store,
    run: RunKey,
    planned: &Planned,
    on_slot: &HashMap<Slot, OperationId>,
) -> Result<(), CommandError> {
    let history: HashMap<Slot, RunSlot> =
        store.slot_history(run).await?.into_iter().map(|earlier| (earlier.slot.clone(), earlier)).collect();
    let is_in_doubt = |(operation, number): &(Operation, OperationId)| {
        let is_open = !matches!(planned.decision(*number), Some(Decision::Unchanged | Decision::Kept));
        let wanted = operation.change.leaves();
        let earlier = history.get(&operation.slot()).filter(|_| on_slot.get(&operation.slot()) == Some(number));
        is_open && earlier.is_some_and(|earlier| earlier.before != wanted && earlier.after.allows(wanted))
    };
    let in_doubt: Vec<_> = planned.identities().filter(is_in_doubt).map(|(_, number)| number).collect();
    for part in in_doubt.chunks(OPERATIONS_AT_ONCE as usize) {
        store.note_in_doubt(run, part.to_vec()).await?;
    }
    Ok(())
}

/// Whether the plan does not know what holds before this operation.
fn is_unseen(planned: &Planned, number: OperationId) -> bool {
    planned.plan.before.get(number.0 as usize).is_none_or(|before| *before == Held::Unknown)
}

/// How far the operations had come that the run and the input share, by the numbers that they have in the input, and what
/// was written to their slots since.
async fn earlier_outcomes(
    store: &Store,
    run: RunKey,
    planned: &Planned,
    numbers: &HashMap<Operation, OperationId>,
) -> Result<HashMap<OperationId, EarlierOutcome>, CommandError> {
    let later = LaterRuns::of(store, run, AskedWhen::Again).await?;
    let mut outcomes = HashMap::new();
    let mut pages = store.operations_of(run);
    while let Some(known) = pages.next().await? {
        for known in known {
            if let Some(number) = numbers.get(&known.operation) {
                let earlier = earlier(&known);
                let today = today(&known, earlier, planned.inventory.as_ref(), &planned.own.recent, &later);
                outcomes.insert(*number, EarlierOutcome { earlier, today });
            }
        }
    }
    Ok(outcomes)
}
