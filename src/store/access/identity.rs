//! This process in the books: its lock or its heartbeats, and its clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};

use super::heartbeats::{self, Heartbeats};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::engine::absence::Patience;
use crate::store::engine::commits;
use crate::store::engine::file_names::LOCK_DIRECTORY;
use crate::store::engine::sql::{Optional, SqlError, Transaction, params};
use crate::store::files::liveness::{Life, LockName, OwnLock, look, put_if_gone};
use crate::store::server::takeovers;
use crate::store::trust::custody::Finding;
use crate::store::trust::timelines::Seen;
use crate::store::trust::unknown_calls::Uncertainty;
use crate::store::trust::{custody, plausible, timelines};

/// How this process stands in the database.
#[derive(Debug)]
pub(in crate::store) struct ProcessIdentity {
    pub(in crate::store) process_key: i64,
    pub(in crate::store) timeline_key: i64,
    /// Held for as long as the process lives; the kernel frees it at death. The file stays until somebody sweeps, since
    /// removing it early could hide attempts that are still open.
    pub(in crate::store) _lock: Option<OwnLock>,
    pub(in crate::store) lock_directory: Option<PathBuf>,
    /// On a server, where there are no locks.
    pub(in crate::store) heartbeats: Option<Heartbeats>,
    /// What tells a server at once that this process is dead, as a lock does that is free.
    #[cfg(test)]
    pub(in crate::store) death: std::sync::OnceLock<crate::store::server::tests::cluster::Death>,
    /// What was seen of other clocks.
    pub(in crate::store) seen: Arc<Seen>,
}

impl ProcessIdentity {
    /// Takes a lock, and notes the process, its clock, and what it has found; also says how many commits there are then.
    /// Without a directory (in memory) there is no lock, and nobody else to see it.
    pub(in crate::store) fn enter(
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
        let failed = |error| StoreError::database(database, error);
        let opened = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let opened = opened.map_err(|error| failed(error.into()))?;
        let transaction = Transaction::within(&opened);
        let (process_key, timeline_key) = Self::note(&transaction, &lock_name, clock, finding).map_err(failed)?;
        if let Some(directory) = state_directory {
            custody::tell_apart(&transaction, finding, directory)?;
        }
        let commits = commits::count(&transaction).map_err(failed)?;
        opened.commit().map_err(|error| failed(error.into()))?;
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
    pub(in crate::store) fn patience(&self) -> Option<&Patience> {
        self.heartbeats.as_ref().map(Heartbeats::patience)
    }

    /// Where its database is, unless that is in memory or on a server.
    pub(in crate::store) fn state_directory(&self) -> Option<PathBuf> {
        self.lock_directory.as_deref().and_then(Path::parent).map(Path::to_owned)
    }

    /// Whether this process lives: it is ours, or nothing proves that it is dead. Whoever is taken for dead is marked as
    /// ended, and so finds out before its next call, whoever did that and whatever for.
    pub(in crate::store) fn is_alive(&self, transaction: &Transaction<'_>, process_key: i64) -> Result<bool, SqlError> {
        if process_key == self.process_key {
            return Ok(true);
        }
        if let Some(patience) = self.patience() {
            return heartbeats::is_alive(transaction, process_key, patience);
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
        end(transaction, process_key)?;
        Ok(false)
    }

    fn note(
        transaction: &Transaction<'_>,
        lock_name: &LockName,
        clock: &dyn Clock,
        finding: &Finding,
    ) -> Result<(i64, i64), SqlError> {
        let timeline_key = timelines::enter(transaction, clock)?;
        let process_key = insert(transaction, lock_name, timeline_key, clock)?;
        let had_impossible_times = plausible::put_right(transaction, timeline_key, clock.boot_time())?;
        let impossible = had_impossible_times.then_some(Uncertainty::ImpossibleTimes);
        let finding = Finding { uncertainty: finding.uncertainty.or(impossible), ..*finding };
        custody::take_over(transaction, &finding, timeline_key, clock)?;
        Ok((process_key, timeline_key))
    }

    /// Whether the state is on a server, and who lives is known by heartbeats.
    pub(in crate::store) const fn is_on_server(&self) -> bool {
        self.heartbeats.is_some()
    }
}

/// Notes a process on a server, with a clock of its own: two containers may show the same start of the machine and different
/// times since.
pub(super) fn note_on_server(
    transaction: &Transaction<'_>,
    lock_name: &LockName,
    clock: &dyn Clock,
) -> Result<(i64, i64), SqlError> {
    let timeline_key = timelines::enter_alone(transaction, clock)?;
    let process_key = insert(transaction, lock_name, timeline_key, clock)?;
    heartbeats::show(transaction, process_key)?;
    takeovers::note_return(transaction, process_key)?;
    custody::take_copy_over(transaction, timeline_key, clock)?;
    Ok((process_key, timeline_key))
}

fn insert(
    transaction: &Transaction<'_>,
    lock_name: &LockName,
    timeline_key: i64,
    clock: &dyn Clock,
) -> Result<i64, SqlError> {
    transaction.insert(
        "INSERT INTO process (lock_name, host, system_process_id, started_at, timeline_key) VALUES (?1, ?2, ?3, ?4, ?5)",
        "process_key",
        params![
            lock_name.as_str(),
            host_name(),
            std::process::id(),
            clock.wall_time().as_microsecond(),
            timeline_key
        ],
    )
}

/// The name of this machine, for people who look for a run's holder.
pub(in crate::store) fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    name
}

/// Marks a process as ended. Its lock file tells that it is dead until that is stored, and is in nobody's way then.
pub(in crate::store) fn end(transaction: &Transaction<'_>, process_key: i64) -> Result<(), SqlError> {
    transaction.execute("UPDATE process SET ended = 1 WHERE process_key = ?1", [process_key]).map(drop)
}
