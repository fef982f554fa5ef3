//! The settings in force, and where each is from.

use std::borrow::Cow;

use crate::api::Url;
use crate::api::sign_in::SignInMethod;
use crate::cli::{CheckOptions, GeneralOptions, Origin, SettingInForce};
use crate::config::ServiceConfig;
use crate::outside::shown;
use crate::report::Setting;
use crate::store::StatePlace;

/// Keys that have a line under another name, or in common.
const TOLD: [&str; 13] = [
    "base-url",
    "authority-host",
    "tenant",
    "app",
    "auth",
    "token-file",
    "client-secret-file",
    "client-certificate-file",
    "federated-token-file",
    "quota",
    "state",
    "state-dir",
    "ca-file",
];
/// Keys that decide every run, whether or not somebody sets them.
const ALWAYS: [&str; 4] = ["quota-share", "quota-scope", "concurrency", "max-outage"];

/// What counts for this command, and for a run.
pub(super) fn in_force(
    options: &CheckOptions,
    general: &GeneralOptions,
    config: &ServiceConfig,
    state: Option<&StatePlace>,
) -> Vec<Setting> {
    let service = &options.service;
    let cloud = service.cloud.map(|_| "cloud");
    let base_key = if service.base_url.is_some() { "base-url" } else { cloud.unwrap_or("base-url") };
    let authority_key = cloud.filter(|_| !is_set(general, "authority-host")).unwrap_or("authority-host");
    let state_key = if is_set(general, "state") { "state" } else { "state-dir" };
    let setting = |name: &'static str, value: String, key| of_key(general, name, value, key);
    let mut settings = vec![
        setting("API", config.client.base_url.to_string(), base_key),
        setting("sign-in at", config.sign_in.authority_host.clone(), authority_key),
        setting("tenant", known(config.sign_in.tenant_id.as_deref()), "tenant"),
        setting("app", known(config.sign_in.client_id.as_deref()), "app"),
    ];
    settings.extend(signing_in(general, config));
    settings.push(setting("quota", options.quota.quota.to_string(), "quota"));
    settings.extend(ALWAYS.iter().filter_map(|key| of(general, key)).map(as_set));
    settings.extend(state.map(|place| setting("state", shown(&place.name()), state_key)));
    settings.extend(general.ca_file.as_deref().map(|path| setting("further root", shown(path), "ca-file")));
    settings.extend(config.proxy.as_ref().map(|(origin, address)| Setting {
        name: "proxy".into(),
        value: place_of(address),
        origin: (*origin).into(),
    }));
    let is_told = |key: &str| TOLD.contains(&key) || ALWAYS.contains(&key);
    let others = general.in_force.iter().filter(|other| is_set(general, &other.key) && !is_told(&other.key));
    settings.extend(others.map(as_set));
    settings
}

/// How to sign in, and where the secret for it is from: the file or the variable, never what is in it.
fn signing_in(general: &GeneralOptions, config: &ServiceConfig) -> Vec<Setting> {
    let method = config.sign_in.choose_method().ok();
    let credential = method.and_then(|method| match method {
        SignInMethod::Token => of(general, "token-file"),
        SignInMethod::Secret => of(general, "client-secret-file"),
        SignInMethod::Certificate => of(general, "client-certificate-file"),
        SignInMethod::Workload => of(general, "federated-token-file"),
        SignInMethod::ManagedIdentity | SignInMethod::AzureCli | SignInMethod::Browser | SignInMethod::DeviceCode => {
            None
        }
    });
    let value = method.map_or("none", SignInMethod::name).to_owned();
    let mut settings = vec![of_key(general, "sign-in", value, "auth")];
    settings.extend(credential.map(as_set));
    settings
}

/// A setting that is shown as it is set.
fn as_set(setting: &SettingInForce) -> Setting {
    let value = setting.value.as_deref().map(shown).unwrap_or_default();
    Setting { name: setting.key.clone().into(), value, origin: setting.source() }
}

fn of_key(general: &GeneralOptions, name: &'static str, value: String, key: &str) -> Setting {
    Setting { name: name.into(), value, origin: source(general, key) }
}

/// The setting of this key in a file.
fn of<'a>(general: &'a GeneralOptions, key: &str) -> Option<&'a SettingInForce> {
    general.in_force.iter().find(|setting| setting.key == key && setting.origin != Origin::Nobody)
}

fn is_set(general: &GeneralOptions, key: &str) -> bool {
    of(general, key).is_some_and(|setting| setting.origin != Origin::Default)
}

/// Where the value of a key is from.
fn source(general: &GeneralOptions, key: &str) -> Cow<'static, str> {
    let nobody = if matches!(key, "tenant" | "app") { "not set" } else { "default" };
    of(general, key).map_or(Cow::Borrowed(nobody), SettingInForce::source)
}

fn known(value: Option<&str>) -> String {
    value.map_or_else(|| "as the sign-in says".to_owned(), shown)
}

/// A proxy without user name and password.
fn place_of(address: &Url) -> String {
    let port = address.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", address.host_str().unwrap_or_default())
}
