//! A copy of the run that is under way, in case the state is harmed meanwhile.
//!
//! Somebody who cuts or overwrites the database while a run is under way takes its rows away, too, and all that became of
//! them. So when the calls begin, the run is copied into a database that has no name, which the system takes back with the
//! process; from then on what is announced and settled is noted there as well. Nothing of it waits for the disk. It is
//! believed only when the state cannot be, and it knows a little more than that did: the answers that could not be stored.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rusqlite::Connection;

use super::connection::SharedConnection;
use super::forms::RunKey;
use super::sql::{SqlError, Transaction};
use super::{DATABASE_NAME, Reader, Store, StoreError, prepare, wait_patiently};

/// Where it is: nowhere that has a name.
const NO_NAME: &str = "";
/// What is copied of the books, and of the run.
const COPIED: &str = "
    INSERT INTO account SELECT * FROM origin.account;
    INSERT INTO run SELECT * FROM origin.run WHERE run_key = :run;
    INSERT INTO tag SELECT * FROM origin.tag WHERE run_key = :run;
    INSERT INTO input_chunk SELECT * FROM origin.input_chunk WHERE run_key = :run;
    INSERT INTO row_problem SELECT * FROM origin.row_problem WHERE run_key = :run;
    INSERT INTO operation SELECT * FROM origin.operation WHERE run_key = :run;";

/// The copy, once there is one.
pub(super) type Keepsake = Arc<OnceLock<SharedConnection>>;

impl Store {
    /// Copies a run that is about to be carried out. Where there is no room for that, the run does without.
    pub async fn keep_a_copy(&self, run: RunKey) {
        let (Some(keepsake), Some(directory)) = (&self.keepsake, self.identity.state_directory()) else { return };
        let copying = tokio::task::spawn_blocking(move || copy(&directory.join(DATABASE_NAME), run));
        match copying.await {
            Ok(Ok(connection)) => {
                let _there_already =
                    keepsake.set(SharedConnection::start_writing(connection, Path::new(NO_NAME), None));
            }
            Ok(Err(error)) => tracing::info!(%error, "there is no copy of this run, should the state be harmed"),
            // The runtime is shutting down.
            Err(_stopped) => {}
        }
    }

    /// The copy of the run that is under way. It knows nothing of other runs.
    #[must_use]
    pub fn copy_of_run(&self) -> Option<Reader> {
        self.keepsake.as_ref()?.get().cloned().map(Reader::in_memory)
    }

    /// Notes in the copy what is about to be written into the books, or could not be.
    pub(super) async fn note_in_copy(
        &self,
        note: impl FnOnce(&Transaction<'_>) -> Result<(), SqlError> + Clone + Send + 'static,
    ) {
        let Some(copy) = self.keepsake.as_ref().and_then(|keepsake| keepsake.get()) else { return };
        if let Err(error) = copy.run(note).await {
            tracing::info!(%error, "the copy of this run has missed something");
        }
    }
}

fn copy(database: &Path, run: RunKey) -> Result<Connection, StoreError> {
    let failed = |error| StoreError::database(database, error);
    let mut copy = Connection::open(NO_NAME).map_err(failed)?;
    prepare(&mut copy, Path::new(NO_NAME))?;
    wait_patiently(&copy).map_err(failed)?;
    // Nobody looks for work there, and whatever the rows refer to stays behind.
    copy.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;
         DROP INDEX operation_work; DROP INDEX operation_guard; DROP INDEX operation_unknown; DROP INDEX operation_state;",
    )
    .map_err(failed)?;
    copy.execute("ATTACH ?1 AS origin", [database.to_str()]).map_err(failed)?;
    copy.execute_batch(&COPIED.replace(":run", &run.0.to_string())).map_err(failed)?;
    copy.execute("DETACH origin", []).map_err(failed)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{SharedClock, SystemClock};
    use crate::model::{AnswerFacts, Bucket, Change, DeviceValue, Held, OperationId, Status};
    use crate::store::{
        Admission, AttemptEnd, AttemptRequest, InputChunk, NewOperation, NewRun, OperationEffect, OperationState,
        Settlement,
    };

    #[tokio::test]
    async fn what_became_of_a_run_can_be_told_when_its_database_is_overwritten_under_way() {
        let directory = tempfile::tempdir().expect("a directory");
        crate::store::server::cluster::keep_in_files(directory.path());
        let path = directory.path().join("state");
        let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
        let store = Store::open(&path, clock).await.expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let description = NewRun { header: vec!["machineId".to_owned()], row_count: 3, ..NewRun::sample(account) };
        let run = store.create_run(description).await.expect("a run");
        let operation = |number: u32| NewOperation {
            operation: OperationId(number),
            machine: crate::model::MachineId::from_service(&format!("m{number}")),
            change: Change::DeviceValue(DeviceValue::High),
            guard: None,
            unlisted: false,
            before: Held::Unknown,
            settled: None,
        };
        store.add_operations(run, (0..3).map(operation).collect()).await.expect("operations");
        let operations = (0..3).map(|number| vec![OperationId(number)]).collect();
        let chunk = InputChunk { first_row: 1, numbers: vec![], records: b"\na\nb\nc\n".to_vec(), operations };
        store.add_chunks(run, vec![chunk]).await.expect("rows");
        store.claim_run(run).await.expect("its turn");
        store.keep_a_copy(run).await;
        let request = |number| AttemptRequest {
            account,
            bucket: Bucket::Value,
            counted_buckets: vec![Bucket::Value],
            quota: "100/1h".parse().expect("a quota"),
            run: Some(run),
            call_kind: "value",
            operations: vec![OperationId(number)],
            time_out: Duration::from_secs(10),
        };
        let Admission::Granted(ticket) = store.admit(request(0)).await.expect("an answer") else { panic!("refused") };
        let _in_flight = store.admit(request(1)).await.expect("an answer");
        for name in [DATABASE_NAME.to_owned(), format!("{DATABASE_NAME}-wal")] {
            std::fs::write(path.join(name), [7; 9000]).expect("our own file");
        }
        let settlement = Settlement::of(
            ticket.attempt,
            AttemptEnd::Now,
            vec![OperationEffect {
                operation: OperationId(0),
                state: Some(OperationState::Succeeded),
                ambiguous: false,
                answer: AnswerFacts::default(),
                after: Held::Value(DeviceValue::High),
            }],
        );
        let settled = store.settle(settlement).await;
        assert!(matches!(settled, Err(StoreError::Harmed { .. })), "{settled:?}");
        let again = store.admit(request(2)).await;
        assert!(matches!(again, Err(StoreError::Harmed { .. })), "nothing more is sent: {again:?}");
        let copy = store.copy_of_run().expect("a copy");
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
}
