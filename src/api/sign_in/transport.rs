//! The way that `azure_identity` reaches the network: our own HTTP client, behind a gate.
//!
//! The gate does what the crate leaves open:
//! - A request goes to the one origin it is meant for, or nowhere.
//! - The crate insists on an `https` authority. It is shown one; a loopback authority that may be
//!   `http` gets the request at its real address.
//! - Every answer that is not a token becomes an error of our own here. So no body of a server ever
//!   gets into the crate's errors, and nothing is left that its retry policies (managed identity
//!   brings its own) would repeat.
//! - Time and size are bounded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method, Request};
use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, Url};

use super::answer::{Reason, is_plausible_token_answer};
use super::error::{SignInError, Trouble};
use super::settings::SignInMethod;
use crate::api::LossKind;
use crate::api::cloud::{ip_address, is_loopback_host};
use crate::api::network::NetworkError;
use crate::outside::Outside;

/// From the start of a token request to the last byte of its answer.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Answers with a token are a few kilobytes.
const LARGEST_ANSWER_BYTES: usize = 1024 * 1024;
/// What is shown of a refusal's reason.
const LONGEST_REASON_CHARACTERS: usize = 300;
/// A longer wait than this is not believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// The metadata service of a virtual machine, the same in every cloud.
const METADATA_SERVICE: &str = "http://169.254.169.254";

/// Which origin the crate is told of, and where that origin's requests really go.
#[derive(Debug, Clone)]
pub(super) struct Route {
    shown: Url,
    actual: Url,
}

impl Route {
    /// The crate is told of `shown`, and its requests go to `actual`.
    pub(super) fn between(shown: Url, actual: Url) -> Self {
        Self { shown, actual }
    }

    /// The way to an authority whose address has been checked.
    pub(super) fn to_authority(authority: &Url) -> Result<Self, SignInError> {
        let mut shown = authority.clone();
        shown
            .set_scheme("https")
            .map_err(|()| SignInError::settings("the authority must be https", "set AZURE_AUTHORITY_HOST"))?;
        Ok(Self::between(shown, authority.clone()))
    }

    /// The way to the managed identity endpoint that the platform names, or else to the metadata
    /// service. It must be on this computer or on its own link: whoever answers there decides as
    /// whom the program signs in.
    pub(super) fn to_identity_endpoint(endpoint: Option<&str>) -> Result<Self, SignInError> {
        let actual = Url::parse(endpoint.unwrap_or(METADATA_SERVICE))
            .ok()
            .filter(|url| url.host_str().is_some_and(is_local))
            .ok_or_else(|| {
                SignInError::settings(
                    "IDENTITY_ENDPOINT is not an address on this computer or its own link",
                    "leave IDENTITY_ENDPOINT as the platform sets it, or choose another method \
                     with --auth",
                )
            })?;
        Ok(Self::between(actual.clone(), actual))
    }

    /// The real address of a request, or `None` if it is for another origin.
    fn resolve(&self, asked: &Url) -> Option<Url> {
        if asked.origin() != self.shown.origin() {
            return None;
        }
        let mut url = self.actual.clone();
        url.set_path(asked.path());
        url.set_query(asked.query());
        Some(url)
    }
}

/// Loopback, or a link-local IPv4 address (RFC 3927), which no router forwards.
fn is_local(host: &str) -> bool {
    use std::net::IpAddr;
    is_loopback_host(host) || matches!(ip_address(host), Some(IpAddr::V4(address)) if address.is_link_local())
}

/// The client that `azure_identity` sends through.
pub(super) struct SignInTransport {
    http: reqwest::Client,
    route: Route,
    method: SignInMethod,
}

impl fmt::Debug for SignInTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SignInTransport").field("route", &self.route).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for SignInTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        // This kind is the one that no retry policy repeats.
        self.exchange(request).await.map_err(|error| azure_core::Error::new(ErrorKind::Other, error))
    }
}

impl SignInTransport {
    /// `http` must follow no redirects and repeat nothing by itself.
    pub(super) fn new(http: reqwest::Client, route: Route, method: SignInMethod) -> Self {
        Self { http, route, method }
    }

    /// The origin that `azure_identity` is told of.
    pub(super) fn shown_authority(&self) -> &Url {
        &self.route.shown
    }

    /// Whom the requests go to, as messages name it.
    pub(super) fn party(&self) -> String {
        self.route.actual.host_str().unwrap_or_default().to_owned()
    }

    async fn exchange(&self, request: &Request) -> Result<AsyncRawResponse, SignInError> {
        let response = self
            .outgoing(request)?
            .send()
            .await
            .map_err(|error| self.network(NetworkError::of_request(error, &self.route.actual)))?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let body = self.read(response).await?;
        self.understood(status, retry_after, body)
    }

    /// An answer that came whole: one with a token for the crate, or why it is none.
    pub(super) fn understood(
        &self,
        status: StatusCode,
        retry_after: Option<Duration>,
        body: Vec<u8>,
    ) -> Result<AsyncRawResponse, SignInError> {
        if status.is_success() {
            if !is_plausible_token_answer(&body) {
                return Err(self.unreachable(Trouble::Unreadable, None));
            }
            let status = azure_core::http::StatusCode::from(status.as_u16());
            return Ok(AsyncRawResponse::from_bytes(status, Headers::new(), body));
        }
        Err(self.refusal(status, retry_after, &body))
    }

    fn outgoing(&self, request: &Request) -> Result<reqwest::RequestBuilder, SignInError> {
        let refuse = |what: &str| {
            SignInError::settings(
                format!("a sign-in request {what} was not sent"),
                "this is a fault of the program: report it",
            )
        };
        let url = self.route.resolve(request.url()).ok_or_else(|| refuse("to another host than the authority"))?;
        let method = match request.method() {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            _ => return Err(refuse("of an unknown kind")),
        };
        let Body::Bytes(body) = request.body() else {
            return Err(refuse("of unknown size"));
        };
        let mut outgoing = self.http.request(method, url).timeout(TIME_LIMIT).body(body.clone());
        for (name, value) in request.headers().iter() {
            let mut value = HeaderValue::from_str(value.as_str()).map_err(|_| refuse("with a damaged header"))?;
            value.set_sensitive(true);
            outgoing = outgoing.header(name.as_str(), value);
        }
        Ok(outgoing)
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Vec<u8>, SignInError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.network(NetworkError::of_body(error)))? {
            if body.len() + chunk.len() > LARGEST_ANSWER_BYTES {
                return Err(self.unreachable(Trouble::TooLarge, None));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// An answer that makes no sense, or none.
    pub(super) fn unreachable(&self, trouble: Trouble, retry_after: Option<Duration>) -> SignInError {
        SignInError::Unreachable { method: self.method, party: self.party(), trouble, retry_after, source: None }
    }

    fn network(&self, error: NetworkError) -> SignInError {
        let trouble = match error.kind() {
            LossKind::Untrusted(problem) => Trouble::Untrusted(problem),
            LossKind::ProxyAuthentication => Trouble::ProxyAuthentication,
            LossKind::Proxy
            | LossKind::UnknownHost
            | LossKind::ConnectionRefused
            | LossKind::NotTls
            | LossKind::NotConnected => Trouble::NoConnection,
            LossKind::TimedOut => Trouble::TimedOut,
            LossKind::ConnectionLost | LossKind::Truncated | LossKind::TooLong => Trouble::BrokenOff,
        };
        SignInError::Unreachable {
            method: self.method,
            party: self.party(),
            trouble,
            retry_after: None,
            source: Some(Arc::new(error)),
        }
    }

    fn refusal(&self, status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> SignInError {
        let reason = Reason::read(body);
        if self.is_passing(status) || reason.error.as_deref() == Some("temporarily_unavailable") {
            return self.unreachable(Trouble::Status(status.as_u16()), retry_after);
        }
        let message = if status.is_redirection() {
            format!("status {}, a redirect, which a sign-in never follows", status.as_u16())
        } else {
            match reason.text() {
                Some(text) => Outside::new(text).kept(LONGEST_REASON_CHARACTERS).into(),
                None => format!("status {} without a reason", status.as_u16()),
            }
        };
        SignInError::Refused { method: self.method, party: self.party(), code: reason.code(), message }
    }

    /// Statuses that mean "not now". The metadata service also says 404 and 410 while it updates
    /// itself (Microsoft's page on virtual machine tokens, "Error handling").
    fn is_passing(&self, status: StatusCode) -> bool {
        let identity = self.method == SignInMethod::ManagedIdentity;
        status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            || (identity && matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE))
    }
}

/// `Retry-After` in seconds. The date form is not read: a wait of the caller's own does as well.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
