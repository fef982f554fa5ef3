//! Whether the wall clock can be trusted to tell what is old.
//!
//! A clock that jumps by years makes every run old at once, and what is deleted does not come back when it is set right. So
//! when it has moved by more than runs are kept since they were looked through last, nothing is deleted until it has shown
//! the same for a day. Time that provably passed, on the clock of a machine that was not started anew, is no jump; nor is a
//! program that is used once a quarter, which deletes a day later than it could.

use crate::clock::Clock;
use crate::store::engine::sql::{Optional, SqlError, Transaction, params};

/// For how long a clock that has jumped must go on before it is believed.
const CONFIRMED_AFTER_MICROSECONDS: i64 = 24 * 3600 * 1_000_000;
/// A smaller jump is none.
const SMALLEST_JUMP_MICROSECONDS: i64 = 60 * 1_000_000;

/// How the clock stood before, in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Before {
    /// When runs were looked through last, by a clock that was trusted.
    at: Option<i64>,
    /// How much time has provably passed since.
    elapsed: i64,
    /// When a clock was first read that has jumped.
    jumped_at: Option<i64>,
}

/// What to make of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// It tells what is old.
    Full,
    /// It has jumped by so many microseconds, which was seen first at this time.
    None { by: i64, jumped_at: i64 },
}

fn judge(before: Before, now: i64, keep: i64) -> Trust {
    let Some(at) = before.at else { return Trust::Full };
    let by = now.saturating_sub(at).saturating_sub(before.elapsed);
    if by <= keep.max(SMALLEST_JUMP_MICROSECONDS) {
        return Trust::Full;
    }
    match before.jumped_at {
        Some(jumped_at) if now.saturating_sub(jumped_at) >= CONFIRMED_AFTER_MICROSECONDS => Trust::Full,
        Some(jumped_at) if now >= jumped_at => Trust::None { by, jumped_at },
        _ => Trust::None { by, jumped_at: now },
    }
}

/// By how many microseconds the clock has jumped, if it cannot be trusted; notes how it stands.
pub(super) fn look(
    transaction: &Transaction<'_>,
    timeline_key: i64,
    clock: &dyn Clock,
    keep: i64,
) -> Result<Option<i64>, SqlError> {
    let (now, boot_time) = (clock.wall_time().as_microsecond(), clock.boot_time().as_microseconds());
    let noted: Option<(i64, i64, i64)> = transaction
        .query_row(
            "SELECT pruned_at, pruned_timeline, pruned_boot_time FROM custody WHERE pruned_at IS NOT NULL",
            params![],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let jumped_at = transaction.query_row("SELECT jumped_at FROM custody", params![], |row| row.get(0))?;
    let before = Before {
        at: noted.map(|(at, ..)| at),
        elapsed: noted
            .filter(|(_, timeline, _)| *timeline == timeline_key)
            .map_or(0, |(_, _, then)| boot_time.saturating_sub(then).max(0)),
        jumped_at,
    };
    match judge(before, now, keep) {
        Trust::Full => {
            transaction.execute(
                "UPDATE custody SET pruned_at = ?1, pruned_timeline = ?2, pruned_boot_time = ?3, jumped_at = NULL",
                params![now, timeline_key, boot_time],
            )?;
            Ok(None)
        }
        Trust::None { by, jumped_at } => {
            transaction.execute("UPDATE custody SET jumped_at = ?1", [jumped_at])?;
            Ok(Some(by))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_is_believed_when_it_has_gone_on_for_a_day() {
        const DAY: i64 = CONFIRMED_AFTER_MICROSECONDS;
        const KEEP: i64 = 90 * DAY;
        let at = |day: i64| Before { at: Some(day * DAY), ..Before::default() };
        let jumped = |day: i64, jumped: i64| Before { jumped_at: Some(jumped * DAY), ..at(day) };
        let none = |by: i64, jumped: i64| Trust::None { by: by * DAY, jumped_at: jumped * DAY };
        let table = [
            ("the first time", Before::default(), 1000, Trust::Full),
            ("a week later", at(0), 7, Trust::Full),
            ("as long as runs are kept", at(0), 90, Trust::Full),
            ("longer", at(0), 91, none(91, 91)),
            ("longer, and that time has passed", Before { elapsed: 5 * DAY, ..at(0) }, 95, Trust::Full),
            ("the same day", jumped(0, 91), 91, none(91, 91)),
            ("the next day", jumped(0, 91), 92, Trust::Full),
            ("it was set right", jumped(0, 4000), 8, Trust::Full),
            ("it was set back, and is still wrong", jumped(0, 4000), 3000, none(3000, 3000)),
            ("it was set back before the last time", at(1000), 3, Trust::Full),
        ];
        for (what, before, day, expected) in table {
            assert_eq!(judge(before, day * DAY, KEEP), expected, "{what}");
        }
        assert_eq!(judge(at(0), SMALLEST_JUMP_MICROSECONDS, 0), Trust::Full, "runs that are not kept at all");
    }
}
