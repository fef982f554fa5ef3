//! The calls that nobody knows of, for those who are about to make others.

use crate::clock::BootTime;
use crate::quota::ages::{LONGEST_TIME_OUT, assumed_end};
use crate::store::server::takeovers::longest_wait_for_others;
use crate::store::trust::timelines::Timelines;
use crate::store::trust::unknown_calls::{Uncertainty, unknown};
use crate::store::{Store, StoreError};

/// Calls that nobody knows of any more, or whose number nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownCalls {
    /// Why not.
    pub why: Uncertainty,
    /// All of them had ended by then.
    pub ended_by: BootTime,
    /// The same, should somebody not come back who is waited for after a takeover.
    pub ended_by_at_worst: Option<BootTime>,
}

impl Store {
    /// The calls that nobody knows of: the latest of them had ended by the moment that is given. They fill every window
    /// that reaches back to it.
    pub(crate) async fn unknown_calls(&self) -> Result<Option<UnknownCalls>, StoreError> {
        let (timeline_key, clock) = (self.identity.timeline_key, self.clock.clone());
        self.writer
            .run(move |transaction| {
                transaction.may_be_lost();
                let Some((timeline, until, why)) = unknown(transaction)? else { return Ok(None) };
                let timelines = Timelines::report(transaction, timeline_key, clock.as_ref())?;
                let ended_by = timelines.on_our_clock(timeline, until);
                // Whoever is given up then may have called until then.
                let ended_by_at_worst = longest_wait_for_others(transaction)?
                    .map(|wait| assumed_end(timelines.now.plus(wait), LONGEST_TIME_OUT));
                Ok(Some(UnknownCalls { why: why.unwrap_or(Uncertainty::Lost), ended_by, ended_by_at_worst }))
            })
            .await
    }
}
