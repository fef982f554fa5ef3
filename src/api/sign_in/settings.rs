//! What the user set for signing in, and which method follows from it.
//!
//! Nothing here reads the environment: the caller does, and hands over values. Choosing is pure, so
//! it can be tested as a table.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::error::SignInError;
use super::method::{AuthMethod, SignInMethod};
use crate::api::cloud::is_loopback_host;

/// Everything that the sign-in needs to know.
#[derive(Debug, Clone)]
pub(crate) struct SignInSettings {
    /// How to sign in.
    pub method: AuthMethod,
    /// The tenant's id or domain (`AZURE_TENANT_ID`).
    pub tenant_id: Option<String>,
    /// The tenant that every token must be of; `None` where any will do.
    pub expected_tenant: Option<String>,
    /// The app's or the user-assigned identity's client id (`AZURE_CLIENT_ID`).
    pub client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`, or what [`read_secret_file`](super::read_secret_file) read.
    pub client_secret: Option<SecretString>,
    /// A PEM file with certificate and key (`AZURE_CLIENT_CERTIFICATE_PATH`).
    pub certificate_path: Option<PathBuf>,
    /// The platform's token file (`AZURE_FEDERATED_TOKEN_FILE`).
    pub federated_token_file: Option<PathBuf>,
    /// Who issues tokens: an `https` address without a path
    /// ([`Cloud::authority`](crate::api::cloud::Cloud::authority) or `AZURE_AUTHORITY_HOST`).
    pub authority_host: String,
    /// Whether an `http` authority on loopback is accepted: true only if the API's base address is
    /// loopback too.
    pub loopback_authority_allowed: bool,
    /// What the token is for ([`Cloud::scope`](crate::api::cloud::Cloud::scope)).
    pub scope: String,
    /// `TAGFLEET_TOKEN`.
    pub ready_token: Option<SecretString>,
    /// `--token-file`; it goes before `TAGFLEET_TOKEN`.
    pub token_file: Option<PathBuf>,
    /// Whether a browser is started for a person who signs in with one.
    pub opens_browser: bool,
    pub offers: PlatformOffers,
}

impl SignInSettings {
    /// Settings that name an authority and a scope, and nothing else.
    pub(crate) fn new(authority_host: impl Into<String>, scope: impl Into<String>) -> Self {
        Self {
            method: AuthMethod::Auto,
            tenant_id: None,
            expected_tenant: None,
            client_id: None,
            client_secret: None,
            certificate_path: None,
            federated_token_file: None,
            authority_host: authority_host.into(),
            loopback_authority_allowed: false,
            scope: scope.into(),
            ready_token: None,
            token_file: None,
            opens_browser: true,
            offers: PlatformOffers::default(),
        }
    }

    /// Which method is meant. `auto` goes by what was set, even if something belonging to it is
    /// missing: a forgotten tenant id shall be an error, not a silent sign-in as somebody else.
    pub(crate) fn choose_method(&self) -> Result<SignInMethod, SignInError> {
        Ok(match self.method {
            AuthMethod::Secret => SignInMethod::Secret,
            AuthMethod::Certificate => SignInMethod::Certificate,
            AuthMethod::Workload => SignInMethod::Workload,
            AuthMethod::ManagedIdentity => SignInMethod::ManagedIdentity,
            AuthMethod::AzureCli => SignInMethod::AzureCli,
            AuthMethod::Token => SignInMethod::Token,
            AuthMethod::Browser => SignInMethod::Browser,
            AuthMethod::DeviceCode => SignInMethod::DeviceCode,
            AuthMethod::Auto => return self.first_possible_method(),
        })
    }

    fn first_possible_method(&self) -> Result<SignInMethod, SignInError> {
        let candidates = [
            (named(self.token_file.as_ref()).is_some(), SignInMethod::Token),
            (is_held(self.ready_token.as_ref()), SignInMethod::Token),
            (is_held(self.client_secret.as_ref()), SignInMethod::Secret),
            (named(self.certificate_path.as_ref()).is_some(), SignInMethod::Certificate),
            (named(self.federated_token_file.as_ref()).is_some(), SignInMethod::Workload),
            (self.offers.identity.is_announced(), SignInMethod::ManagedIdentity),
            (self.offers.azure_cli, SignInMethod::AzureCli),
        ];
        candidates.into_iter().find_map(|(possible, method)| possible.then_some(method)).ok_or_else(|| {
            SignInError::settings(
                "no credentials found",
                "set AZURE_TENANT_ID and AZURE_CLIENT_ID, and one of AZURE_CLIENT_SECRET \
                     (or --client-secret-file), AZURE_CLIENT_CERTIFICATE_PATH or \
                     AZURE_FEDERATED_TOKEN_FILE; or set TAGFLEET_TOKEN or --token-file; or \
                     install the Azure CLI and run `az login`; on an Azure virtual machine \
                     choose --auth managed-identity",
            )
        })
    }
}

/// What the platform offers for signing in without anything being set.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlatformOffers {
    /// Who knows the identity of this machine, if it has one.
    pub identity: IdentityPlatform,
    /// Whether the Azure CLI is installed.
    pub azure_cli: bool,
}

/// Who hands out the tokens of a managed identity, and what it wants to see in return.
#[derive(Debug, Clone, Default)]
pub(crate) enum IdentityPlatform {
    /// A virtual machine's metadata service. It announces itself by nothing, and guessing would mean a request into any
    /// network: it takes `--auth managed-identity`.
    #[default]
    VirtualMachine,
    /// App Service and what is built on it.
    AppService {
        /// `IDENTITY_ENDPOINT`.
        endpoint: String,
        /// `IDENTITY_HEADER`.
        header: SecretString,
    },
    /// A server of one's own, connected by Azure Arc.
    Arc {
        /// `IDENTITY_ENDPOINT`.
        endpoint: String,
        /// Where its agent keeps the files that prove who is asking.
        key_directory: PathBuf,
    },
    /// A platform whose dialect is not spoken here. In Cloud Shell the Azure CLI is there and signed in.
    Unsupported(&'static str),
}

impl IdentityPlatform {
    /// Looks at the variables by which Azure's own tools tell the platforms apart.
    fn detect(set: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let has = |name: &str| set(name).is_some();
        match (text("IDENTITY_ENDPOINT"), text("IDENTITY_HEADER")) {
            (Some(_), Some(_)) if has("IDENTITY_SERVER_THUMBPRINT") => Self::Unsupported("Service Fabric"),
            (Some(endpoint), Some(header)) => Self::AppService { endpoint, header: header.into() },
            (Some(endpoint), None) if has("IMDS_ENDPOINT") => {
                Self::Arc { endpoint, key_directory: arc_key_directory(set("PROGRAMDATA")) }
            }
            (None, _) if has("MSI_SECRET") && has("MSI_ENDPOINT") => Self::Unsupported("Azure Machine Learning"),
            (None, _) if has("MSI_ENDPOINT") => Self::Unsupported("Cloud Shell"),
            _ => Self::VirtualMachine,
        }
    }

    const fn is_announced(&self) -> bool {
        matches!(self, Self::AppService { .. } | Self::Arc { .. })
    }
}

fn arc_key_directory(program_data: Option<OsString>) -> PathBuf {
    match program_data {
        Some(folder) if cfg!(windows) => Path::new(&folder).join("AzureConnectedMachineAgent").join("Tokens"),
        _ => PathBuf::from("/var/opt/azcmagent/tokens"),
    }
}

impl PlatformOffers {
    /// Looks around, with `variable` reading the environment.
    pub(crate) fn detect(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            identity: IdentityPlatform::detect(&set),
            azure_cli: set("PATH").is_some_and(|path| has_azure_cli(&path)),
        }
    }
}

/// Whether a directory of `path` holds the Azure CLI: a script named `az`, on Windows `az.cmd`.
fn has_azure_cli(path: &OsStr) -> bool {
    let program = if cfg!(windows) { "az.cmd" } else { "az" };
    std::env::split_paths(path).any(|directory| directory.join(program).is_file())
}

/// An app in a tenant, and who signs it in.
#[derive(Debug, Clone)]
pub(super) struct Application {
    pub(super) tenant_id: String,
    pub(super) client_id: String,
    pub(super) authority: Url,
}

impl Application {
    /// Where tokens are asked for.
    pub(super) fn token_endpoint(&self) -> Url {
        self.endpoint("token")
    }

    /// The tenant's address for this part of signing in.
    pub(super) fn endpoint(&self, part: &str) -> Url {
        let mut endpoint = self.authority.clone();
        endpoint.set_path(&format!("{}/oauth2/v2.0/{part}", self.tenant_id));
        endpoint
    }
}

impl SignInSettings {
    /// The app that signs in, checked.
    pub(super) fn application(&self, method: SignInMethod) -> Result<Application, SignInError> {
        let (Some(tenant_id), Some(client_id)) = (self.tenant()?, self.client()?) else {
            let missing: Vec<&str> = [("AZURE_TENANT_ID", &self.tenant_id), ("AZURE_CLIENT_ID", &self.client_id)]
                .iter()
                .filter(|(_, value)| filled(value.as_deref()).is_none())
                .map(|(name, _)| *name)
                .collect();
            let missing = missing.join(" and ");
            return Err(SignInError::settings(
                format!("signing in {method} needs {missing}"),
                format!("set {missing}"),
            ));
        };
        Ok(Application { tenant_id, client_id, authority: self.authority()? })
    }

    /// The tenant, if one is set. Its characters are limited, since it becomes part of an address
    /// and of the Azure CLI's command line.
    pub(super) fn tenant(&self) -> Result<Option<String>, SignInError> {
        identifier("AZURE_TENANT_ID", self.tenant_id.as_deref(), "a tenant id or a domain name")
    }

    /// The client id, if one is set.
    pub(super) fn client(&self) -> Result<Option<String>, SignInError> {
        identifier("AZURE_CLIENT_ID", self.client_id.as_deref(), "a client id")
    }

    /// The client secret as it is sent.
    pub(super) fn secret(&self) -> Result<SecretString, SignInError> {
        self.client_secret
            .as_ref()
            .map(|secret| secret.expose_secret().trim())
            .filter(|secret| !secret.is_empty())
            .map(SecretString::from)
            .ok_or_else(|| {
                SignInError::settings(
                    "signing in with a client secret needs the secret",
                    "set AZURE_CLIENT_SECRET or --client-secret-file",
                )
            })
    }

    /// The authority's address, checked: `https`, or `http` on loopback where that is allowed, and
    /// nothing but a host.
    pub(super) fn authority(&self) -> Result<Url, SignInError> {
        let typed = self.authority_host.trim();
        // Other Azure tools take a bare host name, too.
        let address = if typed.contains("://") { typed.to_owned() } else { format!("https://{typed}") };
        let wrong = |problem: &str| {
            SignInError::settings(
                format!("the authority's address {problem}"),
                "set AZURE_AUTHORITY_HOST to an address such as \
                 https://login.microsoftonline.com, or leave it out and choose --cloud",
            )
        };
        let url = Url::parse(&address).map_err(|_| wrong("cannot be read"))?;
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return Err(wrong("names no host"));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not hold a user name or a password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must be a host alone, without path or query"));
        }
        match url.scheme() {
            "http" if !is_loopback_host(host) => Err(wrong("must be https: http would show the secret to the network")),
            "http" if !self.loopback_authority_allowed => {
                Err(wrong("may be http on loopback only together with a base URL on loopback"))
            }
            "https" | "http" => Ok(url),
            _ => Err(wrong("must be https")),
        }
    }
}

/// An empty variable counts as not set, as everywhere.
fn is_held(secret: Option<&SecretString>) -> bool {
    secret.is_some_and(|secret| !secret.expose_secret().trim().is_empty())
}

/// A path that is set, and not empty.
pub(super) fn named(path: Option<&PathBuf>) -> Option<&Path> {
    path.map(PathBuf::as_path).filter(|path| !path.as_os_str().is_empty())
}

fn filled(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

fn identifier(name: &str, value: Option<&str>, kind: &str) -> Result<Option<String>, SignInError> {
    let Some(value) = filled(value) else {
        return Ok(None);
    };
    if value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
        return Ok(Some(value.to_owned()));
    }
    Err(SignInError::settings(
        format!("{name} is not {kind}"),
        format!("set {name} to letters, digits, dots and hyphens, as the app registration shows it"),
    ))
}

#[cfg(test)]
mod tests;
