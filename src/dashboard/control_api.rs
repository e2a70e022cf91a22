//! The first page of the control API: where everything is.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::blocks::{Block, Cell, Row, Section, Table};
use crate::emulator::openapi::{Call, calls};
use crate::emulator::{Answer, Control, json};
use crate::http::errors::wants_page;
use crate::runtime::Context;

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

/// For users: links, and its calls with what each does.
fn page(request: &HttpRequest, context: &Context) -> HttpResponse {
    let mut page = super::page(context, request, "", "Control API");
    page.lead = Some(
        "For tests: JSON in, JSON out, below /_emulator/v1. The dashboard does the same for users."
            .to_owned(),
    );
    let links = [
        ("Dashboard", "/dashboard"),
        ("Inbox", "/_emulator/inbox"),
        ("API reference", "/dashboard/api"),
        ("OpenAPI 3.1", "/_emulator/v1/openapi.json"),
        ("For coding agents", "/llms.txt"),
    ];
    let links = links.map(|(name, path)| (name.to_owned(), context.path(path)));
    // What all calls begin with would break the lines of a narrow screen.
    let rows = calls().into_iter().map(|call| {
        let path = call.path.strip_prefix("/_emulator/v1").unwrap_or(&call.path);
        Row::new(vec![Cell::text(format!("{} {path}", call.method)), Cell::text(call.summary)])
    });
    page.sections = vec![
        Section::new("Links", vec![Block::Links(links.to_vec())]),
        Section::new(
            "Calls",
            vec![Block::Table(Table { columns: &["Call", "What it does"], rows: rows.collect() })],
        ),
    ];
    super::show(page)
}
