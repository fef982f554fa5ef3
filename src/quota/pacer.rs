//! The first gate: calls of a full window do not leave at once.
//!
//! What surprises: the limiter's own waiting sleeps on a timer that ignores a paused clock, so only its `check` is used
//! and the caller sleeps. Its clock is ours, so that simulations pace in virtual time.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as LimiterClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as LimiterQuota, RateLimiter};

use super::limits::Quota;
use crate::clock::{BootTime, SharedClock};

/// The boot clock as the limiter wants it.
#[derive(Clone, Debug)]
struct PacerClock(SharedClock);

impl LimiterClock for PacerClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let microseconds = u64::try_from(self.0.boot_time().as_microseconds()).unwrap_or(0);
        Nanos::from(microseconds.saturating_mul(1000))
    }
}

/// Spreads the calls of one bucket.
#[derive(Debug)]
pub(crate) struct Pacer {
    clock: PacerClock,
    limiter: RateLimiter<NotKeyed, InMemoryState, PacerClock, NoOpMiddleware<Nanos>>,
}

/// The part of the shortest window in which its calls leave.
const WINDOW_PART: u32 = 6;
/// The most calls that leave at once.
const MAXIMUM_BURST: u32 = 5;

impl Pacer {
    /// A pacer for this quota: the shortest window's calls leave within a sixth of it, at most five at once. `None` when
    /// the quota is off.
    pub(crate) fn new(quota: &Quota, clock: SharedClock) -> Option<Self> {
        let shortest = quota.limits().first()?;
        let calls = shortest.calls.get();
        let burst = (calls / 20).clamp(1, MAXIMUM_BURST);
        Some(Self::with_spacing(Self::spacing(quota), burst, clock))
    }

    /// The time between two calls of a full window, bursts aside; for schedules. Zero when the quota is off.
    pub(crate) fn spacing(quota: &Quota) -> Duration {
        quota.limits().first().map_or(Duration::ZERO, |shortest| shortest.window / WINDOW_PART / shortest.calls.get())
    }

    /// A pacer that spreads the calls evenly, so that even a gateway which only estimates a sliding window finds no
    /// burst. `None` when the quota is off.
    pub(crate) fn evenly(quota: &Quota, clock: SharedClock) -> Option<Self> {
        Some(Self::with_spacing(quota.even_spacing()?, 1, clock))
    }

    fn with_spacing(spacing: Duration, burst: u32, clock: SharedClock) -> Self {
        let clock = PacerClock(clock);
        let quota = LimiterQuota::with_period(spacing.max(Duration::from_nanos(1)))
            .unwrap_or(LimiterQuota::per_second(NonZeroU32::MAX))
            .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
        Self { limiter: RateLimiter::direct_with_clock(quota, clock.clone()), clock }
    }

    /// Takes a place in the queue.
    ///
    /// # Errors
    /// The moment at which to ask again, when it is too early.
    pub(crate) fn check(&self) -> Result<(), BootTime> {
        self.limiter.check().map_err(|early| {
            let left = early.earliest_possible().duration_since(self.clock.now());
            self.clock.0.boot_time().plus(left.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::clock::{BootId, VirtualClock, sleep_until};

    async fn starts(make: impl Fn(SharedClock) -> Option<Pacer>, calls: usize) -> Vec<Duration> {
        let origin = BootTime::from_microseconds(1_000_000);
        let clock: SharedClock = Arc::new(VirtualClock::new(BootId::new("b".into()), origin, Timestamp::UNIX_EPOCH));
        let pacer = make(Arc::clone(&clock)).expect("a pacer");
        let mut starts = Vec::new();
        while starts.len() < calls {
            match pacer.check() {
                Ok(()) => starts.push(clock.boot_time().since(origin)),
                Err(time) => sleep_until(clock.as_ref(), time).await,
            }
        }
        starts
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_a_minute_leave_five_at_once_and_then_one_every_tenth_of_a_second() {
        let quota: Quota = "100/1m,1500/1h".parse().expect("a quota");
        let starts = starts(|clock| Pacer::new(&quota, clock), 100).await;
        assert_eq!(starts.iter().filter(|start| start.is_zero()).count(), 5);
        let last = starts.last().copied().expect("calls");
        assert!((Duration::from_millis(9_400)..Duration::from_millis(9_800)).contains(&last), "{last:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn spread_evenly_they_leave_at_the_pace_of_the_longest_window() {
        let quota: Quota = "100/1m,1500/1h".parse().expect("a quota");
        let starts = starts(|clock| Pacer::evenly(&quota, clock), 11).await;
        let last = starts.last().copied().expect("calls");
        assert!((Duration::from_secs(24)..Duration::from_millis(24_030)).contains(&last), "{last:?}");
    }

    #[test]
    fn without_a_quota_there_is_no_pacer() {
        let clock: SharedClock = Arc::new(crate::clock::SystemClock::new().expect("clocks"));
        assert!(Pacer::new(&Quota::default(), clock).is_none());
    }
}
