//! Where the state is: what was typed, what the environment says, or the platform's directory.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::state_token;
use super::variables::{secret, text};
use crate::cli::GeneralOptions;
use crate::environment::Environment;
use crate::environment::STATE_VARIABLE;
use crate::outside::secrets;
use crate::store::{PasswordSource, ServerAddress, StatePlace, default_directory};

/// Where the state is. A rehearsal is nobody else's concern, so that its state is always in a directory of this machine.
///
/// # Errors
/// [`ConfigError`] when an address is wrong or empty, or a directory is named as well, or neither is and the platform tells none.
pub(crate) fn state_place(
    general: &GeneralOptions,
    sandbox: bool,
    environment: Environment<'_>,
) -> Result<StatePlace, ConfigError> {
    let address = match (&general.state, &general.state_dir) {
        // What is typed goes before a file of settings; so one file says both.
        (Some(_), Some(_)) => return Err(ConfigError::TwoStates),
        (Some(address), None) => Some(address.clone()),
        (None, Some(_)) => None,
        (None, None) => text(environment, STATE_VARIABLE)?,
    };
    let names_directory = environment("TAGFLEET_STATE_DIR").is_some_and(|value| !value.is_empty());
    if general.state.is_none() && address.is_some() && names_directory {
        return Err(ConfigError::TwoStates);
    }
    if !sandbox && address.is_none() && general.state_dir.is_none() && !names_directory && is_empty(environment) {
        return Err(ConfigError::EmptyState);
    }
    if sandbox {
        let directory = state_directory(general.state_dir.as_deref(), environment)?;
        return Ok(StatePlace::Directory(sandbox_state_directory(&directory)));
    }
    match address {
        Some(address) => server(&address, general, environment),
        None => Ok(StatePlace::Directory(state_directory(general.state_dir.as_deref(), environment)?)),
    }
}

/// Whether an address was to be there and is not: hosts that share a state must not each go on with one of their own.
fn is_empty(environment: Environment<'_>) -> bool {
    environment(STATE_VARIABLE).is_some_and(|value| value.to_str().is_some_and(|value| value.trim().is_empty()))
}

/// Where another state is that was named: a directory, or an address.
///
/// # Errors
/// [`ConfigError`] when it is an address that is wrong.
pub(crate) fn other_state_place(
    named: &str,
    general: &GeneralOptions,
    environment: Environment<'_>,
) -> Result<StatePlace, ConfigError> {
    if named.contains("://") {
        return server(named, general, environment);
    }
    Ok(StatePlace::Directory(PathBuf::from(named)))
}

/// The state directory: the option, the variable, or the platform's.
///
/// # Errors
/// [`ConfigError`] when none is named and the platform tells none, or an address is named.
pub(crate) fn state_directory(option: Option<&Path>, environment: Environment<'_>) -> Result<PathBuf, ConfigError> {
    let of_environment = || environment("TAGFLEET_STATE_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    match option.map(Path::to_owned).or_else(of_environment) {
        Some(path) if path.to_string_lossy().contains("://") => Err(ConfigError::AddressOfDirectory(path)),
        Some(path) => Ok(path),
        None => Ok(default_directory()?),
    }
}

/// Where rehearsals keep their state, apart from that of real runs.
pub(crate) fn sandbox_state_directory(state_directory: &Path) -> PathBuf {
    state_directory.join("sandbox")
}

fn server(address: &str, general: &GeneralOptions, environment: Environment<'_>) -> Result<StatePlace, ConfigError> {
    let certificates = general.ca_file.clone();
    let address = match state_token::method(general.state_auth) {
        None => {
            let password = password(general.state_password_file.clone(), environment)?;
            ServerAddress::parse(address, password, certificates)?
        }
        Some(_) if general.state_password_file.is_some() => return Err(ConfigError::PasswordAndToken),
        Some(method) => {
            let address = ServerAddress::parse(address, PasswordSource::None, certificates.clone())?;
            let stays_here = address.is_on_this_machine();
            address.asking(state_token::giver(method, stays_here, certificates, environment)?)?
        }
    };
    Ok(StatePlace::Server(Box::new(address)))
}

fn password(file: Option<PathBuf>, environment: Environment<'_>) -> Result<PasswordSource, ConfigError> {
    if let Some(file) = file {
        return Ok(PasswordSource::File(file));
    }
    if let Some(password) = secret(environment, "PGPASSWORD")? {
        secrets::keep(&password);
        return Ok(PasswordSource::Given(password));
    }
    let named = environment("PGPASSFILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let at_home = || environment("HOME").map(|home| PathBuf::from(home).join(".pgpass"));
    Ok(named.or_else(at_home).map_or(PasswordSource::None, PasswordSource::List))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn place(
        state: Option<&str>,
        state_dir: Option<&str>,
        sandbox: bool,
        variables: &[(&str, &str)],
    ) -> Result<String, String> {
        let general = GeneralOptions {
            state: state.map(str::to_owned),
            state_dir: state_dir.map(PathBuf::from),
            ..GeneralOptions::default()
        };
        let environment =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let place = state_place(&general, sandbox, &environment);
        place.map(|place| place.name().display().to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_typed_comes_before_the_environment_and_a_rehearsal_stays_here() {
        const SERVER: &str = "postgresql://u@db.example:5432/d";
        let directory = [("TAGFLEET_STATE_DIR", "/state")];
        let server = [("TAGFLEET_STATE", SERVER)];
        let empty = [("TAGFLEET_STATE", "")];
        let blank = [("TAGFLEET_STATE", " \n")];
        let both = [directory[0], server[0]];
        let table = [
            (Some(SERVER), None, false, &directory[..], Ok(SERVER)),
            (None, Some("/typed"), false, &server[..], Ok("/typed")),
            (None, None, false, &server[..], Ok(SERVER)),
            (None, None, false, &directory[..], Ok("/state")),
            (Some(SERVER), None, true, &directory[..], Ok("/state/sandbox")),
            (None, None, false, &both[..], Err("an address and a directory both say where the state is")),
            (
                Some(SERVER),
                Some("/state"),
                false,
                &[][..],
                Err("an address and a directory both say where the state is"),
            ),
            (None, Some("file:///srv"), false, &[][..], Err("the state directory is an address: file:///srv")),
            (
                None,
                None,
                true,
                &[("TAGFLEET_STATE_DIR", SERVER)][..],
                Err("the state directory is an address: postgresql://u@db.example:5432/d"),
            ),
            (Some("/path"), None, false, &[][..], Err("a state is a postgresql:// address")),
            (None, None, false, &empty[..], Err("the environment variable TAGFLEET_STATE is empty")),
            (None, None, false, &blank[..], Err("the environment variable TAGFLEET_STATE is empty")),
            (None, None, false, &[empty[0], directory[0]][..], Ok("/state")),
            (None, Some("/typed"), false, &empty[..], Ok("/typed")),
            (Some(SERVER), None, false, &empty[..], Ok(SERVER)),
            (None, None, true, &[empty[0], directory[0]][..], Ok("/state/sandbox")),
        ];
        for (state, state_dir, sandbox, variables, expected) in table {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(place(state, state_dir, sandbox, variables), expected, "{state:?} {state_dir:?} {variables:?}");
        }
    }
}
