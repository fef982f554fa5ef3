//! The clouds that Defender for Endpoint runs in: where the API is, who signs in, and for what.
//!
//! The three belong together: a token for another cloud's scope is a 403, and another cloud's
//! authority does not know the tenant. All figures come from the API page's table of hosts. The
//! geographic hosts (`us`, `eu`, ...) are the commercial cloud by a nearer door: same authority,
//! same scope.

use std::net::IpAddr;

use clap::ValueEnum;

/// A cloud, as `--cloud` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, ValueEnum)]
pub(crate) enum Cloud {
    /// The commercial cloud, by its worldwide host
    #[default]
    Commercial,
    /// The commercial cloud, United States
    Us,
    /// The commercial cloud, Europe
    Eu,
    /// The commercial cloud, United Kingdom
    Uk,
    /// The commercial cloud, Australia
    Au,
    /// The commercial cloud, Switzerland
    Swa,
    /// The commercial cloud, India
    Ina,
    /// The commercial cloud, United Arab Emirates
    Aea,
    /// United States government, GCC
    Gcc,
    /// United States government, GCC High
    GccHigh,
    /// United States Department of Defense
    Dod,
}

/// Signs in for the commercial clouds and for GCC.
const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";
/// Signs in for GCC High and the Department of Defense.
const GOVERNMENT_AUTHORITY: &str = "https://login.microsoftonline.us";

/// The API hosts of all clouds; the geographic ones are subdomains of the first.
const API_HOSTS: [&str; 5] = [
    "api.security.microsoft.com",
    "api.securitycenter.microsoft.com",
    "api.securitycenter.windows.com",
    "api-gcc.securitycenter.microsoft.us",
    "api-gov.securitycenter.microsoft.us",
];

impl Cloud {
    /// Where this cloud's API is: scheme and host, without a closing slash.
    pub(crate) fn base_url(self) -> &'static str {
        match self {
            Self::Commercial => "https://api.security.microsoft.com",
            Self::Us => "https://us.api.security.microsoft.com",
            Self::Eu => "https://eu.api.security.microsoft.com",
            Self::Uk => "https://uk.api.security.microsoft.com",
            Self::Au => "https://au.api.security.microsoft.com",
            Self::Swa => "https://swa.api.security.microsoft.com",
            Self::Ina => "https://ina.api.security.microsoft.com",
            Self::Aea => "https://aea.api.security.microsoft.com",
            Self::Gcc => "https://api-gcc.securitycenter.microsoft.us",
            Self::GccHigh | Self::Dod => "https://api-gov.securitycenter.microsoft.us",
        }
    }

    /// Who issues tokens for this cloud: scheme and host, without a closing slash.
    pub(crate) fn authority(self) -> &'static str {
        match self {
            Self::GccHigh | Self::Dod => GOVERNMENT_AUTHORITY,
            Self::Commercial
            | Self::Us
            | Self::Eu
            | Self::Uk
            | Self::Au
            | Self::Swa
            | Self::Ina
            | Self::Aea
            | Self::Gcc => PUBLIC_AUTHORITY,
        }
    }

    /// What a token for this cloud's API is asked for. It differs from the host's name in the
    /// commercial cloud: the one scope serves every commercial host.
    pub(crate) fn scope(self) -> &'static str {
        match self {
            Self::Commercial | Self::Us | Self::Eu | Self::Uk | Self::Au | Self::Swa | Self::Ina | Self::Aea => {
                "https://api.securitycenter.microsoft.com/.default"
            }
            Self::Gcc => "https://api-gcc.securitycenter.microsoft.us/.default",
            Self::GccHigh | Self::Dod => "https://api-gov.securitycenter.microsoft.us/.default",
        }
    }
}

/// What a token is asked for that a database of the platform takes for a password: `PostgreSQL` of the cloud whose sign-in
/// service has this address.
pub(crate) fn database_scope(authority: &str) -> &'static str {
    if authority.trim_end_matches('/') == GOVERNMENT_AUTHORITY {
        "https://ossrdbms-aad.database.usgovcloudapi.net/.default"
    } else {
        "https://ossrdbms-aad.database.windows.net/.default"
    }
}

/// Whether `host` (a name, without port) is one of Microsoft's API hosts or a subdomain of one.
/// Anything else gets the token only if the user allows it by name.
pub(crate) fn is_microsoft_host(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    API_HOSTS.iter().any(|known| {
        host == *known
            || host
                .strip_suffix(known)
                .and_then(|front| front.strip_suffix('.'))
                .is_some_and(|subdomain| !subdomain.is_empty())
    })
}

/// Whether `host`, as a URL writes it (IPv6 in brackets), is this computer: 127.0.0.0/8, `::1`, or
/// `localhost`.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || ip_address(host).is_some_and(|address| address.is_loopback())
}

/// The address that a URL's host is written as, if it is one.
pub(crate) fn ip_address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cloud_has_the_name_host_authority_and_scope_of_the_api_page() {
        let public = "https://login.microsoftonline.com";
        let government = "https://login.microsoftonline.us";
        let commercial = "https://api.securitycenter.microsoft.com/.default";
        let gcc = "https://api-gcc.securitycenter.microsoft.us/.default";
        let gov = "https://api-gov.securitycenter.microsoft.us/.default";
        let expected = [
            ("commercial", "api.security.microsoft.com", public, commercial),
            ("us", "us.api.security.microsoft.com", public, commercial),
            ("eu", "eu.api.security.microsoft.com", public, commercial),
            ("uk", "uk.api.security.microsoft.com", public, commercial),
            ("au", "au.api.security.microsoft.com", public, commercial),
            ("swa", "swa.api.security.microsoft.com", public, commercial),
            ("ina", "ina.api.security.microsoft.com", public, commercial),
            ("aea", "aea.api.security.microsoft.com", public, commercial),
            ("gcc", "api-gcc.securitycenter.microsoft.us", public, gcc),
            ("gcc-high", "api-gov.securitycenter.microsoft.us", government, gov),
            ("dod", "api-gov.securitycenter.microsoft.us", government, gov),
        ];
        assert_eq!(Cloud::value_variants().len(), expected.len());
        for (cloud, (name, host, authority, scope)) in Cloud::value_variants().iter().zip(expected) {
            let shown = cloud.to_possible_value().expect("every cloud can be typed");
            assert_eq!(shown.get_name(), name);
            assert_eq!(cloud.base_url(), format!("https://{host}"));
            assert_eq!(cloud.authority(), authority, "{name}");
            assert_eq!(cloud.scope(), scope, "{name}");
            assert!(is_microsoft_host(host), "{name}");
        }
    }

    #[test]
    fn only_the_known_hosts_and_their_subdomains_are_microsofts() {
        let cases = [
            ("api.securitycenter.windows.com", true),
            ("API.Security.Microsoft.COM", true),
            ("new.api.security.microsoft.com", true),
            ("notapi.security.microsoft.com", false),
            (".api.security.microsoft.com", false),
            ("security.microsoft.com", false),
            ("microsoft.com", false),
            ("api.security.microsoft.com.example.org", false),
            ("api.security.microsoft.com.", false),
            ("api-security-microsoft.com", false),
            ("evilapi-gcc.securitycenter.microsoft.us", false),
            ("127.0.0.1", false),
            ("", false),
        ];
        for (host, expected) in cases {
            assert_eq!(is_microsoft_host(host), expected, "{host}");
        }
    }

    #[test]
    fn loopback_is_this_computer_only() {
        let cases = [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("localhost", true),
            ("LocalHost", true),
            ("localhost.example.org", false),
            ("127.0.0.1.example.org", false),
            ("10.0.0.1", false),
            ("0.0.0.0", false),
            ("169.254.169.254", false),
            ("[::2]", false),
            ("", false),
        ];
        for (host, expected) in cases {
            assert_eq!(is_loopback_host(host), expected, "{host}");
        }
    }
}
