//! Why what the user says and what the environment says make no sense together, and what to do about it.

use std::path::PathBuf;

use super::deadline::DeadlineError;
use crate::api::sign_in::SignInError;
use crate::api::{ClientError, PingAddressError};
use crate::environment::SettingsError;
use crate::outside::shown;
use crate::store::{AddressError, StoreError};

/// Why the options and the environment make no sense together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The base URL or the certificate file.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// How to sign in.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The address to ping.
    #[error(transparent)]
    PingAddress(#[from] PingAddressError),
    /// Where the state lives.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address of a state on a server.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The environment, or a file of settings, names two states.
    #[error("an address and a directory both say where the state is")]
    TwoStates,
    /// What should be a directory is an address.
    #[error("the state directory is an address: {}", shown(.0))]
    AddressOfDirectory(PathBuf),
    /// The variable that says where the state is holds nothing.
    #[error("the environment variable TAGFLEET_STATE is empty")]
    EmptyState,
    /// How to sign in to the state.
    #[error("cannot sign in to the state")]
    StateSignIn(#[source] SignInError),
    /// A password is named, and a token is to be taken in its place.
    #[error("--state-password-file and --state-auth both say how to sign in to the state")]
    PasswordAndToken,
    #[error(transparent)]
    Deadline(#[from] DeadlineError),
    /// A file of settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A variable holds something that is no text.
    #[error("the environment variable {0} is not valid text")]
    Variable(&'static str),
    /// A variable names a proxy whose address cannot be read. What it holds may be a password.
    #[error("the environment variable {0} does not hold the address of an HTTP proxy")]
    Proxy(&'static str),
    /// No encoding is called so.
    #[error("\"{}\" is not a known encoding", shown(.0))]
    Encoding(String),
}

impl ConfigError {
    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => Some(error.hint().to_owned()),
            Self::SignIn(error) | Self::StateSignIn(error) => error.hint(),
            Self::PingAddress(error) => Some(error.hint().to_owned()),
            Self::Store(error) => error.hint(),
            Self::Address(error) => Some(error.hint().to_owned()),
            Self::TwoStates => Some(
                "set either TAGFLEET_STATE or TAGFLEET_STATE_DIR, or name the state on the command line".to_owned(),
            ),
            Self::AddressOfDirectory(_) => {
                Some("name the folder by its path, or the server of a shared state with --state".to_owned())
            }
            Self::EmptyState => {
                Some("put the address of the shared state into it, or unset it for a state on this machine".to_owned())
            }
            Self::PasswordAndToken => Some("leave one of them out".to_owned()),
            Self::Deadline(error) => error.hint(),
            Self::Settings(error) => error.hint(),
            Self::Variable(_) => None,
            Self::Proxy(name) => Some(format!("set {name} to one such as http://proxy.example:8080, or unset it")),
            Self::Encoding(_) => Some("use a name such as windows-1252, iso-8859-15, utf-16le or shift_jis".to_owned()),
        }
    }
}
