//! What the options mean once the environment is read: where the API is, how to sign in, where the state lives.
//!
//! What surprises: a rehearsal in the sandbox ignores every credential and address in the environment.

mod credentials;
mod deadline;
mod error;
mod state;
mod state_token;
mod variables;

use std::path::Path;

use secrecy::SecretString;

use self::credentials::{authority, take_credentials};
use self::variables::{secret, text};
use crate::api::cloud::{Cloud, is_loopback_host};
use crate::api::sign_in::{SignInSettings, read_secret_file};
use crate::api::{ClientSettings, PingAddress, PingAddressError, Url, parse_base_url};
use crate::cli::{QuotaOptions, ServiceOptions};
use crate::environment::{Environment, PING_URL_VARIABLE};
use crate::outside::secrets;
use crate::quota::{Quota, QuotaScope};

pub(crate) use deadline::{Deadline, deadline};
pub(crate) use error::ConfigError;
pub(crate) use state::{other_state_place, sandbox_state_directory, state_directory, state_place};

/// The service that a run talks to.
#[derive(Debug)]
pub(crate) struct ServiceConfig {
    /// The HTTP client's settings.
    pub client: ClientSettings,
    /// How to sign in.
    pub sign_in: SignInSettings,
    /// The proxy on the way, and which variable names it. Loopback is never reached through one.
    pub proxy: Option<(&'static str, Url)>,
}

/// The proxy that calls go through, and which variable names it: as the HTTP library finds it, which goes without one where
/// it cannot read the address, and takes one that does not speak HTTP for one that is away.
fn proxy(environment: Environment<'_>) -> Result<Option<(&'static str, Url)>, ConfigError> {
    const SCHEMES: [&str; 2] = ["http", "https"];
    let set = |names: [&'static str; 2]| {
        let mut set = names.into_iter().filter_map(|name| Some((name, environment(name)?.into_string().ok()?)));
        set.next().filter(|(_, text)| !text.is_empty())
    };
    let Some((name, text)) = set(["HTTPS_PROXY", "https_proxy"]).or_else(|| set(["ALL_PROXY", "all_proxy"])) else {
        return Ok(None);
    };
    let address = if text.contains("://") { text } else { format!("http://{text}") };
    match Url::parse(&address) {
        Ok(parsed)
            if address.bytes().all(|byte| byte.is_ascii_graphic())
                && SCHEMES.contains(&parsed.scheme())
                && parsed.has_host() =>
        {
            Ok(Some((name, parsed)))
        }
        _ => Err(ConfigError::Proxy(name)),
    }
}

impl ServiceConfig {
    /// The service that options and environment name.
    ///
    /// # Errors
    /// [`ConfigError`] when an address or a secret's file cannot be used.
    pub(crate) fn from_options(
        options: &ServiceOptions,
        certificates: Option<&Path>,
        environment: Environment<'_>,
    ) -> Result<Self, ConfigError> {
        let cloud = options.cloud.unwrap_or(Cloud::Commercial);
        let base_url = match &options.base_url {
            Some(url) => Some(url.clone()),
            // A cloud on the command line is closer to hand than an address in the environment.
            None if options.cloud.is_some() => None,
            None => text(environment, "TAGFLEET_BASE_URL")?,
        };
        let base_url = parse_base_url(base_url.as_deref().unwrap_or_else(|| cloud.base_url()), options.allow_host)?;
        let authority = authority(environment)?.unwrap_or_else(|| cloud.authority().to_owned());
        let mut sign_in = SignInSettings::new(authority, cloud.scope());
        sign_in.method = options.auth;
        sign_in.opens_browser = !options.no_browser;
        sign_in.loopback_authority_allowed = is_loopback(&base_url);
        take_credentials(&mut sign_in, environment)?;
        if let Some(path) = &options.client_secret_file {
            sign_in.client_secret = Some(read_secret_file(path)?);
        }
        sign_in.token_file.clone_from(&options.token_file);
        sign_in.ready_token = secret(environment, "TAGFLEET_TOKEN")?;
        let proxy = if is_loopback(&base_url) { None } else { proxy(environment)? };
        let certificate_file = certificates.map(Path::to_owned);
        Ok(Self { client: ClientSettings { base_url, certificate_file }, sign_in, proxy })
    }

    /// The service in the sandbox: its own credential, nothing from the environment.
    ///
    /// # Errors
    /// [`ConfigError`] when the sandbox's address is no URL.
    pub(crate) fn sandbox(
        base_url: &str,
        tenant_id: String,
        client_id: String,
        client_secret: SecretString,
    ) -> Result<Self, ConfigError> {
        let mut sign_in = SignInSettings::new(base_url, Cloud::Commercial.scope());
        sign_in.loopback_authority_allowed = true;
        sign_in.tenant_id = Some(tenant_id);
        sign_in.client_id = Some(client_id);
        sign_in.client_secret = Some(client_secret);
        let client = ClientSettings { base_url: parse_base_url(base_url, false)?, certificate_file: None };
        Ok(Self { client, sign_in, proxy: None })
    }
}

/// The address that is to be pinged, if any: that of the file before that of the environment.
///
/// # Errors
/// [`ConfigError`] when the file cannot be read, or holds no address that may be pinged.
pub(crate) fn ping_address(
    file: Option<&Path>,
    environment: Environment<'_>,
) -> Result<Option<PingAddress>, ConfigError> {
    let address = match file {
        Some(path) => {
            let typed = path.to_string_lossy();
            if ["http://", "https://"].iter().any(|scheme| typed.starts_with(scheme)) {
                secrets::keep(&typed.into_owned().into());
                return Err(PingAddressError::Typed.into());
            }
            Some(read_secret_file(path)?)
        }
        None => secret(environment, PING_URL_VARIABLE)?,
    };
    Ok(address.as_ref().map(PingAddress::new).transpose()?)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| is_loopback_host(host.trim_matches(['[', ']'])))
}

/// The quota that is to be kept, and which calls count together.
pub(crate) fn quota(options: &QuotaOptions) -> (Quota, QuotaScope) {
    (options.quota.share(options.quota_share), options.quota_scope)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn the_environment_fills_in_what_was_not_typed() {
        let variables = [
            ("TAGFLEET_BASE_URL", "http://127.0.0.1:1"),
            ("AZURE_AUTHORITY_HOST", "login.example"),
            ("AZURE_TENANT_ID", " t "),
        ];
        let environment =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let mut options = ServiceOptions {
            base_url: None,
            cloud: None,
            allow_host: false,
            auth: crate::api::sign_in::AuthMethod::Auto,
            no_browser: false,
            client_secret_file: None,
            token_file: None,
        };
        let config = ServiceConfig::from_options(&options, None, &environment).expect("a configuration");
        assert_eq!(config.client.base_url.as_str(), "http://127.0.0.1:1/");
        assert_eq!(config.sign_in.authority_host, "https://login.example");
        assert_eq!(config.sign_in.tenant_id.as_deref(), Some("t"));
        assert!(config.sign_in.loopback_authority_allowed);
        options.cloud = Some(Cloud::GccHigh);
        let config = ServiceConfig::from_options(&options, None, &environment).expect("a configuration");
        assert_eq!(config.client.base_url.as_str(), "https://api-gov.securitycenter.microsoft.us/");
        assert!(!config.sign_in.loopback_authority_allowed);
    }

    #[test]
    fn a_proxy_is_found_as_the_library_finds_it_and_one_that_it_could_not_read_is_refused() {
        let found = |variables: &[(&str, &str)]| {
            let of = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            match proxy(&of) {
                Ok(found) => found.map(|(name, address)| format!("{name} {address}")),
                Err(error) => Some(error.to_string()),
            }
        };
        let all = ("ALL_PROXY", "https://b:1080");
        assert_eq!(found(&[("https_proxy", "http://a:1"), all]).as_deref(), Some("https_proxy http://a:1/"));
        assert_eq!(
            found(&[("HTTPS_PROXY", "10.0.0.1:8080"), all]).as_deref(),
            Some("HTTPS_PROXY http://10.0.0.1:8080/")
        );
        assert_eq!(
            found(&[("HTTPS_PROXY", ""), ("https_proxy", "http://a:1"), all]).as_deref(),
            Some("ALL_PROXY https://b:1080/")
        );
        assert_eq!(found(&[("HTTPS_PROXY", "")]), None);
        for text in ["::bad::", "ftp://a:1", "socks5://a:1", "SOCKS5H://a", "http://", "http://canary word@a"] {
            let said = found(&[("HTTPS_PROXY", text), all]);
            assert_eq!(
                said.as_deref(),
                Some("the environment variable HTTPS_PROXY does not hold the address of an HTTP proxy"),
                "{text}"
            );
        }
    }
}
