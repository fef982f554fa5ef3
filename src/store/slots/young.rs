//! Which writes are surely younger than the list's lag, and which only look so.
//!
//! The clock that stamped a call knows its age exactly. Another clock that adopted it knows it from below only: nobody has seen
//! how long the first one stood still, and by wall time, which may have been set, the call only looks young. On a server its own
//! clock has seen both: it stamps whatever a process stores, together with what the clock of that process shows. An age that it
//! tells is believed where wall time agrees; a step of one of them makes a write look older, and the list decides.

use std::fmt::Write as _;
use std::time::Duration;

use super::reading::read_age;
use crate::clock::Clock;
use crate::model::Age;
use crate::store::engine::sql::dialect::SERVER_TIME;
use crate::store::engine::sql::{Optional, SqlError, Transaction, Value, params};
use crate::store::forms::attempt::AttemptKey;
use crate::store::trust::timelines::{LONGEST_UNSEEN_MICROSECONDS, UNKNOWN_AGE};

/// Which attempts are as young as is asked for. Surely so are those that have not ended, or ended after a moment of our clock
/// that stamped them itself, or by a server's clock; the others look so by the wall time at which they were started.
#[derive(Clone, Copy)]
pub(super) struct Young {
    timeline: i64,
    within_microseconds: i64,
    ended_after: i64,
    started_after: i64,
}

impl Young {
    /// Nobody asks.
    pub(super) const NONE: Self =
        Self { timeline: -1, within_microseconds: 0, ended_after: i64::MAX, started_after: i64::MAX };

    pub(super) fn within(time: Duration, timeline: i64, clock: &dyn Clock) -> Self {
        let within_microseconds = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Self {
            timeline,
            within_microseconds,
            ended_after: clock.boot_time().as_microseconds().saturating_sub(within_microseconds),
            started_after: clock.wall_time().as_microsecond().saturating_sub(within_microseconds),
        }
    }

    /// The parameters of [`Self::columns`], which are the first ones of its statement.
    pub(super) fn values(&self) -> [Value<'static>; 3] {
        [self.timeline, self.ended_after, self.started_after].map(Value::Integer)
    }

    /// Two columns of `attempt` for [`read_age`], and what is to be joined to it for them.
    pub(super) fn columns(&self, transaction: &Transaction<'_>) -> (String, String) {
        let mut surely =
            "attempt.timeline_key = ?1 AND attempt.adopted = 0 AND coalesce(attempt.ended > ?2, TRUE)".to_owned();
        let mut joined = String::new();
        if transaction.sqlite().is_none() {
            let within = self.within_microseconds;
            let _infallible = write!(
                surely,
                " OR attempt.started_at > ?3 AND attempt.adopted BETWEEN 0 AND {LONGEST_UNSEEN_MICROSECONDS}
                     AND attempt.adopted <> {UNKNOWN_AGE} AND attempt.ended - attempt.adopted > seen.reached - {within}"
            );
            // How far each clock must have come since the server has seen it.
            joined = format!(
                "LEFT JOIN (SELECT timeline_key, max(position) + {SERVER_TIME} - max(seen_at) AS reached
                     FROM timeline JOIN process USING (timeline_key) GROUP BY timeline_key) AS seen
                     ON seen.timeline_key = attempt.timeline_key"
            );
        }
        (format!("({surely}), attempt.started_at > ?3"), joined)
    }

    /// The age of an attempt.
    pub(super) fn age(self, transaction: &Transaction<'_>, attempt: Option<AttemptKey>) -> Result<Age, SqlError> {
        let (columns, joined) = self.columns(transaction);
        let [timeline, ended_after, started_after] = self.values();
        let found = transaction
            .prepare_cached(&format!("SELECT {columns} FROM attempt {joined} WHERE attempt_key = ?4"))?
            .query_row(params![timeline, ended_after, started_after, attempt.map(|attempt| attempt.0)], |row| {
                read_age(row, 0)
            })
            .optional()?;
        Ok(found.unwrap_or(Age::LooksOld))
    }
}
