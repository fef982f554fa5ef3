//! What is said of an operation after its attempts: `failed` only if none of them can have done it.

use super::*;
use crate::call::{AbortReason, ConnectionTrouble};

/// The answers that leave open whether the change was made.
fn open_answers() -> Vec<Answer> {
    let statuses = [100, 408, 409, 460, 499, 500, 501, 502, 503, 504, 520, 599].map(refusal);
    let losses = [LossKind::TimedOut, LossKind::ConnectionLost, LossKind::Truncated, LossKind::TooLong].map(lost);
    let pages = [200, 400, 403, 404, 503].map(|status| response(status, "<html>"));
    let nonsense = ["{}", r#"{"message": "maintenance"}"#, r#"{"id": "zz", "deviceValue": "High"}"#];
    let nonsense = nonsense.map(|body| response(200, body));
    statuses.into_iter().chain(losses).chain(pages).chain(nonsense).collect()
}

/// The answers that surely come from nobody who made the change, and that are no end yet.
fn sure_answers() -> Vec<Answer> {
    let statuses = [401, 404, 421, 423, 425, 429].map(refusal);
    statuses.into_iter().chain([lost(LossKind::NotConnected), lost(LossKind::ConnectionRefused)]).collect()
}

/// Refusals that are believed, each with the answers that it takes.
fn refusals() -> Vec<Vec<Answer>> {
    let at_once = [400, 406, 413, 451, 498].map(|status| vec![refusal(status)]);
    let not_found = vec![refusal(404); 3];
    let disallowed = vec![response(403, r#"{"error": {"code": "DisallowedOperation", "message": "m"}}"#)];
    at_once.into_iter().chain([not_found, disallowed]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_a_failure_only_if_nothing_before_it_may_have_done_the_change() {
    let histories = [false, true].map(|may_hold| History { may_hold, ..History::default() });
    for (refused, history) in refusals().into_iter().flat_map(|one| histories.map(|history| (one.clone(), history))) {
        for (first, is_open) in
            open_answers().into_iter().map(|one| (one, true)).chain(sure_answers().into_iter().map(|one| (one, false)))
        {
            let answers: Vec<Answer> = [first.clone()].into_iter().chain(refused.clone()).collect();
            let told = made(set_value("aa"), &answers, history).await;
            let may_be_done = is_open || history.may_hold;
            // Of a machine that is gone nobody will ever know more.
            let is_gone = refused.len() > 1;
            let (status, state) = match (may_be_done, is_gone) {
                (true, false) => (Status::Unknown, OperationState::Unknown),
                (true, true) => (Status::Unknown, OperationState::Failed),
                (false, _) => (Status::Failed, OperationState::Failed),
            };
            let case = format!("{first:?}, then {:?}, {history:?}", refused.first());
            assert_eq!(told.statuses(), [Some(status)], "{case}");
            assert_eq!(told.stored, [(state, may_be_done)], "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn success_is_success_whatever_came_before() {
    for first in open_answers().into_iter().chain(sure_answers()) {
        let told = made(set_value("aa"), &[first.clone(), shown("High")], History::default()).await;
        assert_eq!(told.statuses(), [Some(Status::Succeeded)], "{first:?}");
        assert_eq!(told.stored.first().map(|stored| stored.0), Some(OperationState::Succeeded), "{first:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_the_change_is_believed_the_second_time_unless_something_else_was_open() {
    let without = shown("Low");
    let told = made(set_value("aa"), std::slice::from_ref(&without), History::default()).await;
    assert_eq!((told.statuses(), told.writes), (vec![Some(Status::Failed)], 2));
    let told = made(set_value("aa"), &[refusal(503), without.clone()], History::default()).await;
    assert_eq!((told.statuses(), told.writes), (vec![Some(Status::Unknown)], 3));
    // It was accepted, and nobody has seen it since.
    let told = made(set_value("aa"), &[without, refusal(400)], History::default()).await;
    assert_eq!(told.statuses(), [Some(Status::Unknown)]);
}

#[tokio::test(start_paused = true)]
async fn every_status_that_goes_on_for_ever_ends_the_call_as_what_it_is() {
    for status in 100..600 {
        let told = made(set_value("aa"), &[refusal(status)], History::default()).await;
        let expected = match status {
            300..=399 | 401 | 407 | 429 => {
                assert!(matches!(told.end, CallEnd::Aborted(..)), "{status}: {:?}", told.end);
                continue;
            }
            403 => (OperationState::Refused, false),
            408 | 409 | 460 | 499 => (OperationState::Unknown, true),
            400..=499 => (OperationState::Failed, false),
            _ => (OperationState::Unknown, true),
        };
        assert_eq!(told.stored, [expected], "{status}");
        assert!(told.writes <= MAXIMUM_ATTEMPTS as usize, "{status}: {}", told.writes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_ends_the_run_and_leaves_open_what_only_the_other_place_knows() {
    for (status, may_be_done) in [(301, true), (302, true), (303, true), (307, false), (308, false)] {
        let told = made(set_value("aa"), &[refusal(status)], History::default()).await;
        let CallEnd::Aborted(_, Some(outcome)) = &told.end else { panic!("{status}: {:?}", told.end) };
        assert_eq!(outcome.status == Status::Unknown, may_be_done, "{status}");
        assert_eq!(told.stored, [(OperationState::Refused, may_be_done)], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_machine_of_a_bulk_call_fails_by_its_refusal_whatever_the_status() {
    for status in (400..500).filter(|status| !matches!(status, 401 | 407 | 408 | 409 | 429 | 460 | 499)) {
        for names in ["m", "aa", "aa, bb, cc"] {
            let body = format!(r#"{{"error": {{"code": "C", "message": "{names}"}}}}"#);
            let told = made(add_tag_to_all(), &[response(status, &body)], History::default()).await;
            assert!(matches!(told.end, CallEnd::Refused(..)), "{status} {names}: {:?}", told.end);
            assert_eq!(told.statuses(), [None; 3], "{status} {names}");
            assert_eq!(told.stored, [(OperationState::Pending, false); 3], "{status} {names}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_answer_to_a_bulk_call_leaves_open_stays_open_for_each_of_its_machines() {
    let names_one = response(400, r#"{"error": {"code": "C", "message": "aa"}}"#);
    // There is no bulk call for whoever answers 501.
    for first in open_answers().into_iter().filter(|answer| *answer != refusal(501)) {
        let told = made(add_tag_to_all(), &[first.clone(), names_one.clone()], History::default()).await;
        let CallEnd::Refused(_, ends) = &told.end else { panic!("{first:?}: {:?}", told.end) };
        for end in ends {
            let OperationEnd::Again(history) = end else { panic!("{first:?}: {end:?}") };
            assert!(history.may_hold, "{first:?}");
        }
        assert_eq!(told.stored, [(OperationState::Pending, true); 3], "{first:?}");
        // The second time that its machine is named, it is not said to have failed.
        let named = History { named: true, may_hold: true, ..History::default() };
        let told = made(add_tag_to_all(), std::slice::from_ref(&names_one), named).await;
        assert_eq!(told.statuses(), [Some(Status::Unknown), None, None]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bulk_call_at_which_the_service_keeps_failing_is_taken_apart_and_leaves_open_what_may_have_been_done() {
    let told = made(add_tag_to_all(), &[refusal(409)], History::default()).await;
    let CallEnd::Refused(BulkRefusal::Trouble, ends) = &told.end else { panic!("{:?}", told.end) };
    for end in ends {
        let OperationEnd::Again(history) = end else { panic!("{end:?}") };
        assert!(history.may_hold && history.trouble.is_some(), "{history:?}");
    }
    assert_eq!(told.stored, [(OperationState::Pending, true); 3]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_shows_nothing_is_not_asked_for_again_and_left_to_a_read() {
    let id_only = r#"{"id": "aa"}"#;
    for answer in [response(204, ""), response(200, ""), response(200, id_only)] {
        let told = made(set_value("aa"), std::slice::from_ref(&answer), History::default()).await;
        assert_eq!((told.statuses(), told.writes), (vec![Some(Status::Unknown)], 1), "{answer:?}");
        assert_eq!(told.stored, [(OperationState::Unknown, true)], "{answer:?}");
        let CallEnd::Settled(ends) = &told.end else { panic!("{:?}", told.end) };
        let OperationEnd::Outcome(outcome) = &ends[0] else { panic!("{ends:?}") };
        assert_eq!(outcome.answer.error_code.as_deref(), Some("not_shown"));
    }
    for answer in [response(204, ""), response(200, "[]"), response(200, r#"{"value": []}"#)] {
        let told = made(add_tag_to_all(), std::slice::from_ref(&answer), History::default()).await;
        assert_eq!((told.statuses(), told.writes), (vec![Some(Status::Unknown); 3], 1), "{answer:?}");
        let is_notice = |report: &CallReport| matches!(report.phase, Phase::Notice(Notice::BulkAnswersShowNothing));
        assert_eq!(told.reports.iter().filter(|report| is_notice(report)).count(), 1, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_in_another_case_is_asked_for_once_more_and_then_not_said_to_be_there() {
    let list =
        r#"[{"id": "aa", "machineTags": ["T"]}, {"id": "bb", "machineTags": ["t"]}, {"id": "cc", "machineTags": []}]"#;
    let told = made(add_tag_to_all(), &[response(200, list)], History::default()).await;
    assert_eq!(told.statuses(), [None, Some(Status::Succeeded), None]);
    let again = History { not_applied: 1, ..History::default() };
    let told = made(add_tag_to_all(), &[response(200, list)], again).await;
    assert_eq!(told.statuses(), [Some(Status::Succeeded), Some(Status::Succeeded), Some(Status::Failed)]);
    let CallEnd::Settled(ends) = &told.end else { panic!("{:?}", told.end) };
    let after = |end: &OperationEnd| match end {
        OperationEnd::Outcome(outcome) => outcome.after,
        OperationEnd::Again(_) => Held::Unknown,
    };
    assert_eq!(ends.iter().map(after).collect::<Vec<_>>(), [Held::Unknown, Held::Present, Held::Unknown]);
}

#[tokio::test(start_paused = true)]
async fn what_waiting_does_not_mend_ends_the_call_at_the_first_attempt() {
    use crate::api::CertificateProblem::{Expired, NotYetValid, UnknownIssuer, Unusable, WrongName};
    for problem in [Expired, NotYetValid, UnknownIssuer, Unusable, WrongName] {
        let told = made(set_value("aa"), &[lost(LossKind::Untrusted(problem))], History::default()).await;
        let why = matches!(
            &told.end,
            CallEnd::Aborted(AbortCause::Refused(AbortReason::Untrusted { problem: named, .. }), _) if *named == problem
        );
        assert!(why, "{:?}", told.end);
        assert_eq!((told.stored, told.writes), (vec![(OperationState::Refused, false)], 1), "{problem:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_wait_to_try_again_tells_why_and_which_try_comes_next() {
    let answers = [refusal(503), lost(LossKind::UnknownHost), lost(LossKind::TimedOut), shown("High")];
    let told = made(set_value("aa"), &answers, History::default()).await;
    let repeat = |report: &CallReport| match report.phase {
        Phase::Waiting { cause: WaitCause::Retry(repeat), until: Some(_) } => Some(repeat),
        _ => None,
    };
    let answer = |why, status| RepeatCause::Answer(why, status);
    let most = Some(MAXIMUM_ATTEMPTS);
    let expected = [
        Repeat { why: answer(RetryReason::ServiceFailed, Some(503)), number: 2, most },
        Repeat { why: answer(RetryReason::NotConnected(ConnectionTrouble::UnknownHost), None), number: 3, most: None },
        Repeat { why: answer(RetryReason::TimedOut, None), number: 3, most },
    ];
    assert_eq!(told.reports.iter().filter_map(repeat).collect::<Vec<_>>(), expected);
}

/// Has a token whenever it is asked, and none any more when a call is about to leave.
struct SignedOut;

#[async_trait]
impl Transport for SignedOut {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, _request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        Err(SignInError::Settings { problem: "the token was refused".into(), hint: None })
    }

    async fn renew(&self, _refused: TokenGeneration) -> Result<(), SignInError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_left_is_taken_back() {
    let bench = Bench::new(Arc::new(SignedOut), clock(), Change::DeviceValue(DeviceValue::High), 1).await;
    let operation = CallOperation { id: OperationId(0), history: History::default() };
    let (end, reports) = bench.perform(set_value("aa"), vec![operation]).await;
    assert!(matches!(end, CallEnd::Aborted(AbortCause::SignIn(_), None)), "{end:?}");
    let told = |is_told: fn(&Phase) -> bool| reports.iter().filter(|report| is_told(&report.phase)).count();
    let sent = told(|phase| matches!(phase, Phase::Sending { kind: crate::api::CallKind::Value, .. }));
    let taken_back = told(|phase| matches!(phase, Phase::NotSent { kind: crate::api::CallKind::Value, .. }));
    assert_eq!((sent, taken_back), (1, 1), "{reports:?}");
    assert_eq!(bench.stored().await, [(OperationState::Pending, false)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_to_everybody_is_the_outcome_of_each_machine_of_a_bulk_call() {
    for (status, may_be_done) in [(302, true), (307, false), (401, false), (407, false)] {
        let told = made(add_tag_to_all(), &[refusal(status)], History::default()).await;
        let CallEnd::Aborted(_, Some(outcome)) = &told.end else { panic!("{status}: {:?}", told.end) };
        assert_eq!(outcome.status == Status::Unknown, may_be_done, "{status}");
        assert_eq!(told.stored, [(OperationState::Refused, may_be_done); 3], "{status}");
    }
}
