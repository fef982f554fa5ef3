use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// When the first call may come; any time does.
const START: Duration = Duration::from_hours(5);

fn quota(calls: usize, window_seconds: u64) -> SandboxQuota {
    SandboxQuota { calls, window: Duration::from_secs(window_seconds) }
}

/// Lets calls arrive at these milliseconds and tells which of them were let in.
fn arrive(limiter: &mut Limiter, kind: CallKind, start: Duration, milliseconds: &[u64]) -> Vec<bool> {
    let mut admitted = Vec::new();
    for millisecond in milliseconds {
        let now = start + Duration::from_millis(*millisecond);
        let room = limiter.check(kind, now).is_ok();
        if room {
            limiter.record(kind, now);
        }
        admitted.push(room);
    }
    admitted
}

/// What is tried, the quotas, the milliseconds of the arrivals, and which of them are let in.
type Line<'line> = (&'line str, Vec<SandboxQuota>, &'line [u64], &'line [bool]);

#[test]
fn windows_slide_exactly() {
    let table: [Line<'_>; 6] = [
        ("no quota", vec![], &[0, 0, 0], &[true, true, true]),
        ("up to the limit", vec![quota(2, 10)], &[0, 1, 2], &[true, true, false]),
        (
            "the closed window still holds its first call",
            vec![quota(1, 10)],
            &[0, 10_000, 10_001],
            &[true, false, true],
        ),
        ("refused calls do not count", vec![quota(1, 10)], &[0, 5000, 9000, 10_001], &[true, false, false, true]),
        (
            "each window for itself",
            vec![quota(2, 1), quota(3, 100)],
            &[0, 1, 2, 1002, 2003, 100_001],
            &[true, true, false, true, false, true],
        ),
        (
            "no aligned window is trusted",
            vec![quota(2, 10)],
            &[9000, 9500, 10_500, 19_001, 19_002],
            &[true, true, false, true, false],
        ),
    ];
    for (name, quotas, arrivals, expected) in table {
        let mut limiter = Limiter::new(quotas, false, false);
        assert_eq!(arrive(&mut limiter, CallKind::Tags, START, arrivals), expected, "{name}");
    }
}

#[test]
fn a_refusal_names_the_quota_that_lasts_longest_and_its_wait_is_enough() {
    let mut limiter = Limiter::new(vec![quota(1, 10), quota(1, 60)], false, false);
    let start = START;
    limiter.record(CallKind::Tags, start);
    let refusal = limiter.check(CallKind::Tags, start + 4 * SECOND).expect_err("full");
    assert_eq!(refusal.quota, quota(1, 60));
    assert_eq!(refusal.wait.as_secs(), 56);
    assert_eq!(limiter.check(CallKind::Tags, start + 4 * SECOND + refusal.wait), Ok(()));
}

#[test]
fn buckets_are_apart_unless_there_is_one() {
    use CallKind::{Bulk, Get, List, Tags, Value};
    let start = START;
    let table = [
        (false, List, Get, true),
        (false, Tags, Bulk, true),
        (false, Tags, Value, false),
        (false, List, Tags, false),
        (false, Value, Get, false),
        (true, List, Value, true),
        (true, Tags, Get, true),
    ];
    for (one_bucket, first, second, shared) in table {
        let mut limiter = Limiter::new(vec![quota(1, 60)], one_bucket, false);
        limiter.record(first, start);
        assert_eq!(limiter.check(second, start + SECOND).is_err(), shared, "{first:?} and {second:?}");
    }
}

#[test]
fn bulk_calls_are_counted_apart_where_asked_for() {
    let mut limiter = Limiter::new(vec![quota(1, 60)], false, false).with_bulk_apart(true);
    limiter.record(CallKind::Tags, START);
    assert!(limiter.check(CallKind::Tags, START + SECOND).is_err());
    assert!(limiter.check(CallKind::Bulk, START + SECOND).is_ok());
    limiter.record(CallKind::Bulk, START + SECOND);
    assert!(limiter.check(CallKind::Bulk, START + SECOND).is_err());
    let mut limiter = Limiter::new(vec![quota(1, 60)], true, false).with_bulk_apart(true);
    limiter.record(CallKind::Tags, START);
    assert!(limiter.check(CallKind::Bulk, START + SECOND).is_err());
}

#[test]
fn an_early_call_starts_the_wait_again_only_where_asked_for() {
    for (prolong, expected) in [(false, [true, false, false, true]), (true, [true, false, false, false])] {
        let mut limiter = Limiter::new(vec![quota(1, 10)], false, prolong);
        // Refused at 1 s for 9 s; the call at 8 s is early, so with prolonging it has to stay away until 17 s.
        let start = START;
        assert_eq!(arrive(&mut limiter, CallKind::Value, start, &[0, 1000, 8000, 12_000]), expected);
    }
    let mut limiter = Limiter::new(vec![quota(1, 10)], false, true);
    let admitted = arrive(&mut limiter, CallKind::Value, START, &[0, 1000, 8000, 17_001]);
    assert_eq!(admitted, [true, false, false, true]);
}

#[test]
fn no_window_ever_holds_more_than_its_quota() {
    let mut random = fastrand::Rng::with_seed(7);
    let start = START;
    let quotas = vec![quota(5, 3), quota(12, 20)];
    let mut limiter = Limiter::new(quotas.clone(), false, false);
    let mut millisecond = 0;
    let mut admitted = Vec::new();
    for _ in 0..5000 {
        millisecond += random.u64(0..400);
        if arrive(&mut limiter, CallKind::Tags, start, &[millisecond]) == [true] {
            admitted.push(millisecond);
        }
    }
    for quota in quotas {
        let window = u64::try_from(quota.window.as_millis()).expect("small");
        for (index, first) in admitted.iter().enumerate() {
            let held = admitted.iter().skip(index).take_while(|arrival| **arrival - first <= window).count();
            assert!(held <= quota.calls, "{held} calls from {first}");
        }
    }
    assert!(admitted.len() > 500, "the limiter also lets calls in: {}", admitted.len());
}
