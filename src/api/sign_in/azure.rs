//! Tokens through `azure_identity`.
//!
//! Every sign-in builds a fresh credential. The crate's credentials keep their tokens until five
//! minutes before the end, even one that the API has answered 401 to, and forget a living one when
//! a renewal fails; [`super::cache`] does the keeping instead. Retries are off: the caller has the
//! one retry layer.
//!
//! Of the crate's errors only our own, which travel through it, are shown. Its own texts may hold a
//! server's body.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::{ClientMethodOptions, ClientOptions, RetryOptions, Transport};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertion, ClientAssertionCredential,
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, Executor,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
};
use secrecy::{ExposeSecret, SecretString};

use super::azure_cli;
use super::cache::{AcquiredToken, TokenSource};
use super::certificate::CertificateKey;
use super::error::{SignInError, Trouble};
use super::ready::read_in_background;
use super::settings::{Application, SignInMethod};
use super::token::is_token_text;
use super::transport::SignInTransport;
use crate::outside::{Outside, secrets, shown};

/// What is shown of the reason for which a credential cannot be built.
const LONGEST_REASON_CHARACTERS: usize = 300;

/// Signs in by one of the crate's credentials.
#[derive(Debug)]
pub(super) struct AzureSource {
    scope: String,
    plan: Plan,
}

/// Which credential to build, and from what.
#[derive(Debug)]
pub(super) enum Plan {
    Secret {
        application: Application,
        transport: Arc<SignInTransport>,
        secret: SecretString,
    },
    Assertion {
        application: Application,
        transport: Arc<SignInTransport>,
        assertion: Assertion,
    },
    ManagedIdentity {
        /// Of a user-assigned identity; without it, the system-assigned one.
        client_id: Option<String>,
        transport: Arc<SignInTransport>,
    },
    AzureCli {
        tenant_id: Option<String>,
        runner: Arc<dyn Executor>,
    },
}

/// What proves that an app is itself, in place of a secret.
#[derive(Debug, Clone)]
pub(super) enum Assertion {
    /// Signed with the certificate's key, for this client and this token endpoint.
    Certificate { key: CertificateKey, client_id: String, token_endpoint: String },
    /// Written by the platform, which renews it: so it is read every time.
    Federated { path: PathBuf },
}

impl AzureSource {
    /// The source, after one trial at building its credential: what the crate cannot do at all is
    /// found at the start.
    pub(super) fn new(scope: String, plan: Plan) -> Result<Self, SignInError> {
        let source = Self { scope, plan };
        source.fresh_credential().map_err(|error| cannot_build(&error))?;
        Ok(source)
    }

    fn fresh_credential(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        Ok(match &self.plan {
            Plan::Secret { application, transport, secret } => ClientSecretCredential::new(
                &application.tenant_id,
                application.client_id.clone(),
                Secret::new(secret.expose_secret().to_owned()),
                Some(ClientSecretCredentialOptions { client_options: client_options(transport) }),
            )?,
            Plan::Assertion { application, transport, assertion } => ClientAssertionCredential::new(
                application.tenant_id.clone(),
                application.client_id.clone(),
                assertion.clone(),
                Some(ClientAssertionCredentialOptions { client_options: client_options(transport) }),
            )?,
            Plan::ManagedIdentity { client_id, transport } => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                    client_options: client_options(transport),
                }))?
            }
            Plan::AzureCli { tenant_id, runner } => AzureCliCredential::new(Some(AzureCliCredentialOptions {
                tenant_id: tenant_id.clone(),
                executor: Some(Arc::clone(runner)),
                ..AzureCliCredentialOptions::default()
            }))?,
        })
    }

    /// An answer that the crate could make nothing of.
    fn unreadable(&self) -> SignInError {
        match &self.plan {
            Plan::Secret { transport, .. }
            | Plan::Assertion { transport, .. }
            | Plan::ManagedIdentity { transport, .. } => transport.unreachable(Trouble::Unreadable, None),
            Plan::AzureCli { .. } => SignInError::Unreachable {
                method: SignInMethod::AzureCli,
                party: azure_cli::PARTY.to_owned(),
                trouble: Trouble::Unreadable,
                retry_after: None,
                source: None,
            },
        }
    }
}

#[async_trait]
impl TokenSource for AzureSource {
    async fn acquire(&self) -> Result<AcquiredToken, SignInError> {
        let credential = self.fresh_credential().map_err(|error| cannot_build(&error))?;
        let token = credential
            .get_token(&[&self.scope], None)
            .await
            .map_err(|error| own_error(&error).unwrap_or_else(|| self.unreadable()))?;
        if !is_token_text(token.token.secret()) {
            return Err(self.unreadable());
        }
        Ok(AcquiredToken::ending_at(
            token.token.secret().into(),
            token.expires_on.unix_timestamp_nanos(),
            SystemTime::now(),
        ))
    }
}

#[async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        match self {
            Self::Certificate { key, client_id, token_endpoint } => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                key.sign(client_id, token_endpoint, now.as_secs())
                    .inspect(|assertion| secrets::learn(&assertion.as_str().into()))
                    .map_err(|error| azure_core::Error::new(ErrorKind::Other, error))
            }
            Self::Federated { path } => {
                federated_token(path).await.map_err(|error| azure_core::Error::new(ErrorKind::Other, error))
            }
        }
    }
}

async fn federated_token(path: &Path) -> Result<String, SignInError> {
    let text = read_in_background(path).await?;
    let token = text.expose_secret().trim();
    if is_token_text(token) {
        secrets::learn(&token.into());
        return Ok(token.to_owned());
    }
    Err(SignInError::settings(
        format!("the federated token file {} holds no token", shown(path)),
        "check AZURE_FEDERATED_TOKEN_FILE, and how the platform writes that file",
    ))
}

/// Our transport, no retries, and an authority that cannot come from the environment.
fn client_options(transport: &Arc<SignInTransport>) -> ClientOptions {
    let mut cloud = CustomConfiguration::default();
    transport.shown_authority().as_str().clone_into(&mut cloud.authority_host);
    ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(Transport::new(Arc::clone(transport) as _)),
        cloud: Some(Arc::new(cloud.into())),
        ..ClientOptions::default()
    }
}

/// Our own error, if one travelled through the crate.
fn own_error(error: &azure_core::Error) -> Option<SignInError> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        // What an input/output error was made from is not among its sources.
        let inner = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let own = current.downcast_ref::<SignInError>().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if let Some(own) = own {
            return Some(own.clone());
        }
        cause = current.source();
    }
    None
}

/// The crate refuses to build a credential for what it does not support, such as some platforms'
/// identities. No server has been asked yet, so its words can be shown.
fn cannot_build(error: &azure_core::Error) -> SignInError {
    SignInError::settings(
        Outside::new(error.to_string()).kept(LONGEST_REASON_CHARACTERS),
        "choose another method with --auth",
    )
}
