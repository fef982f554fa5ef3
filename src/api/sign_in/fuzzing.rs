//! What a sign-in is answered, by anybody: by a token endpoint, by a platform's metadata service, by `az`.
#![expect(clippy::expect_used, reason = "a panic is how a target reports")]

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Output};
use std::sync::{Arc, LazyLock, Once};
use std::time::SystemTime;

use async_trait::async_trait;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::{AsyncRawResponse, ClientOptions, HttpClient, Request, RetryOptions, Transport};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, Executor,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions,
};
use reqwest::StatusCode;
use secrecy::SecretString;

use super::SignInMethod;
use super::azure_cli::AzureCliRunner;
use super::cache::AcquiredToken;
use super::files::text_of;
use super::token::{BearerToken, is_token_text};
use super::transport::{Route, SignInTransport};
use crate::outside::{Outside, secrets, shown};

const SECRET: &str = "s3cret-of-the-app";
const SCOPE: &str = "https://api.securitycenter.microsoft.com/.default";
const TENANT: &str = "00000000-0000-0000-0000-000000000001";

/// Signs in against an authority, or another program, that answers what it likes. The first byte chooses which, the second
/// the status.
pub(crate) fn sign_in(data: &[u8]) {
    let (&[kind, status], answer) = data.split_first_chunk::<2>().unwrap_or((&[0, 0], data));
    static KEPT: Once = Once::new();
    KEPT.call_once(|| secrets::keep(&SecretString::from(SECRET)));
    match kind % 5 {
        0 => by_http(SignInMethod::Secret, status, answer),
        1 => by_http(SignInMethod::ManagedIdentity, status, answer),
        2 => by_azure_cli(status, answer),
        3 => by_file(answer),
        _ => is_masked(&String::from_utf8_lossy(answer)),
    }
}

/// An authority behind the gate that every real answer passes.
#[derive(Debug)]
struct Answering {
    gate: Arc<SignInTransport>,
    status: StatusCode,
    body: Vec<u8>,
}

#[async_trait]
impl HttpClient for Answering {
    async fn execute_request(&self, _request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let understood = self.gate.understood(self.status, None, self.body.clone());
        understood.map_err(|error| azure_core::Error::new(ErrorKind::Other, error))
    }
}

fn by_http(method: SignInMethod, status: u8, body: &[u8]) {
    static HTTP: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);
    let statuses = [200, 200, 200, 400, 401, 302, 404, 429, 500, 503];
    let status = statuses.get(usize::from(status) % statuses.len()).copied().unwrap_or(200);
    let status = StatusCode::from_u16(status).expect("a status");
    let route = Route::to_identity_endpoint(None).expect("the address of the metadata service");
    let gate = Arc::new(SignInTransport::new(HTTP.clone(), route, method));
    if let Err(error) = gate.understood(status, None, body.to_vec()) {
        is_one_harmless_line(&error.to_string());
    }
    let client_options = || ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(Transport::new(Arc::new(Answering { gate: Arc::clone(&gate), status, body: body.to_vec() }))),
        ..ClientOptions::default()
    };
    let credential: Arc<dyn TokenCredential> = if method == SignInMethod::ManagedIdentity {
        let options = ManagedIdentityCredentialOptions {
            client_options: client_options(),
            ..ManagedIdentityCredentialOptions::default()
        };
        ManagedIdentityCredential::new(Some(options)).expect("a credential")
    } else {
        let options = ClientSecretCredentialOptions { client_options: client_options() };
        ClientSecretCredential::new(TENANT, "app".to_owned(), Secret::new(SECRET), Some(options)).expect("a credential")
    };
    acquire(credential.as_ref());
}

/// Another program's output.
#[derive(Debug)]
struct Printing(Vec<u8>);

#[async_trait]
impl Executor for Printing {
    async fn run(&self, _program: &OsStr, _args: &[&OsStr]) -> io::Result<Output> {
        Ok(Output { status: ExitStatus::default(), stdout: self.0.clone(), stderr: Vec::new() })
    }
}

fn by_azure_cli(status: u8, output: &[u8]) {
    let error = AzureCliRunner::failure(Some(i32::from(status)), &String::from_utf8_lossy(output));
    is_one_harmless_line(&error.to_string());
    let options = AzureCliCredentialOptions {
        executor: Some(Arc::new(Printing(output.to_vec()))),
        ..AzureCliCredentialOptions::default()
    };
    acquire(AzureCliCredential::new(Some(options)).expect("a credential").as_ref());
}

/// Takes a token, as the source of tokens does, and reads what it says of itself.
fn acquire(credential: &dyn TokenCredential) {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));
    let Ok(token) = RUNTIME.block_on(credential.get_token(&[SCOPE], None)) else { return };
    let secret = token.token.secret();
    if !is_token_text(secret) {
        return;
    }
    let ends = token.expires_on.unix_timestamp_nanos();
    let acquired = AcquiredToken::ending_at(secret.into(), ends, SystemTime::UNIX_EPOCH);
    let bearer = BearerToken::new(&acquired.secret, 1).expect("a token's text");
    for claim in bearer.claims().into_iter().flat_map(|claims| claims.roles.iter().chain(&claims.tenant_id)) {
        is_one_harmless_line(claim);
    }
}

fn by_file(bytes: &[u8]) {
    if let Ok(text) = text_of(bytes) {
        drop(BearerToken::new(&text.trim().into(), 1));
    }
}

fn is_masked(text: &str) {
    let outside = Outside::new(text);
    assert_eq!(outside.exact(), text, "what is compared is what came");
    is_one_harmless_line(&outside.line());
    is_one_harmless_line(&outside.kept(300));
}

/// Whatever a person sees has gone through there.
fn is_one_harmless_line(text: &str) {
    let seen = shown(text);
    assert!(!seen.contains(char::is_control), "{seen:?} drives no terminal");
    assert!(!seen.contains(SECRET), "{seen:?} holds no secret");
}
