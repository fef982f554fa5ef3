//! When a run will be over.

use std::time::Duration;

use super::{Dispatcher, ExpectedEnd, Lane};
use crate::api::Transport;
use crate::clock::BootTime;
use crate::model::Bucket;
use crate::plan::schedule::Schedule;
use crate::quota::QuotaScope;
use crate::store::StoreError;

/// How long a call takes, for estimates of the end.
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(200);

impl<T: Transport> Dispatcher<'_, T> {
    /// When the run will be over: by the quota's schedule, or by the pace so far where there is no quota; at its deadline, if
    /// that comes first. Of a run that stops nobody knows.
    pub(super) async fn expected_end(&self) -> Result<Option<ExpectedEnd>, StoreError> {
        if self.ending.is_some() {
            return Ok(None);
        }
        let now = self.clock.boot_time();
        let Some(end) = self.end_of_what_is_left(now).await? else { return Ok(None) };
        let deadline = self.settings.gate.deadline.filter(|deadline| *deadline < end);
        let is_complete = deadline.is_none() && self.closed.is_empty();
        let at = self.clock.wall_time().checked_add(deadline.unwrap_or(end).since(now)).ok();
        Ok(at.map(|at| ExpectedEnd { at, is_complete }))
    }

    /// When what is left would be done, but for what no call is made for any more.
    async fn end_of_what_is_left(&self, now: BootTime) -> Result<Option<BootTime>, StoreError> {
        let settled = self.progress.settled();
        let left = self.progress.operations.saturating_sub(settled);
        let elapsed = now.since(self.started);
        let gate = &self.settings.gate;
        if gate.quota.is_off() {
            let for_each = (settled > 0).then(|| elapsed.div_f64(approximately(settled)));
            return Ok(for_each.map(|for_each| now.plus(for_each.mul_f64(approximately(left)))));
        }
        let longest = gate.quota.limits().iter().map(|limit| limit.calls.get()).max().unwrap_or(0);
        let groups: &[&[Bucket]] = match gate.scope {
            QuotaScope::Api => &[&[Bucket::Tags], &[Bucket::Value]],
            QuotaScope::App => &[&Bucket::ALL],
        };
        let mut end = now;
        for buckets in groups {
            let in_group = |lane: &&Lane| buckets.contains(&lane.bucket) && !self.is_closed(lane.bucket);
            let calls = self.lanes.iter().filter(in_group).map(Lane::calls_ahead).sum();
            let latest_ends = self.store.latest_ends(gate.account, buckets.to_vec(), longest).await?;
            let schedule = Schedule {
                quota: &gate.quota,
                latest_ends: &latest_ends,
                round_trip: ASSUMED_ROUND_TRIP,
                spacing: Duration::ZERO,
            };
            end = end.max(schedule.end(now, calls));
        }
        Ok(Some(end))
    }
}

/// A count for an estimate; beyond 2^52 it is inexact, which no run reaches.
#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
const fn approximately(count: u64) -> f64 {
    count as f64
}
