//! Why a run makes no new calls, or none in a bucket. Pure.
//!
//! What surprises: most reasons to stop are a bucket's and not the run's. Where the quota of one is used up until the
//! deadline, or the service has failed at it for too long, the others go on.

use super::bounds::{Bounds, MaximumErrors};
use super::events::EndReason;
use crate::model::{Bucket, OperationId};

/// Why a run stops, as far as it does.
#[derive(Debug)]
pub(super) struct Stopping {
    /// The refusals and failures of the run.
    pub(super) bounds: Bounds,
    reason: Option<EndReason>,
    /// Buckets in which no more calls are made while others go on, and why.
    closed: Vec<(Bucket, EndReason)>,
    /// Whether a call was to be made again at a moment beyond the deadline.
    has_late_calls: bool,
}

impl Stopping {
    pub(super) const fn new(maximum_errors: MaximumErrors) -> Self {
        Self { bounds: Bounds::new(maximum_errors), reason: None, closed: Vec::new(), has_late_calls: false }
    }

    /// Whether no new calls are made.
    pub(super) const fn is_stopping(&self) -> bool {
        self.reason.is_some()
    }

    /// No new calls are made; whoever asks before makes sure that the first reason counts.
    pub(super) fn stop(&mut self, reason: EndReason) {
        self.reason = Some(reason);
    }

    /// No new calls are made in this bucket.
    pub(super) fn close(&mut self, bucket: Bucket, reason: EndReason) {
        self.closed.push((bucket, reason));
    }

    /// Buckets in which no new calls are made.
    pub(super) fn closed(&self) -> Vec<Bucket> {
        self.closed.iter().map(|(bucket, _)| *bucket).collect()
    }

    /// A call was to be made again at a moment beyond the deadline.
    pub(super) const fn note_late_call(&mut self) {
        self.has_late_calls = true;
    }

    /// Why a run ended that has nothing more to do, and the operations whose refusal is believed, now that the service has
    /// accepted others.
    pub(super) fn conclude(self, service_accepted: bool) -> (EndReason, Vec<OperationId>) {
        let knows_us = service_accepted || self.bounds.are_few_among_others();
        let closed = self.closed.into_iter().next().map(|(_, reason)| reason);
        let late = self.has_late_calls.then_some(EndReason::Deadline);
        let forbidden = (self.bounds.has_forbidden() && !knows_us).then(|| self.bounds.forbidden_reason());
        let reason = self.reason.or(closed).or(late).or(forbidden).unwrap_or(EndReason::Finished);
        let is_believed = knows_us && !matches!(reason, EndReason::StoreFailed(_));
        (reason, if is_believed { self.bounds.forbidden().to_vec() } else { Vec::new() })
    }
}
