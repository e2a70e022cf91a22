//! `scalekit.v1.connections.ConnectionService`: the passwordless connection and its settings.

use tonic::{Request, Response, Status};

use super::call::context_of;
use super::pb::scalekit::v1::connections::connection_service_server::ConnectionService;
use super::pb::scalekit::v1::connections::{
    CodeChallengeType, ConfigurationType, Connection, ConnectionProvider, ConnectionStatus, ConnectionType,
    GetConnectionResponse, GetEnvironmentConnectionRequest, ListConnection, ListConnectionsRequest,
    ListConnectionsResponse, PasswordLessConfig, PasswordlessType, ToggleConnectionResponse,
    ToggleEnvironmentConnectionRequest, UpdateConnectionResponse, UpdateEnvironmentConnectionRequest,
    connection, update_connection,
};
use super::status::refused;
use crate::domain::api_error::FieldViolation;
use crate::domain::settings;
use crate::domain::settings::PasswordlessSettings;
use crate::domain::settings_change::PasswordlessChange;
use crate::service::connections::{self, ConfigInput};

#[derive(Clone)]
pub struct Connections;

#[tonic::async_trait]
impl ConnectionService for Connections {
    async fn get_environment_connection(
        &self,
        request: Request<GetEnvironmentConnectionRequest>,
    ) -> Result<Response<GetConnectionResponse>, Status> {
        let answer = async {
            let context = context_of(&request)?;
            connections::passwordless(&context, &request.get_ref().connection_id).map(to_connection)
        };
        let connection = answer.await.map_err(refused)?;
        Ok(Response::new(GetConnectionResponse { connection: Some(connection) }))
    }

    async fn list_connections(
        &self,
        request: Request<ListConnectionsRequest>,
    ) -> Result<Response<ListConnectionsResponse>, Status> {
        let answer = async {
            let context = context_of(&request)?;
            let asked = request.get_ref();
            // An organization or a domain has no connections here.
            let narrowed = asked.organization_id.is_some() || asked.domain.is_some();
            let all = vec![to_list_connection(&context.environment.passwordless)];
            Ok(if narrowed { vec![] } else { all })
        };
        let connections = answer.await.map_err(refused)?;
        Ok(Response::new(ListConnectionsResponse { connections }))
    }

    async fn update_environment_connection(
        &self,
        request: Request<UpdateEnvironmentConnectionRequest>,
    ) -> Result<Response<UpdateConnectionResponse>, Status> {
        let answer = async {
            let context = context_of(&request)?;
            let request = request.into_inner();
            let config = request.connection.and_then(|c| c.settings);
            let Some(update_connection::Settings::PasswordlessConfig(config)) = config else {
                let text = "connection.passwordless_config is required";
                return Err(
                    vec![FieldViolation::new("connection.passwordless_config", "required", text)].into()
                );
            };
            connections::change(&context, &request.connection_id, input(&config)).await
        };
        let settings = answer.await.map_err(refused)?;
        Ok(Response::new(UpdateConnectionResponse { connection: Some(to_connection(&settings)) }))
    }

    async fn enable_environment_connection(
        &self,
        request: Request<ToggleEnvironmentConnectionRequest>,
    ) -> Result<Response<ToggleConnectionResponse>, Status> {
        toggle(request, true).await
    }

    async fn disable_environment_connection(
        &self,
        request: Request<ToggleEnvironmentConnectionRequest>,
    ) -> Result<Response<ToggleConnectionResponse>, Status> {
        toggle(request, false).await
    }
}

async fn toggle(
    request: Request<ToggleEnvironmentConnectionRequest>,
    enabled: bool,
) -> Result<Response<ToggleConnectionResponse>, Status> {
    let answer = async {
        let context = context_of(&request)?;
        connections::switch(&context, &request.get_ref().connection_id, enabled).await
    };
    let enabled = answer.await.map_err(refused)?;
    Ok(Response::new(ToggleConnectionResponse { enabled, error_message: None }))
}

fn input(config: &PasswordLessConfig) -> ConfigInput {
    let kind = match config.r#type() {
        PasswordlessType::Unspecified => None,
        PasswordlessType::Otp => Some(settings::PasswordlessType::Otp),
        PasswordlessType::Link => Some(settings::PasswordlessType::Link),
        PasswordlessType::LinkOtp => Some(settings::PasswordlessType::LinkOtp),
    };
    ConfigInput {
        change: PasswordlessChange {
            enabled: None,
            passwordless_type: kind,
            validity_s: config.validity.map(i64::from),
            enforce_same_browser_origin: config.enforce_same_browser_origin,
            regenerate_passwordless_credentials_on_resend: config
                .regenerate_passwordless_credentials_on_resend,
            code_length: config.code_challenge_length.map(i64::from),
        },
        names_frequency: config.frequency.is_some(),
        wants_letters: config.code_challenge_type() == CodeChallengeType::Alphanumeric,
    }
}

/// Scalekit's number of the kind, which is not the one of the passwordless service.
pub(super) fn passwordless_type(settings: &PasswordlessSettings) -> PasswordlessType {
    match settings.passwordless_type {
        settings::PasswordlessType::Otp => PasswordlessType::Otp,
        settings::PasswordlessType::Link => PasswordlessType::Link,
        settings::PasswordlessType::LinkOtp => PasswordlessType::LinkOtp,
    }
}

fn to_connection(settings: &PasswordlessSettings) -> Connection {
    let config = PasswordLessConfig {
        r#type: passwordless_type(settings).into(),
        frequency: None,
        validity: u32::try_from(settings.validity_s).ok(),
        enforce_same_browser_origin: Some(settings.enforce_same_browser_origin),
        code_challenge_length: Some(settings.code_length),
        code_challenge_type: Some(CodeChallengeType::Numeric.into()),
        regenerate_passwordless_credentials_on_resend: Some(
            settings.regenerate_passwordless_credentials_on_resend,
        ),
    };
    Connection {
        id: settings.connection_id.clone(),
        provider: ConnectionProvider::Scalekit.into(),
        r#type: ConnectionType::Passwordless.into(),
        status: ConnectionStatus::Completed.into(),
        enabled: settings.enabled,
        configuration_type: ConfigurationType::Manual.into(),
        settings: Some(connection::Settings::PasswordlessConfig(config)),
        ..Connection::default()
    }
}

fn to_list_connection(settings: &PasswordlessSettings) -> ListConnection {
    ListConnection {
        id: settings.connection_id.clone(),
        provider: ConnectionProvider::Scalekit.into(),
        r#type: ConnectionType::Passwordless.into(),
        status: ConnectionStatus::Completed.into(),
        enabled: settings.enabled,
        ..ListConnection::default()
    }
}
