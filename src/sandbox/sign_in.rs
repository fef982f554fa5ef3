//! The token endpoint, and which tokens are good.
//!
//! Clients post straight to `/{tenant}/oauth2/v2.0/token` and ask for no instance or `OpenID` discovery, so there is none. Tokens look like signed JSON Web Tokens (RFC 7519) so that clients can read
//! their claims; the signature is random and what counts is that this sandbox has issued the token.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;

use super::answers::json;
use super::calls::Arrival;
use super::made_up::Guid;
use super::settings::SandboxSecret;

/// The most tokens that are remembered; past it, the one that ends soonest is forgotten.
const MAXIMUM_TOKENS: usize = 10_000;

/// The form of a request for a token: of a client (RFC 6749, section 4.4, and RFC 7523 for assertions), or of a person.
#[derive(Default)]
pub(super) struct TokenRequest {
    pub(super) grant_type: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) client_assertion: Option<String>,
    pub(super) client_assertion_type: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) code: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) code_verifier: Option<String>,
    pub(super) refresh_token: Option<String>,
    pub(super) device_code: Option<String>,
}

impl TokenRequest {
    /// Reads the form; of a field that is there twice the last counts, and others than these are skipped.
    pub(super) fn read(form: &[u8]) -> Self {
        let mut request = Self::default();
        for (name, value) in form_urlencoded::parse(form) {
            let field = match &*name {
                "grant_type" => &mut request.grant_type,
                "client_id" => &mut request.client_id,
                "client_secret" => &mut request.client_secret,
                "client_assertion" => &mut request.client_assertion,
                "client_assertion_type" => &mut request.client_assertion_type,
                "scope" => &mut request.scope,
                "code" => &mut request.code,
                "redirect_uri" => &mut request.redirect_uri,
                "code_verifier" => &mut request.code_verifier,
                "refresh_token" => &mut request.refresh_token,
                "device_code" => &mut request.device_code,
                _ => continue,
            };
            *field = Some(value.into_owned());
        }
        request
    }
}

/// A token endpoint's refusal, in the form that Microsoft's sign-in service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SignInError {
    pub(super) status: u16,
    error: &'static str,
    number: u32,
    description: &'static str,
}

impl SignInError {
    pub(super) const fn bad_request(error: &'static str, number: u32, description: &'static str) -> Self {
        Self { status: 400, error, number, description }
    }

    const fn bad_credential(number: u32, description: &'static str) -> Self {
        Self { status: 401, error: "invalid_client", number, description }
    }

    /// The refusal of something that is no form at all.
    pub(super) const fn no_form() -> Self {
        Self::bad_request("invalid_request", 900_144, "The request body must be a form.")
    }

    /// The refusal's body. Its texts hold nothing that JSON escapes: some clients read them in place.
    pub(super) fn body(self, now: Timestamp, trace: Guid) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body {
            error: &'static str,
            error_description: String,
            error_codes: [u32; 1],
            timestamp: String,
            trace_id: Guid,
            correlation_id: Guid,
        }
        json(&Body {
            error: self.error,
            error_description: format!("AADSTS{}: {}", self.number, self.description),
            error_codes: [self.number],
            timestamp: now.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            trace_id: trace,
            correlation_id: trace,
        })
    }
}

/// Who asks for what, once the request is found in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Applicant<'text> {
    pub(super) tenant: &'text str,
    pub(super) client_id: &'text str,
    pub(super) audience: &'text str,
    /// Whether it is a person, whose token names what it may do in another way.
    pub(super) is_person: bool,
}

/// Checks a request for a token.
///
/// # Errors
/// [`SignInError`] says what is missing or wrong.
pub(super) fn check<'text>(
    tenant: &'text str,
    request: &'text TokenRequest,
    only_secret: Option<&SandboxSecret>,
) -> Result<Applicant<'text>, SignInError> {
    let given = |field: &'text Option<String>| field.as_deref().filter(|text| !text.is_empty());
    if given(&request.grant_type) != Some("client_credentials") {
        return Err(SignInError::bad_request("unsupported_grant_type", 70_003, "Only client_credentials is served."));
    }
    let Some(client_id) = given(&request.client_id) else {
        return Err(SignInError::bad_request("invalid_request", 900_144, "The parameter client_id is missing."));
    };
    let Some(scope) = given(&request.scope) else {
        return Err(SignInError::bad_request("invalid_request", 900_144, "The parameter scope is missing."));
    };
    let Some(audience) = scope.strip_suffix("/.default") else {
        return Err(SignInError::bad_request("invalid_scope", 1_002_012, "The scope must end in /.default."));
    };
    match (given(&request.client_secret), given(&request.client_assertion), only_secret) {
        (Some(secret), _, Some(only)) if secret == only.expose() => {}
        (Some(_), _, None) => {}
        (Some(_), _, Some(_)) => return Err(SignInError::bad_credential(7_000_215, "Invalid client secret provided.")),
        (None, Some(_), None) => {
            const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            if given(&request.client_assertion_type) != Some(JWT_BEARER) {
                let description = "The parameter client_assertion_type must name a JWT bearer assertion.";
                return Err(SignInError::bad_request("invalid_request", 900_144, description));
            }
        }
        (None, Some(_), Some(_)) => return Err(SignInError::bad_credential(700_027, "The assertion is not trusted.")),
        (None, None, _) => {
            return Err(SignInError::bad_credential(7_000_216, "A client_secret or client_assertion is required."));
        }
    }
    Ok(Applicant { tenant, client_id, audience, is_person: false })
}

/// The tokens that were issued and still live.
pub(super) struct Tokens {
    /// By the token's own text.
    ends: HashMap<Box<str>, Duration>,
    lifetime: Duration,
    roles: Vec<String>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tokens").field("live", &self.ends.len()).finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn new(lifetime: Duration, roles: Vec<String>) -> Self {
        Self { ends: HashMap::new(), lifetime, roles }
    }

    pub(super) fn issue(&mut self, applicant: Applicant<'_>, now: Arrival, random: &mut fastrand::Rng) -> String {
        self.ends.retain(|_, end| *end > now.uptime);
        if self.ends.len() >= MAXIMUM_TOKENS
            && let Some(soonest) = self.ends.iter().min_by_key(|(_, end)| **end).map(|(token, _)| token.clone())
        {
            self.ends.remove(&soonest);
        }
        let token = self.write(applicant, now.wall, random);
        self.ends.insert(token.as_str().into(), now.uptime + self.lifetime);
        token
    }

    fn write(&self, applicant: Applicant<'_>, now: Timestamp, random: &mut fastrand::Rng) -> String {
        #[derive(Serialize)]
        struct Claims<'text> {
            aud: &'text str,
            iss: String,
            iat: i64,
            nbf: i64,
            exp: i64,
            appid: &'text str,
            tid: &'text str,
            #[serde(skip_serializing_if = "<[String]>::is_empty")]
            roles: &'text [String],
            #[serde(skip_serializing_if = "Option::is_none")]
            scp: Option<&'static str>,
            uti: Guid,
            ver: &'static str,
        }
        let issued = now.as_second();
        let claims = Claims {
            aud: applicant.audience,
            iss: format!("https://sts.windows.net/{}/", applicant.tenant),
            iat: issued,
            nbf: issued,
            exp: issued.saturating_add(i64::try_from(self.expires_in()).unwrap_or(i64::MAX)),
            appid: applicant.client_id,
            tid: applicant.tenant,
            roles: if applicant.is_person { &[] } else { &self.roles },
            scp: applicant.is_person.then_some("Machine.ReadWrite"),
            uti: Guid::from_random(random.u128(..)),
            ver: "1.0",
        };
        let mut signature = [0; 64];
        random.fill(&mut signature);
        let header = br#"{"typ":"JWT","alg":"ES256","kid":"sandbox"}"#;
        [&header[..], &json(&claims), &signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    /// The lifetime as the endpoint names it: whole seconds, rounded down so that nobody trusts a dead token.
    pub(super) const fn expires_in(&self) -> u64 {
        self.lifetime.as_secs()
    }

    /// Whether this token was issued here and still lives.
    pub(super) fn is_good(&self, token: &str, now: Duration) -> bool {
        self.ends.get(token).is_some_and(|end| now < *end)
    }

    pub(super) fn revoke_all(&mut self) {
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests;
