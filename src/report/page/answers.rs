//! How long the service took to answer, by kind of call.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::store::CallRecord;

/// The times of answers, in tenths of milliseconds: four bytes for each call.
#[derive(Clone, Debug, Default)]
pub(super) struct AnswerTimes {
    of_kinds: BTreeMap<String, Vec<u32>>,
}

/// The times of the answers to calls of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AnswerFigure {
    /// The kind, under the name that the ledger has for it.
    pub(super) kind: String,
    /// Calls that were answered.
    pub(super) answers: u64,
    pub(super) median: Duration,
    /// 95 of 100 answers took no longer.
    pub(super) most: Duration,
    pub(super) slowest: Duration,
}

impl AnswerTimes {
    /// Takes a call of the run that was answered.
    pub(super) fn take(&mut self, call: &CallRecord) {
        let (Some(ended), Some(_), Some(_)) = (call.ended, call.http_status, call.session) else { return };
        let tenths = u32::try_from(ended.since(call.started).as_micros() / 100).unwrap_or(u32::MAX);
        match self.of_kinds.get_mut(&call.kind) {
            Some(times) => times.push(tenths),
            None => drop(self.of_kinds.insert(call.kind.clone(), vec![tenths])),
        }
    }

    pub(super) fn figures(self) -> Vec<AnswerFigure> {
        let figure = |(kind, mut times): (String, Vec<u32>)| {
            times.sort_unstable();
            AnswerFigure {
                kind,
                answers: times.len() as u64,
                median: nearest_rank(&times, 50),
                most: nearest_rank(&times, 95),
                slowest: nearest_rank(&times, 100),
            }
        };
        self.of_kinds.into_iter().map(figure).collect()
    }
}

/// The least time that so many of a hundred do not exceed.
fn nearest_rank(sorted: &[u32], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    let tenths = sorted.get(rank - 1).copied().unwrap_or(0);
    Duration::from_micros(u64::from(tenths) * 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_answers_took_no_longer() {
        let times: Vec<u32> = (1..=100).collect();
        let milliseconds = |sorted: &[u32], percent| nearest_rank(sorted, percent).as_micros() / 100;
        for (percent, expected) in [(50, 50), (95, 95), (100, 100)] {
            assert_eq!(milliseconds(&times, percent), expected);
            let enough = times.iter().filter(|time| u128::from(**time) <= expected).count();
            assert!(enough * 100 >= percent * times.len(), "{percent}");
        }
        assert_eq!((milliseconds(&[7], 50), milliseconds(&[1, 9], 50), milliseconds(&[1, 9], 95)), (7, 1, 9));
        assert_eq!(milliseconds(&[], 50), 0);
    }
}
