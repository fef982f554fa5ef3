//! Starting the Azure CLI, whose command line holds nothing secret, with the bounds of [`super::child`], and reading what it
//! prints.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::answer::{aadsts_code, aadsts_reason, cli_token, learn_tokens};
use super::cache::{AcquiredToken, TokenSource};
use super::child::{self, Ended};
use super::error::SignInError;
use super::method::SignInMethod;
use super::trouble::Trouble;
use crate::outside::Outside;

/// The CLI is a Python program that may have to renew its own token; half a minute is not unheard
/// of.
const TIME_LIMIT: Duration = Duration::from_secs(90);
/// What is shown of its complaint.
const LONGEST_REASON_CHARACTERS: usize = 300;
/// What a shell says when there is no such program.
const NOT_FOUND_STATUS: i32 = 127;
/// Closes what whoever started us has left open beyond the standard streams, as far as a shell can name it. Our own files
/// are closed by the system when another program starts.
const CLOSING: &str = "exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; cd /bin && ";

/// Signs in as whoever is signed in to the Azure CLI.
#[derive(Debug)]
pub(super) struct AzureCli {
    /// For a shell. Scope and tenant have been checked: they hold nothing that a shell takes for its own.
    command: String,
}

impl AzureCli {
    pub(super) fn new(scope: &str, tenant_id: Option<&str>) -> Self {
        // `az` is a script of its own on Windows. It is looked for on the PATH, and not in the working directory.
        let place = if cfg!(windows) { "cd /d %SYSTEMROOT% && " } else { CLOSING };
        let tenant = tenant_id.map(|id| format!(" --tenant {id}")).unwrap_or_default();
        Self { command: format!("{place}az account get-access-token -o json --scope {scope}{tenant}") }
    }

    /// What a failure means, from the exit status and the standard error of `az`.
    pub(super) fn failure(status: Option<i32>, complaint: &str) -> SignInError {
        if status == Some(NOT_FOUND_STATUS) || complaint.contains("is not recognized") {
            return SignInError::settings(
                "the Azure CLI is not installed, or not on the PATH",
                "install it and run `az login`, or choose another method with --auth",
            );
        }
        // In the words of Python's HTTP library; neither is mended by waiting.
        if complaint.contains("407 Proxy Authentication Required") {
            return unreachable("Microsoft's sign-in service", Trouble::ProxyAuthentication);
        }
        if complaint.contains("CERTIFICATE_VERIFY_FAILED") {
            return SignInError::settings(
                "az does not trust the certificate of the sign-in service",
                "if a proxy inspects the traffic, name the file with its root certificate in REQUESTS_CA_BUNDLE",
            );
        }
        if is_about_the_network(complaint) {
            return unreachable("Microsoft's sign-in service", Trouble::NoConnection);
        }
        let line = complaint
            .lines()
            .map(|line| line.trim_start_matches("ERROR:").trim())
            .find(|line| !line.is_empty())
            .unwrap_or("it gave no reason");
        SignInError::Refused {
            method: SignInMethod::AzureCli,
            party: PARTY.to_owned(),
            code: aadsts_code(complaint),
            message: Outside::new(aadsts_reason(line)).kept(LONGEST_REASON_CHARACTERS).into(),
        }
    }

    /// The token that `az` prints.
    pub(super) fn token(output: &[u8]) -> Result<AcquiredToken, SignInError> {
        cli_token(output, SystemTime::now()).ok_or_else(|| unreachable(PARTY, Trouble::Unreadable))
    }
}

/// As messages name it.
const PARTY: &str = "az";

fn unreachable(party: &str, trouble: Trouble) -> SignInError {
    SignInError::Unreachable {
        method: SignInMethod::AzureCli,
        party: party.to_owned(),
        trouble,
        retry_after: None,
        source: None,
    }
}

/// The CLI prints the words of Python's HTTP library when it has no network.
fn is_about_the_network(complaint: &str) -> bool {
    ["ConnectionPool", "ConnectionError", "Max retries exceeded", "Connection aborted"]
        .iter()
        .any(|words| complaint.contains(words))
}

#[async_trait]
impl TokenSource for AzureCli {
    async fn acquire(&self) -> Result<AcquiredToken, SignInError> {
        let (shell, switch) = if cfg!(windows) { ("cmd", "/C") } else { ("/bin/sh", "-c") };
        let ended = child::run(OsStr::new(shell), &[OsStr::new(switch), OsStr::new(&self.command)], TIME_LIMIT).await;
        let output = match ended {
            Ok(Ended::ByItself(output)) => output,
            Ok(Ended::TooLate) => return Err(unreachable(PARTY, Trouble::TimedOut)),
            Ok(Ended::TooMuch) => return Err(unreachable(PARTY, Trouble::TooLarge)),
            Err(_not_started) => return Err(unreachable(PARTY, Trouble::Unreadable)),
        };
        learn_tokens(&output.stdout);
        if output.status.success() {
            return Self::token(&output.stdout);
        }
        Err(Self::failure(output.status.code(), &String::from_utf8_lossy(&output.stderr)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_complaints_are_understood() {
        let cases = [
            (Some(127), "sh: az: not found", "not installed"),
            (Some(1), "'az' is not recognized as an internal or external command", "not installed"),
            (
                Some(1),
                "ERROR: Please run 'az login' to setup account.\n",
                "az refused the sign-in through the Azure CLI: Please run 'az login' to setup \
                 account.",
            ),
            (
                Some(1),
                "ERROR: AADSTS700082: The refresh token has expired. Trace ID: 1\nmore",
                "(AADSTS700082): The refresh token has expired.",
            ),
            (None, "", "it gave no reason"),
            (Some(1), "ERROR: HTTPSConnectionPool(host='login'): Max retries", "could not be reached"),
            (
                Some(1),
                "ERROR: HTTPSPool: Max retries exceeded (Caused by ProxyError('Tunnel connection failed: 407 Proxy \
                 Authentication Required'))",
                "is behind a proxy that requires a sign-in",
            ),
            (
                Some(1),
                "ERROR: HTTPSPool: Max retries exceeded (Caused by SSLError('[SSL: CERTIFICATE_VERIFY_FAILED]'))",
                "az does not trust the certificate",
            ),
        ];
        for (status, complaint, expected) in cases {
            let error = AzureCli::failure(status, complaint);
            assert!(error.to_string().contains(expected), "{error}");
            let network = complaint.contains("ConnectionPool");
            assert_eq!(error.is_transient(), network, "{error}");
        }
    }

    #[test]
    fn it_is_asked_for_the_scope_in_the_tenant() {
        let asked = |tenant| AzureCli::new("https://api.example/.default", tenant).command;
        let expected = "az account get-access-token -o json --scope https://api.example/.default";
        assert!(asked(None).ends_with(expected), "{}", asked(None));
        assert!(asked(Some("tenant")).ends_with(&format!("{expected} --tenant tenant")), "{}", asked(Some("tenant")));
    }

    #[test]
    fn what_it_prints_is_a_token_or_nothing() {
        let printed = r#"{"accessToken":"one","expires_on":4102444800,"tokenType":"Bearer"}"#;
        let token = AzureCli::token(printed.as_bytes()).expect("a token");
        assert_eq!(secrecy::ExposeSecret::expose_secret(&token.secret), "one");
        for printed in ["not json", "", r#"{"accessToken":"one"}"#, r#"{"accessToken":"one","expiresOn":"soon"}"#] {
            let error = AzureCli::token(printed.as_bytes()).expect_err("no token");
            assert!(error.to_string().ends_with("az answered with something that is not a token"), "{error}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn it_gets_no_input_and_its_failure_comes_back_as_ours() {
        let shell = |script: &str| {
            let source = AzureCli { command: format!("{CLOSING}{script}") };
            async move { source.acquire().await.map_err(|error| error.to_string()) }
        };
        let token = shell(r#"cat; echo '{"accessToken":"one","expires_on":4102444800}'"#).await;
        assert!(token.is_ok(), "{token:?}");
        let too_much = "signing in through the Azure CLI failed: az answered with more than a token can be";
        assert_eq!(shell("yes").await.expect_err("it is ended"), too_much);
        let error = shell("echo 'ERROR: no eyJhbGciOiJub25lIn0.eyJ0aWQiOiJ4In0.c2ln' >&2; exit 1").await;
        let error = error.expect_err("it fails");
        assert!(error.ends_with(": no ***"), "{error}");
        let script = r#"echo '{"accessToken":"opaque-of-az-31415"}'; echo 'ERROR: not opaque-of-az-31415' >&2; exit 1"#;
        let error = shell(script).await.expect_err("it fails");
        assert!(error.ends_with(": not ***"), "{error}");
    }
}
