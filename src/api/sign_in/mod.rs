//! Signing in: who the program is to the API, and the token that proves it.
//!
//! [`SignIn`] is made once and shared by all calls. [`SignIn::token`] gives a living token,
//! [`SignIn::renew`] another one after the API has refused it. From the outside in:
//!
//! ```text
//! settings ─> choose a method ─> cache ────────> source
//!                                (when to ask)   (whom to ask)
//!   source is application (with certificate), managed_identity: by one request to an endpoint
//!          or person: in a browser, or with a device_code; after that by one request, too
//!          or azure_cli (with child), ready: TAGFLEET_TOKEN, --token-file
//! ```
//!
//! Surprises: nothing here repeats a failed request, that is the caller's one retry layer; only a person is waited for. Secrets
//! are in no error, no log and no argument of another process: each is made known to
//! [`secrets`] before it is used.

mod answer;
mod application;
mod azure_cli;
mod browser;
mod cache;
mod certificate;
mod child;
mod device_code;
mod endpoint;
mod error;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod hints;
mod managed_identity;
mod method;
mod person;
mod ready;
mod settings;
mod tenant;
mod token;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use self::application::{ApplicationSource, Proof};
use self::azure_cli::AzureCli;
use self::browser::Browser;
use self::cache::{TokenCache, TokenSource};
use self::certificate::CertificateKey;
use self::device_code::DeviceCode;
use self::endpoint::Endpoint;
use self::managed_identity::ManagedIdentity;
use self::person::{Person, PublicClient, Renewal, SharedPrompt, Way};
use self::ready::ReadyToken;
use self::settings::{Application, named};
use self::tenant::ExpectedTenant;
use crate::outside::secrets;

pub(crate) use self::error::SignInError;
pub(crate) use self::files::{read_secret_file, warn_if_readable_by_everybody};
pub(super) use self::hints::PROXY_AUTHENTICATION_HINT;
pub(crate) use self::method::{AuthMethod, SignInMethod};
pub(crate) use self::person::{SignInInstructions, SignInPrompt};
pub(crate) use self::settings::{IdentityPlatform, PlatformOffers, SignInSettings};
pub(crate) use self::tenant::is_tenant_id;
pub(crate) use self::token::{BearerToken, TokenClaims};
pub(crate) use self::trouble::Trouble;

/// The sign-in of this process. Shared by reference; safe from any task.
#[derive(Debug)]
pub(crate) struct SignIn {
    method: SignInMethod,
    application: Option<Application>,
    shared_prompt: SharedPrompt,
    cache: TokenCache,
    expected_tenant: Option<ExpectedTenant>,
    /// Whether a token has to prove whose it is before anything is done.
    is_proven_first: bool,
}

/// How long a person has to sign in with a browser.
const PERSON_PATIENCE: Duration = Duration::from_mins(5);

impl SignIn {
    /// Decides how to sign in and checks what that needs, files included. Sends nothing.
    ///
    /// `http` must follow no redirects, repeat nothing by itself, not log what it sends, and reach
    /// loopback without a proxy.
    ///
    /// # Errors
    /// [`SignInError::Settings`], [`SignInError::File`] and [`SignInError::TokenEnded`], all with
    /// what to set.
    pub(crate) fn new(settings: &SignInSettings, http: reqwest::Client) -> Result<Self, SignInError> {
        let method = settings.choose_method()?;
        settings.secrets().for_each(secrets::keep);
        let application = match method {
            SignInMethod::Secret
            | SignInMethod::Certificate
            | SignInMethod::Workload
            | SignInMethod::Browser
            | SignInMethod::DeviceCode => Some(settings.application(method)?),
            SignInMethod::ManagedIdentity | SignInMethod::AzureCli | SignInMethod::Token => None,
        };
        let shared_prompt = SharedPrompt::default();
        let source: Box<dyn TokenSource> = match &application {
            Some(application) if method.asks_a_person() => {
                Box::new(person(method, application, settings, &http, shared_prompt.clone()))
            }
            Some(application) => Box::new(application_source(method, application, settings, http)?),
            None => identity_source(method, settings)?,
        };
        let cache = TokenCache::new(method, source);
        let expected_tenant = match (&settings.expected_tenant, &settings.tenant_id) {
            (Some(tenant), _) => Some(ExpectedTenant::proven(tenant, application.is_some())),
            (None, Some(tenant)) => Some(ExpectedTenant::not_denied(tenant)),
            (None, None) => None,
        };
        let is_proven_first = settings.expected_tenant.is_some();
        Ok(Self { method, application, shared_prompt, cache, expected_tenant, is_proven_first })
    }

    /// How the sign-in is done, with `auto` decided.
    pub(crate) fn method(&self) -> SignInMethod {
        self.method
    }

    /// The tenant of the settings, where the method signs in as an app of it. Else only the token's
    /// claims know.
    pub(crate) fn tenant_id(&self) -> Option<&str> {
        self.application.as_ref().map(|application| application.tenant_id.as_str())
    }

    /// The app of the settings, where the method signs in as an app. Else only the token's claims
    /// know.
    pub(crate) fn client_id(&self) -> Option<&str> {
        self.application.as_ref().map(|application| application.client_id.as_str())
    }

    /// From now on a person who has to sign in is told by this.
    pub(crate) fn prompt_with(&self, prompt: Arc<dyn SignInPrompt>) {
        self.shared_prompt.set(prompt);
    }

    /// A living token: the one in use, or a new one. However many ask at once, one sign-in serves
    /// them all. A token is renewed from five minutes before its end (from two thirds of a life
    /// under fifteen minutes); if that fails, the old one is used until it ends.
    ///
    /// # Errors
    /// Whatever kept the sign-in from giving a token, when there is no living one. Nothing has been
    /// repeated: [`SignInError::is_transient`] says whether trying again makes sense.
    pub(crate) async fn token(&self) -> Result<BearerToken, SignInError> {
        self.checked(self.cache.token().await?)
    }

    /// Another token than `refused`, which the API has answered 401 to. However many calls were
    /// refused with it, one sign-in serves them all. A token file is read again.
    ///
    /// # Errors
    /// As [`Self::token`], and [`SignInError::SameToken`] if signing in gave the refused token once
    /// more: always so for `TAGFLEET_TOKEN`, which cannot be renewed.
    pub(crate) async fn renew(&self, refused: &BearerToken) -> Result<BearerToken, SignInError> {
        self.checked(self.cache.renew(refused).await?)
    }

    /// Whether it is known beforehand whose tokens these must be.
    pub(crate) fn expects_tenant(&self) -> bool {
        self.is_proven_first
    }

    /// A token of another tenant than it must be of is none, however it came.
    fn checked(&self, token: BearerToken) -> Result<BearerToken, SignInError> {
        match &self.expected_tenant {
            Some(expected) => expected.check(token),
            None => Ok(token),
        }
    }
}

/// The source for the methods that sign in as an app of a tenant.
fn application_source(
    method: SignInMethod,
    application: &Application,
    settings: &SignInSettings,
    http: reqwest::Client,
) -> Result<ApplicationSource, SignInError> {
    let address = application.token_endpoint();
    let proof = match method {
        SignInMethod::Certificate => {
            Proof::Certificate { key: settings.certificate_key()?, token_endpoint: address.to_string() }
        }
        SignInMethod::Workload => Proof::Federated(settings.federated_token_file()?),
        _ => Proof::Secret(settings.secret()?),
    };
    let endpoint = Endpoint::new(http, address, method);
    Ok(ApplicationSource { endpoint, client_id: application.client_id.clone(), scope: settings.scope.clone(), proof })
}

/// The source for the methods by which a person signs in to an app of a tenant. One that may be renewed is asked for.
fn person(
    method: SignInMethod,
    application: &Application,
    settings: &SignInSettings,
    http: &reqwest::Client,
    shared_prompt: SharedPrompt,
) -> Person {
    let endpoint = |part: &str| Endpoint::new(http.clone(), application.endpoint(part), method);
    let way = if method == SignInMethod::Browser {
        let authorize = application.endpoint("authorize");
        Way::Browser(Browser { authorize, opens: settings.opens_browser, patience: PERSON_PATIENCE })
    } else {
        Way::DeviceCode(DeviceCode { codes: endpoint("devicecode") })
    };
    let scope = format!("{}/Machine.ReadWrite offline_access", settings.scope.trim_end_matches("/.default"));
    let client = PublicClient { tokens: endpoint("token"), client_id: application.client_id.clone(), scope };
    Person { client, way, shared_prompt, renewal: std::sync::Mutex::new(Renewal::default()) }
}

/// The source for the methods that sign in as somebody the platform, or the user, has settled
/// already.
fn identity_source(method: SignInMethod, settings: &SignInSettings) -> Result<Box<dyn TokenSource>, SignInError> {
    Ok(match method {
        SignInMethod::ManagedIdentity => {
            Box::new(ManagedIdentity::new(&settings.offers.identity, &settings.scope, settings.client()?)?)
        }
        SignInMethod::AzureCli => Box::new(AzureCli::new(&settings.scope, settings.tenant()?.as_deref())),
        _ => Box::new(settings.ready_token_source()?),
    })
}

impl SignInSettings {
    /// Every secret that these settings hold.
    fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        let header = match &self.offers.identity {
            IdentityPlatform::AppService { header, .. } => Some(header),
            _ => None,
        };
        [self.client_secret.as_ref(), self.ready_token.as_ref(), header].into_iter().flatten()
    }

    fn ready_token_source(&self) -> Result<ReadyToken, SignInError> {
        match (named(self.token_file.as_ref()), &self.ready_token) {
            (Some(path), _) => ReadyToken::in_file(path),
            (None, Some(token)) => ReadyToken::in_variable(token),
            (None, None) => Err(SignInError::settings(
                "signing in with a ready token needs the token",
                "set TAGFLEET_TOKEN or --token-file",
            )),
        }
    }

    fn certificate_key(&self) -> Result<CertificateKey, SignInError> {
        let path = named(self.certificate_path.as_ref()).ok_or_else(|| {
            SignInError::settings(
                "signing in with a certificate needs the certificate",
                "set AZURE_CLIENT_CERTIFICATE_PATH to a PEM file with the certificate and its \
                 private key",
            )
        })?;
        CertificateKey::load(path)
    }

    /// The platform's token file, looked at once. Its permissions are the platform's affair.
    fn federated_token_file(&self) -> Result<PathBuf, SignInError> {
        let path = named(self.federated_token_file.as_ref()).ok_or_else(|| {
            SignInError::settings(
                "signing in with a workload identity needs the platform's token file",
                "set AZURE_FEDERATED_TOKEN_FILE, as the platform's workload identity does by \
                 itself",
            )
        })?;
        files::read_text(path)?;
        Ok(path.to_owned())
    }
}

#[cfg(test)]
mod test_keys;
#[cfg(test)]
mod tests;
