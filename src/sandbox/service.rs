//! The simulated API as a value: a call and its moment come in, an answer goes out, and what has changed lies in here.
//!
//! Nothing in it waits, listens or reads a clock, so whoever holds it decides what carries the calls and what time it is:
//! [`super::Sandbox`] puts it behind HTTP, tests behind a transport in memory under virtual time.
//!
//! A call comes in two steps, since its head is its arrival: quota, sign-in and fate are settled then
//! ([`Service::arrive`]). What it asks for is done when its body has come and its latency is over ([`Service::answer`]).

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::answers::ApiError;
use super::calls::{Arrival, SandboxCounters};
use super::faults::{Fault, Faults};
use super::fleet::Fleet;
use super::gate::{Gate, Passage};
use super::made_up::Guid;
use super::routes::Route;
use super::script::Mishap;
use super::settings::{SandboxMachine, SandboxSettings, SettingsError};
use super::sign_in::Applicant;

/// The API and its tenant.
#[derive(Debug)]
pub struct Service {
    /// How the tenant behaves; its machines have moved to the fleet.
    pub(super) settings: SandboxSettings,
    /// Where the service is found, without a slash at the end.
    pub(super) base_url: String,
    pub(super) gate: Gate,
    pub(super) fleet: Fleet,
}

/// What a client sends before the body.
#[derive(Debug, Clone, Copy)]
pub struct Head<'text> {
    /// The HTTP method.
    pub method: &'text str,
    /// The path, with the query if there is one.
    pub target: &'text str,
    /// The bearer token, if there is one.
    pub bearer: Option<&'text str>,
    /// The `Content-Type`, if there is one.
    pub content_type: Option<&'text str>,
}

/// A call that has come and waits to be answered.
#[derive(Debug)]
pub struct Call {
    pub(super) arrival: Arrival,
    pub(super) route: Route,
    content_type: String,
    pub(super) request_id: Guid,
    pub(super) admission: Result<Passage, ApiError>,
}

impl Call {
    /// How long the service takes for it; refusals come at once.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.admission.as_ref().map_or(Duration::ZERO, |passage| passage.latency)
    }

    /// Whether a living machine is to answer 404.
    pub(super) fn hides_machine(&self) -> bool {
        self.admission.as_ref().is_ok_and(|passage| passage.fault == Some(Fault::NotFound))
    }

    /// The body of a write, as JSON of exactly this shape: names and values are case-sensitive. There is none (`None`)
    /// where it is too large or has broken off.
    ///
    /// # Errors
    /// [`ApiError`] when the content type is another, or the body is not of this shape.
    pub(super) fn read<T: DeserializeOwned>(&self, body: Option<&[u8]>) -> Result<T, ApiError> {
        if !self.has_type("application/json") {
            return Err(ApiError::wrong_content_type());
        }
        let body = body.ok_or_else(ApiError::body_too_large)?;
        serde_json::from_slice(body).map_err(|error| ApiError::invalid_body(format!("The body is not valid: {error}")))
    }

    /// Whether the body says that it is of this type.
    pub(super) fn has_type(&self, media_type: &str) -> bool {
        self.content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
    }
}

impl Service {
    /// A service with the machines that the settings ask for.
    ///
    /// # Errors
    /// [`SettingsError`] when a setting is out of its range.
    pub fn new(mut settings: SandboxSettings, base_url: String, now: Arrival) -> Result<Self, SettingsError> {
        settings.check()?;
        let machines = std::mem::take(&mut settings.machines);
        let fleet = Fleet::new(&settings, machines, now.wall)?;
        Ok(Self { gate: Gate::new(&settings), settings, base_url, fleet })
    }

    /// Takes a call in, or has it refused; its body has yet to come.
    pub fn arrive(&mut self, head: &Head<'_>, now: Arrival) -> Call {
        let route = Route::of(head.method, head.target);
        let request_id = self.gate.fresh_id();
        let admission = match route.kind() {
            Some(kind) => self.gate.admit(kind, head.bearer, now),
            None => Ok(Passage::default()),
        };
        let content_type = head.content_type.unwrap_or_default().to_owned();
        Call { arrival: now, route, content_type, request_id, admission }
    }

    /// A fresh token; it lives as long as any other.
    pub(super) fn issue_token(&mut self, applicant: Applicant<'_>, now: Arrival) -> String {
        self.gate.issue_token(applicant, now).0
    }

    /// How many calls came and what became of them.
    #[must_use]
    pub const fn counters(&self) -> SandboxCounters {
        self.gate.counters()
    }

    /// A machine as it is now, whether the API shows it or not.
    #[must_use]
    pub fn machine(&self, id: &str) -> Option<SandboxMachine> {
        self.fleet.describe(id)
    }

    /// The ids of all machines in the order of the list, dead and unlisted ones included.
    #[must_use]
    pub fn machine_ids(&self) -> Vec<String> {
        self.fleet.ids()
    }

    /// Makes a machine so, as somebody else would, or puts it there; what is not described stays as it is. (The list lags
    /// behind this as behind every change.)
    pub fn put(&mut self, machine: SandboxMachine, now: Arrival) {
        self.fleet.put(machine, now);
    }

    /// From now on the list lies so far behind; what was replaced longer ago than any lag so far is forgotten.
    pub const fn set_list_lag(&mut self, lag: Duration) {
        self.fleet.set_list_lag(lag);
    }

    /// What is to go wrong from now on.
    pub const fn script(&mut self) -> &mut Vec<Mishap> {
        &mut self.settings.script
    }

    /// Other faults from now on, at most so many of them (`None` for no end).
    pub(super) const fn set_faults(&mut self, faults: Faults, limit: Option<u64>) {
        self.gate.set_faults(faults, limit);
    }

    /// Makes every token that was issued so far worthless.
    pub fn revoke_tokens(&mut self) {
        self.gate.revoke_tokens();
    }
}
