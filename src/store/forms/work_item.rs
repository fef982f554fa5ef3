//! What is still to be done of a run, as it is read back: the forms of [`crate::store::runs::work`].

use jiff::Timestamp;

use crate::model::{ChangeKind, Operation, OperationId};

/// What becomes of removes that wait for adds which may have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddsInDoubt {
    /// The adds are read back before that is decided.
    MayBeSettled,
    /// Nothing more will be known of the adds.
    Stays,
}

/// Removes whose adds did not all succeed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemovesWithoutAdds {
    /// How many were left out.
    pub left_out: u32,
    /// Those that wait for adds in doubt, in the order of their numbers.
    pub held_back: Vec<OperationId>,
}

/// Whether removes of a run wait for adds to the same machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swaps {
    /// None does.
    None,
    /// Some do, and of each machine the inventory has all or none of the operations.
    Alike,
    /// Of some machine it lacked some: it was listed while the run was under way.
    Mixed,
}

/// Operations that are sent alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WorkKind {
    /// What they do.
    pub change: ChangeKind,
    /// Whether the inventory lacks their machines.
    pub unlisted: bool,
}

/// Where an operation stands among those of its kind: they come tag by tag, and of one tag in the order of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkPlace {
    pub(crate) argument: u32,
    pub(crate) operation: OperationId,
}

/// An operation that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkItem {
    pub id: OperationId,
    /// What to do.
    pub operation: Operation,
    /// Where it stands.
    pub place: WorkPlace,
    /// Whether an earlier attempt may have taken effect.
    pub may_hold: bool,
}

/// What earlier processes sent and is to be sent again, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SentBefore {
    /// It had no answer, or was in a bulk call that was refused for another machine.
    pub unanswered: Vec<OperationId>,
    /// It was refused itself.
    pub refused: Vec<OperationId>,
}

/// What was sent and never answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnknownOperations {
    pub operations: Vec<(OperationId, Operation)>,
    /// When the latest of them was given up.
    pub latest: Option<Timestamp>,
}

/// How much work of a kind there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkCount {
    /// Operations that are still to be sent.
    pub operations: u64,
    /// The calls that take them, if each holds only one change and at most so many machines as asked.
    pub calls: u64,
    /// Those of them that hold a single machine.
    pub alone: u64,
}
