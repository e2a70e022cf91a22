//! The first page of the control API: where everything is.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::openapi::{Call, calls};
use super::{Answer, Control, json};
use crate::http::dashboard;
use crate::http::errors::wants_page;

/// What there is, for programs.
#[derive(Debug, Serialize)]
struct Index {
    name: &'static str,
    version: &'static str,
    environment_url: String,
    openapi: String,
    inbox: String,
    dashboard: String,
    calls: Vec<Call>,
}

/// `GET /_emulator` and `GET /_emulator/v1`
pub async fn show(request: HttpRequest, Control(context): Control) -> Answer {
    if wants_page(&request) {
        return Ok(page(&request, &context));
    }
    let url = |path: &str| context.public_url.join(path);
    Ok(json(&Index {
        name: "Vestibule control API",
        version: env!("CARGO_PKG_VERSION"),
        environment_url: context.issuer().to_owned(),
        openapi: url("/_emulator/v1/openapi.json"),
        inbox: url("/_emulator/inbox"),
        dashboard: url("/dashboard"),
        calls: calls(),
    }))
}

fn page(request: &HttpRequest, context: &crate::app::Context) -> HttpResponse {
    // What all calls begin with would break the lines of a narrow screen.
    let calls = calls().into_iter().map(|call| {
        let path = call.path.strip_prefix("/_emulator/v1").unwrap_or(&call.path);
        (format!("{} {path}", call.method), call.summary)
    });
    dashboard::control_api(request, context, calls.collect())
}
