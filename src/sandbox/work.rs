//! What the API does on each call that nothing keeps it from doing.

use serde::{Deserialize, Serialize};

use super::answers::{Answer, ApiError, json};
use super::fleet::{Change, Place};
use super::list::{self, ListQuery, Paging};
use super::people::SignedIn;
use super::routes::Route;
use super::service::{Call, Service};
use super::settings::{BulkAnswer, SandboxDeviceValue};
use super::sign_in::{self, Applicant, SignInError, TokenRequest};
use super::view::MachineView;

/// The most characters of a tag; documented for tags set in the registry only, taken here for all.
const MAXIMUM_TAG_CHARACTERS: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TagBody {
    value: Option<String>,
    action: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BulkBody {
    value: Option<String>,
    action: Option<String>,
    machine_ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeviceValueBody {
    device_value: Option<String>,
}

/// The answer to a call.
pub(super) fn answer(service: &mut Service, call: &Call, body: Option<&[u8]>) -> Answer {
    let done = match &call.route {
        Route::SignIn { tenant } => return issue_token(service, call, tenant, body),
        Route::Authorize { query, .. } => return send_back(service, call, query),
        Route::DeviceCode { .. } => return give_device_code(service, call, body),
        Route::DeviceLogin => {
            let text = "There is nothing to enter here: the sandbox signs every caller in.";
            return Answer::page(text, call.request_id);
        }
        Route::List { query } => list_machines(service, call, query),
        Route::Get { machine } => get_machine(service, call, machine),
        Route::Bulk => change_tag_of_many(service, call, body),
        Route::Tags { machine } => call.read(body).and_then(|TagBody { value, action }| {
            change_one(service, call, machine, tag_change(value.as_deref(), action.as_deref())?)
        }),
        Route::Value { machine } => set_device_value(service, call, machine, body),
        Route::Nowhere => Err(ApiError::no_route()),
        Route::WrongMethod => Err(ApiError::wrong_method()),
    };
    match done {
        Ok(body) => Answer::success(body, call.request_id),
        Err(refusal) => refusal.into_answer(call.request_id),
    }
}

/// The machines that a call names, as far as it can be read.
pub(super) fn ids(call: &Call, body: Option<&[u8]>) -> Vec<String> {
    match &call.route {
        Route::Get { machine } | Route::Tags { machine } | Route::Value { machine } => vec![machine.clone()],
        Route::Bulk => call.read(body).ok().and_then(|body: BulkBody| body.machine_ids).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn issue_token(service: &mut Service, call: &Call, tenant: &str, body: Option<&[u8]>) -> Answer {
    #[derive(Serialize)]
    struct Grant {
        token_type: &'static str,
        expires_in: u64,
        ext_expires_in: u64,
        access_token: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        refresh_token: Option<String>,
    }
    let Some(request) = form(call, body) else { return refused(SignInError::no_form(), call) };
    let person = match service.gate.people.exchange(&request) {
        Some(Err(refusal)) => return refused(refusal, call),
        Some(Ok(person)) => Some(person),
        None => None,
    };
    let only_secret = service.settings.client_secret.as_ref();
    let applicant = match &person {
        Some(SignedIn { client_id, audience }) => Ok(Applicant { tenant, client_id, audience, is_person: true }),
        None => sign_in::check(tenant, &request, only_secret),
    };
    match applicant {
        Ok(applicant) => {
            let (access_token, expires_in) = service.gate.issue_token(applicant, call.arrival);
            let refresh_token = person.map(|person| {
                let refresh_token = format!("{}-renewal", service.gate.fresh_id());
                service.gate.people.keep_renewal(refresh_token.clone(), &person);
                refresh_token
            });
            let grant =
                Grant { token_type: "Bearer", expires_in, ext_expires_in: expires_in, access_token, refresh_token };
            Answer::success(json(&grant), call.request_id)
        }
        Err(refusal) => refused(refusal, call),
    }
}

fn send_back(service: &mut Service, call: &Call, query: &str) -> Answer {
    let code = format!("{}-code", service.gate.fresh_id());
    match service.gate.people.send_back(query, code) {
        Ok(address) => Answer::elsewhere(address, call.request_id),
        Err(refusal) => refused(refusal, call),
    }
}

fn give_device_code(service: &mut Service, call: &Call, body: Option<&[u8]>) -> Answer {
    let Some(request) = form(call, body) else { return refused(SignInError::no_form(), call) };
    let code = format!("{}-device", service.gate.fresh_id());
    match service.gate.people.give_device_code(&request, code, &service.base_url) {
        Ok(body) => Answer::success(body, call.request_id),
        Err(refusal) => refused(refusal, call),
    }
}

/// The form of a call to the sign-in service, if it is one.
fn form(call: &Call, body: Option<&[u8]>) -> Option<TokenRequest> {
    body.filter(|_| call.has_type("application/x-www-form-urlencoded")).map(TokenRequest::read)
}

fn refused(refusal: SignInError, call: &Call) -> Answer {
    Answer::with_status(refusal.status, refusal.body(call.arrival.wall, call.request_id), call.request_id)
}

fn list_machines(service: &Service, call: &Call, query: &str) -> Result<Vec<u8>, ApiError> {
    let query = ListQuery::parse(query)?;
    let (maximum_page, next_link) = (service.settings.maximum_page, service.settings.next_link);
    let paging = Paging { base_url: &service.base_url, maximum_page, next_link };
    list::page(&service.fleet, query, paging, call.arrival)
}

fn get_machine(service: &mut Service, call: &Call, id: &str) -> Result<Vec<u8>, ApiError> {
    let place = service.fleet.readable(id, call.arrival.wall);
    let place = found(service, call, id, place)?;
    entity(service, call, place).ok_or_else(|| ApiError::machine_not_found(id))
}

fn set_device_value(service: &mut Service, call: &Call, id: &str, body: Option<&[u8]>) -> Result<Vec<u8>, ApiError> {
    let DeviceValueBody { device_value } = call.read(body)?;
    let name = device_value.ok_or_else(|| ApiError::missing_parameter("DeviceValue"))?;
    let value = SandboxDeviceValue::parse(&name)
        .ok_or_else(|| ApiError::invalid_input(format!("'{name}' is not one of Low, Normal, High")))?;
    change_one(service, call, id, Change::SetDeviceValue(value))
}

fn change_tag_of_many(service: &mut Service, call: &Call, body: Option<&[u8]>) -> Result<Vec<u8>, ApiError> {
    if service.settings.bulk_forbidden {
        service.gate.count_forbidden();
        return Err(ApiError::bulk_forbidden());
    }
    let BulkBody { value, action, machine_ids } = call.read(body)?;
    let change = tag_change(value.as_deref(), action.as_deref())?;
    let ids = machine_ids.ok_or_else(|| ApiError::missing_parameter("MachineIds"))?;
    if ids.is_empty() {
        return Err(ApiError::invalid_input("MachineIds holds no machine"));
    }
    if ids.len() > service.settings.bulk_limit {
        return Err(ApiError::batch_too_large(ids.len(), service.settings.bulk_limit));
    }
    change_many(service, call, &ids, change)
}

/// Changes every machine, or none if any of them is unknown or dead.
fn change_many(service: &mut Service, call: &Call, ids: &[String], change: Change<'_>) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct Collection<'service> {
        #[serde(rename = "@odata.context")]
        context: String,
        value: Vec<MachineView<'service>>,
    }
    let now = call.arrival;
    let Service { fleet, settings, base_url, .. } = service;
    let mut places: Vec<Place> = Vec::with_capacity(ids.len());
    let mut bad = Vec::new();
    for id in ids {
        match fleet.writable(id, now.wall) {
            Some(place) => places.push(place),
            None => bad.push(id.as_str()),
        }
    }
    if !bad.is_empty() {
        return Err(ApiError::bad_machines(&bad, ids, settings.dead_naming, settings.bulk_refusal_status));
    }
    if !places.iter().all(|place| fleet.has_room_for(*place, change)) {
        return Err(ApiError::too_many_tags());
    }
    let mut seen = std::collections::HashSet::with_capacity(places.len());
    places.retain(|place| seen.insert(*place));
    for place in &places {
        fleet.change(*place, change, now.uptime);
    }
    let shown = match settings.bulk_answer {
        BulkAnswer::All => places.len(),
        BulkAnswer::Half => places.len().div_ceil(2),
        BulkAnswer::Absent => 0,
    };
    let value = places.into_iter().take(shown).filter_map(|place| fleet.view(place, now.wall)).collect();
    Ok(json(&Collection { context: format!("{base_url}/api/$metadata#Machines"), value }))
}

fn change_one(service: &mut Service, call: &Call, id: &str, change: Change<'_>) -> Result<Vec<u8>, ApiError> {
    let place = service.fleet.writable(id, call.arrival.wall);
    let place = found(service, call, id, place)?;
    if !service.fleet.has_room_for(place, change) {
        return Err(ApiError::too_many_tags());
    }
    service.fleet.change(place, change, call.arrival.uptime);
    entity(service, call, place).ok_or_else(|| ApiError::machine_not_found(id))
}

/// The machine that was found, unless this call is to hide it.
fn found(service: &mut Service, call: &Call, id: &str, place: Option<Place>) -> Result<Place, ApiError> {
    place
        .filter(|place| !(call.hides_machine() && service.fleet.hide_once(*place)))
        .ok_or_else(|| ApiError::machine_not_found(id))
}

/// One machine as JSON.
fn entity(service: &Service, call: &Call, place: Place) -> Option<Vec<u8>> {
    #[derive(Serialize)]
    struct Entity<'service> {
        #[serde(rename = "@odata.context")]
        context: String,
        #[serde(flatten)]
        machine: MachineView<'service>,
    }
    let machine = service.fleet.view(place, call.arrival.wall)?;
    Some(json(&Entity { context: format!("{}/api/$metadata#Machines/$entity", service.base_url), machine }))
}

/// The change that a body asks for; its enum's case matters (documented).
fn tag_change<'body>(value: Option<&'body str>, action: Option<&str>) -> Result<Change<'body>, ApiError> {
    let tag = value.ok_or_else(|| ApiError::missing_parameter("Value"))?;
    let action = action.ok_or_else(|| ApiError::missing_parameter("Action"))?;
    let characters = tag.chars().count();
    if tag.trim().is_empty() || characters > MAXIMUM_TAG_CHARACTERS {
        let message = format!("A tag has 1 to {MAXIMUM_TAG_CHARACTERS} characters, and this one {characters}");
        return Err(ApiError::invalid_input(message));
    }
    match action {
        "Add" => Ok(Change::AddTag(tag)),
        "Remove" => Ok(Change::RemoveTag(tag)),
        other => Err(ApiError::invalid_input(format!("'{other}' is not one of Add, Remove"))),
    }
}
