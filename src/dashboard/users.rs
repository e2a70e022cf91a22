//! Users.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde_json::{Value, json};

use super::blocks::{Block, Cell, Fact, Form, FormState, Page, Row, Section, Table};
use super::listing::Listing;
use super::{
    DashboardContext, PageResult, Posted, error_page, form_params, lines, one, page, redirect_with_flash,
    redisplay, show_with,
};
use crate::domain::authorization::Parameters;
use crate::runtime::Context;
use crate::service::people::{self, UserView};

const USER: &str = "user";
const USER_NAMES: &[&str] =
    &["email", "name", "given_name", "family_name", "external_id", "organizations", "locale", "picture"];

/// `GET /dashboard/users`
pub async fn list(request: HttpRequest, DashboardContext(context): DashboardContext) -> PageResult {
    Ok(super::show(&list_page(&context, &request, &FormState::default()).await?))
}

async fn list_page(
    context: &Context,
    request: &HttpRequest,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let path = "/dashboard/users";
    let listing = Listing::of(request);
    let mut found = people::users(context, &listing.filter()).await.map_err(|r| error_page(request, r))?;
    let pager = listing.pager(context, path, &mut found);
    let mut page = page(context, request, path, "Users");
    let table = if found.is_empty() {
        listing.empty("No users yet", "Users appear here after their first sign-in, from [[users]] in the configuration, or from the form below.")
    } else {
        let rows = found.into_iter().map(|user| {
            Row::new(vec![
                Cell::link(&user.email, context.path(&format!("{path}/{}", user.id))),
                Cell::text(user.name.unwrap_or_default()),
                Cell::text(user.id),
                Cell::text(user.last_sign_in_at.unwrap_or_else(|| "Never".to_owned())),
            ])
        });
        Block::Table(Table { columns: &["Email", "Name", "ID", "Last sign-in"], rows: rows.collect() })
    };
    page.problem = form_state.rest(USER_NAMES);
    let form = Form::post("New user", context.path(path), fields(form_state, None), "Create");
    page.sections = vec![
        Section::new(
            "Users",
            vec![listing.search(context, path, "Email, name or external ID"), table, pager],
        ),
        Section::new("New user", vec![Block::Form(form)]),
    ];
    Ok(page)
}

fn fields(form_state: &FormState, user: Option<&UserView>) -> Vec<super::blocks::Field> {
    let text = |value: Option<&Option<String>>| value.and_then(Clone::clone).unwrap_or_default();
    vec![
        form_state.text(USER, "email", "Email address", user.map(|u| u.email.clone()).unwrap_or_default()),
        form_state.text(USER, "name", "Full name", text(user.map(|u| &u.name))),
        form_state.text(USER, "given_name", "Given name", text(user.map(|u| &u.given_name))),
        form_state.text(USER, "family_name", "Family name", text(user.map(|u| &u.family_name))),
        form_state
            .text(USER, "external_id", "External ID", text(user.map(|u| &u.external_id)))
            .hint("Your own ID, in tokens as xuid."),
        form_state
            .long(
                USER,
                "organizations",
                "Organizations",
                user.map(|u| u.organizations.join("\n")).unwrap_or_default(),
            )
            .hint("IDs or external IDs, one per line."),
    ]
}

fn patch(params: &Parameters) -> Value {
    let text = |name| match one(params, name) {
        "" => Value::Null,
        text => text.into(),
    };
    json!({
        "email": one(params, "email"),
        "name": text("name"),
        "given_name": text("given_name"),
        "family_name": text("family_name"),
        "external_id": text("external_id"),
        "organizations": lines(one(params, "organizations")),
    })
}

/// `POST /dashboard/users`
pub async fn create(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match people::create_user(&context, patch(&params)).await {
        Ok(made) => Ok(redirect_with_flash(&context, &format!("/dashboard/users/{}", made.id), "created")),
        Err(refused) => {
            let form_state = redisplay(&request, USER, &params, refused)?;
            Ok(show_with(StatusCode::BAD_REQUEST, &list_page(&context, &request, &form_state).await?))
        }
    }
}

/// `GET /dashboard/users/{id}`
pub async fn show(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    Ok(super::show(&user_page(&context, &request, &id, &FormState::default()).await?))
}

async fn user_page(
    context: &Context,
    request: &HttpRequest,
    id: &str,
    form_state: &FormState,
) -> Result<Page, actix_web::Error> {
    let user = people::user(context, id).await.map_err(|r| error_page(request, r))?;
    let mut page = page(context, request, "/dashboard/users", &user.email);
    let path = context.path(&format!("/dashboard/users/{id}"));
    page.problem = form_state.rest(USER_NAMES);
    let facts = vec![
        Fact::code("ID", &user.id),
        Fact::text("Created", &user.created_at),
        Fact::text("Last sign-in", user.last_sign_in_at.clone().unwrap_or_else(|| "Never".to_owned())),
    ];
    let form = Form::post("User", path.clone(), fields(form_state, Some(&user)), "Save");
    let delete = Form::dangerous(
        "Delete this user",
        format!("{path}/delete"),
        "This ends the user's sessions and tokens.",
    );
    let encoded: String = url::form_urlencoded::byte_serialize(user.email.as_bytes()).collect();
    page.sections = vec![
        Section::new("", vec![Block::Facts(facts), Block::Form(form)]),
        Section::new(
            "More",
            vec![Block::Links(vec![
                ("Sessions".to_owned(), context.path(&format!("/dashboard/sessions?q={encoded}"))),
                ("Flows".to_owned(), context.path(&format!("/dashboard/flows?email={encoded}"))),
                ("Emails".to_owned(), context.path(&format!("/_emulator/inbox?to={encoded}"))),
            ])],
        ),
        Section::new("Delete", vec![Block::Form(delete)]),
    ];
    Ok(page)
}

/// `POST /dashboard/users/{id}`
pub async fn save(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
    form: Posted,
) -> PageResult {
    let params = form_params(&request, form)?;
    match people::change_user(&context, &id, &patch(&params)).await {
        Ok(_) => Ok(redirect_with_flash(&context, &format!("/dashboard/users/{id}"), "saved")),
        Err(refused) => {
            let form_state = redisplay(&request, USER, &params, refused)?;
            Ok(show_with(StatusCode::BAD_REQUEST, &user_page(&context, &request, &id, &form_state).await?))
        }
    }
}

/// `POST /dashboard/users/{id}/delete`
pub async fn delete(
    request: HttpRequest,
    DashboardContext(context): DashboardContext,
    id: web::Path<String>,
) -> PageResult {
    people::delete_user(&context, &id).await.map_err(|r| error_page(&request, r))?;
    Ok(redirect_with_flash(&context, "/dashboard/users", "deleted"))
}
