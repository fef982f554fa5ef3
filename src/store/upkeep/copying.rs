//! A copy of the run that is under way, in case the state is harmed or goes away meanwhile.
//!
//! Somebody who cuts or overwrites the database while a run is under way takes its rows away, too, and all that became of
//! them; so does a server that cannot be reached at the end. So when the calls begin, the run is copied into a database that has no name, which the system takes back with the
//! process; from then on what is announced and settled is noted beside it as well. Nothing of it waits for the disk. It is
//! believed only when the state cannot be, and it knows a little more than that did: the answers that could not be stored.
//! What surprises: a call that is announced is noted in memory alone, and what became of calls is written many at a time;
//! a transaction for each would cost more than the rest of the call.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use rusqlite::Connection;
use tokio::sync::Mutex;

use super::moving::{OF_A_RUN, copy_run};
use crate::store::access::connection::SharedConnection;
use crate::store::access::run_copy::{Notes, RunCopy};
use crate::store::engine::absence::{Contact, Patience, wait_for_holders};
use crate::store::engine::file_names::DATABASE_NAME;
use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::files::database::{literal, prepare};
use crate::store::files::silence::Silence;
use crate::store::forms::attempt::{AttemptEnd, AttemptRequest, AttemptTicket, Settlement};
use crate::store::forms::run::RunKey;
use crate::store::ledger::admission::announce;
use crate::store::ledger::settlement::store_effect;
use crate::store::{Reader, Store, StoreError};

/// Where it is: nowhere that has a name.
const NO_NAME: &str = "";
/// What became of so many operations is written in one transaction.
const EFFECTS_AT_ONCE: usize = 1000;

impl Store {
    /// Copies a run that is about to be carried out. Where there is no room for that, the run does without.
    pub(crate) async fn keep_a_copy(&self, run: RunKey) {
        let Some(run_copy) = &self.run_copy else { return };
        let copied = match self.identity.state_directory() {
            Some(directory) => self.copied_from(directory.join(DATABASE_NAME), run).await,
            None => self.copied_from_server(run).await,
        };
        match copied {
            Ok(connection) => {
                let nobody = Patience::with_file();
                let connection = SharedConnection::start_writing(connection, Path::new(NO_NAME), None, nobody);
                let _there_already = run_copy.set(RunCopy { run, connection, notes: Mutex::default() });
            }
            Err(error) => tracing::info!(%error, "there is no copy of this run, should the state be harmed"),
        }
    }

    async fn copied_from(&self, database: PathBuf, run: RunKey) -> Result<Connection, StoreError> {
        let (mut contact, file) = (Contact::new(self.patience.clone()), database.clone());
        let copying = tokio::task::spawn_blocking(move || contact.bear(|| copy(&database, run)));
        let copying = async { copying.await.map_err(|_stopped| StoreError::Closed)? };
        Silence::once(&file, &self.patience, copying).await
    }

    /// The run is read from the server over again where the connection is lost.
    async fn copied_from_server(&self, run: RunKey) -> Result<Connection, StoreError> {
        let copy = Arc::new(std::sync::Mutex::new(Some(unfilled_copy()?)));
        let filled = Arc::clone(&copy);
        let fill = move |from: &Transaction<'_>| {
            let mut filled = filled.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(copy) = filled.as_mut() else { return Ok(()) };
            let transaction = copy.transaction()?;
            copy_run(from, &Transaction::within(&transaction), run)?;
            Ok(transaction.commit()?)
        };
        self.reader.connection.run(fill).await?;
        let copy = copy.lock().unwrap_or_else(PoisonError::into_inner).take();
        copy.ok_or(StoreError::Closed)
    }

    /// The copy of the run that is under way, with all that is known of it. It knows nothing of other runs.
    pub(crate) async fn copy_of_run(&self) -> Option<Reader> {
        let copy = self.run_copy()?;
        let mut notes = copy.notes.lock().await;
        copy.write_settled(&mut notes).await;
        let in_flight: Vec<_> = notes.in_flight.values().cloned().collect();
        let (clock, process_key) = (self.clock.clone(), self.identity.process_key);
        copy.write(move |transaction| {
            transaction.execute("DELETE FROM attempt", params![])?;
            for (request, started) in &in_flight {
                announce(transaction, request, *started, process_key, 0, clock.wall_time())?;
            }
            Ok(())
        })
        .await;
        Some(Reader::in_memory(copy.connection.clone()))
    }

    /// Notes a call that is about to be sent.
    pub(in crate::store) async fn note_announced(&self, request: AttemptRequest, ticket: AttemptTicket) {
        let Some(copy) = self.run_copy().filter(|copy| request.run == Some(copy.run)) else { return };
        copy.notes.lock().await.in_flight.insert(ticket.attempt, (request, ticket.started));
    }

    /// Notes what became of a call, before it is written into the books: it may be that it cannot be.
    pub(in crate::store) async fn note_settled(&self, settlement: &Settlement) {
        let Some(copy) = self.run_copy() else { return };
        let mut notes = copy.notes.lock().await;
        let is_news = notes.in_flight.remove(&settlement.attempt).is_some();
        if !is_news || settlement.effects.is_empty() || settlement.end == AttemptEnd::NeverSent {
            return;
        }
        notes.effects += settlement.effects.len();
        notes.settled.push((settlement.clone(), self.clock.wall_time()));
        if notes.effects >= EFFECTS_AT_ONCE {
            copy.write_settled(&mut notes).await;
        }
    }

    fn run_copy(&self) -> Option<&RunCopy> {
        self.run_copy.as_ref()?.get()
    }
}

impl RunCopy {
    async fn write_settled(&self, notes: &mut Notes) {
        notes.effects = 0;
        let (run, settled) = (self.run, Arc::new(std::mem::take(&mut notes.settled)));
        self.write(move |transaction| {
            for (settlement, heard_at) in settled.iter() {
                for effect in &settlement.effects {
                    store_effect(transaction, run.0, effect, settlement, *heard_at)?;
                }
            }
            Ok(())
        })
        .await;
    }

    async fn write(&self, note: impl FnOnce(&Transaction<'_>) -> Result<(), SqlError> + Clone + Send + 'static) {
        if let Err(error) = self.connection.run(note).await {
            tracing::info!(%error, "the copy of this run has missed something");
        }
    }
}

fn copy(database: &Path, run: RunKey) -> Result<Connection, StoreError> {
    let failed = |error| StoreError::database(database, error);
    let copy = unfilled_copy()?;
    wait_for_holders(&copy).map_err(failed)?;
    copy.execute("ATTACH ?1 AS origin", [literal(database).to_str()]).map_err(failed)?;
    copy.execute_batch("INSERT INTO account SELECT * FROM origin.account").map_err(failed)?;
    for table in OF_A_RUN {
        let rows = format!("INSERT INTO {table} SELECT * FROM origin.{table} WHERE run_key = ?1");
        copy.execute(&rows, [run.0]).map_err(failed)?;
    }
    copy.execute("DETACH origin", []).map_err(failed)?;
    Ok(copy)
}

/// A copy that has its tables, and no run in them.
fn unfilled_copy() -> Result<Connection, StoreError> {
    let failed = |error| StoreError::database(Path::new(NO_NAME), error);
    let mut copy = Connection::open(NO_NAME).map_err(failed)?;
    prepare(&mut copy, Path::new(NO_NAME))?;
    // Nobody looks for work there, and whatever the rows refer to stays behind.
    copy.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; PRAGMA cache_size = -512;
         DROP INDEX operation_work; DROP INDEX operation_guard; DROP INDEX operation_unknown; DROP INDEX operation_state;",
    )
    .map_err(failed)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::time::Duration;

    use super::*;
    use crate::clock::{SharedClock, SystemClock};
    use crate::model::{AnswerFacts, Bucket, Change, DeviceValue, Held, OperationId, Status};
    use crate::store::{AccountKey, Admission, InputChunk, NewOperation, NewRun, OperationEffect, OperationState};

    /// A run of so many rows whose calls begin, with a copy.
    async fn begun(directory: &Path, rows: u32) -> (Store, RunKey, AccountKey) {
        crate::store::server::tests::cluster::keep_in_files(directory);
        let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
        let store = Store::open(&directory.join("state"), clock).await.expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let description = NewRun { header: vec!["machineId".to_owned()], row_count: rows, ..NewRun::sample(account) };
        let run = store.create_run(description).await.expect("a run");
        let operation = |number: u32| NewOperation {
            operation: OperationId(number),
            machine: crate::model::MachineId::from_service(&format!("m{number}")),
            change: Change::DeviceValue(DeviceValue::High),
            swap: None,
            unlisted: false,
            before: Held::Unknown,
            settled: None,
        };
        store.add_operations(run, (0..rows).map(operation).collect()).await.expect("operations");
        let operations = (0..rows).map(|number| vec![OperationId(number)]).collect();
        let records = format!("\n{}", "a\n".repeat(rows as usize)).into_bytes();
        let chunk = InputChunk { first_row: 1, numbers: vec![], records, operations };
        store.add_chunks(run, vec![chunk]).await.expect("rows");
        store.claim_run(run).await.expect("its turn");
        store.keep_a_copy(run).await;
        (store, run, account)
    }

    fn request(account: AccountKey, run: RunKey, operations: Range<u32>) -> AttemptRequest {
        AttemptRequest {
            account,
            bucket: Bucket::Value,
            counted_buckets: vec![Bucket::Value],
            quota: "100/1h".parse().expect("a quota"),
            run: Some(run),
            call_kind: "value",
            operations: operations.map(OperationId).collect(),
            time_out: Duration::from_secs(10),
        }
    }

    fn success(ticket: AttemptTicket, operations: Range<u32>) -> Settlement {
        let effect = |number| OperationEffect {
            operation: OperationId(number),
            state: Some(OperationState::Succeeded),
            ambiguous: false,
            answer: AnswerFacts::default(),
            after: Held::Value(DeviceValue::High),
        };
        Settlement::of(ticket.attempt, AttemptEnd::Now, operations.map(effect).collect())
    }

    #[tokio::test]
    async fn what_became_of_a_run_can_be_told_when_its_database_is_overwritten_under_way() {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, run, account) = begun(directory.path(), 3).await;
        let Admission::Granted(ticket) = store.admit(request(account, run, 0..1)).await.expect("an answer") else {
            panic!("refused")
        };
        let _in_flight = store.admit(request(account, run, 1..2)).await.expect("an answer");
        for name in [DATABASE_NAME.to_owned(), format!("{DATABASE_NAME}-wal")] {
            std::fs::write(directory.path().join("state").join(name), [7; 9000]).expect("our own file");
        }
        let settled = store.settle(success(ticket, 0..1)).await;
        assert!(matches!(settled, Err(StoreError::Harmed { .. })), "{settled:?}");
        let again = store.admit(request(account, run, 2..3)).await;
        assert!(matches!(again, Err(StoreError::Harmed { .. })), "nothing more is sent: {again:?}");
        let copy = store.copy_of_run().await.expect("a copy");
        let chunk = copy.chunk(run, 1).await.expect("no trouble").expect("the rows");
        let unsettled = copy.unsettled_operations(run).await.expect("no trouble");
        let statuses: Vec<_> = (0..3)
            .map(OperationId)
            .map(|id| {
                let mut stored = chunk.operations[&id].clone();
                stored.ambiguous |= unsettled.contains(&id);
                stored.status()
            })
            .collect();
        assert_eq!(statuses, [Status::Succeeded, Status::Unknown, Status::NotAttempted]);
    }

    #[tokio::test]
    async fn what_became_of_calls_is_written_into_the_copy_when_there_is_enough_of_it() {
        const CALLS: u32 = 3;
        let operations_of = |call: u32| call * 400..(call + 1) * 400;
        let directory = tempfile::tempdir().expect("a directory");
        let (store, run, account) = begun(directory.path(), CALLS * 400).await;
        let mut waiting = Vec::new();
        for call in 0..CALLS {
            let admission = store.admit(request(account, run, operations_of(call))).await.expect("an answer");
            let Admission::Granted(ticket) = admission else { panic!("refused") };
            store.settle(success(ticket, operations_of(call))).await.expect("a settlement");
            waiting.push(store.run_copy().expect("a copy").notes.lock().await.effects);
        }
        assert_eq!(waiting, [400, 800, 0]);
        let copy = store.copy_of_run().await.expect("a copy");
        assert_eq!(copy.open_operations(run).await.expect("no trouble"), 0);
        assert!(copy.unsettled_operations(run).await.expect("no trouble").is_empty());
    }
}
