//! The settings in force, and where each is from.

use std::borrow::Cow;

use crate::api::Url;
use crate::cli::{CheckOptions, GeneralOptions, Origin, SettingInForce};
use crate::config::{ServiceConfig, proxy_variable};
use crate::outside::shown;
use crate::report::Setting;
use crate::store::StatePlace;

/// What counts for this command.
pub(super) fn in_force(
    options: &CheckOptions,
    general: &GeneralOptions,
    config: &ServiceConfig,
    state: Option<&StatePlace>,
) -> Vec<Setting> {
    let service = &options.service;
    let cloud = service.cloud.map(|_| "cloud");
    let base_key = if service.base_url.is_some() { "base-url" } else { cloud.unwrap_or("base-url") };
    let authority_key = cloud.filter(|_| !is_set(options, "authority-host")).unwrap_or("authority-host");
    let state_key = if is_set(options, "state") { "state" } else { "state-dir" };
    let setting = |name, value: String, key| Setting { name, value, origin: source(options, key) };
    let mut settings = vec![
        setting("API", config.client.base_url.to_string(), base_key),
        setting("sign-in at", config.sign_in.authority_host.clone(), authority_key),
        setting("tenant", known(config.sign_in.tenant_id.as_deref()), "tenant"),
        setting("app", known(config.sign_in.client_id.as_deref()), "app"),
        setting("quota", options.quota.quota.to_string(), "quota"),
    ];
    settings.extend(state.map(|place| setting("state", shown(&place.name()), state_key)));
    settings.extend(general.ca_file.as_deref().map(|path| setting("further root", shown(path), "ca-file")));
    let proxy = proxy_variable(&|name| general.settings.variable(name));
    let from =
        |origin: &'static str, address| Setting { name: "proxy", value: place_of(&address), origin: origin.into() };
    settings.extend(proxy.map(|(origin, address)| from(origin, address)));
    settings
}

/// The setting of this key in a file.
fn of<'a>(options: &'a CheckOptions, key: &str) -> Option<&'a SettingInForce> {
    options.in_force.iter().find(|setting| setting.key == key && setting.origin != Origin::Nobody)
}

fn is_set(options: &CheckOptions, key: &str) -> bool {
    of(options, key).is_some_and(|setting| setting.origin != Origin::Default)
}

/// Where the value of a key is from.
fn source(options: &CheckOptions, key: &str) -> Cow<'static, str> {
    let nobody = if matches!(key, "tenant" | "app") { "not set" } else { "default" };
    of(options, key).map_or(Cow::Borrowed(nobody), SettingInForce::source)
}

fn known(value: Option<&str>) -> String {
    value.map_or_else(|| "as the sign-in says".to_owned(), shown)
}

/// A proxy without user name and password.
fn place_of(address: &Url) -> String {
    let port = address.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", address.host_str().unwrap_or_default())
}
