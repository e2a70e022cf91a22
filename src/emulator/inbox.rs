//! The inbox, for tests: wait for an email, search, read its source, follow as it fills.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Answer, Control, Deleted, Page, ProblemDocument, Query, end_with, json, no_content, refuse,
    server_sent_events,
};
use crate::domain::clock::rfc3339;
use crate::http::errors::Problem;
use crate::http::event_text::{seconds, text_of};
use crate::http::render::EMAIL_POLICY;
use crate::mail::received;
use crate::runtime::Context;
use crate::service::Failure;
use crate::service::changes::ControlError;
use crate::service::flows::{self, FlowFilter};
use crate::service::inbox;
use crate::service::inbox::{InboxFilter, InboxMessage, SourceError};

/// How long `latest` waits when it is not told.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// An email.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageView {
    pub id: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The code, where the email carries one.
    pub code: Option<String>,
    /// The link, where the email carries one.
    pub link: Option<String>,
    /// All web addresses in the email, in order, those of the text part first.
    pub links: Vec<String>,
    /// Empty: the email belongs to no sign-in.
    pub auth_request_id: String,
    /// `signin`, `signup`, `invitation`, or `received` for what another program sent.
    pub kind: String,
    /// `vestibule`: written by this server; `smtp`: received by `smtp_listen`.
    pub source: String,
    /// Who sent a received email.
    pub from: Option<String>,
    /// Has somebody opened it in the inbox?
    pub read: bool,
    /// Did the address sign in with the fixed code, so that no email left the house?
    pub test_user: bool,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// Why its delivery by SMTP was given up.
    pub delivery_error: Option<String>,
}

impl From<InboxMessage> for MessageView {
    fn from(message: InboxMessage) -> Self {
        Self {
            test_user: message.recipient_kind == "test_user",
            created_at: rfc3339(message.created_at_ms),
            links: received::links(&message.text_body, &message.html_body),
            source: if message.kind == inbox::RECEIVED { "smtp" } else { "vestibule" }.to_owned(),
            from: message.from_address,
            read: message.read_at_ms.is_some(),
            id: message.id,
            to: message.to_address,
            subject: message.subject,
            text: message.text_body,
            html: message.html_body,
            code: message.code,
            link: message.link,
            auth_request_id: message.auth_request_id,
            kind: message.kind,
            delivery_error: message.delivery_error,
        }
    }
}

/// Emails, and where the inbox stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageList {
    pub messages: Vec<MessageView>,
    pub next_page_token: Option<String>,
    /// For `since`: what arrives from now on, among what `to` and `auth_request_id` ask for.
    pub cursor: String,
}

fn filter(query: &Query, page: Page) -> Result<InboxFilter, ControlError> {
    let since = query.owned("since")?;
    if since.as_deref().is_some_and(|s| !s.starts_with("msg_")) {
        return Err(ControlError::field("since", "must be the id of an email, msg_…, or a cursor"));
    }
    Ok(InboxFilter {
        to_key: query.address("to")?.map(|a| a.key().to_owned()),
        auth_request_id: query.owned("auth_request_id")?,
        is_unused: query.boolean("unused")?,
        after_id: since,
        search: query.owned("q")?,
        is_oldest_first: false,
        offset: page.offset,
        limit: page.size,
    })
}

fn failed(failure: Failure) -> actix_web::Error {
    refuse(failure.into())
}

/// Lists emails, newest first. With `wait_ms`, waits until there is one. Pass the `cursor` of an earlier response as
/// `since` to get only newer emails.
#[utoipa::path(get, path = "/_emulator/v1/messages", tag = "inbox",
    params(("to" = Option<String>, Query, description = "Only emails to this address."),
        ("auth_request_id" = Option<String>, Query, description = "Only emails of this sign-in."),
        ("since" = Option<String>, Query, description = "Only emails newer than this one (its ID) or this cursor."),
        ("unused" = Option<bool>, Query, description = "Leaves out emails of sign-ins that are over."),
        ("q" = Option<String>, Query, description = "Part of subject, text, code or address."),
        ("wait_ms" = Option<i64>, Query, description = "Milliseconds to wait for an email, at most 60000."),
        ("page_size" = Option<i64>, Query), ("page_token" = Option<String>, Query)),
    responses((status = 200, body = MessageList), (status = 400, body = ProblemDocument)))]
pub async fn list(request: HttpRequest, Control(context): Control) -> Answer {
    let read = || {
        let query = Query::of(&request)?;
        let size = query.number("page_size", 1..=200)?.unwrap_or(200);
        let page = Page { size, ..query.page()? };
        Ok((page, InboxFilter { limit: page.limit(), ..filter(&query, page)? }, query.wait()?))
    };
    let (page, filter, wait) = read().map_err(refuse)?;
    // Read before the list: an email that comes in between is listed, or newer than the cursor, or both; never neither.
    let cursor = inbox::cursor(&context, &filter).await.map_err(failed)?;
    let mut found = inbox::messages(&context, &filter, wait.unwrap_or_default()).await.map_err(failed)?;
    let next_page_token = page.cut(&mut found);
    let newest = found.first().map(|m| m.id.clone()).unwrap_or_default();
    let messages = found.into_iter().map(MessageView::from).collect();
    Ok(json(&MessageList { messages, next_page_token, cursor: cursor.max(newest) }))
}

/// Returns the newest email, and waits for one if there is none. An email that is there already counts: if the
/// address may have received one before, pass `unused`, `since` or `auth_request_id`. Where none came in time, `timeline`
/// in the response says what happened in the newest sign-in of the address.
#[utoipa::path(get, path = "/_emulator/v1/messages/latest", tag = "inbox",
    params(("to" = Option<String>, Query, description = "To this address."),
        ("auth_request_id" = Option<String>, Query, description = "Of this sign-in."),
        ("since" = Option<String>, Query, description = "Newer than this email (its ID) or this cursor."),
        ("unused" = Option<bool>, Query, description = "Not of a sign-in that is over."),
        ("wait_ms" = Option<i64>, Query, description = "Milliseconds to wait, at most 60000; 10000 when left out.")),
    responses((status = 200, body = MessageView), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument)))]
pub async fn latest(request: HttpRequest, Control(context): Control) -> Answer {
    let read = || {
        let query = Query::of(&request)?;
        Ok((filter(&query, Page { offset: 0, size: 1 })?, query.wait()?))
    };
    let (filter, wait) = read().map_err(refuse)?;
    let wait = wait.unwrap_or(DEFAULT_WAIT);
    let found = inbox::messages(&context, &filter, wait).await.map_err(failed)?;
    let Some(newest) = found.into_iter().next() else {
        let to = if filter.to_key.is_some() { " to this address" } else { "" };
        let which = if filter.auth_request_id.is_some() { " of this sign-in" } else { "" };
        let newer = if filter.after_id.is_some() { " that is newer than since" } else { "" };
        let text = format!("no email{to}{which}{newer} arrived within {} ms", wait.as_millis());
        let timeline = what_happened(&context, &filter).await.map_err(failed)?;
        let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", text);
        return Err(end_with(problem.document_with(vec![], timeline)));
    };
    Ok(json(&MessageView::from(newest)))
}

/// The newest sign-in that an email could have belonged to, a line for each step.
async fn what_happened(context: &Context, filter: &InboxFilter) -> Result<Vec<String>, Failure> {
    let id = match &filter.auth_request_id {
        Some(id) => Some(id.clone()),
        None => {
            let newest = FlowFilter { email_key: filter.to_key.clone(), limit: 1, ..FlowFilter::default() };
            flows::list(context, &newest).await?.0.into_iter().next().map(|flow| flow.id)
        }
    };
    let found = match id {
        Some(id) => flows::show(context, &id).await?,
        None => None,
    };
    let Some((flow, steps)) = found else {
        return Ok(vec!["No sign-in is in the log that it could belong to.".to_owned()]);
    };
    let client = flow.client_id.as_deref().unwrap_or("?");
    let mut lines = vec![format!(
        "Sign-in {} at {client}: {}. {}",
        flow.id,
        flow.status.as_str(),
        text_of(&flow.last_event)
    )];
    lines.extend(steps.iter().map(|step| {
        let (event, offset) = (&step.event, seconds(step.at_ms - flow.started_at_ms));
        format!("+{offset} {} {}: {}", event.subject(), event.verdict().as_str(), text_of(event))
    }));
    Ok(lines)
}

async fn find(context: &Context, id: &str) -> Result<InboxMessage, actix_web::Error> {
    let found = inbox::message(context, id).await.map_err(failed)?;
    found.ok_or_else(|| refuse(ControlError::NotFound(format!("there is no email {id}"))))
}

/// Returns one email.
#[utoipa::path(get, path = "/_emulator/v1/messages/{id}", tag = "inbox", params(("id" = String, Path)),
    responses((status = 200, body = MessageView), (status = 404, body = ProblemDocument)))]
pub async fn show(Control(context): Control, id: web::Path<String>) -> Answer {
    Ok(json(&MessageView::from(find(&context, &id).await?)))
}

/// Returns the HTML part of an email.
#[utoipa::path(get, path = "/_emulator/v1/messages/{id}/html", tag = "inbox", params(("id" = String, Path)),
    responses((status = 200, body = String, content_type = "text/html"), (status = 404, body = ProblemDocument)))]
pub async fn html(Control(context): Control, id: web::Path<String>) -> Answer {
    let message = find(&context, &id).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, EMAIL_POLICY))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(message.html_body))
}

/// Returns the source of an email, as an SMTP server receives it.
#[utoipa::path(get, path = "/_emulator/v1/messages/{id}/raw", tag = "inbox", params(("id" = String, Path)),
    responses((status = 200, body = String, content_type = "message/rfc822"), (status = 404, body = ProblemDocument)))]
pub async fn raw(Control(context): Control, id: web::Path<String>) -> Answer {
    let message = find(&context, &id).await?;
    let bytes = inbox::source_of(&context, &message).await.map_err(|error| match error {
        SourceError::Failure(failure) => failed(failure),
        SourceError::Unfit(error) => refuse(ControlError::NotAllowed(error.to_string())),
    })?;
    Ok(HttpResponse::Ok()
        .content_type("message/rfc822")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(bytes))
}

/// Deletes all emails, or those to one address.
#[utoipa::path(delete, path = "/_emulator/v1/messages", tag = "inbox",
    params(("to" = Option<String>, Query, description = "Only emails to this address.")),
    responses((status = 200, body = Deleted), (status = 400, body = ProblemDocument)))]
pub async fn delete(request: HttpRequest, Control(context): Control) -> Answer {
    let to = Query::of(&request).and_then(|query| query.address("to")).map_err(refuse)?;
    Ok(json(&Deleted { deleted: inbox::delete(&context, to.as_ref()).await.map_err(failed)? }))
}

/// Deletes one email.
#[utoipa::path(delete, path = "/_emulator/v1/messages/{id}", tag = "inbox", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDocument)))]
pub async fn delete_one(Control(context): Control, id: web::Path<String>) -> Answer {
    if inbox::delete_one(&context, &id).await.map_err(failed)? {
        return Ok(no_content());
    }
    Err(refuse(ControlError::NotFound(format!("there is no email {id}"))))
}

/// Sends emails as they arrive, as server-sent events: `event: message`, with the email as JSON in `data`. Continues
/// after `since`, or after the `Last-Event-ID` that browsers send when they reconnect.
#[utoipa::path(get, path = "/_emulator/v1/messages/events", tag = "inbox",
    params(("to" = Option<String>, Query, description = "Only emails to this address."),
        ("auth_request_id" = Option<String>, Query, description = "Only emails of this sign-in."),
        ("since" = Option<String>, Query, description = "Starts after this email (its ID) or this cursor."),
        ("unused" = Option<bool>, Query, description = "Leaves out emails of sign-ins that are over.")),
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = 400, body = ProblemDocument)))]
pub async fn events(request: HttpRequest, Control(context): Control) -> Answer {
    let mut filter = Query::of(&request)
        .and_then(|query| filter(&query, Page { offset: 0, size: 200 }))
        .map_err(refuse)?;
    let last_seen = request.headers().get("last-event-id").and_then(|v| v.to_str().ok());
    if let Some(id) = last_seen.filter(|id| id.starts_with("msg_")) {
        filter.after_id = Some(id.to_owned());
    }
    if filter.after_id.is_none() {
        // Only what comes from now on.
        filter.after_id = Some(inbox::cursor(&context, &filter).await.map_err(failed)?);
    }
    // However many there are at once, none is left out.
    filter.is_oldest_first = true;
    let stream = futures_util::stream::unfold(Some((context, filter)), |state| async move {
        let (context, mut filter) = state?;
        let found = match inbox::messages(&context, &filter, server_sent_events::HEARTBEAT).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "a stream of emails ends");
                return None;
            }
        };
        let mut text = String::new();
        for message in found {
            filter.after_id = Some(message.id.clone());
            let id = message.id.clone();
            text.push_str(&server_sent_events::event(&id, "message", &MessageView::from(message)));
        }
        let next = (!context.runtime.server.is_stopping()).then_some((context, filter));
        Some((text, next))
    });
    Ok(server_sent_events::response(stream))
}
