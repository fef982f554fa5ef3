//! Signing in with the browser of this computer: authorization code with PKCE (RFC 6749, 7636 and 8252).
//!
//! The browser comes back to a port of loopback. Names lead to IPv4 here and to IPv6 there, so both are listened to. Only an
//! answer that repeats the state counts, others are turned away and waited past; after the one that counts nobody listens
//! any more. The page that the browser shows in the end is plain and holds nothing from outside.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::answer::{Grant, Reason};
use super::child;
use super::error::SignInError;
use super::method::SignInMethod;
use super::person::{PublicClient, SharedPrompt, SignInInstructions};
use super::token::unguessable;
use crate::outside::secrets;

/// How long a connection has to say what it wants.
const REQUEST_TIME_LIMIT: Duration = Duration::from_secs(5);
/// When connections are accepted again, where the system has just had none to give.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Codes are a kilobyte or two.
const LONGEST_REQUEST_BYTES: usize = 16 * 1024;
/// How often another port is tried, where one is free on one loopback only.
const PORTS_TRIED: usize = 10;

/// Where a person signs in.
#[derive(Debug)]
pub(super) struct Browser {
    /// The address, without what belongs to one sign-in.
    pub(super) authorize: Url,
    /// Whether a browser is started.
    pub(super) opens: bool,
    /// How long a person has.
    pub(super) patience: Duration,
}

/// What belongs to one sign-in.
struct Attempt {
    redirect: String,
    state: SecretString,
    verifier: SecretString,
}

impl Browser {
    pub(super) async fn sign_in(
        &self,
        client: &PublicClient,
        shared_prompt: &SharedPrompt,
    ) -> Result<Grant, SignInError> {
        let loopbacks = Loopbacks::bind().await.map_err(|_none| {
            SignInError::settings("no port of this computer can be listened to", "sign in with --auth device-code")
        })?;
        let attempt = Attempt {
            redirect: format!("http://localhost:{}", loopbacks.port),
            state: unguessable()?.into(),
            verifier: unguessable()?.into(),
        };
        secrets::learn(&attempt.verifier);
        let address = self.address(client, &attempt);
        let is_opening = self.opens && open_browser(&address);
        shared_prompt.show(&SignInInstructions::Browser { address: address.into(), is_opening })?;
        let answered = timeout(self.patience, loopbacks.answer(&attempt.state)).await;
        let (mut connection, answer) =
            answered.map_err(|_late| SignInError::Abandoned { method: SignInMethod::Browser })?;
        drop(loopbacks);
        let grant = match answer {
            Ok(code) => {
                secrets::learn(&code);
                let fields = [
                    ("grant_type", "authorization_code"),
                    ("code", code.expose_secret()),
                    ("redirect_uri", &attempt.redirect),
                    ("code_verifier", attempt.verifier.expose_secret()),
                ];
                client.ask(&fields).await
            }
            Err(reason) => Err(client.tokens.refused(&reason, "no reason was given")),
        };
        let text = if grant.is_ok() { SIGNED_IN } else { FAILED };
        // The person may have closed the browser already.
        let _gone = timeout(REQUEST_TIME_LIMIT, show(&mut connection, "200 OK", text)).await;
        grant
    }

    fn address(&self, client: &PublicClient, attempt: &Attempt) -> Url {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(attempt.verifier.expose_secret()));
        let mut address = self.authorize.clone();
        address.query_pairs_mut().extend_pairs([
            ("client_id", client.client_id.as_str()),
            ("response_type", "code"),
            ("response_mode", "query"),
            ("redirect_uri", &attempt.redirect),
            ("scope", &client.scope),
            ("state", attempt.state.expose_secret()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("prompt", "select_account"),
        ]);
        address
    }
}

const SIGNED_IN: &str = "You are signed in. You can close this page and go back to the terminal.";
const FAILED: &str = "The sign-in failed. The terminal says why.";
const NOT_AWAITED: &str = "This is not the answer that tagfleet waits for.";

/// Starts the browser of this desktop; says whether something was started.
fn open_browser(address: &Url) -> bool {
    let address = OsStr::new(address.as_str());
    let started = if cfg!(windows) {
        child::start(OsStr::new("rundll32"), &[OsStr::new("url.dll,FileProtocolHandler"), address])
    } else if cfg!(target_os = "macos") {
        child::start(OsStr::new("open"), &[address])
    } else {
        child::start(OsStr::new("xdg-open"), &[address])
    };
    started.is_ok()
}

/// One port of both loopbacks, as far as there are two.
struct Loopbacks {
    ipv4: TcpListener,
    ipv6: Option<TcpListener>,
    port: u16,
}

impl Loopbacks {
    async fn bind() -> io::Result<Self> {
        for _ in 0..PORTS_TRIED {
            let ipv4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let port = ipv4.local_addr()?.port();
            match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
                Ok(ipv6) => return Ok(Self { ipv4, ipv6: Some(ipv6), port }),
                // Somebody else would get what is meant for us.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(_no_ipv6) => return Ok(Self { ipv4, ipv6: None, port }),
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        let ipv6 = async {
            match &self.ipv6 {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.ipv4.accept() => accepted.map(|(connection, _)| connection),
            accepted = ipv6 => accepted.map(|(connection, _)| connection),
        }
    }

    /// The first answer with this state, and the connection that waits for a page. Browsers open connections to say nothing
    /// on them, so several are listened to at once.
    async fn answer(&self, state: &SecretString) -> (TcpStream, Result<SecretString, Reason>) {
        let mut asking = tokio::task::JoinSet::new();
        loop {
            // What does not fit a pattern here would not be waited for any more.
            tokio::select! {
                accepted = self.accept() => match accepted {
                    Ok(connection) => drop(asking.spawn(answer_on(connection, state.clone()))),
                    Err(_none_to_be_had) => tokio::time::sleep(ACCEPT_AGAIN_AFTER).await,
                },
                Some(asked) = asking.join_next() => {
                    if let Ok(Some(answered)) = asked {
                        return answered;
                    }
                }
            }
        }
    }
}

/// The answer on a connection, if it has one; whoever asks for something else is told so.
async fn answer_on(
    mut connection: TcpStream,
    state: SecretString,
) -> Option<(TcpStream, Result<SecretString, Reason>)> {
    let target = timeout(REQUEST_TIME_LIMIT, target(&mut connection)).await.ok()?;
    if let Some(answer) = target.as_deref().and_then(|target| answer_in(target, &state)) {
        return Some((connection, answer));
    }
    let _gone = timeout(REQUEST_TIME_LIMIT, show(&mut connection, "404 Not Found", NOT_AWAITED)).await;
    None
}

/// What a request asks for, such as `/?code=x&state=y`; `None` if it is none that a browser makes.
async fn target(connection: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= LONGEST_REQUEST_BYTES || connection.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = std::str::from_utf8(&head).ok()?;
    head.strip_prefix("GET ")?.split_once(' ').map(|(target, _)| target.to_owned())
}

/// The code in an answer, or why there is none; `None` if it does not repeat the state.
fn answer_in(target: &str, state: &SecretString) -> Option<Result<SecretString, Reason>> {
    let query = target.strip_prefix("/?")?;
    let value = |name: &str| {
        let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name);
        // What is there twice is no answer of a sign-in service.
        values.next().filter(|_| values.next().is_none()).map(|(_, value)| value.into_owned())
    };
    if value("state")? != state.expose_secret() {
        return None;
    }
    match (value("code"), value("error")) {
        (Some(code), None) if !code.is_empty() => Some(Ok(code.into())),
        (None, Some(error)) => Some(Err(Reason::new(error, value("error_description")))),
        _ => None,
    }
}

/// Shows a page without script, address or anything from outside, and closes the connection.
async fn show(connection: &mut TcpStream, status: &str, text: &str) -> io::Result<()> {
    let page = format!("<!DOCTYPE html>\n<html lang=\"en\"><title>tagfleet</title><p>{text}</p></html>\n");
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n",
        page.len()
    );
    connection.write_all(&[head, page].concat().into_bytes()).await?;
    connection.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_counts_though_another_connection_has_come_to_nothing_since_it_was_opened() {
        let loopbacks = Loopbacks::bind().await.expect("a port");
        let port = loopbacks.port;
        let open = async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("a connection");
        let asking = async {
            let mut spare = open().await;
            let mut other = open().await;
            other.write_all(b"GET /favicon.ico HTTP/1.1\r\n\r\n").await.expect("somebody who listens");
            let mut told = String::new();
            other.read_to_string(&mut told).await.expect("an answer");
            assert!(told.starts_with("HTTP/1.1 404 "), "{told}");
            spare.write_all(b"GET /?code=c&state=s HTTP/1.1\r\n\r\n").await.expect("somebody who listens");
            std::future::pending::<()>().await;
        };
        let state = SecretString::from("s");
        let answering = timeout(Duration::from_secs(20), loopbacks.answer(&state));
        let answered = tokio::select! {
            answered = answering => answered,
            () = asking => unreachable!("it waits"),
        };
        let (_, answer) = answered.expect("it is not waited for in vain");
        assert_eq!(answer.expect("a code").expose_secret(), "c");
    }
}
