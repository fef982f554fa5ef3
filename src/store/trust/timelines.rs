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
use super::unread::{unread, unseen};
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

/// What `attempt.adopted` says where an age is known from below only. Otherwise it is how much older a call may be than its
/// stamp says, in microseconds: not at all where the clock is its own, and up to a bound where a server's clock has seen both.
pub(in crate::store) const UNKNOWN_AGE: i64 = 1;
pub(in crate::store) const LONGEST_UNSEEN_MICROSECONDS: i64 = KEPT_ACROSS_CLOCKS_MICROSECONDS;

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

/// Until when a bucket pauses, by which clock.
#[derive(Clone, Copy)]
pub(in crate::store) struct PausedUntil(pub(in crate::store) Option<(i64, BootTime)>);

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
                let stands = Adopted { from: Timeline { position, ..*other }, own: self.own, at: since, wall: None };
                stands.adopt(transaction, self.now.since(since))?;
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
    let wall = Some(clock.wall_time().as_microsecond());
    for timeline in abandoned {
        let at = clock.boot_time();
        let position = seen.reached(timeline, at);
        let gone_on = position.since(timeline.position);
        Adopted { from: Timeline { position, ..timeline }, own, at, wall }.adopt(transaction, gone_on)?;
        // Should that clock come back (a disk that is carried from one machine to another), its stamps count from then on.
        transaction.execute("DELETE FROM timeline WHERE timeline_key = ?1", [timeline.key])?;
    }
    transaction.forget::<Timelines>();
    Ok(())
}

/// A clock whose calls and pauses are put on ours.
struct Adopted {
    from: Timeline,
    own: i64,
    /// What ours showed where the other one had that position.
    at: BootTime,
    /// What wall time says, where it is asked.
    wall: Option<i64>,
}

impl Adopted {
    /// Puts what ended on the other clock on ours, E′ = now − (position − E), so that from then on its age is known from below
    /// only, unless a server has seen that clock: then it is at most so much older as has passed since, but for `counted`.
    /// How long an attempt took is on one clock and stays so. What is [surely older](unread) than that is put further back, and
    /// what is older than any window stays behind as history.
    fn adopt(&self, transaction: &Transaction<'_>, counted: Duration) -> Result<(), SqlError> {
        let Self { from, own, at, wall } = *self;
        let unseen = match transaction.sqlite() {
            Some(_) => "CAST(NULL AS BIGINT)".to_owned(),
            None => unseen(),
        };
        let older = unread(transaction, "ended", "started_at + ended - started", counted);
        transaction
            .prepare_cached(&format!(
                "UPDATE attempt SET timeline_key = ?2, ended = ended + other.shift,
                     started = started + other.shift, assumed_end = assumed_end + other.shift,
                     adopted = CASE WHEN attempt.adopted BETWEEN 0 AND {LONGEST_UNSEEN_MICROSECONDS}
                         AND attempt.adopted <> {UNKNOWN_AGE} AND other.unseen <= {LONGEST_UNSEEN_MICROSECONDS}
                         THEN attempt.adopted + max(other.unseen - ?6 - other.older, {UNKNOWN_AGE} + 1)
                         ELSE {UNKNOWN_AGE} END
                 FROM (
                     SELECT key, unseen, older, ?4 - ?3 - older AS shift FROM (
                         SELECT attempt_key AS key, {unseen} AS unseen, {older} AS older
                         FROM attempt WHERE timeline_key = ?1 AND ended IS NOT NULL
                             AND (CAST(?5 AS BIGINT) IS NULL OR started_at > ?5 - ?7)
                     ) AS each
                 ) AS other
                 WHERE attempt_key = other.key"
            ))?
            .execute(params![
                from.key,
                own,
                from.position.as_microseconds(),
                at.as_microseconds(),
                wall,
                i64::try_from(counted.as_micros()).unwrap_or(i64::MAX),
                KEPT_ACROSS_CLOCKS_MICROSECONDS,
            ])?;
        self.adopt_pauses(transaction)?;
        unknown_calls::adopt(transaction, (from.key, from.position), own, at, wall, counted)
    }

    /// A pause that the service asked for goes on, for up to an hour or what wall time says of it. On a clock that stands still
    /// it would never end.
    fn adopt_pauses(&self, transaction: &Transaction<'_>) -> Result<(), SqlError> {
        let Self { from, own, at, wall } = *self;
        let moved = transaction.execute(
            "UPDATE bucket_pause SET timeline_key = ?2,
                 until = ?4 + min(max(until - ?3, 0), CASE WHEN CAST(?5 AS BIGINT) IS NULL THEN ?6
                     ELSE min(max(until_at - ?5, 0), ?6) END)
             WHERE timeline_key = ?1",
            params![
                from.key,
                own,
                from.position.as_microseconds(),
                at.as_microseconds(),
                wall,
                LONGEST_PAUSE_MICROSECONDS
            ],
        )?;
        if moved > 0 {
            transaction.forget::<PausedUntil>();
        }
        Ok(())
    }
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
