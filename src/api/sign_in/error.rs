//! Why a sign-in failed, and what to do about it.
//!
//! Three kinds matter to the caller: the settings are not enough (nothing was sent), somebody
//! refused (trying again changes nothing), nobody could be reached (trying again may help). Errors
//! are cloneable, since one failed attempt answers every call that waited for it. Whatever came
//! from outside was masked and cut before it is here.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::hints;
use super::method::SignInMethod;
use super::trouble::Trouble;
use crate::api::{LossKind, NetworkError};
use crate::outside::shown;

/// A sign-in that failed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub(crate) enum SignInError {
    /// Something is missing or wrong in what the user set; nothing was sent.
    #[error("{problem}")]
    Settings {
        /// What is wrong, as a fragment.
        problem: String,
        /// What to set.
        hint: Option<String>,
    },
    /// A file that holds a token, a certificate or a secret cannot be read.
    #[error("cannot read {}", shown(path))]
    File {
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// The authority, the identity endpoint or the Azure CLI said no.
    #[error("{party} refused the sign-in {method}{}: {message}", Code(*code))]
    Refused {
        /// How the sign-in was tried.
        method: SignInMethod,
        /// Who refused, such as a host's name.
        party: String,
        /// The AADSTS number, if one was given.
        code: Option<u32>,
        /// The reason given, on one line, cut, without secrets.
        message: String,
    },
    /// The API refused a token (401), and signing in again brought the very same one.
    #[error("the service refused the token, and signing in {method} again gave the same one")]
    SameToken {
        /// How the sign-in was tried.
        method: SignInMethod,
    },
    /// A person was asked, and did not finish in time.
    #[error("the sign-in {method} was not finished in time")]
    Abandoned {
        /// How the person was to sign in.
        method: SignInMethod,
    },
    /// A ready token that is over.
    #[error("the token in {place} ended at {ended_at} by this computer's clock")]
    TokenEnded {
        /// The variable or the file that holds it.
        place: String,
        /// When, in UTC.
        ended_at: String,
    },
    /// A token of another tenant than the one that is meant.
    #[error("the token is {}, and not of {expected}", OfTenant(found))]
    OtherTenant {
        /// The tenant that is meant.
        expected: String,
        /// The tenant that the token names, if it names one.
        found: Option<String>,
    },
    /// No usable answer came.
    #[error("signing in {method} failed: {party} {trouble}")]
    Unreachable {
        /// How the sign-in was tried.
        method: SignInMethod,
        /// Who was asked, such as a host's name.
        party: String,
        trouble: Trouble,
        /// How long the answer asked to wait.
        retry_after: Option<Duration>,
        /// What the network says; it holds no address and no body.
        #[source]
        source: Option<Arc<NetworkError>>,
    },
}

/// The AADSTS number in brackets, or nothing.
struct Code(Option<u32>);

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => write!(formatter, " (AADSTS{code})"),
            None => Ok(()),
        }
    }
}

/// Whose token it is, as far as that is known.
struct OfTenant<'a>(&'a Option<String>);

impl fmt::Display for OfTenant<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(tenant) => write!(formatter, "of the tenant {}", shown(tenant)),
            None => formatter.write_str("of an unknown tenant"),
        }
    }
}

impl SignInError {
    pub(super) fn settings(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Settings { problem: problem.into(), hint: Some(hint.into()) }
    }

    /// Whether trying again later may help, with nothing changed. The other failures stop a run.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { trouble, .. } => {
                !matches!(trouble, Trouble::Untrusted(_) | Trouble::ProxyAuthentication)
            }
            Self::Settings { .. }
            | Self::File { .. }
            | Self::Refused { .. }
            | Self::SameToken { .. }
            | Self::OtherTenant { .. }
            | Self::Abandoned { .. }
            | Self::TokenEnded { .. } => false,
        }
    }

    /// How long the authority asked to wait before the next try, if it did. At most an hour.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What was met where no usable answer came, and at which point the network failed, if it did.
    pub(crate) fn trouble(&self) -> Option<(Trouble, Option<LossKind>)> {
        match self {
            Self::Unreachable { trouble, source, .. } => Some((*trouble, source.as_ref().map(|error| error.kind()))),
            _ => None,
        }
    }

    /// The AADSTS number of a refusal, if it had one.
    #[cfg(test)]
    pub(crate) fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { code, .. } => *code,
            _ => None,
        }
    }

    /// What the user can do about it, as a sentence's worth without a full stop.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Settings { hint, .. } => hint.clone(),
            Self::File { .. } => Some(
                "check that the file is there and that this account may \
                                       read it"
                    .to_owned(),
            ),
            Self::Refused { method, code, .. } => {
                let code = code
                    .and_then(|code| hints::for_policy(*method, code).or_else(|| hints::for_code(*method, code)));
                code.or_else(|| hints::for_method(*method)).map(str::to_owned)
            }
            Self::Abandoned { .. } => Some("run the same command again, and sign in as it says".to_owned()),
            Self::SameToken { method } => Some(hints::for_same_token(*method).to_owned()),
            Self::OtherTenant { .. } => Some(
                "the profile or AZURE_TENANT_ID names the tenant: sign in with a token of that one, name the tenant by its \
                 id, or choose the profile that the token belongs to"
                    .to_owned(),
            ),
            Self::TokenEnded { .. } => Some(
                "get a new token, check this computer's clock, or sign in by a method that can \
                 renew tokens"
                    .to_owned(),
            ),
            Self::Unreachable { method, trouble, .. } => Some(hints::for_trouble(*method, *trouble).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::CertificateProblem;

    fn refused(method: SignInMethod, code: Option<u32>) -> SignInError {
        SignInError::Refused { method, party: "login.example".into(), code, message: "because".into() }
    }

    #[test]
    fn messages_say_who_what_and_why() {
        let cases = [
            (
                refused(SignInMethod::Secret, Some(7_000_215)),
                "login.example refused the sign-in with a client secret (AADSTS7000215): because",
            ),
            (refused(SignInMethod::AzureCli, None), "login.example refused the sign-in through the Azure CLI: because"),
            (
                SignInError::Unreachable {
                    method: SignInMethod::Certificate,
                    party: "login.example".into(),
                    trouble: Trouble::Status(503),
                    retry_after: None,
                    source: None,
                },
                "signing in with a certificate failed: login.example answered with status 503",
            ),
            (
                SignInError::SameToken { method: SignInMethod::Token },
                "the service refused the token, and signing in with a ready token again gave \
                 the same one",
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn known_codes_have_their_own_hint_and_unknown_ones_the_methods() {
        let cases = [
            (SignInMethod::Secret, Some(7_000_215), "secret's value"),
            (SignInMethod::Secret, Some(7_000_222), "expired"),
            (SignInMethod::Secret, Some(700_016), "AZURE_CLIENT_ID"),
            (SignInMethod::Secret, Some(90_002), "AZURE_TENANT_ID"),
            (SignInMethod::Certificate, Some(700_027), "upload the certificate"),
            (SignInMethod::Workload, Some(700_212), "federated"),
            (SignInMethod::Secret, Some(500_011), "Defender"),
            (SignInMethod::AzureCli, Some(700_082), "az login"),
            (SignInMethod::DeviceCode, Some(70_043), "with the same --auth"),
            (SignInMethod::Browser, Some(53_003), "--auth device-code"),
            (SignInMethod::DeviceCode, Some(53_000), "--auth browser"),
            (SignInMethod::Browser, Some(7_000_218), "Allow public client flows"),
            (SignInMethod::Secret, Some(1), "proxy"),
            (SignInMethod::AzureCli, None, "az login"),
            (SignInMethod::ManagedIdentity, None, "identity is assigned"),
        ];
        for (method, code, expected) in cases {
            let hint = refused(method, code).hint().expect("a hint");
            assert!(hint.contains(expected), "{code:?}: {hint}");
        }
    }

    #[test]
    fn silence_means_other_things_on_a_machine_outside_azure() {
        for (method, expected) in
            [(SignInMethod::ManagedIdentity, "is in Azure"), (SignInMethod::Secret, "HTTPS_PROXY")]
        {
            let error = SignInError::Unreachable {
                method,
                party: "169.254.169.254".into(),
                trouble: Trouble::TimedOut,
                retry_after: None,
                source: None,
            };
            let hint = error.hint().expect("a hint");
            assert!(hint.contains(expected), "{hint}");
        }
    }

    #[test]
    fn only_what_time_may_mend_is_transient() {
        let unreachable = |trouble| SignInError::Unreachable {
            method: SignInMethod::Secret,
            party: "login.example".into(),
            trouble,
            retry_after: None,
            source: None,
        };
        let cases = [
            (unreachable(Trouble::NoConnection), true),
            (unreachable(Trouble::TimedOut), true),
            (unreachable(Trouble::BrokenOff), true),
            (unreachable(Trouble::Status(503)), true),
            (unreachable(Trouble::Unreadable), true),
            (unreachable(Trouble::TooLarge), true),
            (unreachable(Trouble::Untrusted(CertificateProblem::Expired)), false),
            (unreachable(Trouble::ProxyAuthentication), false),
            (refused(SignInMethod::Secret, Some(7_000_215)), false),
            (SignInError::settings("a", "b"), false),
            (SignInError::SameToken { method: SignInMethod::Token }, false),
        ];
        for (error, expected) in cases {
            assert_eq!(error.is_transient(), expected, "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
    }
}
