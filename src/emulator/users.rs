//! What Scalekit's API, which is served at `/_emulator/v1/api`, cannot say of users.

use actix_web::web;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Answer, Body, Control, ProblemDocument, created, json, refuse};
use crate::service::seed;
use crate::service::users::UserView;

/// Creates a user, with the fields of `[[users]]`: with an ID of your own, without an organization, or with memberships that are not active (`inactive_organizations`). No email is sent.
#[utoipa::path(post, path = "/_emulator/v1/users", tag = "users", request_body(content = Object, description = "Fields of a user."),
    responses((status = 201, body = UserView), (status = 400, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn create(Control(context): Control, Body(fields): Body<Value>) -> Answer {
    Ok(created(&seed::create_user(&context, fields).await.map_err(refuse)?))
}

/// The new address of a user.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailInput {
    pub email: String,
}

/// Changes the email address of a user, which Scalekit's API cannot.
#[utoipa::path(patch, path = "/_emulator/v1/users/{id}", tag = "users", params(("id" = String, Path)),
    request_body = EmailInput,
    responses((status = 200, body = UserView), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn change_email(
    Control(context): Control,
    id: web::Path<String>,
    Body(input): Body<EmailInput>,
) -> Answer {
    let patch = serde_json::json!({ "email": input.email });
    Ok(json(&seed::change_user(&context, &id, &patch).await.map_err(refuse)?))
}
