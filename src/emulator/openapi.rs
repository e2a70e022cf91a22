//! The control API's description, made from its handlers and their types.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use serde::Serialize;
use utoipa::openapi::{OpenApi as Document, Ref, RefOr};
use utoipa::{Modify, OpenApi};

use super::{clients, clock, environments, faults, flows, inbox, people, sign_in, state, tokens};
use crate::http::described::{name, operations, retype, say};
use crate::http::errors::PROBLEM_JSON;

/// OpenAPI 3.1.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Vestibule control API",
        description = "Read codes without a mailbox, move time, break things on purpose, start clean. It is there in \
            development mode; on loopback it needs no token, elsewhere `Authorization: Bearer TOKEN`. Every path works \
            in an isolated environment too: `http://NAME.localhost:6870/_emulator/v1/…` or \
            `http://localhost:6870/e/NAME/_emulator/v1/…`.",
    ),
    paths(
        environments::current,
        environments::list,
        environments::create,
        environments::delete_all,
        environments::show,
        environments::delete,
        environments::show_settings,
        environments::change_settings,
        environments::check_redirect,
        clients::list,
        clients::create,
        clients::show,
        clients::change,
        clients::delete,
        people::users,
        people::create_user,
        people::user,
        people::change_user,
        people::delete_user,
        people::organizations,
        people::create_organization,
        people::organization,
        people::change_organization,
        people::delete_organization,
        people::sessions,
        people::end_session,
        people::logout_notices,
        inbox::list,
        inbox::latest,
        inbox::show,
        inbox::delete,
        inbox::delete_one,
        inbox::html,
        inbox::raw,
        inbox::events,
        clock::show,
        clock::change,
        clock::reset,
        state::reset,
        state::snapshot,
        state::restore,
        state::seed,
        state::scenarios,
        state::load_scenario,
        faults::list,
        faults::create,
        faults::delete,
        faults::delete_all,
        flows::list,
        flows::show,
        tokens::mint,
        tokens::decode,
        sign_in::sign_in,
    ),
    components(schemas(super::ProblemDocument)),
    modifiers(&Common)
)]
struct Api;

/// What all operations have in common.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let problem = RefOr::Ref(Ref::from_schema_name("ProblemDocument"));
        for (_, operation) in operations(document) {
            name(operation);
            retype(operation, "ProblemDocument", PROBLEM_JSON);
            let mut codes = vec![
                ("401", "The API needs its token."),
                ("403", "Not by this host name, not from a page of another site, or not allowed here."),
                ("503", "The database does not answer just now."),
            ];
            if operation.parameters.is_some() || operation.request_body.is_some() {
                codes.push(("400", "Something is wrong with the request; `errors` names it."));
            }
            if operation.request_body.is_some() {
                codes.push(("413", "The body is longer than 64 MiB."));
                codes.push(("415", "The body is not JSON."));
            }
            for (code, about) in codes {
                say(operation, code, about, PROBLEM_JSON, &problem);
            }
        }
    }
}

/// A call of the API.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub summary: String,
}

/// Every call, by path.
pub fn calls() -> Vec<Call> {
    let mut calls = vec![];
    for (path, item) in Api::openapi().paths.paths {
        for (method, operation) in [
            ("GET", &item.get),
            ("POST", &item.post),
            ("PUT", &item.put),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ] {
            if let Some(operation) = operation {
                let summary = operation.summary.clone().unwrap_or_default();
                calls.push(Call { method: method.to_owned(), path: path.clone(), summary });
            }
        }
    }
    calls
}

/// The description as JSON, made once: answers that wait to be taken share it.
pub fn document() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Api::openapi().to_json().unwrap_or_default().into());
    DOCUMENT.clone()
}

/// `GET /_emulator/v1/openapi.json`
pub async fn show(super::Control(_): super::Control) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}
