//! What the program finds around it: variables of the environment, files of settings, and the profile that they come to.
//!
//! The environment is read through a function that tests replace; nothing else reads it, but for what the Azure CLI is passed on.
//! What a key or a variable means is for [`crate::cli`], which knows the options, and for [`crate::config`].

mod profile;
mod settings_file;
mod variables;

pub(crate) use profile::{Profile, STATE_VARIABLE};
pub(crate) use settings_file::{Entry, Place, SettingsError, SettingsFile, Written, places as settings_places};
pub(crate) use variables::{Environment, PING_URL_VARIABLE, keep_password_of, keep_secrets};
