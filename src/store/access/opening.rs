//! Opening the state: in a directory, on a server, or in memory; and leaving it.

use std::path::Path;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{connection, heartbeats, identity, run_copy};
use crate::clock::SharedClock;
use crate::store::engine::file_names::DATABASE_NAME;
use crate::store::engine::{absence, schema, sql};
use crate::store::files::database::{connect, open, prepare, schema_error};
use crate::store::files::{directory, liveness};
use crate::store::trust::{custody, journal, presence, seal, soundness, timelines, witness};
use crate::store::{Patience, Reader, ServerAddress, Store, StoreError, server};

impl Store {
    /// Opens or makes the state on this server, notes this process, and closes the books of dead ones. Must be called
    /// within a runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the server cannot be used.
    pub(crate) async fn open_on(address: &ServerAddress, clock: SharedClock) -> Result<Self, StoreError> {
        let patience = Patience::default();
        let opening = Box::pin(Self::open_patiently(address, clock, patience.clone()));
        absence::told(&patience, &address.name(), opening).await
    }

    async fn open_patiently(
        address: &ServerAddress,
        clock: SharedClock,
        patience: Patience,
    ) -> Result<Self, StoreError> {
        Self::prepare_on(address, patience.clone()).await?;
        let name = liveness::LockName::random();
        let owner = server::Owner::new(&name, Arc::clone(&clock));
        let server = server::Server::new(address.clone(), true, patience.clone()).of_process(owner.clone());
        let writer = connection::SharedConnection::start_on(server);
        let entering_clock = Arc::clone(&clock);
        let enter = move |transaction: &sql::Transaction<'_>| {
            identity::note_on_server(transaction, &name, entering_clock.as_ref())
        };
        let (process_key, timeline_key) = writer.run(enter).await?;
        let seen = Arc::new(timelines::Seen::beside_heartbeats());
        let heart = heartbeats::Heart {
            process_key,
            timeline_key,
            seen: Arc::clone(&seen),
            patience: patience.clone(),
            shows: owner.shows(),
        };
        let heartbeats = heart.beat(writer.clone(), Arc::clone(&clock));
        let identity = identity::ProcessIdentity::on_server(process_key, timeline_key, heartbeats, seen);
        let identity = Arc::new(identity);
        let reader = Reader::on(address, patience.clone(), Some(owner));
        let store = Self {
            reader,
            writer,
            clock,
            identity,
            patience,
            loss: None,
            run_copy: Some(run_copy::SharedRunCopy::default()),
        };
        store.sweep_dead_processes().await?;
        Ok(store)
    }

    /// Makes the tables on this server, or brings them up to date.
    pub(super) async fn prepare_on(address: &ServerAddress, patience: Patience) -> Result<(), StoreError> {
        let asked = address.clone();
        let preparing = tokio::task::spawn_blocking(move || server::prepare(&asked, &patience));
        preparing.await.map_err(|_stopped| StoreError::Closed)?
    }

    /// Opens or makes the database in this directory, notes this process, and closes the books of dead ones. Must be
    /// called within a runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the directory is not safe or the database cannot be used.
    pub(crate) async fn open(directory: &Path, clock: SharedClock) -> Result<Self, StoreError> {
        let store = Self::open_at_once(directory, clock).await?;
        store.find_out_who_lives().await?;
        Ok(store)
    }

    /// The same without a wait where it is not known at once who lives.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn open_at_once(directory: &Path, clock: SharedClock) -> Result<Self, StoreError> {
        #[cfg(test)]
        if let Some(address) = server::tests::cluster::in_place_of(directory) {
            return Self::open_on(&address, clock).await.inspect(|store| store.die_with_its_handles(address));
        }
        let (path, patience) = (directory.to_owned(), Patience::with_file());
        let (opening_clock, mut contact) = (Arc::clone(&clock), absence::Contact::new(patience.clone()));
        let opening = tokio::task::spawn_blocking(move || contact.bear(|| open_blocking(&path, &opening_clock)));
        let opening = async { opening.await.map_err(|_stopped| StoreError::Closed)? };
        let opened = presence::unless_lost(&directory.join(DATABASE_NAME), opening).await?;
        let store = Self::of(opened, directory, clock, patience);
        let store = Self { run_copy: Some(run_copy::SharedRunCopy::default()), ..store };
        store.sweep_dead_processes().await?;
        Ok(store)
    }

    fn of(opened: Opened, directory: &Path, clock: SharedClock, patience: Patience) -> Self {
        let Opened { writing, watch, reading, identity, loss } = opened;
        let file = directory.join(DATABASE_NAME);
        let writer = connection::SharedConnection::start_writing(writing, &file, Some(watch), patience.clone());
        let reader = Reader::start(reading, directory, patience.clone());
        Self { reader, writer, clock, identity: Arc::new(identity), patience, loss, run_copy: None }
    }

    /// Looks through the whole of a database on a disk, before its journal is brought into it, or anybody is told that all is
    /// stored.
    ///
    /// # Errors
    /// The damage that is found; or the database cannot be used.
    pub(crate) async fn look_through(&self) -> Result<(), StoreError> {
        self.writer.run_when_sound(|_transaction| Ok(())).await
    }

    /// Leaves the database in one file, for the end of a process; whoever dies without this leaves that to the next one. Says
    /// what is damaged.
    pub(crate) async fn put_in_order(self) -> Option<StoreError> {
        let Some(directory) = self.identity.state_directory() else {
            self.take_leave().await;
            return None;
        };
        // A database that is not to be touched any more stays as it is.
        if let Err(error) = self.look_through().await {
            return Some(error).filter(StoreError::is_damage);
        }
        let ending = tokio::task::spawn_blocking(move || custody::put_in_order(&directory.join(DATABASE_NAME)));
        // Everything is stored as it is; it is only spread over two files.
        if let Ok(Err(error)) = ending.await {
            tracing::info!(%error, "the journal of the state database was left as it is");
        }
        None
    }

    /// A store that is gone with its last handle, for simulations. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StoreError::Database`] when `SQLite` has no memory for it.
    pub(crate) fn in_memory(clock: SharedClock) -> Result<Self, StoreError> {
        let path = Path::new(":memory:");
        let mut connection = Connection::open_in_memory().map_err(|error| StoreError::database(path, error))?;
        #[cfg(test)]
        crate::store::files::database::make_at_once(&connection).map_err(|error| StoreError::database(path, error))?;
        prepare(&mut connection, path)?;
        let nothing = custody::Finding::default();
        let (identity, _) = identity::ProcessIdentity::enter(&mut connection, path, None, clock.as_ref(), &nothing)?;
        let patience = Patience::with_file();
        let writer = connection::SharedConnection::start_writing(connection, path, None, patience.clone());
        let reader = Reader::in_memory(writer.clone());
        Ok(Self { reader, writer, clock, identity: Arc::new(identity), patience, loss: None, run_copy: None })
    }
}

#[cfg(test)]
impl Store {
    /// A store on a directory that several processes of a simulation share: it neither waits for the disk nor leaves the
    /// runtime's thread, so that all of them do everything in the same order each time.
    pub(crate) async fn open_for_simulation(directory: &Path, clock: SharedClock) -> Result<Self, StoreError> {
        if let Some(address) = server::tests::cluster::in_place_of(directory) {
            let keeps_time = server::tests::cluster::virtual_time::is_kept(&address);
            let store = Self::open_on(&address, clock).await?;
            if !keeps_time {
                store.die_with_its_handles(address);
            }
            return Ok(store);
        }
        let file = directory.join(DATABASE_NAME);
        if !file.exists() {
            directory::secure(directory)?;
            directory::create_private_file(&file)?;
            let written = std::fs::write(&file, unused_database());
            written.map_err(|source| StoreError::Io { path: file.clone(), source: Arc::new(source) })?;
        }
        let patience = Patience::with_file();
        let opened = absence::Contact::new(patience.clone()).bear(|| open_blocking(directory, &clock))?;
        for connection in [&opened.writing, &opened.reading] {
            let relaxed = connection.pragma_update(None, "synchronous", "OFF");
            relaxed.map_err(|error| StoreError::database(&file, error))?;
        }
        let store = Self::of(opened, directory, clock, patience);
        store.sweep_dead_processes().await?;
        Ok(store)
    }

    /// Leaves the database in one file, as whoever ends in order does; on the runtime's thread, like everything else. From a
    /// server it takes its leave.
    pub(crate) async fn put_in_order_at_once(&self) -> Result<(), StoreError> {
        if let Some(directory) = self.identity.state_directory() {
            return custody::put_in_order(&directory.join(DATABASE_NAME));
        }
        self.take_leave().await;
        Ok(())
    }

    /// Lets so many further commits succeed and no more, and counts them: a disk that fails at the worst moment.
    pub(crate) async fn count_commits(
        &self,
        limit: usize,
        count: Arc<std::sync::atomic::AtomicUsize>,
    ) -> Result<(), StoreError> {
        let mut is_this_one = true;
        self.writer
            .run(move |transaction| {
                transaction.ask_before_commits(move || {
                    std::mem::take(&mut is_this_one) || count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < limit
                })
            })
            .await
    }
}

/// A database that nobody has used, as every process makes it that finds none: made once, since simulations need thousands.
#[cfg(test)]
fn unused_database() -> &'static [u8] {
    static UNUSED: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    UNUSED.get_or_init(|| {
        let place = tempfile::tempdir().expect("a directory");
        let file = place.path().join(DATABASE_NAME);
        let mut connection = Connection::open(&file).expect("a database");
        prepare(&mut connection, &file).expect("its tables");
        connection.close().expect("a database in one file");
        std::fs::read(&file).expect("our own")
    })
}

/// An open database.
struct Opened {
    writing: Connection,
    watch: connection::Watch,
    reading: Connection,
    identity: identity::ProcessIdentity,
    loss: Option<StoreError>,
}

/// Opens the database for writing and for reading, compares it with its witness, and notes this process.
fn open_blocking(path: &Path, clock: &SharedClock) -> Result<Opened, StoreError> {
    directory::secure(path)?;
    let file = path.join(DATABASE_NAME);
    directory::refuse_emptied(&file)?;
    let testimony = witness::WitnessRecord::read(path)?;
    witness::prepare(path)?;
    directory::create_private_file(&file)?;
    let failed = |error| StoreError::database(&file, error);
    let mut connection = open(&file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Nothing of its journal is brought into it when it is closed: until it is known to be sound, nothing may be, and later
    // whoever ends in order has done it before.
    let journal_stays = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(journal_stays, true).map_err(failed)?;
    absence::wait_for_holders(&connection).map_err(failed)?;
    let sealed = seal::Look::at(&connection, &file);
    let version = schema::version(&connection).map_err(|problem| schema_error(problem, &file))?;
    if (1..schema::SCHEMA_VERSION).contains(&version) {
        // Brought up to date, it would hold another number of commits than its seal says.
        soundness::check(&connection, &file, sealed)?;
    }
    prepare(&mut connection, &file)?;
    soundness::check(&connection, &file, sealed)?;
    journal::follow(&connection);
    let finding = custody::examine(&connection, &file, &testimony)?;
    let entered = identity::ProcessIdentity::enter(&mut connection, &file, Some(path), clock.as_ref(), &finding);
    let (identity, commits) = entered?;
    let frames = journal::take_frames();
    let witness = witness::Witness::begin(path, identity.process_key, commits)?;
    let reading = connect(&file)?;
    // Its journal is opened at the first look; later the directory may be elsewhere.
    schema::version(&reading).map_err(|problem| schema_error(problem, &file))?;
    if commits == 1 {
        custody::put_in_order(&file)?;
    }
    witness::confirm(path, &file)?;
    let (presence, contents) = (presence::Presence::of(path, &file), presence::Contents::of(&file, frames)?);
    let watch = connection::Watch::new(presence, contents, witness, commits);
    Ok(Opened { writing: connection, watch, reading, identity, loss: finding.loss(&file) })
}
