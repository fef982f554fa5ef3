//! What a run is made with, and what may be asked of it while it is under way.

use std::time::Duration;

use super::bounds::MaximumErrors;
use crate::call::GateSettings;

/// What a run is made with.
#[derive(Clone, Debug)]
pub(crate) struct DispatchSettings {
    /// Account, quota, concurrency and deadline.
    pub gate: GateSettings,
    /// Whether one tag is changed on many machines in one call.
    pub bulk: bool,
    /// When to stop because of failures.
    pub maximum_errors: MaximumErrors,
    /// How often to send [`Event::Tick`](super::Event::Tick).
    pub tick: Duration,
    /// For jitter.
    pub seed: u64,
}

/// What somebody asks of a run that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopRequest {
    /// Make no new calls, await those in flight.
    Drain,
    /// Stop at once.
    Halt,
}
