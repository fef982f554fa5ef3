//! Why a setting of the sandbox is refused.

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sandbox setting {setting}: {problem}")]
pub struct SettingsError {
    /// The setting's name in plain words.
    pub setting: &'static str,
    /// What is wrong with it.
    pub problem: String,
}
