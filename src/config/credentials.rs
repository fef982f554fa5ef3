//! Who signs in, as the environment says it: the variables of Azure's own tools.

use std::path::PathBuf;

use super::error::ConfigError;
use super::variables::{secret, text};
use crate::api::sign_in::{PlatformOffers, SignInSettings};
use crate::environment::Environment;

/// Who issues tokens, if the environment says it. Azure's tools accept the host with and without its scheme.
pub(super) fn authority(environment: Environment<'_>) -> Result<Option<String>, ConfigError> {
    let named = text(environment, "AZURE_AUTHORITY_HOST")?;
    Ok(named.map(|host| if host.contains("://") { host } else { format!("https://{host}") }))
}

/// Takes over who signs in, as the environment has it, and what the platform offers.
pub(super) fn take_credentials(sign_in: &mut SignInSettings, environment: Environment<'_>) -> Result<(), ConfigError> {
    sign_in.tenant_id = text(environment, "AZURE_TENANT_ID")?;
    sign_in.client_id = text(environment, "AZURE_CLIENT_ID")?;
    sign_in.client_secret = secret(environment, "AZURE_CLIENT_SECRET")?;
    sign_in.certificate_path = text(environment, "AZURE_CLIENT_CERTIFICATE_PATH")?.map(PathBuf::from);
    sign_in.federated_token_file = text(environment, "AZURE_FEDERATED_TOKEN_FILE")?.map(PathBuf::from);
    sign_in.offers = PlatformOffers::detect(environment);
    Ok(())
}
