//! What the service does on a call that has come: the answer, and how much of it arrives.

use std::time::Duration;

use super::answers::{Answer, ApiError};
use super::calls::Arrival;
use super::faults::Fault;
use super::gate::Gate;
use super::script::What;
use super::service::{Call, Head, Service};
use super::work;

/// How long a hanging call hangs.
const HANG: Duration = Duration::from_mins(10);

/// What goes out, and how much of it arrives.
#[derive(Debug)]
pub struct Reaction {
    /// The answer.
    pub answer: Answer,
    /// How it is carried back.
    pub delivery: Delivery,
}

/// How an answer is carried back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Whole and at once.
    Whole,
    /// Whole, when this time is over.
    After(Duration),
    /// Not at all; the connection is reset.
    Reset,
    /// Not at all; the connection is closed.
    Closed,
    /// Its head and half of its body; then the connection is closed.
    Half,
}

impl Reaction {
    const fn whole(answer: Answer) -> Self {
        Self { answer, delivery: Delivery::Whole }
    }
}

impl Service {
    /// Does what a call asks for, unless something keeps it from being done, and answers.
    pub fn answer(&mut self, call: &Call, body: Option<&[u8]>) -> Reaction {
        let request_id = call.request_id;
        let passage = match &call.admission {
            Ok(passage) => *passage,
            Err(refusal) => return Reaction::whole(refusal.clone().into_answer(request_id)),
        };
        let fault = match self.scripted(call, body) {
            Some(What::Answer { status, body: shown, is_done }) => {
                let done =
                    if is_done { work::answer(self, call, body) } else { Answer::success(Vec::new(), request_id) };
                let is_refused = done.status >= 400;
                let answer = Answer::with_status(status, shown.into_bytes(), request_id);
                return Reaction::whole(if is_refused { done } else { answer });
            }
            Some(What::Fault(fault)) => Some(fault),
            None => passage.fault,
        };
        self.react(fault, call, body)
    }

    /// Takes a call in and answers it at once.
    pub fn serve(&mut self, head: &Head<'_>, body: &[u8], now: Arrival) -> Reaction {
        let call = self.arrive(head, now);
        self.answer(&call, Some(body))
    }

    /// What the script has for a call.
    fn scripted(&mut self, call: &Call, body: Option<&[u8]>) -> Option<What> {
        if self.settings.script.is_empty() {
            return None;
        }
        let kind = call.route.kind()?;
        let ids = work::ids(call, body);
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let (body, uptime) = (body.unwrap_or_default(), call.arrival.uptime);
        let mishap =
            self.settings.script.iter_mut().find_map(|one| one.meets(kind, &ids, body, uptime).then_some(&one.what));
        mishap.cloned()
    }

    /// Answers, or does what the call's fault wants in place of it.
    fn react(&mut self, fault: Option<Fault>, call: &Call, body: Option<&[u8]>) -> Reaction {
        let request_id = call.request_id;
        let refused = |refusal: ApiError| refusal.into_answer(request_id);
        let (answer, delivery) = match fault {
            // The gate has answered the dice's first two; the last is the work's own.
            None | Some(Fault::NotFound) => (work::answer(self, call, body), Delivery::Whole),
            Some(Fault::Throttled) => (refused(self.gate.false_quota_refusal(call.arrival)), Delivery::Whole),
            Some(Fault::Unauthorized) => (refused(Gate::false_unauthorized()), Delivery::Whole),
            Some(Fault::InternalError) => (refused(ApiError::internal_error()), Delivery::Whole),
            Some(Fault::Unavailable) => (refused(ApiError::unavailable()), Delivery::Whole),
            Some(Fault::Redirect) => (refused(ApiError::redirect()), Delivery::Whole),
            Some(Fault::Html) => (Answer::html_page(request_id), Delivery::Whole),
            Some(Fault::Hang) => (refused(ApiError::unavailable()), Delivery::After(HANG)),
            Some(Fault::Reset) => (refused(ApiError::unavailable()), Delivery::Reset),
            Some(Fault::LostAnswer) => (work::answer(self, call, body), Delivery::Closed),
            Some(Fault::Truncated) => (work::answer(self, call, body), Delivery::Half),
        };
        Reaction { answer, delivery }
    }
}
