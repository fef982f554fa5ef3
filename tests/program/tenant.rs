//! A tenant of the simulated API behind a [`StandIn`], for what `tagfleet sandbox` cannot be asked to hold: names that several
//! machines bear, tags from the beginning, answers by script.
//!
//! ```ignore
//! let tenant = Tenant::of([machine(1).named("web1.contoso.example").tagged("Tier 0")]);
//! let server = tenant.serve();
//! ```

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tagfleet::sandbox::{
    Arrival, CallKind, DeadNaming, Head, Mishap, SandboxDeviceValue, SandboxMachine, SandboxSettings, Service,
};

use crate::machines::id;
use crate::stand_in::{Reply, Request, StandIn};

/// Calls that change something.
pub(crate) const WRITES: [CallKind; 3] = [CallKind::Bulk, CallKind::Tags, CallKind::Value];

/// A machine of a [`Tenant`].
#[derive(Clone, Debug)]
pub(crate) struct TenantMachine {
    described: SandboxMachine,
    /// Fields that are shown so whatever the machine has.
    shown: Vec<(&'static str, &'static str)>,
}

/// Machine number so-and-so: a living workstation without tags, of the value Normal.
pub(crate) fn machine(number: u32) -> TenantMachine {
    let described = SandboxMachine {
        computer_dns_name: Some(format!("pc{number}.contoso.example")),
        last_seen: "2026-03-01T08:00:00Z".parse().ok(),
        group: Some("Workstations".to_owned()),
        os_platform: Some("Windows11".to_owned()),
        ..SandboxMachine::new(id(number))
    };
    TenantMachine { described, shown: Vec::new() }
}

impl TenantMachine {
    fn with(mut self, change: impl FnOnce(&mut SandboxMachine)) -> Self {
        change(&mut self.described);
        self
    }

    /// With this computer DNS name.
    pub(crate) fn named(self, name: &str) -> Self {
        self.with(|machine| machine.computer_dns_name = Some(name.to_owned()))
    }

    /// With this id.
    pub(crate) fn with_id(self, id: &str) -> Self {
        self.with(|machine| id.clone_into(&mut machine.id))
    }

    /// With this id in the directory.
    pub(crate) fn of_device(self, device: &str) -> Self {
        self.with(|machine| machine.aad_device_id = Some(device.to_owned()))
    }

    /// Last seen then.
    pub(crate) fn seen(self, last_seen: &str) -> Self {
        self.with(|machine| machine.last_seen = Some(last_seen.parse().expect("a time")))
    }

    /// In this machine group.
    pub(crate) fn in_group(self, group: &str) -> Self {
        self.with(|machine| machine.group = Some(group.to_owned()))
    }

    /// With this operating system.
    pub(crate) fn running(self, platform: &str) -> Self {
        self.with(|machine| machine.os_platform = Some(platform.to_owned()))
    }

    /// With this tag as well.
    pub(crate) fn tagged(self, tag: &str) -> Self {
        self.with(|machine| machine.tags.push(tag.to_owned()))
    }

    /// With this device value.
    pub(crate) fn valued(self, value: &str) -> Self {
        use SandboxDeviceValue::{High, Low, Normal};
        let value = [Low, Normal, High].into_iter().find(|one| format!("{one:?}") == value).expect("one of three");
        self.with(|machine| machine.device_value = value)
    }

    /// Shown with this in a field, whatever the machine has.
    pub(crate) fn showing(mut self, field: &'static str, text: &'static str) -> Self {
        self.shown.push((field, text));
        self
    }

    /// Asset rules hold it: it takes every write and stays as it is.
    pub(crate) fn held(self) -> Self {
        self.with(|machine| machine.held_by_rule = true)
    }

    /// Every write calls it unknown.
    pub(crate) fn dead(self) -> Self {
        self.with(|machine| machine.dead = true)
    }

    /// The list does not show it.
    pub(crate) fn unlisted(self) -> Self {
        self.with(|machine| machine.listed = false)
    }
}

/// A tenant of the simulated API; its copies are one and the same.
#[derive(Clone)]
pub(crate) struct Tenant {
    service: Arc<Mutex<Service>>,
    began: Instant,
    token: String,
    /// Fields that are shown otherwise, by the ids of their machines.
    shown: Arc<Vec<(String, &'static str, &'static str)>>,
}

impl Tenant {
    /// A tenant of these machines.
    pub(crate) fn of(machines: impl IntoIterator<Item = TenantMachine>) -> Self {
        Self::with(machines, SandboxSettings::default())
    }

    /// Its list goes on to show the machines as they are now.
    pub(crate) fn with_lagging_list(self) -> Self {
        self.service().set_list_lag(Duration::from_hours(24));
        self
    }

    /// A tenant of these machines whose service takes tags that differ in case for one.
    pub(crate) fn ignoring_case(machines: impl IntoIterator<Item = TenantMachine>) -> Self {
        Self::with(machines, SandboxSettings { ignores_case: true, ..SandboxSettings::default() })
    }

    /// A tenant of these machines whose refusals of bulk calls name nobody.
    pub(crate) fn naming_nobody(machines: impl IntoIterator<Item = TenantMachine>) -> Self {
        Self::with(machines, SandboxSettings { dead_naming: DeadNaming::Absent, ..SandboxSettings::default() })
    }

    fn with(machines: impl IntoIterator<Item = TenantMachine>, settings: SandboxSettings) -> Self {
        let (mut described, mut shown) = (Vec::new(), Vec::new());
        for machine in machines {
            shown.extend(machine.shown.into_iter().map(|(field, text)| (machine.described.id.clone(), field, text)));
            described.push(machine.described);
        }
        let settings = SandboxSettings { machines: described, quotas: Vec::new(), ..settings };
        let began = Instant::now();
        let mut service = Service::new(settings, "http://tenant.example".to_owned(), now(began)).expect("a tenant");
        let form = "grant_type=client_credentials&client_id=a&client_secret=b&scope=c/.default";
        let head = Head {
            method: "POST",
            target: "/tests/oauth2/v2.0/token",
            bearer: None,
            content_type: Some("application/x-www-form-urlencoded"),
        };
        let grant = service.serve(&head, form.as_bytes(), now(began)).answer.body;
        let grant: Value = serde_json::from_slice(&grant).expect("JSON");
        let token = grant["access_token"].as_str().expect("a token").to_owned();
        Self { service: Arc::new(Mutex::new(service)), began, token, shown: Arc::new(shown) }
    }

    fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().expect("no server panics")
    }

    /// The tags, sorted, and the value that a machine has now.
    pub(crate) fn holds(&self, number: u32) -> (Vec<String>, String) {
        let mut machine = self.service().machine(&id(number)).expect("a machine of the tenant");
        machine.tags.sort();
        (machine.tags, format!("{:?}", machine.device_value))
    }

    /// Serves it.
    pub(crate) fn serve(&self) -> StandIn {
        self.serve_unless(|_request| None)
    }

    /// Serves it, and lets this go wrong.
    pub(crate) fn serve_with(&self, mishaps: impl IntoIterator<Item = Mishap>) -> StandIn {
        self.service().script().extend(mishaps);
        self.serve()
    }

    /// Serves it; what `otherwise` answers, it answers in place of the tenant.
    pub(crate) fn serve_unless(
        &self,
        otherwise: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> StandIn {
        let tenant = self.clone();
        StandIn::answering(move |request| otherwise(request).unwrap_or_else(|| tenant.answer(request)))
    }

    /// What the API answers.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        let head = Head {
            method: &request.method,
            target: &request.path,
            bearer: Some(&self.token),
            content_type: Some("application/json"),
        };
        let answer = self.service().serve(&head, request.body.as_bytes(), now(self.began)).answer;
        Reply::json(answer.status, self.shown_otherwise(&answer.body))
    }

    /// A body with the fields that are to be shown otherwise.
    fn shown_otherwise(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body).into_owned();
        let Some(mut object) = serde_json::from_str::<Value>(&text).ok().filter(|_| !self.shown.is_empty()) else {
            return text;
        };
        for (id, field, text) in self.shown.iter() {
            let list = object["value"].as_array_mut();
            for machine in list.into_iter().flatten().filter(|machine| machine["id"] == **id) {
                machine[*field] = Value::from(*text);
            }
        }
        object.to_string()
    }
}

fn now(began: Instant) -> Arrival {
    Arrival { uptime: began.elapsed(), wall: jiff::Timestamp::now() }
}

/// A body that says what is wrong.
pub(crate) fn error(code: &str, message: &str) -> String {
    json!({"error": {"code": code, "message": message, "target": "t"}}).to_string()
}

/// How many machines each bulk call of a server had, in the order in which they came.
pub(crate) fn bulk_sizes(server: &StandIn) -> Vec<usize> {
    let sizes = server.requests().into_iter().filter(|request| request.path.contains("AddOrRemove")).map(|request| {
        let body: Value = serde_json::from_str(&request.body).expect("JSON");
        body["MachineIds"].as_array().expect("ids").len()
    });
    sizes.collect()
}
