//! Each setting with its value, and where that is from: for whoever asks why.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::keys::{Key, Keys};
use super::setting::{Setting, holds_secret, is_set, overrules_variable};
use crate::cli::origin::{Origin, SettingInForce};
use crate::environment::Environment;
use crate::outside::secrets::without_password;

/// All settings, in the order of the keys.
pub(super) fn of(
    keys: &Keys,
    in_force: &[&Setting],
    matches: &ArgMatches,
    environment: Environment<'_>,
) -> Vec<SettingInForce> {
    let all_typed: Vec<&str> =
        keys.iter().filter(|key| typed(key, matches).is_some()).map(|key| key.name.as_str()).collect();
    keys.iter().map(|key| one(key, in_force, matches, &all_typed, environment)).collect()
}

fn one(
    key: &Key,
    in_force: &[&Setting],
    matches: &ArgMatches,
    overruling: &[&str],
    environment: Environment<'_>,
) -> SettingInForce {
    let setting = |value: Option<String>, origin| {
        let value = value.map(|value| if value.contains("://") { without_password(&value) } else { value });
        SettingInForce { key: key.name.clone(), value, origin }
    };
    if let Some(typed) = typed(key, matches) {
        return setting(Some(typed), Origin::Option);
    }
    let is_overruled = || overruling.iter().any(|typed| overrules_variable(typed, &key.name));
    if let Some(variable) = key.variable.filter(|name| is_set(environment, name) && !is_overruled()) {
        let value = environment(variable).map(|value| value.to_string_lossy().into_owned());
        let value = if holds_secret(variable) { Some("set".to_owned()) } else { value };
        return setting(value, Origin::Variable(variable));
    }
    if let Some(set) = in_force.iter().find(|setting| setting.key.name == key.name) {
        let values: Vec<_> = set.values.iter().map(|value| value.to_string_lossy()).collect();
        return setting(Some(values.join(",")), Origin::File(set.place.clone()));
    }
    match key.default() {
        Some(default) => setting(Some(default), Origin::Default),
        None => setting(None, Origin::Nobody),
    }
}

/// What was typed for an option of the command.
fn typed(key: &Key, matches: &ArgMatches) -> Option<String> {
    let (_, options) = matches.subcommand()?;
    let id = key.id()?;
    options.try_contains_id(id).ok()?;
    (options.value_source(id) == Some(ValueSource::CommandLine)).then_some(())?;
    let values = options.get_raw(id)?.map(|value| value.to_string_lossy().into_owned());
    let values: Vec<String> = values.collect();
    // A switch has no value of its own.
    Some(if values.is_empty() { "true".to_owned() } else { values.join(",") })
}
