//! What a sign-in is answered, by anybody: by a token endpoint, by a platform's metadata service, by `az`.
#![expect(clippy::expect_used, reason = "a panic is how a target reports")]

use std::sync::{LazyLock, Once};

use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};
use secrecy::SecretString;

use super::SignInMethod;
use super::azure_cli::AzureCli;
use super::cache::AcquiredToken;
use super::endpoint::{Endpoint, Reply};
use super::token::BearerToken;
use crate::outside::{Outside, secrets, shown, text_of};

const SECRET: &str = "s3cret-of-the-app";

/// Signs in against an authority, or another program, that answers what it likes. The first byte chooses which, the second
/// the status.
pub(crate) fn sign_in(data: &[u8]) {
    static KEPT: Once = Once::new();
    let (&[kind, status], answer) = data.split_first_chunk::<2>().unwrap_or((&[0, 0], data));
    KEPT.call_once(|| secrets::keep(&SecretString::from(SECRET)));
    match kind % 5 {
        0 => by_http(SignInMethod::Secret, status, answer),
        1 => by_http(SignInMethod::ManagedIdentity, status, answer),
        2 => by_azure_cli(status, answer),
        3 => by_file(answer),
        _ => is_masked(&String::from_utf8_lossy(answer)),
    }
}

fn by_http(method: SignInMethod, status: u8, body: &[u8]) {
    static HTTP: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);
    let statuses = [200, 200, 200, 400, 401, 302, 404, 429, 500, 503];
    let status = statuses.get(usize::from(status) % statuses.len()).copied().unwrap_or(200);
    let status = StatusCode::from_u16(status).expect("a status");
    let address = Url::parse("https://login.example/tenant/token").expect("an address");
    let endpoint = Endpoint::new(HTTP.clone(), address, method);
    match endpoint.understood(&Reply { status, headers: HeaderMap::new(), body: body.to_vec() }) {
        Ok(grant) => is_usable(&grant.token),
        Err(error) => is_one_harmless_line(&error.to_string()),
    }
}

fn by_azure_cli(status: u8, output: &[u8]) {
    let error = AzureCli::failure(Some(i32::from(status)), &String::from_utf8_lossy(output));
    is_one_harmless_line(&error.to_string());
    if let Ok(token) = AzureCli::token(output) {
        is_usable(&token);
    }
}

/// Takes a token, as the cache does, and reads what it says of itself.
fn is_usable(token: &AcquiredToken) {
    let bearer = BearerToken::new(&token.secret, 1).expect("a token's text");
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
