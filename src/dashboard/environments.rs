//! Isolated environments, and the state of this one.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::blocks::{Block, Cell, Form, FormState, Page, Row, Section, Table, hidden};
use super::{
    DashboardContext, PageResult, Posted, error_page, form_page, form_params, one, page, redirect_with_flash,
    redisplay, show_again, show_refused,
};
use crate::http::endpoint::endpoint;
use crate::http::see_other;
use crate::runtime::Context;
use crate::service::environments::{self, CreateEnvironment};
use crate::service::state::{self, Keep};

/// The pages of environments.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(endpoint("/environments").get(list).post(create).end())
        .service(endpoint("/environments/new").get(new).end())
        .service(
            endpoint("/environments/{name}/delete").post(delete).shown_at("/dashboard/environments").end(),
        );
}

const HERE: &str = "/dashboard/environments";
const FORM: &str = "environment";

/// `GET /dashboard/environments`
pub async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    let (context, request) = (&context, &request);
    let query = crate::http::params::query(request).unwrap_or_default();
    let (after, q) = (one(&query, "after"), one(&query, "q"));
    let found = environments::list(context, after, q).await.map_err(|r| error_page(request, r))?;
    let last = found.last().and_then(|e| e.name.clone());
    let is_full = found.len() >= environments::PAGE;
    let next = last.filter(|_| is_full).map(|name| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("q", q)
            .append_pair("after", &name)
            .finish();
        context.path(&format!("/dashboard/environments?{query}"))
    });
    let mut page = page(context, request, "/dashboard/environments", "Environments");
    page.lead = Some("Each environment has its own users, emails, clock, faults and credentials, so that tests can run in parallel.".to_owned());
    let rows = found.into_iter().map(|environment| {
        let name = environment.name.clone();
        Row {
            action: name.as_ref().map(|name| {
                let action = context.path(&format!("/dashboard/environments/{name}/delete"));
                Form::dangerous("Delete", action, "This deletes everything in it.").curl(
                    context,
                    "DELETE",
                    &format!("/environments/{name}"),
                )
            }),
            cells: vec![
                Cell::link(
                    name.unwrap_or_else(|| "Default".to_owned()),
                    format!("{}/dashboard", environment.path_url),
                ),
                Cell::code(environment.path_url),
                Cell::code(environment.client_id.unwrap_or_default()),
                Cell { is_time: true, ..Cell::text(environment.created_at.unwrap_or_default()) },
            ],
        }
    });
    let table = Table { columns: &["Name", "URL", "Client ID", "Created", "Action"], rows: rows.collect() };
    let search = FormState::default().search("search", "q", "Name", q);
    page.search = Some(Form::get("Search", context.path(HERE), vec![search], "Search"));
    page.new = Some(("New environment", context.path("/dashboard/environments/new")));
    page.sections = vec![Section::new("", vec![Block::Table(table), Block::Pager { next }])];
    Ok(super::show(page))
}

/// `GET /dashboard/environments/new`
pub async fn new(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(new_page(&context, &request, &FormState::default()))
}

fn new_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let field = form_state
        .text(FORM, "name", "Name", "")
        .hint("Letters, digits and hyphens. Leave empty for a random name.");
    let form = Form::post("New environment", context.path(HERE), vec![field], "Create");
    let form = form.curl_json(context, "POST", "/environments", &json!({ "name": "test-1" }));
    let mut page = form_page(context, request, HERE, ("Environments", HERE), form);
    page.problem = form_state.rest(&["name"]);
    page
}

/// `POST /dashboard/environments`
pub async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    let name = Some(one(&params, "name").to_owned()).filter(|n| !n.is_empty());
    match environments::create(&context, CreateEnvironment { name, ..CreateEnvironment::default() }).await {
        Ok(made) => Ok(see_other(&format!("{}/dashboard?done=created", made.path_url))),
        Err(refused) => show_again(&request, (FORM, &params), refused, |form_state| {
            new_page(&context, &request, form_state)
        }),
    }
}

/// `POST /dashboard/environments/{name}/delete`
pub async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    name: web::Path<String>,
) -> PageResult {
    environments::delete(&context, &name).await.map_err(|r| error_page(&request, r))?;
    // From within it there is no way back to it.
    let is_here = context.runtime.name.as_ref().is_some_and(|n| n.as_str() == name.as_str());
    if is_here {
        return Ok(see_other("/dashboard/environments?done=deleted"));
    }
    Ok(redirect_with_flash(&context, "/dashboard/environments", "deleted"))
}

/// `GET /dashboard/state`
pub async fn state(request: HttpRequest, DashboardContext(context): DashboardContext) -> HttpResponse {
    super::show(state_page(&context, &request, &FormState::default()).await)
}

const SEED: &str = "seed";

async fn state_page(context: &Context, request: &HttpRequest, form_state: &FormState) -> Page {
    let mut page = page(context, request, "/dashboard/state", "State");
    let path = context.path("/dashboard/state");
    let reset = Form {
        fields: vec![hidden("act", "reset")],
        ..Form::dangerous(
            "Reset",
            path.clone(),
            "Deletes all sessions, emails, logs and faults, and restores users, settings and clock to the seed.",
        )
    };
    let reset = reset.curl(context, "POST", "/reset");
    let example = json!({ "users": [{ "email": "jane@example.com", "name": "Jane" }] });
    let fields = vec![
        hidden("act", SEED),
        form_state
            .long(SEED, "seed", "Users and organizations", format!("{example:#}"))
            .hint("Same schema as vestibule.toml. A reset restores them too."),
    ];
    let names = state::scenarios(context).await;
    let scenarios = if names.is_empty() {
        vec![Block::Empty {
            title: "No scenarios".to_owned(),
            text: format!(
                "Put NAME.toml or NAME.json into {}, with settings, seed, faults and frozen_at, or a snapshot.",
                context.runtime.server.scenarios.display()
            ),
        }]
    } else {
        let forms = names.into_iter().map(|name| {
            let form =
                Form::dangerous(&format!("Load {name}"), path.clone(), "This resets the environment first.");
            let form = form.curl(context, "POST", &format!("/scenarios/{name}/load"));
            Block::Form(Form { fields: vec![hidden("act", "scenario"), hidden("name", name)], ..form })
        });
        forms.collect()
    };
    let seed = Form::post("Seed", path, fields, "Add").curl_json(context, "POST", "/seed", &example);
    page.problem = form_state.rest(&["seed"]);
    let snapshot =
        ("Download a snapshot (contains private keys)".to_owned(), context.path("/_emulator/v1/snapshot"));
    page.sections = vec![
        Section::new("Reset", vec![Block::Form(reset)]),
        Section::new("Snapshot", vec![Block::Links(vec![snapshot])]),
        Section::new("Seed", vec![Block::Form(seed)]),
        Section::new("Scenarios", scenarios),
    ];
    page
}

/// `POST /dashboard/state`
pub async fn change_state(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    use crate::service::changes::ControlError;
    use crate::service::seed;
    let params = form_params(&request, form)?;
    match one(&params, "act") {
        SEED => {
            let outcome = match serde_json::from_str(one(&params, "seed")) {
                Ok(value) => seed::write_json(&context, &value, false).await.map(|_| ()),
                Err(error) => Err(ControlError::field("seed", format!("is not valid JSON: {error}"))),
            };
            match outcome {
                Ok(()) => Ok(redirect_with_flash(&context, "/dashboard/users", "created")),
                Err(refused) => {
                    let form_state = redisplay(&request, SEED, &params, refused)?;
                    Ok(show_refused(state_page(&context, &request, &form_state).await))
                }
            }
        }
        "scenario" => {
            state::load_scenario(&context, one(&params, "name"))
                .await
                .map_err(|r| error_page(&request, r))?;
            Ok(redirect_with_flash(&context, "/dashboard/state", "saved"))
        }
        _ => {
            state::reset(&context, Keep::default()).await.map_err(|r| error_page(&request, r))?;
            Ok(redirect_with_flash(&context, "/dashboard/state", "reset"))
        }
    }
}
