//! The state of a run as it is told: what its calls do, and what became of its operations. Pure.

use std::collections::BTreeSet;

use super::call_times::{CallTimes, Doing};
use super::events::{ExpectedEnd, Progress};
use super::step::Moment;
use crate::call::{CallId, Notice, Phase, WaitCause};
use crate::clock::BootTime;
use crate::model::Status;
use crate::store::Absence;

/// The books of a run.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) call_times: CallTimes,
    progress: Progress,
    notices: BTreeSet<Notice>,
    started: BootTime,
}

impl Books {
    /// The books of a run of so many operations that begins now.
    pub(super) fn new(operations: u64, now: BootTime) -> Self {
        Self {
            call_times: CallTimes::new(now),
            progress: Progress { operations, ..Progress::default() },
            notices: BTreeSet::new(),
            started: now,
        }
    }

    /// Operations that have an outcome.
    pub(super) fn settled(&self) -> u64 {
        self.progress.settled()
    }

    /// Operations that have none.
    pub(super) fn left(&self) -> u64 {
        self.progress.operations.saturating_sub(self.settled())
    }

    pub(super) const fn started(&self) -> BootTime {
        self.started
    }

    /// So many operations have this outcome.
    pub(super) fn count(&mut self, status: Status, operations: u64) {
        if operations > 0 {
            *self.progress.outcomes.entry(status).or_default() += operations;
        }
    }

    /// An operation that was never answered has taken effect.
    pub(super) fn count_proven(&mut self) {
        // An earlier process may have left it unknown; then it is not in these books.
        if let Some(unknown) = self.progress.outcomes.get_mut(&Status::Unknown).filter(|unknown| **unknown > 0) {
            *unknown -= 1;
            self.count(Status::Succeeded, 1);
        }
    }

    /// Takes down what a call does now.
    pub(super) fn note_phase(&mut self, call: CallId, phase: &Phase, now: BootTime) {
        let doing = match phase {
            Phase::Waiting { cause, until } => Doing::Waiting(*cause, *until),
            Phase::SigningIn => Doing::SigningIn,
            Phase::InLine => Doing::Own,
            Phase::Sending { kind, is_repeat } => {
                *self.progress.calls.entry(*kind).or_default() += 1;
                self.progress.retried += u64::from(*is_repeat);
                Doing::Sending(*kind)
            }
            Phase::NotSent { kind, is_repeat } => {
                self.progress.calls.entry(*kind).and_modify(|calls| *calls = calls.saturating_sub(1));
                self.progress.retried = self.progress.retried.saturating_sub(u64::from(*is_repeat));
                Doing::Own
            }
            Phase::Answered { retry, throttled } => {
                self.progress.throttled += u64::from(*throttled);
                if retry.is_none() && !throttled {
                    self.call_times.note_answer();
                }
                Doing::Own
            }
            Phase::Notice(_) => return,
        };
        self.call_times.change(call, doing, now);
    }

    /// Whether this was never said before.
    pub(super) fn is_news(&mut self, notice: Notice) -> bool {
        self.notices.insert(notice)
    }

    /// The run stops: what was not answered by then is what was in the way.
    pub(super) fn note_stop(&mut self, at: Moment) {
        if let Some(cause) = self.unanswered(at) {
            self.call_times.note_unanswered(cause);
        }
    }

    /// The run is expected to end so.
    pub(super) const fn expect(&mut self, end: Option<ExpectedEnd>) {
        self.progress.expected_end = end;
    }

    /// The state of the run at this moment.
    pub(super) fn at(&mut self, at: Moment, is_stopping: bool) -> &Progress {
        let Moment { now, wall_now, .. } = at;
        let call_times = &self.call_times;
        let wall = |moment: BootTime| wall_now.checked_add(moment.since(now)).ok();
        let shown = |wait: (WaitCause, Option<BootTime>)| (wait.0, wait.1.and_then(wall));
        let unanswered = || self.unanswered(at).map(|cause| (cause, None));
        // A moment that has come is no next one.
        let still_ahead = |until: Option<BootTime>| until.filter(|until| *until > now);
        let in_the_way = call_times.in_the_way().map(|(cause, until)| (cause, still_ahead(until)));
        // What everybody met last is still true of those that are on their way again.
        let met = in_the_way.filter(|(cause, _)| matches!(cause, WaitCause::Retry(_))).map(|(cause, _)| (cause, None));
        let waiting = if is_stopping {
            // Nothing is tried again.
            unanswered()
        } else {
            call_times.outage().or_else(|| call_times.waiting()).or(met).or_else(unanswered)
        };
        let silence = at.state_silent_for.and_then(|silent| wall_now.checked_sub(silent).ok());
        let silence = silence.map(|since| (WaitCause::State { since }, None));
        let absence = at.absence.map(|Absence { since, until }| (WaitCause::State { since }, Some(until)));
        let without_state = absence.or(silence);
        let waiting = without_state.or_else(|| waiting.map(shown));
        let in_the_way = without_state.or_else(|| in_the_way.or_else(unanswered).map(shown));
        let (awaited, awaited_until) = call_times.awaited();
        (self.progress.waiting, self.progress.in_the_way) = (waiting, in_the_way);
        (self.progress.awaited, self.progress.awaited_until) = (awaited as u64, awaited_until.and_then(wall));
        self.progress.elapsed = now.since(self.started);
        self.progress.spent = self.call_times.spent(now).to_vec();
        &self.progress
    }

    /// What is said of requests that have been on their way for long.
    fn unanswered(&self, at: Moment) -> Option<WaitCause> {
        let unanswered_for = at.now.since(self.call_times.unanswered_since(at.now)?);
        let since = at.wall_now.checked_sub(unanswered_for).ok()?;
        Some(WaitCause::Answer { since })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::api::CallKind;
    use crate::model::Bucket;

    fn at(seconds: i64) -> Moment {
        let now = BootTime::from_microseconds(seconds * 1_000_000);
        let wall_now = Timestamp::from_second(seconds).expect("a time");
        Moment { now, wall_now, service_accepted: true, absence: None, state_silent_for: None }
    }

    #[test]
    fn a_call_that_never_left_is_none_and_a_moment_that_has_come_is_no_next_one() {
        let (call, kind) = (CallId(1), CallKind::Bulk);
        let mut books = Books::new(1, at(0).now);
        books.call_times.begin(call, Bucket::BulkTags, true, at(0).now);
        books.note_phase(call, &Phase::Sending { kind, is_repeat: true }, at(1).now);
        let progress = books.at(at(1), false);
        assert_eq!((progress.calls.get(&kind), progress.retried), (Some(&1), 1));
        books.note_phase(call, &Phase::NotSent { kind, is_repeat: true }, at(2).now);
        let progress = books.at(at(2), false);
        assert_eq!((progress.calls.get(&kind), progress.retried), (Some(&0), 0));
        books.note_phase(call, &Phase::Waiting { cause: WaitCause::Throttled, until: Some(at(9).now) }, at(3).now);
        for (seconds, next) in [(4, Some(at(9).wall_now)), (9, None), (10, None)] {
            assert_eq!(books.at(at(seconds), true).in_the_way, Some((WaitCause::Throttled, next)), "{seconds}");
        }
    }
}
