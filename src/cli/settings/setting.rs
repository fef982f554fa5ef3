//! A setting as it stands in a file, and which other ones it leaves without a meaning.

use std::ffi::OsString;
use std::path::Path;

use super::keys::Key;
use crate::environment::{Environment, Place};
use crate::report::is_same_file;

/// Files to sign in with; each is another way.
pub(super) const CREDENTIAL_FILES: [&str; 4] =
    ["client-secret-file", "token-file", "client-certificate-file", "federated-token-file"];

/// What says where the state is, and its variable.
const PLACES_OF_STATE: [(&str, &str); 2] = [("state", "TAGFLEET_STATE"), ("state-dir", "TAGFLEET_STATE_DIR")];

/// A key that a file sets.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// The profile that it belongs to; `None` for all.
    pub(super) profile: Option<String>,
    pub(super) key: Key,
    pub(super) values: Vec<OsString>,
    pub(super) place: Place,
}

impl Setting {
    /// Whether both name one file.
    pub(super) fn is_same_file_as(&self, other: &Self) -> bool {
        let both = self.values.first().zip(other.values.first());
        both.is_some_and(|(one, other)| is_same_file(Path::new(one), Path::new(other)))
    }

    /// The value, of one that has one.
    pub(super) fn text(&self) -> Option<String> {
        self.values.first().and_then(|value| value.to_str()).map(str::to_owned)
    }
}

/// Whether a nearer setting leaves a farther one without a meaning.
pub(super) fn replaces(nearer: &str, farther: &str) -> bool {
    let is_file = |name| CREDENTIAL_FILES.contains(&name);
    let is_place = |name| PLACES_OF_STATE.iter().any(|(key, _)| *key == name);
    nearer == farther
        || (is_place(nearer) && is_place(farther))
        || (nearer == "cloud" && matches!(farther, "base-url" | "authority-host"))
        || (is_file(nearer) && is_credential(farther))
}

/// Whether a variable goes before a setting: its own, or one that leaves it without a meaning.
pub(super) fn is_overruled(key: &Key, environment: Environment<'_>) -> bool {
    let places = PLACES_OF_STATE.iter().filter(|(place, _)| replaces(place, &key.name));
    places.map(|(_, variable)| *variable).chain(key.variable).any(|name| is_set(environment, name))
}

/// Whether what was typed leaves the variable of a setting without a meaning.
pub(super) fn overrules_variable(typed: &str, key: &str) -> bool {
    let is_place = |name| PLACES_OF_STATE.iter().any(|(key, _)| *key == name);
    (is_place(typed) && is_place(key)) || (typed == "cloud" && key == "base-url")
}

/// Whether it says how to sign in.
pub(super) fn is_credential(key: &str) -> bool {
    key == "auth" || CREDENTIAL_FILES.contains(&key)
}

/// Whether a variable is a secret: nobody gets to see more than that it is set.
pub(super) fn holds_secret(variable: &str) -> bool {
    ["AZURE_CLIENT_SECRET", "TAGFLEET_TOKEN", "TAGFLEET_PING_URL"].contains(&variable)
}

/// Whether a variable says something; an empty one does not.
pub(super) fn is_set(environment: Environment<'_>, name: &str) -> bool {
    environment(name).is_some_and(|value| !value.is_empty())
}
