//! The answer to everything that is not there: it says so, with the name of the thing.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::errors::wants_page;
use super::pages::{render, views};

/// Where people read what is emulated.
const COMPATIBILITY: &str = "docs/COMPATIBILITY.md";

pub async fn answer(request: HttpRequest) -> HttpResponse {
    let (method, path) = (request.method().as_str(), request.path());
    tracing::info!(method, path, "not emulated");
    if wants_page(&request) {
        let view = views::NotEmulated {
            layout: render::layout_of_request(&request, "Not emulated"),
            method: method.to_owned(),
            path: path.to_owned(),
            compatibility: COMPATIBILITY.to_owned(),
        };
        return render::page(StatusCode::NOT_FOUND, &view);
    }
    HttpResponse::NotFound().json(json!({
        "error": "not_emulated",
        "error_description": format!("{method} {path} is not emulated by Vestibule; {COMPATIBILITY} lists what is"),
    }))
}
