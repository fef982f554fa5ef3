//! Starting the Azure CLI.
//!
//! `azure_identity` builds the command (`az account get-access-token` with scope and tenant:
//! nothing secret) and reads its output; this runs it. The crate's own runner would let `az` read
//! our standard input, which may be the input file, would wait for it for ever, and would put
//! whatever it prints into the error.

use std::ffi::OsStr;
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use azure_identity::Executor;
use tokio::process::Command;

use super::answer::{aadsts_code, aadsts_reason};
use super::error::{SignInError, Trouble};
use super::redact::Redactor;
use super::settings::SignInMethod;

/// The CLI is a Python program that may have to renew its own token; half a minute is not unheard
/// of.
const TIME_LIMIT: Duration = Duration::from_secs(90);
/// What is shown of its complaint.
const LONGEST_REASON_CHARACTERS: usize = 300;
/// What a shell says when there is no such program.
const NOT_FOUND_STATUS: i32 = 127;
/// Our own secrets, which the CLI has no use for.
const OUR_SECRETS: [&str; 2] = ["AZURE_CLIENT_SECRET", "TAGFLEET_TOKEN"];

/// Runs the Azure CLI and turns its failures into sign-in errors.
#[derive(Debug)]
pub(super) struct AzureCliRunner {
    redactor: Redactor,
}

impl AzureCliRunner {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor }
    }

    /// What a failure means, from the exit status and the standard error of `az`.
    pub(super) fn failure(&self, status: Option<i32>, complaint: &str) -> SignInError {
        if status == Some(NOT_FOUND_STATUS) || complaint.contains("is not recognized") {
            return SignInError::settings(
                "the Azure CLI is not installed, or not on the PATH",
                "install it and run `az login`, or choose another method with --auth",
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
            message: self.redactor.one_line(aadsts_reason(line), LONGEST_REASON_CHARACTERS),
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

fn command(program: &OsStr, args: &[&OsStr]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    for name in OUR_SECRETS {
        command.env_remove(name);
    }
    command
}

#[async_trait]
impl Executor for AzureCliRunner {
    async fn run(&self, program: &OsStr, args: &[&OsStr]) -> io::Result<Output> {
        let mut command = command(program, args);
        let Ok(output) = tokio::time::timeout(TIME_LIMIT, command.output()).await else {
            return Err(io::Error::other(unreachable(PARTY, Trouble::TimedOut)));
        };
        let output = output?;
        if output.status.success() {
            return Ok(output);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(self.failure(output.status.code(), &complaint)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner() -> AzureCliRunner {
        AzureCliRunner::new(Redactor::default())
    }

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
        ];
        for (status, complaint, expected) in cases {
            let error = runner().failure(status, complaint);
            assert!(error.to_string().contains(expected), "{error}");
            let network = complaint.contains("ConnectionPool");
            assert_eq!(error.is_transient(), network, "{error}");
        }
    }

    #[test]
    fn our_secrets_are_kept_from_it() {
        let command = command(OsStr::new("az"), &[]);
        let removed: Vec<_> =
            command.as_std().get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name.to_str()).collect();
        assert_eq!(removed, [Some("AZURE_CLIENT_SECRET"), Some("TAGFLEET_TOKEN")]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn it_gets_no_input_and_its_failure_comes_back_as_ours() {
        let shell = |script: &'static str| async move {
            runner().run(OsStr::new("/bin/sh"), &[OsStr::new("-c"), OsStr::new(script)]).await
        };
        let output = shell("cat; echo done").await.expect("it runs");
        assert_eq!(output.stdout, b"done\n");
        let error = shell("echo 'ERROR: no eyJhbGciOiJub25lIn0.eyJ0aWQiOiJ4In0.c2ln' >&2; exit 1").await;
        let error = error.expect_err("it fails");
        let own = error.get_ref().and_then(|e| e.downcast_ref::<SignInError>());
        let shown = own.expect("our own error").to_string();
        assert!(shown.ends_with(": no ***"), "{shown}");
    }
}
