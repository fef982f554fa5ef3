//! The cache under virtual time, with a source that answers from a script. No sockets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{advance, sleep};

use super::*;

/// One sign-in: how long it takes, and what it brings.
struct Step {
    takes: Duration,
    brings: Result<(&'static str, Option<u64>), SignInError>,
}

fn brings(secret: &'static str, life_seconds: u64) -> Step {
    Step { takes: Duration::from_millis(100), brings: Ok((secret, Some(life_seconds))) }
}

fn fails() -> Step {
    Step {
        takes: Duration::from_millis(100),
        brings: Err(SignInError::Unreachable {
            method: SignInMethod::Secret,
            party: "authority".into(),
            trouble: Trouble::NoConnection,
            retry_after: None,
            source: None,
        }),
    }
}

#[derive(Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    calls: AtomicUsize,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Script")
    }
}

#[derive(Debug)]
struct Scripted(Arc<Script>);

#[async_trait]
impl TokenSource for Scripted {
    async fn acquire(&self) -> Result<AcquiredToken, SignInError> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let step = self.0.steps.lock().expect("no panic").pop_front();
        let step = step.expect("a sign-in that the script does not foresee");
        sleep(step.takes).await;
        step.brings.map(|(secret, life_seconds)| AcquiredToken {
            secret: secret.into(),
            life: life_seconds.map(Duration::from_secs),
        })
    }
}

/// A cache and its script, shared by tasks.
#[derive(Clone)]
struct Rig {
    cache: Arc<TokenCache>,
    script: Arc<Script>,
}

impl Rig {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let script = Arc::new(Script { steps: Mutex::new(steps.into_iter().collect()), calls: AtomicUsize::new(0) });
        let source = Scripted(Arc::clone(&script));
        Self { cache: Arc::new(TokenCache::new(SignInMethod::Secret, Box::new(source))), script }
    }

    fn sign_ins(&self) -> usize {
        self.script.calls.load(Ordering::SeqCst)
    }

    async fn token(&self) -> BearerToken {
        self.cache.token().await.expect("a token")
    }

    async fn shown(&self) -> String {
        shown(&self.token().await)
    }

    /// Asks from 50 tasks at once.
    async fn crowd<F>(&self, ask: fn(Self) -> F) -> Vec<Result<BearerToken, SignInError>>
    where
        F: Future<Output = Result<BearerToken, SignInError>> + Send + 'static,
    {
        let tasks: Vec<_> = (0..50).map(|_| tokio::spawn(ask(self.clone()))).collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.expect("no panic"));
        }
        answers
    }
}

fn shown(token: &BearerToken) -> String {
    token.header_value().to_str().expect("text").replace("Bearer ", "")
}

const HOUR_SECONDS: u64 = 3600;

async fn advance_seconds(seconds: u64) {
    advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_cause_one_sign_in() {
    let rig = Rig::new([brings("one", HOUR_SECONDS)]);
    let answers = rig.crowd(|rig| async move { rig.cache.token().await }).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(rig.sign_ins(), 1);
    assert_eq!(rig.token().await.generation(), 1);
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_share_one_failure_and_a_later_one_tries_again() {
    let rig = Rig::new([fails(), brings("two", HOUR_SECONDS)]);
    let answers = rig.crowd(|rig| async move { rig.cache.token().await }).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(rig.sign_ins(), 1);
    advance_seconds(1).await;
    assert_eq!(rig.shown().await, "two");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_ends() {
    // Life in seconds, and when the renewal is due: five minutes before the end, or at two thirds
    // of a short life.
    for (life, due) in [(3600, 3300), (900, 600), (60, 40)] {
        let rig = Rig::new([brings("one", life), brings("two", life)]);
        rig.token().await;
        advance_seconds(due - 1).await;
        assert_eq!(rig.shown().await, "one", "life {life}");
        assert_eq!(rig.sign_ins(), 1, "life {life}");
        advance_seconds(1).await;
        assert_eq!(rig.shown().await, "two", "life {life}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_renewal_but_the_one_who_does_it() {
    let rig = Rig::new([brings("one", HOUR_SECONDS), brings("two", HOUR_SECONDS)]);
    rig.token().await;
    advance_seconds(3300).await;
    let renewing = rig.clone();
    let renewing = tokio::spawn(async move { renewing.shown().await });
    tokio::task::yield_now().await;
    let before = Instant::now();
    assert_eq!(rig.shown().await, "one");
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(renewing.await.expect("no panic"), "two");
    assert_eq!(rig.shown().await, "two");
    assert_eq!(rig.sign_ins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_keeps_the_living_token_and_is_not_repeated_at_once() {
    let rig = Rig::new([brings("one", HOUR_SECONDS), fails(), fails(), brings("two", HOUR_SECONDS)]);
    rig.token().await;
    advance_seconds(3300).await;
    for _ in 0..10 {
        assert_eq!(rig.shown().await, "one");
    }
    assert_eq!(rig.sign_ins(), 2);
    advance_seconds(29).await;
    assert_eq!(rig.shown().await, "one");
    assert_eq!(rig.sign_ins(), 2);
    advance_seconds(1).await;
    assert_eq!(rig.shown().await, "one");
    assert_eq!(rig.sign_ins(), 3);
    advance_seconds(31).await;
    assert_eq!(rig.shown().await, "two");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_ended_is_never_handed_out() {
    let rig = Rig::new([brings("one", HOUR_SECONDS), fails(), fails(), brings("two", HOUR_SECONDS)]);
    rig.token().await;
    advance_seconds(3599).await;
    assert_eq!(rig.shown().await, "one");
    advance_seconds(2).await;
    assert!(rig.cache.token().await.is_err());
    advance_seconds(1).await;
    assert_eq!(rig.shown().await, "two");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_in_the_last_second_does_not_prolong_the_life() {
    let rig = Rig::new([brings("one", 10), fails(), fails()]);
    rig.token().await;
    advance(Duration::from_millis(9_700)).await;
    assert_eq!(rig.shown().await, "one");
    advance(Duration::from_millis(200)).await;
    assert!(rig.cache.token().await.is_err());
}

#[test]
fn the_spacing_of_failed_renewals_follows_what_is_left() {
    for (left_seconds, expected_seconds) in [(0, 1), (40, 10), (300, 30)] {
        let spacing = spacing(Duration::from_secs(left_seconds));
        assert_eq!(spacing, Duration::from_secs(expected_seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_another_caller_renewed_meanwhile_is_not_renewed_again() {
    let rig = Rig::new([brings("one", HOUR_SECONDS)]);
    rig.token().await;
    let renewed = rig.cache.renew_ageing().await.expect("the fresh token");
    assert_eq!((shown(&renewed).as_str(), rig.sign_ins()), ("one", 1));
}

#[tokio::test(start_paused = true)]
async fn the_life_counts_from_before_the_request() {
    let slow = |secret| Step { takes: Duration::from_secs(20), brings: Ok((secret, Some(60))) };
    let rig = Rig::new([slow("one"), slow("two"), fails()]);
    rig.token().await;
    advance_seconds(20).await;
    assert_eq!(rig.shown().await, "two");
    advance_seconds(41).await;
    assert!(rig.cache.token().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_life_that_is_unknown_or_too_long_is_taken_for_a_day() {
    for life_seconds in [None, Some(30 * 24 * HOUR_SECONDS)] {
        let endless = Step { takes: Duration::ZERO, brings: Ok(("one", life_seconds)) };
        let rig = Rig::new([endless, brings("two", HOUR_SECONDS)]);
        rig.token().await;
        advance_seconds(24 * HOUR_SECONDS - 301).await;
        assert_eq!(rig.shown().await, "one");
        advance_seconds(1).await;
        assert_eq!(rig.shown().await, "two");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_refused_with_the_same_token_share_one_renewal() {
    let rig = Rig::new([brings("one", HOUR_SECONDS), brings("two", HOUR_SECONDS)]);
    let refused = rig.token().await;
    let answers = rig
        .crowd(|rig| async move {
            let refused = BearerToken::new(&"one".into(), 1).expect("a token");
            rig.cache.renew(&refused).await
        })
        .await;
    for answer in answers {
        assert_eq!(shown(&answer.expect("a token")), "two");
    }
    assert_eq!(rig.sign_ins(), 2);
    // A straggler, whose answer comes after the renewal is over.
    let late = rig.cache.renew(&refused).await.expect("a token");
    assert_eq!(late.generation(), 2);
    assert_eq!(rig.sign_ins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_not_handed_out_again() {
    let rig =
        Rig::new([brings("one", HOUR_SECONDS), fails(), brings("one", HOUR_SECONDS), brings("two", HOUR_SECONDS)]);
    let refused = rig.token().await;
    assert!(rig.cache.renew(&refused).await.is_err());
    advance_seconds(1).await;
    let same = rig.cache.token().await.expect_err("the same token once more");
    assert!(matches!(same, SignInError::SameToken { .. }), "{same}");
    advance_seconds(1).await;
    assert_eq!(rig.shown().await, "two");
}

#[tokio::test(start_paused = true)]
async fn a_straggler_does_not_bring_a_refused_token_back() {
    let rig =
        Rig::new([brings("one", HOUR_SECONDS), brings("two", HOUR_SECONDS), fails(), brings("two", HOUR_SECONDS)]);
    let one = rig.token().await;
    let two = rig.cache.renew(&one).await.expect("a token");
    assert!(rig.cache.renew(&two).await.is_err());
    advance_seconds(1).await;
    let same = rig.cache.renew(&one).await.expect_err("refused before");
    assert!(matches!(same, SignInError::SameToken { .. }), "{same}");
}

#[tokio::test(start_paused = true)]
async fn the_same_token_again_keeps_its_number_and_gets_its_new_end() {
    let rig = Rig::new([brings("one", HOUR_SECONDS), brings("one", 300), brings("two", HOUR_SECONDS)]);
    rig.token().await;
    advance_seconds(3300).await;
    assert_eq!(rig.token().await.generation(), 1);
    assert_eq!(rig.sign_ins(), 2);
    advance_seconds(199).await;
    assert_eq!(rig.token().await.generation(), 1);
    assert_eq!(rig.sign_ins(), 2);
    advance_seconds(1).await;
    assert_eq!(rig.token().await.generation(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_dropped_while_signing_in_leaves_the_turn_to_the_next() {
    let rig = Rig::new([brings("lost~token", HOUR_SECONDS), brings("two", HOUR_SECONDS)]);
    let dropped = tokio::time::timeout(Duration::from_millis(50), rig.cache.token()).await;
    assert!(dropped.is_err());
    assert_eq!(rig.shown().await, "two");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_brings_no_possible_token_is_an_error() {
    let rig = Rig::new([brings("n0t a token", HOUR_SECONDS)]);
    let error = rig.cache.token().await.expect_err("no header can hold it");
    assert!(error.is_transient(), "{error}");
    assert!(!format!("{error:?}").contains("not a token\""), "{error:?}");
}

#[test]
fn the_life_is_what_is_left_or_uncertain() {
    let now = UNIX_EPOCH + Duration::from_secs(1_000);
    let cases = [
        (1_010_500_000_000, Duration::from_millis(10_500)),
        (1_000_000_000_000, UNCERTAIN_LIFE),
        (0, UNCERTAIN_LIFE),
        (i128::MIN, UNCERTAIN_LIFE),
        (i128::MAX, LONGEST_LIFE),
    ];
    for (end, expected) in cases {
        let token = AcquiredToken::ending_at("x".into(), end, now);
        assert_eq!(token.life, Some(expected), "{end}");
    }
}
