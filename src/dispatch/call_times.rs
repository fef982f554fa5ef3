//! What every call of a run is doing, and where the time goes.

use std::collections::HashMap;
use std::time::Duration;

use super::events::Spent;
use crate::api::CallKind;
use crate::call::{CallId, WaitCause};
use crate::clock::BootTime;
use crate::model::Bucket;

/// An answer that is not there by then is worth a word.
const SLOW_ANSWER: Duration = Duration::from_secs(5);

/// What a call is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It was started and has not said anything yet, or stands in line behind others, or its answer is being stored.
    Own,
    /// It waits for a token, so far not for long.
    SigningIn,
    /// A request of this kind is on the way.
    Sending(CallKind),
    Waiting(WaitCause, Option<BootTime>),
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    bucket: Bucket,
    is_bulk: bool,
    doing: Doing,
    /// Since when it does that.
    since: BootTime,
}

impl Flight {
    /// Whether a request of it is on the way.
    const fn is_sent(&self) -> bool {
        matches!(self.doing, Doing::Sending(_))
    }

    /// When an answer to it is no longer awaited, though the run stops: a write may be done, and a read is given up at once.
    fn awaited_until(&self) -> Option<BootTime> {
        match self.doing {
            Doing::Sending(kind) if !kind.is_read() => Some(self.since.plus(kind.time_out())),
            _ => None,
        }
    }

    /// Whether it wants to be made now, and does not wait to try again: whoever does keeps nobody from being tried first.
    const fn is_active(&self) -> bool {
        !matches!(self.doing, Doing::Waiting(WaitCause::Retry(_) | WaitCause::Outage { .. }, _))
    }
}

/// The calls of a run, and the time spent by them.
#[derive(Debug)]
pub(super) struct CallTimes {
    calls: HashMap<CallId, Flight>,
    /// What was waited for last that is in the way, unless a call was answered as it should be since.
    in_the_way: Option<(WaitCause, Option<BootTime>)>,
    last_change: BootTime,
    /// Whether the state's database does not answer.
    is_state_silent: bool,
    spent: Vec<(Spent, Duration)>,
}

impl CallTimes {
    pub(super) fn new(now: BootTime) -> Self {
        Self { calls: HashMap::new(), in_the_way: None, last_change: now, is_state_silent: false, spent: Vec::new() }
    }

    pub(super) fn begin(&mut self, call: CallId, bucket: Bucket, is_bulk: bool, now: BootTime) {
        self.account(now);
        self.calls.insert(call, Flight { bucket, is_bulk, doing: Doing::Own, since: now });
    }

    /// A call does something else from now on.
    pub(super) fn change(&mut self, call: CallId, doing: Doing, now: BootTime) {
        self.account(now);
        if let Some(flight) = self.calls.get_mut(&call) {
            (flight.doing, flight.since) = (doing, now);
        }
        if let Doing::Waiting(cause, until) = doing
            && cause.is_in_the_way()
        {
            self.in_the_way = Some((cause, until));
        }
    }

    /// The state's database has not answered for so long, or does. What was taken for time of calls, or our own, was spent on
    /// waiting for it.
    pub(super) fn note_state(&mut self, silent_for: Option<Duration>, now: BootTime) {
        self.account(now);
        let was_silent = std::mem::replace(&mut self.is_state_silent, silent_for.is_some());
        let mut owed = silent_for.filter(|_| !was_silent).unwrap_or_default();
        for mistaken in [Spent::Calls, Spent::Own] {
            if let Some((_, time)) = self.spent.iter_mut().find(|(part, _)| *part == mistaken) {
                let taken = owed.min(*time);
                *time -= taken;
                owed -= taken;
                self.add(Spent::State, taken);
            }
        }
    }

    /// The run stops while this is in the way of every call, unless something else is known to be.
    pub(super) fn note_unanswered(&mut self, cause: WaitCause) {
        self.in_the_way.get_or_insert((cause, None));
    }

    /// A call was answered as it should be.
    pub(super) const fn note_answer(&mut self) {
        self.in_the_way = None;
    }

    /// What is in the way of every call, as far as is known.
    pub(super) const fn in_the_way(&self) -> Option<(WaitCause, Option<BootTime>)> {
        self.in_the_way
    }

    /// Since when the oldest request is on its way, if that is long and no younger one has been sent.
    pub(super) fn unanswered_since(&self, now: BootTime) -> Option<BootTime> {
        let sent = || self.calls.values().filter(|flight| flight.is_sent()).map(|flight| flight.since);
        let are_late = sent().max().is_some_and(|latest| now.since(latest) >= SLOW_ANSWER);
        sent().min().filter(|_| are_late)
    }

    /// A call is over.
    pub(super) fn end(&mut self, call: CallId, now: BootTime) {
        self.account(now);
        self.calls.remove(&call);
    }

    /// Calls that are not over.
    pub(super) fn count(&self) -> usize {
        self.calls.len()
    }

    /// Calls of this bucket that want to be made now.
    pub(super) fn active(&self, bucket: Bucket) -> usize {
        self.calls.values().filter(|flight| flight.bucket == bucket && flight.is_active()).count()
    }

    /// Bulk calls that want to be made now.
    pub(super) fn active_bulk_calls(&self) -> usize {
        self.calls.values().filter(|flight| flight.is_bulk && flight.is_active()).count()
    }

    /// Requests on their way.
    pub(super) fn in_flight(&self) -> usize {
        self.calls.values().filter(|flight| flight.is_sent()).count()
    }

    /// How many writes are on their way, which are awaited though the run stops, and until when at the latest.
    pub(super) fn awaited(&self) -> (usize, Option<BootTime>) {
        let awaited = || self.calls.values().filter_map(Flight::awaited_until);
        (awaited().count(), awaited().max())
    }

    /// What everybody waits for, if everybody waits: the wait that ends first.
    pub(super) fn waiting(&self) -> Option<(WaitCause, Option<BootTime>)> {
        self.first_waiting().map(|(_, cause, until)| (cause, until))
    }

    /// The same with its bucket.
    fn first_waiting(&self) -> Option<(Bucket, WaitCause, Option<BootTime>)> {
        if self.in_flight() > 0 {
            return None;
        }
        self.waits().min_by_key(|(_, _, until)| (until.is_none(), *until))
    }

    fn waits(&self) -> impl Iterator<Item = (Bucket, WaitCause, Option<BootTime>)> {
        self.calls.values().filter_map(|flight| match flight.doing {
            Doing::Waiting(cause, until) => Some((flight.bucket, cause, until)),
            Doing::Own | Doing::SigningIn | Doing::Sending(_) => None,
        })
    }

    /// The wait for a service in trouble, if anybody waits for that: of whoever tries next whether it is back.
    pub(super) fn outage(&self) -> Option<(WaitCause, Option<BootTime>)> {
        let waits = self.waits().filter(|(_, cause, _)| matches!(cause, WaitCause::Outage { .. }));
        waits.map(|(_, cause, until)| (cause, until)).min_by_key(|(_, until)| (until.is_none(), *until))
    }

    /// Whether calls of this bucket wait for a service in trouble.
    fn is_in_outage(&self, bucket: Bucket) -> bool {
        self.waits().any(|(other, cause, _)| other == bucket && matches!(cause, WaitCause::Outage { .. }))
    }

    /// Where the time went up to now.
    pub(super) fn spent(&mut self, now: BootTime) -> &[(Spent, Duration)] {
        self.account(now);
        &self.spent
    }

    fn account(&mut self, now: BootTime) {
        let passed = now.since(self.last_change);
        self.last_change = now;
        if passed.is_zero() {
            return;
        }
        let part = match self.first_waiting() {
            _ if self.is_state_silent => Spent::State,
            _ if self.in_flight() > 0 => Spent::Calls,
            // Whoever waits to try again will find the same.
            Some((_, WaitCause::Retry(_), _)) if self.outage().is_some() => Spent::Outage,
            // Who tries whether the service is back keeps to the pace; where others are served, they do.
            Some((bucket, WaitCause::Pacing, _)) if self.is_in_outage(bucket) => Spent::Outage,
            Some((_, cause, _)) => spent_on(cause),
            None if self.calls.values().any(|flight| flight.doing == Doing::SigningIn) => Spent::SignIn,
            None => Spent::Own,
        };
        self.add(part, passed);
    }

    fn add(&mut self, part: Spent, passed: Duration) {
        match self.spent.iter_mut().find(|(known, _)| *known == part) {
            Some((_, time)) => *time += passed,
            None if passed.is_zero() => {}
            None => self.spent.push((part, passed)),
        }
    }
}

const fn spent_on(cause: WaitCause) -> Spent {
    match cause {
        WaitCause::Pacing => Spent::Quota(None),
        WaitCause::Window(limit) => Spent::Quota(Some(limit)),
        WaitCause::Throttled => Spent::Throttled,
        WaitCause::Retry(_) => Spent::Retries,
        WaitCause::Answer { .. } => Spent::Calls,
        WaitCause::Token { .. } => Spent::SignIn,
        WaitCause::ListLag => Spent::ListLag,
        WaitCause::Outage { .. } => Spent::Outage,
        WaitCause::State { .. } | WaitCause::OtherHosts => Spent::State,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Repeat, RepeatCause, RetryReason};

    fn at(seconds: i64) -> BootTime {
        BootTime::from_microseconds(seconds * 1_000_000)
    }

    #[test]
    fn a_token_is_waited_for_from_the_start_unless_something_is_on_its_way() {
        let mut call_times = CallTimes::new(at(0));
        let (one, two) = (CallId(1), CallId(2));
        call_times.begin(one, Bucket::Tags, true, at(0));
        call_times.change(one, Doing::SigningIn, at(1));
        call_times.begin(two, Bucket::Value, false, at(2));
        call_times.change(one, Doing::Own, at(5));
        call_times.change(one, Doing::Sending(CallKind::Bulk), at(6));
        call_times.change(two, Doing::SigningIn, at(7));
        let second = |seconds| Duration::from_secs(seconds);
        let spent = [(Spent::Own, second(2)), (Spent::SignIn, second(4)), (Spent::Calls, second(3))];
        assert_eq!(call_times.spent(at(9)), spent);
        assert_eq!(call_times.waiting(), None, "nothing is worth a word yet");
    }

    #[test]
    fn the_parts_of_the_time_add_up() {
        let mut call_times = CallTimes::new(at(0));
        let (one, two) = (CallId(1), CallId(2));
        call_times.begin(one, Bucket::Tags, true, at(1));
        call_times.begin(two, Bucket::Value, false, at(1));
        call_times.change(one, Doing::Sending(CallKind::Bulk), at(2));
        call_times.change(two, Doing::Waiting(WaitCause::Throttled, Some(at(9))), at(2));
        assert_eq!((call_times.in_flight(), call_times.active_bulk_calls()), (1, 1));
        assert_eq!(call_times.waiting(), None);
        let retry =
            WaitCause::Retry(Repeat { why: RepeatCause::Answer(RetryReason::Busy, None), number: 2, most: None });
        call_times.change(one, Doing::Waiting(retry, Some(at(6))), at(5));
        assert_eq!(call_times.waiting(), Some((retry, Some(at(6)))));
        assert_eq!((call_times.active(Bucket::Tags), call_times.active(Bucket::Value)), (0, 1));
        assert_eq!(call_times.active_bulk_calls(), 0);
        call_times.end(one, at(6));
        call_times.end(two, at(9));
        assert_eq!(call_times.count(), 0);
        let seconds = Duration::from_secs;
        assert_eq!(
            call_times.spent(at(10)),
            [
                (Spent::Own, seconds(3)),
                (Spent::Calls, seconds(3)),
                (Spent::Retries, seconds(1)),
                (Spent::Throttled, seconds(3)),
            ]
        );
    }

    #[test]
    fn the_pace_of_those_who_are_served_is_no_outage() {
        use crate::call::ServiceTrouble;
        let (failing, served) = (CallId(1), CallId(2));
        let outage = WaitCause::Outage { since: jiff::Timestamp::UNIX_EPOCH, trouble: ServiceTrouble::Status(503) };
        for (bucket, part) in [(Bucket::Value, Spent::Quota(None)), (Bucket::Tags, Spent::Outage)] {
            let mut call_times = CallTimes::new(at(0));
            call_times.begin(failing, Bucket::Tags, false, at(0));
            call_times.begin(served, bucket, false, at(0));
            call_times.change(failing, Doing::Waiting(outage, Some(at(9))), at(0));
            call_times.change(served, Doing::Waiting(WaitCause::Pacing, Some(at(2))), at(0));
            assert_eq!(call_times.spent(at(2)), [(part, Duration::from_secs(2))], "{bucket:?}");
        }
    }

    #[test]
    fn the_time_of_a_database_that_does_not_answer_is_that_of_nothing_else() {
        let mut call_times = CallTimes::new(at(0));
        call_times.begin(CallId(1), Bucket::Tags, false, at(0));
        call_times.change(CallId(1), Doing::Sending(CallKind::Tags), at(1));
        let seconds = Duration::from_secs;
        // It was silent from the fourth second on, which is known in the seventh, until the tenth.
        call_times.note_state(None, at(6));
        call_times.note_state(Some(seconds(3)), at(7));
        call_times.note_state(Some(seconds(5)), at(9));
        call_times.note_state(None, at(10));
        let parts = [(Spent::Own, seconds(1)), (Spent::Calls, seconds(5)), (Spent::State, seconds(6))];
        assert_eq!(call_times.spent(at(12)), parts);
    }
}
