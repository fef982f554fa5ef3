//! Whether the wall clock can be trusted to tell what is old.
//!
//! A clock that jumps by years makes every run old at once, and what is deleted does not come back when it is set right. So
//! when it has moved by more than runs are kept since they were looked through last, nothing is deleted until it has gone on
//! from there for a day, without another jump. Time that provably passed, on the clock of a machine that was not started anew,
//! is no jump. After a restart nothing is proven: a gap longer than runs are kept counts as a jump, and the first look that is at
//! least a day later confirms it.

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
    /// When a clock was first read that has jumped since.
    jumped_at: Option<i64>,
    /// How much time has provably passed since the later of both; `None` where the machine was started anew.
    elapsed: Option<i64>,
}

/// What to make of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// It tells what is old.
    Full,
    /// It has jumped by so many microseconds, just now.
    Jumped { by: i64 },
    /// The same, and has gone on since, not yet for long enough.
    GoesOn { by: i64 },
}

fn judge(before: Before, now: i64, keep: i64) -> Trust {
    let Some(at) = before.at else { return Trust::Full };
    let proven = before.elapsed.filter(|_| before.jumped_at.is_none()).unwrap_or(0);
    let by = now.saturating_sub(at).saturating_sub(proven);
    if by <= keep.max(SMALLEST_JUMP_MICROSECONDS) {
        return Trust::Full;
    }
    match before.jumped_at.map(|jumped_at| now.saturating_sub(jumped_at)) {
        Some(shown) if !goes_on(shown, before.elapsed) => Trust::Jumped { by },
        Some(shown) if shown >= CONFIRMED_AFTER_MICROSECONDS => Trust::Full,
        Some(_) => Trust::GoesOn { by },
        None => Trust::Jumped { by },
    }
}

/// Whether a clock shows that as much time has passed as it provably did.
fn goes_on(shown: i64, elapsed: Option<i64>) -> bool {
    match elapsed {
        Some(elapsed) => shown.abs_diff(elapsed) <= SMALLEST_JUMP_MICROSECONDS.unsigned_abs(),
        None => shown >= 0,
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
    // The last two are those of the jump where there was one.
    let noted: Option<(i64, Option<i64>, i64, i64)> = transaction
        .query_row(
            "SELECT pruned_at, jumped_at, pruned_timeline, pruned_boot_time FROM custody WHERE pruned_at IS NOT NULL",
            params![],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .optional()?;
    let before = noted.map_or_else(Before::default, |(at, jumped_at, timeline, then)| Before {
        at: Some(at),
        jumped_at,
        elapsed: (timeline == timeline_key).then(|| boot_time.saturating_sub(then).max(0)),
    });
    match judge(before, now, keep) {
        Trust::Full => {
            transaction.execute(
                "UPDATE custody SET pruned_at = ?1, pruned_timeline = ?2, pruned_boot_time = ?3, jumped_at = NULL",
                params![now, timeline_key, boot_time],
            )?;
            Ok(None)
        }
        Trust::Jumped { by } => {
            transaction.execute(
                "UPDATE custody SET jumped_at = ?1, pruned_timeline = ?2, pruned_boot_time = ?3",
                params![now, timeline_key, boot_time],
            )?;
            Ok(Some(by))
        }
        Trust::GoesOn { by } => Ok(Some(by)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = CONFIRMED_AFTER_MICROSECONDS;
    const KEEP: i64 = 90 * DAY;

    #[test]
    fn a_clock_that_jumps_is_believed_when_it_has_gone_on_for_a_day() {
        let at = |day: i64| Before { at: Some(day * DAY), ..Before::default() };
        let jumped = |day: i64, jumped: i64| Before { jumped_at: Some(jumped * DAY), ..at(day) };
        let proven = |before: Before, days: i64| Before { elapsed: Some(days * DAY), ..before };
        let now = |days: i64| Trust::Jumped { by: days * DAY };
        let before = |days: i64| Trust::GoesOn { by: days * DAY };
        let table = [
            ("the first time", Before::default(), 1000, Trust::Full),
            ("a week later", at(0), 7, Trust::Full),
            ("as long as runs are kept", at(0), 90, Trust::Full),
            ("longer", at(0), 91, now(91)),
            ("longer, and that time has passed", proven(at(0), 5), 95, Trust::Full),
            ("the same day", jumped(0, 91), 91, before(91)),
            ("the next day", jumped(0, 91), 92, Trust::Full),
            ("the next day, which has passed", proven(jumped(0, 91), 1), 92, Trust::Full),
            ("it shows the next day, which has not passed", proven(jumped(0, 91), 0), 92, now(92)),
            ("it has jumped again", proven(jumped(0, 200), 0), 400, now(400)),
            ("it was set right", jumped(0, 4000), 8, Trust::Full),
            ("it was set back, and is still wrong", jumped(0, 4000), 3000, now(3000)),
            ("it was set back before the last time", at(1000), 3, Trust::Full),
        ];
        for (what, before, day, expected) in table {
            assert_eq!(judge(before, day * DAY, KEEP), expected, "{what}");
        }
        assert_eq!(judge(at(0), SMALLEST_JUMP_MICROSECONDS, 0), Trust::Full, "runs that are not kept at all");
    }
}
