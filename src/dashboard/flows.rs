//! Sign-ins with their timelines, and what another browser would see of a link.

use actix_web::{HttpRequest, web};
use serde_json::Value;

use super::blocks::{Block, Cell, Fact, Form, FormState, Moment, Row, Section, Table};
use super::listing::status_filter;
use super::{DashboardContext, PageResult, application_name, error_page, one, page};
use crate::domain::auth_request::LinkOutcome;
use crate::domain::clock::{UnixMs, rfc3339};
use crate::domain::flow::FlowStatus;
use crate::domain::sign_in_event::Verdict;
use crate::http::event_text::{seconds, text_of};
use crate::http::params;
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::flows::{FlowFilter, FlowRow, LoggedStep};
use crate::service::passwordless::{PasswordlessError, preview_link};
use crate::service::sessions::Browser;
use crate::service::{flows, inbox};

const PAGE_SIZE: i64 = 50;

/// `GET /dashboard/flows`
pub async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let query = params::query(&request).unwrap_or_default();
    let [email, status, client_id] =
        ["email", "status", "client_id"].map(|name| one(&query, name).trim().to_owned());
    let offset = one(&query, "from").parse().unwrap_or(0).max(0);
    let filter = FlowFilter {
        email_part: Some(email.clone()).filter(|e| !e.is_empty()),
        client_id: Some(client_id.clone()).filter(|id| !id.is_empty()),
        statuses: status_filter(&request, &status, FlowStatus::parse)?.into_iter().collect(),
        offset,
        limit: PAGE_SIZE,
        ..FlowFilter::default()
    };
    let (found, total) = flows::list(&context, &filter).await.map_err(|f| error_page(&request, f.into()))?;
    let mut page = page(&context, &request, "/dashboard/flows", "Sign-ins");
    page.lead = Some("Every sign-in, and every token request that was refused, with the reason.".to_owned());
    page.is_live = offset == 0;
    let form_state = FormState::default();
    let mut statuses = vec![("", "Any")];
    statuses.extend(FlowStatus::ALL.map(|status| (status.as_str(), outcome_of(status))));
    let fields = vec![
        form_state.search("filter", "email", "Email", email.as_str()),
        form_state.search("filter", "client_id", "Client ID", client_id.as_str()),
        form_state.choice("filter", "status", "Outcome", &status, &statuses),
    ];
    let form = Form::get("Filter", context.path("/dashboard/flows"), fields, "Show");
    let seen = offset + i64::try_from(found.len()).unwrap_or_default();
    let next = (seen < total).then(|| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("email", &email)
            .append_pair("client_id", &client_id)
            .append_pair("status", &status)
            .append_pair("from", &seen.to_string())
            .finish();
        context.path(&format!("/dashboard/flows?{query}"))
    });
    page.sections = vec![Section::new("", vec![Block::Form(form)])];
    if found.is_empty() {
        page.sections.push(Section::new("", vec![nothing(total, &email, &client_id, &status)]));
    }
    for day in found.chunk_by(|one, next| day_of(one.started_at_ms) == day_of(next.started_at_ms)) {
        let rows = day.iter().map(|row| listed(&context, row)).collect();
        let columns = &["User", "Application", "Outcome", "Why", "Started", "Took"];
        let title = day_of(day[0].started_at_ms);
        page.sections.push(Section::new(&title, vec![Block::Table(Table { columns, rows })]));
    }
    page.sections.push(Section::new("", vec![Block::Pager { next }]));
    Ok(super::show(page))
}

/// What stands where no sign-in is.
fn nothing(total: i64, email: &str, client_id: &str, status: &str) -> Block {
    let is_filtered = total > 0 || ![email, client_id, status].iter().all(|filter| filter.is_empty());
    let (title, text) = if is_filtered {
        ("No results", "No sign-in matches. Clear the filter to see all of them.")
    } else {
        ("No sign-ins yet", "Sign in from your application to see each step here.")
    };
    Block::Empty { title: title.to_owned(), text: text.to_owned() }
}

/// The day of a time, in UTC.
fn day_of(ms: UnixMs) -> String {
    rfc3339(ms).chars().take(10).collect()
}

fn listed(context: &Context, row: &FlowRow) -> Row {
    let who = row.email.clone().unwrap_or_else(|| "No email yet".to_owned());
    Row::new(vec![
        Cell::link(who, context.path(&format!("/dashboard/flows/{}", row.id))),
        Cell::text(application_name(context, row.client_id.as_deref().unwrap_or_default())),
        Cell { tone: tone_of(row.status), ..Cell::text(outcome_of(row.status)) },
        Cell::text(text_of(&row.last_event)),
        Cell::time(row.started_at_ms),
        Cell::text(seconds(row.changed_at_ms - row.started_at_ms)),
    ])
}

/// A status in words.
fn outcome_of(status: FlowStatus) -> &'static str {
    match status {
        FlowStatus::Initiated => "Started",
        FlowStatus::Pending => "Email sent",
        FlowStatus::Success => "Signed in",
        FlowStatus::Failed => "Failed",
    }
}

pub(super) fn tone_of(status: FlowStatus) -> &'static str {
    match status {
        FlowStatus::Success => "fine",
        FlowStatus::Failed => "wrong",
        FlowStatus::Initiated | FlowStatus::Pending => "",
    }
}

/// `GET /dashboard/flows/{id}`
pub async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    let found = flows::show(&context, &id).await.map_err(|f| error_page(&request, f.into()))?;
    let unknown = || {
        error_page(
            &request,
            ControlError::NotFound("There is no such sign-in. It may have been deleted".to_owned()),
        )
    };
    let (row, steps) = found.ok_or_else(unknown)?;
    let title = row.email.clone().unwrap_or_else(|| "Sign-in".to_owned());
    let mut page = page(&context, &request, "/dashboard/flows", &title);
    let timeline = timeline(&row, steps);
    let facts = vec![
        Fact::text("Outcome", outcome_of(row.status)),
        Fact::text("Why", text_of(&row.last_event)),
        Fact::time("Started", row.started_at_ms),
        Fact::text("Took", seconds(row.changed_at_ms - row.started_at_ms)),
        Fact::text("Application", row.client_id.unwrap_or_default()),
        Fact::code("ID", row.id),
    ];
    page.is_live = true;
    page.back = Some(("Sign-ins".to_owned(), context.path("/dashboard/flows")));
    page.sections =
        vec![Section::new("", vec![Block::Facts(facts)]), Section::new("Timeline", vec![timeline])];
    Ok(super::show(page))
}

/// The steps of a sign-in, of which one decided it.
pub(super) fn timeline(row: &FlowRow, steps: Vec<LoggedStep>) -> Block {
    let moments = steps.into_iter().map(|logged| Moment {
        at: rfc3339(logged.at_ms),
        offset: Some(format!("+{}", seconds(logged.at_ms - row.started_at_ms))),
        is_decisive: row.status.is_final() && logged.event == row.last_event,
        tone: match logged.event.verdict() {
            Verdict::Ok => "fine",
            Verdict::Refused | Verdict::Failed => "wrong",
            Verdict::Note => "",
        },
        name: logged.event.subject().to_owned(),
        text: text_of(&logged.event),
        facts: logged.event.into_parts().1.into_iter().map(|(name, value)| (name, plain(&value))).collect(),
    });
    Block::Timeline(moments.collect())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `GET /dashboard/inbox/{id}/other-browser`: what a browser that did not begin the sign-in would see of an email's link.
/// Nothing is used up.
pub async fn other_browser(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    let found = inbox::message(&context, &id).await.map_err(|f| error_page(&request, f.into()))?;
    let (auth_request_id, link) =
        found.and_then(|m| Some((m.auth_request_id, m.link?))).ok_or_else(|| {
            error_page(
                &request,
                ControlError::NotFound("There is no such email, or it has no link".to_owned()),
            )
        })?;
    let token = link.rsplit('=').next().unwrap_or_default();
    let text = match preview_link(&context, &Browser::default(), token).await {
        Ok(preview) => match preview.outcome {
            LinkOutcome::Accepted => "It would sign in: same-browser enforcement is off.",
            LinkOutcome::WrongBrowser => {
                "It would be refused: same-browser enforcement is on. The link still works in the browser that started the sign-in."
            }
            LinkOutcome::Expired => "It would be refused: the link has expired.",
            LinkOutcome::Closed(_) => "It would be refused: the sign-in has ended.",
        },
        Err(PasswordlessError::Failure(failure)) => return Err(error_page(&request, failure.into())),
        Err(_) => {
            "It would be refused: a newer email replaced the link, or it leads to the application's own page."
        }
    };
    let mut page = page(&context, &request, "/_emulator/inbox", "The link, opened in another browser");
    page.lead = Some(text.to_owned());
    let link_to = |name: &str, path: String| (name.to_owned(), context.path(&path));
    let mut links = vec![link_to("Back to the email", format!("/_emulator/inbox/{id}"))];
    // Emails of other programs belong to no sign-in.
    if !auth_request_id.is_empty() {
        links.push(link_to("Timeline of this sign-in", format!("/dashboard/flows/{auth_request_id}")));
    }
    page.sections = vec![Section::new("", vec![Block::Links(links)])];
    Ok(super::show(page))
}
