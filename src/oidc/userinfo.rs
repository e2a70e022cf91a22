//! `/userinfo`.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::authorization;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::params::Form;
use crate::runtime::{Context, current_request};
use crate::service::userinfo::{AccessRefusal, userinfo};

/// `GET /userinfo` (OpenID Connect Core 1.0 §5.3.1).
pub async fn get(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    answer(&context, authorization(&request, "Bearer")).await
}

/// `POST /userinfo`: the token in the header or in the form (RFC 6750 §2.1, §2.2), not in both.
pub async fn post(request: HttpRequest, Ctx(context): Ctx, Form(form): Form) -> HttpResponse {
    let params = match form {
        Ok(params) => params,
        Err(error) => return invalid_request(error.status(), &error.to_string()),
    };
    let in_body = match params.one("access_token") {
        Ok(token) => token,
        Err(error) => return invalid_request(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match (authorization(&request, "Bearer"), in_body) {
        (Some(_), Some(_)) => invalid_request(StatusCode::BAD_REQUEST, "the access token was sent twice"),
        (header, body) => answer(&context, header.or(body)).await,
    }
}

async fn answer(context: &Context, token: Option<&str>) -> HttpResponse {
    // RFC 6750 §3.1: without any token, no error code.
    let Some(token) = token else { return challenge(StatusCode::UNAUTHORIZED, None) };
    match userinfo(context, token).await {
        Ok(info) => HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(info),
        Err(AccessRefusal::InvalidToken(text)) => {
            challenge(StatusCode::UNAUTHORIZED, Some(("invalid_token", text)))
        }
        Err(AccessRefusal::InsufficientScope) => {
            let text = "a user's access token with the scope openid is needed";
            challenge(StatusCode::FORBIDDEN, Some(("insufficient_scope", text)))
        }
        Err(AccessRefusal::Failure(failure)) => Problem::failure(&failure).json(),
    }
}

fn invalid_request(status: StatusCode, text: &str) -> HttpResponse {
    challenge(status, Some(("invalid_request", text)))
}

/// A refusal with its challenge (RFC 6750 §3).
fn challenge(status: StatusCode, error: Option<(&'static str, &str)>) -> HttpResponse {
    current_request::note_error(error.map_or("invalid_request", |(code, _)| code));
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    match error {
        None => {
            response.insert_header((header::WWW_AUTHENTICATE, r#"Bearer realm="vestibule""#)).json(json!({
                "error": "invalid_request",
                "error_description": "an access token is needed: Authorization: Bearer …"
            }))
        }
        Some((code, text)) => {
            let value = format!(r#"Bearer realm="vestibule", error="{code}", error_description="{text}""#);
            response
                .insert_header((header::WWW_AUTHENTICATE, value))
                .json(json!({ "error": code, "error_description": text }))
        }
    }
}
