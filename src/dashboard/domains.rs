//! Email domains of an organization.

use actix_web::{HttpRequest, web};
use serde_json::json;

use super::blocks::{Block, Cell, Form, FormState, Page, Row, Table};
use super::form_reader::FormReader;
use super::listing::Listing;
use super::{
    DashboardContext, PageResult, Posted, endpoint, error_page, form_params, organizations,
    redirect_with_flash, redisplay, show_refused,
};
use crate::domain::authorization::Parameters;
use crate::domain::organization_domain::{DomainType, OrganizationDomain};
use crate::domain::record_key::RecordKey;
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::domains;

const FORM: &str = "domain";
const TYPES: [(&str, &str); 2] = [
    ("ORGANIZATION_DOMAIN", "Organization domain: no other organization has it"),
    ("ALLOWED_EMAIL_DOMAIN", "Allowed email domain: whoever has an address there may join"),
];

/// Domains of a page.
const PAGE_SIZE: i32 = 50;

pub fn routes(config: &mut web::ServiceConfig) {
    const PAGE: &str = "/dashboard/organizations/{organization_id}/domains";
    config
        .service(endpoint("/organizations/{organization_id}/domains").get(list).post(create).end())
        .service(endpoint("/organizations/{organization_id}/domains/new").get(new).end())
        .service(
            endpoint("/organizations/{organization_id}/domains/{id}/delete")
                .post(delete)
                .shown_at(PAGE)
                .end(),
        );
}

fn path(organization_id: &str) -> String {
    format!("{}/domains", organizations::path(organization_id))
}

/// `GET /dashboard/organizations/{organization_id}/domains`
async fn list(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    organization_id: web::Path<String>,
) -> PageResult {
    Ok(super::show(list_page(&context, &request, &organization_id).await?))
}

async fn list_page(
    context: &Context,
    request: &HttpRequest,
    organization_id: &str,
) -> Result<Page, actix_web::Error> {
    let organization =
        organizations::find(context, organization_id).await.map_err(|r| error_page(request, r))?;
    let listing = Listing::of(request);
    let number: i32 = listing.page_token.parse().unwrap_or_default();
    let key = RecordKey::Id(organization_id.to_owned());
    let found = domains::list(context, &key, None, Some(PAGE_SIZE), Some(number)).await;
    let found = found.map_err(|r| error_page(request, r.into()))?.domains;
    let path = path(organization_id);
    let is_full = i32::try_from(found.len()).is_ok_and(|count| count == PAGE_SIZE);
    let next = if is_full { number.saturating_add(1).to_string() } else { String::new() };
    let pager = listing.token_pager(context, &path, &next);
    let table = if found.is_empty() {
        listing
            .empty("No domains yet", "Add a domain to say whose email addresses belong to the organization.")
    } else {
        let rows = found.into_iter().map(|domain| row(context, &context.path(&path), domain));
        Block::Table(Table { columns: &["Domain", "Type", "ID", "Added", "Action"], rows: rows.collect() })
    };
    let titles = ("Domains", "domains");
    Ok(organizations::list_page_of(context, request, &organization, titles, "New domain", [table, pager]))
}

/// `GET /dashboard/organizations/{organization_id}/domains/new`
async fn new(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    organization_id: web::Path<String>,
) -> PageResult {
    Ok(super::show(new_page(&context, &request, &organization_id, &FormState::default()).await?))
}

async fn new_page(
    context: &Context,
    request: &HttpRequest,
    organization_id: &str,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let path = path(organization_id);
    let fields = vec![
        form_state.text(FORM, "domain", "Domain", "").hint("Such as acme.com."),
        form_state.choice(FORM, "domain_type", "Type", DomainType::default().as_str(), &TYPES),
    ];
    let api = format!("/api/organizations/{organization_id}/domains");
    let form = Form::post("New domain", context.path(&path), fields, "Add");
    let form = form.curl_json(context, "POST", &api, &json!({ "domain": "acme.com" }));
    let problem = form_state.rest(&["domain", "domain_type"]);
    organizations::form_page_of(context, request, organization_id, ("Domains", &path), form, problem).await
}

fn row(context: &Context, path: &str, domain: OrganizationDomain) -> Row {
    let domain_type = match domain.domain_type {
        DomainType::OrganizationDomain => "Organization domain",
        DomainType::AllowedEmailDomain => "Allowed email domain",
    };
    let delete = format!("{path}/{}/delete", domain.id);
    let asks = "Members stay members. Nobody joins by this domain any more.";
    let api = format!("/api/organizations/{}/domains/{}", domain.organization_id, domain.id);
    let form = Form::dangerous("Delete", delete, asks).curl(context, "DELETE", &api);
    Row {
        action: Some(form),
        cells: vec![
            Cell::text(domain.name.as_str()),
            Cell::text(domain_type),
            Cell::code(domain.id),
            Cell::time(domain.created_at_ms),
        ],
    }
}

/// `POST /dashboard/organizations/{organization_id}/domains`
async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    organization_id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match add(&context, &organization_id, &params).await {
        Ok(()) => Ok(redirect_with_flash(&context, &path(&organization_id), "created")),
        Err(refused) => {
            let form_state = redisplay(&request, FORM, &params, refused)?;
            Ok(show_refused(new_page(&context, &request, &organization_id, &form_state).await?))
        }
    }
}

async fn add(context: &Context, organization_id: &str, params: &Parameters) -> Result<(), ControlError> {
    let mut reader = FormReader::new(params);
    let name = reader.required("domain", 255);
    let domain_type = DomainType::parse(reader.text("domain_type", 50));
    if domain_type.is_none() {
        reader.refuse("domain_type", "is no type of a domain");
    }
    reader.finish()?;
    let key = RecordKey::Id(organization_id.to_owned());
    domains::create(context, &key, name, domain_type.unwrap_or_default()).await?;
    Ok(())
}

/// `POST /dashboard/organizations/{organization_id}/domains/{id}/delete`
async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    ids: web::Path<(String, String)>,
) -> PageResult {
    let (organization_id, id) = ids.into_inner();
    let deleted = domains::delete(&context, &RecordKey::Id(organization_id.clone()), &id).await;
    deleted.map_err(|r| error_page(&request, r.into()))?;
    Ok(redirect_with_flash(&context, &path(&organization_id), "deleted"))
}
