//! What is decided about an operation.

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
    /// Of an undo, or of a run that is gone on with: somebody has changed it since.
    ChangedSince,
    /// Of an undo: nobody knows what was there before.
    UnknownBefore,
    /// Of a run that is gone on with: its outcome stands.
    Kept,
}
