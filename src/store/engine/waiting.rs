//! Since when somebody else is waited for: whoever holds the lock, the disk, or the server; not our own work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Since when somebody else is waited for, if he is. Clones share it. By real time: a database is outside of every simulation.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Waiting(Arc<Mutex<Option<Instant>>>);

impl Waiting {
    /// Somebody else has the word, if he has not had it before.
    pub(in crate::store) fn begin(&self) {
        self.since().get_or_insert_with(Instant::now);
    }

    /// He has said something, and there is more to come.
    pub(super) fn go_on(&self) {
        *self.since() = Some(Instant::now());
    }

    /// It is our turn.
    pub(in crate::store) fn end(&self) {
        *self.since() = None;
    }

    /// For how long he has said nothing, if he is waited for.
    pub(in crate::store) fn lasts(&self) -> Option<Duration> {
        self.since().map(|since| since.elapsed())
    }

    fn since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
