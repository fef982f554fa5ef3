//! What a token says of itself, held against what a run needs. The service has the last word: nothing here is verified.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::sign_in::{SignInSettings, TokenClaims};
use crate::exit::{CommandError, ExitStatus};
use crate::outside::Outside;
use crate::words::minute;

/// The permission of an app, and that of a person.
const APP_PERMISSION: &str = "Machine.ReadWrite.All";
const PERSON_PERMISSION: &str = "Machine.ReadWrite";
/// By which names tokens for the API call it, whatever they were asked for.
const KNOWN_AUDIENCES: [&str; 4] = [
    "https://api.securitycenter.microsoft.com",
    "https://api.security.microsoft.com",
    "https://securitycenter.onmicrosoft.com/windowsatpservice",
    "fc780465-2017-40d4-a0c5-307022471b92",
];

/// What is known of a token that says nothing of itself.
pub(super) const OPAQUE: &str = "there is one that says nothing of itself: its tenant, audience and permissions are not \
    known, and the call decides";

/// What it is good for, in a line. Whose it is, the sign-in has looked at.
pub(super) fn judged(claims: &TokenClaims, settings: &SignInSettings, now: Timestamp) -> Result<String, CommandError> {
    let refused =
        |message: String, hint: &str| Err(CommandError::text(ExitStatus::ServiceRefused, message, Some(hint)));
    let resource = settings.scope.trim_end_matches("/.default");
    if let Some(audience) = claims.audience.as_deref() {
        let audience = audience.trim_end_matches('/');
        if audience != resource && !KNOWN_AUDIENCES.contains(&audience) {
            let message = format!("the token is for {}, and not for {resource}", Outside::new(audience).line());
            return refused(message, "check --cloud; a ready token has to be made for this API");
        }
    }
    let (permissions, needed) =
        if claims.is_delegated() { (&claims.scopes, PERSON_PERMISSION) } else { (&claims.roles, APP_PERMISSION) };
    if !permissions.iter().any(|permission| permission == needed) {
        let held = if permissions.is_empty() { "no permission".to_owned() } else { permissions.join(", ") };
        let message = format!("the token has {}, and not {needed}", Outside::new(held).line());
        let hint = "add the permission for WindowsDefenderATP to the app registration, with an administrator's consent \
                    (tagfleet help sign-in)";
        return refused(message, hint);
    }
    let ends = claims.expires_at_unix_seconds.and_then(|end| Timestamp::from_second(end).ok());
    if let Some(end) = ends.filter(|end| *end <= now) {
        let message = format!("the token ended at {}", minute(end, &TimeZone::system()));
        return refused(message, "get a new token, or check this computer's clock");
    }
    let whose = if claims.is_delegated() { "a person in app" } else { "app" };
    let name =
        |claim: &Option<String>| claim.as_deref().map_or_else(|| "?".to_owned(), |name| Outside::new(name).line());
    let until = ends.map(|end| format!(", until {}", minute(end, &TimeZone::system()))).unwrap_or_default();
    Ok(format!("{whose} {}, tenant {}, {needed}{until}", name(&claims.application_id), name(&claims.tenant_id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "11111111-2222-3333-4444-555555555555";

    fn good() -> TokenClaims {
        TokenClaims {
            tenant_id: Some(TENANT.to_owned()),
            application_id: Some("a-1".to_owned()),
            audience: Some("https://api.example/".to_owned()),
            roles: vec![APP_PERMISSION.to_owned()],
            scopes: Vec::new(),
            expires_at_unix_seconds: Some(2_000),
        }
    }

    fn said_of(claims: &TokenClaims) -> String {
        let now = Timestamp::from_second(1_000).expect("a time");
        let settings = SignInSettings::new("https://login.example", "https://api.example/.default");
        judged(claims, &settings, now).unwrap_or_else(|error| error.problem.error.to_string())
    }

    #[test]
    fn each_claim_is_held_against_what_a_run_needs() {
        let text = said_of(&good());
        assert!(text.starts_with(&format!("app a-1, tenant {TENANT}, Machine.ReadWrite.All, until ")), "{text}");
        let person = TokenClaims { roles: Vec::new(), scopes: vec![PERSON_PERMISSION.to_owned()], ..good() };
        assert!(said_of(&person).starts_with("a person in app a-1"), "{}", said_of(&person));
        let wrong = [
            (
                TokenClaims { audience: Some("https://graph.microsoft.com".to_owned()), ..good() },
                "the token is for https://graph",
            ),
            (TokenClaims { roles: Vec::new(), ..good() }, "the token has no permission"),
            (
                TokenClaims { roles: vec!["Machine.Read.All".to_owned()], ..good() },
                "the token has Machine.Read.All, and not",
            ),
            (TokenClaims { scopes: vec!["Machine.Read".to_owned()], ..good() }, "and not Machine.ReadWrite"),
            (TokenClaims { expires_at_unix_seconds: Some(1_000), ..good() }, "the token ended at"),
        ];
        for (claims, expected) in wrong {
            assert!(said_of(&claims).contains(expected), "{expected}: {}", said_of(&claims));
        }
        let nothing = TokenClaims { tenant_id: None, audience: None, expires_at_unix_seconds: None, ..good() };
        assert_eq!(said_of(&nothing), "app a-1, tenant ?, Machine.ReadWrite.All");
    }
}
