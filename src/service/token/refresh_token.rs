//! The grant `refresh_token` (RFC 6749 §6), with rotation (RFC 9700 §4.14.2).

use super::issue::{TokenSubject, issue};
use super::overrides::TokenOverrides;
use super::{TokenRefusal, TokenResponse, grant_id_of_refresh_token, invalid_grant, note_tokens, scope_list};
use crate::domain::client::Client;
use crate::domain::grant::{Grant, RefreshStanding};
use crate::domain::session::Session;
use crate::runtime::Context;
use crate::service::Failure;
use crate::service::sessions::touch;
use crate::storage::GrantWithSubject;

/// Rotates a refresh token (RFC 6749 §6, RFC 9700 §4.14.2).
pub async fn refresh(
    context: &Context,
    client: &Client,
    refresh_token: &str,
    scope: Option<&str>,
) -> Result<TokenResponse, TokenRefusal> {
    let outcome = rotate(context, client, refresh_token, scope).await;
    let grant_id = grant_id_of_refresh_token(context, refresh_token);
    note_tokens(context, client, grant_id.as_deref(), "refresh_token", &outcome);
    outcome
}

async fn rotate(
    context: &Context,
    client: &Client,
    refresh_token: &str,
    scope: Option<&str>,
) -> Result<TokenResponse, TokenRefusal> {
    let unknown = || invalid_grant("the refresh token is not valid");
    let (grant_id, generation) = context.secret().open_refresh_token(refresh_token).ok_or_else(unknown)?;
    // Twice: a rotation that somebody else won is judged again, as a repetition.
    for _ in 0..2 {
        let now_ms = context.now_ms();
        let found = context.store().grant_with_subject(context.environment_id(), &grant_id).await?;
        let found = found.filter(|f| f.grant.authorization.client_id == client.client_id);
        let GrantWithSubject { mut grant, session, user, organizations } = found.ok_or_else(unknown)?;
        let scope = narrow_scope(&grant, scope)?;
        match grant.refresh_standing(generation, context.environment.tokens.refresh_grace_s, now_ms) {
            RefreshStanding::Expired => return Err(invalid_grant("the refresh token has expired")),
            RefreshStanding::Revoked => return Err(invalid_grant("the refresh token was revoked")),
            RefreshStanding::Reused => {
                tracing::warn!(
                    grant_id,
                    client_id = client.client_id,
                    "refresh token used twice: family revoked"
                );
                context.store().revoke_grant(context.environment_id(), &grant_id, now_ms).await?;
                return Err(invalid_grant("the refresh token was already used; its family is revoked"));
            }
            standing @ (RefreshStanding::Current | RefreshStanding::Repeated) => {
                check_session(context, &session).await?;
                let subject = TokenSubject::of(&grant, user, organizations)?;
                if standing == RefreshStanding::Current {
                    let rotated = context
                        .store()
                        .rotate_refresh(context.environment_id(), &grant_id, generation, now_ms)
                        .await?;
                    if !rotated {
                        continue;
                    }
                    grant.refresh_generation = Some(generation + 1);
                }
                let overrides = TokenOverrides::of_faults(context).await;
                return issue(context, client, &grant, &subject, &scope, None, &overrides).await;
            }
        }
    }
    Err(TokenRefusal::Failure(Failure::Contention))
}

/// The scope asked for, when the grant covers it; else the grant's own (RFC 6749 §6).
fn narrow_scope(grant: &Grant, asked: Option<&str>) -> Result<Vec<String>, TokenRefusal> {
    let Some(asked) = asked else { return Ok(grant.authorization.scope.clone()) };
    let words = scope_list(asked)?;
    if words.iter().all(|w| grant.authorization.has_scope(w)) {
        Ok(words)
    } else {
        Err(TokenRefusal::InvalidScope("scope goes beyond what was granted".to_owned()))
    }
}

/// A refresh token lives as long as the session it came from.
async fn check_session(context: &Context, session: &Session) -> Result<(), TokenRefusal> {
    if !session.is_live(context.now_ms(), &context.environment.sessions) {
        return Err(invalid_grant("the session has ended"));
    }
    Ok(touch(context, session).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::tests::grant;

    #[test]
    fn a_refresh_may_narrow_the_scope_and_never_widen_it() {
        let mut grant = grant();
        grant.authorization.scope = ["openid", "email", "offline_access"].map(str::to_owned).to_vec();
        assert_eq!(narrow_scope(&grant, None).unwrap(), grant.authorization.scope);
        assert_eq!(narrow_scope(&grant, Some("email openid")).unwrap(), ["email", "openid"]);
        for wrong in ["openid profile", "open\"id"] {
            let refused = narrow_scope(&grant, Some(wrong)).unwrap_err();
            assert!(matches!(refused, TokenRefusal::InvalidScope(_)), "{wrong}: {refused}");
        }
    }
}
