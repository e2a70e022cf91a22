//! `/oauth/token`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::client_credentials;
use crate::crypto::client_secrets::TooManyChecks;
use crate::domain::authorization::Parameters;
use crate::domain::client::Client;
use crate::http::context::Ctx;
use crate::http::cookies;
use crate::http::errors::Problem;
use crate::http::params::Form;
use crate::runtime::{Context, current_request};
use crate::service::Failure;
use crate::service::client_auth::{AuthenticatedClient, ClientRefusal, authenticate};
use crate::service::token::{self, TokenRefusal, TokenResponse};

/// An error of the token endpoint (RFC 6749 §5.2).
#[derive(Debug)]
pub enum TokenError {
    InvalidRequest(String),
    InvalidClient {
        text: String,
        by_basic: bool,
    },
    /// More secrets wait to be checked than may.
    Busy(TooManyChecks),
    UnsupportedGrantType(String),
    /// The client may not use this grant or endpoint.
    UnauthorizedClient(&'static str),
    Refused(TokenRefusal),
    /// The body could not be read.
    Unreadable(crate::http::params::ParamsError),
}

impl From<TokenRefusal> for TokenError {
    fn from(refusal: TokenRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl TokenError {
    /// Status, error code and text of a refusal.
    fn parts(&self) -> Result<(StatusCode, &'static str, String), &Failure> {
        Ok(match self {
            Self::InvalidRequest(text) => (StatusCode::BAD_REQUEST, "invalid_request", text.clone()),
            Self::InvalidClient { text, .. } => (StatusCode::UNAUTHORIZED, "invalid_client", text.clone()),
            Self::Busy(why) => {
                let text = format!("{why}; try again in a second");
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", text)
            }
            Self::UnsupportedGrantType(text) => {
                (StatusCode::BAD_REQUEST, "unsupported_grant_type", text.clone())
            }
            Self::Unreadable(error) => (error.status(), "invalid_request", error.to_string()),
            Self::Refused(TokenRefusal::InvalidGrant(text)) => {
                (StatusCode::BAD_REQUEST, "invalid_grant", text.clone())
            }
            Self::Refused(TokenRefusal::InvalidScope(text)) => {
                (StatusCode::BAD_REQUEST, "invalid_scope", text.clone())
            }
            Self::UnauthorizedClient(text) | Self::Refused(TokenRefusal::UnauthorizedClient(text)) => {
                (StatusCode::BAD_REQUEST, "unauthorized_client", (*text).to_owned())
            }
            Self::Refused(TokenRefusal::AccessDenied(text)) => {
                (StatusCode::BAD_REQUEST, "access_denied", text.clone())
            }
            Self::Refused(TokenRefusal::Failure(failure)) => return Err(failure),
        })
    }

    /// How requests that end so are counted.
    fn outcome(&self) -> &'static str {
        self.parts().map_or("failure", |(_, code, _)| code)
    }

    pub fn response(&self) -> HttpResponse {
        let (status, code, text) = match self.parts() {
            Ok(parts) => parts,
            Err(failure) => return Problem::failure(failure).json(),
        };
        current_request::note_error(code);
        let mut response = HttpResponse::build(status);
        no_store(&mut response);
        if matches!(self, Self::InvalidClient { by_basic: true, .. }) {
            response.insert_header((header::WWW_AUTHENTICATE, r#"Basic realm="vestibule""#));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, "1"));
        }
        response.json(json!({ "error": code, "error_description": text }))
    }
}

fn no_store(response: &mut actix_web::HttpResponseBuilder) {
    response.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"));
}

/// `POST /oauth/token` (RFC 6749 §3.2).
pub async fn post(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    let (grant_type, answer) = match form {
        Ok(params) => {
            let answer = answer(&request, &context, &params).await;
            (params.one("grant_type").ok().flatten().map(str::to_owned), answer)
        }
        Err(error) => (None, Err(TokenError::Unreadable(error))),
    };
    let outcome = answer.as_ref().map_or_else(TokenError::outcome, |_| "issued");
    context.registry.metrics().token_request(grant_type.as_deref().unwrap_or_default(), outcome);
    match answer {
        Ok(tokens) => {
            let mut response = HttpResponse::Ok();
            no_store(&mut response);
            response.json(tokens)
        }
        Err(error) => error.response(),
    }
}

/// The authenticated client of a request, for every endpoint that asks for one.
pub async fn client_of<'c>(
    request: &HttpRequest,
    context: &'c Context,
    params: &Parameters,
) -> Result<AuthenticatedClient<'c>, TokenError> {
    let shown = client_credentials(request, params).map_err(|e| TokenError::InvalidRequest(e.to_string()))?;
    if let Some(client_id) = &shown.client_id {
        current_request::note_client(client_id);
    }
    let by_basic = super::authorization(request, "Basic").is_some();
    let refusal = match authenticate(context, &shown).await.map_err(TokenRefusal::from)? {
        Ok(client) => return Ok(client),
        Err(refusal) => refusal,
    };
    let client_id = shown.client_id.as_deref();
    if let ClientRefusal::TooManyChecks(why) = refusal {
        tracing::warn!(client_id, "client authentication put off: {why}");
        return Err(TokenError::Busy(why));
    }
    tracing::info!(client_id, reason = %refusal, "client authentication failed");
    let shown = |name| params.one(name).ok().flatten();
    let grant_id = token::grant_id_of(context, shown("code"), shown("refresh_token")).await?;
    token::note_refused_client(context, client_id.unwrap_or_default(), grant_id.as_deref(), refusal);
    let text = refusal.description(&context.environment, client_id);
    Err(TokenError::InvalidClient { text, by_basic })
}

/// The same for endpoints that are for applications alone.
pub async fn application_of<'c>(
    request: &HttpRequest,
    context: &'c Context,
    params: &Parameters,
) -> Result<&'c Client, TokenError> {
    application(&client_of(request, context, params).await?)
}

fn application<'c>(client: &AuthenticatedClient<'c>) -> Result<&'c Client, TokenError> {
    match client {
        AuthenticatedClient::Application(client) => Ok(*client),
        AuthenticatedClient::OfOrganization(_) => {
            Err(TokenError::UnauthorizedClient("clients of organizations use client_credentials alone"))
        }
    }
}

async fn answer(
    request: &HttpRequest,
    context: &Context,
    params: &Parameters,
) -> Result<TokenResponse, TokenError> {
    let grant_type = required(params, "grant_type")?;
    let client = client_of(request, context, params).await?;
    let outcome = grant(request, context, params, (grant_type, &client)).await;
    match &outcome {
        Ok(_) | Err(TokenError::Refused(_)) => {}
        // No grant has seen the request.
        Err(error) => {
            if let Ok((_, error, text)) = error.parts() {
                token::note_refused_request(context, &client, grant_type, error, &text);
            }
        }
    }
    outcome
}

fn one<'p>(params: &'p Parameters, name: &'static str) -> Result<Option<&'p str>, TokenError> {
    params.one(name).map_err(|e| TokenError::InvalidRequest(e.to_string()))
}

fn required<'p>(params: &'p Parameters, name: &'static str) -> Result<&'p str, TokenError> {
    one(params, name)?.ok_or_else(|| TokenError::InvalidRequest(format!("the parameter {name} is missing")))
}

async fn grant(
    request: &HttpRequest,
    context: &Context,
    params: &Parameters,
    (grant_type, client): (&str, &AuthenticatedClient<'_>),
) -> Result<TokenResponse, TokenError> {
    let outcome = match grant_type {
        "authorization_code" => {
            let (code, redirect_uri) = (required(params, "code")?, one(params, "redirect_uri")?);
            let code_verifier = one(params, "code_verifier")?;
            token::exchange_code(context, application(client)?, code, redirect_uri, code_verifier).await
        }
        "refresh_token" => {
            let (refresh_token, scope) = (required(params, "refresh_token")?, one(params, "scope")?);
            token::refresh(context, application(client)?, refresh_token, scope).await
        }
        "client_credentials" => {
            let scope = one(params, "scope")?;
            match client {
                AuthenticatedClient::Application(client) => {
                    token::client_credentials(context, client, scope).await
                }
                AuthenticatedClient::OfOrganization(client) => {
                    let caller = cookies::caller(request, context);
                    token::organization_client_credentials(context, client, scope, caller).await
                }
            }
        }
        _ => {
            let text =
                "grant_type must be authorization_code, refresh_token or client_credentials".to_owned();
            return Err(TokenError::UnsupportedGrantType(text));
        }
    };
    Ok(outcome?)
}
