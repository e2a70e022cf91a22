//! `scalekit.v1.auditlogs.AuditLogsService`: the log of sign-ins.

use tonic::{Request, Response, Status};

use super::call::context_of;
use super::convert::{timestamp, to_ms};
use super::pb::scalekit::v1::auditlogs::audit_logs_service_server::AuditLogsService;
use super::pb::scalekit::v1::auditlogs::{
    AuthLogRequest, ConnectionDetails, ListAuthLogRequest, ListAuthLogResponse,
};
use super::status::refused;
use crate::runtime::Context;
use crate::service::audit_logs::{self, Entry, ListAuthRequests};

#[derive(Clone)]
pub struct AuditLogs;

#[tonic::async_trait]
impl AuditLogsService for AuditLogs {
    async fn list_auth_requests(
        &self,
        request: Request<ListAuthLogRequest>,
    ) -> Result<Response<ListAuthLogResponse>, Status> {
        let answer = async {
            let context = context_of(&request)?;
            let asked = request.into_inner();
            let is_about_resources =
                !asked.resource_id.is_empty() || !asked.connected_account_identifier.is_empty();
            let page = audit_logs::list(
                &context,
                ListAuthRequests {
                    page_size: asked.page_size,
                    page_token: asked.page_token,
                    email: asked.email,
                    status: asked.status,
                    start_ms: asked.start_time.as_ref().map(to_ms),
                    end_ms: asked.end_time.as_ref().map(to_ms),
                    client_id: asked.client_id,
                    is_about_resources,
                },
            )
            .await?;
            Ok(ListAuthLogResponse {
                next_page_token: page.next_page_token,
                prev_page_token: page.prev_page_token,
                total_size: page.total,
                auth_requests: page
                    .entries
                    .into_iter()
                    .map(|entry| to_auth_log_request(&context, entry))
                    .collect(),
            })
        };
        Ok(Response::new(answer.await.map_err(refused)?))
    }
}

fn to_auth_log_request(context: &Context, entry: Entry) -> AuthLogRequest {
    let connection_id = &context.environment.passwordless.connection_id;
    AuthLogRequest {
        environment_id: context.environment.id.clone(),
        connection_id: connection_id.clone(),
        auth_request_id: entry.auth_request_id,
        email: entry.email,
        connection_type: "PASSWORDLESS".to_owned(),
        connection_provider: "SCALEKIT".to_owned(),
        status: entry.status.as_str().to_owned(),
        timestamp: Some(timestamp(entry.at_ms)),
        connection_details: vec![ConnectionDetails {
            connection_id: connection_id.clone(),
            connection_type: "PASSWORDLESS".to_owned(),
            connection_provider: "SCALEKIT".to_owned(),
            organization_id: String::new(),
        }],
        client_id: entry.client_id,
        client_name: entry.client_name,
        client_type: entry.client_type.to_owned(),
        ..AuthLogRequest::default()
    }
}
