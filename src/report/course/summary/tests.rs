use super::*;
use crate::call::{ConnectionTrouble, Repeat, RepeatCause, RetryReason, WaitCause};
use crate::dispatch::Spent;
use crate::quota::Quota;
use crate::report::course::reasons::reason_hint;
use crate::report::{ColorChoice, ErrorGroup, Invocation};

fn progress() -> Progress {
    let quota: Quota = "100/1m,1500/1h".parse().expect("a quota");
    Progress {
        operations: 1700,
        outcomes: [(Status::Succeeded, 1690), (Status::Failed, 10)].into(),
        calls: [(CallKind::Tags, 1500), (CallKind::Value, 212)].into(),
        throttled: 1,
        retried: 12,
        elapsed: Duration::from_secs(3725),
        spent: vec![
            (Spent::Calls, Duration::from_secs(125)),
            (Spent::Quota(Some(quota.limits()[1])), Duration::from_secs(3595)),
            (Spent::Retries, Duration::from_secs(5)),
            (Spent::Own, Duration::from_millis(12)),
        ],
        ..Progress::default()
    }
}

fn totals() -> Totals {
    let error = |status, http_status, code: &str, rows, example_row, message: &str| {
        let key = ErrorKey { status, http_status, code: code.to_owned() };
        (key, ErrorGroup { rows, example_row, message: message.to_owned() })
    };
    Totals {
        lacks_orders: false,
        unsaid: 0,
        rows: 1703,
        statuses: [(Status::Succeeded, 1690), (Status::Failed, 10), (Status::Invalid, 3)].into(),
        errors: [
            error(Status::Failed, Some(404), "ResourceNotFound", 9, 17, "Machine x was not found"),
            error(Status::Failed, Some(400), "BadRequest", 1, 3, "\u{1b}[31mno"),
            error(Status::Invalid, None, "missing_tag", 3, 5, "Add needs a tag"),
        ]
        .into(),
        failed_rows: 13,
        left_to_others: 0,
        without_before: 0,
        tolerated: 0,
        kept: Vec::new(),
    }
}

#[test]
fn what_was_waited_for_quota_or_service_is_told_of_the_time() {
    let mut progress = Progress::default();
    let waits = [Spent::Quota(None), Spent::Throttled, Spent::Retries, Spent::Outage, Spent::Calls, Spent::Question];
    for (place, part) in waits.into_iter().enumerate() {
        progress.spend(part, Duration::from_secs(1 << place));
    }
    assert_eq!(progress.waited(), Duration::from_secs(15));
}

#[test]
fn the_text_adds_up_names_causes_and_the_next_command() {
    let (progress, totals) = (progress(), totals());
    let target = ResultsTarget::file("out of line.results.csv".into());
    let summary = RunSummary {
        run_id: "20260301-120000-abcd",
        reason: &EndReason::Finished,
        progress: &progress,
        totals: &totals,
        target: &target,
        open: 0,
        repeated_options: "",
        reading_options: "",
        resuming_options: "",
        sandbox: false,
        exit_status: 1,
        input: "/data/x.csv",
        selected_from: None,
    };
    insta::assert_snapshot!(summary.text(&Screen::new(ColorChoice::Never, false)), @r"
    Run 20260301-120000-abcd is finished: 1,703 rows.
            1,690 succeeded
               10 failed
                3 invalid (not sent)
    What went wrong:
      9 × ResourceNotFound (HTTP 404), first in row 17: Machine x was not found
          check the ids: they may be damaged, of another tenant, or older than the retention period
      3 × missing_tag, first in row 5: Add needs a tag
      1 × BadRequest (HTTP 400), in row 3: \u{1b}[31mno
    Calls: 1,712 (1,500 single tags, 212 device values), 1 refused for quota, 12 repeated. Time: 1 h 2 min (59 min 55 s waiting for the quota of 1,500 per 1 h, 2 min 5 s in calls, 5.0 s waiting to try again).
    Results: out of line.results.csv
    Rows not done: out of line.failed.csv (13)
    Next: fix the invalid rows in out of line.failed.csv (out of line.results.csv says why), then: tagfleet apply 'out of line.failed.csv'
    ");
    // While a resumed run has something to do, it is not finished, whoever says so.
    let summary = RunSummary { open: 1, ..summary };
    let text = summary.text(&Screen::new(ColorChoice::Never, false));
    assert!(text.starts_with("Run 20260301-120000-abcd is unfinished, since some outcomes are unknown: 1,703 rows."));
    assert!(text.ends_with("Next: tagfleet resume 20260301-120000-abcd\n"), "{text}");
    assert_eq!(summary.ending().ended, "unfinished");
}

#[test]
fn the_json_object_has_the_fields_that_the_manual_names() {
    let (progress, totals) = (progress(), totals());
    let target = ResultsTarget::file("x.csv".into());
    let reason = EndReason::Deadline;
    let summary = RunSummary {
        run_id: "r",
        reason: &reason,
        progress: &progress,
        totals: &totals,
        target: &target,
        open: 0,
        repeated_options: "",
        reading_options: "",
        resuming_options: "",
        sandbox: false,
        exit_status: 5,
        input: "/data/x.csv",
        selected_from: None,
    };
    let time = |text: &str| text.parse().expect("a time");
    let invocation = Invocation { started_at: time("2026-03-01T12:00:00Z"), input: Some("another".into()) };
    let object = invocation.object(summary.json(), &summary.ending(), time("2026-03-01T13:02:05Z"));
    insta::assert_snapshot!(object, @r#"{"calls":{"bulk":0,"get":0,"list":0,"tags":1500,"value":212},"causes":[{"code":"ResourceNotFound","count":9,"first_row":17,"hint":"check the ids: they may be damaged, of another tenant, or older than the retention period","http_status":404,"message":"Machine x was not found","status":"failed"},{"code":"missing_tag","count":3,"first_row":5,"hint":"fix these rows in the file of rows to feed back","http_status":null,"message":"Add needs a tag","status":"invalid"},{"code":"BadRequest","count":1,"first_row":3,"hint":null,"http_status":400,"message":"\u001b[31mno","status":"failed"}],"elapsed_seconds":3725.0,"ended":"deadline","exit_status":5,"failed":"x.failed.csv","finished_at":"2026-03-01T13:02:05.000Z","hint":null,"input":"/data/x.csv","kept":[],"missing_machines":0,"next":"tagfleet apply x.failed.csv","open":0,"reason":"at its deadline","results":"x.csv","retried":12,"rows":1703,"run_id":"r","schema_version":1,"started_at":"2026-03-01T12:00:00.000Z","status":{"failed":10,"invalid":3,"not_attempted":0,"succeeded":1690,"unchanged":0,"unknown":0},"throttled":1,"waited_seconds":3600.0}"#);
}

#[test]
fn a_run_without_results_says_what_became_of_its_operations_or_that_there_were_none() {
    let described = |progress: &Progress| describe_end("R", &EndReason::Finished, None, progress);
    assert_eq!(described(&progress()), "Run R is finished. Its operations: 1,690 succeeded, 10 failed.");
    assert_eq!(described(&Progress::default()), "Run R is finished. Its operations: none to be sent.");
}

#[test]
fn a_run_that_was_refused_names_the_permission() {
    let hint = reason_hint(&EndReason::Forbidden { message: None }).expect("a hint");
    assert!(hint.contains("Machine.ReadWrite.All"), "{hint}");
}

#[test]
fn a_run_that_its_deadline_ended_says_why_nothing_moved() {
    let refused = RepeatCause::Answer(RetryReason::NotConnected(ConnectionTrouble::Refused), None);
    let wait = WaitCause::Retry(Repeat { why: refused, number: 4, most: None });
    let progress = Progress { in_the_way: Some((wait, None)), ..progress() };
    let totals = Totals { rows: 5, statuses: [(Status::NotAttempted, 5)].into(), ..Totals::default() };
    let summary = |reason| RunSummary {
        run_id: "r",
        reason,
        progress: &progress,
        totals: &totals,
        target: &ResultsTarget::StandardOutput,
        open: 0,
        repeated_options: "",
        reading_options: "",
        resuming_options: "",
        sandbox: false,
        exit_status: 5,
        input: "/data/x.csv",
        selected_from: None,
    };
    let late = summary(&EndReason::Deadline);
    let ending = late.ending();
    assert_eq!(ending.reason.as_deref(), Some("at its deadline (connection refused)"));
    let cause = &ending.causes[0];
    assert_eq!((&cause["code"], &cause["count"]), (&json!("not_connected"), &json!(5)));
    assert_eq!(ending.hint.as_deref(), cause["hint"].as_str());
    assert!(ending.hint.is_some());
    let text = late.text(&Screen::new(ColorChoice::Never, false));
    assert!(text.starts_with("Run r of 5 rows stopped early, at its deadline (connection refused)."), "{text}");
    // Another reason speaks for itself.
    let interrupted = summary(&EndReason::Interrupted).ending();
    assert_eq!((interrupted.reason.as_deref(), interrupted.causes.len()), (Some("interrupted"), 0));
}

#[test]
fn a_change_that_is_not_allowed_on_a_machine_is_no_missing_role() {
    let hint = |code: &str| {
        let key = ErrorKey { status: Status::Failed, http_status: Some(403), code: code.into() };
        error_hint(&key).expect("a hint")
    };
    for code in ["DisallowedOperation", "disallowedoperation"] {
        assert!(hint(code).contains("asset rules") && !hint(code).contains("Machine.ReadWrite.All"), "{code}");
    }
    assert!(hint("Forbidden").contains("Machine.ReadWrite.All"));
}
