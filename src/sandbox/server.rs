//! The service behind HTTP: a thin shell that reads heads and bodies, keeps time, and carries answers back.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use tokio::sync::watch;

use super::answers::Answer;
use super::calls::Arrival;
use super::reaction::{Delivery, Reaction};
use super::service::{Head, Service};
use super::wire::Connection;

/// The largest body that is read, in bytes; a bulk call of 500 machines takes about 22,000.
const MAXIMUM_BODY_BYTES: usize = 1 << 20;

/// How long a body may take to come.
const LONGEST_BODY: Duration = Duration::from_secs(10);

/// What all handlers share.
#[derive(Debug)]
pub(super) struct Server {
    service: Mutex<Service>,
    pub(super) address: SocketAddr,
    began: Instant,
    stopping: watch::Receiver<bool>,
}

impl Server {
    pub(super) const fn new(
        service: Service,
        address: SocketAddr,
        began: Instant,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { service: Mutex::new(service), address, began, stopping }
    }

    pub(super) fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Arrival {
        arrival(self.began)
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

/// The present moment of a service that began then.
pub(super) fn arrival(began: Instant) -> Arrival {
    Arrival { uptime: began.elapsed(), wall: Timestamp::now() }
}

/// Answers a request, whatever it is.
pub(super) async fn serve(
    State(server): State<std::sync::Arc<Server>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    // The head has come: that is the arrival. Refused or not, the body is read before the answer, because closing a
    // connection on a client that is still sending would lose the answer.
    let (parts, body) = request.into_parts();
    let head = Head {
        method: parts.method.as_str(),
        target: parts.uri.path_and_query().map_or("", |target| target.as_str()),
        bearer: bearer(&parts.headers),
        content_type: parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()),
    };
    let call = server.service().arrive(&head, server.now());
    let body = read_whole(&parts, body).await;
    server.wait(call.latency()).await;
    let Reaction { answer, delivery } = server.service().answer(&call, body.as_deref());
    match delivery {
        Delivery::Whole => {}
        Delivery::After(span) => server.wait(span).await,
        Delivery::Reset => connection.reset(),
        Delivery::Closed => connection.close(),
        Delivery::Half => connection.cut_after(answer.body.len() / 2),
    }
    response(answer)
}

fn response(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The whole body; `None` if it is too large or breaks off.
async fn read_whole(parts: &Parts, body: Body) -> Option<Bytes> {
    if parts.method == Method::GET {
        return Some(Bytes::new());
    }
    tokio::time::timeout(LONGEST_BODY, to_bytes(body, MAXIMUM_BODY_BYTES)).await.ok()?.ok()
}
