//! In which order a lane reads its operations from the store. Pure.

use crate::model::OperationId;
use crate::store::SentBefore;

/// What is to be read from the store next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// What no earlier process has sent.
    FirstPass,
    /// What one has sent, and was not refused itself.
    SecondPass,
    /// What was refused then.
    ThirdPass,
    /// Nothing.
    Over,
}

impl Reading {
    /// What is read when this pass is over.
    pub(super) fn next(self, sent_before: &SentBefore) -> Self {
        match self {
            Self::FirstPass if !sent_before.unanswered.is_empty() => Self::SecondPass,
            Self::FirstPass | Self::SecondPass if !sent_before.refused.is_empty() => Self::ThirdPass,
            _ => Self::Over,
        }
    }

    /// In which pass an operation is read.
    pub(super) fn of(operation: OperationId, sent_before: &SentBefore) -> Self {
        if sent_before.refused.binary_search(&operation).is_ok() {
            Self::ThirdPass
        } else if sent_before.unanswered.binary_search(&operation).is_ok() {
            Self::SecondPass
        } else {
            Self::FirstPass
        }
    }
}
