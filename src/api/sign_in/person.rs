//! A person signs in, in a browser or with a code on another device, and stays signed in for as long as the process lives.
//!
//! The person is asked once. What comes with the first token renews it after that (RFC 6749, section 6); it is kept in memory
//! only, and goes with the process. What surprises: a renewal that is refused asks nobody again, since nobody may sit there
//! any more in the middle of a run; the run stops, and resuming it signs in anew.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::answer::Grant;
use super::browser::Browser;
use super::cache::{AcquiredToken, TokenSource};
use super::device_code::DeviceCode;
use super::endpoint::Endpoint;
use super::error::SignInError;
use crate::outside::secrets;

/// Who tells the person what to do.
pub(crate) trait SignInPrompt: Send + Sync {
    /// Shows where to go.
    fn show(&self, instructions: &SignInInstructions);
}

/// What a person has to do to sign in.
#[derive(Clone, Debug)]
pub(crate) enum SignInInstructions {
    /// Open this address in a browser on this computer.
    Browser {
        address: String,
        /// Whether a browser is being started with it.
        is_opening: bool,
    },
    /// Open this address anywhere, and enter the code.
    DeviceCode { address: String, code: String },
}

/// Who tells the person, once there is one. Clones share it.
#[derive(Clone, Default)]
pub(super) struct SharedPrompt(Arc<OnceLock<Arc<dyn SignInPrompt>>>);

impl fmt::Debug for SharedPrompt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SharedPrompt")
    }
}

impl SharedPrompt {
    /// From now on it is this one; the first counts.
    pub(super) fn set(&self, prompt: Arc<dyn SignInPrompt>) {
        let _there_is_one = self.0.set(prompt);
    }

    /// Has the person told; without a prompt nobody can be.
    pub(super) fn show(&self, instructions: &SignInInstructions) -> Result<(), SignInError> {
        let prompt = self.0.get().ok_or_else(|| {
            SignInError::settings("cannot ask for a sign-in here", "choose another method with --auth")
        })?;
        prompt.show(instructions);
        Ok(())
    }
}

/// What every request of a person's sign-in has in common.
#[derive(Debug)]
pub(super) struct PublicClient {
    /// Where tokens are given.
    pub(super) tokens: Endpoint,
    pub(super) client_id: String,
    /// What is asked for, and that it may be renewed.
    pub(super) scope: String,
}

impl PublicClient {
    /// Asks for a token with what else belongs to the request.
    pub(super) async fn ask(&self, fields: &[(&str, &str)]) -> Result<Grant, SignInError> {
        let own = [("client_id", self.client_id.as_str()), ("scope", &self.scope)];
        let reply = self.tokens.post(&[&own, fields].concat()).await?;
        self.tokens.understood(&reply)
    }
}

/// How the person signs in.
#[derive(Debug)]
pub(super) enum Way {
    Browser(Browser),
    DeviceCode(DeviceCode),
}

/// Signs in as a person.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) client: PublicClient,
    pub(super) way: Way,
    pub(super) shared_prompt: SharedPrompt,
    pub(super) renewal: Mutex<Renewal>,
}

/// Whether the person has signed in, and what renews the token.
#[derive(Debug, Default)]
pub(super) enum Renewal {
    #[default]
    NotSignedIn,
    With(SecretString),
    /// Nothing came to renew it with.
    Impossible,
}

#[async_trait]
impl TokenSource for Person {
    async fn acquire(&self) -> Result<AcquiredToken, SignInError> {
        let refresh_token = match &*self.renewal() {
            Renewal::NotSignedIn => None,
            Renewal::With(token) => Some(token.clone()),
            Renewal::Impossible => {
                return Err(SignInError::settings(
                    "the sign-in cannot be renewed: the sign-in service gave nothing to renew it with",
                    "run the same command again to sign in anew; what is done stays done",
                ));
            }
        };
        let grant = match &refresh_token {
            Some(token) => {
                self.client.ask(&[("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())]).await?
            }
            None => match &self.way {
                Way::Browser(browser) => browser.sign_in(&self.client, &self.shared_prompt).await?,
                Way::DeviceCode(device_code) => device_code.sign_in(&self.client, &self.shared_prompt).await?,
            },
        };
        *self.renewal() = match grant.refresh_token.or(refresh_token) {
            Some(token) => {
                secrets::learn(&token);
                Renewal::With(token)
            }
            None => Renewal::Impossible,
        };
        Ok(grant.token)
    }
}

impl Person {
    /// Nothing that can panic runs while this lock is held.
    fn renewal(&self) -> std::sync::MutexGuard<'_, Renewal> {
        self.renewal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
