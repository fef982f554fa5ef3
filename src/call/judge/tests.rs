use super::*;
use crate::api::Loss;
use crate::model::{DeviceValue, MachineId, Tag};

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
        Verdict::Done { after, case_differs, .. } => {
            format!("done {after}{}", if *case_differs { ", other case" } else { "" })
        }
        Verdict::Read { .. } => "read".to_owned(),
        Verdict::Retry { why, .. } => format!("retry {why:?}"),
        Verdict::Answered { machines, shows_none, .. } => {
            format!("answered {machines:?}{}", if *shows_none { ", shows none" } else { "" })
        }
        Verdict::Split { why, .. } => format!("split {why:?}"),
        Verdict::Throttled { wait, .. } => format!("throttled {wait:?}"),
        Verdict::Fail { why, .. } => format!("fail {why:?}"),
        Verdict::Abort { why, .. } => format!("abort {why:?}"),
    }
}

/// Every status that can be sent, and what it leads to when the body is the service's and nothing was answered before.
#[test]
fn every_status_has_its_verdict() {
    let request = value_request();
    let body = r#"{"error": {"code": "C", "message": "m", "target": "t"}}"#;
    for status in 100..=999 {
        let expected = match status {
            200..=299 => "retry NotUnderstood".to_owned(),
            300..=399 => format!("abort Redirected {{ status: {status}, location: None }}"),
            401 => "retry TokenRefused".to_owned(),
            403 => "fail Forbidden".to_owned(),
            404 => "retry NotFound".to_owned(),
            407 => "abort ProxyAuthentication".to_owned(),
            429 => "throttled None".to_owned(),
            408 | 409 | 421 | 423 | 425 => "retry ServiceFailed".to_owned(),
            400..=499 => "fail Rejected".to_owned(),
            _ => "retry ServiceFailed".to_owned(),
        };
        assert_eq!(word(&judged(&request, &response(status, body), History::default())), expected, "{status}");
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
fn success_is_a_well_formed_answer_that_shows_the_change() {
    let add = tag_request(TagAction::Add);
    let remove = tag_request(TagAction::Remove);
    let value = value_request();
    let table: &[(&ApiRequest, &str, &str)] = &[
        (&add, r#""machineTags": ["x", "Tier 0"]"#, "done present"),
        (&add, r#""machineTags": ["tier 0"]"#, "done present, other case"),
        (&add, r#""machineTags": []"#, "retry NotApplied"),
        (&add, r#""machineTags": null"#, "done present"),
        (&add, r#""further": 1"#, "done present"),
        (&remove, r#""machineTags": ["x"]"#, "done absent"),
        (&remove, r#""machineTags": ["tier 0"]"#, "done absent, other case"),
        (&remove, r#""machineTags": ["Tier 0"]"#, "retry NotApplied"),
        (&value, r#""deviceValue": "High""#, "done High"),
        (&value, r#""deviceValue": "high""#, "done High"),
        (&value, r#""deviceValue": "Normal""#, "retry NotApplied"),
        (&value, r#""further": 1"#, "done High"),
    ];
    for (request, fields, expected) in table {
        let body = format!(r#"{{"id": "{}", {fields}}}"#, MACHINE.to_uppercase());
        let verdict = judged(request, &response(200, &body), History::default());
        assert_eq!(word(&verdict), *expected, "{request:?} {fields}");
    }
    for body in ["", "{}", r#"{"id": "#, "[]", r#"{"value": []}"#] {
        assert_eq!(word(&judged(&value, &response(200, body), History::default())), "retry NotUnderstood", "{body}");
    }
    let other = response(200, r#"{"id": "2222222222222222222222222222222222222222", "deviceValue": "High"}"#);
    assert_eq!(word(&judged(&value, &other, History::default())), "retry OtherMachine");
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
    let request = value_request();
    let table = [
        (LossKind::NotConnected, RetryReason::NotConnected, false),
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
fn the_services_words_are_kept_on_one_line_and_cut() {
    let long = "x".repeat(600);
    let body = format!(r#"{{"error": {{"code": "Bad\u0007Request", "message": "a\nb{long}", "target": "id-1"}}}}"#);
    let Verdict::Fail { why, facts } = judged(&value_request(), &response(400, &body), History::default()) else {
        panic!("not failed")
    };
    assert_eq!(why, FailReason::Rejected);
    assert_eq!(facts.http_status, Some(400));
    assert_eq!(facts.error_code.as_deref(), Some("Bad Request"));
    assert_eq!(facts.request_id.as_deref(), Some("id-1"));
    let message = facts.error_message.expect("a message");
    assert!(message.starts_with("a bx") && message.ends_with('…'), "{message}");
    assert_eq!(message.chars().count(), 501);
}

fn bulk_request() -> ApiRequest {
    let machines = ["aa", MACHINE, "odd-id"].map(MachineId::from_service).to_vec();
    ApiRequest::ChangeTagOnMachines { machines, action: TagAction::Add, tag: Tag::new("Tier 0").expect("a tag") }
}

/// What a bulk call does that others do not: refusals concern the whole call.
#[test]
fn a_refused_bulk_call_is_split_and_nothing_else_is() {
    let body = r#"{"error": {"code": "C", "message": "m", "target": "t"}}"#;
    let second = History { not_found: 1, ..History::default() };
    for status in 100..=999 {
        let expected = match status {
            200..=299 => "retry NotUnderstood".to_owned(),
            300..=399 => format!("abort Redirected {{ status: {status}, location: None }}"),
            400 | 404 | 410 | 422 => "split BadMachines { named: [false, false, false] }".to_owned(),
            401 => "retry TokenRefused".to_owned(),
            403 | 405 | 501 => "split Forbidden".to_owned(),
            407 => "abort ProxyAuthentication".to_owned(),
            413 => "split TooMany { allowed: None }".to_owned(),
            429 => "throttled None".to_owned(),
            408 | 409 | 421 | 423 | 425 => "retry ServiceFailed".to_owned(),
            402..=499 => "fail Rejected".to_owned(),
            _ => "retry ServiceFailed".to_owned(),
        };
        assert_eq!(word(&judged(&bulk_request(), &response(status, body), second)), expected, "{status}");
    }
    let first_404 = judged(&bulk_request(), &response(404, body), History::default());
    assert_eq!(word(&first_404), "retry NotFound", "one 404 that names nobody is not believed");
    let html = judged(&bulk_request(), &response(403, "<html>"), second);
    assert_eq!(word(&html), "retry NotUnderstood", "a proxy's page is nobody's verdict");
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

#[test]
fn an_accepted_bulk_call_is_checked_machine_by_machine() {
    let shown = |id: &str, tags: &str| format!(r#"{{"id": "{id}", "machineTags": {tags}}}"#);
    let done = "Done { case_differs: false }";
    let table = [
        (r#"{"value": []}"#.to_owned(), format!("answered [{done}, {done}, {done}], shows none")),
        ("{}".to_owned(), format!("answered [{done}, {done}, {done}], shows none")),
        (
            format!(
                r#"{{"value": [{}, {}]}}"#,
                shown("aa", r#"["tier 0"]"#),
                shown(&MACHINE.to_uppercase(), r#"["other"]"#)
            ),
            "answered [Done { case_differs: true }, NotApplied, Omitted]".to_owned(),
        ),
        (format!(r#"{{"value": [{}]}}"#, r#"{"id": "odd-id"}"#), format!("answered [Omitted, Omitted, {done}]")),
        (format!(r#"{{"value": [{}]}}"#, shown("other", "[]")), "retry OtherMachine".to_owned()),
        ("<html>".to_owned(), "retry NotUnderstood".to_owned()),
        (String::new(), "retry NotUnderstood".to_owned()),
    ];
    for (body, expected) in table {
        assert_eq!(word(&judged(&bulk_request(), &response(200, &body), History::default())), expected, "{body}");
    }
}
