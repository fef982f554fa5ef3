//! How fast the boot clock runs: whoever sets the time may speed it up for a while, by far more than the margin of a quota
//! window covers. That is noticed against a clock whose rate nobody adjusts.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// How far apart two samples are at least, in nanoseconds: the time that reading takes must not matter.
const INTERVAL: i64 = 1_000_000_000;

/// One reading of the steady clock between two of the adjusted one, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) before: i64,
    pub(super) steady: i64,
    pub(super) after: i64,
}

impl Sample {
    /// By how much, in millionths, the adjusted clock surely ran too fast from an earlier sample to this one; `None` when
    /// they are too near to tell.
    fn excess_since(self, earlier: Self) -> Option<u32> {
        let steady = self.steady - earlier.steady;
        // The least that can have passed: from the later bound then to the earlier bound now.
        let adjusted = self.before - earlier.after;
        (steady >= INTERVAL).then(|| {
            let excess = i128::from(adjusted - steady) * 1_000_000 / i128::from(steady);
            u32::try_from(excess.max(0)).unwrap_or(u32::MAX)
        })
    }
}

/// The worst that was seen.
#[derive(Debug, Default)]
pub(super) struct Rate {
    last: Mutex<Option<Sample>>,
    worst: AtomicU32,
}

impl Rate {
    /// Looks again, if the last look is long enough ago, and gives the worst excess so far, in millionths.
    pub(super) fn excess(&self, sample: impl Fn() -> Option<Sample>) -> u32 {
        if let Some(now) = sample() {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            match last.map(|earlier| now.excess_since(earlier)) {
                None => *last = Some(now),
                Some(Some(excess)) => {
                    self.worst.fetch_max(excess, Ordering::Relaxed);
                    *last = Some(now);
                }
                Some(None) => {}
            }
        }
        self.worst.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_slewed_is_noticed_and_the_worst_is_remembered() {
        let rate = Rate::default();
        let at = |adjusted, steady, took| Some(Sample { before: adjusted, steady, after: adjusted + took });
        let second = 1_000_000_000;
        let table = [
            (at(0, 0, 0), 0),
            // Too soon to tell.
            (at(second / 2 + 50_000, second / 2, 0), 0),
            (at(2 * second, 2 * second, 0), 0),
            // A slow one, and one that was read slowly.
            (at(3 * second - 1_000_000, 3 * second, 1_000_000), 0),
            (at(4 * second, 4 * second, 0), 0),
            // A tenth too fast, as a service that sets the time may make it.
            (at(15 * second, 14 * second, 0), 100_000),
            (at(25 * second, 24 * second, 0), 100_000),
            (at(36_500_000_000, 34 * second, 0), 150_000),
        ];
        for (sample, expected) in table {
            assert_eq!(rate.excess(|| sample), expected, "{sample:?}");
        }
        assert_eq!(Rate::default().excess(|| None), 0);
    }
}
