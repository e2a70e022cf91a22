//! Scalekit's authentication log, out of our log of sign-ins.

use super::api::ApiRefusal;
use super::flows;
use crate::domain::api_error::FieldViolation;
use crate::domain::client::ClientKind;
use crate::domain::clock::UnixMs;
use crate::domain::email::key_of;
use crate::domain::flow::FlowStatus;
use crate::runtime::Context;
use crate::storage::FlowFilter;

/// Entries of a page when nobody says how many, and at most.
const PAGE_SIZE: u32 = 50;
const MAX_PAGE_SIZE: u32 = 100;

/// What is asked for; empty texts ask for nothing.
#[derive(Debug, Clone, Default)]
pub struct ListAuthRequests {
    pub page_size: u32,
    /// Number of the page, from 1.
    pub page_token: String,
    pub email: String,
    pub status: Vec<String>,
    pub start_ms: Option<UnixMs>,
    pub end_ms: Option<UnixMs>,
    pub client_id: String,
    /// Entries of Scalekit's agent connections, of which there are none here.
    pub is_about_resources: bool,
}

/// One sign-in.
#[derive(Debug, Clone)]
pub struct Entry {
    pub auth_request_id: String,
    pub email: String,
    pub status: FlowStatus,
    pub at_ms: UnixMs,
    pub client_id: String,
    pub client_name: String,
    pub client_type: &'static str,
}

/// A page of the log; tokens are empty where there is no such page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub entries: Vec<Entry>,
    pub total: u32,
    pub next_page_token: String,
    pub prev_page_token: String,
}

pub async fn list(context: &Context, asked: ListAuthRequests) -> Result<Page, ApiRefusal> {
    let size = match asked.page_size {
        0 => PAGE_SIZE,
        size => size.min(MAX_PAGE_SIZE),
    };
    let mut violations = vec![];
    let number = match asked.page_token.as_str() {
        "" => 1,
        text => text.parse::<u32>().ok().filter(|n| *n > 0).unwrap_or_else(|| {
            let text = "page_token is invalid: it is none of next_page_token, prev_page_token";
            violations.push(FieldViolation::new("page_token", "page_token", text));
            1
        }),
    };
    let mut statuses = vec![];
    for text in &asked.status {
        match FlowStatus::parse(text) {
            Some(status) => statuses.push(status),
            None => {
                let text = "status is invalid: it is none of INITIATED, PENDING, SUCCESS, FAILED";
                violations.push(FieldViolation::new("status", "defined_only", text));
            }
        }
    }
    if !violations.is_empty() {
        return Err(violations.into());
    }
    if asked.is_about_resources {
        return Ok(Page::default());
    }
    let filter = FlowFilter {
        email_key: Some(key_of(&asked.email)).filter(|e| !e.is_empty()),
        email_part: None,
        client_id: Some(asked.client_id).filter(|c| !c.is_empty()),
        statuses,
        from_ms: asked.start_ms,
        until_ms: asked.end_ms,
        offset: i64::from(number - 1) * i64::from(size),
        limit: i64::from(size),
    };
    let (rows, total) = flows::list(context, &filter).await?;
    let seen = filter.offset + i64::try_from(rows.len()).unwrap_or_default();
    let entries = rows.into_iter().map(|row| {
        let client_id = row.client_id.clone().unwrap_or_default();
        let client = context.environment.client(&client_id);
        Entry {
            status: row.status,
            auth_request_id: row.id,
            email: row.email.unwrap_or_default(),
            at_ms: row.started_at_ms,
            client_name: client.map(|c| c.name.clone()).unwrap_or_default(),
            client_type: match client.map(|c| &c.kind) {
                Some(ClientKind::Web { .. }) => "WEB_APP",
                Some(ClientKind::Spa) => "SPA",
                Some(ClientKind::Native) => "NATIVE_APP",
                None => "",
            },
            client_id,
        }
    });
    Ok(Page {
        entries: entries.collect(),
        total: u32::try_from(total).unwrap_or(u32::MAX),
        next_page_token: if seen < total { (number + 1).to_string() } else { String::new() },
        prev_page_token: if number > 1 { (number - 1).to_string() } else { String::new() },
    })
}
