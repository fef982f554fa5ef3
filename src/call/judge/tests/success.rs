//! Which answers are success: those of the service that show the change, and nothing else whatever it looks like.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Bodies under 200 that look like something and are no answer of the service.
const NO_ANSWERS: &[&str] = &[
    "{}",
    "null",
    "true",
    "7",
    "\"OK\"",
    "OK",
    "<html>maintenance</html>",
    r#"{"message": "maintenance"}"#,
    r#"{"status": 503}"#,
    r#"{"value": null}"#,
    r#"{"value": "maintenance"}"#,
    r#"{"value": [1, 2, 3]}"#,
    r#"{"value": [{"name": "x"}]}"#,
    "[[]]",
    r#"[{"status": 503}]"#,
    r#"{"error": null}"#,
    r#"{"error": {"code": "InternalServerError"}}"#,
    r#"{"value": [{"id": "aa", "machineTags": ["Tier 0"]}], "error": {"code": "InternalServerError"}}"#,
    r#"{"value": [{"id": "aa", "machineTags": ["Tier 0"]}"#,
];

#[test]
fn what_is_no_answer_of_the_service_is_no_success_of_any_call() {
    for request in [value_request(), tag_request(TagAction::Add), tag_request(TagAction::Remove), bulk_request()] {
        for (status, body) in (200..300).flat_map(|status| NO_ANSWERS.iter().map(move |body| (status, *body))) {
            let verdict = judged(&request, &response(status, body), History::default());
            assert_eq!(word(&verdict), "retry NotUnderstood", "{request:?}: {status} {body}");
        }
    }
    // A machine alone is no answer to a bulk call, and a list is none to a single one.
    let machine = format!(r#"{{"id": "{MACHINE}", "machineTags": ["Tier 0"], "deviceValue": "High"}}"#);
    assert_eq!(word(&judged(&bulk_request(), &response(200, &machine), History::default())), "retry NotUnderstood");
    for list in [format!("[{machine}]"), format!(r#"{{"value": [{machine}]}}"#), "[]".into(), r#"{"value": []}"#.into()]
    {
        let verdict = judged(&value_request(), &response(200, &list), History::default());
        assert_eq!(word(&verdict), "retry NotUnderstood", "{list}");
    }
    let complaint = machine.replace('}', r#", "error": {"code": "x"}}"#);
    assert_eq!(word(&judged(&value_request(), &response(200, &complaint), History::default())), "retry NotUnderstood");
}

#[test]
fn a_machine_of_which_there_is_too_much_is_an_acceptance_and_spoils_a_bulk_call() {
    let tags = vec![r#""t""#; 100_001].join(",");
    let machine = format!(r#"{{"id": "{MACHINE}", "machineTags": [{tags}], "deviceValue": "High"}}"#);
    for request in [value_request(), tag_request(TagAction::Add)] {
        let history = History { too_much: 1, ..History::default() };
        for history in [History::default(), history] {
            assert_eq!(word(&judged(&request, &response(200, &machine), history)), "accepted");
        }
    }
    let bulk = judged(&bulk_request(), &response(200, &format!("[{machine}]")), History::default());
    assert_eq!(word(&bulk), "retry TooMuch(Tags)", "one of its machines may be why");
}

#[test]
fn an_answer_without_a_body_is_an_acceptance() {
    for status in 200..300 {
        for body in ["", " \r\n"] {
            assert_eq!(word(&judged(&value_request(), &response(status, body), History::default())), "accepted");
            let bulk = judged(&bulk_request(), &response(status, body), History::default());
            assert_eq!(word(&bulk), "answered [Accepted, Accepted, Accepted]");
        }
    }
}

#[test]
fn success_is_a_well_formed_answer_that_shows_the_change() {
    let add = tag_request(TagAction::Add);
    let remove = tag_request(TagAction::Remove);
    let value = value_request();
    let table: &[(&ApiRequest, &str, &str)] = &[
        (&add, r#""machineTags": ["x", "Tier 0"]"#, "done"),
        (&add, r#""machineTags": ["tier 0", "Tier 0"]"#, "done"),
        (&add, r#""machineTags": ["tier 0"]"#, "retry OtherCase"),
        (&add, r#""machineTags": []"#, "retry NotApplied"),
        (&add, r#""machineTags": null"#, "accepted"),
        (&add, r#""machineTags": "Tier 0""#, "accepted"),
        (&add, r#""further": 1"#, "accepted"),
        (&remove, r#""machineTags": ["x"]"#, "done"),
        (&remove, r#""machineTags": ["tier 0"]"#, "done, other case"),
        (&remove, r#""machineTags": ["Tier 0"]"#, "retry NotApplied"),
        (&remove, r#""machineTags": null"#, "accepted"),
        (&value, r#""deviceValue": "High""#, "done"),
        (&value, r#""deviceValue": "high""#, "done"),
        (&value, r#""deviceValue": "Normal""#, "retry NotApplied"),
        (&value, r#""further": 1"#, "accepted"),
    ];
    for (request, fields, expected) in table {
        let body = format!(r#"{{"id": "{}", {fields}}}"#, MACHINE.to_uppercase());
        let verdict = judged(request, &response(200, &body), History::default());
        assert_eq!(word(&verdict), *expected, "{request:?} {fields}");
    }
    let other_case = response(200, &format!(r#"{{"id": "{MACHINE}", "machineTags": ["tier 0"]}}"#));
    let again = History { not_applied: 1, ..History::default() };
    assert_eq!(word(&judged(&add, &other_case, again)), "done, other case");
    let other = response(200, r#"{"id": "2222222222222222222222222222222222222222", "deviceValue": "High"}"#);
    assert_eq!(word(&judged(&value, &other, History::default())), "retry OtherMachine");
}

#[test]
fn only_what_is_sure_is_said_to_hold() {
    assert_eq!(after(&tag_request(TagAction::Add), false), Held::Present);
    assert_eq!(after(&tag_request(TagAction::Remove), false), Held::Absent);
    assert_eq!(after(&value_request(), false), Held::Value(DeviceValue::High));
    for action in [TagAction::Add, TagAction::Remove] {
        assert_eq!(after(&tag_request(action), true), Held::Unknown, "a tag in another case may be the same one");
    }
}

#[test]
fn an_accepted_bulk_call_is_checked_machine_by_machine() {
    let shown = |id: &str, tags: &str| format!(r#"{{"id": "{id}", "machineTags": {tags}}}"#);
    let table = [
        (r#"{"value": []}"#.to_owned(), "answered [Accepted, Accepted, Accepted]"),
        ("[]".to_owned(), "answered [Accepted, Accepted, Accepted]"),
        (
            format!(
                r#"{{"value": [{}, {}]}}"#,
                shown("aa", r#"["tier 0"]"#),
                shown(&MACHINE.to_uppercase(), r#"["other"]"#)
            ),
            "answered [OtherCase, NotApplied, Omitted]",
        ),
        (
            format!("[{}, {}]", shown("aa", r#"["Tier 0"]"#), r#"{"id": "odd-id"}"#),
            "answered [Done { case_differs: false }, Omitted, Accepted]",
        ),
        // Two that contradict each other, in either order.
        (
            format!("[{}, {}]", shown("aa", r#"["Tier 0"]"#), shown("aa", "[]")),
            "answered [NotApplied, Omitted, Omitted]",
        ),
        (
            format!("[{}, {}]", shown("aa", "[]"), shown("aa", r#"["Tier 0"]"#)),
            "answered [NotApplied, Omitted, Omitted]",
        ),
        (format!(r#"{{"value": [{}]}}"#, shown("other", "[]")), "retry OtherMachine"),
    ];
    for (body, expected) in table {
        assert_eq!(word(&judged(&bulk_request(), &response(200, &body), History::default())), expected, "{body}");
    }
}

/// Whether a JSON text shows that the change holds, told without any of the code that is tested.
fn shows_the_change(request: &ApiRequest, machine: &MachineId, document: &Value) -> bool {
    let is_it = document["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(&machine.to_string()));
    let tags = document["machineTags"].as_array();
    let has = |tag: &Tag| tags.is_some_and(|tags| tags.iter().any(|one| one.as_str() == Some(tag.as_str())));
    is_it
        && match request {
            ApiRequest::ChangeTag { action, tag, .. } | ApiRequest::ChangeTagOnMachines { action, tag, .. } => {
                match action {
                    TagAction::Add => has(tag),
                    TagAction::Remove => tags.is_some() && !has(tag),
                }
            }
            ApiRequest::SetDeviceValue { value, .. } => {
                document["deviceValue"].as_str().is_some_and(|shown| shown.eq_ignore_ascii_case(value.as_str()))
            }
            _ => false,
        }
}

/// Whether a success of this machine is the service's own: under a 2xx, in a well-formed answer that shows it.
fn is_the_services(request: &ApiRequest, machine: &MachineId, status: u16, body: &str) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(body) else { return false };
    let complains = document.get("error").is_some_and(|error| !error.is_null());
    let documents = match (request, &document) {
        (ApiRequest::ChangeTagOnMachines { .. }, Value::Array(list)) => list.clone(),
        (ApiRequest::ChangeTagOnMachines { .. }, document) => document["value"].as_array().cloned().unwrap_or_default(),
        (_, document) => vec![document.clone()],
    };
    let shown = documents.iter().any(|document| shows_the_change(request, machine, document));
    (200..300).contains(&status) && !complains && shown
}

/// JSON that is built from the words of the service, so that it comes near to its answers.
fn documents() -> impl Strategy<Value = Value> {
    let texts =
        prop::sample::select(vec![MACHINE, "aa", "odd-id", "other", "Tier 0", "tier 0", "High", "Low", "", "ok"]);
    let leaves = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..600_u16).prop_map(Value::from),
        texts.prop_map(Value::from),
    ];
    let names = prop::sample::select(vec!["id", "machineTags", "deviceValue", "value", "error", "message", "status"]);
    leaves.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner.clone(), 0..4).prop_map(|fields| json!(fields)),
            // A machine, as a rule.
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(id, tags, value)| json!({"id": id, "machineTags": [tags], "deviceValue": value})),
        ]
    })
}

fn bodies() -> impl Strategy<Value = String> {
    let whole = documents().prop_map(|document| document.to_string());
    let cut = (documents(), 0..200_usize)
        .prop_map(|(document, kept)| document.to_string().chars().take(kept).collect::<String>());
    prop_oneof![4 => whole, 1 => cut, 1 => ".{0,40}", 1 => Just("<html>".to_owned()), 1 => Just(String::new())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_but_an_answer_that_shows_the_change_is_success(
        status in prop_oneof![3 => 200..300_u16, 1 => 100..600_u16],
        body in bodies(),
        (is_removal, call, times) in (any::<bool>(), 0..3_usize, 0..3_u32),
    ) {
        let action = if is_removal { TagAction::Remove } else { TagAction::Add };
        let machines: Vec<MachineId> = ["aa", MACHINE, "odd-id"].map(MachineId::from_service).to_vec();
        let tag = Tag::new("Tier 0").expect("a tag");
        let request = match call {
            0 => tag_request(action),
            1 => value_request(),
            _ => ApiRequest::ChangeTagOnMachines { machines: machines.clone(), action, tag },
        };
        // A tag in another case is believed to be the same one when it is shown again; that is no plain success.
        let history = History { not_found: times, not_applied: 0, busy: times, ..History::default() };
        match judged(&request, &response(status, &body), history) {
            Verdict::Done { .. } => {
                let machine = MachineId::from_service(MACHINE);
                prop_assert!(is_the_services(&request, &machine, status, &body), "{status} {body}");
            }
            Verdict::Answered { machines: verdicts, .. } => {
                prop_assert!((200..300).contains(&status), "{status}");
                for (machine, verdict) in machines.iter().zip(verdicts) {
                    let is_done = matches!(verdict, MachineVerdict::Done { .. });
                    prop_assert!(!is_done || is_the_services(&request, machine, status, &body), "{status} {body}");
                }
            }
            Verdict::Accepted { .. } => prop_assert!((200..300).contains(&status), "{status}"),
            _ => {}
        }
    }
}
