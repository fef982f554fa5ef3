//! The books of processes that are dead, and the end of this one.
//!
//! What surprises: a process may be taken for dead while it lives, stopped for long with its lock file gone. It finds that
//! out at its next call, and makes no more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::{Clock, sleep_until};
use crate::store::access::heartbeats;
use crate::store::access::identity::{ProcessIdentity, end};
use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::files::liveness::{self, Life, LockName, look, put_if_gone};
use crate::store::ledger::settlement::{Unheard, close_unheard_attempts};
use crate::store::trust::timelines;
use crate::store::trust::timelines::Timelines;
use crate::store::{Store, StoreError};

/// How often it is looked whether a process lives whose lock file was gone, and after what time.
const LOOKS_FOR_AN_OWNER: u32 = 60;
const BETWEEN_LOOKS_FOR_AN_OWNER: Duration = Duration::from_millis(100);

impl Store {
    /// Ends the open attempts of processes that are dead: each when nothing can hold its request any more
    /// ([`assumed_end`](crate::quota::ages::assumed_end)). What they carried may have taken effect. Calls that
    /// were stamped by clocks that nobody reads any more are adopted. Says how many attempts were open.
    pub(crate) async fn sweep_dead_processes(&self) -> Result<usize, StoreError> {
        let (identity, clock) = (self.identity.clone(), self.clock.clone());
        let sweep = move |transaction: &Transaction<'_>| {
            // What is lost of it is there to be swept again.
            transaction.may_be_lost();
            identity.sweep(transaction, clock.as_ref())
        };
        let Swept { attempts, locks } = self.writer.run(sweep).await?;
        for lock in locks {
            let _left = std::fs::remove_file(lock);
        }
        Ok(attempts)
    }
}

/// What was closed of the dead.
pub(in crate::store) struct Swept {
    /// How many attempts were open.
    attempts: usize,
    /// Lock files of the dead, which nobody needs any more once that is stored.
    locks: Vec<PathBuf>,
}

impl ProcessIdentity {
    /// Closes the books of the dead, as [`Store::sweep_dead_processes`] has it.
    pub(in crate::store) fn sweep(&self, transaction: &Transaction<'_>, clock: &dyn Clock) -> Result<Swept, SqlError> {
        let mut locks = Vec::new();
        match &self.lock_directory {
            Some(lock_directory) => {
                for (process_key, path) in dead_processes(transaction, lock_directory, put_if_gone)? {
                    // Somebody has put another file in the place of ours; we know better.
                    if process_key != self.process_key {
                        end(transaction, process_key)?;
                        locks.push(path);
                    }
                }
            }
            None => match self.patience() {
                Some(patience) => heartbeats::mark_the_dead(transaction, self.process_key, patience)?,
                None => return Ok(Swept { attempts: 0, locks }),
            },
        }
        let attempts = end_attempts_of_the_dead(transaction)?;
        timelines::adopt_abandoned(transaction, self.timeline_key, &self.seen, clock)?;
        Ok(Swept { attempts, locks })
    }
}

impl Store {
    /// Says to the others on a server that this process has come to its end, so that nobody waits for it.
    pub(in crate::store) async fn take_leave(&self) {
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
    pub(in crate::store) async fn find_out_who_lives(&self) -> Result<(), StoreError> {
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
        lock.iter().for_each(crate::store::files::liveness::OwnLock::let_go);
        heartbeats.iter().for_each(heartbeats::Heartbeats::stop);
        death.get().into_iter().for_each(crate::store::server::tests::cluster::Death::tell);
    }

    /// On a server, has its death known as soon as nobody uses it any more.
    pub(in crate::store) fn die_with_its_handles(&self, address: crate::store::ServerAddress) {
        let death = crate::store::server::tests::cluster::Death { address, process_key: self.identity.process_key };
        death.postpone();
        self.identity.heartbeats.iter().for_each(heartbeats::Heartbeats::stop);
        assert!(self.identity.death.set(death).is_ok(), "it dies once");
    }
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
pub(in crate::store) fn dead_processes(
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
