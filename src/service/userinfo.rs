//! `/userinfo` and what it shares with introspection: is this access token good now?

use serde::Serialize;

use super::Failure;
use crate::domain::ids::grant_of_token_id;
use crate::domain::token::{AccessTokenClaims, PersonClaims, scope_allows_claim, seconds};
use crate::runtime::{Context, current_request};
use crate::storage::GrantWithSubject;

/// Claims about the user (OpenID Connect Core 1.0 §5.3.2).
#[derive(Debug, Serialize)]
pub struct UserInfo {
    pub sub: String,
    #[serde(flatten)]
    pub person: PersonClaims,
}

/// Why an access token opens nothing (RFC 6750 §3.1).
#[derive(Debug)]
pub enum AccessRefusal {
    /// Malformed, forged, expired, revoked, or of another issuer.
    InvalidToken(&'static str),
    InsufficientScope,
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for AccessRefusal {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

/// Verifies an access token: signature, issuer, time by our clock, and that neither it nor its grant was revoked. Gives
/// its claims, and its grant unless it is a client's own token.
pub async fn check_access_token(
    context: &Context,
    token: &str,
) -> Result<(AccessTokenClaims, Option<GrantWithSubject>), AccessRefusal> {
    let refuse = |why| Err(AccessRefusal::InvalidToken(why));
    let Ok(claims) = context.runtime.keys.current().verify::<AccessTokenClaims>(token) else {
        return refuse("the access token is not valid");
    };
    if !context.environment.is_issuer(&claims.iss) {
        return refuse("the access token is of another issuer");
    }
    if seconds(context.now_ms()) >= claims.exp {
        return refuse("the access token has expired");
    }
    let (store, environment_id) = (context.store(), context.environment_id());
    let Some(grant_id) = grant_of_token_id(&claims.jti) else {
        if store.is_token_revoked(environment_id, &claims.jti).await? {
            return refuse("the access token was revoked");
        }
        return Ok((claims, None));
    };
    match store.grant_with_subject_of_token(environment_id, &grant_id, &claims.jti).await? {
        Some(found) if found.grant.revoked_at_ms.is_none() => Ok((claims, Some(found))),
        _ => refuse("the access token was revoked"),
    }
}

/// What the bearer of an access token may know about its person.
pub async fn userinfo(context: &Context, token: &str) -> Result<UserInfo, AccessRefusal> {
    let (claims, found) = check_access_token(context, token).await?;
    current_request::note_client(&claims.client_id);
    let Some(GrantWithSubject { grant, user, .. }) =
        found.filter(|_| claims.scopes.iter().any(|s| s == "openid"))
    else {
        return Err(AccessRefusal::InsufficientScope);
    };
    let asked = &grant.authorization.claims.userinfo;
    let allows = |claim: &str| scope_allows_claim(&claims.scopes, claim) || asked.iter().any(|c| c == claim);
    Ok(UserInfo { sub: claims.sub, person: PersonClaims::of(&user, allows) })
}
