//! Permissions: what roles let their members do.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::blocks::{Block, Cell, Fact, Form, FormState, Page, Row, Section, Table};
use super::form_reader::FormReader;
use super::listing::Listing;
use super::{
    DashboardContext, PageResult, Posted, endpoint, error_page, form_page, form_params, page,
    redirect_with_flash, redisplay, show_again, show_refused,
};
use crate::domain::permission::{Permission, bad_description, bad_name};
use crate::http::path_segment;
use crate::runtime::Context;
use crate::service::permissions;

const HERE: &str = "/dashboard/permissions";
const FORM: &str = "permission";
const NAMES: &[&str] = &["name", "description"];

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(endpoint("/permissions").get(list).post(create).end())
        // Not below the list: a permission may be called `new`.
        .service(endpoint("/new-permission").get(new).end())
        .service(endpoint("/permissions/{name}").get(show).post(save).end())
        .service(
            endpoint("/permissions/{name}/delete")
                .post(delete)
                .shown_at("/dashboard/permissions/{name}")
                .end(),
        );
}

fn path(name: &str) -> String {
    format!("{HERE}/{}", path_segment(name))
}

/// `GET /dashboard/permissions`
async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let (context, request) = (&context, &request);
    let all = permissions::all(context).await.map_err(|f| error_page(request, f.into()))?;
    let listing = Listing::of(request);
    let mut found = listing.of_all(all.into_iter().rev(), |permission| {
        format!("{} {}", permission.name, permission.description)
    });
    let pager = listing.pager(context, HERE, &mut found);
    let table = if found.is_empty() {
        listing.empty("No permissions yet", "Give a permission to roles, and read it in access tokens.")
    } else {
        let rows = found.into_iter().map(|permission| {
            Row::new(vec![
                Cell::link(&permission.name, context.path(&path(&permission.name))),
                Cell::text(whose(&permission)),
                Cell::text(permission.description),
            ])
        });
        Block::Table(Table { columns: &["Name", "Of", "Description"], rows: rows.collect() })
    };
    let mut page = page(context, request, HERE, "Permissions");
    page.search = Some(listing.search(context, HERE, "Name or description"));
    page.new = Some(("New permission", context.path("/dashboard/new-permission")));
    page.sections = vec![Section::new("", vec![table, pager])];
    Ok(super::show(page))
}

/// `GET /dashboard/new-permission`
async fn new(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(new_page(&context, &request, &FormState::default()))
}

fn new_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let fields = vec![
        form_state.text(FORM, "name", "Name", "").hint("Such as read:documents."),
        form_state.text(FORM, "description", "Description", ""),
    ];
    let form = Form::post("New permission", context.path(HERE), fields, "Create");
    let body = json!({ "name": "read:documents", "description": "Read documents" });
    let form = form.curl_json(context, "POST", "/api/permissions", &body);
    let mut page = form_page(context, request, HERE, ("Permissions", HERE), form);
    page.problem = form_state.rest(NAMES);
    page
}

fn whose(permission: &Permission) -> &'static str {
    if permission.is_scalekit() { "Scalekit" } else { "environment" }
}

/// `POST /dashboard/permissions`
async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let created = async {
        let mut reader = FormReader::new(&params);
        let name = reader.checked("name", bad_name);
        let description = reader.checked("description", bad_description);
        reader.finish()?;
        Ok(permissions::create(&context, name, description).await?)
    };
    match created.await {
        Ok(made) => Ok(redirect_with_flash(&context, &path(&made.name), "created")),
        Err(refused) => show_again(&request, (FORM, &params), refused, |form_state| {
            new_page(&context, &request, form_state)
        }),
    }
}

/// `GET /dashboard/permissions/{name}`
async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    name: web::Path<String>,
) -> PageResult {
    Ok(super::show(permission_page(&context, &request, &name, &FormState::default()).await?))
}

async fn permission_page(
    context: &Context,
    request: &HttpRequest,
    name: &str,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let permission = permissions::find(context, name).await.map_err(|r| error_page(request, r.into()))?;
    let mut page = page(context, request, HERE, &permission.name);
    page.back = Some(("Permissions".to_owned(), context.path(HERE)));
    page.problem = form_state.rest(NAMES);
    let facts = vec![
        Fact::code("Name", &permission.name),
        Fact::code("ID", &permission.id),
        Fact::text("Of", whose(&permission)),
        Fact::time("Created", permission.created_at_ms),
        Fact::time("Changed", permission.updated_at_ms),
    ];
    let links = vec![("All permissions".to_owned(), context.path(HERE))];
    let mut blocks = vec![Block::Facts(facts), Block::Links(links)];
    if permission.is_scalekit() {
        blocks.push(Block::Text(format!("{}. Nobody changes or deletes it.", permission.description)));
        page.sections = vec![Section::new("", blocks)];
        return Ok(page);
    }
    let here = context.path(&path(name));
    let field = form_state.text(FORM, "description", "Description", &permission.description);
    let delete = Form::dangerous(
        "Delete this permission",
        format!("{here}/delete"),
        "All roles lose it, and access tokens with their next refresh.",
    );
    let api = format!("/api/permissions/{name}");
    let delete = delete.curl(context, "DELETE", &api);
    let body = json!({ "name": permission.name, "description": permission.description });
    let form = Form::post("Permission", here, vec![field], "Save").curl_json(context, "PUT", &api, &body);
    page.sections = vec![
        Section::new("", blocks),
        Section::new("Permission", vec![Block::Form(form)]),
        Section::new("Delete", vec![Block::Form(delete)]),
    ];
    Ok(page)
}

/// `POST /dashboard/permissions/{name}`
async fn save(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    name: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let saved = async {
        let mut reader = FormReader::new(&params);
        let description = reader.checked("description", bad_description);
        reader.finish()?;
        Ok(permissions::update(&context, &name, &name, description).await?)
    };
    match saved.await {
        Ok(_) => Ok(redirect_with_flash(&context, &path(&name), "saved")),
        Err(refused) => {
            let form_state = redisplay(&request, FORM, &params, refused)?;
            Ok(show_refused(permission_page(&context, &request, &name, &form_state).await?))
        }
    }
}

/// `POST /dashboard/permissions/{name}/delete`
async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    name: web::Path<String>,
) -> PageResult {
    permissions::delete(&context, &name).await.map_err(|r| error_page(&request, r.into()))?;
    Ok(redirect_with_flash(&context, HERE, "deleted"))
}
