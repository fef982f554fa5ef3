//! Variables and profiles that contradict each other about whom they are for. Elsewhere the variable goes before the profile;
//! here nobody can tell which of the two was forgotten, and the wrong one is another tenant.

use std::path::Path;

use super::setting::{CREDENTIAL_FILES, Setting, holds_secret, is_set};
use crate::api::Url;
use crate::api::cloud::Cloud;
use crate::environment::{Environment, SettingsError};
use crate::outside::shown;

/// Variables that say how to sign in, and the method that each means.
const CREDENTIALS: [(&str, &str); 4] = [
    ("TAGFLEET_TOKEN", "token"),
    ("AZURE_CLIENT_SECRET", "secret"),
    ("AZURE_CLIENT_CERTIFICATE_PATH", "certificate"),
    ("AZURE_FEDERATED_TOKEN_FILE", "workload"),
];

/// How the variables sign in, if they do: the first variable that says so, and its method.
pub(super) fn method(environment: Environment<'_>) -> Option<(&'static str, &'static str)> {
    CREDENTIALS.into_iter().find(|(variable, _)| is_set(environment, variable))
}

/// Refuses a profile that is for somebody else than the variables are.
pub(super) fn check(profile: &[&Setting], environment: Environment<'_>) -> Result<(), SettingsError> {
    let text = |name: &str| environment(name).map(|value| value.to_string_lossy().trim().to_owned());
    let set = |name: &str| text(name).filter(|value| !value.is_empty());
    let of = |key: &str| profile.iter().find(|setting| setting.key.name == key);
    for (key, variable) in [("tenant", "AZURE_TENANT_ID"), ("app", "AZURE_CLIENT_ID")] {
        if let (Some(setting), Some(value)) = (of(key), set(variable))
            && !setting.text().is_some_and(|own| own.eq_ignore_ascii_case(&value))
        {
            return Err(contradiction(setting, &format!("{variable} is \"{}\"", shown(&value)), variable));
        }
    }
    if let Some(setting) = of("cloud")
        && let Some(cloud) = setting.text().and_then(|name| <Cloud as clap::ValueEnum>::from_str(&name, false).ok())
    {
        for (variable, own) in [("TAGFLEET_BASE_URL", cloud.base_url()), ("AZURE_AUTHORITY_HOST", cloud.authority())] {
            if let Some(value) = set(variable).filter(|value| host(value) != host(own)) {
                return Err(contradiction(setting, &format!("{variable} is \"{}\"", shown(&value)), variable));
            }
        }
    }
    check_method(profile, environment)?;
    check_files(profile, environment)
}

/// A profile that says how to sign in, by a method or by a file, and variables that say so otherwise.
fn check_method(profile: &[&Setting], environment: Environment<'_>) -> Result<(), SettingsError> {
    let named = profile.iter().find(|setting| setting.key.name == "auth");
    let mut own: Vec<(&Setting, String)> =
        named.iter().filter_map(|setting| Some((**setting, setting.text()?))).collect();
    own.retain(|(_, method)| method != "auto");
    if own.is_empty() {
        let files = profile.iter().filter(|setting| CREDENTIAL_FILES.contains(&setting.key.name.as_str()));
        own = files.map(|setting| (*setting, method_of(&setting.key.name).to_owned())).collect();
    }
    let Some((setting, _)) = own.first() else { return Ok(()) };
    let others = CREDENTIALS.into_iter().filter(|(variable, _)| is_set(environment, variable));
    for (variable, method) in others {
        if !own.iter().any(|(_, own)| own == method) {
            return Err(contradiction(setting, &format!("{variable} is set, which means auth \"{method}\""), variable));
        }
    }
    Ok(())
}

/// A profile that names a file to sign in with, and the variable for the same: another file, or a secret that nobody can
/// compare, since some files can be read only once.
fn check_files(profile: &[&Setting], environment: Environment<'_>) -> Result<(), SettingsError> {
    for setting in profile.iter().filter(|setting| CREDENTIAL_FILES.contains(&setting.key.name.as_str())) {
        let Some(variable) = setting.key.variable.filter(|name| is_set(environment, name)) else { continue };
        let value = environment(variable).unwrap_or_default();
        if holds_secret(variable) {
            return Err(contradiction(setting, &format!("{variable} is set, too"), variable));
        }
        if setting.values.first().is_none_or(|own| Path::new(own) != Path::new(&value)) {
            return Err(contradiction(setting, &format!("{variable} is \"{}\"", shown(&value)), variable));
        }
    }
    Ok(())
}

fn method_of(file: &str) -> &'static str {
    match file {
        "token-file" => "token",
        "client-certificate-file" => "certificate",
        "federated-token-file" => "workload",
        _ => "secret",
    }
}

fn contradiction(setting: &Setting, variable_says: &str, variable: &str) -> SettingsError {
    let own = setting.text().map(|text| shown(&text)).unwrap_or_default();
    let problem = format!("the profile's {} is \"{own}\", but {variable_says}", setting.key.name);
    let hint = format!("unset {variable}, or choose the profile that it belongs to");
    SettingsError::at(&setting.place, &problem, Some(hint))
}

/// The host of an address, with or without its scheme.
fn host(address: &str) -> Option<String> {
    let address = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    Url::parse(&address).ok()?.host_str().map(str::to_owned)
}
