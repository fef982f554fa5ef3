//! A setting as it is in force, and where it is from.

use crate::config::Place;

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was typed.
    Option,
    /// A variable of the environment.
    Variable(&'static str),
    /// A line of a file.
    File(Place),
    /// Nobody has set it, and this holds.
    Default,
    /// Nobody has set it.
    Nobody,
}

/// A setting as it is in force.
#[derive(Clone, Debug)]
pub struct SettingInForce {
    /// What it is called in a file.
    pub key: String,
    /// What it comes to; of a secret only that it is set.
    pub value: Option<String>,
    /// Where that is from.
    pub origin: Origin,
}
