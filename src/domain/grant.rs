//! A grant: what one completed authorization gave one client. It holds the authorization code while that is
//! unused and, with `offline_access`, the family of refresh tokens that grew from it (RFC 9700 §4.14.2).

use serde_json::{Map, Value};

use super::authorization::AuthorizationRequest;
use super::clock::UnixMs;
use super::pkce::{self, PkceRefusal};

/// A grant as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `grt_…`
    pub id: String,
    pub authorization: AuthorizationRequest,
    /// The issuer that the sign-in began under: `iss` of everything that comes of it, whatever URL the client calls.
    pub issuer: String,
    pub user_id: String,
    pub session_id: String,
    /// The organization that the sign-in entered: that of its tokens.
    pub organization_id: Option<String>,
    /// What an interceptor added to the session: `custom_claims` of its access tokens. Storage copies it.
    pub custom_claims: Map<String, Value>,
    /// When the user proved the address: `auth_time`.
    pub authenticated_at_ms: UnixMs,
    pub code_expires_at_ms: UnixMs,
    pub code_used_at_ms: Option<UnixMs>,
    /// How often the refresh token was rotated; `None` without `offline_access`.
    pub refresh_generation: Option<i64>,
    pub refresh_rotated_at_ms: UnixMs,
    pub refresh_expires_at_ms: UnixMs,
    pub revoked_at_ms: Option<UnixMs>,
    /// Until when it is kept at least: the latest end of any token that it may give, so that a second use of its code can
    /// still revoke them.
    pub kept_until_ms: UnixMs,
}

/// Why an authorization code is refused. All of them are `invalid_grant` to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeRefusal {
    #[error("the authorization code is not valid")]
    Unknown,
    #[error("the authorization code was issued to another client")]
    OtherClient,
    #[error("the authorization code was already used")]
    AlreadyUsed,
    #[error("the authorization code has expired")]
    Expired,
    #[error("redirect_uri differs from the one of the authorization request")]
    RedirectUriMismatch,
    #[error("redirect_uri is missing: repeat the one of the authorization request")]
    RedirectUriMissing,
    #[error(transparent)]
    Pkce(#[from] PkceRefusal),
}

/// What a client shows with its code.
#[derive(Debug, Clone, Copy)]
pub struct CodeRedemption<'a> {
    pub client_id: &'a str,
    pub redirect_uri: Option<&'a str>,
    pub code_verifier: Option<&'a str>,
}

/// Where a presented refresh token stands in its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshStanding {
    /// The newest token: rotate it.
    Current,
    /// The one before, again within the grace: its answer was lost, give the same successor.
    Repeated,
    /// An older one, or too late: somebody copied it. The family is revoked.
    Reused,
    Expired,
    Revoked,
}

impl Grant {
    /// Checks everything about a code but that it is unused, which the conditional write decides.
    pub fn check_code(&self, shown: &CodeRedemption<'_>, now_ms: UnixMs) -> Result<(), CodeRefusal> {
        if self.authorization.client_id != shown.client_id {
            return Err(CodeRefusal::OtherClient);
        }
        if self.code_used_at_ms.is_some() || self.revoked_at_ms.is_some() {
            return Err(CodeRefusal::AlreadyUsed);
        }
        if now_ms >= self.code_expires_at_ms {
            return Err(CodeRefusal::Expired);
        }
        match shown.redirect_uri {
            None => return Err(CodeRefusal::RedirectUriMissing),
            Some(uri) if uri != self.authorization.redirect_uri => {
                return Err(CodeRefusal::RedirectUriMismatch);
            }
            Some(_) => {}
        }
        pkce::check(self.authorization.code_challenge.as_ref(), shown.code_verifier)?;
        Ok(())
    }

    /// Judges the refresh token of the given generation.
    pub fn refresh_standing(&self, generation: i64, grace_s: i64, now_ms: UnixMs) -> RefreshStanding {
        let Some(current) = self.refresh_generation else { return RefreshStanding::Revoked };
        if self.revoked_at_ms.is_some() {
            RefreshStanding::Revoked
        } else if now_ms >= self.refresh_expires_at_ms {
            RefreshStanding::Expired
        } else if generation == current {
            RefreshStanding::Current
        } else if generation == current - 1
            // In both directions, or a clock that was set back would make the grace last until it gets there again.
            && (now_ms - self.refresh_rotated_at_ms).abs() < grace_s * 1000
        {
            RefreshStanding::Repeated
        } else {
            RefreshStanding::Reused
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::authorization::{Prompt, RequestedClaims};

    pub(crate) fn grant() -> Grant {
        Grant {
            id: "grt_1".into(),
            authorization: AuthorizationRequest {
                client_id: "skc_1".into(),
                redirect_uri: "https://app.example.com/cb".into(),
                scope: vec!["openid".into()],
                state: None,
                nonce: None,
                login_hint: None,
                prompt: Prompt::Auto,
                max_age_s: None,
                id_token_hint: None,
                code_challenge: None,
                organization_id: None,
                claims: RequestedClaims::default(),
                language: None,
            },
            issuer: "http://localhost:6870".into(),
            user_id: "usr_1".into(),
            session_id: "ses_1".into(),
            organization_id: None,
            custom_claims: Map::new(),
            authenticated_at_ms: 0,
            code_expires_at_ms: 600_000,
            code_used_at_ms: None,
            refresh_generation: Some(3),
            refresh_rotated_at_ms: 50_000,
            refresh_expires_at_ms: 1_000_000,
            revoked_at_ms: None,
            kept_until_ms: 1_000_000,
        }
    }

    fn shown<'a>() -> CodeRedemption<'a> {
        CodeRedemption {
            client_id: "skc_1",
            redirect_uri: Some("https://app.example.com/cb"),
            code_verifier: None,
        }
    }

    #[test]
    fn a_code_is_bound_to_client_redirect_uri_and_time() {
        assert_eq!(grant().check_code(&shown(), 599_999), Ok(()));
        assert_eq!(grant().check_code(&shown(), 600_000), Err(CodeRefusal::Expired));
        let other = CodeRedemption { client_id: "skc_2", ..shown() };
        assert_eq!(grant().check_code(&other, 1), Err(CodeRefusal::OtherClient));
        let elsewhere = CodeRedemption { redirect_uri: Some("https://app.example.com/cb/"), ..shown() };
        assert_eq!(grant().check_code(&elsewhere, 1), Err(CodeRefusal::RedirectUriMismatch));
        let nowhere = CodeRedemption { redirect_uri: None, ..shown() };
        assert_eq!(grant().check_code(&nowhere, 1), Err(CodeRefusal::RedirectUriMissing));
        let used = Grant { code_used_at_ms: Some(1), ..grant() };
        assert_eq!(used.check_code(&shown(), 2), Err(CodeRefusal::AlreadyUsed));
    }

    #[test]
    fn a_refresh_token_is_current_repeated_or_reused() {
        use RefreshStanding::*;
        assert_eq!(grant().refresh_standing(3, 10, 55_000), Current);
        assert_eq!(grant().refresh_standing(2, 10, 59_999), Repeated);
        assert_eq!(grant().refresh_standing(2, 10, 60_000), Reused);
        assert_eq!(grant().refresh_standing(1, 10, 55_000), Reused);
        assert_eq!(grant().refresh_standing(2, 10, 49_000), Repeated, "another replica's clock is behind");
        assert_eq!(grant().refresh_standing(2, 10, 40_000), Reused, "the clock was set back");
        assert_eq!(grant().refresh_standing(3, 10, 1_000_000), Expired);
        assert_eq!(Grant { revoked_at_ms: Some(1), ..grant() }.refresh_standing(3, 10, 2), Revoked);
        assert_eq!(Grant { refresh_generation: None, ..grant() }.refresh_standing(0, 10, 2), Revoked);
    }
}
