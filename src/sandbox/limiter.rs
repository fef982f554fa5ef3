//! The quota, as the sandbox enforces it: exact sliding windows over arrival times.
//!
//! A call is refused when it would make a closed span of time as long as the window hold more arrivals than the quota
//! allows. That needs only the arrival that many calls back: if it is younger than the window, there is no room. What
//! surprises: an arrival exactly one window ago still counts, so this is the strictest reading of "calls per window".
//! Refused calls are not remembered. Nothing here reads a clock.

use std::collections::VecDeque;
use std::time::Duration;

use super::calls::CallKind;
use super::settings::SandboxQuota;

/// A refusal: which quota is used up and how long it stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) quota: SandboxQuota,
    pub(super) wait: Duration,
}

/// All buckets of one tenant and app.
#[derive(Debug)]
pub(super) struct Limiter {
    quotas: Vec<SandboxQuota>,
    one_bucket: bool,
    early_calls_prolong: bool,
    machines: Bucket,
    tags: Bucket,
    value: Bucket,
    bulk: Option<Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// Arrivals in their order, the newest last; as many as the largest quota allows.
    arrivals: VecDeque<Duration>,
    /// The last refusal and when it was spoken, for as long as an early call can prolong it.
    refused: Option<(Duration, Refusal)>,
}

impl Limiter {
    pub(super) fn new(quotas: Vec<SandboxQuota>, one_bucket: bool, early_calls_prolong: bool) -> Self {
        let [machines, tags, value] = [(); 3].map(|()| Bucket::default());
        Self { quotas, one_bucket, early_calls_prolong, machines, tags, value, bulk: None }
    }

    /// The same, which counts bulk tag calls on their own if asked for.
    pub(super) fn with_bulk_apart(self, bulk_apart: bool) -> Self {
        Self { bulk: bulk_apart.then(Bucket::default), ..self }
    }

    /// Whether a call that arrives now has room. It does not count until [`Limiter::record`].
    ///
    /// # Errors
    /// [`Refusal`] with the quota that keeps it out longest.
    pub(super) fn check(&mut self, kind: CallKind, now: Duration) -> Result<(), Refusal> {
        let prolong = self.early_calls_prolong;
        let full = self.quotas.iter().filter_map(|quota| self.bucket(kind).full(*quota, now));
        let longest = full.max_by_key(|refusal| refusal.wait);
        let bucket = self.bucket_mut(kind);
        let standing = bucket.refused.filter(|(spoken, refusal)| prolong && now < *spoken + refusal.wait);
        let refusal = match (longest, standing) {
            (None, None) => return Ok(()),
            (Some(refusal), None) | (None, Some((_, refusal))) => refusal,
            (Some(fresh), Some((_, old))) => Refusal { wait: fresh.wait.max(old.wait), ..fresh },
        };
        bucket.refused = Some((now, refusal));
        Err(refusal)
    }

    /// Remembers the arrival of a call that was let in.
    pub(super) fn record(&mut self, kind: CallKind, now: Duration) {
        let remembered = self.quotas.iter().map(|quota| quota.calls).max().unwrap_or(0);
        if remembered == 0 {
            return;
        }
        let bucket = self.bucket_mut(kind);
        if bucket.arrivals.len() >= remembered {
            bucket.arrivals.pop_front();
        }
        bucket.arrivals.push_back(now);
    }

    fn bucket(&self, kind: CallKind) -> &Bucket {
        match kind {
            _ if self.one_bucket => &self.machines,
            CallKind::List | CallKind::Get => &self.machines,
            CallKind::Bulk => self.bulk.as_ref().unwrap_or(&self.tags),
            CallKind::Tags => &self.tags,
            CallKind::Value => &self.value,
        }
    }

    fn bucket_mut(&mut self, kind: CallKind) -> &mut Bucket {
        match kind {
            _ if self.one_bucket => &mut self.machines,
            CallKind::List | CallKind::Get => &mut self.machines,
            CallKind::Bulk => self.bulk.as_mut().unwrap_or(&mut self.tags),
            CallKind::Tags => &mut self.tags,
            CallKind::Value => &mut self.value,
        }
    }
}

impl Bucket {
    /// The refusal that this quota speaks now, if it is used up.
    fn full(&self, quota: SandboxQuota, now: Duration) -> Option<Refusal> {
        let oldest_that_counts = self.arrivals.len().checked_sub(quota.calls)?;
        let arrival = self.arrivals.get(oldest_that_counts)?;
        let age = now.saturating_sub(*arrival);
        // One nanosecond more, because at exactly the window's length the arrival still counts.
        quota.window.checked_sub(age).map(|left| Refusal { quota, wait: left + Duration::from_nanos(1) })
    }
}

#[cfg(test)]
mod tests;
