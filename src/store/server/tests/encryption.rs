//! Whom a state is told to: certificates that are right and wrong, and what is said of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use secrecy::SecretString;

use super::cluster::{self, Cluster};
use super::up_for;
use crate::store::engine::sql::SqlError;
use crate::store::server::{AddressError, PasswordSource, ServerAddress};
use crate::store::{PasswordGiver, PasswordRefusal, PasswordToCome, Patience, Reader, Store, StoreError};

/// A server that encrypts, with a certificate for one of the two addresses that it has.
struct Encrypting {
    cluster: Cluster,
    /// The authority behind the certificate, and another one.
    issuer: PathBuf,
    stranger: PathBuf,
    named: String,
    unnamed: String,
    place: tempfile::TempDir,
}

impl Encrypting {
    fn start() -> Option<Self> {
        // Every address that begins with 127 is this machine's; nobody else is likely to have these.
        let [second, third] = [fastrand::u8(2..250), fastrand::u8(2..250)];
        let [named, unnamed] = [1, 2].map(|last| format!("127.{second}.{third}.{last}"));
        let folder = tempfile::tempdir().expect("a folder");
        let authority = || {
            let mut authority = CertificateParams::new([]).expect("an authority");
            authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority")
        };
        let (issuer, stranger) = (authority(), authority());
        let store = |name: &str, kind: &str, content: &[u8]| store_pem(&folder.path().join(name), kind, content);
        let paths = (store("issuer", "CERTIFICATE", issuer.der()), store("stranger", "CERTIFICATE", stranger.der()));
        let key = KeyPair::generate().expect("a key");
        let server = CertificateParams::new([named.clone()]).expect("a name").signed_by(&key, &issuer);
        let server = server.expect("a certificate");
        let cluster = Cluster::start_with(|place| {
            let certificate = store_pem(&place.join("certificate"), "CERTIFICATE", server.der());
            let key = store_pem(&place.join("key"), "PRIVATE KEY", &key.serialize_der());
            let rules = place.join("rules");
            let text = "local all all trust\nhostssl all guarded all scram-sha-256\nhostssl all all all trust\n";
            std::fs::write(&rules, text).expect("a file");
            vec![
                "-clisten_addresses=".to_owned() + &named + "," + &unnamed,
                "-cssl=on".to_owned(),
                format!("-cssl_cert_file={}", certificate.display()),
                format!("-cssl_key_file={}", key.display()),
                format!("-chba_file={}", rules.display()),
            ]
        })?;
        Some(Self { cluster, issuer: paths.0, stranger: paths.1, named, unnamed, place: folder })
    }
}

fn address(user: &str, rest: &str, authority: Option<&Path>, password: &str) -> ServerAddress {
    let password = PasswordSource::Given(password.to_owned().into());
    let text = format!("postgresql://{user}@{rest}");
    ServerAddress::parse(&text, password, authority.map(Path::to_owned)).expect("an address")
}

/// Writes what nobody but its owner may read.
fn store_pem(path: &Path, kind: &str, content: &[u8]) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, content);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("ASCII")).collect();
    let text = format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"));
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("its owner's file");
    path.to_owned()
}

async fn refusal(address: &ServerAddress) -> StoreError {
    let refused = Reader::open_on(address).await.map(drop).expect_err("nobody who is believed");
    assert_eq!(crate::exit::storage_status(&refused).code(), 2, "{refused}");
    assert_eq!(crate::exit::storage_status_of_run(&refused).code(), 7, "of a run that had begun");
    assert!(refused.hint().is_some());
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_as_far_as_its_certificate_goes_and_what_was_asked_for() {
    let Some(server) = Encrypting::start() else { return };
    let (issuer, stranger) = (Some(server.issuer.as_path()), Some(server.stranger.as_path()));
    let (untrusted, misnamed) = ("whose issuer is not trusted", "that is for another name");
    let table = [
        (&server.named, "verify-full", issuer, None),
        (&server.unnamed, "verify-full", issuer, Some(misnamed)),
        (&server.named, "verify-full", stranger, Some(untrusted)),
        (&server.named, "verify-full", None, Some(untrusted)),
        (&server.unnamed, "verify-ca", issuer, None),
        (&server.unnamed, "verify-ca", stranger, Some(untrusted)),
        (&server.unnamed, "require", None, None),
    ];
    for (host, mode, authority, refused) in table {
        let address = address("tagfleet", &format!("{host}/postgres?sslmode={mode}"), authority, "");
        let Some(why) = refused else {
            drop(Store::open_on(&address, up_for(1)).await.expect(mode));
            let encrypted = cluster::tell(&address, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
            assert_eq!(encrypted.as_deref(), Some("t"), "{mode}");
            continue;
        };
        let refused = refusal(&address).await.to_string();
        assert!(refused.ends_with(&format!("shows a certificate {why}")), "{mode}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_for_an_encrypted_way_and_whatever_is_wrong_before_it_is_told() {
    let Some(server) = Encrypting::start() else { return };
    server.cluster.ask("postgres", "CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'the-right-password'");
    let place = format!("{}/postgres?sslmode=verify-full", server.named);
    let at_it = |authority: &Path, password| address("guarded", &place, Some(authority), password);
    drop(Store::open_on(&at_it(&server.issuer, "the-right-password"), up_for(1)).await.expect("a store"));
    let empty = server.place.path().join("empty");
    std::fs::write(&empty, "").expect("a file");
    let missing = server.place.path().join("missing");
    // Over a socket of this machine a server encrypts nothing.
    let socket = format!("/postgres?sslmode=require&host={}", server.cluster.socket().display());
    let table = [
        (at_it(&server.issuer, "another-password"), "does not let this user in"),
        (at_it(&empty, "the-right-password"), "a file that the connection needs cannot be read"),
        (at_it(&missing, "the-right-password"), "a file that the connection needs cannot be read"),
        (address("guarded", &socket, None, "the-right-password"), "is on a server that does not encrypt connections"),
    ];
    for (address, why) in table {
        let refused = refusal(&address).await.to_string();
        assert!(refused.ends_with(why), "{refused}");
    }
}

/// Gives out a token, or has none to give.
#[derive(Debug)]
struct Giver(Result<&'static str, bool>);

impl PasswordGiver for Giver {
    fn password(&self) -> PasswordToCome<'_> {
        let given = self.0.map(SecretString::from).map_err(|is_transient| PasswordRefusal {
            message: "the sign-in was refused".to_owned(),
            hint: Some("ask the administrator".to_owned()),
            is_transient,
        });
        Box::pin(std::future::ready(given))
    }
}

/// Never gives one out.
#[derive(Debug)]
struct SilentGiver;

impl PasswordGiver for SilentGiver {
    fn password(&self) -> PasswordToCome<'_> {
        Box::pin(std::future::pending())
    }
}

/// Why nobody gets in at a server that is asked for nothing.
async fn failure(giver: Arc<dyn PasswordGiver>, patience: Patience) -> SqlError {
    let address = address("u", "127.0.0.1:1/d", None, "").asking(giver).expect("this machine");
    let connecting = tokio::task::spawn_blocking(move || address.connect(&patience).map(drop));
    connecting.await.expect("no panic").expect_err("nobody lets us in")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_given_to_a_server_that_has_proved_its_name_and_to_no_other() {
    let Some(server) = Encrypting::start() else { return };
    server.cluster.ask("postgres", "CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'a-token'");
    let at_it = |mode: &str, given| {
        let place = format!("{}/postgres?sslmode={mode}", server.named);
        address("guarded", &place, Some(&server.issuer), "").asking(Arc::new(Giver(given)))
    };
    drop(Store::open_on(&at_it("verify-full", Ok("a-token")).expect("safe"), up_for(1)).await.expect("a store"));
    let refused = refusal(&at_it("verify-full", Ok("another")).expect("safe")).await;
    assert!(refused.to_string().ends_with("does not let this user in"), "{refused}");
    let refused = refusal(&at_it("verify-full", Err(false)).expect("safe")).await;
    assert!(refused.to_string().ends_with("cannot be opened: there is no token for it"), "{refused}");
    assert_eq!(refused.hint().as_deref(), Some("ask the administrator"));
    let elsewhere = |mode: &str| {
        let address = address("guarded", &format!("db.example/d?sslmode={mode}"), None, "");
        address.asking(Arc::new(Giver(Ok("a-token")))).map(drop)
    };
    assert_eq!(elsewhere("verify-full"), Ok(()));
    for mode in ["verify-ca", "require"] {
        let refused = elsewhere(mode).expect_err(mode);
        assert_eq!(refused, AddressError::TokenForAnybody { mode, host: "db.example".into() });
        assert!(refused.hint().contains("verify-full"));
    }
}

#[tokio::test]
async fn a_sign_in_that_may_come_right_is_waited_for_like_a_server() {
    for is_transient in [true, false] {
        let failed = failure(Arc::new(Giver(Err(is_transient))), Patience::default()).await;
        assert_eq!(failed.is_lost_connection(), is_transient);
    }
}

#[tokio::test]
async fn a_sign_in_that_never_answers_is_waited_for_no_longer_than_a_server() {
    let patience = Patience::default();
    patience.shorten(Duration::ZERO);
    let failed = tokio::time::timeout(Duration::from_mins(1), failure(Arc::new(SilentGiver), patience));
    let failed = failed.await.expect("nobody waits for ever");
    assert!(failed.is_silence() && failed.is_lost_connection());
    let told = StoreError::database(Path::new("postgresql://db.example/d"), failed);
    // It is not the server that is silent.
    assert!(told.to_string().ends_with("cannot be opened: no token for it arrived in time"), "{told}");
    assert!(told.hint().is_some_and(|hint| hint.contains("--state-auth")), "{told:?}");
}
