//! `GET /api/v1/logs/authentication/requests`: the REST twin of `AuditLogsService`.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::rest;
use crate::app::Context;
use crate::domain::api_error::FieldViolation;
use crate::domain::clock::{UnixMs, parse_rfc3339, rfc3339};
use crate::http::context::Ctx;
use crate::service::api::ApiRefusal;
use crate::service::audit_logs::{self, Asked, Entry};

pub async fn list(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let answer = async {
        rest::caller_of(&context, &request).await?;
        let page = audit_logs::list(&context, asked(&request)?).await?;
        let entries: Vec<Value> = page.entries.iter().map(|entry| shown(&context, entry)).collect();
        Ok(json!({
            "next_page_token": page.next_page_token,
            "prev_page_token": page.prev_page_token,
            "total_size": page.total,
            "authRequests": entries,
        }))
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

fn shown(context: &Context, entry: &Entry) -> Value {
    let connection_id = &context.environment.passwordless.connection_id;
    json!({
        "organization_id": "",
        "environment_id": context.environment.id,
        "connection_id": connection_id,
        "auth_request_id": entry.auth_request_id,
        "email": entry.email,
        "connection_type": "PASSWORDLESS",
        "connection_provider": "SCALEKIT",
        "status": entry.status.as_str(),
        "timestamp": rfc3339(entry.at_ms),
        "connection_details": [{
            "connection_id": connection_id,
            "organization_id": "",
            "connection_type": "PASSWORDLESS",
            "connection_provider": "SCALEKIT",
        }],
        "client_id": entry.client_id,
        "client_name": entry.client_name,
        "client_type": entry.client_type,
    })
}
