//! Sessions.

use actix_web::{HttpRequest, web};

use super::blocks::{Block, Cell, Form, Row, Section, Table};
use super::listing::Listing;
use super::{DashboardContext, PageResult, error_page, page, redirect_with_flash};
use crate::runtime::Context;
use crate::service::{Failure, backchannel_logout, people};

/// Notices of ended sessions shown at most.
const LOGOUT_NOTICES: i64 = 50;

/// `GET /dashboard/sessions`
pub async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let path = "/dashboard/sessions";
    let listing = Listing::of(&request);
    let mut found =
        people::sessions(&context, &listing.filter()).await.map_err(|r| error_page(&request, r))?;
    let pager = listing.pager(&context, path, &mut found);
    let mut page = page(&context, &request, path, "Sessions");
    let table = if found.is_empty() {
        listing.empty(
            "No sessions yet",
            "A session starts with a sign-in. While it is active, that browser signs in without a code.",
        )
    } else {
        let rows = found.into_iter().map(|s| Row {
            action: s.live.then(|| {
                let action = context.path(&format!("{path}/{}/end", s.id));
                Form::dangerous("Revoke", action, "The next sign-in in that browser asks for a code again.")
            }),
            cells: vec![
                Cell::text(s.email.unwrap_or_default()),
                Cell::verdict(if s.live { "active" } else { "ended" }, s.live),
                Cell::text(s.authenticated_at),
                Cell::text(s.expires_at),
                Cell::text(s.id),
            ],
        });
        Block::Table(Table {
            columns: &["User", "Status", "Signed in", "Expires", "ID", "Action"],
            rows: rows.collect(),
        })
    };
    page.sections = vec![Section::new("All", vec![listing.search(&context, path, "Email"), table, pager])];
    page.sections.extend(logout_notices(&context).await.map_err(|f| error_page(&request, f.into()))?);
    Ok(super::show(&page))
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
pub async fn end(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    people::end_session(&context, &id).await.map_err(|r| error_page(&request, r))?;
    Ok(redirect_with_flash(&context, "/dashboard/sessions", "ended"))
}
