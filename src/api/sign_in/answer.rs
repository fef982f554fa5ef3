//! What the body of an authority's answer says.
//!
//! Only named fields are ever taken out of a body, so that a page of a proxy, or a token in an
//! unexpected place, is not shown by accident.

use std::time::{SystemTime, UNIX_EPOCH};

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::cache::AcquiredToken;
use super::token::is_token_text;
use crate::outside::secrets;

/// Learns the tokens of an answer, whatever else it says: also one that is refused or broken may repeat them in its reason.
pub(super) fn learn_tokens(body: &[u8]) {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return };
    for name in ["access_token", "refresh_token", "id_token", "accessToken"] {
        if let Some(token) = fields.get(name).and_then(Value::as_str).filter(|text| is_token_text(text)) {
            secrets::learn(&token.into());
        }
    }
}

/// Whether an answer brings a token, be it usable or not.
pub(super) fn holds_token(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|fields: Map<String, Value>| fields.contains_key("access_token"))
}

/// What signing in brings (RFC 6749, section 5.1).
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) token: AcquiredToken,
    /// Brings the next token without the person, where a person signs in.
    pub(super) refresh_token: Option<SecretString>,
}

impl Grant {
    /// Reads an answer; `None` if it holds no token, or names an end that no calendar can hold. The end is `expires_on`, in
    /// seconds since 1970, which platforms add and which stays true for a token that they have kept for a while; else
    /// `expires_in`, in seconds from now. Some write numbers as texts.
    pub(super) fn read(body: &[u8], now: SystemTime) -> Option<Self> {
        /// Ten years, in seconds: beyond any token, within any calendar.
        const LONGEST_PLAUSIBLE_LIFE_SECONDS: i64 = 10 * 365 * 24 * 60 * 60;
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return None };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| is_token_text(text));
        let secret = SecretString::from(text("access_token")?);
        let life = seconds(&fields, "expires_in")?;
        if life.is_some_and(|seconds| !(0..=LONGEST_PLAUSIBLE_LIFE_SECONDS).contains(&seconds)) {
            return None;
        }
        let now_seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
        let end = seconds(&fields, "expires_on")?.or_else(|| Some(now_seconds.saturating_add(life?)));
        let token = match end {
            Some(end) => AcquiredToken::ending_at(secret, i128::from(end) * 1_000_000_000, now),
            None => AcquiredToken { secret, life: None },
        };
        Some(Self { token, refresh_token: text("refresh_token").map(SecretString::from) })
    }
}

/// The token that the Azure CLI prints. Its end is `expires_on`, in seconds since 1970; before version 2.54, which Debian 12 and
/// others are behind, only `expiresOn`, in the local time of this computer.
pub(super) fn cli_token(output: &[u8], now: SystemTime) -> Option<AcquiredToken> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(output) else { return None };
    let secret = fields.get("accessToken").and_then(Value::as_str).filter(|text| is_token_text(text))?;
    let end = match seconds(&fields, "expires_on")? {
        Some(end) => end,
        None => fields.get("expiresOn")?.as_str().and_then(local_seconds)?,
    };
    Some(AcquiredToken::ending_at(secret.into(), i128::from(end) * 1_000_000_000, now))
}

/// A number, as such or as text: `Some(None)` if it is not there, `None` if it is something else.
#[expect(clippy::option_option, reason = "not there is not the same as wrong")]
fn seconds(fields: &Map<String, Value>, name: &str) -> Option<Option<i64>> {
    match fields.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(value) => number(value).map(Some),
    }
}

/// A number that may be written as a text.
pub(super) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A date and time of day in this computer's zone, in seconds since 1970. One that comes twice is the first.
fn local_seconds(text: &str) -> Option<i64> {
    let time: jiff::civil::DateTime = text.parse().ok()?;
    time.to_zoned(jiff::tz::TimeZone::system()).ok().map(|time| time.timestamp().as_second())
}

/// What an error body says: `error` and `error_description` (RFC 6749, section 5.2), Entra's
/// `error_codes`, and App Service's `message`. Of anything else nothing is shown.
#[derive(Debug, Default)]
pub(super) struct Reason {
    pub(super) error: Option<String>,
    description: Option<String>,
    codes: Vec<u32>,
}

impl Reason {
    /// What came back by another way than a body.
    pub(super) fn new(error: String, description: Option<String>) -> Self {
        Self { error: Some(error), description, codes: Vec::new() }
    }

    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
            return Self::default();
        };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let codes = match fields.get("error_codes") {
            Some(Value::Array(codes)) => codes.iter().filter_map(Value::as_u64).collect(),
            _ => Vec::new(),
        };
        Self {
            error: text("error"),
            description: text("error_description").or_else(|| text("message")),
            codes: codes.into_iter().filter_map(|code| u32::try_from(code).ok()).collect(),
        }
    }

    /// The AADSTS number.
    pub(super) fn code(&self) -> Option<u32> {
        self.codes.first().copied().or_else(|| self.description.as_deref().and_then(aadsts_code))
    }

    /// The reason in words, still as the server wrote it: it must be redacted before it is shown.
    pub(super) fn text(&self) -> Option<&str> {
        let description = self.description.as_deref().map(aadsts_reason);
        description.filter(|text| !text.is_empty()).or(self.error.as_deref())
    }
}

/// The number behind the first `AADSTS` in a text.
pub(super) fn aadsts_code(text: &str) -> Option<u32> {
    let (_, after) = text.split_once("AADSTS")?;
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after.get(..end)?.parse().ok()
}

/// The sentence that matters in Entra's description: without its number in front, and without the
/// trace id, the correlation id and the time that follow.
pub(super) fn aadsts_reason(text: &str) -> &str {
    let reason = text.split("Trace ID:").next().unwrap_or(text);
    let reason = match reason.strip_prefix("AADSTS").and_then(|rest| rest.split_once(": ")) {
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => reason,
    };
    reason.trim()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_plausible_answers_are_tokens() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let cases = [
            (r#"{"access_token":"t","expires_in":3599}"#, Some(Some(3599))),
            (r#"{"access_token":"t","expires_in":"3599"}"#, Some(Some(3599))),
            (r#"{"access_token":"t"}"#, Some(None)),
            (r#"{"access_token":"t","expires_on":"1700","expires_in":"86400"}"#, Some(Some(700))),
            (r#"{"access_token":"t","expires_on":1700}"#, Some(Some(700))),
            (r#"{"access_token":"t","expires_on":"soon"}"#, None),
            (r#"{"access_token":"t","expires_in":9223372036854775807}"#, None),
            (r#"{"access_token":"t","expires_in":1e300}"#, None),
            (r#"{"access_token":"t","expires_in":-1}"#, None),
            (r#"{"access_token":""}"#, None),
            (r#"{"access_token":"a b"}"#, None),
            (r#"{"expires_in":3599}"#, None),
            ("[]", None),
            ("<html>", None),
        ];
        for (body, expected) in cases {
            let life = Grant::read(body.as_bytes(), now).map(|grant| grant.token.life);
            assert_eq!(life, expected.map(|seconds| seconds.map(Duration::from_secs)), "{body}");
        }
    }

    #[test]
    fn the_cli_prints_the_end_in_seconds_or_once_in_local_time() {
        let here = |text: &str| {
            let time: jiff::civil::DateTime = text.parse().expect("a time");
            time.to_zoned(jiff::tz::TimeZone::system()).expect("a moment").timestamp().as_second()
        };
        let end = here("2030-01-02 03:04:05");
        let now = UNIX_EPOCH + Duration::from_secs(end.cast_unsigned() - 600);
        let cases = [
            (
                format!(r#"{{"accessToken":"t","expires_on":{end},"expiresOn":"2040-01-01 00:00:00.000000"}}"#),
                Some(600),
            ),
            (
                r#"{"accessToken":"t","expiresOn":"2030-01-02 03:04:05.250000","tokenType":"Bearer"}"#.to_owned(),
                Some(600),
            ),
            (r#"{"accessToken":"t","expiresOn":"2030-01-02 03:00:00"}"#.to_owned(), Some(355)),
            (r#"{"accessToken":"t","expiresOn":5}"#.to_owned(), None),
            (r#"{"accessToken":"t"}"#.to_owned(), None),
        ];
        for (printed, expected) in cases {
            let life = cli_token(printed.as_bytes(), now).map(|token| token.life.expect("an end").as_secs());
            assert_eq!(life, expected, "{printed}");
        }
    }

    #[test]
    fn the_number_is_found_in_its_field_or_in_the_description() {
        let cases = [
            (r#"{"error_description":"AADSTS1: x","error_codes":[7000215]}"#, Some(7_000_215)),
            (r#"{"error_description":"AADSTS700016: No such app"}"#, Some(700_016)),
            (r#"{"error":"invalid_request"}"#, None),
            (r#"{"error_codes":[-1],"error_description":"AADSTS"}"#, None),
            (r#"{"error":5,"error_codes":"x"}"#, None),
            ("<html>AADSTS5", None),
        ];
        for (body, code) in cases {
            assert_eq!(Reason::read(body.as_bytes()).code(), code, "{body}");
        }
    }

    #[test]
    fn the_reason_is_the_sentence_that_matters() {
        let cases = [
            (r#"{"error":"x","error_description":"AADSTS1: Wrong. Trace ID: 1 Correlation: 2"}"#, Some("Wrong.")),
            (r#"{"error":"x","error_description":"AADSTS1: No app\r\nTrace ID: 1"}"#, Some("No app")),
            (r#"{"error":"x","error_description":""}"#, Some("x")),
            (r#"{"error":"invalid_request"}"#, Some("invalid_request")),
            (r#"{"statusCode":400,"message":"No identity"}"#, Some("No identity")),
            (r#"{"error":5}"#, None),
            ("<html>", None),
        ];
        for (body, text) in cases {
            assert_eq!(Reason::read(body.as_bytes()).text(), text, "{body}");
        }
    }
}
