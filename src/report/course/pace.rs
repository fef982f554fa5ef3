//! How often a line about the progress is written where there is no terminal: after ten seconds, and then ever more rarely.

use std::time::Duration;

use jiff::Timestamp;

use crate::call::{RepeatCause, RetryReason, WaitCause};

/// How often a line is written at first; the pause doubles up to [`LONGEST_LINE_PAUSE`].
const FIRST_LINE_PAUSE: Duration = Duration::from_secs(10);
/// The longest time without a line.
const LONGEST_LINE_PAUSE: Duration = Duration::from_mins(5);

/// When the next line is due.
pub(in crate::report) struct LinePace {
    next_line: Duration,
    pause: Duration,
    has_told_of_wait: bool,
    told_outage: Option<Timestamp>,
    is_state_silent: bool,
}

impl Default for LinePace {
    fn default() -> Self {
        Self {
            next_line: FIRST_LINE_PAUSE,
            pause: FIRST_LINE_PAUSE,
            has_told_of_wait: false,
            told_outage: None,
            is_state_silent: false,
        }
    }
}

impl LinePace {
    /// Whether a line is due so long after the beginning, with this wait going on; if so, it is taken for written.
    pub(in crate::report) fn is_due(
        &mut self,
        elapsed: Duration,
        waiting: Option<(WaitCause, Option<Timestamp>)>,
    ) -> bool {
        let is_due = elapsed >= self.next_line || self.is_first_wait(waiting);
        if is_due {
            self.pause = (self.pause * 2).min(LONGEST_LINE_PAUSE);
            self.next_line = elapsed + self.pause;
        }
        is_due
    }

    /// Whether the quota makes everybody wait for the first time, or an outage has begun, of the service or the state's
    /// database: that is worth a line at once.
    fn is_first_wait(&mut self, waiting: Option<(WaitCause, Option<Timestamp>)>) -> bool {
        let is_silent = matches!(waiting, Some((WaitCause::State { .. }, _)));
        let was_silent = std::mem::replace(&mut self.is_state_silent, is_silent);
        if is_silent {
            return !was_silent;
        }
        if let Some((WaitCause::Outage { since, .. }, Some(_))) = waiting {
            return self.told_outage.replace(since) != Some(since);
        }
        let waits = match waiting {
            Some((WaitCause::Window(_) | WaitCause::Throttled | WaitCause::ListLag, until)) => until.is_some(),
            Some((WaitCause::OtherHosts, _)) => true,
            Some((WaitCause::Retry(repeat), until)) => match repeat.why {
                // A server that hangs is waited for in vain for the first time.
                RepeatCause::Answer(RetryReason::TimedOut, _) => true,
                // Where no connection comes about, an address or a setting is wrong as a rule.
                RepeatCause::SignIn(_) | RepeatCause::Answer(RetryReason::NotConnected(_), _) => until.is_some(),
                RepeatCause::Answer(..) => false,
            },
            _ => false,
        };
        waits && !std::mem::replace(&mut self.has_told_of_wait, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{ConnectionTrouble, Repeat, ServiceTrouble};

    #[test]
    fn lines_become_rarer_and_the_first_wait_is_told_at_once() {
        let mut pace = LinePace::default();
        let due: Vec<u64> = (0..1200).filter(|second| pace.is_due(Duration::from_secs(*second), None)).collect();
        assert_eq!(due, [10, 30, 70, 150, 310, 610, 910]);
        let mut pace = LinePace::default();
        let wait = Some((WaitCause::Throttled, Some(Timestamp::UNIX_EPOCH)));
        assert!(!pace.is_due(Duration::ZERO, Some((WaitCause::Pacing, Some(Timestamp::UNIX_EPOCH)))));
        assert!(pace.is_due(Duration::from_secs(1), wait) && !pace.is_due(Duration::from_secs(2), wait));
        let repeat = |why| {
            let why = RepeatCause::Answer(why, None);
            Some((WaitCause::Retry(Repeat { why, number: 2, most: None }), Some(Timestamp::UNIX_EPOCH)))
        };
        let mut pace = LinePace::default();
        assert!(!pace.is_due(Duration::from_secs(1), repeat(RetryReason::ServiceFailed)));
        for why in [RetryReason::NotConnected(ConnectionTrouble::Refused), RetryReason::TimedOut] {
            let mut pace = LinePace::default();
            let (first, second) = (Duration::from_secs(1), Duration::from_secs(2));
            assert!(pace.is_due(first, repeat(why)) && !pace.is_due(second, repeat(why)), "{why:?}");
        }
        let outage = |since| {
            let since = Timestamp::from_second(since).expect("a time");
            Some((WaitCause::Outage { since, trouble: ServiceTrouble::TimedOut }, Some(since)))
        };
        let due: Vec<bool> =
            [1, 1, 2].into_iter().map(|since| pace.is_due(Duration::from_secs(3), outage(since))).collect();
        assert_eq!(due, [true, false, true], "each outage is told once");
        let silent = Some((WaitCause::State { since: Timestamp::UNIX_EPOCH }, None));
        let mut pace = LinePace::default();
        let due: Vec<bool> = [silent, silent, None, silent].map(|wait| pace.is_due(Duration::ZERO, wait)).into();
        assert_eq!(due, [true, false, false, true], "and each silence of the state");
    }
}
