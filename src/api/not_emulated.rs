//! Every path without a route of its own.

use actix_web::{HttpRequest, HttpResponse, web};

use super::rest;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::not_emulated::answer;
use crate::service::api::REST_PREFIX;

/// Those of Scalekit's REST API, and what is not there.
pub async fn fallback(
    request: HttpRequest,
    context: Result<Ctx, Problem>,
    body: web::Payload,
) -> HttpResponse {
    if request.path().starts_with(REST_PREFIX) {
        return rest::call(request, context, body).await;
    }
    answer(request).await
}

/// `GET /compatibility`: what this version emulates, as the documentation says it.
pub async fn compatibility() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/markdown; charset=utf-8")
        .body(include_str!("../../docs/COMPATIBILITY.md"))
}
