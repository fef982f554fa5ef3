//! What a proxy says that does not connect to a host: its status, whatever comes behind it.
//!
//! The HTTP library takes a proxy's status only from a head that it can read to its end. Where a header holds a control
//! character, where there are too many of them, or where the head never ends, all that it tells is that there is no
//! connection, and that may be after a long wait. But a proxy that wants a sign-in is no outage, and its status line says
//! so. So the proxy is asked once more for the same connection, and only the beginning of its answer is read. What
//! surprises: this is no call of the API, since nothing of it goes any further than the proxy.

use std::io;
use std::time::Duration;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::Url;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::cloud::is_loopback_host;

/// How long a proxy may take to say its status.
const TIME_LIMIT: Duration = Duration::from_secs(3);
/// So much of an answer is read: its status stands at the beginning.
const ANSWER_MAXIMUM_BYTES: u64 = 64;
/// Where proxies listen whose address names no port.
const DEFAULT_PORT: u16 = 80;

/// The proxy on the way to a host, with the user name and password that it is given.
pub(super) struct Proxy(Intercept);

impl Proxy {
    /// The proxy that the system names for this host, as the HTTP library reads it. One that is itself reached by TLS is
    /// not asked again.
    pub(super) fn on_the_way_to(target: &Url) -> Option<Self> {
        let is_loopback = target.host_str().is_some_and(|host| is_loopback_host(host.trim_matches(['[', ']'])));
        if is_loopback { None } else { Self::of(&Matcher::from_system(), target) }
    }

    /// A proxy at this address, for tests.
    #[cfg(test)]
    pub(super) fn at(address: &str, target: &Url) -> Option<Self> {
        Self::of(&Matcher::builder().all(address).build(), target)
    }

    fn of(matcher: &Matcher, target: &Url) -> Option<Self> {
        let proxy = matcher.intercept(&target.as_str().parse().ok()?)?;
        (proxy.uri().scheme_str() == Some("http")).then_some(Self(proxy))
    }

    /// The status with which it answers a request to connect to the host; `None` where it tells none in time.
    pub(super) async fn status_for(&self, target: &Url) -> Option<u16> {
        timeout(TIME_LIMIT, self.ask(target)).await.ok()?.ok()?
    }

    async fn ask(&self, target: &Url) -> io::Result<Option<u16>> {
        let (Some(proxy), Some(host), Some(port)) =
            (self.0.uri().host(), target.host_str(), target.port_or_known_default())
        else {
            return Ok(None);
        };
        let address = (proxy.trim_matches(['[', ']']), self.0.uri().port_u16().unwrap_or(DEFAULT_PORT));
        let mut connection = TcpStream::connect(address).await?;
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
        if let Some(credentials) = self.0.basic_auth() {
            request.extend([b"Proxy-Authorization: ", credentials.as_bytes(), b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        connection.write_all(&request).await?;
        let mut answer = Vec::new();
        let mut beginning = connection.take(ANSWER_MAXIMUM_BYTES);
        while status(&answer).is_none() {
            if beginning.read_buf(&mut answer).await? == 0 {
                // A status is whole where nothing follows it, too.
                answer.push(b'\n');
                break;
            }
        }
        Ok(status(&answer))
    }
}

/// The status in the first line of an answer, once it is known to be whole.
fn status(answer: &[u8]) -> Option<u16> {
    let (protocol, rest) = answer.trim_ascii_start().split_at_checked(b"HTTP/".len())?;
    if !protocol.eq_ignore_ascii_case(b"HTTP/") {
        return None;
    }
    let version_end = rest.iter().position(u8::is_ascii_whitespace)?;
    let (digits, rest) = rest.get(version_end..)?.trim_ascii_start().split_at_checked(3)?;
    if rest.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn target() -> Url {
        Url::parse("https://api.security.microsoft.com/api/machines").expect("an address")
    }

    fn proxy(address: &str) -> Option<Proxy> {
        Proxy::at(address, &target())
    }

    /// What is made of this answer, and what the proxy was asked; a proxy that holds the line says nothing more.
    async fn told(answer: &[u8], holds_the_line: bool) -> (Option<u16>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let proxy = proxy(&format!("http://me:hunter2@127.0.0.1:{port}")).expect("a proxy");
        let serving = async {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                connection.read_buf(&mut request).await.expect("a request");
            }
            // Whoever knows the status does not wait for the rest.
            let _gone = connection.write_all(answer).await;
            (String::from_utf8(request).expect("text"), holds_the_line.then_some(connection))
        };
        let target = target();
        let (status, (request, _line)) = tokio::join!(proxy.status_for(&target), serving);
        (status, request)
    }

    #[tokio::test]
    async fn the_status_line_decides_whatever_follows_it() {
        let (status, request) = told(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", true).await;
        assert_eq!(status, Some(407));
        let head = "CONNECT api.security.microsoft.com:443 HTTP/1.1\r\nHost: api.security.microsoft.com:443\r\n";
        assert_eq!(request, format!("{head}Proxy-Authorization: Basic bWU6aHVudGVyMg==\r\n\r\n"));
        let endless = [b"HTTP/1.1 407 P\r\nX: ".as_slice(), &vec![b'a'; 100_000]].concat();
        let odd: [&[u8]; 9] = [
            b"HTTP/1.1 407 P\r\nProxy-Authenticate: Basic realm=\"\x1b]52;c;aGk=\x07\"\r\n\r\n",
            b"HTTP/1.1 407 P\r\nX: \0\r\n\r\n",
            b"HTTP/1.1 407\0\xff\r\n\r\n",
            b"HTTP/1.0 407 \x1b[2J",
            b"http/2  407\n\n",
            b"\r\nHTTP/1.1\t407\tP\r\n\r\n",
            b"HTTP/1.1 407\r\n no header\r\n\r\n",
            b"HTTP/1.1 407 P\r\n",
            &endless,
        ];
        for answer in odd {
            for holds_the_line in [true, false] {
                let shown = String::from_utf8_lossy(answer.get(..30).unwrap_or(answer));
                assert_eq!(told(answer, holds_the_line).await.0, Some(407), "{holds_the_line}: {shown:?}");
            }
        }
        assert_eq!(told(b"HTTP/1.1 407", false).await.0, Some(407), "nothing more comes");
        assert_eq!(told(b"HTTP/1.1 502 Bad Gateway\r\n\r\n", true).await.0, Some(502));
    }

    #[tokio::test]
    async fn what_is_no_status_is_none() {
        let blanks = [b"HTTP/1.1".as_slice(), &vec![b' '; 100_000], b"407 P"].concat();
        let none: [&[u8]; 7] =
            [b"", b"407", b"ICY 407 P\r\n", b"HTTP/1.1 4070 P\r\n", b"HTTP/1.1 4o7 P\r\n", b"\0\0", &blanks];
        for answer in none {
            assert_eq!(told(answer, false).await.0, None);
        }
    }

    #[test]
    fn only_a_proxy_that_is_spoken_to_in_clear_is_asked_again() {
        assert!(proxy("http://proxy.example:3128").is_some() && proxy("proxy.example:3128").is_some());
        assert!(proxy("https://proxy.example:3128").is_none());
        let matcher = Matcher::builder().all("http://proxy.example").no("microsoft.com").build();
        assert!(Proxy::of(&matcher, &target()).is_none());
        assert!(Proxy::on_the_way_to(&Url::parse("https://127.0.0.1:8443/").expect("an address")).is_none());
    }
}
