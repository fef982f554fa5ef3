//! The HTTP client: one `send` is one request on the wire.
//!
//! The client's own retries and redirects are off, since a hidden request would pass by the quota. What comes back is
//! handed on as it came: whoever shows any of it masks what it may repeat of what we sent. Loopback is never reached
//! through a proxy.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{StatusCode, Url};

use super::answer::{Answer, Response};
use super::cloud::{is_loopback_host, is_microsoft_host};
use super::loss::{Loss, LossKind};
use super::network::NetworkError;
use super::sign_in::{BearerToken, SignIn, SignInError};
use super::{ApiRequest, Method, TokenGeneration, Transport};
use crate::outside::{self, shown};

/// How long a connection may take to come about.
const CONNECT_TIME_OUT: Duration = Duration::from_secs(10);
/// Headers that carry a correlation id, the best first.
const REQUEST_ID_HEADERS: [&str; 4] = ["x-ms-request-id", "request-id", "x-request-id", "x-correlation-id"];

/// Why the client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The base URL is none.
    #[error("\"{}\" is not a URL", shown(.0))]
    Url(String),
    /// The base URL is one that must not be used.
    #[error("the base URL {url} {problem}")]
    Refused {
        /// The URL as given.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
        hint: &'static str,
    },
    /// The certificate file cannot be read.
    #[error("cannot read the certificate file {}", shown(path))]
    CertificateFile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The certificate file holds no certificate.
    #[error("{} holds no certificate in PEM form", shown(path))]
    NoCertificate { path: PathBuf },
    /// The HTTP library refused its settings.
    #[error("the HTTP client cannot be set up")]
    Library(#[source] reqwest::Error),
}

impl ClientError {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Url(_) => "give it in full, as in https://api.security.microsoft.com",
            Self::Refused { hint, .. } => hint,
            Self::CertificateFile { .. } | Self::NoCertificate { .. } => {
                "--ca-file takes a file with one or more certificates in PEM form"
            }
            Self::Library(_) => "check the certificates of the system and the proxy settings",
        }
    }
}

/// Reads and checks the base URL: `https`, or `http` on loopback; a host that is not Microsoft's must be allowed.
///
/// # Errors
/// [`ClientError::Url`] and [`ClientError::Refused`].
pub(crate) fn parse_base_url(text: &str, foreign_host_allowed: bool) -> Result<Url, ClientError> {
    let mut url = Url::parse(text.trim()).map_err(|_no_url| ClientError::Url(text.trim().to_owned()))?;
    let refused = |problem, hint| {
        // Nothing that stands between scheme and host is repeated: it may be a password.
        let shown = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
        ClientError::Refused { url: shown, problem, hint }
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let loopback = is_loopback_host(&host);
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("holds a user name or password", "leave it out; sign-in settings come from elsewhere"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("has a query or a fragment", "end it after the host"));
    }
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        return Err(refused("is not https", "only a server on loopback may be called by http"));
    }
    if !loopback && !foreign_host_allowed && !is_microsoft_host(&host) {
        return Err(refused(
            "is not a Microsoft API host",
            "the API is at https://api.security.microsoft.com, or at the host that --cloud names; if another host is meant, \
             add --allow-host",
        ));
    }
    let path = url.path().trim_end_matches('/');
    // Microsoft's documentation writes the base with `/api` in places; the paths of the calls begin with it.
    let path = format!("{}/", path.strip_suffix("/api").unwrap_or(path));
    url.set_path(&path);
    Ok(url)
}

/// What the client is made with.
#[derive(Clone, Debug)]
pub(crate) struct ClientSettings {
    /// Where the API is, checked by [`parse_base_url`].
    pub base_url: Url,
    /// A further root certificate.
    pub certificate_file: Option<PathBuf>,
}

impl ClientSettings {
    /// The HTTP library's client, for the API and for signing in.
    ///
    /// # Errors
    /// [`ClientError`] when the certificate file or the library's settings cannot be used.
    pub(crate) fn http(&self) -> Result<reqwest::Client, ClientError> {
        let built = self.builder()?.build();
        // Where the system has no root certificates, loopback can still be called, as in a rehearsal; whoever asks for
        // `https` then, as a sign-in may, is answered by nobody who is trusted.
        let built = if built.is_err() && self.base_url.scheme() == "http" {
            self.builder()?.tls_certs_only([]).build()
        } else {
            built
        };
        built.map_err(ClientError::Library)
    }

    fn builder(&self) -> Result<reqwest::ClientBuilder, ClientError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("tagfleet/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT_TIME_OUT)
            .tcp_nodelay(true);
        if self.base_url.host_str().is_some_and(|host| is_loopback_host(host.trim_matches(['[', ']']))) {
            builder = builder.no_proxy();
        } else {
            builder = builder.https_only(true);
        }
        if let Some(path) = &self.certificate_file {
            for certificate in read_certificates(path)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(builder)
    }
}

fn read_certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let unreadable = |source| ClientError::CertificateFile { path: path.to_owned(), source };
    let bytes = match outside::read_certificates(path) {
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => Vec::new(),
        read => read.map_err(unreadable)?,
    };
    match reqwest::Certificate::from_pem_bundle(&bytes) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ClientError::NoCertificate { path: path.to_owned() }),
    }
}

/// The API over HTTP.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base_url: Url,
    sign_in: SignIn,
    current: Mutex<Option<BearerToken>>,
}

impl Client {
    /// A client that signs in as `sign_in` says.
    pub(crate) const fn new(http: reqwest::Client, base_url: Url, sign_in: SignIn) -> Self {
        Self { http, base_url, sign_in, current: Mutex::new(None) }
    }

    /// How it signs in.
    pub(crate) const fn sign_in(&self) -> &SignIn {
        &self.sign_in
    }

    async fn token(&self) -> Result<BearerToken, SignInError> {
        let token = self.sign_in.token().await?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    async fn exchange(&self, request: &ApiRequest, token: &BearerToken) -> Result<Response, Loss> {
        let url = self.base_url.join(&request.path()).map_err(|error| Loss {
            kind: LossKind::NotConnected,
            description: format!("the address of the call cannot be made: {error}"),
        })?;
        let prepared = match request.method() {
            Method::Get => self.http.get(url).header(ACCEPT, "application/json"),
            Method::Post => self.http.post(url).header(CONTENT_TYPE, "application/json").body(request.body()),
        };
        match prepared.timeout(request.time_out()).header(AUTHORIZATION, token.header_value()).send().await {
            Ok(sent) => self.read(sent, request.answer_maximum_bytes()).await,
            Err(error) => Err(loss_of(&NetworkError::of_request(error, &self.base_url).await)),
        }
    }

    async fn read(&self, mut answer: reqwest::Response, maximum_bytes: usize) -> Result<Response, Loss> {
        let status = answer.status();
        let headers = answer.headers().clone();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(loss_of_body)? {
            if body.len() + part.len() > maximum_bytes {
                return Err(Loss {
                    kind: LossKind::TooLong,
                    description: format!("the answer is longer than {maximum_bytes} bytes"),
                });
            }
            body.extend_from_slice(&part);
        }
        Ok(self.response(status, &headers, body))
    }

    fn response(&self, status: StatusCode, headers: &HeaderMap, body: Vec<u8>) -> Response {
        let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Response {
            status: status.as_u16(),
            retry_after: longest_wait(headers),
            date: header(DATE.as_str()),
            location: header(LOCATION.as_str()).map(|location| self.host_of(&location)),
            request_id: REQUEST_ID_HEADERS.iter().find_map(|name| header(name)),
            body,
        }
    }

    /// Of a redirect's target only the host is kept.
    fn host_of(&self, location: &str) -> String {
        match self.base_url.join(location) {
            Ok(url) => url.host_str().unwrap_or_default().to_owned(),
            Err(_no_url) => String::new(),
        }
    }
}

/// The head of the answer has come: the request has arrived, whatever happened to the rest.
fn loss_of_body(error: reqwest::Error) -> Loss {
    loss_of(&NetworkError::of_body(error))
}

fn loss_of(error: &NetworkError) -> Loss {
    Loss { kind: error.kind(), description: error.to_string() }
}

#[async_trait]
impl Transport for Client {
    async fn prepare(&self) -> Result<(), SignInError> {
        self.token().await.map(|_token| ())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        let token = self.token().await?;
        let answer = match self.exchange(request, &token).await {
            Ok(response) => Answer::Response(response),
            Err(loss) => Answer::Lost(loss),
        };
        Ok((answer, TokenGeneration(token.generation())))
    }

    async fn renew(&self, refused: TokenGeneration) -> Result<(), SignInError> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match current {
            Some(token) if token.generation() == refused.0 => self.sign_in.renew(&token).await.map(|_token| ()),
            _ => Ok(()),
        }
    }
}

/// What `Retry-After` says. Where a gateway adds one of its own, the longest counts: to come earlier keeps a caller refused.
fn longest_wait(headers: &HeaderMap) -> Option<String> {
    let said = headers.get_all(RETRY_AFTER).iter().filter_map(|value| value.to_str().ok());
    said.max_by_key(|text| text.trim().parse::<u64>().unwrap_or_default()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::api::sign_in::SignInSettings;
    use crate::model::MachineId;

    fn problem(text: &str, allowed: bool) -> Result<String, String> {
        match parse_base_url(text, allowed) {
            Ok(url) => Ok(url.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn of_several_waits_the_longest_counts() {
        for (said, expected) in [
            (&[][..], None),
            (&["1"], Some("1")),
            (&["1", "99999"], Some("99999")),
            (&["99999", "1"], Some("99999")),
            (&["Wed, 21 Oct 2015 07:28:00 GMT", " 7 "], Some(" 7 ")),
        ] {
            let mut headers = HeaderMap::new();
            for text in said {
                headers.append(RETRY_AFTER, text.parse().expect("a value"));
            }
            assert_eq!(longest_wait(&headers).as_deref(), expected, "{said:?}");
        }
    }

    /// What becomes of a request to a server on loopback whose answer has a body of so many bytes.
    async fn answer_of(body_bytes: usize) -> Answer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let _head = connection.read(&mut [0; 4096]).await;
            let body = "x".repeat(body_bytes);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {body_bytes}\r\n\r\n{body}");
            // The client may have had enough.
            let _gone = connection.write_all(answer.as_bytes()).await;
        });
        let base_url = parse_base_url(&address, false).expect("loopback");
        let http = ClientSettings { base_url: base_url.clone(), certificate_file: None }.http().expect("a client");
        let mut settings = SignInSettings::new("https://login.example", "scope");
        settings.ready_token = Some("ready~token".into());
        let client = Client::new(http.clone(), base_url, SignIn::new(&settings, http).expect("a token"));
        let request = ApiRequest::GetMachine { machine: MachineId::from_service("a") };
        client.send(&request).await.expect("a token").0
    }

    #[tokio::test]
    async fn an_answer_that_is_longer_than_any_true_one_is_not_read_to_its_end() {
        const MEBIBYTE: usize = 1024 * 1024;
        assert_eq!(answer_of(MEBIBYTE).await.body_length(), MEBIBYTE);
        let Answer::Lost(loss) = answer_of(MEBIBYTE + 1).await else { panic!("it is too long") };
        assert_eq!(
            (loss.kind, loss.description.as_str()),
            (LossKind::TooLong, "the answer is longer than 1048576 bytes")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_file_without_an_end_is_no_certificate() {
        let error = read_certificates(Path::new("/dev/zero")).expect_err("no certificate");
        assert!(matches!(error, ClientError::NoCertificate { .. }), "{error}");
    }

    #[test]
    fn only_safe_base_urls_are_taken() {
        let accepted = [
            ("https://api.security.microsoft.com", false, "https://api.security.microsoft.com/"),
            ("https://us.api.security.microsoft.com/", false, "https://us.api.security.microsoft.com/"),
            ("http://127.0.0.1:8080", false, "http://127.0.0.1:8080/"),
            ("http://localhost:8080/base", false, "http://localhost:8080/base/"),
            ("http://[::1]:8080", false, "http://[::1]:8080/"),
            ("https://gateway.contoso.example/mde", true, "https://gateway.contoso.example/mde/"),
            ("https://api.security.microsoft.com/api", false, "https://api.security.microsoft.com/"),
            ("https://api.security.microsoft.com/api/", false, "https://api.security.microsoft.com/"),
            ("https://gateway.contoso.example/mde/api", true, "https://gateway.contoso.example/mde/"),
            ("https://gateway.contoso.example/myapi//", true, "https://gateway.contoso.example/myapi/"),
        ];
        for (text, allowed, expected) in accepted {
            assert_eq!(problem(text, allowed), Ok(expected.to_owned()), "{text}");
        }
        let refused = [
            ("api.security.microsoft.com", true, "\"api.security.microsoft.com\" is not a URL"),
            ("http://api.security.microsoft.com", true, "the base URL http://api.security.microsoft.com is not https"),
            (
                "https://api.security.microsoft.com.evil.example",
                false,
                "the base URL https://api.security.microsoft.com.evil.example is not a Microsoft API host",
            ),
            (
                "https://user:hunter2@api.security.microsoft.com",
                true,
                "the base URL https://api.security.microsoft.com holds a user name or password",
            ),
            (
                "https://api.security.microsoft.com/?a=b",
                true,
                "the base URL https://api.security.microsoft.com has a query or a fragment",
            ),
            ("ftp://127.0.0.1", true, "the base URL ftp://127.0.0.1 is not https"),
        ];
        for (text, allowed, expected) in refused {
            assert_eq!(problem(text, allowed), Err(expected.to_owned()), "{text}");
        }
    }
}
