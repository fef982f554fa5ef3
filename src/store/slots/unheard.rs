//! Attempts of which nobody has heard the end: what they were about may have been done.

use std::collections::HashSet;

use crate::model::OperationId;
use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::forms::attempt::AttemptKey;
use crate::store::forms::encoding::{damaged, read_operations};
use crate::store::forms::run::RunKey;

/// An attempt without a verdict.
pub(in crate::store) struct UnheardAttempt {
    pub(in crate::store) attempt: AttemptKey,
    pub(in crate::store) run: RunKey,
    /// What it sent, or was about to send.
    pub(in crate::store) operations: Vec<OperationId>,
}

/// The attempts of runs that have no verdict, as far as a condition on them holds.
///
/// # Errors
/// Also when one names operations that its run does not have: what it sent would count as not sent.
pub(in crate::store) fn unheard_attempts(
    transaction: &Transaction<'_>,
    condition: &str,
) -> Result<Vec<UnheardAttempt>, SqlError> {
    let attempts = transaction
        .prepare_cached(&format!(
            "SELECT attempt_key, run_key, operations FROM attempt WHERE verdict IS NULL AND {condition}"
        ))?
        .query_map(params![], |row| {
            let (attempt, run) = (AttemptKey(row.get(0)?), RunKey(row.get(1)?));
            Ok(UnheardAttempt { attempt, run, operations: read_operations(row, 2)? })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let mut known =
        transaction.prepare_cached("SELECT count(*) FROM operation WHERE run_key = ?1 AND operation_number = ?2")?;
    for UnheardAttempt { run, operations, .. } in &attempts {
        for operation in operations {
            if known.query_row(params![run.0, operation.0], |row| row.get::<i64>(0))? == 0 {
                return Err(damaged(2, "the operations of a call"));
            }
        }
    }
    Ok(attempts)
}

/// Those of a run.
pub(super) fn unheard_of_run(transaction: &Transaction<'_>, run: RunKey) -> Result<Vec<UnheardAttempt>, SqlError> {
    unheard_attempts(transaction, &format!("run_key = {}", run.0))
}

/// The operations of a run that were sent, or were about to be, and whose attempt has no verdict.
pub(in crate::store) fn unheard_operations(
    transaction: &Transaction<'_>,
    run: RunKey,
) -> Result<HashSet<OperationId>, SqlError> {
    Ok(unheard_of_run(transaction, run)?.into_iter().flat_map(|attempt| attempt.operations).collect())
}
