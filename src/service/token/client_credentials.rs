//! The grant `client_credentials` (RFC 6749 §4.4).

use super::overrides::TokenOverrides;
use super::{TokenRefusal, TokenResponse, scope_list};
use crate::domain::client::Client;
use crate::domain::clock::UnixMs;
use crate::domain::ids::IdKind;
use crate::domain::organization_client::OrganizationClient;
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::domain::token::{self, AccessTokenClaims};
use crate::runtime::Context;

/// A client's own token (RFC 6749 §4.4). Nothing is stored.
pub async fn client_credentials(
    context: &Context,
    client: &Client,
    scope: Option<&str>,
) -> Result<TokenResponse, TokenRefusal> {
    if client.is_public() {
        return Err(TokenRefusal::UnauthorizedClient("public clients cannot use client_credentials"));
    }
    let scope = scope_list(scope.unwrap_or("openid"))?;
    let lifetime_s = context.environment.tokens.client_token_lifetime_s;
    let (jti, times) = (context.new_id(IdKind::Token), times(context));
    let claims = token::client_token(lifetime_s, context.issuer(), &client.client_id, &scope, jti, times);
    answer(context, &claims, lifetime_s).await
}

/// The same of a machine client of an organization: of the scopes that are asked for, those that it was granted.
pub async fn organization_client_credentials(
    context: &Context,
    client: &OrganizationClient,
    scope: Option<&str>,
) -> Result<TokenResponse, TokenRefusal> {
    let scope = client.granted(scope.map(scope_list).transpose()?);
    let (jti, times) = (context.new_id(IdKind::Token), times(context));
    let claims = token::organization_client_token(client, context.issuer(), &scope, jti, times);
    answer(context, &claims, client.token_lifetime_s()).await
}

/// When a token is dated, and from when its lifetime counts.
fn times(context: &Context) -> (UnixMs, UnixMs) {
    (context.token_date_ms(), context.now_ms())
}

async fn answer(
    context: &Context,
    claims: &AccessTokenClaims,
    lifetime_s: i64,
) -> Result<TokenResponse, TokenRefusal> {
    let overrides = TokenOverrides::of_faults(context).await;
    Ok(TokenResponse {
        access_token: overrides.sign(context, SigningAlgorithm::default(), claims).await?,
        token_type: "Bearer",
        expires_in: lifetime_s,
        id_token: None,
        refresh_token: None,
        scope: claims.scope.clone(),
    })
}
