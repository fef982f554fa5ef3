//! The service in memory, and its auditor: the sandbox answers, the auditor keeps windows of his own and notes everything.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;

use super::faults::{Effect, Fault, response};
use super::history::{Habits, Machine, Nature};
use super::line::Letter;
use super::rules_file::is_grouped;
use super::truth::{CallNumber, Content, Event, Log, MachineNumber, Moment, Reply, Slot, Wish};
use crate::api::{Answer, ApiRequest, Response};
use crate::model::{DeviceValue, MachineId, TagAction};
use crate::quota::Quota;
use crate::sandbox::in_memory::{InMemory, is_success};
use crate::sandbox::{CallKind, Mishap, SandboxDeviceValue, SandboxMachine, SandboxSettings};

/// When every history begins, by a clock that is right.
pub(super) const BEGINNING: &str = "2026-05-01T00:00:00Z";

/// A service and its tenant: the sandbox's, with an auditor who keeps windows of his own and notes what truly happens.
pub(super) struct Service {
    pub(super) habits: Habits,
    quota: Quota,
    tenant: InMemory,
    /// Machines that take everything and stay as they are.
    stubborn: BTreeSet<MachineNumber>,
    state: Mutex<State>,
}

/// What changes.
pub(super) struct State {
    pub(super) log: Log,
    /// Of reads, single tag calls, device values, and bulk tag calls.
    arrivals: [Vec<Moment>; 4],
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
    pub(super) fn new(habits: Habits, machines: &[Machine]) -> Self {
        let mut log = Log::default();
        for (number, machine) in machines.iter().enumerate() {
            log.initial.insert(Slot { machine: number, tag: None }, Content::Value(machine.value));
            for tag in &machine.tags {
                let slot = Slot { machine: number, tag: Some(tag.to_lowercase()) };
                log.initial.insert(slot, Content::Tag([tag.clone()].into()));
            }
        }
        let quota = habits.quota.parse().expect("a quota");
        let numbered = || machines.iter().enumerate();
        let stubborn = numbered().filter(|(_, machine)| machine.nature == Nature::Stubborn);
        let stubborn = stubborn.map(|(number, _)| number).collect();
        let script = numbered().filter_map(|(number, machine)| mishap(number, machine.nature)).collect();
        let described = numbered().map(|(number, machine)| described(number, machine)).collect();
        let tenant = InMemory::new(SandboxSettings {
            quotas: Vec::new(),
            machines: described,
            script,
            dead_naming: habits.naming,
            bulk_forbidden: habits.forbids_bulk,
            bulk_limit: habits.batch_limit,
            maximum_page: habits.page_machines,
            list_lag: habits.list_lag,
            ignores_case: !habits.tells_case_apart,
            ..SandboxSettings::default()
        });
        let state = Mutex::new(State { log, arrivals: Default::default(), token: 0 });
        Self { habits, quota, tenant, stubborn, state }
    }

    pub(super) fn now(&self) -> Moment {
        self.tenant.uptime()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    /// Somebody else changes something.
    pub(super) fn change_by_others(&self, machine: MachineNumber, wish: &Wish) {
        let slot = wish.slot(machine);
        let before = self.content(&slot);
        let after = wish.carried_out(&before, self.habits.tells_case_apart);
        self.tenant.change(&id_of(machine), |machine| match &after {
            Content::Value(value) => machine.device_value = sandbox_value(*value),
            Content::Tag(forms) => {
                machine.tags.retain(|tag| Some(tag.to_lowercase()) != slot.tag);
                machine.tags.extend(forms.iter().cloned());
            }
        });
        let now = self.now();
        self.state().log.note(now, Event::Applied { slot, before, after, call: None });
    }

    pub(super) fn list(&self, machine: MachineNumber, is_listed: bool) {
        self.tenant.change(&id_of(machine), |machine| machine.listed = is_listed);
    }

    /// What the tenant has in a slot now.
    fn content(&self, slot: &Slot) -> Content {
        match &slot.tag {
            None => Content::Value(self.tenant.value(&id_of(slot.machine))),
            Some(tag) => {
                let tags = self.tenant.machine(&id_of(slot.machine)).tags;
                Content::Tag(tags.into_iter().filter(|held| held.to_lowercase() == *tag).collect())
            }
        }
    }

    /// Takes a call in; one that is over the quota is a trespass.
    fn admit(&self, request: &ApiRequest, call: CallNumber) -> Option<Reaction> {
        let now = self.now();
        let mut state = self.state();
        state.log.note(now, Event::Arrived { call });
        let mut is_refused = false;
        let own = place_of(request);
        for limit in self.quota.limits() {
            let inside = |place: usize| {
                let arrivals = state.arrivals[place].iter().rev();
                arrivals.take_while(|arrival| now.saturating_sub(**arrival) <= limit.window).count()
            };
            let is_full = |calls: usize| calls >= limit.calls.get() as usize;
            let together: usize =
                if TAG_CALLS.contains(&own) { TAG_CALLS.map(inside).iter().sum() } else { inside(own) };
            let (is_full_alone, is_full_together) = (is_full(inside(own)), is_full(together));
            let Habits { counts_bulk_apart, finds_out_scope, .. } = self.habits;
            is_refused |= is_full_alone || (is_full_together && !counts_bulk_apart);
            if is_full_alone || (is_full_together && !finds_out_scope) {
                let text = format!("call {call} is over the quota of {limit} for {}", BUCKETS[own]);
                state.log.note(now, Event::Trespass(text));
            } else if is_full_together && !counts_bulk_apart {
                state.log.note(now, Event::Crowded { call });
            }
        }
        state.arrivals[own].push(now);
        is_refused.then(|| throttled(None))
    }

    /// What the service makes of a call that has come.
    pub(super) fn serve(&self, letter: &Letter) -> Reaction {
        if let Some(refusal) = self.admit(&letter.request, letter.call) {
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
        if let Some(fault) = letter.fault.filter(|fault| fault.effect() != Effect::Done)
            && let Some(answer) = fault.answer()
        {
            return fault_reaction(fault, answer);
        }
        let answer = self.carry_out(&letter.request, letter.call);
        match &answer {
            Answer::Response(Response { status: 200, .. }) => self.success(letter, &answer, &mut random),
            Answer::Response(Response { status, .. }) => {
                let reply = if *status >= 500 { Reply::Ambiguous("500") } else { Reply::Refused(*status) };
                Reaction { answer, reply, displayed: Vec::new() }
            }
            Answer::Lost(_) => unreachable!("the tenant loses nothing by itself"),
        }
    }

    /// Has the tenant do what a call asks for, and notes what it has done. What it makes of a slot must be what was asked.
    pub(super) fn carry_out(&self, request: &ApiRequest, call: CallNumber) -> Answer {
        let (wish, machines) = write_of(request);
        let changing = machines.iter().filter(|machine| !self.stubborn.contains(machine));
        let slots = changing.map(|machine| wish.slot(*machine));
        let before: Vec<(Slot, Content)> = slots.map(|slot| (slot.clone(), self.content(&slot))).collect();
        let answer = self.tenant.serve(request);
        if is_success(&answer) {
            let now = self.now();
            for (slot, before) in before {
                let after = self.content(&slot);
                assert_eq!(after, wish.carried_out(&before, self.habits.tells_case_apart), "{wish} in {slot}");
                self.state().log.note(now, Event::Applied { slot, before, after, call: Some(call) });
            }
        }
        answer
    }

    /// The answer to a change that was carried out.
    fn success(&self, letter: &Letter, answer: &Answer, random: &mut fastrand::Rng) -> Reaction {
        if let Some(fault) = letter.fault
            && let Some(answer) = fault.answer()
        {
            let is_acceptance = matches!(fault, Fault::EmptyListDone | Fault::NoContent204Done);
            let reply = if is_acceptance { Reply::Accepted } else { Reply::Ambiguous("done, and not answered") };
            return Reaction { answer, reply, displayed: Vec::new() };
        }
        let mut body = body_of(answer);
        if let (Some(Fault::PartialListDone), Some(list)) = (letter.fault, body["value"].as_array_mut()) {
            let mut position = 0;
            list.retain(|_| {
                position += 1;
                position == 1 || random.bool()
            });
        }
        let (wish, _) = write_of(&letter.request);
        let state = self.state();
        let is_so = |machine: &MachineNumber| wish.holds(&state.log.content(&wish.slot(*machine)));
        let reply = Reply::Shown(shown_in(&body).into_iter().filter(is_so).collect());
        Reaction { answer: response(200, &body.to_string()), reply, displayed: Vec::new() }
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
        let is_list = matches!(request, ApiRequest::ListMachines { .. });
        let lag = if is_list { self.habits.list_lag.mul_f64(random.f64()) } else { Duration::ZERO };
        self.tenant.service().set_list_lag(lag);
        let mut answer = self.tenant.serve(request);
        if !is_success(&answer) {
            // Behind its end, a list may also be empty.
            if is_list && random.bool() {
                answer = response(200, r#"{"value": []}"#);
            }
            return Reaction { answer, reply: Reply::Read, displayed: Vec::new() };
        }
        let (now, state) = (self.now(), self.state());
        let as_of = if is_list { state.log.count_at(now.saturating_sub(lag)) } else { state.log.events.len() };
        let displayed = shown_in(&body_of(&answer)).into_iter().map(|number| (number, as_of)).collect();
        Reaction { answer, reply: Reply::Read, displayed }
    }
}

/// What is counted, each on its own or together with others.
const BUCKETS: [&str; 4] = ["reads", "single tag calls", "device values", "bulk tag calls"];
/// The places of those of which nobody knows whether they count together.
const TAG_CALLS: [usize; 2] = [1, 3];

const fn place_of(request: &ApiRequest) -> usize {
    match request {
        ApiRequest::ListMachines { .. } | ApiRequest::GetMachine { .. } => 0,
        ApiRequest::ChangeTag { .. } => 1,
        ApiRequest::SetDeviceValue { .. } => 2,
        ApiRequest::ChangeTagOnMachines { .. } => 3,
    }
}

/// A machine at the beginning, as the sandbox takes it.
fn described(number: MachineNumber, machine: &Machine) -> SandboxMachine {
    SandboxMachine {
        computer_dns_name: Some(machine_name(number)),
        group: Some(if is_grouped(number) { "Servers" } else { "" }.to_owned()),
        tags: machine.tags.clone(),
        device_value: sandbox_value(machine.value),
        listed: machine.is_listed,
        dead: machine.nature == Nature::Gone,
        held_by_rule: machine.nature == Nature::Stubborn,
        ..SandboxMachine::new(machine_id(number))
    }
}

/// What befalls every write that concerns a machine of this nature.
fn mishap(number: MachineNumber, nature: Nature) -> Option<Mishap> {
    let mishap = match nature {
        Nature::Broken => Mishap::refusing(500, "InternalServerError", "it went wrong"),
        Nature::Protected => Mishap::refusing(403, "DisallowedOperation", "an asset rule stands against it"),
        Nature::Well | Nature::Gone | Nature::Stubborn => return None,
    };
    Some(mishap.on(&[CallKind::Bulk, CallKind::Tags, CallKind::Value]).at(machine_id(number)))
}

fn sandbox_value(value: DeviceValue) -> SandboxDeviceValue {
    SandboxDeviceValue::parse(value.as_str()).expect("one of three")
}

fn id_of(number: MachineNumber) -> MachineId {
    MachineId::from_service(&machine_id(number))
}

fn body_of(answer: &Answer) -> serde_json::Value {
    let Answer::Response(response) = answer else { unreachable!("the tenant loses nothing by itself") };
    serde_json::from_slice(&response.body).expect("JSON")
}

/// The machines that a body shows.
fn shown_in(body: &serde_json::Value) -> Vec<MachineNumber> {
    let list = body["value"].as_array().map_or(std::slice::from_ref(body), Vec::as_slice);
    list.iter().filter_map(|machine| machine_number(&MachineId::from_service(machine["id"].as_str()?))).collect()
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
