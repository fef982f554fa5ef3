//! What one call leaves to the next about an operation that the service had trouble with.

use crate::clock::BootTime;

/// The number of a call within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CallId(pub u64);

/// Trouble that an earlier call met while the service was well otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EarlierTrouble {
    /// The call in which it began: trouble of the same origin is one trouble, and no outage.
    pub origin: CallId,
    /// When it began.
    pub since: BootTime,
    /// Attempts of the operation alone that met it, but for those in a pause.
    pub attempts: u32,
    /// Whether the operation was sent alone at all.
    pub was_alone: bool,
}
