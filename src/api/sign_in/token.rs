//! A bearer token as the calls use it, and what its payload says.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::error::SignInError;

/// A longer token would not fit into any server's header limits.
pub(super) const LONGEST_TOKEN_BYTES: usize = 64 * 1024;
/// A longer name or role is no name or role; it is left out of the claims.
const LONGEST_CLAIM_CHARACTERS: usize = 200;

/// An access token, ready to be sent. Cheap to clone; never shown.
#[derive(Clone)]
pub(crate) struct BearerToken(Arc<Inner>);

struct Inner {
    header: HeaderValue,
    generation: u64,
    claims: Option<TokenClaims>,
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BearerToken").field("generation", &self.0.generation).finish_non_exhaustive()
    }
}

impl BearerToken {
    /// Makes the token, or `None` if `secret` cannot be a header's value: empty, too long, or with
    /// characters other than visible ASCII (RFC 6750, section 2.1).
    pub(super) fn new(secret: &SecretString, generation: u64) -> Option<Self> {
        let secret = secret.expose_secret();
        if !is_token_text(secret) {
            return None;
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
        header.set_sensitive(true);
        Some(Self(Arc::new(Inner { header, generation, claims: TokenClaims::read(secret) })))
    }

    /// Which token of this process it is, counted from 1. A renewal that brings the same token
    /// keeps its number.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation
    }

    /// The value of the `Authorization` header, marked sensitive.
    pub(crate) fn header_value(&self) -> HeaderValue {
        self.0.header.clone()
    }

    /// The token alone, for a server that takes it for a password.
    pub(crate) fn password(&self) -> SecretString {
        let value = self.0.header.to_str().unwrap_or_default();
        SecretString::from(value.trim_start_matches("Bearer "))
    }

    /// What the token says of itself; `None` if it cannot be read. Not verified: good for messages
    /// and for telling runs apart, never for deciding what is allowed.
    pub(crate) fn claims(&self) -> Option<&TokenClaims> {
        self.0.claims.as_ref()
    }

    /// Whether both are the same secret.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.0.header == other.0.header
    }
}

/// Whether `text` can stand in a bearer header as it is. Quotation marks were copied with it, and belong to no token.
pub(super) fn is_token_text(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'`');
    !text.is_empty() && text.len() <= LONGEST_TOKEN_BYTES && text.bytes().all(is_fit)
}

/// A text that nobody guesses: 32 bytes of the system's randomness, in characters that an address takes as they are.
pub(super) fn unguessable() -> Result<String, SignInError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_none| {
        SignInError::settings(
            "the system gives no random numbers",
            "check that this process may use the system's randomness",
        )
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The payload of an Entra access token, as far as it is of use. Every part is optional, since the
/// format is the service's own affair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TokenClaims {
    /// `tid`: the tenant's id.
    pub tenant_id: Option<String>,
    /// `appid` (version 1 tokens) or `azp` (version 2): the app's client id.
    pub application_id: Option<String>,
    /// `aud`: the API that the token is for.
    pub audience: Option<String>,
    /// `roles`: the permissions of an app, such as `Machine.ReadWrite.All`.
    pub roles: Vec<String>,
    /// `scp`: the permissions of a person, such as `Machine.ReadWrite`.
    pub scopes: Vec<String>,
    /// `exp`: when the token ends, in seconds since 1970.
    pub expires_at_unix_seconds: Option<i64>,
}

impl TokenClaims {
    /// Whether it is a person's: whose list shows only the machines of the groups that the person may see.
    pub(crate) fn is_delegated(&self) -> bool {
        !self.scopes.is_empty()
    }

    /// Reads the payload of a JSON Web Token (RFC 7519) without verifying it.
    pub(super) fn read(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_header, payload) = (parts.next()?, parts.next()?);
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let Value::Object(claims) = serde_json::from_slice(&payload).ok()? else {
            return None;
        };
        let text = |name: &str| claims.get(name).and_then(Value::as_str).and_then(clean);
        Some(Self {
            tenant_id: text("tid"),
            application_id: text("appid").or_else(|| text("azp")),
            audience: text("aud"),
            roles: match claims.get("roles") {
                Some(Value::Array(roles)) => roles.iter().filter_map(Value::as_str).filter_map(clean).collect(),
                _ => Vec::new(),
            },
            scopes: match claims.get("scp") {
                Some(Value::String(scopes)) => scopes.split_whitespace().filter_map(clean).collect(),
                _ => Vec::new(),
            },
            expires_at_unix_seconds: claims.get("exp").and_then(Value::as_i64),
        })
    }
}

/// Claims end up in messages and in names of runs: only short, visible ones are taken.
fn clean(claim: &str) -> Option<String> {
    let fits = !claim.is_empty()
        && claim.chars().count() <= LONGEST_CLAIM_CHARACTERS
        && claim.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| claim.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web_token(payload: &str) -> String {
        format!("eyJhbGciOiJub25lIn0.{}.signature", URL_SAFE_NO_PAD.encode(payload))
    }

    fn claims(token: &str) -> Option<TokenClaims> {
        BearerToken::new(&token.into(), 1).expect("a possible token").claims().cloned()
    }

    #[test]
    fn a_token_has_no_blanks_and_no_quotation_marks() {
        for (text, expected) in [
            ("ready-made", true),
            ("a.b_c~d+e/f=", true),
            ("", false),
            ("a b", false),
            ("\"a\"", false),
            ("'a'", false),
        ] {
            assert_eq!(is_token_text(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_claims_of_an_app_and_of_a_person_are_read() {
        let app = web_token(r#"{"tid":"t-1","appid":"a-1","aud":"https://api","roles":["Machine.Read"],"exp":17}"#);
        let expected = TokenClaims {
            tenant_id: Some("t-1".into()),
            application_id: Some("a-1".into()),
            audience: Some("https://api".into()),
            roles: vec!["Machine.Read".into()],
            scopes: vec![],
            expires_at_unix_seconds: Some(17),
        };
        assert!(!expected.is_delegated());
        assert_eq!(claims(&app), Some(expected));
        let person = web_token(r#"{"azp":"a-2","scp":"Machine.Read Machine.ReadWrite"}"#);
        let person = claims(&person).expect("readable");
        assert_eq!(person.application_id.as_deref(), Some("a-2"));
        assert_eq!(person.scopes, ["Machine.Read", "Machine.ReadWrite"]);
        assert!(person.is_delegated());
    }

    #[test]
    fn what_cannot_be_read_is_no_claims_and_what_is_odd_is_left_out() {
        for token in ["opaque", "a.b.c", "a.!!.c", &web_token("[1]"), &web_token("{")] {
            assert_eq!(claims(token), None, "{token}");
        }
        let odd = r#"{"tid":5,"appid":"a\u001bb","roles":"x","scp":["y"],"exp":"soon"}"#;
        assert_eq!(claims(&web_token(odd)), Some(TokenClaims::default()));
    }

    #[test]
    fn the_header_is_sensitive_and_the_token_is_never_shown() {
        let token = BearerToken::new(&"topsecret".into(), 7).expect("a possible token");
        assert_eq!(token.header_value(), "Bearer topsecret");
        assert!(token.header_value().is_sensitive());
        assert_eq!(format!("{token:?}"), "BearerToken { generation: 7, .. }");
        assert!(!format!("{:?}", token.header_value()).contains("topsecret"));
    }

    #[test]
    fn what_cannot_be_a_header_is_no_token() {
        let long = "t0ken".repeat(LONGEST_TOKEN_BYTES);
        for text in ["", " ", "a b", "a\nb", "ä", long.as_str()] {
            assert!(BearerToken::new(&text.into(), 1).is_none(), "{text:?}");
        }
    }
}
