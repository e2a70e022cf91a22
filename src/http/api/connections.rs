//! `/api/v1/connections` and `/api/v1/authmethods`: the REST twins of the passwordless connection's gRPC methods.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rest::{self, Body};
use crate::domain::api_error::FieldViolation;
use crate::domain::environment::{PasswordlessSettings, PasswordlessType};
use crate::domain::settings_change::PasswordlessChange;
use crate::http::context::Ctx;
use crate::service::api::ApiRefusal;
use crate::service::connections::{self, ConfigInput};

/// `body = "connection"`: what is sent is the connection itself.
#[derive(Default, Deserialize)]
#[serde(default)]
struct UpdateConnection {
    #[serde(alias = "passwordlessConfig")]
    passwordless_config: Option<Config>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    r#type: Option<String>,
    frequency: Option<Value>,
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

#[derive(Default, Deserialize)]
#[serde(default)]
struct Discovery {
    email: String,
}

pub async fn list(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let answer = async {
        rest::caller_of(&context, &request).await?;
        let query = request.query_string();
        // An organization or a domain has no connections here.
        let is_narrowed = url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| matches!(&*name, "organization_id" | "domain") && !value.is_empty());
        let all = [listed(&context.environment.passwordless)];
        Ok(json!({ "connections": if is_narrowed { &[] } else { all.as_slice() } }))
    };
    rest::answer(answer.await)
}

pub async fn show(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    let answer = async {
        rest::caller_of(&context, &request).await?;
        connections::passwordless(&context, &id).map(shown)
    };
    rest::answer(answer.await)
}

/// `PATCH /api/v1/connections/{id}`, and with `:enable` or `:disable` behind the id the switch.
pub async fn change(
    request: HttpRequest,
    Ctx(context): Ctx,
    id: web::Path<String>,
    body: Body,
) -> HttpResponse {
    let answer = async {
        rest::caller_of(&context, &request).await?;
        match id.split_once(':') {
            None => {
                let UpdateConnection { passwordless_config } = body.read()?;
                let config = passwordless_config.ok_or_else(|| {
                    let text = "passwordless_config is required";
                    ApiRefusal::from(vec![FieldViolation::new("passwordless_config", "required", text)])
                })?;
                connections::change(&context, &id, input(config)?).await.map(|settings| shown(&settings))
            }
            Some((id, action @ ("enable" | "disable"))) => {
                let enabled = connections::switch(&context, id, action == "enable").await?;
                Ok(json!({ "enabled": enabled }))
            }
            Some(_) => Err(connections::unknown(&context, &id)),
        }
    };
    rest::answer(answer.await)
}

/// `GET /api/v1/authmethods`: asked before anybody is known, so without a token.
pub async fn methods(Ctx(context): Ctx) -> HttpResponse {
    let methods: Vec<Value> = connections::offered(&context).map(method).into_iter().collect();
    rest::answer(Ok(json!({ "auth_methods": methods })))
}

/// `POST /api/v1/auth:discovery`
pub async fn discover(Ctx(context): Ctx, body: Body) -> HttpResponse {
    let answer = || {
        let Discovery { email } = body.read()?;
        let found = connections::offered_to(&context, &email)?;
        Ok(found.map_or_else(|| json!({}), |settings| json!({ "auth_method": method(settings) })))
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

fn listed(settings: &PasswordlessSettings) -> Value {
    json!({
        "id": settings.connection_id,
        "provider": "SCALEKIT",
        "type": "PASSWORDLESS",
        "status": "COMPLETED",
        "enabled": settings.enabled,
    })
}

fn shown(settings: &PasswordlessSettings) -> Value {
    let mut connection = listed(settings);
    connection["configuration_type"] = json!("MANUAL");
    connection["passwordless_config"] = json!({
        "type": settings.passwordless_type.as_str(),
        "validity": settings.validity_s,
        "enforce_same_browser_origin": settings.enforce_same_browser_origin,
        "code_challenge_length": settings.code_length,
        "code_challenge_type": "NUMERIC",
        "regenerate_passwordless_credentials_on_resend": settings.regenerate_passwordless_credentials_on_resend,
    });
    json!({ "connection": connection })
}

fn method(settings: &PasswordlessSettings) -> Value {
    json!({
        "connection_id": settings.connection_id,
        "connection_type": "PASSWORDLESS",
        "provider": "SCALEKIT",
        "passwordless_type": settings.passwordless_type.as_str(),
        "code_challenge_length": settings.code_length,
    })
}
