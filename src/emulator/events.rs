//! Events, for tests: wait for one, or follow them as they happen. They are there whether or not a webhook is.

use std::time::Duration;

use actix_web::HttpRequest;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Answer, Control, Page, ProblemDocument, Query, json, refuse, server_sent_events};
use crate::domain::event::Event;
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::events::{self, EventFilter};
use crate::service::webhooks;

/// The cursor of an environment without an event.
const BEGINNING: &str = "evt_0000000000000000000";

/// Events, and where their list stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventList {
    /// As webhooks tell them.
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<Value>,
    pub next_page_token: Option<String>,
    /// For `since`: what happens from now on, among what the filters ask for.
    pub cursor: String,
}

fn filter(query: &Query, page: Page) -> Result<EventFilter, ControlError> {
    let since = query.owned("since")?;
    if since.as_deref().is_some_and(|id| !id.starts_with("evt_")) {
        return Err(ControlError::field("since", "must be the id of an event, evt_…, or a cursor"));
    }
    Ok(EventFilter {
        event_type: query.text("type")?.map(webhooks::event_type).transpose()?,
        organization_id: query.owned("organization_id")?,
        after_id: since,
        is_oldest_first: false,
        offset: page.offset,
        limit: page.size,
    })
}

fn failed(failure: crate::service::Failure) -> actix_web::Error {
    refuse(failure.into())
}

/// The newest event that the filter means, whatever page and `since` say.
async fn cursor(context: &Context, filter: &EventFilter) -> Result<String, actix_web::Error> {
    let newest =
        EventFilter { after_id: None, is_oldest_first: false, offset: 0, limit: 1, ..filter.clone() };
    let newest = events::list(context, &newest, Duration::ZERO).await.map_err(failed)?;
    Ok(newest.into_iter().next().map_or_else(|| BEGINNING.to_owned(), |event| event.id))
}

fn view(context: &Context, event: &Event) -> Value {
    serde_json::to_value(event.payload(context.environment_id())).unwrap_or_default()
}

/// Lists events, newest first. With `wait_ms`, waits until there is one. Pass the `cursor` of an earlier response as
/// `since` to get only newer events.
#[utoipa::path(get, path = "/_emulator/v1/events", tag = "events",
    params(("type" = Option<String>, Query, description = "Only events of this type, such as `organization.created`."),
        ("organization_id" = Option<String>, Query, description = "Only events of this organization."),
        ("since" = Option<String>, Query, description = "Only events newer than this one (its ID) or this cursor."),
        ("wait_ms" = Option<i64>, Query, description = "Milliseconds to wait for an event, at most 60000."),
        ("page_size" = Option<i64>, Query), ("page_token" = Option<String>, Query)),
    responses((status = 200, body = EventList), (status = 400, body = ProblemDocument)))]
pub async fn list(request: HttpRequest, Control(context): Control) -> Answer {
    let read = || {
        let query = Query::of(&request)?;
        let page = query.page()?;
        Ok((page, EventFilter { limit: page.limit(), ..filter(&query, page)? }, query.wait()?))
    };
    let (page, filter, wait) = read().map_err(refuse)?;
    // Read before the list: an event that comes in between is listed, or newer than the cursor, or both; never neither.
    let cursor = cursor(&context, &filter).await?;
    let mut found = events::list(&context, &filter, wait.unwrap_or_default()).await.map_err(failed)?;
    let next_page_token = page.cut(&mut found);
    let newest = found.first().map(|event| event.id.clone()).unwrap_or_default();
    let events = found.iter().map(|event| view(&context, event)).collect();
    Ok(json(&EventList { events, next_page_token, cursor: cursor.max(newest) }))
}

/// Sends events as they happen, as server-sent events: `event: event`, with the body of a webhook in `data`.
/// Continues after `since`, or after the `Last-Event-ID` that browsers send when they reconnect.
#[utoipa::path(get, path = "/_emulator/v1/events/stream", tag = "events",
    params(("type" = Option<String>, Query, description = "Only events of this type."),
        ("organization_id" = Option<String>, Query, description = "Only events of this organization."),
        ("since" = Option<String>, Query, description = "Starts after this event (its ID) or this cursor.")),
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = 400, body = ProblemDocument)))]
pub async fn stream(request: HttpRequest, Control(context): Control) -> Answer {
    let mut filter = Query::of(&request)
        .and_then(|query| filter(&query, Page { offset: 0, size: 200 }))
        .map_err(refuse)?;
    let last_seen = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
    if let Some(id) = last_seen.filter(|id| id.starts_with("evt_")) {
        filter.after_id = Some(id.to_owned());
    }
    if filter.after_id.is_none() {
        // Only what happens from now on.
        filter.after_id = Some(cursor(&context, &filter).await?);
    }
    // However many there are at once, none is left out.
    filter.is_oldest_first = true;
    let texts = futures_util::stream::unfold(Some((context, filter)), |state| async move {
        let (context, mut filter) = state?;
        let found = match events::list(&context, &filter, server_sent_events::HEARTBEAT).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "a stream of events ends");
                return None;
            }
        };
        let mut text = String::new();
        for event in &found {
            text.push_str(&server_sent_events::event(&event.id, "event", &view(&context, event)));
            filter.after_id = Some(event.id.clone());
        }
        let next = (!context.runtime.server.is_stopping()).then_some((context, filter));
        Some((text, next))
    });
    Ok(server_sent_events::response(texts))
}
