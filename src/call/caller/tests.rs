//! Whole calls under virtual time, answered by script: what is sent, waited for, stored and told.

mod throttling;
mod truth;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::*;
use crate::api::sign_in::SignInError;
use crate::api::{Answer, ApiRequest, Loss, LossKind, Response, TokenGeneration};
use crate::call::judge::{History, RetryReason};
use crate::call::{
    AbortCause, BulkRefusal, Call, CallEnd, CallId, CallOperation, CallReport, Notice, OperationEnd, Phase, Questions,
    Repeat, RepeatCause, Reports, WaitCause,
};
use crate::clock::{BootId, VirtualClock};
use crate::model::{Change, DeviceValue, Held, MachineId, OperationId, Status, Tag, TagAction, TagNumber};
use crate::quota::QuotaScope;
use crate::store::{InputChunk, NewOperation, NewRun, OperationState, RunKey, RunState};

/// How long the service may be in trouble in these tests.
const MAXIMUM_OUTAGE: Duration = Duration::from_hours(2);
/// Three machines of one bulk call; single calls are about the first.
const MACHINES: [&str; 3] = ["aa", "bb", "cc"];

fn response(status: u16, body: &str) -> Answer {
    Answer::Response(Response { status, body: body.as_bytes().to_vec(), ..Response::default() })
}

fn lost(kind: LossKind) -> Answer {
    Answer::Lost(Loss { kind, description: "lost".into() })
}

fn refusal(status: u16) -> Answer {
    response(status, r#"{"error": {"code": "C", "message": "m"}}"#)
}

/// The machine as single calls leave it.
fn shown(value: &str) -> Answer {
    response(200, &format!(r#"{{"id": "aa", "machineTags": ["t"], "deviceValue": "{value}"}}"#))
}

/// A service that answers writes by script, the last one for ever, and reads with a list without machines.
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    clock: SharedClock,
    /// When each write was sent.
    sent: Mutex<Vec<BootTime>>,
}

#[async_trait]
impl Transport for Script {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if matches!(request, ApiRequest::ListMachines { .. }) {
            return Ok((response(200, r#"{"value": []}"#), TokenGeneration(0)));
        }
        self.sent.lock().expect("moments").push(self.clock.boot_time());
        let mut answers = self.answers.lock().expect("answers");
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Ok((answer.expect("an answer"), TokenGeneration(0)))
    }

    async fn renew(&self, _refused: TokenGeneration) -> Result<(), SignInError> {
        Ok(())
    }
}

fn clock() -> SharedClock {
    let origin = BootTime::from_microseconds(1_000_000_000);
    Arc::new(VirtualClock::new(BootId::new("boot".into()), origin, Timestamp::UNIX_EPOCH))
}

/// A run with so many operations, each for a machine of its own, and a caller for it.
struct Bench<T> {
    caller: Caller<T>,
    store: Store,
    run: RunKey,
    count: u32,
    _drain: watch::Sender<bool>,
}

impl<T: Transport> Bench<T> {
    async fn new(transport: Arc<T>, clock: SharedClock, change: Change<TagNumber>, count: u32) -> Self {
        let store = Store::in_memory(clock.clone()).expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let run = NewRun::sample(account);
        let run = store.create_run(run).await.expect("a run");
        store.add_tags(run, 0, vec![Tag::new("t").expect("a tag")]).await.expect("tags");
        let operation = |number: u32| NewOperation {
            operation: OperationId(number),
            machine: MachineId::from_service(&format!("machine {number}")),
            change,
            swap: None,
            unlisted: false,
            before: Held::Unknown,
            settled: None,
        };
        store.add_operations(run, (0..count).map(operation).collect()).await.expect("operations");
        store.set_run_state(run, RunState::Running).await.expect("a state");
        let settings = GateSettings {
            account,
            quota: "off".parse().expect("a quota"),
            scope: QuotaScope::Api,
            concurrency: 8,
            deadline: None,
            maximum_outage: MAXIMUM_OUTAGE,
        };
        let (drain, draining) = watch::channel(false);
        let caller = Caller::new(transport, store.clone(), clock, settings, 1, draining);
        Self { caller, store, run, count, _drain: drain }
    }

    /// What is stored of each operation: its state, and whether it may have been done all the same.
    async fn stored(&self) -> Vec<(OperationState, bool)> {
        let numbers = 0..self.count;
        let operations = numbers.clone().map(|number| vec![OperationId(number)]).collect();
        let chunk = InputChunk { first_row: 1, numbers: vec![], records: vec![], operations };
        self.store.add_chunks(self.run, vec![chunk]).await.expect("a chunk");
        let chunk = self.store.chunk(self.run, 1).await.expect("the store").expect("a chunk");
        let stored = |number| &chunk.operations[&OperationId(number)];
        numbers.map(|number| (stored(number).state, stored(number).ambiguous)).collect()
    }

    /// Makes the call, and once more if it is put off.
    async fn perform(&self, request: ApiRequest, operations: Vec<CallOperation>) -> (CallEnd, Vec<CallReport>) {
        let mut call = Call {
            id: CallId(u64::from(operations.first().map_or(0, |operation| operation.id.0))),
            request,
            run: Some(self.run),
            operations,
            history: History::default(),
            questions: Questions::default(),
        };
        let (sender, mut reports) = mpsc::channel(4096);
        let mut end = self.caller.perform(&call, &Reports::new(sender.clone())).await.expect("the store");
        if let CallEnd::Settled(ends) = &end
            && let [OperationEnd::Again(history)] = ends.as_slice()
        {
            call.operations.iter_mut().for_each(|operation| operation.history = *history);
            end = self.caller.perform(&call, &Reports::new(sender)).await.expect("the store");
        }
        let mut told = Vec::new();
        while let Ok(report) = reports.try_recv() {
            told.push(report);
        }
        (end, told)
    }
}

fn set_value(machine: &str) -> ApiRequest {
    ApiRequest::SetDeviceValue { machine: MachineId::from_service(machine), value: DeviceValue::High }
}

fn add_tag_to_all() -> ApiRequest {
    let machines = MACHINES.map(MachineId::from_service).to_vec();
    ApiRequest::ChangeTagOnMachines { machines, action: TagAction::Add, tag: Tag::new("t").expect("a tag") }
}

/// What came of a call.
struct Told {
    end: CallEnd,
    reports: Vec<CallReport>,
    stored: Vec<(OperationState, bool)>,
    writes: usize,
}

/// Makes a call for each operation of the request, with these answers and this history.
async fn made(request: ApiRequest, answers: &[Answer], history: History) -> Told {
    let clock = clock();
    let script = Arc::new(Script {
        answers: Mutex::new(answers.iter().cloned().collect()),
        clock: clock.clone(),
        sent: Mutex::default(),
    });
    let (change, count) = match request {
        ApiRequest::ChangeTagOnMachines { .. } => (Change::Tag(TagAction::Add, TagNumber(0)), 3),
        _ => (Change::DeviceValue(DeviceValue::High), 1),
    };
    let bench = Bench::new(Arc::clone(&script), clock, change, count).await;
    let operations = (0..count).map(|number| CallOperation { id: OperationId(number), history }).collect();
    let (end, reports) = bench.perform(request, operations).await;
    let stored = bench.stored().await;
    let writes = script.sent.lock().expect("moments").len();
    Told { end, reports, stored, writes }
}

impl Told {
    /// The outcome of each operation, as far as they have one.
    fn statuses(&self) -> Vec<Option<Status>> {
        let (CallEnd::Settled(ends) | CallEnd::Refused(_, ends)) = &self.end else { return Vec::new() };
        let status = |end: &OperationEnd| match end {
            OperationEnd::Outcome(outcome) => Some(outcome.status),
            OperationEnd::Again(_) => None,
        };
        ends.iter().map(status).collect()
    }
}

#[test]
fn no_call_is_waited_for_longer_than_the_ledger_assumes_of_calls_that_nobody_knows() {
    for kind in crate::api::CallKind::ALL {
        assert!(kind.time_out() <= crate::quota::ages::LONGEST_TIME_OUT, "{kind:?}");
    }
}
