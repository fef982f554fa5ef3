//! One connection, and transactions that many callers share.
//!
//! Every effect must be durable before it is shown, and a durable commit costs one disk synchronisation. So callers that
//! come while a commit is under way are gathered and share the next one. What surprises: SQL runs on `spawn_blocking`,
//! never on a thread of its own, because under a paused clock an idle runtime would skip ahead during the write.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::store::StoreError;
use crate::store::engine::absence::{Contact, Patience};
use crate::store::engine::commits;
use crate::store::engine::job::{Ahead, Job, TypedJob};
use crate::store::engine::sql::deeds::Deed;
use crate::store::engine::sql::{SqlError, Transaction};
use crate::store::engine::waiting::Waiting;
use crate::store::files::silence::Silence;
use crate::store::server::Server;
use crate::store::trust::journal;
use crate::store::trust::presence::{Contents, Presence, SharedMemory, unless_lost};
use crate::store::trust::witness::Witness;

/// How many callers may wait for one transaction; more of them wait for a place in the queue.
const QUEUE_LENGTH: usize = 1024;
/// How many callers share one transaction at the most.
const MAXIMUM_BATCH: usize = 256;
/// After so many further frames the journal is brought into the database: four megabytes, as `SQLite` has it.
const FRAMES_TO_BRING_IN: u32 = 1000;

/// A handle to the connection; clones share it. The connection is closed when the last handle is gone.
#[derive(Clone)]
pub(in crate::store) struct SharedConnection {
    queue: mpsc::Sender<Box<dyn Job>>,
    /// The file that others share; `None` for a database that is in memory or has no name.
    file: Option<SharedFile>,
    waiting: Waiting,
    /// Whether the database is to be looked through before the next transaction.
    is_thorough: Arc<AtomicBool>,
}

/// A file that others share, and its disk.
#[derive(Clone)]
struct SharedFile {
    path: Arc<Path>,
    silence: Silence,
    patience: Patience,
}

impl SharedConnection {
    /// Takes a connection that only reads this database over. Must be called within a runtime.
    pub(super) fn start_reading(connection: Connection, path: &Path, patience: Patience) -> Self {
        Self::start_with_file(Database {
            connection,
            path: path.to_owned(),
            begin: "BEGIN DEFERRED",
            shared_memory: SharedMemory::of(path),
            watch: None,
            harm: None,
            contact: Contact::new(patience),
            waiting: Waiting::default(),
            is_thorough: Arc::default(),
        })
    }

    /// The same for one that writes; a database on a disk is watched. Must be called within a runtime.
    pub(in crate::store) fn start_writing(
        connection: Connection,
        path: &Path,
        watch: Option<Watch>,
        patience: Patience,
    ) -> Self {
        Self::start_with_file(Database {
            connection,
            path: path.to_owned(),
            begin: "BEGIN IMMEDIATE",
            shared_memory: SharedMemory::of(path),
            watch,
            harm: None,
            contact: Contact::new(patience),
            waiting: Waiting::default(),
            is_thorough: Arc::default(),
        })
    }

    /// Takes over what is asked of a server. Must be called within a runtime.
    pub(super) fn start_on(server: Server) -> Self {
        let waiting = server.waiting();
        Self::start(Engine::Server(server), None, waiting, Arc::default())
    }

    fn start_with_file(database: Database) -> Self {
        let file = database.connection.path().filter(|path| !path.is_empty()).map(|_| SharedFile {
            path: Arc::from(database.path.as_path()),
            silence: Silence::default(),
            patience: database.contact.patience().with_disk(),
        });
        let (waiting, is_thorough) = (database.waiting.clone(), Arc::clone(&database.is_thorough));
        Self::start(Engine::File(database), file, waiting, is_thorough)
    }

    fn start(engine: Engine, file: Option<SharedFile>, waiting: Waiting, is_thorough: Arc<AtomicBool>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        tokio::spawn(serve(engine, jobs, waiting.clone(), file.clone()));
        Self { queue, file, waiting, is_thorough }
    }

    /// For how long the database has not answered, if it is waited for.
    pub(in crate::store) fn waiting_for(&self) -> Option<Duration> {
        self.waiting.lasts()
    }

    /// Runs `work` inside a transaction and answers once that is on the disk.
    pub(in crate::store) async fn run<Answer: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<Answer, SqlError> + Clone + Send + 'static,
    ) -> Result<Answer, StoreError> {
        self.do_job(work, false, None).await
    }

    /// The same, where it is asked ahead what the work will surely ask.
    pub(super) async fn run_foreseen<Answer: Send + 'static>(
        &self,
        ahead: impl Fn(&Transaction<'_>) + Send + 'static,
        work: impl FnOnce(&Transaction<'_>) -> Result<Answer, SqlError> + Clone + Send + 'static,
    ) -> Result<Answer, StoreError> {
        self.do_job(work, false, Some(Box::new(ahead))).await
    }

    /// The same of work that does no more when it is done twice, and can be done over where a server has lost it.
    pub(in crate::store) async fn run_repeatable<Answer: Send + 'static>(
        &self,
        weight: usize,
        work: impl Fn(&Transaction<'_>) -> Result<Answer, SqlError> + Clone + Send + 'static,
    ) -> Result<Answer, StoreError> {
        let repeatable = move |transaction: &Transaction<'_>| {
            transaction.can_be_repeated(|| {
                let again = work.clone();
                Deed::new(weight, move |transaction, _| again(transaction).map(drop))
            });
            work(transaction)
        };
        self.do_job(repeatable, false, None).await
    }

    /// The same once the whole database was looked through.
    pub(super) async fn run_when_sound<Answer: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<Answer, SqlError> + Clone + Send + 'static,
    ) -> Result<Answer, StoreError> {
        self.is_thorough.store(true, Ordering::SeqCst);
        self.do_job(work, false, None).await
    }

    /// The same, but nothing is asked and done where the caller has gone away before its turn.
    pub(in crate::store) async fn run_while_wanted<Answer: Send + 'static>(
        &self,
        ahead: impl Fn(&Transaction<'_>) + Send + 'static,
        work: impl FnOnce(&Transaction<'_>) -> Result<Answer, SqlError> + Clone + Send + 'static,
    ) -> Result<Answer, StoreError> {
        self.do_job(work, true, Some(Box::new(ahead))).await
    }

    async fn do_job<Answer: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<Answer, SqlError> + Clone + Send + 'static,
        while_wanted: bool,
        ahead: Option<Ahead>,
    ) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(TypedJob { work: Some(work), ahead, while_wanted, answer: None, reply });
        let done = async {
            self.queue.send(job).await.map_err(|_closed| StoreError::Closed)?;
            answer.await.map_err(|_closed| StoreError::Closed)?
        };
        match &self.file {
            Some(SharedFile { path, silence, patience }) => {
                unless_lost(path, silence.unless_given_up(path, patience, done)).await
            }
            None => done.await,
        }
    }
}

/// The connection with what its transactions need.
struct Database {
    connection: Connection,
    path: PathBuf,
    /// How its transactions begin.
    begin: &'static str,
    shared_memory: SharedMemory,
    watch: Option<Watch>,
    /// What was found once, after which the database is not touched any more.
    harm: Option<StoreError>,
    /// How long others may hold it.
    contact: Contact,
    waiting: Waiting,
    /// Whether the database is to be looked through before the next transaction.
    is_thorough: Arc<AtomicBool>,
}

/// What is looked at before each transaction that writes, and told of each commit.
pub(in crate::store) struct Watch {
    presence: Presence,
    contents: Contents,
    witness: Witness,
    /// How many commits there were when this process looked last.
    commits: i64,
    /// How many frames the journal had when it was brought into the database last, as far as that was possible.
    brought_in: u32,
}

impl Watch {
    pub(super) const fn new(presence: Presence, contents: Contents, witness: Witness, commits: i64) -> Self {
        Self { presence, contents, witness, commits, brought_in: 0 }
    }

    /// Looks whether everything is as it was left, thoroughly if that is asked for.
    fn look(&mut self, is_thorough: bool) -> Result<(), StoreError> {
        let found = self.presence.look()?;
        let looked = self.contents.look(self.commits, &found);
        let looked = if is_thorough { looked.and_then(|()| self.contents.look_through()) } else { looked };
        looked.map_err(|harm| self.or_moved(harm))
    }

    /// Notes a commit that is durable, and brings the journal into the database when it has grown long and is whole.
    fn note(&mut self, commits: i64, connection: &Connection) -> Result<(), StoreError> {
        self.commits = commits;
        self.witness.note(commits)?;
        let frames = journal::take_frames();
        let looked = self.contents.look_after_commit(commits, frames);
        looked.and_then(|()| self.bring_in(frames.unwrap_or_default(), connection)).map_err(|harm| self.or_moved(harm))
    }

    fn bring_in(&mut self, frames: u32, connection: &Connection) -> Result<(), StoreError> {
        // A journal that has begun anew is short.
        self.brought_in = if frames < self.brought_in { 0 } else { self.brought_in };
        if frames - self.brought_in < FRAMES_TO_BRING_IN {
            return Ok(());
        }
        self.contents.prove()?;
        self.brought_in = frames;
        // What stays in the journal does no harm there, so nobody waits for those who still read from it.
        let brought_in = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = brought_in {
            tracing::info!(%error, "the journal of the state database was not brought into it");
        }
        self.contents.look_after_commit(self.commits, None)
    }

    /// What is wrong: files that are elsewhere hold nothing where they were.
    fn or_moved(&self, harm: StoreError) -> StoreError {
        self.presence.look().err().unwrap_or(harm)
    }
}

fn run_each(batch: &mut [Box<dyn Job>], transaction: &Transaction<'_>) -> Result<(), SqlError> {
    batch.iter_mut().try_for_each(|job| job.run(transaction, false))
}

async fn serve(mut engine: Engine, mut jobs: mpsc::Receiver<Box<dyn Job>>, waiting: Waiting, file: Option<SharedFile>) {
    let mut watching = file.map(|file| (file.silence, Contact::new(file.patience)));
    let mut batch = Vec::with_capacity(MAXIMUM_BATCH);
    let keeps_nobody_waiting = engine.keeps_nobody_waiting();
    while jobs.recv_many(&mut batch, MAXIMUM_BATCH).await > 0 {
        if keeps_nobody_waiting {
            batch = engine.commit(batch);
            continue;
        }
        let current = std::mem::take(&mut batch);
        waiting.begin();
        let done = tokio::task::spawn_blocking(move || {
            let current = engine.commit(current);
            (engine, current)
        });
        let done = match &mut watching {
            Some((silence, contact)) => silence.watch(done, &waiting, contact).await,
            None => done.await,
        };
        waiting.end();
        match done {
            Ok((returned, emptied)) => {
                engine = returned;
                batch = emptied;
            }
            // The runtime is shutting down, or SQL code panicked: callers see a closed store.
            Err(_stopped) => return,
        }
    }
}

/// What carries transactions out.
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
enum Engine {
    /// A file, or memory.
    File(Database),
    Server(Server),
}

impl Engine {
    /// Whether a commit is over at once.
    fn keeps_nobody_waiting(&self) -> bool {
        match self {
            Self::File(database) => database.keeps_nobody_waiting(),
            Self::Server(_) => false,
        }
    }

    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let outcome = match self {
            Self::File(database) => database.commit(&mut batch),
            Self::Server(server) => server.run(&mut batch),
        };
        for job in batch.drain(..) {
            job.finish(outcome.clone());
        }
        batch
    }
}

impl Database {
    /// Whether a commit is over at once: in memory, or where nothing waits for the disk. Simulations make a hundred
    /// thousand transactions, and always in the same order.
    fn keeps_nobody_waiting(&self) -> bool {
        let is_synchronous = self.connection.pragma_query_value(None, "synchronous", |row| row.get::<_, u8>(0));
        self.connection.path().is_none_or(str::is_empty) || is_synchronous.is_ok_and(|mode| mode == 0)
    }

    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let outcome = self.harm.clone().map_or_else(|| self.run_patiently(batch), Err);
        self.waiting.end();
        if let Err(harm @ StoreError::Harmed { .. }) = &outcome {
            self.harm = Some(harm.clone());
        }
        outcome
    }

    fn run_patiently(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let mut contact = self.contact.take();
        let outcome = contact.bear(|| self.run_all(batch));
        self.contact = contact;
        outcome.map_err(|error| error.with_answers_lost(self.contact.patience().unstored_answers()))
    }

    fn run_all(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let failed = |error| StoreError::database(&self.path, error);
        self.shared_memory.look()?;
        let Some(watch) = &mut self.watch else {
            let transaction = Bounds::begin(&self.connection, self.begin).map_err(failed)?;
            self.waiting.end();
            run_each(batch, &Transaction::within(&self.connection))
                .map_err(|error| StoreError::database(&self.path, error))?;
            self.waiting.begin();
            return transaction.commit().map_err(failed);
        };
        watch.look(self.is_thorough.swap(false, Ordering::SeqCst))?;
        let changes = self.connection.total_changes();
        let transaction = Bounds::begin(&self.connection, self.begin).map_err(failed)?;
        self.waiting.end();
        let within = Transaction::within(&self.connection);
        run_each(batch, &within).map_err(|error| StoreError::database(&self.path, error))?;
        self.waiting.begin();
        if self.connection.total_changes() == changes {
            return transaction.commit().map_err(failed);
        }
        let commits = commits::count(&within).map_err(|error| StoreError::database(&self.path, error))?;
        if commits <= watch.commits {
            // Somebody has put an older database into the place of ours.
            return Err(StoreError::HistoryLost { path: self.path.clone(), until: clock::now() });
        }
        transaction.commit().map_err(failed)?;
        watch.note(commits, &self.connection)
    }
}

/// A transaction of a connection, which is undone unless it is committed. What begins and ends it is kept like every other
/// statement: to read that anew would take longer than many a transaction.
struct Bounds<'a>(&'a Connection);

impl<'a> Bounds<'a> {
    fn begin(connection: &'a Connection, begin: &str) -> Result<Self, rusqlite::Error> {
        connection.prepare_cached(begin)?.execute([])?;
        Ok(Self(connection))
    }

    fn commit(self) -> Result<(), rusqlite::Error> {
        self.0.prepare_cached("COMMIT")?.execute([]).map(drop)
    }
}

impl Drop for Bounds<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // Where even this fails, the engine undoes it before the next one begins, or when the connection is closed.
            let _undone = self.0.execute_batch("ROLLBACK");
        }
    }
}

#[cfg(test)]
mod tests;
