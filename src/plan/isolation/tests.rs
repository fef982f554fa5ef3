//! The search against a service in memory: everybody good is done, everybody bad is found, within the calls promised.

use proptest::prelude::*;

use super::*;

/// How many calls a search took, who was found bad, and who is done.
struct Search {
    calls: usize,
    bad: Vec<usize>,
    done: Vec<usize>,
}

/// Searches `members` ids of which those in `bad` are bad; single calls to these take `alone` answers each.
fn search(members: usize, bad: &[usize], alone: usize) -> Search {
    let mut isolation = Isolation::new((0..members).collect());
    let mut result = Search { calls: 1, bad: Vec::new(), done: Vec::new() };
    while let Some(trial) = isolation.next(500) {
        let end = match trial {
            Trial::Alone(member) if bad.contains(&member) => {
                result.calls += alone;
                result.bad.push(member);
                TrialEnd::Bad
            }
            Trial::Alone(member) => {
                result.calls += 1;
                result.done.push(member);
                TrialEnd::Accepted
            }
            Trial::Together(group) => {
                result.calls += 1;
                if group.iter().any(|member| bad.contains(member)) {
                    TrialEnd::Refused(group)
                } else {
                    result.done.extend(group);
                    TrialEnd::Accepted
                }
            }
        };
        isolation.take(end);
        assert!(result.calls < 10 * members + 100, "the search does not end");
    }
    assert!(isolation.is_done(), "nothing is under way any more");
    result
}

/// So many different ids of 500, by a seed.
fn chosen(members: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all: Vec<usize> = (0..members).collect();
    random.shuffle(&mut all);
    all.truncate(count);
    all
}

/// d·(⌈log2(500/d)⌉ + 6), the promise for d unnamed bad ids in a call of 500.
fn promised(bad: usize) -> usize {
    let quotient = 500.0 / f64::from(u32::try_from(bad).expect("a small number"));
    let mut halvings = 0;
    while f64::from(1 << halvings) < quotient {
        halvings += 1;
    }
    bad * (halvings + 6)
}

#[test]
fn one_bad_id_is_found_by_halving() {
    let mut isolation = Isolation::new(vec![1, 2, 3, 4]);
    assert_eq!(isolation.next(500), Some(Trial::Together(vec![3, 4])));
    isolation.take(TrialEnd::Accepted);
    assert_eq!(isolation.next(500), Some(Trial::Alone(2)));
    isolation.take(TrialEnd::Bad);
    assert_eq!(isolation.next(500), Some(Trial::Alone(1)));
    isolation.take(TrialEnd::Accepted);
    assert_eq!(isolation.next(500), None);
    assert!(isolation.is_done());
}

#[test]
fn the_others_of_a_call_that_named_some_travel_together() {
    let mut isolation = Isolation::of_rest(vec![1, 2, 3]);
    assert_eq!(isolation.next(500), Some(Trial::Together(vec![1, 2, 3])));
    isolation.take(TrialEnd::Named(vec![1, 3]));
    assert_eq!(isolation.next(500), Some(Trial::Together(vec![1, 3])));
    isolation.take(TrialEnd::Accepted);
    assert_eq!(isolation.next(500), None);
    assert!(isolation.is_done());
}

#[test]
fn where_bulk_calls_are_refused_for_no_id_the_rest_goes_one_by_one() {
    // A service that refuses whatever holds more than one id.
    let mut isolation = Isolation::new((0..500).collect::<Vec<_>>());
    let (mut together, mut alone) = (0, 0);
    while let Some(trial) = isolation.next(500) {
        isolation.take(match trial {
            Trial::Together(group) => {
                together += 1;
                TrialEnd::Refused(group)
            }
            Trial::Alone(_) => {
                alone += 1;
                TrialEnd::Accepted
            }
        });
    }
    assert!(isolation.goes_one_by_one());
    assert_eq!(alone, 500);
    assert!(together <= 20, "{together}");
}

#[test]
fn calls_stay_within_the_promise_for_every_number_of_bad_ids() {
    for bad in [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200, 400, 500] {
        let (mut most, mut sum) = (0, 0);
        for seed in 0..200 {
            let calls = search(500, &chosen(500, bad, seed), 2).calls;
            most = most.max(calls);
            sum += calls;
        }
        let singles = 500 + 2 * bad;
        assert!(sum / 200 <= promised(bad).min(singles), "{bad} bad ids: {} calls on average", sum / 200);
        // The search is a matter of chance; one in some hundred takes a few calls more.
        assert!(most <= (promised(bad) + 5).min(singles + 30), "{bad} bad ids: {most} calls");
    }
}

proptest! {
    #[test]
    fn everybody_good_is_done_once_and_everybody_bad_is_found_once(
        members in 1_usize..600,
        share in 0.0_f64..0.9,
        seed: u64,
    ) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
        let count = (members as f64 * share * share) as usize;
        let bad = chosen(members, count, seed);
        let result = search(members, &bad, 1);
        let mut everybody = [result.bad.clone(), result.done].concat();
        everybody.sort_unstable();
        prop_assert_eq!(everybody, (0..members).collect::<Vec<_>>());
        let (mut found, mut expected) = (result.bad, bad);
        found.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
        prop_assert!(result.calls <= members + 60);
    }
}

#[test]
fn single_calls_that_nothing_depends_on_go_at_once() {
    let mut isolation = Isolation::new((0..100).collect::<Vec<_>>());
    // Bulk calls have been forbidden meanwhile.
    let mut under_way = Vec::new();
    while let Some(Trial::Alone(member)) = isolation.next(1) {
        under_way.push(member);
    }
    assert_eq!(under_way.len(), SINGLES_AT_ONCE);
    isolation.take(TrialEnd::Accepted);
    assert!(matches!(isolation.next(1), Some(Trial::Alone(_))));
    assert_eq!(isolation.next(1), None);
    assert!(!isolation.is_done());
}
