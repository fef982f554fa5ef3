//! One call from its head to its answer: gate, latency, fault, and the API's own work.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::watch;

use super::answers::{self, ApiError};
use super::calls::{Arrival, CallKind, Passage};
use super::faults::Fault;
use super::fleet::Fleet;
use super::gate::Gate;
use super::made_up::Guid;
use super::settings::SandboxSettings;
use super::wire::Connection;

/// The largest body that is read, in bytes; a bulk call of 500 machines takes about 22,000.
const MAXIMUM_BODY_BYTES: usize = 1 << 20;

/// How long a hanging call hangs, unless the server stops.
const HANG: Duration = Duration::from_mins(10);

/// The state that all handlers share.
#[derive(Debug)]
pub(super) struct Room {
    /// How the tenant behaves; its machines have moved to the fleet.
    pub(super) settings: SandboxSettings,
    /// Where the server is found, without a slash at the end.
    pub(super) base_url: String,
    gate: Mutex<Gate>,
    fleet: Mutex<Fleet>,
    stopping: watch::Receiver<bool>,
}

/// A call that was let in and read.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) arrival: Arrival,
    /// Whether a living machine is to answer 404.
    pub(super) hides_machine: bool,
    content_type: Option<HeaderValue>,
    body: Option<Bytes>,
}

impl Call {
    /// The body of a write, as JSON of exactly this shape: names and values are case-sensitive.
    ///
    /// # Errors
    /// [`ApiError`] when the content type is another, or the body is too large or not of this shape.
    pub(super) fn read<'call, T: Deserialize<'call>>(&'call self) -> Result<T, ApiError> {
        let content_type = self.content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::wrong_content_type());
        }
        let body = self.body.as_ref().ok_or_else(ApiError::body_too_large)?;
        serde_json::from_slice(body).map_err(|error| ApiError::invalid_body(format!("The body is not valid: {error}")))
    }
}

impl Room {
    pub(super) fn new(
        settings: SandboxSettings,
        fleet: Fleet,
        base_url: String,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let gate = Mutex::new(Gate::new(&settings));
        Self { settings, base_url, gate, fleet: Mutex::new(fleet), stopping }
    }

    pub(super) fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a call of the API; `work` is what the API does if nothing keeps it from doing so.
    pub(super) async fn answer(
        &self,
        kind: CallKind,
        connection: &Connection,
        request: Request,
        work: impl FnOnce(&Self, &Call) -> Result<Vec<u8>, ApiError> + Send,
    ) -> Response {
        // The head has come: that is the arrival. Refused or not, the body is read before the answer, because closing
        // a connection on a client that is still sending would lose the answer.
        let (parts, body) = request.into_parts();
        let arrival = Arrival::now();
        let admission = self.gate().admit(kind, bearer(&parts.headers), arrival);
        let request_id = admission.request_id;
        let body = read_whole(&parts, body).await;
        let passage = match admission.outcome {
            Ok(passage) => passage,
            Err(refusal) => return refusal.into_response(request_id),
        };
        let hides_machine = passage.fault == Some(Fault::NotFound);
        let content_type = parts.headers.get(CONTENT_TYPE).cloned();
        let call = Call { arrival, hides_machine, content_type, body };
        self.wait(passage.latency).await;
        let answer = |room: &Self| match work(room, &call) {
            Ok(body) => answers::success(body, request_id),
            Err(refusal) => refusal.into_response(request_id),
        };
        self.suffer(passage, connection, request_id, answer).await
    }

    /// Answers, or does what the call's fault wants in place of it.
    async fn suffer(
        &self,
        passage: Passage,
        connection: &Connection,
        request_id: Guid,
        answer: impl FnOnce(&Self) -> Response + Send,
    ) -> Response {
        match passage.fault {
            // The gate has answered the first two; the last is the work's own.
            None | Some(Fault::Throttled | Fault::Unauthorized | Fault::NotFound) => answer(self),
            Some(Fault::InternalError) => ApiError::internal_error().into_response(request_id),
            Some(Fault::Unavailable) => ApiError::unavailable().into_response(request_id),
            Some(Fault::Redirect) => ApiError::redirect().into_response(request_id),
            Some(Fault::Html) => answers::html_page(request_id),
            Some(Fault::Hang) => {
                self.wait(HANG).await;
                ApiError::unavailable().into_response(request_id)
            }
            Some(Fault::Reset) => {
                connection.reset();
                Response::default()
            }
            Some(Fault::LostAnswer) => {
                connection.close();
                answer(self)
            }
            Some(Fault::Truncated) => {
                let response = answer(self);
                let length = axum::body::HttpBody::size_hint(response.body()).lower();
                connection.cut_after(usize::try_from(length / 2).unwrap_or(0));
                response
            }
        }
    }

    /// Waits so long, or until the server stops.
    async fn wait(&self, span: Duration) {
        if span.is_zero() {
            return;
        }
        let mut stopping = self.stopping.clone();
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            _ = stopping.wait_for(|stops| *stops) => {}
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The whole body; `None` if it is too large or breaks off.
async fn read_whole(parts: &Parts, body: Body) -> Option<Bytes> {
    if parts.method == axum::http::Method::GET {
        return Some(Bytes::new());
    }
    to_bytes(body, MAXIMUM_BODY_BYTES).await.ok()
}
