//! Variables of the environment, as a value that tests can replace, and the secrets among them.

use std::ffi::OsString;

use super::profile::STATE_VARIABLE;
use crate::api::Url;
use crate::outside::secrets;

/// Reads a variable of the environment.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The variable that holds the address to ping.
pub(crate) const PING_URL_VARIABLE: &str = "TAGFLEET_PING_URL";

/// Makes the secrets of the environment known to whoever shows something, those that no command uses included: before
/// anything is shown, the command line's own errors.
pub(crate) fn keep_secrets(environment: Environment<'_>) {
    const SECRETS: [&str; 6] = [
        "AZURE_CLIENT_SECRET",
        "AZURE_CLIENT_CERTIFICATE_PASSWORD",
        "TAGFLEET_TOKEN",
        "IDENTITY_HEADER",
        "PGPASSWORD",
        PING_URL_VARIABLE,
    ];
    const ADDRESSES: [&str; 6] =
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", STATE_VARIABLE];
    const FILES: [&str; 2] = ["AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"];
    let text = |name: &&str| environment(name).and_then(|value| value.into_string().ok());
    for secret in SECRETS.iter().filter_map(text) {
        secrets::keep(&secret.trim_start_matches("Bearer ").into());
    }
    for address in ADDRESSES.iter().filter_map(text) {
        keep_password_of(&address);
    }
    for path in FILES.iter().filter_map(text) {
        secrets::keep_unless_path(&path);
    }
}

/// Makes the password of an address known to whoever shows something; says whether there is one.
pub(crate) fn keep_password_of(address: &str) -> bool {
    let url = Url::parse(address).ok();
    let decoded = url.as_ref().and_then(|url| url.password().map(str::to_owned));
    let parameter = url.as_ref().and_then(|url| url.query_pairs().find(|(name, _)| name == "password"));
    let as_written = secrets::in_address(address.split_once("://").map_or(address, |(_scheme, rest)| rest));
    let parameter = parameter.map(|(_, value)| value.into_owned());
    let passwords = [decoded, parameter, as_written.map(str::to_owned)].into_iter().flatten();
    passwords.inspect(|password| secrets::keep(&password.as_str().into())).count() > 0
}
