//! Every method, from settings to a token.

use std::path::Path;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;

use super::authority::{Answer, Authority, client, shown};
use crate::api::sign_in::test_keys::{CERTIFICATE, RSA_KEY, RSA_PUBLIC_KEY};
use crate::api::sign_in::{AuthMethod, IdentityPlatform, SignIn, SignInError, SignInMethod, SignInSettings};
use crate::outside::Outside;

#[tokio::test]
async fn a_client_secret_is_posted_to_the_tenants_endpoint() {
    let authority = Authority::start([Answer::token("one")]).await;
    let sign_in = authority.sign_in_with("p&ss=word +");
    assert_eq!(sign_in.method().name(), "secret");
    assert_eq!(sign_in.tenant_id(), Some("tenant"));
    assert_eq!(sign_in.client_id(), Some("client"));
    assert!(authority.asked().is_empty(), "nothing is sent before a token is wanted");

    let token = sign_in.token().await.expect("a token");
    assert_eq!(shown(&token), "one");
    let asked = &authority.asked()[0];
    assert_eq!(asked.path, "/tenant/oauth2/v2.0/token");
    let expected = [
        ("client_id", "client"),
        ("client_secret", "p&ss=word +"),
        ("grant_type", "client_credentials"),
        ("scope", "https://api.example/.default"),
    ];
    assert_eq!(asked.fields.len(), expected.len());
    for (name, value) in expected {
        assert_eq!(asked.fields[name], value, "{name}");
    }
}

#[tokio::test]
async fn fifty_calls_cause_one_request() {
    let authority = Authority::start([Answer::token("one")]).await;
    let sign_in = Arc::new(authority.sign_in_with("flow~secret"));
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let sign_in = Arc::clone(&sign_in);
            tokio::spawn(async move { sign_in.token().await })
        })
        .collect();
    for call in calls {
        let token = call.await.expect("no panic").expect("a token");
        assert_eq!(shown(&token), "one");
    }
    assert_eq!(authority.asked().len(), 1);
}

#[tokio::test]
async fn after_a_401_a_fresh_token_is_asked_for_once() {
    let authority = Authority::start([Answer::token("one"), Answer::token("two")]).await;
    let sign_in = authority.sign_in_with("flow~secret");
    let refused = sign_in.token().await.expect("a token");
    for _ in 0..5 {
        let renewed = sign_in.renew(&refused).await.expect("a token");
        assert_eq!((shown(&renewed).as_str(), renewed.generation()), ("two", 2));
    }
    assert_eq!(authority.asked().len(), 2);
}

#[tokio::test]
async fn a_certificate_signs_an_assertion_for_the_endpoint() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), [CERTIFICATE, RSA_KEY].concat()).expect("writable");
    let authority = Authority::start([Answer::token("one")]).await;
    let mut settings = authority.settings();
    settings.certificate_path = Some(file.path().to_owned());
    let sign_in = SignIn::new(&settings, client()).expect("complete settings");
    assert_eq!(sign_in.method(), SignInMethod::Certificate);
    assert_eq!(shown(&sign_in.token().await.expect("a token")), "one");

    let asked = &authority.asked()[0];
    assert_eq!(asked.fields["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let mut expected = Validation::new(Algorithm::PS256);
    expected.set_audience(&[format!("{}{}", authority.address, asked.path)]);
    expected.validate_nbf = true;
    let key = DecodingKey::from_rsa_pem(RSA_PUBLIC_KEY.as_bytes()).expect("a public key");
    let assertion = decode::<Value>(&asked.fields["client_assertion"], &key, &expected);
    let claims = assertion.expect("signed by the key, for this endpoint, and valid now").claims;
    assert_eq!(claims["iss"], "client");
    assert_eq!(claims["sub"], "client");
}

#[tokio::test]
async fn a_workload_identity_sends_what_the_platform_wrote_last() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "first.jwt\n").expect("writable");
    let authority = Authority::start([Answer::token("one"), Answer::token("two")]).await;
    let mut settings = authority.settings();
    settings.federated_token_file = Some(file.path().to_owned());
    let sign_in = SignIn::new(&settings, client()).expect("complete settings");
    assert_eq!(sign_in.method(), SignInMethod::Workload);
    let token = sign_in.token().await.expect("a token");
    std::fs::write(file.path(), "second.jwt").expect("writable");
    sign_in.renew(&token).await.expect("a token");
    let sent: Vec<_> = authority.asked().iter().map(|asked| asked.fields["client_assertion"].clone()).collect();
    assert_eq!(sent, ["first.jwt", "second.jwt"]);

    std::fs::write(file.path(), "").expect("writable");
    let token = sign_in.token().await.expect("a token");
    let error = sign_in.renew(&token).await.expect_err("no assertion");
    assert!(error.to_string().contains("holds no token"), "{error}");
}

fn ready(token: Option<&str>, file: Option<&Path>) -> Result<SignIn, SignInError> {
    let mut settings = SignInSettings::new("https://login.example", "scope");
    settings.method = AuthMethod::Token;
    settings.ready_token = token.map(Into::into);
    settings.token_file = file.map(Path::to_owned);
    SignIn::new(&settings, client())
}

#[tokio::test]
async fn a_ready_token_is_used_as_it_is_and_cannot_be_renewed() {
    let sign_in = ready(Some("opaque-token\n"), None).expect("complete settings");
    assert_eq!(Outside::new("an opaque-token").line(), "an ***");
    let token = sign_in.token().await.expect("a token");
    assert_eq!(shown(&token), "opaque-token");
    let error = sign_in.renew(&token).await.expect_err("it cannot be renewed");
    assert!(matches!(error, SignInError::SameToken { .. }), "{error}");
    assert!(error.hint().expect("a hint").contains("TAGFLEET_TOKEN"));
}

#[tokio::test]
async fn a_token_file_goes_before_the_variable_and_is_read_again_after_a_401() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "first-token\n").expect("writable");
    let sign_in = ready(Some("other-token"), Some(file.path())).expect("complete settings");
    let first = sign_in.token().await.expect("a token");
    assert_eq!(shown(&first), "first-token");
    std::fs::write(file.path(), "second-token\n").expect("writable");
    assert_eq!(shown(&sign_in.token().await.expect("a token")), "first-token");
    let second = sign_in.renew(&first).await.expect("a token");
    assert_eq!(shown(&second), "second-token");
    let error = sign_in.renew(&second).await.expect_err("the file is as it was");
    assert!(matches!(error, SignInError::SameToken { .. }), "{error}");
}

/// As when a shell hands over a command's output as a file.
#[cfg(unix)]
#[tokio::test]
async fn a_token_file_that_is_a_pipe_is_read_once() {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(b"piped-token\n").expect("writable");
    drop(writer);
    let path = format!("/dev/fd/{}", reader.as_raw_fd());
    let sign_in = ready(None, Some(Path::new(&path))).expect("complete settings");
    let token = sign_in.token().await.expect("a token");
    assert_eq!(shown(&token), "piped-token");
    let error = sign_in.renew(&token).await.expect_err("nothing is left in it");
    assert!(error.to_string().ends_with("holds no token"), "{error}");
}

#[test]
fn what_is_missing_is_found_before_anything_is_sent() {
    let missing = Path::new("/nonexistent/file");
    let settings = |method| {
        let mut settings = SignInSettings::new("https://login.example", "scope");
        settings.tenant_id = Some("tenant".into());
        settings.client_id = Some("client".into());
        settings.method = method;
        settings
    };
    let mut no_certificate_file = settings(AuthMethod::Certificate);
    no_certificate_file.certificate_path = Some(missing.to_owned());
    let mut no_federated_file = settings(AuthMethod::Workload);
    no_federated_file.federated_token_file = Some(missing.to_owned());
    let mut no_token_file = settings(AuthMethod::Token);
    no_token_file.token_file = Some(missing.to_owned());
    let mut strange_endpoint = settings(AuthMethod::ManagedIdentity);
    strange_endpoint.offers.identity =
        IdentityPlatform::AppService { endpoint: "http://identity.example/".into(), header: "x".into() };
    let mut unsupported = settings(AuthMethod::ManagedIdentity);
    unsupported.offers.identity = IdentityPlatform::Unsupported("Cloud Shell");
    let mut arc_with_client = settings(AuthMethod::ManagedIdentity);
    arc_with_client.offers.identity =
        IdentityPlatform::Arc { endpoint: "http://127.0.0.1:1/".into(), key_directory: missing.into() };
    let mut open_authority = settings(AuthMethod::Secret);
    open_authority.authority_host = "http://login.example".into();
    open_authority.loopback_authority_allowed = true;
    let cases = [
        (settings(AuthMethod::Secret), "needs the secret"),
        (settings(AuthMethod::Certificate), "needs the certificate"),
        (settings(AuthMethod::Workload), "needs the platform's token file"),
        (settings(AuthMethod::Token), "needs the token"),
        (settings(AuthMethod::Auto), "no credentials found"),
        (no_certificate_file, "cannot read /nonexistent/file"),
        (no_federated_file, "cannot read /nonexistent/file"),
        (no_token_file, "cannot read /nonexistent/file"),
        (strange_endpoint, "IDENTITY_ENDPOINT"),
        (unsupported, "cannot use the managed identity of Cloud Shell"),
        (arc_with_client, "no user-assigned identities"),
        (open_authority, "must be https"),
    ];
    for (settings, expected) in cases {
        let error = SignIn::new(&settings, client()).expect_err("not enough");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert!(!error.is_transient() && error.hint().is_some(), "{error}");
    }
}
