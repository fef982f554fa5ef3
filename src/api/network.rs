//! What the HTTP client's errors come to: at which point a request was lost, and why, in words.
//!
//! What waiting may fix (a name server, a port, a proxy that is restarted) is told from what it never does: a
//! certificate that is not accepted, and a proxy that wants to know who is asking. What surprises: `reqwest` gives its
//! causes no types but those of `rustls` and of the system, so a proxy's refusal and a name that nobody bears are known
//! by their texts; the tests hold those against the library. What a proxy says that the library does not tell, it is asked
//! for again. And `io::Error` leaves the error that it wraps out of its
//! own chain of causes.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use reqwest::Url;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use super::tunnel::Proxy;
use super::{CertificateProblem, LossKind};

/// A proxy that wants to know who is asking.
const PROXY_WANTS_A_SIGN_IN: &str = "the proxy requires a sign-in (407)";

/// An exchange that failed, without addresses' secrets and without any body.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct NetworkError {
    kind: LossKind,
    text: String,
}

impl NetworkError {
    /// An exchange that failed before the head of an answer had come. Where a proxy may be why, it is asked for its status.
    pub(in crate::api) async fn of_request(error: reqwest::Error, target: &Url) -> Self {
        Self::of_library(error, target).told_by(Proxy::on_the_way_to(target), target).await
    }

    /// The same, by what a proxy says to a request to connect; whoever signs in at a proxy is known by that alone.
    async fn told_by(self, proxy: Option<Proxy>, target: &Url) -> Self {
        let Some(proxy) = proxy.filter(|_| matches!(self.kind, LossKind::Proxy(_) | LossKind::NotConnected)) else {
            return self;
        };
        match proxy.status_for(target).await {
            Some(407) => Self { kind: LossKind::ProxyAuthentication, text: PROXY_WANTS_A_SIGN_IN.to_owned() },
            Some(status) if status >= 300 => Self {
                kind: LossKind::Proxy(Some(status)),
                text: format!("the proxy does not connect to {}: it answers {status}", place(target)),
            },
            _ => self,
        }
    }

    /// By what the HTTP library says.
    fn of_library(error: reqwest::Error, target: &Url) -> Self {
        let host = target.host_str().unwrap_or_default();
        let (is_early, is_late) = (error.is_connect() || error.is_builder(), error.is_timeout());
        let error = error.without_url();
        if let Some((problem, text)) = causes(&error).find_map(|cause| certificate_problem(cause, host)) {
            return Self { kind: LossKind::Untrusted(problem), text };
        }
        if !is_early {
            if is_late {
                return Self { kind: LossKind::TimedOut, text: "no answer in time".to_owned() };
            }
            if causes(&error).any(|cause| cause.to_string() == "message head is too large") {
                return Self {
                    kind: LossKind::TooLong,
                    text: "the head of the answer is longer than any true one".to_owned(),
                };
            }
            return Self::with_cause(LossKind::ConnectionLost, "the connection ended before an answer came", &error);
        }
        let (kind, text) = connection_problem(&error, host, &place(target), is_late);
        Self { kind, text }
    }

    /// An exchange that failed after the head of an answer had come: the request has arrived.
    pub(in crate::api) fn of_body(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self { kind: LossKind::TimedOut, text: "the answer began and did not end in time".to_owned() };
        }
        Self::with_cause(LossKind::Truncated, "the answer was cut off", &error.without_url())
    }

    fn with_cause(kind: LossKind, text: &str, error: &reqwest::Error) -> Self {
        Self { kind, text: with_innermost_cause(text, error) }
    }

    /// At which point it failed.
    pub(in crate::api) const fn kind(&self) -> LossKind {
        self.kind
    }
}

/// Host and port.
fn place(target: &Url) -> String {
    let host = target.host_str().unwrap_or_default();
    target.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The causes of an error from the outside in, itself first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
        None => error.source(),
    })
}

/// The innermost cause says most; the layers between repeat each other.
fn with_innermost_cause(text: &str, error: &(dyn Error + 'static)) -> String {
    let mut text = text.to_owned();
    if let Some(cause) = causes(error).skip(1).last() {
        // Writing into a string cannot fail.
        let _written = write!(text, ": {cause}");
    }
    text
}

/// Why no connection came about.
fn connection_problem(error: &reqwest::Error, host: &str, place: &str, is_late: bool) -> (LossKind, String) {
    let is_refused = causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::ConnectionRefused);
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    let says = |words: &str| texts.iter().any(|text| text.starts_with(words));
    if says("tunnel error: proxy authorization required") {
        return (LossKind::ProxyAuthentication, PROXY_WANTS_A_SIGN_IN.to_owned());
    }
    if says("tunnel error: failed to create underlying connection") {
        return (LossKind::Proxy(None), with_innermost_cause("no connection to the proxy", error));
    }
    if says("tunnel error: ") {
        return (LossKind::Proxy(None), format!("the proxy does not connect to {place}"));
    }
    if says("dns error") {
        let reason = texts.last().map_or("", |text| text.trim_start_matches("failed to lookup address information: "));
        return (LossKind::UnknownHost, format!("no host named {host} found: {reason}"));
    }
    if causes(error).any(|cause| matches!(cause.downcast_ref(), Some(rustls::Error::InvalidMessage(_)))) {
        return (LossKind::NotTls, format!("{place} does not answer by TLS, as https needs it"));
    }
    if is_refused {
        return (LossKind::ConnectionRefused, format!("connection refused at {place}"));
    }
    if is_late {
        return (LossKind::NotConnected, format!("no connection to {place} in time"));
    }
    (LossKind::NotConnected, with_innermost_cause(&format!("no connection to {place}"), error))
}

/// What is wrong with the host's certificate, if that is what the cause says.
fn certificate_problem(cause: &(dyn Error + 'static), host: &str) -> Option<(CertificateProblem, String)> {
    let Some(rustls::Error::InvalidCertificate(error)) = cause.downcast_ref() else { return None };
    let (problem, what) = match error {
        CertificateError::UnknownIssuer => {
            (CertificateProblem::UnknownIssuer, "is not trusted: its issuer is unknown".to_owned())
        }
        CertificateError::ExpiredContext { time, not_after } => {
            let (now, end) = (moment(*time), moment(*not_after));
            (CertificateProblem::Expired, format!("ended {end}, and this computer's clock says {now}"))
        }
        CertificateError::Expired => (CertificateProblem::Expired, "has expired by this computer's clock".to_owned()),
        CertificateError::NotValidYetContext { time, not_before } => {
            let (now, start) = (moment(*time), moment(*not_before));
            (CertificateProblem::NotYetValid, format!("begins {start}, and this computer's clock says {now}"))
        }
        CertificateError::NotValidYet => {
            (CertificateProblem::NotYetValid, "is not valid yet by this computer's clock".to_owned())
        }
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let names: Vec<&str> = presented.iter().map(|name| plain_name(name)).collect();
            (CertificateProblem::WrongName, format!("is for another name: {}", names.join(", ")))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (CertificateProblem::WrongName, "is for another name".to_owned())
        }
        CertificateError::Other(other) => (CertificateProblem::Unusable, unusable(&other.to_string())),
        other => (CertificateProblem::Unusable, unusable(&other.to_string())),
    };
    Some((problem, format!("the certificate of {host} {what}")))
}

/// Why a certificate is of no use, by the library's text for that, which often is but a name, or one with what belongs to it.
fn unusable(text: &str) -> String {
    let name_end = text.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (name, rest) = text.split_at(name_end);
    if !(rest.is_empty() || rest.starts_with('(') || rest.starts_with(" {")) {
        return format!("is not accepted: {text}");
    }
    match name {
        // What `openssl req -x509` makes of itself.
        "CaUsedAsEndEntity" => "is not one for a server: it is self-signed, or may sign others".to_owned(),
        "InvalidPurpose" | "InvalidPurposeContext" | "RequiredEkuNotFound" => "is not one for a server".to_owned(),
        "Revoked" => "was revoked".to_owned(),
        "BadSignature" => "has a wrong signature".to_owned(),
        "BadEncoding" | "BadDer" => "cannot be read".to_owned(),
        name => {
            let words = name.chars().fold(String::new(), |mut words, letter| {
                if letter.is_ascii_uppercase() && !words.is_empty() {
                    words.push(' ');
                }
                words.push(letter.to_ascii_lowercase());
                words
            });
            format!("is not accepted: {words}")
        }
    }
}

/// A name without the kind of name that the library puts around it: `other.example` of `DnsName("other.example")`.
fn plain_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}

fn moment(time: UnixTime) -> String {
    let moment = i64::try_from(time.as_secs()).ok().and_then(|second| Timestamp::from_second(second).ok());
    moment.map_or_else(
        || "at an unknown time".to_owned(),
        |moment| moment.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

#[cfg(test)]
mod tests;
