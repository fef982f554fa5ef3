//! The decision table: series of attempts, and which buckets pause after them.

use super::*;
use crate::api::{Loss, LossKind, Response};
use crate::call::{ConnectionTrouble, SignInTrouble};
use crate::model::AnswerFacts;

const MAXIMUM: Duration = Duration::from_hours(2);
const BUSY: HealthSignal = HealthSignal::Trouble(ServiceTrouble::Status(503));
const NO_CONNECTION: HealthSignal = HealthSignal::Trouble(ServiceTrouble::NotConnected(ConnectionTrouble::Other));
const NO_TOKEN: HealthSignal =
    HealthSignal::Trouble(ServiceTrouble::SignIn(SignInTrouble::NotConnected(ConnectionTrouble::Other)));
use Bucket::{Machines, Tags, Value};
use HealthSignal::{Answers, Unclear};

fn moment(second: i64) -> Moment {
    let wall = Timestamp::from_second(second).expect("a time");
    Moment { boot: at(second), wall, fraction: 1.0 }
}

fn at(second: i64) -> BootTime {
    BootTime::from_microseconds(second * 1_000_000)
}

const fn first(bucket: Bucket, concern: CallSubject) -> Attempted {
    Attempted { bucket, concern, in_trouble_since: None, is_probe: false }
}

const fn one(call: u64) -> CallSubject {
    CallSubject::One(CallId(call))
}

/// An attempt: what came of it, in which bucket, and whom it concerned.
type Event = (HealthSignal, Bucket, CallSubject);

/// What comes of attempts, one a second.
fn after(attempts: &[Event]) -> Outages {
    let mut outages = Outages::new(MAXIMUM);
    for (second, (sign, bucket, concern)) in (0..).zip(attempts) {
        outages.note(*sign, first(*bucket, *concern), moment(second));
    }
    outages
}

fn paused(outages: &Outages) -> Vec<Bucket> {
    Bucket::ALL.into_iter().filter(|bucket| outages.pause(*bucket).is_some()).collect()
}

/// What is looked at, what happens, and which buckets pause then.
type Case = (&'static str, Vec<Event>, &'static [Bucket]);

#[test]
fn a_bucket_pauses_after_a_series_over_several_operations() {
    let many = CallSubject::Many;
    let series = |sign, count: u64| (1..=count).map(|call| (sign, Tags, one(call))).collect::<Vec<_>>();
    let with = |mut before: Vec<_>, then: &[_]| {
        before.extend_from_slice(then);
        before
    };
    let table: Vec<Case> = vec![
        ("four are chance", series(BUSY, 4), &[]),
        ("five are none", series(BUSY, 5), &[Tags]),
        (
            "an answer between them begins anew",
            with(series(BUSY, 4), &with(vec![(Answers, Tags, many)], &series(BUSY, 4))),
            &[],
        ),
        (
            "an answer elsewhere does not",
            with(series(BUSY, 4), &[(Answers, Value, many), (BUSY, Tags, one(5))]),
            &[Tags],
        ),
        (
            "what is unclear neither adds nor ends",
            with(series(BUSY, 4), &[(Unclear, Tags, many), (BUSY, Tags, one(5))]),
            &[Tags],
        ),
        ("one machine alone may be its own trouble", vec![(BUSY, Value, one(1)); 9], &[]),
        ("a page of the list is everybody's", vec![(BUSY, Machines, many); 5], &[Machines]),
        (
            "a second bucket in trouble is a second operation",
            with(vec![(BUSY, Value, one(1))], &[(BUSY, Tags, one(2)); 5]),
            &[Tags],
        ),
        (
            "one machine to which no connection comes about is no machine's trouble",
            with(vec![(Answers, Tags, one(1))], &[(NO_CONNECTION, Value, one(1)); 5]),
            &Bucket::ALL,
        ),
        (
            "nor one for which nobody can sign in",
            with(vec![(Answers, Tags, one(1))], &[(NO_TOKEN, Value, one(1)); 5]),
            &Bucket::ALL,
        ),
        ("before anything was reached the address is wrong", series(NO_CONNECTION, 20), &[]),
        ("a service that fails was reached", with(vec![(BUSY, Tags, one(1))], &series(NO_CONNECTION, 5)), &Bucket::ALL),
        (
            "troubles of several kinds make one series",
            with(
                series(BUSY, 3),
                &[(NO_CONNECTION, Tags, one(4)), (HealthSignal::Trouble(ServiceTrouble::TimedOut), Tags, one(5))],
            ),
            &[Tags],
        ),
    ];
    for (case, attempts, expected) in table {
        assert_eq!(paused(&after(&attempts)), expected, "{case}");
    }
}

#[test]
fn operations_that_failed_while_others_were_answered_are_no_outage() {
    let mut outages = Outages::new(MAXIMUM);
    for second in 0..40 {
        let suspect = |call| Attempted { in_trouble_since: Some(at(second % 2)), ..first(Value, one(call)) };
        if second == 2 {
            outages.note(Answers, first(Value, one(9)), moment(2));
        }
        outages.note(BUSY, suspect(u64::try_from(second % 2).expect("small")), moment(second.max(1)));
    }
    assert_eq!(paused(&outages), []);
    // Two that meet it for the first time are.
    outages.note(BUSY, first(Value, one(10)), moment(41));
    assert_eq!(paused(&outages), []);
    outages.note(BUSY, first(Value, one(11)), moment(42));
    assert_eq!(paused(&outages), [Value]);
}

#[test]
fn an_answer_to_something_neutral_ends_the_pause_of_a_few_machines_and_of_nothing_else() {
    const FAILED: HealthSignal = HealthSignal::Trouble(ServiceTrouble::Status(500));
    let silent = HealthSignal::Trouble(ServiceTrouble::TimedOut);
    let table = [
        ("few machines at which the service fails", FAILED, Value, true, true),
        ("few at which it never ends", silent, Tags, true, true),
        ("many are an outage of writes", FAILED, Value, false, false),
        ("a gateway speaks for everybody", BUSY, Value, true, false),
        ("no connection, too", NO_CONNECTION, Value, true, false),
        ("of reads there is nothing neutral", FAILED, Machines, true, false),
    ];
    for (case, sign, bucket, are_few, ends) in table {
        let reached = (Answers, Machines, CallSubject::Many);
        let series: Vec<Event> = (1..=5).map(|call| (sign, bucket, one(call))).collect();
        let mut outages = after(&[vec![reached], series].concat());
        if are_few {
            outages.note_stragglers(bucket);
        }
        assert_eq!((outages.pause(bucket).is_some(), outages.is_doubtful(bucket)), (true, ends), "{case}");
        outages.note_neutral_answer(bucket);
        assert_eq!(outages.pause(bucket).is_none(), ends, "{case}");
        // The same machines are no outage a second time.
        for call in 1..=5 {
            outages.note(sign, first(bucket, one(call)), moment(20));
        }
        assert_eq!(outages.pause(bucket).is_none(), ends, "{case}, again");
    }
}

#[test]
fn a_pause_counts_from_the_first_failure_and_its_tries_come_ever_more_rarely() {
    let mut outages = after(&[(BUSY, Tags, CallSubject::Many); 5]);
    let pause = outages.pause(Tags).expect("a pause");
    assert_eq!((pause.since, pause.since_wall, pause.ends), (at(0), moment(0).wall, at(7200)));
    assert_eq!(pause.next_try, at(4 + 2));
    // Calls that were on their way when it began change nothing.
    outages.note(BUSY, first(Tags, CallSubject::Many), moment(5));
    assert_eq!(outages.pause(Tags).map(|pause| pause.next_try), Some(at(6)));
    let probe = Attempted { is_probe: true, ..first(Tags, CallSubject::Many) };
    let mut second = 6;
    let mut waits = Vec::new();
    for sign in [BUSY, Unclear, BUSY, BUSY, BUSY, BUSY] {
        let next = outages.note(sign, probe, moment(second)).expect("a pause").next_try;
        waits.push(next.since(at(second)).as_secs());
        second += 100;
    }
    assert_eq!(waits, [4, 8, 16, 32, 60, 60]);
    // The last try comes when it has lasted too long, and not later.
    let last = outages.note(BUSY, probe, moment(7190)).expect("a pause");
    assert_eq!(last.next_try, at(7200));
    assert_eq!(outages.note(Answers, probe, moment(7200)), None);
}

#[test]
fn an_answer_in_one_bucket_shows_the_way_to_the_host_for_all() {
    let reached = (Answers, Machines, CallSubject::Many);
    let gone = (NO_CONNECTION, Tags, CallSubject::Many);
    let mut outages = after(&[reached, gone, gone, gone, gone, gone]);
    assert_eq!(paused(&outages), Bucket::ALL);
    // The host is there again, but the service behind it fails: each bucket finds out for itself.
    let probe = |bucket| Attempted { is_probe: true, ..first(bucket, CallSubject::Many) };
    outages.note(BUSY, probe(Tags), moment(20));
    outages.note(Answers, probe(Value), moment(21));
    assert_eq!(paused(&outages), [Tags]);
    let pause = outages.pause(Tags).expect("a pause");
    assert_eq!((pause.since, pause.trouble), (at(1), ServiceTrouble::Status(503)));
}

#[test]
fn answers_are_told_from_trouble() {
    let response = |status| Answer::Response(Response { status, ..Response::default() });
    let lost = |kind| Answer::Lost(Loss { kind, description: String::new() });
    let trouble = |status| HealthSignal::Trouble(ServiceTrouble::Status(status));
    let table = [
        (response(500), RetryReason::ServiceFailed, trouble(500)),
        (response(503), RetryReason::ServiceFailed, trouble(503)),
        (response(408), RetryReason::ServiceFailed, trouble(408)),
        (response(409), RetryReason::ServiceFailed, Answers),
        (response(404), RetryReason::NotFound, Answers),
        (response(401), RetryReason::TokenRefused, Answers),
        (response(200), RetryReason::NotApplied, Answers),
        (response(200), RetryReason::NotUnderstood, Unclear),
        (lost(LossKind::NotConnected), RetryReason::NotConnected(ConnectionTrouble::Other), NO_CONNECTION),
        (lost(LossKind::TimedOut), RetryReason::TimedOut, HealthSignal::Trouble(ServiceTrouble::TimedOut)),
        (
            lost(LossKind::ConnectionLost),
            RetryReason::ConnectionLost,
            HealthSignal::Trouble(ServiceTrouble::ConnectionLost),
        ),
        (lost(LossKind::Truncated), RetryReason::Truncated, Unclear),
    ];
    for (answer, why, expected) in table {
        let verdict = Verdict::Retry { why, facts: AnswerFacts::default() };
        assert_eq!(sign(&answer, &verdict), expected, "{answer:?}");
    }
    let throttled = Verdict::Throttled { wait: None, facts: AnswerFacts::default() };
    assert_eq!(sign(&response(429), &throttled), Answers);
}
