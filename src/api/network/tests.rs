//! Held against the HTTP library itself, since its causes are partly known by their texts alone.

use std::io;

use reqwest::dns::{Name, Resolve, Resolving};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A name server that knows nobody.
struct KnowsNobody;

impl Resolve for KnowsNobody {
    fn resolve(&self, _name: Name) -> Resolving {
        let text = "failed to lookup address information: Name or service not known";
        Box::pin(async move { Err(io::Error::other(text).into()) })
    }
}

fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy()
}

/// What a request through this client comes to.
async fn error(client: reqwest::ClientBuilder, target: &str) -> (LossKind, String) {
    let target = Url::parse(target).expect("an address");
    let sent = client.build().expect("a client").get(target.clone()).send().await;
    let error = NetworkError::of_library(sent.expect_err("no answer"), &target);
    (error.kind(), error.to_string())
}

/// A port at which nobody listens.
async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A server that answers whatever comes with this, or closes the connection.
async fn server(answer: impl Into<String>) -> u16 {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            // The client may have gone.
            let _read = connection.read(&mut request).await;
            let _written = connection.write_all(answer.as_bytes()).await;
        }
    });
    port
}

async fn through_proxy(port: u16) -> (LossKind, String) {
    let proxy = reqwest::Proxy::all(format!("http://me:hunter2@127.0.0.1:{port}")).expect("a proxy");
    error(client().proxy(proxy), "https://api.security.microsoft.com/api/machines?secret=1").await
}

#[tokio::test]
async fn what_keeps_a_connection_from_coming_about_is_named() {
    let (kind, text) = error(client().dns_resolver(KnowsNobody), "https://api.contoso.example/x").await;
    assert_eq!(kind, LossKind::UnknownHost);
    assert_eq!(text, "no host named api.contoso.example found: Name or service not known");

    let port = free_port().await;
    for scheme in ["http", "https"] {
        let (kind, text) = error(client(), &format!("{scheme}://127.0.0.1:{port}/x")).await;
        assert_eq!((kind, text), (LossKind::ConnectionRefused, format!("connection refused at 127.0.0.1:{port}")));
    }
    let port = server("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let (kind, text) = error(client(), &format!("https://127.0.0.1:{port}/x")).await;
    assert_eq!(kind, LossKind::NotTls);
    assert_eq!(text, format!("127.0.0.1:{port} does not answer by TLS, as https needs it"));
}

#[tokio::test]
async fn a_proxys_refusal_is_told_from_the_hosts() {
    let wants_a_name = server("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").await;
    let (kind, text) = through_proxy(wants_a_name).await;
    assert_eq!((kind, text.as_str()), (LossKind::ProxyAuthentication, "the proxy requires a sign-in (407)"));

    for answer in ["HTTP/1.1 502 Bad Gateway\r\n\r\n", "HTTP/1.1 403 Forbidden\r\n\r\n", "nonsense\r\n\r\n", ""] {
        let (kind, text) = through_proxy(server(answer).await).await;
        let expected = "the proxy does not connect to api.security.microsoft.com:443";
        assert_eq!((kind, text.as_str()), (LossKind::Proxy(None), expected), "{answer}");
    }

    let (kind, text) = through_proxy(free_port().await).await;
    assert_eq!(kind, LossKind::Proxy(None));
    assert!(text.starts_with("no connection to the proxy: ") && text.contains("refused"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn what_may_have_arrived_is_told_from_what_never_left() {
    let (kind, _) = error(client(), &format!("http://127.0.0.1:{}/x", server("").await)).await;
    assert_eq!(kind, LossKind::ConnectionLost);
    assert!(!kind.never_left());

    let head = "x: y\r\n".repeat(200_000);
    let port = server(format!("HTTP/1.1 200 OK\r\n{head}\r\n")).await;
    let (kind, text) = error(client(), &format!("http://127.0.0.1:{port}/x")).await;
    assert_eq!((kind, text.as_str()), (LossKind::TooLong, "the head of the answer is longer than any true one"));

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("an address");
    let impatient = client().timeout(std::time::Duration::from_millis(50));
    assert_eq!(
        error(impatient, &format!("http://{address}/x")).await,
        (LossKind::TimedOut, "no answer in time".into())
    );
}

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_told_from_one_that_is_cut_off() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[";
    for (closes, expected) in [(true, LossKind::Truncated), (false, LossKind::TimedOut)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}/x", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let _read = connection.read(&mut [0; 4096]).await;
            connection.write_all(head.as_bytes()).await.expect("it is read");
            (!closes).then_some(connection)
        });
        // Where the connection is closed, nobody waits that long.
        let time_out = std::time::Duration::from_millis(if closes { 60_000 } else { 4_000 });
        let sent = client().timeout(time_out).build().expect("a client").get(address).send().await;
        let answer = sent.expect("the head of an answer");
        let _open = server.await.expect("it has answered");
        let error = NetworkError::of_body(answer.bytes().await.expect_err("no end of the answer"));
        assert_eq!(error.kind(), expected, "{error}");
    }
}

#[test]
fn what_a_library_wraps_in_an_error_of_the_system_is_found() {
    let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
    let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, expired));
    let found = causes(&wrapped).find_map(|cause| certificate_problem(cause, "host"));
    let text = "the certificate of host has expired by this computer's clock".to_owned();
    assert_eq!(found, Some((CertificateProblem::Expired, text)));
}

/// What a request comes to whose proxy answers so and holds the line, once the proxy has been asked again.
async fn asked_again(answer: String, connect_time_out: std::time::Duration) -> (LossKind, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(async move {
        let mut lines = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let _read = connection.read(&mut [0; 4096]).await;
            // The client may have had enough.
            let _written = connection.write_all(answer.as_bytes()).await;
            lines.push(connection);
        }
    });
    let target = Url::parse("https://api.security.microsoft.com/api/machines").expect("an address");
    let client = client().connect_timeout(connect_time_out).proxy(reqwest::Proxy::all(&address).expect("a proxy"));
    let sent = client.build().expect("a client").get(target.clone()).send().await;
    let error = NetworkError::of_library(sent.expect_err("no answer"), &target);
    let error = error.told_by(Proxy::at(&address, &target), &target).await;
    serving.abort();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn the_status_of_a_proxy_decides_whatever_the_library_makes_of_its_head() {
    let patience = std::time::Duration::from_mins(1);
    let many_headers = "Set-Cookie: a=b\r\n".repeat(200);
    for head in ["X: \u{1b}]52;c;aGk=\u{7}\r\n\r\n", "X: \0\r\n\r\n", &many_headers, &"a".repeat(9000)] {
        let (kind, text) = asked_again(format!("HTTP/1.1 407 P\r\n{head}"), patience).await;
        let expected = (LossKind::ProxyAuthentication, "the proxy requires a sign-in (407)");
        assert_eq!((kind, text.as_str()), expected, "{head:?}");
    }
    let brief = std::time::Duration::from_millis(200);
    let (kind, _) = asked_again("HTTP/1.1 407 P\r\nX: y\r\n".to_owned(), brief).await;
    assert_eq!(kind, LossKind::ProxyAuthentication, "a head without an end");
    let refused = asked_again("HTTP/1.1 403 \u{1b}[2J\r\n\r\n".to_owned(), patience).await;
    let text = "the proxy does not connect to api.security.microsoft.com:443: it answers 403".to_owned();
    assert_eq!(refused, (LossKind::Proxy(Some(403)), text));
    let (kind, text) = asked_again("HTTP/1.1 200 OK\r\nX: \0\r\n\r\n".to_owned(), patience).await;
    assert_eq!(
        (kind, text.as_str()),
        (LossKind::Proxy(None), "the proxy does not connect to api.security.microsoft.com:443")
    );
}

#[test]
fn what_the_library_has_only_a_name_for_is_said_in_words() {
    let other = |name: &str| CertificateError::Other(rustls::OtherError(std::sync::Arc::new(io::Error::other(name))));
    for (error, expected) in [
        (other("CaUsedAsEndEntity"), "is not one for a server: it is self-signed, or may sign others"),
        (other("PathLenConstraintViolated"), "is not accepted: path len constraint violated"),
        (CertificateError::UnhandledCriticalExtension, "is not accepted: unhandled critical extension"),
        (CertificateError::InvalidPurpose, "is not one for a server"),
        (CertificateError::Revoked, "was revoked"),
        (other("two words"), "is not accepted: two words"),
        (other("UnknownThing { code: 5 }"), "is not accepted: unknown thing"),
    ] {
        let error = rustls::Error::InvalidCertificate(error);
        let found = certificate_problem(&error, "host");
        assert_eq!(found, Some((CertificateProblem::Unusable, format!("the certificate of host {expected}"))));
    }
}
