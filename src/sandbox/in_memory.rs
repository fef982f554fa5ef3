//! The service behind a transport in memory, under virtual time: for tests of the rooms that make calls.
//!
//! It answers as the service does. What judges a run, its own windows and its log of what truly happened, stands around
//! it in each test and believes nothing but what it has seen itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use super::reaction::{Delivery, Reaction};
use super::service::{Head, Service};
use super::{Arrival, SandboxDeviceValue, SandboxMachine, SandboxSettings};
use crate::api::sign_in::SignInError;
use crate::api::{Answer, ApiRequest, Loss, LossKind, Method, Response, TokenGeneration, Transport};
use crate::model::{DeviceValue, MachineId, TagAction};
use crate::sandbox::sign_in::Applicant;

/// When every such service begins, by a clock that is right.
const BEGINNING: &str = "2026-03-01T12:00:00Z";

/// A service in memory. It keeps no quota unless its settings name one, and its tokens live as long as any test.
#[derive(Debug)]
pub(crate) struct InMemory {
    began: Instant,
    beginning: Timestamp,
    service: Mutex<Service>,
    token: Mutex<(u64, String)>,
}

impl InMemory {
    /// A service with these settings, which begins now.
    pub(crate) fn new(settings: SandboxSettings) -> Self {
        let beginning = BEGINNING.parse().expect("a time");
        let settings = SandboxSettings { token_lifetime: Duration::from_hours(8784), ..settings };
        let now = Arrival { uptime: Duration::ZERO, wall: beginning };
        let mut service = Service::new(settings, "http://memory.example".to_owned(), now).expect("settings in range");
        let token = service.issue_token(APPLICANT, now);
        Self { began: Instant::now(), beginning, service: Mutex::new(service), token: Mutex::new((0, token)) }
    }

    /// Settings of a tenant in which every id comes into being as it is named, without a quota.
    pub(crate) fn of_anybody() -> SandboxSettings {
        SandboxSettings { any_machine: true, quotas: Vec::new(), ..SandboxSettings::default() }
    }

    /// The service itself, to look at, to script and to change.
    pub(crate) fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().expect("nobody panicked")
    }

    /// Other settings from now on, of those that matter after the beginning.
    pub(crate) fn adjust(&self, change: impl FnOnce(&mut SandboxSettings)) {
        change(&mut self.service().settings);
    }

    /// How long the service has been there.
    pub(crate) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    fn now(&self) -> Arrival {
        let uptime = self.uptime();
        Arrival { uptime, wall: self.beginning.checked_add(uptime).expect("this century") }
    }

    /// Makes a machine so, as somebody else would, or puts it there.
    pub(crate) fn put(&self, machine: SandboxMachine) {
        let now = self.now();
        self.service().put(machine, now);
    }

    /// Changes a machine as somebody else would; one that is not there yet comes into being.
    pub(crate) fn change(&self, machine: &MachineId, change: impl FnOnce(&mut SandboxMachine)) {
        let mut described = self.machine(machine);
        change(&mut described);
        self.put(described);
    }

    /// A machine as it is now; one that nobody has heard of has nothing.
    pub(crate) fn machine(&self, machine: &MachineId) -> SandboxMachine {
        let id = machine.to_string();
        self.service().machine(&id).unwrap_or_else(|| SandboxMachine::new(id))
    }

    /// Whether a machine has exactly this tag now.
    pub(crate) fn has_tag(&self, machine: &MachineId, tag: &str) -> bool {
        self.machine(machine).tags.iter().any(|held| held == tag)
    }

    /// The device value of a machine now.
    pub(crate) fn value(&self, machine: &MachineId) -> DeviceValue {
        match self.machine(machine).device_value {
            SandboxDeviceValue::Low => DeviceValue::Low,
            SandboxDeviceValue::Normal => DeviceValue::Normal,
            SandboxDeviceValue::High => DeviceValue::High,
        }
    }

    /// What the machines that have something have, by their ids.
    pub(crate) fn held(&self) -> BTreeMap<String, (BTreeSet<String>, &'static str)> {
        let service = self.service();
        let machines = service.machine_ids().into_iter().filter_map(|id| service.machine(&id));
        let held = machines.map(|machine| {
            (machine.id, (machine.tags.into_iter().collect::<BTreeSet<_>>(), machine.device_value.name()))
        });
        held.filter(|(_, (tags, value))| !tags.is_empty() || *value != "Normal").collect()
    }

    /// What the service makes of a request that arrives now, at once.
    pub(crate) fn serve(&self, request: &ApiRequest) -> Answer {
        let token = self.token.lock().expect("nobody panicked").1.clone();
        let now = self.now();
        let (method, target, body) = wire(request);
        let reaction = self.service().serve(&head(method, &target, &token), body.as_bytes(), now);
        answer(reaction)
    }
}

const APPLICANT: Applicant<'_> = Applicant { tenant: "tenant", client_id: "app", audience: "memory", is_person: false };

fn wire(request: &ApiRequest) -> (&'static str, String, String) {
    let method = match request.method() {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    (method, format!("/{}", request.path()), request.body())
}

const fn head<'text>(method: &'text str, target: &'text str, token: &'text str) -> Head<'text> {
    Head { method, target, bearer: Some(token), content_type: Some("application/json") }
}

/// What a client takes from what the service sends.
fn answer(reaction: Reaction) -> Answer {
    let lost = |kind| Answer::Lost(Loss { kind, description: "in memory".to_owned() });
    match reaction.delivery {
        Delivery::Whole => {
            let header = |name| reaction.answer.header(name).map(str::to_owned);
            let (retry_after, request_id) = (header("retry-after"), header("request-id"));
            let (status, body) = (reaction.answer.status, reaction.answer.body);
            Answer::Response(Response { status, retry_after, request_id, body, ..Response::default() })
        }
        Delivery::After(_) => lost(LossKind::TimedOut),
        Delivery::Reset | Delivery::Closed => lost(LossKind::ConnectionLost),
        Delivery::Half => lost(LossKind::Truncated),
    }
}

#[async_trait]
impl Transport for InMemory {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        let (generation, token) = self.token.lock().expect("nobody panicked").clone();
        let (method, target, body) = wire(request);
        let call = self.service().arrive(&head(method, &target, &token), self.now());
        // Half of the way there, and half of it back.
        let way = call.latency() / 2;
        tokio::time::sleep(way).await;
        let reaction = self.service().answer(&call, Some(body.as_bytes()));
        tokio::time::sleep(way).await;
        if let Delivery::After(_) = reaction.delivery {
            tokio::time::sleep(request.time_out()).await;
        }
        Ok((answer(reaction), TokenGeneration(generation)))
    }

    async fn renew(&self, refused: TokenGeneration) -> Result<(), SignInError> {
        let now = self.now();
        let mut token = self.token.lock().expect("nobody panicked");
        if token.0 == refused.0 {
            *token = (token.0 + 1, self.service().issue_token(APPLICANT, now));
        }
        Ok(())
    }
}

/// The machines of a call.
pub(crate) fn machines_of(request: &ApiRequest) -> Vec<MachineId> {
    match request {
        ApiRequest::ChangeTagOnMachines { machines, .. } => machines.clone(),
        request => request.machine().into_iter().cloned().collect(),
    }
}

/// The tag that a call adds or removes, if it is about one.
pub(crate) fn tag_of(request: &ApiRequest) -> Option<(TagAction, &str)> {
    match request {
        ApiRequest::ChangeTag { action, tag, .. } | ApiRequest::ChangeTagOnMachines { action, tag, .. } => {
            Some((*action, tag.as_str()))
        }
        _ => None,
    }
}

/// What a call asks of each machine, as a key; of a read, nothing.
pub(crate) fn change_of(request: &ApiRequest) -> String {
    match (tag_of(request), request) {
        (Some((action, tag)), _) => format!("{} {tag}", action.as_str()),
        (None, ApiRequest::SetDeviceValue { value, .. }) => value.to_string(),
        _ => String::new(),
    }
}

/// Whether an answer is a success.
pub(crate) fn is_success(answer: &Answer) -> bool {
    matches!(answer, Answer::Response(response) if response.status == 200)
}
