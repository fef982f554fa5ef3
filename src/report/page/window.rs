//! How many calls there were in the last minute, hour or other window, all the time that a run took.
//!
//! What surprises: pictures lie on the clock of people, and the count on the clock of the ledger, which no change of the
//! hour touches. Where the machine was started anew between two calls, the time between them is that of people's clock.

use std::collections::VecDeque;
use std::time::Duration;

use super::span::{BINS, Span};
use crate::model::Bucket;
use crate::store::CallRecord;

/// The calls of some buckets in a window that ends at each moment.
#[derive(Clone, Debug)]
pub(super) struct WindowCount {
    pub(super) buckets: Vec<Bucket>,
    pub(super) window: Duration,
    /// The calls that each session allowed; `None` where it had no such limit.
    limits: Vec<Option<u32>>,
    span: Span,
    /// The most calls in each piece of the span.
    pub(super) peaks: Vec<u32>,
    /// The most calls in the span.
    pub(super) peak: u32,
    /// When that was, in microseconds since 1970.
    pub(super) peak_at: i64,
    /// Calls of the run that were let through beyond their limit.
    pub(super) beyond: u64,
    /// Calls in the span.
    pub(super) calls: u64,
    /// The beginnings of the calls in the window, on the ledger's clock.
    recent: VecDeque<i64>,
    bin: usize,
    clock: Option<LedgerClock>,
}

/// A clock of the ledger, and what has to be added for that of people.
#[derive(Clone, Copy, Debug)]
struct LedgerClock {
    timeline: i64,
    offset: i64,
}

impl WindowCount {
    pub(super) fn new(buckets: Vec<Bucket>, window: Duration, limits: Vec<Option<u32>>, span: Span) -> Self {
        Self {
            buckets,
            window,
            limits,
            span,
            peaks: vec![0; BINS],
            peak: 0,
            peak_at: span.from(),
            beyond: 0,
            calls: 0,
            recent: VecDeque::new(),
            bin: 0,
            clock: None,
        }
    }

    /// The limit that held last.
    pub(super) fn limit(&self) -> Option<u32> {
        self.limits.last().copied().flatten()
    }

    /// Takes a call; they come in the order in which they were let through.
    pub(super) fn take(&mut self, call: &CallRecord) {
        if !self.buckets.contains(&call.bucket) {
            return;
        }
        let (started, started_at) = (call.started.as_microseconds(), call.started_at.as_microsecond());
        let clock = LedgerClock { timeline: call.timeline, offset: started_at.saturating_sub(started) };
        if let Some(known) = self.clock.filter(|known| known.timeline != clock.timeline) {
            self.recent
                .iter_mut()
                .for_each(|time| *time = time.saturating_add(known.offset.saturating_sub(clock.offset)));
        }
        self.clock = Some(clock);
        let bin = self.span.bin(started_at);
        self.drain_until(bin);
        self.forget(started);
        self.recent.push_back(started);
        if started_at < self.span.from() {
            return;
        }
        let count = self.count();
        self.calls += 1;
        self.note(bin, count);
        if count > self.peak {
            (self.peak, self.peak_at) = (count, started_at);
        }
        let limit = call.session.and_then(|session| self.limits.get(session).copied().flatten());
        self.beyond += u64::from(limit.is_some_and(|limit| count > limit));
    }

    /// The same to the end of the span.
    pub(super) fn finish(mut self) -> Self {
        self.drain_until(BINS - 1);
        self
    }

    /// Goes on to a piece, in those before which nothing began.
    fn drain_until(&mut self, bin: usize) {
        let Some(clock) = self.clock else { return };
        while self.bin < bin {
            self.bin += 1;
            self.forget(self.span.start(self.bin).saturating_sub(clock.offset));
            let count = self.count();
            self.note(self.bin, count);
        }
    }

    fn note(&mut self, bin: usize, count: u32) {
        if let Some(peak) = self.peaks.get_mut(bin) {
            *peak = count.max(*peak);
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.recent.len()).unwrap_or(u32::MAX)
    }

    /// Forgets what began a whole window ago.
    fn forget(&mut self, now: i64) {
        let window = i64::try_from(self.window.as_micros()).unwrap_or(i64::MAX);
        while self.recent.front().is_some_and(|first| *first <= now.saturating_sub(window)) {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::BootTime;

    const BEGAN: i64 = 1_700_000_000_000_000;

    fn call(timeline: i64, started: i64, started_at: i64) -> CallRecord {
        CallRecord {
            bucket: Bucket::Tags,
            kind: "tags".to_owned(),
            session: Some(0),
            timeline,
            started: BootTime::from_microseconds(started),
            ended: None,
            started_at: Timestamp::from_microsecond(started_at).expect("a moment"),
            http_status: None,
            verdict: None,
        }
    }

    fn moment(microseconds: i64) -> Timestamp {
        Timestamp::from_microsecond(microseconds).expect("a moment")
    }

    /// Of each piece the most calls in a window, by looking at every moment at which the number may change.
    fn naive(starts: &[i64], window: i64, span: Span) -> Vec<u32> {
        let at = |moment: i64| starts.iter().filter(|start| **start <= moment && **start > moment - window).count();
        let peaks = (0..BINS).map(|bin| {
            let (from, to) = (span.start(bin), span.start(bin + 1));
            let moments = starts.iter().copied().filter(|start| (from..to).contains(start));
            std::iter::once(from).chain(moments).map(at).max().unwrap_or(0)
        });
        peaks.map(|peak| u32::try_from(peak).expect("few")).collect()
    }

    #[test]
    fn the_count_is_that_of_looking_at_every_moment() {
        for seed in 0..40 {
            let mut random = fastrand::Rng::with_seed(seed);
            let length = random.i64(20_000_000..4_000_000_000);
            let span = Span::new(moment(BEGAN), moment(BEGAN + length));
            let mut starts: Vec<i64> = (0..400).map(|_| BEGAN + random.i64(-60_000_000..length)).collect();
            starts.sort_unstable();
            let window = Duration::from_millis(random.u64(100..600_000));
            let mut count = WindowCount::new(vec![Bucket::Tags], window, vec![Some(3)], span);
            for start in &starts {
                count.take(&call(1, start - BEGAN + 5_000_000_000, *start));
            }
            let count = count.finish();
            let window = i64::try_from(window.as_micros()).expect("short");
            let mut expected = naive(&starts, window, span);
            // Of a piece before whose beginning nothing is known, only what was seen is told.
            if starts.first() >= Some(&BEGAN) {
                expected[0] = count.peaks[0];
            }
            assert_eq!(count.peaks[1..], expected[1..], "seed {seed}");
            assert_eq!(count.peaks.iter().max(), Some(&count.peak), "seed {seed}");
            let beyond = starts.iter().filter(|start| **start >= BEGAN).filter(|start| {
                let within = |other: &&i64| **other <= **start && **other > **start - window;
                starts.iter().filter(within).count() > 3
            });
            assert_eq!(count.beyond, beyond.count() as u64, "seed {seed}");
        }
    }

    #[test]
    fn a_call_counts_until_a_whole_window_has_gone_and_no_longer() {
        let span = Span::new(moment(BEGAN), moment(BEGAN + 100_000_000));
        let mut count = WindowCount::new(vec![Bucket::Tags], Duration::from_secs(30), vec![Some(1)], span);
        let mut most_after = |after: i64| {
            count.take(&call(1, 900_000_000 + after, BEGAN + after));
            (count.peak, count.beyond)
        };
        assert_eq!([0, 30_000_000, 59_999_999].map(&mut most_after), [(1, 0), (1, 0), (2, 1)]);
    }

    #[test]
    fn a_machine_that_is_started_anew_takes_its_calls_with_it() {
        let span = Span::new(moment(BEGAN), moment(BEGAN + 100_000_000));
        let mut count = WindowCount::new(vec![Bucket::Tags], Duration::from_mins(1), vec![Some(2)], span);
        let calls = [(1, 900_000_000, 0), (1, 910_000_000, 10_000_000), (2, 1_000_000, 65_000_000)];
        for (timeline, started, after) in calls {
            count.take(&call(timeline, started, BEGAN + after));
        }
        assert_eq!((count.peak, count.recent.len(), count.beyond), (2, 2, 0));
        count.take(&CallRecord { bucket: Bucket::Value, ..call(2, 2_000_000, BEGAN + 66_000_000) });
        assert_eq!(count.calls, 3, "others have a bucket of their own");
    }
}
