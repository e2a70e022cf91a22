//! What Scalekit's API, which is served at `/_emulator/v1/api`, cannot say of applications.

use actix_web::web;
use serde_json::Value;

use super::{Answer, Body, Control, ProblemDocument, created, json, refuse};
use crate::service::changes::ControlError;
use crate::service::clients::{self, ClientView};

/// Fields of `[[clients]]` that Scalekit's API does not have.
const OWN_FIELDS: [&str; 12] = [
    "client_secret",
    "client_secrets",
    "client_secret_argon2",
    "require_pushed_authorization_requests",
    "id_token_signed_response_alg",
    "instant_sign_in",
    "logo",
    "accent_color",
    "support_email",
    "terms_url",
    "privacy_url",
    "theme",
];

/// Creates an application, with the fields of `[[clients]]`, an ID and a secret of your own. They are generated when
/// left out.
#[utoipa::path(post, path = "/_emulator/v1/clients", tag = "clients", request_body(content = Object, description = "Fields of a client."),
    responses((status = 201, body = ClientView), (status = 400, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn create(Control(context): Control, Body(fields): Body<Value>) -> Answer {
    Ok(created(&clients::create(&context, fields).await.map_err(refuse)?))
}

/// Changes the fields of an application that Scalekit's API does not have: secrets of your own, pushed authorization
/// requests, the algorithm of ID tokens, `instant_sign_in`, logo, colour and theme. The response has every field of `[[clients]]`, with secrets.
#[utoipa::path(patch, path = "/_emulator/v1/clients/{client_id}", tag = "clients", params(("client_id" = String, Path)),
    request_body(content = Object, description = "`client_secret`, `client_secrets`, `client_secret_argon2`, \
        `require_pushed_authorization_requests`, `id_token_signed_response_alg`, `instant_sign_in`, `logo`, \
        `accent_color`, `support_email`, `terms_url`, `privacy_url` or `theme`."),
    responses((status = 200, body = ClientView), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn change(Control(context): Control, id: web::Path<String>, Body(patch): Body<Value>) -> Answer {
    let is_foreign = |name: &&String| !OWN_FIELDS.contains(&name.as_str());
    if let Some(name) = patch.as_object().and_then(|fields| fields.keys().find(is_foreign)) {
        let text = "cannot be changed here, but by Scalekit's API, at /_emulator/v1/api/clients too";
        return Err(refuse(ControlError::field(name, text)));
    }
    Ok(json(&clients::change(&context, &id, &patch).await.map_err(refuse)?))
}
