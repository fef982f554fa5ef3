//! Settings that `check` has no use for and every run has: each is looked at as a run would look at it at its beginning.

use std::path::{Path, PathBuf};

use jiff::Zoned;

use crate::api::PingClient;
use crate::cli::{DeadlineArgument, GeneralOptions, Origin, SettingInForce};
use crate::clock;
use crate::commands::outputs::refuse_metrics;
use crate::commands::pinging::about_pings;
use crate::commands::setup::past_the_deadline;
use crate::config::{ConfigError, deadline, ping_address};
use crate::exit::CommandError;
use crate::input::encoding;
use crate::report::{MetricsFile, Reserved, ResultsTarget};

/// Finds the first that would end a run.
pub(super) fn judge(general: &GeneralOptions, reserved: &Reserved) -> Result<(), CommandError> {
    let set = |key: &str| general.in_force.iter().find(|setting| setting.key == key && is_set(setting));
    let value = |key: &str| set(key).and_then(|setting| setting.value.as_deref());
    // One that cannot be read was refused before.
    if let Some(argument) = value("deadline").and_then(|text| text.parse::<DeadlineArgument>().ok())
        && deadline(argument, &Zoned::now()).map_err(ConfigError::from)?.left.is_zero()
    {
        return Err(past_the_deadline());
    }
    if let Some(label) = value("encoding")
        && encoding(label).is_none()
    {
        return Err(ConfigError::Encoding(label.to_owned()).into());
    }
    let mut reserved = reserved.clone();
    if let Some(path) = value("output") {
        // The log is reserved: it is this command's, too.
        let target = ResultsTarget::file(path.into());
        target.check_place(&reserved)?;
        reserved = target.files().fold(reserved, |reserved, path| reserved.with("the results", path));
    }
    if let Some(path) = value("metrics-file") {
        refuse_metrics(Path::new(path), &reserved)?;
        // What cannot be read or written costs a warning.
        let _readable_or_not = MetricsFile::new(Path::new(path), "check", clock::now())?;
    }
    // In a variable there is no file, but the address itself.
    let file = set("ping-url-file").filter(|setting| !matches!(setting.origin, Origin::Variable(_)));
    let file = file.and_then(|setting| setting.value.as_ref()).map(PathBuf::from);
    let address = ping_address(file.as_deref(), &|name| std::env::var_os(name)).map_err(about_pings)?;
    let client = address.map(|address| PingClient::new(address, general.ca_file.clone()));
    client.transpose().map_err(ConfigError::from)?;
    Ok(())
}

fn is_set(setting: &SettingInForce) -> bool {
    !matches!(setting.origin, Origin::Nobody | Origin::Default)
}
