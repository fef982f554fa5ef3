//! What the body of an authority's answer says.
//!
//! Only named fields are ever taken out of a body, so that a page of a proxy, or a token in an
//! unexpected place, is not shown by accident.

use serde_json::Value;

use super::token::is_token_text;

/// Whether a body can be handed to `azure_identity` as a token's answer. The crate takes a missing
/// token for an empty one, and adds `expires_in` to the time without a check, which panics on a
/// number that no calendar can hold.
pub(super) fn is_plausible_token_answer(body: &[u8]) -> bool {
    /// Ten years, in seconds: beyond any token, within any calendar.
    const LONGEST_PLAUSIBLE_LIFE_SECONDS: i64 = 10 * 365 * 24 * 60 * 60;
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return false;
    };
    let has_token = fields.get("access_token").and_then(Value::as_str).is_some_and(is_token_text);
    let life_is_plausible = fields.get("expires_in").and_then(Value::as_number).is_none_or(|seconds| {
        seconds.as_i64().is_some_and(|seconds| (0..=LONGEST_PLAUSIBLE_LIFE_SECONDS).contains(&seconds))
    });
    has_token && life_is_plausible
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
    use super::*;

    #[test]
    fn only_plausible_answers_reach_the_crate() {
        let cases = [
            (r#"{"access_token":"t","expires_in":3599}"#, true),
            (r#"{"access_token":"t"}"#, true),
            (r#"{"access_token":"t","expires_on":"1700000000"}"#, true),
            (r#"{"access_token":"t","expires_in":9223372036854775807}"#, false),
            (r#"{"access_token":"t","expires_in":1e300}"#, false),
            (r#"{"access_token":"t","expires_in":-1}"#, false),
            (r#"{"access_token":""}"#, false),
            (r#"{"access_token":"a b"}"#, false),
            (r#"{"expires_in":3599}"#, false),
            ("[]", false),
            ("<html>", false),
        ];
        for (body, expected) in cases {
            assert_eq!(is_plausible_token_answer(body.as_bytes()), expected, "{body}");
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
