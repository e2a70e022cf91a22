//! Webhook endpoints and what was sent to them.

use actix_web::{HttpRequest, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, Body, Control, ProblemDocument, Query, created, json, no_content, refuse};
use crate::service::signing_secrets::RotateSecret;
use crate::service::webhooks;
use crate::service::webhooks::{
    ChangeWebhook, CreateWebhook, DeliveryFilter, DeliveryView, Replay, SendTestEvent, WebhookView,
};

#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookList {
    pub webhooks: Vec<WebhookView>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryList {
    pub deliveries: Vec<DeliveryView>,
    pub next_page_token: Option<String>,
}

/// How many deliveries are sent again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Replayed {
    pub replayed: u64,
}

/// Lists the webhook endpoints, with their secrets.
#[utoipa::path(get, path = "/_emulator/v1/webhooks", tag = "webhooks", responses((status = 200, body = WebhookList)))]
pub async fn list(Control(context): Control) -> Answer {
    Ok(json(&WebhookList { webhooks: webhooks::list(&context).await.map_err(refuse)? }))
}

/// Creates an endpoint. It receives the events that happen from now on.
#[utoipa::path(post, path = "/_emulator/v1/webhooks", tag = "webhooks", request_body = CreateWebhook,
    responses((status = 201, body = WebhookView), (status = 400, body = ProblemDocument)))]
pub async fn create(Control(context): Control, Body(wanted): Body<CreateWebhook>) -> Answer {
    Ok(created(&webhooks::create(&context, wanted).await.map_err(refuse)?))
}

/// Returns an endpoint, with its secret.
#[utoipa::path(get, path = "/_emulator/v1/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, body = WebhookView), (status = 404, body = ProblemDocument)))]
pub async fn show(Control(context): Control, id: web::Path<String>) -> Answer {
    Ok(json(&webhooks::get(&context, &id).await.map_err(refuse)?))
}

/// Changes the given fields of an endpoint.
#[utoipa::path(patch, path = "/_emulator/v1/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    request_body = ChangeWebhook,
    responses((status = 200, body = WebhookView), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn change(
    Control(context): Control,
    id: web::Path<String>,
    Body(change): Body<ChangeWebhook>,
) -> Answer {
    Ok(json(&webhooks::change(&context, &id, &change).await.map_err(refuse)?))
}

/// Deletes an endpoint. Deliveries that wait for it are dropped.
#[utoipa::path(delete, path = "/_emulator/v1/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDocument)))]
pub async fn delete(Control(context): Control, id: web::Path<String>) -> Answer {
    webhooks::delete(&context, &id).await.map_err(refuse)?;
    Ok(no_content())
}

/// Creates a new secret for an endpoint. Until the overlap is over, deliveries are signed with the old one too.
#[utoipa::path(post, path = "/_emulator/v1/webhooks/{id}/rotate-secret", tag = "webhooks", params(("id" = String, Path)),
    request_body = RotateSecret,
    responses((status = 200, body = WebhookView), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn rotate_secret(
    Control(context): Control,
    id: web::Path<String>,
    Body(wanted): Body<RotateSecret>,
) -> Answer {
    Ok(json(&webhooks::rotate_secret(&context, &id, &wanted).await.map_err(refuse)?))
}

/// Sends a sample event to an endpoint.
#[utoipa::path(post, path = "/_emulator/v1/webhooks/{id}/test", tag = "webhooks", params(("id" = String, Path)),
    request_body = SendTestEvent,
    responses((status = 201, body = DeliveryView), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn send_test_event(
    Control(context): Control,
    id: web::Path<String>,
    Body(wanted): Body<SendTestEvent>,
) -> Answer {
    Ok(created(&webhooks::send_test_event(&context, &id, &wanted).await.map_err(refuse)?))
}

/// Lists deliveries to an endpoint, newest first, with every attempt and its response.
#[utoipa::path(get, path = "/_emulator/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = String, Path),
        ("status" = Option<String>, Query, description = "`QUEUED`, `RETRYING`, `SUCCESS` or `FAILED`."),
        ("type" = Option<String>, Query, description = "Only events of this type."),
        ("event_id" = Option<String>, Query, description = "Only this event."),
        ("page_size" = Option<i64>, Query), ("page_token" = Option<String>, Query)),
    responses((status = 200, body = DeliveryList), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn deliveries(request: HttpRequest, Control(context): Control, id: web::Path<String>) -> Answer {
    let read = || {
        let query = Query::of(&request)?;
        let page = query.page()?;
        let filter = DeliveryFilter {
            endpoint_id: Some(id.into_inner()),
            event_id: query.owned("event_id")?,
            event_type: query.text("type")?.map(webhooks::event_type).transpose()?,
            status: query.text("status")?.map(webhooks::status).transpose()?,
            offset: page.offset,
            limit: page.limit(),
        };
        Ok((page, filter))
    };
    let (page, filter) = read().map_err(refuse)?;
    let mut deliveries = webhooks::deliveries(&context, &filter).await.map_err(refuse)?;
    let next_page_token = page.cut(&mut deliveries);
    Ok(json(&DeliveryList { deliveries, next_page_token }))
}

/// Sends deliveries to an endpoint again: one, by its event, or all that failed.
#[utoipa::path(post, path = "/_emulator/v1/webhooks/{id}/replay", tag = "webhooks", params(("id" = String, Path)),
    request_body = Replay,
    responses((status = 200, body = Replayed), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn replay(Control(context): Control, id: web::Path<String>, Body(wanted): Body<Replay>) -> Answer {
    Ok(json(&Replayed { replayed: webhooks::replay(&context, &id, &wanted).await.map_err(refuse)? }))
}
