//! How long work takes.

use std::time::{Duration, Instant};

/// The time that it takes once.
pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The shortest of several times: what others do on the machine only makes it longer.
pub(crate) fn shortest(durations: Vec<Duration>) -> Duration {
    durations.into_iter().min().unwrap_or_default()
}
