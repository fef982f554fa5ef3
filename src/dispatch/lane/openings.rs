//! Which calls of a lane may begin, and which it has ahead of it.

/// Which calls of a lane may begin.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) enum Openings {
    /// Any, since single and bulk calls count together.
    Together {
        /// Whether bulk calls may be sent for the first time.
        may_begin_bulk: bool,
    },
    /// These.
    Apart(ApartOpenings),
}

/// Which calls may begin where single and bulk calls count apart.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct ApartOpenings {
    /// Single calls.
    pub(in crate::dispatch) single: bool,
    /// Bulk calls.
    pub(in crate::dispatch) bulk: BulkOpening,
}

/// Which bulk calls may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum BulkOpening {
    /// None.
    Nothing,
    /// Those that are made again.
    Again,
    Any {
        /// Whether they may relieve single ones.
        relief: bool,
    },
}

impl BulkOpening {
    pub(super) const fn takes_fresh(self) -> bool {
        matches!(self, Self::Any { .. })
    }

    pub(super) const fn takes_relief(self) -> bool {
        matches!(self, Self::Any { relief: true })
    }
}

/// The calls that a lane will take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::dispatch) struct CallsAhead {
    /// Those that hold one machine and were not begun.
    pub(in crate::dispatch) alone: u64,
    pub(in crate::dispatch) others: u64,
}
