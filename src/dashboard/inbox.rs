//! The inbox: a list of emails with one of them beside it. On a phone one comes after the other.

use std::time::Duration;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::{DashboardContext, PageResult, error_page, form_params, frame, one, redirect_with_flash};
use crate::domain::clock::rfc3339;
use crate::domain::email;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::params::Form as Posted;
use crate::http::views::Layout;
use crate::http::{guard, params, render};
use crate::mail::received;
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::inbox::{InboxFilter, InboxMessage, SourceError};
use crate::service::{Failure, inbox};

const INBOX: &str = "/_emulator/inbox";

/// Emails on the page.
const PAGE_SIZE: i64 = 50;

/// Bytes of a text shown on the page; the download has all of it.
const MAX_SHOWN_BYTES: usize = 32 << 10;

/// An email in the list.
#[derive(Debug, Clone)]
pub struct InboxRow {
    pub id: String,
    pub href: String,
    pub is_shown: bool,
    pub is_unread: bool,
    pub from: Option<String>,
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
    /// Date and time to the second, of the RFC 3339 time.
    pub fn time(&self) -> String {
        let (date, time) = (self.created_at.get(..10), self.created_at.get(11..19));
        format!("{} {} UTC", date.unwrap_or_default(), time.unwrap_or_default())
    }

    /// Can somebody sign in with its link?
    pub fn is_sign_in(&self) -> bool {
        matches!(self.kind.as_str(), "signin" | "signup") && self.link.is_some()
    }
}

/// One way to look at an email.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Html,
    Text,
    Headers,
    Raw,
    Links,
}

impl Tab {
    const ALL: [Self; 5] = [Self::Html, Self::Text, Self::Headers, Self::Raw, Self::Links];

    fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Text => "text",
            Self::Headers => "headers",
            Self::Raw => "raw",
            Self::Links => "links",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Html => "HTML",
            Self::Text => "Text",
            Self::Headers => "Headers",
            Self::Raw => "Raw",
            Self::Links => "Links",
        }
    }
}

/// A tab's link.
pub struct TabLink {
    pub key: &'static str,
    pub name: String,
    pub href: String,
    pub is_current: bool,
}

/// What the chosen tab shows.
pub enum Content {
    /// Address of the HTML part alone.
    Html(String),
    Text {
        name: &'static str,
        text: String,
        is_cut: bool,
    },
    Headers(Vec<(String, String)>),
    Links(Vec<String>),
}

/// The email beside the list.
pub struct Shown {
    pub row: InboxRow,
    pub tabs: Vec<TabLink>,
    pub content: Content,
}

#[derive(Template)]
#[template(path = "dashboard/inbox.html")]
pub struct InboxPage {
    pub layout: Layout,
    pub done: Option<&'static str>,
    pub rows: Vec<InboxRow>,
    pub shown: Option<Shown>,
    pub search: String,
    /// The one address whose emails are listed; empty: all.
    pub to: String,
    pub total: i64,
    pub unread: i64,
    /// The list, without what is searched for.
    pub home: String,
    /// The list as it is searched.
    pub list: String,
    /// The list that follows.
    pub older: Option<String>,
    /// Emails after this one are new to the page.
    pub cursor: String,
    /// The environment's time.
    pub now: String,
    /// What a test asks to wait for an email.
    pub latest_url: String,
}

fn failed(failure: Failure) -> HttpResponse {
    Problem::from(failure).json()
}

/// What a request looks for.
#[derive(Default)]
struct Looked {
    search: String,
    to: String,
    offset: i64,
    tab: Option<Tab>,
}

impl Looked {
    fn of(request: &HttpRequest) -> Self {
        let query = params::query(request).unwrap_or_default();
        let tab = one(&query, "tab");
        Self {
            search: one(&query, "q").to_owned(),
            to: one(&query, "to").to_owned(),
            offset: one(&query, "from").parse().unwrap_or(0).clamp(0, i64::from(u32::MAX)),
            tab: Tab::ALL.into_iter().find(|known| known.as_str() == tab),
        }
    }

    fn filter(&self) -> InboxFilter {
        InboxFilter {
            // A half-typed address is a filter that finds nothing, not a mistake.
            to_key: Some(&self.to)
                .filter(|to| !to.is_empty())
                .map(|to| email::key_of(&params::with_lost_plus(to))),
            search: Some(self.search.clone()).filter(|search| !search.is_empty()),
            offset: self.offset,
            // One more says whether there are older ones.
            limit: PAGE_SIZE + 1,
            ..InboxFilter::default()
        }
    }

    /// A page of the inbox that goes on looking for the same.
    fn path(&self, context: &Context, path: &str, offset: i64, tab: Option<Tab>) -> String {
        let offset = Some(offset).filter(|offset| *offset > 0).map(|offset| offset.to_string());
        let fields = [
            ("q", self.search.as_str()),
            ("to", &self.to),
            ("from", offset.as_deref().unwrap_or_default()),
            ("tab", tab.map(Tab::as_str).unwrap_or_default()),
        ];
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(fields.into_iter().filter(|(_, value)| !value.is_empty()));
        let (path, query) = (context.path(&format!("{INBOX}{path}")), query.finish());
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }
}

/// `GET /_emulator/inbox`: the newest emails.
pub async fn page(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        show(&request, &context, None).await
    };
    answer.await.unwrap_or_else(|refused| refused)
}

/// `GET /_emulator/inbox/{id}`: one email beside them. Who opens it has read it.
pub async fn message_page(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        let message = find(&request, &context, &id).await?;
        if message.read_at_ms.is_none() && *request.method() == Method::GET {
            inbox::mark_read(&context, &id).await.map_err(failed)?;
        }
        show(&request, &context, Some(message)).await
    };
    answer.await.unwrap_or_else(|refused| refused)
}

async fn show(
    request: &HttpRequest,
    context: &Context,
    message: Option<InboxMessage>,
) -> Result<HttpResponse, HttpResponse> {
    frame::load(request, context).await;
    let looked = Looked::of(request);
    // Read before the list: an email that comes in between is listed, or told of, or both.
    let cursor = inbox::cursor(context, &InboxFilter::default()).await.map_err(failed)?;
    let mut found = inbox::messages(context, &looked.filter(), Duration::ZERO).await.map_err(failed)?;
    let count = inbox::count(context).await.map_err(failed)?;
    let has_older = found.len() > usize::try_from(PAGE_SIZE).unwrap_or(usize::MAX);
    found.truncate(usize::try_from(PAGE_SIZE).unwrap_or(usize::MAX));
    let shown_id = message.as_ref().map(|message| message.id.clone());
    let row = |message: InboxMessage| row(context, &looked, message, shown_id.as_deref());
    let title = if count.unread > 0 { format!("({}) Inbox", count.unread) } else { "Inbox".to_owned() };
    let view = InboxPage {
        layout: frame::layout(context, request, &title, INBOX),
        done: super::done(request),
        shown: match message {
            Some(message) => {
                let (tabs, content) = contents(request, context, &looked, &message).await?;
                Some(Shown { row: row(message), tabs, content })
            }
            None => None,
        },
        rows: found.into_iter().map(row).collect(),
        total: count.total,
        unread: count.unread,
        home: context.path(INBOX),
        list: looked.path(context, "", looked.offset, None),
        older: has_older.then(|| looked.path(context, "", looked.offset + PAGE_SIZE, None)),
        cursor,
        now: rfc3339(context.now_ms()),
        latest_url: context.public_url.join("/_emulator/v1/messages/latest"),
        search: looked.search,
        to: looked.to,
    };
    Ok(render::page(StatusCode::OK, &view))
}

fn row(context: &Context, looked: &Looked, message: InboxMessage, shown_id: Option<&str>) -> InboxRow {
    InboxRow {
        href: looked.path(context, &format!("/{}", message.id), looked.offset, looked.tab),
        is_shown: shown_id == Some(&message.id),
        is_unread: message.read_at_ms.is_none() && shown_id != Some(&message.id),
        test_user: message.recipient_kind == "test_user",
        created_at: rfc3339(message.created_at_ms),
        id: message.id,
        from: message.from_address,
        to: message.to_address,
        subject: if message.subject.is_empty() { "(no subject)".to_owned() } else { message.subject },
        kind: message.kind,
        delivery_error: message.delivery_error,
        code: message.code,
        link: message.link,
    }
}

/// The tabs of an email, and what the chosen one shows.
async fn contents(
    request: &HttpRequest,
    context: &Context,
    looked: &Looked,
    message: &InboxMessage,
) -> Result<(Vec<TabLink>, Content), HttpResponse> {
    let links = received::links(&message.text_body, &message.html_body);
    let has_html = !message.html_body.is_empty();
    let usual = if has_html { Tab::Html } else { Tab::Text };
    let chosen = looked.tab.filter(|tab| has_html || *tab != Tab::Html).unwrap_or(usual);
    let tabs = Tab::ALL.into_iter().filter(|tab| has_html || *tab != Tab::Html).map(|tab| TabLink {
        key: tab.as_str(),
        name: if tab == Tab::Links { format!("Links ({})", links.len()) } else { tab.name().to_owned() },
        href: looked.path(context, &format!("/{}", message.id), looked.offset, Some(tab)),
        is_current: tab == chosen,
    });
    let tabs = tabs.collect();
    let content = match chosen {
        Tab::Html => Content::Html(context.path(&format!("{INBOX}/{}/html", message.id))),
        Tab::Text => text("Text of the email", &message.text_body),
        Tab::Headers => Content::Headers(received::headers(&source(request, context, message).await?)),
        Tab::Raw => {
            let source = source(request, context, message).await?;
            text("Source of the email", &String::from_utf8_lossy(&source))
        }
        Tab::Links => Content::Links(links),
    };
    Ok((tabs, content))
}

fn text(name: &'static str, text: &str) -> Content {
    let end = text.floor_char_boundary(MAX_SHOWN_BYTES);
    Content::Text { name, text: text[..end].to_owned(), is_cut: end < text.len() }
}

async fn source(
    request: &HttpRequest,
    context: &Context,
    message: &InboxMessage,
) -> Result<Vec<u8>, HttpResponse> {
    inbox::source_of(context, message).await.map_err(|error| match error {
        SourceError::Failure(failure) => failed(failure),
        SourceError::Unfit(error) => {
            let text = format!("This email has no source: {error}.");
            Problem::new(StatusCode::CONFLICT, "not_allowed", "No source", text).response_for(request)
        }
    })
}

/// `GET /_emulator/inbox/{id}/html`: the HTML part alone, shown in a frame that can do nothing.
pub async fn message_html(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        let message = find(&request, &context, &id).await?;
        Ok(HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, render::EMAIL_POLICY))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(message.html_body))
    };
    answer.await.unwrap_or_else(|refused| refused)
}

/// `GET /_emulator/inbox/{id}/eml`: the email as a file for other programs.
pub async fn download(request: HttpRequest, Ctx(context): Ctx, id: web::Path<String>) -> HttpResponse {
    let answer = async {
        guard::control(&request, &context)?;
        let message = find(&request, &context, &id).await?;
        let source = source(&request, &context, &message).await?;
        Ok(HttpResponse::Ok()
            .content_type("message/rfc822")
            .insert_header((
                header::CONTENT_DISPOSITION,
                format!("attachment; filename=\"{}.eml\"", message.id),
            ))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(source))
    };
    answer.await.unwrap_or_else(|refused| refused)
}

/// `POST /_emulator/inbox/{id}/delete`
pub async fn delete_one(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let form = form_params(&request, form)?;
    let is_deleted = inbox::delete_one(&context, &id).await;
    if !is_deleted.map_err(|failure| error_page(&request, failure.into()))? {
        return Err(error_page(&request, ControlError::NotFound(NO_SUCH_EMAIL.to_owned())));
    }
    let looked =
        Looked { search: one(&form, "q").to_owned(), to: one(&form, "to").to_owned(), ..Looked::default() };
    let query = looked.path(&context, "", 0, None);
    let query = query.split_once('?').map_or_else(String::new, |(_, query)| format!("?{query}"));
    Ok(redirect_with_flash(&context, &format!("{INBOX}{query}"), "deleted"))
}

/// `POST /_emulator/inbox/delete`
pub async fn delete_all(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    inbox::delete(&context, None).await.map_err(|failure| error_page(&request, failure.into()))?;
    Ok(redirect_with_flash(&context, INBOX, "deleted"))
}

const NO_SUCH_EMAIL: &str = "There is no such email. It may have been deleted";

async fn find(request: &HttpRequest, context: &Context, id: &str) -> Result<InboxMessage, HttpResponse> {
    let found = inbox::message(context, id).await.map_err(failed)?;
    found.ok_or_else(|| {
        let text = format!("{NO_SUCH_EMAIL}.");
        Problem::new(StatusCode::NOT_FOUND, "not_found", "Not found", text).response_for(request)
    })
}
