//! The control API's description, made from its handlers and their types.

use actix_web::HttpResponse;
use utoipa::OpenApi;

use super::{clients, clock, environments, faults, flows, inbox, people, sign_in, state, tokens};

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
    components(schemas(super::ProblemDocument))
)]
struct Api;

/// The description as JSON.
pub fn document() -> String {
    Api::openapi().to_json().unwrap_or_default()
}

/// `GET /_emulator/v1/openapi.json`
pub async fn show(super::Control(_): super::Control) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}
