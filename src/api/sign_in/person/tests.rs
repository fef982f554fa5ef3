//! A person's sign-in against a local authority, with a browser and without.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::api::sign_in::tests::authority::{Answer, Authority, client};
use crate::api::sign_in::{AuthMethod, SignIn, SignInMethod};
use crate::outside::Outside;

/// What the sign-in wants of the browser.
#[derive(Clone, Debug)]
struct Wanted {
    host: String,
    fields: HashMap<String, String>,
}

impl Wanted {
    fn of(address: &str) -> Self {
        let address = Url::parse(address).expect("an address");
        Self {
            host: format!("{}{}", address.origin().ascii_serialization(), address.path()),
            fields: address.query_pairs().into_owned().collect(),
        }
    }

    fn port(&self) -> u16 {
        let redirect = Url::parse(&self.fields["redirect_uri"]).expect("an address");
        assert_eq!((redirect.scheme(), redirect.host_str()), ("http", Some("localhost")));
        redirect.port().expect("a port")
    }

    /// Comes back with this query, to this loopback; gives the page.
    async fn comes_back(&self, loopback: &str, query: &str) -> std::io::Result<String> {
        let mut connection = TcpStream::connect(format!("{loopback}:{}", self.port())).await?;
        let request = format!("GET /?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut page = String::new();
        connection.read_to_string(&mut page).await?;
        Ok(page)
    }

    async fn comes_back_with(&self, loopback: &str, answer: &str) -> String {
        let query = format!("{answer}&state={}", self.fields["state"]);
        self.comes_back(loopback, &query).await.expect("somebody listens")
    }
}

/// Hands on what people are told.
struct Told(mpsc::UnboundedSender<SignInInstructions>, AtomicUsize);

impl SignInPrompt for Told {
    fn show(&self, instructions: &SignInInstructions) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.send(instructions.clone()).expect("the test listens");
    }
}

/// A sign-in whose people are told here.
fn sign_in(authority: &Authority, method: AuthMethod) -> (Arc<SignIn>, mpsc::UnboundedReceiver<SignInInstructions>) {
    let mut settings = authority.settings();
    settings.method = method;
    settings.opens_browser = false;
    let sign_in = Arc::new(SignIn::new(&settings, client()).expect("complete settings"));
    let (told, invitations) = mpsc::unbounded_channel();
    sign_in.prompt_with(Arc::new(Told(told, AtomicUsize::new(0))));
    (sign_in, invitations)
}

fn granted(token: &str, refresh_token: &str) -> Answer {
    Answer::new(200, format!(r#"{{"access_token":"{token}","refresh_token":"{refresh_token}","expires_in":3599}}"#))
}

type SigningIn = tokio::task::JoinHandle<Result<crate::api::sign_in::BearerToken, SignInError>>;

/// Begins to sign in with a browser, up to the point where the person is told.
async fn begun(authority: &Authority) -> (Arc<SignIn>, SigningIn, Wanted) {
    let (sign_in, mut invitations) = sign_in(authority, AuthMethod::Browser);
    let signing_in = Arc::clone(&sign_in);
    let signing_in = tokio::spawn(async move { signing_in.token().await });
    let Some(SignInInstructions::Browser { address, is_opening: false }) = invitations.recv().await else {
        panic!("an address")
    };
    (sign_in, signing_in, Wanted::of(&address))
}

#[tokio::test]
async fn the_code_of_a_browser_is_exchanged_with_the_proof_that_we_asked_for_it() {
    for loopback in ["127.0.0.1", "[::1]"] {
        let authority = Authority::start([granted("one", "refresh~canary")]).await;
        let (sign_in, signing_in, wanted) = begun(&authority).await;
        assert!(wanted.host.ends_with("/tenant/oauth2/v2.0/authorize"), "{wanted:?}");
        let page = wanted.comes_back_with(loopback, "code=code~canary~1").await;
        assert!(page.contains("You are signed in") && page.contains("default-src 'none'"), "{page}");
        assert!(!page.contains("script") && !page.contains("canary"), "{page}");
        let token = signing_in.await.expect("no panic").expect("a token");
        assert_eq!(token.header_value(), "Bearer one");

        let asked = &authority.asked()[0];
        let verifier = &asked.fields["code_verifier"];
        assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)), wanted.fields["code_challenge"]);
        assert!(verifier.len() >= 43, "{verifier}");
        for (name, value) in [
            ("grant_type", "authorization_code"),
            ("code", "code~canary~1"),
            ("client_id", "client"),
            ("redirect_uri", &wanted.fields["redirect_uri"]),
            ("scope", "https://api.example/Machine.ReadWrite offline_access"),
        ] {
            assert_eq!(asked.fields[name], value, "{name}");
        }
        assert!(!asked.fields.contains_key("client_secret"));
        for secret in ["code~canary~1", "refresh~canary", verifier] {
            assert_eq!(Outside::new(format!("x {secret}")).line(), "x ***");
            assert!(!format!("{sign_in:?}").contains(secret));
        }
        let late = wanted.comes_back(loopback, "code=other&state=x").await;
        assert!(late.is_err(), "one answer counts, and nobody listens after it: {late:?}");
    }
}

#[tokio::test]
async fn an_answer_with_another_state_is_turned_away_and_the_right_one_is_waited_for() {
    let authority = Authority::start([granted("one", "two")]).await;
    let (_, signing_in, wanted) = begun(&authority).await;
    let silent = TcpStream::connect(("127.0.0.1", wanted.port())).await.expect("it listens");
    let state = &wanted.fields["state"];
    let twice = format!("code=stolen&code=x&state={state}");
    for wrong in ["code=stolen&state=guessed", "code=stolen", "state=", twice.as_str(), &format!("code=&state={state}")]
    {
        let page = wanted.comes_back("127.0.0.1", wrong).await.expect("a page");
        assert!(page.starts_with("HTTP/1.1 404") && page.contains("not the answer"), "{wrong}: {page}");
    }
    assert!(authority.asked().is_empty(), "nothing was exchanged");
    wanted.comes_back_with("127.0.0.1", "code=right").await;
    assert!(signing_in.await.expect("no panic").is_ok());
    assert_eq!(authority.asked()[0].fields["code"], "right");
    drop(silent);
}

#[tokio::test]
async fn what_the_person_or_a_policy_refuses_is_said_in_the_terminal_and_not_on_the_page() {
    let authority = Authority::start([]).await;
    let (_, signing_in, wanted) = begun(&authority).await;
    let answer = "error=access_denied&error_description=AADSTS53003%3A+Blocked+%3Cscript%3E";
    let page = wanted.comes_back_with("127.0.0.1", answer).await;
    assert!(page.contains("The sign-in failed") && !page.contains("Blocked"), "{page}");
    let error = signing_in.await.expect("no panic").expect_err("refused");
    assert_eq!((error.code(), error.is_transient()), (Some(53_003), false));
    assert!(error.to_string().contains("in a browser (AADSTS53003): Blocked"), "{error}");
    assert!(error.hint().expect("a hint").contains("--auth device-code"), "{error}");
    assert!(authority.asked().is_empty());

    let refusal = r#"{"error":"invalid_grant","error_description":"AADSTS53000: Device not compliant"}"#;
    let authority = Authority::start([Answer::new(400, refusal)]).await;
    let (_, signing_in, wanted) = begun(&authority).await;
    let page = wanted.comes_back_with("127.0.0.1", "code=x").await;
    assert!(page.contains("The sign-in failed"), "{page}");
    assert_eq!(signing_in.await.expect("no panic").expect_err("refused").code(), Some(53_000));
}

#[tokio::test]
async fn a_person_is_asked_once_and_renewed_with_what_came_last() {
    let refusal = Answer::new(400, r#"{"error":"invalid_grant","error_description":"AADSTS700082: expired"}"#);
    let authority =
        Authority::start([granted("one", "r~1"), granted("two", "r~2"), Answer::token("three"), refusal]).await;
    let (sign_in, signing_in, wanted) = begun(&authority).await;
    wanted.comes_back_with("127.0.0.1", "code=x").await;
    let mut token = signing_in.await.expect("no panic").expect("a token");
    for expected in ["two", "three"] {
        token = sign_in.renew(&token).await.expect("renewed");
        assert_eq!(token.header_value(), format!("Bearer {expected}"));
    }
    let error = sign_in.renew(&token).await.expect_err("refused");
    assert_eq!(error.code(), Some(700_082));
    let asked = authority.asked();
    let sent: Vec<_> = asked.iter().filter_map(|asked| asked.fields.get("refresh_token")).collect();
    assert_eq!(sent, ["r~1", "r~2", "r~2"]);
    assert_eq!(asked[1].fields["grant_type"], "refresh_token");
}

#[tokio::test]
async fn nobody_is_waited_for_for_ever() {
    let authority = Authority::start([]).await;
    let endpoint = |path: &str| Url::parse(&format!("{}{path}", authority.address)).expect("an address");
    let tokens = Endpoint::new(client(), endpoint("/token"), SignInMethod::Browser);
    let public = PublicClient { tokens, client_id: "client".into(), scope: "scope".into() };
    let (told, _invitations) = mpsc::unbounded_channel();
    let shared_prompt = SharedPrompt::default();
    shared_prompt.set(Arc::new(Told(told, AtomicUsize::new(0))));
    let browser = Browser { authorize: endpoint("/authorize"), opens: false, patience: Duration::from_millis(50) };
    let error = browser.sign_in(&public, &shared_prompt).await.expect_err("nobody came");
    assert!(matches!(error, SignInError::Abandoned { .. }) && !error.is_transient(), "{error}");
    let unattended = browser.sign_in(&public, &SharedPrompt::default()).await.expect_err("nobody to be told");
    assert!(matches!(unattended, SignInError::Settings { .. }), "{unattended}");
}

const CODES: &str = r#"{"device_code":"device~canary","user_code":"ABCD-1234","expires_in":"900","interval":"1",
    "verification_uri":"https://microsoft.example/devicelogin"}"#;

#[tokio::test]
async fn a_device_code_is_shown_and_exchanged_once_the_person_has_entered_it() {
    let pending = Answer::new(400, r#"{"error":"authorization_pending"}"#);
    let authority = Authority::start([Answer::new(200, CODES), pending, granted("one", "r~1")]).await;
    let (sign_in, mut invitations) = sign_in(&authority, AuthMethod::DeviceCode);
    let token = sign_in.token().await.expect("a token");
    assert_eq!(token.header_value(), "Bearer one");
    let Some(SignInInstructions::DeviceCode { address, code }) = invitations.recv().await else { panic!("a code") };
    assert_eq!((address.as_str(), code.as_str()), ("https://microsoft.example/devicelogin", "ABCD-1234"));
    let asked = authority.asked();
    assert_eq!(asked[0].path, "/tenant/oauth2/v2.0/devicecode");
    assert_eq!(asked[0].fields["scope"], "https://api.example/Machine.ReadWrite offline_access");
    for asked in &asked[1..] {
        assert_eq!(asked.fields["grant_type"], "urn:ietf:params:oauth:grant-type:device_code");
        assert_eq!(asked.fields["device_code"], "device~canary");
    }
    assert_eq!(Outside::new("a device~canary").line(), "a ***");
}

#[tokio::test]
async fn a_device_code_that_a_broken_token_has_spent_is_not_asked_for_again() {
    let page = Answer::new(200, "<html>a gateway's page</html>");
    let broken = Answer::new(200, r#"{"access_token":"spent\ncanary~2718","expires_in":3600}"#);
    let authority = Authority::start([Answer::new(200, CODES), page, broken]).await;
    let (sign_in, _invitations) = sign_in(&authority, AuthMethod::DeviceCode);
    let error = sign_in.token().await.expect_err("no token");
    assert!(error.to_string().contains("something that is not a token"), "{error}");
    assert_eq!(authority.asked().len(), 3, "the page was waited out, the broken token was not");
}
