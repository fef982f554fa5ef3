//! What an attempt does to the operations of its call, in the store's terms.

use super::judge::FailReason;
use crate::api::{Answer, LossKind};
use crate::model::{AnswerFacts, OperationId, Outcome, Status};
use crate::store::{AttemptEnd, OperationEffect, OperationState};

/// What an attempt does to every operation of its call.
pub(super) struct Effect {
    state: Option<OperationState>,
    ambiguous: bool,
    pub(super) facts: AnswerFacts,
    after: Option<Box<str>>,
}

impl Effect {
    pub(super) fn last(state: OperationState, facts: AnswerFacts, after: Option<&str>) -> Self {
        Self { state: Some(state), ambiguous: false, facts, after: after.map(Into::into) }
    }

    pub(super) const fn open(facts: AnswerFacts, ambiguous: bool) -> Self {
        Self { state: None, ambiguous, facts, after: None }
    }

    pub(super) fn on(&self, operation: OperationId) -> OperationEffect {
        OperationEffect {
            operation,
            state: self.state,
            ambiguous: self.ambiguous,
            answer: self.facts.clone(),
            after: self.after.clone(),
        }
    }

    pub(super) fn outcome(&self, status: Status) -> Outcome {
        Outcome {
            status,
            send_again: self.state == Some(OperationState::Refused),
            answer: self.facts.clone(),
            after: self.after.clone(),
        }
    }
}

/// When the attempt counts as ended: an answer that has begun proves that the request arrived.
pub(super) const fn attempt_end(answer: &Answer) -> AttemptEnd {
    match answer {
        Answer::Response(_) => AttemptEnd::Now,
        Answer::Lost(loss) => match loss.kind {
            LossKind::NotConnected | LossKind::Truncated | LossKind::TooLong => AttemptEnd::Now,
            LossKind::TimedOut | LossKind::ConnectionLost => AttemptEnd::GivenUp,
        },
    }
}

pub(super) fn with_code(mut facts: AnswerFacts, code: &'static str) -> AnswerFacts {
    facts.error_code.get_or_insert_with(|| code.into());
    facts
}

pub(super) const fn fail_code(why: FailReason) -> &'static str {
    match why {
        FailReason::NotFound => "not_found",
        FailReason::Forbidden => "forbidden",
        FailReason::NotApplied => "not_applied",
        FailReason::Rejected => "rejected",
    }
}
