//! How a response is lost: at which point, and what is wrong with a certificate that is not accepted.

/// What is wrong with a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CertificateProblem {
    /// No trusted root stands behind it.
    UnknownIssuer,
    /// Its time is over, by this computer's clock.
    Expired,
    /// Its time has not come, by this computer's clock.
    NotYetValid,
    /// It is another host's.
    WrongName,
    /// It was revoked, or is no certificate for a server.
    Unusable,
}

impl CertificateProblem {
    /// What the user can do about it.
    pub(crate) const fn hint(self) -> &'static str {
        match self {
            Self::UnknownIssuer => {
                "if a proxy inspects the traffic, or the host has a certificate of your own, name the root certificate with \
                 --ca-file; otherwise another server is answering for this host"
            }
            Self::Expired | Self::NotYetValid => {
                "check this computer's clock; if it is right, ask the administrator of the host, or of the proxy that inspects the \
                 traffic (then its root certificate goes into --ca-file), to renew the certificate"
            }
            Self::WrongName => {
                "check the host's name (--base-url, --cloud, AZURE_AUTHORITY_HOST) and the proxy settings: the certificate \
                 is another host's, and --ca-file cannot change that"
            }
            Self::Unusable => {
                "ask the administrator of the host, or of the proxy that inspects the traffic (then its root certificate goes \
                 into --ca-file), for a certificate that is meant for a server"
            }
        }
    }
}

/// How a response was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// At which point.
    pub kind: LossKind,
    /// What the HTTP client says.
    pub description: String,
}

/// The point at which a response was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LossKind {
    /// The server's certificate is not accepted, which waiting does not change; the request never left.
    Untrusted(CertificateProblem),
    /// The proxy wants to know who is asking, which waiting does not change; the request never left.
    ProxyAuthentication,
    /// The proxy cannot be reached or does not connect to the host, and answers with this status if it answers; the request
    /// never left.
    Proxy(Option<u16>),
    /// The host's name could not be looked up; the request never left.
    UnknownHost,
    /// The host is there, but nobody listens at the port; the request never left.
    ConnectionRefused,
    /// The host answers at that port, but not by TLS; the request never left.
    NotTls,
    /// No connection came about for another reason; the request never left.
    NotConnected,
    /// No answer, or no end of one, within the time-out; the request may still arrive.
    TimedOut,
    /// The connection ended without an answer; the request may have arrived.
    ConnectionLost,
    /// An answer began and did not end; the request has arrived.
    Truncated,
    /// An answer was longer than any that the service sends; the request has arrived.
    TooLong,
}

impl LossKind {
    /// Whether no connection came about, so that the request surely never left.
    pub(crate) const fn never_left(self) -> bool {
        match self {
            Self::Untrusted(_)
            | Self::ProxyAuthentication
            | Self::Proxy(_)
            | Self::UnknownHost
            | Self::ConnectionRefused
            | Self::NotTls
            | Self::NotConnected => true,
            Self::TimedOut | Self::ConnectionLost | Self::Truncated | Self::TooLong => false,
        }
    }
}
