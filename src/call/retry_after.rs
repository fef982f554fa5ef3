//! How long a 429 asks to wait: the header in seconds, the header as a date, or seconds in the text.
//!
//! The page of the API documents the header in seconds; captures show only the text. So all three are read, in that
//! order, and what cannot be understood counts as nothing said.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::api::Response;

/// What comes before the number of seconds in the service's text.
const TEXT_BEFORE_SECONDS: &str = "again in ";

/// The wait that the answer names, if it names one.
pub(super) fn named_wait(response: &Response, wall_now: Timestamp) -> Option<Duration> {
    response
        .retry_after
        .as_deref()
        .and_then(|header| seconds(header.trim()).or_else(|| until_date(header, response, wall_now)))
        .or_else(|| seconds_in_text(response.service_error()?.message.exact()))
        .or_else(|| seconds_in_text(&String::from_utf8_lossy(&response.body)))
}

/// Whole seconds, as RFC 9110 has them in `Retry-After`; the largest numbers are as good as for ever.
fn seconds(text: &str) -> Option<Duration> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

/// The time from the service's own `Date` to the date named, so that its clock need not agree with ours.
fn until_date(header: &str, response: &Response, wall_now: Timestamp) -> Option<Duration> {
    let until = httpdate::parse_http_date(header.trim()).ok()?;
    let now = response
        .date
        .as_deref()
        .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
        .unwrap_or_else(|| SystemTime::from(wall_now));
    Some(until.duration_since(now).unwrap_or_default())
}

/// The number in `You can send requests again in 8 seconds.`
fn seconds_in_text(text: &str) -> Option<Duration> {
    let (_, rest) = text.split_once(TEXT_BEFORE_SECONDS)?;
    let digits = rest.split(|character: char| !character.is_ascii_digit()).next()?;
    let unit = rest.get(digits.len()..)?.trim_start();
    if unit.starts_with("second") { seconds(digits) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(header: Option<&str>, date: Option<&str>, body: &str) -> Option<u64> {
        let response = Response {
            status: 429,
            retry_after: header.map(str::to_owned),
            date: date.map(str::to_owned),
            body: body.as_bytes().to_vec(),
            ..Response::default()
        };
        let wall_now = "2026-03-01T12:00:00Z".parse().expect("a time");
        named_wait(&response, wall_now).map(|wait| wait.as_secs())
    }

    #[test]
    fn all_forms_of_a_wait_are_read() {
        let text = r#"{"error": {"code": "429", "message": "API calls quota exceeded! Maximum allowed 100 per 00:01:00 for the key x. You can send requests again in 8 seconds.", "target": "t"}}"#;
        let old_text = r#"{"error": {"code": "429", "message": "API calls quota exceeded! Maximum allowed 100 per 00:01:00 for the key x."}}"#;
        let noon_and_a_half = "Sun, 01 Mar 2026 12:00:30 GMT";
        let table = [
            (Some("7"), None, text, Some(7)),
            (Some(" 7 "), None, "", Some(7)),
            (Some("0"), None, "", Some(0)),
            (Some("31536000"), None, "", Some(31_536_000)),
            (Some("99999999999999999999999999"), None, "", Some(u64::MAX)),
            (Some(noon_and_a_half), None, "", Some(30)),
            // The service's own clock counts, if it is shown.
            (Some(noon_and_a_half), Some("Sun, 01 Mar 2026 12:00:25 GMT"), "", Some(5)),
            (Some(noon_and_a_half), Some("Sun, 01 Mar 2026 12:01:00 GMT"), "", Some(0)),
            // Nonsense in the header leaves the text.
            (Some("soon"), None, text, Some(8)),
            (Some("-5"), None, text, Some(8)),
            (Some("1e99"), None, text, Some(8)),
            (Some("soon"), None, old_text, None),
            (None, None, text, Some(8)),
            (None, None, old_text, None),
            (None, None, "", None),
            (None, None, "try again in 3 seconds", Some(3)),
            (None, None, "try again in 3 minutes", None),
            (None, None, "try again in many seconds", None),
            (None, None, "\u{fffd}<html>", None),
        ];
        for (header, date, body, expected) in table {
            assert_eq!(wait(header, date, body), expected, "{header:?} {date:?} {body}");
        }
    }
}
