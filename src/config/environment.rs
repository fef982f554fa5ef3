//! The environment as a value, so that tests can replace it.

use std::ffi::OsString;

/// Reads a variable of the environment.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;
