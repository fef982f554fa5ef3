//! Going on with a run that was left: which one an input belongs to, and carrying the run into the input as it is now.

use std::collections::HashMap;
use std::time::Duration;

use super::input::CheckedInput;
use super::planning::Planned;
use super::record::record;
use super::tenant::Tenant;
use crate::api::Transport;
use crate::exit::{CommandError, ExitStatus};
use crate::input::RequestedChange;
use crate::model::{Change, MachineId, OperationId};
use crate::plan::identity::{OperationsDigest, OrderedDigest};
use crate::store::{NewRun, OperationState, RunKey, RunKind, Store, UnfinishedRun};

/// A run is joined until this long after its last activity.
const JOINED_WITHIN: Duration = Duration::from_hours(24);
/// Operations that are read or copied in one transaction.
const OPERATIONS_AT_ONCE: u32 = 10_000;

/// A digest of the header and the rows in their order.
pub(super) fn input_digest(input: &mut CheckedInput) -> Result<String, CommandError> {
    let mut digest = OrderedDigest::default();
    digest.add(&input.sheet.header);
    digest.add(&input.sheet.dialect.delimiter);
    digest.add(&input.sheet.dialect.byte_order_mark);
    digest.add(&input.invalid.iter().map(|invalid| invalid.row.0).collect::<Vec<_>>());
    for chunk in input.sheet.chunks() {
        let chunk = chunk.map_err(|source| CommandError::new(ExitStatus::StorageFailed, source, None))?;
        digest.add(&chunk.text);
    }
    Ok(digest.text())
}

/// A digest of the operations that an input asks for.
pub(super) fn operations_digest(input: &CheckedInput, planned: &Planned) -> String {
    let mut digest = OperationsDigest::default();
    for (machine, change, _) in identities(input, planned) {
        digest.add(&machine, &change);
    }
    digest.text()
}

/// Every operation of a plan by what it does.
fn identities<'a>(
    input: &'a CheckedInput,
    planned: &'a Planned,
) -> impl Iterator<Item = (MachineId, Change, OperationId)> + 'a {
    (0_u32..).zip(planned.plan.iter()).map(|(number, (operation, ..))| {
        let machine = super::record::machine(input, planned, operation);
        let change = match operation.change.change() {
            RequestedChange::Tag { action, tag } => input
                .sheet
                .tags
                .get(tag as usize)
                .map_or(Change::DeviceValue(crate::model::DeviceValue::Normal), |tag| Change::Tag(action, tag.clone())),
            RequestedChange::DeviceValue(value) => Change::DeviceValue(value),
        };
        (machine, change, OperationId(number))
    })
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

/// Stores the input as it is now as the same run: what both know keeps its state. The run must be ours.
pub(super) async fn carry_into(
    store: &Store,
    run: RunKey,
    new_run: NewRun,
    input: CheckedInput,
    planned: &Planned,
) -> Result<RunKey, CommandError> {
    store.take_over(run).await?;
    let numbers: HashMap<(MachineId, Change), OperationId> =
        identities(&input, planned).map(|(machine, change, number)| ((machine, change), number)).collect();
    let mut next = u32::try_from(planned.plan.decisions.len()).unwrap_or(u32::MAX);
    let tag_offset = u32::try_from(input.sheet.tags.len()).unwrap_or(u32::MAX);
    let successor = record(store, new_run, input, planned, true).await?;
    let mut last = None;
    loop {
        let known = store.known_operations(run, last, OPERATIONS_AT_ONCE).await?;
        let Some(end) = known.last() else { break };
        last = Some(end.id);
        let (mut carried, mut orphans) = (Vec::new(), Vec::new());
        for operation in known {
            let key = (operation.operation.machine, operation.operation.change);
            match numbers.get(&key) {
                // What was left out on purpose is decided by this invocation's options.
                Some(_) if operation.state == OperationState::NotAttempted => {}
                Some(number) => carried.push((operation.id, *number)),
                None if operation.state == OperationState::Succeeded => {
                    orphans.push((operation.id, OperationId(next)));
                    next = next.saturating_add(1);
                }
                None => {}
            }
        }
        store.carry_over(run, successor, carried).await?;
        if !orphans.is_empty() {
            store.keep_orphans(run, successor, orphans, tag_offset).await?;
        }
    }
    store.succeed(run, successor).await?;
    Ok(successor)
}
