//! The answer to every path without a handler: it says so, with the name of the thing.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::errors::{Problem, is_control, wants_page};
use super::{render, views};
use crate::domain::language::Language;
use crate::runtime::current_request;
use crate::service::api::COMPATIBILITY_PATH;
use crate::telemetry::request::shown_path;

/// A page for browsers, JSON for programs.
pub async fn answer(request: HttpRequest) -> HttpResponse {
    let (method, path) = (request.method().as_str(), request.path());
    if is_control(&request) {
        let text = format!("The control API has no {path}. GET /_emulator lists what it has.");
        return Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", text).response_for(&request);
    }
    let shown = shown_path(path);
    tracing::info!(method, path = shown, "not emulated");
    current_request::note_error("not_emulated");
    current_request::note(|notes| notes.not_emulated = Some(format!("{method} {shown}")));
    if wants_page(&request) {
        let view = views::NotEmulated {
            layout: render::layout_of_request(&request, Language::En, "Not emulated"),
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
