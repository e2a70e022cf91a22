//! Organizations.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde_json::json;

use super::blocks::{Block, Cell, Form, FormState, Page, Row, Section, Table};
use super::listing::Listing;
use super::{
    DashboardContext, PageResult, Posted, error_page, form_params, one, page, redirect_with_flash, redisplay,
    show_with,
};
use crate::runtime::Context;
use crate::service::people;

const ORGANIZATION: &str = "organization";

/// `GET /dashboard/organizations`
pub async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    Ok(super::show(&list_page(&context, &request, &FormState::default()).await?))
}

async fn list_page(
    context: &Context,
    request: &HttpRequest,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let path = "/dashboard/organizations";
    let listing = Listing::of(request);
    let mut found =
        people::organizations(context, &listing.filter()).await.map_err(|r| error_page(request, r))?;
    let pager = listing.pager(context, path, &mut found);
    let mut page = page(context, request, path, "Organizations");
    let table = if found.is_empty() {
        listing.empty("No organizations yet", "An organization is a customer of your application. With full-stack tokens, every sign-up creates one.")
    } else {
        let rows = found.into_iter().map(|o| Row {
            action: Some(Form::dangerous(
                "Delete",
                context.path(&format!("{path}/{}/delete", o.id)),
                "Its members are kept.",
            )),
            cells: vec![
                Cell::text(o.display_name),
                Cell::text(o.id),
                Cell::text(o.external_id.unwrap_or_default()),
                Cell::text(o.members.to_string()),
            ],
        });
        Block::Table(Table {
            columns: &["Name", "ID", "External ID", "Members", "Action"],
            rows: rows.collect(),
        })
    };
    let fields = vec![
        form_state.text(ORGANIZATION, "display_name", "Name", ""),
        form_state
            .text(ORGANIZATION, "external_id", "External ID", "")
            .hint("Your own ID, in tokens as xoid."),
    ];
    page.problem = form_state.rest(&["display_name", "external_id"]);
    let form = Form::post("New organization", context.path(path), fields, "Create");
    page.sections = vec![
        Section::new("All", vec![listing.search(context, path, "Name or external ID"), table, pager]),
        Section::new("New organization", vec![Block::Form(form)]),
    ];
    Ok(page)
}

/// `POST /dashboard/organizations`
pub async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let external_id = one(&params, "external_id");
    let mut fields = json!({ "display_name": one(&params, "display_name") });
    if !external_id.is_empty() {
        fields["external_id"] = external_id.into();
    }
    match people::create_organization(&context, fields).await {
        Ok(_) => Ok(redirect_with_flash(&context, "/dashboard/organizations", "created")),
        Err(refused) => {
            let form_state = redisplay(&request, ORGANIZATION, &params, refused)?;
            Ok(show_with(StatusCode::BAD_REQUEST, &list_page(&context, &request, &form_state).await?))
        }
    }
}

/// `POST /dashboard/organizations/{id}/delete`
pub async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    people::delete_organization(&context, &id).await.map_err(|r| error_page(&request, r))?;
    Ok(redirect_with_flash(&context, "/dashboard/organizations", "deleted"))
}
