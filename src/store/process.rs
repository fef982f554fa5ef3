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
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::clock::{BootId, BootTime, SharedClock, SystemClock, VirtualClock};
    use crate::model::Bucket;
    use crate::store::{Admission, AttemptRequest, Refusal};

    const HOUR: i64 = 3600 * 1_000_000;

    /// A clock of the start of the machine called `boot`, that has been up for an hour.
    fn clock(boot: &str, wall_microseconds: i64) -> VirtualClock {
        let wall = Timestamp::from_microsecond(wall_microseconds).expect("a time");
        VirtualClock::new(BootId::new(boot.into()), BootTime::from_microseconds(HOUR), wall)
    }

    fn ended(connection: &Connection, attempt: i64) -> (i64, Option<i64>) {
        connection
            .query_row("SELECT timeline_key, ended FROM attempt WHERE attempt_key = ?1", [attempt], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .expect("an attempt")
    }

    /// What became of an attempt after a restart: (age in wall time, whether it had ended, its end under the new start
    /// as microseconds before the first opening; `None` if it is history).
    #[tokio::test(start_paused = true)]
    async fn stamps_of_another_boot_count_from_now_unless_wall_time_surely_knows_better() {
        let table = [
            (0, true, Some(0)),
            (HOUR, true, Some(0)),
            (HOUR, false, Some(0)),
            (15 * HOUR, true, Some(0)),
            (16 * HOUR, true, Some(HOUR)),
            (30 * HOUR, true, Some(15 * HOUR)),
            // A clock that was set back makes nothing younger than now.
            (-5 * HOUR, true, Some(0)),
            (41 * HOUR, true, None),
            (41 * HOUR, false, None),
        ];
        for (age, had_ended, expected) in table {
            let now = 100 * HOUR;
            let path = Path::new(":memory:");
            let mut connection = Connection::open_in_memory().expect("a database");
            crate::store::prepare(&mut connection, path).expect("a schema");
            let before = clock("before", now - age);
            let (identity, _) =
                ProcessIdentity::enter(&mut connection, path, None, &before, &Finding::default()).expect("an identity");
            connection
                .execute("INSERT INTO account (account_key, tenant, app) VALUES (1, 't', 'a')", [])
                .expect("an account");
            connection
                .execute(
                    "INSERT INTO attempt (attempt_key, account_key, bucket, process_key, call_kind, operations, timeline_key,
                         started, assumed_end, ended, started_at, http_status)
                     VALUES (1, 1, 1, ?1, 'tags', x'', ?2, 3600000000, 3600000000, ?3, ?4, 200)",
                    params![identity.process_key, identity.timeline_key, had_ended.then_some(HOUR), now - age],
                )
                .expect("an attempt");
            let after = clock("after", now);
            let (opened, _) =
                ProcessIdentity::enter(&mut connection, path, None, &after, &Finding::default()).expect("an identity");
            let transaction = connection.transaction().expect("a transaction");
            transaction
                .execute("UPDATE process SET ended = 1 WHERE timeline_key <> ?1", [opened.timeline_key])
                .expect("a death");
            end_attempts_of_the_dead(&Transaction::within(&transaction)).expect("ends");
            timelines::adopt_abandoned(&Transaction::within(&transaction), opened.timeline_key, &after)
                .expect("an adoption");
            transaction.commit().expect("a commit");
            let (timeline_key, end) = ended(&connection, 1);
            match expected {
                Some(earlier) => {
                    assert_eq!((timeline_key, end), (opened.timeline_key, Some(HOUR - earlier)), "{age} {had_ended}");
                }
                None => assert_eq!((timeline_key, end), (identity.timeline_key, Some(HOUR)), "{age} {had_ended}"),
            }
        }
    }

    #[tokio::test]
    async fn what_stands_in_the_database_for_a_lock_is_no_path_to_anything_else() {
        let place = tempfile::tempdir().expect("a directory");
        crate::store::server::cluster::keep_in_files(place.path());
        let path = place.path().join("state");
        let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
        for name in ["../../victim", "../tagfleet.sqlite3", "0123456789abcdef.lock/../../../victim"] {
            let store = Store::open(&path, clock.clone()).await.expect("a store");
            let victim = place.path().join("victim");
            std::fs::write(&victim, "somebody's").expect("our own file");
            let written = store.writer.run(move |transaction| {
                transaction.execute(
                    "INSERT INTO process (lock_name, host, system_process_id, started_at) VALUES (?1, '', 1, 0)",
                    [name],
                )
            });
            written.await.expect("the store works");
            let swept = store.sweep_dead_processes().await;
            assert!(swept.is_err_and(|error| error.to_string().ends_with("is damaged")), "{name}");
            let listed = store.runs().await;
            assert!(listed.is_err_and(|error| error.to_string().ends_with("is damaged")), "{name}");
            assert_eq!(std::fs::read(&victim).expect("it is still there"), b"somebody's");
            let removed =
                store.writer.run(|transaction| transaction.execute("DELETE FROM process WHERE host = ''", params![]));
            assert_eq!(removed.await.expect("the store works"), 1);
        }
    }

    #[tokio::test]
    async fn a_process_whose_lock_file_is_gone_is_in_nobodys_way_once_it_is_dead() {
        let directory = tempfile::tempdir().expect("a directory");
        crate::store::server::cluster::keep_in_files(directory.path());
        let path = directory.path().join("state");
        let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
        let [dead, living] = [(); 2].map(|()| Store::open(&path, clock.clone()));
        let (dead, living) = (dead.await.expect("a store"), living.await.expect("a store"));
        let [dead_key, living_key] = [&dead, &living].map(|store| store.identity.process_key);
        drop(dead);
        std::fs::remove_dir_all(path.join(LOCK_DIRECTORY)).expect("our own files");
        let next = Store::open(&path, clock).await.expect("a store");
        let identity = next.identity.clone();
        let lives = next.writer.run(move |transaction| {
            Ok((identity.is_alive(transaction, dead_key)?, identity.is_alive(transaction, living_key)?))
        });
        assert_eq!(lives.await.expect("the store works"), (false, true));
    }

    #[tokio::test]
    async fn calls_of_a_dead_process_count_until_nothing_can_hold_them_any_more_and_those_of_a_living_one_as_in_flight()
    {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        let clock: SharedClock = Arc::new(SystemClock::new().expect("clocks"));
        let first = Store::open(&path, clock.clone()).await.expect("a store");
        let account = first.account("tenant", "app").await.expect("an account");
        let request = || AttemptRequest {
            account,
            bucket: Bucket::Tags,
            counted_buckets: vec![Bucket::Tags],
            quota: "1/1s".parse().expect("a quota"),
            run: None,
            call_kind: "tags",
            operations: vec![],
            time_out: Duration::from_secs(10),
        };
        let Admission::Granted(ticket) = first.admit(request()).await.expect("an answer") else { panic!("refused") };
        let second = Store::open(&path, clock.clone()).await.expect("a store");
        let refusal = second.admit(request()).await.expect("an answer");
        assert!(matches!(refusal, Admission::Refused(Refusal::InFlight { .. })), "{refusal:?}");
        assert_eq!(second.sweep_dead_processes().await.expect("a sweep"), 0);
        // The lock goes with the last handle, as it does with the process.
        drop(first);
        assert_eq!(second.sweep_dead_processes().await.expect("a sweep"), 1);
        let Admission::Refused(Refusal::Window { until, .. }) = second.admit(request()).await.expect("an answer")
        else {
            panic!("no window")
        };
        // Five seconds until it left, the time-out, thirty seconds on the way, and the window with its margin.
        let earliest = ticket.started.plus(Duration::from_micros(46_000_500));
        if server::cluster::is_wanted() {
            // By another clock it is known as ended a little later.
            assert!(until >= earliest && until.since(earliest) < Duration::from_mins(1), "{until:?} {earliest:?}");
        } else {
            assert_eq!(until, earliest);
        }
    }
}
