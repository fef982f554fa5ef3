//! Whether the database is the one that was left, and what follows when it is not.
//!
//! Every commit is counted in one row, and the [`witness`](super::witness) says how many there must be. A database with
//! fewer has lost the others. One whose witness is gone, damaged or was put there by somebody else may have lost some: then
//! its history stands, but not its ledger. Either way nobody knows which calls were made until a moment ago, so the quota
//! starts full: as if every window were used up at that moment, for every account, bucket and limit. That ages like any
//! call. What was lost may also have carried operations that are still open here; these may have been done.
//!
//! Row and witness also say which state they are of. Where they differ, one of them was put there from elsewhere, and what was
//! stored here last is lost. Whoever takes a state over of which something is uncertain gives it another number: what
//! becomes of the copies of it is not its history.
//!
//! What surprises: the row also says how many commits the file itself held when its journal was last empty. With fewer than
//! that in the file, or with fewer in file and journal together than in the file alone, the two are of different times, and
//! to read them together would make a database that never was.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::plausible::WALL_TIME_DOUBT_MICROSECONDS;
use super::seal;
use super::timelines::{Timelines, enter_alone};
use super::unknown_calls::{Uncertainty, UnknownCallsOf, unknown};
use super::witness::{self, WitnessRecord, system_time_microseconds};
use crate::clock::{BootTime, Clock};
use crate::quota::ages::{LONGEST_TIME_OUT, assumed_end, given_up};
use crate::store::StoreError;
use crate::store::engine::commits::{StateId, Tally, tally, tally_in_file};
use crate::store::engine::file_names::{DATABASE_NAME, journal_of};
use crate::store::engine::schema;
use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::files::database::open;
use crate::store::forms::encoding::timestamp;
use crate::store::forms::run::{OperationState, RunState};

/// How long ago somebody may have changed the witness that it still matters: the longest window, and what wall time is
/// trusted by.
const TOUCH_MATTERS_MICROSECONDS: i64 = 24 * 3600 * 1_000_000 + WALL_TIME_DOUBT_MICROSECONDS;
/// How often file and journal are compared before they are believed to be of different times: others may be writing.
const COMPARISONS: u32 = 3;
/// How often a witness is looked for again, and after what time: a process notes its first commit within milliseconds.
const LOOKS_FOR_A_WITNESS: u32 = 10;
const BETWEEN_LOOKS_FOR_A_WITNESS: Duration = Duration::from_millis(50);

/// What an opening has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Finding {
    /// Why the ledger may be incomplete.
    pub(in crate::store) uncertainty: Option<Uncertainty>,
    /// The commits that the witness has seen.
    pub(in crate::store) witnessed: i64,
    /// When the last of them was noted, in microseconds since 1970.
    pub(in crate::store) until: i64,
    /// The commits that the file holds for good, if its journal is empty.
    pub(in crate::store) in_file: Option<i64>,
    /// Which state it is.
    pub(in crate::store) state: Option<StateId>,
}

impl Finding {
    /// The error of a database that has lost commits.
    pub(in crate::store) fn loss(&self, database: &Path) -> Option<StoreError> {
        let (path, until) = (database.to_owned(), timestamp(self.until));
        match self.uncertainty? {
            Uncertainty::Lost => Some(StoreError::HistoryLost { path, until }),
            Uncertainty::OfAnotherState => Some(StoreError::OfAnotherState { path, until }),
            _ => None,
        }
    }
}

/// Compares an open database with the testimony that was read before it was opened. Of a state that another process is just
/// making, the database may be there before the witness, and one that it takes over may be another by now; so one that seems
/// to have none, or another's, is looked at again.
pub(in crate::store) fn examine(
    connection: &Connection,
    file: &Path,
    testimony: &WitnessRecord,
) -> Result<Finding, StoreError> {
    let mut finding = compare(connection, file, testimony)?;
    let directory = file.parent().unwrap_or(file);
    for _ in 0..LOOKS_FOR_A_WITNESS {
        if !matches!(finding.uncertainty, Some(Uncertainty::NoWitness | Uncertainty::OfAnotherState)) {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS_FOR_A_WITNESS);
        finding = compare(connection, file, &WitnessRecord::read(directory)?)?;
    }
    Ok(finding)
}

fn compare(connection: &Connection, file: &Path, testimony: &WitnessRecord) -> Result<Finding, StoreError> {
    let failed = |error| StoreError::database(file, error);
    let is_journal_empty = || journal_of(file).metadata().map_or(true, |metadata| metadata.len() == 0);
    let mut testimony = testimony.clone();
    for comparison in 1.. {
        if comparison > 1 && testimony.is_there {
            testimony = WitnessRecord::read(file.parent().unwrap_or(file))?;
        }
        let was_journal_empty = is_journal_empty();
        // The file comes first: whoever writes meanwhile adds to both. Without a journal, what is found is in the file.
        let in_file = if was_journal_empty { None } else { tally_in_file(file) };
        let found = tally(connection).map_err(failed)?;
        let Tally { commits, in_file: held, state } = found;
        let is_of_one_time = in_file.is_none_or(|in_file| held <= in_file.commits && in_file.commits <= commits);
        if is_of_one_time && in_file.is_none_or(|in_file| testimony.has_seen_change(in_file.state, state)) {
            // A program that counted no commits had no witness either.
            if commits == 0 && was_used(connection).map_err(failed)? {
                testimony.removed_after = None;
            }
            let uncertainty = judge(&testimony, &found, system_time_microseconds());
            let in_file = (was_journal_empty && is_journal_empty()).then_some(commits);
            return Ok(Finding { uncertainty, witnessed: testimony.commits, until: testimony.until(), in_file, state });
        }
        if comparison == COMPARISONS {
            break;
        }
    }
    Err(StoreError::Mismatched { path: file.to_owned() })
}

/// Whether anything was ever stored in the database.
fn was_used(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM process) OR EXISTS (SELECT 1 FROM account)";
    connection.query_row(sql, [], |row| row.get(0))
}

/// What a testimony says of a database with so many commits, at a moment of the system's wall time.
fn judge(testimony: &WitnessRecord, found: &Tally, now: i64) -> Option<Uncertainty> {
    let commits = found.commits;
    let matters = |touched_at: i64| now.saturating_sub(touched_at) < TOUCH_MATTERS_MICROSECONDS;
    if commits < testimony.commits || (commits == 0 && testimony.removed_after.is_some()) {
        Some(Uncertainty::Lost)
    } else if testimony.commits > 0 && !testimony.knows(found.state) {
        Some(Uncertainty::OfAnotherState)
    } else if commits == 0 || (commits == 1 && testimony.is_there && testimony.is_whole) {
        // Nothing was ever stored, or a process has died between its first commit and its first note.
        None
    } else if !testimony.is_there || (testimony.is_whole && testimony.commits == 0) {
        Some(Uncertainty::NoWitness)
    } else if !testimony.is_whole {
        Some(Uncertainty::DamagedWitness)
    } else if testimony.is_copy || testimony.touched_at.is_some_and(matters) {
        Some(Uncertainty::Touched)
    } else {
        None
    }
}

/// Writes down what an opening has found, and what follows from it.
pub(in crate::store) fn take_over(
    transaction: &Transaction<'_>,
    finding: &Finding,
    timeline_key: i64,
    clock: &dyn Clock,
) -> Result<(), SqlError> {
    transaction.execute(
        "UPDATE custody SET commits = max(commits, ?1), in_file = coalesce(?2, in_file)",
        params![finding.witnessed, finding.in_file],
    )?;
    let Some(why) = finding.uncertainty else { return Ok(()) };
    // What was in flight when its process died or lost this state may still arrive.
    fill_every_window(transaction, why, timeline_key, given_up(clock.boot_time()), clock)?;
    if !matches!(why, Uncertainty::Lost | Uncertainty::OfAnotherState) {
        return Ok(());
    }
    note_loss(transaction, finding.until, clock)?;
    doubt(transaction, None)?;
    // What is not stored as a whole here may have been, and may have begun.
    transaction.execute(
        "UPDATE run SET state = ?1 WHERE state = ?2",
        [RunState::Removing.as_str(), RunState::Preparing.as_str()],
    )?;
    Ok(())
}

/// Has a database be a state of its own, if older programs alone have written into it, or if something is uncertain about it
/// of which nobody else has thought since.
pub(in crate::store) fn tell_apart(
    transaction: &Transaction<'_>,
    finding: &Finding,
    directory: &Path,
) -> Result<(), StoreError> {
    let failed = |error| StoreError::database(&directory.join(DATABASE_NAME), error);
    let look = transaction.query_row("SELECT state_id FROM custody", params![], |row| row.get::<Option<i64>>(0));
    let former = look.map_err(failed)?.map(StateId);
    if former.is_some() && (finding.uncertainty.is_none() || former != finding.state) {
        return Ok(());
    }
    let state = StateId::random();
    witness::announce(directory, former, state)?;
    transaction.execute("UPDATE custody SET state_id = ?1", [state.0]).map(drop).map_err(failed)
}

/// Writes down that a server has taken over which lacks commits of a process that has seen so many. Its calls may be among
/// them, and it makes no more; but those that are under way may still arrive.
pub(in crate::store) fn take_loss_over(
    transaction: &Transaction<'_>,
    witnessed: i64,
    clock: &dyn Clock,
) -> Result<(), SqlError> {
    transaction.execute("UPDATE custody SET commits = max(commits, ?1)", [witnessed])?;
    // The timeline that this process had may be lost, too.
    let timeline_key = enter_alone(transaction, clock)?;
    let ended_by = assumed_end(clock.boot_time(), LONGEST_TIME_OUT);
    fill_every_window(transaction, Uncertainty::Lost, timeline_key, ended_by, clock)?;
    note_loss(transaction, clock.wall_time().as_microsecond(), clock)
}

/// Writes down that a server has taken over which may lack commits of a process that has died since.
pub(in crate::store) fn take_takeover_over(
    transaction: &Transaction<'_>,
    timeline_key: i64,
    clock: &dyn Clock,
) -> Result<(), SqlError> {
    let ended_by = assumed_end(clock.boot_time(), LONGEST_TIME_OUT);
    fill_every_window(transaction, Uncertainty::DiedAtTakeover, timeline_key, ended_by, clock)?;
    note_loss(transaction, clock.wall_time().as_microsecond(), clock)
}

/// Writes down that a database on a server was put back from a copy, if it was and nobody did: the server has given its tables
/// new numbers. Whatever was stored since the copy was made is not there.
pub(in crate::store) fn take_copy_over(
    transaction: &Transaction<'_>,
    timeline_key: i64,
    clock: &dyn Clock,
) -> Result<(), SqlError> {
    const TODAY: &str = "CAST(CAST('custody' AS REGCLASS) AS OID)";
    let taken_over = transaction
        .execute(&format!("UPDATE custody SET table_number = {TODAY} WHERE table_number <> {TODAY}"), params![])?;
    if taken_over > 0 {
        let ended_by = assumed_end(clock.boot_time(), LONGEST_TIME_OUT);
        fill_every_window(transaction, Uncertainty::Restored, timeline_key, ended_by, clock)?;
        note_loss(transaction, clock.wall_time().as_microsecond(), clock)?;
        doubt(transaction, None)?;
    }
    Ok(())
}

/// Has calls counted that nobody knows of, as many as can be asked for.
fn fill_every_window(
    transaction: &Transaction<'_>,
    why: Uncertainty,
    timeline_key: i64,
    ended_by: BootTime,
    clock: &dyn Clock,
) -> Result<(), SqlError> {
    let now = clock.wall_time().as_microsecond();
    let unknown =
        "UPDATE custody SET unknown_why = ?1, unknown_timeline = ?2, unknown_until = ?3, unknown_until_at = ?4";
    transaction.execute(unknown, params![why.as_str(), timeline_key, ended_by.as_microseconds(), now])?;
    transaction.forget::<Option<UnknownCallsOf>>();
    Ok(())
}

/// Notes that what was stored until then is lost.
fn note_loss(transaction: &Transaction<'_>, until: i64, clock: &dyn Clock) -> Result<(), SqlError> {
    let lost = "UPDATE custody SET lost_until = ?1, lost_at = ?2";
    transaction.execute(lost, params![until, clock.wall_time().as_microsecond()]).map(drop)
}

/// Notes of what is open that it may have been done: by this process, or by any.
pub(in crate::store) fn doubt(transaction: &Transaction<'_>, process_key: Option<i64>) -> Result<(), SqlError> {
    let doubt = "UPDATE operation SET ambiguous = 1, error_code = 'history_lost',
             error_message = 'what became of it was lost with a part of the state'
         WHERE state IN (?1, ?2) AND run_key IN (SELECT run_key FROM run WHERE state IN (?3, ?4)
             AND (CAST(?5 AS BIGINT) IS NULL OR process_key = ?5))";
    let (pending, refused) = (OperationState::Pending.number(), OperationState::Refused.number());
    let (running, stopped) = (RunState::Running.as_str(), RunState::Stopped.as_str());
    transaction.execute(doubt, params![pending, refused, running, stopped, process_key]).map(drop)
}

/// When the last call had ended of which nobody knows, on our clock.
pub(in crate::store) fn unknown_until(
    transaction: &Transaction<'_>,
    timelines: &Timelines,
) -> Result<Option<BootTime>, SqlError> {
    Ok(unknown(transaction)?.map(|(timeline, until, _)| timelines.on_our_clock(timeline, until)))
}

/// Brings what is in the journal into the file, and empties the journal. If others are at work, they do so at their end.
pub(in crate::store) fn put_in_order(file: &Path) -> Result<(), StoreError> {
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);
    let failed = |error| StoreError::database(file, error);
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    let has_form = schema::version(&connection).is_ok_and(|version| version == schema::SCHEMA_VERSION);
    if has_form {
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)?;
        witness::confirm(file.parent().unwrap_or(file), file)?;
        seal::write(&connection, file)?;
    }
    Ok(())
}

#[cfg(test)]
mod of_others;
#[cfg(test)]
mod tests;
