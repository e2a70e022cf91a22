//! API tokens of an organization and of its members.

use actix_web::{HttpRequest, web};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::blocks::{Block, Cell, Fact, Form, FormState, Page, Row, Section, Table};
use super::form_reader::FormReader;
use super::listing::{Listing, PAGE_SIZE};
use super::{
    DashboardContext, PageResult, Posted, endpoint, error_page, form_params, organizations,
    redirect_with_flash, redisplay, show_refused,
};
use crate::domain::api_token::{ApiTokenChange, ApiTokenInfo};
use crate::domain::authorization::Parameters;
use crate::domain::clock::{parse_rfc3339, rfc3339};
use crate::domain::metadata::MetadataLimits;
use crate::runtime::Context;
use crate::service::api_tokens::{self, NewApiToken};
use crate::service::changes::ControlError;

const FORM: &str = "token";
const NAMES: &[&str] = &["user_id", "description", "custom_claims", "expiry"];
const CLAIM_LIMITS: MetadataLimits = MetadataLimits { pairs: 20, key: 1..=30, value: 1..=256 };

pub fn routes(config: &mut web::ServiceConfig) {
    const PAGE: &str = "/dashboard/organizations/{organization_id}/tokens";
    config
        .service(endpoint("/organizations/{organization_id}/tokens").get(list).post(create).end())
        .service(endpoint("/organizations/{organization_id}/tokens/new").get(new).end())
        .service(
            endpoint("/organizations/{organization_id}/tokens/{id}/invalidate")
                .post(invalidate)
                .shown_at(PAGE)
                .end(),
        );
}

fn path(organization_id: &str) -> String {
    format!("{}/tokens", organizations::path(organization_id))
}

/// `GET /dashboard/organizations/{organization_id}/tokens`
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
    let size = u32::try_from(PAGE_SIZE).unwrap_or_default();
    let found = api_tokens::list(context, organization_id, None, size, &listing.page_token).await;
    let found = found.map_err(|r| error_page(request, r.into()))?;
    let here = path(organization_id);
    let pager = listing.token_pager(context, &here, &found.next_page_token);
    let table = if found.records.is_empty() {
        listing.empty(
            "No API tokens",
            "An API token stands for the organization or one of its members. Your application validates it by API.",
        )
    } else {
        let rows = found.records.into_iter().map(|info| row(context, &context.path(&here), info));
        let columns = &["Token", "For", "Description", "Created", "Expires", "Action"];
        Block::Table(Table { columns, rows: rows.collect() })
    };
    let titles = ("API tokens", "tokens");
    Ok(organizations::list_page_of(context, request, &organization, titles, "New token", [table, pager]))
}

/// `GET /dashboard/organizations/{organization_id}/tokens/new`
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
    let here = path(organization_id);
    let fields = vec![
        form_state
            .text(FORM, "user_id", "User ID", "")
            .hint("A member. Leave empty for a token of the organization itself."),
        form_state.text(FORM, "description", "Description", ""),
        form_state.long(FORM, "custom_claims", "Custom claims", "").hint("JSON: up to 20 texts by name."),
        form_state
            .text(FORM, "expiry", "Expires", "")
            .hint("Such as 2030-01-31T12:00:00Z. Leave empty for never."),
    ];
    let form = Form::post("New token", context.path(&here), fields, "Create");
    let body = json!({ "organization_id": organization_id, "description": "Reports" });
    let form = form.curl_json(context, "POST", "/api/tokens", &body);
    let problem = form_state.rest(NAMES);
    organizations::form_page_of(context, request, organization_id, ("API tokens", &here), form, problem).await
}

fn row(context: &Context, path: &str, info: ApiTokenInfo) -> Row {
    let token = info.token;
    let invalidate = format!("{path}/{}/invalidate", token.id);
    let form = Form::dangerous("Invalidate", invalidate, "The token is invalid for good.");
    Row {
        action: Some(form.curl_json(
            context,
            "POST",
            "/api/tokens:invalidate",
            &json!({ "token": token.id }),
        )),
        cells: vec![
            Cell::text(format!("{} (…{})", token.id, token.suffix)),
            Cell::text(info.email.unwrap_or_else(|| "The organization".to_owned())),
            Cell::text(token.description.unwrap_or_default()),
            Cell::time(token.created_at_ms),
            Cell::time_or_never(token.expires_at_ms.map(rfc3339)),
        ],
    }
}

/// `POST /dashboard/organizations/{organization_id}/tokens`: the answer is the list, with the token's value.
async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    organization_id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match create_token(&context, &organization_id, &params).await {
        Ok(value) => {
            let mut page = list_page(&context, &request, &organization_id).await?;
            page.done = Some("Created.");
            let about = "Copy it now. It is shown this once; the server keeps only a digest.".to_owned();
            let facts = vec![Fact::code("Token", value.expose_secret())];
            page.sections
                .insert(0, Section::new("Value of the token", vec![Block::Text(about), Block::Facts(facts)]));
            Ok(super::show(page))
        }
        Err(refused) => {
            let form_state = redisplay(&request, FORM, &params, refused)?;
            Ok(show_refused(new_page(&context, &request, &organization_id, &form_state).await?))
        }
    }
}

async fn create_token(
    context: &Context,
    organization_id: &str,
    params: &Parameters,
) -> Result<SecretString, ControlError> {
    let mut reader = FormReader::new(params);
    let user_id = reader.text("user_id", 32).to_owned();
    let description = reader.text("description", 255).to_owned();
    let custom_claims = reader.texts_by_name("custom_claims", &CLAIM_LIMITS).0;
    let expiry = reader.optional("expiry", |text| {
        parse_rfc3339(text).is_none().then_some("must be a time in RFC 3339, such as 2030-01-31T12:00:00Z")
    });
    reader.finish()?;
    let new = NewApiToken {
        organization_id: organization_id.to_owned(),
        user_id: Some(user_id).filter(|id| !id.is_empty()),
        fields: ApiTokenChange { description: Some(description), custom_claims },
        expires_at_ms: parse_rfc3339(expiry),
    };
    Ok(api_tokens::create(context, new).await?.1)
}

/// `POST /dashboard/organizations/{organization_id}/tokens/{id}/invalidate`
async fn invalidate(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    ids: web::Path<(String, String)>,
) -> PageResult {
    api_tokens::invalidate(&context, &ids.1).await.map_err(|r| error_page(&request, r.into()))?;
    Ok(redirect_with_flash(&context, &path(&ids.0), "invalidated"))
}
