//! How a call comes to the gate, and how it leaves it.

use tokio::sync::OwnedMutexGuard;

use super::counting::Place;
use crate::call::StopReason;
use crate::store::AttemptTicket;

/// How a call may go on while the service is in trouble, or is not.
#[derive(Debug)]
pub(in crate::call) enum Turn {
    /// Its bucket does not pause.
    Open,
    /// It alone tries whether the service is back, until this is dropped.
    Probe {
        /// The turn, which nobody else has.
        _turn: OwnedMutexGuard<()>,
    },
    /// It may not be sent any more.
    Stopped(StopReason),
}

impl Turn {
    /// Whether it is to try if the service is back.
    pub(in crate::call) const fn is_probe(&self) -> bool {
        matches!(self, Self::Probe { .. })
    }
}

/// How a call leaves the gate.
#[derive(Debug)]
pub(in crate::call) enum Pass {
    /// It may be sent; the place in flight is free again when it is dropped.
    Admitted(AttemptTicket, Place),
    /// It may not be sent any more.
    Stopped(StopReason),
    /// Its bucket pauses since it began to wait; it is to stand in line for a turn.
    Paused,
}
