//! Pages, whole; and what of a page stays in the next.

use super::*;
use crate::quota::Quota;
use crate::report::VerificationTotals;

fn moment<'a>(job: &'a Job, earlier: &'a Earlier, standing: &'a StatusSnapshot, exit_status: Option<u8>) -> Moment<'a> {
    let started_at: Timestamp = "2026-11-26T03:00:00Z".parse().expect("a time");
    let elapsed = Duration::from_millis(90_250);
    let last_success = job.last_success(earlier, started_at + elapsed);
    Moment { job, earlier, last_success, started_at, now: started_at + elapsed, elapsed, exit_status, standing }
}

fn standing() -> StatusSnapshot {
    let quota: Quota = "100/1m,1500/1h".parse().expect("a quota");
    let tally = |kind: &str, http_status, calls| CallTally { kind: kind.to_owned(), http_status, calls };
    let uses = [Some(Bucket::Value), None].into_iter().flat_map(|bucket| {
        quota.limits().iter().map(move |limit| QuotaUse { bucket, limit: *limit, used: 7 }).collect::<Vec<_>>()
    });
    let spent = vec![
        (Spent::Calls, Duration::from_secs(9)),
        (Spent::Quota(None), Duration::from_millis(1500)),
        (Spent::Quota(Some(quota.limits()[0])), Duration::from_mins(1)),
        (Spent::Quota(Some(quota.limits()[1])), Duration::from_secs(3)),
    ];
    StatusSnapshot {
        progress: Progress { spent, ..Progress::default() },
        rows: Some([(Status::Succeeded, 30), (Status::Failed, 2)].into()),
        drift: None,
        calls: vec![
            tally("list", Some(200), 1),
            tally("tags", Some(200), 30),
            tally("tags", Some(429), 4),
            tally("tags", Some(404), 2),
            tally("tags", Some(301), 1),
            tally("tags", Some(503), 2),
            tally("value", None, 5),
        ],
        quota: uses.collect(),
    }
}

/// The samples of a page that are about this metric.
fn samples<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    page.lines().filter(|line| line.starts_with(&format!("tagfleet_{name}{{"))).collect()
}

#[test]
fn a_page_of_a_run_that_has_ended() {
    let page = moment(&Job::new("retag.csv"), &Earlier::default(), &standing(), Some(1)).page();
    let mut settings = insta::Settings::clone_current();
    // With all else that people see.
    settings.set_snapshot_path("../../../../tests/program/shown");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("metrics-file", page));
}

#[test]
fn until_a_run_ends_what_only_its_end_tells_stands_as_the_run_before_left_it() {
    let job = Job::new("retag.csv");
    let first = moment(&job, &Earlier::default(), &standing(), Some(0)).page();
    let earlier = Earlier::of(&first);
    let nothing = StatusSnapshot::default();
    let second = moment(&job, &earlier, &nothing, None).page();
    let kept =
        ["run_last_end_timestamp_seconds", "run_last_success_timestamp_seconds", "run_last_exit_status", "run_rows"];
    for name in kept {
        assert!(!samples(&first, name).is_empty());
        assert_eq!(samples(&second, name), samples(&first, name));
    }
    // It has calls of its own, and none yet.
    assert!(samples(&second, "run_calls").iter().all(|line| line.ends_with(" 0")), "{second}");
    assert!(samples(&second, "quota_used").is_empty());
    let third = moment(&job, &earlier, &nothing, Some(3)).page();
    assert_eq!(samples(&third, kept[1]), samples(&first, kept[1]), "a failure keeps it");
    assert_eq!(samples(&third, kept[2]), [r#"tagfleet_run_last_exit_status{job="retag.csv"} 3"#]);
    assert!(samples(&third, kept[3]).is_empty(), "no rows of an earlier run");
    let other = moment(&Job::new("other.csv"), &earlier, &nothing, None).page();
    assert!(kept.iter().all(|name| samples(&other, name).is_empty()), "{other}");
}

#[test]
fn a_verification_tells_what_it_has_found() {
    let drift = VerificationTotals {
        findings: [(Finding::Holds, 5), (Finding::Differs, 2)].into(),
        invalid: 1,
        undecided_machines: 3,
    };
    let standing = StatusSnapshot { drift: Some(drift), ..StatusSnapshot::default() };
    let page = moment(&Job::new("x"), &Earlier::default(), &standing, Some(10)).page();
    let expected = [
        ("holds", 5),
        ("differs", 2),
        ("pending", 0),
        ("not_shown", 0),
        ("unknown_machine", 0),
        ("invalid", 1),
        ("undecided", 3),
    ];
    let expected = expected.map(|(result, rows)| format!("tagfleet_drift{{job=\"x\",result=\"{result}\"}} {rows}"));
    assert_eq!(samples(&page, "drift"), expected);
    assert!(samples(&page, "run_rows").is_empty());
}

#[test]
fn whatever_a_job_is_called_it_is_one_label_and_found_again() {
    for (name, label) in [
        ("a\"b\\c", r#"a\"b\\c"#),
        ("a\nb\u{1b}[2J", r"a\\u{a}b\\u{1b}[2J"),
        ("x} 1\ny{", r"x} 1\\u{a}y{"),
        ("Tür 7", "Tür 7"),
    ] {
        let job = Job::new(name);
        let page = moment(&job, &Earlier::default(), &StatusSnapshot::default(), Some(0)).page();
        assert_eq!(samples(&page, "run_in_progress"), [format!("tagfleet_run_in_progress{{job=\"{label}\"}} 0")]);
        assert!(job.last_success(&Earlier::of(&page), Timestamp::MAX).is_some(), "{name}");
    }
}

#[test]
fn a_success_of_a_time_to_come_is_none() {
    let (job, now) = (Job::new("j"), "2026-11-26T03:00:00Z".parse().expect("a time"));
    let told = |time: &str| {
        let page = format!("tagfleet_run_last_success_timestamp_seconds{{job=\"j\"}} {time}\n");
        job.last_success(&Earlier::of(&page), now)
    };
    assert_eq!(told("1700000000"), Some(1.7e9));
    assert_eq!(["99999999999", "-5", "0", "NaN", "1e400", "x"].map(told), [None; 6]);
}
