//! Isolated environments, and the settings of the one that the request is in.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::clock::ClockInput;
use super::{Answer, Body, Control, Deleted, ProblemDocument, Query, created, json, no_content, refuse};
use crate::service::environments::{self, CreateEnvironment, EnvironmentView};
use crate::service::redirect_check::{self, RedirectCheck};
use crate::service::settings::{self, Settings};

/// What a new environment is to be. Everything may be left out.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentInput {
    /// Its name, part of the host name; generated when left out.
    pub name: Option<String>,
    /// Settings that differ from the server's, named as in the configuration, `clients` included.
    #[schema(value_type = Object)]
    pub settings: Value,
    /// `users` and `organizations`, named as in the configuration.
    #[schema(value_type = Object)]
    pub seed: Value,
    pub clock: ClockInput,
    /// Callbacks of the client that is created.
    pub redirect_uris: Vec<String>,
    /// Allows instant sign-in to the client that is created; `true` when left out.
    pub instant_sign_in: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EnvironmentList {
    pub environments: Vec<EnvironmentView>,
}

/// Lists the default environment and the isolated ones, by name.
#[utoipa::path(get, path = "/_emulator/v1/environments", tag = "environments",
    params(("after" = Option<String>, Query, description = "Only names after this one."),
        ("q" = Option<String>, Query, description = "Only isolated ones whose name contains this.")),
    responses((status = 200, body = EnvironmentList)))]
pub async fn list(request: HttpRequest, Control(context): Control) -> Answer {
    let query = Query::of(&request).map_err(refuse)?;
    let of = |name| query.text(name).map(Option::unwrap_or_default).map_err(refuse);
    let environments = environments::list(&context, of("after")?, of("q")?).await.map_err(refuse)?;
    Ok(json(&EnvironmentList { environments }))
}

/// Creates an isolated environment, with credentials of its own.
#[utoipa::path(post, path = "/_emulator/v1/environments", tag = "environments", request_body = Option<EnvironmentInput>,
    responses((status = 201, body = EnvironmentView), (status = 400, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn create(Control(context): Control, Body(input): Body<EnvironmentInput>) -> Answer {
    let wanted = CreateEnvironment {
        clock: input.clock.check().map_err(refuse)?,
        name: input.name,
        settings: input.settings,
        seed: input.seed,
        redirect_uris: input.redirect_uris,
        instant_sign_in: input.instant_sign_in,
    };
    Ok(created(&environments::create(&context, wanted).await.map_err(refuse)?))
}

/// Deletes all isolated environments.
#[utoipa::path(delete, path = "/_emulator/v1/environments", tag = "environments", responses((status = 200, body = Deleted)))]
pub async fn delete_all(Control(context): Control) -> Answer {
    Ok(json(&Deleted { deleted: environments::delete_all(&context).await.map_err(refuse)? }))
}

/// Returns one isolated environment.
#[utoipa::path(get, path = "/_emulator/v1/environments/{name}", tag = "environments",
    params(("name" = String, Path)), responses((status = 200, body = EnvironmentView), (status = 404, body = ProblemDocument)))]
pub async fn show(Control(context): Control, name: web::Path<String>) -> Answer {
    Ok(json(&environments::show(&context, &name).await.map_err(refuse)?))
}

/// Deletes an isolated environment with everything in it.
#[utoipa::path(delete, path = "/_emulator/v1/environments/{name}", tag = "environments",
    params(("name" = String, Path)), responses((status = 204), (status = 404, body = ProblemDocument)))]
pub async fn delete(Control(context): Control, name: web::Path<String>) -> Answer {
    environments::delete(&context, &name).await.map_err(refuse)?;
    Ok(no_content())
}

/// Returns the environment of this request: URLs, credentials, settings.
#[utoipa::path(get, path = "/_emulator/v1/environment", tag = "environments", responses((status = 200, body = EnvironmentView)))]
pub async fn current(Control(context): Control) -> Answer {
    Ok(json(&environments::view(&context.environment, &context.public_url, None)))
}

/// Returns the current settings.
#[utoipa::path(get, path = "/_emulator/v1/settings", tag = "settings", responses((status = 200, body = Settings)))]
pub async fn show_settings(Control(context): Control) -> Answer {
    Ok(json(&Settings::from(&*context.environment)))
}

/// Changes the given settings. `null` returns to the configured value.
#[utoipa::path(patch, path = "/_emulator/v1/settings", tag = "settings", request_body(content = Object, description = "Any part of the settings."),
    responses((status = 200, body = Settings), (status = 400, body = ProblemDocument)))]
pub async fn change_settings(Control(context): Control, Body(patch): Body<Value>) -> Answer {
    let changed = settings::change(&context, &patch).await.map_err(refuse)?;
    Ok(json(&Settings::from(&*changed)))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RedirectChecks {
    pub checks: Vec<RedirectCheck>,
}

/// Checks whether a URL is allowed as a redirect here, in development and in production, and says why.
#[utoipa::path(get, path = "/_emulator/v1/redirects/check", tag = "settings",
    params(("url" = String, Query, description = "The URL to check."),
        ("client_id" = Option<String>, Query, description = "For this application; for all when left out.")),
    responses((status = 200, body = RedirectChecks), (status = 400, body = ProblemDocument)))]
pub async fn check_redirect(request: HttpRequest, Control(context): Control) -> Answer {
    let query = Query::of(&request).map_err(refuse)?;
    let url = query.text("url").map_err(refuse)?;
    let url = url.ok_or_else(|| refuse(crate::service::changes::ControlError::field("url", "is missing")))?;
    let client_id = query.text("client_id").map_err(refuse)?;
    Ok(json(&RedirectChecks { checks: redirect_check::check(&context, url, client_id) }))
}
