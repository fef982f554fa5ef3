//! People who sign in: the endpoints of the sign-in service for them, so that signing in can be tried.
//!
//! Nobody is asked anything. A browser is sent back at once with a code, and a device's code counts as entered when it is
//! asked for a second time. What counts is kept to: a code is good once, for the client and the way back that it was given
//! to, and only with the verifier of its challenge (RFC 7636); so is what renews a token.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::answers::json;
use super::sign_in::{SignInError, TokenRequest};

/// The most codes that are remembered; past it, all are forgotten.
const MAXIMUM_CODES: usize = 1_000;
/// What people ask for after the API's name.
const PERMISSION: &str = "/Machine.ReadWrite";

/// The codes that were given out and are still good.
#[derive(Debug, Default)]
pub(super) struct People {
    codes: HashMap<String, Given>,
}

/// Whom a code was given to.
#[derive(Debug, Clone)]
struct Given {
    client_id: String,
    audience: String,
    way: Way,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    Browser { redirect: String, challenge: String },
    Device { was_asked: bool },
    Renewal,
}

/// A person's sign-in that is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SignedIn {
    pub(super) client_id: String,
    pub(super) audience: String,
}

impl People {
    /// Where a browser is sent that asks with this query, with `code` for an answer.
    ///
    /// # Errors
    /// [`SignInError`] when the query is not that of a public client on loopback.
    pub(super) fn send_back(&mut self, query: &str, code: String) -> Result<String, SignInError> {
        let fields: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let redirect = field("redirect_uri");
        let is_loopback = redirect.starts_with("http://localhost:") || redirect == "http://localhost";
        if !is_loopback || field("response_type") != "code" || field("code_challenge_method") != "S256" {
            return Err(SignInError::bad_request(
                "invalid_request",
                50_011,
                "The redirect URI or the request is wrong.",
            ));
        }
        let (client_id, audience) = (field("client_id"), audience(&field("scope"))?);
        let challenge = field("code_challenge");
        let answer = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &code)
            .append_pair("state", &field("state"))
            .finish();
        let way = Way::Browser { redirect: redirect.clone(), challenge };
        self.keep(code, Given { client_id, audience, way });
        Ok(format!("{redirect}/?{answer}"))
    }

    /// The answer to a device that asks for a code.
    ///
    /// # Errors
    /// [`SignInError`] when it does not say who asks for what.
    pub(super) fn give_device_code(
        &mut self,
        request: &TokenRequest,
        code: String,
        base_url: &str,
    ) -> Result<Vec<u8>, SignInError> {
        #[derive(Serialize)]
        struct Codes<'text> {
            device_code: &'text str,
            user_code: &'static str,
            verification_uri: String,
            expires_in: u32,
            interval: u32,
        }
        let audience = audience(request.scope.as_deref().unwrap_or_default())?;
        let given = Given { client_id: client(request)?, audience, way: Way::Device { was_asked: false } };
        let verification_uri = format!("{base_url}/devicelogin");
        let answer =
            json(&Codes { device_code: &code, user_code: "SANDBOX", verification_uri, expires_in: 900, interval: 1 });
        self.keep(code, given);
        Ok(answer)
    }

    /// Takes a code, or what renews a token, and says who has signed in; `None` if the request is not a person's.
    pub(super) fn exchange(&mut self, request: &TokenRequest) -> Option<Result<SignedIn, SignInError>> {
        const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
        let code = match request.grant_type.as_deref()? {
            "authorization_code" => &request.code,
            "refresh_token" => &request.refresh_token,
            DEVICE => &request.device_code,
            _ => return None,
        };
        Some(self.taken(code.as_deref().unwrap_or_default(), request))
    }

    fn taken(&mut self, code: &str, request: &TokenRequest) -> Result<SignedIn, SignInError> {
        let wrong = SignInError::bad_request("invalid_grant", 70_000, "The code is not valid, or was used already.");
        let client_id = client(request)?;
        let given = self.codes.remove(code).ok_or(wrong)?;
        let is_in_order = match (&given.way, request.grant_type.as_deref()) {
            (Way::Browser { redirect, challenge }, Some("authorization_code")) => {
                let verifier = request.code_verifier.as_deref().unwrap_or_default();
                request.redirect_uri.as_ref() == Some(redirect)
                    && URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == *challenge
            }
            (Way::Renewal, Some("refresh_token")) => true,
            (Way::Device { was_asked: true }, Some(grant)) => grant.ends_with("device_code"),
            (Way::Device { was_asked: false }, Some(grant)) if grant.ends_with("device_code") => {
                let way = Way::Device { was_asked: true };
                self.keep(code.to_owned(), Given { way, ..given });
                let description = "The person has not entered the code yet.";
                return Err(SignInError::bad_request("authorization_pending", 70_016, description));
            }
            _ => false,
        };
        if !is_in_order || given.client_id != client_id {
            return Err(wrong);
        }
        Ok(SignedIn { client_id, audience: given.audience })
    }

    /// Keeps what renews the tokens of this person.
    pub(super) fn keep_renewal(&mut self, refresh_token: String, person: &SignedIn) {
        let SignedIn { client_id, audience } = person.clone();
        self.keep(refresh_token, Given { client_id, audience, way: Way::Renewal });
    }

    fn keep(&mut self, code: String, given: Given) {
        if self.codes.len() >= MAXIMUM_CODES {
            self.codes.clear();
        }
        self.codes.insert(code, given);
    }
}

fn client(request: &TokenRequest) -> Result<String, SignInError> {
    request.client_id.clone().filter(|client| !client.is_empty()).ok_or(SignInError::bad_request(
        "invalid_request",
        900_144,
        "The parameter client_id is missing.",
    ))
}

/// The API that a person's permission is asked for.
fn audience(scope: &str) -> Result<String, SignInError> {
    let asked = scope.split(' ').find_map(|scope| scope.strip_suffix(PERMISSION));
    asked.map(str::to_owned).ok_or(SignInError::bad_request(
        "invalid_scope",
        70_011,
        "The scope must be the API's Machine.ReadWrite.",
    ))
}
