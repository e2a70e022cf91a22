//! The inbox, for people.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::frame;
use crate::domain::clock::rfc3339;
use crate::domain::email;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::views::Layout;
use crate::http::{guard, params, render, texts};
use crate::runtime::Context;
use crate::service::inbox::{InboxFilter, InboxMessage};
use crate::service::{Failure, inbox};

/// Emails on the page.
const PAGE_SIZE: i64 = 50;

/// An email in the list.
#[derive(Debug, Clone)]
pub struct InboxRow {
    pub id: String,
    pub to: String,
    pub subject: String,
    pub kind: String,
    pub code: Option<String>,
    pub link: Option<String>,
    pub test_user: bool,
    pub created_at: String,
    /// Why its delivery was given up.
    pub delivery_error: Option<String>,
}

impl InboxRow {
    /// Hours, minutes and seconds of the RFC 3339 time.
    pub fn clock_time(&self) -> &str {
        self.created_at.get(11..19).unwrap_or(&self.created_at)
    }
}

#[derive(Template)]
#[template(path = "pages/inbox_list.html")]
pub struct InboxList {
    pub layout: Layout,
    pub messages: Vec<InboxRow>,
    pub filter_to: String,
    /// What a test asks to wait for an email.
    pub latest_url: String,
}

#[derive(Template)]
#[template(path = "pages/inbox_message.html")]
pub struct InboxMessagePage {
    pub layout: Layout,
    pub row: InboxRow,
    pub text: String,
    /// Address of the HTML part alone.
    pub html_url: String,
}

fn failed(failure: Failure) -> HttpResponse {
    Problem::from(failure).json()
}

/// `GET /_emulator/inbox`: the newest emails, on a page.
pub async fn page(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        frame::load(&request, &context).await;
        // A half-typed address is a filter that finds nothing, not a mistake.
        let filter_to =
            params::query(&request).ok().and_then(|p| p.one("to").ok().flatten().map(str::to_owned));
        let filter = InboxFilter {
            to_key: filter_to.as_deref().map(|to| email::key_of(&params::with_lost_plus(to))),
            limit: PAGE_SIZE,
            ..InboxFilter::default()
        };
        let found = inbox::messages(&context, &filter, Duration::ZERO).await.map_err(failed)?;
        let view = InboxList {
            layout: frame::layout(&context, &request, "Inbox", "/_emulator/inbox"),
            messages: found.into_iter().map(row).collect(),
            filter_to: filter_to.unwrap_or_default(),
            latest_url: context.public_url.join("/_emulator/v1/messages/latest"),
        };
        Ok(render::page(StatusCode::OK, &view))
    };
    answer.await.unwrap_or_else(|refused| refused)
}

fn row(message: InboxMessage) -> InboxRow {
    InboxRow {
        test_user: message.recipient_kind == "test_user",
        created_at: rfc3339(message.created_at_ms),
        id: message.id,
        to: message.to_address,
        subject: message.subject,
        kind: message.kind,
        delivery_error: message.delivery_error,
        code: message.code,
        link: message.link,
    }
}

/// `GET /_emulator/inbox/{id}`: one email.
pub async fn message_page(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        frame::load(&request, &context).await;
        let message = find(&request, &context, &id).await?;
        let view = InboxMessagePage {
            layout: frame::layout(&context, &request, "Email", "/_emulator/inbox"),
            text: message.text_body.clone(),
            html_url: context.path(&format!("/_emulator/inbox/{}/html", message.id)),
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
        Ok(HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, render::EMAIL_POLICY))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(message.html_body))
    };
    answer.await.unwrap_or_else(|refused| refused)
}

async fn find(request: &HttpRequest, context: &Context, id: &str) -> Result<InboxMessage, HttpResponse> {
    let found = inbox::message(context, id).await.map_err(failed)?;
    found.ok_or_else(|| {
        let text = "There is no such email. It may have been deleted.";
        Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", text).response_for(request)
    })
}
