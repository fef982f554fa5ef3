//! Starting the Azure CLI.
//!
//! `azure_identity` builds the command (`az account get-access-token` with scope and tenant:
//! nothing secret) and reads its output; this runs it, with the bounds of [`super::child`]. The crate's own runner would
//! let `az` read our standard input, which may be the input file, would give it all variables, would wait for it and
//! read what it prints for ever, and would put that into the error.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::Output;
use std::time::Duration;

use async_trait::async_trait;
use azure_identity::Executor;

use super::answer::{aadsts_code, aadsts_reason};
use super::child::{self, Ended};
use super::error::{SignInError, Trouble};
use super::settings::SignInMethod;
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
const CLOSING: &str = "exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; ";

/// Runs the Azure CLI and turns its failures into sign-in errors.
#[derive(Debug)]
pub(super) struct AzureCliRunner;

impl AzureCliRunner {
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
}

/// As messages name it.
pub(super) const PARTY: &str = "az";

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

/// The arguments of a shell, closing descriptors before anything else; those of another program as they are.
fn closing_descriptors(args: &[&OsStr]) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.iter().map(|argument| OsString::from(*argument)).collect();
    if let [switch, script] = args.as_mut_slice()
        && switch == "-c"
    {
        let rest = std::mem::replace(script, CLOSING.into());
        script.push(rest);
    }
    args
}

#[async_trait]
impl Executor for AzureCliRunner {
    async fn run(&self, program: &OsStr, args: &[&OsStr]) -> io::Result<Output> {
        let args = closing_descriptors(args);
        let args: Vec<&OsStr> = args.iter().map(OsString::as_os_str).collect();
        let output = match child::run(program, &args, TIME_LIMIT).await? {
            Ended::ByItself(output) => output,
            Ended::TooLate => return Err(io::Error::other(unreachable(PARTY, Trouble::TimedOut))),
            Ended::TooMuch => return Err(io::Error::other(unreachable(PARTY, Trouble::TooLarge))),
        };
        if output.status.success() {
            return Ok(output);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(Self::failure(output.status.code(), &complaint)))
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
                "is behind a proxy that wants a sign-in",
            ),
            (
                Some(1),
                "ERROR: HTTPSPool: Max retries exceeded (Caused by SSLError('[SSL: CERTIFICATE_VERIFY_FAILED]'))",
                "az does not trust the certificate",
            ),
        ];
        for (status, complaint, expected) in cases {
            let error = AzureCliRunner::failure(status, complaint);
            assert!(error.to_string().contains(expected), "{error}");
            let network = complaint.contains("ConnectionPool");
            assert_eq!(error.is_transient(), network, "{error}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn it_gets_no_input_and_its_failure_comes_back_as_ours() {
        let shell = |script: &'static str| async move {
            AzureCliRunner.run(OsStr::new("/bin/sh"), &[OsStr::new("-c"), OsStr::new(script)]).await
        };
        let output = shell("cat; echo done").await.expect("it runs");
        assert_eq!(output.stdout, b"done\n");
        let error = shell("yes").await.expect_err("it is ended");
        let own = error.get_ref().and_then(|e| e.downcast_ref::<SignInError>()).map(ToString::to_string);
        assert_eq!(
            own.as_deref(),
            Some("signing in through the Azure CLI failed: az answered with more than a token can be")
        );
        let error = shell("echo 'ERROR: no eyJhbGciOiJub25lIn0.eyJ0aWQiOiJ4In0.c2ln' >&2; exit 1").await;
        let error = error.expect_err("it fails");
        let own = error.get_ref().and_then(|e| e.downcast_ref::<SignInError>());
        let shown = own.expect("our own error").to_string();
        assert!(shown.ends_with(": no ***"), "{shown}");
    }
}
