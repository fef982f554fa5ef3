//! What to do about a sign-in that failed, as data: one sentence's worth per cause.

use super::method::SignInMethod;
use super::trouble::Trouble;

/// What to do for the numbers that a misconfigured app meets. The numbers are Microsoft's; its page
/// on authentication error codes warns that they may change, so nothing but the hint depends on
/// them.
pub(super) fn for_code(method: SignInMethod, code: u32) -> Option<&'static str> {
    Some(match code {
        7_000_215 => {
            "the client secret is wrong: set AZURE_CLIENT_SECRET (or --client-secret-file) to \
             the secret's value, not to its id"
        }
        7_000_222 => "the client secret has expired: create a new one in the app registration and use that",
        700_016 => {
            "the tenant does not know this app: check AZURE_CLIENT_ID, AZURE_TENANT_ID and \
             --cloud, and that an administrator has consented to the app"
        }
        7_000_229 => {
            "the app has no service principal in this tenant: let an administrator consent to \
             it first"
        }
        7_000_112 => "the app is disabled in this tenant: let an administrator enable it",
        90_002 | 900_023 | 900_021 => {
            "there is no such tenant in this cloud: check AZURE_TENANT_ID (the directory's id \
             or domain) and --cloud"
        }
        900_382 | 900_439 => "the tenant lives in another cloud: choose it with --cloud",
        700_027 => {
            "the app does not know this certificate: upload the certificate of \
             AZURE_CLIENT_CERTIFICATE_PATH to the app registration, and check that it has not \
             expired"
        }
        700_024 | 500_133 => "the assertion is not valid at this time: check this computer's clock",
        70_021 | 700_211..=700_213 => {
            "the app has no federated credential for this workload: compare issuer, subject and \
             audience of the token in AZURE_FEDERATED_TOKEN_FILE with the app registration"
        }
        70_011 | 1_002_012 | 500_011 => {
            "this tenant does not offer the API of the chosen cloud: check --cloud, and that \
             the tenant has Microsoft Defender for Endpoint"
        }
        7_000_218 => {
            "the app is not registered for people: in its registration, under Authentication, switch on Allow public \
             client flows"
        }
        50_011 | 500_113 => {
            "the app has no place to come back to: in its registration, under Authentication, add http://localhost as a \
             redirect URI of mobile and desktop applications"
        }
        65_001 => "the app lacks consent: give it the delegated permission Machine.ReadWrite of WindowsDefenderATP",
        53_003 => "a Conditional Access policy blocks this sign-in: ask the administrator of the policies",
        50_076 | 50_079 | 50_078 | 50_173 | 70_043 | 700_082 if method == SignInMethod::AzureCli => {
            "run `az login` again, then repeat the command"
        }
        50_076 | 50_079 | 50_078 | 50_173 | 70_043 | 700_082 => {
            "the sign-in has ended: run the command again, or `tagfleet resume` with the same --auth, and sign in anew"
        }
        _ => return None,
    })
}

/// What to do where a policy does not let a person sign in like this: there is another way.
pub(super) fn for_policy(method: SignInMethod, code: u32) -> Option<&'static str> {
    if !matches!(code, 53_000..=53_003 | 530_031..=530_035) {
        return None;
    }
    match method {
        SignInMethod::Browser => Some(
            "a Conditional Access policy blocks this browser: sign in from a managed device, with --auth device-code on \
             one, or as an app; the administrator of the policies knows what is allowed",
        ),
        SignInMethod::DeviceCode => Some(
            "a Conditional Access policy blocks device codes: sign in with --auth browser on a managed device, or as an \
             app; the administrator of the policies knows what is allowed",
        ),
        _ => None,
    }
}

/// What to check when the refusal's number says nothing.
pub(super) fn for_method(method: SignInMethod) -> Option<&'static str> {
    match method {
        SignInMethod::ManagedIdentity => Some(
            "check that an identity is assigned to this machine; for a user-assigned one set \
             AZURE_CLIENT_ID to its client id",
        ),
        SignInMethod::AzureCli => Some("run `az login`, or choose another method with --auth"),
        SignInMethod::Browser | SignInMethod::DeviceCode => Some(
            "check AZURE_TENANT_ID, AZURE_CLIENT_ID and --cloud; the app needs the delegated permission \
             Machine.ReadWrite and public client flows (tagfleet help sign-in)",
        ),
        SignInMethod::Secret | SignInMethod::Certificate | SignInMethod::Workload => Some(
            "check AZURE_TENANT_ID, AZURE_CLIENT_ID, --cloud, and whether a proxy answered in \
             the authority's place",
        ),
        SignInMethod::Token => None,
    }
}

/// What to do when signing in again gives the token that the API refused.
pub(super) fn for_same_token(method: SignInMethod) -> &'static str {
    match method {
        SignInMethod::Token => {
            "put a new token into TAGFLEET_TOKEN or the token file, made for this cloud's API, \
             or sign in by a method that can renew tokens"
        }
        SignInMethod::ManagedIdentity | SignInMethod::AzureCli => {
            "tokens are kept by the platform until they end, permissions given since then \
             included: wait for that, or sign in anew; check --cloud, too"
        }
        SignInMethod::Secret
        | SignInMethod::Certificate
        | SignInMethod::Workload
        | SignInMethod::Browser
        | SignInMethod::DeviceCode => "check --cloud and --base-url: the token may be for another API",
    }
}

/// What to do about a proxy that wants to know who is asking.
pub(in crate::api) const PROXY_AUTHENTICATION_HINT: &str =
    "put the proxy's user name and password into HTTPS_PROXY, or ask for a way past it";

/// What to check when no usable answer came.
pub(super) fn for_trouble(method: SignInMethod, trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::NoConnection | Trouble::TimedOut if method == SignInMethod::ManagedIdentity => {
            "check that this machine is in Azure and has a managed identity, or choose another \
             method with --auth"
        }
        Trouble::NoConnection | Trouble::TimedOut | Trouble::BrokenOff => {
            "check the network, the proxy settings (HTTPS_PROXY, NO_PROXY), --cloud and \
             AZURE_AUTHORITY_HOST"
        }
        Trouble::Untrusted(problem) => problem.hint(),
        Trouble::ProxyAuthentication => PROXY_AUTHENTICATION_HINT,
        Trouble::Status(_) => "the sign-in service is busy or down: try again later",
        Trouble::Unreadable | Trouble::TooLarge if method == SignInMethod::AzureCli => {
            "look at what `az account get-access-token` prints, and which az that is: something else answers in its place"
        }
        Trouble::Unreadable | Trouble::TooLarge => {
            "a proxy or a sign-on page may have answered in the authority's place: check \
             HTTPS_PROXY and AZURE_AUTHORITY_HOST"
        }
    }
}
