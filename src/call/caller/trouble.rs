//! What a call learns of the service's health, and what it does about a service, or a sign-in, that is in trouble.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Caller, MAXIMUM_TOKEN_REFUSALS, PUT_OFF_AFTER};
use crate::api::sign_in::SignInError;
use crate::api::{Answer, ApiRequest, TokenGeneration, Transport};
use crate::call::effect::Next;
use crate::call::gate::Turn;
use crate::call::judge::{FailReason, History, RetryReason, Verdict};
use crate::call::memory::{BeforeNext, Memory};
use crate::call::outage::{Attempted, CallSubject, HealthSignal, Pause, sign};
use crate::call::{
    AbortCause, BulkRefusal, Call, CallEnd, CallId, CallOperation, CallReport, EarlierTrouble, OperationEnd, Phase,
    Questions, Repeat, RepeatCause, Reports, ServiceTrouble, SignInTrouble, StopReason, WaitCause, backoff,
};
use crate::model::{AnswerFacts, Outcome};

/// How many failed attempts of a bulk call may be chance while the service is well otherwise.
const TROUBLE_BELIEVED_AFTER: u32 = 3;
/// The same where a call with the same machines failed before.
const TROUBLE_OF_SUSPECTS_BELIEVED_AFTER: u32 = 2;
/// How often in a row signing in may find nobody.
const MAXIMUM_SIGN_IN_FAILURES: u32 = 8;
/// A sign-in that takes longer is worth a word.
const SLOW_SIGN_IN: Duration = Duration::from_secs(5);
/// How many connections may fail in a row before the first answer ever, and for how long at the least: then the host is
/// most likely wrong, and no outage.
const MAXIMUM_FIRST_CONNECTION_FAILURES: u32 = 12;
/// See [`MAXIMUM_FIRST_CONNECTION_FAILURES`].
const FIRST_CONNECTION_PATIENCE: Duration = Duration::from_secs(6);

impl<T: Transport> Caller<T> {
    /// Takes an answer, or its loss, into account for whatever is called next.
    pub(super) fn note_answer(
        &self,
        call: &Call,
        answer: &Answer,
        verdict: &Verdict,
        turn: &Turn,
        memory: &mut Memory,
    ) {
        match answer {
            Answer::Lost(loss) if loss.kind.never_left() => {
                self.connection_failures.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                self.connection_failures.store(0, Ordering::Relaxed);
                self.was_reached.store(true, Ordering::Relaxed);
            }
        }
        // Nobody knows whether the service looks for a machine, or at a request, before it looks at who is asking. Who may read
        // may not yet write.
        let accepted = matches!(
            verdict,
            Verdict::Done { .. }
                | Verdict::Accepted { .. }
                | Verdict::Answered { .. }
                | Verdict::Fail { why: FailReason::NotApplied, .. }
        );
        if accepted && !call.request.is_read() {
            self.service_accepted.store(true, Ordering::Release);
        }
        self.note_health(sign(answer, verdict), call, turn.is_probe(), memory);
    }

    fn note_health(&self, sign: HealthSignal, call: &Call, is_probe: bool, memory: &mut Memory) {
        let attempted = Attempted {
            bucket: call.request.bucket(),
            concern: call.concern(),
            // The list is no machine's, so its trouble is never its own.
            in_trouble_since: memory.in_trouble_since.filter(|_| !call.is_list()),
            is_probe,
        };
        memory.pause = self.gate.note_health(sign, attempted, self.fraction());
        memory.is_alone = false;
        if matches!(sign, HealthSignal::Trouble(_)) {
            let nobody_answered = |since| !self.gate.was_answered_since(attempted.bucket, since);
            memory.is_alone = !call.is_list() && memory.latest_trouble.is_some_and(nobody_answered);
            let now = self.clock.boot_time();
            memory.latest_trouble = Some(now);
            memory.in_trouble_since.get_or_insert(now);
        }
    }

    /// Notes an attempt of a bulk call that failed for a reason which may lie in one of its machines. After a few of them
    /// the call is over if others are answered meanwhile; where there are no others, the service is asked first.
    pub(super) fn look_for_culprit(&self, why: RetryReason, call: &Call, memory: &mut Memory) -> Option<CallEnd> {
        if !call.is_bulk() || !why.may_lie_in_a_machine() {
            return None;
        }
        memory.troubled_attempts += 1;
        let is_suspected = call.history.trouble.is_some();
        let believed_after = if is_suspected { TROUBLE_OF_SUSPECTS_BELIEVED_AFTER } else { TROUBLE_BELIEVED_AFTER };
        if memory.troubled_attempts < believed_after {
            return None;
        }
        let others_are_answered =
            memory.in_trouble_since.is_some_and(|since| self.gate.was_answered_since(call.request.bucket(), since));
        if !others_are_answered {
            memory.before_next = BeforeNext::Question;
        }
        others_are_answered.then(|| self.taken_apart(call, memory))
    }

    /// The end of a bulk call at which the service fails, although it is well: one of its machines may be why.
    pub(super) fn taken_apart(&self, call: &Call, memory: &Memory) -> CallEnd {
        let trouble = EarlierTrouble { attempts: 0, was_alone: false, ..self.trouble(call, memory) };
        let again = |operation: &CallOperation| {
            OperationEnd::Again(History { trouble: Some(trouble), ..operation.history.also(memory.history) })
        };
        CallEnd::Refused(BulkRefusal::Trouble, call.operations.iter().map(again).collect())
    }

    /// The end of a single call that keeps failing: others go first, and then it has its remaining attempts.
    pub(super) fn put_off(&self, call: &Call, memory: &Memory) -> CallEnd {
        let trouble = Some(self.trouble(call, memory));
        CallEnd::Settled(vec![OperationEnd::Again(History { trouble, ..memory.history })])
    }

    /// What is left to the next call of this call's trouble.
    fn trouble(&self, call: &Call, memory: &Memory) -> EarlierTrouble {
        EarlierTrouble {
            origin: call.origin(),
            since: memory.in_trouble_since.unwrap_or_else(|| self.clock.boot_time()),
            attempts: memory.attempts,
            was_alone: true,
        }
    }

    /// Notes that a single call failed during a pause. Whoever did so a few times makes way: those in line may all be about
    /// machines at which the service fails, and then only somebody else can show that it is well.
    pub(super) fn make_way(why: RetryReason, call: &Call, memory: &mut Memory) {
        if call.may_be_put_off() && why.may_lie_in_a_machine() {
            memory.troubled_attempts += 1;
            if memory.troubled_attempts >= PUT_OFF_AFTER {
                memory.before_next = BeforeNext::Others;
            }
        }
    }

    /// What comes next for a call whose bucket pauses.
    pub(super) fn after_pause(&self, pause: Pause) -> Next {
        if self.clock.boot_time() >= pause.ends {
            return Next::End(CallEnd::Stopped(pause.stop_reason()));
        }
        Next::Again { after: None }
    }

    /// Asks for another token than the refused one.
    pub(super) async fn renew(
        &self,
        refused: TokenGeneration,
        outcome: Option<Outcome>,
        call: &Call,
        memory: &mut Memory,
        reports: &Reports,
    ) -> Next {
        let Some(renewed) = self.signed_in(call, self.transport.renew(refused), reports).await else {
            return Next::End(CallEnd::Stopped(StopReason::Draining));
        };
        match renewed {
            Ok(()) if memory.token_refusals <= 1 => Next::Again { after: None },
            Ok(()) => {
                let http_status = outcome.as_ref().and_then(|outcome| outcome.answer.http_status);
                let why = RepeatCause::Answer(RetryReason::TokenRefused, http_status);
                let number = memory.token_refusals + 1;
                let wait = backoff::after_failure(memory.token_refusals, self.fraction());
                Next::Again { after: Some((wait, Repeat { why, number, most: Some(MAXIMUM_TOKEN_REFUSALS) })) }
            }
            Err(error) => self.sign_in_failed(error, outcome, call, &Turn::Open, memory),
        }
    }

    /// What signing in comes to; `None` when the run drains first. That it is waited for is reported, and once more where
    /// that takes its time.
    pub(super) async fn signed_in(
        &self,
        call: &Call,
        signing_in: impl Future<Output = Result<(), SignInError>>,
        reports: &Reports,
    ) -> Option<Result<(), SignInError>> {
        let since = self.clock.wall_time();
        let signing_in = self.gate.unless_draining(call.request.bucket(), signing_in);
        tokio::pin!(signing_in);
        tokio::select! {
            biased;
            signed_in = &mut signing_in => return signed_in,
            // A token that is there is not waited for.
            () = std::future::ready(()) => {}
        }
        let report = async |phase| reports.send(CallReport { call: call.id, phase }).await;
        report(Phase::SigningIn).await;
        let signed_in = tokio::select! {
            biased;
            signed_in = &mut signing_in => signed_in,
            () = tokio::time::sleep(SLOW_SIGN_IN) => {
                report(Phase::Waiting { cause: WaitCause::Token { since }, until: None }).await;
                signing_in.await
            }
        };
        report(Phase::InLine).await;
        signed_in
    }

    /// What comes next where there is no token to be had. Where the network has gone, that is part of the outage.
    pub(super) fn sign_in_failed(
        &self,
        error: SignInError,
        outcome: Option<Outcome>,
        call: &Call,
        turn: &Turn,
        memory: &mut Memory,
    ) -> Next {
        if error.is_transient() {
            let trouble = ServiceTrouble::SignIn(SignInTrouble::of(&error));
            self.note_health(HealthSignal::Trouble(trouble), call, turn.is_probe(), memory);
            if let Some(pause) = memory.pause {
                return self.after_pause(pause);
            }
        }
        memory.sign_in_failures += 1;
        if !error.is_transient() || memory.sign_in_failures >= MAXIMUM_SIGN_IN_FAILURES {
            return Next::End(CallEnd::Aborted(AbortCause::SignIn(error), outcome));
        }
        let named = error.retry_after().unwrap_or_default();
        let wait = named.max(backoff::after_failure(memory.sign_in_failures, self.fraction()));
        let why = RepeatCause::SignIn(SignInTrouble::of(&error));
        let (number, most) = (memory.sign_in_failures + 1, Some(MAXIMUM_SIGN_IN_FAILURES));
        Next::Again { after: Some((wait, Repeat { why, number, most })) }
    }

    /// Whether nobody has answered yet.
    fn was_never_reached(&self) -> bool {
        !self.was_reached.load(Ordering::Relaxed)
    }

    /// The same wait, but no longer than a service that never answered is tried for.
    pub(super) fn within_first_outage(&self, wait: Duration) -> Duration {
        if !self.was_never_reached() {
            return wait;
        }
        wait.min(self.gate.maximum_outage().saturating_sub(self.clock.boot_time().since(self.started)))
    }

    /// Whether there is no point in trying to connect any longer; says what the HTTP client said.
    pub(super) fn is_unreachable(&self, facts: &AnswerFacts) -> Option<String> {
        let tries_for = self.clock.boot_time().since(self.started);
        let is_wrong = self.connection_failures.load(Ordering::Relaxed) >= MAXIMUM_FIRST_CONNECTION_FAILURES
            && tries_for >= FIRST_CONNECTION_PATIENCE;
        let hopeless = self.was_never_reached() && (is_wrong || tries_for >= self.gate.maximum_outage());
        hopeless.then(|| facts.error_message.as_deref().unwrap_or_default().to_owned())
    }
}

impl Call {
    const fn is_list(&self) -> bool {
        matches!(self.request, ApiRequest::ListMachines { .. })
    }

    /// A question in its name that has nothing to do with its machines.
    pub(super) fn neutral_question(&self) -> Self {
        Self {
            id: self.id,
            request: ApiRequest::ListMachines { top: 1, skip: 0 },
            run: self.run,
            operations: Vec::new(),
            history: History::default(),
            questions: Questions::default(),
        }
    }

    /// The call in which the trouble began that it may meet again.
    fn origin(&self) -> CallId {
        self.known().trouble.map_or(self.id, |trouble| trouble.origin)
    }

    /// Whose trouble it would be if the service failed at this call alone.
    fn concern(&self) -> CallSubject {
        if self.is_list() { CallSubject::Many } else { CallSubject::One(self.origin()) }
    }
}
