//! The state as those see it who only read: no lock, no process in the books, no file that was not there before.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, ffi};

use super::connection::SharedConnection;
use crate::outside::shown;
use crate::store::StoreError;
use crate::store::engine::absence::{Contact, Patience, wait_for_holders};
use crate::store::engine::file_names::{DATABASE_NAME, LOCK_DIRECTORY};
use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::engine::{absence, schema};
use crate::store::files::database::{connect, open, schema_error};
use crate::store::files::directory;
use crate::store::forms::encoding::timestamp;
use crate::store::server::{self, ServerAddress};
use crate::store::trust::seal::{self, Look};
use crate::store::trust::unknown_calls::Uncertainty;
use crate::store::trust::witness::WitnessRecord;
use crate::store::trust::{custody, presence, soundness, witness};

/// The state of one directory, open for reading. Clones share it. It waits for nobody and keeps nobody waiting.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(in crate::store) connection: SharedConnection,
    /// Where the locks of processes are; in memory there are none.
    pub(in crate::store) lock_directory: Option<PathBuf>,
    /// Whether processes show by themselves that they live, as they do on a server.
    pub(in crate::store) shows_heartbeats: bool,
    /// Which server it is on, if it is on one.
    server: Option<String>,
    /// Why something may be missing of which the database knows nothing.
    uncertainty: Option<Uncertainty>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reader").field("lock_directory", &self.lock_directory).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens the database in this directory; `None` when there is no directory, or nothing in it yet. Must be called
    /// within a runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the directory is not safe or the database cannot be used.
    pub(crate) async fn open(directory: &Path) -> Result<Option<Self>, StoreError> {
        #[cfg(test)]
        if let Some(address) = server::tests::cluster::in_place_of(directory) {
            return Self::open_on(&address).await;
        }
        let (path, patience) = (directory.to_owned(), Patience::with_file());
        let mut contact = Contact::new(patience.clone());
        let opening = tokio::task::spawn_blocking(move || contact.bear(|| open_blocking(&path)));
        let opening = async { opening.await.map_err(|_stopped| StoreError::Closed)? };
        let opened = presence::unless_lost(&directory.join(DATABASE_NAME), opening).await?;
        Ok(opened.map(|(connection, uncertainty)| Self { uncertainty, ..Self::start(connection, directory, patience) }))
    }

    /// Opens the state on this server; `None` when there is none yet. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the server cannot be used.
    pub(crate) async fn open_on(address: &ServerAddress) -> Result<Option<Self>, StoreError> {
        let (asked, patience) = (address.clone(), Patience::default());
        let wait = patience.clone();
        let asking = tokio::task::spawn_blocking(move || server::is_there(&asked, &wait));
        let name = address.name();
        let asking = absence::told(&patience, &name, asking);
        let is_there = asking.await.map_err(|_stopped| StoreError::Closed)??;
        Ok(is_there.then(|| Self::on(address, patience, None)))
    }

    /// Reads what is on a server, where nothing may be missing that this process has stored.
    pub(super) fn on(address: &ServerAddress, patience: Patience, owner: Option<server::Owner>) -> Self {
        let server = server::Server::new(address.clone(), false, patience);
        let server = owner.into_iter().fold(server, server::Server::of_process);
        let connection = SharedConnection::start_on(server);
        Self { shows_heartbeats: true, server: Some(shown(&address.name())), ..Self::in_memory(connection) }
    }

    /// Readers see the state as it was when they began to look, whatever is written meanwhile.
    pub(super) fn start(connection: Connection, directory: &Path, patience: Patience) -> Self {
        let path = directory.join(DATABASE_NAME);
        let connection = SharedConnection::start_reading(connection, &path, patience);
        Self { lock_directory: Some(directory.join(LOCK_DIRECTORY)), ..Self::in_memory(connection) }
    }

    /// What is in memory has one connection, which reads and writes.
    pub(in crate::store) const fn in_memory(connection: SharedConnection) -> Self {
        Self { connection, lock_directory: None, shows_heartbeats: false, server: None, uncertainty: None }
    }

    /// The address of the server that the state is on; `None` for a directory of this machine.
    pub(crate) fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Until when what was stored is lost, as far as that is known; `None` when nothing is.
    pub(crate) async fn lost_until(&self) -> Result<Option<Timestamp>, StoreError> {
        self.connection.run(lost_until).await
    }

    /// What is known to be missing, or may be, in a sentence without its full stop.
    pub(crate) async fn what_is_missing(&self) -> Result<Option<String>, StoreError> {
        if let Some(until) = self.lost_until().await? {
            return Ok(Some(format!("a part of what was stored until {until:.0} is lost, so runs may be missing")));
        }
        Ok(self.uncertainty.map(|why| format!("{}, so runs may be missing", why.text())))
    }

    /// The loss, where nothing else is left: then nobody may say that there were no runs.
    ///
    /// # Errors
    /// The damage as well, of a database in which no run can be found.
    pub(crate) async fn nothing_but_loss(&self) -> Result<Option<StoreError>, StoreError> {
        let has_runs = self.connection.run(|transaction| {
            transaction.query_row("SELECT count(*) > 0 FROM run WHERE state <> 'removing'", params![], |row| row.get(0))
        });
        if has_runs.await? {
            return Ok(None);
        }
        self.look_through().await?;
        let (Some(until), Some(directory)) = (self.lost_until().await?, &self.lock_directory) else { return Ok(None) };
        Ok(Some(StoreError::HistoryLost { path: directory.with_file_name(DATABASE_NAME), until }))
    }

    /// Looks through the whole of a database, before anybody is told that something is not in it.
    ///
    /// # Errors
    /// The damage that is found.
    pub(in crate::store) async fn look_through(&self) -> Result<(), StoreError> {
        let look = |transaction: &Transaction<'_>| match transaction.sqlite() {
            Some(connection) => Ok(soundness::look_through(connection)?),
            None => Ok(()),
        };
        self.connection.run(look).await
    }
}

/// An open database, and why something may be missing from it.
type OpenDatabase = (Connection, Option<Uncertainty>);

fn open_blocking(path: &Path) -> Result<Option<OpenDatabase>, StoreError> {
    let file = path.join(DATABASE_NAME);
    if !is_there(path)? {
        return Ok(None);
    }
    directory::check(path)?;
    directory::refuse_emptied(&file)?;
    let testimony = WitnessRecord::read(path)?;
    if !is_there(&file)? {
        return testimony.of_nothing(&file).map_or(Ok(None), Err);
    }
    let mut connection = connect(&file)?;
    let sealed = Look::at(&connection, &file);
    let mut version = schema::version(&connection);
    if matches!(&version, Err(schema::SchemaProblem::Database(error)) if is_left_half_written(error)) {
        drop(connection);
        roll_back(&file)?;
        connection = connect(&file)?;
        version = schema::version(&connection);
    }
    let version = version.map_err(|problem| schema_error(problem, &file))?;
    if version == 0 {
        return testimony.of_nothing(&file).map_or(Ok(None), Err);
    }
    soundness::check(&connection, &file, sealed)?;
    let finding = custody::examine(&connection, &file, &testimony)?;
    if let Some(loss) = finding.loss(&file) {
        return Err(loss);
    }
    if version < schema::SCHEMA_VERSION {
        drop(connection);
        witness::prepare(path)?;
        bring_up_to_date(&file)?;
        connection = connect(&file)?;
    }
    Ok(Some((connection, finding.uncertainty)))
}

/// An older program's file is brought up to date before it is read.
fn bring_up_to_date(file: &Path) -> Result<(), StoreError> {
    seal::take_off(file.parent().unwrap_or(file))?;
    let mut connection = connect_for_writing(file)?;
    schema::prepare(&mut connection).map_err(|problem| schema_error(problem, file))
}

/// Whether a process died while it made the file or changed its form, so that a journal has to be rolled back first, which
/// takes a connection that can write.
fn is_left_half_written(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_READONLY_ROLLBACK)
}

/// Takes back what a dead process has left half written. The first look does that, and nothing else.
fn roll_back(file: &Path) -> Result<(), StoreError> {
    let connection = connect_for_writing(file)?;
    schema::version(&connection).map(drop).map_err(|problem| schema_error(problem, file))
}

fn connect_for_writing(file: &Path) -> Result<Connection, StoreError> {
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    wait_for_holders(&connection).map_err(|error| StoreError::database(file, error))?;
    Ok(connection)
}

fn is_there(path: &Path) -> Result<bool, StoreError> {
    match path.metadata() {
        Ok(_metadata) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::Io { path: path.to_owned(), source: Arc::new(error) }),
    }
}

fn lost_until(transaction: &Transaction<'_>) -> Result<Option<Timestamp>, SqlError> {
    transaction
        .query_row("SELECT lost_until FROM custody", params![], |row| row.get::<Option<i64>>(0))
        .map(|until| until.map(timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SharedClock, SystemClock};
    use crate::store::{InputChunk, NewRun, RunState, Store};

    /// A state as a process leaves it that is killed while it makes its tables: some pages are written, and their journal
    /// is there.
    fn half_made(state: &Path) {
        let place = tempfile::tempdir().expect("a directory");
        let file = place.path().join(DATABASE_NAME);
        let connection = Connection::open(&file).expect("a file");
        connection
            .execute_batch(
                "PRAGMA cache_size = 1; BEGIN IMMEDIATE; CREATE TABLE t (x BLOB);
                 INSERT INTO t VALUES (zeroblob(100000));",
            )
            .expect("half a transaction");
        directory::secure(state).expect("a directory");
        for name in [DATABASE_NAME.to_owned(), format!("{DATABASE_NAME}-journal")] {
            let copied = std::fs::copy(place.path().join(&name), state.join(&name)).expect("a copy");
            assert!(copied > 512, "{name} is there");
        }
    }

    #[tokio::test]
    async fn a_state_whose_making_was_cut_off_holds_no_runs_for_whoever_reads_it_first() {
        let place = tempfile::tempdir().expect("a directory");
        server::tests::cluster::keep_in_files(place.path());
        let state = place.path().join("state");
        half_made(&state);
        for time in ["first", "second"] {
            assert!(Reader::open(&state).await.expect("no trouble").is_none(), "the {time} time");
        }
        let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
        drop(Store::open(&state, clock).await.expect("a store"));
        let reader = Reader::open(&state).await.expect("no trouble").expect("a state");
        assert!(reader.runs().await.expect("the runs").is_empty());
    }

    /// A state with one run of three rows, in one file.
    async fn state_with_a_run(state: &Path) -> PathBuf {
        let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
        let store = Store::open(state, clock).await.expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let description = NewRun { row_count: 3, ..NewRun::sample(account) };
        let run = store.create_run(description).await.expect("a run");
        let input =
            InputChunk { first_row: 1, numbers: vec![], records: b"a,b,c".to_vec(), operations: vec![vec![]; 3] };
        store.add_chunks(run, vec![input]).await.expect("its rows");
        store.set_run_state(run, RunState::Finished).await.expect("an end");
        assert!(store.put_in_order().await.is_none());
        state.join(DATABASE_NAME)
    }

    /// Changes a byte at this place of the first page of what is stored under this name.
    fn harm(file: &Path, name: &str, place: usize, change: impl Fn(u8) -> u8) {
        let connection = Connection::open(file).expect("a database");
        let root: u32 = connection
            .query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0))
            .expect("a page");
        drop(connection);
        let mut text = std::fs::read(file).expect("our own file");
        let byte = &mut text[(root as usize - 1) * 4096 + place];
        *byte = change(*byte);
        std::fs::write(file, text).expect("our own file");
    }

    #[tokio::test]
    async fn a_run_that_a_damaged_page_hides_is_never_said_not_to_be_there() {
        for is_large in [false, true] {
            for (name, place) in [("run", 4), ("sqlite_autoindex_run_1", 4), ("input_chunk", 4), ("run", 3), ("run", 0)]
            {
                let directory = tempfile::tempdir().expect("a directory");
                server::tests::cluster::keep_in_files(directory.path());
                let state = directory.path().join("state");
                let file = state_with_a_run(&state).await;
                // As a process leaves it that is killed.
                seal::take_off(&state).expect("our own file");
                if is_large {
                    // So that it is not looked through when it is opened.
                    let more = "CREATE TABLE more (x BLOB); INSERT INTO more VALUES (zeroblob(9000000))";
                    let connection = Connection::open(&file).expect("a database");
                    connection.execute_batch(more).expect("our own database");
                }
                let reader = Reader::open(&state).await.expect("no trouble").expect("a state");
                assert_eq!(reader.runs().await.expect("no trouble").len(), 1);
                assert!(reader.nothing_but_loss().await.expect("no trouble").is_none());
                assert!(matches!(reader.run_by_id("other").await, Err(StoreError::NoSuchRun(_))));
                drop(reader);
                harm(&file, name, place, |byte| byte ^ 1);
                let opened = Reader::open(&state).await;
                let found = match &opened {
                    Ok(Some(reader)) => match reader.nothing_but_loss().await {
                        Ok(None) => reader.run_details("run").await.and(reader.runs().await.map(drop)),
                        Ok(Some(loss)) | Err(loss) => Err(loss),
                    },
                    Ok(None) => panic!("{name} {place}: there is a state"),
                    Err(error) => Err(error.clone()),
                };
                let damage = found.expect_err(name).to_string();
                assert!(damage.ends_with("is damaged"), "{is_large} {name} {place}: {damage}");
                assert_eq!(opened.is_err(), !is_large, "{name} {place}: a small one is looked through at once");
            }
        }
    }
}
