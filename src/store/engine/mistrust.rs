//! Why a server of the state is not believed to be who it should be.

use rustls::{CertificateError, Error};

/// What is wrong with how it shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Mistrust {
    /// Nobody who is trusted has issued its certificate.
    Issuer,
    /// Its certificate is another host's.
    Name,
    /// Its certificate is over.
    Over,
    /// Its certificate has not begun.
    NotYet,
    /// It encrypts nothing.
    NotEncrypted,
    Other,
}

impl Mistrust {
    /// What a failure of encryption comes to.
    pub(super) const fn of(failure: &Error) -> Self {
        let Error::InvalidCertificate(fault) = failure else { return Self::Other };
        match fault {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Issuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::Name,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Over,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYet,
            _ => Self::Other,
        }
    }

    /// The end of a sentence that begins with the database.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Issuer => "shows a certificate whose issuer is not trusted",
            Self::Name => "shows a certificate that is for another name",
            Self::Over => "shows a certificate that has expired",
            Self::NotYet => "shows a certificate that is not valid yet",
            Self::NotEncrypted => "is on a server that does not encrypt connections",
            Self::Other => "cannot prove that it is who it should be",
        }
    }

    /// What to do about it.
    pub(super) const fn hint(self) -> &'static str {
        match self {
            Self::Issuer => "name the certificate of the authority that issued it with --ca-file",
            Self::Name => {
                "write the host in --state as the certificate names it; with sslmode=verify-ca the issuer alone counts"
            }
            Self::Over | Self::NotYet => "check this computer's clock, then have the certificate renewed",
            Self::NotEncrypted => "turn TLS on in the server's settings (ssl = on)",
            Self::Other => "check the host name and the certificate, or name its authority with --ca-file",
        }
    }
}
