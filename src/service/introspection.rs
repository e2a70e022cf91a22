//! Introspection (RFC 7662) and revocation (RFC 7009).

use serde::Serialize;

use super::Failure;
use super::userinfo::{AccessRefusal, check_access_token};
use crate::domain::grant::RefreshStanding;
use crate::domain::token::{AccessTokenClaims, seconds};
use crate::runtime::Context;
use crate::storage::GrantWithSubject;

/// What a resource server is told about a token (RFC 7662 §2.2). An inactive one is told nothing about.
#[derive(Debug, Default, Serialize)]
pub struct Introspection {
    pub active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub claims: Option<AccessTokenClaims>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshInfo>,
}

/// The little there is to say of a refresh token.
#[derive(Debug, Serialize)]
pub struct RefreshInfo {
    pub client_id: String,
    pub scope: String,
    pub exp: i64,
}

/// Looks a token up for an authenticated client. Access tokens may be shown by any confidential client of the
/// environment, being meant for resource servers; refresh tokens only by their own.
pub async fn introspect(context: &Context, client_id: &str, token: &str) -> Result<Introspection, Failure> {
    if let Some((grant_id, generation)) = context.secret().open_refresh_token(token) {
        let found = context.store().grant_with_subject(context.environment_id(), &grant_id).await?;
        let now_ms = context.now_ms();
        let live = found.filter(|GrantWithSubject { grant, session, organizations, .. }| {
            grant.authorization.client_id == client_id
                && grant.refresh_standing(generation, 0, now_ms) == RefreshStanding::Current
                && session.is_live(now_ms, &context.environment.sessions)
                && grant.organization_id.as_ref().is_none_or(|id| organizations.iter().any(|o| o.id == *id))
        });
        return Ok(live.map_or_else(Introspection::default, |GrantWithSubject { grant, .. }| {
            Introspection {
                active: true,
                refresh: Some(RefreshInfo {
                    client_id: grant.authorization.client_id,
                    scope: grant.authorization.scope.join(" "),
                    exp: seconds(grant.refresh_expires_at_ms),
                }),
                ..Introspection::default()
            }
        }));
    }
    match check_access_token(context, token).await {
        // The token itself is good for its time, wherever nobody asks here.
        Ok((_, Some(found))) if found.session.ended_at_ms.is_some() => Ok(Introspection::default()),
        Ok((claims, _)) => Ok(Introspection {
            active: true,
            token_type: Some("Bearer"),
            claims: Some(claims),
            refresh: None,
        }),
        Err(AccessRefusal::Failure(failure)) => Err(failure),
        Err(_) => Ok(Introspection::default()),
    }
}

/// Revokes a token of this client: a refresh token with its whole family, an access token alone. Unknown tokens
/// and those of others are passed over in silence (RFC 7009 §2.2).
pub async fn revoke(context: &Context, client_id: &str, token: &str) -> Result<(), Failure> {
    if let Some((grant_id, _)) = context.secret().open_refresh_token(token) {
        let found = context.store().grant(context.environment_id(), &grant_id).await?;
        if found.is_some_and(|g| g.authorization.client_id == client_id) {
            context.store().revoke_grant(context.environment_id(), &grant_id, context.now_ms()).await?;
        }
        return Ok(());
    }
    if let Ok(claims) = context.runtime.keys.current().verify::<AccessTokenClaims>(token)
        && claims.client_id == client_id
        && !claims.jti.is_empty()
    {
        let expires_at_ms = claims.exp.saturating_mul(1000);
        context.store().revoke_token(context.environment_id(), &claims.jti, expires_at_ms).await?;
    }
    Ok(())
}
