//! This process in the books, and the books of those that are dead.
//!
//! What surprises: a process may be taken for dead while it lives, stopped for long with its lock file gone. It finds that
//! out at its next call, and makes no more.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::absence::Patience;
use super::custody::{Finding, Uncertainty};
use super::liveness::{LOCK_DIRECTORY, Life, LockName, OwnLock, look, put_if_gone};
use super::server::{self, Heartbeats};
use super::settlement::{Unheard, close_unheard_attempts};
use super::sql::{Optional, SqlError, Transaction, params};
use super::timelines::{Seen, Timelines};
use super::{Store, StoreError, custody, liveness, plausible, timelines};
use crate::clock::{Clock, sleep_until};

/// How often it is looked whether a process lives whose lock file was gone, and after what time.
const LOOKS_FOR_AN_OWNER: u32 = 60;
const BETWEEN_LOOKS_FOR_AN_OWNER: Duration = Duration::from_millis(100);

/// How this process stands in the database.
#[derive(Debug)]
pub(super) struct ProcessIdentity {
    pub(super) process_key: i64,
    pub(super) timeline_key: i64,
    /// Held for as long as the process lives; the kernel frees it at death. The file stays until somebody sweeps, since
    /// removing it early could hide attempts that are still open.
    _lock: Option<OwnLock>,
    pub(super) lock_directory: Option<PathBuf>,
    /// On a server, where there are no locks.
    heartbeats: Option<Heartbeats>,
    /// What tells a server at once that this process is dead, as a lock does that is free.
    #[cfg(test)]
    death: std::sync::OnceLock<server::cluster::Death>,
    /// What was seen of other clocks.
    pub(super) seen: Arc<Seen>,
}

impl ProcessIdentity {
    /// Takes a lock, and notes the process, its clock, and what it has found; also says how many commits there are then.
    /// Without a directory (in memory) there is no lock, and nobody else to see it.
    pub(super) fn enter(
        connection: &mut Connection,
        database: &Path,
        state_directory: Option<&Path>,
        clock: &dyn Clock,
        finding: &Finding,
    ) -> Result<(Self, i64), StoreError> {
        let lock_name = LockName::random();
        let lock_directory = state_directory.map(|path| path.join(LOCK_DIRECTORY));
        let lock = match &lock_directory {
            Some(path) => Some(OwnLock::take(path, &lock_name)?),
            None => None,
        };
        let noted = Self::note(connection, &lock_name, clock, finding);
        let (process_key, timeline_key, commits) = noted.map_err(|error| StoreError::database(database, error))?;
        Ok((Self { _lock: lock, lock_directory, ..Self::alone(process_key, timeline_key) }, commits))
    }

    /// A process that is noted on a server.
    pub(super) fn on_server(process_key: i64, timeline_key: i64, heartbeats: Heartbeats, seen: Arc<Seen>) -> Self {
        Self { heartbeats: Some(heartbeats), seen, ..Self::alone(process_key, timeline_key) }
    }

    fn alone(process_key: i64, timeline_key: i64) -> Self {
        Self {
            process_key,
            timeline_key,
            _lock: None,
            lock_directory: None,
            heartbeats: None,
            #[cfg(test)]
            death: std::sync::OnceLock::new(),
            seen: Arc::default(),
        }
    }

    /// How long a server is waited for that is away, and whether it is; `None` where there is none.
    pub(super) fn patience(&self) -> Option<&Patience> {
        self.heartbeats.as_ref().map(Heartbeats::patience)
    }

    /// Where its database is, unless that is in memory or on a server.
    pub(super) fn state_directory(&self) -> Option<PathBuf> {
        self.lock_directory.as_deref().and_then(Path::parent).map(Path::to_owned)
    }

    /// Whether this process lives: it is ours, or nothing proves that it is dead. Whoever is taken for dead is marked as
    /// ended, and so finds out before its next call, whoever did that and whatever for.
    pub(super) fn is_alive(&self, transaction: &Transaction<'_>, process_key: i64) -> Result<bool, SqlError> {
        if process_key == self.process_key {
            return Ok(true);
        }
        if let Some(patience) = self.patience() {
            return server::is_alive(transaction, process_key, patience);
        }
        let lock_name: Option<LockName> = transaction
            .prepare_cached("SELECT lock_name FROM process WHERE process_key = ?1 AND ended = 0")?
            .query_row([process_key], |row| row.get(0))
            .optional()?;
        let (Some(lock_name), Some(directory)) = (lock_name, &self.lock_directory) else { return Ok(false) };
        let path = lock_name.within(directory);
        put_if_gone(&path);
        if look(&path) != Life::Dead {
            return Ok(true);
        }
        end(transaction, process_key, &path)?;
        Ok(false)
    }

    fn note(
        connection: &mut Connection,
        lock_name: &LockName,
        clock: &dyn Clock,
        finding: &Finding,
    ) -> Result<(i64, i64, i64), SqlError> {
        let opened = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let transaction = Transaction::within(&opened);
        let timeline_key = timelines::enter(&transaction, clock)?;
        let process_key = transaction.insert(
            "INSERT INTO process (lock_name, host, system_process_id, started_at, timeline_key)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            "process_key",
            params![
                lock_name.as_str(),
                host_name(),
                std::process::id(),
                clock.wall_time().as_microsecond(),
                timeline_key
            ],
        )?;
        let had_impossible_times = plausible::put_right(&transaction, timeline_key, clock.boot_time())?;
        let impossible = had_impossible_times.then_some(Uncertainty::ImpossibleTimes);
        let finding = Finding { uncertainty: finding.uncertainty.or(impossible), ..*finding };
        custody::take_over(&transaction, &finding, timeline_key, clock)?;
        let commits = custody::count(&transaction)?;
        opened.commit()?;
        Ok((process_key, timeline_key, commits))
    }
}

/// Notes a process on a server, with a clock of its own: two containers may show the same start of the machine and different
/// times since.
pub(super) fn note_on_server(transaction: &Transaction<'_>, clock: &dyn Clock) -> Result<(i64, i64), SqlError> {
    let timeline_key = timelines::enter_alone(transaction, clock)?;
    let process_key = transaction.insert(
        "INSERT INTO process (lock_name, host, system_process_id, started_at, timeline_key) VALUES (?1, ?2, ?3, ?4, ?5)",
        "process_key",
        params![
            LockName::random().as_str(),
            host_name(),
            std::process::id(),
            clock.wall_time().as_microsecond(),
            timeline_key
        ],
    )?;
    server::show(transaction, process_key)?;
    Ok((process_key, timeline_key))
}

/// The name of this machine, for people who look for a run's holder.
fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    name
}

impl Store {
    /// Ends the open attempts of processes that are dead: each when nothing can hold its request any more
    /// ([`assumed_end`](crate::quota::ages::assumed_end)). What they carried may have taken effect. Calls that
    /// were stamped by clocks that nobody reads any more are adopted. Says how many attempts were open.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn sweep_dead_processes(&self) -> Result<usize, StoreError> {
        let (identity, clock) = (self.identity.clone(), self.clock.clone());
        self.writer.run(move |transaction| identity.sweep(transaction, clock.as_ref())).await
    }
}

impl ProcessIdentity {
    /// Whether the state is on a server, and who lives is known by heartbeats.
    pub(super) const fn is_on_server(&self) -> bool {
        self.heartbeats.is_some()
    }

    /// Closes the books of the dead, as [`Store::sweep_dead_processes`] has it.
    pub(super) fn sweep(&self, transaction: &Transaction<'_>, clock: &dyn Clock) -> Result<usize, SqlError> {
        match &self.lock_directory {
            Some(lock_directory) => {
                for (process_key, path) in dead_processes(transaction, lock_directory, put_if_gone)? {
                    // Somebody has put another file in the place of ours; we know better.
                    if process_key != self.process_key {
                        end(transaction, process_key, &path)?;
                    }
                }
            }
            None => match self.patience() {
                Some(patience) => server::mark_the_dead(transaction, self.process_key, patience)?,
                None => return Ok(0),
            },
        }
        let ended = end_attempts_of_the_dead(transaction)?;
        timelines::adopt_abandoned(transaction, self.timeline_key, clock)?;
        Ok(ended)
    }
}

impl Store {
    /// Says to the others on a server that this process has come to its end, so that nobody waits for it.
    pub(super) async fn take_leave(&self) {
        // Nobody waits for a server only to take leave.
        if !self.identity.is_on_server() || self.absence().is_some() {
            return;
        }
        let (process_key, timeline_key) = (self.identity.process_key, self.identity.timeline_key);
        let clock = self.clock.clone();
        let ending = self.writer.run(move |transaction| {
            // What it has called ages from here on by the clocks of others.
            Timelines::report(transaction, timeline_key, clock.as_ref())?;
            transaction.execute("UPDATE process SET ended = 1 WHERE process_key = ?1", [process_key])
        });
        if let Err(error) = ending.await {
            tracing::info!(%error, "this process is in the books as if it were at work, for half a minute");
        }
    }

    /// Waits until it is known of every process in the books whether it lives. One whose lock file was gone takes its lock
    /// again within a second, or is dead; until then it would be in everybody's way.
    pub(super) async fn find_out_who_lives(&self) -> Result<(), StoreError> {
        let Some(lock_directory) = self.identity.lock_directory.clone() else { return Ok(()) };
        for look in 0..LOOKS_FOR_AN_OWNER {
            let locks = lock_directory.clone();
            let is_unknown = move |name: &LockName| liveness::look(&name.within(&locks)) == Life::Unknown;
            let unknown = self.reader.connection.run(move |transaction| {
                let names = living(transaction)?;
                Ok(names.iter().any(|(_, name)| is_unknown(name)))
            });
            match (unknown.await?, look) {
                (false, 0) => return Ok(()),
                (false, _) => break,
                (true, _) => {
                    let next = self.clock.boot_time().plus(BETWEEN_LOOKS_FOR_AN_OWNER);
                    sleep_until(self.clock.as_ref(), next).await;
                }
            }
        }
        self.sweep_dead_processes().await.map(drop)
    }
}

#[cfg(test)]
impl Store {
    /// Lets others take this process for dead from now on.
    pub(crate) fn seem_dead(&self) {
        let ProcessIdentity { _lock: lock, heartbeats, death, .. } = &*self.identity;
        lock.iter().for_each(OwnLock::let_go);
        heartbeats.iter().for_each(Heartbeats::stop);
        death.get().into_iter().for_each(server::cluster::Death::tell);
    }

    /// On a server, has its death known as soon as nobody uses it any more.
    pub(super) fn die_with_its_handles(&self, address: server::ServerAddress) {
        let death = server::cluster::Death { address, process_key: self.identity.process_key };
        death.postpone();
        self.identity.heartbeats.iter().for_each(Heartbeats::stop);
        assert!(self.identity.death.set(death).is_ok(), "it dies once");
    }
}

/// Marks a process as ended.
fn end(transaction: &Transaction<'_>, process_key: i64, lock: &Path) -> Result<(), SqlError> {
    transaction.execute("UPDATE process SET ended = 1 WHERE process_key = ?1", [process_key])?;
    // If the file cannot be removed it is in nobody's way: its process is marked as ended.
    let _left = std::fs::remove_file(lock);
    Ok(())
}

/// Ends what processes have open that are marked as ended, or that the books have forgotten, whenever they were.
fn end_attempts_of_the_dead(transaction: &Transaction<'_>) -> Result<usize, SqlError> {
    let of_the_dead =
        "NOT EXISTS (SELECT 1 FROM process WHERE process.process_key = attempt.process_key AND ended = 0)";
    let unheard = transaction
        .prepare_cached(&format!(
            "SELECT DISTINCT process_key FROM attempt
             WHERE verdict IS NULL AND run_key IS NOT NULL AND {of_the_dead}"
        ))?
        .query_map(params![], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    let open = transaction
        .prepare_cached(&format!("SELECT count(*) FROM attempt WHERE ended IS NULL AND {of_the_dead}"))?
        .query_row(params![], |row| row.get::<u32>(0))?;
    for process_key in unheard {
        close_unheard_attempts(transaction, &Unheard::OfProcess(process_key), None, "lost")?;
    }
    transaction
        .prepare_cached(&format!("UPDATE attempt SET ended = assumed_end WHERE ended IS NULL AND {of_the_dead}"))?
        .execute(params![])?;
    Ok(open as usize)
}

/// Processes that have died without anybody having noted it, with their lock files. `missed` is told of every file that is
/// gone.
pub(super) fn dead_processes(
    transaction: &Transaction<'_>,
    lock_directory: &Path,
    missed: impl Fn(&Path),
) -> Result<Vec<(i64, PathBuf)>, SqlError> {
    let processes = living(transaction)?.into_iter().map(|(key, name)| (key, name.within(lock_directory)));
    let is_dead = |(_, path): &(i64, PathBuf)| {
        missed(path);
        look(path) == Life::Dead
    };
    Ok(processes.filter(is_dead).collect())
}

/// The processes that nobody has marked as ended, and the names of their locks.
fn living(transaction: &Transaction<'_>) -> Result<Vec<(i64, LockName)>, SqlError> {
    let mut statement = transaction.prepare_cached("SELECT process_key, lock_name FROM process WHERE ended = 0")?;
    statement.query_map(params![], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

#[cfg(test)]
mod tests;
