//! The identity that a platform gives to this machine: its endpoint is on the machine itself, or on its own link.
//!
//! Three dialects, by Microsoft's pages: App Service wants a header that only its own programs know, a virtual machine's
//! metadata service nothing, and Azure Arc's agent sends the asker to a file that only those who may use the identity can
//! read. What surprises: no proxy is asked on the way, which could reach nothing there and would be shown the token.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::cache::{AcquiredToken, TokenSource};
use super::endpoint::{Endpoint, Reply};
use super::error::SignInError;
use super::method::SignInMethod;
use super::ready::read_in_background;
use super::settings::IdentityPlatform;
use crate::api::cloud::{ip_address, is_loopback_host};
use crate::outside::secrets;

/// The metadata service of a virtual machine, the same in every cloud.
const METADATA_SERVICE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
/// Keys of Azure Arc are shorter.
const LONGEST_KEY_BYTES: usize = 4096;

/// Signs in as the platform's identity.
#[derive(Debug)]
pub(super) struct ManagedIdentity {
    endpoint: Endpoint,
    dialect: Dialect,
    /// What the token is for, without the `/.default` of a scope.
    resource: String,
    /// Of a user-assigned identity; without it, the system-assigned one.
    client_id: Option<String>,
}

#[derive(Debug)]
enum Dialect {
    VirtualMachine,
    AppService { header: SecretString },
    Arc { key_directory: PathBuf },
}

impl Dialect {
    const fn version(&self) -> &'static str {
        match self {
            Self::VirtualMachine => "2018-02-01",
            Self::AppService { .. } => "2019-08-01",
            Self::Arc { .. } => "2020-06-01",
        }
    }
}

impl ManagedIdentity {
    /// The identity of this platform.
    pub(super) fn new(
        platform: &IdentityPlatform,
        scope: &str,
        client_id: Option<String>,
    ) -> Result<Self, SignInError> {
        let (address, dialect) = match platform {
            IdentityPlatform::VirtualMachine => (METADATA_SERVICE, Dialect::VirtualMachine),
            IdentityPlatform::AppService { endpoint, header } => {
                (endpoint.as_str(), Dialect::AppService { header: header.clone() })
            }
            IdentityPlatform::Arc { endpoint, key_directory } => {
                if client_id.is_some() {
                    return Err(SignInError::settings(
                        "Azure Arc has no user-assigned identities",
                        "unset AZURE_CLIENT_ID to sign in as the machine's own identity",
                    ));
                }
                (endpoint.as_str(), Dialect::Arc { key_directory: key_directory.clone() })
            }
            IdentityPlatform::Unsupported(name) => {
                return Err(SignInError::settings(
                    format!("tagfleet cannot use the managed identity of {name}"),
                    "choose another method with --auth",
                ));
            }
        };
        let endpoint = Endpoint::new(direct_client()?, local_address(address)?, SignInMethod::ManagedIdentity);
        let resource = scope.trim_end_matches("/.default").to_owned();
        Ok(Self { endpoint, dialect, resource, client_id })
    }

    async fn ask(&self, header: Option<(&'static str, &str)>) -> Result<Reply, SignInError> {
        let mut fields = vec![("api-version", self.dialect.version()), ("resource", &self.resource)];
        fields.extend(self.client_id.as_deref().map(|id| ("client_id", id)));
        self.endpoint.get(&fields, header).await
    }

    /// Asks Azure Arc's agent: the first answer names a file, and whoever can read it gets the token.
    async fn ask_arc(&self, key_directory: &Path) -> Result<Reply, SignInError> {
        let first = self.ask(None).await?;
        if first.status != StatusCode::UNAUTHORIZED {
            return Ok(first);
        }
        let refused = || {
            SignInError::settings(
                "Azure Arc's agent names no key file of its own",
                "check what answers at IDENTITY_ENDPOINT, or choose another method with --auth",
            )
        };
        let key = read_in_background(&key_file(&first, key_directory).ok_or_else(refused)?).await?;
        secrets::learn(&key);
        let key = key.expose_secret().trim();
        if key.len() > LONGEST_KEY_BYTES {
            return Err(refused());
        }
        self.ask(Some(("authorization", &format!("Basic {key}")))).await
    }
}

#[async_trait]
impl TokenSource for ManagedIdentity {
    async fn acquire(&self) -> Result<AcquiredToken, SignInError> {
        let reply = match &self.dialect {
            Dialect::VirtualMachine => self.ask(None).await,
            Dialect::AppService { header } => self.ask(Some(("x-identity-header", header.expose_secret()))).await,
            Dialect::Arc { key_directory } => self.ask_arc(key_directory).await,
        };
        Ok(self.endpoint.understood(&reply?)?.token)
    }
}

/// The file of a challenge such as `Basic realm=/var/opt/azcmagent/tokens/1.key`. It must lie directly in the directory
/// that Azure Arc's agent alone writes to: whoever answers in the agent's place must not make us send any other file.
fn key_file(challenge: &Reply, directory: &Path) -> Option<PathBuf> {
    let text = challenge.headers.get(WWW_AUTHENTICATE)?.to_str().ok()?;
    let file = PathBuf::from(text.strip_prefix("Basic realm=")?.trim_matches('"'));
    let is_key = file.extension().is_some_and(|extension| extension == "key");
    (is_key && file.parent() == Some(directory)).then_some(file)
}

/// An address on this computer or on its own link: whoever answers there decides as whom the program signs in.
fn local_address(text: &str) -> Result<Url, SignInError> {
    let address = Url::parse(text).ok().filter(|url| url.host_str().is_some_and(is_local));
    address.ok_or_else(|| {
        SignInError::settings(
            "IDENTITY_ENDPOINT is not an address on this computer or its own link",
            "leave IDENTITY_ENDPOINT as the platform sets it, or choose another method with --auth",
        )
    })
}

/// Loopback, or a link-local IPv4 address (RFC 3927), which no router forwards.
fn is_local(host: &str) -> bool {
    use std::net::IpAddr;
    is_loopback_host(host) || matches!(ip_address(host), Some(IpAddr::V4(address)) if address.is_link_local())
}

/// A client for the identity endpoint, which knows no proxy.
fn direct_client() -> Result<reqwest::Client, SignInError> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
        .map_err(|_| {
            SignInError::settings(
                "the network client for the managed identity cannot be set up",
                "check the system's root certificates",
            )
        })
}

#[cfg(test)]
mod tests;
