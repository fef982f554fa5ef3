//! This process in the books, and how the others are known to be dead.
//!
//! Each process holds a kernel lock on a file of its own as long as it lives. Whoever finds that lock free knows that the
//! process is gone; process ids are never compared, since they are used again.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::ledger::{HELD_ON_THE_WAY, Unheard, close_unheard_attempts};
use super::{Store, StoreError, directory};
use crate::clock::Clock;

/// The directory of the lock files, in the state directory.
pub(super) const LOCK_DIRECTORY: &str = "processes";
/// Wall time is trusted to tell another boot's stamps old only beyond this: no zone or daylight mistake is larger.
const WALL_TIME_DOUBT_MICROSECONDS: i64 = 15 * 3600 * 1_000_000;
/// The longest pause that is believed.
const LONGEST_PAUSE_MICROSECONDS: i64 = 3600 * 1_000_000;
/// How long after a window of 24 hours, the longest that can be stated, an attempt may still matter.
pub(super) const KEPT_ACROSS_BOOTS_MICROSECONDS: i64 =
    24 * 3600 * 1_000_000 + WALL_TIME_DOUBT_MICROSECONDS + 3600 * 1_000_000;

/// How this process stands in the database.
#[derive(Debug)]
pub(super) struct ProcessIdentity {
    pub(super) process_key: i64,
    pub(super) timeline_key: i64,
    /// Held for as long as the process lives; the kernel frees it at death. The file stays until somebody sweeps, since
    /// removing it early could hide attempts that are still open.
    _lock: Option<File>,
    pub(super) lock_directory: Option<PathBuf>,
}

impl ProcessIdentity {
    /// Takes a lock, and notes the process and this start of the machine. Without a directory (in memory) there is no
    /// lock, and nobody else to see it.
    pub(super) fn enter(
        connection: &mut Connection,
        database: &Path,
        state_directory: Option<&Path>,
        clock: &dyn Clock,
    ) -> Result<Self, StoreError> {
        let lock_name = format!("{:016x}.lock", fastrand::u64(..));
        let lock_directory = state_directory.map(|path| path.join(LOCK_DIRECTORY));
        let lock = match &lock_directory {
            Some(path) => Some(take_lock(path, &lock_name)?),
            None => None,
        };
        let (process_key, timeline_key) =
            Self::note(connection, &lock_name, clock).map_err(|error| StoreError::database(database, error))?;
        Ok(Self { process_key, timeline_key, _lock: lock, lock_directory })
    }

    /// Whether this process lives: it is ours, or somebody holds its lock.
    pub(super) fn is_alive(&self, transaction: &Transaction<'_>, process_key: i64) -> Result<bool, rusqlite::Error> {
        if process_key == self.process_key {
            return Ok(true);
        }
        let lock_name: Option<String> = transaction
            .prepare_cached("SELECT lock_name FROM process WHERE process_key = ?1 AND ended = 0")?
            .query_row([process_key], |row| row.get(0))
            .optional()?;
        Ok(match (lock_name, &self.lock_directory) {
            (Some(lock_name), Some(directory)) => is_held(&directory.join(lock_name)),
            _ => false,
        })
    }

    fn note(connection: &mut Connection, lock_name: &str, clock: &dyn Clock) -> Result<(i64, i64), rusqlite::Error> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let timeline_key = note_boot(&transaction, clock)?;
        transaction.execute(
            "INSERT INTO process (lock_name, host, system_process_id, started_at) VALUES (?1, ?2, ?3, ?4)",
            params![lock_name, host_name(), std::process::id(), clock.wall_time().as_microsecond()],
        )?;
        let process_key = transaction.last_insert_rowid();
        transaction.commit()?;
        Ok((process_key, timeline_key))
    }
}

fn take_lock(directory_path: &Path, name: &str) -> Result<File, StoreError> {
    directory::secure(directory_path)?;
    let path = directory_path.join(name);
    let file = directory::create_private_file(&path)?;
    let failed = |source| StoreError::Io { path: path.clone(), source: Arc::new(source) };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(failed(std::io::ErrorKind::WouldBlock.into())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// The name of this machine, for people who look for a run's holder.
fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    name
}

/// Finds or notes this start of the machine. Stamps of an earlier one count from now on as if their calls had ended now
/// (or later, if they may not have arrived yet), but for what wall time surely knows to be older: an attempt of age A
/// counts as A − 15 h old.
fn note_boot(transaction: &Transaction<'_>, clock: &dyn Clock) -> Result<i64, rusqlite::Error> {
    let known = transaction
        .query_row("SELECT timeline_key FROM timeline WHERE clock = ?1", [clock.boot_id().as_str()], |row| row.get(0))
        .optional()?;
    if let Some(timeline_key) = known {
        return Ok(timeline_key);
    }
    let now = clock.boot_time().as_microseconds();
    let now_wall = clock.wall_time().as_microsecond();
    transaction
        .execute("INSERT INTO timeline (clock, position) VALUES (?1, ?2)", params![clock.boot_id().as_str(), now])?;
    let timeline_key = transaction.last_insert_rowid();
    carry_attempts(transaction, timeline_key, now, now_wall)?;
    // A pause that the service asked for goes on; what wall time says of the rest is believed up to an hour.
    transaction.execute(
        "UPDATE bucket_pause SET timeline_key = ?1, until = ?2 + min(max(until_at - ?3, 0), ?4) WHERE timeline_key <> ?1",
        params![timeline_key, now, now_wall, LONGEST_PAUSE_MICROSECONDS],
    )?;
    // Should that boot come back (a disk that is carried from one machine to another), its stamps count from then on.
    transaction.execute("DELETE FROM timeline WHERE timeline_key <> ?1", [timeline_key])?;
    Ok(timeline_key)
}

/// Puts the attempts of an earlier start of the machine on this one's clock.
fn carry_attempts(
    transaction: &Transaction<'_>,
    timeline_key: i64,
    now: i64,
    now_wall: i64,
) -> Result<(), rusqlite::Error> {
    // How long an attempt took is on one clock and can be trusted; it stays so, should the machine be started again. One
    // that was open may still arrive for as long as that, and one that was given up for as long as anything holds it: a
    // virtual machine is up again before.
    transaction.execute(
        "UPDATE attempt SET timeline_key = ?1, ended = carried.ended, started = carried.ended - carried.took
         FROM (
             SELECT attempt_key AS key, took, ?2 + may_still_arrive - max(0, ?3 - (started_at + took) - ?4) AS ended
             FROM (
                 SELECT attempt_key, started_at, coalesce(ended, assumed_end) - started AS took,
                     CASE WHEN ended IS NULL THEN assumed_end - started WHEN http_status IS NULL THEN ?6 ELSE 0 END
                         AS may_still_arrive
                 FROM attempt WHERE timeline_key <> ?1 AND started_at > ?3 - ?5
             )
         ) AS carried
         WHERE attempt_key = carried.key",
        params![
            timeline_key,
            now,
            now_wall,
            WALL_TIME_DOUBT_MICROSECONDS,
            KEPT_ACROSS_BOOTS_MICROSECONDS,
            i64::try_from(HELD_ON_THE_WAY.as_micros()).unwrap_or(i64::MAX),
        ],
    )?;
    // What is older can only be history; it must not look as if it were in flight.
    transaction
        .execute("UPDATE attempt SET ended = assumed_end WHERE timeline_key <> ?1 AND ended IS NULL", [timeline_key])?;
    Ok(())
}

impl Store {
    /// Ends the open attempts of processes that are dead: each at its start, its time-out and thirty seconds, the
    /// longest that anything on the way is assumed to hold a request. What they carried may have taken effect. Says how
    /// many attempts were open.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn sweep_dead_processes(&self) -> Result<usize, StoreError> {
        let Some(lock_directory) = self.identity.lock_directory.clone() else { return Ok(0) };
        let own = self.identity.process_key;
        self.writer
            .run(move |transaction| {
                let mut ended = 0;
                for (process_key, path) in dead_processes(transaction, &lock_directory)? {
                    // Somebody has removed our file; we know better.
                    if process_key == own {
                        continue;
                    }
                    close_unheard_attempts(transaction, &Unheard::OfProcess(process_key), None, "lost")?;
                    ended += transaction.execute(
                        "UPDATE attempt SET ended = assumed_end WHERE process_key = ?1 AND ended IS NULL",
                        [process_key],
                    )?;
                    transaction.execute("UPDATE process SET ended = 1 WHERE process_key = ?1", [process_key])?;
                    // If the file cannot be removed it is in nobody's way: its process is marked as ended.
                    let _left = std::fs::remove_file(&path);
                }
                Ok(ended)
            })
            .await
    }
}

/// Processes that have died without anybody having noted it, with their lock files.
pub(super) fn dead_processes(
    transaction: &Transaction<'_>,
    lock_directory: &Path,
) -> Result<Vec<(i64, PathBuf)>, rusqlite::Error> {
    let mut statement = transaction.prepare_cached("SELECT process_key, lock_name FROM process WHERE ended = 0")?;
    let mut processes = statement
        .query_map([], |row| Ok((row.get(0)?, lock_directory.join(row.get::<_, String>(1)?))))?
        .collect::<Result<Vec<_>, _>>()?;
    processes.retain(|(_, path)| !is_held(path));
    Ok(processes)
}

/// Whether a living process holds the lock on this file. What cannot be found out counts as held.
pub(super) fn is_held(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => !matches!(file.try_lock_shared(), Ok(())),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
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
            let identity = ProcessIdentity::enter(&mut connection, path, None, &before).expect("an identity");
            connection
                .execute("INSERT INTO account (account_key, tenant, app) VALUES (1, 't', 'a')", [])
                .expect("an account");
            connection
                .execute(
                    "INSERT INTO attempt (attempt_key, account_key, bucket, process_key, call_kind, operations, timeline_key,
                         started, assumed_end, ended, started_at, http_status)
                     VALUES (1, 1, 1, ?1, 'tags', x'', ?2, 500, 500, ?3, ?4, 200)",
                    params![identity.process_key, identity.timeline_key, had_ended.then_some(500), now - age],
                )
                .expect("an attempt");
            let after = clock("after", now);
            let opened = ProcessIdentity::enter(&mut connection, path, None, &after).expect("an identity");
            let (timeline_key, end) = ended(&connection, 1);
            match expected {
                Some(earlier) => {
                    assert_eq!((timeline_key, end), (opened.timeline_key, Some(HOUR - earlier)), "{age} {had_ended}");
                }
                None => assert_eq!((timeline_key, end), (identity.timeline_key, Some(500)), "{age} {had_ended}"),
            }
        }
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
        // The time-out, thirty seconds on the way, and the window with its margin.
        assert_eq!(until, ticket.started.plus(Duration::from_micros(41_000_500)));
    }
}
