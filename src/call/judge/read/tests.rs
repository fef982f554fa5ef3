use jiff::Timestamp;

use super::*;
use crate::api::{Answer, Loss, LossKind};
use crate::call::judge;
use crate::model::MachineId;

const MACHINE: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";

const FIRST: ApiRequest = ApiRequest::ListMachines { top: 10_000, skip: 0 };
const SECOND: ApiRequest = ApiRequest::ListMachines { top: 10_000, skip: 10_000 };

fn single() -> ApiRequest {
    ApiRequest::GetMachine { machine: MachineId::from_service(MACHINE) }
}

fn verdict(request: &ApiRequest, status: u16, body: &str, not_found: u32) -> Verdict {
    let answer = Answer::Response(Response { status, body: body.as_bytes().to_vec(), ..Response::default() });
    judge(request, &answer, History { not_found, ..History::default() }, Timestamp::UNIX_EPOCH)
}

/// A verdict in one word, for tables.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Read { answer: ReadAnswer::Page(page), .. } => format!("page of {}", page.item_count()),
        Verdict::Read { answer: ReadAnswer::Machine(machine), .. } => format!("machine {}", machine.id),
        Verdict::Read { answer: ReadAnswer::NotFound, .. } => "not found".to_owned(),
        Verdict::Retry { why, .. } => format!("retry {why:?}"),
        Verdict::Throttled { .. } => "throttled".to_owned(),
        Verdict::Fail { why, .. } => format!("fail {why:?}"),
        Verdict::Abort { .. } => "abort".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn every_status_has_its_verdict() {
    let error = r#"{"error": {"code": "C", "message": "m"}}"#;
    for request in [FIRST, SECOND, single()] {
        for status in 100..=999 {
            let expected = match status {
                200..=299 => "retry NotUnderstood",
                300..=399 | 407 => "abort",
                401 => "retry TokenRefused",
                403 => "fail Forbidden",
                404 if request == SECOND => "not found",
                404 => "retry NotFound",
                429 => "throttled",
                421 | 423 | 425 => "retry Busy",
                408 | 409 | 460 | 499 => "retry ServiceFailed",
                400..=499 => "fail Rejected",
                _ => "retry ServiceFailed",
            };
            assert_eq!(word(&verdict(&request, status, error, 0)), expected, "{request:?} {status}");
        }
    }
}

#[test]
fn what_is_too_much_of_an_answer_is_said_and_asked_for_only_once_more() {
    let machines = format!(r#"{{"value": [{}]}}"#, vec![r#"{"id": "a"}"#; 100_001].join(","));
    let tagged = format!(r#"{{"id": "{MACHINE}", "machineTags": [{}]}}"#, vec![r#""t""#; 100_001].join(","));
    let list = format!(r#"{{"value": [{tagged}]}}"#);
    let too_long = Answer::Lost(Loss { kind: LossKind::TooLong, description: "too long".into() });
    let of = |body: &str| Answer::Response(Response { status: 200, body: body.into(), ..Response::default() });
    for (request, answer, excess, says) in [
        (FIRST, of(&machines), Excess::Machines, "the answer lists more than 100000 machines"),
        (SECOND, of(&list), Excess::Tags, "a machine in the answer has more than 100000 tags"),
        (single(), of(&tagged), Excess::Tags, "a machine in the answer has more than 100000 tags"),
        (FIRST, too_long, Excess::Bytes, "too long"),
    ] {
        let judged = |too_much| {
            let history = History { too_much, ..History::default() };
            match judge(&request, &answer, history, Timestamp::UNIX_EPOCH) {
                Verdict::Retry { why, facts } => (Some(why), facts.error_message),
                Verdict::Fail { why: FailReason::Rejected, facts } => (None, facts.error_message),
                other => panic!("{other:?}"),
            }
        };
        let (why, message) = judged(0);
        assert_eq!(why, Some(RetryReason::TooMuch(excess)));
        assert!(message.as_deref().is_some_and(|message| message.starts_with(says)), "{message:?}");
        assert_eq!(judged(1), (None, message));
    }
}

#[test]
fn a_list_is_a_page_and_nothing_else_is() {
    let table = [
        (r#"{"value": [{"id": "a"}, {}]}"#, "page of 2"),
        (r#"{"value": []}"#, "page of 0"),
        (r#"{"value": [{"id": "a"}"#, "retry NotUnderstood"),
        (r#"{"id": "a"}"#, "retry NotUnderstood"),
        ("", "retry NotUnderstood"),
        ("<html></html>", "retry NotUnderstood"),
    ];
    for request in [FIRST, SECOND] {
        for (body, expected) in table {
            assert_eq!(word(&verdict(&request, 200, body, 0)), expected, "{body}");
        }
    }
    assert_eq!(word(&verdict(&SECOND, 404, "<html></html>", 0)), "retry NotUnderstood", "a proxy's page ends nothing");
}

#[test]
fn a_single_machine_must_be_the_one_that_was_asked_for() {
    let found = format!(r#"{{"id": "{}", "machineTags": ["a"]}}"#, MACHINE.to_uppercase());
    assert_eq!(word(&verdict(&single(), 200, &found, 0)), format!("machine {}", MACHINE.to_uppercase()));
    assert_eq!(word(&verdict(&single(), 200, r#"{"id": "other"}"#, 0)), "retry OtherMachine");
    for body in ["{}", r#"{"value": []}"#, "[]", "<html>"] {
        assert_eq!(word(&verdict(&single(), 200, body, 0)), "retry NotUnderstood", "{body}");
    }
}

#[test]
fn nothing_found_is_believed_at_once_only_behind_the_first_page() {
    for (earlier, first, second) in
        [(0, "retry NotFound", "not found"), (1, "retry NotFound", "not found"), (2, "not found", "not found")]
    {
        assert_eq!(word(&verdict(&FIRST, 404, "", earlier)), first, "{earlier}");
        assert_eq!(word(&verdict(&single(), 404, "", earlier)), first, "{earlier}");
        assert_eq!(word(&verdict(&SECOND, 404, "", earlier)), second, "{earlier}");
    }
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    let answer = Answer::Lost(Loss { kind: LossKind::Truncated, description: "why".into() });
    let verdict = judge(&FIRST, &answer, History::default(), Timestamp::UNIX_EPOCH);
    assert_eq!(word(&verdict), "retry Truncated");
}
