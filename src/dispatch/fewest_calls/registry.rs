//! A service in memory that keeps no quota and makes no mistake: all that it ever refuses is dead machines.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;

use crate::api::sign_in::SignInError;
use crate::api::{Answer, ApiRequest, Response, TokenGeneration, Transport};
use crate::model::{DeviceValue, MachineId, TagAction};

/// What the refusal of a bulk call names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Every dead machine in it.
    All,
    /// The first of them.
    One,
    /// None of them.
    Nobody,
}

impl Naming {
    pub(super) const EVERY: [Self; 3] = [Self::All, Self::One, Self::Nobody];
}

/// The service.
#[derive(Debug)]
pub(super) struct Registry {
    /// Machines that every write calls unknown.
    pub(super) dead: BTreeSet<MachineId>,
    pub(super) naming: Naming,
    /// The status of a bulk call that is refused.
    pub(super) refusal: u16,
    /// Tags that machines are to get; before a machine has all of them, none may be taken off.
    pub(super) to_be_added: BTreeMap<MachineId, BTreeSet<String>>,
    /// How long an answer takes, in milliseconds; what is done is done at the end of it.
    pub(super) latency: RangeInclusive<u64>,
    pub(super) random: Mutex<fastrand::Rng>,
    pub(super) books: Mutex<Books>,
}

/// What the service has done, and what was wrong with what it was asked.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) bulk_calls: u64,
    pub(super) single_calls: u64,
    pub(super) value_calls: u64,
    pub(super) tags: BTreeMap<MachineId, BTreeSet<String>>,
    pub(super) values: BTreeMap<MachineId, DeviceValue>,
    pub(super) violations: Vec<String>,
}

impl Books {
    /// Calls about tags.
    pub(super) const fn tag_calls(&self) -> u64 {
        self.bulk_calls + self.single_calls
    }
}

impl Registry {
    fn answer(&self, request: &ApiRequest) -> Response {
        let machines = match request {
            ApiRequest::ChangeTagOnMachines { machines, .. } => machines.clone(),
            request => request.machine().into_iter().cloned().collect(),
        };
        let mut books = self.books.lock().expect("books");
        match request {
            ApiRequest::ChangeTagOnMachines { .. } => books.bulk_calls += 1,
            ApiRequest::ChangeTag { .. } => books.single_calls += 1,
            _ => books.value_calls += 1,
        }
        let different: BTreeSet<&MachineId> = machines.iter().collect();
        if different.len() < machines.len() || machines.len() > 500 {
            books.violations.push(format!("{} machines, {} different ones", machines.len(), different.len()));
        }
        let dead: Vec<String> =
            machines.iter().filter(|machine| self.dead.contains(machine)).map(ToString::to_string).collect();
        if !dead.is_empty() {
            return self.refusal(machines.len(), &dead);
        }
        for machine in &machines {
            self.change(&mut books, machine, request);
        }
        let shown: Vec<_> = machines.iter().map(|machine| books.show(machine)).collect();
        match (request, shown.as_slice()) {
            (ApiRequest::ChangeTagOnMachines { .. }, shown) => response(200, &serde_json::json!({"value": shown})),
            (_, shown) => response(200, &shown[0]),
        }
    }

    fn refusal(&self, machines: usize, dead: &[String]) -> Response {
        let named = match (machines, self.naming) {
            (1, _) | (_, Naming::Nobody) => String::new(),
            (_, Naming::All) => dead.join(", "),
            (_, Naming::One) => dead[0].clone(),
        };
        let status = if machines == 1 { 404 } else { self.refusal };
        let message = format!("not found: {named}");
        response(status, &serde_json::json!({"error": {"code": "ResourceNotFound", "message": message}}))
    }

    fn change(&self, books: &mut Books, machine: &MachineId, request: &ApiRequest) {
        match request {
            ApiRequest::ChangeTag { action, tag, .. } | ApiRequest::ChangeTagOnMachines { action, tag, .. } => {
                let tags = books.tags.entry(machine.clone()).or_default();
                match action {
                    TagAction::Add => drop(tags.insert(tag.to_string())),
                    TagAction::Remove => {
                        let has_all = self.to_be_added.get(machine).is_none_or(|wanted| wanted.is_subset(tags));
                        tags.remove(tag.as_str());
                        if !has_all {
                            books.violations.push(format!("{machine} lost {tag} before it got its new tags"));
                        }
                    }
                }
            }
            ApiRequest::SetDeviceValue { value, .. } => drop(books.values.insert(machine.clone(), *value)),
            ApiRequest::ListMachines { .. } | ApiRequest::GetMachine { .. } => {}
        }
    }
}

impl Books {
    fn show(&self, machine: &MachineId) -> serde_json::Value {
        let tags: Vec<&String> = self.tags.get(machine).into_iter().flatten().collect();
        let value = self.values.get(machine).copied().unwrap_or(DeviceValue::Normal);
        serde_json::json!({"id": machine.to_string(), "machineTags": tags, "deviceValue": value.as_str()})
    }
}

fn response(status: u16, body: &serde_json::Value) -> Response {
    Response { status, body: body.to_string().into_bytes(), ..Response::default() }
}

#[async_trait]
impl Transport for Registry {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        let milliseconds = self.random.lock().expect("a seed").u64(self.latency.clone());
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        Ok((Answer::Response(self.answer(request)), TokenGeneration(0)))
    }

    async fn renew(&self, _refused: TokenGeneration) -> Result<(), SignInError> {
        Ok(())
    }
}
