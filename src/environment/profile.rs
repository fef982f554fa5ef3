//! The profile of this call: what files of settings say below the options and the variables.

use std::ffi::OsString;

/// The variable that holds the address of a state on a server.
pub(crate) const STATE_VARIABLE: &str = "TAGFLEET_STATE";

/// What the files of settings come to for one call of the program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    /// The profile that is in force, if one is.
    pub name: Option<String>,
    /// The tenant that every token must be of; `None` where no file names one.
    pub tenant: Option<String>,
    /// What rows of an input call the tenant of this profile: as the profile does, or by the profile's name.
    pub own_tenant: Vec<String>,
    /// What they call the tenants of the other profiles.
    pub other_tenants: Vec<String>,
    /// What stands in the place of variables that are not set.
    pub variables: Vec<(&'static str, OsString)>,
    /// The keys that the profile's own section sets.
    pub own_keys: Vec<String>,
    /// Whether it is one of several that were asked for at once, so that what it writes carries its name.
    pub is_one_of_several: bool,
}

impl Profile {
    /// A name that other profiles at work would give, too, made this one's; but for what its own section names.
    pub(crate) fn distinct(&self, key: &str, name: String) -> String {
        let is_shared = self.is_one_of_several && !self.own_keys.iter().any(|own| own == key);
        match self.name.as_ref().filter(|_| is_shared) {
            Some(profile) => format!("{name}.{profile}"),
            None => name,
        }
    }

    /// The id of a tenant or an app that a variable holds, and not a domain.
    pub(crate) fn id(&self, name: &str) -> Option<String> {
        let text = self.variable(name)?.into_string().ok()?;
        let id = text.trim();
        let parts = id.split('-').map(|part| part.chars().filter(char::is_ascii_hexdigit).count());
        (id.len() == 36 && parts.eq([8, 4, 4, 4, 12])).then(|| id.to_owned())
    }

    /// A variable of the environment; one that is not set, or empty, is what the profile says in its place. An empty address
    /// of a state that no profile replaces is told, since one was to be there.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        let set = std::env::var_os(name);
        let of_profile = || self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let said = set.clone().filter(|value| !value.is_empty()).or_else(of_profile);
        said.or_else(|| set.filter(|_| name == STATE_VARIABLE))
    }
}
