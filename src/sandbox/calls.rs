//! The kinds of call, the bucket each counts in, and the counts that the sandbox keeps of them.

use std::time::Duration;

use jiff::Timestamp;

/// A kind of call to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// `GET /api/machines`
    List,
    /// `GET /api/machines/{id}`
    Get,
    /// `POST /api/machines/AddOrRemoveTagForMultipleMachines`
    Bulk,
    /// `POST /api/machines/{id}/tags`
    Tags,
    /// `POST /api/machines/{id}/setDeviceValue`
    Value,
}

impl CallKind {
    /// Whether it changes something.
    pub(super) const fn writes(self) -> bool {
        matches!(self, Self::Bulk | Self::Tags | Self::Value)
    }
}

/// The moment at which a call arrived, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The time since the service began, for windows, lifetimes and lags; it never goes back.
    pub uptime: Duration,
    /// For what is written into answers.
    pub wall: Timestamp,
}

/// How many calls the sandbox has seen since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct SandboxCounters {
    /// Pages of the list that were let in (past quota and sign-in, whatever became of them afterwards).
    pub list: u64,
    /// Single machines read that were let in.
    pub get: u64,
    /// Bulk calls that were let in.
    pub bulk: u64,
    /// Single tag calls that were let in.
    pub tags: u64,
    /// Device value calls that were let in.
    pub value: u64,
    /// Tokens issued.
    pub tokens: u64,
    /// Calls refused with 429 because the quota was used up; a fault of that kind does not count here.
    pub refused_by_quota: u64,
    /// Calls refused with 401 because of their token.
    pub unauthorized: u64,
    /// Calls refused with 403, for a missing permission or because bulk calls are forbidden.
    pub forbidden: u64,
    /// Faults that were met.
    pub faults: u64,
}

impl SandboxCounters {
    /// Counts a call that was let in.
    pub(super) const fn count(&mut self, kind: CallKind) {
        match kind {
            CallKind::List => self.list += 1,
            CallKind::Get => self.get += 1,
            CallKind::Bulk => self.bulk += 1,
            CallKind::Tags => self.tags += 1,
            CallKind::Value => self.value += 1,
        }
    }

    /// All calls that were let in, faults included.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.list + self.get + self.bulk + self.tags + self.value
    }
}
