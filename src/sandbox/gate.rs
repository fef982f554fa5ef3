//! What every call passes before the API looks at it: quota, sign-in, permission, and its fate.
//!
//! The order matters. A quota refusal comes before anything else and is counted nowhere; neither is a 401. Whatever
//! passes both counts against the quota from the moment of its arrival, whatever becomes of it afterwards.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::answers::ApiError;
use super::calls::{Arrival, CallKind, SandboxCounters};
use super::faults::{Fault, FaultScope, Faults};
use super::limiter::Limiter;
use super::made_up::Guid;
use super::people::People;
use super::settings::{READ_ROLE, READ_WRITE_ROLE, RetryAfter, SandboxQuota, SandboxSettings};
use super::sign_in::{Applicant, Tokens};

/// What a 429 names that no quota is behind.
const DOCUMENTED_QUOTA: SandboxQuota = SandboxQuota { calls: 100, window: Duration::from_mins(1) };

/// The wait that such a 429 asks for.
const FAULT_WAIT: Duration = Duration::from_secs(1);

/// Everything about calls that is shared; one lock covers it.
#[derive(Debug)]
pub(super) struct Gate {
    limiter: Limiter,
    tokens: Tokens,
    /// People who sign in.
    pub(super) people: People,
    random: fastrand::Rng,
    faults: Faults,
    fault_scope: FaultScope,
    faults_left: Option<u64>,
    latency: RangeInclusive<Duration>,
    retry_after: RetryAfter,
    fault_quota: SandboxQuota,
    may_read: bool,
    may_write: bool,
    counters: SandboxCounters,
}

impl Gate {
    pub(super) fn new(settings: &SandboxSettings) -> Self {
        let has = |role: &str| settings.roles.iter().any(|held| held == role);
        Self {
            limiter: Limiter::new(settings.quotas.clone(), settings.one_bucket, settings.early_calls_prolong)
                .with_bulk_apart(settings.bulk_apart),
            tokens: Tokens::new(settings.token_lifetime, settings.roles.clone()),
            people: People::default(),
            random: fastrand::Rng::with_seed(settings.seed),
            faults: settings.faults,
            fault_scope: settings.fault_scope,
            faults_left: settings.fault_limit,
            latency: settings.latency.clone(),
            retry_after: settings.retry_after,
            fault_quota: settings.quotas.first().copied().unwrap_or(DOCUMENTED_QUOTA),
            may_read: has(READ_ROLE) || has(READ_WRITE_ROLE),
            may_write: has(READ_WRITE_ROLE),
            counters: SandboxCounters::default(),
        }
    }

    /// Lets a call in or refuses it, and draws what happens to it.
    ///
    /// # Errors
    /// [`ApiError`] is the refusal.
    pub(super) fn admit(&mut self, kind: CallKind, bearer: Option<&str>, now: Arrival) -> Result<Passage, ApiError> {
        if let Err(refusal) = self.limiter.check(kind, now.uptime) {
            self.counters.refused_by_quota += 1;
            return Err(self.quota_refusal(refusal.quota, refusal.wait, now));
        }
        if let Some(problem) = self.problem_with(bearer, now) {
            self.counters.unauthorized += 1;
            return Err(ApiError::unauthorized(problem));
        }
        let fault = self.draw_fault(kind);
        match fault {
            Some(Fault::Throttled) => return Err(self.false_quota_refusal(now)),
            Some(Fault::Unauthorized) => return Err(Self::false_unauthorized()),
            _ => {}
        }
        self.limiter.record(kind, now.uptime);
        self.counters.count(kind);
        if !(self.may_write || self.may_read && !kind.writes()) {
            self.counters.forbidden += 1;
            return Err(ApiError::missing_permission(READ_WRITE_ROLE));
        }
        Ok(Passage { latency: self.draw_latency(), fault })
    }

    fn problem_with(&self, bearer: Option<&str>, now: Arrival) -> Option<&'static str> {
        match bearer {
            None => Some("The request has no bearer token"),
            Some(token) if self.tokens.is_good(token, now.uptime) => None,
            Some(_) => Some("The token is unknown or has expired"),
        }
    }

    fn quota_refusal(&self, quota: SandboxQuota, wait: Duration, now: Arrival) -> ApiError {
        ApiError::quota(quota, wait, self.retry_after, now.wall.into())
    }

    /// A 429 that no quota is behind.
    pub(super) fn false_quota_refusal(&self, now: Arrival) -> ApiError {
        self.quota_refusal(self.fault_quota, FAULT_WAIT, now)
    }

    /// A 401 for a token that is in order.
    pub(super) fn false_unauthorized() -> ApiError {
        ApiError::unauthorized("The token could not be validated")
    }

    fn draw_fault(&mut self, kind: CallKind) -> Option<Fault> {
        if self.faults_left == Some(0) || !self.fault_scope.covers(kind) {
            return None;
        }
        let fault = self.faults.meet(kind, self.random.f64())?;
        self.counters.faults += 1;
        self.faults_left = self.faults_left.map(|left| left.saturating_sub(1));
        Some(fault)
    }

    fn draw_latency(&mut self) -> Duration {
        let (least, most) = (*self.latency.start(), *self.latency.end());
        if most.is_zero() { most } else { least + most.saturating_sub(least).mul_f64(self.random.f64()) }
    }

    /// A correlation id that was not there before.
    pub(super) fn fresh_id(&mut self) -> Guid {
        Guid::from_random(self.random.u128(..))
    }

    /// Issues a token; returns it with its lifetime in whole seconds.
    pub(super) fn issue_token(&mut self, applicant: Applicant<'_>, now: Arrival) -> (String, u64) {
        self.counters.tokens += 1;
        let token = self.tokens.issue(applicant, now, &mut self.random);
        (token, self.tokens.expires_in())
    }

    pub(super) fn revoke_tokens(&mut self) {
        self.tokens.revoke_all();
    }

    /// Other faults from now on, so many of them at most.
    pub(super) const fn set_faults(&mut self, faults: Faults, limit: Option<u64>) {
        self.faults = faults;
        self.faults_left = limit;
    }

    /// Counts a bulk call that was refused because bulk calls are forbidden.
    pub(super) const fn count_forbidden(&mut self) {
        self.counters.forbidden += 1;
    }

    pub(super) const fn counters(&self) -> SandboxCounters {
        self.counters
    }
}

/// What the gate lets through: a call with its fate already drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Passage {
    /// How long the answer takes.
    pub(super) latency: Duration,
    /// What goes wrong with it.
    pub(super) fault: Option<Fault>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(settings: &SandboxSettings) -> (Gate, String, Arrival) {
        let mut gate = Gate::new(settings);
        let now = Arrival { uptime: Duration::ZERO, wall: jiff::Timestamp::UNIX_EPOCH };
        let (token, _) =
            gate.issue_token(Applicant { tenant: "t", client_id: "c", audience: "a", is_person: false }, now);
        (gate, token, now)
    }

    fn one_call_an_hour() -> SandboxSettings {
        let quotas = vec![SandboxQuota { calls: 1, window: Duration::from_hours(1) }];
        SandboxSettings { quotas, ..SandboxSettings::default() }
    }

    #[test]
    fn the_quota_comes_first_and_neither_a_401_nor_a_429_counts() {
        let (mut gate, token, now) = gate(&one_call_an_hour());
        let mut status = |bearer| match gate.admit(CallKind::Tags, bearer, now) {
            Ok(_) => 200,
            Err(error) => error.status,
        };
        let calls = [None, Some("wrong"), Some(token.as_str()), Some(token.as_str()), None];
        assert_eq!(calls.map(&mut status), [401, 401, 200, 429, 429]);
        let expected =
            SandboxCounters { tags: 1, tokens: 1, refused_by_quota: 2, unauthorized: 2, ..SandboxCounters::default() };
        assert_eq!(gate.counters(), expected);
    }

    #[test]
    fn a_false_429_or_401_does_not_count_and_faults_end_with_their_limit() {
        for (fault, expected) in [(Fault::Throttled, 429), (Fault::Unauthorized, 401)] {
            let settings =
                SandboxSettings { faults: Faults::always(fault), fault_limit: Some(2), ..one_call_an_hour() };
            let (mut gate, token, now) = gate(&settings);
            let statuses = [(); 4].map(|()| match gate.admit(CallKind::Value, Some(&token), now) {
                Ok(_) => 200,
                Err(error) => error.status,
            });
            assert_eq!(statuses, [expected, expected, 200, 429], "{fault:?}");
            assert_eq!((gate.counters().faults, gate.counters().value), (2, 1));
        }
    }

    #[test]
    fn permissions_are_needed() {
        let table = [
            (&[READ_WRITE_ROLE][..], true, true),
            (&[READ_ROLE], true, false),
            (&["Alert.Read.All"], false, false),
            (&[], false, false),
        ];
        for (roles, reads, writes) in table {
            let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
            let settings = SandboxSettings { roles: roles.clone(), ..SandboxSettings::default() };
            let (mut gate, token, now) = gate(&settings);
            for (kind, expected) in [(CallKind::List, reads), (CallKind::Get, reads), (CallKind::Bulk, writes)] {
                let outcome = gate.admit(kind, Some(&token), now);
                assert_eq!(outcome.is_ok(), expected, "{roles:?} {kind:?}");
            }
        }
    }

    #[test]
    fn latency_lies_in_its_range_and_all_of_it_comes_from_the_seed() {
        let [least, most] = [20, 80].map(Duration::from_millis);
        let settings = SandboxSettings {
            quotas: Vec::new(),
            latency: least..=most,
            faults: Faults::of(&[(Fault::Reset, 0.5)]),
            ..SandboxSettings::default()
        };
        let draws = || {
            let (mut gate, token, now) = gate(&settings);
            (0..200).map(|_| gate.admit(CallKind::Get, Some(&token), now).expect("in")).collect::<Vec<_>>()
        };
        let first = draws();
        assert!(first.iter().all(|passage| (least..=most).contains(&passage.latency)));
        assert!(first.iter().any(|passage| passage.latency < Duration::from_millis(35)));
        assert!(first.iter().any(|passage| passage.latency > Duration::from_millis(65)));
        assert!((60..140).contains(&first.iter().filter(|passage| passage.fault.is_some()).count()));
        assert_eq!(first, draws());
    }
}
