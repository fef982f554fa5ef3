//! When the service refused calls for quota, and when it failed.

use super::span::Span;
use crate::call::shows_outage;
use crate::model::Bucket;
use crate::store::CallRecord;

/// A stretch of time, in microseconds since 1970.
pub(super) type Stretch = (i64, i64);

/// The stretches of trouble of a run: each begins with a call in trouble and ends when the next one is well.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    span: Span,
    /// Calls refused for quota.
    pub(super) throttled: u64,
    /// Calls that the service failed to answer.
    pub(super) failed: u64,
    pub(super) throttling: Vec<Stretch>,
    pub(super) outages: Vec<Stretch>,
    throttled_since: [Option<i64>; Bucket::ALL.len()],
    failing_since: Option<i64>,
    last: i64,
}

impl Trouble {
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            throttled: 0,
            failed: 0,
            throttling: Vec::new(),
            outages: Vec::new(),
            throttled_since: [None; Bucket::ALL.len()],
            failing_since: None,
            last: span.from(),
        }
    }

    /// Takes a call; those of others are their own matter.
    pub(super) fn take(&mut self, call: &CallRecord) {
        if call.session.is_none() {
            return;
        }
        let at = call.started_at.as_microsecond();
        self.last = at;
        let throttled_since = self.throttled_since.get_mut(call.bucket.position());
        if call.http_status == Some(429) {
            self.throttled += 1;
            if let Some(since) = throttled_since {
                since.get_or_insert(at);
            }
            return;
        }
        if let Some(from) = throttled_since.and_then(Option::take) {
            push(&mut self.throttling, (from, at), self.span);
        }
        if is_failure(call) {
            self.failed += 1;
            self.failing_since.get_or_insert(at);
        } else if call.http_status.is_some()
            && let Some(from) = self.failing_since.take()
        {
            push(&mut self.outages, (from, at), self.span);
        }
    }

    /// What never came to an end goes on to the last call.
    pub(super) fn finish(mut self) -> Self {
        for from in self.throttled_since.iter_mut().filter_map(Option::take) {
            push(&mut self.throttling, (from, self.last), self.span);
        }
        if let Some(from) = self.failing_since.take() {
            push(&mut self.outages, (from, self.last), self.span);
        }
        self
    }
}

/// Whether the service, or the way to it, failed. What we gave up ourselves says nothing of it.
fn is_failure(call: &CallRecord) -> bool {
    match call.http_status {
        Some(status) => shows_outage(status),
        None => {
            call.ended.is_some()
                && call.verdict.as_ref().is_some_and(|verdict| !matches!(verdict.as_str(), "abandoned" | "lost"))
        }
    }
}

/// Adds a stretch, and makes it one with those that a picture could not keep apart from it.
fn push(stretches: &mut Vec<Stretch>, (mut from, mut to): Stretch, span: Span) {
    while let Some((earlier, end)) = stretches.pop() {
        if from - end > span.bin_length() {
            stretches.push((earlier, end));
            break;
        }
        (from, to) = (earlier.min(from), end.max(to));
    }
    stretches.push((from, to));
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::BootTime;

    fn trouble(calls: &[(Bucket, i64, Option<u16>)]) -> Trouble {
        let moment = |second: i64| Timestamp::from_second(second).expect("a moment");
        let mut trouble = Trouble::new(Span::new(moment(0), moment(3200)));
        for (bucket, second, http_status) in calls {
            trouble.take(&CallRecord {
                bucket: *bucket,
                kind: "tags".to_owned(),
                session: Some(0),
                timeline: 1,
                started: BootTime::from_microseconds(0),
                ended: Some(BootTime::from_microseconds(1)),
                started_at: moment(*second),
                http_status: *http_status,
                verdict: Some("retry".to_owned()),
            });
        }
        trouble.finish()
    }

    #[test]
    fn a_stretch_ends_with_the_first_call_that_is_well() {
        use Bucket::{Tags, Value};
        let seconds = |stretches: &[Stretch]| {
            stretches.iter().map(|(from, to)| (from / 1_000_000, to / 1_000_000)).collect::<Vec<_>>()
        };
        let found = trouble(&[
            (Tags, 0, Some(200)),
            (Tags, 100, Some(429)),
            // The other bucket says nothing of this one.
            (Value, 110, Some(200)),
            (Tags, 160, Some(429)),
            (Tags, 220, Some(200)),
            (Tags, 1000, Some(503)),
            (Value, 1010, None),
            (Tags, 1100, Some(200)),
            // Too near to be told apart.
            (Tags, 1105, Some(504)),
            (Tags, 1107, Some(404)),
            (Value, 2000, Some(429)),
            (Tags, 2500, Some(500)),
        ]);
        assert_eq!(seconds(&found.throttling), [(100, 220), (2000, 2500)]);
        assert_eq!(seconds(&found.outages), [(1000, 1107), (2500, 2500)]);
        assert_eq!((found.throttled, found.failed), (3, 4));
    }

    #[test]
    fn however_long_a_run_its_stretches_are_few() {
        let calls: Vec<_> =
            (0..3200).map(|second| (Bucket::Tags, second, Some(if second % 2 == 0 { 429 } else { 200 }))).collect();
        assert_eq!(trouble(&calls).throttling.len(), 1);
    }
}
