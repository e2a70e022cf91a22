//! The inbox: pages for people, and an API that tests wait on.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::json;

use crate::app::Context;
use crate::domain::clock::rfc3339;
use crate::domain::email::EmailAddress;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::guard;
use crate::http::pages::{render, views};
use crate::http::params;
use crate::service::{Failure, inbox};
use crate::storage::{InboxFilter, InboxMessage};

/// Longest wait for a mail, in milliseconds.
const MAX_WAIT_MS: u64 = 60_000;

/// How long `latest` waits when it is not told, in milliseconds.
const DEFAULT_WAIT_MS: u64 = 10_000;

/// Mails on the page.
const PAGE_SIZE: i64 = 50;

/// A mail as the API shows it.
#[derive(Debug, Serialize)]
struct Message {
    id: String,
    to: String,
    subject: String,
    text: String,
    html: String,
    code: Option<String>,
    link: Option<String>,
    auth_request_id: String,
    kind: String,
    test_user: bool,
    /// RFC 3339, UTC.
    created_at: String,
}

impl From<InboxMessage> for Message {
    fn from(message: InboxMessage) -> Self {
        Self {
            test_user: message.recipient_kind == "test_user",
            created_at: rfc3339(message.created_at_ms),
            id: message.id,
            to: message.to_address,
            subject: message.subject,
            text: message.text_body,
            html: message.html_body,
            code: message.code,
            link: message.link,
            auth_request_id: message.auth_request_id,
            kind: message.kind,
        }
    }
}

/// What a query asks for: `to`, `since` (an id: only newer mails) and `wait_ms`.
struct Query {
    to: Option<EmailAddress>,
    since: Option<String>,
    wait: Option<Duration>,
}

impl Query {
    fn parse(request: &HttpRequest) -> Result<Self, Problem> {
        let invalid = |text: String| Problem::bad_request("invalid_request", text);
        let params = params::query(request).map_err(|e| invalid(e.to_string()))?;
        let one = |name| params.one(name).map_err(|e| invalid(e.to_string()));
        let to = one("to")?.map(EmailAddress::parse).transpose().map_err(|e| invalid(format!("to: {e}")))?;
        let since = one("since")?.map(str::to_owned);
        if since.as_deref().is_some_and(|s| !s.starts_with("msg_")) {
            return Err(invalid("since: must be the id of a message, msg_…".to_owned()));
        }
        let wait_ms = one("wait_ms")?.map(str::parse::<u64>).transpose();
        let wait_ms =
            wait_ms.map_err(|_| invalid("wait_ms: must be a whole number of milliseconds".to_owned()))?;
        Ok(Self { to, since, wait: wait_ms.map(|ms| Duration::from_millis(ms.min(MAX_WAIT_MS))) })
    }

    fn filter(&self, limit: i64) -> InboxFilter {
        inbox::filter(self.to.as_ref(), self.since.clone(), limit)
    }
}

/// `GET /_emulator/v1/messages`: newest first.
pub async fn list(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        let query = Query::parse(&request).map_err(|p| p.json())?;
        let found = inbox::messages(&context, &query.filter(200), query.wait.unwrap_or_default()).await;
        let messages: Vec<Message> = found.map_err(failed)?.into_iter().map(Message::from).collect();
        Ok(fresh_json(&messages))
    };
    answer.await.unwrap_or_else(|refused| refused)
}

/// `GET /_emulator/v1/messages/latest`: the newest mail, as soon as there is one.
pub async fn latest(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        let query = Query::parse(&request).map_err(|p| p.json())?;
        let wait = query.wait.unwrap_or(Duration::from_millis(DEFAULT_WAIT_MS));
        let found = inbox::messages(&context, &query.filter(1), wait).await.map_err(failed)?;
        match found.into_iter().next() {
            Some(message) => Ok(fresh_json(&Message::from(message))),
            None => Err(Problem::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "No mail",
                "no such mail arrived in time",
            )
            .json()),
        }
    };
    answer.await.unwrap_or_else(|refused| refused)
}

/// `DELETE /_emulator/v1/messages`.
pub async fn delete(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        let deleted = inbox::delete_all(&context).await.map_err(failed)?;
        Ok(HttpResponse::Ok().json(json!({ "deleted": deleted })))
    };
    answer.await.unwrap_or_else(|refused| refused)
}

fn failed(failure: Failure) -> HttpResponse {
    Problem::from(failure).json()
}

fn fresh_json(value: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(value)
}

/// `GET /_emulator/inbox`: the newest mails, on a page.
pub async fn page(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        // A half-typed address is a filter that finds nothing, not a mistake.
        let filter_to =
            params::query(&request).ok().and_then(|p| p.one("to").ok().flatten().map(str::to_owned));
        let filter = InboxFilter {
            to_key: filter_to.as_ref().map(|t| t.trim().to_lowercase()),
            after_id: None,
            limit: PAGE_SIZE,
        };
        let found = inbox::messages(&context, &filter, Duration::ZERO).await.map_err(failed)?;
        let view = views::InboxList {
            layout: render::layout(&context, "Inbox"),
            messages: found.into_iter().map(row).collect(),
            filter_to: filter_to.unwrap_or_default(),
            latest_url: context.public_url.join("/_emulator/v1/messages/latest"),
        };
        Ok(render::page(StatusCode::OK, &view))
    };
    answer.await.unwrap_or_else(|refused| refused)
}

fn row(message: InboxMessage) -> views::InboxRow {
    views::InboxRow {
        test_user: message.recipient_kind == "test_user",
        created_at: rfc3339(message.created_at_ms),
        id: message.id,
        to: message.to_address,
        subject: message.subject,
        kind: message.kind,
        code: message.code,
        link: message.link,
    }
}

/// `GET /_emulator/inbox/{id}`: one mail.
pub async fn message_page(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        let message = find(&request, &context, &id).await?;
        let view = views::InboxMessage {
            layout: render::layout(&context, "Mail"),
            text: message.text_body.clone(),
            html_url: format!("/_emulator/inbox/{}/html", message.id),
            row: row(message),
        };
        Ok(render::page(StatusCode::OK, &view))
    };
    answer.await.unwrap_or_else(|refused| refused)
}

/// `GET /_emulator/inbox/{id}/html`: the HTML part alone, shown in a frame that can do nothing.
pub async fn message_html(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        let message = find(&request, &context, &id).await?;
        let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";
        Ok(HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, policy))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(message.html_body))
    };
    answer.await.unwrap_or_else(|refused| refused)
}

async fn find(request: &HttpRequest, context: &Context, id: &str) -> Result<InboxMessage, HttpResponse> {
    let found = inbox::message(context, id).await.map_err(failed)?;
    found.ok_or_else(|| {
        let text = "There is no such mail; it may have been deleted.";
        Problem::new(StatusCode::NOT_FOUND, "not_found", "No such mail", text).response_for(request)
    })
}
