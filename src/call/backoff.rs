//! How long to wait before an attempt is made again: growing, capped, with full jitter.
//!
//! Full jitter (any wait from nothing to the whole step) spreads the calls that failed together. The growth is for calls
//! that the service answered with an error or not at all; a 429 that names its time is not a matter for this schedule.

use std::time::Duration;

const FIRST_STEP: Duration = Duration::from_millis(500);
const LONGEST_STEP: Duration = Duration::from_secs(30);
/// The first wait before it is tried whether the service is back.
const FIRST_PROBE_STEP: Duration = Duration::from_secs(2);
/// The longest wait before it is tried whether the service is back.
const LONGEST_PROBE_STEP: Duration = Duration::from_mins(1);
/// The first wait after a 429 that names no time.
const FIRST_THROTTLED_STEP: Duration = Duration::from_secs(2);
/// The longest wait after a 429 that names no time.
const LONGEST_THROTTLED_STEP: Duration = Duration::from_mins(5);
/// The longest wait that a 429 is believed to mean.
pub(super) const LONGEST_BELIEVED_WAIT: Duration = Duration::from_hours(1);
/// The shortest wait after a 429: calling at once keeps the caller refused.
const SHORTEST_THROTTLED_WAIT: Duration = Duration::from_secs(1);

/// The wait after the failed attempt of this number (from 1); `fraction` is random, from 0 up to 1.
pub(super) fn after_failure(attempt: u32, fraction: f64) -> Duration {
    step(FIRST_STEP, LONGEST_STEP, attempt).mul_f64(fraction.clamp(0.0, 1.0))
}

/// The wait before the try of this number (from 1) whether the service is back.
pub(super) fn before_probe(number: u32, fraction: f64) -> Duration {
    step(FIRST_PROBE_STEP, LONGEST_PROBE_STEP, number).mul_f64(fraction.clamp(0.0, 1.0))
}

/// The wait after the `streak`-th 429 in a row (from 1): the one named, within reason; where none is named, or the last
/// one was waited for and did not help, at least a growing one of our own, which is no longer than the run may still be
/// refused. Jitter only adds, so that nobody calls before the time that was named.
pub(super) fn after_throttling(named: Option<Duration>, streak: u32, left: Duration, fraction: f64) -> Duration {
    let growing = |number| own_step(number).min(left.max(SHORTEST_THROTTLED_WAIT));
    let wait = match named {
        Some(named) => {
            let believed = named.clamp(SHORTEST_THROTTLED_WAIT, LONGEST_BELIEVED_WAIT);
            let broken_promises = streak.saturating_sub(1);
            let own = if broken_promises == 0 { Duration::ZERO } else { growing(broken_promises) };
            believed.max(own)
        }
        None => growing(streak),
    };
    let jitter = (wait / 10).min(Duration::from_secs(2));
    wait + jitter.mul_f64(fraction.clamp(0.0, 1.0))
}

fn own_step(number: u32) -> Duration {
    step(FIRST_THROTTLED_STEP, LONGEST_THROTTLED_STEP, number)
}

fn step(first: Duration, longest: Duration, number: u32) -> Duration {
    let doublings = number.saturating_sub(1).min(20);
    first.saturating_mul(1 << doublings).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The run may go on being refused for longer than any wait.
    const LONG: Duration = Duration::from_hours(2);

    #[test]
    fn steps_double_up_to_a_cap_and_jitter_takes_any_part_of_them() {
        let waits: Vec<u64> =
            (1..=9).map(|attempt| u64::try_from(after_failure(attempt, 1.0).as_millis()).expect("short")).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(after_failure(3, 0.0), Duration::ZERO);
        assert_eq!(after_failure(3, 0.25), Duration::from_millis(500));
        assert_eq!(after_failure(u32::MAX, 1.0), LONGEST_STEP);
        let probes: Vec<u64> = (1..=7).map(|number| before_probe(number, 1.0).as_secs()).collect();
        assert_eq!(probes, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(before_probe(9, 0.5), Duration::from_secs(30));
    }

    #[test]
    fn a_named_wait_is_kept_within_reason_and_never_cut_short() {
        let seconds = Duration::from_secs;
        assert_eq!(after_throttling(Some(seconds(8)), 1, LONG, 0.0), seconds(8));
        assert_eq!(after_throttling(Some(seconds(8)), 1, LONG, 1.0), Duration::from_millis(8800));
        assert_eq!(after_throttling(Some(seconds(0)), 1, LONG, 0.0), seconds(1));
        assert_eq!(after_throttling(Some(seconds(31_536_000)), 1, LONG, 1.0), seconds(3602));
        assert_eq!(after_throttling(Some(Duration::MAX), 1, LONG, 0.0), seconds(3600));
        assert_eq!(after_throttling(None, 1, LONG, 0.0), seconds(2));
        assert_eq!(after_throttling(None, 4, LONG, 0.0), seconds(16));
        assert_eq!(after_throttling(None, 99, LONG, 0.0), seconds(300));
        // Nobody waits for longer than the run goes on, but for what was named.
        assert_eq!(after_throttling(None, 99, seconds(40), 0.0), seconds(40));
        assert_eq!(after_throttling(None, 99, Duration::ZERO, 0.0), seconds(1));
        assert_eq!(after_throttling(Some(seconds(60)), 99, seconds(40), 0.0), seconds(60));
    }

    #[test]
    fn a_promise_that_is_not_kept_grows_and_a_longer_one_is_still_kept() {
        let waits = |named: u64| {
            let wait = |streak| after_throttling(Some(Duration::from_secs(named)), streak, LONG, 0.0).as_secs();
            [1, 2, 3, 4, 5, 6, 99].map(wait)
        };
        assert_eq!(waits(1), [1, 2, 4, 8, 16, 32, 300]);
        assert_eq!(waits(10), [10, 10, 10, 10, 16, 32, 300]);
        assert_eq!(waits(3600), [3600; 7]);
    }
}
