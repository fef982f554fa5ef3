//! Passwords of a database that are given for a while only.

use std::fmt;
use std::pin::Pin;

use secrecy::SecretString;

/// Who gives passwords that hold for a while only, such as tokens of a sign-in service.
pub(crate) trait PasswordGiver: fmt::Debug + Send + Sync {
    /// One that holds now, or why there is none to be had. It is waited for within the program's runtime, and no longer than
    /// the server is.
    fn password(&self) -> PasswordToCome<'_>;
}

/// A password that somebody was asked for.
pub(crate) type PasswordToCome<'a> = Pin<Box<dyn Future<Output = Result<SecretString, PasswordRefusal>> + Send + 'a>>;

/// Why there was no password to be had.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct PasswordRefusal {
    /// The reason, as a sentence without its full stop.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// Whether it may come right by itself.
    pub is_transient: bool,
}
