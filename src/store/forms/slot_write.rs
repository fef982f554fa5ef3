//! What runs wrote to slots, as it is read back: the forms of [`crate::store::slots`].

use super::attempt::AttemptKey;
use super::run::RunKey;
use crate::model::{Age, Held, MayHold, Slot};

/// A write of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotWrite {
    /// The run that made it.
    pub run: RunKey,
    pub slot: Slot,
    /// What held before its run, as far as that is known.
    pub before: Held,
    /// What else the run has found there since, before it wrote.
    pub found: MayHold,
    /// What it left, or would have left.
    pub wrote: Held,
    /// Whether it surely took effect; otherwise it may have, or may do so yet.
    pub surely: bool,
    /// Whether its call was answered, so that it cannot take effect later. Then it is in doubt since the call was about another
    /// form of the tag.
    pub answered: bool,
    /// The attempt that made it: of two writes the later one has the greater.
    pub attempt: Option<AttemptKey>,
    /// Whether it is as young as was asked for.
    pub age: Age,
}

impl SlotWrite {
    /// Whether it may have changed anything.
    pub(crate) fn may_change(&self) -> bool {
        self.before == Held::Unknown || self.before != self.wrote
    }
}

/// What a run made of a slot, from its first write there to its last, whatever rows its input had then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunSlot {
    pub slot: Slot,
    /// What held before the first write.
    pub before: Held,
    /// What may hold since the last one.
    pub after: MayHold,
    /// The last attempt of the run that wrote there.
    pub last_attempt: Option<AttemptKey>,
    /// What other runs changed there since and nobody has taken back, in the order in which they did.
    pub later: Vec<SlotWrite>,
}
