//! The grant `authorization_code` (RFC 6749 §4.1).

use super::issue::{TokenSubject, issue};
use super::overrides::TokenOverrides;
use super::{TokenRefusal, TokenResponse, invalid_grant, lifetime_s, note_tokens};
use crate::crypto::server_secret::Purpose;
use crate::domain::client::Client;
use crate::domain::grant::{CodeRedemption, CodeRefusal, Grant};
use crate::domain::ids::{IdKind, handle_id};
use crate::runtime::Context;
use crate::storage::{GrantWithSubject, StoreError};

fn refused_code(refusal: CodeRefusal) -> TokenRefusal {
    invalid_grant(refusal.to_string())
}

/// Exchanges an authorization code (RFC 6749 §4.1.3). A code used twice revokes what its first use gave (§4.1.2).
pub async fn exchange_code(
    context: &Context,
    client: &Client,
    code: &str,
    redirect_uri: Option<&str>,
    code_verifier: Option<&str>,
) -> Result<TokenResponse, TokenRefusal> {
    let found = grant_of_code(context, code).await?;
    let grant_id = found.as_ref().map(|found| found.grant.id.clone());
    let shown = CodeRedemption { client_id: &client.client_id, redirect_uri, code_verifier };
    let outcome = redeem(context, client, found, code, &shown).await;
    note_tokens(context, client, grant_id.as_deref(), "authorization_code", &outcome);
    outcome
}

pub(super) async fn grant_of_code(
    context: &Context,
    code: &str,
) -> Result<Option<GrantWithSubject>, StoreError> {
    let Some(id) = handle_id(IdKind::Grant, code) else { return Ok(None) };
    let digest = context.secret().digest(Purpose::AuthorizationCode, code);
    context.store().grant_with_subject_by_code(context.environment_id(), &id, &digest).await
}

async fn redeem(
    context: &Context,
    client: &Client,
    found: Option<GrantWithSubject>,
    code: &str,
    shown: &CodeRedemption<'_>,
) -> Result<TokenResponse, TokenRefusal> {
    let now_ms = context.now_ms();
    let found = found.ok_or_else(|| refused_code(CodeRefusal::Unknown))?;
    let GrantWithSubject { mut grant, user, organizations, .. } = found;
    match grant.check_code(shown, now_ms) {
        Ok(()) => {}
        Err(CodeRefusal::AlreadyUsed) => return Err(revoke_reused(context, &grant).await),
        Err(refusal) => return Err(refused_code(refusal)),
    }
    let subject = TokenSubject::of(&grant, user, organizations)?;
    grant.refresh_generation = grant.authorization.has_scope("offline_access").then_some(0);
    grant.refresh_expires_at_ms = now_ms + lifetime_s(context, client, &grant.authorization) * 1000;
    if !context.store().consume_code(context.environment_id(), &grant, now_ms).await? {
        return Err(revoke_reused(context, &grant).await);
    }
    let overrides = TokenOverrides::of_faults(context).await;
    issue(context, client, &grant, &subject, &grant.authorization.scope, Some(code), &overrides).await
}

async fn revoke_reused(context: &Context, grant: &Grant) -> TokenRefusal {
    tracing::warn!(
        grant_id = grant.id,
        client_id = grant.authorization.client_id,
        "authorization code used twice"
    );
    match context.store().revoke_grant(context.environment_id(), &grant.id, context.now_ms()).await {
        Ok(()) => refused_code(CodeRefusal::AlreadyUsed),
        Err(error) => error.into(),
    }
}
