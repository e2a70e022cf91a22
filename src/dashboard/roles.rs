//! Roles: of the environment, and of single organizations. Both have the same pages.

use actix_web::{HttpRequest, web};
use serde::Deserialize;
use serde_json::json;

use super::blocks::{Block, Cell, Fact, Field, Form, FormState, Page, Row, Section, Table};
use super::form_reader::FormReader;
use super::listing::Listing;
use super::{
    DashboardContext, PageResult, Posted, endpoint, error_page, form_page, form_params, organizations, page,
    redirect_with_flash, redisplay, show_refused,
};
use crate::domain::authorization::Parameters;
use crate::domain::permission::bad_description;
use crate::domain::role::{Role, bad_display_name, bad_name};
use crate::domain::role_catalog::RoleCatalog;
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::roles::{self, FoundRole, RoleFields};

const ENVIRONMENT: &str = "/dashboard/roles";

const ROLE: &str = "role";
const DEFAULTS: &str = "defaults";
const DELETE: &str = "delete";

/// Fields of the forms.
const NAMES: &[&str] = &[
    "name",
    "display_name",
    "description",
    "extends",
    "permissions",
    "creator",
    "member",
    "reassign_role_name",
];

/// Whose role, and which one.
#[derive(Deserialize)]
struct RolePath {
    /// `None`: the environment's.
    organization_id: Option<String>,
    /// Empty: all of them.
    #[serde(default)]
    name: String,
}

impl RolePath {
    fn owner(&self) -> Option<&str> {
        self.organization_id.as_deref()
    }

    /// Where the list is.
    fn list(&self) -> String {
        self.owner().map_or_else(|| ENVIRONMENT.to_owned(), |id| format!("{}/roles", organizations::path(id)))
    }

    /// Where a new one is made.
    fn to_create(&self) -> String {
        self.owner().map_or("/dashboard".to_owned(), organizations::path) + "/new-role"
    }

    /// Where the page of the role is.
    fn role(&self) -> String {
        format!("{}/{}", self.list(), self.name)
    }

    /// Where Scalekit's API has the list.
    fn api(&self) -> String {
        self.owner().map_or("/api/roles".to_owned(), |id| format!("/api/organizations/{id}/roles"))
    }

    /// The entry of the navigation.
    fn current(&self) -> &'static str {
        if self.owner().is_some() { organizations::HERE } else { ENVIRONMENT }
    }
}

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(endpoint("/roles").get(list).post(create).end())
        // Not below the list: a role may be called `new`.
        .service(endpoint("/new-role").get(new).end())
        .service(endpoint("/organizations/{organization_id}/new-role").get(new).end())
        .service(endpoint("/default-roles").post(set_defaults).shown_at(ENVIRONMENT).end())
        .service(endpoint("/roles/{name}").get(show).post(save).end())
        .service(endpoint("/roles/{name}/delete").post(delete).shown_at("/dashboard/roles/{name}").end())
        .service(endpoint("/organizations/{organization_id}/roles").get(list).post(create).end())
        .service(
            endpoint("/organizations/{organization_id}/default-roles")
                .post(set_defaults)
                .shown_at("/dashboard/organizations/{organization_id}/roles")
                .end(),
        )
        .service(endpoint("/organizations/{organization_id}/roles/{name}").get(show).post(save).end())
        .service(
            endpoint("/organizations/{organization_id}/roles/{name}/delete")
                .post(delete)
                .shown_at("/dashboard/organizations/{organization_id}/roles/{name}")
                .end(),
        );
}

/// `GET …/roles`
async fn list(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    path: web::Path<RolePath>,
) -> PageResult {
    Ok(super::show(list_page(&context, &request, &path, &FormState::default()).await?))
}

async fn list_page(
    context: &Context,
    request: &HttpRequest,
    path: &RolePath,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let catalog = roles::list(context, path.owner()).await.map_err(|r| error_page(request, r.into()))?;
    let listing = Listing::of(request);
    let text = |role: &&Role| format!("{} {} {}", role.name, role.display_name, role.description);
    let mut found = listing.of_all(catalog.roles(), text);
    let pager = listing.pager(context, &path.list(), &mut found);
    let table = if found.is_empty() {
        listing.empty("No roles yet", "A role says what the members who have it may do.")
    } else {
        let rows = found.into_iter().map(|role| row(context, &catalog, role));
        let columns = &["Name", "Display name", "Of", "Extends", "Permissions", "Default"];
        Block::Table(Table { columns, rows: rows.collect() })
    };
    let mut page = page(context, request, path.current(), "Roles");
    page.problem = form_state.rest(NAMES);
    let mut blocks = vec![];
    if let Some(id) = path.owner() {
        let organization = organizations::find(context, id).await.map_err(|r| error_page(request, r))?;
        blocks.push(organizations::tabs(context, &organization, "roles"));
    }
    blocks.extend([table, pager]);
    page.search = Some(listing.search(context, &path.list(), "Name"));
    page.new = Some(("New role", context.path(&path.to_create())));
    page.sections = vec![
        Section::new("", blocks),
        Section::new("Defaults", vec![Block::Form(defaults_form(context, form_state, path, &catalog))]),
    ];
    Ok(page)
}

/// `GET …/new-role`
async fn new(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    path: web::Path<RolePath>,
) -> PageResult {
    Ok(super::show(new_page(&context, &request, &path, &FormState::default()).await?))
}

async fn new_page(
    context: &Context,
    request: &HttpRequest,
    path: &RolePath,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let catalog = roles::list(context, path.owner()).await.map_err(|r| error_page(request, r.into()))?;
    let mut fields =
        vec![form_state.text(ROLE, "name", "Name", "").hint("In tokens, such as project_manager.")];
    fields.extend(role_fields(form_state, &catalog, None));
    let form = Form::post("New role", context.path(&path.list()), fields, "Create");
    let body = json!({ "name": "editor", "display_name": "Editor", "permissions": [] });
    let form = form.curl_json(context, "POST", &path.api(), &body);
    let mut page = form_page(context, request, path.current(), ("Roles", &path.list()), form);
    page.problem = form_state.rest(NAMES);
    Ok(page)
}

fn row(context: &Context, catalog: &RoleCatalog, role: &Role) -> Row {
    let of = role.organization_id.as_ref().map_or("environment", |_| "organization");
    let path = RolePath { organization_id: role.organization_id.clone(), name: role.name.clone() };
    let is_organization_default = catalog.organization_default_id() == Some(role.id.as_str());
    let defaults = [
        (role.is_default_creator, "creator"),
        (role.is_default_member, "member"),
        (is_organization_default, "member, here"),
    ];
    let defaults: Vec<&str> =
        defaults.into_iter().filter_map(|(is_so, name)| is_so.then_some(name)).collect();
    Row::new(vec![
        Cell::link(&role.name, context.path(&path.role())),
        Cell::text(&role.display_name),
        Cell::text(of),
        Cell::text(catalog.base(role).map(|base| base.name.clone()).unwrap_or_default()),
        Cell::text(catalog.permissions(role).len().to_string()),
        Cell::text(defaults.join(", ")),
    ])
}

/// Roles as the choices of a field.
fn choices<'r>(roles: impl IntoIterator<Item = &'r Role>) -> Vec<(String, String)> {
    roles.into_iter().map(|role| (role.name.clone(), role.display_name.clone())).collect()
}

/// The form of the defaults: the environment has one for creators too.
fn defaults_form(context: &Context, form_state: &FormState, path: &RolePath, catalog: &RoleCatalog) -> Form {
    let name = |role: Option<&Role>| role.map(|role| role.name.clone()).unwrap_or_default();
    let of_environment = catalog.roles().iter().find(|role| role.is_default_member);
    let (mut fields, mut members) = (vec![], choices(catalog.roles()));
    let member = if path.owner().is_none() {
        let creator = name(catalog.default_creator());
        let label = "Who creates an organization gets";
        fields.push(form_state.choice_of(DEFAULTS, "creator", label, &creator, members.clone()));
        name(of_environment)
    } else if catalog.organization_default_id().is_none() {
        let text = format!("As in the environment: {}", name(of_environment));
        members.insert(0, (String::new(), text));
        String::new()
    } else {
        name(catalog.default_member())
    };
    fields.push(form_state.choice_of(DEFAULTS, "member", "New members get", &member, members));
    let action = match path.owner() {
        None => context.path("/dashboard/default-roles"),
        Some(id) => context.path(&format!("{}/default-roles", organizations::path(id))),
    };
    let form = Form::post("Defaults", action, fields, "Save defaults");
    let mut body = json!({ "default_member_role": name(catalog.default_member()) });
    if path.owner().is_none() {
        body["default_creator_role"] = name(catalog.default_creator()).into();
    }
    form.curl_json(context, "PATCH", &format!("{}:set_defaults", path.api()), &body)
}

/// What can be changed about a role.
fn role_fields(form_state: &FormState, catalog: &RoleCatalog, role: Option<&Role>) -> Vec<Field> {
    let others = catalog.roles().iter().filter(|other| role.is_none_or(|role| role.id != other.id));
    let mut bases = choices(others);
    bases.insert(0, (String::new(), "No role".to_owned()));
    let base = role.and_then(|role| catalog.base(role)).map(|base| base.name.as_str()).unwrap_or_default();
    let permissions = role.map(|role| role.permissions.iter().map(|p| p.name.as_str()).collect::<Vec<_>>());
    let text = |text: fn(&Role) -> &str| role.map(text).unwrap_or_default();
    vec![
        form_state.text(ROLE, "display_name", "Display name", text(|role| &role.display_name)),
        form_state.text(ROLE, "description", "Description", text(|role| &role.description)),
        form_state
            .choice_of(ROLE, "extends", "Extends", base, bases)
            .hint("Members have the permissions of that role too."),
        form_state
            .long(ROLE, "permissions", "Permissions", permissions.unwrap_or_default().join("\n"))
            .hint("Names, one per line."),
    ]
}

fn read_fields(reader: &mut FormReader<'_>) -> RoleFields {
    let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    RoleFields {
        display_name: Some(reader.checked("display_name", bad_display_name).to_owned()),
        description: Some(reader.checked("description", bad_description).to_owned()),
        extends: filled(reader.text("extends", 100)),
        permissions: Some(reader.lines("permissions")),
    }
}

/// `POST …/roles`
async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    path: web::Path<RolePath>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let created = async {
        let mut reader = FormReader::new(&params);
        let name = reader.checked("name", bad_name);
        let fields = read_fields(&mut reader);
        reader.finish()?;
        Ok(roles::create(&context, path.owner(), name, &fields).await?)
    };
    match created.await {
        Ok(made) => {
            let path = RolePath { name: made.role.name, organization_id: path.organization_id.clone() };
            Ok(redirect_with_flash(&context, &path.role(), "created"))
        }
        Err(refused) => {
            let form_state = redisplay(&request, ROLE, &params, refused)?;
            Ok(show_refused(new_page(&context, &request, &path, &form_state).await?))
        }
    }
}

/// `POST …/default-roles`
async fn set_defaults(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    path: web::Path<RolePath>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match choose_defaults(&context, path.owner(), &params).await {
        Ok(()) => Ok(redirect_with_flash(&context, &path.list(), "saved")),
        Err(refused) => {
            let form_state = redisplay(&request, DEFAULTS, &params, refused)?;
            Ok(show_refused(list_page(&context, &request, &path, &form_state).await?))
        }
    }
}

async fn choose_defaults(
    context: &Context,
    owner: Option<&str>,
    params: &Parameters,
) -> Result<(), ControlError> {
    let mut reader = FormReader::new(params);
    let (creator, member) = (reader.text("creator", 100), reader.text("member", 100));
    reader.finish()?;
    let chosen = |name: &'_ str| !name.is_empty();
    match owner {
        None => {
            let (creator, member) = (Some(creator).filter(|n| chosen(n)), Some(member).filter(|n| chosen(n)));
            roles::set_defaults(context, creator, member).await?;
        }
        Some(id) if chosen(member) => {
            roles::set_organization_default(context, id, member).await?;
        }
        Some(_) => {}
    }
    Ok(())
}

/// A role that can be changed at this path: an organization's page shows none of the environment's.
async fn find(context: &Context, path: &RolePath) -> Result<FoundRole, ControlError> {
    let found = roles::find(context, path.owner(), &path.name).await?;
    if found.role.organization_id == path.organization_id {
        return Ok(found);
    }
    Err(ControlError::NotFound(format!("{} is a role of the environment", path.name)))
}

/// `GET …/roles/{name}`
async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    path: web::Path<RolePath>,
) -> PageResult {
    Ok(super::show(role_page(&context, &request, &path, &FormState::default()).await?))
}

async fn role_page(
    context: &Context,
    request: &HttpRequest,
    path: &RolePath,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let FoundRole { role, catalog } = find(context, path).await.map_err(|r| error_page(request, r))?;
    let users = roles::count_users(context, path.owner(), &path.name).await;
    let users = users.map_err(|r| error_page(request, r.into()))?;
    let mut page = page(context, request, path.current(), &role.display_name);
    page.problem = form_state.rest(NAMES);
    let facts = vec![
        Fact::code("Name", &role.name),
        Fact::code("ID", &role.id),
        Fact::text("Users", users.to_string()),
        Fact::text("Roles that extend it", role.dependents.to_string()),
        Fact::time("Created", role.created_at_ms),
        Fact::time("Changed", role.updated_at_ms),
    ];
    let here = context.path(&path.role());
    let links = vec![("All roles".to_owned(), context.path(&path.list()))];
    let api = format!("{}/{}", path.api(), role.name);
    let form = Form::post("Role", here.clone(), role_fields(form_state, &catalog, Some(&role)), "Save");
    let mut saved = json!({
        "display_name": role.display_name,
        "permissions": role.permissions.iter().map(|permission| &permission.name).collect::<Vec<_>>(),
    });
    if let Some(base) = catalog.base(&role) {
        saved["extends"] = base.name.as_str().into();
    }
    if !role.description.is_empty() {
        saved["description"] = role.description.as_str().into();
    }
    let form = form.curl_json(context, "PUT", &api, &saved);
    let mut heirs = choices(catalog.roles().iter().filter(|other| other.id != role.id));
    heirs.insert(0, (String::new(), "No role: delete it only if nobody has it".to_owned()));
    let heir = form_state.choice_of(DELETE, "reassign_role_name", "Its members get", "", heirs);
    let delete = Form {
        asks: Some("A default role, and one that others extend, cannot be deleted like this.".to_owned()),
        ..Form::post("Delete this role", format!("{here}/delete"), vec![heir], "Delete this role")
    };
    let delete = delete.curl(context, "DELETE", &api);
    page.sections = vec![
        Section::new("", vec![Block::Facts(facts), Block::Links(links)]),
        Section::new("Role", vec![Block::Form(form)]),
        Section::new("Effective permissions", vec![permission_table(&catalog, &role)]),
        Section::new("Delete", vec![Block::Form(delete)]),
    ];
    Ok(page)
}

/// What members may do by the role and by those that it extends.
fn permission_table(catalog: &RoleCatalog, role: &Role) -> Block {
    let rows = catalog.permissions(role).into_iter().map(|(permission, from)| {
        Row::new(vec![
            Cell::text(&permission.name),
            Cell::text(&permission.description),
            Cell::text(if from.id == role.id { "" } else { &from.name }),
        ])
    });
    let rows: Vec<Row> = rows.collect();
    if rows.is_empty() {
        return Block::Text("Members of this role may do nothing yet.".to_owned());
    }
    Block::Table(Table { columns: &["Permission", "Description", "By role"], rows })
}

/// The page of a role, with what is wrong in one of its forms.
async fn refused_role(
    context: &Context,
    request: &HttpRequest,
    path: &RolePath,
    (form, params): (&'static str, &Parameters),
    refused: ControlError,
) -> PageResult {
    let form_state = redisplay(request, form, params, refused)?;
    Ok(show_refused(role_page(context, request, path, &form_state).await?))
}

/// `POST …/roles/{name}`
async fn save(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    path: web::Path<RolePath>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let saved = async {
        let mut reader = FormReader::new(&params);
        let fields = read_fields(&mut reader);
        reader.finish()?;
        let updated = roles::update(&context, path.owner(), &path.name, &fields).await?;
        if fields.extends.is_none() && updated.role.base_id.is_some() {
            roles::remove_base(&context, path.owner(), &path.name).await?;
        }
        Ok(())
    };
    match saved.await {
        Ok(()) => Ok(redirect_with_flash(&context, &path.role(), "saved")),
        Err(refused) => refused_role(&context, &request, &path, (ROLE, &params), refused).await,
    }
}

/// `POST …/roles/{name}/delete`
async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    path: web::Path<RolePath>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let deleted = async {
        let mut reader = FormReader::new(&params);
        let heir = Some(reader.text("reassign_role_name", 100)).filter(|name| !name.is_empty());
        reader.finish()?;
        Ok(roles::delete(&context, path.owner(), &path.name, heir).await?)
    };
    match deleted.await {
        Ok(()) => Ok(redirect_with_flash(&context, &path.list(), "deleted")),
        Err(refused) => refused_role(&context, &request, &path, (DELETE, &params), refused).await,
    }
}
