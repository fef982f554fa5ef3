//! Passwords of a database that are given for a while only.

use std::fmt;

use secrecy::SecretString;

/// Who gives passwords that hold for a while only, such as tokens of a sign-in service.
pub trait PasswordGiver: fmt::Debug + Send + Sync {
    /// One that holds now. To be called on a thread that may wait.
    ///
    /// # Errors
    /// [`PasswordRefusal`] when there is none to be had.
    fn password(&self) -> Result<SecretString, PasswordRefusal>;
}

/// Why there was no password to be had.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct PasswordRefusal {
    /// The reason, as a sentence without its full stop.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// Whether it may come right by itself.
    pub is_transient: bool,
}
