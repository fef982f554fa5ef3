//! A setting as it is in force, and where it is from.

use std::borrow::Cow;

use crate::environment::Place;

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
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
pub(crate) struct SettingInForce {
    /// What it is called in a file.
    pub key: String,
    /// What it comes to; of a secret only that it is set.
    pub value: Option<String>,
    /// Where that is from.
    pub origin: Origin,
}

impl SettingInForce {
    /// Where it is from, as it is called there: the option, the variable, or file and line.
    pub(crate) fn source(&self) -> Cow<'static, str> {
        match &self.origin {
            Origin::Option => Cow::Owned(format!("--{}", self.key)),
            Origin::Variable(name) => Cow::Borrowed(name),
            Origin::File(place) => Cow::Owned(place.to_string()),
            Origin::Default => Cow::Borrowed("default"),
            Origin::Nobody => Cow::Borrowed("not set"),
        }
    }
}
