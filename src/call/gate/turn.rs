//! Standing in line while a bucket pauses: one call at a time tries whether the service is back.
//!
//! The turns go round, so that no single call's fate decides for all. What surprises: whoever has the turn still needs a
//! place from the pacer and the ledger like any call, and keeps the turn until its answer has been noted.

use super::Gate;
use super::pass::{Pass, Turn};
use crate::call::outage::{Attempted, HealthSignal, Moment, Outages, Pause};
use crate::call::{Call, CallReport, Phase, Reports, StopReason, WaitCause};
use crate::clock::BootTime;
use crate::model::Bucket;

impl Pause {
    /// What a call waits for meanwhile.
    const fn cause(&self) -> WaitCause {
        WaitCause::Outage { since: self.since_wall, trouble: self.trouble }
    }

    /// Why no more calls are made, once it has lasted too long.
    pub(in crate::call) const fn stop_reason(&self) -> StopReason {
        StopReason::Outage { since: self.since_wall, trouble: self.trouble }
    }
}

impl Gate {
    /// Waits while the call's bucket pauses, until the service is back or the call has the turn to try.
    pub(in crate::call) async fn take_turn(&self, call: &Call, reports: &Reports) -> Turn {
        let bucket = call.request.bucket();
        let goes_on = |outages: &Outages| outages.pause(bucket).is_none();
        let mut outages = self.outages.subscribe();
        let Some(pause) = self.pause(bucket) else { return Turn::Open };
        let Some(probes) = self.probes.get(bucket.position()) else { return Turn::Open };
        let phase = Phase::Waiting { cause: pause.cause(), until: None };
        reports.send(CallReport { call: call.id, phase }).await;
        let turn = self.unless_draining(bucket, async {
            tokio::select! {
                biased;
                _ = outages.wait_for(goes_on) => None,
                turn = std::sync::Arc::clone(probes).lock_owned() => Some(turn),
            }
        });
        let turn = match turn.await {
            Some(Some(turn)) => turn,
            Some(None) => return Turn::Open,
            None => return Turn::Stopped(StopReason::Draining),
        };
        let Some(pause) = self.pause(bucket) else { return Turn::Open };
        tokio::select! {
            biased;
            _ = outages.wait_for(goes_on) => Turn::Open,
            stopped = self.wait_until(call, pause.cause(), pause.next_try, reports) => match stopped {
                Some(Pass::Stopped(reason)) => Turn::Stopped(reason),
                _ => Turn::Probe { _turn: turn },
            },
        }
    }

    /// Notes what an attempt says of the service's health, and gives the pause that its bucket is in from now on.
    pub(in crate::call) fn note_health(
        &self,
        sign: HealthSignal,
        attempted: Attempted,
        fraction: f64,
    ) -> Option<Pause> {
        let now = Moment { boot: self.clock.boot_time(), wall: self.clock.wall_time(), fraction };
        let mut pauses = (None, None);
        self.outages.send_modify(|outages| {
            let before = outages.pause(attempted.bucket);
            pauses = (before, outages.note(sign, attempted, now));
        });
        match pauses {
            (None, Some(pause)) => {
                tracing::info!(bucket = attempted.bucket.as_str(), ?pause, "the service is in trouble");
            }
            (Some(_), None) => {
                tracing::info!(bucket = attempted.bucket.as_str(), "the service is back");
            }
            _ => {}
        }
        pauses.1
    }

    /// Notes that only a few operations of this bucket are left.
    pub(in crate::call) fn note_stragglers(&self, bucket: Bucket) {
        self.outages.send_modify(|outages| outages.note_stragglers(bucket));
    }

    /// Whether the pause of this bucket may come from the machines of the few operations that are left.
    pub(in crate::call) fn is_doubtful(&self, bucket: Bucket) -> bool {
        self.outages.borrow().is_doubtful(bucket)
    }

    /// Notes that something neutral was answered during a doubtful pause of this bucket.
    pub(in crate::call) fn note_neutral_answer(&self, bucket: Bucket) {
        self.outages.send_modify(|outages| outages.note_neutral_answer(bucket));
        if self.pause(bucket).is_none() {
            tracing::info!(bucket = bucket.as_str(), "the service is well, and fails at some machines");
        }
    }

    /// Whether calls of this bucket were answered since.
    pub(in crate::call) fn was_answered_since(&self, bucket: Bucket, since: BootTime) -> bool {
        self.outages.borrow().was_answered_since(bucket, since)
    }
}
