//! What counts together, as far as this run knows: as the user says, until a refusal shows more.
//!
//! Where single and bulk tag calls may count apart, nobody knows whether they do until one goes beyond what they may have
//! together. What surprises: that one travels alone, so that a service which counts them together refuses one call and not
//! all that are in flight.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit};

use crate::call::Notice;
use crate::clock::BootTime;
use crate::model::Bucket;
use crate::quota::QuotaScope;

/// What a call in flight holds.
#[derive(Debug)]
pub(in crate::call) struct Place {
    _in_flight: OwnedSemaphorePermit,
    /// Held by the call that finds out whether single and bulk tag calls count apart.
    trial: Option<OwnedMutexGuard<()>>,
}

impl Place {
    pub(super) const fn new(in_flight: OwnedSemaphorePermit, trial: Option<OwnedMutexGuard<()>>) -> Self {
        Self { _in_flight: in_flight, trial }
    }

    /// Whether the call goes beyond what would be allowed if single and bulk tag calls counted together.
    pub(super) const fn is_trial(&self) -> bool {
        self.trial.is_some()
    }
}

/// What counts together.
pub(super) struct Counting {
    /// The scope, and since when it is wider than the user said.
    scope: Mutex<(QuotaScope, Option<BootTime>)>,
    /// Whether the service was seen to count single and bulk tag calls apart.
    is_known_apart: AtomicBool,
    /// Whoever holds it tries.
    trial: Arc<tokio::sync::Mutex<()>>,
}

impl Counting {
    pub(super) fn new(scope: QuotaScope) -> Self {
        Self { scope: Mutex::new((scope, None)), is_known_apart: AtomicBool::new(false), trial: Arc::default() }
    }

    /// Which buckets count together now.
    pub(super) fn scope(&self) -> QuotaScope {
        self.scope.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Whether calls of this bucket are made as if single and bulk calls counted apart, and nobody knows whether they do.
    pub(super) fn is_in_doubt(&self, bucket: Bucket) -> bool {
        bucket == Bucket::Tags && self.scope().counts_bulk_apart() && !self.is_known_apart.load(Ordering::Acquire)
    }

    /// Waits for the turn to try.
    pub(super) async fn try_alone(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.trial).lock_owned().await
    }

    /// A call was accepted that would have been refused otherwise.
    pub(super) fn note_apart(&self) {
        self.is_known_apart.store(true, Ordering::Release);
    }

    /// A call of this bucket was refused for quota that was let through then: more counts together from now on. Says what, if
    /// that is news. Calls that were let through before the last time were refused for the same cause.
    pub(super) fn merge(&self, bucket: Bucket, let_through: BootTime, now: BootTime) -> Option<Notice> {
        let mut state = self.scope.lock().unwrap_or_else(PoisonError::into_inner);
        let (scope, since) = *state;
        if since.is_some_and(|since| let_through <= since) {
            return None;
        }
        let (wider, notice) = match scope {
            QuotaScope::App => return None,
            QuotaScope::Auto if bucket == Bucket::Tags => (QuotaScope::Api, Notice::TagCallsCountTogether),
            QuotaScope::Auto | QuotaScope::Api => (QuotaScope::App, Notice::UnexplainedThrottling),
        };
        *state = (wider, Some(now));
        Some(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_that_is_not_explained_widens_what_counts_together() {
        let at = BootTime::from_microseconds;
        let counting = Counting::new(QuotaScope::Auto);
        assert!(counting.is_in_doubt(Bucket::Tags) && !counting.is_in_doubt(Bucket::Value));
        assert_eq!(counting.merge(Bucket::Tags, at(5), at(7)), Some(Notice::TagCallsCountTogether));
        assert_eq!(counting.merge(Bucket::Tags, at(6), at(8)), None, "it left before that was known");
        assert_eq!((counting.scope(), counting.is_in_doubt(Bucket::Tags)), (QuotaScope::Api, false));
        assert_eq!(counting.merge(Bucket::Tags, at(9), at(10)), Some(Notice::UnexplainedThrottling));
        assert_eq!(counting.merge(Bucket::Value, at(11), at(12)), None);
        assert_eq!(counting.scope(), QuotaScope::App);
        let counting = Counting::new(QuotaScope::Auto);
        assert_eq!(counting.merge(Bucket::Value, at(5), at(7)), Some(Notice::UnexplainedThrottling));
    }
}
