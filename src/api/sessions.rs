//! `scalekit.v1.sessions.SessionService`: who is signed in, since when, on which device.

use tonic::{Request, Response, Status};

use super::call::context_of;
use super::convert::{answer, timestamp, to_ms};
use super::pb::scalekit::v1::sessions::session_service_server::SessionService;
use super::pb::scalekit::v1::sessions::{
    AuthenticatedClients, DeviceDetails, RevokeAllUserSessionsRequest, RevokeAllUserSessionsResponse,
    RevokeSessionRequest, RevokeSessionResponse, RevokedSessionDetails, SessionDetails,
    SessionDetailsRequest, UserSessionDetails, UserSessionDetailsRequest,
};
use crate::domain::session::{SessionRecord, SessionStatus};
use crate::runtime::Context;
use crate::service::user_agent::UserAgent;
use crate::service::user_sessions::{self, Wanted};

#[derive(Clone)]
pub struct Sessions;

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn get_session(
        &self,
        request: Request<SessionDetailsRequest>,
    ) -> Result<Response<SessionDetails>, Status> {
        let found = async {
            let context = context_of(&request)?;
            let record = user_sessions::find(&context, &request.into_inner().session_id).await?;
            Ok(shown(&context, record))
        };
        answer(found.await)
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let revoked = async {
            let context = context_of(&request)?;
            let record = user_sessions::revoke(&context, &request.into_inner().session_id).await?;
            Ok(RevokeSessionResponse { revoked_session: Some(shown_revoked(&context, record)) })
        };
        answer(revoked.await)
    }

    async fn get_user_sessions(
        &self,
        request: Request<UserSessionDetailsRequest>,
    ) -> Result<Response<UserSessionDetails>, Status> {
        let listed = async {
            let context = context_of(&request)?;
            let UserSessionDetailsRequest { user_id, page_size, page_token, filter } = request.into_inner();
            let filter = filter.unwrap_or_default();
            let wanted = Wanted {
                statuses: filter.status,
                from_ms: filter.start_time.as_ref().map(to_ms),
                to_ms: filter.end_time.as_ref().map(to_ms),
            };
            let page = user_sessions::list(&context, &user_id, &wanted, page_size, &page_token).await?;
            Ok(UserSessionDetails {
                next_page_token: page.next_page_token,
                prev_page_token: page.prev_page_token,
                total_size: page.total,
                sessions: page.records.into_iter().map(|record| shown(&context, record)).collect(),
            })
        };
        answer(listed.await)
    }

    async fn revoke_all_user_sessions(
        &self,
        request: Request<RevokeAllUserSessionsRequest>,
    ) -> Result<Response<RevokeAllUserSessionsResponse>, Status> {
        let revoked = async {
            let context = context_of(&request)?;
            let records = user_sessions::revoke_all(&context, &request.into_inner().user_id).await?;
            Ok(RevokeAllUserSessionsResponse {
                total_revoked: u32::try_from(records.len()).unwrap_or(u32::MAX),
                revoked_sessions: records.into_iter().map(|r| shown_revoked(&context, r)).collect(),
            })
        };
        answer(revoked.await)
    }
}

fn shown(context: &Context, record: SessionRecord) -> SessionDetails {
    let (now_ms, settings) = (context.now_ms(), &context.environment.sessions);
    let status = record.status(now_ms, settings);
    let session = &record.session;
    SessionDetails {
        session_id: session.id.clone(),
        user_id: session.user_id.clone(),
        organization_id: session.organization_id.clone().unwrap_or_default(),
        authenticated_organizations: record.organization_ids().into_iter().map(str::to_owned).collect(),
        created_at: Some(timestamp(record.created_at_ms)),
        updated_at: Some(timestamp(session.ended_at_ms.unwrap_or(session.last_active_at_ms))),
        idle_expires_at: Some(timestamp(record.idle_expires_at_ms(settings))),
        absolute_expires_at: Some(timestamp(session.absolute_expires_at_ms)),
        expired_at: record.expired_at_ms(now_ms, settings).map(timestamp),
        logout_at: session.ended_at_ms.filter(|_| status == SessionStatus::Logout).map(timestamp),
        status: status.as_str().to_owned(),
        last_active_at: Some(timestamp(session.last_active_at_ms)),
        device: Some(shown_device(record.device)),
        authenticated_clients: record
            .entries
            .into_iter()
            .map(|entry| AuthenticatedClients {
                client_id: entry.client_id,
                organization_id: entry.organization_id.unwrap_or_default(),
            })
            .collect(),
    }
}

fn shown_device(device: crate::domain::session::Device) -> DeviceDetails {
    let user_agent = device.user_agent.unwrap_or_default();
    let parsed = UserAgent::parse(&user_agent);
    DeviceDetails {
        user_agent,
        os: parsed.os,
        os_version: parsed.os_version,
        browser: parsed.browser,
        browser_version: parsed.browser_version,
        device_type: parsed.device_type.to_owned(),
        ip: device.ip_address.unwrap_or_default(),
        // Nobody knows where an address is.
        location: None,
    }
}

/// The part of a session that an answer about its end has.
fn shown_revoked(context: &Context, record: SessionRecord) -> RevokedSessionDetails {
    let session = shown(context, record);
    RevokedSessionDetails {
        session_id: session.session_id,
        user_id: session.user_id,
        created_at: session.created_at,
        updated_at: session.updated_at,
        idle_expires_at: session.idle_expires_at,
        absolute_expires_at: session.absolute_expires_at,
        expired_at: session.expired_at,
        logout_at: session.logout_at,
        status: session.status,
        last_active_at: session.last_active_at,
    }
}
