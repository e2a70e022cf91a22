//! The request journal, for tests: what did the application ask for?

use std::time::Duration;

use actix_web::HttpRequest;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Answer, Control, ProblemDocument, Query, json, refuse};
use crate::domain::clock::rfc3339;
use crate::domain::fault::grpc_name;
use crate::service::changes::ControlError;
use crate::service::request_journal::{self, NotEmulatedCalls, RecordedRequest, RequestFilter, number_of};

/// What stands in the place of a value that is not kept.
const REDACTED: &str = "[redacted]";

/// A request to the environment.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestView {
    /// What `since` takes.
    pub id: String,
    /// Its `x-request-id`, by which the server's log has it.
    pub request_id: String,
    /// RFC 3339, by the environment's clock.
    pub at: String,
    /// `oauth`, `rest`, `grpc`, `page` or `other`.
    pub kind: &'static str,
    /// HTTP method.
    pub method: String,
    /// The path below the environment's URL, without its query; of a gRPC call, `/service/method`. Secrets in it are
    /// replaced by `{…}`.
    pub path: String,
    /// The template of the path, such as `/api/v1/users/{id}`.
    pub route: Option<String>,
    pub client_id: Option<String>,
    /// Parameters of query and form. Values that could be secret are `[redacted]`. A parameter that came more than once
    /// has its values with commas between.
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// How many parameters there were beyond those that are known by name.
    pub other_parameters: u32,
    /// HTTP status; `null`: the connection ended without a response.
    pub status: Option<u16>,
    /// Name of the gRPC status, of a gRPC call.
    pub grpc_status: Option<&'static str>,
    pub duration_ms: f64,
    /// The code of the error that the caller was told, such as `invalid_grant`.
    pub error: Option<&'static str>,
    /// The fault rule that was applied.
    pub fault: Option<String>,
    /// What it asked for that is not emulated.
    pub not_emulated: Option<String>,
}

impl From<&RecordedRequest> for RequestView {
    fn from(request: &RecordedRequest) -> Self {
        let mut parameters = Map::new();
        for parameter in &request.parameters.known {
            let value = parameter.value.as_deref().unwrap_or(REDACTED);
            let seen = parameters.get(parameter.name).and_then(Value::as_str);
            let value = seen.map_or_else(|| value.to_owned(), |seen| format!("{seen}, {value}"));
            parameters.insert(parameter.name.to_owned(), value.into());
        }
        Self {
            id: request.id(),
            request_id: request.request_id.clone(),
            at: rfc3339(request.at_ms),
            kind: request.kind.as_str(),
            method: request.method.clone(),
            path: request.path.clone(),
            route: request.route.clone(),
            client_id: request.client_id.clone(),
            parameters,
            other_parameters: request.parameters.others,
            status: request.status,
            grpc_status: request.grpc_status.map(grpc_name),
            duration_ms: duration_ms(request.duration),
            error: request.error,
            fault: request.fault.clone(),
            not_emulated: request.not_emulated.clone(),
        }
    }
}

/// To a tenth of a millisecond.
fn duration_ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// How often an application asked for something that is not emulated.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotEmulatedView {
    /// `null`: the requests did not say.
    pub client_id: Option<String>,
    /// Method of Scalekit's API, or HTTP method and path.
    pub name: String,
    pub times: u64,
    /// RFC 3339, by the environment's clock.
    pub last_at: String,
}

impl From<NotEmulatedCalls> for NotEmulatedView {
    fn from(calls: NotEmulatedCalls) -> Self {
        Self {
            client_id: calls.client_id,
            name: calls.name,
            times: calls.times,
            last_at: rfc3339(calls.last_at_ms),
        }
    }
}

/// Requests, and where the journal stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestList {
    pub requests: Vec<RequestView>,
    pub next_page_token: Option<String>,
    /// For `since`: what is asked from now on.
    pub cursor: String,
    /// What applications asked for since the last reset that is not emulated, whatever the filters say.
    pub not_emulated: Vec<NotEmulatedView>,
}

/// Lists requests to the environment, newest first. With `wait_ms`, waits until there is one. Pass the `cursor` of an earlier response as `since` to get only newer requests.
#[utoipa::path(get, path = "/_emulator/v1/requests", tag = "requests",
    params(("path" = Option<String>, Query, description = "Only requests to this path or route, such as `/oauth/token` or `*PasswordlessService/*`; `*` stands for any characters."),
        ("client_id" = Option<String>, Query, description = "Only requests of this client."),
        ("since" = Option<String>, Query, description = "Only requests newer than this one, by its id, or than this cursor."),
        ("wait_ms" = Option<i64>, Query, description = "Milliseconds to wait for a request, at most 60000."),
        ("page_size" = Option<i64>, Query), ("page_token" = Option<String>, Query)),
    responses((status = 200, body = RequestList), (status = 400, body = ProblemDocument)))]
pub async fn list(request: HttpRequest, Control(context): Control) -> Answer {
    let read = || {
        let query = Query::of(&request)?;
        let page = query.page()?;
        let since = query.text("since")?.map(|id| {
            let text = "must be the id of a request, req_…, or a cursor";
            number_of(id).ok_or_else(|| ControlError::field("since", text))
        });
        let filter = RequestFilter {
            path: query.owned("path")?,
            client_id: query.owned("client_id")?,
            after: since.transpose()?,
            offset: usize::try_from(page.offset).unwrap_or_default(),
            limit: usize::try_from(page.limit()).unwrap_or_default(),
        };
        Ok((page, filter, query.wait()?.unwrap_or_default()))
    };
    let (page, filter, wait) = read().map_err(refuse)?;
    // Read before the list: a request that comes in between is listed, or newer than the cursor, or both; never neither.
    let cursor = request_journal::cursor(&context);
    let mut found = request_journal::list(&context, &filter, wait).await;
    let next_page_token = page.cut(&mut found);
    let newest = found.first().map(|request| request.id()).unwrap_or_default();
    Ok(json(&RequestList {
        requests: found.iter().map(|request| RequestView::from(&**request)).collect(),
        next_page_token,
        cursor: cursor.max(newest),
        not_emulated: request_journal::not_emulated(&context)
            .into_iter()
            .map(NotEmulatedView::from)
            .collect(),
    }))
}
