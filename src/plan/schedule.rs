//! When a number of calls will be over, from the quota and from what the ledger says is used.
//!
//! The schedule plays the calls through the very rule that admits them, so that a finish time that was announced holds.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::BootTime;
use crate::model::Bucket;
use crate::quota::window::counted_for;
use crate::quota::{Pacer, Quota, QuotaScope};

/// How long a call takes, for estimates, where none was made yet.
pub(crate) const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(200);

/// What a schedule is made from.
#[derive(Clone, Debug)]
pub(crate) struct Schedule<'a> {
    /// The limits of the bucket.
    pub quota: &'a Quota,
    /// The ends of the bucket's latest calls, newest first; as many as the largest limit has calls.
    pub latest_ends: &'a [BootTime],
    /// How long a call takes.
    pub round_trip: Duration,
    /// The shortest time between two starts.
    pub spacing: Duration,
}

impl Schedule<'_> {
    /// When the last of so many further calls will have its answer, if the first may start `now`.
    pub(crate) fn end(&self, now: BootTime, calls: u64) -> BootTime {
        self.ends(now, calls).last().unwrap_or(now)
    }

    /// When each of so many further calls will have its answer, if the first may start `now`.
    pub(crate) fn ends(&self, now: BootTime, calls: u64) -> impl Iterator<Item = BootTime> {
        let longest = self.quota.limits().iter().map(|limit| limit.calls.get() as usize).max().unwrap_or(0);
        let mut ends: VecDeque<BootTime> = self.latest_ends.iter().take(longest).rev().copied().collect();
        let mut start = now;
        (0..calls).map(move |call| {
            if call > 0 {
                start = start.plus(self.spacing);
            }
            for limit in self.quota.limits() {
                let before = ends.len().checked_sub(limit.calls.get() as usize).and_then(|index| ends.get(index));
                if let Some(end) = before {
                    start = start.max(end.plus(counted_for(limit.window)));
                }
            }
            let end = start.plus(self.round_trip);
            if longest > 0 {
                if ends.len() == longest {
                    ends.pop_front();
                }
                ends.push_back(end);
            }
            end
        })
    }
}

/// How much will have been done when, with its calls spread evenly over the work: at most so many points as asked for, the
/// last of which is the end.
pub(crate) fn course(
    schedule: &Schedule<'_>,
    now: BootTime,
    calls: u64,
    operations: u64,
    most_points: u64,
) -> Vec<(Duration, u64)> {
    let most_points = most_points.max(1);
    let is_shown = |call: u64| call + 1 == calls || call * most_points / calls != (call + 1) * most_points / calls;
    let shown = (0..).zip(schedule.ends(now, calls)).filter(|(call, _)| is_shown(*call));
    let done = |call: u64| u128::from(operations) * u128::from(call + 1) / u128::from(calls);
    shown.map(|(call, end)| (end.since(now), u64::try_from(done(call)).unwrap_or(u64::MAX))).collect()
}

/// Several courses as one: what will have been done of all of them.
pub(crate) fn together(courses: &[Vec<(Duration, u64)>]) -> Vec<(Duration, u64)> {
    let steps = courses.iter().flat_map(|course| {
        let before = std::iter::once(0).chain(course.iter().map(|(_, done)| *done));
        course.iter().zip(before).map(|((at, done), before)| (*at, done.saturating_sub(before)))
    });
    let mut steps: Vec<(Duration, u64)> = steps.collect();
    steps.sort_unstable();
    let mut all = 0;
    for (_, done) in &mut steps {
        all += *done;
        *done = all;
    }
    steps
}

/// Calls of each bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BucketCalls {
    /// Reading machines.
    pub machines: u64,
    /// Single tags.
    pub tags: u64,
    /// Bulk tag calls.
    pub bulk: u64,
    /// Device values.
    pub value: u64,
}

/// When everything will be over if the machines are read first, and tags and device values are written side by side
/// then, or one after the other where all calls count together; single and bulk tag calls, too, where they count apart.
/// `latest_ends` gives those of a group of the scope, as [`Schedule`] wants them.
pub(crate) fn finish_time(
    quota: &Quota,
    scope: QuotaScope,
    now: BootTime,
    calls: BucketCalls,
    round_trip: Duration,
    latest_ends: impl Fn(&[Bucket]) -> Vec<BootTime>,
) -> BootTime {
    let end = |start: BootTime, buckets: &[Bucket], calls: u64| {
        let schedule =
            Schedule { quota, latest_ends: &latest_ends(buckets), round_trip, spacing: Pacer::spacing(quota) };
        if calls == 0 { start } else { schedule.end(start, calls) }
    };
    if scope == QuotaScope::App {
        return end(now, &Bucket::ALL, calls.machines + calls.tags + calls.bulk + calls.value);
    }
    let of = |bucket| scope.together_with(bucket);
    let read = end(now, of(Bucket::Machines), calls.machines);
    let tags = if scope.counts_bulk_apart() {
        end(read, of(Bucket::Tags), calls.tags).max(end(read, of(Bucket::BulkTags), calls.bulk))
    } else {
        end(read, of(Bucket::Tags), calls.tags + calls.bulk)
    };
    tags.max(end(read, of(Bucket::Value), calls.value))
}

/// The time that so many calls take at the very least, whatever sends them: for each limit, the windows that must pass
/// before the last call may arrive. For 100 a minute and 1,500 an hour that is
/// 3600·⌊(N−1)/1500⌋ + 60·⌊((N−1) mod 1500)/100⌋ seconds.
#[cfg(test)]
pub(crate) fn lower_bound(quota: &Quota, calls: u64) -> Duration {
    let mut left = calls.saturating_sub(1);
    let mut bound = Duration::ZERO;
    for limit in quota.limits().iter().rev() {
        let windows = left / u64::from(limit.calls.get());
        left %= u64::from(limit.calls.get());
        bound += limit.window.saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX));
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> BootTime {
        BootTime::from_microseconds(milliseconds * 1000)
    }

    fn end(quota: &str, latest_ends: &[BootTime], calls: u64) -> i64 {
        let quota: Quota = quota.parse().expect("a quota");
        let schedule = Schedule {
            quota: &quota,
            latest_ends,
            round_trip: Duration::from_millis(100),
            spacing: Duration::from_millis(10),
        };
        schedule.end(at(0), calls).as_microseconds() / 1000
    }

    #[test]
    fn a_schedule_waits_for_windows_that_are_used_and_for_those_it_fills() {
        assert_eq!(end("off", &[], 0), 0);
        assert_eq!(end("off", &[], 1), 100);
        assert_eq!(end("off", &[], 11), 200);
        assert_eq!(end("2/2s", &[], 2), 110);
        // The third starts 2.001 s after the first has ended.
        assert_eq!(end("2/2s", &[], 3), 100 + 2001 + 100);
        // One place of two is taken until one second from now.
        assert_eq!(end("2/2s", &[at(-1001)], 1), 100);
        assert_eq!(end("2/2s", &[at(-1001)], 2), 1000 + 100);
        assert_eq!(end("1/1s,2/10s", &[], 3), 100 + 10_005 + 100);
    }

    #[test]
    fn what_counts_apart_is_over_in_half_the_time() {
        let quota: Quota = "2/2s".parse().expect("a quota");
        let end = |scope, tags, bulk| {
            let calls = BucketCalls { tags, bulk, ..BucketCalls::default() };
            let end = finish_time(&quota, scope, at(0), calls, Duration::ZERO, |_group| Vec::new());
            end.as_microseconds() / 1_000_000
        };
        // Each window takes two calls, and a little more than two seconds.
        assert_eq!((end(QuotaScope::Api, 4, 4), end(QuotaScope::Auto, 4, 4)), (6, 2));
        assert_eq!((end(QuotaScope::Auto, 0, 8), end(QuotaScope::Auto, 2, 6)), (6, 4));
        assert_eq!(end(QuotaScope::App, 8, 0), 6);
    }

    #[test]
    fn a_course_ends_with_its_schedule_whatever_is_shown_of_it() {
        let quota: Quota = "2/2s".parse().expect("a quota");
        let (round_trip, spacing) = (Duration::from_millis(100), Duration::from_millis(10));
        let schedule = Schedule { quota: &quota, latest_ends: &[], round_trip, spacing };
        let whole = course(&schedule, at(0), 4, 10, 100);
        let after = |milliseconds| Duration::from_millis(milliseconds);
        assert_eq!(whole, [(after(100), 2), (after(110), 5), (after(2201), 7), (after(2211), 10)]);
        let (few, end) = (course(&schedule, at(0), 999, 999_000, 10), schedule.end(at(0), 999));
        assert!(few.len() <= 11 && few.is_sorted(), "{few:?}");
        assert_eq!(few.last(), Some(&(end.since(at(0)), 999_000)));
        assert_eq!(course(&schedule, at(0), 0, 0, 10), []);
        let other = vec![(after(105), 1), (after(5000), 4)];
        let both = [2, 3, 6, 8, 11, 14];
        assert_eq!(together(&[whole, other]).iter().map(|(_, done)| *done).collect::<Vec<_>>(), both);
    }

    #[test]
    fn the_bound_for_the_services_own_quota_is_that_of_the_design() {
        let quota: Quota = "100/1m,1500/1h".parse().expect("a quota");
        for (calls, seconds) in
            [(0, 0), (1, 0), (100, 0), (101, 60), (1500, 840), (1501, 3600), (50_000, 3600 * 33 + 60 * 4)]
        {
            assert_eq!(lower_bound(&quota, calls), Duration::from_secs(seconds), "{calls}");
        }
        let quota: Quota = "50/2s,150/10s".parse().expect("a quota");
        assert_eq!(lower_bound(&quota, 400), Duration::from_secs(22));
    }
}
