//! The calls that nobody knows of, for those who are about to make others.

use super::timelines::Timelines;
use super::unknown_calls::{Uncertainty, unknown};
use super::{Store, StoreError};
use crate::clock::BootTime;

/// Calls that nobody knows of any more, or whose number nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCalls {
    /// Why not.
    pub why: Uncertainty,
    /// All of them had ended by then.
    pub ended_by: BootTime,
}

impl Store {
    /// The calls that nobody knows of: the latest of them had ended by the moment that is given. They fill every window
    /// that reaches back to it.
    pub async fn unknown_calls(&self) -> Result<Option<UnknownCalls>, StoreError> {
        let (timeline_key, clock) = (self.identity.timeline_key, self.clock.clone());
        self.writer
            .run(move |transaction| {
                transaction.may_be_lost();
                let Some((timeline, until, why)) = unknown(transaction)? else { return Ok(None) };
                let timelines = Timelines::report(transaction, timeline_key, clock.as_ref())?;
                let ended_by = timelines.on_our_clock(timeline, until);
                Ok(Some(UnknownCalls { why: why.unwrap_or(Uncertainty::Lost), ended_by }))
            })
            .await
    }
}
