//! Rows, and what became of what they ask for.

use std::fmt;

use serde::Serialize;

use super::held::Held;
use super::row_code::{NOT_FOUND, RESOURCE_NOT_FOUND};

/// The number of a record of the input, from 1, the header not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RowNumber(pub u32);

impl fmt::Display for RowNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What the names of runs against the sandbox begin with.
pub(crate) const SANDBOX_RUN_PREFIX: &str = "sandbox-";

/// Whether a run of this name was a rehearsal.
pub(crate) fn is_sandbox_run(run_id: &str) -> bool {
    run_id.starts_with(SANDBOX_RUN_PREFIX)
}

/// What became of an operation or a row.
///
/// The order is the one in which the worst of a row's operations is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// It was already set when the inventory was read.
    Unchanged,
    /// The service answered that it is so now.
    Succeeded,
    /// No call was made, or only one that was refused before it could count.
    NotAttempted,
    /// Sent, never answered, and not settled by reading.
    Unknown,
    /// The service refused it for good.
    Failed,
    /// The row itself is in error and was skipped.
    Invalid,
}

impl Status {
    /// Every status, in the order of summaries.
    pub(crate) const ALL: [Self; 6] =
        [Self::Succeeded, Self::Unchanged, Self::Failed, Self::Unknown, Self::NotAttempted, Self::Invalid];

    /// The name in results and JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::NotAttempted => "not_attempted",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What became of one operation, in the words of the results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The verdict.
    pub status: Status,
    /// Whether a resumed run sends the operation again: it was refused for a reason that lies outside it, a missing
    /// permission for example.
    pub send_again: bool,
    /// Whether the last answer was a refusal that is believed. An outcome may be unknown all the same, for what was sent
    /// before.
    pub is_refusal: bool,
    /// Where the facts below come from.
    pub answer: AnswerFacts,
    /// What holds now, as far as an answer showed it.
    pub after: Held,
}

/// What the last answer to an operation said of itself, for people: masked, so nothing is decided by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AnswerFacts {
    /// The HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// The service's code, or ours (`timed_out`, `not_applied`, …) where it named none.
    pub error_code: Option<Box<str>>,
    /// The service's message, cut and masked, or ours.
    pub error_message: Option<Box<str>>,
    /// The service's correlation id.
    pub request_id: Option<Box<str>>,
}

/// Whether a refusal of this status and code says that there is no such machine.
pub(crate) fn says_machine_is_gone(http_status: Option<u16>, code: Option<&str>) -> bool {
    code == Some(RESOURCE_NOT_FOUND) || (http_status == Some(404) && code != Some(NOT_FOUND))
}

/// The quota buckets of the service: calls of one never count for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bucket {
    /// Reading machines: the list and a single one.
    Machines,
    /// Tags: the single and the bulk call together, or the single one where they count apart.
    Tags,
    /// Device values.
    Value,
    /// Tags on many machines, where such calls count apart.
    BulkTags,
}

impl Bucket {
    /// Every bucket.
    pub(crate) const ALL: [Self; 4] = [Self::Machines, Self::Tags, Self::Value, Self::BulkTags];

    /// Its place in [`Self::ALL`].
    pub(crate) const fn position(self) -> usize {
        match self {
            Self::Machines => 0,
            Self::Tags => 1,
            Self::Value => 2,
            Self::BulkTags => 3,
        }
    }

    /// The name that people read.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Machines => "machines",
            Self::Tags => "tags",
            Self::Value => "device values",
            Self::BulkTags => "bulk tags",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_status_of_a_row_is_the_greatest() {
        let order = [Status::Failed, Status::Unknown, Status::NotAttempted, Status::Succeeded, Status::Unchanged];
        assert!(order.is_sorted_by(|worse, better| worse > better));
    }
}
