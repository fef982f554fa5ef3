//! A ping: one request to the service that watches whether a job runs.
//!
//! Its address is a secret, since whoever knows it can report in the job's name. So nothing that is told of a ping that
//! went wrong names the host, and of the answer only its beginning is read. What surprises: an address may hold a query of
//! its own (`?create=1`), which stays, while what such a service shows for copying (`?status=up&msg=OK&ping=`) gives way to
//! what is to be said.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::client::{ClientError, ClientSettings};
use super::cloud::is_loopback_host;
use super::network::NetworkError;
use super::{CertificateProblem, LossKind};
use crate::outside::secrets;

/// How long one request may take, whatever it waits for.
pub(crate) const PING_TIME_OUT: Duration = Duration::from_secs(5);
/// So much of an answer is read.
const ANSWER_MAXIMUM_BYTES: usize = 4096;
/// A shorter part of an address is a word of its service.
const SHORTEST_KEY_CHARACTERS: usize = 10;

/// Why an address cannot be pinged. It is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PingAddressError {
    /// It is none.
    #[error("the address to ping is not a URL")]
    NoUrl,
    /// It would be sent in clear.
    #[error("the address to ping is not https")]
    NotEncrypted,
    /// It was typed where the name of its file belongs.
    #[error("the address to ping stands on the command line, where all users of this computer can read it")]
    Typed,
}

impl PingAddressError {
    /// What the user can do about it.
    pub(crate) const fn hint(self) -> &'static str {
        match self {
            Self::NoUrl => {
                "TAGFLEET_PING_URL, or the file of --ping-url-file, holds the address that the service shows"
            }
            Self::NotEncrypted => "only a server on loopback may be pinged by http",
            Self::Typed => "write it into a file that only you can read, and name that with --ping-url-file",
        }
    }
}

/// The address that a job reports to.
#[derive(Clone)]
pub(crate) struct PingAddress(Url);

impl PingAddress {
    /// Reads an address; from now on it and its keys are masked in everything that is shown.
    ///
    /// # Errors
    /// [`PingAddressError`] when it cannot be used.
    pub(crate) fn new(text: &SecretString) -> Result<Self, PingAddressError> {
        secrets::keep(text);
        let text = text.expose_secret().trim();
        // Whoever parses URLs leaves line breaks out, and makes one of two.
        if text.contains(|it: char| it.is_control() || it.is_whitespace()) {
            return Err(PingAddressError::NoUrl);
        }
        let url = Url::parse(text).map_err(|_no_url| PingAddressError::NoUrl)?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host.is_empty() || !matches!(url.scheme(), "http" | "https") {
            return Err(PingAddressError::NoUrl);
        }
        if url.scheme() == "http" && !is_loopback_host(host) {
            return Err(PingAddressError::NotEncrypted);
        }
        let query = url.query_pairs().map(|(_, value)| value.into_owned());
        let parts = url.path_segments().into_iter().flatten().map(str::to_owned).chain(query);
        let is_key = |part: &String| {
            part.chars().count() >= SHORTEST_KEY_CHARACTERS && part.contains(|it: char| it.is_ascii_digit())
        };
        for key in parts.filter(is_key).chain(url.password().map(str::to_owned)) {
            secrets::keep(&key.into());
        }
        Ok(Self(url))
    }

    fn with(&self, ping: &Ping) -> Url {
        let mut url = self.0.clone();
        url.set_fragment(None);
        if let Some(step) = &ping.step {
            let path = format!("{}/{step}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        let is_said = |name: &str| ping.query.iter().any(|(said, _)| *said == name);
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| !is_said(name))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.set_query(None);
        if !(kept.is_empty() && ping.query.is_empty()) {
            let kept = kept.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let said = ping.query.iter().map(|(name, value)| (*name, value.as_str()));
            url.query_pairs_mut().extend_pairs(kept.chain(said));
        }
        url
    }
}

impl fmt::Debug for PingAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PingAddress(***)")
    }
}

/// What is to be said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ping {
    /// What comes behind the path of the address.
    pub step: Option<String>,
    /// What comes into its query.
    pub query: Vec<(&'static str, String)>,
    /// The body; without one it is a GET.
    pub body: Option<String>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PingAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The beginning of the body.
    pub body: String,
}

/// A ping without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub(crate) struct PingLoss(LossKind);

impl PingLoss {
    /// Whether it may be another time.
    pub(crate) const fn is_transient(self) -> bool {
        !matches!(self.0, LossKind::Untrusted(_) | LossKind::ProxyAuthentication | LossKind::NotTls)
    }

    const fn text(self) -> &'static str {
        match self.0 {
            LossKind::Untrusted(CertificateProblem::UnknownIssuer) => "the issuer of its certificate is not trusted",
            LossKind::Untrusted(CertificateProblem::Expired | CertificateProblem::NotYetValid) => {
                "its certificate is not valid at this computer's time"
            }
            LossKind::Untrusted(CertificateProblem::WrongName) => "its certificate is another host's",
            LossKind::Untrusted(CertificateProblem::Unusable) => "its certificate is not accepted",
            LossKind::ProxyAuthentication => "the proxy requires a sign-in (407)",
            LossKind::Proxy(_) => "the proxy does not connect",
            LossKind::UnknownHost => "no host of that name found",
            LossKind::ConnectionRefused => "connection refused",
            LossKind::NotTls => "the port does not speak TLS",
            LossKind::NotConnected => "no connection",
            LossKind::TimedOut => "no answer in time",
            LossKind::ConnectionLost => "the connection ended without an answer",
            LossKind::Truncated => "the answer was cut off",
            LossKind::TooLong => "the head of the answer is longer than any true one",
        }
    }
}

/// Sends pings to one address.
#[derive(Debug)]
pub(crate) struct PingClient {
    http: reqwest::Client,
    address: PingAddress,
}

impl PingClient {
    /// A client that trusts this further root certificate, too. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError`] when the certificate file or the library's settings cannot be used.
    pub(crate) fn new(address: PingAddress, certificate_file: Option<PathBuf>) -> Result<Self, ClientError> {
        let settings = ClientSettings { base_url: address.0.clone(), certificate_file };
        Ok(Self { http: settings.http()?, address })
    }

    /// Sends a ping once.
    ///
    /// # Errors
    /// [`PingLoss`] when there was no answer.
    pub(crate) async fn send(&self, ping: &Ping) -> Result<PingAnswer, PingLoss> {
        let url = self.address.with(ping);
        let request = match &ping.body {
            None => self.http.get(url),
            Some(body) => self.http.post(url).body(body.clone()),
        };
        let mut answer = match request.timeout(PING_TIME_OUT).send().await {
            Ok(answer) => answer,
            Err(error) => return Err(PingLoss(NetworkError::of_request(error, &self.address.0).await.kind())),
        };
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        // It has arrived, whatever happens to the rest of the answer.
        while let Ok(Some(part)) = answer.chunk().await
            && body.len() < ANSWER_MAXIMUM_BYTES
        {
            body.extend(part.iter().take(ANSWER_MAXIMUM_BYTES - body.len()));
        }
        Ok(PingAnswer { status, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<PingAddress, PingAddressError> {
        PingAddress::new(&text.to_owned().into())
    }

    #[test]
    fn what_is_said_joins_the_address_and_takes_the_place_of_what_was_there_for_copying() {
        let query = |pairs: &[(&'static str, &str)]| pairs.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        for (text, step, pairs, expected) in [
            ("https://hc.example/9f1c", Some("start"), &[("rid", "r")][..], "https://hc.example/9f1c/start?rid=r"),
            (" https://hc.example/key/slug/?create=1\n", Some("5"), &[], "https://hc.example/key/slug/5?create=1"),
            ("https://hc.example/ping/a#x", None, &[], "https://hc.example/ping/a"),
            (
                "https://kuma.example/api/push/t0k?status=up&msg=OK&ping=",
                None,
                &[("status", "down"), ("msg", "2 failed & 1 left"), ("ping", "7")],
                "https://kuma.example/api/push/t0k?status=down&msg=2+failed+%26+1+left&ping=7",
            ),
        ] {
            let ping = Ping { step: step.map(str::to_owned), query: query(pairs), body: None };
            assert_eq!(address(text).expect("an address").with(&ping).as_str(), expected);
        }
    }

    #[test]
    fn an_address_is_https_or_on_loopback_and_is_never_shown() {
        for (text, expected) in [
            ("http://127.0.0.1:1/x", None),
            ("http://localhost/x", None),
            ("http://[::1]:80/x", None),
            ("http://kuma.example/x", Some(PingAddressError::NotEncrypted)),
            ("ftp://kuma.example/x", Some(PingAddressError::NoUrl)),
            ("kuma.example/x", Some(PingAddressError::NoUrl)),
            ("https://kuma.example/x\nhttps://kuma.example/y", Some(PingAddressError::NoUrl)),
            ("https://kuma.example/\u{1b}[2J", Some(PingAddressError::NoUrl)),
            ("", Some(PingAddressError::NoUrl)),
        ] {
            assert_eq!(address(text).err(), expected, "{text}");
        }
        let shown = format!("{:?}", address("https://hc.example/secret").expect("an address"));
        assert_eq!(shown, "PingAddress(***)");
    }
}
