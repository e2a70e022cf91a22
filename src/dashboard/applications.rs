//! Applications, their redirects, and a checker for both.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::blocks::{Block, Cell, Fact, Form, FormState, Page, Row, Section, Table};
use super::listing::Listing;
use super::{
    DashboardContext, PageResult, Posted, error_page, form_page, form_params, lines, one, page,
    redirect_with_flash, redisplay, show_again, show_refused,
};
use crate::domain::authorization::Parameters;
use crate::http::endpoint::endpoint;
use crate::http::params;
use crate::runtime::Context;
use crate::service::clients::{self, ClientView};
use crate::service::redirect_check::{self, Verdict};

/// The pages of applications.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(endpoint("/applications").get(list).post(create).end())
        .service(endpoint("/applications/new").get(new).end())
        .service(endpoint("/applications/{id}").get(show).post(save).end())
        .service(
            endpoint("/applications/{id}/delete").post(delete).shown_at("/dashboard/applications/{id}").end(),
        );
}

const HERE: &str = "/dashboard/applications";
const FORM: &str = "application";
const NAMES: &[&str] = &[
    "name",
    "type",
    "redirect_uris",
    "post_logout_redirect_uris",
    "initiate_login_uri",
    "backchannel_logout_uri",
    "enforce_pkce",
    "instant_sign_in",
    "client_id",
    "client_secret",
];
const TYPES: [(&str, &str); 3] =
    [("web", "Web: has a secret"), ("spa", "Single page: public, PKCE"), ("native", "Native: public, PKCE")];

/// `GET /dashboard/applications`
pub async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    let (context, request) = (&context, &request);
    let mut page = page(context, request, HERE, "Applications");
    let listing = Listing::of(request);
    let mut found = listing.of_all(clients::list(context), |c| format!("{} {}", c.name, c.client_id));
    let pager = listing.pager(context, HERE, &mut found);
    let rows = found.into_iter().map(|client| {
        Row::new(vec![
            Cell::link(client.name, context.path(&format!("/dashboard/applications/{}", client.client_id))),
            Cell::code(client.client_id),
            Cell::text(client.r#type),
            Cell::text(client.redirect_uris.join(" ")),
        ])
    });
    let rows: Vec<_> = rows.collect();
    let table = if rows.is_empty() {
        listing.empty(
            "No applications yet",
            "An application is a client: an ID, a secret and its redirect URIs.",
        )
    } else {
        Block::Table(Table { columns: &["Name", "Client ID", "Type", "Callbacks"], rows })
    };
    page.search = Some(listing.search(context, HERE, "Name or client ID"));
    page.new = Some(("New application", context.path("/dashboard/applications/new")));
    page.sections = vec![
        Section::new("", vec![table, pager]),
        Section::new("Check a redirect URI", checker(context, request)),
    ];
    super::show(page)
}

/// `GET /dashboard/applications/new`
pub async fn new(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(new_page(&context, &request, &FormState::default()))
}

fn new_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let fields = vec![
        form_state.text(FORM, "name", "Name", ""),
        form_state.choice(FORM, "type", "Type", "web", &TYPES),
        form_state
            .long(FORM, "redirect_uris", "Allowed callback URLs", "")
            .hint("One per line. In development, http URLs on this computer need not be listed."),
    ];
    let form = Form::post("New application", context.path(HERE), fields, "Create");
    let body =
        json!({ "name": "Shop", "type": "web", "redirect_uris": ["https://shop.example.com/callback"] });
    let form = form.curl_json(context, "POST", "/clients", &body);
    let mut page = form_page(context, request, HERE, ("Applications", HERE), form);
    page.problem = form_state.rest(NAMES);
    page
}

/// The redirect checker, with its answer when it was asked.
fn checker(context: &Context, request: &HttpRequest) -> Vec<Block> {
    let query = params::query(request).unwrap_or_default();
    let url = one(&query, "url").to_owned();
    let field = FormState::default().search("check", "url", "URL", url.as_str());
    let form =
        Form::get("Check a redirect URI", context.path("/dashboard/applications"), vec![field], "Check");
    let mut blocks = vec![Block::Form(form)];
    if !url.is_empty() {
        let cell = |v: &Verdict| {
            Cell::verdict(format!("{}: {}", if v.allowed { "yes" } else { "no" }, v.why), v.allowed)
        };
        let rows = redirect_check::check(context, &url, None).into_iter().map(|c| {
            Row::new(vec![
                Cell::text(&c.client_id),
                cell(&c.here),
                cell(&c.development),
                cell(&c.production),
                cell(&c.after_logout),
            ])
        });
        let columns = &["Application", "Here", "In development", "In production", "After logout, here"];
        blocks.push(Block::Table(Table { columns, rows: rows.collect() }));
    }
    blocks
}

/// `POST /dashboard/applications`
pub async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let fields = json!({
        "name": one(&params, "name"), "type": one(&params, "type"), "redirect_uris": lines(one(&params, "redirect_uris")),
    });
    match clients::create(&context, fields).await {
        Ok(made) => Ok(redirect_with_flash(
            &context,
            &format!("/dashboard/applications/{}", made.client_id),
            "created",
        )),
        Err(refused) => show_again(&request, (FORM, &params), refused, |form_state| {
            new_page(&context, &request, form_state)
        }),
    }
}

/// `GET /dashboard/applications/{id}`
pub async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    let client = clients::show(&context, &id).map_err(|refused| error_page(&request, refused))?;
    Ok(super::show(detail(&context, &request, &client, &FormState::default())))
}

fn detail(context: &Context, request: &HttpRequest, client: &ClientView, form_state: &FormState) -> Page {
    let mut page = page(context, request, HERE, &client.name);
    page.back = Some(("Applications".to_owned(), context.path(HERE)));
    let path = context.path(&format!("/dashboard/applications/{}", client.client_id));
    let mut facts = vec![Fact::code("Client ID", &client.client_id), Fact::text("Type", client.r#type)];
    facts.extend(client.client_secrets.iter().flatten().map(|secret| Fact::code("Client secret", secret)));
    if client.client_secret_argon2.is_some() {
        facts.push(Fact::text("Client secret", "As configured. Only its hash is stored."));
    }
    let fields = vec![
        form_state.text(FORM, "name", "Name", &client.name),
        form_state
            .long(FORM, "redirect_uris", "Allowed callback URLs", client.redirect_uris.join("\n"))
            .hint("One per line."),
        form_state
            .long(
                FORM,
                "post_logout_redirect_uris",
                "Post logout URLs",
                client.post_logout_redirect_uris.join("\n"),
            )
            .hint("One per line. Browsers go there after logout when the application asks for it."),
        form_state
            .text(
                FORM,
                "initiate_login_uri",
                "Initiate login URL",
                client.initiate_login_uri.clone().unwrap_or_default(),
            )
            .hint("Where a browser is sent when its sign-in cookie is gone."),
        form_state
            .text(
                FORM,
                "backchannel_logout_uri",
                "Back-channel logout URL",
                client.backchannel_logout_uri.clone().unwrap_or_default(),
            )
            .hint("Where logout tokens are sent when a session ends."),
        form_state.check(FORM, "enforce_pkce", "Require PKCE", client.enforce_pkce),
        form_state
            .check(FORM, "instant_sign_in", "Instant sign-in", client.instant_sign_in)
            .hint("The control API may sign users in without an email."),
    ];
    let form = Form::post("Settings", path.clone(), fields, "Save");
    let api = format!("/api/clients/{}", client.client_id);
    let form = form.curl_json(context, "PATCH", &api, &shown(client)).curl_json(
        context,
        "PATCH",
        &format!("/clients/{}", client.client_id),
        &json!({ "instant_sign_in": client.instant_sign_in }),
    );
    let delete = Form::dangerous(
        "Delete this application",
        format!("{path}/delete"),
        "This deletes its secrets and redirect URIs. Its tokens are refused.",
    );
    let delete = delete.curl(context, "DELETE", &api);
    page.problem = form_state.rest(NAMES);
    page.sections = vec![
        Section::new("Credentials", vec![Block::Facts(facts)]),
        Section::new("Settings", vec![Block::Form(form)]),
        Section::new("Delete", vec![Block::Form(delete)]),
    ];
    page
}

/// An application in the words of Scalekit's API, which does not know instant sign-in.
fn shown(client: &ClientView) -> Value {
    json!({
        "name": client.name,
        "post_login_uris": client.redirect_uris,
        "post_logout_redirect_uris": client.post_logout_redirect_uris,
        "initiate_login_uri": client.initiate_login_uri,
        "back_channel_logout_uris": client.backchannel_logout_uri.iter().collect::<Vec<_>>(),
        "enforce_pkce": client.enforce_pkce,
    })
}

fn patch(params: &Parameters) -> Value {
    let optional = |name| match one(params, name) {
        "" => Value::Null,
        text => text.into(),
    };
    json!({
        "name": one(params, "name"),
        "redirect_uris": lines(one(params, "redirect_uris")),
        "post_logout_redirect_uris": lines(one(params, "post_logout_redirect_uris")),
        "initiate_login_uri": optional("initiate_login_uri"),
        "backchannel_logout_uri": optional("backchannel_logout_uri"),
        "enforce_pkce": one(params, "enforce_pkce") == "on",
        "instant_sign_in": one(params, "instant_sign_in") == "on",
    })
}

/// `POST /dashboard/applications/{id}`
pub async fn save(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match clients::change(&context, &id, &patch(&params)).await {
        Ok(_) => Ok(redirect_with_flash(&context, &format!("/dashboard/applications/{id}"), "saved")),
        Err(refused) => {
            let form_state = redisplay(&request, FORM, &params, refused)?;
            let client = clients::show(&context, &id).map_err(|refused| error_page(&request, refused))?;
            Ok(show_refused(detail(&context, &request, &client, &form_state)))
        }
    }
}

/// `POST /dashboard/applications/{id}/delete`
pub async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    clients::delete(&context, &id).await.map_err(|refused| error_page(&request, refused))?;
    Ok(redirect_with_flash(&context, "/dashboard/applications", "deleted"))
}
