//! The grant `client_credentials` (RFC 6749 §4.4).

use serde_json::{Map, Value};

use super::overrides::TokenOverrides;
use super::{TokenRefusal, TokenResponse, note, refused, scope_list};
use crate::domain::client::Client;
use crate::domain::clock::UnixMs;
use crate::domain::ids::IdKind;
use crate::domain::interceptor::TriggerPoint;
use crate::domain::interceptor_request::{Caller, InterceptedAction, token_data};
use crate::domain::organization_client::OrganizationClient;
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::domain::token::{self, AccessTokenClaims};
use crate::runtime::Context;
use crate::service::interception::{Answers, Verdict, error_description, is_asked};

const GRANT_TYPE: &str = "client_credentials";

/// A client's own token (RFC 6749 §4.4). Nothing is stored.
pub async fn client_credentials(
    context: &Context,
    client: &Client,
    scope: Option<&str>,
) -> Result<TokenResponse, TokenRefusal> {
    let outcome = token_of(context, client, scope).await;
    note_refusal(context, &client.client_id, !client.is_public(), &outcome);
    outcome
}

/// Notes why there is no token. One that is given is no sign-in.
fn note_refusal(
    context: &Context,
    client_id: &str,
    is_believed: bool,
    outcome: &Result<TokenResponse, TokenRefusal>,
) {
    let refusal = outcome.as_ref().err();
    let event = refusal.and_then(|refusal| refused(client_id.to_owned(), GRANT_TYPE.to_owned(), refusal));
    if let Some(event) = event {
        note(context, client_id, is_believed, None, event);
    }
}

async fn token_of(
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

/// The same of a machine client of an organization: of the scopes that are asked for, those that it was granted. Interceptors
/// may deny it, and change what it says.
pub async fn organization_client_credentials(
    context: &Context,
    client: &OrganizationClient,
    scope: Option<&str>,
    caller: Caller,
) -> Result<TokenResponse, TokenRefusal> {
    let outcome = organization_token_of(context, client, scope, caller).await;
    note_refusal(context, &client.id, true, &outcome);
    outcome
}

async fn organization_token_of(
    context: &Context,
    client: &OrganizationClient,
    scope: Option<&str>,
    caller: Caller,
) -> Result<TokenResponse, TokenRefusal> {
    let scope = client.granted(scope.map(scope_list).transpose()?);
    let additions = ask_before(context, client, &scope, caller).await?;
    let (jti, times) = (context.new_id(IdKind::Token), times(context));
    let mut claims = token::organization_client_token(client, context.issuer(), &scope, jti, times);
    apply(additions, &mut claims)?;
    answer(context, &claims, client.token_lifetime_s()).await
}

/// Asks interceptors before a machine client gets a token: the claims that they say.
async fn ask_before(
    context: &Context,
    client: &OrganizationClient,
    scope: &[String],
    caller: Caller,
) -> Result<Map<String, Value>, TokenRefusal> {
    let trigger_point = TriggerPoint::PreM2mTokenCreation;
    if !is_asked(context, trigger_point) {
        return Ok(Map::new());
    }
    let action = InterceptedAction {
        environment_id: context.environment_id(),
        client_id: Some(&client.id),
        caller,
        now_ms: context.now_ms(),
        data: token_data(client, scope),
        ..InterceptedAction::default()
    };
    let verdict = Answers::default().ask(context, trigger_point, None, &action).await?;
    // The client may be gone, or another one, by now.
    let stored = context.store().organization_client(context.environment_id(), &client.id).await?;
    if stored.is_none_or(|stored| stored.version != client.version) {
        let text = "the client was changed while an interceptor was asked: try again".to_owned();
        return Err(TokenRefusal::AccessDenied(text));
    }
    match verdict {
        Verdict::Allow { additions, .. } => Ok(additions.claims),
        Verdict::Deny(message) => Err(TokenRefusal::AccessDenied(error_description(&message))),
    }
}

/// Lays over a token what interceptors say: `scope` and `aud` in place of its own, everything else beside its custom claims.
fn apply(additions: Map<String, Value>, claims: &mut AccessTokenClaims) -> Result<(), TokenRefusal> {
    for (name, value) in additions {
        match (name.as_str(), value) {
            ("scope", Value::String(scope)) => {
                claims.scopes = scope_list(&scope)?;
                claims.scope = claims.scopes.join(" ");
            }
            ("aud", Value::String(audience)) => claims.aud = vec![audience],
            ("aud", Value::Array(audiences)) if audiences.iter().all(Value::is_string) => {
                claims.aud = audiences.into_iter().filter_map(|a| a.as_str().map(str::to_owned)).collect();
            }
            (_, value) => {
                claims.custom_claims.insert(name, value);
            }
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scope_and_audience_are_replaced_and_all_else_is_a_custom_claim() {
        let scope = ["read".to_owned(), "write".to_owned()];
        let mut claims = token::client_token(60, "http://a.io", "m2morg_1", &scope, "tkn_1".into(), (0, 0));
        claims.custom_claims.insert("tier".into(), json!("free"));
        let additions = json!({ "scope": "read", "aud": "https://api.acme.test", "tier": "gold", "sub": "usr_1",
            "limits": { "rate": 1000 } });
        apply(additions.as_object().cloned().unwrap(), &mut claims).unwrap();
        assert_eq!((claims.scope.as_str(), claims.scopes.len()), ("read", 1));
        assert_eq!(
            (claims.aud.as_slice(), claims.sub.as_str()),
            (&["https://api.acme.test".to_owned()][..], "m2morg_1")
        );
        let wanted = json!({ "tier": "gold", "sub": "usr_1", "limits": { "rate": 1000 } });
        assert_eq!(Value::Object(claims.custom_claims), wanted);
    }
}
