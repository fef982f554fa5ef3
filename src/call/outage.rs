//! When a bucket pauses because the service is in trouble, and when it goes on. Pure.
//!
//! An attempt that meets trouble says nothing about its operation while everybody meets it. So after a series of such
//! attempts without an answer between them the bucket pauses: one call at a time tries whether the service is back, and
//! what fails meanwhile is held against nobody. Where no connection comes about, all buckets pause, since they share a
//! host. What surprises: a series needs two operations, and one that was in trouble while others were answered counts
//! for neither, so that a machine at which the service always fails is found out and not taken for an outage. Where only a
//! few operations are left, they may all be about such machines: an answer to something neutral ends the pause then.

use std::time::Duration;

use jiff::Timestamp;

use super::judge::{RetryReason, Verdict, shows_outage};
use super::{CallId, ServiceTrouble, backoff};
use crate::api::Answer;
use crate::clock::BootTime;
use crate::model::Bucket;

/// How many attempts in a row meet trouble until a bucket pauses.
const FAILURES_BEFORE_PAUSE: u32 = 5;

/// What an attempt says of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HealthSignal {
    Answers,
    /// It is in trouble, or cannot be reached.
    Trouble(ServiceTrouble),
    /// Nothing sure: an answer was cut off, or was somebody else's.
    Unclear,
}

/// What a call is about, for telling a machine's trouble from the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallSubject {
    /// The machines of one call: one of them may be why. What is sent of them again is no second concern.
    One(CallId),
    /// Everybody.
    Many,
}

/// An attempt that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempted {
    pub(super) bucket: Bucket,
    pub(super) concern: CallSubject,
    /// When its call first met trouble, if it did before.
    pub(super) in_trouble_since: Option<BootTime>,
    /// Whether it was to find out if the service is back.
    pub(super) is_probe: bool,
}

/// A pause of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    /// When the series began that led to it.
    pub(super) since: BootTime,
    /// The same for people.
    pub(super) since_wall: Timestamp,
    /// What was met last.
    pub(super) trouble: ServiceTrouble,
    /// When it is tried next whether the service is back.
    pub(super) next_try: BootTime,
    /// When it has lasted too long.
    pub(super) ends: BootTime,
    failed_probes: u32,
    /// Whether no connection came about, which all buckets have in common.
    is_unreachable: bool,
}

/// A series of attempts in trouble.
#[derive(Clone, Copy, Debug)]
struct Series {
    failures: u32,
    began: (BootTime, Timestamp),
    /// Whom it concerns; nobody while all of its calls were in trouble before.
    concern: Option<CallSubject>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Health {
    last_answer: Option<BootTime>,
    series: Option<Series>,
    pause: Option<Pause>,
}

/// The health of the service, bucket by bucket.
#[derive(Clone, Debug)]
pub(super) struct Outages {
    maximum: Duration,
    buckets: [Health; Bucket::ALL.len()],
    /// Attempts in a row that found no connection, whatever their bucket.
    unreachable: Option<Series>,
    was_reached: bool,
    /// Buckets in which a call was in trouble while others were answered.
    has_own_troubles: [bool; Bucket::ALL.len()],
    /// Buckets in which only a few operations are left.
    has_stragglers: [bool; Bucket::ALL.len()],
}

/// The moment at which something is noted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) boot: BootTime,
    pub(super) wall: Timestamp,
    /// Random, from 0 up to 1.
    pub(super) fraction: f64,
}

impl Outages {
    /// Nothing is known to be wrong; a pause may last so long.
    pub(super) fn new(maximum: Duration) -> Self {
        Self {
            maximum,
            buckets: [Health::default(); Bucket::ALL.len()],
            unreachable: None,
            was_reached: false,
            has_own_troubles: [false; Bucket::ALL.len()],
            has_stragglers: [false; Bucket::ALL.len()],
        }
    }

    /// Only a few operations of this bucket are left. If there were machines at which the service failed while it answered
    /// others, these may all be such, and nobody is left whose answer would show it: they are no outage by themselves.
    pub(super) fn note_stragglers(&mut self, bucket: Bucket) {
        if let Some(has_stragglers) = self.has_stragglers.get_mut(bucket.position()) {
            *has_stragglers = true;
        }
        if self.is_left_to_its_own(bucket)
            && let Some(health) = self.buckets.get_mut(bucket.position())
            && health.pause.is_some_and(|pause| !pause.is_unreachable)
        {
            *health = Health { last_answer: health.last_answer, ..Health::default() };
        }
    }

    /// Whether the pause of this bucket may come from the machines of the few operations that are left, so that something
    /// neutral is to be asked. Of reads there is nothing neutral.
    pub(super) fn is_doubtful(&self, bucket: Bucket) -> bool {
        let are_few = self.has_stragglers.get(bucket.position()) == Some(&true);
        let may_lie_in_machines = self.pause(bucket).is_some_and(|pause| pause.trouble.may_lie_in_a_machine());
        are_few && may_lie_in_machines && bucket != Bucket::Machines
    }

    /// Something neutral was answered during a doubtful pause of this bucket: so the trouble is its machines' own.
    pub(super) fn note_neutral_answer(&mut self, bucket: Bucket) {
        if !self.is_doubtful(bucket) {
            return;
        }
        if let Some(has_own_troubles) = self.has_own_troubles.get_mut(bucket.position()) {
            *has_own_troubles = true;
        }
        self.note_stragglers(bucket);
    }

    fn is_left_to_its_own(&self, bucket: Bucket) -> bool {
        [self.has_own_troubles, self.has_stragglers].iter().all(|ones| ones.get(bucket.position()) == Some(&true))
    }

    /// The pause of a bucket, if there is one.
    pub(super) fn pause(&self, bucket: Bucket) -> Option<Pause> {
        self.buckets.get(bucket.position()).and_then(|health| health.pause)
    }

    /// Whether calls of this bucket were answered since.
    pub(super) fn was_answered_since(&self, bucket: Bucket, since: BootTime) -> bool {
        let last_answer = self.buckets.get(bucket.position()).and_then(|health| health.last_answer);
        last_answer.is_some_and(|answer| answer >= since)
    }

    /// Takes an attempt's end into account, and gives the pause that its bucket is in from now on.
    pub(super) fn note(&mut self, sign: HealthSignal, attempted: Attempted, now: Moment) -> Option<Pause> {
        match sign {
            HealthSignal::Answers => self.note_answer(attempted.bucket, now.boot),
            HealthSignal::Unclear => self.note_failed_probe(attempted, None, now),
            HealthSignal::Trouble(trouble) => {
                self.note_failed_probe(attempted, Some(trouble), now);
                self.note_trouble(trouble, attempted, now);
            }
        }
        self.pause(attempted.bucket)
    }

    fn note_answer(&mut self, bucket: Bucket, now: BootTime) {
        self.was_reached = true;
        self.unreachable = None;
        for (position, health) in self.buckets.iter_mut().enumerate() {
            if position == bucket.position() {
                *health = Health { last_answer: Some(now), ..Health::default() };
            } else if health.pause.is_some_and(|pause| pause.is_unreachable) {
                // One connection shows that there are others to be had.
                *health = Health { last_answer: health.last_answer, ..Health::default() };
            }
        }
    }

    /// A probe that failed puts the next one off.
    fn note_failed_probe(&mut self, attempted: Attempted, trouble: Option<ServiceTrouble>, now: Moment) {
        let Some(health) = self.buckets.get_mut(attempted.bucket.position()) else { return };
        let Some(pause) = &mut health.pause else { return };
        if let Some(trouble) = trouble {
            pause.trouble = trouble;
            pause.is_unreachable &= trouble.is_without_connection();
        }
        if attempted.is_probe {
            pause.failed_probes = pause.failed_probes.saturating_add(1);
            let wait = backoff::before_probe(pause.failed_probes + 1, now.fraction);
            pause.next_try = now.boot.plus(wait).min(pause.ends.max(now.boot));
        }
    }

    fn note_trouble(&mut self, trouble: ServiceTrouble, attempted: Attempted, now: Moment) {
        if !trouble.is_without_connection() {
            self.was_reached = true;
            self.unreachable = None;
        } else if self.was_reached {
            let series = continued(self.unreachable, Some(CallSubject::Many), now);
            self.unreachable = Some(series);
            if series.failures >= FAILURES_BEFORE_PAUSE {
                let pause = self.new_pause(series, trouble, now);
                for health in &mut self.buckets {
                    health.pause.get_or_insert(pause);
                }
            }
        } else {
            // Before the first answer ever, an address that leads nowhere is likelier than an outage.
            return;
        }
        let is_its_own =
            attempted.in_trouble_since.is_some_and(|since| self.was_answered_since(attempted.bucket, since));
        if let Some(has_own_troubles) = self.has_own_troubles.get_mut(attempted.bucket.position()) {
            *has_own_troubles |= is_its_own;
        }
        let Some(health) = self.buckets.get_mut(attempted.bucket.position()) else { return };
        health.series = Some(continued(health.series, (!is_its_own).then_some(attempted.concern), now));
        self.pause_after_series(trouble, attempted.bucket, now);
    }

    fn pause_after_series(&mut self, trouble: ServiceTrouble, bucket: Bucket, now: Moment) {
        let own = self.buckets.get(bucket.position()).and_then(|health| health.series);
        let Some(series) = own.filter(|series| series.failures >= FAILURES_BEFORE_PAUSE) else { return };
        // The other buckets' troubles speak for an outage, too: a machine that gets a tag and a value has one call in
        // each.
        let everywhere = self.buckets.iter().filter_map(|health| health.series?.concern).reduce(together);
        if everywhere != Some(CallSubject::Many) || series.concern.is_none() || self.is_left_to_its_own(bucket) {
            return;
        }
        let pause = self.new_pause(series, trouble, now);
        if let Some(health) = self.buckets.get_mut(bucket.position()) {
            health.pause.get_or_insert(pause);
        }
    }

    fn new_pause(&self, series: Series, trouble: ServiceTrouble, now: Moment) -> Pause {
        let ends = series.began.0.plus(self.maximum);
        Pause {
            since: series.began.0,
            since_wall: series.began.1,
            trouble,
            next_try: now.boot.plus(backoff::before_probe(1, now.fraction)).min(ends.max(now.boot)),
            ends,
            failed_probes: 0,
            is_unreachable: trouble.is_without_connection(),
        }
    }
}

/// The series with one attempt more.
fn continued(series: Option<Series>, concern: Option<CallSubject>, now: Moment) -> Series {
    let before = series.unwrap_or(Series { failures: 0, began: (now.boot, now.wall), concern: None });
    let concern = match (before.concern, concern) {
        (Some(one), Some(other)) => Some(together(one, other)),
        (one, other) => one.or(other),
    };
    Series { failures: before.failures.saturating_add(1), concern, ..before }
}

/// What two attempts concern together.
fn together(one: CallSubject, other: CallSubject) -> CallSubject {
    if one == other { one } else { CallSubject::Many }
}

/// What an answer says of the service's health.
pub(super) fn sign(answer: &Answer, verdict: &Verdict) -> HealthSignal {
    let trouble = match (answer, verdict) {
        (_, Verdict::Retry { why: RetryReason::NotConnected(why), .. }) => ServiceTrouble::NotConnected(*why),
        (_, Verdict::Retry { why: RetryReason::TimedOut, .. }) => ServiceTrouble::TimedOut,
        (_, Verdict::Retry { why: RetryReason::ConnectionLost, .. }) => ServiceTrouble::ConnectionLost,
        (
            _,
            Verdict::Retry {
                why: RetryReason::Truncated | RetryReason::NotUnderstood | RetryReason::TooMuch(_), ..
            },
        ) => return HealthSignal::Unclear,
        (Answer::Response(response), Verdict::Retry { why: RetryReason::ServiceFailed, .. })
            if shows_outage(response.status) =>
        {
            ServiceTrouble::Status(response.status)
        }
        _ => return HealthSignal::Answers,
    };
    HealthSignal::Trouble(trouble)
}

#[cfg(test)]
mod tests;
