use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::api::sign_in::cache::TokenCache;
use crate::api::sign_in::tests::authority::{Answer, Authority, shown};

const SCOPE: &str = "https://api.example/.default";

/// The identity of a platform whose endpoint this is.
fn identity(platform: &IdentityPlatform, client_id: Option<&str>) -> TokenCache {
    let source = ManagedIdentity::new(platform, SCOPE, client_id.map(str::to_owned)).expect("a supported platform");
    TokenCache::new(SignInMethod::ManagedIdentity, Box::new(source))
}

/// A virtual machine whose metadata service this is.
fn virtual_machine(authority: &Authority, client_id: Option<&str>) -> TokenCache {
    let client_id = client_id.map(str::to_owned);
    let mut source = ManagedIdentity::new(&IdentityPlatform::VirtualMachine, SCOPE, client_id).expect("a source");
    let mut address = Url::parse(METADATA_SERVICE).expect("an address");
    assert_eq!(address.host_str(), Some("169.254.169.254"));
    let stand_in = Url::parse(&authority.address).expect("an address");
    address.set_host(stand_in.host_str()).expect("a host");
    address.set_port(stand_in.port()).expect("a port");
    source.endpoint = Endpoint::new(direct_client().expect("a client"), address, SignInMethod::ManagedIdentity);
    TokenCache::new(SignInMethod::ManagedIdentity, Box::new(source))
}

/// A token's answer as platforms give it: numbers are texts.
fn platform_token() -> Answer {
    let end = SystemTime::now() + Duration::from_hours(1);
    let end = end.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    Answer::new(200, format!(r#"{{"access_token":"one","expires_on":"{end}","token_type":"Bearer","resource":"x"}}"#))
}

#[tokio::test]
async fn a_virtual_machine_asks_the_metadata_service() {
    let authority = Authority::start([platform_token()]).await;
    let token = virtual_machine(&authority, Some("identity")).token().await.expect("a token");
    assert_eq!(shown(&token), "one");
    let asked = &authority.asked()[0];
    assert_eq!(asked.path, "/metadata/identity/oauth2/token");
    assert_eq!(asked.fields["resource"], "https://api.example");
    assert_eq!(asked.fields["client_id"], "identity");
    assert_eq!(asked.fields["api-version"], "2018-02-01");
    assert_eq!(asked.headers.get_all("metadata").iter().collect::<Vec<_>>(), ["true"]);
}

#[tokio::test]
async fn app_service_wants_to_see_its_own_header() {
    let authority = Authority::start([platform_token()]).await;
    let endpoint = format!("{}/msi/token", authority.address);
    let platform = IdentityPlatform::AppService { endpoint, header: "header~secret".into() };
    let token = identity(&platform, None).token().await.expect("a token");
    assert_eq!(shown(&token), "one");
    let asked = &authority.asked()[0];
    assert_eq!(asked.path, "/msi/token");
    assert_eq!(asked.headers["x-identity-header"], "header~secret");
    assert_eq!((asked.fields["api-version"].as_str(), asked.fields.get("client_id")), ("2019-08-01", None));
}

/// A challenge as Azure Arc's agent gives it.
fn challenge(file: &Path) -> Answer {
    Answer::new(401, "").with_header("www-authenticate", format!("Basic realm={}", file.display()))
}

#[tokio::test]
async fn azure_arc_gives_the_token_to_whoever_can_read_the_key() {
    let keys = tempfile::tempdir().expect("a directory");
    let file = keys.path().join("1.key");
    std::fs::write(&file, "arc~key").expect("writable");
    let authority = Authority::start([challenge(&file), platform_token()]).await;
    let platform = IdentityPlatform::Arc { endpoint: authority.address.clone(), key_directory: keys.path().to_owned() };
    let token = identity(&platform, None).token().await.expect("a token");
    assert_eq!(shown(&token), "one");
    let asked = authority.asked();
    assert_eq!(asked[0].headers.get("authorization"), None);
    assert_eq!(asked[1].headers["authorization"], "Basic arc~key");
    assert_eq!(asked[1].fields["api-version"], "2020-06-01");
}

#[tokio::test]
async fn a_challenge_that_names_any_other_file_is_not_answered() {
    let (keys, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    std::fs::write(other.path().join("1.key"), "private").expect("writable");
    std::fs::write(keys.path().join("large.key"), "k3y".repeat(LONGEST_KEY_BYTES)).expect("writable");
    std::fs::write(keys.path().join("1.txt"), "private").expect("writable");
    let climbing = keys.path().join("..").join(other.path().file_name().expect("a name")).join("1.key");
    let files = [other.path().join("1.key"), climbing, keys.path().join("1.txt"), keys.path().join("large.key")];
    for file in files {
        let authority = Authority::start([challenge(&file), platform_token()]).await;
        let platform =
            IdentityPlatform::Arc { endpoint: authority.address.clone(), key_directory: keys.path().to_owned() };
        let error = identity(&platform, None).token().await.expect_err("no key");
        assert!(error.to_string().contains("names no key file of its own"), "{error}");
        assert_eq!(authority.asked().len(), 1, "{}", file.display());
    }
}

#[tokio::test]
async fn a_managed_identity_is_not_retried_behind_the_callers_back() {
    // Status, and whether it may pass.
    for (status, transient) in [(404, true), (410, true), (429, true), (503, true), (400, false)] {
        let refusal = Answer::new(status, r#"{"error":"invalid_request","error_description":"Identity not found"}"#);
        let authority = Authority::start([refusal]).await;
        let error = virtual_machine(&authority, None).token().await.expect_err("refused");
        assert_eq!(error.is_transient(), transient, "{error}");
        assert_eq!(authority.asked().len(), 1, "{status}");
        if !transient {
            assert!(error.to_string().ends_with("Identity not found"), "{error}");
        }
    }
}

#[test]
fn identity_endpoints_are_local() {
    let cases = [
        (METADATA_SERVICE, true),
        ("http://127.0.0.1:41741/msi/token", true),
        ("http://localhost:42356/msi/token", true),
        ("http://169.254.129.3:8081/msi/token", true),
        ("http://10.0.0.1/msi/token", false),
        ("https://identity.example.org/", false),
        ("nonsense", false),
    ];
    for (endpoint, expected) in cases {
        assert_eq!(local_address(endpoint).is_ok(), expected, "{endpoint}");
    }
}
