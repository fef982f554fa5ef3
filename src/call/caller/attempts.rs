//! One attempt of a call after the other, until the call has an end.

use super::{Caller, MAXIMUM_ATTEMPTS, MAXIMUM_TOKEN_REFUSALS, PUT_OFF_AFTER};
use crate::api::{Answer, ApiRequest, TokenGeneration, Transport};
use crate::call::effect::{
    Conclusion, Effect, Next, NotDone, answered, attempt_end, fail_code, notices, refused, refused_to_all, with_code,
};
use crate::call::gate::{Pass, Turn};
use crate::call::judge::{FailReason, History, RetryReason, TOO_MUCH_BELIEVED_AFTER, Verdict, after, judge};
use crate::call::memory::{BeforeNext, Memory};
use crate::call::{
    AbortCause, Call, CallEnd, CallReport, Notice, Phase, Repeat, RepeatCause, Reports, StopReason, Unanswered,
    WaitCause, backoff, on_blocking_thread,
};
use crate::clock::BootTime;
use crate::model::{AnswerFacts, Status};
use crate::store::{AttemptEnd, AttemptTicket, OperationState, Settlement, StoreError};

/// After how many attempts of a call that is alone in its trouble the service is asked something else first: in the
/// middle, so that there are some left when an outage has just ended, and before the last one.
const DOUBTFUL_AFTER: [u32; 2] = [MAXIMUM_ATTEMPTS / 2, MAXIMUM_ATTEMPTS - 1];
/// How often in a row a call's token may be refused before the service has accepted any call: then it most likely never will.
const MAXIMUM_FIRST_TOKEN_REFUSALS: u32 = 3;
/// How many 429s in a row, each after the wait that the one before asked for, make sure that it is no chance. When they
/// go on for as long as an outage may, they are taken for a lasting refusal.
const SURE_THROTTLED_STREAK: u32 = 5;
/// An answer of this length or more is judged beside the runtime's own threads.
const LONG_ANSWER_BYTES: usize = 64 * 1024;

impl<T: Transport> Caller<T> {
    /// Makes a read that settles lost answers; if `not_before` says so, only when the list shows the latest writes.
    ///
    /// # Errors
    /// As [`Self::perform`].
    pub(crate) async fn perform_after(
        &self,
        call: &Call,
        not_before: Option<BootTime>,
        reports: &Reports,
    ) -> Result<CallEnd, StoreError> {
        if let Some(until) = not_before.filter(|until| *until > self.clock.boot_time())
            && let Some(Pass::Stopped(reason)) = self.gate.wait_until(call, WaitCause::ListLag, until, reports).await
        {
            return Ok(CallEnd::Stopped(reason));
        }
        self.perform(call, reports).await
    }

    /// Makes the call until it has an end.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; nothing more may be sent then.
    pub(crate) async fn perform(&self, call: &Call, reports: &Reports) -> Result<CallEnd, StoreError> {
        let mut memory = Memory::new(call.known());
        self.go_on(call, &mut memory, reports).await
    }

    /// Makes the call once, whatever comes of it; what stands in the way where that is no end of it.
    ///
    /// # Errors
    /// As [`Self::perform`].
    pub(crate) async fn perform_once(
        &self,
        call: &Call,
        reports: &Reports,
    ) -> Result<Result<CallEnd, Unanswered>, StoreError> {
        let mut memory = Memory::new(call.known());
        let unanswered = |why| {
            let cause = WaitCause::Retry(Repeat { why, number: 1, most: Some(1) });
            Err(Unanswered { cause, asked_to_wait: None })
        };
        Ok(match self.attempt(call, &mut memory, reports).await? {
            Next::End(end) => Ok(end),
            Next::RenewToken(_, outcome) => Ok(CallEnd::Aborted(AbortCause::TokenRefused, outcome)),
            Next::Again { after: Some((_, repeat)) } => unanswered(repeat.why),
            Next::Again { after: None } => match memory.met {
                Some((why, http_status)) => unanswered(RepeatCause::Answer(why, http_status)),
                None => Err(Unanswered { cause: WaitCause::Throttled, asked_to_wait: memory.asked_to_wait }),
            },
        })
    }

    async fn go_on(&self, call: &Call, memory: &mut Memory, reports: &Reports) -> Result<CallEnd, StoreError> {
        loop {
            match std::mem::take(&mut memory.before_next) {
                BeforeNext::Nothing => {}
                BeforeNext::Others => return Ok(self.put_off(call, memory)),
                BeforeNext::Question => {
                    if let Some(end) = self.end_unless_service_is_there(call, memory, reports).await? {
                        return Ok(end);
                    }
                }
            }
            let next = match self.attempt(call, memory, reports).await? {
                Next::RenewToken(refused, outcome) => self.renew(refused, outcome, call, memory, reports).await,
                next => next,
            };
            match next {
                Next::End(end) => return Ok(end),
                Next::Again { after: None } | Next::RenewToken(..) => {}
                Next::Again { after: Some((wait, repeat)) } => {
                    let until = self.clock.boot_time().plus(wait);
                    match self.gate.wait_until(call, WaitCause::Retry(repeat), until, reports).await {
                        Some(Pass::Stopped(StopReason::Deadline)) if !call.request.is_read() => {
                            return Ok(CallEnd::Stopped(StopReason::RepeatBeyondDeadline));
                        }
                        Some(Pass::Stopped(reason)) => return Ok(CallEnd::Stopped(reason)),
                        _ => {}
                    }
                }
            }
        }
    }

    async fn attempt(&self, call: &Call, memory: &mut Memory, reports: &Reports) -> Result<Next, StoreError> {
        let turn = match self.gate.take_turn(call, reports).await {
            Turn::Stopped(reason) => return Ok(Next::End(CallEnd::Stopped(reason))),
            turn => turn,
        };
        if turn.is_probe() && self.gate.is_doubtful(call.request.bucket()) {
            self.ask_something_neutral(call, reports).await?;
        }
        match self.signed_in(call, self.transport.prepare(), reports).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Ok(self.sign_in_failed(error, None, call, &turn, memory)),
            None => return Ok(Next::End(CallEnd::Stopped(StopReason::Draining))),
        }
        let (ticket, place) = match self.gate.pass(call, &turn, reports).await? {
            Pass::Admitted(ticket, place) => (ticket, place),
            Pass::Stopped(reason) => return Ok(Next::End(CallEnd::Stopped(reason))),
            Pass::Paused => return Ok(Next::Again { after: None }),
        };
        let is_repeat = std::mem::take(&mut memory.repeats);
        reports
            .send(CallReport { call: call.id, phase: Phase::Sending { kind: call.request.kind(), is_repeat } })
            .await;
        let sent = self.gate.unless_given_up(&call.request, self.transport.send(&call.request)).await;
        let Some(sent) = sent else {
            let next = Next::End(CallEnd::Stopped(StopReason::Draining));
            let conclusion = Conclusion::new("not_awaited", false, AnswerFacts::default(), Vec::new(), next);
            return self.settle(call, ticket, AttemptEnd::GivenUp, conclusion).await;
        };
        let (answer, token) = match sent {
            Ok(sent) => sent,
            Err(error) => {
                let next = self.sign_in_failed(error, None, call, &turn, memory);
                let conclusion = Conclusion::new("not_signed_in", false, AnswerFacts::default(), Vec::new(), next);
                let phase = Phase::NotSent { kind: call.request.kind(), is_repeat };
                reports.send(CallReport { call: call.id, phase }).await;
                return self.settle(call, ticket, AttemptEnd::NeverSent, conclusion).await;
            }
        };
        memory.sign_in_failures = 0;
        let (answer, verdict) = self.judged(&call.request, answer, memory.history).await;
        if verdict.passed_quota() {
            self.gate.accepted(&call.request, &place);
        }
        self.note_answer(call, &answer, &verdict, &turn, memory);
        self.conclude(call, ticket, &answer, token, verdict, memory, reports).await
    }

    /// Judges an answer; a long one beside the runtime's own threads, which must not stand still for it.
    async fn judged(&self, request: &ApiRequest, mut answer: Answer, history: History) -> (Answer, Verdict) {
        let wall_now = self.clock.wall_time();
        if answer.body_length() < LONG_ANSWER_BYTES {
            let verdict = judge(request, &answer, history, wall_now);
            return (answer, verdict);
        }
        let request = request.clone();
        on_blocking_thread(move || {
            let verdict = judge(&request, &answer, history, wall_now);
            // What was read of it stands in the verdict, and twice would be much.
            answer.forget_body();
            (answer, verdict)
        })
        .await
    }

    /// Settles the attempt as the verdict has it, reports it, and says what comes next.
    #[expect(clippy::too_many_arguments, reason = "everything about one attempt, used once")]
    async fn conclude(
        &self,
        call: &Call,
        ticket: AttemptTicket,
        answer: &Answer,
        token: TokenGeneration,
        verdict: Verdict,
        memory: &mut Memory,
        reports: &Reports,
    ) -> Result<Next, StoreError> {
        for notice in notices(&verdict, &call.request) {
            reports.send(CallReport { call: call.id, phase: Phase::Notice(notice) }).await;
        }
        let conclusion = match verdict {
            Verdict::Throttled { wait, facts } => {
                memory.asked_to_wait = wait;
                let until = self.gate.throttle(&call.request, ticket, wait, self.fraction());
                let next = self.after_throttling(call, ticket, reports).await?;
                let effects = Effect::open(facts.clone(), false).on_all(&call.operations);
                Conclusion { pause: Some(until), ..Conclusion::new("throttled", false, facts, effects, next) }
            }
            verdict => self.understand(call, verdict, token, memory),
        };
        let (retry, throttled) = (conclusion.retry, conclusion.pause.is_some());
        memory.repeats = retry.is_some();
        tracing::debug!(
            call = call.id.0,
            kind = call.request.kind().as_str(),
            machine = call.request.machine().map(tracing::field::display),
            operations = call.operations.len(),
            http_status = conclusion.facts.http_status,
            verdict = conclusion.verdict,
            code = conclusion.facts.error_code.as_deref(),
            request_id = conclusion.facts.request_id.as_deref(),
            "answered"
        );
        let next = self.settle(call, ticket, attempt_end(answer), conclusion).await?;
        reports.send(CallReport { call: call.id, phase: Phase::Answered { retry, throttled } }).await;
        Ok(next)
    }

    /// What every verdict but a refusal for quota comes to.
    fn understand(&self, call: &Call, verdict: Verdict, token: TokenGeneration, memory: &mut Memory) -> Conclusion {
        match verdict {
            Verdict::Done { facts, case_differs } => {
                let effect = Effect::last(OperationState::Succeeded, facts, after(&call.request, case_differs));
                Conclusion::last("done", effect, Status::Succeeded, call)
            }
            Verdict::Accepted { facts } => Conclusion::accepted(&facts, call),
            Verdict::Read { answer, facts } => {
                let proven = call.questions.proven_by(&answer).into_iter().map(|proof| {
                    let effect = Effect::last(OperationState::Succeeded, facts.clone(), proof.after);
                    effect.on(proof.operation)
                });
                // A read is no attempt of the writes that it settles.
                let proven = proven.collect();
                Conclusion::new("read", false, facts, proven, Next::End(CallEnd::Read(answer)))
            }
            Verdict::Answered { facts, machines } => answered(call, &facts, &machines, memory.history),
            Verdict::Split { why, facts } => refused(call, &why, &facts, memory.history),
            Verdict::Fail { why, facts } => {
                let known = why != FailReason::Forbidden || self.service_accepted();
                let state = if known { OperationState::Failed } else { OperationState::Refused };
                let facts = with_code(facts, fail_code(why));
                let end = NotDone { state, why, is_refusal: true };
                Conclusion::not_done("failed", end, facts, call, memory.history)
            }
            Verdict::Abort { why, facts } => {
                memory.history.may_hold |= why.is_ambiguous();
                let facts = with_code(facts, "refused");
                let (effect, outcome) = refused_to_all(facts.clone(), call, memory.history);
                let next = Next::End(CallEnd::Aborted(AbortCause::Refused(why), Some(outcome)));
                let effects = effect.on_all(&call.operations);
                Conclusion::new("aborted", true, facts, effects, next)
            }
            Verdict::Retry { why, facts } => {
                let conclusion = self.after_retry_verdict(why, facts, token, call, memory);
                Conclusion { retry: Some(why), ..conclusion }
            }
            // Taken by the caller, which alone may wait.
            Verdict::Throttled { facts, .. } => {
                Conclusion::new("throttled", false, facts, Vec::new(), Next::Again { after: None })
            }
        }
    }

    fn after_retry_verdict(
        &self,
        why: RetryReason,
        facts: AnswerFacts,
        token: TokenGeneration,
        call: &Call,
        memory: &mut Memory,
    ) -> Conclusion {
        let http_status = facts.http_status;
        memory.met = Some((why, http_status));
        let facts = with_code(facts, why.code());
        let open = |facts, counts, next| {
            let effect = Effect::open(facts, why.is_ambiguous());
            let effects = effect.on_all(&call.operations);
            Conclusion::new("retried", counts, effect.facts, effects, next)
        };
        if let Some(pause) = memory.pause {
            // Everybody meets the same: it says nothing about these operations, but that they may have been done.
            memory.history.may_hold |= why.is_ambiguous();
            Self::make_way(why, call, memory);
            let next = match self.after_pause(pause) {
                Next::Again { .. } => self.look_for_culprit(why, call, memory).map(Next::End),
                end => Some(end),
            };
            return open(facts, false, next.unwrap_or(Next::Again { after: None }));
        }
        memory.failures += 1;
        memory.attempts += u32::from(why.counts_as_attempt());
        memory.history = memory.history.and(why);
        match why {
            RetryReason::TokenRefused => {
                memory.token_refusals += 1;
                let (effect, outcome) = refused_to_all(facts, call, memory.history);
                let most = if self.service_accepted() { MAXIMUM_TOKEN_REFUSALS } else { MAXIMUM_FIRST_TOKEN_REFUSALS };
                let next = if memory.token_refusals >= most {
                    Next::End(CallEnd::Aborted(AbortCause::TokenRefused, Some(outcome)))
                } else {
                    Next::RenewToken(token, Some(outcome))
                };
                let effects = effect.on_all(&call.operations);
                return Conclusion::new("retried", true, effect.facts, effects, next);
            }
            RetryReason::NotConnected(_) => {
                if let Some(description) = self.is_unreachable(&facts) {
                    let abort = CallEnd::Aborted(AbortCause::Unreachable { description }, None);
                    return open(facts, false, Next::End(abort));
                }
            }
            _ => memory.token_refusals = 0,
        }
        if memory.attempts >= MAXIMUM_ATTEMPTS {
            let end = NotDone { state: OperationState::Failed, why: FailReason::Rejected, is_refusal: false };
            return Conclusion::not_done("given_up", end, facts, call, memory.history);
        }
        if memory.is_alone && DOUBTFUL_AFTER.contains(&memory.attempts) {
            memory.before_next = BeforeNext::Question;
        }
        if let Some(end) = self.look_for_culprit(why, call, memory) {
            return open(facts, why.counts_as_attempt(), Next::End(end));
        }
        if memory.attempts == PUT_OFF_AFTER && why.may_lie_in_a_machine() && call.may_be_put_off() {
            memory.before_next = BeforeNext::Others;
        }
        let wait = self.within_first_outage(backoff::after_failure(memory.failures, self.fraction()));
        let repeat = next_repeat(why, http_status, call, memory);
        open(facts, why.counts_as_attempt(), Next::Again { after: Some((wait, repeat)) })
    }

    async fn after_throttling(
        &self,
        call: &Call,
        ticket: AttemptTicket,
        reports: &Reports,
    ) -> Result<Next, StoreError> {
        if let Some(notice) = self.gate.merge(&call.request, ticket) {
            if notice == Notice::TagCallsCountTogether {
                self.store.note_tag_calls_together(self.gate.account()).await?;
            }
            reports.send(CallReport { call: call.id, phase: Phase::Notice(notice) }).await;
        }
        if self.gate.is_throttled_for_good(&call.request, SURE_THROTTLED_STREAK) {
            return Ok(Next::End(CallEnd::Aborted(AbortCause::ThrottledForGood, None)));
        }
        Ok(Next::Again { after: None })
    }

    /// Stores what an attempt came to, and says what comes next.
    async fn settle(
        &self,
        call: &Call,
        ticket: AttemptTicket,
        end: AttemptEnd,
        conclusion: Conclusion,
    ) -> Result<Next, StoreError> {
        let settled = self
            .store
            .settle(Settlement {
                attempt: ticket.attempt,
                end,
                verdict: conclusion.verdict,
                http_status: conclusion.facts.http_status,
                request_id: conclusion.facts.request_id,
                counts_as_attempt: conclusion.counts_as_attempt,
                effects: conclusion.effects,
                pause: conclusion.pause.map(|until| (self.gate.account(), call.request.counted_in(), until)),
            })
            .await;
        self.gate.settled();
        settled.map(|()| conclusion.next)
    }

    /// Asks the service something that has nothing to do with the call's machine, and waits until it answers. So the
    /// attempts of a call that is alone in its trouble are not spent in an outage. Says how the call ends if there is
    /// no point in that attempt.
    async fn end_unless_service_is_there(
        &self,
        call: &Call,
        memory: &mut Memory,
        reports: &Reports,
    ) -> Result<Option<CallEnd>, StoreError> {
        let mut asked = Memory::default();
        let end = Box::pin(self.go_on(&call.neutral_question(), &mut asked, reports)).await?;
        if asked.in_trouble_since.is_some() {
            // It was an outage, so the call begins anew.
            (memory.attempts, memory.failures, memory.troubled_attempts) = (0, 0, 0);
        }
        Ok(match end {
            CallEnd::Stopped(_) => Some(end),
            CallEnd::Aborted(cause, _) => Some(CallEnd::Aborted(cause, None)),
            _ if asked.in_trouble_since.is_none() && call.is_bulk() => Some(self.taken_apart(call, memory)),
            // It may not be allowed to read, but that is an answer, too.
            _ => None,
        })
    }

    /// Asks the service once something that has nothing to do with the call's machine, during a pause that may come from
    /// the machines of the few operations that are left. If it answers, the pause is over.
    async fn ask_something_neutral(&self, call: &Call, reports: &Reports) -> Result<(), StoreError> {
        let question = call.neutral_question();
        let began = self.clock.boot_time();
        // What becomes of the question is no end of the call.
        let _next = Box::pin(self.attempt(&question, &mut Memory::default(), reports)).await?;
        if self.gate.was_answered_since(question.request.bucket(), began) {
            self.gate.note_neutral_answer(call.request.bucket());
        }
        Ok(())
    }
}

/// Which try comes next, of how many.
fn next_repeat(why: RetryReason, http_status: Option<u16>, call: &Call, memory: &Memory) -> Repeat {
    let most = match why {
        RetryReason::TooMuch(_) if call.request.is_read() => TOO_MUCH_BELIEVED_AFTER,
        _ => MAXIMUM_ATTEMPTS,
    };
    let most = why.counts_as_attempt().then_some(most);
    let number = if most.is_some() { memory.attempts } else { memory.failures } + 1;
    Repeat { why: RepeatCause::Answer(why, http_status), number, most }
}
