//! `POST /api/v1/passwordless/email/{send,resend,verify}`: the REST twins of the passwordless gRPC service.
//!
//! JSON as Scalekit's gateway reads it: names in snake_case or lowerCamelCase, numbers also as texts, enums by name or
//! number, unknown members ignored, `null` as absent.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rest::{self, Body};
use crate::domain::api_error::FieldViolation;
use crate::domain::headless::{Credential, SendInput, Template, VerifyInput};
use crate::http::context::Ctx;
use crate::service::api::ApiRefusal;
use crate::service::passwordless::headless::{self, Proven, Sent};

#[derive(Default, Deserialize)]
#[serde(default)]
struct SendRequest {
    email: Option<String>,
    template: Option<Value>,
    #[serde(alias = "magiclinkAuthUri")]
    magiclink_auth_uri: Option<String>,
    state: Option<String>,
    #[serde(alias = "expiresIn")]
    expires_in: Option<Value>,
    #[serde(alias = "templateVariables")]
    template_variables: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResendRequest {
    #[serde(alias = "authRequestId")]
    auth_request_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct VerifyRequest {
    code: Option<String>,
    #[serde(alias = "linkToken")]
    link_token: Option<String>,
    #[serde(alias = "authRequestId")]
    auth_request_id: Option<String>,
}

pub async fn send(request: HttpRequest, Ctx(context): Ctx, body: Body) -> HttpResponse {
    let answer = async {
        let client = rest::caller_of(&context, &request).await?;
        headless::send(&context, client, input(body.read()?)?).await
    };
    rest::answer(answer.await.map(|sent| shown(&sent)))
}

pub async fn resend(request: HttpRequest, Ctx(context): Ctx, body: Body) -> HttpResponse {
    let answer = async {
        rest::caller_of(&context, &request).await?;
        let ResendRequest { auth_request_id } = body.read()?;
        headless::resend(&context, auth_request_id.unwrap_or_default()).await
    };
    rest::answer(answer.await.map(|sent| shown(&sent)))
}

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

fn shown(sent: &Sent) -> Value {
    json!({
        "auth_request_id": sent.auth_request_id,
        // 64-bit numbers are texts, since JavaScript cannot hold them.
        "expires_at": sent.expires_at_s.to_string(),
        "expires_in": sent.expires_in_s,
        "passwordless_type": sent.passwordless_type.as_str(),
    })
}

fn proof(proven: &Proven) -> Value {
    let mut shown = json!({
        "email": proven.email.as_str(),
        "passwordless_type": proven.passwordless_type.as_str(),
    });
    if let Some(state) = &proven.state {
        shown["state"] = json!(state);
    }
    if let Some(template) = proven.template {
        shown["template"] = json!(template.as_str());
    }
    shown
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
