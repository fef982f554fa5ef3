//! What each answer means: tables over every status, and the answers that are success.

mod statuses;
mod success;

use super::*;
use crate::api::{CertificateProblem, Loss};
use crate::model::{DeviceValue, MachineId, Tag, TagAction};

const MACHINE: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";

fn tag_request(action: TagAction) -> ApiRequest {
    let tag = Tag::new("Tier 0").expect("a tag");
    ApiRequest::ChangeTag { machine: MachineId::from_service(MACHINE), action, tag }
}

fn value_request() -> ApiRequest {
    ApiRequest::SetDeviceValue { machine: MachineId::from_service(MACHINE), value: DeviceValue::High }
}

fn response(status: u16, body: &str) -> Answer {
    Answer::Response(Response { status, body: body.as_bytes().to_vec(), ..Response::default() })
}

fn judged(request: &ApiRequest, answer: &Answer, history: History) -> Verdict {
    judge(request, answer, history, Timestamp::UNIX_EPOCH)
}

/// A verdict in one word, for tables.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Done { case_differs, .. } => format!("done{}", if *case_differs { ", other case" } else { "" }),
        Verdict::Accepted { .. } => "accepted".to_owned(),
        Verdict::Read { .. } => "read".to_owned(),
        Verdict::Retry { why, .. } => format!("retry {why:?}"),
        Verdict::Answered { machines, .. } => format!("answered {machines:?}"),
        Verdict::Split { why, .. } => format!("split {why:?}"),
        Verdict::Throttled { wait, .. } => format!("throttled {wait:?}"),
        Verdict::Fail { why, .. } => format!("fail {why:?}"),
        Verdict::Abort { why, .. } => format!("abort {why:?}"),
    }
}

#[test]
fn a_proxys_page_of_html_is_nobodys_verdict_under_any_status() {
    let request = value_request();
    for status in [200, 201, 400, 403, 404, 404, 410, 451] {
        let verdict = judged(&request, &response(status, "<html><body>Blocked</body></html>"), History::default());
        assert_eq!(word(&verdict), "retry NotUnderstood", "{status}");
    }
    let page = response(503, "<html/>");
    assert_eq!(word(&judged(&request, &page, History::default())), "retry ServiceFailed");
}

#[test]
fn a_doubtful_answer_is_believed_only_when_it_repeats() {
    let request = value_request();
    let not_found = response(404, r#"{"error": {"code": "ResourceNotFound", "message": "m"}}"#);
    for (earlier, expected) in [(0, "retry NotFound"), (1, "retry NotFound"), (2, "fail NotFound")] {
        let history = History { not_found: earlier, not_applied: 5, ..History::default() };
        assert_eq!(word(&judged(&request, &not_found, history)), expected, "{earlier}");
    }
    let without = response(200, &format!(r#"{{"id": "{MACHINE}", "deviceValue": "Low"}}"#));
    for (earlier, expected) in [(0, "retry NotApplied"), (1, "fail NotApplied")] {
        let history = History { not_found: 5, not_applied: earlier, ..History::default() };
        assert_eq!(word(&judged(&request, &without, history)), expected, "{earlier}");
    }
}

#[test]
fn what_was_lost_may_have_taken_effect_unless_it_never_left() {
    use ConnectionTrouble::{Other, Proxy, Refused, UnknownHost};
    let request = value_request();
    let table = [
        (LossKind::NotConnected, RetryReason::NotConnected(Other), false),
        (LossKind::UnknownHost, RetryReason::NotConnected(UnknownHost), false),
        (LossKind::ConnectionRefused, RetryReason::NotConnected(Refused), false),
        (LossKind::Proxy(Some(502)), RetryReason::NotConnected(Proxy(Some(502))), false),
        (LossKind::TimedOut, RetryReason::TimedOut, true),
        (LossKind::ConnectionLost, RetryReason::ConnectionLost, true),
        (LossKind::Truncated, RetryReason::Truncated, true),
        (LossKind::TooLong, RetryReason::Truncated, true),
    ];
    for (kind, expected, ambiguous) in table {
        let answer = Answer::Lost(Loss { kind, description: "why".into() });
        let verdict = judged(&request, &answer, History::default());
        let Verdict::Retry { why, facts } = verdict else { panic!("{kind:?}: {verdict:?}") };
        assert_eq!(why, expected);
        assert_eq!(why.is_ambiguous(), ambiguous, "{kind:?}");
        assert_eq!(facts.error_message.as_deref(), Some("why"));
    }
}

#[test]
fn what_waiting_does_not_mend_ends_the_run_at_once_and_was_never_sent() {
    let untrusted = LossKind::Untrusted(CertificateProblem::Expired);
    for kind in [untrusted, LossKind::ProxyAuthentication] {
        let answer = Answer::Lost(Loss { kind, description: "why".into() });
        let verdict = judged(&value_request(), &answer, History::default());
        let Verdict::Abort { why, .. } = verdict else { panic!("{kind:?}: {verdict:?}") };
        assert!(!why.is_ambiguous(), "{kind:?}");
    }
}

#[test]
fn the_services_words_are_kept_on_one_line_and_cut() {
    let long = "x".repeat(600);
    let body = format!(r#"{{"error": {{"code": "Bad\u0007Request", "message": "a\nb{long}", "target": "id-1"}}}}"#);
    let Verdict::Fail { why, facts } = judged(&value_request(), &response(400, &body), History::default()) else {
        panic!("not failed")
    };
    assert_eq!(why, FailReason::Rejected);
    assert_eq!(facts.http_status, Some(400));
    assert_eq!(facts.error_code.as_deref(), Some("Bad\\u{7}Request"));
    assert_eq!(facts.request_id.as_deref(), Some("id-1"));
    let message = facts.error_message.expect("a message");
    assert!(message.starts_with("a bx") && message.ends_with('…'), "{message}");
    assert_eq!(message.chars().count(), 501);
}

fn bulk_request() -> ApiRequest {
    let machines = ["aa", MACHINE, "odd-id"].map(MachineId::from_service).to_vec();
    ApiRequest::ChangeTagOnMachines { machines, action: TagAction::Add, tag: Tag::new("Tier 0").expect("a tag") }
}

#[test]
fn ids_are_found_in_whatever_text_a_refusal_has() {
    let table = [
        (format!("Machines {} were not found", MACHINE.to_uppercase()), [false, true, false]),
        (format!("[\\\"odd-id\\\",\\\"{MACHINE}\\\"]"), [false, true, true]),
        ("odd-id.".to_owned(), [false, false, true]),
        ("odd-idx and aab".to_owned(), [false, false, false]),
        ("id=aa;".to_owned(), [true, false, false]),
    ];
    for (text, named) in table {
        let body = format!(r#"{{"error": {{"code": "BadRequest", "message": "{text}"}}}}"#);
        let verdict = judged(&bulk_request(), &response(400, &body), History::default());
        assert_eq!(word(&verdict), format!("split BadMachines {{ named: {named:?} }}"), "{text}");
    }
}

#[test]
fn a_lower_limit_is_read_from_the_refusal() {
    for (message, allowed) in
        [("Received: 500, allowed: 100", "Some(100)"), ("too many", "None"), ("allowed: 0", "None")]
    {
        let body = format!(r#"{{"error": {{"code": "MaximumBatchSizeExceeded", "message": "{message}"}}}}"#);
        let verdict = judged(&bulk_request(), &response(400, &body), History::default());
        assert_eq!(word(&verdict), format!("split TooMany {{ allowed: {allowed} }}"), "{message}");
    }
}
