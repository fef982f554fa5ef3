//! Every status, of single and of bulk calls, with each history and each kind of body.

use super::*;

/// What the service says when it refuses something.
const REFUSAL: &str = r#"{"error": {"code": "C", "message": "m", "target": "t"}}"#;
/// What it says when it does not allow something here.
const DISALLOWED: &str = r#"{"error": {"code": "DisallowedOperation", "message": "m"}}"#;
const HTML: &str = "<html><body>Blocked</body></html>";

/// A history in which everything that is counted was seen so often.
fn seen(times: u32) -> History {
    History { not_found: times, busy: times, ..History::default() }
}

fn single(status: u16, body: &str, times: u32) -> String {
    word(&judged(&value_request(), &response(status, body), seen(times)))
}

fn bulk(status: u16, body: &str, times: u32) -> String {
    word(&judged(&bulk_request(), &response(status, body), seen(times)))
}

/// What a status comes to whatever the call, the body and the history are; `None` where that matters.
fn in_any_case(status: u16) -> Option<String> {
    Some(match status {
        300..=399 => format!("abort Redirected {{ status: {status}, location: None }}"),
        401 => "retry TokenRefused".to_owned(),
        407 => "abort ProxyAuthentication".to_owned(),
        429 => "throttled None".to_owned(),
        100..=199 | 500 | 502..=999 => "retry ServiceFailed".to_owned(),
        _ => return None,
    })
}

#[test]
fn every_status_of_a_single_call_has_its_verdict() {
    for (status, times) in (100..=999).flat_map(|status| (0..4).map(move |times| (status, times))) {
        let expected = in_any_case(status).unwrap_or_else(|| {
            match status {
                200..=299 => "retry NotUnderstood",
                403 => "fail Forbidden",
                404 if times < 2 => "retry NotFound",
                404 => "fail NotFound",
                408 | 409 | 460 | 499 | 501 => "retry ServiceFailed",
                421 | 423 | 425 => "retry Busy",
                _ => "fail Rejected",
            }
            .to_owned()
        });
        assert_eq!(single(status, REFUSAL, times), expected, "{status} after {times}");
    }
}

#[test]
fn every_refusal_of_a_bulk_call_is_the_groups_and_no_machines() {
    for (status, times) in (100..=999).flat_map(|status| (0..4).map(move |times| (status, times))) {
        let expected = in_any_case(status).unwrap_or_else(|| {
            match status {
                200..=299 => "retry NotUnderstood",
                403 | 405 | 501 => "split Forbidden",
                404 if times < 1 => "retry NotFound",
                408 | 409 | 460 | 499 => "retry ServiceFailed",
                413 => "split TooMany { allowed: None }",
                421 | 423 | 425 if times < 2 => "retry Busy",
                _ => "split BadMachines { named: [false, false, false] }",
            }
            .to_owned()
        });
        assert_eq!(bulk(status, REFUSAL, times), expected, "{status} after {times}");
    }
}

#[test]
fn a_page_of_html_is_nobodys_verdict_about_a_machine_or_a_group() {
    for (status, times) in (100..=999).flat_map(|status| (0..4).map(move |times| (status, times))) {
        let expected = in_any_case(status).unwrap_or_else(|| {
            let understood = if status == 501 { "retry ServiceFailed" } else { "retry NotUnderstood" };
            understood.to_owned()
        });
        assert_eq!(single(status, HTML, times), expected, "{status} after {times}");
        // A page that says the call is too large says so of bulk calls only.
        let expected = if status == 413 { "split TooMany { allowed: None }" } else { expected.as_str() };
        assert_eq!(bulk(status, HTML, times), expected, "bulk, {status} after {times}");
    }
}

/// The statuses with which a service says that it did nothing.
fn surely_did_nothing(status: u16) -> bool {
    matches!(status, 307 | 308 | 400..=499) && !matches!(status, 408 | 409 | 460 | 499)
}

#[test]
fn what_may_have_taken_effect_is_ambiguous_under_every_status() {
    for request in [value_request(), tag_request(TagAction::Add), bulk_request()] {
        for (status, body) in (100..=999).flat_map(|status| [REFUSAL, HTML, "", "{}"].map(|body| (status, body))) {
            let nobodys_word = body == HTML && !matches!(status, 401 | 407 | 413 | 429);
            let ambiguous = match judged(&request, &response(status, body), History::default()) {
                Verdict::Retry { why, .. } => why.is_ambiguous(),
                Verdict::Abort { why, .. } => why.is_ambiguous(),
                // Settled by a read.
                Verdict::Accepted { .. } | Verdict::Answered { .. } => continue,
                _ => false,
            };
            let is_no_call = status == 501 && matches!(request, ApiRequest::ChangeTagOnMachines { .. });
            let page_of_a_redirect = (300..=399).contains(&status);
            let expected = if is_no_call && body != HTML {
                false
            } else if body == HTML && status == 413 {
                !matches!(request, ApiRequest::ChangeTagOnMachines { .. })
            } else {
                !surely_did_nothing(status) || (nobodys_word && !page_of_a_redirect)
            };
            assert_eq!(ambiguous, expected, "{request:?}: {status} {body}");
        }
    }
}

#[test]
fn a_machine_that_is_out_of_bounds_says_nothing_of_the_app() {
    assert_eq!(single(403, DISALLOWED, 0), "fail Disallowed");
    assert_eq!(bulk(403, DISALLOWED, 0), "split Disallowed { named: [false, false, false] }");
    let body = DISALLOWED.replace("\"m\"", &format!("\"not on {MACHINE}\""));
    assert_eq!(bulk(403, &body, 0), "split Disallowed { named: [false, true, false] }");
    let get = ApiRequest::GetMachine { machine: MachineId::from_service(MACHINE) };
    let list = ApiRequest::ListMachines { top: 10, skip: 0 };
    let read = |request: &ApiRequest| word(&judged(request, &response(403, DISALLOWED), History::default()));
    assert_eq!((read(&get).as_str(), read(&list).as_str()), ("fail Disallowed", "fail Forbidden"));
}

#[test]
fn a_refusal_does_not_take_back_what_may_have_been_done() {
    let every = [FailReason::NotFound, FailReason::Forbidden, FailReason::Disallowed, FailReason::Rejected];
    let table = [
        (RetryReason::ServiceFailed, true, true),
        (RetryReason::TimedOut, true, true),
        (RetryReason::ConnectionLost, true, true),
        (RetryReason::Truncated, true, true),
        (RetryReason::NotUnderstood, true, true),
        (RetryReason::TooMuch(Excess::Tags), true, true),
        (RetryReason::OtherMachine, true, true),
        (RetryReason::NotConnected(ConnectionTrouble::Other), false, false),
        (RetryReason::TokenRefused, false, false),
        (RetryReason::NotFound, false, false),
        (RetryReason::Busy, false, false),
        // Accepted without showing the change: a second such answer is believed, and any other refusal is not.
        (RetryReason::NotApplied, true, false),
        (RetryReason::OtherCase, true, false),
    ];
    for (earlier, although_refused, although_not_applied) in table {
        let history = History::default().and(earlier);
        for refused in every {
            assert_eq!(history.may_be_done_although(refused), although_refused, "{earlier:?}, then {refused:?}");
            let later = History::default().and(earlier).and(RetryReason::NotFound).and(RetryReason::Busy);
            assert_eq!(later.may_be_done_although(refused), although_refused, "it is not forgotten");
        }
        assert_eq!(history.may_be_done_although(FailReason::NotApplied), although_not_applied, "{earlier:?}");
    }
}
