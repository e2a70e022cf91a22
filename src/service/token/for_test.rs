//! Tokens that a test asks for.

use serde_json::Map;

use super::issue::{TokenSubject, issue};
use super::overrides::TokenOverrides;
use super::{TokenRefusal, TokenResponse, invalid_grant};
use crate::crypto::server_secret::Purpose;
use crate::domain::authorization::AuthorizationRequest;
use crate::domain::client::Client;
use crate::domain::grant::Grant;
use crate::domain::ids::{IdKind, new_handle};
use crate::domain::session::Session;
use crate::runtime::Context;

/// Tokens for a new session of a test, with a grant behind them like any other.
pub async fn issue_for_test(
    context: &Context,
    client: &Client,
    session: Session,
    authorization: AuthorizationRequest,
    overrides: &TokenOverrides,
) -> Result<TokenResponse, TokenRefusal> {
    let now_ms = context.now_ms();
    let offline = authorization.has_scope("offline_access");
    let kept_until_ms = now_ms + context.environment.tokens.refresh_token_lifetime_s * 1000;
    let mut grant = Grant {
        id: context.new_id(IdKind::Grant),
        issuer: context.issuer().to_owned(),
        user_id: session.user_id.clone(),
        session_id: session.id.clone(),
        organization_id: session.organization_id.clone(),
        custom_claims: Map::new(),
        authenticated_at_ms: now_ms,
        code_expires_at_ms: now_ms,
        code_used_at_ms: None,
        refresh_generation: None,
        refresh_rotated_at_ms: now_ms,
        refresh_expires_at_ms: now_ms,
        revoked_at_ms: None,
        kept_until_ms,
        authorization,
    };
    let code = new_handle(&grant.id, context.entropy());
    let cookie = new_handle(&session.id, context.entropy());
    let (store, environment_id) = (context.store(), context.environment_id());
    let user = store.user_summary(environment_id, &grant.user_id).await?;
    let user = user.ok_or_else(|| invalid_grant("the user no longer exists"))?;
    let organizations = store.organizations_of(environment_id, &grant.user_id).await?;
    let subject = TokenSubject::of(&grant, user, organizations)?;
    let cookie_digest = context.secret().digest(Purpose::SessionCookie, &cookie);
    store.insert_session(environment_id, &session, &cookie_digest).await?;
    let code_digest = context.secret().digest(Purpose::AuthorizationCode, &code);
    store.insert_grant(environment_id, &grant, &code_digest, None, now_ms).await?;
    grant.refresh_generation = offline.then_some(0);
    grant.refresh_expires_at_ms = kept_until_ms;
    store.consume_code(environment_id, &grant, now_ms).await?;
    let scope = grant.authorization.scope.clone();
    issue(context, client, &grant, &subject, &scope, None, overrides).await
}
