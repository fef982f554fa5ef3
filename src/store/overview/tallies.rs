//! What the books say to whoever watches from afar: the calls of this process, and when an input was last done whole.

use jiff::Timestamp;

use crate::store::engine::sql::{Optional, params};
use crate::store::forms::attempt::AttemptKey;
use crate::store::forms::encoding::timestamp;
use crate::store::forms::run::{OperationState, RunKind};
use crate::store::{Reader, Store, StoreError};

/// Calls of one kind that ended in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallTally {
    /// The kind, under the name that the ledger has for it.
    pub kind: String,
    /// The HTTP status of their answers; `None` for those that nobody answered.
    pub http_status: Option<u16>,
    pub calls: u32,
}

impl Store {
    /// The last attempt that was let through, whoever made it: those of later ones have greater numbers.
    pub(crate) async fn latest_attempt(&self) -> Result<AttemptKey, StoreError> {
        self.reader
            .connection
            .run(|transaction| {
                transaction.query_row("SELECT coalesce(max(attempt_key), 0) FROM attempt", params![], |row| row.get(0))
            })
            .await
            .map(AttemptKey)
    }

    /// The calls of this process that are over, of the attempts after this one; those that read the machines, too.
    pub(crate) async fn own_calls_since(&self, attempt: AttemptKey) -> Result<Vec<CallTally>, StoreError> {
        let process_key = self.identity.process_key;
        self.reader
            .connection
            .run(move |transaction| {
                let mut statement = transaction.prepare_cached(
                    "SELECT call_kind, http_status, count(*) FROM attempt
                     WHERE attempt_key > ?1 AND process_key = ?2 AND ended IS NOT NULL
                     GROUP BY call_kind, http_status",
                )?;
                let rows = statement.query_map(params![attempt.0, process_key], |row| {
                    Ok(CallTally { kind: row.get(0)?, http_status: row.get(1)?, calls: row.get(2)? })
                })?;
                rows.collect()
            })
            .await
    }
}

impl Reader {
    /// When a run over all of this input last ended with nothing left, failed or unknown: of this tenant and app as far as they
    /// are given, or else where the books are of one alone. Of a run with tolerated or left out rows nothing is said; and that
    /// somebody has looked at it since, or taken it back, changes nothing.
    pub(crate) async fn last_done(
        &self,
        input_path: &str,
        tenant: Option<String>,
        app: Option<String>,
    ) -> Result<Option<Timestamp>, StoreError> {
        let input_path = input_path.to_owned();
        self.connection
            .run(move |transaction| {
                let others = OperationState::ALL
                    .into_iter()
                    .filter(|state| !matches!(state, OperationState::Succeeded | OperationState::Unchanged));
                let others: Vec<String> = others.map(|state| state.number().to_string()).collect();
                // Looked up state by state in the index: a million operations that are done need not be counted.
                let ended: Option<i64> = transaction
                    .prepare_cached(&format!(
                        "SELECT coalesce((SELECT max(ended_at) FROM sitting
                             WHERE sitting.run_key = run.run_key AND exit_status = 0), last_activity_at) AS done_at
                         FROM run JOIN account USING (account_key)
                         WHERE input_path = ?1 AND state IN ('finished', 'revisited') AND kind = ?2 AND input_digest NOT LIKE '%:%'
                             AND CASE WHEN CAST(?3 AS TEXT) IS NULL THEN (SELECT count(*) FROM account) = 1
                                 ELSE lower(tenant) = lower(?3) AND lower(app) = lower(coalesce(?4, app)) END
                             AND NOT EXISTS (SELECT 1 FROM row_problem WHERE row_problem.run_key = run.run_key)
                             AND NOT EXISTS (SELECT 1 FROM operation
                                 WHERE operation.run_key = run.run_key AND operation.state IN ({}))
                         ORDER BY done_at DESC LIMIT 1",
                        others.join(", ")
                    ))?
                    .query_row(params![input_path, RunKind::Apply.as_str(), tenant, app], |row| {
                        row.get(0)
                    })
                    .optional()?;
                Ok(ended.map(timestamp))
            })
            .await
    }
}
