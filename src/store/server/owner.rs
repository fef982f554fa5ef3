//! The process that a state on a server is used by, and what it notes with each of its commits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use super::takeovers::KnownCommits;
use crate::clock::SharedClock;
use crate::store::engine::sql::Value;
use crate::store::engine::sql::dialect::SERVER_TIME;
use crate::store::files::liveness::LockName;

/// What every transaction of a process ends with: which its last commit is, that it lives and is back, and what its clock
/// shows. Neither a heartbeat nor a report of the clock is needed beside it.
pub(super) static NOTE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH ours AS (
             UPDATE process SET last_commit = ?2, reign = (SELECT reign FROM custody),
                 seen_at = CASE WHEN CAST(?5 AS BIGINT) = 1 AND seen_at >= 0 THEN {SERVER_TIME} ELSE seen_at END
             WHERE lock_name = ?1 RETURNING timeline_key)
         UPDATE timeline SET position = max(position, ?3), excess = max(excess, ?4)
         FROM ours WHERE timeline.timeline_key = ours.timeline_key"
    )
});

/// What is known of commits, by whoever writes and whoever reads in the name of one process.
pub(super) type SharedCommits = Arc<Mutex<KnownCommits>>;

/// The process that a state is used by. It is known by its name from before it stands there: so what became of the commit
/// that brings it there can be told like that of every other.
#[derive(Clone)]
pub(in crate::store) struct Owner {
    pub(super) name: Arc<str>,
    pub(super) clock: SharedClock,
    /// Whether whatever it stores shows that it lives.
    shows: Arc<AtomicBool>,
    /// What is known of its commits that have come about.
    pub(super) commits: SharedCommits,
}

impl Owner {
    pub(in crate::store) fn new(name: &LockName, clock: SharedClock) -> Self {
        Self { name: name.as_str().into(), clock, shows: Arc::new(AtomicBool::new(true)), commits: Arc::default() }
    }

    /// Whether whatever it stores shows that it lives, for whoever decides that.
    pub(in crate::store) fn shows(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.shows)
    }

    /// What [`NOTE`] says of the commit with this count.
    pub(super) fn noted(&self, count: i64) -> [Value<'_>; 5] {
        let [now, excess] = [self.clock.boot_time().as_microseconds(), self.clock.excess().into()].map(Value::Integer);
        let shows = i64::from(self.shows.load(Ordering::Relaxed));
        [Value::Text(&self.name), Value::Integer(count), now, excess, Value::Integer(shows)]
    }
}
