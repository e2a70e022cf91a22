//! Machine clients (M2M) of an organization, with their secrets.

use actix_web::{HttpRequest, web};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::blocks::{Block, Cell, Fact, Field, Form, FormState, Page, Row, Section, Table};
use super::form_reader::{FormReader, shown_texts};
use super::listing::{Listing, PAGE_SIZE};
use super::{
    DashboardContext, PageResult, Posted, endpoint, error_page, form_params, organizations, page,
    redirect_with_flash, redisplay, show_refused,
};
use crate::domain::authorization::Parameters;
use crate::domain::metadata::MetadataLimits;
use crate::domain::organization_client::{
    CustomClaim, OrganizationClient, OrganizationClientChange, OrganizationClientSecret,
};
use crate::runtime::Context;
use crate::service::changes::ControlError;
use crate::service::organization_clients as clients;

const FORM: &str = "client";
const SECRET: &str = "secret";

/// Fields of the forms.
const NAMES: &[&str] = &["name", "description", "scopes", "audience", "custom_claims", "expiry"];

/// Claims that tokens may have.
const CLAIM_LIMITS: MetadataLimits =
    MetadataLimits { pairs: usize::MAX, key: 1..=128, value: 0..=usize::MAX };

/// Organization and client.
type Ids = web::Path<(String, String)>;

pub fn routes(config: &mut web::ServiceConfig) {
    const CLIENT_PAGE: &str = "/dashboard/organizations/{organization_id}/clients/{client_id}";
    let client =
        |rest: &str| endpoint(&format!("/organizations/{{organization_id}}/clients/{{client_id}}{rest}"));
    config
        .service(endpoint("/organizations/{organization_id}/clients").get(list).post(create).end())
        .service(endpoint("/organizations/{organization_id}/clients/new").get(new).end())
        .service(client("").get(show).post(save).end())
        .service(client("/secrets").post(add_secret).shown_at(CLIENT_PAGE).end())
        .service(client("/secrets/{secret_id}/delete").post(delete_secret).shown_at(CLIENT_PAGE).end())
        .service(client("/delete").post(delete).shown_at(CLIENT_PAGE).end());
}

fn list_path(organization_id: &str) -> String {
    format!("{}/clients", organizations::path(organization_id))
}

fn path((organization_id, client_id): &(String, String)) -> String {
    format!("{}/{client_id}", list_path(organization_id))
}

/// `GET /dashboard/organizations/{organization_id}/clients`
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
    let found = clients::list(context, organization_id, size, &listing.page_token).await;
    let found = found.map_err(|r| error_page(request, r.into()))?;
    let here = list_path(organization_id);
    let pager = listing.token_pager(context, &here, &found.next_page_token);
    let table = if found.records.is_empty() {
        listing.empty("No clients yet", "A machine of the organization gets tokens by client_credentials.")
    } else {
        let rows = found.records.into_iter().map(|client| {
            let path = path(&(client.organization_id.clone(), client.id.clone()));
            Row::new(vec![
                Cell::link(name_of(&client), context.path(&path)),
                Cell::code(client.id),
                Cell::text(client.scopes.join(" ")),
                Cell::time(client.created_at_ms),
            ])
        });
        Block::Table(Table { columns: &["Name", "Client ID", "Scopes", "Created"], rows: rows.collect() })
    };
    let titles = ("M2M clients", "clients");
    Ok(organizations::list_page_of(context, request, &organization, titles, "New client", [table, pager]))
}

/// `GET /dashboard/organizations/{organization_id}/clients/new`
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
    let here = list_path(organization_id);
    let form = Form::post("New client", context.path(&here), client_fields(form_state, None), "Create");
    let api = format!("/api/organizations/{organization_id}/clients");
    let form =
        form.curl_json(context, "POST", &api, &json!({ "name": "Reports", "scopes": ["read:reports"] }));
    let problem = form_state.rest(NAMES);
    organizations::form_page_of(context, request, organization_id, ("M2M clients", &here), form, problem)
        .await
}

/// What users call a client: its name, or its ID where it has none.
fn name_of(client: &OrganizationClient) -> &str {
    if client.name.is_empty() { &client.id } else { &client.name }
}

fn client_fields(form_state: &FormState, client: Option<&OrganizationClient>) -> Vec<Field> {
    let text = |text: fn(&OrganizationClient) -> &str| client.map(text).unwrap_or_default();
    let lines = |list: fn(&OrganizationClient) -> &[String]| client.map(list).unwrap_or_default().join("\n");
    let claims = client.map(|client| shown_texts(&client.token_claims())).unwrap_or_default();
    let expiry = client.filter(|client| client.expiry_s > 0).map(|client| client.expiry_s.to_string());
    vec![
        form_state.text(FORM, "name", "Name", text(|client| &client.name)),
        form_state.text(FORM, "description", "Description", text(|client| &client.description)),
        form_state
            .long(FORM, "scopes", "Scopes", lines(|client| &client.scopes))
            .hint("What its tokens may be for. One per line."),
        form_state
            .long(FORM, "audience", "Audience", lines(|client| &client.audience))
            .hint("Whom its tokens are for. One per line. Leave empty for the client itself."),
        form_state
            .long(FORM, "custom_claims", "Custom claims", claims)
            .hint("JSON: texts by name. Its tokens carry them."),
        form_state
            .number(FORM, "expiry", "Token lifetime (seconds)", expiry.unwrap_or_default())
            .hint("Leave empty for an hour."),
    ]
}

fn read_change(reader: &mut FormReader<'_>) -> OrganizationClientChange {
    let claims = reader.texts_by_name("custom_claims", &CLAIM_LIMITS);
    OrganizationClientChange {
        name: reader.text("name", 128).to_owned(),
        description: reader.text("description", 512).to_owned(),
        scopes: reader.lines("scopes"),
        audience: reader.lines("audience"),
        custom_claims: claims.0.into_iter().map(|(key, value)| CustomClaim { key, value }).collect(),
        expiry_s: reader.number("expiry").unwrap_or_default().into(),
    }
}

/// What an API call leaves as it is when it is empty cannot be emptied.
fn keep_filled(reader: &mut FormReader<'_>, client: &OrganizationClient, change: &OrganizationClientChange) {
    reader.keep_filled("name", !client.name.is_empty(), !change.name.is_empty());
    reader.keep_filled("description", !client.description.is_empty(), !change.description.is_empty());
    reader.keep_filled("scopes", !client.scopes.is_empty(), !change.scopes.is_empty());
    reader.keep_filled("audience", !client.audience.is_empty(), !change.audience.is_empty());
    reader.keep_filled("custom_claims", !client.custom_claims.is_empty(), !change.custom_claims.is_empty());
    reader.keep_filled("expiry", client.expiry_s > 0, change.expiry_s > 0);
}

/// `POST /dashboard/organizations/{organization_id}/clients`: the answer is the page of the client, with its secret.
async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    organization_id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let created = async {
        let mut reader = FormReader::new(&params);
        let fields = read_change(&mut reader);
        reader.finish()?;
        Ok(clients::create(&context, &organization_id, fields).await?)
    };
    match created.await {
        Ok((client, secret)) => {
            let ids = (organization_id.into_inner(), client.id);
            show_secret(&context, &request, &ids, &secret).await
        }
        Err(refused) => {
            let form_state = redisplay(&request, FORM, &params, refused)?;
            Ok(show_refused(new_page(&context, &request, &organization_id, &form_state).await?))
        }
    }
}

/// The page of a client with a new secret, this once.
async fn show_secret(
    context: &Context,
    request: &HttpRequest,
    ids: &(String, String),
    secret: &SecretString,
) -> PageResult {
    let mut page = client_page(context, request, ids, &FormState::default()).await?;
    let about = "Copy it now. It is shown this once; the server keeps only a digest.".to_owned();
    let facts = vec![
        Fact::code("Client ID", &ids.1),
        Fact::code("Client secret", secret.expose_secret()),
        Fact::code("Token URL", context.public_url.join("/oauth/token")),
    ];
    page.done = Some("Created.");
    page.sections.insert(0, Section::new("New secret", vec![Block::Text(about), Block::Facts(facts)]));
    Ok(super::show(page))
}

/// `GET /dashboard/organizations/{organization_id}/clients/{client_id}`
async fn show(request: HttpRequest, DashboardContext(context): DashboardContext, ids: Ids) -> PageResult {
    Ok(super::show(client_page(&context, &request, &ids, &FormState::default()).await?))
}

async fn client_page(
    context: &Context,
    request: &HttpRequest,
    ids: &(String, String),
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let client = clients::find(context, &ids.0, &ids.1).await.map_err(|r| error_page(request, r.into()))?;
    let mut page = page(context, request, organizations::HERE, name_of(&client));
    page.problem = form_state.rest(NAMES);
    let here = context.path(&path(ids));
    let facts = vec![
        Fact::code("Client ID", &client.id),
        Fact::time("Created", client.created_at_ms),
        Fact::time("Changed", client.updated_at_ms),
    ];
    let links = vec![
        ("All M2M clients".to_owned(), context.path(&list_path(&ids.0))),
        ("Organization".to_owned(), context.path(&organizations::path(&ids.0))),
    ];
    let api = format!("/api/organizations/{}/clients/{}", ids.0, client.id);
    let form = Form::post("Client", here.clone(), client_fields(form_state, Some(&client)), "Save");
    let form = form.curl_json(context, "PATCH", &api, &shown(&client));
    let add = Form::post("Add a secret", format!("{here}/secrets"), vec![], "Add a secret");
    let add = add.curl_json(context, "POST", &format!("{api}/secrets"), &json!({}));
    let delete = Form::dangerous(
        "Delete this client",
        format!("{here}/delete"),
        "It gets no more tokens. Those that it has stay valid for their time.",
    );
    let delete = delete.curl(context, "DELETE", &api);
    page.sections = vec![
        Section::new("", vec![Block::Facts(facts), Block::Links(links)]),
        Section::new("Secrets", vec![secret_table(context, &client, (&here, &api)), Block::Form(add)]),
        Section::new("Client", vec![Block::Form(form)]),
        Section::new("Delete", vec![Block::Form(delete)]),
    ];
    Ok(page)
}

/// An organization's client in the words of the API that changes it.
fn shown(client: &OrganizationClient) -> Value {
    let claims = client.custom_claims.iter().map(|claim| json!({ "key": claim.key, "value": claim.value }));
    json!({
        "name": client.name,
        "description": client.description,
        "scopes": client.scopes,
        "audience": client.audience,
        "custom_claims": claims.collect::<Vec<_>>(),
        "expiry": client.expiry_s,
    })
}

fn secret_table(context: &Context, client: &OrganizationClient, (here, api): (&str, &str)) -> Block {
    let delete = |secret: &OrganizationClientSecret| {
        let action = format!("{here}/secrets/{}/delete", secret.id);
        let form = Form::dangerous("Delete", action, "Whoever uses it gets no more tokens.");
        form.curl(context, "DELETE", &format!("{api}/secrets/{}", secret.id))
    };
    let rows = client.secrets.iter().map(|secret| Row {
        action: Some(delete(secret)),
        cells: vec![
            Cell::text(format!("…{}", secret.suffix)),
            Cell::text(&secret.id),
            Cell::time(secret.created_at_ms),
        ],
    });
    Block::Table(Table { columns: &["Secret", "ID", "Created", "Action"], rows: rows.collect() })
}

/// The page of a client, with what is wrong in one of its forms.
async fn refused_page(
    context: &Context,
    request: &HttpRequest,
    ids: &(String, String),
    (form, params): (&'static str, &Parameters),
    refused: ControlError,
) -> PageResult {
    let form_state = redisplay(request, form, params, refused)?;
    Ok(show_refused(client_page(context, request, ids, &form_state).await?))
}

/// `POST /dashboard/organizations/{organization_id}/clients/{client_id}`
async fn save(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    ids: Ids,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let saved = async {
        let client = clients::find(&context, &ids.0, &ids.1).await?;
        let mut reader = FormReader::new(&params);
        let change = read_change(&mut reader);
        keep_filled(&mut reader, &client, &change);
        reader.finish()?;
        Ok(clients::update(&context, &ids.0, &ids.1, change).await?)
    };
    match saved.await {
        Ok(_) => Ok(redirect_with_flash(&context, &path(&ids), "saved")),
        Err(refused) => refused_page(&context, &request, &ids, (FORM, &params), refused).await,
    }
}

/// `POST /dashboard/organizations/{organization_id}/clients/{client_id}/secrets`
async fn add_secret(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    ids: Ids,
) -> PageResult {
    match clients::add_secret(&context, &ids.0, &ids.1).await {
        Ok((_, secret)) => show_secret(&context, &request, &ids, &secret).await,
        Err(refused) => {
            let nothing = Parameters::default();
            refused_page(&context, &request, &ids, (SECRET, &nothing), refused.into()).await
        }
    }
}

/// `POST /dashboard/organizations/{organization_id}/clients/{client_id}/secrets/{secret_id}/delete`
async fn delete_secret(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    ids: web::Path<(String, String, String)>,
) -> PageResult {
    let (organization_id, client_id, secret_id) = ids.into_inner();
    let deleted = clients::delete_secret(&context, &organization_id, &client_id, &secret_id).await;
    let ids = (organization_id, client_id);
    match deleted {
        Ok(()) => Ok(redirect_with_flash(&context, &path(&ids), "deleted")),
        Err(refused) => {
            let nothing = Parameters::default();
            refused_page(&context, &request, &ids, (SECRET, &nothing), refused.into()).await
        }
    }
}

/// `POST /dashboard/organizations/{organization_id}/clients/{client_id}/delete`
async fn delete(request: HttpRequest, DashboardContext(context): DashboardContext, ids: Ids) -> PageResult {
    clients::delete(&context, &ids.0, &ids.1).await.map_err(|r| error_page(&request, r.into()))?;
    Ok(redirect_with_flash(&context, &list_path(&ids.0), "deleted"))
}
