//! The reference of the control API and of Scalekit's REST API, made of the descriptions that the server itself gives, with
//! an example of every call.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::Value;

use super::frame::layout;
use super::openapi_reader::{Document, Field, Kind, Object, Operation, Response, Summary, Tag};
use super::{DashboardContext, PageResult, end_with, endpoint, one};
use crate::domain::api_error::ApiErrorCode;
use crate::domain::shell::quoted;
use crate::http::errors::Problem;
use crate::http::views::Layout;
use crate::http::{params, path_segment, render};
use crate::runtime::{Access, Context};
use crate::service::environments::view;

const HERE: &str = "/dashboard/api";

/// Longest text that is searched for, in bytes.
const MAX_QUERY: usize = 200;

/// The URL in the examples that documents have themselves.
const DOCUMENTED_URL: &str = "http://localhost:6870";

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(endpoint("/api").get(index).end())
        .service(endpoint("/api/{api}/{tag}").get(operations).end());
}

/// The descriptions, each read when it is first asked for.
pub struct ApiReference {
    apis: [Api; 2],
}

struct Api {
    /// Its part of a path.
    name: &'static str,
    title: &'static str,
    /// Of its description.
    path: &'static str,
    document: fn() -> Bytes,
    read: OnceLock<Document>,
}

impl Api {
    fn document(&self) -> &Document {
        self.read.get_or_init(|| Document::read(&(self.document)()))
    }
}

impl ApiReference {
    /// Of what makes the description of the control API and that of the REST API.
    pub fn new(control: fn() -> Bytes, rest: fn() -> Bytes) -> Self {
        let api = |name, title, path, document| Api { name, title, path, document, read: OnceLock::new() };
        Self {
            apis: [
                api("control", "Control API", "/_emulator/v1/openapi.json", control),
                api("rest", "REST API", "/api/v1/openapi.json", rest),
            ],
        }
    }
}

#[derive(Template)]
#[template(path = "dashboard/api.html")]
struct Index {
    layout: Layout,
    query: String,
    /// What was found, where something was searched for.
    found: Option<Vec<Link>>,
    apis: Vec<ApiLinks>,
    error_codes: Vec<ErrorCode>,
}

struct ApiLinks {
    title: &'static str,
    about: String,
    description: String,
    tags: Vec<TagLink>,
}

struct TagLink {
    href: String,
    tag: Tag,
    count: usize,
}

/// A link to an operation.
struct Link {
    href: String,
    summary: Summary,
}

struct ErrorCode {
    name: &'static str,
    grpc: &'static str,
    status: u16,
    meaning: &'static str,
}

/// `GET /dashboard/api`
async fn index(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    reference: web::Data<ApiReference>,
) -> HttpResponse {
    let params = params::query(&request).unwrap_or_default();
    let query = Some(one(&params, "q")).filter(|query| query.len() <= MAX_QUERY).unwrap_or_default();
    let found = reference.apis.iter().flat_map(|api| {
        api.document().search(query).into_iter().map(|summary| Link {
            href: format!("{}#{}", address(&context, api, &summary.tag), path_segment(&summary.id)),
            summary,
        })
    });
    let page = Index {
        layout: layout(&context, &request, "API reference", HERE),
        found: (!query.is_empty()).then(|| found.collect()),
        query: query.to_owned(),
        apis: reference.apis.iter().map(|api| links(&context, api)).collect(),
        error_codes: ApiErrorCode::ALL
            .iter()
            .map(|code| ErrorCode {
                name: code.as_str(),
                grpc: code.grpc_code().as_str(),
                status: code.http_status(),
                meaning: code.meaning(),
            })
            .collect(),
    };
    render::page(StatusCode::OK, &page)
}

fn links(context: &Context, api: &Api) -> ApiLinks {
    let document = api.document();
    let summaries = document.summaries();
    let tags = document.tags().into_iter().map(|tag| TagLink {
        href: address(context, api, &tag.name),
        count: summaries.iter().filter(|summary| summary.tag == tag.name).count(),
        tag,
    });
    ApiLinks {
        title: api.title,
        about: document.about().replace('`', ""),
        description: context.path(api.path),
        tags: tags.collect(),
    }
}

fn address(context: &Context, api: &Api, tag: &str) -> String {
    context.path(&format!("{HERE}/{}/{}", api.name, path_segment(tag)))
}

#[derive(Template)]
#[template(path = "dashboard/api_operations.html")]
struct Operations {
    layout: Layout,
    index: String,
    api: &'static str,
    tag: Tag,
    /// What to run before the examples, with its name.
    preparation: Option<(&'static str, String)>,
    views: Vec<OperationView>,
    errors: Vec<ErrorStatus>,
    objects: Vec<Object>,
}

struct OperationView {
    operation: Operation,
    /// Where its parameters stand, with those there.
    parameters: Vec<(&'static str, Vec<Field>)>,
    curl: String,
    results: Vec<ResultView>,
    /// Statuses, which the page explains once.
    errors: Vec<String>,
}

/// What a status means in this group of operations.
struct ErrorStatus {
    status: String,
    kind: Kind,
    error_codes: Vec<String>,
    about: Vec<String>,
}

struct ResultView {
    response: Response,
    example: Option<String>,
}

impl Operations {
    /// A text between tags, where quotes may stand as they are: examples are full of them.
    fn code(text: &str) -> String {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }

    fn fields(fields: &[Field]) -> Fields<'_> {
        Fields { fields }
    }
}

/// Fields, and in them those of the objects that they are.
#[derive(Template)]
#[template(path = "dashboard/_api_fields.html")]
struct Fields<'f> {
    fields: &'f [Field],
}

impl Fields<'_> {
    fn inside(field: &Field) -> Fields<'_> {
        Fields { fields: &field.fields }
    }
}

/// `GET /dashboard/api/{api}/{tag}`
async fn operations(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    reference: web::Data<ApiReference>,
    path: web::Path<(String, String)>,
) -> PageResult {
    let (api, tag) = path.into_inner();
    let api = reference.apis.iter().find(|one| one.name == api);
    let found = api.and_then(|api| {
        let tag = api.document().tags().into_iter().find(|one| one.name == tag)?;
        Some((api, tag))
    });
    let Some((api, tag)) = found else {
        let text = "The API has no such group of operations.";
        let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", text);
        return Err(end_with(problem.page(&request)));
    };
    let operations = api.document().operations(&tag.name);
    let objects = api.document().objects(&operations);
    let errors = error_statuses(&operations);
    let token = token(&context, api);
    let has_token = token.is_some();
    let operations = operations.into_iter().map(|operation| operation_view(&context, operation, has_token));
    let page = Operations {
        layout: layout(&context, &request, &format!("{}: {}", api.title, tag.title), HERE),
        index: context.path(HERE),
        api: api.title,
        preparation: token,
        views: operations.collect(),
        errors,
        objects,
        tag,
    };
    Ok(render::page(StatusCode::OK, &page))
}

/// How to get the token that the examples use.
fn token(context: &Context, api: &Api) -> Option<(&'static str, String)> {
    if api.name == "control" {
        let is_asked = matches!(context.runtime.server.control, Access::Token(_));
        let text = "TOKEN='value of control.token'".to_owned();
        return is_asked.then_some(("Set the control token", text));
    }
    let shown = view(&context.environment, &context.public_url, None);
    let id = shown.client_id.unwrap_or_default();
    let secret = shown.client_secret.unwrap_or_else(|| "…".to_owned());
    let text = format!(
        "TOKEN=$(curl -s '{}/oauth/token' -d grant_type=client_credentials \\\n  --data-urlencode client_id='{id}' \\\n  --data-urlencode client_secret='{secret}' | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')",
        context.issuer()
    );
    Some(("Get an access token", text))
}

fn operation_view(context: &Context, mut operation: Operation, has_token: bool) -> OperationView {
    let curl = curl(context, &operation, has_token);
    let mut parameters = vec![];
    for (place, title) in [("path", "Path"), ("query", "Query"), ("header", "Headers")] {
        let (own, others) =
            std::mem::take(&mut operation.parameters).into_iter().partition(|one| one.place == place);
        operation.parameters = others;
        let own: Vec<_> = own;
        if !own.is_empty() {
            parameters.push((title, own.into_iter().map(|parameter| parameter.field).collect()));
        }
    }
    let (results, errors): (Vec<_>, Vec<_>) =
        std::mem::take(&mut operation.responses).into_iter().partition(Response::is_success);
    let results = results.into_iter().map(|mut response| {
        let example = response.example.take().map(|value| as_seen_here(context, &pretty(&value)));
        ResultView { response, example }
    });
    let errors = errors.into_iter().map(|error| error.status).collect();
    OperationView { parameters, curl, results: results.collect(), errors, operation }
}

/// What is not a success, by status.
fn error_statuses(operations: &[Operation]) -> Vec<ErrorStatus> {
    let mut found = BTreeMap::new();
    let errors = operations.iter().flat_map(|operation| &operation.responses);
    for error in errors.filter(|response| !response.is_success()) {
        let status = found.entry(error.status.clone()).or_insert_with(|| ErrorStatus {
            status: error.status.clone(),
            kind: error.kind.clone(),
            error_codes: error.error_codes.clone(),
            about: vec![],
        });
        if !error.about.is_empty() && !status.about.contains(&error.about) {
            status.about.push(error.about.clone());
        }
    }
    found.into_values().collect()
}

/// The call of an operation's example, for a shell.
fn curl(context: &Context, operation: &Operation, has_token: bool) -> String {
    let method = match operation.summary.method.as_str() {
        "GET" => String::new(),
        method => format!("-X {method} "),
    };
    let mut text =
        format!("curl {method}{}", quoted(&format!("{}{}", context.issuer(), operation.example.path)));
    if operation.takes_token && has_token {
        text.push_str(" \\\n  -H \"authorization: Bearer $TOKEN\"");
    }
    if let Some(body) = &operation.example.body {
        let body = quoted(&as_seen_here(context, &pretty(body)));
        text.push_str(&format!(" \\\n  -H 'content-type: application/json' \\\n  -d {body}"));
    }
    text
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// With the URL of this environment.
fn as_seen_here(context: &Context, example: &str) -> String {
    example.replace(DOCUMENTED_URL, context.issuer())
}
