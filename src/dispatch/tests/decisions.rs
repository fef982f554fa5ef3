//! What the dispatcher decides, as tables: of each run, what happens and what is to be done about it. Nothing here waits.

use super::fixtures::{ORIGIN, gate, machine};
use super::*;
use crate::call::{
    AbortCause, BulkRefusal, CallEnd, CallId, CallReport, History, Notice, OperationEnd, Phase, StopReason, WaitCause,
};
use crate::dispatch::bulk::BulkCalls;
use crate::dispatch::dispatcher::Dispatcher;
use crate::dispatch::lane::{KINDS, Lane, WorkRead};
use crate::dispatch::lanes::Lanes;
use crate::dispatch::step::{Action, Answer, Input, Moment, Next, Question};
use crate::model::{AnswerFacts, Change, ChangeKind, DeviceValue, Held, Operation, OperationId, Outcome, Status};
use crate::model::{Tag, TagAction};
use crate::store::{
    Absence, AccountKey, AddsInDoubt, RemovesWithoutAdds, SentBefore, Swaps, UnknownOperations, WorkCount, WorkItem,
    WorkKind, WorkPlace,
};

const ADD: WorkKind = WorkKind { change: ChangeKind::Add, unlisted: false };
const REMOVE: WorkKind = WorkKind { change: ChangeKind::Remove, unlisted: false };
const VALUE: WorkKind = WorkKind { change: ChangeKind::DeviceValue, unlisted: false };
/// What comes once nothing is left to be sent.
const LAST_QUESTION: &str = "ask what was never answered";

/// A run of so many operations of each kind.
struct Table {
    dispatcher: Dispatcher,
    service_accepted: bool,
    seconds: i64,
}

impl Table {
    fn new(work: &[(WorkKind, u64)]) -> Self {
        Self::with(work, Swaps::None, "off", 6)
    }

    fn with(work: &[(WorkKind, u64)], swaps: Swaps, quota: &str, concurrency: usize) -> Self {
        let lane = |kind| {
            let operations = work.iter().find(|(other, _)| *other == kind).map_or(0, |(_, operations)| *operations);
            Lane::new(kind, WorkCount { operations, calls: operations, alone: 0 }, SentBefore::default())
        };
        let settings = DispatchSettings {
            gate: gate(AccountKey(1), quota, concurrency),
            bulk: true,
            maximum_errors: MaximumErrors::Count(1),
            tick: Duration::from_secs(1),
            seed: 1,
        };
        let lanes = Lanes::new(KINDS.map(lane).into(), swaps);
        let dispatcher = Dispatcher::new(settings, RunKey(1), lanes, BulkCalls::new(true), moment(0, false));
        Self { dispatcher, service_accepted: false, seconds: 0 }
    }

    /// Something happens, a second after what happened before; answers what is to be done.
    fn after(&mut self, input: Input) -> Vec<String> {
        self.seconds += 1;
        let step = self.dispatcher.handle(input, moment(self.seconds, self.service_accepted));
        let next = match step.next {
            Next::Await => "wait".to_owned(),
            Next::End => "end".to_owned(),
            Next::Ask(Question::Work(kind, WorkRead::Page { .. })) => format!("read {:?}", kind.change),
            Next::Ask(Question::Work(kind, WorkRead::Spread { .. })) => format!("read scouts of {:?}", kind.change),
            Next::Ask(Question::RemovesWithoutAdds(_, doubt)) => format!("ask removes, doubt {doubt:?}"),
            Next::Ask(Question::UnknownOperations) => LAST_QUESTION.to_owned(),
            Next::Ask(Question::LatestEnds { count, .. }) => format!("ask the latest {count} ends"),
        };
        step.actions.iter().map(words).chain([next]).collect()
    }

    /// Holds the run to a row of a table.
    fn does(&mut self, input: Input, expected: &[&str]) {
        let case = format!("{input:?}");
        assert_eq!(self.after(input), expected, "after {case}");
    }

    /// Lets the run begin, with all of its operations read.
    fn begun(work: &[(WorkKind, u64)]) -> Self {
        let mut table = Self::with(work, Swaps::None, "off", 6);
        let mut said = table.after(Input::Started);
        let mut number = 0;
        for (kind, operations) in work {
            if said.last().is_some_and(|last| last.starts_with("read scouts")) {
                said = table.after(scouts(*kind, number, 8));
            }
            assert!(said.last().is_some_and(|last| last.starts_with("read")), "{said:?}");
            said = table.after(page(*kind, number, u32::try_from(*operations).expect("few")));
            number += 1000;
        }
        table
    }

    fn reason(self) -> EndReason {
        self.dispatcher.conclude(moment(self.seconds, self.service_accepted)).0
    }
}

fn moment(seconds: i64, service_accepted: bool) -> Moment {
    let now = BootTime::from_microseconds(ORIGIN + seconds * 1_000_000);
    let wall_now = jiff::Timestamp::UNIX_EPOCH;
    Moment { now, wall_now, service_accepted, absence: None, state_silent_for: None }
}

fn words(action: &Action) -> String {
    match action {
        Action::Tell(Event::Settled(outcome), _) => format!("tell {:?}", outcome.status),
        Action::Tell(Event::Stopping(reason), _) => format!("tell stopping: {}", name(reason)),
        Action::Tell(Event::Tick, progress) => format!("tell tick, end known: {}", progress.expected_end.is_some()),
        Action::Tell(event, _) => format!("tell {event:?}"),
        Action::Begin(call, _) if call.request.is_read() => format!("read back in call {}", call.id.0),
        Action::Begin(call, _) => format!("call {} of {}", call.id.0, call.operations.len()),
        Action::Drain => "drain".to_owned(),
        Action::Close(bucket) => format!("close {bucket:?}"),
        Action::NoteStragglers(bucket) => format!("few left in {bucket:?}"),
    }
}

/// The reason without what it says.
fn name(reason: &EndReason) -> String {
    format!("{reason:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

fn items(kind: WorkKind, first: u32, count: u32) -> Vec<WorkItem> {
    let tag = || Tag::new("wanted").expect("a tag");
    let change = || match kind.change {
        ChangeKind::Add => Change::Tag(TagAction::Add, tag()),
        ChangeKind::Remove => Change::Tag(TagAction::Remove, tag()),
        ChangeKind::DeviceValue => Change::DeviceValue(DeviceValue::High),
    };
    let item = |number| WorkItem {
        id: OperationId(number),
        operation: Operation { machine: machine(number), change: change() },
        place: WorkPlace { argument: 0, operation: OperationId(number) },
        may_hold: false,
    };
    (first..first + count).map(item).collect()
}

fn page(kind: WorkKind, first: u32, count: u32) -> Input {
    let read = WorkRead::Page { after: None, limit: 1000 };
    Input::Answered(Ok(Answer::Work(kind, read, items(kind, first, count))))
}

fn scouts(kind: WorkKind, first: u32, count: u32) -> Input {
    let read = WorkRead::Spread { all: 20, count };
    Input::Answered(Ok(Answer::Work(kind, read, items(kind, first, count))))
}

fn unknown(operations: Vec<(OperationId, Operation)>) -> Input {
    Input::Answered(Ok(Answer::UnknownOperations(UnknownOperations { operations, latest: None })))
}

fn removes(kind: WorkKind, left_out: u32, held_back: Vec<OperationId>, doubt: AddsInDoubt) -> Input {
    let removes = RemovesWithoutAdds { left_out, held_back };
    Input::Answered(Ok(Answer::RemovesWithoutAdds(vec![(kind, removes)], doubt)))
}

fn outcome(status: Status, http_status: u16, send_again: bool) -> OperationEnd {
    let answer = AnswerFacts { http_status: Some(http_status), ..AnswerFacts::default() };
    OperationEnd::Outcome(Outcome { status, send_again, is_refusal: send_again, answer, after: Held::Unknown })
}

fn succeeded() -> OperationEnd {
    outcome(Status::Succeeded, 200, false)
}

fn ends(call: u64, end: CallEnd) -> Input {
    Input::Ended(CallId(call), Ok(end))
}

fn store_error() -> StoreError {
    StoreError::NoSuchRun("run".into())
}

#[test]
fn a_run_reads_sends_settles_and_ends() {
    let mut table = Table::new(&[(ADD, 3), (VALUE, 1)]);
    table.does(Input::Started, &["tell Started", "read Add"]);
    table.does(page(ADD, 0, 3), &["call 0 of 3", "read DeviceValue"]);
    table.does(page(VALUE, 10, 1), &["call 1 of 1", "few left in Tags", "few left in Value", "wait"]);
    table.does(ends(1, CallEnd::Settled(vec![succeeded()])), &["tell Succeeded", "wait"]);
    let all = vec![succeeded(), outcome(Status::Unknown, 200, false), succeeded()];
    let told = ["tell Succeeded", "tell Unknown", "tell Succeeded", LAST_QUESTION];
    table.does(ends(0, CallEnd::Settled(all)), &told);
    let in_doubt = items(ADD, 1, 1).remove(0);
    table.does(unknown(vec![(in_doubt.id, in_doubt.operation)]), &["read back in call 2", "wait"]);
    table.does(ends(2, CallEnd::Read(crate::call::ReadAnswer::NotFound)), &["end"]);
    assert_eq!(name(&table.reason()), "Finished");
}

#[test]
fn who_stops_a_run_and_how() {
    let drain = || Input::StopRequested(StopRequest::Drain);
    let stopping = |reason: &str| vec!["drain".to_owned(), format!("tell stopping: {reason}"), "wait".to_owned()];
    let wait = || vec!["wait".to_owned()];
    let end = || vec!["end".to_owned()];
    let table = [
        ("once", vec![drain()], stopping("Interrupted"), "Interrupted"),
        ("twice", vec![drain(), drain()], end(), "Halted"),
        ("at once", vec![Input::StopRequested(StopRequest::Halt)], end(), "Halted"),
        ("at the deadline", vec![Input::DeadlineCame], stopping("Deadline"), "Deadline"),
        ("the first reason counts", vec![drain(), Input::DeadlineCame], wait(), "Interrupted"),
        ("at the deadline and once", vec![Input::DeadlineCame, drain()], end(), "Halted"),
        ("an end that is not stored", vec![Input::Ended(CallId(0), Err(store_error()))], end(), "StoreFailed"),
        ("no answer of the store", vec![Input::Answered(Err(store_error()))], end(), "StoreFailed"),
        ("the store is worse", vec![drain(), Input::Answered(Err(store_error()))], end(), "StoreFailed"),
        (
            "nobody gets a token",
            vec![ends(0, CallEnd::Aborted(AbortCause::TokenRefused, None))],
            stopping("Aborted"),
            "Aborted",
        ),
    ];
    for (case, inputs, expected, reason) in table {
        // Two calls are under way, so that one of them is awaited in any case.
        let mut run = Table::begun(&[(ADD, 3), (VALUE, 1)]);
        let mut said = Vec::new();
        for input in inputs {
            said = run.after(input);
        }
        assert_eq!(said, expected, "{case}");
        assert_eq!(name(&run.reason()), reason, "{case}");
    }
}

#[test]
fn one_bucket_ends_and_the_other_goes_on_until_none_does() {
    let mut table = Table::begun(&[(ADD, 3), (VALUE, 1)]);
    let past = || CallEnd::Stopped(StopReason::Deadline);
    table.does(ends(1, past()), &["close Value", "wait"]);
    table.does(ends(0, past()), &["drain", "tell stopping: Deadline", "end"]);
    assert_eq!(name(&table.reason()), "Deadline");

    let mut late = Table::begun(&[(ADD, 3), (VALUE, 1)]);
    late.does(ends(1, CallEnd::Stopped(StopReason::RepeatBeyondDeadline)), &["wait"]);
    late.does(
        ends(0, CallEnd::Settled(vec![succeeded(), succeeded(), succeeded()])),
        &["tell Succeeded", "tell Succeeded", "tell Succeeded", LAST_QUESTION],
    );
    late.does(unknown(Vec::new()), &["end"]);
    assert_eq!(name(&late.reason()), "Deadline");
}

#[test]
fn a_deadline_while_everything_is_read_back_gives_up_reading_and_stops_nothing_else() {
    let mut table = Table::begun(&[(VALUE, 1)]);
    table.does(ends(0, CallEnd::Settled(vec![outcome(Status::Unknown, 200, false)])), &["tell Unknown", LAST_QUESTION]);
    let in_doubt = items(VALUE, 0, 1).remove(0);
    table.does(unknown(vec![(in_doubt.id, in_doubt.operation)]), &["read back in call 1", "wait"]);
    table.does(Input::DeadlineCame, &["drain", "tell stopping: Deadline", "wait"]);
    table.does(ends(1, CallEnd::Stopped(StopReason::Draining)), &["end"]);
    assert_eq!(name(&table.reason()), "Finished");
}

#[test]
fn few_calls_are_in_flight_until_the_service_has_accepted_one() {
    let calls = |said: &[String]| said.iter().filter(|word| word.starts_with("call")).count();
    let refused = || CallEnd::Settled(vec![outcome(Status::Failed, 403, true)]);
    // How many of the eight that were read begin at first, when one was refused, when two were, and when one was accepted.
    for (accepted, expected) in [(false, [4, 0, 0, 1]), (true, [4, 3, 1, 0])] {
        let mut table = Table::with(&[(VALUE, 20)], Swaps::None, "off", 6);
        table.does(Input::Started, &["tell Started", "read scouts of DeviceValue"]);
        let mut begun = vec![calls(&table.after(scouts(VALUE, 0, 8)))];
        table.service_accepted = accepted;
        begun.push(calls(&table.after(ends(0, refused()))));
        begun.push(calls(&table.after(ends(1, refused()))));
        begun.push(calls(&table.after(ends(2, CallEnd::Settled(vec![succeeded()])))));
        assert_eq!(begun, expected, "accepted: {accepted}");
    }
}

#[test]
fn removes_wait_for_adds_and_those_of_adds_in_doubt_for_reading() {
    let mut table = Table::with(&[(ADD, 2), (REMOVE, 2)], Swaps::Alike, "off", 6);
    table.does(Input::Started, &["tell Started", "read Add"]);
    table.does(page(ADD, 0, 2), &["call 0 of 2", "few left in Tags", "wait"]);
    let done = vec![outcome(Status::Unknown, 200, false), succeeded()];
    let told = ["tell Unknown", "tell Succeeded", "ask removes, doubt MayBeSettled"];
    table.does(ends(0, CallEnd::Settled(done)), &told);
    table.does(removes(REMOVE, 0, vec![OperationId(10)], AddsInDoubt::MayBeSettled), &["read Remove"]);
    table.does(page(REMOVE, 10, 2), &["call 1 of 1", "ask removes, doubt MayBeSettled"]);
    let unlisted = WorkKind { unlisted: true, ..REMOVE };
    table.does(removes(unlisted, 0, Vec::new(), AddsInDoubt::MayBeSettled), &["wait"]);
    table.does(ends(1, CallEnd::Settled(vec![succeeded()])), &["tell Succeeded", LAST_QUESTION]);
    table.does(unknown(Vec::new()), &["ask removes, doubt Stays"]);
    table.does(removes(REMOVE, 1, Vec::new(), AddsInDoubt::Stays), &["read Remove"]);
    table.does(page(REMOVE, 0, 0), &[LAST_QUESTION]);
    table.does(unknown(Vec::new()), &["end"]);
}

#[test]
fn what_is_learned_about_bulk_calls_is_told_once() {
    let mut table = Table::begun(&[(ADD, 4)]);
    let again = || vec![OperationEnd::Again(History::default()); 4];
    let too_many = CallEnd::Refused(BulkRefusal::TooMany { allowed: Some(2) }, again());
    table.does(ends(0, too_many), &["tell Notice(BulkLimitLowered(2))", "call 1 of 2", "call 2 of 2", "wait"]);
    let notice = || CallReport { call: CallId(1), phase: Phase::Notice(Notice::TagCaseDiffers) };
    table.does(Input::Reported(notice()), &["tell Notice(TagCaseDiffers)", "wait"]);
    table.does(Input::Reported(notice()), &["wait"]);
}

#[test]
fn failures_stop_a_run_when_they_are_more_than_allowed() {
    let mut table = Table::begun(&[(VALUE, 4)]);
    let failed = || CallEnd::Settled(vec![outcome(Status::Failed, 400, false)]);
    table.does(ends(0, failed()), &["tell Failed", "wait"]);
    table.does(ends(1, failed()), &["tell Failed", "drain", "tell stopping: TooManyErrors", "wait"]);
}

#[test]
fn the_end_is_foretold_from_the_ledger_or_from_the_pace() {
    let mut by_quota = Table::with(&[(ADD, 1)], Swaps::None, "10/1m,50/1h", 6);
    by_quota.after(Input::Started);
    by_quota.after(page(ADD, 0, 1));
    by_quota.does(Input::Ticked, &["ask the latest 50 ends"]);
    let ends_of_both = Answer::LatestEnds(vec![Vec::new(), Vec::new()]);
    by_quota.does(Input::Answered(Ok(ends_of_both)), &["tell tick, end known: true", "wait"]);
    by_quota.after(Input::DeadlineCame);
    by_quota.does(Input::Ticked, &["tell tick, end known: false", "wait"]);

    let mut by_pace = Table::begun(&[(VALUE, 2)]);
    by_pace.does(Input::Ticked, &["tell tick, end known: false", "wait"]);
    by_pace.does(ends(0, CallEnd::Settled(vec![succeeded()])), &["tell Succeeded", "wait"]);
    by_pace.does(Input::Ticked, &["tell tick, end known: true", "wait"]);
}

#[test]
fn a_database_that_does_not_answer_is_shown_while_it_lasts() {
    let mut table = Table::begun(&[(VALUE, 2)]);
    let silent = |seconds| Moment { state_silent_for: Some(Duration::from_secs(2)), ..moment(seconds, true) };
    let since = |progress: &Progress| match progress.waiting {
        Some((WaitCause::State { since }, None)) => since.as_second(),
        other => panic!("{other:?}"),
    };
    let actions = table.dispatcher.look(silent(4));
    let [Action::Tell(Event::Tick, progress)] = &actions[..] else { panic!("no tick") };
    assert_eq!(since(progress), -2);
    let (_, time) = progress.spent.iter().find(|(part, _)| *part == Spent::State).expect("it is counted");
    assert_eq!(*time, Duration::from_secs(2));
    // Nothing is asked of it meanwhile, and what it says in the end goes on as usual.
    let step = table.dispatcher.handle(Input::Ticked, silent(5));
    assert_eq!(step.next, Next::Await);
    assert!(table.dispatcher.look(moment(6, true)).is_empty());
}

#[test]
fn whom_the_last_call_of_a_full_page_left_out_is_sent_again() {
    // There is one call at a time, so the last page is seen to be the last when nothing is under way any more.
    let mut table = Table::with(&[(ADD, 1000)], Swaps::None, "off", 1);
    table.does(Input::Started, &["tell Started", "read Add"]);
    table.does(page(ADD, 0, 1000), &["call 0 of 500", "wait"]);
    let all = |last| CallEnd::Settled((0..499).map(|_| succeeded()).chain([last]).collect());
    table.after(ends(0, all(succeeded())));
    let left_out = OperationEnd::Again(History { omitted: 1, ..History::default() });
    let said = table.after(ends(1, all(left_out)));
    assert_eq!(said.last().map(String::as_str), Some("read Add"));
    table.does(page(ADD, 1000, 0), &["call 2 of 1", "few left in Tags", "wait"]);
}

#[test]
fn a_state_that_is_away_is_what_is_shown_and_nothing_is_begun() {
    let mut table = Table::begun(&[(VALUE, 2)]);
    let [since, until] = [1, 2].map(|second| jiff::Timestamp::from_second(second).expect("a time"));
    let at = Moment { absence: Some(Absence { since, until }), ..moment(9, true) };
    let actions = table.dispatcher.look(at);
    let [Action::Tell(Event::Tick, progress)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(progress.waiting, Some((WaitCause::State { since }, Some(until))));
    assert_eq!(progress.expected_end, None);
}
