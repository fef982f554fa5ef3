//! Variables of the environment as what they hold.

use std::ffi::OsString;

use secrecy::SecretString;

use super::error::ConfigError;
use crate::environment::Environment;

/// Reads a variable as text; an empty one counts as not set.
pub(super) fn text(environment: Environment<'_>, name: &'static str) -> Result<Option<String>, ConfigError> {
    match environment(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(Err(_not_text)) => Err(ConfigError::Variable(name)),
    }
}

/// Reads a variable that holds a secret.
pub(super) fn secret(environment: Environment<'_>, name: &'static str) -> Result<Option<SecretString>, ConfigError> {
    Ok(text(environment, name)?.map(SecretString::from))
}
