//! The settings in force, and where each is from.

use std::path::Path;

use crate::api::Url;
use crate::cli::{CheckOptions, GeneralOptions};
use crate::config::{ServiceConfig, proxy_variable};
use crate::outside::shown;
use crate::report::Setting;

/// What counts for this command.
pub(super) fn in_force(
    options: &CheckOptions,
    general: &GeneralOptions,
    config: &ServiceConfig,
    state_directory: Option<&Path>,
) -> Vec<Setting> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let service = &options.service;
    let by_cloud = if service.cloud.is_some() { "--cloud" } else { "default" };
    let base_origin = match (&service.base_url, service.cloud) {
        (Some(_), _) => "--base-url",
        (None, Some(_)) => "--cloud",
        (None, None) if is_set("TAGFLEET_BASE_URL") => "TAGFLEET_BASE_URL",
        (None, None) => "default",
    };
    let authority_origin = if is_set("AZURE_AUTHORITY_HOST") { "AZURE_AUTHORITY_HOST" } else { by_cloud };
    let state_origin = match &general.state_dir {
        Some(_) => "--state-dir",
        None if is_set("TAGFLEET_STATE_DIR") => "TAGFLEET_STATE_DIR",
        None => "default",
    };
    let setting = |name, value: String, origin| Setting { name, value, origin };
    let mut settings = vec![
        setting("API", config.client.base_url.to_string(), base_origin),
        setting("sign-in at", config.sign_in.authority_host.clone(), authority_origin),
        setting("tenant", known(config.sign_in.tenant_id.as_deref()), "AZURE_TENANT_ID"),
        setting("app", known(config.sign_in.client_id.as_deref()), "AZURE_CLIENT_ID"),
        setting("quota", options.quota.quota.to_string(), "--quota"),
    ];
    settings.extend(state_directory.map(|path| setting("state", shown(path), state_origin)));
    settings.extend(service.ca_file.as_deref().map(|path| setting("further root", shown(path), "--ca-file")));
    let proxy = proxy_variable(&|name| general.settings.variable(name));
    settings.extend(proxy.map(|(origin, address)| setting("proxy", place_of(&address), origin)));
    settings
}

fn known(value: Option<&str>) -> String {
    value.map_or_else(|| "as the sign-in says".to_owned(), shown)
}

/// A proxy without user name and password.
fn place_of(address: &Url) -> String {
    let port = address.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", address.host_str().unwrap_or_default())
}
