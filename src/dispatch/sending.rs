//! What is sent: which call is made next, and what the end of one means for those to come. Pure.

use std::collections::HashMap;

use super::bulk::BulkCalls;
use super::events::EndReason;
use super::lane::{Lane, LaneCall, WorkRead, bucket_of};
use super::lanes::{Choice, Lanes, Room};
use super::step::Question;
use crate::api::ApiRequest;
use crate::call::{
    AbortCause, BulkRefusal, Call, CallEnd, CallId, CallOperation, History, Notice, OperationEnd, Questions, StopReason,
};
use crate::model::{Bucket, OperationId, Outcome};
use crate::store::{AddsInDoubt, RunKey, WorkItem, WorkKind};

/// What a run has to send, and what it has sent.
#[derive(Debug)]
pub(super) struct Sending {
    run: RunKey,
    pub(super) lanes: Lanes,
    bulk: BulkCalls,
    /// The writes under way, each with its lane.
    flights: HashMap<CallId, (WorkKind, LaneCall)>,
    next_call: u64,
}

#[derive(Debug)]
pub(super) enum Due {
    Call(Call),
    /// Something is to be known first.
    Ask(Question),
}

/// What the end of a write means.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) bucket: Bucket,
    /// What was learned about bulk calls.
    pub(super) notice: Option<Notice>,
    pub(super) outcomes: Vec<(OperationId, Outcome)>,
    /// Whether the refusal of a bulk call named the machines of those outcomes.
    pub(super) named: bool,
    /// Whether only single calls were left by then, since all others are refused.
    pub(super) bulk_was_refused: bool,
    pub(super) sequel: WriteConsequence,
}

/// What the end of a write means for others.
#[derive(Debug)]
pub(super) enum WriteConsequence {
    /// Nothing.
    GoOn,
    /// It was to be made again at a moment beyond the deadline.
    Late,
    /// No more calls are made in its bucket.
    Close(EndReason),
    /// No more calls are made.
    Stop(EndReason),
}

impl Sending {
    pub(super) fn new(run: RunKey, lanes: Lanes, bulk: BulkCalls) -> Self {
        Self { run, lanes, bulk, flights: HashMap::new(), next_call: 0 }
    }

    /// Whether no write is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.flights.is_empty()
    }

    /// Whether bulk calls are made.
    pub(super) const fn makes_bulk_calls(&self) -> bool {
        self.bulk.limit() > 1
    }

    /// What is due where there is room for one more call, beside so many bulk calls.
    pub(super) fn next(&mut self, bulk_calls: usize, room: Room<'_>) -> Option<Due> {
        let may_begin_bulk = self.bulk.may_begin(bulk_calls, self.lanes.are_searching());
        Some(match self.lanes.next(self.bulk.limit(), Room { may_begin_bulk, ..room })? {
            Choice::LaneCall(kind, lane_call) => {
                let (operations, history) = (lane_call.operations(), lane_call.history());
                let call = self.call(lane_call.request()?, operations, history, Questions::default());
                self.flights.insert(call.id, (kind, lane_call));
                Due::Call(call)
            }
            Choice::Read(kind, read) => Due::Ask(Question::Work(kind, read)),
            Choice::Release(kind) => Due::Ask(Question::RemovesWithoutAdds(vec![kind], AddsInDoubt::MayBeSettled)),
        })
    }

    /// A call that only reads.
    pub(super) fn read(&mut self, request: ApiRequest, questions: Questions) -> Call {
        self.call(request, Vec::new(), History::default(), questions)
    }

    fn call(
        &mut self,
        request: ApiRequest,
        operations: Vec<CallOperation>,
        history: History,
        questions: Questions,
    ) -> Call {
        let id = CallId(self.next_call);
        self.next_call += 1;
        Call { id, request, run: Some(self.run), operations, history, questions }
    }

    /// Takes what was read from the store for a lane.
    pub(super) fn take_work(&mut self, kind: WorkKind, read: WorkRead, items: Vec<WorkItem>) {
        let limit = self.bulk.limit();
        if let Some(lane) = self.lanes.of(kind) {
            lane.take_work(read, items, limit);
        }
    }

    /// The write of this number, which is under way no longer.
    pub(super) fn take_down(&mut self, call: CallId) -> Option<(WorkKind, LaneCall)> {
        self.flights.remove(&call)
    }

    /// Takes the end of a write, and learns from it for the rest of the run.
    pub(super) fn take_end(&mut self, (kind, lane_call): (WorkKind, LaneCall), end: CallEnd) -> Option<Ended> {
        let (ids, is_bulk) = (lane_call.ids(), lane_call.is_bulk());
        let lane = self.lanes.of(kind)?;
        let bulk_was_refused = self.bulk.are_refused();
        let mut ended = Ended {
            bucket: bucket_of(kind),
            notice: None,
            outcomes: Vec::new(),
            named: false,
            bulk_was_refused,
            sequel: WriteConsequence::GoOn,
        };
        match end {
            CallEnd::Settled(ends) => {
                if is_bulk {
                    self.bulk.accepted();
                }
                lane.take_answers(lane_call, &ends, self.bulk.limit());
                if lane.has_shown_bulk_refused() {
                    self.bulk.all_refused();
                }
                ended.outcomes = outcomes(&ids, ends);
            }
            CallEnd::Refused(refusal, ends) => {
                ended.notice = take_refusal(lane, &mut self.bulk, lane_call, refusal, &ends);
                (ended.outcomes, ended.named) = (outcomes(&ids, ends), true);
            }
            // Such calls are writes.
            CallEnd::Read(_) | CallEnd::ReadFailed(_) => lane.abandon(),
            CallEnd::Stopped(reason) => {
                lane.abandon();
                ended.sequel = after_stop(reason);
            }
            CallEnd::Aborted(cause, outcome) => {
                if let Some(outcome) = outcome {
                    ended.outcomes.extend(ids.iter().map(|id| (*id, outcome.clone())));
                }
                lane.abandon();
                ended.sequel = match cause {
                    AbortCause::ThrottledForGood => WriteConsequence::Close(EndReason::Aborted(cause)),
                    cause => WriteConsequence::Stop(EndReason::Aborted(cause)),
                };
            }
        }
        lane.take_off(ended.outcomes.len() as u64);
        Some(ended)
    }
}

/// Takes a bulk call that was refused as a whole.
fn take_refusal(
    lane: &mut Lane,
    bulk: &mut BulkCalls,
    lane_call: LaneCall,
    refusal: BulkRefusal,
    ends: &[OperationEnd],
) -> Option<Notice> {
    let (handling, notice) = bulk.refused(refusal, lane_call.len());
    lane.take_refusal(lane_call, handling, ends, bulk.limit());
    notice
}

const fn after_stop(reason: StopReason) -> WriteConsequence {
    match reason {
        StopReason::Draining => WriteConsequence::GoOn,
        StopReason::RepeatBeyondDeadline => WriteConsequence::Late,
        StopReason::Deadline => WriteConsequence::Close(EndReason::Deadline),
        StopReason::Outage { since, trouble } => WriteConsequence::Close(EndReason::Outage { since, trouble }),
    }
}

/// Which operations have an outcome.
fn outcomes(ids: &[OperationId], ends: Vec<OperationEnd>) -> Vec<(OperationId, Outcome)> {
    let pairs = ids.iter().zip(ends).filter_map(|(id, end)| match end {
        OperationEnd::Outcome(outcome) => Some((*id, outcome)),
        OperationEnd::Again(_) => None,
    });
    pairs.collect()
}
