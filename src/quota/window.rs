//! When a call may start: the hard limit, as a pure function over what the ledger holds.
//!
//! For each limit of C calls in a window W, a call may start at *s* if fewer than C calls ended after s − W − W/2000 or
//! are still in flight. Then no window of length W at the service ever holds more than C arrivals, whatever the delay on
//! the way: a call that arrived inside the window of the last admitted one either ended after s − W, or had not ended. So
//! stamps are taken when the whole answer has come, not when the call is sent. The margin W/2000 covers two clocks that
//! run at different rates; it grows where a clock was seen to be slewed faster.
//!
//! What surprises: clocks of several processes need not agree, so an age is only ever read on the clock that stamped it
//! ([`translated`]); [`ages`](super::ages) has the rule and why it holds.

use std::time::Duration;

use super::limits::{Quota, QuotaLimit};
use crate::clock::BootTime;

/// Whether a call may start, and if not, when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It may start now.
    Start,
    /// The windows are full until this moment, if no other call comes in between.
    WaitUntil {
        /// The earliest start.
        time: BootTime,
        /// The limit that asks for it.
        limit: QuotaLimit,
    },
    /// So many calls are in flight that only an answer makes room.
    WaitForAnswer {
        /// The limit that asks for it.
        limit: QuotaLimit,
    },
}

/// How long after its end a call still counts in a window.
pub(crate) fn counted_for(window: Duration) -> Duration {
    window + window / 2000
}

/// How much longer than a window its calls are counted, for clocks that do not run alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Margin {
    millionths: u32,
}

impl Margin {
    /// What is always added: clocks of two machines differ by less.
    const USUAL_MILLIONTHS: u32 = 500;
    /// What two steady clocks may differ by.
    const STEADY_MILLIONTHS: u32 = 100;

    /// The margin where a clock was seen to run too fast by so many millionths.
    pub(crate) fn for_excess(millionths: u32) -> Self {
        Self { millionths: millionths.saturating_add(Self::STEADY_MILLIONTHS).max(Self::USUAL_MILLIONTHS) }
    }

    /// How long after its end a call still counts in a window.
    pub(crate) fn counted_for(self, window: Duration) -> Duration {
        let margin = window.as_nanos() * u128::from(self.millionths) / 1_000_000;
        window + Duration::from_nanos(u64::try_from(margin).unwrap_or(u64::MAX))
    }
}

/// The moment on the asker's clock, which shows `now`, from which a call counts that ended at `end` on a clock whose
/// position is known to be `position`: E′ = now − (position − E). The position must have been read before `now`.
///
/// Calls are adopted by the same rule: a clock that stands still, since everybody who read it is dead, would let its calls
/// count for ever.
pub(crate) const fn translated(end: BootTime, position: BootTime, now: BootTime) -> BootTime {
    let age = position.as_microseconds().saturating_sub(end.as_microseconds());
    BootTime::from_microseconds(now.as_microseconds().saturating_sub(age))
}

/// Decides about a call that would start `now`.
///
/// `in_flight` calls have not ended; `nth_latest_end(n)` is the end of the n-th latest of those that have (n from 1), on
/// the asker's clock, `None` when there are fewer. Ends may lie ahead: a call that was given up counts as ended some time later.
///
/// # Errors
/// Whatever `nth_latest_end` fails with.
pub(crate) fn decide<Failure>(
    now: BootTime,
    quota: &Quota,
    in_flight: u32,
    margin: Margin,
    mut nth_latest_end: impl FnMut(u32) -> Result<Option<BootTime>, Failure>,
) -> Result<Decision, Failure> {
    let mut decision = Decision::Start;
    for limit in quota.limits() {
        let Some(room) = limit.calls.get().checked_sub(in_flight).filter(|room| *room > 0) else {
            return Ok(Decision::WaitForAnswer { limit: *limit });
        };
        let Some(end) = nth_latest_end(room)? else { continue };
        let free = end.plus(margin.counted_for(limit.window));
        let later = match decision {
            Decision::WaitUntil { time, .. } => free > time,
            _ => free > now,
        };
        if later {
            decision = Decision::WaitUntil { time: free, limit: *limit };
        }
    }
    Ok(decision)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn decide_over(now: i64, quota: &Quota, in_flight: u32, ends: &[i64]) -> Decision {
        let mut sorted = ends.to_vec();
        sorted.sort_unstable_by(|left, right| right.cmp(left));
        decide(BootTime::from_microseconds(now), quota, in_flight, Margin::for_excess(0), |n| {
            Ok::<_, Infallible>(sorted.get(n as usize - 1).copied().map(BootTime::from_microseconds))
        })
        .unwrap_or_else(|never| match never {})
    }

    #[test]
    fn a_call_starts_when_the_window_with_its_margin_has_room() {
        let quota: Quota = "2/2s".parse().expect("a quota");
        let limit = quota.limits()[0];
        // A window of 2 s counts for 2.001 s.
        let wait = |time| Decision::WaitUntil { time: BootTime::from_microseconds(time), limit };
        assert_eq!(decide_over(0, &quota, 0, &[]), Decision::Start);
        assert_eq!(decide_over(10, &quota, 0, &[5]), Decision::Start);
        assert_eq!(decide_over(10, &quota, 0, &[5, 7]), wait(2_001_005));
        assert_eq!(decide_over(2_001_004, &quota, 0, &[5, 7]), wait(2_001_005));
        assert_eq!(decide_over(2_001_005, &quota, 0, &[5, 7]), Decision::Start);
        assert_eq!(decide_over(10, &quota, 1, &[7]), wait(2_001_007));
        assert_eq!(decide_over(10, &quota, 2, &[]), Decision::WaitForAnswer { limit });
        // An end that lies ahead counts from there.
        assert_eq!(decide_over(10, &quota, 1, &[1_000_000]), wait(3_001_000));
    }

    #[test]
    fn the_margin_is_that_of_the_design_until_a_clock_was_seen_to_run_faster() {
        let hour = Duration::from_hours(1);
        assert_eq!(Margin::for_excess(0).counted_for(hour), counted_for(hour));
        assert_eq!(Margin::for_excess(400).counted_for(hour), counted_for(hour));
        assert_eq!(Margin::for_excess(9_900).counted_for(hour), hour + hour / 100);
        let at = BootTime::from_microseconds;
        // What ended two seconds before its clock's position ended two seconds ago; what is given up ends later.
        assert_eq!(translated(at(5_000_000), at(7_000_000), at(100_000_000)), at(98_000_000));
        assert_eq!(translated(at(37_000_000), at(7_000_000), at(100_000_000)), at(130_000_000));
    }

    #[test]
    fn the_limit_that_waits_longest_decides() {
        let quota: Quota = "1/1s,2/10s".parse().expect("a quota");
        let decision = decide_over(1_000_600, &quota, 0, &[0, 1_000_500]);
        assert_eq!(
            decision,
            Decision::WaitUntil { time: BootTime::from_microseconds(10_005_000), limit: quota.limits()[1] }
        );
    }

    /// Simulates calls with random delays on the way there and back and returns their arrival times at the service.
    fn simulate(quota: &Quota, delays: &[(u32, u32)], concurrency: usize) -> Vec<i64> {
        let mut now = 0_i64;
        let mut ends: Vec<i64> = Vec::new();
        let mut in_flight: Vec<i64> = Vec::new();
        let mut arrivals = Vec::new();
        for (there, back) in delays {
            loop {
                let (done, open): (Vec<i64>, Vec<i64>) = in_flight.iter().partition(|end| **end <= now);
                ends.extend(done);
                in_flight = open;
                let next_answer = in_flight.iter().copied().min();
                if in_flight.len() >= concurrency {
                    now = next_answer.expect("a call in flight");
                    continue;
                }
                match decide_over(now, quota, u32::try_from(in_flight.len()).expect("few"), &ends) {
                    Decision::Start => break,
                    Decision::WaitUntil { time, .. } => {
                        now = next_answer.map_or(time.as_microseconds(), |answer| answer.min(time.as_microseconds()));
                    }
                    Decision::WaitForAnswer { .. } => now = next_answer.expect("a call in flight"),
                }
            }
            arrivals.push(now + i64::from(*there));
            in_flight.push(now + i64::from(*there) + i64::from(*back));
        }
        arrivals.sort_unstable();
        arrivals
    }

    proptest! {
        #[test]
        fn no_window_of_the_service_ever_holds_more_calls_than_the_quota(
            delays in proptest::collection::vec((0_u32..400_000, 0_u32..400_000), 1..120),
            calls in 1_u32..20,
            window_milliseconds in 1_u64..2000,
            concurrency in 1_usize..20,
        ) {
            let quota: Quota = format!("{calls}/{window_milliseconds}ms").parse().expect("a quota");
            let arrivals = simulate(&quota, &delays, concurrency);
            let window = i64::try_from(window_milliseconds * 1000).expect("short");
            for (index, first) in arrivals.iter().enumerate() {
                let held = arrivals[index..].iter().take_while(|arrival| **arrival - first <= window).count();
                prop_assert!(held <= calls as usize, "{held} arrivals from {first} on");
            }
        }
    }

    #[test]
    fn without_delay_the_quota_is_used_up_to_the_bound() {
        let quota: Quota = "50/2s,150/10s".parse().expect("a quota");
        let arrivals = simulate(&quota, &vec![(0, 0); 400], 16);
        let last = arrivals.last().copied().expect("calls");
        // The bound for 400 calls: 10 s · ⌊399/150⌋ + 2 s · ⌊99/50⌋ = 22 s, plus the margins.
        assert!((22_000_000..22_050_000).contains(&last), "{last}");
    }
}
