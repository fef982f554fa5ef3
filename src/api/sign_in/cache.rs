//! One token for all calls: kept, renewed before it ends, and asked for once however many wait.
//!
//! Where tokens come from is behind [`TokenSource`]; here is only when to ask. Four rules:
//! - While a token is fresh it is handed out without waiting.
//! - When it ages, the first caller that notices renews it; the others go on with the old one.
//! - A renewal that fails leaves the old token in use while it lives, and is not repeated at once.
//! - When there is no token, one caller signs in and the others wait; if that fails, its error
//!   answers them all.
//!
//! Ages are measured by the runtime's monotonic clock, counted from before the request was sent, so
//! a token is never thought to live longer than it does. That clock may stand still while the
//! computer sleeps; the token is then dead on waking, the API answers 401, and
//! [`TokenCache::renew`] does the rest.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::time::Instant;

use super::error::SignInError;
use super::method::SignInMethod;
use super::token::BearerToken;
use super::trouble::Trouble;
use crate::outside::secrets;

/// Entra's tokens live for about an hour, at the most a little over a day (with continuous access
/// evaluation). A longer life is not believed, and an unknown one is taken for this: the API's 401
/// ends it earlier.
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// Renewal begins this long before the end, or at two thirds of a shorter life.
const RENEWAL_MARGIN: Duration = Duration::from_mins(5);
/// A failed renewal is repeated this much later, or sooner when the token's end is near.
const RENEWAL_SPACING: Duration = Duration::from_secs(30);
/// A failed renewal is not repeated sooner, whatever is left of the token's life.
const SHORTEST_SPACING: Duration = Duration::from_secs(1);
/// How long a token is used that seems to be over when it comes.
const UNCERTAIN_LIFE: Duration = Duration::from_mins(5);
/// For this long a failed attempt answers whoever asks: those who waited for it, and stragglers.
const FAILURE_IS_SHARED_FOR: Duration = Duration::from_secs(1);

/// Where tokens come from.
#[async_trait]
pub(super) trait TokenSource: Send + Sync + std::fmt::Debug {
    /// Signs in anew. Never called twice at the same time.
    async fn acquire(&self) -> Result<AcquiredToken, SignInError>;
}

/// What a source brings.
#[derive(Debug)]
pub(super) struct AcquiredToken {
    /// The token itself.
    pub(super) secret: SecretString,
    /// How long it still lives; `None` if nobody knows.
    pub(super) life: Option<Duration>,
}

impl AcquiredToken {
    /// A token that ends at a known time. A new token that is over already means that some clock is
    /// wrong, most likely this computer's: the service decides then, and it is not asked for
    /// another one at every call.
    pub(super) fn ending_at(secret: SecretString, end_unix_nanoseconds: i128, now: SystemTime) -> Self {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let left = end_unix_nanoseconds.saturating_sub(i128::try_from(now).unwrap_or(i128::MAX));
        let life = if left > 0 {
            u64::try_from(left).map_or(LONGEST_LIFE, Duration::from_nanos)
        } else {
            tracing::warn!("the new token is over already by this computer's clock, which may be wrong");
            UNCERTAIN_LIFE
        };
        Self { secret, life: Some(life) }
    }
}

/// The token in use, and the rules for renewing it.
#[derive(Debug)]
pub(super) struct TokenCache {
    method: SignInMethod,
    source: Box<dyn TokenSource>,
    state: Mutex<State>,
    /// Held by the one caller that is signing in. Never taken while `state` is locked.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// What the API last answered 401 to: it must not come back as a new token.
    refused: Option<BearerToken>,
    failure: Option<Failure>,
    generations: u64,
}

#[derive(Debug, Clone)]
struct Held {
    token: BearerToken,
    renew_at: Instant,
    ends_at: Instant,
}

#[derive(Debug)]
struct Failure {
    at: Instant,
    error: SignInError,
}

/// How a held token stands at some moment.
enum Standing {
    Fresh(BearerToken),
    Ageing(BearerToken),
    Missing,
}

impl TokenCache {
    pub(super) fn new(method: SignInMethod, source: Box<dyn TokenSource>) -> Self {
        Self { method, source, state: Mutex::new(State::default()), turn: tokio::sync::Mutex::new(()) }
    }

    /// A living token.
    pub(super) async fn token(&self) -> Result<BearerToken, SignInError> {
        match self.standing() {
            Standing::Fresh(token) => Ok(token),
            Standing::Ageing(old) => match self.turn.try_lock() {
                Ok(_turn) => Ok(self.renew_ageing().await.unwrap_or(old)),
                Err(_another_caller_renews) => Ok(old),
            },
            Standing::Missing => {
                let _turn = self.turn.lock().await;
                match self.standing() {
                    Standing::Fresh(token) | Standing::Ageing(token) => Ok(token),
                    Standing::Missing => self.sign_in().await,
                }
            }
        }
    }

    /// Another token than `refused`, which the API answered 401 to. However many calls were refused
    /// with it, one sign-in serves them all.
    pub(super) async fn renew(&self, refused: &BearerToken) -> Result<BearerToken, SignInError> {
        if let Some(newer) = self.living_other_than(refused) {
            return Ok(newer);
        }
        let _turn = self.turn.lock().await;
        if let Some(newer) = self.living_other_than(refused) {
            return Ok(newer);
        }
        {
            let mut state = self.state();
            state.held = None;
            // A straggler may come with an older one than is known already.
            let known = state.refused.as_ref().map_or(0, BearerToken::generation);
            if refused.generation() >= known {
                state.refused = Some(refused.clone());
            }
        }
        self.sign_in().await
    }

    /// Renews the held token if it still needs it. `None` if that failed: the old one is still
    /// good.
    async fn renew_ageing(&self) -> Option<BearerToken> {
        if let Standing::Fresh(token) = self.standing() {
            return Some(token);
        }
        match self.sign_in().await {
            Ok(token) => Some(token),
            Err(error) => {
                self.put_off_renewal();
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the token could not be renewed; the old one is used until it ends"
                );
                None
            }
        }
    }

    /// Signs in, or repeats the answer of an attempt that failed just now. Only for the caller
    /// whose turn it is.
    async fn sign_in(&self) -> Result<BearerToken, SignInError> {
        if let Some(failure) = &self.state().failure
            && failure.at.elapsed() < FAILURE_IS_SHARED_FOR
        {
            return Err(failure.error.clone());
        }
        let started = Instant::now();
        let outcome = match self.source.acquire().await {
            Ok(acquired) => self.hold(&acquired, started),
            Err(error) => Err(error),
        };
        self.state().failure = outcome.as_ref().err().map(|error| Failure { at: Instant::now(), error: error.clone() });
        outcome
    }

    fn hold(&self, acquired: &AcquiredToken, started: Instant) -> Result<BearerToken, SignInError> {
        // No text that comes back shows it.
        secrets::learn(&acquired.secret);
        let mut state = self.state();
        let generation = state.generations + 1;
        let Some(mut token) = BearerToken::new(&acquired.secret, generation) else {
            return Err(SignInError::Unreachable {
                method: self.method,
                party: "the token's source".to_owned(),
                trouble: Trouble::Unreadable,
                retry_after: None,
                source: None,
            });
        };
        if state.refused.as_ref().is_some_and(|refused| refused.is_same(&token)) {
            return Err(SignInError::SameToken { method: self.method });
        }
        let before = state.held.take().filter(|held| held.token.is_same(&token));
        let life = acquired.life.unwrap_or(LONGEST_LIFE).min(LONGEST_LIFE);
        let margin = RENEWAL_MARGIN.min(life / 3);
        let renew_at = started + life.saturating_sub(margin);
        if let Some(before) = before {
            // The same again, from a source that keeps tokens itself: it is still the token of that
            // number.
            token = before.token;
        } else {
            state.generations = generation;
        }
        tracing::debug!(generation = token.generation(), life_seconds = life.as_secs(), "signed in {}", self.method);
        state.held = Some(Held { token: token.clone(), renew_at, ends_at: started + life });
        Ok(token)
    }

    fn put_off_renewal(&self) {
        let now = Instant::now();
        if let Some(held) = &mut self.state().held {
            held.renew_at = now + spacing(held.ends_at.saturating_duration_since(now));
        }
    }

    fn standing(&self) -> Standing {
        let now = Instant::now();
        match &self.state().held {
            Some(held) if now < held.renew_at && now < held.ends_at => Standing::Fresh(held.token.clone()),
            Some(held) if now < held.ends_at => Standing::Ageing(held.token.clone()),
            _ => Standing::Missing,
        }
    }

    fn living_other_than(&self, refused: &BearerToken) -> Option<BearerToken> {
        let state = self.state();
        let held = state.held.as_ref()?;
        (Instant::now() < held.ends_at && !held.token.is_same(refused)).then(|| held.token.clone())
    }

    /// Nothing that can panic runs while this lock is held, so a poisoned state is a whole one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait after a failed renewal of a token that lives for `left` more.
fn spacing(left: Duration) -> Duration {
    (left / 4).clamp(SHORTEST_SPACING, RENEWAL_SPACING)
}

#[cfg(test)]
mod tests;
