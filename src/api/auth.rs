//! `scalekit.v1.auth.AuthService`: which ways to sign in there are. Pages ask it before anybody is known, so it needs
//! no token.

use tonic::{Request, Response, Status};

use super::call::context_of;
use super::connections::passwordless_type;
use super::pb::scalekit::v1::auth::auth_service_server::AuthService;
use super::pb::scalekit::v1::auth::{
    AuthMethod, DiscoveryAuthMethodRequest, DiscoveryAuthMethodResponse, ListAuthMethodsRequest,
    ListAuthMethodsResponse,
};
use super::pb::scalekit::v1::connections::ConnectionType;
use super::status::refused;
use crate::domain::settings::PasswordlessSettings;
use crate::service::api::ApiRefusal;
use crate::service::connections::{offered, offered_to};

#[derive(Clone)]
pub struct Auth;

#[tonic::async_trait]
impl AuthService for Auth {
    async fn list_auth_methods(
        &self,
        request: Request<ListAuthMethodsRequest>,
    ) -> Result<Response<ListAuthMethodsResponse>, Status> {
        let context = context_of(&request).map_err(refused)?;
        Ok(Response::new(ListAuthMethodsResponse {
            auth_methods: offered(&context).map(method).into_iter().collect(),
        }))
    }

    async fn discovery_auth_method(
        &self,
        request: Request<DiscoveryAuthMethodRequest>,
    ) -> Result<Response<DiscoveryAuthMethodResponse>, Status> {
        let answer = || -> Result<_, ApiRefusal> {
            let context = context_of(&request)?;
            let email = request.get_ref().discovery_request.as_ref().map(|r| r.email.as_str());
            Ok(offered_to(&context, email.unwrap_or_default())?.map(method))
        };
        let auth_method = answer().map_err(refused)?;
        Ok(Response::new(DiscoveryAuthMethodResponse { auth_method }))
    }
}

fn method(settings: &PasswordlessSettings) -> AuthMethod {
    AuthMethod {
        connection_id: settings.connection_id.clone(),
        connection_type: ConnectionType::Passwordless.into(),
        provider: "SCALEKIT".to_owned(),
        auth_initiation_uri: String::new(),
        passwordless_type: Some(passwordless_type(settings).into()),
        code_challenge_length: Some(settings.code_length),
        ..AuthMethod::default()
    }
}
