//! The answer to everything that is not there: it says so, with the name of the thing.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::api::rest;
use super::context::Ctx;
use super::errors::{Problem, is_control, wants_page};
use super::pages::{render, views};
use crate::domain::api_error::{ApiError, ApiErrorCode};
use crate::domain::scalekit_api;
use crate::service::api::{COMPATIBILITY_PATH, not_emulated};
use crate::telemetry::request::shown_path;

/// Where Scalekit's REST API lives.
pub(super) const REST_PREFIX: &str = "/api/v1/";

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
    rest::error(&match scalekit_api::by_rest(method, path) {
        Some(found) => not_emulated(&context, found),
        None => {
            let text = format!("not found: Scalekit's API has no {method} {path}");
            ApiError::new(ApiErrorCode::UnknownMethod, text)
        }
    })
}

pub async fn answer(request: HttpRequest) -> HttpResponse {
    let (method, path) = (request.method().as_str(), request.path());
    if is_control(&request) {
        let text = format!("The control API has no {path}. GET /_emulator lists what it has.");
        return Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", text).response_for(&request);
    }
    tracing::info!(method, path = shown_path(path), "not emulated");
    if wants_page(&request) {
        let view = views::NotEmulated {
            layout: render::layout_of_request(&request, "Not emulated"),
            method: method.to_owned(),
            path: path.to_owned(),
            compatibility: COMPATIBILITY_PATH.to_owned(),
        };
        return render::page(StatusCode::NOT_FOUND, &view);
    }
    HttpResponse::NotFound().json(json!({
        "error": "not_emulated",
        "error_description": format!("{method} {path} is not emulated by Vestibule; {COMPATIBILITY_PATH} lists what is"),
    }))
}

/// `GET /compatibility`: what this version emulates, as the documentation says it.
pub async fn compatibility() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/markdown; charset=utf-8")
        .body(include_str!("../../docs/COMPATIBILITY.md"))
}
