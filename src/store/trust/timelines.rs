//! Clocks in the books: every stamp of the quota is read on the clock that made it.
//!
//! A clock is a start of the machine, or a container with boot times of its own on it. Each has a timeline, whose position
//! is the highest time that anybody has reported; processes that provably read the same clock share one. Calls that ended
//! on another timeline age with its position. When nobody who reads that clock is left, or nobody has reported of it for a
//! while, its calls are adopted onto ours: from then on they age here. Wall time only ever makes very old calls older.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::plausible::{LARGEST_EXCESS_MILLIONTHS, WALL_TIME_DOUBT_MICROSECONDS};
use super::unknown_calls;
use crate::clock::{BootTime, Clock};
use crate::quota::ages::Position;
use crate::quota::window::Margin;
use crate::store::engine::sql::{Optional, SqlError, Transaction, params};

/// The longest pause that is believed.
const LONGEST_PAUSE_MICROSECONDS: i64 = 3600 * 1_000_000;
/// How long after a window of 24 hours, the longest that can be stated, an attempt may still matter.
pub(in crate::store) const KEPT_ACROSS_CLOCKS_MICROSECONDS: i64 =
    24 * 3600 * 1_000_000 + WALL_TIME_DOUBT_MICROSECONDS + 3600 * 1_000_000;
/// How long a position may stand still before its ended calls are adopted. Where processes show themselves every second, it
/// stands still for that long without anything having come to an end.
const SILENT_MICROSECONDS: i64 = 1_000_000;
const SILENT_BESIDE_HEARTBEATS_MICROSECONDS: i64 = 3_000_000;

const ALL: &str = "SELECT timeline_key, position, excess, EXISTS (SELECT 1 FROM process
     WHERE process.timeline_key = timeline.timeline_key AND ended = 0) FROM timeline";

/// Asks ahead what [`Timelines::report`] asks.
pub(in crate::store) fn foresee(transaction: &Transaction<'_>) {
    transaction.foresee(ALL, params![]);
}

/// Finds or notes the timeline of the clock that this process reads.
pub(in crate::store) fn enter(transaction: &Transaction<'_>, clock: &dyn Clock) -> Result<i64, SqlError> {
    let now = clock.boot_time().as_microseconds();
    let name = clock.boot_id().as_str();
    let known: Option<(i64, i64)> = transaction
        .query_row("SELECT timeline_key, position FROM timeline WHERE clock = ?1", [name], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match known {
        Some((timeline, position)) if position <= now => Ok(timeline),
        // A clock never goes back: this is another one of the same name, as a restored machine may have it.
        Some(_) => insert(transaction, &format!("{name}?{:016x}", fastrand::u64(..)), now),
        None => insert(transaction, name, now),
    }
}

/// Notes a timeline that nobody else reads, of the clock that this process reads.
pub(in crate::store) fn enter_alone(transaction: &Transaction<'_>, clock: &dyn Clock) -> Result<i64, SqlError> {
    let name = format!("{}?{:016x}", clock.boot_id().as_str(), fastrand::u64(..));
    insert(transaction, &name, clock.boot_time().as_microseconds())
}

fn insert(transaction: &Transaction<'_>, clock: &str, now: i64) -> Result<i64, SqlError> {
    let new = "INSERT INTO timeline (clock, position) VALUES (?1, ?2)";
    transaction.insert(new, "timeline_key", params![clock, now])
}

/// A clock as far as the books have it.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Timeline {
    pub(in crate::store) key: i64,
    pub(super) position: BootTime,
    /// Whether anybody may still read it.
    pub(super) is_read: bool,
}

/// The positions of other clocks as they were seen last, and since when by ours they stand still.
#[derive(Debug, Default)]
pub(in crate::store) struct Seen {
    positions: Mutex<HashMap<i64, (BootTime, BootTime)>>,
    /// Whether every process shows itself now and then.
    beside_heartbeats: bool,
    /// When others were looked at last, in microseconds of our clock.
    looked_at: AtomicI64,
}

impl Seen {
    /// Nothing yet, where every process shows itself.
    pub(in crate::store) fn beside_heartbeats() -> Self {
        Self { beside_heartbeats: true, ..Self::default() }
    }

    /// Whether others were looked at in this time until now: then we have shown ourselves, too, unless that was not committed.
    pub(in crate::store) fn has_looked_within(&self, time: Duration, now: BootTime) -> bool {
        now.since(BootTime::from_microseconds(self.looked_at.load(Ordering::Relaxed))) < time
    }

    /// How far a clock must have come by now, as far as that was seen here: it has gone on since it was first seen where it
    /// stands, whoever reports of it.
    fn reached(&self, timeline: Timeline, now: BootTime) -> BootTime {
        let positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = positions.get(&timeline.key).filter(|(position, _)| *position == timeline.position);
        known.map_or(timeline.position, |(position, since)| position.plus(now.since(*since)))
    }
}

/// What stood still was adopted in this transaction.
#[derive(Clone, Copy)]
struct SilentAdopted;

/// All clocks at one moment, read after their positions.
#[derive(Clone, Debug)]
pub(in crate::store) struct Timelines {
    pub(in crate::store) own: i64,
    pub(in crate::store) now: BootTime,
    pub(in crate::store) margin: Margin,
    pub(in crate::store) others: Vec<Timeline>,
}

impl Timelines {
    /// Reads the books, reports our clock, and looks at the others. To be called within a transaction that writes: those
    /// come one after the other, so that no later start is decided before this one. All who share a transaction share the
    /// moment.
    pub(in crate::store) fn report(
        transaction: &Transaction<'_>,
        own: i64,
        clock: &dyn Clock,
    ) -> Result<Self, SqlError> {
        transaction.once(own, || Self::look(transaction, own, clock))
    }

    fn look(transaction: &Transaction<'_>, own: i64, clock: &dyn Clock) -> Result<Self, SqlError> {
        let mut others = Vec::new();
        let mut excess = clock.excess();
        let mut statement = transaction.prepare_cached(ALL)?;
        let mut rows = statement.query(params![])?;
        while let Some(row) = rows.next()? {
            let (key, position) = (row.get(0)?, BootTime::from_microseconds(row.get(1)?));
            excess = excess.max(row.get(2)?).min(LARGEST_EXCESS_MILLIONTHS);
            if key != own {
                others.push(Timeline { key, position, is_read: row.get(3)? });
            }
        }
        // Our clock is read last: a position that is older than it makes calls look younger, never older.
        let now = clock.boot_time();
        if transaction.sqlite().is_some() {
            // On a server every transaction that writes ends with that.
            transaction.send(
                "UPDATE timeline SET position = max(position, ?2), excess = max(excess, ?3) WHERE timeline_key = ?1",
                params![own, now.as_microseconds(), clock.excess()],
            )?;
        }
        Ok(Self { own, now, margin: Margin::for_excess(excess), others })
    }

    /// What a stamp of a timeline is on our clock.
    pub(in crate::store) fn on_our_clock(&self, timeline: i64, stamp: BootTime) -> BootTime {
        let other = self.others.iter().find(|other| other.key == timeline);
        other.map_or(stamp, |other| Position::new(other.position).on_clock_of_asker(stamp, self.now))
    }

    /// Adopts what ended on clocks whose positions stand still, by what our clock showed when that was first seen: their
    /// processes are idle, and their calls would count for ever.
    pub(in crate::store) fn adopt_silent(&self, transaction: &Transaction<'_>, seen: &Seen) -> Result<(), SqlError> {
        seen.looked_at.store(self.now.as_microseconds(), Ordering::Relaxed);
        if self.others.is_empty() {
            return Ok(());
        }
        transaction.once(self.own, || self.adopt_what_stands_still(transaction, seen).map(|()| SilentAdopted)).map(drop)
    }

    fn adopt_what_stands_still(&self, transaction: &Transaction<'_>, seen: &Seen) -> Result<(), SqlError> {
        let silent = if seen.beside_heartbeats { SILENT_BESIDE_HEARTBEATS_MICROSECONDS } else { SILENT_MICROSECONDS };
        let mut positions = seen.positions.lock().unwrap_or_else(PoisonError::into_inner);
        for other in &self.others {
            let (position, since) = *positions
                .entry(other.key)
                .and_modify(|known| {
                    if known.0 != other.position {
                        *known = (other.position, self.now);
                    }
                })
                .or_insert((other.position, self.now));
            // Whoever has ended shows himself no more; it would only take longer until that is seen.
            if !other.is_read || self.now.as_microseconds() - since.as_microseconds() >= silent {
                adopt_ended(transaction, Timeline { position, ..*other }, self.own, since, None)?;
            }
        }
        Ok(())
    }
}

/// Adopts the calls and pauses of clocks that nobody reads any more, and forgets those clocks. What dead processes had open
/// must have been ended.
pub(in crate::store) fn adopt_abandoned(
    transaction: &Transaction<'_>,
    own: i64,
    seen: &Seen,
    clock: &dyn Clock,
) -> Result<(), SqlError> {
    let abandoned = transaction
        .prepare_cached(
            "SELECT timeline_key, position FROM timeline WHERE timeline_key <> ?1 AND timeline_key NOT IN
                 (SELECT timeline_key FROM process WHERE ended = 0 AND timeline_key IS NOT NULL)",
        )?
        .query_map([own], |row| {
            Ok(Timeline { key: row.get(0)?, position: BootTime::from_microseconds(row.get(1)?), is_read: false })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    if abandoned.is_empty() {
        return Ok(());
    }
    let now_wall = clock.wall_time().as_microsecond();
    for timeline in abandoned {
        let now = clock.boot_time();
        let timeline = Timeline { position: seen.reached(timeline, now), ..timeline };
        adopt_ended(transaction, timeline, own, now, Some(now_wall))?;
        // A pause that the service asked for goes on; what wall time says of the rest is believed up to an hour.
        transaction.execute(
            "UPDATE bucket_pause SET timeline_key = ?2, until = ?4 + min(max(until - ?3, 0), max(until_at - ?5, 0), ?6)
             WHERE timeline_key = ?1",
            params![
                timeline.key,
                own,
                timeline.position.as_microseconds(),
                now.as_microseconds(),
                now_wall,
                LONGEST_PAUSE_MICROSECONDS
            ],
        )?;
        // Should that clock come back (a disk that is carried from one machine to another), its stamps count from then on.
        transaction.execute("DELETE FROM timeline WHERE timeline_key = ?1", [timeline.key])?;
    }
    transaction.forget::<Timelines>();
    Ok(())
}

/// Puts what ended on another clock on ours, E′ = now − (position − E), so that from then on its age is known from below
/// only. How long an attempt took is on one clock and stays so. By a wall time that is given, an attempt of age A is at least
/// A − 15 h old, and what is older than any window stays behind as history.
fn adopt_ended(
    transaction: &Transaction<'_>,
    from: Timeline,
    own: i64,
    now: BootTime,
    now_wall: Option<i64>,
) -> Result<(), SqlError> {
    transaction
        .prepare_cached(
            "UPDATE attempt SET timeline_key = ?2, adopted = 1, ended = ended + other.shift,
                 started = started + other.shift, assumed_end = assumed_end + other.shift
             FROM (
                 SELECT attempt_key AS key, ?4 - ended - max(?3 - ended,
                     coalesce(?5 - (started_at + ended - started) - ?6, ?3 - ended)) AS shift
                 FROM attempt WHERE timeline_key = ?1 AND ended IS NOT NULL
                     AND (CAST(?5 AS BIGINT) IS NULL OR started_at > ?5 - ?7)
             ) AS other
             WHERE attempt_key = other.key",
        )?
        .execute(params![
            from.key,
            own,
            from.position.as_microseconds(),
            now.as_microseconds(),
            now_wall,
            WALL_TIME_DOUBT_MICROSECONDS,
            KEPT_ACROSS_CLOCKS_MICROSECONDS,
        ])?;
    unknown_calls::adopt(transaction, (from.key, from.position), own, now, now_wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_has_gone_on_since_it_was_seen_where_it_stands_and_not_since_it_was_seen_elsewhere() {
        let at = |seconds: i64| BootTime::from_microseconds(seconds * 1_000_000);
        let seen = Seen::beside_heartbeats();
        seen.positions.lock().expect("nobody has it").insert(7, (at(100), at(5000)));
        let stands = |key, seconds| Timeline { key, position: at(seconds), is_read: false };
        assert_eq!(seen.reached(stands(7, 100), at(5030)), at(130));
        assert_eq!(seen.reached(stands(7, 101), at(5030)), at(101), "somebody has reported of it since");
        assert_eq!(seen.reached(stands(7, 90), at(5030)), at(90), "it is another one");
        assert_eq!(seen.reached(stands(8, 100), at(5030)), at(100), "nobody has seen it");
    }
}
