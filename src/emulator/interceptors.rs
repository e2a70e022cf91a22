//! Interceptors and what they were asked.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, Body, Control, ProblemDocument, Query, created, json, no_content, refuse};
use crate::service::interceptors;
use crate::service::interceptors::{
    CallFilter, CallView, ChangeInterceptor, CreateInterceptor, InterceptorTest, InterceptorView,
    TestInterceptor,
};
use crate::service::signing_secrets::RotateSecret;

#[derive(Debug, Serialize, ToSchema)]
pub struct InterceptorList {
    pub interceptors: Vec<InterceptorView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CallList {
    pub calls: Vec<CallView>,
    pub next_page_token: Option<String>,
}

/// Lists the interceptors with their secrets, in the order in which they are called.
#[utoipa::path(get, path = "/_emulator/v1/interceptors", tag = "interceptors",
    responses((status = 200, body = InterceptorList)))]
pub async fn list(Control(context): Control) -> Answer {
    Ok(json(&InterceptorList { interceptors: interceptors::list(&context).await.map_err(refuse)? }))
}

/// Creates an interceptor. It is called from now on.
#[utoipa::path(post, path = "/_emulator/v1/interceptors", tag = "interceptors", request_body = CreateInterceptor,
    responses((status = 201, body = InterceptorView), (status = 400, body = ProblemDocument)))]
pub async fn create(Control(context): Control, Body(wanted): Body<CreateInterceptor>) -> Answer {
    Ok(created(&interceptors::create(&context, wanted).await.map_err(refuse)?))
}

/// Returns an interceptor, with its secret.
#[utoipa::path(get, path = "/_emulator/v1/interceptors/{id}", tag = "interceptors", params(("id" = String, Path)),
    responses((status = 200, body = InterceptorView), (status = 404, body = ProblemDocument)))]
pub async fn show(Control(context): Control, id: web::Path<String>) -> Answer {
    Ok(json(&interceptors::get(&context, &id).await.map_err(refuse)?))
}

/// Changes the given fields of an interceptor.
#[utoipa::path(patch, path = "/_emulator/v1/interceptors/{id}", tag = "interceptors", params(("id" = String, Path)),
    request_body = ChangeInterceptor,
    responses((status = 200, body = InterceptorView), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn change(
    Control(context): Control,
    id: web::Path<String>,
    Body(change): Body<ChangeInterceptor>,
) -> Answer {
    Ok(json(&interceptors::change(&context, &id, &change).await.map_err(refuse)?))
}

/// Deletes an interceptor. Its calls are kept in the log.
#[utoipa::path(delete, path = "/_emulator/v1/interceptors/{id}", tag = "interceptors", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDocument)))]
pub async fn delete(Control(context): Control, id: web::Path<String>) -> Answer {
    interceptors::delete(&context, &id).await.map_err(refuse)?;
    Ok(no_content())
}

/// Creates a new secret for an interceptor. Until the overlap is over, requests are signed with the old one too.
#[utoipa::path(post, path = "/_emulator/v1/interceptors/{id}/rotate-secret", tag = "interceptors",
    params(("id" = String, Path)), request_body = RotateSecret,
    responses((status = 200, body = InterceptorView), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn rotate_secret(
    Control(context): Control,
    id: web::Path<String>,
    Body(wanted): Body<RotateSecret>,
) -> Answer {
    Ok(json(&interceptors::rotate_secret(&context, &id, &wanted).await.map_err(refuse)?))
}

/// Calls an interceptor, enabled or not, with a sample or a body of your own. Nothing depends on it, and it is not logged.
#[utoipa::path(post, path = "/_emulator/v1/interceptors/{id}/test", tag = "interceptors", params(("id" = String, Path)),
    request_body = TestInterceptor,
    responses((status = 200, body = InterceptorTest), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn test(
    Control(context): Control,
    id: web::Path<String>,
    Body(wanted): Body<TestInterceptor>,
) -> Answer {
    Ok(json(&interceptors::test(&context, &id, wanted).await.map_err(refuse)?))
}

/// Lists calls of interceptors with request and response, newest first.
#[utoipa::path(get, path = "/_emulator/v1/interceptor-calls", tag = "interceptors",
    params(("interceptor_id" = Option<String>, Query, description = "Only calls of this one."),
        ("flow_id" = Option<String>, Query, description = "Only calls of this sign-in."),
        ("result" = Option<String>, Query, description = "`ALLOW`, `DENY` or `FAILED`."),
        ("page_size" = Option<i64>, Query), ("page_token" = Option<String>, Query)),
    responses((status = 200, body = CallList), (status = 400, body = ProblemDocument)))]
pub async fn calls(request: HttpRequest, Control(context): Control) -> Answer {
    let read = || {
        let query = Query::of(&request)?;
        let page = query.page()?;
        let filter = CallFilter {
            interceptor_id: query.owned("interceptor_id")?,
            flow_id: query.owned("flow_id")?,
            result: query.text("result")?.map(interceptors::result).transpose()?,
            offset: page.offset,
            limit: page.limit(),
        };
        Ok((page, filter))
    };
    let (page, filter) = read().map_err(refuse)?;
    let mut calls = interceptors::calls(&context, &filter).await.map_err(refuse)?;
    let next_page_token = page.cut(&mut calls);
    Ok(json(&CallList { calls, next_page_token }))
}
