//! Isolated environments, and the state of this one.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::blocks::{Block, Cell, Form, Page, Row, Section, Table, Typed, hidden};
use super::{Answer, Desk, Posted, again, back, gone, one, page, posted, show_with};
use crate::http::see_other;
use crate::runtime::Context;
use crate::service::environments::{self, Wanted};
use crate::service::state::{self, Keep};

const FORM: &str = "environment";

/// `GET /dashboard/environments`
pub async fn list(request: HttpRequest, Desk(context): Desk) -> Answer {
    Ok(super::show(&built(&context, &request, &Typed::default()).await?))
}

async fn built(context: &Context, request: &HttpRequest, typed: &Typed) -> Result<Page, actix_web::Error> {
    let query = crate::http::params::query(request).unwrap_or_default();
    let (after, q) = (one(&query, "after"), one(&query, "q"));
    let found = environments::list(context, after, q).await.map_err(|r| gone(request, r))?;
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
                Form::dangerous("Delete", action, "This deletes everything in it.")
            }),
            cells: vec![
                Cell::link(
                    name.unwrap_or_else(|| "Default".to_owned()),
                    format!("{}/dashboard", environment.path_url),
                ),
                Cell::text(environment.path_url),
                Cell::text(environment.client_id.unwrap_or_default()),
                Cell::text(environment.created_at.unwrap_or_default()),
            ],
        }
    });
    let table = Table { columns: &["Name", "URL", "Client ID", "Created", "Action"], rows: rows.collect() };
    let field = typed
        .text(FORM, "name", "Name", "")
        .hint("Letters, digits and hyphens. Leave empty for a random name.");
    page.problem = typed.rest(&["name"]);
    let search = Typed::default().search("filter", "q", "Name", q);
    let filter = Form::get("Filter", context.path("/dashboard/environments"), vec![search], "Show");
    let filter = Block::Form(filter);
    page.sections = vec![
        Section::new("All", vec![filter, Block::Table(table), Block::Pager { next }]),
        Section::new(
            "New environment",
            vec![Block::Form(Form::post(
                "New environment",
                context.path("/dashboard/environments"),
                vec![field],
                "Create",
            ))],
        ),
    ];
    Ok(page)
}

/// `POST /dashboard/environments`
pub async fn create(request: HttpRequest, Desk(context): Desk, form: Posted) -> Answer {
    let params = posted(&request, form)?;
    let name = Some(one(&params, "name").to_owned()).filter(|n| !n.is_empty());
    match environments::create(&context, Wanted { name, ..Wanted::default() }).await {
        Ok(made) => Ok(see_other(&format!("{}/dashboard?done=created", made.path_url))),
        Err(refused) => {
            let typed = again(&request, FORM, &params, refused)?;
            Ok(show_with(StatusCode::BAD_REQUEST, &built(&context, &request, &typed).await?))
        }
    }
}

/// `POST /dashboard/environments/{name}/delete`
pub async fn delete(request: HttpRequest, Desk(context): Desk, name: web::Path<String>) -> Answer {
    environments::delete(&context, &name).await.map_err(|r| gone(&request, r))?;
    // From within it there is no way back to it.
    let is_here = context.app.name.as_ref().is_some_and(|n| n.as_str() == name.as_str());
    if is_here {
        return Ok(see_other("/dashboard/environments?done=deleted"));
    }
    Ok(back(&context, "/dashboard/environments", "deleted"))
}

/// `GET /dashboard/state`
pub async fn state(request: HttpRequest, Desk(context): Desk) -> HttpResponse {
    super::show(&state_page(&context, &request, &Typed::default()).await)
}

const SEED: &str = "seed";

async fn state_page(context: &Context, request: &HttpRequest, typed: &Typed) -> Page {
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
    let example = json!({ "users": [{ "email": "jane@example.com", "name": "Jane" }] });
    let fields = vec![
        hidden("act", SEED),
        typed
            .long(SEED, "seed", "Users and organizations", format!("{example:#}"))
            .hint("Same schema as vestibule.toml. A reset restores them too."),
    ];
    let names = state::scenarios(context).await;
    let scenarios = if names.is_empty() {
        vec![Block::Empty {
            title: "No scenarios".to_owned(),
            text: format!(
                "Put NAME.toml or NAME.json into {}, with settings, seed, faults and frozen_at, or a snapshot.",
                context.app.site.scenarios.display()
            ),
        }]
    } else {
        let forms = names.into_iter().map(|name| {
            let form =
                Form::dangerous(&format!("Load {name}"), path.clone(), "This resets the environment first.");
            Block::Form(Form { fields: vec![hidden("act", "scenario"), hidden("name", name)], ..form })
        });
        forms.collect()
    };
    page.problem = typed.rest(&["seed"]);
    let snapshot =
        ("Download a snapshot (contains private keys)".to_owned(), context.path("/_emulator/v1/snapshot"));
    page.sections = vec![
        Section::new("Reset", vec![Block::Form(reset)]),
        Section::new("Snapshot", vec![Block::Links(vec![snapshot])]),
        Section::new("Seed", vec![Block::Form(Form::post("Seed", path, fields, "Add"))]),
        Section::new("Scenarios", scenarios),
    ];
    page
}

/// `POST /dashboard/state`
pub async fn change_state(request: HttpRequest, Desk(context): Desk, form: Posted) -> Answer {
    use crate::service::changes::Refused;
    use crate::service::people;
    let params = posted(&request, form)?;
    match one(&params, "act") {
        SEED => {
            let outcome = match serde_json::from_str(one(&params, "seed")) {
                Ok(value) => people::seed_from(&context, &value, false).await.map(|_| ()),
                Err(error) => Err(Refused::field("seed", format!("is not valid JSON: {error}"))),
            };
            match outcome {
                Ok(()) => Ok(back(&context, "/dashboard/users", "created")),
                Err(refused) => {
                    let typed = again(&request, SEED, &params, refused)?;
                    Ok(show_with(StatusCode::BAD_REQUEST, &state_page(&context, &request, &typed).await))
                }
            }
        }
        "scenario" => {
            state::load_scenario(&context, one(&params, "name")).await.map_err(|r| gone(&request, r))?;
            Ok(back(&context, "/dashboard/state", "saved"))
        }
        _ => {
            state::reset(&context, Keep::default()).await.map_err(|r| gone(&request, r))?;
            Ok(back(&context, "/dashboard/state", "reset"))
        }
    }
}
