//! Users, organizations and sessions.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Answer, Body, Control, Page, ProblemDocument, Query, created, json, no_content, refuse};
use crate::service::backchannel_logout::{self, LogoutNoticeView};
use crate::service::changes::ControlError;
use crate::service::people::PeopleFilter;
use crate::service::people::{self, OrganizationView, SessionView, UserView};

/// Notices listed at most.
const LOGOUT_NOTICES: i64 = 500;

#[derive(Debug, Serialize, ToSchema)]
pub struct UserList {
    pub users: Vec<UserView>,
    /// `null`: this was the last page.
    pub next_page_token: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct OrganizationList {
    pub organizations: Vec<OrganizationView>,
    pub next_page_token: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SessionList {
    pub sessions: Vec<SessionView>,
    pub next_page_token: Option<String>,
}

fn filter(request: &HttpRequest) -> Result<(PeopleFilter, Page), ControlError> {
    let query = Query::of(request)?;
    let page = query.page()?;
    let filter = PeopleFilter {
        query: query.owned("q")?,
        user_id: query.owned("user_id")?,
        id: None,
        offset: page.offset,
        limit: page.limit(),
    };
    Ok((filter, page))
}

/// Users, newest first.
#[utoipa::path(get, path = "/_emulator/v1/users", tag = "people",
    params(("q" = Option<String>, Query, description = "Part of address, name or external id."),
        ("page_size" = Option<i64>, Query), ("page_token" = Option<String>, Query)),
    responses((status = 200, body = UserList), (status = 400, body = ProblemDocument)))]
pub async fn users(request: HttpRequest, Control(context): Control) -> Answer {
    let (filter, page) = filter(&request).map_err(refuse)?;
    let mut users = people::users(&context, &filter).await.map_err(refuse)?;
    let next_page_token = page.cut(&mut users);
    Ok(json(&UserList { users, next_page_token }))
}

/// Adds a user, in the words of `[[users]]`.
#[utoipa::path(post, path = "/_emulator/v1/users", tag = "people", request_body(content = Object, description = "Fields of a user."),
    responses((status = 201, body = UserView), (status = 400, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn create_user(Control(context): Control, Body(fields): Body<Value>) -> Answer {
    Ok(created(&people::create_user(&context, fields).await.map_err(refuse)?))
}

/// One user.
#[utoipa::path(get, path = "/_emulator/v1/users/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 200, body = UserView), (status = 404, body = ProblemDocument)))]
pub async fn user(Control(context): Control, id: web::Path<String>) -> Answer {
    Ok(json(&people::user(&context, &id).await.map_err(refuse)?))
}

/// Changes a user: the fields that are named; `null` empties one.
#[utoipa::path(patch, path = "/_emulator/v1/users/{id}", tag = "people", params(("id" = String, Path)),
    request_body(content = Object, description = "Fields of a user."),
    responses((status = 200, body = UserView), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn change_user(
    Control(context): Control,
    id: web::Path<String>,
    Body(patch): Body<Value>,
) -> Answer {
    Ok(json(&people::change_user(&context, &id, &patch).await.map_err(refuse)?))
}

/// Deletes a user with sessions and everything that was granted.
#[utoipa::path(delete, path = "/_emulator/v1/users/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDocument)))]
pub async fn delete_user(Control(context): Control, id: web::Path<String>) -> Answer {
    people::delete_user(&context, &id).await.map_err(refuse)?;
    Ok(no_content())
}

/// Organizations, newest first.
#[utoipa::path(get, path = "/_emulator/v1/organizations", tag = "people",
    params(("q" = Option<String>, Query, description = "Part of name or external id."),
        ("page_size" = Option<i64>, Query), ("page_token" = Option<String>, Query)),
    responses((status = 200, body = OrganizationList), (status = 400, body = ProblemDocument)))]
pub async fn organizations(request: HttpRequest, Control(context): Control) -> Answer {
    let (filter, page) = filter(&request).map_err(refuse)?;
    let mut organizations = people::organizations(&context, &filter).await.map_err(refuse)?;
    let next_page_token = page.cut(&mut organizations);
    Ok(json(&OrganizationList { organizations, next_page_token }))
}

/// Adds an organization, in the words of `[[organizations]]`.
#[utoipa::path(post, path = "/_emulator/v1/organizations", tag = "people", request_body(content = Object, description = "Fields of an organization."),
    responses((status = 201, body = OrganizationView), (status = 400, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn create_organization(Control(context): Control, Body(fields): Body<Value>) -> Answer {
    Ok(created(&people::create_organization(&context, fields).await.map_err(refuse)?))
}

/// One organization.
#[utoipa::path(get, path = "/_emulator/v1/organizations/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 200, body = OrganizationView), (status = 404, body = ProblemDocument)))]
pub async fn organization(Control(context): Control, id: web::Path<String>) -> Answer {
    Ok(json(&people::organization(&context, &id).await.map_err(refuse)?))
}

/// Changes an organization: the fields that are named.
#[utoipa::path(patch, path = "/_emulator/v1/organizations/{id}", tag = "people", params(("id" = String, Path)),
    request_body(content = Object, description = "Fields of an organization."),
    responses((status = 200, body = OrganizationView), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn change_organization(
    Control(context): Control,
    id: web::Path<String>,
    Body(patch): Body<Value>,
) -> Answer {
    Ok(json(&people::change_organization(&context, &id, &patch).await.map_err(refuse)?))
}

/// Deletes an organization; its members stay.
#[utoipa::path(delete, path = "/_emulator/v1/organizations/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDocument)))]
pub async fn delete_organization(Control(context): Control, id: web::Path<String>) -> Answer {
    people::delete_organization(&context, &id).await.map_err(refuse)?;
    Ok(no_content())
}

/// Browser sessions, newest first.
#[utoipa::path(get, path = "/_emulator/v1/sessions", tag = "people",
    params(("q" = Option<String>, Query, description = "Part of an address."), ("user_id" = Option<String>, Query),
        ("page_size" = Option<i64>, Query), ("page_token" = Option<String>, Query)),
    responses((status = 200, body = SessionList), (status = 400, body = ProblemDocument)))]
pub async fn sessions(request: HttpRequest, Control(context): Control) -> Answer {
    let (filter, page) = filter(&request).map_err(refuse)?;
    let mut sessions = people::sessions(&context, &filter).await.map_err(refuse)?;
    let next_page_token = page.cut(&mut sessions);
    Ok(json(&SessionList { sessions, next_page_token }))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct LogoutNoticeList {
    pub notices: Vec<LogoutNoticeView>,
}

/// Which applications were told of the end of a session by back-channel logout, or still have to be: the last 500.
#[utoipa::path(get, path = "/_emulator/v1/logout-notices", tag = "people",
    responses((status = 200, body = LogoutNoticeList)))]
pub async fn logout_notices(Control(context): Control) -> Answer {
    let notices = backchannel_logout::notices(&context, LOGOUT_NOTICES).await;
    Ok(json(&LogoutNoticeList { notices: notices.map_err(|failure| refuse(failure.into()))? }))
}

/// Ends a session, and with it the refresh tokens that came of it.
#[utoipa::path(delete, path = "/_emulator/v1/sessions/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDocument)))]
pub async fn end_session(Control(context): Control, id: web::Path<String>) -> Answer {
    people::end_session(&context, &id).await.map_err(refuse)?;
    Ok(no_content())
}
