//! Paths of Scalekit's REST API that are not emulated say so, with the name of the method.

use actix_web::{HttpRequest, HttpResponse};

use crate::domain::api_error::{ApiError, ApiErrorCode};
use crate::domain::scalekit_api;
use crate::http::api_error;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::not_emulated::answer;
use crate::service::api::{REST_PREFIX, not_emulated};

/// Every path without a handler: those of Scalekit's REST API are told apart by name.
pub async fn fallback(request: HttpRequest, context: Result<Ctx, Problem>) -> HttpResponse {
    let (method, path) = (request.method().as_str(), request.path());
    if !path.starts_with(REST_PREFIX) {
        return answer(request).await;
    }
    let context = match context {
        Ok(Ctx(context)) => context,
        Err(starting) => return starting.json(),
    };
    api_error::response(&match scalekit_api::by_rest(method, path) {
        Some(found) => not_emulated(&context, found),
        None => {
            let text = format!("not found: Scalekit's API has no {method} {path}");
            ApiError::new(ApiErrorCode::UnknownMethod, text)
        }
    })
}

/// `GET /compatibility`: what this version emulates, as the documentation says it.
pub async fn compatibility() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/markdown; charset=utf-8")
        .body(include_str!("../../docs/COMPATIBILITY.md"))
}
