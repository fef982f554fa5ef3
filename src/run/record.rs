//! Puts a checked input into the store as a run: its rows, its operations, and the rows in error.
//!
//! In pieces of some thousand rows, so that neither memory nor the time for which other processes must wait grows with
//! the input.

use std::collections::HashMap;

use super::input::{CheckedInput, InvalidRow};
use super::planning::Planned;
use super::tenant::Tenant;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::model::row_code::{
    BEYOND_LIMIT, CHANGED_SINCE, INVENTORY_NOT_READ, MAY_BE_CHANGED_SINCE, NOT_IN_INVENTORY, UNKNOWN_BEFORE,
    WAITS_FOR_ADD, WITHHELD,
};
use crate::model::{OperationId, SANDBOX_RUN_PREFIX, Tag};
use crate::outside::Outside;
use crate::plan::changes::Decision;
use crate::plan::operations::PlannedOperation;
use crate::store::{
    InputChunk, MachineKind, NO_KIND, NewOperation, NewRun, OperationState, RunKey, SettledOperation, Store,
};
use crate::words::counted;

/// Pieces of the input, of up to 1,000 rows each, in one transaction.
const CHUNKS_AT_ONCE: usize = 20;
/// Characters that are kept of a group's or a platform's name.
const LONGEST_KIND: usize = 200;
/// Operations, tags or rows in error in one transaction.
const ENTRIES_AT_ONCE: usize = 20_000;

/// A run of so many operations is large.
const WEIGHED_FROM: usize = 10_000;

/// Stores the run. Nothing is sent before this returns. Without a plan, since the machines could not be read, no operation
/// is to be sent.
pub(super) async fn record(
    store: &Store,
    run: NewRun,
    input: &mut CheckedInput,
    planned: &Planned,
    was_read: bool,
) -> Result<RunKey, CommandError> {
    let run = store.create_run(run).await?;
    if let Some(rules) = &input.rules {
        store.declare(run, rules.declared.clone()).await?;
    }
    record_tags(store, run, &planned.plan.requests().tags).await?;
    record_operations(store, run, planned, was_read).await?;
    record_machine_kinds(store, run, planned).await?;
    for part in input.invalid.chunks(ENTRIES_AT_ONCE) {
        let place = |invalid: &InvalidRow| input.sheet.place(invalid.row);
        let problems = part.iter().map(|invalid| (place(invalid), invalid.code, invalid.message.clone())).collect();
        store.add_problems(run, problems).await?;
    }
    record_rows(store, run, input, planned).await?;
    if planned.plan.decisions.len() >= WEIGHED_FROM {
        store.weigh_operations().await?;
    }
    Ok(run)
}

async fn record_tags(store: &Store, run: RunKey, tags: &[Tag]) -> Result<(), CommandError> {
    let mut first_number = 0;
    for part in tags.chunks(ENTRIES_AT_ONCE) {
        store.add_tags(run, first_number, part.to_vec()).await?;
        first_number = first_number.saturating_add(u32::try_from(part.len()).unwrap_or(u32::MAX));
    }
    Ok(())
}

async fn record_operations(store: &Store, run: RunKey, planned: &Planned, was_read: bool) -> Result<(), CommandError> {
    let plan = &planned.plan;
    let (swaps, withheld) = (plan.swap_machines(), plan.count(Decision::Withheld));
    let mut part = Vec::new();
    let mut forms = Vec::new();
    for (number, (operation, decision, before)) in (0_u32..).zip(plan.iter()) {
        let has_swap = swaps.get(operation.machine.0 as usize).is_some_and(|has_swap| *has_swap);
        part.push(NewOperation {
            operation: OperationId(number),
            machine: planned.machine(operation).ok_or_else(no_such_machine)?,
            change: operation.change,
            // What a row in error keeps waiting, nothing of this run can release.
            swap: (has_swap && decision != Decision::AddInError).then_some(operation.machine.0),
            unlisted: plan.is_unlisted(operation.machine),
            before,
            settled: settled(planned, operation, decision, was_read, withheld),
        });
        if decision == Decision::Change {
            let other_forms = planned.other_forms(operation);
            forms.extend((!other_forms.is_empty()).then_some((OperationId(number), other_forms)));
        }
        if part.len() == ENTRIES_AT_ONCE {
            store.add_operations(run, std::mem::take(&mut part)).await?;
        }
    }
    store.add_operations(run, part).await?;
    store.note_other_forms(run, forms).await?;
    store.note_decided(run, planned.own.as_of, true).await?;
    Ok(())
}

/// Groups and platforms go with the run, for its report: the tenant may be another when that is made.
async fn record_machine_kinds(store: &Store, run: RunKey, planned: &Planned) -> Result<(), CommandError> {
    let Some(inventory) = &planned.inventory else { return Ok(()) };
    let mut numbers: HashMap<(Option<&str>, Option<&str>), u32> = HashMap::new();
    let mut first_operation = 0;
    let mut part = Vec::new();
    for (operation, ..) in planned.plan.iter() {
        let machine = planned.machine_id(operation).and_then(|id| inventory.look_up(id));
        let kind = machine.map(|machine| {
            let next = u32::try_from(numbers.len()).unwrap_or(NO_KIND);
            *numbers.entry((machine.group(), machine.os_platform())).or_insert(next)
        });
        part.push(kind.unwrap_or(NO_KIND));
        if part.len() == ENTRIES_AT_ONCE {
            let next = first_operation + u32::try_from(part.len()).unwrap_or(u32::MAX);
            store.note_machine_kinds(run, first_operation, std::mem::take(&mut part)).await?;
            first_operation = next;
        }
    }
    store.note_machine_kinds(run, first_operation, part).await?;
    let mut kinds: Vec<_> = numbers.into_iter().collect();
    kinds.sort_unstable_by_key(|(_, number)| *number);
    let text = |text: Option<&str>| text.map(|text| Outside::new(text).kept(LONGEST_KIND).into_string());
    let kinds: Vec<MachineKind> = kinds
        .into_iter()
        .map(|((group, platform), _)| MachineKind { group: text(group), platform: text(platform) })
        .collect();
    let mut first_number = 0;
    for part in kinds.chunks(ENTRIES_AT_ONCE) {
        store.add_machine_kinds(run, first_number, part.to_vec()).await?;
        first_number += u32::try_from(part.len()).unwrap_or(u32::MAX);
    }
    Ok(())
}

fn no_such_machine() -> CommandError {
    let message = "the plan is about a machine that the input does not name";
    CommandError::text(ExitStatus::Bug, message, Some("report this as a bug"))
}

/// The outcome of an operation that is not sent.
fn settled(
    planned: &Planned,
    operation: &PlannedOperation,
    decision: Decision,
    was_read: bool,
    withheld: u64,
) -> Option<SettledOperation> {
    let (state, reason) = match decision {
        _ if !was_read => {
            let message = "the tenant's machines could not be read, so nothing was decided about this row";
            (OperationState::NotAttempted, Some((INVENTORY_NOT_READ, message.into())))
        }
        Decision::Unresolved => {
            let (code, message) = planned.failure(operation);
            (OperationState::Failed, Some((code, message.into())))
        }
        decision => return left_out(decision, withheld),
    };
    Some(SettledOperation { state, reason })
}

/// The outcome of an operation that is not sent, whatever it is about, where so many removals are withheld.
pub(super) fn left_out(decision: Decision, withheld: u64) -> Option<SettledOperation> {
    let (state, reason) = match decision {
        // What stands is put into the place of this where a run is resumed; why a name leads to no machine is known
        // only where names are looked up.
        Decision::Change | Decision::Kept | Decision::Unresolved => return None,
        Decision::Unchanged => (OperationState::Unchanged, None),
        Decision::NotInInventory => {
            let message = "the tenant's list does not have this machine, and --unlisted fail leaves such machines out";
            (OperationState::Failed, Some((NOT_IN_INVENTORY, message.into())))
        }
        Decision::AddInError => {
            let message = "a row that adds a tag to this machine, or may mean to, is in error, so none is removed; fix that row first";
            (OperationState::NotAttempted, Some((WAITS_FOR_ADD, message.into())))
        }
        Decision::ChangedSince => {
            let message = "changed since, by a later run or from outside tagfleet, so it is left as it is";
            (OperationState::NotAttempted, Some((CHANGED_SINCE, message.into())))
        }
        Decision::MayBeChangedSince => {
            let message =
                "a later run may have changed it since, so it is left until the tenant's list shows what holds";
            (OperationState::Unknown, Some((MAY_BE_CHANGED_SINCE, message.into())))
        }
        Decision::UnknownBefore => {
            let message = "what was there before the run is not known, so it is left as it is";
            (OperationState::NotAttempted, Some((UNKNOWN_BEFORE, message.into())))
        }
        Decision::Withheld => {
            let removals = counted(withheld, "removal", "removals");
            let message = format!("the plan has {removals}, more than the guard allows, so none was sent");
            (OperationState::NotAttempted, Some((WITHHELD, message.into())))
        }
        Decision::BeyondLimit => (OperationState::NotAttempted, Some((BEYOND_LIMIT, "left out by --limit".into()))),
    };
    Some(SettledOperation { state, reason })
}

async fn record_rows(
    store: &Store,
    run: RunKey,
    input: &mut CheckedInput,
    planned: &Planned,
) -> Result<(), CommandError> {
    let requests = &planned.plan.requests().all;
    let mut answers = requests.iter().zip(&planned.plan.operations.of_request).peekable();
    let mut part = Vec::new();
    for chunk in input.sheet.chunks() {
        let chunk = chunk.map_err(|source| CommandError::new(ExitStatus::StorageFailed, source, None))?;
        let first_row = chunk.first_row.0;
        let mut operations = Vec::with_capacity(chunk.row_count as usize);
        for place in 0..chunk.row_count {
            let row = chunk.numbers.get(place as usize).copied().unwrap_or(first_row.saturating_add(place));
            let mut of_row = Vec::new();
            while let Some((_, operation)) = answers.next_if(|(request, _)| request.row.0 == row) {
                of_row.push(*operation);
            }
            operations.push(of_row);
        }
        let (numbers, records) = (chunk.numbers, chunk.text.into_bytes());
        part.push(InputChunk { first_row, numbers, records, operations });
        if part.len() == CHUNKS_AT_ONCE {
            store.add_chunks(run, std::mem::take(&mut part)).await?;
        }
    }
    store.add_chunks(run, part).await?;
    Ok(())
}

/// A name that sorts by time and does not come twice.
pub(super) fn new_run_id<T: Transport>(tenant: &Tenant<T>, random: &mut fastrand::Rng) -> String {
    run_id(tenant.is_sandbox, tenant.clock.wall_time(), random)
}

fn run_id(sandbox: bool, now: jiff::Timestamp, random: &mut fastrand::Rng) -> String {
    let prefix = if sandbox { SANDBOX_RUN_PREFIX } else { "" };
    let mark: String = std::iter::repeat_with(|| random.alphanumeric()).take(6).collect();
    format!("{prefix}{}-{}", now.strftime("%Y%m%d-%H%M%S"), mark.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_tell_rehearsals_apart_and_do_not_come_twice() {
        let mut random = fastrand::Rng::with_seed(7);
        let now = jiff::Timestamp::UNIX_EPOCH;
        let (real, rehearsal) = (run_id(false, now, &mut random), run_id(true, now, &mut random));
        assert!(real.starts_with("19700101-000000-") && rehearsal.starts_with("sandbox-19700101-000000-"));
        assert_ne!(run_id(false, now, &mut random), real);
    }
}
