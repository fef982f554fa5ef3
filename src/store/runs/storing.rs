//! Writing a run down before its first call: who, what, every row and every operation.

use super::declarations::take_effect;
use crate::clock::Clock;
use crate::model::Tag;
use crate::store::access::identity::host_name;
use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::forms::encoding::{change_argument, encode_links, encode_records, kind_number};
use crate::store::forms::run::{AccountKey, InputChunk, NewOperation, NewRun, OperationState, RunKey, RunState};
use crate::store::{Store, StoreError};

impl Store {
    /// The number of this tenant and app, made when it is new. Both compare ignoring ASCII case.
    pub(crate) async fn account(&self, tenant: &str, app: &str) -> Result<AccountKey, StoreError> {
        let (tenant, app) = (tenant.to_ascii_lowercase(), app.to_ascii_lowercase());
        self.writer
            .run(move |transaction| {
                transaction.execute(
                    "INSERT INTO account (tenant, app) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    [&tenant, &app],
                )?;
                transaction.query_row(
                    "SELECT account_key FROM account WHERE tenant = ?1 AND app = ?2",
                    [&tenant, &app],
                    |row| row.get(0).map(AccountKey),
                )
            })
            .await
    }

    /// Begins a run: [`RunState::Preparing`].
    ///
    /// # Errors
    /// [`StoreError::TakenOver`] where another process took this one for dead and has forgotten it.
    pub(crate) async fn create_run(&self, run: NewRun) -> Result<RunKey, StoreError> {
        let now = self.clock.wall_time().as_microsecond();
        let process_key = self.identity.process_key;
        self.writer
            .run(move |transaction| {
                let is_here = "SELECT count(*) > 0 FROM process WHERE process_key = ?1 AND ended = 0";
                if !transaction.query_row(is_here, [process_key], |row| row.get(0))? {
                    return Ok(None);
                }
                let header = serde_json::to_string(&run.header).unwrap_or_default();
                let key = transaction.insert(
                    "INSERT INTO run (run_id, account_key, process_key, host, kind, state, input_path, note, created_at,
                         last_activity_at, delimiter, byte_order_mark, header, row_count, input_digest,
                         operations_digest, results_path, decided_after, asked_after)
                     SELECT ?1, ?2, ?3, ?4, ?13, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12, ?14, ?15, ?16, latest, latest
                     FROM (SELECT coalesce(max(attempt_key), 0) AS latest FROM attempt) AS attempts",
                    "run_key",
                    params![
                        run.run_id,
                        run.account.0,
                        process_key,
                        run.host,
                        RunState::Preparing.as_str(),
                        run.input_path,
                        run.note,
                        now,
                        run.delimiter,
                        run.byte_order_mark,
                        header,
                        run.row_count,
                        run.kind.as_str(),
                        run.input_digest,
                        run.operations_digest,
                        run.results_path,
                    ],
                )?;
                if transaction.sqlite().is_none() {
                    let host = "UPDATE run SET input_host = ?2 WHERE run_key = ?1";
                    transaction.send(host, params![key, host_name()])?;
                }
                Ok(Some(RunKey(key)))
            })
            .await?
            .ok_or(StoreError::TakenOver)
    }

    /// Adds pieces of the input.
    pub(crate) async fn add_chunks(&self, run: RunKey, chunks: Vec<InputChunk>) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let add = "INSERT INTO input_chunk (run_key, first_row, row_count, records, operations)
                     VALUES (?1, ?2, ?3, ?4, ?5)";
                for chunk in chunks {
                    let row_count = u32::try_from(chunk.operations.len()).unwrap_or(u32::MAX);
                    let links = encode_links(&chunk.operations);
                    let records = encode_records(&chunk.numbers, chunk.records);
                    transaction.send(add, params![run.0, chunk.first_row, row_count, records, links])?;
                }
                Ok(())
            })
            .await
    }

    /// Adds the run's tags, numbered from `first_number` on.
    pub(crate) async fn add_tags(&self, run: RunKey, first_number: u32, tags: Vec<Tag>) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                let mut added = transaction.add_to("tag", ["run_key", "tag_number", "tag"])?;
                for (number, tag) in (first_number..).zip(&tags) {
                    added.add(params![run.0, number, tag.as_str()])?;
                }
                added.done();
                Ok(())
            })
            .await
    }

    /// Adds operations, to be sent.
    pub(crate) async fn add_operations(&self, run: RunKey, operations: Vec<NewOperation>) -> Result<(), StoreError> {
        let now = self.clock.wall_time().as_microsecond();
        self.writer
            .run(move |transaction| {
                let mut added = transaction.add_to("operation", OPERATION_COLUMNS)?;
                for operation in &operations {
                    let (kind, argument) = (kind_number(operation.change.kind()), change_argument(operation.change));
                    let machine = operation.machine.to_string();
                    let state = operation.settled.as_ref().map_or(OperationState::Pending, |settled| settled.state);
                    let reason = operation.settled.as_ref().and_then(|settled| settled.reason.as_ref());
                    let is_so_already = state == OperationState::Unchanged;
                    added.add(params![
                        run.0,
                        operation.operation.0,
                        machine,
                        kind,
                        argument,
                        operation.swap,
                        state.number(),
                        reason.map(|(code, _)| code),
                        reason.map(|(_, message)| message),
                        operation.unlisted,
                        operation.before.as_str(),
                        operation.before.as_str().filter(|_| is_so_already),
                        operation.settled.as_ref().map(|_settled| now),
                    ])?;
                }
                added.done();
                Ok(())
            })
            .await
    }

    /// Adds rows that are in error: number, code and message.
    pub(crate) async fn add_problems(
        &self,
        run: RunKey,
        problems: Vec<(u32, &'static str, String)>,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                for (row, code, message) in &problems {
                    transaction.send(
                        "INSERT INTO row_problem (run_key, row, code, message) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT (run_key, row) DO UPDATE SET message = row_problem.message || '; ' || ?4",
                        params![run.0, row, code, message],
                    )?;
                }
                Ok(())
            })
            .await
    }

    /// Puts a change number or remark into the place of the one that a run was begun with.
    pub(crate) async fn set_note(&self, run: RunKey, note: String) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| {
                transaction.execute("UPDATE run SET note = ?2 WHERE run_key = ?1", params![run.0, note])?;
                Ok(())
            })
            .await
    }

    /// Moves a run on.
    pub(crate) async fn set_run_state(&self, run: RunKey, state: RunState) -> Result<(), StoreError> {
        let now = self.clock.wall_time().as_microsecond();
        self.writer
            .run_repeatable(1, move |transaction| {
                transaction.execute(
                    "UPDATE run SET state = ?2, last_activity_at = ?3 WHERE run_key = ?1",
                    params![run.0, state.as_str(), now],
                )?;
                if state == RunState::Finished { take_effect(transaction, run, now) } else { Ok(()) }
            })
            .await
    }

    /// Has a server look at the operations once many were stored. What it knows nothing of it takes for few, and it would read and
    /// sort all that is left of a run for each page of them. A role that does not own the tables may not ask for that; then the
    /// server looks by itself, within a minute or so.
    pub(crate) async fn weigh_operations(&self) -> Result<(), StoreError> {
        self.writer
            .run(|transaction| match transaction.sqlite() {
                Some(_) => Ok(()),
                // Nobody waits for whoever holds the table.
                None => transaction.execute("ANALYZE (SKIP_LOCKED) operation", params![]).map(drop),
            })
            .await
    }

    /// Lets go of a run that was claimed and is not carried out: what had finished has, and everything else was stopped.
    pub(crate) async fn leave_run(&self, run: RunKey) -> Result<(), StoreError> {
        let now = self.clock.wall_time().as_microsecond();
        self.writer
            .run_repeatable(1, move |transaction| {
                transaction.execute(
                    "UPDATE run SET state = CASE state WHEN 'revisited' THEN 'finished' ELSE 'stopped' END,
                         last_activity_at = ?2
                     WHERE run_key = ?1",
                    [run.0, now],
                )?;
                Ok(())
            })
            .await
    }
}

/// What an operation has when it is stored.
const OPERATION_COLUMNS: [&str; 13] = [
    "run_key",
    "operation_number",
    "machine",
    "change_kind",
    "change_argument",
    "guard",
    "state",
    "error_code",
    "error_message",
    "unlisted",
    "before",
    "after",
    "finished_at",
];

/// Notes that something has happened in a run just now.
pub(in crate::store) fn note_activity(
    transaction: &Transaction<'_>,
    run_key: i64,
    clock: &dyn Clock,
) -> Result<(), SqlError> {
    let note = "UPDATE run SET last_activity_at = ?2 WHERE run_key = ?1";
    transaction
        .once(run_key, || {
            transaction.send(note, params![run_key, clock.wall_time().as_microsecond()]).map(|()| ActivityNoted)
        })
        .map(drop)
}

/// Something has happened in a run, and that is noted.
#[derive(Clone, Copy)]
struct ActivityNoted;
