//! Whose token it is, where somebody has said beforehand whose it must be.

use super::error::SignInError;
use super::token::BearerToken;

/// The tenant that every token must be of.
#[derive(Debug)]
pub(super) struct ExpectedTenant {
    /// Its id, or one of its domains.
    name: String,
    /// Whether a token need not name it, since the address that issues the tokens does, or nobody asks for a proof.
    is_of_issuer: bool,
}

impl ExpectedTenant {
    /// That of a profile: a token has to say that it is of the tenant.
    pub(super) fn proven(name: &str, is_of_issuer: bool) -> Self {
        Self { name: name.trim().to_owned(), is_of_issuer }
    }

    /// That of `AZURE_TENANT_ID`: a token must not say that it is of another one. A domain and an opaque token say nothing.
    pub(super) fn not_denied(name: &str) -> Self {
        Self::proven(name, true)
    }

    /// Hands a token on that is of the tenant.
    pub(super) fn check(&self, token: BearerToken) -> Result<BearerToken, SignInError> {
        let claimed = token.claims().and_then(|claims| claims.tenant_id.as_deref());
        let is_proven = match claimed {
            Some(tenant) if tenant.eq_ignore_ascii_case(&self.name) => true,
            // A domain in the issuer's address is as good as the id that the issuer puts into the token.
            Some(_) => self.is_of_issuer && !is_tenant_id(&self.name),
            None => self.is_of_issuer,
        };
        if is_proven {
            return Ok(token);
        }
        Err(SignInError::OtherTenant { expected: self.name.clone(), found: claimed.map(str::to_owned) })
    }
}

/// Whether a tenant is named by its id: 32 hexadecimal digits with hyphens (RFC 9562).
pub(crate) fn is_tenant_id(tenant: &str) -> bool {
    let groups: Vec<usize> = tenant.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && tenant.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const ID: &str = "12345678-9ABC-def0-1234-56789abcdef0";

    fn token(claims: Option<&str>) -> BearerToken {
        let text = match claims {
            Some(tenant) => format!("e30.{}.s", URL_SAFE_NO_PAD.encode(format!("{{\"tid\":\"{tenant}\"}}"))),
            None => "opaque".to_owned(),
        };
        BearerToken::new(&text.into(), 1).expect("a possible token")
    }

    #[test]
    fn a_token_is_taken_only_where_it_is_clear_that_it_is_of_the_tenant() {
        let other = "00000000-0000-0000-0000-000000000000";
        let lower = ID.to_lowercase();
        for (expected, is_of_issuer, claimed, is_taken) in [
            (ID, false, Some(lower.as_str()), true),
            (ID, false, Some(other), false),
            (ID, true, Some(other), false),
            (ID, false, None, false),
            (ID, true, None, true),
            ("contoso.com", true, Some(other), true),
            ("contoso.com", false, Some(other), false),
            ("contoso.com", false, Some("Contoso.com"), true),
        ] {
            let checked = ExpectedTenant::proven(expected, is_of_issuer).check(token(claimed));
            assert_eq!(checked.is_ok(), is_taken, "{expected} {is_of_issuer} {claimed:?}");
        }
    }

    #[test]
    fn a_token_that_says_it_is_of_another_tenant_than_the_variable_is_none() {
        let other = "00000000-0000-0000-0000-000000000000";
        for (named, claimed, is_taken) in [
            (ID, Some(ID), true),
            (ID, Some(other), false),
            (ID, None, true),
            ("contoso.com", Some(other), true),
            ("contoso.com", None, true),
        ] {
            let checked = ExpectedTenant::not_denied(named).check(token(claimed));
            assert_eq!(checked.is_ok(), is_taken, "{named} {claimed:?}");
        }
    }

    #[test]
    fn a_tenants_id_is_told_from_its_domain() {
        assert!(is_tenant_id(ID));
        for other in
            ["contoso.onmicrosoft.com", "", "12345678-9abc-def0-1234-56789abcdefg", "123456789abcdef0123456789abcdef0"]
        {
            assert!(!is_tenant_id(other), "{other}");
        }
    }
}
