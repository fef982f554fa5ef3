//! A tenant in memory, with a log of what was written and trouble that everybody meets.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use super::id;
use crate::api::sign_in::SignInError;
use crate::api::{Answer, ApiRequest, Loss, LossKind, TokenGeneration, Transport};
use crate::model::{DeviceValue, MachineId};
use crate::sandbox::in_memory::{InMemory, change_of, is_success, machines_of};
use crate::sandbox::{SandboxDeviceValue, SandboxMachine, SandboxSettings};

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

#[derive(Debug, Default)]
struct Log {
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
    /// It takes so long for the first token.
    SignInTakes(Duration),
    /// It does, and there is no token.
    NoToken(SignInError),
    /// This comes back.
    Answer(Answer),
    /// This comes back to whoever does not read the list.
    ToWriters(Answer),
}

/// The tenant.
#[derive(Debug)]
pub(super) struct Service {
    tenant: InMemory,
    /// How many machines it has.
    machines: u32,
    log: Mutex<Log>,
}

impl Service {
    /// A tenant with the machines 1 to `machines`, which takes tags that differ in case alone for one.
    pub(super) fn holding(machines: u32) -> Arc<Self> {
        let described = (1..=machines).map(|number| SandboxMachine::new(id(number).to_string())).collect();
        let settings = SandboxSettings {
            machines: described,
            quotas: Vec::new(),
            latency: LATENCY..=LATENCY,
            ignores_case: true,
            ..SandboxSettings::default()
        };
        Arc::new(Self { tenant: InMemory::new(settings), machines, log: Mutex::default() })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("a log")
    }

    /// Changes a machine as somebody else would.
    pub(super) fn change(&self, number: u32, change: impl FnOnce(&mut Machine)) {
        let mut machine = self.machine(number);
        change(&mut machine);
        self.tenant.change(&id(number), |described| {
            described.tags = machine.tags.into_iter().collect();
            described.device_value = SandboxDeviceValue::parse(machine.value.as_str()).expect("one of three");
        });
    }

    /// From now on everybody meets this, or nothing any more.
    pub(super) fn is_in_trouble(&self, trouble: impl Into<Option<Trouble>>) {
        self.log().trouble = trouble.into();
    }

    fn trouble(&self) -> Option<Trouble> {
        self.log().trouble.clone()
    }

    /// Has a machine be called so.
    pub(super) fn call(&self, number: u32, name: &str) {
        self.tenant.change(&id(number), |machine| machine.computer_dns_name = Some(name.to_owned()));
    }

    /// Keeps a machine out of the list, or puts it there.
    pub(super) fn list(&self, number: u32, is_listed: bool) {
        self.tenant.change(&id(number), |machine| machine.listed = is_listed);
    }

    /// Its list lags behind writes for so long.
    pub(super) fn lag(&self, lag: Duration) {
        self.tenant.service().set_list_lag(lag);
    }

    pub(super) fn machine(&self, number: u32) -> Machine {
        let machine = id(number);
        Machine { tags: self.tenant.machine(&machine).tags.into_iter().collect(), value: self.tenant.value(&machine) }
    }

    /// How many machines have this tag.
    pub(super) fn tagged(&self, tag: &str) -> usize {
        (1..=self.machines).filter(|number| self.tenant.has_tag(&id(*number), tag)).count()
    }

    /// What was written, in order.
    pub(super) fn writes(&self) -> Vec<(MachineId, String)> {
        self.log().writes.clone()
    }

    /// How often the list was read.
    pub(super) fn reads(&self) -> u32 {
        self.log().reads
    }
}

#[async_trait]
impl Transport for Service {
    async fn prepare(&self) -> Result<(), SignInError> {
        match self.trouble() {
            Some(Trouble::SignInHangs) => std::future::pending().await,
            Some(Trouble::NoToken(error)) => Err(error),
            Some(Trouble::SignInTakes(time)) => {
                tokio::time::sleep(time).await;
                self.log().trouble = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        match self.trouble() {
            Some(Trouble::Hangs) => {
                tokio::time::sleep(request.time_out()).await;
                let loss = Loss { kind: LossKind::TimedOut, description: "no answer in time".to_owned() };
                return Ok((Answer::Lost(loss), TokenGeneration(0)));
            }
            Some(Trouble::Answer(answer)) => {
                tokio::time::sleep(LATENCY / 2).await;
                return Ok((answer, TokenGeneration(0)));
            }
            Some(Trouble::ToWriters(answer)) if !matches!(request, ApiRequest::ListMachines { .. }) => {
                tokio::time::sleep(LATENCY / 2).await;
                return Ok((answer, TokenGeneration(0)));
            }
            _ => {}
        }
        let (answer, token) = self.tenant.send(request).await?;
        match request {
            ApiRequest::ListMachines { skip, .. } => self.log().reads += u32::from(*skip == 0),
            ApiRequest::GetMachine { .. } => {}
            request if is_success(&answer) => {
                let machines = machines_of(request).into_iter().map(|machine| (machine, change_of(request)));
                self.log().writes.extend(machines);
            }
            _ => {}
        }
        Ok((answer, token))
    }

    async fn renew(&self, refused: TokenGeneration) -> Result<(), SignInError> {
        self.tenant.renew(refused).await
    }
}
