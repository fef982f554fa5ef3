//! What the API answers when it says no, and how every answer is put together.
//!
//! An error is `{"error": {"code", "message", "target"}}` with a fresh correlation id as its target. The constructors of
//! [`ApiError`] are the whole list of refusals, with codes and messages as the API's documentation and users show them.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::made_up::Guid;
use super::settings::{BulkRefusalStatus, DeadNaming, RetryAfter, SandboxQuota};

const JSON: &str = "application/json; odata.metadata=minimal";
const HTML: &str = "text/html; charset=utf-8";

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, content_type: &str, body: Vec<u8>, request_id: Guid) -> Self {
        let headers = vec![("content-type", content_type.to_owned()), ("request-id", request_id.to_string())];
        Self { status, headers, body }
    }

    /// An answer that went well.
    pub(super) fn success(body: Vec<u8>, request_id: Guid) -> Self {
        Self::with_status(200, body, request_id)
    }

    /// A body of JSON under any status, for the token endpoint, whose refusals have a form of their own.
    pub(super) fn with_status(status: u16, body: Vec<u8>, request_id: Guid) -> Self {
        Self::new(status, JSON, body, request_id)
    }

    /// What a proxy on the way puts in the place of an answer.
    pub(super) fn html_page(request_id: Guid) -> Self {
        let page =
            "<!DOCTYPE html><html><head><title>Notice</title></head><body>Sign in to the network to go on.</body>";
        Self::new(200, HTML, page.as_bytes().to_vec(), request_id)
    }

    /// A page for a person.
    pub(super) fn page(text: &str, request_id: Guid) -> Self {
        let page = format!("<!DOCTYPE html><html><head><title>Sandbox</title></head><body>{text}</body></html>");
        Self::new(200, HTML, page.into_bytes(), request_id)
    }

    /// Sends a browser elsewhere.
    pub(super) fn elsewhere(address: String, request_id: Guid) -> Self {
        let mut answer = Self::new(302, HTML, Vec::new(), request_id);
        answer.headers.push(("location", address));
        answer
    }

    /// One of its headers.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// A header that goes with the refusal.
    pub(super) header: Option<(&'static str, String)>,
}

impl ApiError {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), header: None }
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        let header = Some(("www-authenticate", "Bearer".to_owned()));
        Self { header, ..Self::new(401, "Unauthorized", message) }
    }

    pub(super) fn missing_permission(needed: &str) -> Self {
        let message = format!("The application does not have any of the required application permissions ({needed})");
        Self::new(403, "Forbidden", message)
    }

    pub(super) fn bulk_forbidden() -> Self {
        Self::new(403, "Forbidden", "Tagging multiple machines is not enabled for this tenant")
    }

    /// The quota is used up; `wait` is how long it stays so, rounded up to whole seconds in the answer.
    pub(super) fn quota(quota: SandboxQuota, wait: Duration, retry_after: RetryAfter, now: SystemTime) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let told = match retry_after {
            RetryAfter::Text => format!(" You can send requests again in {seconds} seconds."),
            RetryAfter::Seconds | RetryAfter::Date | RetryAfter::Absent => String::new(),
        };
        let window = hours_minutes_seconds(quota.window);
        let message = format!(
            "API calls quota exceeded! Maximum allowed {} per {window} for the key Destination+TenantID+AppID.{told}",
            quota.calls,
        );
        let header = match retry_after {
            RetryAfter::Seconds => Some(seconds.to_string()),
            // A date has whole seconds and is cut off, so one more makes sure that it is not too early.
            RetryAfter::Date => now.checked_add(wait + Duration::from_secs(1)).map(httpdate::fmt_http_date),
            RetryAfter::Text | RetryAfter::Absent => None,
        };
        // Captures show the status as the code, not the documented `TooManyRequests`.
        let refusal = Self::new(429, "429", message);
        Self { header: header.map(|value| ("retry-after", value)), ..refusal }
    }

    pub(super) fn internal_error() -> Self {
        let message = "An internal server error occurred, please try again later";
        Self::new(500, "InternalServerError", message)
    }

    pub(super) fn unavailable() -> Self {
        Self::new(503, "ServiceUnavailable", "The service is temporarily unavailable")
    }

    /// A redirect; the program must not follow it with its token.
    pub(super) fn redirect() -> Self {
        let header = Some(("location", "/elsewhere".to_owned()));
        Self { header, ..Self::new(307, "Redirect", "The resource is to be found elsewhere") }
    }

    pub(super) fn machine_not_found(id: &str) -> Self {
        Self::new(404, "ResourceNotFound", format!("Machine {id} was not found"))
    }

    pub(super) fn no_machines() -> Self {
        Self::new(404, "ResourceNotFound", "No machines were found")
    }

    pub(super) fn no_route() -> Self {
        Self::new(404, "NotFound", "No resource was found that matches the request")
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(405, "MethodNotAllowed", "The resource does not support this method")
    }

    pub(super) fn odata(message: impl Into<String>) -> Self {
        Self::new(400, "ODataError", message)
    }

    pub(super) fn wrong_content_type() -> Self {
        let message = "The Content-Type of the request must be application/json";
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(super) fn body_too_large() -> Self {
        Self::new(413, "InvalidRequestBody", "The body of the request is too large")
    }

    pub(super) fn invalid_body(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidRequestBody", message)
    }

    pub(super) fn missing_parameter(name: &str) -> Self {
        let message = format!("The required parameter {name} is missing from the request body");
        Self::new(400, "MissingRequiredParameter", message)
    }

    pub(super) fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidInput", message)
    }

    pub(super) fn too_many_tags() -> Self {
        Self::invalid_input("The machine, or the tenant, has no room for one more tag")
    }

    pub(super) fn batch_too_large(received: usize, allowed: usize) -> Self {
        let message = format!("Maximum batch size exceeded. Received: {received}, allowed: {allowed}");
        Self::new(400, "MaximumBatchSizeExceeded", message)
    }

    /// A bulk call refused as a whole for the ids in it that are unknown or inactive.
    pub(super) fn bad_machines(bad: &[&str], all: &[String], naming: DeadNaming, status: BulkRefusalStatus) -> Self {
        let named = match naming {
            DeadNaming::All => bad.join(", "),
            DeadNaming::One => bad.first().copied().unwrap_or_default().to_owned(),
            DeadNaming::Absent => String::new(),
            DeadNaming::Everybody => all.join(", "),
        };
        let colon = if named.is_empty() { "" } else { ": " };
        let message = format!("The request holds machines that do not exist or are not active{colon}{named}");
        match status {
            BulkRefusalStatus::BadRequest => Self::invalid_input(message),
            BulkRefusalStatus::NotFound => Self::new(404, "ResourceNotFound", message),
        }
    }

    /// The refusal as the client gets it.
    pub(super) fn into_answer(self, request_id: Guid) -> Answer {
        #[derive(Serialize)]
        struct Envelope<'text> {
            error: Detail<'text>,
        }
        #[derive(Serialize)]
        struct Detail<'text> {
            code: &'text str,
            message: &'text str,
            target: Guid,
        }
        let detail = Detail { code: self.code, message: &self.message, target: request_id };
        let mut answer = Answer::with_status(self.status, json(&Envelope { error: detail }), request_id);
        answer.headers.extend(self.header);
        answer
    }
}

/// Bytes of JSON; what the sandbox serialises cannot fail, and an empty body would show it if it did.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// A span of time as the service's text has it: `00:01:00`.
fn hours_minutes_seconds(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: SandboxQuota = SandboxQuota { calls: 100, window: Duration::from_mins(1) };

    #[test]
    fn a_refusal_has_the_shape_of_the_api() {
        let answer = ApiError::machine_not_found("1e5b").into_answer(Guid::from_random(0));
        assert_eq!(answer.status, 404);
        let target = "00000000-0000-4000-8000-000000000000";
        assert_eq!(answer.header("request-id"), Some(target));
        let expected = format!(
            r#"{{"error":{{"code":"ResourceNotFound","message":"Machine 1e5b was not found","target":"{target}"}}}}"#
        );
        assert_eq!(String::from_utf8_lossy(&answer.body), expected);
    }

    #[test]
    fn a_429_tells_its_time_in_one_way_only() {
        let short =
            "API calls quota exceeded! Maximum allowed 100 per 00:01:00 for the key Destination+TenantID+AppID.";
        let long = format!("{short} You can send requests again in 8 seconds.");
        let table = [
            (RetryAfter::Seconds, Some("8"), short),
            (RetryAfter::Date, Some("Thu, 01 Jan 1970 00:00:08 GMT"), short),
            (RetryAfter::Text, None, long.as_str()),
            (RetryAfter::Absent, None, short),
        ];
        for (retry_after, header, message) in table {
            let refusal = ApiError::quota(QUOTA, Duration::from_millis(7100), retry_after, SystemTime::UNIX_EPOCH);
            assert_eq!((refusal.status, refusal.code), (429, "429"));
            assert_eq!(refusal.message, message);
            let found = refusal.header.as_ref().map(|(_, value)| value.as_str());
            assert_eq!(found, header, "{retry_after:?}");
        }
    }

    #[test]
    fn a_window_is_written_in_hours_minutes_and_seconds() {
        for (seconds, expected) in [(60, "00:01:00"), (3600, "01:00:00"), (90_061, "25:01:01"), (1, "00:00:01")] {
            assert_eq!(hours_minutes_seconds(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn a_refused_bulk_call_names_as_many_ids_as_asked_for() {
        let all = ["w", "x", "y"].map(str::to_owned);
        for (naming, expected) in [
            (DeadNaming::All, "active: x, y"),
            (DeadNaming::One, "active: x"),
            (DeadNaming::Absent, "active"),
            (DeadNaming::Everybody, "active: w, x, y"),
        ] {
            let refusal = ApiError::bad_machines(&["x", "y"], &all, naming, BulkRefusalStatus::BadRequest);
            assert!(refusal.message.ends_with(expected), "{}", refusal.message);
            assert_eq!(refusal.status, 400);
        }
        let refusal = ApiError::bad_machines(&["x"], &all, DeadNaming::All, BulkRefusalStatus::NotFound);
        assert_eq!(refusal.status, 404);
    }

    #[test]
    fn a_batch_that_is_too_large_is_told_the_limit() {
        let refusal = ApiError::batch_too_large(501, 500);
        assert_eq!(refusal.code, "MaximumBatchSizeExceeded");
        assert!(refusal.message.contains("Received: 501, allowed: 500"));
    }
}
