//! The service in memory: it keeps windows of its own, carries out what it is asked for, and notes everything.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::faults::{Effect, Fault, response};
use super::history::{Habits, Machine, Naming, Nature};
use super::line::Letter;
use super::truth::{CallNumber, Content, Event, Log, MachineNumber, Moment, Reply, Slot, Wish};
use crate::api::{Answer, ApiRequest, Response};
use crate::model::{Bucket, DeviceValue, MachineId, TagAction};
use crate::quota::Quota;

/// When every history begins, by a clock that is right.
pub(super) const BEGINNING: &str = "2026-05-01T00:00:00Z";

/// A service and its tenant.
pub(super) struct Service {
    began: tokio::time::Instant,
    pub(super) habits: Habits,
    quota: Quota,
    state: Mutex<State>,
}

/// What changes.
pub(super) struct State {
    pub(super) log: Log,
    machines: Vec<Machine>,
    arrivals: [Vec<Moment>; 3],
    pub(super) token: u64,
}

/// What comes back: the answer, what it tells, and whom it shows as of when.
pub(super) struct Reaction {
    pub(super) answer: Answer,
    pub(super) reply: Reply,
    pub(super) displayed: Vec<(MachineNumber, usize)>,
}

pub(super) fn machine_id(number: MachineNumber) -> String {
    format!("{:040x}", 0xabc_000 + number)
}

pub(super) fn machine_name(number: MachineNumber) -> String {
    format!("host{number}.corp.example")
}

fn machine_number(id: &MachineId) -> Option<MachineNumber> {
    usize::from_str_radix(&id.to_string(), 16).ok()?.checked_sub(0xabc_000)
}

impl Service {
    pub(super) fn new(habits: Habits, machines: Vec<Machine>) -> Self {
        let mut log = Log::default();
        for (number, machine) in machines.iter().enumerate() {
            log.initial.insert(Slot { machine: number, tag: None }, Content::Value(machine.value));
            for tag in &machine.tags {
                let slot = Slot { machine: number, tag: Some(tag.to_lowercase()) };
                log.initial.insert(slot, Content::Tag([tag.clone()].into()));
            }
        }
        let quota = habits.quota.parse().expect("a quota");
        let state = State { log, machines, arrivals: Default::default(), token: 0 };
        Self { began: tokio::time::Instant::now(), habits, quota, state: Mutex::new(state) }
    }

    pub(super) fn now(&self) -> Moment {
        self.began.elapsed()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    /// Somebody else changes something.
    pub(super) fn change_by_others(&self, machine: MachineNumber, wish: &Wish) {
        let now = self.now();
        self.state().carry_out(now, machine, wish, None, self.habits.tells_case_apart);
    }

    pub(super) fn list(&self, machine: MachineNumber, is_listed: bool) {
        if let Some(machine) = self.state().machines.get_mut(machine) {
            machine.is_listed = is_listed;
        }
    }

    /// Takes a call in; one that is over the quota is a trespass.
    fn admit(&self, bucket: Bucket, call: CallNumber) -> Option<Reaction> {
        let now = self.now();
        let mut state = self.state();
        state.log.note(now, Event::Arrived { call });
        let mut is_over = false;
        for limit in self.quota.limits() {
            let arrivals = &state.arrivals[bucket.position()];
            let inside =
                arrivals.iter().rev().take_while(|arrival| now.saturating_sub(**arrival) <= limit.window).count();
            if inside >= limit.calls.get() as usize {
                is_over = true;
                let text = format!("call {call} is over the quota of {limit} for {}", bucket.as_str());
                state.log.note(now, Event::Trespass(text));
            }
        }
        state.arrivals[bucket.position()].push(now);
        is_over.then(|| throttled(None))
    }

    /// What the service makes of a call that has come.
    pub(super) fn serve(&self, letter: &Letter) -> Reaction {
        if let Some(refusal) = self.admit(letter.request.bucket(), letter.call) {
            return refusal;
        }
        let mut random = fastrand::Rng::with_seed(letter.seed);
        if let Some(fault @ (Fault::Throttled429Seconds | Fault::Throttled429Date | Fault::Throttled429Silent)) =
            letter.fault
        {
            return self.throttle(fault, random.u64(1..90));
        }
        if letter.request.is_read() {
            return match letter.fault.and_then(|fault| Some((fault, fault.answer()?))) {
                Some((fault, answer)) => fault_reaction(fault, answer),
                None => self.read(&letter.request, &mut random),
            };
        }
        let (wish, machines) = write_of(&letter.request);
        if let Some(fault) = letter.fault.filter(|fault| fault.effect() == Effect::Undone)
            && let Some(answer) = fault.answer()
        {
            return fault_reaction(fault, answer);
        }
        if let Some(refusal) = self.refusal(&letter.request, &machines) {
            return refusal;
        }
        if let Some(fault) = letter.fault.filter(|fault| fault.effect() == Effect::DoneLate) {
            return fault_reaction(fault, fault.answer().expect("a loss"));
        }
        self.carry_out(&wish, &machines, letter.call);
        self.success(letter, &wish, machines, &mut random)
    }

    pub(super) fn carry_out(&self, wish: &Wish, machines: &[MachineNumber], call: CallNumber) {
        let now = self.now();
        let mut state = self.state();
        for machine in machines {
            if state.machines[*machine].nature != Nature::Stubborn {
                state.carry_out(now, *machine, wish, Some(call), self.habits.tells_case_apart);
            }
        }
    }

    /// The answer to a change that was carried out.
    fn success(
        &self,
        letter: &Letter,
        wish: &Wish,
        machines: Vec<MachineNumber>,
        random: &mut fastrand::Rng,
    ) -> Reaction {
        if let Some(fault) = letter.fault
            && let Some(answer) = fault.answer()
        {
            let is_acceptance = matches!(fault, Fault::EmptyListDone | Fault::NoContent204Done);
            let reply = if is_acceptance { Reply::Accepted } else { Reply::Ambiguous("done, and not answered") };
            return Reaction { answer, reply, displayed: Vec::new() };
        }
        let state = self.state();
        let shown: Vec<MachineNumber> = match letter.fault {
            Some(Fault::PartialListDone) => {
                let (first, rest) = machines.split_first().expect("a call has machines");
                std::iter::once(*first).chain(rest.iter().copied().filter(|_| random.bool())).collect()
            }
            _ => machines,
        };
        let documents: Vec<_> = shown.iter().map(|machine| state.document(*machine, usize::MAX)).collect();
        let body = match &letter.request {
            ApiRequest::ChangeTagOnMachines { .. } => json!({"@odata.context": "x", "value": documents}),
            _ => documents[0].clone(),
        };
        let is_so = |machine: &MachineNumber| wish.holds(&state.log.content(&wish.slot(*machine)));
        let reply = Reply::Shown(shown.into_iter().filter(is_so).collect());
        Reaction { answer: response(200, &body.to_string()), reply, displayed: Vec::new() }
    }

    /// Why a change is refused, if it is.
    fn refusal(&self, request: &ApiRequest, machines: &[MachineNumber]) -> Option<Reaction> {
        let error = |status, code: &str, text: &str| {
            let text = format!(r#"{{"error": {{"code": "{code}", "message": "{text}", "target": "t"}}}}"#);
            Some(Reaction { answer: response(status, &text), reply: Reply::Refused(status), displayed: Vec::new() })
        };
        let is_bulk = matches!(request, ApiRequest::ChangeTagOnMachines { .. });
        if is_bulk && self.habits.forbids_bulk {
            return error(403, "Forbidden", "the call is not allowed");
        }
        if machines.len() > self.habits.batch_limit {
            let text = format!("Received: {}, allowed: {}", machines.len(), self.habits.batch_limit);
            return error(400, "MaximumBatchSizeExceeded", &text);
        }
        let state = self.state();
        let are = |nature| {
            let of_nature =
                machines.iter().copied().filter(|machine| state_nature(&state.machines, *machine) == nature);
            of_nature.map(machine_id).collect::<Vec<_>>()
        };
        if !are(Nature::Broken).is_empty() {
            let reaction = error(500, "InternalServerError", "it went wrong");
            return reaction.map(|reaction| Reaction { reply: Reply::Ambiguous("500"), ..reaction });
        }
        let gone = are(Nature::Gone);
        if let Some(first) = gone.first() {
            if !is_bulk {
                return error(404, "ResourceNotFound", &format!("Machine {first} was not found"));
            }
            let everybody = machines.iter().copied().map(machine_id).collect::<Vec<_>>();
            let text = match self.habits.naming {
                Naming::All => format!("not found: {}", gone.join(", ")),
                Naming::One => format!("not found: {first}"),
                Naming::Nobody => "some machines were not found".to_owned(),
                Naming::Everybody => format!("not all were found: {}", everybody.join(", ")),
            };
            return error(400, "ResourceNotFound", &text);
        }
        if !are(Nature::Protected).is_empty() {
            return error(403, "DisallowedOperation", "an asset rule stands against it");
        }
        None
    }

    fn throttle(&self, fault: Fault, seconds: u64) -> Reaction {
        let until = self.now() + Duration::from_secs(seconds);
        let mut reaction = throttled(match fault {
            Fault::Throttled429Silent => None,
            // A date has no fractions of a second.
            Fault::Throttled429Date => Some(Duration::from_secs(until.as_secs())),
            _ => Some(until),
        });
        if let Answer::Response(response) = &mut reaction.answer {
            match fault {
                Fault::Throttled429Seconds => response.retry_after = Some(seconds.to_string()),
                Fault::Throttled429Date => {
                    response.date = Some(http_date(self.now()));
                    response.retry_after = Some(http_date(until));
                }
                _ => {}
            }
        }
        reaction
    }

    fn read(&self, request: &ApiRequest, random: &mut fastrand::Rng) -> Reaction {
        let now = self.now();
        let state = self.state();
        let not_found = || Reaction { answer: response(404, ""), reply: Reply::Read, displayed: Vec::new() };
        match request {
            ApiRequest::GetMachine { machine } => {
                let number = machine_number(machine).filter(|number| *number < state.machines.len());
                let Some(number) = number.filter(|number| state.machines[*number].nature != Nature::Gone) else {
                    return not_found();
                };
                let answer = response(200, &state.document(number, usize::MAX).to_string());
                Reaction { answer, reply: Reply::Read, displayed: vec![(number, state.log.events.len())] }
            }
            ApiRequest::ListMachines { top, skip } => {
                let listed = (0..state.machines.len()).filter(|number| state.machines[*number].is_listed);
                let mut rest = listed.skip(usize::try_from(*skip).unwrap_or(usize::MAX)).peekable();
                if rest.peek().is_none() && random.bool() {
                    return not_found();
                }
                let lag = self.habits.list_lag.mul_f64(random.f64());
                let as_of = state.log.count_at(now.saturating_sub(lag));
                let at_most = self.habits.page_machines.min(*top as usize);
                let shown: Vec<MachineNumber> = rest.by_ref().take(at_most).collect();
                let documents: Vec<_> = shown.iter().map(|number| state.document(*number, as_of)).collect();
                let mut body = json!({"@odata.context": "x", "value": documents});
                if rest.peek().is_some() {
                    body["@odata.nextLink"] = json!("https://elsewhere.example/api/machines");
                }
                let displayed = shown.into_iter().map(|number| (number, as_of)).collect();
                Reaction { answer: response(200, &body.to_string()), reply: Reply::Read, displayed }
            }
            _ => not_found(),
        }
    }
}

impl State {
    fn carry_out(
        &mut self,
        now: Moment,
        machine: MachineNumber,
        wish: &Wish,
        call: Option<CallNumber>,
        tells_case_apart: bool,
    ) {
        let slot = wish.slot(machine);
        let before = self.log.content(&slot);
        let after = wish.carried_out(&before, tells_case_apart);
        self.log.note(now, Event::Applied { slot, before, after, call });
    }

    /// A machine as the service shows it.
    fn document(&self, machine: MachineNumber, as_of: usize) -> serde_json::Value {
        let slots = self.log.slots_of(machine);
        let contents = slots.iter().map(|slot| self.log.content_before(slot, as_of));
        let (mut tags, mut value) = (Vec::new(), DeviceValue::Normal);
        for content in contents {
            match content {
                Content::Tag(forms) => tags.extend(forms),
                Content::Value(held) => value = held,
            }
        }
        json!({
            "id": machine_id(machine),
            "computerDnsName": machine_name(machine),
            "machineTags": tags,
            "deviceValue": value.as_str(),
            "lastSeen": "2026-04-30T00:00:00Z",
        })
    }
}

fn state_nature(machines: &[Machine], machine: MachineNumber) -> Nature {
    machines.get(machine).map_or(Nature::Gone, |machine| machine.nature)
}

/// What a write wants, and of whom. Whoever is nobody's machine is gone.
pub(super) fn write_of(request: &ApiRequest) -> (Wish, Vec<MachineNumber>) {
    let number = |id: &MachineId| machine_number(id).unwrap_or(usize::MAX);
    let of_tag = |action: TagAction, tag: &crate::model::Tag| match action {
        TagAction::Add => Wish::Add(tag.to_string()),
        TagAction::Remove => Wish::Remove(tag.to_string()),
    };
    match request {
        ApiRequest::ChangeTag { machine, action, tag } => (of_tag(*action, tag), vec![number(machine)]),
        ApiRequest::ChangeTagOnMachines { machines, action, tag } => {
            (of_tag(*action, tag), machines.iter().map(number).collect())
        }
        ApiRequest::SetDeviceValue { machine, value } => (Wish::Set(*value), vec![number(machine)]),
        ApiRequest::ListMachines { .. } | ApiRequest::GetMachine { .. } => unreachable!("reads are served elsewhere"),
    }
}

fn throttled(until: Option<Moment>) -> Reaction {
    let text = "API calls quota exceeded! Maximum allowed 100 per 00:01:00 for the key x.";
    let body = format!(r#"{{"error": {{"code": "429", "message": "{text}"}}}}"#);
    Reaction { answer: response(429, &body), reply: Reply::Throttled(until), displayed: Vec::new() }
}

pub(super) fn fault_reaction(fault: Fault, answer: Answer) -> Reaction {
    let reply = match (&answer, fault.is_refusal()) {
        (Answer::Response(Response { status, .. }), true) => Reply::Refused(*status),
        (Answer::Lost(_), true) => Reply::Refused(0),
        (_, false) => Reply::Ambiguous("no answer of the service's"),
    };
    Reaction { answer, reply, displayed: Vec::new() }
}

fn http_date(moment: Moment) -> String {
    let beginning: Timestamp = BEGINNING.parse().expect("a time");
    let time = beginning.checked_add(moment).expect("this century");
    httpdate::fmt_http_date(std::time::SystemTime::from(time))
}
