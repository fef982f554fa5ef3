//! What an attempt does to the operations of its call, in the store's terms.

use std::time::Duration;

use super::judge::{
    FailReason, History, MachineVerdict, NOT_APPLIED, NOT_APPLIED_BELIEVED_AFTER, NOT_SHOWN, RetryReason, SplitReason,
    Verdict, after,
};
use super::{BulkRefusal, Call, CallEnd, CallOperation, Notice, OperationEnd, Repeat};
use crate::api::{Answer, ApiRequest, LossKind, TokenGeneration};
use crate::clock::BootTime;
use crate::model::row_code::{FORBIDDEN, NOT_FOUND};
use crate::model::{AnswerFacts, Held, OperationId, Outcome, Status, TagAction};
use crate::store::{AttemptEnd, OperationEffect, OperationState};

/// What an attempt does to every operation of its call.
pub(super) struct Effect {
    state: Option<OperationState>,
    ambiguous: bool,
    pub(super) facts: AnswerFacts,
    after: Held,
}

impl Effect {
    pub(super) fn last(state: OperationState, facts: AnswerFacts, after: Held) -> Self {
        Self { state: Some(state), ambiguous: false, facts, after }
    }

    pub(super) const fn open(facts: AnswerFacts, ambiguous: bool) -> Self {
        Self { state: None, ambiguous, facts, after: Held::Unknown }
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
            after: self.after,
        }
    }

    pub(super) fn outcome(&self, status: Status) -> Outcome {
        Outcome {
            status,
            send_again: self.state == Some(OperationState::Refused),
            is_refusal: false,
            answer: self.facts.clone(),
            after: self.after,
        }
    }

    /// The end of an operation that was accepted in an answer that shows nothing of it: a read has to settle it.
    fn accepted(facts: &AnswerFacts) -> Self {
        let facts = AnswerFacts {
            error_code: Some("not_shown".into()),
            error_message: Some(NOT_SHOWN.into()),
            ..facts.clone()
        };
        Self { ambiguous: true, ..Self::last(OperationState::Unknown, facts, Held::Unknown) }
    }

    /// The end of an operation that was refused, or given up. What may have been done all the same is unknown; to ask once more
    /// would tell, unless there is no such machine. What the service refuses to everybody is to be sent again in any case.
    fn refused(state: OperationState, why: FailReason, facts: AnswerFacts, may_be_done: bool) -> (Self, Outcome) {
        let is_gone = why == FailReason::NotFound;
        let (state, status) = match (may_be_done, state) {
            (true, OperationState::Failed) if !is_gone => (OperationState::Unknown, Status::Unknown),
            (true, state) => (state, Status::Unknown),
            (false, state) => (state, Status::Failed),
        };
        let facts = if may_be_done { with_doubt(facts) } else { facts };
        let effect = Self { ambiguous: may_be_done, ..Self::last(state, facts, Held::Unknown) };
        let outcome = effect.outcome(status);
        (effect, outcome)
    }
}

/// What is refused to everybody, whatever the call: it ends with this for each of its operations, or goes on with another token.
pub(super) fn refused_to_all(facts: AnswerFacts, call: &Call, memory: History) -> (Effect, Outcome) {
    let histories = call.operations.iter().map(|operation| &operation.history).chain([&memory]);
    let may_be_done = histories.into_iter().any(|history| history.may_be_done_although(FailReason::Rejected));
    Effect::refused(OperationState::Refused, FailReason::Rejected, facts, may_be_done && !call.request.is_read())
}

/// Says so where a refusal is not all that is known.
fn with_doubt(facts: AnswerFacts) -> AnswerFacts {
    const DOUBT: &str = "it may have taken effect all the same";
    let said = facts.error_message.as_deref().unwrap_or_default();
    let message = if said.is_empty() { DOUBT.to_owned() } else { format!("{said}; {DOUBT}") };
    AnswerFacts { error_message: Some(message.into()), ..facts }
}

/// What to do after an attempt has been settled.
pub(super) enum Next {
    End(CallEnd),
    Again {
        /// How long to wait, and what to say of that.
        after: Option<(Duration, Repeat)>,
    },
    RenewToken(TokenGeneration, Option<Outcome>),
}

/// How a call ends without success.
#[derive(Clone, Copy)]
pub(super) struct NotDone {
    pub(super) state: OperationState,
    pub(super) why: FailReason,
    /// Whether the last answer was a refusal; otherwise the call is given up.
    pub(super) is_refusal: bool,
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

    /// One that ends a single call which was accepted in an answer that shows nothing of its change.
    pub(super) fn accepted(facts: &AnswerFacts, call: &Call) -> Self {
        Self::last("accepted", Effect::accepted(facts), Status::Unknown, call)
    }

    /// One that ends the call for good, without success. `memory` is what its attempts have shown.
    pub(super) fn not_done(
        verdict: &'static str,
        end: NotDone,
        facts: AnswerFacts,
        call: &Call,
        memory: History,
    ) -> Self {
        let NotDone { state, why, is_refusal } = end;
        if call.request.is_read() {
            let (effect, outcome) = Effect::refused(state, why, facts, false);
            return Self::new(verdict, true, effect.facts, Vec::new(), Next::End(CallEnd::ReadFailed(outcome)));
        }
        let (mut effects, mut ends) = (Vec::new(), Vec::new());
        for operation in &call.operations {
            let may_be_done = memory.may_be_done_although(why) || operation.history.may_be_done_although(why);
            let (effect, outcome) = Effect::refused(state, why, facts.clone(), may_be_done);
            effects.push(effect.on(operation.id));
            ends.push(OperationEnd::Outcome(Outcome { is_refusal, ..outcome }));
        }
        Self::new(verdict, true, facts, effects, Next::End(CallEnd::Settled(ends)))
    }
}

/// What the accepted answer to a bulk call does to each of its operations. One that it leaves out, shows as it was, or in
/// another case, is sent once more before that is believed. `memory` is what the call's earlier attempts have shown.
pub(super) fn answered(call: &Call, facts: &AnswerFacts, machines: &[MachineVerdict], memory: History) -> Conclusion {
    let noted = |code: &str, message: &str| AnswerFacts {
        error_code: Some(code.into()),
        error_message: Some(message.into()),
        ..facts.clone()
    };
    let done =
        |case_differs| Effect::last(OperationState::Succeeded, facts.clone(), after(&call.request, case_differs));
    let again =
        |operation: &CallOperation, effect: Effect, history| (effect.on(operation.id), OperationEnd::Again(history));
    let ended = |operation: &CallOperation, effect: Effect, status| {
        (effect.on(operation.id), OperationEnd::Outcome(effect.outcome(status)))
    };
    let not_applied = noted(fail_code(FailReason::NotApplied), NOT_APPLIED);
    let (mut effects, mut ends) = (Vec::new(), Vec::new());
    for (operation, machine) in call.operations.iter().zip(machines) {
        let history = operation.history.also(memory);
        let is_believed = history.not_applied + 1 >= NOT_APPLIED_BELIEVED_AFTER;
        let (effect, end) = match machine {
            MachineVerdict::Done { case_differs } => ended(operation, done(*case_differs), Status::Succeeded),
            MachineVerdict::OtherCase if is_believed => ended(operation, done(true), Status::Succeeded),
            MachineVerdict::OtherCase => {
                again(operation, Effect::open(facts.clone(), true), history.and(RetryReason::OtherCase))
            }
            MachineVerdict::Accepted => ended(operation, Effect::accepted(facts), Status::Unknown),
            MachineVerdict::NotApplied if is_believed => {
                let may_be_done = history.may_be_done_although(FailReason::NotApplied);
                let (failed, outcome) =
                    Effect::refused(OperationState::Failed, FailReason::NotApplied, not_applied.clone(), may_be_done);
                (failed.on(operation.id), OperationEnd::Outcome(outcome))
            }
            MachineVerdict::NotApplied => {
                again(operation, Effect::open(not_applied.clone(), true), history.and(RetryReason::NotApplied))
            }
            MachineVerdict::Omitted => {
                let facts = noted("omitted", "the answer to the bulk call shows other machines and not this one");
                let history = History { omitted: history.omitted + 1, may_hold: true, ..history };
                again(operation, Effect::open(facts, true), history)
            }
        };
        effects.push(effect);
        ends.push(end);
    }
    Conclusion::new("answered", true, facts.clone(), effects, Next::End(CallEnd::Settled(ends)))
}

/// What the refusal of a bulk call does to its operations: one that is named for the second time has failed, and all
/// others are to be sent again. `memory` is what the call's earlier attempts have shown.
pub(super) fn refused(call: &Call, why: &SplitReason, facts: &AnswerFacts, memory: History) -> Conclusion {
    let believed = match why {
        SplitReason::BadMachines { named } | SplitReason::Disallowed { named } => {
            let count = named.iter().filter(|named| **named).count();
            is_believable(count, &call.operations).then_some(named)
        }
        SplitReason::TooMany { .. } | SplitReason::Forbidden => None,
    };
    let code = fail_code(FailReason::NotFound);
    let open = Effect::open(of_others(why, facts), false);
    let its_own = Effect::open(facts.clone(), false);
    let (mut effects, mut ends) = (Vec::new(), Vec::new());
    for (position, operation) in call.operations.iter().enumerate() {
        let is_named = believed.and_then(|named| named.get(position)).is_some_and(|named| *named);
        let history = operation.history.also(memory);
        if is_named && history.named {
            let may_be_done = history.may_be_done_although(FailReason::NotFound);
            let (effect, outcome) = Effect::refused(
                OperationState::Failed,
                FailReason::NotFound,
                with_code(facts.clone(), code),
                may_be_done,
            );
            effects.push(effect.on(operation.id));
            ends.push(OperationEnd::Outcome(outcome));
        } else {
            effects.push(if is_named { &its_own } else { &open }.on(operation.id));
            ends.push(OperationEnd::Again(History { named: history.named || is_named, ..history }));
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
/// speaks against its machines too. A text that names everybody names nobody, for it may list the call and not the
/// culprits; unless each of them was named before, by a text that did not name everybody.
fn is_believable(named: usize, operations: &[CallOperation]) -> bool {
    let everybody = |holds: fn(&History) -> bool| operations.iter().all(|operation| holds(&operation.history));
    if named == operations.len() {
        return everybody(|history| history.named);
    }
    named > 0 && (named * 2 < operations.len() || everybody(|history| history.named || history.unlisted))
}

/// When the attempt counts as ended: an answer that has begun proves that the request arrived.
pub(super) const fn attempt_end(answer: &Answer) -> AttemptEnd {
    match answer {
        Answer::Response(_) => AttemptEnd::Now,
        Answer::Lost(loss) => match loss.kind {
            LossKind::TimedOut | LossKind::ConnectionLost => AttemptEnd::GivenUp,
            // It never left, or its answer had begun.
            _ => AttemptEnd::Now,
        },
    }
}

pub(super) fn with_code(mut facts: AnswerFacts, code: &'static str) -> AnswerFacts {
    facts.error_code.get_or_insert_with(|| code.into());
    facts
}

pub(super) const fn fail_code(why: FailReason) -> &'static str {
    match why {
        FailReason::NotFound => NOT_FOUND,
        FailReason::Forbidden => FORBIDDEN,
        FailReason::Disallowed => "disallowed",
        FailReason::NotApplied => "not_applied",
        FailReason::Rejected => "rejected",
    }
}

/// What a verdict about a call tells people besides.
pub(super) fn notices(verdict: &Verdict, request: &ApiRequest) -> Vec<Notice> {
    use ApiRequest::{ChangeTag, ChangeTagOnMachines};
    let is_removal = matches!(
        request,
        ChangeTag { action: TagAction::Remove, .. } | ChangeTagOnMachines { action: TagAction::Remove, .. }
    );
    let other_case = if is_removal { Notice::OtherCaseStays } else { Notice::TagCaseDiffers };
    match verdict {
        Verdict::Done { case_differs: true, .. } | Verdict::Retry { why: RetryReason::OtherCase, .. } => {
            vec![other_case]
        }
        Verdict::Answered { machines, .. } => {
            let differs = machines.iter().any(|machine| {
                matches!(machine, MachineVerdict::OtherCase | MachineVerdict::Done { case_differs: true })
            });
            let shows_nothing = machines.contains(&MachineVerdict::Accepted);
            let notices = [(differs, other_case), (shows_nothing, Notice::BulkAnswersShowNothing)];
            notices.into_iter().filter_map(|(holds, notice)| holds.then_some(notice)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MachineId, Tag};

    #[test]
    fn of_a_tag_in_another_case_is_said_what_became_of_the_one_that_was_meant() {
        let machine = MachineId::from_service("a");
        let tag = Tag::new("A").expect("a tag");
        let done = Verdict::Done { facts: AnswerFacts::default(), case_differs: true };
        let table = [(TagAction::Add, Notice::TagCaseDiffers), (TagAction::Remove, Notice::OtherCaseStays)];
        for (action, notice) in table {
            let (machine, tag) = (machine.clone(), tag.clone());
            let single = ApiRequest::ChangeTag { machine: machine.clone(), action, tag: tag.clone() };
            let bulk = ApiRequest::ChangeTagOnMachines { machines: vec![machine], action, tag };
            assert_eq!([single, bulk].map(|request| notices(&done, &request)), [vec![notice], vec![notice]]);
        }
    }

    #[test]
    fn a_refusal_is_believed_when_it_names_few_or_suspects_and_not_when_it_names_everybody() {
        let (nothing, named, unlisted) = (
            History::default(),
            History { named: true, ..History::default() },
            History { unlisted: true, ..History::default() },
        );
        let table = [
            (0, 500, nothing, false),
            (1, 500, nothing, true),
            (249, 500, nothing, true),
            (250, 500, nothing, false),
            (1, 2, nothing, false),
            (500, 500, nothing, false),
            (499, 500, named, true),
            (500, 500, named, true),
            (499, 500, unlisted, true),
            (500, 500, unlisted, false),
            (0, 500, named, false),
        ];
        for (count, machines, history, expected) in table {
            let operations = vec![CallOperation { id: OperationId(0), history }; machines];
            assert_eq!(is_believable(count, &operations), expected, "{count} of {machines}, {history:?}");
        }
    }
}
