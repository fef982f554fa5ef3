//! One request for a token, and what its answer comes to.
//!
//! Whoever hands out tokens, a tenant's token endpoint or a platform's identity endpoint, is asked through here, by our own
//! HTTP client. There is no library between: `oauth2` was weighed and would have had to be worked around in the same places
//! as this module's lines. It keeps the body of a refusal in its errors, knows neither AADSTS numbers nor `Retry-After`,
//! waits by itself between the questions of a device code, brings a second calendar and a second source of randomness, and
//! is of no use for managed identities and the Azure CLI. What it would have taken off us is a form of five fields.
//!
//! - Every answer that is not a token becomes an error, of which only named fields are ever shown.
//! - Time and size are bounded. Nothing is repeated, and no redirect is followed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, Url};

use super::answer::{Grant, Reason, learn_tokens};
use super::error::SignInError;
use super::method::SignInMethod;
use super::trouble::Trouble;
use crate::api::LossKind;
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

/// An address that hands out tokens.
pub(super) struct Endpoint {
    http: reqwest::Client,
    address: Url,
    method: SignInMethod,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Endpoint").field("party", &self.party()).finish_non_exhaustive()
    }
}

/// An answer that came whole.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Endpoint {
    /// `http` must follow no redirects and repeat nothing by itself.
    pub(super) fn new(http: reqwest::Client, address: Url, method: SignInMethod) -> Self {
        Self { http, address, method }
    }

    /// Whom the requests go to, as messages name it.
    fn party(&self) -> &str {
        self.address.host_str().unwrap_or_default()
    }

    /// Posts a form.
    pub(super) async fn post(&self, fields: &[(&str, &str)]) -> Result<Reply, SignInError> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(self.address.clone()).body(form);
        self.exchange(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded")).await
    }

    /// Asks as platforms want to be asked: with a query, and with a header that is secret, if there is one.
    pub(super) async fn get(
        &self,
        fields: &[(&str, &str)],
        header: Option<(&'static str, &str)>,
    ) -> Result<Reply, SignInError> {
        let mut address = self.address.clone();
        address.query_pairs_mut().extend_pairs(fields);
        let mut request = self.http.get(address).header("metadata", "true");
        if let Some((name, value)) = header {
            let mut value = HeaderValue::from_str(value).map_err(|_damaged| {
                SignInError::settings(
                    "cannot send what the platform's identity endpoint requires",
                    "leave IDENTITY_HEADER as the platform sets it",
                )
            })?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        self.exchange(request).await
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Reply, SignInError> {
        let mut answer = match request.timeout(TIME_LIMIT).send().await {
            Ok(answer) => answer,
            Err(error) => return Err(self.network(NetworkError::of_request(error, &self.address).await)),
        };
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.network(NetworkError::of_body(error)))? {
            if body.len() + chunk.len() > LARGEST_ANSWER_BYTES {
                return Err(self.unreachable(Trouble::TooLarge, None));
            }
            body.extend_from_slice(&chunk);
        }
        learn_tokens(&body);
        Ok(Reply { status: answer.status(), headers: std::mem::take(answer.headers_mut()), body })
    }

    /// The token that an answer holds, or why it holds none.
    pub(super) fn understood(&self, reply: &Reply) -> Result<Grant, SignInError> {
        if reply.status.is_success() {
            let grant = Grant::read(&reply.body, SystemTime::now());
            return grant.ok_or_else(|| self.unreadable());
        }
        Err(self.refusal(reply))
    }

    /// What came is not what was asked for.
    pub(super) fn unreadable(&self) -> SignInError {
        self.unreachable(Trouble::Unreadable, None)
    }

    fn unreachable(&self, trouble: Trouble, retry_after: Option<Duration>) -> SignInError {
        let party = self.party().to_owned();
        SignInError::Unreachable { method: self.method, party, trouble, retry_after, source: None }
    }

    fn network(&self, error: NetworkError) -> SignInError {
        let trouble = match error.kind() {
            LossKind::Untrusted(problem) => Trouble::Untrusted(problem),
            LossKind::ProxyAuthentication => Trouble::ProxyAuthentication,
            LossKind::Proxy(_)
            | LossKind::UnknownHost
            | LossKind::ConnectionRefused
            | LossKind::NotTls
            | LossKind::NotConnected => Trouble::NoConnection,
            LossKind::TimedOut => Trouble::TimedOut,
            LossKind::ConnectionLost | LossKind::Truncated | LossKind::TooLong => Trouble::BrokenOff,
        };
        let (party, source) = (self.party().to_owned(), Some(Arc::new(error)));
        SignInError::Unreachable { method: self.method, party, trouble, retry_after: None, source }
    }

    /// Why an answer that is no success is none.
    pub(super) fn refusal(&self, reply: &Reply) -> SignInError {
        let (status, reason) = (reply.status, Reason::read(&reply.body));
        if self.is_passing(status) || reason.error.as_deref() == Some("temporarily_unavailable") {
            return self.unreachable(Trouble::Status(status.as_u16()), retry_after(&reply.headers));
        }
        if status.is_redirection() {
            let message = format!("status {}, a redirect, which a sign-in never follows", status.as_u16());
            return self.refused(&Reason::default(), &message);
        }
        self.refused(&reason, &format!("status {} without a reason", status.as_u16()))
    }

    /// A refusal with its reason, or else with these words.
    pub(super) fn refused(&self, reason: &Reason, otherwise: &str) -> SignInError {
        let message = Outside::new(reason.text().unwrap_or(otherwise)).kept(LONGEST_REASON_CHARACTERS).into();
        SignInError::Refused { method: self.method, party: self.party().to_owned(), code: reason.code(), message }
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
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}
