//! Minting tokens, and looking into them.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Answer, Body, Control, ProblemDocument, json, refuse};
use crate::service::changes::ControlError;
use crate::service::test_tokens::{self, DecodedToken, MintTokens};

/// What tokens to mint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MintInput {
    /// Id or address of a user.
    pub user: String,
    /// The first client when left out.
    pub client_id: Option<String>,
    /// `openid profile email offline_access` when left out.
    pub scope: Option<String>,
    pub nonce: Option<String>,
    /// Id or external id.
    pub organization_id: Option<String>,
    /// Added to the claims of access and ID token; replaces those of the same name.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub claims: Map<String, Value>,
    /// Seconds; negative for a token that has expired already.
    pub access_token_lifetime_s: Option<i64>,
    /// Seconds; negative for a token that has expired already.
    pub id_token_lifetime_s: Option<i64>,
}

/// Issues tokens for a user, as if that user had just signed in. They can be introspected, refreshed and revoked.
#[utoipa::path(post, path = "/_emulator/v1/tokens", tag = "tokens", request_body = MintInput,
    responses((status = 200, body = crate::service::token::TokenResponse), (status = 400, body = ProblemDocument)))]
pub async fn mint(Control(context): Control, Body(input): Body<MintInput>) -> Answer {
    let scope = input.scope.as_deref().unwrap_or("openid profile email offline_access");
    let wanted = MintTokens {
        scope: scope.split_whitespace().map(str::to_owned).collect(),
        user: input.user,
        client_id: input.client_id,
        nonce: input.nonce,
        organization_id: input.organization_id,
        claims: input.claims,
        access_token_lifetime_s: input.access_token_lifetime_s,
        id_token_lifetime_s: input.id_token_lifetime_s,
    };
    Ok(json(&test_tokens::mint(&context, wanted).await.map_err(refuse)?))
}

/// A token to look into.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecodeInput {
    pub token: String,
    /// The client that it should be for.
    pub client_id: Option<String>,
}

/// Decodes a token and says, check by check, whether this environment accepts it.
#[utoipa::path(post, path = "/_emulator/v1/tokens/decode", tag = "tokens", request_body = DecodeInput,
    responses((status = 200, body = DecodedToken), (status = 400, body = ProblemDocument)))]
pub async fn decode(Control(context): Control, Body(input): Body<DecodeInput>) -> Answer {
    if input.token.trim().is_empty() {
        return Err(refuse(ControlError::field("token", "is empty")));
    }
    let decoded = test_tokens::decode(&context, &input.token, input.client_id.as_deref()).await;
    Ok(json(&decoded.map_err(refuse)?))
}
