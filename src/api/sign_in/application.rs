//! Signing in as an app of a tenant: one form to the tenant's token endpoint (RFC 6749, section 4.4), with a secret or with
//! an assertion (RFC 7523) in place of it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::cache::{AcquiredToken, TokenSource};
use super::certificate::CertificateKey;
use super::endpoint::Endpoint;
use super::error::SignInError;
use super::ready::read_in_background;
use super::token::is_token_text;
use crate::outside::{secrets, shown};

/// What kind of assertion stands in place of a secret.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Signs in as an app.
#[derive(Debug)]
pub(super) struct ApplicationSource {
    pub(super) endpoint: Endpoint,
    pub(super) client_id: String,
    pub(super) scope: String,
    pub(super) proof: Proof,
}

/// What proves that an app is itself.
#[derive(Debug)]
pub(super) enum Proof {
    Secret(SecretString),
    /// Signs for this token endpoint and no other.
    Certificate {
        key: CertificateKey,
        token_endpoint: String,
    },
    /// Written by the platform, which renews it: so it is read every time.
    Federated(PathBuf),
}

#[async_trait]
impl TokenSource for ApplicationSource {
    async fn acquire(&self) -> Result<AcquiredToken, SignInError> {
        let (name, proof) = match &self.proof {
            Proof::Secret(secret) => ("client_secret", secret.clone()),
            Proof::Certificate { key, token_endpoint } => {
                ("client_assertion", signed(key, &self.client_id, token_endpoint)?)
            }
            Proof::Federated(path) => ("client_assertion", federated_token(path).await?),
        };
        let mut fields = vec![
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("scope", &self.scope),
            (name, proof.expose_secret()),
        ];
        if name == "client_assertion" {
            fields.push(("client_assertion_type", JWT_BEARER));
        }
        let reply = self.endpoint.post(&fields).await?;
        Ok(self.endpoint.understood(&reply)?.token)
    }
}

/// An assertion that no text that comes back shows.
fn signed(key: &CertificateKey, client_id: &str, token_endpoint: &str) -> Result<SecretString, SignInError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let assertion = SecretString::from(key.sign(client_id, token_endpoint, now.as_secs())?);
    secrets::learn(&assertion);
    Ok(assertion)
}

async fn federated_token(path: &Path) -> Result<SecretString, SignInError> {
    let text = read_in_background(path).await?;
    let token = text.expose_secret().trim();
    if is_token_text(token) {
        let token = token.into();
        secrets::learn(&token);
        return Ok(token);
    }
    Err(SignInError::settings(
        format!("the federated token file {} holds no token", shown(path)),
        "check AZURE_FEDERATED_TOKEN_FILE, and how the platform writes that file",
    ))
}
