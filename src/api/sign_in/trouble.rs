//! What went wrong where no usable answer to a sign-in came.

use std::fmt;

use crate::api::CertificateProblem;

/// What went wrong on the way to the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub(crate) enum Trouble {
    /// No connection: name, network, proxy.
    NoConnection,
    /// A connection, but to somebody whose certificate is not accepted.
    Untrusted(CertificateProblem),
    /// A proxy on the way that wants to know who is asking.
    ProxyAuthentication,
    /// No answer in time.
    TimedOut,
    /// The answer broke off.
    BrokenOff,
    /// A status that means "not now".
    Status(u16),
    /// An answer that is no token and no error either.
    Unreadable,
    /// An answer larger than any token's.
    TooLarge,
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection => formatter.write_str("could not be reached"),
            Self::Untrusted(_) => formatter.write_str("showed a certificate that is not accepted"),
            Self::ProxyAuthentication => formatter.write_str("is behind a proxy that requires a sign-in"),
            Self::TimedOut => formatter.write_str("did not answer in time"),
            Self::BrokenOff => formatter.write_str("broke off its answer"),
            Self::Status(status) => write!(formatter, "answered with status {status}"),
            Self::Unreadable => formatter.write_str("answered with something that is not a token"),
            Self::TooLarge => formatter.write_str("answered with more than a token can be"),
        }
    }
}
