//! The control API's description and its routes, made of one list of handlers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, HttpMethod, OpenApi as Document, Ref, RefOr};
use utoipa::{Modify, OpenApi};

use super::{
    clients, clock, environments, events, faults, flows, inbox, interceptors, logout_notices,
    request_journal, sign_in, state, token_template, tokens, users, webhooks,
};
use crate::http::endpoint::{Endpoint, endpoint};
use crate::http::errors::PROBLEM_JSON;
use crate::http::openapi_ext::{
    add_response, join_flattened, operations, set_content_type, set_operation_id,
};

/// Makes of one list of handlers the description and the routes: path and method stand at each handler
/// (`#[utoipa::path]`), and nowhere else.
macro_rules! control_api {
    ($($module:ident::$handler:ident),* $(,)?) => {
        /// OpenAPI 3.1.
        #[derive(OpenApi)]
        #[openapi(
            info(
                title = "Vestibule control API",
                description = "Read codes without a mailbox, move time, break things on purpose, start clean. Users, \
                    organizations, applications and sessions are those of Scalekit's API, which is served below \
                    `/_emulator/v1/api/` too and described at `/api/v1/openapi.json`. It is there in \
                    development mode; on loopback it needs no token, elsewhere `Authorization: Bearer TOKEN`. Every path \
                    works in an isolated environment too: `http://NAME.localhost:6870/_emulator/v1/…` or \
                    `http://localhost:6870/e/NAME/_emulator/v1/…`.",
            ),
            // Relative to this document, so that it is right under every name and in every environment.
            servers((url = "../..", description = "The environment that this document is from")),
            security((), ("control_token" = [])),
            paths($($module::$handler),*),
            components(schemas(super::ProblemDocument)),
            modifiers(&Common)
        )]
        struct Api;

        fn endpoints() -> Endpoints {
            let mut endpoints = Endpoints::default();
            $(endpoints.add::<pastey::paste!($module::[<__path_ $handler>]), _, _>(&$module::$handler);)*
            endpoints
        }
    };
}

control_api![
    environments::current,
    environments::list,
    environments::create,
    environments::delete_all,
    environments::show,
    environments::delete,
    environments::show_settings,
    environments::change_settings,
    environments::check_redirect,
    clients::create,
    clients::change,
    users::create,
    users::change_email,
    logout_notices::list,
    inbox::list,
    inbox::latest,
    inbox::show,
    inbox::delete,
    inbox::delete_one,
    inbox::html,
    inbox::raw,
    inbox::events,
    events::list,
    events::stream,
    webhooks::list,
    webhooks::create,
    webhooks::show,
    webhooks::change,
    webhooks::delete,
    webhooks::rotate_secret,
    webhooks::send_test_event,
    webhooks::deliveries,
    webhooks::replay,
    interceptors::list,
    interceptors::create,
    interceptors::show,
    interceptors::change,
    interceptors::delete,
    interceptors::rotate_secret,
    interceptors::test,
    interceptors::calls,
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
    request_journal::list,
    tokens::mint,
    tokens::decode,
    token_template::preview,
    sign_in::sign_in,
];

/// Handlers by their paths. In the order of paths, what is spelled out stands before a placeholder.
#[derive(Default)]
struct Endpoints(BTreeMap<String, Endpoint>);

impl Endpoints {
    /// Adds a handler at the path and under the method of its description `P`.
    fn add<P, F, Args>(&mut self, handler: &F)
    where
        P: utoipa::Path,
        F: actix_web::Handler<Args> + Clone,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        let path = P::path();
        let mut found = self.0.remove(&path).unwrap_or_else(|| endpoint(&path));
        for method in P::methods() {
            found = match method {
                HttpMethod::Get => found.get(handler.clone()),
                HttpMethod::Post => found.post(handler.clone()),
                HttpMethod::Put => found.put(handler.clone()),
                HttpMethod::Patch => found.patch(handler.clone()),
                HttpMethod::Delete => found.delete(handler.clone()),
                // The control API has no others.
                HttpMethod::Options | HttpMethod::Head | HttpMethod::Trace => found,
            };
        }
        self.0.insert(path, found);
    }
}

/// Every route of the control API.
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(endpoint("/_emulator/v1/openapi.json").get(show).end());
    for endpoint in endpoints().0.into_values() {
        config.service(endpoint.end());
    }
}

/// What all operations have in common.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut Document) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("`control.token`. On loopback none is needed."))
            .build();
        let components = document.components.get_or_insert_with(Components::default);
        components.add_security_scheme("control_token", SecurityScheme::Http(token));
        join_flattened(components);
        let problem = RefOr::Ref(Ref::from_schema_name("ProblemDocument"));
        for (_, operation) in operations(document) {
            set_operation_id(operation);
            set_content_type(operation, "ProblemDocument", PROBLEM_JSON);
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
                add_response(operation, code, about, PROBLEM_JSON, &problem);
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

/// Groups of calls with their titles, in the order in which readers need them.
const TAGS: [(&str, &str); 16] = [
    ("environments", "Environments"),
    ("inbox", "Inbox"),
    ("clock", "Clock"),
    ("faults", "Faults"),
    ("flows", "Sign-ins"),
    ("requests", "Requests"),
    ("sign-in", "Instant sign-in"),
    ("tokens", "Tokens"),
    ("users", "Users"),
    ("clients", "Applications"),
    ("settings", "Settings"),
    ("events", "Events"),
    ("webhooks", "Webhooks"),
    ("interceptors", "Interceptors"),
    ("logout-notices", "Back-channel logout"),
    ("state", "State"),
];

/// As OpenAPI has them; readers of documents know `x-displayName`.
fn tags() -> Value {
    TAGS.iter().map(|(name, title)| json!({ "name": name, "x-displayName": title })).collect()
}

/// What was sent and received, by `METHOD /path`: made against a running server, by the test that writes
/// docs/CONTROL_API.md.
const EXAMPLES: &str = include_str!("examples.json");

/// A call as it was made.
#[derive(Debug, Deserialize)]
struct Example {
    #[serde(default)]
    path: Map<String, Value>,
    #[serde(default)]
    query: Map<String, Value>,
    body: Option<Value>,
    status: u16,
    result: Option<Value>,
}

/// The description as JSON, made once: answers that wait to be taken share it.
pub fn document() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
        let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
        document["tags"] = tags();
        add_examples(&mut document, serde_json::from_str(EXAMPLES).unwrap_or_default());
        document.to_string().into()
    });
    DOCUMENT.clone()
}

/// Writes each example where OpenAPI has it: at its parameters, its body and its response.
fn add_examples(document: &mut Value, examples: BTreeMap<String, Example>) {
    for (name, example) in examples {
        let Some((method, path)) = name.split_once(' ') else { continue };
        let path = format!("/_emulator/v1{path}");
        let Some(operation) = document["paths"].get_mut(path).and_then(|m| m.get_mut(method.to_lowercase()))
        else {
            continue;
        };
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            let values = if parameter["in"] == "path" { &example.path } else { &example.query };
            let value = parameter["name"].as_str().and_then(|name| values.get(name)).cloned();
            if let Some(value) = value {
                parameter["example"] = value;
            }
        }
        let set = |found: Option<&mut Value>, value: Option<Value>| {
            if let (Some(found), Some(value)) = (found, value) {
                found["example"] = value;
            }
        };
        let body = "/requestBody/content/application~1json";
        set(operation.pointer_mut(body), example.body);
        let response = format!("/responses/{}/content/application~1json", example.status);
        set(operation.pointer_mut(&response), example.result);
    }
}

/// `GET /_emulator/v1/openapi.json`
pub async fn show(super::Control(_): super::Control) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}
