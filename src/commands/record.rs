//! Puts a checked input into the store as a run: its rows, its operations, and the rows in error.
//!
//! In pieces of some thousand rows, so that neither memory nor the time for which other processes must wait grows with
//! the input.

use super::input::CheckedInput;
use super::{CommandError, ExitStatus};
use crate::input::RequestedChange;
use crate::model::{OperationId, Tag};
use crate::plan::operations::machine_id;
use crate::store::{InputChunk, NewChange, NewOperation, NewRun, RunKey, Store};

/// Pieces of the input, of up to 1,000 rows each, in one transaction.
const CHUNKS_AT_ONCE: usize = 20;
/// Operations, tags or rows in error in one transaction.
const ENTRIES_AT_ONCE: usize = 20_000;

/// Why an operation is not sent although its row asks for it.
const BEYOND_LIMIT: (&str, &str) = ("beyond_limit", "left out by --limit");

/// Stores the run; operations from number `limit` on are left out. Nothing is sent before this returns.
pub(super) async fn record(
    store: &Store,
    run: NewRun,
    mut input: CheckedInput,
    limit: Option<u32>,
) -> Result<RunKey, CommandError> {
    let run = store.create_run(run).await?;
    record_tags(store, run, &input.sheet.tags).await?;
    record_operations(store, run, &input, limit).await?;
    for part in input.invalid.chunks(ENTRIES_AT_ONCE) {
        let problems = part.iter().map(|invalid| (invalid.row.0, invalid.code, invalid.message.clone())).collect();
        store.add_problems(run, problems).await?;
    }
    record_rows(store, run, &mut input).await?;
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

async fn record_operations(
    store: &Store,
    run: RunKey,
    input: &CheckedInput,
    limit: Option<u32>,
) -> Result<(), CommandError> {
    let guarded = input.operations.guarded_machines(&input.sheet);
    let mut part = Vec::new();
    for (number, planned) in (0_u32..).zip(&input.operations.operations) {
        // Names have been sorted out before; every machine has its id here.
        let Some(machine) = machine_id(&input.sheet, planned.machine) else { continue };
        let change = match planned.change.change() {
            RequestedChange::Tag { action, tag } => NewChange::Tag(action, tag),
            RequestedChange::DeviceValue(value) => NewChange::DeviceValue(value),
        };
        part.push(NewOperation {
            operation: OperationId(number),
            machine: machine.clone(),
            change,
            guard: guarded.get(planned.machine as usize).is_some_and(|guarded| *guarded).then_some(planned.machine),
            unlisted: false,
            before: None,
            settled: None,
        });
        if part.len() == ENTRIES_AT_ONCE {
            store.add_operations(run, std::mem::take(&mut part)).await?;
        }
    }
    store.add_operations(run, part).await?;
    Ok(())
}

async fn record_rows(store: &Store, run: RunKey, input: &mut CheckedInput) -> Result<(), CommandError> {
    // Taken out, since the chunks need the sheet for themselves.
    let requests = std::mem::take(&mut input.sheet.requests);
    let mut answers = requests.iter().zip(&input.operations.of_request).peekable();
    let mut part = Vec::new();
    for chunk in input.sheet.chunks() {
        let chunk = chunk.map_err(|source| CommandError::new(ExitStatus::StorageFailed, source, None))?;
        let first_row = chunk.first_row.0;
        let mut operations = Vec::with_capacity(chunk.row_count as usize);
        for row in first_row..first_row.saturating_add(chunk.row_count) {
            let mut of_row = Vec::new();
            while let Some((_, operation)) = answers.next_if(|(request, _)| request.row.0 == row) {
                of_row.push(*operation);
            }
            operations.push(of_row);
        }
        part.push(InputChunk { first_row, records: chunk.text.into_bytes(), operations });
        if part.len() == CHUNKS_AT_ONCE {
            store.add_chunks(run, std::mem::take(&mut part)).await?;
        }
    }
    store.add_chunks(run, part).await?;
    Ok(())
}
