//! Signing in to a state on a server with a token of Entra, which databases of Azure take for a password.
//!
//! A token holds for about an hour and a connection for as long as it likes, so each new connection asks for one; the
//! sign-in keeps it until shortly before its end. Nobody is asked to sign in as a person: that takes `azure-cli`.

use std::path::PathBuf;
use std::sync::Arc;

use super::credentials::{authority, take_credentials};
use super::error::ConfigError;
use crate::api::cloud::{Cloud, database_scope};
use crate::api::sign_in::{AuthMethod, SignIn, SignInError, SignInSettings};
use crate::api::{ClientSettings, parse_base_url};
use crate::cli::StateAuth;
use crate::environment::Environment;
use crate::store::{PasswordGiver, PasswordRefusal, PasswordToCome};

/// How a token is come by; `None` where a password is meant.
pub(super) const fn method(state_auth: StateAuth) -> Option<AuthMethod> {
    Some(match state_auth {
        StateAuth::Password => return None,
        StateAuth::Entra => AuthMethod::Auto,
        StateAuth::Secret => AuthMethod::Secret,
        StateAuth::Certificate => AuthMethod::Certificate,
        StateAuth::Workload => AuthMethod::Workload,
        StateAuth::ManagedIdentity => AuthMethod::ManagedIdentity,
        StateAuth::AzureCli => AuthMethod::AzureCli,
    })
}

/// Who signs in by this method, as the environment has it; sends nothing yet. Only for a database on this machine may the
/// authority be one as well, without encryption.
pub(super) fn giver(
    method: AuthMethod,
    stays_here: bool,
    certificates: Option<PathBuf>,
    environment: Environment<'_>,
) -> Result<Arc<dyn PasswordGiver>, ConfigError> {
    let authority = authority(environment)?.unwrap_or_else(|| Cloud::Commercial.authority().to_owned());
    let scope = database_scope(&authority);
    let mut settings = SignInSettings::new(&authority, scope);
    settings.method = method;
    settings.loopback_authority_allowed = stays_here;
    take_credentials(&mut settings, environment)?;
    let http = ClientSettings { base_url: parse_base_url(&authority, true)?, certificate_file: certificates }.http()?;
    let has_credentials = settings.client_secret.is_some()
        || settings.certificate_path.is_some()
        || settings.federated_token_file.is_some();
    let sign_in = SignIn::new(&settings, http).map_err(|error| match error {
        SignInError::Settings { problem, .. } if method == AuthMethod::Auto && !has_credentials => {
            SignInError::Settings { problem, hint: Some(CREDENTIALS.to_owned()) }
        }
        error => error,
    });
    Ok(Arc::new(TokenGiver(sign_in.map_err(ConfigError::StateSignIn)?)))
}

/// What can be signed in with; the sign-in to the service takes more.
const CREDENTIALS: &str = "set AZURE_TENANT_ID and AZURE_CLIENT_ID, and one of AZURE_CLIENT_SECRET, \
                           AZURE_CLIENT_CERTIFICATE_PATH or AZURE_FEDERATED_TOKEN_FILE; or install the Azure CLI and run \
                           `az login`; on an Azure virtual machine choose --state-auth managed-identity";

#[derive(Debug)]
struct TokenGiver(SignIn);

impl PasswordGiver for TokenGiver {
    fn password(&self) -> PasswordToCome<'_> {
        Box::pin(async {
            let given = self.0.token().await;
            given.map(|token| token.password()).map_err(|error| PasswordRefusal {
                message: error.to_string(),
                hint: error.hint(),
                is_transient: error.is_transient(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::net::{Ipv4Addr, SocketAddr};

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::sandbox::{Sandbox, SandboxSecret, SandboxSettings};

    /// What is asked of whoever signs in with this secret, at an authority whose address this is.
    fn asked(authority: &str, secret: &str) -> Result<Arc<dyn PasswordGiver>, ConfigError> {
        let environment = |name: &str| {
            let value = match name {
                "AZURE_AUTHORITY_HOST" => authority,
                "AZURE_TENANT_ID" => "contoso.example",
                "AZURE_CLIENT_ID" => "00000000-0000-0000-0000-000000000001",
                "AZURE_CLIENT_SECRET" => secret,
                // It is a token for something else.
                "TAGFLEET_TOKEN" => "ready-made",
                _ => return None,
            };
            Some(OsString::from(value))
        };
        giver(AuthMethod::Auto, true, None, &environment)
    }

    async fn password(giver: Arc<dyn PasswordGiver>) -> Result<String, PasswordRefusal> {
        giver.password().await.map(|password| password.expose_secret().to_owned())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_is_got_for_each_connection_and_kept_while_it_holds() {
        let settings = SandboxSettings {
            client_secret: Some(SandboxSecret::new("the-right-password")),
            ..SandboxSettings::default()
        };
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sandbox = Sandbox::start(settings, here).await.expect("a sandbox");
        let giver = asked(&sandbox.base_url(), "the-right-password").expect("settings");
        let token = password(Arc::clone(&giver)).await.expect("a token");
        assert!(!token.is_empty() && !token.contains(' ') && token != "ready-made", "{token}");
        assert_eq!(password(giver).await.expect("the same"), token);
        let refused =
            password(asked(&sandbox.base_url(), "another-password").expect("settings")).await.expect_err("wrong");
        assert!(!refused.is_transient && refused.hint.is_some(), "{refused:?}");
        sandbox.stop().await;
        // Nothing ever listens there.
        let away =
            password(asked("http://127.0.0.1:1", "the-right-password").expect("settings")).await.expect_err("nobody");
        assert!(away.is_transient, "{away:?}");
    }

    #[test]
    fn what_no_token_can_be_got_with_is_told_beforehand() {
        let nothing = giver(AuthMethod::Auto, true, None, &|_name| None).expect_err("nobody to sign in as");
        assert!(matches!(nothing, ConfigError::StateSignIn(_)));
        assert!(nothing.hint().is_some_and(|hint| hint.contains("--state-auth") && !hint.contains("TAGFLEET_TOKEN")));
        assert!(asked("login.example", "the-right-password").is_ok());
        assert!(asked("http://login.example", "the-right-password").is_err(), "a secret is not sent in the clear");
    }
}
