//! Settings that `check` has no use for and every run has: each is looked at as a run would look at it at its beginning.

use std::path::{Path, PathBuf};

use jiff::{Timestamp, Zoned};

use crate::api::PingClient;
use crate::cli::{DeadlineArgument, GeneralOptions, Origin, SettingInForce};
use crate::config::{ConfigError, deadline, ping_address};
use crate::exit::{CommandError, ExitStatus};
use crate::input::encoding;
use crate::report::{MetricsFile, Reserved, ResultsTarget};

/// Finds the first that would end a run, and says where it is from.
pub(super) fn judge(
    in_force: &[SettingInForce],
    general: &GeneralOptions,
    reserved: &Reserved,
) -> Result<(), CommandError> {
    let set = |key: &str| in_force.iter().find(|setting| setting.key == key && is_set(setting));
    let judged = |key: &str, judge: &dyn Fn(&str) -> Result<(), CommandError>| match set(key) {
        Some(setting) => judge(setting.value.as_deref().unwrap_or_default()).map_err(|error| from(setting, error)),
        None => Ok(()),
    };
    judged("deadline", &|text| {
        // One that cannot be read was refused before.
        let Ok(argument) = text.parse::<DeadlineArgument>() else { return Ok(()) };
        deadline(argument, &Zoned::now()).map(drop).map_err(|error| ConfigError::from(error).into())
    })?;
    judged("encoding", &|label| {
        encoding(label).map(drop).ok_or_else(|| ConfigError::Encoding(label.to_owned()).into())
    })?;
    judged("output", &|path| Ok(ResultsTarget::file(path.into()).check_place(reserved).map(drop)?))?;
    judged("metrics-file", &|path| metrics(Path::new(path)))?;
    let setting = set("ping-url-file");
    // In a variable there is no file, but the address itself.
    let file = setting.filter(|setting| !matches!(setting.origin, Origin::Variable(_)));
    pings(file, general).map_err(|error| match setting {
        Some(setting) => from(setting, error),
        None => error,
    })
}

fn is_set(setting: &SettingInForce) -> bool {
    !matches!(setting.origin, Origin::Nobody | Origin::Default)
}

fn metrics(path: &Path) -> Result<(), CommandError> {
    match MetricsFile::new(path, "check", Timestamp::now()) {
        // What cannot be read or written costs a warning.
        Ok(_readable_or_not) => Ok(()),
        Err(foreign) => {
            let hint = "move it away, or name another file with --metrics-file".to_owned();
            Err(CommandError::new(ExitStatus::Usage, foreign, Some(hint)))
        }
    }
}

fn pings(file: Option<&SettingInForce>, general: &GeneralOptions) -> Result<(), CommandError> {
    let file = file.and_then(|setting| setting.value.as_ref()).map(PathBuf::from);
    let address = ping_address(file.as_deref(), &|name| std::env::var_os(name))?;
    let client = address.map(|address| PingClient::new(address, general.ca_file.clone()));
    client.transpose().map(drop).map_err(|error| ConfigError::from(error).into())
}

/// The same error with where the setting is from.
fn from(setting: &SettingInForce, mut error: CommandError) -> CommandError {
    let place = format!("{} is from {}", setting.key, setting.source());
    error.problem.hint = Some(error.problem.hint.map_or_else(|| place.clone(), |hint| format!("{hint}; {place}")));
    error
}
