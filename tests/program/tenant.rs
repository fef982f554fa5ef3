//! A tenant in memory behind a [`StandIn`], for what the sandbox cannot be asked to hold: names that several machines
//! bear, tags from the beginning, a list that lags for as long as the test lasts.
//!
//! ```ignore
//! let tenant = Tenant::of([machine(1).named("web1.contoso.example").tagged("Tier 0")]);
//! let server = tenant.serve();
//! ```

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::machines::id;
use crate::stand_in::{Reply, Request, StandIn};

/// The most machines on a page of the list, as the API documents it.
const PAGE: usize = 10_000;

/// A machine of a [`Tenant`].
#[derive(Clone, Debug)]
pub(crate) struct TenantMachine {
    id: String,
    name: String,
    last_seen: String,
    group: String,
    platform: String,
    device: Option<String>,
    tags: Vec<String>,
    value: String,
    dead: bool,
    listed: bool,
}

/// Machine number so-and-so: a living workstation without tags, of the value Normal.
pub(crate) fn machine(number: u32) -> TenantMachine {
    TenantMachine {
        id: id(number),
        name: format!("pc{number}.contoso.example"),
        last_seen: "2026-03-01T08:00:00Z".to_owned(),
        group: "Workstations".to_owned(),
        platform: "Windows11".to_owned(),
        device: None,
        tags: Vec::new(),
        value: "Normal".to_owned(),
        dead: false,
        listed: true,
    }
}

impl TenantMachine {
    /// With this computer DNS name.
    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// With this id.
    pub(crate) fn with_id(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }

    /// With this id in the directory.
    pub(crate) fn of_device(self, device: &str) -> Self {
        Self { device: Some(device.to_owned()), ..self }
    }

    /// Last seen then.
    pub(crate) fn seen(self, last_seen: &str) -> Self {
        Self { last_seen: last_seen.to_owned(), ..self }
    }

    /// In this machine group.
    pub(crate) fn in_group(self, group: &str) -> Self {
        Self { group: group.to_owned(), ..self }
    }

    /// With this operating system.
    pub(crate) fn running(self, platform: &str) -> Self {
        Self { platform: platform.to_owned(), ..self }
    }

    /// With this tag as well.
    pub(crate) fn tagged(mut self, tag: &str) -> Self {
        self.tags.push(tag.to_owned());
        self
    }

    /// With this device value.
    pub(crate) fn valued(self, value: &str) -> Self {
        Self { value: value.to_owned(), ..self }
    }

    /// Every write calls it unknown.
    pub(crate) fn dead(self) -> Self {
        Self { dead: true, ..self }
    }

    /// The list does not show it.
    pub(crate) fn unlisted(self) -> Self {
        Self { listed: false, ..self }
    }

    fn shown(&self) -> Value {
        json!({
            "id": self.id,
            "computerDnsName": self.name,
            "lastSeen": self.last_seen,
            "rbacGroupName": self.group,
            "osPlatform": self.platform,
            "aadDeviceId": self.device,
            "machineTags": self.tags,
            "deviceValue": self.value,
        })
    }

    /// Does what a body asks for.
    fn change(&mut self, body: &Value) {
        if let Some(value) = body["DeviceValue"].as_str() {
            value.clone_into(&mut self.value);
        }
        let Some(tag) = body["Value"].as_str() else { return };
        self.tags.retain(|other| other != tag);
        if body["Action"] == "Add" {
            self.tags.push(tag.to_owned());
        }
    }
}

/// A tenant; its copies are one and the same.
#[derive(Clone)]
pub(crate) struct Tenant {
    machines: Arc<Mutex<Vec<TenantMachine>>>,
    /// What the list shows if it lags: the machines as they were at the beginning.
    lagging_list: Option<Arc<Vec<Value>>>,
}

impl Tenant {
    /// A tenant of these machines.
    pub(crate) fn of(machines: impl IntoIterator<Item = TenantMachine>) -> Self {
        Self { machines: Arc::new(Mutex::new(machines.into_iter().collect())), lagging_list: None }
    }

    /// Its list goes on to show the machines as they are now.
    pub(crate) fn with_lagging_list(self) -> Self {
        let shown = self.listed();
        Self { lagging_list: Some(Arc::new(shown)), ..self }
    }

    fn machines(&self) -> MutexGuard<'_, Vec<TenantMachine>> {
        self.machines.lock().expect("no server panics")
    }

    fn listed(&self) -> Vec<Value> {
        self.machines().iter().filter(|machine| machine.listed).map(TenantMachine::shown).collect()
    }

    /// The tags, sorted, and the value that a machine has now.
    pub(crate) fn holds(&self, number: u32) -> (Vec<String>, String) {
        let machines = self.machines();
        let machine = machines.iter().find(|machine| machine.id == id(number)).expect("a machine of the tenant");
        let mut tags = machine.tags.clone();
        tags.sort();
        (tags, machine.value.clone())
    }

    /// Serves it.
    pub(crate) fn serve(&self) -> StandIn {
        self.serve_unless(|_request| None)
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
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let path = request.path.split('?').next().unwrap_or_default();
        match path.split('/').skip(3).collect::<Vec<_>>().as_slice() {
            [] => self.page(request),
            ["AddOrRemoveTagForMultipleMachines"] => self.change_many(&body),
            [id, _what] => self.change_one(id, &body),
            _ => Reply::json(404, error("NotFound", "There is no such resource")),
        }
    }

    fn page(&self, request: &Request) -> Reply {
        let (_, skip) = request.path.split_once("$skip=").expect("a position");
        let machines = self.lagging_list.as_ref().map_or_else(|| self.listed(), |list| list.to_vec());
        let rest = machines.get(skip.parse().expect("a number")..).unwrap_or_default();
        if rest.is_empty() {
            return Reply::json(404, error("ResourceNotFound", "No machines were found"));
        }
        Reply::json(200, json!({"value": &rest[..rest.len().min(PAGE)]}).to_string())
    }

    fn change_one(&self, id: &str, body: &Value) -> Reply {
        let mut machines = self.machines();
        match machines.iter_mut().find(|machine| machine.id == id && !machine.dead) {
            Some(machine) => {
                machine.change(body);
                Reply::json(200, machine.shown().to_string())
            }
            None => Reply::json(404, error("ResourceNotFound", &format!("Machine {id} was not found"))),
        }
    }

    /// All or nothing.
    fn change_many(&self, body: &Value) -> Reply {
        let ids: Vec<&str> = body["MachineIds"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
        let mut machines = self.machines();
        let lives = |id: &&str| machines.iter().any(|machine| machine.id == **id && !machine.dead);
        let bad: Vec<&str> = ids.iter().copied().filter(|id| !lives(id)).collect();
        if !bad.is_empty() {
            return Reply::json(400, error("InvalidInput", &format!("Machines were not found: {}", bad.join(", "))));
        }
        let mut shown = Vec::new();
        for machine in machines.iter_mut().filter(|machine| ids.contains(&machine.id.as_str())) {
            machine.change(body);
            shown.push(machine.shown());
        }
        Reply::json(200, json!({"value": shown}).to_string())
    }
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
