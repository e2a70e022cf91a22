//! `/api/v1/connections` and `/api/v1/authmethods`: the REST twins of the passwordless connection's gRPC methods.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::rest::{self, Body};
use crate::domain::api_error::FieldViolation;
use crate::domain::environment::{PasswordlessSettings, PasswordlessType};
use crate::domain::settings_change::PasswordlessChange;
use crate::http::api_error::ApiErrorBody;
use crate::http::context::Ctx;
use crate::runtime::Context;
use crate::service::api::ApiRefusal;
use crate::service::connections::{self, ConfigInput};

/// `body = "connection"`: what is sent is the connection itself.
#[derive(Deserialize, ToSchema)]
pub struct UpdateConnection {
    #[serde(alias = "passwordlessConfig")]
    #[schema(value_type = Config)]
    passwordless_config: Option<Config>,
}

/// What is left out stays as it is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = PasswordlessConfigInput)]
pub struct Config {
    #[schema(value_type = Option<PasswordlessType>)]
    r#type: Option<String>,
    #[schema(ignore)]
    frequency: Option<Value>,
    /// Seconds.
    validity: Option<i64>,
    #[serde(alias = "enforceSameBrowserOrigin")]
    enforce_same_browser_origin: Option<bool>,
    #[serde(alias = "codeChallengeLength")]
    code_challenge_length: Option<i64>,
    #[serde(alias = "codeChallengeType")]
    code_challenge_type: Option<String>,
    #[serde(alias = "regeneratePasswordlessCredentialsOnResend")]
    regenerate_passwordless_credentials_on_resend: Option<bool>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct Discovery {
    #[schema(required, format = "email")]
    email: String,
}

/// A connection; there is only the passwordless one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Connection {
    id: String,
    provider: &'static str,
    r#type: &'static str,
    status: &'static str,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passwordless_config: Option<PasswordlessConfig>,
}

/// Its settings.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PasswordlessConfig {
    r#type: PasswordlessType,
    /// Seconds.
    validity: i64,
    enforce_same_browser_origin: bool,
    code_challenge_length: i64,
    code_challenge_type: &'static str,
    regenerate_passwordless_credentials_on_resend: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionList {
    connections: Vec<Connection>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionAnswer {
    connection: Connection,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Switched {
    enabled: bool,
}

/// A way to sign in.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuthMethod {
    connection_id: String,
    connection_type: &'static str,
    provider: &'static str,
    passwordless_type: PasswordlessType,
    code_challenge_length: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AuthMethodList {
    auth_methods: Vec<AuthMethod>,
}

/// Nothing, where sign-in by e-mail is switched off.
#[derive(Debug, Serialize, ToSchema)]
pub struct Discovered {
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_method: Option<AuthMethod>,
}

/// All connections.
#[utoipa::path(get, path = "/api/v1/connections", tag = "connections", security(("client_token" = [])),
    params(("organization_id" = Option<String>, Query), ("domain" = Option<String>, Query)),
    responses((status = 200, body = ConnectionList)))]
pub async fn list(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let answer = async {
        rest::caller_of(&context, &request).await?;
        let query = request.query_string();
        // An organization or a domain has no connections here.
        let is_narrowed = url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| matches!(&*name, "organization_id" | "domain") && !value.is_empty());
        let connections = if is_narrowed { vec![] } else { vec![listed(&context.environment.passwordless)] };
        Ok(ConnectionList { connections })
    };
    rest::answer(answer.await)
}

/// One connection with its settings.
#[utoipa::path(get, path = "/api/v1/connections/{id}", tag = "connections", security(("client_token" = [])),
    params(("id" = String, Path)), responses((status = 200, body = ConnectionAnswer), (status = 404, body = ApiErrorBody)))]
pub async fn show(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    let answer = async {
        rest::caller_of(&context, &request).await?;
        connections::passwordless(&context, &id).map(shown)
    };
    rest::answer(answer.await)
}

/// Changes settings of the connection.
#[utoipa::path(patch, path = "/api/v1/connections/{id}", tag = "connections", security(("client_token" = [])),
    params(("id" = String, Path)), request_body = UpdateConnection,
    responses((status = 200, body = ConnectionAnswer), (status = 404, body = ApiErrorBody)))]
pub async fn change(
    request: HttpRequest,
    Ctx(context): Ctx,
    id: web::Path<String>,
    body: Body,
) -> HttpResponse {
    let answer = async {
        rest::caller_of(&context, &request).await?;
        connections::passwordless(&context, &id)?;
        let UpdateConnection { passwordless_config } = body.read()?;
        let config = passwordless_config.ok_or_else(|| {
            let text = "passwordless_config is required";
            ApiRefusal::from(vec![FieldViolation::new("passwordless_config", "required", text)])
        })?;
        connections::change(&context, &id, input(config)?).await.map(|settings| shown(&settings))
    };
    rest::answer(answer.await)
}

/// Switches sign-in by e-mail on.
#[utoipa::path(patch, path = "/api/v1/connections/{id}:enable", tag = "connections", security(("client_token" = [])),
    params(("id" = String, Path)), responses((status = 200, body = Switched), (status = 404, body = ApiErrorBody)))]
pub async fn enable(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    switch(&request, &context, &id, true).await
}

/// Switches sign-in by e-mail off.
#[utoipa::path(patch, path = "/api/v1/connections/{id}:disable", tag = "connections", security(("client_token" = [])),
    params(("id" = String, Path)), responses((status = 200, body = Switched), (status = 404, body = ApiErrorBody)))]
pub async fn disable(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    switch(&request, &context, &id, false).await
}

async fn switch(request: &HttpRequest, context: &Context, id: &str, enabled: bool) -> HttpResponse {
    let answer = async {
        rest::caller_of(context, request).await?;
        Ok(Switched { enabled: connections::switch(context, id, enabled).await? })
    };
    rest::answer(answer.await)
}

/// Ways to sign in; asked for before anybody is known, so without a token.
#[utoipa::path(get, path = "/api/v1/authmethods", tag = "connections", responses((status = 200, body = AuthMethodList)))]
pub async fn methods(Ctx(context): Ctx) -> HttpResponse {
    let auth_methods = connections::offered(&context).map(method).into_iter().collect();
    rest::answer(Ok(AuthMethodList { auth_methods }))
}

/// The way for an address to sign in, the same whether or not it is known.
#[utoipa::path(post, path = "/api/v1/auth:discovery", tag = "connections", request_body = Discovery,
    responses((status = 200, body = Discovered)))]
pub async fn discover(Ctx(context): Ctx, body: Body) -> HttpResponse {
    let answer = || {
        let Discovery { email } = body.read()?;
        Ok(Discovered { auth_method: connections::offered_to(&context, &email)?.map(method) })
    };
    rest::answer(answer())
}

fn input(config: Config) -> Result<ConfigInput, ApiRefusal> {
    let kind = match config.r#type.as_deref() {
        None | Some("PasswordlessType_UNSPECIFIED") => None,
        Some(name) => Some(PasswordlessType::parse(name).ok_or_else(|| {
            let text = "passwordless_config.type is invalid: it is none of OTP, LINK, LINK_OTP";
            ApiRefusal::from(vec![FieldViolation::new("passwordless_config.type", "defined_only", text)])
        })?),
    };
    Ok(ConfigInput {
        change: PasswordlessChange {
            enabled: None,
            passwordless_type: kind,
            validity_s: config.validity,
            enforce_same_browser_origin: config.enforce_same_browser_origin,
            regenerate_passwordless_credentials_on_resend: config
                .regenerate_passwordless_credentials_on_resend,
            code_length: config.code_challenge_length,
        },
        names_frequency: config.frequency.is_some(),
        wants_letters: config.code_challenge_type.is_some_and(|t| t != "NUMERIC"),
    })
}

fn listed(settings: &PasswordlessSettings) -> Connection {
    Connection {
        id: settings.connection_id.clone(),
        provider: "SCALEKIT",
        r#type: "PASSWORDLESS",
        status: "COMPLETED",
        enabled: settings.enabled,
        configuration_type: None,
        passwordless_config: None,
    }
}

fn shown(settings: &PasswordlessSettings) -> ConnectionAnswer {
    let config = PasswordlessConfig {
        r#type: settings.passwordless_type,
        validity: settings.validity_s,
        enforce_same_browser_origin: settings.enforce_same_browser_origin,
        code_challenge_length: i64::from(settings.code_length),
        code_challenge_type: "NUMERIC",
        regenerate_passwordless_credentials_on_resend: settings.regenerate_passwordless_credentials_on_resend,
    };
    let connection = Connection {
        configuration_type: Some("MANUAL"),
        passwordless_config: Some(config),
        ..listed(settings)
    };
    ConnectionAnswer { connection }
}

fn method(settings: &PasswordlessSettings) -> AuthMethod {
    AuthMethod {
        connection_id: settings.connection_id.clone(),
        connection_type: "PASSWORDLESS",
        provider: "SCALEKIT",
        passwordless_type: settings.passwordless_type,
        code_challenge_length: i64::from(settings.code_length),
    }
}
