//! How to sign in: as it is asked for, and as it is done.

use std::fmt;

use clap::ValueEnum;

/// How to sign in, as `--auth` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, ValueEnum)]
pub(crate) enum AuthMethod {
    /// The first of the following that the environment allows
    #[default]
    Auto,
    /// A client secret
    Secret,
    /// A certificate with its private key
    Certificate,
    /// A federated token from the platform, as in Kubernetes
    Workload,
    /// The identity that Azure gives to this machine
    ManagedIdentity,
    /// The account that is signed in to the Azure CLI
    AzureCli,
    /// A ready token
    Token,
    /// You, in a browser on this computer
    Browser,
    /// You, with a code on any device
    DeviceCode,
}

/// How the sign-in is done: [`AuthMethod`] with `auto` decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SignInMethod {
    /// A client secret.
    Secret,
    /// A certificate with its private key.
    Certificate,
    /// A federated token from the platform.
    Workload,
    /// The identity that Azure gives to this machine.
    ManagedIdentity,
    /// Whoever is signed in to the Azure CLI.
    AzureCli,
    /// A ready token.
    Token,
    /// A person in a browser.
    Browser,
    /// A person with a code on any device.
    DeviceCode,
}

impl SignInMethod {
    /// Whether a person is asked, who has to be there.
    pub(crate) const fn asks_a_person(self) -> bool {
        matches!(self, Self::Browser | Self::DeviceCode)
    }

    /// The method's name, as `--auth` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Workload => "workload",
            Self::ManagedIdentity => "managed-identity",
            Self::AzureCli => "azure-cli",
            Self::Token => "token",
            Self::Browser => "browser",
            Self::DeviceCode => "device-code",
        }
    }
}

/// The method as it stands after "sign in".
impl fmt::Display for SignInMethod {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Secret => "with a client secret",
            Self::Certificate => "with a certificate",
            Self::Workload => "with a workload identity",
            Self::ManagedIdentity => "with a managed identity",
            Self::AzureCli => "through the Azure CLI",
            Self::Token => "with a ready token",
            Self::Browser => "in a browser",
            Self::DeviceCode => "with a device code",
        })
    }
}
