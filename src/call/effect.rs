//! What an attempt does to the operations of its call, in the store's terms.

use std::time::Duration;

use super::judge::{
    FailReason, History, MachineVerdict, NOT_APPLIED, NOT_APPLIED_BELIEVED_AFTER, RetryReason, SplitReason, after,
};
use super::{BulkRefusal, Call, CallEnd, CallOperation, OperationEnd};
use crate::api::{Answer, LossKind, TokenGeneration};
use crate::clock::BootTime;
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

    /// The same for every operation of a call.
    pub(super) fn on_all(&self, operations: &[CallOperation]) -> Vec<OperationEffect> {
        operations.iter().map(|operation| self.on(operation.id)).collect()
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

/// What to do after an attempt has been settled.
pub(super) enum Next {
    End(CallEnd),
    Again { after: Option<Duration> },
    RenewToken(TokenGeneration, Option<Outcome>),
}

/// What an attempt came to: what is stored about it, and what comes next.
pub(super) struct Conclusion {
    pub(super) verdict: &'static str,
    pub(super) counts_as_attempt: bool,
    pub(super) facts: AnswerFacts,
    pub(super) effects: Vec<OperationEffect>,
    pub(super) pause: Option<BootTime>,
    pub(super) retry: Option<RetryReason>,
    pub(super) next: Next,
}

impl Conclusion {
    /// One that asks nobody to wait.
    pub(super) const fn new(
        verdict: &'static str,
        counts_as_attempt: bool,
        facts: AnswerFacts,
        effects: Vec<OperationEffect>,
        next: Next,
    ) -> Self {
        Self { verdict, counts_as_attempt, facts, effects, pause: None, retry: None, next }
    }

    /// One that ends the call, with the same outcome for each of its operations.
    pub(super) fn last(verdict: &'static str, effect: Effect, status: Status, call: &Call) -> Self {
        let end = call.ended_alike(effect.outcome(status));
        let effects = effect.on_all(&call.operations);
        Self::new(verdict, true, effect.facts, effects, Next::End(end))
    }
}

/// What the accepted answer to a bulk call does to each of its operations. One that it leaves out, or shows as it was,
/// is sent once more before that is believed.
pub(super) fn answered(call: &Call, facts: &AnswerFacts, machines: &[MachineVerdict]) -> Conclusion {
    let done = Effect::last(OperationState::Succeeded, facts.clone(), Some(after(&call.request)));
    let noted = |code: &str, message: &str| AnswerFacts {
        error_code: Some(code.into()),
        error_message: Some(message.into()),
        ..facts.clone()
    };
    let not_applied = noted(fail_code(FailReason::NotApplied), NOT_APPLIED);
    let (mut effects, mut ends) = (Vec::new(), Vec::new());
    for (operation, machine) in call.operations.iter().zip(machines) {
        let history = operation.history;
        let (effect, end) = match machine {
            MachineVerdict::Done { .. } => {
                (done.on(operation.id), OperationEnd::Outcome(done.outcome(Status::Succeeded)))
            }
            MachineVerdict::NotApplied if history.not_applied + 1 >= NOT_APPLIED_BELIEVED_AFTER => {
                let failed = Effect::last(OperationState::Failed, not_applied.clone(), None);
                (failed.on(operation.id), OperationEnd::Outcome(failed.outcome(Status::Failed)))
            }
            MachineVerdict::NotApplied => {
                let again = History { not_applied: history.not_applied + 1, ..history };
                (Effect::open(not_applied.clone(), false).on(operation.id), OperationEnd::Again(again))
            }
            MachineVerdict::Omitted => {
                let again = History { omitted: history.omitted + 1, ..history };
                let facts = noted("omitted", "the answer to the bulk call shows other machines and not this one");
                (Effect::open(facts, true).on(operation.id), OperationEnd::Again(again))
            }
        };
        effects.push(effect);
        ends.push(end);
    }
    Conclusion::new("answered", true, facts.clone(), effects, Next::End(CallEnd::Settled(ends)))
}

/// What the refusal of a bulk call does to its operations: one that is named for the second time has failed, and all
/// others are to be sent again.
pub(super) fn refused(call: &Call, why: &SplitReason, facts: &AnswerFacts) -> Conclusion {
    let believed = match why {
        SplitReason::BadMachines { named } | SplitReason::Disallowed { named } => {
            let count = named.iter().filter(|named| **named).count();
            is_believable(count, named.len(), call.is_suspicious()).then_some(named)
        }
        SplitReason::TooMany { .. } | SplitReason::Forbidden => None,
    };
    let failed = Effect::last(OperationState::Failed, with_code(facts.clone(), fail_code(FailReason::NotFound)), None);
    let open = Effect::open(of_others(why, facts), false);
    let its_own = Effect::open(facts.clone(), false);
    let (mut effects, mut ends) = (Vec::new(), Vec::new());
    for (position, operation) in call.operations.iter().enumerate() {
        let is_named = believed.and_then(|named| named.get(position)).is_some_and(|named| *named);
        if is_named && operation.history.named {
            effects.push(failed.on(operation.id));
            ends.push(OperationEnd::Outcome(failed.outcome(Status::Failed)));
        } else {
            effects.push(if is_named { &its_own } else { &open }.on(operation.id));
            let named = operation.history.named || is_named;
            ends.push(OperationEnd::Again(History { named, ..operation.history }));
        }
    }
    let refusal = match why {
        SplitReason::BadMachines { .. } => BulkRefusal::BadMachines,
        SplitReason::TooMany { allowed } => BulkRefusal::TooMany { allowed: *allowed },
        SplitReason::Disallowed { .. } | SplitReason::Forbidden => BulkRefusal::Forbidden,
    };
    Conclusion::new("split", true, facts.clone(), effects, Next::End(CallEnd::Refused(refusal, ends)))
}

/// What the refusal of a bulk call says of those in it that it does not name: an error belongs to a row, and this one is
/// not theirs. It stands in the results only if the run ends before they are sent again.
fn of_others(why: &SplitReason, facts: &AnswerFacts) -> AnswerFacts {
    let (code, message) = match why {
        SplitReason::BadMachines { .. } | SplitReason::Disallowed { .. } => (
            "refused_for_another",
            "the service refused the bulk call with this machine because of another machine in it, and the run ended before \
             this one was sent again",
        ),
        SplitReason::TooMany { .. } => (
            "bulk_call_too_large",
            "the service refused the bulk call with this machine as too large, and the run ended before it was sent again",
        ),
        SplitReason::Forbidden => (
            "bulk_call_refused",
            "the service refused the bulk call with this machine, and the run ended before the machine was sent alone",
        ),
    };
    AnswerFacts {
        http_status: None,
        error_code: Some(code.into()),
        error_message: Some(message.into()),
        request_id: facts.request_id.clone(),
    }
}

/// Whether the ids that a refusal names are taken at its word: they are fewer than half of the call, or something else
/// speaks against its machines too. A text that names nearly everybody may list the call and not the culprits.
const fn is_believable(named: usize, machines: usize, suspicious: bool) -> bool {
    named > 0 && (suspicious || named * 2 < machines)
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
        FailReason::Disallowed => "disallowed",
        FailReason::NotApplied => "not_applied",
        FailReason::Rejected => "rejected",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_believed_when_it_names_few_or_suspects() {
        let table = [
            (0, 500, false, false),
            (1, 500, false, true),
            (249, 500, false, true),
            (250, 500, false, false),
            (1, 2, false, false),
            (500, 500, true, true),
            (0, 500, true, false),
        ];
        for (named, machines, suspicious, expected) in table {
            assert_eq!(is_believable(named, machines, suspicious), expected, "{named} of {machines}");
        }
    }
}
