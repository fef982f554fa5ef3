//! A tenant in memory: machines with tags and a device value, a list of them, and a log of what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::id;
use crate::api::sign_in::SignInError;
use crate::api::{Answer, ApiRequest, Loss, LossKind, Response, TokenGeneration, Transport};
use crate::model::{DeviceValue, MachineId, TagAction};

/// How long every call takes.
const LATENCY: Duration = Duration::from_millis(100);

/// What a machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) tags: BTreeSet<String>,
    pub(super) value: DeviceValue,
}

impl Machine {
    /// Adds a tag.
    pub(super) fn tag(&mut self, tag: &str) {
        self.tags.insert(tag.to_owned());
    }
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
    trouble: Option<Trouble>,
}

/// What everybody meets who calls.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// There is no answer.
    Hangs,
    /// The sign-in service does not answer.
    SignInHangs,
    /// It does, and there is no token.
    NoToken(SignInError),
    /// This comes back.
    Answer(Answer),
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

    /// From now on everybody meets this.
    pub(super) fn is_in_trouble(&self, trouble: Trouble) {
        self.0.lock().expect("contents").trouble = Some(trouble);
    }

    fn trouble(&self) -> Option<Trouble> {
        self.0.lock().expect("contents").trouble.clone()
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
        match self.trouble() {
            Some(Trouble::SignInHangs) => std::future::pending().await,
            Some(Trouble::NoToken(error)) => Err(error),
            _ => Ok(()),
        }
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        tokio::time::sleep(LATENCY / 2).await;
        match self.trouble() {
            Some(Trouble::Hangs) => {
                tokio::time::sleep(request.time_out()).await;
                let loss = Loss { kind: LossKind::TimedOut, description: "no answer in time".to_owned() };
                return Ok((Answer::Lost(loss), TokenGeneration(0)));
            }
            Some(Trouble::Answer(answer)) => return Ok((answer, TokenGeneration(0))),
            _ => {}
        }
        let answer = self.0.lock().expect("contents").answer(request);
        tokio::time::sleep(LATENCY / 2).await;
        Ok((answer, TokenGeneration(0)))
    }

    async fn renew(&self, _refused: TokenGeneration) -> Result<(), SignInError> {
        Ok(())
    }
}
