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

#[cfg(test)]
mod tests {
    use super::super::{Due, Lane, LaneCall, Openings, WorkRead};
    use super::*;
    use crate::call::OperationEnd;
    use crate::model::{AnswerFacts, Change, ChangeKind, Held, MachineId, Operation, Outcome, Status, Tag, TagAction};
    use crate::store::{WorkCount, WorkItem, WorkKind, WorkPlace};

    const LIMIT: usize = 500;

    fn item(number: u32) -> WorkItem {
        let (id, tag) = (OperationId(number), Tag::new("A").expect("a tag"));
        let operation = Operation {
            machine: MachineId::from_service(&number.to_string()),
            change: Change::Tag(TagAction::Add, tag),
        };
        WorkItem { id, place: WorkPlace { argument: 0, operation: id }, operation, may_hold: false }
    }

    /// The next call, after what is to be read for it.
    fn next(lane: &mut Lane, all: u32) -> Option<LaneCall> {
        loop {
            match lane.next_due(LIMIT, Openings::Together { may_begin_bulk: true }) {
                Due::LaneCall(lane_call) => return Some(lane_call),
                Due::Read(WorkRead::Spread { .. }) | Due::Nothing => return None,
                Due::Read(read) => lane.take_work(read, (0..all).map(item).collect(), LIMIT),
            }
        }
    }

    fn numbers(lane_call: &LaneCall) -> Vec<u32> {
        lane_call.members.iter().map(|member| member.id.0).collect()
    }

    fn answer(lane: &mut Lane, lane_call: LaneCall) {
        let outcome = || Outcome {
            status: Status::Succeeded,
            send_again: false,
            is_refusal: false,
            answer: AnswerFacts::default(),
            after: Held::Unknown,
        };
        let ends: Vec<_> = lane_call.members.iter().map(|_| OperationEnd::Outcome(outcome())).collect();
        lane.take_answers(lane_call, &ends, LIMIT);
    }

    #[test]
    fn what_was_refused_waits_until_the_others_are_settled_and_goes_one_by_one() {
        let kind = WorkKind { change: ChangeKind::Add, unlisted: false };
        let sent_before =
            SentBefore { unanswered: [2, 3].map(OperationId).into(), refused: [1, 4].map(OperationId).into() };
        let mut lane = Lane::new(kind, WorkCount { operations: 6, calls: 1, alone: 0 }, sent_before);
        let [never_sent, unanswered] = [(); 2].map(|()| next(&mut lane, 6).expect("a call"));
        assert_eq!([numbers(&never_sent), numbers(&unanswered)], [[0, 5], [2, 3]]);
        answer(&mut lane, never_sent);
        assert!(next(&mut lane, 6).is_none(), "the others are on their way");
        answer(&mut lane, unanswered);
        let refused = [(); 2].map(|()| numbers(&next(&mut lane, 6).expect("a call")));
        assert_eq!(refused, [[1], [4]]);
        assert!(next(&mut lane, 6).is_none());
    }
}
