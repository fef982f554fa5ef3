//! A tenant in memory: machines with tags and a device value, a list of them, and a log of what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::id;
use crate::api::sign_in::SignInError;
use crate::api::{Answer, ApiRequest, Response, TokenGeneration, Transport};
use crate::model::{DeviceValue, MachineId, TagAction};

/// How long every call takes.
const LATENCY: Duration = Duration::from_millis(100);

/// What a machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) tags: BTreeSet<String>,
    pub(super) value: DeviceValue,
}

impl Default for Machine {
    fn default() -> Self {
        Self { tags: BTreeSet::new(), value: DeviceValue::Normal }
    }
}

#[derive(Debug, Default)]
struct Contents {
    machines: BTreeMap<MachineId, Machine>,
    /// Machines that the list does not show.
    unlisted: BTreeSet<MachineId>,
    writes: Vec<(MachineId, String)>,
    reads: u32,
}

/// The tenant.
#[derive(Debug)]
pub(super) struct Service(Mutex<Contents>);

impl Service {
    /// A tenant with the machines 1 to `machines`.
    pub(super) fn holding(machines: u32) -> Arc<Self> {
        let machines = (1..=machines).map(|number| (id(number), Machine::default())).collect();
        Arc::new(Self(Mutex::new(Contents { machines, ..Contents::default() })))
    }

    /// Changes a machine as somebody else would.
    pub(super) fn change(&self, number: u32, change: impl FnOnce(&mut Machine)) {
        change(self.0.lock().expect("contents").machines.entry(id(number)).or_default());
    }

    /// Keeps a machine out of the list, or puts it there.
    pub(super) fn list(&self, number: u32, is_listed: bool) {
        let mut contents = self.0.lock().expect("contents");
        if is_listed {
            contents.unlisted.remove(&id(number))
        } else {
            contents.unlisted.insert(id(number))
        };
    }

    pub(super) fn machine(&self, number: u32) -> Machine {
        self.0.lock().expect("contents").machines[&id(number)].clone()
    }

    /// How many machines have this tag.
    pub(super) fn tagged(&self, tag: &str) -> usize {
        self.0.lock().expect("contents").machines.values().filter(|machine| machine.tags.contains(tag)).count()
    }

    /// What was written, in order.
    pub(super) fn writes(&self) -> Vec<(MachineId, String)> {
        self.0.lock().expect("contents").writes.clone()
    }

    /// How often the list was read.
    pub(super) fn reads(&self) -> u32 {
        self.0.lock().expect("contents").reads
    }
}

impl Contents {
    fn answer(&mut self, request: &ApiRequest) -> Answer {
        match request {
            ApiRequest::ListMachines { skip, .. } => {
                self.reads += u32::from(*skip == 0);
                let listed = self.machines.keys().filter(|machine| !self.unlisted.contains(machine));
                let page: Vec<_> =
                    listed.skip(usize::try_from(*skip).expect("few")).map(|machine| self.document(machine)).collect();
                response(200, &json!({ "value": page }))
            }
            ApiRequest::GetMachine { machine } => response(200, &self.document(machine)),
            ApiRequest::ChangeTag { machine, action, tag } => {
                self.writes.push((machine.clone(), format!("{} {tag}", action.as_str())));
                let tags = &mut self.machines.entry(machine.clone()).or_default().tags;
                match action {
                    TagAction::Add => tags.insert(tag.to_string()),
                    TagAction::Remove => tags.remove(tag.as_str()),
                };
                response(200, &self.document(machine))
            }
            ApiRequest::SetDeviceValue { machine, value } => {
                self.writes.push((machine.clone(), value.to_string()));
                self.machines.entry(machine.clone()).or_default().value = *value;
                response(200, &self.document(machine))
            }
            ApiRequest::ChangeTagOnMachines { .. } => panic!("{request:?}"),
        }
    }

    fn document(&self, machine: &MachineId) -> serde_json::Value {
        let held = self.machines.get(machine).cloned().unwrap_or_default();
        json!({"id": machine.to_string(), "machineTags": held.tags, "deviceValue": held.value.as_str()})
    }
}

fn response(status: u16, body: &serde_json::Value) -> Answer {
    Answer::Response(Response { status, body: body.to_string().into_bytes(), ..Response::default() })
}

#[async_trait]
impl Transport for Service {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        tokio::time::sleep(LATENCY / 2).await;
        let answer = self.0.lock().expect("contents").answer(request);
        tokio::time::sleep(LATENCY / 2).await;
        Ok((answer, TokenGeneration(0)))
    }

    async fn renew(&self, _refused: TokenGeneration) -> Result<(), SignInError> {
        Ok(())
    }
}
