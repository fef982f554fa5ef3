//! A run from its plan to its turn: named, stored, and let in.

use super::RunContext;
use super::carrying_out::RunOrder;
use super::claim::claim;
use super::input::CheckedInput;
use super::lock_wait::LockWait;
use super::planning::Planned;
use super::record::{new_run_id, record};
use super::tenant::Tenant;
use crate::api::Transport;
use crate::exit::CommandError;
use crate::model::RETAGGING_PREFIX;
use crate::report::ResultsTarget;
use crate::store::{NewRun, RunKey, RunKind, RunState};

/// Digests of an input and of the operations that it asks for.
pub(super) struct Digests {
    pub(super) input: String,
    pub(super) operations: String,
}

/// A run of this input that begins now.
pub(super) fn new_run<T: Transport>(
    tenant: &Tenant<T>,
    kind: RunKind,
    input: &CheckedInput,
    digests: Digests,
    (target, options): (&ResultsTarget, &RunOrder),
    context: &mut RunContext,
) -> NewRun {
    NewRun {
        run_id: new_run_id(tenant, &mut context.random),
        kind,
        input_digest: digests.input,
        operations_digest: digests.operations,
        account: tenant.account,
        host: tenant.host.clone(),
        input_path: input.path.clone(),
        results_path: target.absolute_path(),
        note: options.kept_note(),
        delimiter: input.sheet.dialect.delimiter,
        byte_order_mark: input.sheet.dialect.byte_order_mark,
        header: input.sheet.header.clone(),
        row_count: input.sheet.row_count,
    }
}

/// A run that may begin, with its name.
pub(super) struct Begun {
    pub(super) key: RunKey,
    pub(super) id: String,
}

/// Stores the run, and lets it begin when no other is in its way. `None` where what was planned need not be so any more by then;
/// nothing was sent, so nothing of it stays.
pub(super) async fn begin<T: Transport>(
    tenant: &Tenant<T>,
    new_run: NewRun,
    input: &mut CheckedInput,
    planned: &mut Planned,
    lock_wait: &LockWait,
    context: &mut RunContext,
) -> Result<Option<Begun>, CommandError> {
    // Which machines have the tag is another matter once another run is over.
    let selects_anew = new_run.input_path.starts_with(RETAGGING_PREFIX);
    let (store, waits, id) = (&tenant.store, context.waits.len(), new_run.run_id.clone());
    let key = record(store, new_run, input, planned, true).await?;
    claim(store, key, lock_wait, context).await?;
    let is_overtaken = selects_anew && context.waits.len() > waits;
    if planned.is_stale(tenant, context) || is_overtaken || planned.is_overtaken(tenant, context).await? {
        store.set_run_state(key, RunState::Preparing).await?;
        store.discard_run(key).await?;
        return Ok(None);
    }
    Ok(Some(Begun { key, id }))
}
