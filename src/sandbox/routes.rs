//! The routes, and what the API does on each.
//!
//! `PATCH /api/machines/{id}`, which replaces a machine's whole list of tags, is left out on purpose: nothing that is
//! checked against this sandbox may ever use it, so it answers 405.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{FormRejection, PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, Form, Path, Query, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use super::answers::{self, ApiError, json};
use super::calls::{Arrival, CallKind};
use super::fleet::{Change, Fleet, Place};
use super::list::{self, ListQuery, Paging};
use super::room::{Call, Room};
use super::settings::{BulkAnswer, SandboxDeviceValue};
use super::sign_in::{self, SignInError, TokenRequest};
use super::view::MachineView;
use super::wire::Connection;

/// The most characters of a tag; documented for tags set in the registry only, taken here for all.
const MAXIMUM_TAG_CHARACTERS: usize = 200;

type SharedRoom = State<Arc<Room>>;
type Wired = ConnectInfo<Connection>;
type PathText = Result<Path<String>, PathRejection>;
type QueryPairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// All routes of the sandbox.
pub(super) fn router(room: Arc<Room>) -> Router {
    Router::new()
        .route("/{tenant}/oauth2/v2.0/token", post(issue_token))
        .route("/api/machines", get(list_machines))
        .route("/api/machines/AddOrRemoveTagForMultipleMachines", post(change_tag_of_many))
        .route("/api/machines/{id}", get(get_machine))
        .route("/api/machines/{id}/tags", post(change_tag))
        .route("/api/machines/{id}/setDeviceValue", post(set_device_value))
        .fallback(no_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(room)
}

async fn no_route(State(room): SharedRoom) -> Response {
    let request_id = room.gate().fresh_id();
    ApiError::no_route().into_response(request_id)
}

async fn wrong_method(State(room): SharedRoom) -> Response {
    let request_id = room.gate().fresh_id();
    ApiError::wrong_method().into_response(request_id)
}

async fn issue_token(
    State(room): SharedRoom,
    tenant: PathText,
    form: Result<Form<TokenRequest>, FormRejection>,
) -> Response {
    #[derive(Serialize)]
    struct Grant {
        token_type: &'static str,
        expires_in: u64,
        ext_expires_in: u64,
        access_token: String,
    }
    let now = Arrival::now();
    let tenant = text(tenant);
    let request = form.map(|Form(request)| request).map_err(|_| SignInError::no_form());
    let applicant = request
        .as_ref()
        .map_err(|error| *error)
        .and_then(|request| sign_in::check(&tenant, request, room.settings.client_secret.as_ref()));
    let mut gate = room.gate();
    let request_id = gate.fresh_id();
    match applicant {
        Ok(applicant) => {
            let (access_token, expires_in) = gate.issue_token(applicant, now);
            let grant = Grant { token_type: "Bearer", expires_in, ext_expires_in: expires_in, access_token };
            answers::success(json(&grant), request_id)
        }
        Err(refusal) => answers::with_status(refusal.status, refusal.body(now.wall, request_id), request_id),
    }
}

async fn list_machines(
    State(room): SharedRoom,
    ConnectInfo(connection): Wired,
    query: QueryPairs,
    request: Request,
) -> Response {
    room.answer(CallKind::List, &connection, request, |room, call| {
        let Query(pairs) = query.map_err(|_| ApiError::odata("The query of the URI is not valid"))?;
        let query = ListQuery::parse(&pairs)?;
        let settings = &room.settings;
        let (maximum_page, next_link) = (settings.maximum_page, settings.next_link);
        let paging = Paging { base_url: &room.base_url, maximum_page, next_link };
        list::page(&room.fleet(), query, paging, call.arrival)
    })
    .await
}

async fn get_machine(
    State(room): SharedRoom,
    ConnectInfo(connection): Wired,
    id: PathText,
    request: Request,
) -> Response {
    room.answer(CallKind::Get, &connection, request, |room, call| {
        let id = text(id);
        let mut fleet = room.fleet();
        let place = fleet.readable(&id, call.arrival.wall);
        let place = found(&mut fleet, call, &id, place)?;
        entity(room, call, &fleet, place).ok_or_else(|| ApiError::machine_not_found(&id))
    })
    .await
}

async fn change_tag(
    State(room): SharedRoom,
    ConnectInfo(connection): Wired,
    id: PathText,
    request: Request,
) -> Response {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Body {
        value: Option<String>,
        action: Option<String>,
    }
    room.answer(CallKind::Tags, &connection, request, |room, call| {
        let Body { value, action } = call.read()?;
        change_one(room, call, &text(id), tag_change(value.as_deref(), action.as_deref())?)
    })
    .await
}

async fn set_device_value(
    State(room): SharedRoom,
    ConnectInfo(connection): Wired,
    id: PathText,
    request: Request,
) -> Response {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Body {
        device_value: Option<String>,
    }
    room.answer(CallKind::Value, &connection, request, |room, call| {
        let Body { device_value } = call.read()?;
        let name = device_value.ok_or_else(|| ApiError::missing_parameter("DeviceValue"))?;
        let value = SandboxDeviceValue::parse(&name)
            .ok_or_else(|| ApiError::invalid_input(format!("'{name}' is not one of Low, Normal, High")))?;
        change_one(room, call, &text(id), Change::SetDeviceValue(value))
    })
    .await
}

async fn change_tag_of_many(State(room): SharedRoom, ConnectInfo(connection): Wired, request: Request) -> Response {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Body {
        value: Option<String>,
        action: Option<String>,
        machine_ids: Option<Vec<String>>,
    }
    room.answer(CallKind::Bulk, &connection, request, |room, call| {
        if room.settings.bulk_forbidden {
            room.gate().count_forbidden();
            return Err(ApiError::bulk_forbidden());
        }
        let Body { value, action, machine_ids } = call.read()?;
        let change = tag_change(value.as_deref(), action.as_deref())?;
        let ids = machine_ids.ok_or_else(|| ApiError::missing_parameter("MachineIds"))?;
        if ids.is_empty() {
            return Err(ApiError::invalid_input("MachineIds holds no machine"));
        }
        if ids.len() > room.settings.bulk_limit {
            return Err(ApiError::batch_too_large(ids.len(), room.settings.bulk_limit));
        }
        change_many(room, call, &ids, change)
    })
    .await
}

/// Changes every machine, or none if any of them is unknown or dead.
fn change_many(room: &Room, call: &Call, ids: &[String], change: Change<'_>) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct Collection<'room> {
        #[serde(rename = "@odata.context")]
        context: String,
        value: Vec<MachineView<'room>>,
    }
    let now = call.arrival;
    let mut fleet = room.fleet();
    let mut places: Vec<Place> = Vec::with_capacity(ids.len());
    let mut bad = Vec::new();
    for id in ids {
        match fleet.writable(id, now.wall) {
            Some(place) => places.push(place),
            None => bad.push(id.as_str()),
        }
    }
    if !bad.is_empty() {
        return Err(ApiError::bad_machines(&bad, room.settings.dead_naming, room.settings.bulk_refusal_status));
    }
    if !places.iter().all(|place| fleet.has_room_for(*place, change)) {
        return Err(ApiError::too_many_tags());
    }
    let mut seen = std::collections::HashSet::with_capacity(places.len());
    places.retain(|place| seen.insert(*place));
    for place in &places {
        fleet.change(*place, change, now.instant);
    }
    let shown = match room.settings.bulk_answer {
        BulkAnswer::All => places.len(),
        BulkAnswer::Half => places.len().div_ceil(2),
        BulkAnswer::Absent => 0,
    };
    let value = places.into_iter().take(shown).filter_map(|place| fleet.view(place, now.wall)).collect();
    Ok(json(&Collection { context: format!("{}/api/$metadata#Machines", room.base_url), value }))
}

fn change_one(room: &Room, call: &Call, id: &str, change: Change<'_>) -> Result<Vec<u8>, ApiError> {
    let mut fleet = room.fleet();
    let place = fleet.writable(id, call.arrival.wall);
    let place = found(&mut fleet, call, id, place)?;
    if !fleet.has_room_for(place, change) {
        return Err(ApiError::too_many_tags());
    }
    fleet.change(place, change, call.arrival.instant);
    entity(room, call, &fleet, place).ok_or_else(|| ApiError::machine_not_found(id))
}

/// The machine that was found, unless this call is to hide it.
fn found(fleet: &mut Fleet, call: &Call, id: &str, place: Option<Place>) -> Result<Place, ApiError> {
    place
        .filter(|place| !(call.hides_machine && fleet.hide_once(*place)))
        .ok_or_else(|| ApiError::machine_not_found(id))
}

/// One machine as JSON.
fn entity(room: &Room, call: &Call, fleet: &Fleet, place: Place) -> Option<Vec<u8>> {
    #[derive(Serialize)]
    struct Entity<'room> {
        #[serde(rename = "@odata.context")]
        context: String,
        #[serde(flatten)]
        machine: MachineView<'room>,
    }
    let machine = fleet.view(place, call.arrival.wall)?;
    Some(json(&Entity { context: format!("{}/api/$metadata#Machines/$entity", room.base_url), machine }))
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

/// A part of the path, decoded; one that is not UTF-8 names no machine.
fn text(path: PathText) -> String {
    path.map_or_else(|_| String::new(), |Path(text)| text)
}
