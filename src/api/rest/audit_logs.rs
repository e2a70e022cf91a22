//! `GET /api/v1/logs/authentication/requests`: the REST twin of `AuditLogsService`.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::rest;
use crate::domain::api_error::FieldViolation;
use crate::domain::clock::{UnixMs, parse_rfc3339, rfc3339};
use crate::domain::flow::FlowStatus;
use crate::http::api_error::ApiErrorBody;
use crate::http::context::Ctx;
use crate::runtime::Context;
use crate::service::api::ApiRefusal;
use crate::service::audit_logs::{self, Asked, Entry};

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuthRequestList {
    /// Empty where there is no such page.
    next_page_token: String,
    prev_page_token: String,
    total_size: u32,
    #[serde(rename = "authRequests")]
    auth_requests: Vec<AuthRequestEntry>,
}

/// One sign-in.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuthRequestEntry {
    organization_id: &'static str,
    environment_id: String,
    connection_id: String,
    auth_request_id: String,
    email: String,
    connection_type: &'static str,
    connection_provider: &'static str,
    status: FlowStatus,
    /// RFC 3339.
    timestamp: String,
    connection_details: [ConnectionDetails; 1],
    client_id: String,
    client_name: String,
    client_type: &'static str,
}

/// By which connection.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionDetails {
    connection_id: String,
    organization_id: &'static str,
    connection_type: &'static str,
    connection_provider: &'static str,
}

/// Sign-ins, newest first.
#[utoipa::path(get, path = "/api/v1/logs/authentication/requests", tag = "logs", security(("client_token" = [])),
    params(("page_size" = Option<u32>, Query, description = "Entries of a page, at most 100."),
        ("page_token" = Option<String>, Query), ("email" = Option<String>, Query), ("client_id" = Option<String>, Query),
        ("status" = Option<Vec<FlowStatus>>, Query),
        ("start_time" = Option<String>, Query, description = "RFC 3339."), ("end_time" = Option<String>, Query, description = "RFC 3339."),
        ("resource_id" = Option<String>, Query), ("connected_account_identifier" = Option<String>, Query)),
    responses((status = 200, body = AuthRequestList), (status = 400, body = ApiErrorBody)))]
pub async fn list(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let answer = async {
        rest::caller_of(&context, &request).await?;
        let page = audit_logs::list(&context, asked(&request)?).await?;
        Ok(AuthRequestList {
            auth_requests: page.entries.into_iter().map(|entry| shown(&context, entry)).collect(),
            next_page_token: page.next_page_token,
            prev_page_token: page.prev_page_token,
            total_size: page.total,
        })
    };
    rest::answer(answer.await)
}

/// Names come in both cases, as the gateway takes them.
fn asked(request: &HttpRequest) -> Result<Asked, ApiRefusal> {
    let mut asked = Asked::default();
    for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
        if value.is_empty() {
            continue;
        }
        match &*name {
            "page_size" | "pageSize" => {
                let text = "page_size is invalid: it is no number";
                asked.page_size =
                    value.parse().map_err(|_| vec![FieldViolation::new("page_size", "uint32", text)])?;
            }
            "page_token" | "pageToken" => asked.page_token = value.into_owned(),
            "email" => asked.email = value.into_owned(),
            "status" => asked.status.push(value.into_owned()),
            "start_time" | "startTime" => asked.start_ms = Some(time("start_time", &value)?),
            "end_time" | "endTime" => asked.end_ms = Some(time("end_time", &value)?),
            "client_id" | "clientId" => asked.client_id = value.into_owned(),
            "resource_id" | "resourceId" | "connected_account_identifier" | "connectedAccountIdentifier" => {
                asked.is_about_resources = true;
            }
            _ => {}
        }
    }
    Ok(asked)
}

fn time(name: &str, text: &str) -> Result<UnixMs, ApiRefusal> {
    parse_rfc3339(text).ok_or_else(|| {
        vec![FieldViolation::new(name, "timestamp", format!("{name} is invalid: it is no RFC 3339 time"))]
            .into()
    })
}

fn shown(context: &Context, entry: Entry) -> AuthRequestEntry {
    let connection_id = &context.environment.passwordless.connection_id;
    let (connection_type, connection_provider) = ("PASSWORDLESS", "SCALEKIT");
    AuthRequestEntry {
        organization_id: "",
        environment_id: context.environment.id.clone(),
        connection_id: connection_id.clone(),
        auth_request_id: entry.auth_request_id,
        email: entry.email,
        connection_type,
        connection_provider,
        status: entry.status,
        timestamp: rfc3339(entry.at_ms),
        connection_details: [ConnectionDetails {
            connection_id: connection_id.clone(),
            organization_id: "",
            connection_type,
            connection_provider,
        }],
        client_id: entry.client_id,
        client_name: entry.client_name,
        client_type: entry.client_type,
    }
}
