//! One connection, and transactions that many callers share.
//!
//! Every effect must be durable before it is shown, and a durable commit costs one disk synchronisation. So callers that
//! come while a commit is under way are gathered and share the next one. What surprises: SQL runs on `spawn_blocking`,
//! never on a thread of its own, because under a paused clock an idle runtime would skip ahead during the write.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::StoreError;

/// How many callers may wait for one transaction; more of them wait for a place in the queue.
const QUEUE_LENGTH: usize = 1024;
/// How many callers share one transaction at the most.
const MAXIMUM_BATCH: usize = 256;

/// One caller's part of a transaction.
trait Job: Send {
    fn run(&mut self, transaction: &Transaction<'_>) -> Result<(), rusqlite::Error>;
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct TypedJob<Work, Answer> {
    work: Option<Work>,
    answer: Option<Answer>,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

impl<Work, Answer> Job for TypedJob<Work, Answer>
where
    Work: FnOnce(&Transaction<'_>) -> Result<Answer, rusqlite::Error> + Send,
    Answer: Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> Result<(), rusqlite::Error> {
        if let Some(work) = self.work.take() {
            self.answer = Some(work(transaction)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { answer, reply, .. } = *self;
        // A caller that went away needs no answer; its effect is stored all the same.
        let _gone = reply.send(outcome.and_then(|()| answer.ok_or(StoreError::Closed)));
    }
}

/// A handle to the connection; clones share it. The connection is closed when the last handle is gone.
#[derive(Clone)]
pub(super) struct SharedConnection {
    queue: mpsc::Sender<Box<dyn Job>>,
}

impl SharedConnection {
    /// Takes the connection to this database over; its transactions begin so. Must be called within a runtime.
    pub(super) fn start(connection: Connection, path: &Path, behavior: TransactionBehavior) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        tokio::spawn(serve(Database { connection, path: path.to_owned(), behavior }, jobs));
        Self { queue }
    }

    /// Runs `work` inside a transaction and answers once that is on the disk.
    pub(super) async fn run<Answer: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<Answer, rusqlite::Error> + Send + 'static,
    ) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(TypedJob { work: Some(work), answer: None, reply });
        self.queue.send(job).await.map_err(|_closed| StoreError::Closed)?;
        answer.await.map_err(|_closed| StoreError::Closed)?
    }
}

/// The connection with what its transactions need.
struct Database {
    connection: Connection,
    path: PathBuf,
    behavior: TransactionBehavior,
}

async fn serve(mut database: Database, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    let mut batch = Vec::with_capacity(MAXIMUM_BATCH);
    let keeps_nobody_waiting = database.keeps_nobody_waiting();
    while jobs.recv_many(&mut batch, MAXIMUM_BATCH).await > 0 {
        if keeps_nobody_waiting {
            batch = database.commit(batch);
            continue;
        }
        let current = std::mem::take(&mut batch);
        let done = tokio::task::spawn_blocking(move || {
            let current = database.commit(current);
            (database, current)
        });
        match done.await {
            Ok((returned, emptied)) => {
                database = returned;
                batch = emptied;
            }
            // The runtime is shutting down, or SQL code panicked: callers see a closed store.
            Err(_stopped) => return,
        }
    }
}

impl Database {
    /// Whether a commit is over at once: in memory, or where nothing waits for the disk. Simulations make a hundred
    /// thousand transactions, and always in the same order.
    fn keeps_nobody_waiting(&self) -> bool {
        let is_synchronous = self.connection.pragma_query_value(None, "synchronous", |row| row.get::<_, u8>(0));
        self.connection.path().is_none_or(str::is_empty) || is_synchronous.is_ok_and(|mode| mode == 0)
    }

    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let outcome = self.run_all(&mut batch).map_err(|error| StoreError::database(&self.path, error));
        for job in batch.drain(..) {
            job.finish(outcome.clone());
        }
        batch
    }

    fn run_all(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction_with_behavior(self.behavior)?;
        for job in batch {
            job.run(&transaction)?;
        }
        transaction.commit()
    }
}
