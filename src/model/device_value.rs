//! How much a device counts.

use std::fmt;

use serde::Serialize;

/// The value of a device, as vulnerability management weighs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum DeviceValue {
    /// Counts less.
    Low,
    /// What a device has until somebody sets another.
    Normal,
    /// Counts more.
    High,
}

impl DeviceValue {
    /// Reads a name in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Low, Self::Normal, Self::High].into_iter().find(|value| value.as_str().eq_ignore_ascii_case(text))
    }

    /// The name as the API wants it; its enum values are case-sensitive.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Normal => "Normal",
            Self::High => "High",
        }
    }
}

impl fmt::Display for DeviceValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
