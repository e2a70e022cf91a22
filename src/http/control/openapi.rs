//! The control API's description, made from its handlers and their types.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::openapi::{HttpMethod, OpenApi as Document, Ref, RefOr};
use utoipa::{Modify, OpenApi, ToSchema};

use super::{PROBLEM, clients, clock, environments, faults, flows, inbox, people, sign_in, state, tokens};
use crate::http::described::{name, operations, retype, say};

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
    components(schemas(super::ProblemDocument, AccessRefusal)),
    modifiers(&Common)
)]
struct Api;

/// Why the API is closed to a request.
#[derive(Debug, Serialize, ToSchema)]
struct AccessRefusal {
    error: String,
    error_description: String,
}

/// What all operations have in common.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let problem = RefOr::Ref(Ref::from_schema_name("ProblemDocument"));
        let refusal = RefOr::Ref(Ref::from_schema_name("AccessRefusal"));
        for (method, operation) in operations(document) {
            name(operation);
            retype(operation, "ProblemDocument", PROBLEM);
            let mut codes = vec![];
            if operation.parameters.is_some() || operation.request_body.is_some() {
                codes.push(("400", "Something is wrong with the request; `errors` names it."));
            }
            if operation.request_body.is_some() {
                codes.push(("413", "The body is longer than 64 MiB."));
                codes.push(("415", "The body is not JSON."));
            }
            for (code, about) in codes {
                say(operation, code, about, PROBLEM, &problem);
            }
            say(operation, "401", "The API needs its token.", "application/json", &refusal);
            say(
                operation,
                "403",
                "Not by this host name, not from a page of another site, or not allowed here.",
                "application/json",
                &refusal,
            );
            if method != HttpMethod::Get {
                say(operation, "403", "Not allowed.", PROBLEM, &problem);
            }
            say(operation, "503", "The database does not answer just now.", "application/json", &refusal);
        }
    }
}

/// The description as JSON.
pub fn document() -> String {
    Api::openapi().to_json().unwrap_or_default()
}

/// `GET /_emulator/v1/openapi.json`
pub async fn show(super::Control(_): super::Control) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}
