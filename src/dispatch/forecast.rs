//! When a run will be over. Pure.

use std::time::Duration;

use super::books::Books;
use super::lane::CallsAhead;
use super::lanes::Lanes;
use super::step::Question;
use crate::call::GateSettings;
use crate::clock::BootTime;
use crate::model::Bucket;
use crate::plan::schedule::{ASSUMED_ROUND_TRIP, Schedule};
use crate::quota::side_by_side;

/// What is to be known of the ledger to tell the end; `None` where there is no quota.
pub(super) fn question(gate: &GateSettings) -> Option<Question> {
    let count = gate.quota.limits().iter().map(|limit| limit.calls.get()).max().unwrap_or(0);
    (!gate.quota.is_off()).then(|| Question::LatestEnds { groups: gate.scope.groups(), count })
}

/// When what is left is done at the pace so far, where there is no quota.
pub(super) fn end_by_pace(books: &Books, now: BootTime) -> Option<BootTime> {
    let settled = books.settled();
    let for_each = (settled > 0).then(|| now.since(books.started()).div_f64(approximately(settled)));
    for_each.map(|for_each| now.plus(for_each.mul_f64(approximately(books.left()))))
}

/// When what is left is done by the quota's schedule, but for what no call is made for any more; `latest_ends` as
/// [`question`] asks for them.
pub(super) fn end_by_quota(
    gate: &GateSettings,
    lanes: &Lanes,
    closed: &[Bucket],
    latest_ends: &[Vec<BootTime>],
    now: BootTime,
) -> BootTime {
    let ends = gate.scope.groups().iter().zip(latest_ends).map(|(buckets, latest_ends)| {
        let schedule =
            Schedule { quota: &gate.quota, latest_ends, round_trip: ASSUMED_ROUND_TRIP, spacing: Duration::ZERO };
        schedule.end(now, calls_ahead(gate, lanes, closed, buckets))
    });
    ends.fold(now, BootTime::max)
}

/// The calls that such buckets will take, as far as can be told.
fn calls_ahead(gate: &GateSettings, lanes: &Lanes, closed: &[Bucket], buckets: &[Bucket]) -> u64 {
    let apart = || {
        let CallsAhead { alone, others } = lanes.tag_calls_ahead();
        side_by_side(&gate.quota, alone, others)
    };
    match buckets {
        [Bucket::Tags | Bucket::BulkTags] if closed.contains(&Bucket::Tags) => 0,
        [Bucket::Tags] => apart().0,
        [Bucket::BulkTags] => apart().1,
        buckets => lanes.calls_ahead(|bucket| buckets.contains(&bucket) && !closed.contains(&bucket)),
    }
}

/// A count for an estimate; beyond 2^52 it is inexact, which no run reaches.
#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
const fn approximately(count: u64) -> f64 {
    count as f64
}
