//! Every path without a route of its own.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};

use super::rest;
use crate::http::context::Ctx;
use crate::http::errors::{Problem, wants_page};
use crate::http::not_emulated::answer;
use crate::http::see_other;
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
    if let (Ok(Ctx(context)), Some(path)) = (&context, page_without_slash(&request)) {
        return see_other(&context.public_url.join(path));
    }
    answer(request).await
}

/// The page that somebody meant who ended its address with a slash.
fn page_without_slash(request: &HttpRequest) -> Option<&str> {
    let is_page = request.method() == Method::GET && wants_page(request);
    request.path().strip_suffix('/').filter(|path| is_page && !path.is_empty())
}

/// `GET /compatibility`: what this version emulates, as the documentation says it.
pub async fn compatibility() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/markdown; charset=utf-8")
        .body(include_str!("../../docs/COMPATIBILITY.md"))
}
