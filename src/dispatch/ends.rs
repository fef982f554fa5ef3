//! How calls end, and what that means for the run: outcomes, refusals of bulk calls, and reasons to stop.
//!
//! What surprises: most reasons to stop are a bucket's and not the run's. Where the quota of one is used up until the
//! deadline, or the service has failed at it for too long, the others go on.

use super::lane::Errand;
use super::{DispatchError, Dispatcher, EndReason, Event};
use crate::api::Transport;
use crate::call::{AbortCause, BulkRefusal, CallEnd, CallId, Notice, OperationEnd, StopReason};
use crate::model::{Bucket, OperationId, Outcome, Status};

impl<T: Transport> Dispatcher<'_, T> {
    pub(super) fn take_end(&mut self, call: CallId, end: CallEnd) -> Result<(), DispatchError> {
        let Some((index, errand)) = self.flights.remove(&call) else { return self.take_read(end) };
        match end {
            CallEnd::Settled(ends) => {
                if errand.len() > 1 {
                    self.bulk.accepted();
                }
                let (ids, limit) = (errand.ids(), self.bulk.limit());
                if let Some(lane) = self.lanes.get_mut(index) {
                    lane.take_answers(errand, &ends, limit);
                }
                self.take_outcomes(index, &ids, ends, false)?;
                self.learn_from_search(index);
                Ok(())
            }
            CallEnd::Refused(refusal, ends) => self.take_refusal(index, errand, refusal, ends),
            // Errands are writes.
            CallEnd::Read(_) | CallEnd::ReadFailed(_) => {
                self.abandon(index);
                Ok(())
            }
            CallEnd::Stopped(reason) => {
                self.abandon(index);
                match reason {
                    StopReason::Draining => Ok(()),
                    StopReason::RepeatBeyondDeadline => {
                        self.has_late_calls = true;
                        Ok(())
                    }
                    StopReason::Deadline => self.close(index, EndReason::Deadline),
                    StopReason::Outage { since, trouble } => self.close(index, EndReason::Outage { since, trouble }),
                }
            }
            CallEnd::Aborted(cause, outcome) => {
                if let (Some(outcome), [only]) = (outcome, errand.ids().as_slice()) {
                    self.take_outcome(index, *only, outcome, false)?;
                }
                self.abandon(index);
                match cause {
                    AbortCause::ThrottledForGood => self.close(index, EndReason::Aborted(cause)),
                    cause => self.stop(EndReason::Aborted(cause)),
                }
            }
        }
    }

    fn abandon(&mut self, index: usize) {
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.abandon();
        }
    }

    /// Takes a bulk call that was refused as a whole, and learns from it for the rest of the run.
    fn take_refusal(
        &mut self,
        index: usize,
        errand: Errand,
        refusal: BulkRefusal,
        ends: Vec<OperationEnd>,
    ) -> Result<(), DispatchError> {
        let (handling, notice) = self.bulk.refused(refusal, errand.len());
        if let Some(notice) = notice {
            self.notice(notice)?;
        }
        let (ids, limit) = (errand.ids(), self.bulk.limit());
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.take_refusal(errand, handling, &ends, limit);
        }
        self.take_outcomes(index, &ids, ends, true)
    }

    fn learn_from_search(&mut self, index: usize) {
        if self.lanes.get_mut(index).is_some_and(super::lane::Lane::has_shown_bulk_refused) {
            self.bulk.all_refused();
        }
    }

    fn take_outcomes(
        &mut self,
        index: usize,
        ids: &[OperationId],
        ends: Vec<OperationEnd>,
        named: bool,
    ) -> Result<(), DispatchError> {
        for (id, end) in ids.iter().zip(ends) {
            if let OperationEnd::Outcome(outcome) = end {
                self.take_outcome(index, *id, outcome, named)?;
            }
        }
        Ok(())
    }

    /// Takes an operation's outcome into the books; `named` when the refusal of a bulk call named its machine.
    fn take_outcome(
        &mut self,
        index: usize,
        id: OperationId,
        outcome: Outcome,
        named: bool,
    ) -> Result<(), DispatchError> {
        self.take_off(index, 1);
        *self.progress.outcomes.entry(outcome.status).or_default() += 1;
        let succeeded = outcome.status == Status::Succeeded;
        let (settled, accepted) = (self.progress.settled(), self.caller.service_accepted());
        let reason = self.bounds.take(id, &outcome, named, settled, accepted);
        self.tell(&Event::Settled(outcome))?;
        if succeeded && self.bulk.are_refused() {
            self.notice(Notice::BulkForbidden)?;
        }
        reason.map_or(Ok(()), |reason| self.stop(reason))
    }

    pub(super) fn notice(&mut self, notice: Notice) -> Result<(), DispatchError> {
        if self.notices.insert(notice) {
            self.tell(&Event::Notice(notice))?;
        }
        Ok(())
    }

    /// Makes no new calls in the bucket of this lane. The run stops if there is nothing to do in any other.
    fn close(&mut self, index: usize, reason: EndReason) -> Result<(), DispatchError> {
        let Some(bucket) = self.lanes.get(index).map(|lane| lane.bucket) else { return Ok(()) };
        if self.is_closed(bucket) {
            return Ok(());
        }
        if !self.lanes.iter().any(|lane| lane.bucket != bucket && lane.left > 0 && !self.is_closed(lane.bucket)) {
            return self.stop(reason);
        }
        tracing::info!(bucket = bucket.as_str(), ?reason, "no new calls in this bucket");
        self.caller.close(bucket);
        self.closed.push((bucket, reason));
        Ok(())
    }

    pub(super) fn is_closed(&self, bucket: Bucket) -> bool {
        self.closed.iter().any(|(closed, _)| *closed == bucket)
    }

    /// Makes no new calls; the first reason counts.
    pub(super) fn stop(&mut self, reason: EndReason) -> Result<(), DispatchError> {
        let holds_back = self.holds_back();
        if let Some(settling) = &mut self.settling
            && !holds_back
            && !matches!(reason, EndReason::Interrupted)
        {
            // Every operation has its outcome; what cannot be read back any more stays unknown.
            settling.give_up();
            let _before = self.drain.send_replace(true);
            self.tell(&Event::Stopping(reason))?;
        } else if self.ending.is_none() {
            tracing::info!(?reason, "no new calls");
            if let Some(cause) = self.unanswered() {
                self.clockwork.note_unanswered(cause);
            }
            self.ending = Some(reason.clone());
            let _before = self.drain.send_replace(true);
            self.tell(&Event::Stopping(reason))?;
        }
        Ok(())
    }
}
