//! Stored times that decide how long somebody waits, and whether this program can have written them.
//!
//! A page that was damaged, or a row that somebody else has written, may hold any number, and one that lies a year ahead
//! would be waited for. Whatever is stored lies ahead of the clock that it was read on by a time-out or a pause at the most.
//! So what lies further ahead is put right when the state is opened: it counts as having been now. Then nobody knows what the
//! other numbers are worth either, so the quota starts full. What is found in the middle of a run ends that.

use std::time::Duration;

use crate::clock::BootTime;
use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::forms::encoding::damaged;

/// Nothing that is stored lies further ahead of its clock: a pause of an hour with its jitter, or an answer that is awaited.
const FURTHEST_AHEAD: Duration = Duration::from_hours(2);
/// No machine runs for longer, in microseconds: a hundred years.
const LONGEST_UPTIME_MICROSECONDS: i64 = 100 * 365 * 24 * 3600 * 1_000_000;
/// Wall time is trusted to tell another clock's stamps old only beyond this: no zone or daylight mistake is larger.
pub(super) const WALL_TIME_DOUBT_MICROSECONDS: i64 = 15 * 3600 * 1_000_000;
/// And beyond this where a server's clock tells the same.
pub(super) const TWO_CLOCKS_DOUBT_MICROSECONDS: i64 = 5 * 60 * 1_000_000;
/// No clock that can be worked with is faster than others by more millionths.
pub(super) const LARGEST_EXCESS_MILLIONTHS: u32 = 1_000_000;

/// A moment that is stored, on our clock, which shows `now`.
///
/// # Errors
/// When it lies so far ahead that nobody can have stored it.
pub(in crate::store) fn believed(stored: Option<BootTime>, now: BootTime) -> Result<Option<BootTime>, SqlError> {
    match stored {
        Some(stored) if stored > now.plus(FURTHEST_AHEAD) => Err(damaged(0, "a time that lies too far ahead")),
        stored => Ok(stored),
    }
}

/// Puts right what cannot be, by the position of each clock and by ours, which shows `now`. Says whether there was anything.
pub(in crate::store) fn put_right(transaction: &Transaction<'_>, own: i64, now: BootTime) -> Result<bool, SqlError> {
    let (ahead, now) = (FURTHEST_AHEAD.as_micros().try_into().unwrap_or(i64::MAX), now.as_microseconds());
    transaction
        .execute("UPDATE timeline SET position = max(position, ?2) WHERE timeline_key = ?1", params![own, now])?;
    let mut found = transaction.execute(
        "UPDATE timeline SET position = iif(position BETWEEN 0 AND ?1, position, 0),
             excess = iif(excess BETWEEN 0 AND ?2, excess, 0)
         WHERE position NOT BETWEEN 0 AND ?1 OR excess NOT BETWEEN 0 AND ?2",
        params![LONGEST_UPTIME_MICROSECONDS, LARGEST_EXCESS_MILLIONTHS],
    )?;
    // By the index of ends, however many attempts there are.
    found += transaction.execute(
        "UPDATE attempt SET started = min(started, other.position), ended = other.position
         FROM (
             SELECT attempt_key AS key, position
             FROM timeline CROSS JOIN account CROSS JOIN (SELECT DISTINCT bucket FROM attempt) AS of_kind
             JOIN attempt ON attempt.account_key = account.account_key AND attempt.bucket = of_kind.bucket
                 AND attempt.timeline_key = timeline.timeline_key AND attempt.ended > timeline.position + ?1
         ) AS other
         WHERE attempt_key = other.key",
        [ahead],
    )?;
    found += transaction.execute(
        "UPDATE attempt SET started = min(started, other.position), assumed_end = other.position
         FROM timeline AS other
         WHERE other.timeline_key = attempt.timeline_key AND ended IS NULL AND assumed_end > other.position + ?1",
        [ahead],
    )?;
    // What stands on a clock that nobody knows is taken for a time on ours.
    let position = "coalesce((SELECT position FROM timeline WHERE timeline_key = {clock}), ?2)";
    let of_pauses = position.replace("{clock}", "bucket_pause.timeline_key");
    found += transaction.execute(
        &format!("UPDATE bucket_pause SET until = {of_pauses} WHERE until - ?1 > {of_pauses}"),
        params![ahead, now],
    )?;
    let of_unknown = position.replace("{clock}", "unknown_timeline");
    found += transaction.execute(
        &format!("UPDATE custody SET unknown_until = {of_unknown} WHERE unknown_until - ?1 > {of_unknown}"),
        params![ahead, now],
    )?;
    Ok(found > 0)
}
