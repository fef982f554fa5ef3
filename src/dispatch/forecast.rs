//! When a run will be over.

use std::time::Duration;

use super::{Dispatcher, Lane};
use crate::api::Transport;
use crate::model::Bucket;
use crate::plan::schedule::Schedule;
use crate::quota::QuotaScope;
use crate::store::StoreError;

/// How long a call takes, for estimates of the end.
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(200);

impl<T: Transport> Dispatcher<'_, T> {
    /// When the run will be over: by the quota's schedule, or by the pace so far where there is no quota.
    pub(super) async fn expected_end(&self) -> Result<Option<jiff::Timestamp>, StoreError> {
        let settled = self.progress.settled();
        let left = self.progress.operations.saturating_sub(settled);
        let now = self.clock.boot_time();
        let elapsed = now.since(self.started);
        let gate = &self.settings.gate;
        let in_seconds = if gate.quota.is_off() {
            if settled == 0 {
                return Ok(None);
            }
            elapsed.div_f64(approximately(settled)).mul_f64(approximately(left))
        } else {
            let longest = gate.quota.limits().iter().map(|limit| limit.calls.get()).max().unwrap_or(0);
            let groups: &[&[Bucket]] = match gate.scope {
                QuotaScope::Api => &[&[Bucket::Tags], &[Bucket::Value]],
                QuotaScope::App => &[&Bucket::ALL],
            };
            let mut end = now;
            for buckets in groups {
                let in_group = |lane: &&Lane| buckets.contains(&lane.bucket);
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
            end.since(now)
        };
        Ok(self.clock.wall_time().checked_add(in_seconds).ok())
    }
}

/// A count for an estimate; beyond 2^52 it is inexact, which no run reaches.
#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
const fn approximately(count: u64) -> f64 {
    count as f64
}
