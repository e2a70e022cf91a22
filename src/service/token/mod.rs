//! `/oauth/token`: what the three grants share. Each has a file of its own.

mod authorization_code;
mod client_credentials;
mod for_test;
mod issue;
mod overrides;
mod refresh_token;
mod template;

use serde::Serialize;

pub use authorization_code::exchange_code;
use authorization_code::grant_of_code;
pub use client_credentials::{client_credentials, organization_client_credentials};
pub use for_test::issue_for_test;
pub use overrides::TokenOverrides;
pub use refresh_token::refresh;
pub(super) use template::template_variables;

use super::{Failure, flows};
use crate::domain::authorization::{AuthorizationRequest, scope_words};
use crate::domain::client::Client;
use crate::domain::flow::{About, FlowStatus};
use crate::domain::settings::Mode;
use crate::domain::sign_in_event::SignInEvent;
use crate::domain::token::IdTokenClaims;
use crate::runtime::Context;
use crate::service::client_auth::{AuthenticatedClient, ClientRefusal};

/// A successful answer (RFC 6749 §5.1, OpenID Connect Core 1.0 §3.1.3.3).
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokenResponse {
    pub access_token: String,
    pub token_type: &'static str,
    /// Whole seconds left.
    pub expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    pub scope: String,
}

/// Why no token is given (RFC 6749 §5.2).
#[derive(Debug, thiserror::Error)]
pub enum TokenRefusal {
    #[error("{0}")]
    InvalidGrant(String),
    #[error("{0}")]
    InvalidScope(String),
    #[error("{0}")]
    UnauthorizedClient(&'static str),
    /// An interceptor denied it.
    #[error("{0}")]
    AccessDenied(String),
    #[error("{0}")]
    Failure(Failure),
}

impl TokenRefusal {
    /// The error code of RFC 6749 §5.2; `None`: the failure is ours.
    pub fn error(&self) -> Option<&'static str> {
        match self {
            Self::InvalidGrant(_) => Some("invalid_grant"),
            Self::InvalidScope(_) => Some("invalid_scope"),
            Self::UnauthorizedClient(_) => Some("unauthorized_client"),
            Self::AccessDenied(_) => Some("access_denied"),
            Self::Failure(_) => None,
        }
    }
}

impl<E: Into<Failure>> From<E> for TokenRefusal {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

fn invalid_grant(reason: impl Into<String>) -> TokenRefusal {
    TokenRefusal::InvalidGrant(reason.into())
}

/// The claims of an `id_token_hint`, if this environment issued it. It may be long expired (OpenID Connect Core 1.0
/// §3.1.2.1): hints come late.
pub fn hinted(context: &Context, token: &str) -> Option<IdTokenClaims> {
    let claims = context.runtime.keys.current().verify::<IdTokenClaims>(token).ok()?;
    context.environment.is_issuer(&claims.iss).then_some(claims)
}

/// Notes what a client got, or why not. A sign-in of its own is made of a refusal alone.
fn note_tokens(
    context: &Context,
    client: &Client,
    grant_id: Option<&str>,
    grant_type: &str,
    outcome: &Result<TokenResponse, TokenRefusal>,
) {
    let (client_id, grant_type) = (client.client_id.clone(), grant_type.to_owned());
    let event = match outcome {
        Ok(_) => SignInEvent::TokensIssued { client_id, grant_type },
        Err(refusal) => match refused(client_id, grant_type, refusal) {
            Some(event) => event,
            None => return,
        },
    };
    note(context, &client.client_id, !client.is_public(), grant_id, event);
}

/// `None`: the failure is ours.
fn refused(client_id: String, grant_type: String, refusal: &TokenRefusal) -> Option<SignInEvent> {
    let error = refusal.error()?.to_owned();
    Some(SignInEvent::TokensRefused { client_id, grant_type, error, error_description: refusal.to_string() })
}

/// The grant that a code or a refresh token is of. Whoever shows it need not be its client.
///
/// # Errors
/// When the database does not answer.
pub async fn grant_id_of(
    context: &Context,
    code: Option<&str>,
    refresh_token: Option<&str>,
) -> Result<Option<String>, TokenRefusal> {
    if let Some(code) = code {
        return Ok(grant_of_code(context, code).await?.map(|found| found.grant.id));
    }
    Ok(refresh_token.and_then(|token| grant_id_of_refresh_token(context, token)))
}

fn grant_id_of_refresh_token(context: &Context, token: &str) -> Option<String> {
    context.secret().open_refresh_token(token).map(|(id, _)| id)
}

/// Notes why a client was not believed.
pub fn note_refused_client(
    context: &Context,
    client_id: &str,
    grant_id: Option<&str>,
    refusal: ClientRefusal,
) {
    let event = SignInEvent::ClientRefused {
        client_id: client_id.to_owned(),
        error: "invalid_client".to_owned(),
        error_description: refusal.to_string(),
    };
    note(context, client_id, false, grant_id, event);
}

/// Notes a request of a client that no grant has seen: a parameter is missing, or the client may not use the grant.
pub fn note_refused_request(
    context: &Context,
    client: &AuthenticatedClient<'_>,
    grant_type: &str,
    error: &str,
    error_description: &str,
) {
    let (client_id, is_believed) = match client {
        AuthenticatedClient::Application(client) => (&client.client_id, !client.is_public()),
        AuthenticatedClient::OfOrganization(client) => (&client.id, true),
    };
    let event = SignInEvent::TokensRefused {
        client_id: client_id.clone(),
        grant_type: grant_type.to_owned(),
        error: error.to_owned(),
        error_description: error_description.to_owned(),
    };
    note(context, client_id, is_believed, None, event);
}

/// Notes a step of the sign-in that a grant belongs to, or else of a failed one of its own. Of the latter, what anybody can
/// send without a secret is told in development only, where nobody fills the log from outside.
fn note(context: &Context, client_id: &str, is_believed: bool, grant_id: Option<&str>, event: SignInEvent) {
    match grant_id {
        Some(id) => flows::note(context, id, About::default(), event),
        None if is_believed || context.environment.mode == Mode::Development => {
            let about = About::status(FlowStatus::Failed).client(client_id);
            flows::note(context, &flows::new_flow_id(context), about, event);
        }
        None => {}
    }
}

fn scope_list(scope: &str) -> Result<Vec<String>, TokenRefusal> {
    let words = scope_words(scope).map_err(|error| TokenRefusal::InvalidScope(error.to_string()))?;
    Ok(words.into_iter().map(str::to_owned).collect())
}

/// How long the tokens of an authorization may live, in seconds.
pub(super) fn lifetime_s(context: &Context, client: &Client, authorization: &AuthorizationRequest) -> i64 {
    if authorization.has_scope("offline_access") {
        context.environment.tokens.refresh_token_lifetime_s
    } else {
        access_token_lifetime_s(context, client)
    }
}

fn access_token_lifetime_s(context: &Context, client: &Client) -> i64 {
    client.access_token_lifetime_s.unwrap_or(context.environment.tokens.access_token_lifetime_s)
}
