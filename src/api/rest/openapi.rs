//! The description of the part of Scalekit's REST API that is emulated, made from its handlers and their types.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Document, Ref, RefOr};
use utoipa::{Modify, OpenApi};

use super::{audit_logs, connections, passwordless};
use crate::http::api_error;
use crate::http::context::Ctx;
use crate::http::described::{name, operations, say};

/// OpenAPI 3.1.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Scalekit's REST API, as far as Vestibule emulates it",
        description = "Every other path of Scalekit's API answers 501 with its name. Members come in snake_case or \
            lowerCamelCase, numbers also as texts; what is not described is ignored.",
    ),
    paths(
        passwordless::send,
        passwordless::resend,
        passwordless::verify,
        connections::list,
        connections::show,
        connections::change,
        connections::enable,
        connections::disable,
        connections::methods,
        connections::discover,
        audit_logs::list,
    ),
    components(schemas(api_error::ApiErrorBody)),
    modifiers(&Common)
)]
struct Api;

/// What all operations have in common.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The access token of client_credentials, from /oauth/token."));
        document
            .components
            .get_or_insert_with(Components::default)
            .add_security_scheme("client_token", SecurityScheme::Http(token.build()));
        let error = RefOr::Ref(Ref::from_schema_name("ApiErrorBody"));
        for (_, operation) in operations(document) {
            name(operation);
            let mut codes = vec![("503", "The database does not answer just now.")];
            if operation.security.is_some() {
                codes.push(("401", "No token of a client, or one that is not valid any more."));
                codes.push(("403", "The token belongs to a person."));
            }
            if operation.request_body.is_some() {
                codes.push(("400", "A field is missing or wrong."));
                codes.push(("413", "The body is larger than 64 KiB."));
            }
            for (code, about) in codes {
                say(operation, code, about, "application/json", &error);
            }
        }
    }
}

/// The description as JSON, made once: answers that wait to be taken share it.
pub fn document() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Api::openapi().to_json().unwrap_or_default().into());
    DOCUMENT.clone()
}

/// `GET /api/v1/openapi.json`
pub async fn show(Ctx(_): Ctx) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}
