//! The grant `client_credentials` (RFC 6749 §4.4).

use super::overrides::TokenOverrides;
use super::{TokenRefusal, TokenResponse, scope_list};
use crate::domain::client::Client;
use crate::domain::ids::IdKind;
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::domain::token;
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
    let tokens = &context.environment.tokens;
    let overrides = TokenOverrides::of_faults(context).await;
    let jti = context.new_id(IdKind::Token);
    let times = (context.token_date_ms(), context.now_ms());
    let claims = token::client_token(tokens, context.issuer(), &client.client_id, &scope, jti, times);
    Ok(TokenResponse {
        access_token: overrides.sign(context, SigningAlgorithm::default(), &claims).await?,
        token_type: "Bearer",
        expires_in: tokens.client_token_lifetime_s,
        id_token: None,
        refresh_token: None,
        scope: scope.join(" "),
    })
}
