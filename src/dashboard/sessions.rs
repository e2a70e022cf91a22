//! Sessions: on which device, in which applications; and which applications were told of their end.

use actix_web::{HttpRequest, web};

use super::blocks::{Block, Cell, Fact, Form, Row, Section, Table};
use super::listing::Listing;
use super::{
    DashboardContext, PageResult, application_name, endpoint, error_page, organizations, page,
    redirect_with_flash, users,
};
use crate::domain::session::{Device, SessionRecord, SessionStatus};
use crate::runtime::Context;
use crate::service::user_agent::UserAgent;
use crate::service::user_sessions::SessionRow;
use crate::service::{Failure, backchannel_logout, user_sessions};

const HERE: &str = "/dashboard/sessions";

/// Notices of ended sessions shown at most.
const LOGOUT_NOTICES: i64 = 50;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(endpoint("/sessions").get(list).end())
        .service(endpoint("/sessions/{id}").get(show).end())
        .service(endpoint("/sessions/{id}/end").post(end).shown_at(HERE).end());
}

/// `GET /dashboard/sessions`
async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let listing = Listing::of(&request);
    let found = user_sessions::recent(&context, &listing.filter()).await;
    let mut found = found.map_err(|f| error_page(&request, f.into()))?;
    let pager = listing.pager(&context, HERE, &mut found);
    let mut page = page(&context, &request, HERE, "Sessions");
    let table = if found.is_empty() {
        listing.empty(
            "No sessions yet",
            "A session starts with a sign-in. While it is active, that browser signs in without a code.",
        )
    } else {
        let rows = found.iter().map(|(record, listed)| row(&context, record, listed));
        let columns =
            &["User", "Status", "Device", "Address", "Organization", "Applications", "Signed in", "Action"];
        Block::Table(Table { columns, rows: rows.collect() })
    };
    page.search = Some(listing.search(&context, HERE, "Email"));
    page.sections = vec![Section::new("", vec![table, pager])];
    page.sections.extend(logout_notices(&context).await.map_err(|f| error_page(&request, f.into()))?);
    Ok(super::show(page))
}

fn row(context: &Context, record: &SessionRecord, listed: &SessionRow) -> Row {
    let session = &record.session;
    let email = listed.email.as_ref().unwrap_or(&session.id);
    let organization = session.organization_id.as_deref().map_or_else(Cell::default, |id| {
        let name = listed.organization_name.as_deref().unwrap_or(id);
        Cell::link(name, context.path(&organizations::path(id)))
    });
    Row {
        action: revoke_form(context, record),
        cells: vec![
            Cell::link(email, context.path(&format!("{HERE}/{}", session.id))),
            status_cell(context, record),
            Cell::text(device_text(&record.device)),
            Cell::text(record.device.ip_address.clone().unwrap_or_default()),
            organization,
            Cell::text(applications(context, record).join(", ")),
            Cell::time(session.authenticated_at_ms),
        ],
    }
}

fn status_of(context: &Context, record: &SessionRecord) -> SessionStatus {
    record.status(context.now_ms(), &context.environment.sessions)
}

fn status_cell(context: &Context, record: &SessionRecord) -> Cell {
    let status = status_of(context, record);
    let text = match status {
        SessionStatus::Active => "active",
        SessionStatus::Expired => "expired",
        SessionStatus::Revoked => "revoked",
        SessionStatus::Logout => "signed out",
    };
    Cell::verdict(text, status == SessionStatus::Active)
}

/// Ends a session that is active.
fn revoke_form(context: &Context, record: &SessionRecord) -> Option<Form> {
    if status_of(context, record) != SessionStatus::Active {
        return None;
    }
    let id = &record.session.id;
    let asks = "The next sign-in in that browser asks for a code again.";
    let form = Form::dangerous("Revoke", context.path(&format!("{HERE}/{id}/end")), asks);
    Some(form.curl(context, "POST", &format!("/api/sessions/{id}/revoke")))
}

/// The names of the applications that got tokens in a session, the last one first.
fn applications<'a>(context: &'a Context, record: &'a SessionRecord) -> Vec<&'a str> {
    let mut names = vec![];
    for entry in &record.entries {
        let name = application_name(context, &entry.client_id);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// `Chrome 126 on Linux`, or as much of it as is known.
fn device_text(device: &Device) -> String {
    let Some(text) = device.user_agent.as_deref().filter(|text| !text.is_empty()) else {
        return "Unknown".to_owned();
    };
    let found = UserAgent::parse(text);
    // A full version says no more to users than its first number.
    let version = found.browser_version.split('.').next().unwrap_or_default();
    let browser = format!("{} {version}", found.browser);
    match (found.browser.is_empty(), found.os.is_empty()) {
        (false, false) => format!("{} on {}", browser.trim(), found.os),
        (false, true) => browser.trim().to_owned(),
        (true, false) => found.os,
        // A program's name, such as curl/8.5.0.
        (true, true) => text.chars().take(60).collect(),
    }
}

/// `GET /dashboard/sessions/{id}`
async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    let record = user_sessions::find(&context, &id).await.map_err(|r| error_page(&request, r.into()))?;
    let mut page = page(&context, &request, HERE, "Session");
    let mut links = vec![("User".to_owned(), context.path(&users::path(&record.session.user_id)))];
    links.extend(
        record
            .organization_ids()
            .into_iter()
            .map(|id| (format!("Organization {id}"), context.path(&organizations::path(id)))),
    );
    links.push(("All sessions".to_owned(), context.path(HERE)));
    page.sections = vec![Section::new("", vec![Block::Facts(facts(&context, &record)), Block::Links(links)])];
    if let Some(form) = revoke_form(&context, &record) {
        page.sections.push(Section::new("Revoke", vec![Block::Form(form)]));
    }
    Ok(super::show(page))
}

fn facts(context: &Context, record: &SessionRecord) -> Vec<Fact> {
    let (session, device) = (&record.session, &record.device);
    let settings = &context.environment.sessions;
    let mut facts = vec![
        Fact::code("ID", &session.id),
        Fact::text("Status", status_cell(context, record).text),
        Fact::text("Device", device_text(device)),
        Fact::text("Address", device.ip_address.clone().unwrap_or_default()),
        Fact::text("User-Agent", device.user_agent.clone().unwrap_or_default()),
        Fact::text("Organization", session.organization_id.as_deref().unwrap_or("None")),
        Fact::text("Applications", applications(context, record).join(", ")),
        Fact::time("Began", record.created_at_ms),
        Fact::time("Signed in", session.authenticated_at_ms),
        Fact::time("Last active", session.last_active_at_ms),
    ];
    facts.push(match session.ended_at_ms {
        Some(ended_at_ms) => Fact::time("Ended", ended_at_ms),
        None => Fact::time("Expires without use", record.idle_expires_at_ms(settings)),
    });
    facts.push(Fact::time("Expires", session.absolute_expires_at_ms));
    facts
}

/// Which applications were told of ended sessions; nothing where none wants to be told.
async fn logout_notices(context: &Context) -> Result<Option<Section>, Failure> {
    let notices = backchannel_logout::notices(context, LOGOUT_NOTICES).await?;
    if notices.is_empty() {
        return Ok(None);
    }
    let rows = notices.into_iter().map(|n| {
        Row::new(vec![
            Cell::text(n.client_id),
            Cell::verdict(n.status.as_str(), n.status == "delivered"),
            Cell::text(n.attempts.to_string()),
            Cell::text(n.last_answer.unwrap_or_default()),
            Cell::text(n.session_id),
        ])
    });
    let columns = &["Application", "Status", "Attempts", "Last response", "Session"];
    let table = Block::Table(Table { columns, rows: rows.collect() });
    Ok(Some(Section::new("Back-channel logout", vec![table])))
}

/// `POST /dashboard/sessions/{id}/end`
async fn end(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    user_sessions::revoke(&context, &id).await.map_err(|refused| error_page(&request, refused.into()))?;
    Ok(redirect_with_flash(&context, HERE, "ended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_by_what_is_known_of_it() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
        for (user_agent, text) in
            [(chrome, "Chrome 126 on Linux"), ("my-app/1.0", "my-app/1.0"), ("", "Unknown")]
        {
            let device = Device { user_agent: Some(user_agent.to_owned()), ip_address: None };
            assert_eq!(device_text(&device), text);
        }
        assert_eq!(device_text(&Device::default()), "Unknown");
        let endless = Device { user_agent: Some("x".repeat(512)), ip_address: None };
        assert_eq!(device_text(&endless).len(), 60);
    }
}
