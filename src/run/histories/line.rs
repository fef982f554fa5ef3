//! A command's line to the service, with a weather of its own: calls are delivered whether or not whoever sent them lives to
//! hear the answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::faults::{Fault, HELD_ON_THE_WAY};
use super::history::Weather;
use super::service::{Reaction, Service, fault_reaction, write_of};
use super::truth::{Asked, CallNumber, CommandNumber, Event, Moment};
use crate::api::sign_in::SignInError;
use crate::api::{Answer, ApiRequest, TokenGeneration, Transport};

/// One command's connection to the service.
pub(super) struct Line {
    service: Arc<Service>,
    command: CommandNumber,
    began: Moment,
    weather: Weather,
    random: Mutex<fastrand::Rng>,
}

/// A call on its way.
pub(super) struct Letter {
    pub(super) call: CallNumber,
    pub(super) request: ApiRequest,
    pub(super) fault: Option<Fault>,
    pub(super) seed: u64,
    pub(super) there: Duration,
    pub(super) back: Duration,
}

impl Line {
    pub(super) fn new(service: Arc<Service>, command: CommandNumber, weather: Weather, seed: u64) -> Self {
        let began = service.now();
        Self { service, command, began, weather, random: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }

    fn letter(&self, call: CallNumber, request: &ApiRequest) -> Letter {
        let mut random = self.random.lock().expect("nobody panicked");
        let since = self.service.now().saturating_sub(self.began);
        let outage = self.weather.outages.iter().find(|outage| (outage.from..outage.to).contains(&since));
        let mut fault = outage.map(|outage| outage.fault);
        for (one, thousandths) in &self.weather.faults {
            // Rolled whatever has come already, so that a fault left out changes no other.
            let comes = random.u32(0..1000) < *thousandths;
            fault = fault.or(comes.then_some(*one));
        }
        let mut delay = || self.service.habits.latency.mul_f64(random.f64());
        let (there, back) = (delay(), delay());
        let fault = fault.filter(|fault| fault.befalls(request));
        Letter { call, request: request.clone(), fault, seed: random.u64(..), there, back }
    }

    /// Carries a call to the service and its answer back, whether or not the client lives to hear it.
    async fn deliver(service: Arc<Service>, letter: Letter) -> Reaction {
        tokio::time::sleep(letter.there).await;
        let reaction = match letter.fault {
            Some(fault) if !fault.arrives() => fault_reaction(fault, fault.answer().expect("a loss")),
            _ => service.serve(&letter),
        };
        match letter.fault {
            Some(Fault::TimedOutDoneLate) if matches!(reaction.answer, Answer::Lost(_)) => {
                let held = letter.request.time_out() + HELD_ON_THE_WAY.mul_f64(0.9);
                tokio::time::sleep(held.saturating_sub(letter.there)).await;
                let _nobody_hears = service.carry_out(&letter.request, letter.call);
            }
            _ => tokio::time::sleep(letter.back).await,
        }
        reaction
    }
}

#[async_trait]
impl Transport for Line {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        let asked = if request.is_read() {
            Asked::Read
        } else {
            let (wish, machines) = write_of(request);
            let is_bulk = matches!(request, ApiRequest::ChangeTagOnMachines { .. });
            Asked::Write { wish, machines, is_bulk }
        };
        let (call, token) = {
            let now = self.service.now();
            let mut state = self.service.state();
            let call = state.log.next_call();
            state.log.note(now, Event::Sent { call, command: self.command, asked });
            (call, TokenGeneration(state.token))
        };
        let letter = self.letter(call, request);
        let times_out = letter.fault.is_some_and(Fault::times_out);
        let (tell, told) = oneshot::channel();
        let delivery = Self::deliver(Arc::clone(&self.service), letter);
        tokio::spawn(async move {
            // A client that was killed hears nothing.
            let _dead = tell.send(delivery.await);
        });
        let answered = tokio::time::timeout(request.time_out(), async {
            if times_out {
                std::future::pending::<()>().await;
            }
            told.await.expect("every letter is answered")
        });
        let reaction = answered
            .await
            .unwrap_or_else(|_elapsed| fault_reaction(Fault::TimedOut, Fault::TimedOut.answer().expect("a loss")));
        let now = self.service.now();
        let mut state = self.service.state();
        for (machine, as_of) in reaction.displayed {
            state.log.note(now, Event::Displayed { call, machine, as_of });
        }
        state.log.note(now, Event::Answered { call, reply: reaction.reply });
        Ok((reaction.answer, token))
    }

    async fn renew(&self, refused: TokenGeneration) -> Result<(), SignInError> {
        let mut state = self.service.state();
        if state.token == refused.0 {
            state.token += 1;
        }
        Ok(())
    }
}
