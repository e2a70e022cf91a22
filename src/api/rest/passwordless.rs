//! `POST /api/v1/passwordless/email/{send,resend,verify}`: the REST twins of the passwordless gRPC service.
//!
//! JSON as Scalekit's gateway reads it: names in snake_case or lowerCamelCase, numbers also as texts, enums by name or
//! number, unknown members ignored, `null` as absent.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::rest::{self, Body};
use crate::domain::api_error::FieldViolation;
use crate::domain::environment::PasswordlessType;
use crate::domain::headless::{Credential, SendInput, Template, VerifyInput};
use crate::http::api_error::ApiErrorBody;
use crate::http::context::Ctx;
use crate::service::api::ApiRefusal;
use crate::service::passwordless::headless::{self, Proven, Sent};

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct SendRequest {
    #[schema(value_type = String, format = "email")]
    email: Option<String>,
    #[schema(value_type = Option<Template>)]
    template: Option<Value>,
    /// Where the link of the mail leads; needed when mails carry one.
    #[serde(alias = "magiclinkAuthUri")]
    magiclink_auth_uri: Option<String>,
    /// Comes back unchanged from the verification.
    state: Option<String>,
    /// Seconds that code and link live.
    #[serde(alias = "expiresIn")]
    #[schema(value_type = Option<u32>)]
    expires_in: Option<Value>,
    #[serde(alias = "templateVariables")]
    template_variables: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ResendRequest {
    #[serde(alias = "authRequestId")]
    #[schema(value_type = String)]
    auth_request_id: Option<String>,
}

/// Either the code or the token of the link.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct VerifyRequest {
    code: Option<String>,
    #[serde(alias = "linkToken")]
    link_token: Option<String>,
    #[serde(alias = "authRequestId")]
    auth_request_id: Option<String>,
}

/// A mail is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendResponse {
    auth_request_id: String,
    /// Unix time in seconds, as a text, since 64-bit numbers do not fit into JavaScript's.
    expires_at: String,
    /// Seconds.
    expires_in: i64,
    passwordless_type: PasswordlessType,
}

/// An address was proven.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerifyResponse {
    email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<Template>,
    passwordless_type: PasswordlessType,
}

/// Sends a mail with code, link or both.
#[utoipa::path(post, path = "/api/v1/passwordless/email/send", tag = "passwordless", request_body = SendRequest,
    security(("client_token" = [])),
    responses((status = 200, body = SendResponse), (status = 429, body = ApiErrorBody)))]
pub async fn send(request: HttpRequest, Ctx(context): Ctx, body: Body) -> HttpResponse {
    let answer = async {
        let client = rest::caller_of(&context, &request).await?;
        headless::send(&context, client, input(body.read()?)?).await
    };
    rest::answer(answer.await.map(|sent| shown(&sent)))
}

/// Sends it again.
#[utoipa::path(post, path = "/api/v1/passwordless/email/resend", tag = "passwordless", request_body = ResendRequest,
    security(("client_token" = [])),
    responses((status = 200, body = SendResponse), (status = 404, body = ApiErrorBody), (status = 429, body = ApiErrorBody)))]
pub async fn resend(request: HttpRequest, Ctx(context): Ctx, body: Body) -> HttpResponse {
    let answer = async {
        rest::caller_of(&context, &request).await?;
        let ResendRequest { auth_request_id } = body.read()?;
        headless::resend(&context, auth_request_id.unwrap_or_default()).await
    };
    rest::answer(answer.await.map(|sent| shown(&sent)))
}

/// Tells whose address it was, once.
#[utoipa::path(post, path = "/api/v1/passwordless/email/verify", tag = "passwordless", request_body = VerifyRequest,
    security(("client_token" = [])),
    responses((status = 200, body = VerifyResponse), (status = 404, body = ApiErrorBody), (status = 429, body = ApiErrorBody)))]
pub async fn verify(request: HttpRequest, Ctx(context): Ctx, body: Body) -> HttpResponse {
    let answer = async {
        rest::caller_of(&context, &request).await?;
        let VerifyRequest { code, link_token, auth_request_id } = body.read()?;
        let credential = match (code, link_token) {
            (Some(_), Some(_)) => {
                let text = "code and link_token: only one of them is valid in a request";
                return Err(vec![FieldViolation::new("link_token", "oneof", text)].into());
            }
            (Some(code), None) => Some(Credential::Code(code)),
            (None, token) => token.map(Credential::LinkToken),
        };
        headless::verify(&context, VerifyInput { credential, auth_request_id }).await
    };
    rest::answer(answer.await.map(|proven| proof(&proven)))
}

fn input(request: SendRequest) -> Result<SendInput, ApiRefusal> {
    let violation =
        |field: &str, rule, text: String| ApiRefusal::from(vec![FieldViolation::new(field, rule, text)]);
    let template = match &request.template {
        None => None,
        Some(value) => template(value).map_err(|()| {
            let text = "template is invalid: it is neither SIGNIN nor SIGNUP".to_owned();
            violation("template", "defined_only", text)
        })?,
    };
    let expires_in = match &request.expires_in {
        None => None,
        Some(value) => Some(uint32(value).ok_or_else(|| {
            violation("expires_in", "uint32", "expires_in is invalid: it is no number of seconds".to_owned())
        })?),
    };
    Ok(SendInput {
        email: request.email.unwrap_or_default(),
        template,
        magiclink_auth_uri: request.magiclink_auth_uri,
        state: request.state,
        expires_in,
        template_variables: request.template_variables.unwrap_or_default().into_iter().collect(),
    })
}

/// By name or by number; unspecified is absent.
fn template(value: &Value) -> Result<Option<Template>, ()> {
    match (value.as_str(), value.as_u64()) {
        (Some("UNSPECIFIED"), _) | (_, Some(0)) => Ok(None),
        (Some("SIGNIN"), _) | (_, Some(1)) => Ok(Some(Template::SignIn)),
        (Some("SIGNUP"), _) | (_, Some(2)) => Ok(Some(Template::SignUp)),
        _ => Err(()),
    }
}

/// A number, also as text.
fn uint32(value: &Value) -> Option<u32> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u32::try_from(number).ok()
}

fn shown(sent: &Sent) -> SendResponse {
    SendResponse {
        auth_request_id: sent.auth_request_id.clone(),
        expires_at: sent.expires_at_s.to_string(),
        expires_in: sent.expires_in_s,
        passwordless_type: sent.passwordless_type,
    }
}

fn proof(proven: &Proven) -> VerifyResponse {
    VerifyResponse {
        email: proven.email.as_str().to_owned(),
        state: proven.state.clone(),
        template: proven.template,
        passwordless_type: proven.passwordless_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_enums_come_in_both_spellings() {
        let read = |text: &str| input(serde_json::from_str(text).unwrap());
        let asked = read(r#"{"email":"a@b.c","expiresIn":"600","template":2,"other":{}}"#).unwrap();
        assert_eq!((asked.expires_in, asked.template), (Some(600), Some(Template::SignUp)));
        let asked = read(r#"{"expires_in":600,"template":"SIGNIN","state":null}"#).unwrap();
        assert_eq!(
            (asked.expires_in, asked.template, asked.state),
            (Some(600), Some(Template::SignIn), None)
        );
        for wrong in [
            r#"{"expires_in":-1}"#,
            r#"{"expires_in":"soon"}"#,
            r#"{"template":"LOGIN"}"#,
            r#"{"template":3}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
