//! What is decided about an operation, and how far it had come before.

/// What is decided about an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is to be sent.
    Change,
    /// It is already set.
    Unchanged,
    /// Its machine's name does not lead to one machine.
    Unresolved,
    /// The inventory lacks its machine, and such machines are not tried.
    NotInInventory,
    /// It is left out by a limit.
    BeyondLimit,
    /// It removes a tag, as more operations do than the guard allows.
    Withheld,
    /// It removes a tag from a machine that was to get another first, and the row that says which is in error.
    AddInError,
    /// Of an undo, or of a run that is resumed: somebody has changed it since.
    ChangedSince,
    /// The same where nobody knows whether somebody has.
    MayBeChangedSince,
    /// Of an undo: nobody knows what was there before.
    UnknownBefore,
    /// Of a run that is resumed: its outcome stands.
    Kept,
}

impl Decision {
    /// Whether it stays as somebody has made it since, or as nobody knows how to take it back.
    pub(crate) const fn leaves_it(self) -> bool {
        matches!(self, Self::ChangedSince | Self::MayBeChangedSince | Self::UnknownBefore)
    }
}

/// How far an operation had come when its run was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Earlier {
    /// It was never sent, or left out by options or for want of another operation.
    NotSent,
    /// It was already set.
    Unchanged,
    /// The service answered that it is so.
    Succeeded,
    /// The same, and a later run may have changed it since.
    DoneInDoubt,
    /// The service refused it. A run of its own would ask for it, too.
    Failed,
    /// It failed without a call: its machine was not to be found, for example.
    FailedUnsent,
    /// The service refused it for a reason that lies outside it.
    Refused,
    /// It was sent, and it is not known what became of it.
    MayBeDone,
}
