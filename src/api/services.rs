//! The emulated services, called by both edges in the same way: first the caller is known, then the message is decoded and
//! its field rules are checked, then the handler has it.

use std::convert::Infallible;
use std::sync::LazyLock;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tonic::{Code, Status};
use tower_service::Service as _;

use super::call::{CallerId, MAX_MESSAGE_BYTES};
use super::pb::scalekit::v1::auditlogs::audit_logs_service_server::AuditLogsServiceServer;
use super::pb::scalekit::v1::auth::auth_service_server::AuthServiceServer;
use super::pb::scalekit::v1::auth::passwordless::passwordless_service_server::PasswordlessServiceServer;
use super::pb::scalekit::v1::clients::client_service_server::ClientServiceServer;
use super::pb::scalekit::v1::connections::connection_service_server::ConnectionServiceServer;
use super::pb::scalekit::v1::domains::domain_service_server::DomainServiceServer;
use super::pb::scalekit::v1::organizations::organization_service_server::OrganizationServiceServer;
use super::pb::scalekit::v1::roles::roles_service_server::RolesServiceServer;
use super::pb::scalekit::v1::sessions::session_service_server::SessionServiceServer;
use super::pb::scalekit::v1::tokens::api_token_service_server::ApiTokenServiceServer;
use super::pb::scalekit::v1::users::user_service_server::UserServiceServer;
use super::{
    audit_logs, auth, clients, connections, domains, organizations, passwordless, roles, sessions, status,
    tokens, users,
};
use crate::domain::api_error::{ApiError, ApiErrorCode};
use crate::domain::scalekit_api::Method;
use crate::runtime::Context;
use crate::service::api::{ApiRefusal, caller, not_emulated, note_caller};

/// Bytes in front of a message: whether it is compressed, and its length.
const FRAME_HEAD_BYTES: usize = 5;

/// Handlers know nothing but their requests, so one of each is enough.
static SERVICES: LazyLock<Services> = LazyLock::new(|| Services {
    audit_logs: AuditLogsServiceServer::new(audit_logs::AuditLogs)
        .max_decoding_message_size(MAX_MESSAGE_BYTES),
    auth: AuthServiceServer::new(auth::Auth).max_decoding_message_size(MAX_MESSAGE_BYTES),
    clients: ClientServiceServer::new(clients::Clients).max_decoding_message_size(MAX_MESSAGE_BYTES),
    connections: ConnectionServiceServer::new(connections::Connections)
        .max_decoding_message_size(MAX_MESSAGE_BYTES),
    domains: DomainServiceServer::new(domains::Domains).max_decoding_message_size(MAX_MESSAGE_BYTES),
    organizations: OrganizationServiceServer::new(organizations::Organizations)
        .max_decoding_message_size(MAX_MESSAGE_BYTES),
    passwordless: PasswordlessServiceServer::new(passwordless::Passwordless)
        .max_decoding_message_size(MAX_MESSAGE_BYTES),
    roles: RolesServiceServer::new(roles::Roles).max_decoding_message_size(MAX_MESSAGE_BYTES),
    sessions: SessionServiceServer::new(sessions::Sessions).max_decoding_message_size(MAX_MESSAGE_BYTES),
    tokens: ApiTokenServiceServer::new(tokens::Tokens).max_decoding_message_size(MAX_MESSAGE_BYTES),
    users: UserServiceServer::new(users::Users).max_decoding_message_size(MAX_MESSAGE_BYTES),
});

struct Services {
    audit_logs: AuditLogsServiceServer<audit_logs::AuditLogs>,
    auth: AuthServiceServer<auth::Auth>,
    clients: ClientServiceServer<clients::Clients>,
    connections: ConnectionServiceServer<connections::Connections>,
    domains: DomainServiceServer<domains::Domains>,
    organizations: OrganizationServiceServer<organizations::Organizations>,
    passwordless: PasswordlessServiceServer<passwordless::Passwordless>,
    roles: RolesServiceServer<roles::Roles>,
    sessions: SessionServiceServer<sessions::Sessions>,
    tokens: ApiTokenServiceServer<tokens::Tokens>,
    users: UserServiceServer<users::Users>,
}

/// Who calls; `None` where a method needs nobody. Methods that are not emulated end here.
#[derive(Debug)]
pub struct Admitted {
    method: &'static Method,
    caller: Option<CallerId>,
}

/// Lets a call through that has one of these Bearer tokens, or needs none.
pub async fn admit(
    context: &Context,
    method: &'static Method,
    authorization: impl Iterator<Item = &str>,
) -> Result<Admitted, ApiRefusal> {
    // Some clients join what they send twice into one line.
    let tokens: Vec<&str> = authorization.flat_map(|line| line.split(',')).filter_map(bearer_token).collect();
    if !method.is_emulated {
        note_caller(context, &tokens);
        return Err(not_emulated(context, method).into());
    }
    if method.is_public {
        return Ok(Admitted { method, caller: None });
    }
    let client = caller(context, &tokens).await?;
    Ok(Admitted { method, caller: Some(CallerId(client.client_id.clone())) })
}

/// Lets a call through that the control API was asked for. It is made as by the first client of the environment.
pub fn admit_operator(context: &Context, method: &'static Method) -> Result<Admitted, ApiRefusal> {
    if !method.is_emulated {
        return Err(not_emulated(context, method).into());
    }
    let first = context.environment.clients.first();
    Ok(Admitted { method, caller: first.map(|client| CallerId(client.client_id.clone())) })
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Admitted {
    /// Calls the service.
    pub async fn call<B>(self, context: &Context, mut request: http::Request<B>) -> http::Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        request.extensions_mut().insert(context.clone());
        if let Some(caller) = self.caller {
            request.extensions_mut().insert(caller);
        }
        let services = &*SERVICES;
        let answered: Result<_, Infallible> = match self.method.service {
            "scalekit.v1.auditlogs.AuditLogsService" => services.audit_logs.clone().call(request).await,
            "scalekit.v1.auth.AuthService" => services.auth.clone().call(request).await,
            "scalekit.v1.auth.passwordless.PasswordlessService" => {
                services.passwordless.clone().call(request).await
            }
            "scalekit.v1.clients.ClientService" => services.clients.clone().call(request).await,
            "scalekit.v1.connections.ConnectionService" => services.connections.clone().call(request).await,
            "scalekit.v1.domains.DomainService" => services.domains.clone().call(request).await,
            "scalekit.v1.organizations.OrganizationService" => {
                services.organizations.clone().call(request).await
            }
            "scalekit.v1.roles.RolesService" => services.roles.clone().call(request).await,
            "scalekit.v1.sessions.SessionService" => services.sessions.clone().call(request).await,
            "scalekit.v1.tokens.ApiTokenService" => services.tokens.clone().call(request).await,
            "scalekit.v1.users.UserService" => services.users.clone().call(request).await,
            _ => Ok(status::of(&not_emulated(context, self.method)).into_http()),
        };
        match answered {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Calls the service with an encoded message, from inside of this process.
    pub async fn call_with(self, context: &Context, message: &[u8]) -> Result<Bytes, ApiError> {
        let path = format!("/{}", self.method.path());
        let length = u32::try_from(message.len()).map_err(|_| status::too_large())?;
        let mut frame = BytesMut::with_capacity(FRAME_HEAD_BYTES + message.len());
        frame.put_u8(0);
        frame.put_u32(length);
        frame.put_slice(message);
        let mut request = http::Request::new(Full::new(frame.freeze()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = path.parse().map_err(|_| internal("the method has no path"))?;
        request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
        let response = status::with_details(self.call(context, request).await);
        let (parts, body) = response.into_parts();
        check(&parts.headers)?;
        let collected = body.collect().await.map_err(|_| internal("the message did not arrive whole"))?;
        if let Some(trailers) = collected.trailers() {
            check(trailers)?;
        }
        let bytes = collected.to_bytes();
        if bytes.len() < FRAME_HEAD_BYTES {
            return Err(internal("the service said nothing"));
        }
        Ok(bytes.slice(FRAME_HEAD_BYTES..))
    }
}

fn check(headers: &http::HeaderMap) -> Result<(), ApiError> {
    match Status::from_header_map(headers) {
        Some(said) if said.code() != Code::Ok => Err(status::to_error(&said)),
        _ => Ok(()),
    }
}

fn internal(why: &str) -> ApiError {
    tracing::error!(why, "an API call failed");
    ApiError::new(ApiErrorCode::Internal, "something went wrong; the server's log says what")
}
